//! The references of a frame, found like in libwebrtc: from the dependency descriptor if there is one,
//! otherwise from the descriptors of VP8 and VP9, otherwise from sequence numbers alone.

mod vp9;

use super::assembler::AssembledFrame;
use super::codec::{Seen, Vp8};
use control::Codec;
use std::collections::BTreeMap;
use vp9::Vp9Finder;

/// A frame's position among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Rises from frame to frame.
    pub id: i64,
    /// The ids of its references.
    pub references: Vec<i64>,
    /// It has no references, and earlier frames need not be known.
    pub is_key: bool,
}

/// The finder's result for a frame.
#[derive(Debug)]
pub(crate) struct Found {
    /// `Err` is the reason why the receiver cannot use the frame.
    pub place: Result<Place, String>,
    /// A violation that no sender may commit.
    pub faults: Vec<String>,
    /// An earlier frame has been lost, though no number is missing.
    pub follows_loss: bool,
}

impl Found {
    pub fn incomplete() -> Self {
        Self::drop("packets of it are missing")
    }

    fn drop(why: &str) -> Self {
        Self { place: Err(why.to_owned()), faults: Vec::new(), follows_loss: false }
    }

    fn at(id: i64, references: Vec<i64>, is_key: bool) -> Self {
        Self { place: Ok(Place { id, references, is_key }), faults: Vec::new(), follows_loss: false }
    }
}

/// The finder of one stream.
#[derive(Debug)]
pub(super) struct Finder {
    by_descriptor: bool,
    frame_numbers: Unwrapper,
    sequence: Sequence,
    vp8: Vp8Finder,
    vp9: Vp9Finder,
    continuity: Continuity,
    codec: Codec,
}

impl Finder {
    pub fn new(codec: Codec, by_descriptor: bool) -> Self {
        Self {
            by_descriptor,
            frame_numbers: Unwrapper::default(),
            sequence: Sequence::default(),
            vp8: Vp8Finder::default(),
            vp9: Vp9Finder::default(),
            continuity: Continuity::default(),
            codec,
        }
    }

    pub fn on_gap(&mut self) {
        self.continuity.last = None;
    }

    /// Keyframes of VP8 whose ids did not follow from those before.
    pub fn jumps(&self) -> u64 {
        self.continuity.jumps
    }

    pub fn on_padding(&mut self, seq: u64) {
        self.sequence.on_padding(seq);
        self.continuity.padding += 1;
    }

    pub fn find(&mut self, frame: &AssembledFrame) -> Found {
        let mut faults = Vec::new();
        let mut jumps_over_padding = false;
        if let (Seen::Vp8(vp8), false) = (&frame.seen[0], self.by_descriptor) {
            (faults, jumps_over_padding) = self.continuity.look(vp8, frame);
        }
        let mut found = if self.by_descriptor {
            self.by_descriptor(frame)
        } else {
            match &frame.seen[0] {
                Seen::Vp8(vp8) if vp8.layer.is_some() => self.vp8.find(vp8),
                Seen::Vp8(vp8) => self.sequence.find(frame, vp8.is_key),
                Seen::Vp9(vp9) => self.vp9.find(vp9),
                Seen::H264(_) => {
                    let has = |what: fn(&super::codec::H264) -> bool| {
                        frame.seen.iter().any(|seen| matches!(seen, Seen::H264(h264) if what(h264)))
                    };
                    let is_key = has(|h264| h264.has_idr);
                    if is_key && !(has(|h264| h264.has_sps) && has(|h264| h264.has_pps)) {
                        Found::drop("a keyframe without its parameter sets")
                    } else {
                        self.sequence.find(frame, is_key)
                    }
                }
                Seen::Av1(av1) => self.sequence.find(frame, av1.begins_sequence),
            }
        };
        found.faults.extend(faults);
        found.follows_loss = jumps_over_padding;
        found
    }

    /// `RtpGenericFrameRefFinder`: frame numbers and differences.
    fn by_descriptor(&mut self, frame: &AssembledFrame) -> Found {
        let Some(descriptor) = &frame.descriptor else {
            return Found::drop("its descriptor is not understood");
        };
        let id = self.frame_numbers.unwrap(descriptor.frame_number, 1 << 16);
        let references: Vec<i64> = descriptor.frame.diffs.iter().map(|diff| id - i64::from(*diff)).collect();
        let is_key = descriptor.structure.is_some();
        if self.codec == Codec::H264 && is_key {
            let has_sps = frame.seen.iter().any(|seen| matches!(seen, Seen::H264(h264) if h264.has_sps));
            if !has_sps {
                return Found::drop("a keyframe without its parameter sets");
            }
        }
        Found::at(id, references, is_key)
    }
}

/// Wrapping numbers, extended: each becomes the one nearest to the last.
#[derive(Debug, Default)]
pub(super) struct Unwrapper {
    last: Option<i64>,
}

impl Unwrapper {
    pub fn unwrap(&mut self, number: u16, modulus: i64) -> i64 {
        let number = i64::from(number);
        let unwrapped = self.last.map_or(number + modulus, |last| {
            let ahead = (number - last).rem_euclid(modulus);
            if ahead <= modulus / 2 { last + ahead } else { last + ahead - modulus }
        });
        self.last = Some(unwrapped);
        unwrapped
    }
}

/// `RtpSeqNumOnlyRefFinder`: each frame references the previous one, which must have arrived without a gap.
#[derive(Debug, Default)]
struct Sequence {
    last: Option<u64>,
    /// Of the last frame; padding after it does not count.
    last_id: i64,
}

impl Sequence {
    fn on_padding(&mut self, seq: u64) {
        if self.last.is_some_and(|last| last + 1 == seq) {
            self.last = Some(seq);
        }
    }

    fn find(&mut self, frame: &AssembledFrame, is_key: bool) -> Found {
        let id = frame.last_seq as i64;
        if is_key {
            (self.last, self.last_id) = (Some(frame.last_seq), id);
            return Found::at(id, Vec::new(), true);
        }
        if self.last.is_none_or(|last| last + 1 != frame.first_seq) {
            return Found::drop("the packet before it is missing");
        }
        let references = vec![self.last_id];
        (self.last, self.last_id) = (Some(frame.last_seq), id);
        Found::at(id, references, false)
    }
}

/// `RtpVp8RefFinder`.
#[derive(Debug, Default)]
struct Vp8Finder {
    picture_ids: Unwrapper,
    tl0: Unwrapper,
    /// Of each base frame the last frames of its upper layers.
    layers: BTreeMap<i64, [Option<i64>; 4]>,
    last_id: Option<i64>,
    missing: std::collections::BTreeSet<i64>,
}

impl Vp8Finder {
    fn find(&mut self, vp8: &Vp8) -> Found {
        let (Some((picture_id, modulus)), Some(tl0), Some((temporal, is_sync))) =
            (vp8.picture_id, vp8.tl0picidx, vp8.layer)
        else {
            return Found::drop("a layered frame without numbers");
        };
        let id = self.picture_ids.unwrap(picture_id, i64::from(modulus));
        let tl0 = self.tl0.unwrap(tl0.into(), 1 << 8);
        let last_id = self.last_id.unwrap_or(id - 1);
        self.missing.extend(last_id + 1..id);
        self.missing.remove(&id);
        self.last_id = Some(last_id.max(id));
        let layer = usize::from(temporal);
        if vp8.is_key {
            let mut layers = [None; 4];
            layers[layer] = Some(id);
            self.layers.insert(tl0, layers);
            return Found::at(id, Vec::new(), true);
        }
        let base = if temporal == 0 { tl0 - 1 } else { tl0 };
        let Some(known) = self.layers.get(&base).copied() else {
            return Found::drop("the base frame it hangs on is missing");
        };
        let references = if temporal == 0 || is_sync {
            known[0].into_iter().collect()
        } else {
            let mut references = Vec::new();
            for below in &known[..=layer] {
                let Some(below) = *below else { return Found::drop("its layer has no sync point yet") };
                if self.missing.range(below + 1..id).next().is_some() {
                    return Found::drop("a picture between it and its references is missing");
                }
                if !references.contains(&below) {
                    references.push(below);
                }
            }
            references
        };
        let mut layers = known;
        layers[layer] = Some(id);
        self.layers.insert(tl0, layers);
        while self.layers.len() > 50 {
            self.layers.pop_first();
        }
        Found::at(id, references, false)
    }
}

/// VP8's running numbers, which advance by one if no packet is missing, whatever was left out on the way (RFC
/// 7741 §4.2).
///
/// One exception: a picture that was left out may have been late, when later ones had their ids already. Then
/// padding has its number, and no picture its id.
#[derive(Debug, Default)]
struct Continuity {
    last: Option<(u16, u16, Option<u8>)>,
    /// Packets of padding since the last frame.
    padding: u16,
    /// Keyframes whose ids left a gap.
    jumps: u64,
}

impl Continuity {
    /// The fault of a frame's numbers, and whether they skip padding.
    fn look(&mut self, vp8: &Vp8, frame: &AssembledFrame) -> (Vec<String>, bool) {
        let Some((id, modulus)) = vp8.picture_id else {
            return (vec!["a frame without a picture id".to_owned()], false);
        };
        let (mut faults, mut jumps) = (Vec::new(), false);
        let padding = std::mem::take(&mut self.padding);
        if let Some((last_id, last_modulus, last_tl0)) = self.last {
            if modulus != last_modulus {
                faults.push(format!("the picture id's width changes: {:?}", frame.truth));
            }
            let skipped = id.wrapping_sub(last_id).wrapping_sub(1) % modulus;
            jumps = skipped > 0 && skipped <= padding;
            // A receiver accepts any id of a keyframe, but not a decrease.
            let may_jump = vp8.is_key && skipped < modulus / 2;
            self.jumps += u64::from(may_jump && skipped > padding);
            if skipped > padding && !may_jump {
                faults.push(format!("the picture id goes from {last_id} to {id}: {:?}", frame.truth));
            }
            if let (false, Some(last), Some(tl0), Some((temporal, _))) =
                (jumps || may_jump && skipped > 0, last_tl0, vp8.tl0picidx, vp8.layer)
            {
                let expected = last.wrapping_add(u8::from(temporal == 0));
                if tl0 != expected {
                    faults.push(format!("TL0PICIDX is {tl0}, not {expected}: {:?}", frame.truth));
                }
            }
        }
        self.last = Some((id, modulus, vp8.tl0picidx));
        (faults, jumps)
    }
}
