//! Which audio producers are forwarded when only the loudest are.
//!
//! There are as many places as are to be forwarded. Who speaks takes a place at once, with the very packet that it begins
//! with, as long as one is free or its holder has been silent for a while; from somebody who speaks a place is taken only by
//! somebody clearly louder, and not before it was held for a while. So a word is not clipped at its beginning, not
//! cut between syllables, and those at the edge do not flap. Whoever has a place keeps it while nobody wants it.

use super::voice::{Loudness, Voice};
use machine::Instant;
use std::time::Duration;

/// The places.
#[derive(Debug)]
pub struct Loudest<K> {
    len_max: usize,
    places: Vec<Place<K>>,
}

#[derive(Clone, Copy, Debug)]
struct Place<K> {
    holder: K,
    since: Instant,
}

/// The result for a producer without a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission<K> {
    /// It has none still.
    Refused,
    /// It has a free one now.
    Admitted,
    /// It has the one that this holder had.
    InsteadOf(K),
}

impl<K: Copy + PartialEq> Loudest<K> {
    /// So many free places.
    pub fn new(len_max: u8) -> Self {
        let len_max = usize::from(len_max);
        Self { len_max, places: Vec::with_capacity(len_max) }
    }

    /// `key`, which has no place, was heard: perhaps it gets one. `voice_of` gives the voice of a holder as of now, `None` if it
    /// is no more.
    pub fn admit(
        &mut self,
        now: Instant,
        key: K,
        voice: &Voice,
        mut voice_of: impl FnMut(K) -> Option<Voice>,
    ) -> Admission<K> {
        let place = Place { holder: key, since: now };
        if self.places.len() < self.len_max {
            self.places.push(place);
            return Admission::Admitted;
        }
        if !voice.is_active() {
            return Admission::Refused;
        }
        let holders = self.places.iter_mut().map(|place| (voice_of(place.holder), place));
        // `None`, a holder that was closed, comes first.
        let strength = |voice: &Option<Voice>| voice.map(|voice| (is_speaking(&voice), voice.loudness()));
        let Some((holder, weakest)) = holders.min_by_key(|(voice, _)| strength(voice)) else {
            return Admission::Refused;
        };
        let gives_way = holder.is_none_or(|holder| {
            let is_settled = now.saturating_since(weakest.since) >= TENURE_MIN;
            let is_louder = voice.loudness().above(holder.loudness()) >= LOUDER_BY;
            !is_speaking(&holder) || is_settled && is_louder && voice.medium() >= SPEECH_MIN
        });
        if !gives_way {
            return Admission::Refused;
        }
        let former = std::mem::replace(weakest, place);
        Admission::InsteadOf(former.holder)
    }

    /// Frees the places of the holders for which `stays` is false.
    pub fn retain(&mut self, mut stays: impl FnMut(K) -> bool) {
        self.places.retain(|place| stays(place.holder));
    }
}

fn is_speaking(voice: &Voice) -> bool {
    voice.was_active_within(HOLD_SLOTS)
}

/// 1 s: a pause between sentences. So long a place is not for the taking after its holder's last sound.
const HOLD_SLOTS: u32 = 50;

/// The place of an active speaker is not taken sooner after it was given.
const TENURE_MIN: Duration = Duration::from_secs(1);

/// Twice the amplitude.
const LOUDER_BY: Loudness = Loudness::db(6);

/// 200 ms of the last 400: a cough takes no place from an active speaker.
const SPEECH_MIN: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use machine::Rng;
    use std::collections::BTreeSet;

    /// Scripted voices, one packet each 20 ms, and who is forwarded.
    struct Room {
        ms: u64,
        voices: Vec<Voice>,
        loudest: Loudest<usize>,
        forwarded: BTreeSet<usize>,
        /// Packets forwarded of each, and how often a place was lost.
        packets: Vec<u64>,
        losses: u64,
    }

    impl Room {
        fn new(voices: usize, places: u8) -> Self {
            Self {
                ms: 0,
                voices: vec![Voice::new(); voices],
                loudest: Loudest::new(places),
                forwarded: BTreeSet::new(),
                packets: vec![0; voices],
                losses: 0,
            }
        }

        fn run(&mut self, ms: u64, mut level: impl FnMut(u64, usize) -> u8) {
            let end = self.ms + ms;
            while self.ms < end {
                let now = Instant::EPOCH + Duration::from_millis(self.ms);
                for key in 0..self.voices.len() {
                    self.voices[key].on_level(now, level(self.ms, key));
                    let voices = &mut self.voices;
                    if !self.forwarded.contains(&key) {
                        let voice = voices[key];
                        let admission = self.loudest.admit(now, key, &voice, |holder| {
                            voices[holder].catch_up(now);
                            Some(voices[holder])
                        });
                        match admission {
                            Admission::Refused => continue,
                            Admission::Admitted => {}
                            Admission::InsteadOf(other) => {
                                assert!(self.forwarded.remove(&other));
                                self.losses += 1;
                            }
                        }
                        self.forwarded.insert(key);
                    }
                    self.packets[key] += 1;
                }
                assert!(self.forwarded.len() <= self.loudest.len_max);
                self.ms += 20;
            }
        }
    }

    #[test]
    fn whoever_begins_to_speak_is_heard_from_the_first_packet_on() {
        let mut room = Room::new(100, 3);
        room.run(2_000, |_, _| 90);
        for turn in 0..50usize {
            let speaker = 50 + turn % 50;
            let before = room.packets[speaker];
            room.run(2_000, |_, key| if key == speaker { 30 } else { 90 });
            assert_eq!(room.packets[speaker] - before, 100, "turn {turn}");
        }
    }

    #[test]
    fn pauses_between_words_cost_no_place() {
        let mut room = Room::new(10, 3);
        // Three speak in turns of words, seven are ever ready to begin with a click.
        let mut rng = Rng::from_number(5);
        room.run(3_000, |ms, key| if key < 3 && ms % 1_500 < 700 { 30 } else { 90 });
        let losses = room.losses;
        room.run(60_000, |ms, key| match key {
            0..3 if ms % 1_500 < 700 => 30,
            3.. if rng.chance(0.05) => 20,
            _ => 90,
        });
        assert_eq!(room.losses, losses, "a place was lost in a pause");
    }

    #[test]
    fn of_many_who_speak_the_clearly_loudest_are_forwarded() {
        let mut room = Room::new(10, 3);
        // The quiet ones are there first.
        room.run(3_000, |_, key| if key < 5 { 45 } else { 90 });
        room.run(5_000, |_, key| {
            if key < 5 {
                45
            } else if key < 8 {
                25
            } else {
                90
            }
        });
        assert_eq!(room.forwarded, BTreeSet::from([5, 6, 7]));
    }

    #[test]
    fn equals_do_not_take_each_others_places() {
        let mut rng = Rng::from_number(7);
        let mut room = Room::new(8, 3);
        room.run(60_000, |_, _| 30 + rng.below(5) as u8);
        assert_eq!(room.losses, 0);
    }

    #[test]
    fn the_place_of_one_who_is_gone_is_free_to_who_speaks() {
        let mut loudest = Loudest::new(1);
        let now = Instant::EPOCH + Duration::from_secs(1);
        let mut speaking = Voice::new();
        speaking.on_level(now, 20);
        assert_eq!(loudest.admit(now, 1, &speaking, |_| None), Admission::Admitted);
        assert_eq!(loudest.admit(now, 2, &speaking, |_| Some(speaking)), Admission::Refused);
        assert_eq!(loudest.admit(now, 2, &speaking, |_| None), Admission::InsteadOf(1));
        loudest.retain(|holder| holder != 2);
        assert_eq!(loudest.admit(now, 3, &Voice::new(), |_| None), Admission::Admitted);
    }
}
