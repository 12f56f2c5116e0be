//! One retransmission cache per producer stream, shared by all its consumers: plaintext packets as they came from
//! the publisher, from which each consumer's own packet is written again on request.

use crate::limits;
use crate::packet::{Carried, MediaPacket};
use rtp::SeqNo;

/// A ring of recent packets, indexed by sequence number. Allocated once, when the producer is created.
#[derive(Debug)]
pub struct Cache {
    entries: Box<[Entry]>,
    payloads: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// `None` until written.
    seq: Option<SeqNo>,
    timestamp: u32,
    marker: bool,
    codec: u8,
    starts_keyframe: bool,
    carried: Carried,
    payload_len: u16,
}

impl Cache {
    /// A cache of `len` packets, a power of two.
    pub fn new(len: usize) -> Self {
        assert!(len.is_power_of_two(), "cache lengths are constants in limits.rs");
        Self {
            entries: vec![Entry::default(); len].into_boxed_slice(),
            payloads: vec![0; len * limits::CACHE_PAYLOAD_LEN_MAX].into_boxed_slice(),
        }
    }

    /// Keeps a packet in place of the one `len` sequence numbers before it. One longer than the bound is not kept.
    pub fn insert(&mut self, packet: &MediaPacket<'_>) {
        let index = self.index(packet.seq);
        let entry = &mut self.entries[index];
        let is_stale = entry.seq.is_some_and(|kept| kept > packet.seq);
        if packet.payload.len() > limits::CACHE_PAYLOAD_LEN_MAX || is_stale {
            return;
        }
        *entry = Entry {
            seq: Some(packet.seq),
            timestamp: packet.timestamp,
            marker: packet.marker,
            codec: packet.codec,
            starts_keyframe: packet.starts_keyframe,
            carried: packet.carried,
            payload_len: packet.payload.len() as u16,
        };
        let start = index * limits::CACHE_PAYLOAD_LEN_MAX;
        self.payloads[start..start + packet.payload.len()].copy_from_slice(packet.payload);
    }

    /// The packet with this sequence number, if it is still there.
    pub fn packet(&self, seq: SeqNo) -> Option<MediaPacket<'_>> {
        let index = self.index(seq);
        let entry = &self.entries[index];
        if entry.seq != Some(seq) {
            return None;
        }
        let start = index * limits::CACHE_PAYLOAD_LEN_MAX;
        Some(MediaPacket {
            seq,
            timestamp: entry.timestamp,
            marker: entry.marker,
            codec: entry.codec,
            starts_keyframe: entry.starts_keyframe,
            carried: entry.carried,
            payload: &self.payloads[start..start + usize::from(entry.payload_len)],
        })
    }

    /// Forgets everything: the stream began anew under another SSRC.
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
mod tests {
    use super::*;

    fn packet(seq: u64, payload: &[u8]) -> MediaPacket<'_> {
        MediaPacket {
            seq: SeqNo(seq),
            timestamp: seq as u32,
            marker: false,
            codec: 0,
            starts_keyframe: false,
            carried: Carried::default(),
            payload,
        }
    }

    #[test]
    fn the_oldest_goes_when_the_cache_is_full() {
        let mut cache = Cache::new(4);
        for seq in 10..15 {
            cache.insert(&packet(seq, &[seq as u8; 7]));
        }
        assert!(cache.packet(SeqNo(10)).is_none());
        assert_eq!(cache.packet(SeqNo(11)).expect("within the last four").payload, [11; 7]);
        assert_eq!(cache.packet(SeqNo(14)).expect("the newest").payload, [14; 7]);
    }

    #[test]
    fn a_late_packet_does_not_push_out_a_newer_one() {
        let mut cache = Cache::new(4);
        cache.insert(&packet(14, b"new"));
        cache.insert(&packet(10, b"old"));
        assert_eq!(cache.packet(SeqNo(14)).expect("still there").payload, b"new");
    }

    #[test]
    fn a_packet_beyond_the_bound_is_not_kept() {
        let mut cache = Cache::new(4);
        cache.insert(&packet(1, &[0; limits::CACHE_PAYLOAD_LEN_MAX + 1]));
        assert!(cache.packet(SeqNo(1)).is_none());
        cache.insert(&packet(2, &[9; limits::CACHE_PAYLOAD_LEN_MAX]));
        assert!(cache.packet(SeqNo(2)).is_some());
    }
}
