//! Which frames of a stream a consumer gets: the layers inside one encoding. Which encoding it follows is `consumer`'s matter.
//!
//! Decisions are made once for each frame, at the packet of it that comes first, and remembered for the others. Down goes at
//! once where nothing that is left refers to what is dropped; up only where a frame says that it is possible (a layer sync of
//! VP8, a switching point of VP9, a switch indication of the dependency descriptor) and all it refers to was forwarded. What
//! cannot be reached that way waits for a keyframe.
//!
//! A frame of which every packet comes late is decided by the layers that were in force at its place in the stream: by those
//! of the moment it comes in, it would go where its neighbours were left out, or be left out where they hang on it.

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

/// The layers inside the encoding that a consumer follows.
#[derive(Debug)]
pub struct Selector {
    /// The highest wanted.
    ceiling: Layers,
    /// The highest forwarded.
    current: Layers,
    /// Where what is followed began, and what was in force there.
    begun: Option<Change>,
    /// What was decided since. Allocated with the first frame that there is something to decide about: most tracks have none.
    memory: Option<Box<Memory>>,
    /// VP9: of the layers below the current one nothing has been left out since the keyframe, so the step down is free.
    is_lower_whole: bool,
    vp9: Vp9Layers,
    /// Where the stream has a dependency descriptor. Allocated with the first.
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

    /// The highest layers wanted from now on. They are approached frame by frame.
    pub fn set_ceiling(&mut self, ceiling: Layers) {
        self.ceiling = ceiling;
    }

    /// The highest layers that are being forwarded.
    pub fn current(&self) -> Layers {
        self.current
    }

    /// Whether only a keyframe leads from the current layers to those wanted. Known once a frame has come since they changed.
    pub fn needs_keyframe(&self) -> bool {
        self.needs_keyframe
    }

    /// Begins with this keyframe, whose layers are all within reach.
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

    /// Remembers from now on, beginning with what is followed.
    fn remember(&mut self) -> &mut Memory {
        self.memory.get_or_insert_with(|| {
            let mut memory = Box::<Memory>::default();
            self.begun.take().into_iter().for_each(|begun| memory.history.note(begun));
            memory
        })
    }

    /// What was in force at a place of a stream.
    fn in_force_at(&self, source: Source, seq: SeqNo) -> Option<InForce> {
        match &self.memory {
            Some(memory) => memory.history.at(source, seq),
            None => in_force_at(self.begun, source, seq),
        }
    }

    fn verdict_on(&self, name: FrameName) -> Option<Verdict> {
        self.memory.as_ref()?.recent.find(name)
    }

    /// What to do with a packet that is late, of the stream that is followed or of one that was.
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

    /// What to do with a packet of the stream that is followed. `is_late`: newer ones have been seen.
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
            return Verdict::LeaveOut; // Padding of the publisher's own probing.
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
                // The stream began without descriptors: whole.
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

    /// Decides about a late packet of the stream that is followed. Of a keyframe that comes late, frames that refer to it may
    /// have been left out: it changes nothing.
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

    /// A new frame of temporal layer `tid`: down to the ceiling at once, up by one layer where the frame allows it.
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

/// Whether a frame is one of those that these layers consist of.
fn is_of_use(frame: &Vp9Frame, layers: Layers) -> bool {
    // A lower layer that no upper one of its picture needs: between the key pictures of K-SVC. One that itself needs the layer
    // below is the highest that the encoder had bits for, and ends the picture.
    let is_passed_over =
        frame.sid < layers.spatial && frame.not_for_upper_layers && !frame.inter_layer_predicted;
    frame.tid <= layers.temporal && frame.sid <= layers.spatial && !is_passed_over
}

/// Which spatial layers a VP9 stream has. Its keyframes tell, but an encoder that runs short of bits leaves some out without
/// a word.
#[derive(Clone, Copy, Debug)]
struct Vp9Layers {
    /// As told.
    count: u8,
    /// Bit `n`: layer `n` was in the present picture.
    seen: u8,
    /// Pictures since one had the layer.
    pictures_without: [u8; 8],
}

impl Default for Vp9Layers {
    fn default() -> Self {
        Self { count: u8::MAX, seen: 0, pictures_without: [0; 8] }
    }
}

impl Vp9Layers {
    /// Pictures without a layer after which it is not there: one could have lost all its packets, so many could not.
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

    /// The highest layer up to `wanted` that is there.
    fn clamp(&self, wanted: u8) -> u8 {
        let highest = wanted.min(self.count.saturating_sub(1)).min(7);
        let is_there = |sid: &u8| self.pictures_without[usize::from(*sid)] < Self::MISSED_MAX;
        (0..=highest).rev().find(is_there).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
