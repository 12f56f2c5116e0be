//! What of a packet may reach the library.
//!
//! The library was written for peers that keep to the protocol: its work for one chunk grows with the number
//! of stored ones, it has no bound for that number, and some chunks that have no effect on other
//! implementations end its associations. So chunks are checked here first. A chunk that is withheld counts as
//! lost on the way, and its sender repeats it; one that must be acknowledged but not stored is replaced by a
//! message of one byte on the [`SINK`].

use crate::discard::Discard;
use crate::failed::Failed;
use crate::handshake::Init;
use crate::limits::{DATA_CHUNKS_MAX, FRAGMENTS_MAX, RECEIVE_WINDOW, STREAMS_MAX, TSN_WINDOW};
use crate::packet::{Chunk, Packet, Ports, Writer, be16, be32, is_after, kind, parameters};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A stream whose messages are read and dropped; RFC 8832 §6 reserves its id.
pub(crate) const SINK: u16 = u16::MAX;

/// The kinds of DATA: a complete message, unordered.
const COMPLETE_UNORDERED: u8 = 7;
const DATA_HEADER_LEN: usize = 12;
/// The payload protocol of binary messages.
const BINARY: u32 = 53;

/// Parameters of RE-CONFIG (RFC 6525 §4).
const RESET_REQUEST: u16 = 13;
const RECONFIG_RESPONSE: u16 = 16;

/// What becomes of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Withhold(Discard),
    /// Replaced by this chunk.
    Replace(Discard, [u8; 20]),
    /// The association ends.
    Fail(Failed),
}

pub(crate) struct Guard {
    ports: Ports,
    own_tag: u32,
    peer_tag: u32,
    has_forward_tsn: bool,
    received: Received,
    /// DATA chunks in the library, at most: some may be gone by a FORWARD TSN.
    fragments: usize,
    data_in_packet: usize,
    /// Streams that the library knows.
    live: BTreeSet<u16>,
    /// Streams with a reset of the peer's direction that is not complete, and its last TSN.
    resets: BTreeMap<u16, u32>,
    /// Streams that we have closed.
    closing: BTreeSet<u16>,
    /// The last TSN of the peer's newest reset request, and the number of its next one.
    reset_boundary: u32,
    next_request: u32,
    /// The highest TSN that we have assigned, and that the peer has acknowledged.
    sent: u32,
    peer_acknowledged: u32,
    /// Of the last SACK that we have sent.
    acknowledged: u32,
    window: u32,
    has_shut_down: bool,
}

impl Guard {
    pub(crate) fn new(ports: Ports, ours: &Init, peer: &Init) -> Self {
        let before = peer.tsn.wrapping_sub(1);
        Self {
            ports,
            own_tag: ours.tag,
            peer_tag: peer.tag,
            has_forward_tsn: peer.has_forward_tsn,
            received: Received { cumulative: before, ahead: VecDeque::new() },
            fragments: 0,
            data_in_packet: 0,
            live: BTreeSet::new(),
            resets: BTreeMap::new(),
            closing: BTreeSet::new(),
            reset_boundary: before,
            next_request: peer.tsn,
            sent: ours.tsn.wrapping_sub(1),
            peer_acknowledged: ours.tsn.wrapping_sub(1),
            acknowledged: before,
            window: RECEIVE_WINDOW as u32,
            has_shut_down: false,
        }
    }

    /// Before the chunks of a packet with this tag. False if it belongs to another association.
    pub(crate) fn begin_packet(&mut self, tag: u32) -> bool {
        self.data_in_packet = 0;
        tag == self.own_tag
    }

    /// `is_paused`: messages are not read from the library now, because the caller does not poll them.
    pub(crate) fn admit(&mut self, chunk: &Chunk<'_>, is_paused: bool) -> Verdict {
        match chunk.kind {
            kind::DATA => self.admit_data(chunk, is_paused),
            kind::SACK => self.admit_sack(chunk.value),
            kind::FORWARD_TSN => self.admit_forward_tsn(chunk.value),
            kind::RECONFIG => self.admit_reconfig(chunk.value),
            // The library finds the end of these by what it has understood of them, not by their length: what
            // follows would be chunks without a check.
            kind::ABORT => Verdict::Fail(Failed::AbortedByPeer),
            kind::HEARTBEAT => Verdict::Withhold(Discard::Unsupported),
            kind::SHUTDOWN if chunk.value.len() != 4 => Verdict::Withhold(Discard::Malformed),
            kind::SHUTDOWN_ACK | kind::SHUTDOWN_COMPLETE if !chunk.value.is_empty() => {
                Verdict::Withhold(Discard::Malformed)
            }
            kind::SHUTDOWN | kind::SHUTDOWN_ACK | kind::SHUTDOWN_COMPLETE => {
                self.has_shut_down = true;
                Verdict::Pass
            }
            kind::ERROR => Verdict::Withhold(Discard::PeerError),
            _ => Verdict::Withhold(Discard::Unsupported),
        }
    }

    fn admit_data(&mut self, chunk: &Chunk<'_>, is_paused: bool) -> Verdict {
        let (Some(tsn), Some(stream)) = (be32(chunk.value, 0), be16(chunk.value, 4)) else {
            return Verdict::Withhold(Discard::Malformed);
        };
        self.data_in_packet += 1;
        if chunk.value.len() <= DATA_HEADER_LEN || self.data_in_packet > DATA_CHUNKS_MAX {
            return Verdict::Withhold(Discard::DataBeyondLimits);
        }
        let sunk = if stream >= STREAMS_MAX {
            Some(Discard::InvalidStream)
        } else if self.closing.contains(&stream) {
            Some(Discard::DataOfClosingChannel)
        } else {
            None
        };
        // A stream is not used again before its reset is complete (RFC 6525 §5.1.2).
        if self.resets.get(&stream).is_some_and(|last| is_after(tsn, *last)) {
            return Verdict::Withhold(Discard::DataOfClosingChannel);
        }
        match self.received.is_new(tsn) {
            None => return Verdict::Withhold(Discard::DataBeyondLimits),
            Some(true) => {
                let is_next = tsn == self.received.cumulative.wrapping_add(1);
                if self.fragments >= FRAGMENTS_MAX && !(is_next && self.received.has_gap()) {
                    let is_hopeless = !is_paused && !self.received.has_gap();
                    return match is_hopeless {
                        true => Verdict::Fail(Failed::TooLong),
                        false => Verdict::Withhold(Discard::DataBeyondLimits),
                    };
                }
                self.received.insert(tsn);
                self.fragments += 1;
            }
            // The library acknowledges duplicates, and may have refused the first one.
            Some(false) => {}
        }
        match sunk {
            Some(discard) => Verdict::Replace(discard, sunk_data(tsn)),
            None => {
                self.live.insert(stream);
                Verdict::Pass
            }
        }
    }

    fn admit_sack(&mut self, value: &[u8]) -> Verdict {
        let header = (be32(value, 0), be16(value, 8), be16(value, 10));
        let (Some(cumulative), Some(gaps), Some(duplicates)) = header else {
            return Verdict::Withhold(Discard::Malformed);
        };
        if value.len() != 12 + 4 * (usize::from(gaps) + usize::from(duplicates)) {
            return Verdict::Withhold(Discard::Malformed);
        }
        let mut is_valid = !is_after(cumulative, self.sent);
        let mut before = 0;
        for gap in value[12..].chunks_exact(4).take(gaps.into()) {
            let (start, end) = (be16(gap, 0).unwrap_or(0), be16(gap, 2).unwrap_or(0));
            is_valid &= start > before && end >= start;
            is_valid &= !is_after(cumulative.wrapping_add(end.into()), self.sent);
            before = end;
        }
        if !is_valid {
            return Verdict::Withhold(Discard::InvalidAck);
        }
        if is_after(cumulative, self.peer_acknowledged) {
            self.peer_acknowledged = cumulative;
        }
        Verdict::Pass
    }

    fn admit_forward_tsn(&mut self, value: &[u8]) -> Verdict {
        match be32(value, 0) {
            Some(cumulative) if self.has_forward_tsn && value.len().is_multiple_of(4) => {
                self.received.forward(cumulative);
                Verdict::Pass
            }
            _ => Verdict::Withhold(Discard::Malformed),
        }
    }

    fn admit_reconfig(&mut self, value: &[u8]) -> Verdict {
        let of_others = |(kind, _)| kind != RESET_REQUEST && kind != RECONFIG_RESPONSE;
        if parameters(value).any(of_others) || parameters(value).count() > 2 {
            return Verdict::Withhold(Discard::Unsupported);
        }
        if parameters(value).any(|(kind, of)| of.len() < if kind == RESET_REQUEST { 12 } else { 8 }) {
            return Verdict::Withhold(Discard::Malformed);
        }
        for (_, request) in parameters(value).filter(|(kind, _)| *kind == RESET_REQUEST) {
            let (Some(number), Some(last)) = (be32(request, 0), be32(request, 8)) else {
                return Verdict::Withhold(Discard::Malformed);
            };
            if number != self.next_request {
                // A repetition, or an error: the library answers.
                continue;
            }
            if is_after(self.reset_boundary, self.received.cumulative) {
                // One at a time (RFC 6525 §5.1.1). Not answered; the peer repeats it.
                return Verdict::Withhold(Discard::Unsupported);
            }
            self.next_request = number.wrapping_add(1);
            self.reset_boundary = last;
            let listed = request[12..].chunks_exact(2).filter_map(|id| be16(id, 0));
            if request.len() == 12 {
                self.resets.extend(self.live.iter().map(|id| (*id, last)));
            } else {
                self.resets.extend(listed.filter(|id| self.live.contains(id)).map(|id| (id, last)));
            }
        }
        Verdict::Pass
    }

    /// We have opened this stream.
    pub(crate) fn opened(&mut self, stream: u16) {
        self.live.insert(stream);
    }

    /// We have closed this stream: what the peer still sends is acknowledged and dropped.
    pub(crate) fn closing(&mut self, stream: u16) {
        self.closing.insert(stream);
    }

    /// Whether a reset of this stream is not complete.
    pub(crate) fn is_resetting(&self, stream: u16) -> bool {
        self.resets.contains_key(&stream) || self.closing.contains(&stream)
    }

    /// The reset of both directions is complete, or has failed.
    pub(crate) fn reset_done(&mut self, stream: u16) {
        self.live.remove(&stream);
        self.resets.remove(&stream);
        self.closing.remove(&stream);
    }

    /// A message of this number of fragments has left the library.
    pub(crate) fn released(&mut self, fragments: usize) {
        self.fragments = self.fragments.saturating_sub(fragments);
    }

    /// Reads a packet that the library sends; returns the bytes of messages that it sends for the first time.
    pub(crate) fn on_sent(&mut self, packet: &[u8]) -> usize {
        let mut first_sent = 0;
        for chunk in Packet::unchecked(packet).iter().flat_map(|packet| packet.chunks()) {
            let Some(tsn) = be32(chunk.value, 0) else { continue };
            match chunk.kind {
                kind::DATA if is_after(tsn, self.sent) => {
                    self.sent = tsn;
                    first_sent += chunk.value.len().saturating_sub(DATA_HEADER_LEN);
                }
                kind::FORWARD_TSN if is_after(tsn, self.sent) => self.sent = tsn,
                kind::SACK => {
                    self.acknowledged = tsn;
                    self.window = be32(chunk.value, 4).unwrap_or(0);
                    if self.window == RECEIVE_WINDOW as u32 && be16(chunk.value, 8) == Some(0) {
                        // The library stores nothing.
                        self.fragments = 0;
                    }
                }
                _ => {}
            }
        }
        first_sent
    }

    /// DATA chunks that are sent and not acknowledged without a gap before them.
    pub(crate) fn in_flight(&self) -> u32 {
        self.sent.wrapping_sub(self.peer_acknowledged)
    }

    /// A packet that lets the library send a SACK with the present window, if the last one was less than half
    /// of it (RFC 9260 §6.2): a FORWARD TSN that is out of date (RFC 3758 §3.6).
    pub(crate) fn window_update(&mut self) -> Option<Bytes> {
        let is_needed = self.has_forward_tsn && (self.window as usize) < RECEIVE_WINDOW / 2;
        is_needed.then(|| {
            self.window = RECEIVE_WINDOW as u32;
            let from_peer = Ports { local: self.ports.remote, remote: self.ports.local };
            let value = self.acknowledged.to_be_bytes();
            Writer::new(from_peer, self.own_tag).chunk(kind::FORWARD_TSN, 0, &[&value]).finish()
        })
    }

    /// The answer to a HEARTBEAT (RFC 9260 §8.3).
    pub(crate) fn heartbeat_ack(&self, value: &[u8]) -> Bytes {
        Writer::new(self.ports, self.peer_tag).chunk(kind::HEARTBEAT_ACK, 0, &[value]).finish()
    }

    pub(crate) fn abort(&self) -> Bytes {
        Writer::new(self.ports, self.peer_tag).chunk(kind::ABORT, 0, &[]).finish()
    }

    /// Why the library has ended the association.
    pub(crate) fn reason(&self) -> Failed {
        if self.has_shut_down { Failed::ClosedByPeer } else { Failed::Protocol }
    }
}

/// A RE-CONFIG that was admitted, as chunks with one parameter each and without what the library does not read: it
/// finds the end of a chunk by what it has understood.
pub(crate) fn rebuilt_reconfig(value: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::new();
    for (kind_of, parameter) in parameters(value) {
        let len = match kind_of {
            RESET_REQUEST => 12 + (parameter.len() - 12) / 2 * 2,
            _ => 8,
        };
        let Some(parameter) = parameter.get(..len) else { continue };
        let whole = 8 + len;
        chunks.extend([kind::RECONFIG, 0]);
        chunks.extend((whole as u16).to_be_bytes());
        chunks.extend(kind_of.to_be_bytes());
        chunks.extend((4 + len as u16).to_be_bytes());
        chunks.extend(parameter);
        chunks.resize(chunks.len().next_multiple_of(4), 0);
    }
    chunks
}

/// A message of one byte with this TSN.
fn sunk_data(tsn: u32) -> [u8; 20] {
    let mut chunk = [0; 20];
    chunk[..4].copy_from_slice(&[kind::DATA, COMPLETE_UNORDERED, 0, 17]);
    chunk[4..8].copy_from_slice(&tsn.to_be_bytes());
    chunk[8..10].copy_from_slice(&SINK.to_be_bytes());
    chunk[12..16].copy_from_slice(&BINARY.to_be_bytes());
    chunk
}

/// The TSNs that the guard has admitted.
struct Received {
    /// All up to this one.
    cumulative: u32,
    /// Whether each of those after it is; ends with one that is.
    ahead: VecDeque<bool>,
}

impl Received {
    fn has_gap(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// `None` if the TSN is too far ahead.
    fn is_new(&self, tsn: u32) -> Option<bool> {
        if !is_after(tsn, self.cumulative) {
            return Some(false);
        }
        let distance = tsn.wrapping_sub(self.cumulative);
        let is_known = || self.ahead.get(distance as usize - 1).copied().unwrap_or(false);
        (distance <= TSN_WINDOW).then(|| !is_known())
    }

    /// Inserts a new TSN.
    fn insert(&mut self, tsn: u32) {
        let at = tsn.wrapping_sub(self.cumulative) as usize - 1;
        if at >= self.ahead.len() {
            self.ahead.resize(at + 1, false);
        }
        self.ahead[at] = true;
        self.advance();
    }

    /// Everything up to `cumulative` counts as received.
    fn forward(&mut self, cumulative: u32) {
        if is_after(cumulative, self.cumulative) {
            let distance = cumulative.wrapping_sub(self.cumulative) as usize;
            self.ahead.drain(..distance.min(self.ahead.len()));
            self.cumulative = cumulative;
            self.advance();
        }
    }

    fn advance(&mut self) {
        while self.ahead.front() == Some(&true) {
            self.ahead.pop_front();
            self.cumulative = self.cumulative.wrapping_add(1);
        }
    }
}

/// Cuts a packet of the library, which does not count all headers, into packets of at most `len_max` bytes,
/// between its chunks. The gaps of a SACK that are too many are left out: the peer learns of them later.
pub(crate) fn fit(packet: Bytes, len_max: usize) -> impl Iterator<Item = Bytes> {
    let mut packets = Vec::new();
    if packet.len() <= len_max {
        packets.push(packet);
        return packets.into_iter();
    }
    let mut writer = Writer::like(&packet);
    for chunk in Packet::unchecked(&packet).iter().flat_map(|packet| packet.chunks()) {
        if writer.len() + chunk.whole.len() > len_max && !writer.is_empty() {
            packets.push(std::mem::replace(&mut writer, Writer::like(&packet)).finish());
        }
        let space = len_max.saturating_sub(writer.len());
        if chunk.kind == kind::SACK && chunk.whole.len() > space {
            let gaps = (space.saturating_sub(16) / 4).min(be16(chunk.value, 8).unwrap_or(0).into());
            let counts = [(gaps as u16).to_be_bytes(), [0; 2]].concat();
            let (fixed, blocks) = chunk.value.split_at(12);
            writer = writer.chunk(kind::SACK, 0, &[&fixed[..8], &counts, &blocks[..4 * gaps]]);
        } else {
            writer.push(chunk.whole);
        }
    }
    packets.push(writer.finish());
    packets.into_iter()
}

#[cfg(test)]
mod tests;
