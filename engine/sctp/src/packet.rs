//! SCTP packets: a checked view of a packet and its chunks, and a writer (RFC 9260 §3).

use crate::limits::{CHUNKS_MAX, PACKET_LEN_MAX};
use bytes::Bytes;
use crc::{CRC_32_ISCSI, Crc, Table};

/// CRC32c (RFC 9260 appendix A).
const CHECKSUM: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// Bytes of the common header.
pub(crate) const HEADER_LEN: usize = 12;
const CHUNK_HEADER_LEN: usize = 4;
const CHECKSUM_AT: std::ops::Range<usize> = 8..12;

/// Chunk types.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const INIT: u8 = 1;
    pub(crate) const INIT_ACK: u8 = 2;
    pub(crate) const SACK: u8 = 3;
    pub(crate) const HEARTBEAT: u8 = 4;
    pub(crate) const HEARTBEAT_ACK: u8 = 5;
    pub(crate) const ABORT: u8 = 6;
    pub(crate) const SHUTDOWN: u8 = 7;
    pub(crate) const SHUTDOWN_ACK: u8 = 8;
    pub(crate) const ERROR: u8 = 9;
    pub(crate) const COOKIE_ECHO: u8 = 10;
    pub(crate) const COOKIE_ACK: u8 = 11;
    pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;
    /// RFC 6525.
    pub(crate) const RECONFIG: u8 = 130;
    /// RFC 3758.
    pub(crate) const FORWARD_TSN: u8 = 192;
}

/// The ports of an association, from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) local: u16,
    pub(crate) remote: u16,
}

/// A received packet whose length, checksum and chunk lengths are correct.
pub(crate) struct Packet<'a> {
    pub(crate) ports: Ports,
    pub(crate) tag: u32,
    chunks: &'a [u8],
}

/// One chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'a> {
    pub(crate) kind: u8,
    pub(crate) value: &'a [u8],
    /// With header and padding.
    pub(crate) whole: &'a [u8],
}

impl Chunk<'_> {
    /// The TSN of a DATA chunk.
    pub(crate) fn tsn_of_data(&self) -> Option<u32> {
        be32(self.value, 0).filter(|_| self.kind == kind::DATA)
    }

    /// The newest TSN that a SACK reports: behind its last gap, if it has any.
    pub(crate) fn newest_acked(&self) -> Option<u32> {
        let (cumulative, gaps) = (be32(self.value, 0)?, usize::from(be16(self.value, 8)?));
        let last_end = gaps.checked_sub(1).and_then(|last| be16(self.value, 12 + 4 * last + 2)).unwrap_or(0);
        (self.kind == kind::SACK).then_some(cumulative.wrapping_add(last_end.into()))
    }
}

impl<'a> Packet<'a> {
    /// `None` if the packet is malformed.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let fits = (HEADER_LEN + CHUNK_HEADER_LEN..=PACKET_LEN_MAX).contains(&bytes.len());
        if !fits || bytes.get(CHECKSUM_AT)? != checksum(bytes).to_le_bytes() {
            return None;
        }
        let packet = Self::unchecked(bytes)?;
        let mut rest = packet.chunks;
        for _ in 0..CHUNKS_MAX {
            if rest.is_empty() {
                return Some(packet);
            }
            (_, rest) = split_chunk(rest)?;
        }
        rest.is_empty().then_some(packet)
    }

    /// A packet that we have written.
    pub(crate) fn unchecked(bytes: &'a [u8]) -> Option<Self> {
        let ports = Ports { remote: be16(bytes, 0)?, local: be16(bytes, 2)? };
        Some(Self { ports, tag: be32(bytes, 4)?, chunks: bytes.get(HEADER_LEN..)? })
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = Chunk<'a>> + use<'a> {
        let mut rest = self.chunks;
        std::iter::from_fn(move || {
            let (chunk, after) = split_chunk(rest)?;
            rest = after;
            Some(chunk)
        })
    }
}

/// The first chunk, and what follows its padding.
fn split_chunk(bytes: &[u8]) -> Option<(Chunk<'_>, &[u8])> {
    let len = usize::from(be16(bytes, 2)?);
    let value = bytes.get(CHUNK_HEADER_LEN..len)?;
    let (whole, rest) = bytes.split_at_checked(len.next_multiple_of(4))?;
    Some((Chunk { kind: whole[0], value, whole }, rest))
}

/// The parameters of a chunk (RFC 9260 §3.2.1): type and value. Ends at the first malformed one.
pub(crate) fn parameters(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let kind = be16(bytes, 0)?;
        let len = usize::from(be16(bytes, 2)?);
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Writes one packet.
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(ports: Ports, tag: u32) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(ports.local.to_be_bytes());
        bytes.extend(ports.remote.to_be_bytes());
        bytes.extend(tag.to_be_bytes());
        bytes.extend([0; 4]);
        Self { bytes }
    }

    /// The same header as a received or sent packet.
    pub(crate) fn like(packet: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(packet.len());
        bytes.extend(packet.get(..HEADER_LEN).unwrap_or(&[0; HEADER_LEN]));
        Self { bytes }
    }

    /// A chunk, which is padded.
    pub(crate) fn chunk(mut self, kind: u8, flags: u8, value: &[&[u8]]) -> Self {
        let len = CHUNK_HEADER_LEN + value.iter().map(|part| part.len()).sum::<usize>();
        self.bytes.extend([kind, flags]);
        self.bytes.extend((len as u16).to_be_bytes());
        value.iter().for_each(|part| self.bytes.extend(*part));
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// A whole chunk with its padding.
    pub(crate) fn push(&mut self, whole: &[u8]) {
        self.bytes.extend(whole);
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_LEN
    }

    pub(crate) fn finish(mut self) -> Bytes {
        let checksum = checksum(&self.bytes);
        self.bytes[CHECKSUM_AT].copy_from_slice(&checksum.to_le_bytes());
        self.bytes.into()
    }
}

/// The checksum of a packet, with zeros in its own place.
fn checksum(packet: &[u8]) -> u32 {
    let mut digest = CHECKSUM.digest();
    digest.update(&packet[..CHECKSUM_AT.start]);
    digest.update(&[0; 4]);
    digest.update(&packet[CHECKSUM_AT.end..]);
    digest.finalize()
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Whether TSN `a` is after `b` (RFC 9260 §1.6).
pub(crate) fn is_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: Ports = Ports { local: 5000, remote: 5001 };

    #[test]
    fn a_written_packet_reads_back_with_its_padding() {
        let bytes = Writer::new(PORTS, 7).chunk(kind::DATA, 3, &[b"ab", b"cde"]).chunk(250, 0, &[]).finish();
        assert_eq!(bytes.len(), HEADER_LEN + 12 + 4);
        let packet = Packet::new(&bytes).expect("correct");
        assert_eq!((packet.tag, packet.ports.local, packet.ports.remote), (7, 5001, 5000));
        let chunks: Vec<_> =
            packet.chunks().map(|chunk| (chunk.kind, chunk.value, chunk.whole.len())).collect();
        assert_eq!(chunks, [(kind::DATA, &b"abcde"[..], 12), (250, &[], 4)]);
        assert_eq!(bytes[HEADER_LEN..][..4], [kind::DATA, 3, 0, 9]);
    }

    #[test]
    fn a_packet_with_any_byte_changed_or_cut_is_malformed() {
        let bytes = Writer::new(PORTS, 7).chunk(kind::SACK, 0, &[&[1; 12]]).finish();
        for at in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[at] ^= 0x10;
            assert!(Packet::new(&changed).is_none(), "byte {at}");
            assert!(Packet::new(&bytes[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        // The check value of CRC-32C for the digits 1 to 9.
        assert_eq!(CHECKSUM.checksum(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_tsn_is_after_another_one_across_the_wrap() {
        assert!(is_after(0, u32::MAX) && !is_after(u32::MAX, 0) && !is_after(5, 5));
    }
}
