//! The ring itself: one writer, one reader, a power-of-two array of words and two cursors.
//!
//! Cursors count bytes since the ring was created and never wrap (2⁶⁴ bytes are never reached); their low
//! bits are the position. A record is one header word (a tag and the length) and the bytes, padded with zeros
//! to a whole word. Since both sides copy word by word with a masked index, a record may wrap at the end of
//! the array: there is no wrap marker to forge or to get wrong.
//!
//! Each side keeps its own cursor in private memory and only publishes it: it reads only the other side's
//! cursor, and checks that it is possible. Words are copied with relaxed atomic operations, so a peer that
//! writes where it must not only causes wrong bytes in a record. This file has no `unsafe`; loom checks it
//! with its own atomics.

use crate::sync::{AtomicU64, Ordering, fence};

/// The words of one ring, in any memory.
pub(crate) trait Shared {
    /// Bytes written so far; stored by the writer.
    fn head(&self) -> &AtomicU64;
    /// Bytes consumed so far; stored by the reader.
    fn tail(&self) -> &AtomicU64;
    /// Not zero while the reader polls the ring without the doorbell; stored by the reader.
    fn awake(&self) -> &AtomicU64;
    /// The data, a power of two of words. Always the same slice.
    fn words(&self) -> &[AtomicU64];

    /// One word of the data, as the reader copies it. The model checker's rings check here that no store
    /// races with this load: between correct peers the cursors keep them apart.
    fn copy_word(&self, at: usize) -> u64 {
        self.words()[at].load(Ordering::Relaxed)
    }
}

/// The other process left the ring in a state that no correct peer can produce. The ring must not be
/// used any more: detach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// A cursor implies more bytes in flight than the ring has.
    #[error("the peer's ring cursor claims more bytes than the ring holds")]
    CursorBeyondRing,
    /// A cursor is not a multiple of eight.
    #[error("the peer's ring cursor is not aligned to a word")]
    CursorMisaligned,
    /// A cursor went backwards.
    #[error("the peer's ring cursor went backwards")]
    CursorBackwards,
    /// There is no record header where a record must start.
    #[error("a ring record does not start with a record header")]
    NoRecord,
    /// A record claims more than [`RECORD_BYTES_MAX`](crate::limits::RECORD_BYTES_MAX).
    #[error("a record exceeds the maximum length")]
    RecordTooLong,
    /// A record claims more bytes than its writer has published.
    #[error("a ring record claims more bytes than have been written")]
    RecordBeyondCursor,
}

/// A record could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The reader has not made room yet. Keep the record, merge it, or drop it; never wait for room.
    #[error("the ring is full")]
    Full,
    /// The record is longer than [`RECORD_BYTES_MAX`](crate::limits::RECORD_BYTES_MAX): our bug, or a missing
    /// bound in the caller.
    #[error("a record of {len} bytes is too long for the ring (at most {max})")]
    TooLong {
        /// The length of the record, bytes.
        len: usize,
        /// The maximum, bytes.
        max: usize,
    },
    /// The reader's cursor is impossible. Detach.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// Bytes of a word, of a record's header, and of its alignment.
pub(crate) const WORD: usize = 8;
/// The upper half of every header word, so that a stray word is not taken for a record.
const TAG: u64 = 0x4C45_4154; // "LEAT"

/// Bytes a record of `len` bytes takes in the ring.
const fn framed(len: usize) -> u64 {
    (WORD + len.next_multiple_of(WORD)) as u64
}

/// The writing side.
#[derive(Debug)]
pub(crate) struct Writer<S> {
    shared: S,
    /// This side's cursor; the shared one is a copy for the reader.
    head: u64,
    /// The reader's cursor, as last read.
    tail: u64,
    record_bytes_max: usize,
    corrupt: Option<Corrupt>,
}

impl<S: Shared> Writer<S> {
    /// The writer of a fresh ring, all of whose words are zero. At most one may exist.
    pub(crate) fn new(shared: S, record_bytes_max: usize) -> Self {
        let capacity = shared.words().len() * WORD;
        assert!(capacity.is_power_of_two() && framed(record_bytes_max) <= capacity as u64);
        Self { shared, head: 0, tail: 0, record_bytes_max, corrupt: None }
    }

    /// Appends one record and publishes it.
    pub(crate) fn push(&mut self, record: &[u8]) -> Result<(), PushError> {
        if record.len() > self.record_bytes_max {
            return Err(PushError::TooLong { len: record.len(), max: self.record_bytes_max });
        }
        if !self.has_room(record.len())? {
            return Err(PushError::Full);
        }
        let words = self.shared.words();
        let mask = words.len() - 1;
        let mut at = (self.head / WORD as u64) as usize & mask;
        let mut put = |word: u64| {
            words[at].store(word, Ordering::Relaxed);
            at = (at + 1) & mask;
        };
        put(TAG << 32 | record.len() as u64);
        let (whole, rest) = record.as_chunks::<WORD>();
        for word in whole {
            put(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; WORD];
            last[..rest.len()].copy_from_slice(rest);
            put(u64::from_le_bytes(last));
        }
        self.head += framed(record.len());
        // Release: a reader of this cursor also sees the words before it.
        self.shared.head().store(self.head, Ordering::Release);
        Ok(())
    }

    /// Whether a record of `len` bytes would fit now.
    pub(crate) fn has_room(&mut self, len: usize) -> Result<bool, Corrupt> {
        if let Some(corrupt) = self.corrupt {
            return Err(corrupt);
        }
        let capacity = (self.shared.words().len() * WORD) as u64;
        let needed = framed(len);
        if capacity - (self.head - self.tail) >= needed {
            return Ok(true);
        }
        // Acquire: the reader is done with the words before its cursor before we overwrite them.
        let tail = self.shared.tail().load(Ordering::Acquire);
        let verdict = if !tail.is_multiple_of(WORD as u64) {
            Err(Corrupt::CursorMisaligned)
        } else if tail < self.tail {
            Err(Corrupt::CursorBackwards)
        } else if tail > self.head {
            Err(Corrupt::CursorBeyondRing)
        } else {
            Ok(tail)
        };
        self.tail = verdict.inspect_err(|&corrupt| self.corrupt = Some(corrupt))?;
        Ok(capacity - (self.head - self.tail) >= needed)
    }

    /// Whether the reader may be asleep, so that what was pushed needs the doorbell.
    pub(crate) fn wants_doorbell(&self) -> bool {
        // Pairs with the fence in `may_sleep`: either this load sees that the reader goes to sleep, or the
        // reader's last check sees our cursor. Without both fences each could miss the other.
        fence(Ordering::SeqCst);
        self.shared.awake().load(Ordering::Relaxed) == 0
    }
}

/// The reading side.
#[derive(Debug)]
pub(crate) struct Reader<S> {
    shared: S,
    /// This side's cursor; the shared one is a copy for the writer.
    tail: u64,
    /// The writer's cursor, as last read and checked.
    head: u64,
    record_bytes_max: usize,
    corrupt: Option<Corrupt>,
}

impl<S: Shared> Reader<S> {
    /// The reader of a fresh ring, all of whose words are zero. At most one may exist.
    pub(crate) fn new(shared: S, record_bytes_max: usize) -> Self {
        assert!((shared.words().len() * WORD).is_power_of_two());
        Self { shared, tail: 0, head: 0, record_bytes_max, corrupt: None }
    }

    /// Copies the oldest record into `into` (which it replaces) and gives its words back to the writer.
    /// `None` when there is no record; `into` is then untouched.
    pub(crate) fn pop(&mut self, into: &mut Vec<u8>) -> Result<Option<usize>, Corrupt> {
        if let Some(corrupt) = self.corrupt {
            return Err(corrupt);
        }
        self.try_pop(into).inspect_err(|&corrupt| self.corrupt = Some(corrupt))
    }

    fn try_pop(&mut self, into: &mut Vec<u8>) -> Result<Option<usize>, Corrupt> {
        if self.tail == self.head && !self.look()? {
            return Ok(None);
        }
        let mask = self.shared.words().len() - 1;
        let mut at = (self.tail / WORD as u64) as usize & mask;
        let mut take = || {
            let word = self.shared.copy_word(at);
            at = (at + 1) & mask;
            word
        };
        // Read once: the writer cannot change this copy of the length.
        let header = take();
        if header >> 32 != TAG {
            return Err(Corrupt::NoRecord);
        }
        let len = (header as u32) as usize;
        if len > self.record_bytes_max {
            return Err(Corrupt::RecordTooLong);
        }
        if framed(len) > self.head - self.tail {
            return Err(Corrupt::RecordBeyondCursor);
        }
        into.clear();
        into.reserve(len);
        for _ in 0..len / WORD {
            into.extend_from_slice(&take().to_le_bytes());
        }
        let rest = len % WORD;
        if rest != 0 {
            into.extend_from_slice(&take().to_le_bytes()[..rest]);
        }
        self.tail += framed(len);
        // Release: our loads of the words come before the writer's next stores to them.
        self.shared.tail().store(self.tail, Ordering::Release);
        Ok(Some(len))
    }

    /// Reads the writer's cursor again; returns whether there is a record.
    fn look(&mut self) -> Result<bool, Corrupt> {
        let head = self.shared.head().load(Ordering::Acquire);
        let capacity = (self.shared.words().len() * WORD) as u64;
        if !head.is_multiple_of(WORD as u64) {
            return Err(Corrupt::CursorMisaligned);
        }
        if head < self.head {
            return Err(Corrupt::CursorBackwards);
        }
        if head - self.tail > capacity {
            return Err(Corrupt::CursorBeyondRing);
        }
        self.head = head;
        Ok(self.head != self.tail)
    }

    /// Tells the writer that the reader polls for now and need not be rung.
    pub(crate) fn stay_awake(&mut self) {
        self.shared.awake().store(1, Ordering::Relaxed);
    }

    /// Requests the doorbell from now on, and checks a last time: `true` if the ring is empty, so that
    /// waiting for the doorbell cannot miss a record.
    pub(crate) fn may_sleep(&mut self) -> Result<bool, Corrupt> {
        if let Some(corrupt) = self.corrupt {
            return Err(corrupt);
        }
        self.shared.awake().store(0, Ordering::Relaxed);
        fence(Ordering::SeqCst); // see `wants_doorbell`
        if self.tail != self.head {
            return Ok(false);
        }
        let anything = self.look().inspect_err(|&corrupt| self.corrupt = Some(corrupt))?;
        Ok(!anything)
    }
}

#[cfg(test)]
mod tests;
