//! Feedback messages (RFC 4585 §6.1): the sender, the media stream, and the request.

use rtp::{Seq, Ssrc};

use crate::{u16_at, u32_at};

/// Generic NACK (RFC 4585 §6.2.1): missing packets.
#[derive(Clone, Copy, Debug)]
pub struct Nack<'a> {
    pub(crate) body: &'a [u8],
}

impl<'a> Nack<'a> {
    /// The sender of the request.
    pub fn sender(&self) -> Ssrc {
        Ssrc(u32_at(self.body, 0))
    }

    /// The stream with missing packets.
    pub fn media(&self) -> Ssrc {
        Ssrc(u32_at(self.body, 4))
    }

    /// The missing numbers, in the written order; at most 17 per four bytes. A hostile sender may repeat
    /// numbers.
    pub fn losses(&self) -> LossIter<'a> {
        LossIter { entries: &self.body[FEEDBACK_LEN..], next: 0 }
    }

    /// The number of items of [`losses`](Self::losses), without iterating over them.
    pub fn loss_count(&self) -> usize {
        let entries = self.body[FEEDBACK_LEN..].chunks_exact(4);
        entries.map(|entry| 1 + u16_at(entry, 2).count_ones() as usize).sum()
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.body.len() > FEEDBACK_LEN && self.body.len().is_multiple_of(4)
    }
}

/// Iterates over the sequence numbers of a [`Nack`]: of each entry the packet id (PID), then those of the
/// next sixteen whose bit is set in the mask (BLP).
#[derive(Clone, Debug)]
pub struct LossIter<'a> {
    entries: &'a [u8],
    /// The next of the seventeen numbers of the first entry.
    next: u16,
}

impl Iterator for LossIter<'_> {
    type Item = Seq;

    fn next(&mut self) -> Option<Seq> {
        while self.entries.len() >= 4 {
            let (pid, mask) = (Seq(u16_at(self.entries, 0)), u16_at(self.entries, 2));
            if self.next == 0 {
                self.next = 1;
                return Some(pid);
            }
            let ahead = mask.checked_shr(u32::from(self.next) - 1).unwrap_or(0);
            if ahead != 0 {
                let step = self.next + ahead.trailing_zeros() as u16;
                self.next = step + 1;
                return Some(pid.wrapping_add(step));
            }
            self.entries = &self.entries[4..];
            self.next = 0;
        }
        None
    }
}

impl std::iter::FusedIterator for LossIter<'_> {}

/// Picture loss indication (RFC 4585 §6.3.1): a decoder has lost the picture and needs a keyframe.
#[derive(Clone, Copy, Debug)]
pub struct Pli<'a> {
    pub(crate) body: &'a [u8],
}

impl Pli<'_> {
    /// The sender of the request.
    pub fn sender(&self) -> Ssrc {
        Ssrc(u32_at(self.body, 0))
    }

    /// The stream that should send a keyframe.
    pub fn media(&self) -> Ssrc {
        Ssrc(u32_at(self.body, 4))
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.body.len() >= FEEDBACK_LEN
    }
}

/// Full intra request (RFC 5104 §4.3.1): a decoder without state needs a keyframe.
#[derive(Clone, Copy, Debug)]
pub struct Fir<'a> {
    pub(crate) body: &'a [u8],
}

impl<'a> Fir<'a> {
    /// The sender of the request.
    pub fn sender(&self) -> Ssrc {
        Ssrc(u32_at(self.body, 0))
    }

    /// The stream that should send a keyframe, and the sequence number of the request: the same number is a
    /// repeated request.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (Ssrc, u8)> + 'a {
        self.body[FEEDBACK_LEN..].chunks_exact(8).map(|entry| (Ssrc(u32_at(entry, 0)), entry[4]))
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.body.len() > FEEDBACK_LEN && self.body.len().is_multiple_of(8)
    }
}

/// Receiver-estimated maximum bitrate (draft-alvestrand-rmcat-remb-03 §2.2).
#[derive(Clone, Copy, Debug)]
pub struct Remb<'a> {
    pub(crate) body: &'a [u8],
}

impl<'a> Remb<'a> {
    /// The sender of the estimate.
    pub fn sender(&self) -> Ssrc {
        Ssrc(u32_at(self.body, 0))
    }

    /// The estimated bandwidth of all the streams together, bits per second. An 18-bit mantissa and a 6-bit
    /// exponent can exceed 64 bits; then it is `u64::MAX`.
    pub fn bitrate_bps(&self) -> u64 {
        let packed = u32_at(self.body, 12);
        let (exponent, mantissa) = ((packed >> 18) & 0x3f, u64::from(packed & 0x3_ffff));
        if mantissa.leading_zeros() >= exponent { mantissa << exponent } else { u64::MAX }
    }

    /// The streams of the estimate.
    pub fn ssrcs(&self) -> impl ExactSizeIterator<Item = Ssrc> + 'a {
        self.body[REMB_LEN..self.end()].chunks_exact(4).map(|word| Ssrc(u32_at(word, 0)))
    }

    /// Whether application layer feedback has the identifier of REMB.
    pub(crate) fn is_named(body: &[u8]) -> bool {
        body.get(FEEDBACK_LEN..FEEDBACK_LEN + 4) == Some(&REMB_NAME)
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.body.len() >= REMB_LEN && self.body.len() >= self.end()
    }

    fn end(&self) -> usize {
        REMB_LEN + 4 * usize::from(self.body[12])
    }
}

/// SSRC of the sender of the feedback and SSRC of the media.
pub(crate) const FEEDBACK_LEN: usize = 8;
/// The above, the identifier, and number of SSRCs and bitrate packed together.
pub(crate) const REMB_LEN: usize = FEEDBACK_LEN + 8;
pub(crate) const REMB_NAME: [u8; 4] = *b"REMB";
