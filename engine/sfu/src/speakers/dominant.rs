//! The dominant speaker: another producer replaces it when it leads on three time scales at once.
//!
//! After I. Volfin and I. Cohen, "Dominant speaker identification for multipoint videoconferencing" (Computer
//! Speech & Language 27, 2013): speech activity over an immediate, a medium and a long interval; each
//! producer is compared only with the dominant one; a lead is required on every scale, which is the
//! hysteresis. The paper scores each count by a likelihood ratio; here the counts themselves are compared,
//! which gives the same order, in integers.

use super::voice::{Loudness, Voice};

/// The dominant speaker after this moment: the present one, or the challenger that leads it. Of several
/// challengers, the one with the most speech on the medium scale; then on the long one; then the loudest;
/// then the first.
pub fn choose<K: Copy + PartialEq>(
    present: Option<(K, &Voice)>,
    voices: impl Iterator<Item = (K, Voice)>,
) -> Option<K> {
    let defender = present.map_or(const { Voice::new() }, |(_, voice)| *voice);
    let mut best: Option<(K, Voice)> = None;
    for (key, voice) in voices {
        let is_present = present.is_some_and(|(present, _)| present == key);
        let is_better = best.is_none_or(|(_, best)| rank(&voice) > rank(&best));
        if !is_present && is_better && leads(&voice, &defender) {
            best = Some((key, voice));
        }
    }
    best.map(|(key, _)| key).or(present.map(|(key, _)| key))
}

fn rank(voice: &Voice) -> (u32, u32, Loudness) {
    (voice.medium(), voice.long(), voice.loudness())
}

/// Louder now, more speech in the medium interval, and at least as much in the long one.
fn leads(challenger: &Voice, defender: &Voice) -> bool {
    challenger.long() >= LONG_MIN.max(defender.long() + LONG_LEAD)
        && challenger.medium() >= defender.medium() + MEDIUM_LEAD
        && challenger.immediate() > defender.immediate()
}

/// 280 ms of the last 400: in continuous speech, pauses between words are shorter.
const MEDIUM_LEAD: u32 = 14;

/// 80 ms of the last 1.2 s: of two with equal speech, neither leads.
const LONG_LEAD: u32 = 4;

/// 300 ms of the last 1.2 s: a cough after a silence does not make a speaker dominant.
const LONG_MIN: u32 = 15;

#[cfg(test)]
mod tests {
    use super::*;
    use machine::{Instant, Rng};
    use std::time::Duration;

    /// Simulated voices in steps of 20 ms, with a decision every 100 ms.
    struct Room {
        ms: u64,
        voices: Vec<Voice>,
        dominant: Option<usize>,
        switches: Vec<(u64, usize)>,
    }

    impl Room {
        fn new(voices: usize) -> Self {
            Self { ms: 0, voices: vec![Voice::new(); voices], dominant: None, switches: Vec::new() }
        }

        /// Advances time; `level` returns each voice's level at each moment.
        fn run(&mut self, ms: u64, mut level: impl FnMut(u64, usize) -> u8) {
            let end = self.ms + ms;
            while self.ms < end {
                let now = Instant::EPOCH + Duration::from_millis(self.ms);
                for (key, voice) in self.voices.iter_mut().enumerate() {
                    voice.on_level(now, level(self.ms, key));
                }
                if self.ms.is_multiple_of(100) {
                    let present = self.dominant.map(|key| (key, &self.voices[key]));
                    let chosen = choose(present, self.voices.iter().copied().enumerate());
                    if chosen != self.dominant {
                        self.switches.extend(chosen.map(|key| (self.ms, key)));
                    }
                    self.dominant = chosen;
                }
                self.ms += 20;
            }
        }
    }

    /// Words of half a second with pauses of 200 ms.
    fn speech(ms: u64) -> u8 {
        if ms % 700 < 500 { 30 } else { 75 }
    }

    #[test]
    fn each_of_a_hundred_speakers_in_turn_becomes_dominant_within_a_second() {
        let mut room = Room::new(100);
        for turn in 0..100usize {
            let speaker = turn * 37 % 100;
            room.run(4_000, |ms, key| if key == speaker { speech(ms) } else { 80 });
            let (at, who) = *room.switches.last().expect("somebody spoke");
            assert_eq!(who, speaker, "turn {turn}");
            assert!(
                at < turn as u64 * 4_000 + 1_000,
                "turn {turn} began {} ms late",
                at - turn as u64 * 4_000
            );
        }
        assert_eq!(room.switches.len(), 100, "no other switches: {:?}", room.switches);
    }

    #[test]
    fn noise_does_not_change_the_dominant_speaker() {
        for seed in 0..20 {
            let mut rng = Rng::from_number(seed);
            let mut room = Room::new(100);
            // Keyboards, coughs and fans of 99, while one speaks, with pauses.
            let mut cough_until = vec![0u64; 100];
            room.run(60_000, |ms, key| {
                if key == 0 {
                    return if ms % 5_000 < 4_000 { speech(ms) } else { 80 };
                }
                if ms > cough_until[key] + 1_000 && rng.chance(0.000_5) {
                    cough_until[key] = ms + 160;
                }
                if ms < cough_until[key] { 20 } else { 70 - rng.below(8) as u8 }
            });
            let to_noise = room.switches.iter().filter(|(_, who)| *who != 0).count();
            assert_eq!(to_noise, 0, "seed {seed}: {:?}", room.switches);
        }
    }

    #[test]
    fn a_short_agreement_does_not_change_the_dominant_speaker() {
        let mut room = Room::new(2);
        room.run(30_000, |ms, key| match key {
            0 => speech(ms),
            _ if (ms + 1_500) % 3_000 < 400 => 25,
            _ => 80,
        });
        assert_eq!(room.switches.len(), 1, "{:?}", room.switches);
    }

    #[test]
    fn two_simultaneous_speakers_do_not_alternate() {
        let mut rng = Rng::from_number(3);
        let mut room = Room::new(2);
        room.run(60_000, |ms, key| {
            let level = speech(ms + 350 * key as u64);
            if level < 70 { level + rng.below(10) as u8 } else { level }
        });
        assert!(room.switches.len() <= 2, "{:?}", room.switches);
    }

    #[test]
    fn the_last_speaker_stays_dominant_during_silence() {
        let mut room = Room::new(3);
        room.run(2_000, |ms, key| if key == 1 { speech(ms) } else { 80 });
        room.run(60_000, |_, _| 80);
        assert_eq!(room.dominant, Some(1));
    }
}
