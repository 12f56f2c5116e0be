//! Selects the audio producers to forward if only the loudest are forwarded.
//!
//! The number of places is the number of forwarded producers. A producer that starts to speak gets a place at
//! once, with its first packet, if one is free or its holder has been silent for a while; the place of an
//! active speaker is taken only by a clearly louder one, and only after a minimum time. So a word is not
//! clipped at its beginning or between syllables, and producers at the limit do not alternate. A producer
//! keeps its place until another one needs it.

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
    /// It still has none.
    Refused,
    /// It got a free one.
    Admitted,
    /// It got the place of this holder.
    InsteadOf(K),
}

impl<K: Copy + PartialEq> Loudest<K> {
    /// With this number of free places.
    pub fn new(len_max: u8) -> Self {
        let len_max = usize::from(len_max);
        Self { len_max, places: Vec::with_capacity(len_max) }
    }

    /// `key`, which has no place, has a new level: it may get one. `voice_of` returns the present voice of a
    /// holder, `None` if it is closed.
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
        // `None`, a closed holder, comes first.
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

/// 1 s: a pause between sentences. A holder keeps its place this long after its last sound.
const HOLD_SLOTS: u32 = 50;

/// The place of an active speaker is not taken within this time.
const TENURE_MIN: Duration = Duration::from_secs(1);

/// Twice the amplitude.
const LOUDER_BY: Loudness = Loudness::db(6);

/// 200 ms of the last 400: a cough does not take a place from an active speaker.
const SPEECH_MIN: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use machine::Rng;
    use std::collections::BTreeSet;

    /// Simulated voices, one packet every 20 ms, and the forwarded ones.
    struct Room {
        ms: u64,
        voices: Vec<Voice>,
        loudest: Loudest<usize>,
        forwarded: BTreeSet<usize>,
        /// Forwarded packets per producer, and how often a place was lost.
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
    fn a_new_speaker_is_forwarded_from_its_first_packet() {
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
    fn a_place_is_kept_in_pauses_between_words() {
        let mut room = Room::new(10, 3);
        // Three speak in turns of words, seven make a short noise at any time.
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
    fn the_clearly_loudest_of_many_speakers_are_forwarded() {
        let mut room = Room::new(10, 3);
        // The quiet ones are first.
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
    fn equally_loud_speakers_do_not_alternate() {
        let mut rng = Rng::from_number(7);
        let mut room = Room::new(8, 3);
        room.run(60_000, |_, _| 30 + rng.below(5) as u8);
        assert_eq!(room.losses, 0);
    }

    #[test]
    fn the_place_of_a_closed_producer_is_free() {
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
