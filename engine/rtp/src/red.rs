//! RED, redundant audio data (RFC 2198): several blocks in one payload, the newest (the primary) last, copies
//! of earlier ones before it.
//!
//! ```text
//!  0                   1                    2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3  4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |1|   block PT  |  timestamp offset         |   block length    |   one for each copy, the oldest first
//! |0|   block PT  |                                                   the primary: whatever is left belongs to it
//! ```
//!
//! Read, never written: a forwarder passes RED on unchanged, or extracts the primary for a receiver that has
//! only the inner codec.

use crate::Pt;
use crate::limits::RED_COPIES_MAX;

/// A payload whose block headers have been checked against its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// The headers of the copies.
    headers: &'a [u8],
    /// Their data, one after the other.
    copies: &'a [u8],
    /// The newest block.
    pub primary: Primary<'a>,
}

/// The newest block. Its timestamp is the packet's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Primary<'a> {
    /// Its payload type.
    pub pt: Pt,
    /// Its data; may be empty.
    pub bytes: &'a [u8],
}

/// A copy of the primary of an earlier packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy<'a> {
    /// Its payload type.
    pub pt: Pt,
    /// How much earlier its timestamp is than the packet's, in units of the RTP clock; below 2¹⁴.
    pub timestamp_offset: u16,
    /// Its data, less than 2¹⁰ bytes; may be empty.
    pub bytes: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Checks a payload. `None` if its headers are cut short, if the copies would be longer than the payload,
    /// or if there are more than [`RED_COPIES_MAX`] of them.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut rest = payload;
        let mut copies_len = 0;
        let mut count = 0;
        while rest.first()? & F != 0 {
            let (header, behind) = rest.split_first_chunk::<HEADER_LEN>()?;
            copies_len += block_len(header);
            count += 1;
            rest = behind;
        }
        if count > RED_COPIES_MAX {
            return None;
        }
        let (primary_pt, blocks) = rest.split_first()?;
        let (copies, primary) = blocks.split_at_checked(copies_len)?;
        Some(Self {
            headers: &payload[..count * HEADER_LEN],
            copies,
            primary: Primary { pt: Pt(*primary_pt), bytes: primary },
        })
    }

    /// The copies, the oldest first.
    pub fn copies(&self) -> impl Iterator<Item = Copy<'a>> {
        let (headers, _) = self.headers.as_chunks::<HEADER_LEN>();
        headers.iter().scan(self.copies, |rest, header| {
            // Never short: the sum of the lengths is the slice's.
            let (bytes, behind) = rest.split_at_checked(block_len(header))?;
            *rest = behind;
            let offset = u16::from_be_bytes([header[1], header[2]]) >> 2;
            Some(Copy { pt: Pt(header[0] & !F), timestamp_offset: offset, bytes })
        })
    }
}

/// Ten bits at the end of a copy's header.
fn block_len(header: &[u8; HEADER_LEN]) -> usize {
    usize::from(u16::from_be_bytes([header[2], header[3]]) & 0x03ff)
}

/// Another header follows.
const F: u8 = 0x80;
/// Of a copy's header; the primary's is one byte.
const HEADER_LEN: usize = 4;

#[cfg(test)]
mod tests;
