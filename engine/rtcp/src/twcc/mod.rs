//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): the
//! arrival times of a transport's packets.
//!
//! ```text
//! |      base sequence number     |      packet status count      |
//! |                 reference time                | feedback count|
//! |  chunks of 16 bits: the status of each packet                 |
//! |  deltas of 8 or 16 bits: the arrival of each received packet  |
//! ```
//! A chunk is a run (`0`, two bits of symbol, thirteen of length), fourteen one-bit symbols (`10`) or seven
//! two-bit symbols (`11`). A delta is relative to the previous arrival, the first to the reference time.

mod encode;
mod recorder;

pub use encode::Feedback;
pub use recorder::Recorder;

use rtp::{Ssrc, TwccSeq};
use std::time::Duration;

use crate::{u16_at, u32_at};

/// One feedback message.
#[derive(Clone, Copy, Debug)]
pub struct Twcc<'a> {
    pub(crate) body: &'a [u8],
}

impl<'a> Twcc<'a> {
    /// The receiver.
    pub fn sender(&self) -> Ssrc {
        Ssrc(u32_at(self.body, 0))
    }

    /// A stream of the transport; the feedback covers all of them.
    pub fn media(&self) -> Ssrc {
        Ssrc(u32_at(self.body, 4))
    }

    /// The first reported packet.
    pub fn base_seq(&self) -> TwccSeq {
        TwccSeq(u16_at(self.body, 8))
    }

    /// The number of reported packets, received or not. A hostile sender can announce 65535 in a few bytes.
    pub fn status_count(&self) -> u16 {
        u16_at(self.body, 10)
    }

    /// The base of the first delta, in units of 64 ms on the receiver's clock: 24 bits with a sign, wrapping.
    pub fn reference_time(&self) -> i32 {
        u32_at(self.body, 12) as i32 >> 8
    }

    /// Running number of the feedback, wrapping: a gap is a lost feedback.
    pub fn feedback_count(&self) -> u8 {
        self.body[15]
    }

    /// Every reported packet, with the time since the previous received packet (the first: since the
    /// reference time) in units of [`DELTA_UNIT`]; `None` for a missing packet.
    pub fn statuses(&self) -> StatusIter<'a> {
        let chunks_end = CHUNKS_AT + 2 * self.measure().map_or(0, |(chunks, _)| chunks);
        StatusIter {
            seq: self.base_seq(),
            left: self.status_count(),
            symbols: Symbols::default(),
            chunks: &self.body[CHUNKS_AT..chunks_end],
            deltas: &self.body[chunks_end..],
        }
    }

    pub(crate) fn is_valid(&self) -> bool {
        // Bytes after the last delta are padding. Without received packets the body may end with the chunks.
        self.body.len() >= CHUNKS_AT
            && self
                .measure()
                .is_some_and(|(chunks, delta_bytes)| self.body.len() - CHUNKS_AT >= 2 * chunks + delta_bytes)
    }

    /// The number of chunks, and the length of the deltas; `None` if the body is too short, or if a status is
    /// the reserved symbol, whose delta has no known size.
    fn measure(&self) -> Option<(usize, usize)> {
        let (mut chunks, mut delta_bytes) = (0, 0);
        let mut left = self.status_count();
        for chunk in self.body[CHUNKS_AT..].chunks_exact(2) {
            if left == 0 {
                break;
            }
            let symbols = Symbols::of(u16_at(chunk, 0)).first(left);
            delta_bytes += symbols.delta_bytes()?;
            left -= symbols.left;
            chunks += 1;
        }
        (left == 0).then_some((chunks, delta_bytes))
    }
}

/// Iterates over the statuses of a [`Twcc`].
#[derive(Clone, Debug)]
pub struct StatusIter<'a> {
    seq: TwccSeq,
    left: u16,
    /// The rest of the current chunk.
    symbols: Symbols,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl Iterator for StatusIter<'_> {
    type Item = (TwccSeq, Option<i32>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // A chunk may be a run of length zero.
        while self.symbols.left == 0 {
            let (chunk, rest) = self.chunks.split_first_chunk::<2>()?;
            self.symbols = Symbols::of(u16::from_be_bytes(*chunk));
            self.chunks = rest;
        }
        let delta = match self.symbols.pop() {
            SMALL => {
                let (delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                Some(i32::from(*delta))
            }
            LARGE => {
                let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                Some(i32::from(i16::from_be_bytes(*delta)))
            }
            _ => None,
        };
        let seq = self.seq;
        self.seq = seq.next();
        Some((seq, delta))
    }
}

impl std::iter::FusedIterator for StatusIter<'_> {}

/// The remaining symbols of one chunk. All three types of chunk have this form: symbols of some width, read
/// from the top; a run is one symbol that is read repeatedly.
#[derive(Clone, Copy, Debug, Default)]
struct Symbols {
    /// The next symbol is in the highest bits.
    bits: u16,
    /// Bits in a symbol; 0 for a run.
    width: u32,
    left: u16,
}

impl Symbols {
    fn of(chunk: u16) -> Self {
        match chunk >> 14 {
            0b10 => Self { bits: chunk << 2, width: 1, left: 14 },
            0b11 => Self { bits: chunk << 2, width: 2, left: 7 },
            _ => Self { bits: chunk << 1, width: 0, left: chunk & RUN_LEN_MAX },
        }
    }

    /// The next symbol; there must be one.
    fn pop(&mut self) -> u16 {
        // A one-bit symbol is the lower bit of a two-bit one: it cannot be "large".
        let symbol = if self.width == 1 { self.bits >> 15 } else { self.bits >> 14 };
        self.bits <<= self.width;
        self.left -= 1;
        symbol
    }

    /// At most the first `count` of them.
    fn first(self, count: u16) -> Self {
        Self { left: self.left.min(count), ..self }
    }

    /// Bytes of the deltas of all remaining symbols; `None` if one is reserved.
    fn delta_bytes(self) -> Option<usize> {
        match self.width {
            0 => Some(usize::from(self.left) * delta_len(self.bits >> 14)?),
            // Counted at once: a datagram contains thousands of symbols.
            1 => Some((self.bits & !(u16::MAX >> self.left)).count_ones() as usize),
            _ => {
                let bits = self.bits & !(u16::MAX.checked_shr(2 * u32::from(self.left)).unwrap_or(0));
                let (large, small) = (bits >> 1 & 0x5555, bits & 0x5555);
                let is_reserved = large & small != 0;
                (!is_reserved).then(|| (small.count_ones() + 2 * large.count_ones()) as usize)
            }
        }
    }
}

/// Bytes of a delta; `None` for the reserved symbol.
const fn delta_len(symbol: u16) -> Option<usize> {
    match symbol {
        MISSING => Some(0),
        SMALL => Some(1),
        LARGE => Some(2),
        _ => None,
    }
}

/// The unit of deltas.
pub const DELTA_UNIT: Duration = Duration::from_micros(250);
/// The unit of the reference time: 256 units of deltas.
pub const REFERENCE_UNIT: Duration = Duration::from_millis(64);

/// Offset of the chunks in the body.
const CHUNKS_AT: usize = 16;
const RUN_LEN_MAX: u16 = 0x1fff;
/// Not received.
const MISSING: u16 = 0;
/// Received, with a delta of one byte, 0 to 63.75 ms.
const SMALL: u16 = 1;
/// Received, with a delta of two bytes and a sign, ±8.19 s.
const LARGE: u16 = 2;

#[cfg(test)]
mod tests;
