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
mod tests;
