//! One retransmission cache per producer stream, shared by all its consumers: plaintext packets as received
//! from the publisher, from which each consumer's packet is written again on request.

use crate::limits;
use crate::packet::media_packet::{Carried, Marker, MediaPacket};
use control::Codec;
use rtp::SeqNo;

/// A ring of recent packets, indexed by sequence number. Allocated once, when the producer is created.
#[derive(Debug)]
pub struct Cache {
    entries: Box<[CachedPacket]>,
    /// Of each entry its dependency descriptor, its payload, and its padding.
    bytes: Box<[u8]>,
}

#[derive(Clone, Copy, Debug)]
struct CachedPacket {
    /// `None` until written.
    seq: Option<SeqNo>,
    timestamp: u32,
    marker: Marker,
    codec: Codec,
    carried: Carried,
    payload_len: u16,
    descriptor_len: u16,
    padding_len: u8,
}

const _: () = assert!(size_of::<CachedPacket>() == 112, "512 for each stream of video");

/// A cached packet. The input of a header is stored as received; the values that only decide whether the
/// packet is forwarded are parsed again from its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Cached<'a> {
    /// The publisher's RTP timestamp.
    pub timestamp: u32,
    /// Its marker bit for each consumer.
    pub marker: Marker,
    /// Its codec.
    pub codec: Codec,
    /// Header-extension values that are forwarded with the media.
    pub carried: Carried,
    /// Its dependency descriptor; empty without one.
    pub descriptor: &'a [u8],
    /// The payload without padding.
    pub payload: &'a [u8],
    /// The payload with the padding of [`Cache::pad`].
    pub padded: &'a [u8],
}

impl Cache {
    /// A cache of `len` packets, a power of two.
    pub fn new(len: usize) -> Self {
        assert!(len.is_power_of_two(), "cache lengths are constants in limits.rs");
        let empty = CachedPacket {
            seq: None,
            timestamp: 0,
            marker: Marker::default(),
            codec: Codec::Opus,
            carried: Carried::default(),
            payload_len: 0,
            descriptor_len: 0,
            padding_len: 0,
        };
        Self {
            entries: vec![empty; len].into_boxed_slice(),
            bytes: vec![0; len * limits::CACHED_LEN_MAX].into_boxed_slice(),
        }
    }

    /// The number of packets it can store.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Stores a packet in place of the one `len` sequence numbers before it. A packet above the length bound
    /// is not stored, nor one whose place has a newer packet. True if stored.
    pub fn insert(&mut self, packet: &MediaPacket<'_>) -> bool {
        let index = self.index(packet.seq);
        let entry = &mut self.entries[index];
        let is_stale = entry.seq.is_some_and(|kept| kept > packet.seq);
        let (payload_len, descriptor_len) = (packet.payload.len(), packet.descriptor.len());
        if payload_len + descriptor_len > limits::CACHED_LEN_MAX || is_stale {
            return false;
        }
        *entry = CachedPacket {
            seq: Some(packet.seq),
            timestamp: packet.timestamp,
            marker: packet.marker,
            codec: packet.codec,
            carried: packet.carried,
            payload_len: payload_len as u16,
            descriptor_len: descriptor_len as u16,
            padding_len: 0,
        };
        let bytes = &mut self.bytes[index * limits::CACHED_LEN_MAX..][..payload_len + descriptor_len];
        bytes[..descriptor_len].copy_from_slice(packet.descriptor);
        bytes[descriptor_len..].copy_from_slice(packet.payload);
        true
    }

    /// Pads a stored packet (RFC 3550 §5.1: the last byte is the count), if there is room after it.
    pub fn pad(&mut self, seq: SeqNo, padding_len: u8) {
        let index = self.index(seq);
        let entry = &mut self.entries[index];
        let len = usize::from(entry.descriptor_len + entry.payload_len);
        let padding_end = len + usize::from(padding_len);
        if entry.seq != Some(seq) || padding_len == 0 || padding_end > limits::CACHED_LEN_MAX {
            return;
        }
        entry.padding_len = padding_len;
        let padding = &mut self.bytes[index * limits::CACHED_LEN_MAX..][len..padding_end];
        padding.fill(0);
        padding[usize::from(padding_len) - 1] = padding_len;
    }

    /// The packet with this sequence number, if it is still stored.
    pub fn packet(&self, seq: SeqNo) -> Option<Cached<'_>> {
        let index = self.index(seq);
        let entry = &self.entries[index];
        if entry.seq != Some(seq) {
            return None;
        }
        let bytes = &self.bytes[index * limits::CACHED_LEN_MAX..];
        let (descriptor, rest) = bytes.split_at(usize::from(entry.descriptor_len));
        Some(Cached {
            timestamp: entry.timestamp,
            marker: entry.marker,
            codec: entry.codec,
            carried: entry.carried,
            descriptor,
            payload: &rest[..usize::from(entry.payload_len)],
            padded: &rest[..usize::from(entry.payload_len) + usize::from(entry.padding_len)],
        })
    }

    /// Removes all packets: the stream was reset with another SSRC.
    pub fn clear(&mut self) {
        for entry in &mut self.entries {
            entry.seq = None;
        }
    }

    fn index(&self, seq: SeqNo) -> usize {
        (seq.0 as usize) & (self.entries.len() - 1)
    }
}

#[cfg(test)]
mod tests;
