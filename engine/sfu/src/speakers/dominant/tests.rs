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
        let (at, who) = *room.switches.last().expect("a peer spoke");
        assert_eq!(who, speaker, "turn {turn}");
        assert!(at < turn as u64 * 4_000 + 1_000, "turn {turn} began {} ms late", at - turn as u64 * 4_000);
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
