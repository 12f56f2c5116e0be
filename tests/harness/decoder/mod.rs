//! A receiver of a layered stream: a strict model of libwebrtc's, from packets in order of their numbers to
//! decoded pictures.
//!
//! Packets become frames ([`assembler`]), the references of frames are found like in libwebrtc for each codec
//! ([`finder`]), and frames of one timestamp become a picture when the marker completes it ([`buffer`]).
//! Everything is done in order: for a missing packet the model waits [`PATIENCE`], and then continues without
//! it. In order, a frame whose references are missing will never have them, so nothing is stored for later.
//!
//! There are two checks. The receiver's view, from descriptors and headers alone: frames that it would drop
//! or wait for in vain are [`undecodable`](Receiver::undecodable). And the [`Truth`] that the source wrote
//! into each packet: a picture that the receiver considers complete although a reference is missing would be
//! displayed broken, and is a [fault](Receiver::faults). So is everything that a sender must never do, with
//! loss or without: numbers that jump, time that runs backwards, pictures without an end.

mod assembler;
mod buffer;
pub mod codec;
mod finder;
#[cfg(test)]
mod tests;

pub use buffer::{Picture, Undecodable};

use crate::dependency::{Descriptor, Structure, read};
use crate::layered::Truth;
use assembler::Assembler;
use buffer::Buffer;
use codec::Seen;
use control::{Codec, Layers};
use finder::Finder;
use machine::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a missing packet is awaited: as long as it can be retransmitted.
pub const PATIENCE: Duration = Duration::from_millis(1500);

/// How long the first packet may not be the first one sent.
const START_PATIENCE: Duration = Duration::from_millis(150);

/// Faults that are stored; the first one is the important one.
const FAULTS_MAX: usize = 32;

/// A packet as a receiver gets it, decrypted.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// When it came.
    pub at: Instant,
    /// Its RTP timestamp.
    pub timestamp: u32,
    /// Its marker bit.
    pub marker: bool,
    /// The value of its dependency descriptor, if it has one.
    pub descriptor: Option<Vec<u8>>,
    /// Empty for padding.
    pub payload: Vec<u8>,
}

/// A packet with all its information.
#[derive(Clone, Debug)]
pub(crate) struct Understood {
    pub seq: u64,
    pub at: Instant,
    pub timestamp: u32,
    pub marker: bool,
    pub seen: Seen,
    pub descriptor: Option<Descriptor>,
    pub truth: Truth,
}

/// A receiver of one stream.
#[derive(Debug)]
pub struct Receiver {
    codec: Codec,
    uses_descriptor: bool,
    ahead: BTreeMap<u64, Incoming>,
    /// The next number; `None` until the start is certain.
    next: Option<u64>,
    first_at: Option<Instant>,
    stuck_since: Option<Instant>,
    structure: Option<Structure>,
    last_timestamp: Option<u32>,
    lost: u64,
    headless: u64,
    /// Whether a frame has been whole.
    has_shown: bool,
    padding: u64,
    assembler: Assembler,
    finder: Finder,
    buffer: Buffer,
    faults: Vec<String>,
    arrivals: Vec<(Instant, Layers)>,
}

impl Receiver {
    /// Of a stream of this codec; with `uses_descriptor`, every packet carries a dependency descriptor.
    pub fn new(codec: Codec, uses_descriptor: bool) -> Self {
        Self {
            codec,
            uses_descriptor,
            ahead: BTreeMap::new(),
            next: None,
            first_at: None,
            stuck_since: None,
            structure: None,
            last_timestamp: None,
            lost: 0,
            headless: 0,
            has_shown: false,
            padding: 0,
            assembler: Assembler::new(),
            finder: Finder::new(codec, uses_descriptor),
            buffer: Buffer::default(),
            faults: Vec::new(),
            arrivals: Vec::new(),
        }
    }

    /// The decoded pictures, in order.
    pub fn pictures(&self) -> &[Picture] {
        &self.buffer.pictures
    }

    /// Frames that were received, at least in part, but not decoded.
    pub fn undecodable(&self) -> &[Undecodable] {
        &self.buffer.undecodable
    }

    /// Those of them that no loss explains.
    pub fn unexplained(&self) -> Vec<&Undecodable> {
        self.undecodable().iter().filter(|frame| !frame.follows_loss).collect()
    }

    /// Violations that no sender may commit.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Numbers that were awaited in vain.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Packets at the very beginning that are useless, because they continue a frame without a start. A
    /// receiver cannot know whether the sender or a lost first packet is the cause.
    pub fn headless(&self) -> u64 {
        self.headless
    }

    /// Packets of padding alone.
    pub fn padding(&self) -> u64 {
        self.padding
    }

    /// Keyframes of VP8 whose picture ids left a gap for pictures that never arrived. A receiver accepts
    /// that.
    pub fn jumps(&self) -> u64 {
        self.finder.jumps()
    }

    /// The layer of each packet, by the truth, in order of arrival.
    pub fn arrivals(&self) -> &[(Instant, Layers)] {
        &self.arrivals
    }

    /// Takes the packet with this extended sequence number. Each number is passed once.
    pub fn on_packet(&mut self, seq: u64, packet: Incoming) {
        let now = packet.at;
        self.first_at.get_or_insert(now);
        if let Ok((_, truth)) = codec::see(self.codec, &packet.payload) {
            self.arrivals.push((now, layers_of(&truth)));
        }
        if self.next.is_none_or(|next| seq >= next) {
            self.ahead.insert(seq, packet);
        }
        self.advance(now);
    }

    /// Processes everything that has arrived, without waiting longer.
    pub fn finish(&mut self, now: Instant) {
        self.first_at = None;
        while !self.ahead.is_empty() {
            self.advance(now + PATIENCE);
            self.stuck_since = Some(Instant::EPOCH);
        }
        // No packet after the missing ones at the very end has arrived, so they do not count.
        self.buffer.on_gap(None);
        self.end_picture();
    }

    fn advance(&mut self, now: Instant) {
        if self.next.is_none() {
            if self.first_at.is_some_and(|at| now.saturating_since(at) < START_PATIENCE) {
                return;
            }
            self.next = self.ahead.first_key_value().map(|(seq, _)| *seq);
        }
        loop {
            let Some((first, next)) = self.ahead.first_key_value().map(|(seq, _)| *seq).zip(self.next) else {
                return;
            };
            if first > next {
                let since = *self.stuck_since.get_or_insert(now);
                if now.saturating_since(since) < PATIENCE {
                    return;
                }
                self.on_gap(first - next);
            }
            self.stuck_since = None;
            self.next = Some(first + 1);
            if let Some(packet) = self.ahead.remove(&first) {
                self.take(first, packet);
            }
        }
    }

    fn fault(&mut self, fault: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    fn on_gap(&mut self, count: u64) {
        self.lost += count;
        let cut_off = self.assembler.on_gap();
        self.buffer.on_gap(cut_off);
        self.finder.on_gap();
    }

    fn take(&mut self, seq: u64, packet: Incoming) {
        let last = self.last_timestamp.replace(packet.timestamp);
        if let Some(last) = last.filter(|last| (packet.timestamp.wrapping_sub(*last) as i32) < 0) {
            self.fault(format!("{seq}: the timestamp goes from {last} back to {}", packet.timestamp));
        }
        if packet.payload.is_empty() {
            self.padding += 1;
            if self.assembler.is_open() {
                self.fault(format!("{seq}: padding inside a frame"));
            }
            self.finder.on_padding(seq);
            // It may replace a packet that was too late to be sent.
            self.buffer.on_unreadable();
            return;
        }
        match self.understand(seq, &packet) {
            Ok(packet) if self.is_headless(&packet) => {
                self.headless += 1;
                self.buffer.on_unreadable();
            }
            Ok(packet) => self.on_packet_in_order(packet),
            Err(fault) => {
                self.fault(format!("{seq}: {fault}"));
                self.buffer.on_unreadable();
            }
        }
    }

    fn understand(&mut self, seq: u64, packet: &Incoming) -> Result<Understood, String> {
        let (seen, truth) = codec::see(self.codec, &packet.payload)?;
        let descriptor = match (&packet.descriptor, self.uses_descriptor) {
            (Some(bytes), true) => {
                let read = read(bytes, self.structure.as_ref());
                // A stream whose beginning was lost cannot be read yet: not a fault of the sender.
                let has_begun = self.structure.is_some() && self.lost == 0;
                if let Err(error) = &read
                    && has_begun
                {
                    return Err(format!("{error}: {truth:?}"));
                }
                if let Ok(Descriptor { structure: Some(structure), .. }) = &read {
                    self.structure = Some(structure.clone());
                }
                read.ok()
            }
            (None, true) => return Err(format!("there is no dependency descriptor: {truth:?}")),
            (Some(_), false) => return Err("there is a dependency descriptor".to_owned()),
            (None, false) => None,
        };
        let Incoming { at, timestamp, marker, .. } = *packet;
        Ok(Understood { seq, at, timestamp, marker, seen, descriptor, truth })
    }

    /// Whether this continues a frame without a start.
    fn is_headless(&self, packet: &Understood) -> bool {
        let is_unreadable = self.uses_descriptor && packet.descriptor.is_none();
        let is_first = !self.assembler.has_begun();
        is_first && (is_unreadable || !assembler::starts(packet))
    }

    fn on_packet_in_order(&mut self, packet: Understood) {
        let (faults, cut_off, frame) = self.assembler.take(packet, self.uses_descriptor);
        faults.into_iter().for_each(|fault| self.fault(fault));
        if let Some(cut_off) = cut_off {
            self.buffer.on_gap(Some(cut_off));
            self.finder.on_gap();
        }
        let Some(frame) = frame else { return };
        if !frame.is_whole && !self.has_shown {
            // H.264 does not mark a start; only now is it known that its first packets are missing.
            self.headless += 1;
            self.buffer.on_unreadable();
        }
        self.has_shown |= frame.is_whole;
        if self.buffer.is_of_another_picture(&frame) {
            self.end_picture();
        }
        let found = if frame.is_whole { self.finder.find(&frame) } else { finder::Found::incomplete() };
        found.faults.into_iter().for_each(|fault| self.fault(fault));
        if found.follows_loss {
            self.buffer.on_unreadable();
        }
        let ends = frame.marker;
        self.buffer.push(frame, found.place);
        if ends {
            self.buffer.close(true).into_iter().for_each(|fault| self.fault(fault));
        }
    }

    /// The present picture has ended without a marker.
    fn end_picture(&mut self) {
        self.buffer.close(false).into_iter().for_each(|fault| self.fault(fault));
    }
}

/// The truth about a packet of this payload.
pub(crate) fn see(codec: Codec, payload: &[u8]) -> Result<Truth, String> {
    codec::see(codec, payload).map(|(_, truth)| truth)
}

/// The layer of a packet, as a consumer selects it: for simulcast, the encoding.
pub(crate) fn layers_of(truth: &Truth) -> Layers {
    Layers { spatial: truth.encoding.max(truth.spatial), temporal: truth.temporal }
}
