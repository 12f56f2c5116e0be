//! From packets to frames: the descriptors define where they start and end (libwebrtc's `PacketBuffer`).

use super::Understood;
use super::codec::Seen;
use crate::dependency::Descriptor;
use crate::layered::Truth;
use machine::Instant;

/// A frame, complete or partial.
#[derive(Clone, Debug)]
pub(crate) struct AssembledFrame {
    pub first_seq: u64,
    pub last_seq: u64,
    /// When its last packet came.
    pub at: Instant,
    pub timestamp: u32,
    /// Of its last packet.
    pub marker: bool,
    pub is_whole: bool,
    /// The information of its packets, first to last.
    pub seen: Vec<Seen>,
    /// Of its first packet.
    pub descriptor: Option<Descriptor>,
    pub truth: Truth,
}

/// Assembles frames from packets in order.
#[derive(Debug)]
pub(super) struct Assembler {
    open: Vec<Understood>,
    follows_gap: bool,
    last_timestamp: Option<u32>,
    has_begun: bool,
}

impl Assembler {
    /// For a stream whose first packet may have been lost.
    pub fn new() -> Self {
        Self { open: Vec::new(), follows_gap: true, last_timestamp: None, has_begun: false }
    }

    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether any frame has a descriptor.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// A packet is missing permanently here. Returns the frame that is cut off by that, if any.
    pub fn on_gap(&mut self) -> Option<AssembledFrame> {
        self.follows_gap = true;
        let open = std::mem::take(&mut self.open);
        (!open.is_empty()).then(|| frame_of(open, false))
    }

    /// Takes the next packet; returns its fault, the frame that it cuts off, and the frame that it completes.
    pub fn take(
        &mut self,
        packet: Understood,
        by_descriptor: bool,
    ) -> (Vec<String>, Option<AssembledFrame>, Option<AssembledFrame>) {
        let (mut faults, mut cut_off) = (Vec::new(), None);
        self.has_begun = true;
        let is_new_time = self.last_timestamp.replace(packet.timestamp) != Some(packet.timestamp);
        let (starts, ends) = bounds(&packet, by_descriptor, is_new_time || self.open.is_empty());
        let seq = packet.seq;
        if starts && self.is_open() {
            // A receiver that changes to another stream does not wait for the end of a picture that a
            // keyframe replaces.
            if !packet.truth.is_key || packet.truth.spatial > 0 {
                faults
                    .push(format!("{seq}: a frame starts before the last one has ended: {:?}", packet.truth));
            }
            cut_off = Some(frame_of(std::mem::take(&mut self.open), false));
        }
        if !starts && self.open.is_empty() {
            if !self.follows_gap {
                faults.push(format!("{seq}: a frame without a start: {:?}", packet.truth));
            }
            self.follows_gap &= !ends;
            return (faults, cut_off, ends.then(|| frame_of(vec![packet], false)));
        }
        let is_cut = self.open.last().is_some_and(|last| last.timestamp != packet.timestamp);
        if is_cut {
            faults.push(format!("{seq}: the timestamp changes within a frame: {:?}", packet.truth));
        }
        self.open.push(packet);
        if !ends {
            return (faults, cut_off, None);
        }
        let open = std::mem::take(&mut self.open);
        let (first, count) = (open[0].truth.clone(), open.len());
        let is_true = open.iter().enumerate().all(|(index, packet)| {
            (packet.truth.frame, usize::from(packet.truth.index)) == (first.frame, index)
        }) && count == usize::from(first.count);
        // Without a start mark the start may have been lost unnoticed.
        let may_be_torn = self.follows_gap && !has_mark(&open[0]);
        if !is_true && !may_be_torn {
            faults.push(format!("packets up to {seq} look like a frame and are not one: {first:?}"));
        }
        self.follows_gap = false;
        (faults, cut_off, Some(frame_of(open, is_true)))
    }
}

/// Whether a packet can be the first of a stream.
pub(super) fn starts(packet: &Understood) -> bool {
    bounds(packet, packet.descriptor.is_some(), true).0
}

/// Whether the packet itself marks the start of a frame.
fn has_mark(packet: &Understood) -> bool {
    packet.descriptor.is_some() || !matches!(packet.seen, Seen::H264(_))
}

/// Whether a packet starts a frame, and whether it ends one.
fn bounds(packet: &Understood, by_descriptor: bool, may_start: bool) -> (bool, bool) {
    if let Some(descriptor) = &packet.descriptor {
        return (descriptor.start, descriptor.end);
    }
    match &packet.seen {
        // Its descriptor cannot be read: unknown.
        _ if by_descriptor => (may_start, packet.marker),
        Seen::Vp8(vp8) => (vp8.starts, packet.marker),
        Seen::Vp9(vp9) => (vp9.starts, vp9.ends),
        Seen::Av1(av1) => (!av1.continues, packet.marker || !av1.goes_on),
        Seen::H264(_) => (may_start, packet.marker),
    }
}

fn frame_of(packets: Vec<Understood>, is_whole: bool) -> AssembledFrame {
    let (first, last) = (&packets[0], &packets[packets.len() - 1]);
    AssembledFrame {
        first_seq: first.seq,
        last_seq: last.seq,
        at: packets.iter().map(|packet| packet.at).max().unwrap_or(Instant::EPOCH),
        timestamp: first.timestamp,
        marker: last.marker,
        is_whole,
        descriptor: first.descriptor.clone(),
        truth: first.truth.clone(),
        seen: packets.into_iter().map(|packet| packet.seen).collect(),
    }
}
