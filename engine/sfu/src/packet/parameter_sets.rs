//! The parameter sets of an H.264 stream (RFC 6184 §8.4): a decoder cannot start without them.
//!
//! Browsers repeat them before every keyframe. Some encoders send them only once, at their start. A consumer
//! that starts later then gets the sets stored here, as additional packets, before its first keyframe.

use crate::limits;
use rtp::SeqNo;
use rtp::h264::{Nal, NalKind, Payload};
use std::cmp::Reverse;

/// The latest parameter sets, sequence sets first.
#[derive(Clone, Debug, Default)]
pub struct ParameterSets {
    sets: Vec<ParameterSet>,
}

#[derive(Clone, Debug)]
struct ParameterSet {
    is_picture: bool,
    id: u8,
    /// The packet with the set; zero if that was before the stream's present SSRC.
    seq: SeqNo,
    /// The whole NAL unit.
    unit: Vec<u8>,
}

/// Whether a payload may contain a whole parameter set, by its first one or two bytes: most do not, and are
/// not read further.
pub fn may_hold_sets(payload: &[u8]) -> bool {
    match payload {
        [header, ..] if matches!(header & 0x1f, 7 | 8 | 24) => true,
        [header, fragment, ..] => header & 0x1f == 28 && matches!(fragment & 0x1f, 7 | 8),
        _ => false,
    }
}

impl ParameterSets {
    /// A packet has been received. True if [`note`](Self::note) would change more than the position of a set.
    pub fn is_new(&self, payload: &Payload<'_>) -> bool {
        let mut is_new = false;
        payload.whole_units(|nal| {
            if let Some((is_picture, id)) = name(&nal) {
                let known = self.sets.iter().find(|set| (set.is_picture, set.id) == (is_picture, id));
                is_new |= known.is_none_or(|set| !set.is(&nal));
            }
        });
        is_new
    }

    /// Stores the sets of a packet. One that does not fit is not stored, and the former one with its id is
    /// removed.
    pub fn note(&mut self, seq: SeqNo, payload: &Payload<'_>) {
        payload.whole_units(|nal| {
            let Some((is_picture, id)) = name(&nal) else { return };
            let known = self.sets.iter().position(|set| (set.is_picture, set.id) == (is_picture, id));
            if known.is_some_and(|known| self.sets[known].seq > seq) {
                return; // Late.
            }
            if let Some(known) = known {
                self.sets.remove(known);
            }
            let mut unit = Vec::with_capacity(1 + nal.bytes.len());
            unit.push(nal.header);
            unit.extend_from_slice(nal.bytes);
            let total: usize = self.sets.iter().map(|set| set.unit.len()).sum();
            if self.sets.len() < limits::PARAMETER_SETS_MAX
                && total + unit.len() <= limits::PARAMETER_SETS_LEN_MAX
            {
                self.sets.push(ParameterSet { is_picture, id, seq, unit });
                // A picture set references a sequence set, which must come first.
                self.sets.sort_by_key(|set| (set.is_picture, Reverse(set.seq)));
            }
        });
    }

    /// The stream continues with another SSRC: packet numbers are invalid.
    pub fn forget_numbers(&mut self) {
        self.sets.iter_mut().for_each(|set| set.seq = SeqNo(0));
    }

    /// Whether a decoder with these sets can start at packet `seq`: there is a set of each kind, and all
    /// arrived before it.
    pub fn suffice_at(&self, seq: SeqNo) -> bool {
        let has = |is_picture| self.sets.iter().any(|set| set.is_picture == is_picture);
        has(false) && has(true) && self.sets.iter().all(|set| set.seq < seq)
    }

    /// The number of sets.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// The NAL unit of a set.
    pub fn unit(&self, index: usize) -> Option<&[u8]> {
        self.sets.get(index).map(|set| &set.unit[..])
    }
}

impl ParameterSet {
    fn is(&self, nal: &Nal<'_>) -> bool {
        self.unit.split_first() == Some((&nal.header, nal.bytes))
    }
}

fn name(nal: &Nal<'_>) -> Option<(bool, u8)> {
    Some((nal.kind == NalKind::Pps, nal.parameter_set_id()?))
}

#[cfg(test)]
mod tests;
