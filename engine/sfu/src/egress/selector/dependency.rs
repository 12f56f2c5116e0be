//! Selection by the dependency descriptor (AV1 RTP specification, appendix A): the consumer gets the frames
//! of its decode target.
//!
//! The target changes at a frame that the sender has marked as a switching point of the new one (A.8.3.2), if
//! all its references were forwarded. This rule covers temporal and spatial layers, with full and
//! key-frame-only prediction.

use control::Layers;
use rtp::dependency_descriptor::{Descriptor, Dti, FrameNumber, Structure};

/// The decode target of one consumer, and its forwarded frames.
#[derive(Debug, Default)]
pub struct Described {
    target: usize,
    /// The highest layers of the target.
    layers: Layers,
    /// Decode targets that can be decoded now (A.8.2, active decode targets).
    active: u32,
    needs_keyframe: bool,
    forwarded: Forwarded,
}

impl Described {
    /// Starts with a keyframe; returns the layers of the selected target.
    pub fn begin(
        &mut self,
        descriptor: &Descriptor,
        structure: Option<&Structure>,
        ceiling: Layers,
    ) -> Layers {
        self.active = descriptor.active_targets.unwrap_or(u32::MAX);
        self.forwarded = Forwarded::beginning(descriptor.mandatory.frame_number);
        self.needs_keyframe = false;
        self.aim(structure.map_or(0, |structure| best_target(structure, self.active, ceiling)), structure);
        self.current()
    }

    /// The layers of the current target.
    pub fn current(&self) -> Layers {
        self.layers
    }

    /// Whether the target layers can be reached only by a keyframe.
    pub fn needs_keyframe(&self) -> bool {
        self.needs_keyframe
    }

    /// The decode target.
    pub fn target(&self) -> usize {
        self.target
    }

    /// Whether a frame is forwarded.
    pub fn decide(
        &mut self,
        descriptor: &Descriptor,
        structure: Option<&Structure>,
        ceiling: Layers,
    ) -> bool {
        if let Some(active) = descriptor.active_targets {
            self.active = active;
        }
        if let Some(structure) = structure {
            self.step(descriptor, structure, ceiling);
        }
        let goes = contains(descriptor, self.target);
        self.note(descriptor, goes);
        goes
    }

    /// Records the decision about a frame.
    pub fn note(&mut self, descriptor: &Descriptor, goes: bool) {
        self.forwarded.note(descriptor.mandatory.frame_number, goes);
    }

    fn step(&mut self, descriptor: &Descriptor, structure: &Structure, ceiling: Layers) {
        let wanted = best_target(structure, self.active, ceiling);
        if wanted == self.target {
            self.needs_keyframe = false;
            return;
        }
        let can_switch = descriptor.dtis.get(wanted) == Dti::Switch
            && descriptor
                .diffs()
                .iter()
                .all(|diff| self.forwarded.contains(descriptor.mandatory.frame_number.back(*diff)));
        if can_switch {
            self.aim(wanted, Some(structure));
            self.needs_keyframe = false;
        } else if let Some(layer) = structure.target_layer(wanted) {
            // Another temporal layer is reached without a keyframe, and a lower spatial one too unless its
            // frames were left out.
            let spatial = self.layers.spatial;
            let is_base =
                descriptor.layer.spatial_id == layer.spatial_id && descriptor.layer.temporal_id == 0;
            self.needs_keyframe = layer.spatial_id > spatial || (layer.spatial_id < spatial && is_base);
        }
    }

    fn aim(&mut self, target: usize, structure: Option<&Structure>) {
        let layer = structure.and_then(|structure| structure.target_layer(target)).unwrap_or_default();
        self.target = target;
        self.layers = Layers { spatial: layer.spatial_id, temporal: layer.temporal_id };
    }
}

/// Whether a decode target contains a frame.
pub fn contains(descriptor: &Descriptor, target: usize) -> bool {
    descriptor.dtis.get(target) != Dti::NotPresent
}

/// The highest active decode target within the ceiling; the lowest active one if none is.
fn best_target(structure: &Structure, active: u32, ceiling: Layers) -> usize {
    let targets = || {
        (0..structure.targets())
            .filter(move |target| active >> target & 1 == 1)
            .filter_map(|target| Some((structure.target_layer(target)?, target)))
            .map(|(layer, target)| ((layer.spatial_id, layer.temporal_id), target))
    };
    let within = targets()
        .filter(|((spatial, temporal), _)| *spatial <= ceiling.spatial && *temporal <= ceiling.temporal);
    within.max().or_else(|| targets().min()).map_or(0, |(_, target)| target)
}

/// The latest forwarded frames.
#[derive(Debug, Default)]
struct Forwarded {
    bits: [u64; Forwarded::LEN / 64],
    newest: u16,
}

impl Forwarded {
    /// Number of stored frames: older references count as not forwarded.
    const LEN: usize = 256;

    /// No frames before this one.
    fn beginning(frame: FrameNumber) -> Self {
        Self { bits: [0; Self::LEN / 64], newest: frame.0.wrapping_sub(1) }
    }

    fn note(&mut self, frame: FrameNumber, forwarded: bool) {
        let ahead = frame.0.wrapping_sub(self.newest);
        if ahead < 1 << 15 {
            for step in 1..=ahead.min(Self::LEN as u16) {
                self.set(self.newest.wrapping_add(step), false);
            }
            self.newest = frame.0;
        }
        if usize::from(self.newest.wrapping_sub(frame.0)) < Self::LEN {
            self.set(frame.0, forwarded);
        }
    }

    fn contains(&self, frame: FrameNumber) -> bool {
        let at = usize::from(frame.0) % Self::LEN;
        usize::from(self.newest.wrapping_sub(frame.0)) < Self::LEN && self.bits[at / 64] >> (at % 64) & 1 == 1
    }

    fn set(&mut self, frame: u16, forwarded: bool) {
        let at = usize::from(frame) % Self::LEN;
        let bit = 1 << (at % 64);
        if forwarded {
            self.bits[at / 64] |= bit;
        } else {
            self.bits[at / 64] &= !bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_frames_are_stored_across_the_wrap_and_expire() {
        let mut forwarded = Forwarded::beginning(FrameNumber(65_530));
        for frame in 0..600u16 {
            forwarded.note(FrameNumber(65_530u16.wrapping_add(frame)), frame % 3 == 0);
        }
        let at = |back: u16| FrameNumber(65_530u16.wrapping_add(599 - back));
        for back in 0..256 {
            assert_eq!(forwarded.contains(at(back)), (599 - back) % 3 == 0, "{back} back");
        }
        assert!(!forwarded.contains(at(257)));
        assert!(!forwarded.contains(FrameNumber(at(0).0.wrapping_add(3))), "not received yet");
        // A gap clears the entries in between.
        forwarded.note(FrameNumber(at(0).0.wrapping_add(100)), true);
        assert!(!forwarded.contains(FrameNumber(at(0).0.wrapping_add(1))));
    }
}
