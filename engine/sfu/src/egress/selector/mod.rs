//! Selects the frames of a stream for a consumer: the layers inside one encoding. `consumer` selects the
//! encoding.
//!
//! A decision is made once per frame, at its first received packet, and stored for the others. A step down
//! happens at once if no remaining frame references the dropped ones; a step up only at a frame that allows
//! it (a layer sync of VP8, a switching point of VP9, a switch indication of the dependency descriptor) and
//! whose references were all forwarded. Other changes wait for a keyframe.
//!
//! A frame whose packets all arrive late is decided by the settings at its position in the stream: by the
//! present settings, it could be forwarded without its references, or be left out although others reference
//! it.

mod dependency;
mod memory;
mod verdict;

pub use verdict::Verdict;

use crate::egress::source::Source;
use crate::packet::frame::{Frame, Vp9Frame};
use crate::packet::media_packet::MediaPacket;
use control::Layers;
use dependency::Described;
use memory::{Change, FrameName, InForce, Memory, Target, in_force_at};
use rtp::SeqNo;
use rtp::dependency_descriptor::Structure;

/// The layer selection inside the encoding that a consumer follows.
#[derive(Debug)]
pub struct Selector {
    /// The highest layers to forward.
    ceiling: Layers,
    /// The highest forwarded layers.
    current: Layers,
    /// Where the followed stream started, and the settings there.
    begun: Option<Change>,
    /// The decisions since then. Allocated with the first frame that needs a decision: most tracks have none.
    memory: Option<Box<Memory>>,
    /// VP9: no frame of the layers below the current one has been left out since the keyframe, so a step down
    /// is possible.
    is_lower_whole: bool,
    vp9: Vp9Layers,
    /// If the stream has a dependency descriptor. Allocated with the first one.
    described: Option<Box<Described>>,
    /// The ceiling cannot be reached without a keyframe.
    needs_keyframe: bool,
}

impl Selector {
    /// Nothing is followed yet.
    pub fn new(ceiling: Layers) -> Self {
        Self {
            ceiling,
            current: Layers { spatial: 0, temporal: 0 },
            begun: None,
            memory: None,
            is_lower_whole: true,
            vp9: Vp9Layers::default(),
            described: None,
            needs_keyframe: false,
        }
    }

    /// Sets the highest layers to forward. They are reached frame by frame.
    pub fn set_ceiling(&mut self, ceiling: Layers) {
        self.ceiling = ceiling;
    }

    /// The highest layers that are being forwarded.
    pub fn current(&self) -> Layers {
        self.current
    }

    /// Whether the target layers can be reached only by a keyframe. Known once a frame has arrived after the
    /// change.
    pub fn needs_keyframe(&self) -> bool {
        self.needs_keyframe
    }

    /// Starts with this keyframe, from which all its layers can be reached.
    pub fn begin(&mut self, packet: &MediaPacket<'_>, source: Source, structure: Option<&Structure>) {
        self.is_lower_whole = true;
        self.needs_keyframe = false;
        self.current = match &packet.frame {
            Frame::Described(descriptor) => {
                let described = self.described.get_or_insert_default();
                described.begin(descriptor, structure, self.ceiling)
            }
            Frame::Vp9(frame) => {
                self.vp9 = Vp9Layers { count: frame.layers.unwrap_or(u8::MAX), ..Vp9Layers::default() };
                Layers { spatial: self.vp9.clamp(self.ceiling.spatial), ..self.ceiling }
            }
            Frame::Vp8(_) => Layers { spatial: 0, temporal: self.ceiling.temporal },
            Frame::Opaque | Frame::Unreadable => Layers { spatial: 0, temporal: 0 },
        };
        if !matches!(packet.frame, Frame::Described(_)) {
            self.described = None;
        }
        let change = Change::new(source, packet.seq, self.in_force());
        match &mut self.memory {
            Some(memory) => memory.history.note(change),
            None => self.begun = Some(change),
        }
    }

    /// Stores decisions from now on, starting with the followed stream.
    fn remember(&mut self) -> &mut Memory {
        self.memory.get_or_insert_with(|| {
            let mut memory = Box::<Memory>::default();
            self.begun.take().into_iter().for_each(|begun| memory.history.note(begun));
            memory
        })
    }

    /// The settings at a position of a stream.
    fn in_force_at(&self, source: Source, seq: SeqNo) -> Option<InForce> {
        match &self.memory {
            Some(memory) => memory.history.at(source, seq),
            None => in_force_at(self.begun, source, seq),
        }
    }

    fn verdict_on(&self, name: FrameName) -> Option<Verdict> {
        self.memory.as_ref()?.recent.find(name)
    }

    /// The decision about a late packet of the followed stream or of an earlier one.
    pub fn decide_late(&self, packet: &MediaPacket<'_>, source: Source) -> Verdict {
        if packet.payload.is_empty() {
            return Verdict::LeaveOut;
        }
        if matches!(packet.frame, Frame::Opaque) {
            return Verdict::Forward;
        }
        if let Some(verdict) = self.verdict_on(FrameName::of(packet, source)) {
            return verdict;
        }
        let Some(InForce { layers, target }) = self.in_force_at(source, packet.seq) else {
            return Verdict::LeaveOut; // Too late to be useful.
        };
        let goes = match (&packet.frame, target) {
            (Frame::Vp8(frame), _) => frame.tid <= layers.temporal,
            (Frame::Vp9(frame), _) => is_of_use(frame, layers),
            (Frame::Described(descriptor), Some(target)) => dependency::contains(descriptor, target.get()),
            (Frame::Described(_) | Frame::Opaque | Frame::Unreadable, _) => true,
        };
        if goes { Verdict::Forward } else { Verdict::LeaveOut }
    }

    /// The decision about a packet of the followed stream. `is_late`: newer ones have been received.
    pub fn decide(
        &mut self,
        packet: &MediaPacket<'_>,
        source: Source,
        is_late: bool,
        structure: Option<&Structure>,
    ) -> Verdict {
        if is_late {
            return self.note_late(packet, source);
        }
        if packet.payload.is_empty() {
            return Verdict::LeaveOut; // Padding of the publisher's probing.
        }
        if matches!(packet.frame, Frame::Opaque) {
            return Verdict::Forward;
        }
        let name = FrameName::of(packet, source);
        if let Some(verdict) = self.verdict_on(name) {
            return verdict;
        }
        if packet.starts_keyframe {
            self.begin(packet, source, structure);
        }
        let before = self.in_force();
        let goes = match &packet.frame {
            Frame::Vp8(frame) => {
                if !packet.starts_keyframe {
                    self.step_temporal(frame.tid, frame.layer_sync);
                }
                frame.tid <= self.current.temporal
            }
            Frame::Vp9(frame) => self.decide_vp9(frame, packet.starts_keyframe),
            Frame::Described(descriptor) => match &mut self.described {
                Some(described) => {
                    let goes = described.decide(descriptor, structure, self.ceiling);
                    (self.current, self.needs_keyframe) = (described.current(), described.needs_keyframe());
                    goes
                }
                // The stream started without descriptors: all frames are forwarded.
                None => true,
            },
            Frame::Opaque | Frame::Unreadable => true,
        };
        if self.in_force() != before {
            let change = Change::new(source, packet.seq, self.in_force());
            self.remember().history.note(change);
        }
        let verdict = if goes { Verdict::Forward } else { Verdict::LeaveOut };
        self.remember().recent.note(name, verdict);
        verdict
    }

    /// Decides about a late packet of the followed stream. A late keyframe changes nothing, because frames
    /// that reference it may have been left out.
    fn note_late(&mut self, packet: &MediaPacket<'_>, source: Source) -> Verdict {
        let verdict = self.decide_late(packet, source);
        if let (Frame::Described(descriptor), Some(described)) = (&packet.frame, &mut self.described) {
            described.note(descriptor, verdict == Verdict::Forward);
        }
        verdict
    }

    fn in_force(&self) -> InForce {
        let target = self.described.as_ref().map(|described| Target::new(described.target()));
        InForce { layers: self.current, target }
    }

    /// A new frame of temporal layer `tid`: down to the ceiling at once, up by one layer if the frame allows
    /// it.
    fn step_temporal(&mut self, tid: u8, allows_up: bool) {
        if self.current.temporal > self.ceiling.temporal {
            self.current.temporal = self.ceiling.temporal;
        } else if allows_up && tid == self.current.temporal + 1 && tid <= self.ceiling.temporal {
            self.current.temporal = tid;
        }
    }

    fn decide_vp9(&mut self, frame: &Vp9Frame, is_key: bool) -> bool {
        if !is_key {
            if frame.sid == 0 {
                // A new picture; all its layers share the temporal one.
                self.step_temporal(frame.tid, frame.switching_up);
                self.vp9.begin_picture();
            } else if frame.sid == self.current.spatial + 1
                && frame.sid <= self.ceiling.spatial
                && !frame.inter_picture_predicted
            {
                self.current.spatial = frame.sid;
            }
            let wanted = self.vp9.clamp(self.ceiling.spatial);
            if frame.sid == 0 && self.current.spatial > wanted && self.is_lower_whole {
                self.current.spatial = wanted;
            }
            self.needs_keyframe =
                wanted > self.current.spatial || (wanted < self.current.spatial && !self.is_lower_whole);
        }
        self.vp9.see(frame.sid);
        let goes = is_of_use(frame, self.current);
        if !goes && frame.tid <= self.current.temporal && frame.sid < self.current.spatial {
            self.is_lower_whole = false;
        }
        goes
    }
}

/// Whether a frame is needed for these layers.
fn is_of_use(frame: &Vp9Frame, layers: Layers) -> bool {
    // A lower layer that no upper one of its picture references: between the key pictures of K-SVC. One that
    // itself references the layer below is the highest layer that the encoder had bits for, and ends the
    // picture.
    let is_passed_over =
        frame.sid < layers.spatial && frame.not_for_upper_layers && !frame.inter_layer_predicted;
    frame.tid <= layers.temporal && frame.sid <= layers.spatial && !is_passed_over
}

/// The spatial layers of a VP9 stream. Its keyframes contain the number, but an encoder without enough bits
/// omits some layers without announcing it.
#[derive(Clone, Copy, Debug)]
struct Vp9Layers {
    /// The announced number.
    count: u8,
    /// Bit `n`: layer `n` was in the current picture.
    seen: u8,
    /// Number of pictures without the layer.
    pictures_without: [u8; 8],
}

impl Default for Vp9Layers {
    fn default() -> Self {
        Self { count: u8::MAX, seen: 0, pictures_without: [0; 8] }
    }
}

impl Vp9Layers {
    /// Number of pictures without a layer after which it counts as absent: one picture could have lost all
    /// its packets.
    const MISSED_MAX: u8 = 3;

    fn see(&mut self, sid: u8) {
        self.seen |= 1 << (sid & 7);
        self.pictures_without[usize::from(sid & 7)] = 0;
    }

    fn begin_picture(&mut self) {
        for (sid, without) in self.pictures_without.iter_mut().enumerate() {
            if self.seen >> sid & 1 == 0 {
                *without = without.saturating_add(1);
            }
        }
        self.seen = 0;
    }

    /// The highest existing layer up to `wanted`.
    fn clamp(&self, wanted: u8) -> u8 {
        let highest = wanted.min(self.count.saturating_sub(1)).min(7);
        let is_there = |sid: &u8| self.pictures_without[usize::from(*sid)] < Self::MISSED_MAX;
        (0..=highest).rev().find(is_there).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
