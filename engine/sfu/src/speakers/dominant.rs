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
mod tests;
