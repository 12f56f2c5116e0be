//! Sequence numbers: the 16 bits on the wire, which wrap, and the internal 64 bits, which do not.

use std::fmt;
use std::ops::Add;

/// An RTP sequence number as on the wire (RFC 3550 §5.1). It wraps, so age is relative. `Ord` is plain
/// numeric order, for keys and sets; for age use [`is_newer_than`](Self::is_newer_than).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(pub u16);

/// A transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2): counts every
/// packet of a transport, of all streams. It wraps as [`Seq`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TwccSeq(pub u16);

/// An extended sequence number: never wraps, so plain comparison is age. Made by [`SeqExtender`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeqNo(pub u64);

impl Seq {
    /// The number of steps forward, with wrapping, from this one to `newer`.
    pub const fn forward_distance(self, newer: Seq) -> u16 {
        newer.0.wrapping_sub(self.0)
    }

    /// Whether this one is ahead of `other` by less than half the circle. Exactly opposite numbers are not
    /// newer than each other.
    pub const fn is_newer_than(self, other: Seq) -> bool {
        (self.0.wrapping_sub(other.0) as i16) > 0
    }

    /// `steps` further on, wrapping.
    pub const fn wrapping_add(self, steps: u16) -> Seq {
        Seq(self.0.wrapping_add(steps))
    }

    /// `steps` back, wrapping.
    pub const fn wrapping_sub(self, steps: u16) -> Seq {
        Seq(self.0.wrapping_sub(steps))
    }

    /// The one after this.
    pub const fn next(self) -> Seq {
        self.wrapping_add(1)
    }
}

impl TwccSeq {
    /// The number of steps forward, with wrapping, from this one to `newer`.
    pub const fn forward_distance(self, newer: TwccSeq) -> u16 {
        newer.0.wrapping_sub(self.0)
    }

    /// Whether this one is ahead of `other` by less than half the circle.
    pub const fn is_newer_than(self, other: TwccSeq) -> bool {
        (self.0.wrapping_sub(other.0) as i16) > 0
    }

    /// `steps` further on, wrapping.
    pub const fn wrapping_add(self, steps: u16) -> TwccSeq {
        TwccSeq(self.0.wrapping_add(steps))
    }

    /// The one after this.
    pub const fn next(self) -> TwccSeq {
        self.wrapping_add(1)
    }
}

impl SeqNo {
    /// Its lower 16 bits, as on the wire.
    pub const fn seq(self) -> Seq {
        Seq(self.0 as u16)
    }

    /// How often the 16 bits have wrapped, as 32 bits: SRTP's rollover counter (RFC 3711 §3.3.1) of a stream
    /// that *we send* with these numbers. For a received stream it is not SRTP's counter, since
    /// [`SeqExtender`] starts at one: the receiving SRTP context estimates its own.
    pub const fn roc(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// The one after this.
    pub const fn next(self) -> SeqNo {
        SeqNo(self.0.wrapping_add(1))
    }

    /// `steps` back; `None` before zero.
    pub const fn checked_sub(self, steps: u64) -> Option<SeqNo> {
        match self.0.checked_sub(steps) {
            Some(no) => Some(SeqNo(no)),
            None => None,
        }
    }

    /// `steps` back, but not before zero.
    pub const fn saturating_sub(self, steps: u64) -> SeqNo {
        SeqNo(self.0.saturating_sub(steps))
    }

    /// The number of steps from an `older` one to this one; `None` if `older` is newer.
    pub const fn distance_from(self, older: SeqNo) -> Option<u64> {
        self.0.checked_sub(older.0)
    }
}

impl Add<u64> for SeqNo {
    type Output = SeqNo;

    fn add(self, steps: u64) -> SeqNo {
        SeqNo(self.0.wrapping_add(steps))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TwccSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Turns the wrapping sequence numbers of one stream into non-wrapping ones: each becomes the number nearest
/// to the highest one so far, at most half the circle (32768) away.
///
/// The first number of a stream becomes itself plus 65536, so that packets that were sent before it and
/// arrive after it still have a number above zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeqExtender {
    highest: Option<SeqNo>,
}

impl SeqExtender {
    /// Without a number.
    pub const fn new() -> Self {
        Self { highest: None }
    }

    /// The extended number of `seq`, which may become the highest.
    pub fn extend(&mut self, seq: Seq) -> SeqNo {
        let no = self.peek(seq);
        self.highest = self.highest.max(Some(no));
        no
    }

    /// The extended number that [`extend`](Self::extend) would return, without changing the state: for a
    /// packet that is not authenticated yet.
    pub const fn peek(&self, seq: Seq) -> SeqNo {
        match self.highest {
            None => SeqNo((1 << 16) + seq.0 as u64),
            Some(highest) => {
                let step = seq.0.wrapping_sub(highest.0 as u16) as i16;
                SeqNo(highest.0.wrapping_add_signed(step as i64))
            }
        }
    }

    /// The highest number; `None` before the first.
    pub const fn highest(&self) -> Option<SeqNo> {
        self.highest
    }
}

#[cfg(test)]
mod tests;
