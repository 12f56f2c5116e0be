//! Writing the header of an outgoing packet: the fixed part and the extension block.
//!
//! A forwarder does not edit a received header, it writes a new one: payload type, numbers, SSRC and
//! extension ids are those of the receiver. CSRCs are not written, because nothing is mixed.

use crate::limits::{EXTENSION_BYTES_MAX, EXTENSIONS_MAX};
use crate::packet::{EXTENSION_BIT, FIXED_LEN, ONE_BYTE_PROFILE, ONE_BYTE_STOP, TWO_BYTE_PROFILE};
use crate::{ExtId, Pt, Seq, Ssrc};

/// Bytes of the fixed header, without extensions.
pub const HEADER_LEN: usize = FIXED_LEN;

/// Bytes of the longest header: the maximum of elements and values, in the two-byte form.
pub const HEADER_LEN_MAX: usize =
    FIXED_LEN + 4 + (2 * EXTENSIONS_MAX + EXTENSION_BYTES_MAX).next_multiple_of(4);

/// The fixed header of an outgoing packet (RFC 3550 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Payload type; only seven bits are written.
    pub pt: Pt,
    /// The marker bit.
    pub marker: bool,
    /// Sequence number.
    pub seq: Seq,
    /// Timestamp, in units of the payload type's clock rate.
    pub timestamp: u32,
    /// The SSRC of the stream.
    pub ssrc: Ssrc,
}

impl Header {
    /// Writes the header and the extensions, if any, to the front of `out`; returns the number of bytes.
    /// `None` without writing if `out` is too short.
    pub fn write(&self, extensions: &Extensions, out: &mut [u8]) -> Option<usize> {
        let len = Self::encoded_len(extensions);
        let out = out.get_mut(..len)?;
        out[0] = 0x80 | if extensions.is_empty() { 0 } else { EXTENSION_BIT };
        out[1] = (self.pt.0 & 0x7f) | (u8::from(self.marker) << 7);
        out[2..4].copy_from_slice(&self.seq.0.to_be_bytes());
        out[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        out[8..12].copy_from_slice(&self.ssrc.0.to_be_bytes());
        extensions.write(&mut out[FIXED_LEN..]);
        Some(len)
    }

    /// The length of a header with these extensions.
    pub fn encoded_len(extensions: &Extensions) -> usize {
        FIXED_LEN + extensions.encoded_len()
    }
}

/// The extension elements of one outgoing packet, collected without allocation and written in the one-byte
/// form of RFC 8285 if every element fits it, else in the two-byte form.
#[derive(Clone, Debug)]
pub struct Extensions {
    elements: [(ExtId, u8); EXTENSIONS_MAX],
    count: u8,
    values: [u8; EXTENSION_BYTES_MAX],
    values_len: u8,
    /// Some element needs the two-byte form.
    two_byte: bool,
}

// `values_len` is a byte.
const _: () = assert!(EXTENSION_BYTES_MAX <= 255 && EXTENSIONS_MAX <= 255);

impl Extensions {
    /// Without elements.
    pub const fn new() -> Self {
        Self {
            elements: [(ExtId(0), 0); EXTENSIONS_MAX],
            count: 0,
            values: [0; EXTENSION_BYTES_MAX],
            values_len: 0,
            two_byte: false,
        }
    }

    /// Adds an element. `false` without adding it if it has the id of padding (0) or a bound in
    /// [`limits`](crate::limits) is reached.
    pub fn push(&mut self, id: ExtId, value: &[u8]) -> bool {
        let start = usize::from(self.values_len);
        let Some(room) = self.values[start..].get_mut(..value.len()) else { return false };
        let Some(element) = self.elements.get_mut(usize::from(self.count)) else { return false };
        if id.0 == 0 {
            return false;
        }
        room.copy_from_slice(value);
        *element = (id, value.len() as u8);
        self.count += 1;
        self.values_len += value.len() as u8;
        self.two_byte |= id.0 >= ONE_BYTE_STOP || !(1..=16).contains(&value.len());
        true
    }

    /// Removes all elements.
    pub fn clear(&mut self) {
        self.count = 0;
        self.values_len = 0;
        self.two_byte = false;
    }

    /// Whether there is no element: the packet then has no extension block.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The elements pushed so far, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (ExtId, &[u8])> {
        let mut rest = &self.values[..usize::from(self.values_len)];
        self.elements[..usize::from(self.count)].iter().map(move |&(id, len)| {
            let (value, after) = rest.split_at(usize::from(len));
            rest = after;
            (id, value)
        })
    }

    /// Bytes of the whole extension block: a multiple of four, zero when there is no element.
    pub fn encoded_len(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let element_header = if self.two_byte { 2 } else { 1 };
        4 + (usize::from(self.count) * element_header + usize::from(self.values_len)).next_multiple_of(4)
    }

    /// Writes the block; `out` has exactly `encoded_len` bytes.
    fn write(&self, out: &mut [u8]) {
        if self.is_empty() {
            return;
        }
        let profile = if self.two_byte { TWO_BYTE_PROFILE } else { ONE_BYTE_PROFILE };
        let words = (out.len() / 4 - 1) as u16;
        out[..2].copy_from_slice(&profile.to_be_bytes());
        out[2..4].copy_from_slice(&words.to_be_bytes());
        let mut at = 4;
        for (id, value) in self.iter() {
            if self.two_byte {
                out[at..at + 2].copy_from_slice(&[id.0, value.len() as u8]);
                at += 2;
            } else {
                out[at] = (id.0 << 4) | (value.len() as u8 - 1);
                at += 1;
            }
            out[at..at + value.len()].copy_from_slice(value);
            at += value.len();
        }
        out[at..].fill(0);
    }
}

impl Default for Extensions {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
