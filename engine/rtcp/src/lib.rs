//! RTCP (RFC 3550 §6, RFC 4585) as checked views over bytes, and its builders.
//!
//! [`Walk`] checks each packet of a received datagram once, and skips a malformed one; the packets it returns
//! are views whose accessors cannot fail. [`Writer`] appends packets to a buffer. On top: [`twcc::Recorder`],
//! the receiving side of transport-wide congestion control, and [`reception::Reception`], the statistics of
//! RFC 3550 appendix A. What is *not* here: the timing of reports, and SRTCP.

#![forbid(unsafe_code)]

mod compound;
mod feedback;
pub mod limits;
pub mod reception;
mod report;
mod sdes;
#[cfg(test)]
mod testing;
pub mod twcc;
mod writer;
mod xr;

pub use compound::{Compound, Malformed, Packet, PacketIter, Unknown, Walk};
pub use feedback::{Fir, LossIter, Nack, Pli, Remb};
pub use report::{ReceiverReport, ReportBlock, SenderInfo, SenderReport};
pub use sdes::{App, Bye, Chunk, ChunkIter, Item, ItemIter, Sdes};
pub use twcc::{Feedback as TwccFeedback, Twcc};
pub use writer::Writer;
pub use xr::{Dlrr, DlrrIter, Xr, XrBlock, XrBlockIter};

/// Whether a datagram that is RTP or RTCP is RTCP, by its second byte (RFC 5761 §4): an RTCP packet type is
/// 192 to 223, which as RTP would be the marker bit with payload types 64 to 95, and those are not used with
/// RTP on a shared port. `false` without a second byte.
pub fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes.get(1), Some(192..=223))
}

/// Packet types (RFC 3550 §12.1, RFC 4585 §6.1, RFC 3611 §2).
pub(crate) mod packet_type {
    pub const SR: u8 = 200;
    pub const RR: u8 = 201;
    pub const SDES: u8 = 202;
    pub const BYE: u8 = 203;
    pub const APP: u8 = 204;
    pub const RTPFB: u8 = 205;
    pub const PSFB: u8 = 206;
    pub const XR: u8 = 207;
}

/// Feedback message types (RFC 4585 §6.2 and §6.3, RFC 5104 §4.3.1, the REMB and transport-cc drafts).
pub(crate) mod format {
    /// Of RTPFB.
    pub const NACK: u8 = 1;
    /// Of RTPFB.
    pub const TWCC: u8 = 15;
    /// Of PSFB.
    pub const PLI: u8 = 1;
    /// Of PSFB.
    pub const FIR: u8 = 4;
    /// Of PSFB: application layer feedback, of which REMB is one.
    pub const ALFB: u8 = 15;
}

/// Reads a 16-bit number. The caller has checked the length.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Reads a 32-bit number. The caller has checked the length.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_byte_distinguishes_rtcp_from_rtp() {
        assert!(is_rtcp(&[0x80, 200]) && is_rtcp(&[0x80, 192]) && is_rtcp(&[0x80, 223]));
        assert!(!is_rtcp(&[0x80, 191]) && !is_rtcp(&[0x80, 224]) && !is_rtcp(&[0x80, 111]));
        assert!(!is_rtcp(&[0x80]) && !is_rtcp(&[]));
    }
}
