//! Frames on a byte stream. [`Deframer`] reassembles them, [`FrameQueue`] queues whole frames for writing.
//! Nothing here uses a socket: the input is a slice, the output an [`io::Write`].

use crate::limits::{FRAME_BYTES_MAX, QUEUE_AGE_MAX, QUEUE_BYTES_MAX, STUN_FRAME_BYTES_MAX};
use machine::Instant;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

/// Bytes of the length field of RFC 4571.
const LENGTH_BYTES: usize = 2;

/// How a stream marks the end of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// A length of two bytes, big-endian, then the datagram (RFC 4571 §2). The machine sees the datagram
    /// only.
    #[default]
    Rfc4571,
    /// STUN messages and ChannelData contain their length; ChannelData is padded to a multiple of four (RFC
    /// 8656 §12.5). The machine sees and writes them whole, with the padding.
    Stun,
}

/// The frame at the beginning of a byte string.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// Bytes before the part that the machine sees.
    head: usize,
    /// All bytes of the frame.
    len: usize,
}

impl Framing {
    /// The frame that begins here, or `None` if its length is not complete.
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
                // The two uppermost bits distinguish STUN, ChannelData (RFC 8656 §12), and anything else.
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

    /// Bytes that contain the length.
    fn length_bytes(self) -> usize {
        match self {
            Self::Rfc4571 => LENGTH_BYTES,
            Self::Stun => STUN_LENGTH_BYTES,
        }
    }

    /// Whether a frame may be dropped when its reader is slow: media may, a STUN response may not, because
    /// over TCP a client does not repeat the request.
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

/// Bytes of STUN and ChannelData up to the end of the length field.
const STUN_LENGTH_BYTES: usize = 4;
/// Bytes of a STUN message that its length field does not count (RFC 8489 §5).
const STUN_HEADER_BYTES: usize = 20;

/// The stream announces a frame above the bound, or something that is no frame. It holds the announced
/// length, or the first two bytes. The text of any other protocol leads to this error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidFrame(pub usize);

/// Reassembles the frames of one stream.
#[derive(Debug, Default)]
pub struct Deframer {
    framing: Framing,
    /// The beginning of an incomplete frame, with its length field; at most as long as [`Framing`] permits.
    begun: Vec<u8>,
}

impl Deframer {
    /// For a new stream.
    pub fn new(framing: Framing) -> Self {
        Self { framing, begun: Vec::new() }
    }

    /// Reads the next bytes of the stream and passes on every frame that they complete. A frame that is whole
    /// in `bytes` is passed on in place; only an incomplete one is copied. After an error the stream cannot
    /// be used any more.
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

    /// Bytes of the incomplete frame.
    pub fn pending(&self) -> usize {
        self.begun.len()
    }
}

/// Frames that wait until a stream accepts them.
///
/// Bounded in bytes and in age. Only whole frames of which nothing was written are dropped, the oldest first:
/// old media is worth less than new media, and the stream stays in step. If the oldest frame may not be
/// dropped, the new frame is.
#[derive(Debug, Default)]
pub struct FrameQueue {
    framing: Framing,
    /// A frame that is partly written.
    begun: Vec<u8>,
    /// Bytes of `begun` that are written.
    begun_at: usize,
    /// Frames of which nothing is written, each with its length field.
    bytes: VecDeque<u8>,
    frames: VecDeque<Queued>,
    counts: QueueCounts,
}

/// A frame of which nothing is written.
#[derive(Clone, Copy, Debug)]
struct Queued {
    queued_at: Instant,
    /// Bytes, with its length field.
    len: u32,
    is_droppable: bool,
}

/// Counters of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounts {
    /// Frames written completely.
    pub sent: u64,
    /// Frames dropped because the queue was full.
    pub dropped_full: u64,
    /// Frames dropped because they had waited too long.
    pub dropped_late: u64,
}

impl FrameQueue {
    /// For a new stream.
    pub fn new(framing: Framing) -> Self {
        Self { framing, ..Self::default() }
    }

    /// Queues a frame of at most 65 535 bytes. Late frames are dropped first, then as many of the oldest as
    /// the bound requires.
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

    /// Queues bytes that are no frame, behind the queued ones. They are written unchanged and never dropped;
    /// the caller keeps the queue short.
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

    /// Writes until the queue is empty, or `to` accepts no more: an error of kind
    /// [`WouldBlock`](io::ErrorKind::WouldBlock).
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

    /// Removes bytes that are written.
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

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.begun_at == self.begun.len()
    }

    /// Bytes in the queue.
    pub fn len(&self) -> usize {
        self.begun.len() - self.begun_at + self.bytes.len()
    }

    /// The counters.
    pub fn counts(&self) -> QueueCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests;
