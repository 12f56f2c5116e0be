//! Extended reports (RFC 3611): only the two blocks with which a receiver without a sending stream measures
//! the round trip.

use rtp::Ssrc;
use rtp::ntp::NtpTime;

use crate::{u16_at, u32_at};

/// A packet of report blocks.
#[derive(Clone, Copy, Debug)]
pub struct Xr<'a> {
    pub(crate) body: &'a [u8],
}

impl<'a> Xr<'a> {
    /// The reporter.
    pub fn sender(&self) -> Ssrc {
        Ssrc(u32_at(self.body, 0))
    }

    /// The blocks, in order.
    pub fn blocks(&self) -> XrBlockIter<'a> {
        XrBlockIter { rest: &self.body[4..] }
    }

    pub(crate) fn is_valid(&self) -> bool {
        let Some(mut rest) = self.body.get(4..) else { return false };
        while !rest.is_empty() {
            let Some(block) = RawBlock::split(rest) else { return false };
            let sound = match block.block_type {
                RECEIVER_REFERENCE_TIME => block.body.len() == 8,
                DLRR => block.body.len().is_multiple_of(Dlrr::LEN),
                _ => true,
            };
            if !sound {
                return false;
            }
            rest = block.after;
        }
        true
    }
}

/// Iterates over the blocks of an [`Xr`].
#[derive(Clone, Debug)]
pub struct XrBlockIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for XrBlockIter<'a> {
    type Item = XrBlock<'a>;

    fn next(&mut self) -> Option<XrBlock<'a>> {
        let RawBlock { block_type, body, after } = RawBlock::split(self.rest)?;
        self.rest = after;
        Some(match block_type {
            RECEIVER_REFERENCE_TIME => XrBlock::ReceiverReferenceTime(NtpTime(
                (u64::from(u32_at(body, 0)) << 32) | u64::from(u32_at(body, 4)),
            )),
            DLRR => XrBlock::Dlrr(DlrrIter { rest: body }),
            _ => XrBlock::Unknown { block_type, body },
        })
    }
}

impl std::iter::FusedIterator for XrBlockIter<'_> {}

/// One report block.
#[derive(Clone, Debug)]
pub enum XrBlock<'a> {
    /// The send time of this report by the reporter's clock (RFC 3611 §4.4, RRTR).
    ReceiverReferenceTime(NtpTime),
    /// The answers to reference times of others (RFC 3611 §4.5).
    Dlrr(DlrrIter<'a>),
    /// A block of an unsupported type.
    Unknown {
        /// Its number (RFC 3611 §6.2).
        block_type: u8,
        /// The bytes after its header.
        body: &'a [u8],
    },
}

/// Delay since the last receiver reference time: for a receiver what [`ReportBlock`](crate::ReportBlock) is
/// for a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dlrr {
    /// The receiver that sent the reference time.
    pub ssrc: Ssrc,
    /// [`NtpTime::compact`] of its newest reference time; zero before the first.
    pub last_rr: u32,
    /// Time since its arrival, in 1/65536 s; zero before the first.
    pub delay_since_last_rr: u32,
}

impl Dlrr {
    /// Bytes of one sub-block.
    pub(crate) const LEN: usize = 12;
}

/// Iterates over the sub-blocks of a [`XrBlock::Dlrr`].
#[derive(Clone, Debug)]
pub struct DlrrIter<'a> {
    rest: &'a [u8],
}

impl Iterator for DlrrIter<'_> {
    type Item = Dlrr;

    fn next(&mut self) -> Option<Dlrr> {
        let (item, rest) = self.rest.split_at_checked(Dlrr::LEN)?;
        self.rest = rest;
        Some(Dlrr {
            ssrc: Ssrc(u32_at(item, 0)),
            last_rr: u32_at(item, 4),
            delay_since_last_rr: u32_at(item, 8),
        })
    }
}

impl std::iter::FusedIterator for DlrrIter<'_> {}

/// A block with checked framing: type, a type-specific byte, length in words, body.
struct RawBlock<'a> {
    block_type: u8,
    body: &'a [u8],
    /// The bytes after the block.
    after: &'a [u8],
}

impl<'a> RawBlock<'a> {
    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<4>()?;
        let (body, after) = rest.split_at_checked(4 * usize::from(u16_at(header, 2)))?;
        Some(Self { block_type: header[0], body, after })
    }
}

pub(crate) const RECEIVER_REFERENCE_TIME: u8 = 4;
pub(crate) const DLRR: u8 = 5;
