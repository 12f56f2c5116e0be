//! Frames on a byte stream. Reading puts them together again, writing queues them whole. No socket is touched here: bytes come
//! and go by slices and [`io::Write`].

use crate::limits::{FRAME_BYTES_MAX, QUEUE_AGE_MAX, QUEUE_BYTES_MAX, STUN_FRAME_BYTES_MAX};
use machine::Instant;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

/// Bytes of a frame's length.
const LENGTH_BYTES: usize = 2;

/// How a stream says where a frame ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// A length of two bytes, big-endian, then so many bytes (RFC 4571 §2). The machine sees the bytes alone.
    #[default]
    Rfc4571,
    /// STUN messages and ChannelData say their length themselves, the latter filled up to a multiple of four (RFC 8656
    /// §12.5). The machine sees them whole, with what fills them up, and writes them so.
    Stun,
}

/// What lies at the beginning of a stream.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// Bytes that the machine does not see.
    head: usize,
    /// Bytes with those.
    len: usize,
}

impl Framing {
    /// The frame that begins here, once enough of it is there to tell its length.
    fn extent(self, bytes: &[u8]) -> Result<Option<Extent>, InvalidFrame> {
        match self {
            Self::Rfc4571 => {
                let Some(len) = bytes.first_chunk().map(|len| usize::from(u16::from_be_bytes(*len))) else {
                    return Ok(None);
                };
                let extent = Extent { head: LENGTH_BYTES, len: LENGTH_BYTES + len };
                if len <= FRAME_BYTES_MAX { Ok(Some(extent)) } else { Err(InvalidFrame(len)) }
            }
            Self::Stun => {
                let Some(head) = bytes.first_chunk::<STUN_LENGTH_BYTES>() else { return Ok(None) };
                let kind = u16::from_be_bytes([head[0], head[1]]);
                let announced = usize::from(u16::from_be_bytes([head[2], head[3]]));
                // The two uppermost bits tell STUN from ChannelData (RFC 8656 §12), and both from anything else.
                let len = match kind >> 14 {
                    0 => STUN_HEADER_BYTES + announced,
                    1 => STUN_LENGTH_BYTES + announced.next_multiple_of(4),
                    _ => return Err(InvalidFrame(usize::from(kind))),
                };
                if len <= STUN_FRAME_BYTES_MAX {
                    Ok(Some(Extent { head: 0, len }))
                } else {
                    Err(InvalidFrame(len))
                }
            }
        }
    }

    /// Bytes to be there before the length can be told.
    fn length_bytes(self) -> usize {
        match self {
            Self::Rfc4571 => LENGTH_BYTES,
            Self::Stun => STUN_LENGTH_BYTES,
        }
    }

    /// Whether a frame may be dropped when its reader is slow: media may, an answer that nobody will ask for again may not.
    fn is_droppable(self, frame: &[u8]) -> bool {
        match self {
            Self::Rfc4571 => true,
            // ChannelData, or a Data indication.
            Self::Stun => {
                frame.first().is_some_and(|first| first >> 6 == 1) || frame.starts_with(&[0x00, 0x17])
            }
        }
    }
}

/// Bytes of STUN and ChannelData up to the end of their length.
const STUN_LENGTH_BYTES: usize = 4;
/// Bytes of a STUN message that its length does not count (RFC 8489 §5).
const STUN_HEADER_BYTES: usize = 20;

/// The stream announces a frame longer than any peer of ours sends, or what is no frame at all. Holds the length, or the two bytes
/// in its place. The text of any other protocol is one or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidFrame(pub usize);

/// Puts the frames of one stream together again.
#[derive(Debug, Default)]
pub struct Deframer {
    framing: Framing,
    /// A frame that has begun, with its length before it; no longer than [`Framing`] takes.
    begun: Vec<u8>,
}

impl Deframer {
    /// Of a stream that has just begun.
    pub fn new(framing: Framing) -> Self {
        Self { framing, begun: Vec::new() }
    }

    /// Takes the stream's next bytes and hands over every frame that they complete. A frame that lies whole in `bytes` is
    /// handed over in its place; only what is cut is copied. After an error the stream is of no more use.
    pub fn push(
        &mut self,
        bytes: &mut [u8],
        mut hand_over: impl FnMut(&mut [u8]),
    ) -> Result<(), InvalidFrame> {
        let mut at = 0;
        while at < bytes.len() {
            if self.begun.is_empty()
                && let Some(Extent { head, len }) = self.framing.extent(&bytes[at..])?
                && let Some(frame) = bytes.get_mut(at + head..at + len)
            {
                hand_over(frame);
                at += len;
                continue;
            }
            let whole = match self.framing.extent(&self.begun)? {
                Some(Extent { len, .. }) => len,
                None => self.framing.length_bytes(),
            };
            let taken = (whole - self.begun.len()).min(bytes.len() - at);
            if self.begun.capacity() == 0 {
                self.begun.reserve_exact(LENGTH_BYTES + FRAME_BYTES_MAX);
            }
            self.begun.extend_from_slice(&bytes[at..at + taken]);
            at += taken;
            if let Some(Extent { head, len }) = self.framing.extent(&self.begun)?
                && self.begun.len() == len
            {
                hand_over(&mut self.begun[head..]);
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

/// Frames that wait until a stream takes them.
///
/// Bounded in bytes and in age. What is dropped is always a whole frame that has not begun to leave, the oldest first: media that
/// is late is worth less than media that is not yet, and the stream never loses its place. Where the oldest may not be dropped, a
/// frame that finds no room is.
#[derive(Debug, Default)]
pub struct FrameQueue {
    framing: Framing,
    /// The rest of a frame that has begun to leave.
    begun: Vec<u8>,
    /// How much of `begun` has left.
    begun_at: usize,
    /// Frames that have not begun, each with its length before it.
    bytes: VecDeque<u8>,
    frames: VecDeque<Queued>,
    counts: QueueCounts,
}

/// A frame that has not begun to leave.
#[derive(Clone, Copy, Debug)]
struct Queued {
    queued_at: Instant,
    /// Bytes, with its length before it.
    len: u32,
    is_droppable: bool,
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
    /// For a stream that has just begun.
    pub fn new(framing: Framing) -> Self {
        Self { framing, ..Self::default() }
    }

    /// Queues a frame, of at most 65 535 bytes. What is late, and then what is in the way, goes.
    pub fn push(&mut self, now: Instant, frame: &[u8]) {
        self.drop_late(now);
        let prefix = match self.framing {
            Framing::Rfc4571 => LENGTH_BYTES,
            Framing::Stun => 0,
        };
        let len = prefix + frame.len();
        while self.bytes.len() + len > QUEUE_BYTES_MAX && self.drop_oldest() {
            self.counts.dropped_full += 1;
        }
        let Some(announced) =
            u16::try_from(frame.len()).ok().filter(|_| self.bytes.len() + len <= QUEUE_BYTES_MAX)
        else {
            self.counts.dropped_full += 1;
            return;
        };
        self.bytes.extend(&announced.to_be_bytes()[..prefix]);
        self.bytes.extend(frame);
        let is_droppable = self.framing.is_droppable(frame);
        self.frames.push_back(Queued { queued_at: now, len: len as u32, is_droppable });
    }

    /// Queues bytes that are no frame: they leave as they are, behind what waits, and are never dropped. Whoever does this sees to
    /// it that the queue stays short.
    pub fn push_raw(&mut self, now: Instant, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.frames.push_back(Queued { queued_at: now, len: bytes.len() as u32, is_droppable: false });
    }

    /// Drops the frames that have waited too long.
    pub fn drop_late(&mut self, now: Instant) {
        while self.frames.front().is_some_and(|frame| now.saturating_since(frame.queued_at) > QUEUE_AGE_MAX)
            && self.drop_oldest()
        {
            self.counts.dropped_late += 1;
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(frame) = self.frames.pop_front_if(|frame| frame.is_droppable) else { return false };
        self.bytes.drain(..frame.len as usize);
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
            && let Some(frame) = self.frames.pop_front()
        {
            let len = frame.len as usize;
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
mod tests;
