//! Frames on a byte stream (RFC 4571 §2): a length of two bytes, big-endian, then so many bytes. Reading puts them together again,
//! writing queues them whole. No socket is touched here: bytes come and go by slices and [`io::Write`].

use crate::limits::{FRAME_BYTES_MAX, QUEUE_AGE_MAX, QUEUE_BYTES_MAX};
use machine::Instant;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

/// Bytes of a frame's length.
const LENGTH_BYTES: usize = 2;

/// The stream announces a frame longer than [`FRAME_BYTES_MAX`]: whatever it is, it is no peer of ours. The text of any other
/// protocol, taken for a length, is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong(pub usize);

/// Puts the frames of one stream together again.
#[derive(Debug, Default)]
pub struct Deframer {
    /// A frame that has begun, with its length before it; at most [`FRAME_BYTES_MAX`] and two bytes.
    begun: Vec<u8>,
}

impl Deframer {
    /// Takes the stream's next bytes and hands over every frame that they complete. A frame that lies whole in `bytes` is
    /// handed over in its place; only what is cut is copied. After an error the stream is of no more use.
    pub fn push(&mut self, bytes: &mut [u8], mut hand_over: impl FnMut(&mut [u8])) -> Result<(), TooLong> {
        let mut at = 0;
        while at < bytes.len() {
            if self.begun.is_empty()
                && let Some(len) = frame_len(&bytes[at..])?
                && let Some(frame) = bytes.get_mut(at + LENGTH_BYTES..at + LENGTH_BYTES + len)
            {
                hand_over(frame);
                at += LENGTH_BYTES + len;
                continue;
            }
            let wanted = match frame_len(&self.begun)? {
                Some(len) => LENGTH_BYTES + len - self.begun.len(),
                None => LENGTH_BYTES - self.begun.len(),
            };
            let taken = wanted.min(bytes.len() - at);
            if self.begun.capacity() == 0 {
                self.begun.reserve_exact(LENGTH_BYTES + FRAME_BYTES_MAX);
            }
            self.begun.extend_from_slice(&bytes[at..at + taken]);
            at += taken;
            if frame_len(&self.begun)?.is_some_and(|len| self.begun.len() == LENGTH_BYTES + len) {
                hand_over(&mut self.begun[LENGTH_BYTES..]);
                self.begun.clear();
            }
        }
        Ok(())
    }

    /// Bytes kept of a frame that is not whole.
    pub fn pending(&self) -> usize {
        self.begun.len()
    }
}

/// The length of the frame that begins here, once both of its bytes are there.
fn frame_len(bytes: &[u8]) -> Result<Option<usize>, TooLong> {
    let Some(len) = bytes.first_chunk().map(|len| usize::from(u16::from_be_bytes(*len))) else {
        return Ok(None);
    };
    if len <= FRAME_BYTES_MAX { Ok(Some(len)) } else { Err(TooLong(len)) }
}

/// Frames that wait until a stream takes them.
///
/// Bounded in bytes and in age. What is dropped is always a whole frame that has not begun to leave, the oldest first: media that
/// is late is worth less than media that is not yet, and the stream never loses its place.
#[derive(Debug, Default)]
pub struct FrameQueue {
    /// The rest of a frame that has begun to leave.
    begun: Vec<u8>,
    /// How much of `begun` has left.
    begun_at: usize,
    /// Frames that have not begun, each with its length before it.
    bytes: VecDeque<u8>,
    /// Of each of those: when it came, and its bytes with its length.
    frames: VecDeque<(Instant, u32)>,
    counts: QueueCounts,
}

/// What became of a queue's frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Left whole.
    pub sent: u64,
    /// Dropped since the queue had no room for newer ones.
    pub dropped_full: u64,
    /// Dropped since they had waited too long.
    pub dropped_late: u64,
}

impl FrameQueue {
    /// Queues a frame, of at most 65 535 bytes. What is late, and then what is in the way, goes.
    pub fn push(&mut self, now: Instant, frame: &[u8]) {
        self.drop_late(now);
        let len = LENGTH_BYTES + frame.len();
        while self.bytes.len() + len > QUEUE_BYTES_MAX && self.drop_oldest() {
            self.counts.dropped_full += 1;
        }
        let Ok(announced) = u16::try_from(frame.len()) else {
            self.counts.dropped_full += 1;
            return;
        };
        self.bytes.extend(&announced.to_be_bytes());
        self.bytes.extend(frame);
        self.frames.push_back((now, len as u32));
    }

    /// Drops the frames that have waited too long.
    pub fn drop_late(&mut self, now: Instant) {
        while self.frames.front().is_some_and(|(came, _)| now.saturating_since(*came) > QUEUE_AGE_MAX) {
            self.drop_oldest();
            self.counts.dropped_late += 1;
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((_, len)) = self.frames.pop_front() else { return false };
        self.bytes.drain(..len as usize);
        true
    }

    /// Writes until nothing waits, or `to` takes no more: an error of kind [`WouldBlock`](io::ErrorKind::WouldBlock).
    pub fn write(&mut self, to: &mut impl Write) -> io::Result<()> {
        while !self.is_empty() {
            let (first, second) = self.bytes.as_slices();
            let slices = [&self.begun[self.begun_at..], first, second].map(IoSlice::new);
            match to.write_vectored(&slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// So many bytes have left.
    fn advance(&mut self, mut written: usize) {
        if self.begun_at < self.begun.len() {
            let of_begun = written.min(self.begun.len() - self.begun_at);
            self.begun_at += of_begun;
            written -= of_begun;
            if self.begun_at < self.begun.len() {
                return;
            }
            self.counts.sent += 1;
        }
        self.begun.clear();
        self.begun_at = 0;
        while written > 0
            && let Some((_, len)) = self.frames.pop_front()
        {
            let len = len as usize;
            if written < len {
                self.begun.extend(self.bytes.drain(..len).skip(written));
                return;
            }
            self.bytes.drain(..len);
            written -= len;
            self.counts.sent += 1;
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.begun_at == self.begun.len()
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.begun.len() - self.begun_at + self.bytes.len()
    }

    /// What became of the frames so far.
    pub fn counts(&self) -> QueueCounts {
        self.counts
    }
}

#[cfg(test)]
#[path = "framing_tests.rs"]
mod tests;
