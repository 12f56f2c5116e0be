//! Writing a feedback: statuses into chunks, arrivals into deltas.

use rtp::{Ssrc, TwccSeq};

use super::{LARGE, MISSING, RUN_LEN_MAX, SMALL};

/// The content of one feedback. The fields have the meaning of the accessors of [`Twcc`](super::Twcc).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feedback<'a> {
    /// The receiver.
    pub sender: Ssrc,
    /// A stream of the transport.
    pub media: Ssrc,
    /// The first reported packet.
    pub base_seq: TwccSeq,
    /// In units of 64 ms; only the lower 24 bits are written.
    pub reference_time: i32,
    /// Running number of the feedback.
    pub feedback_count: u8,
    /// For each packet from `base_seq` on: the time since the previous received packet (the first: since the
    /// reference time) in units of [`DELTA_UNIT`](super::DELTA_UNIT), or `None`. At most 65535.
    pub statuses: &'a [Option<i16>],
}

impl Feedback<'_> {
    /// Bytes of the body, a multiple of four.
    pub(crate) fn body_len(&self) -> usize {
        let chunks = Chunks { rest: self.statuses }.count();
        let deltas: usize = self.statuses.iter().map(|&status| status_len(status)).sum();
        (super::CHUNKS_AT + 2 * chunks + deltas).next_multiple_of(4)
    }

    /// Writes the body; `out` has exactly `body_len` bytes.
    pub(crate) fn write_body(&self, out: &mut [u8]) {
        out[..4].copy_from_slice(&self.sender.0.to_be_bytes());
        out[4..8].copy_from_slice(&self.media.0.to_be_bytes());
        out[8..10].copy_from_slice(&self.base_seq.0.to_be_bytes());
        out[10..12].copy_from_slice(&(self.statuses.len() as u16).to_be_bytes());
        let reference_time = (self.reference_time as u32) << 8;
        out[12..16].copy_from_slice(&(reference_time | u32::from(self.feedback_count)).to_be_bytes());
        let mut at = super::CHUNKS_AT;
        for chunk in (Chunks { rest: self.statuses }) {
            out[at..at + 2].copy_from_slice(&chunk.to_be_bytes());
            at += 2;
        }
        for delta in self.statuses.iter().flatten() {
            match u8::try_from(*delta) {
                Ok(small) => out[at] = small,
                Err(_) => out[at..at + 2].copy_from_slice(&delta.to_be_bytes()),
            }
            at += status_len(Some(*delta));
        }
        // Zeros up to the word, without the padding bit: more packets may follow in the compound.
        out[at..].fill(0);
    }
}

/// The maximum length of a body with this number of statuses, whose deltas have `delta_bytes`: each chunk but
/// the last covers at least seven.
pub(super) const fn body_len_max(statuses: usize, delta_bytes: usize) -> usize {
    (super::CHUNKS_AT + 2 * statuses.div_ceil(TWO_BIT_SYMBOLS) + delta_bytes).next_multiple_of(4)
}

/// Bytes of a status' delta.
pub(super) fn status_len(status: Option<i16>) -> usize {
    usize::from(symbol(status))
}

fn symbol(status: Option<i16>) -> u16 {
    match status {
        None => MISSING,
        Some(0..=255) => SMALL,
        Some(_) => LARGE,
    }
}

/// Statuses as chunks. Greedy: each chunk covers as many of the next statuses as possible.
struct Chunks<'a> {
    rest: &'a [Option<i16>],
}

impl Iterator for Chunks<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let first = symbol(*self.rest.first()?);
        let in_run = |status: &Option<i16>| symbol(*status) == first;
        let run = self.rest.iter().take(usize::from(RUN_LEN_MAX)).take_while(|status| in_run(status)).count();
        let no_large = self.rest.iter().take(ONE_BIT_SYMBOLS).all(|&status| symbol(status) != LARGE);
        let vector = if no_large { ONE_BIT_SYMBOLS } else { TWO_BIT_SYMBOLS }.min(self.rest.len());
        let (covered, chunk) = if run >= vector {
            (run, (first << 13) | run as u16)
        } else {
            let width = if no_large { 1 } else { 2 };
            let kind = if no_large { 0b10 } else { 0b11 };
            let symbols =
                self.rest[..vector].iter().fold(0, |bits, &status| (bits << width) | symbol(status));
            // A partial vector has its symbols in the upper bits.
            let empty = 14 - width * vector as u32;
            (vector, (kind << 14) | (symbols << empty))
        };
        self.rest = &self.rest[covered..];
        Some(chunk)
    }
}

const ONE_BIT_SYMBOLS: usize = 14;
const TWO_BIT_SYMBOLS: usize = 7;
