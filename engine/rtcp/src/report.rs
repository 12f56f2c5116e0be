//! Sender and receiver reports (RFC 3550 §6.4).

use rtp::Ssrc;
use rtp::ntp::NtpTime;

use crate::{u16_at, u32_at};

/// The sender's part of a sender report, before the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// The sender.
    pub ssrc: Ssrc,
    /// When the report was sent, by the sender's wall clock.
    pub ntp: NtpTime,
    /// The same moment on the clock of the stream's RTP timestamps.
    pub rtp_timestamp: u32,
    /// RTP packets sent since the start, wrapping.
    pub packet_count: u32,
    /// Payload bytes sent since the start, without headers and padding, wrapping.
    pub octet_count: u32,
}

/// Reception of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: Ssrc,
    /// Share of packets lost since the previous report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the start; negative if duplicates outnumber losses. 24 bits with a sign: values
    /// beyond are clamped.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with the number of wraps in the upper half.
    pub extended_highest_seq: u32,
    /// Interarrival jitter, in units of the RTP clock.
    pub jitter: u32,
    /// [`NtpTime::compact`] of the newest sender report from this source; zero before the first.
    pub last_sr: u32,
    /// Time since the arrival of that report, in 1/65536 s; zero before the first.
    pub delay_since_last_sr: u32,
}

/// A sender report: [`SenderInfo`], then blocks on the streams that the sender receives.
#[derive(Clone, Copy, Debug)]
pub struct SenderReport<'a> {
    pub(crate) count: u8,
    pub(crate) body: &'a [u8],
}

impl<'a> SenderReport<'a> {
    /// The sender.
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(u32_at(self.body, 0))
    }

    /// When the report was sent, by the sender's wall clock.
    pub fn ntp(&self) -> NtpTime {
        NtpTime((u64::from(u32_at(self.body, 4)) << 32) | u64::from(u32_at(self.body, 8)))
    }

    /// The same moment on the clock of the stream's RTP timestamps.
    pub fn rtp_timestamp(&self) -> u32 {
        u32_at(self.body, 12)
    }

    /// RTP packets sent since the start, wrapping.
    pub fn packet_count(&self) -> u32 {
        u32_at(self.body, 16)
    }

    /// Payload bytes sent since the start, wrapping.
    pub fn octet_count(&self) -> u32 {
        u32_at(self.body, 20)
    }

    /// All of the above as a value.
    pub fn info(&self) -> SenderInfo {
        SenderInfo {
            ssrc: self.ssrc(),
            ntp: self.ntp(),
            rtp_timestamp: self.rtp_timestamp(),
            packet_count: self.packet_count(),
            octet_count: self.octet_count(),
        }
    }

    /// Reception of the sender, per source.
    pub fn reports(&self) -> impl ExactSizeIterator<Item = ReportBlock> + 'a {
        blocks(&self.body[SENDER_INFO_LEN..], self.count)
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.body.len() >= SENDER_INFO_LEN + usize::from(self.count) * ReportBlock::LEN
    }
}

/// A receiver report: blocks only.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverReport<'a> {
    pub(crate) count: u8,
    pub(crate) body: &'a [u8],
}

impl<'a> ReceiverReport<'a> {
    /// The receiver that reports.
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(u32_at(self.body, 0))
    }

    /// Its reception, per source.
    pub fn reports(&self) -> impl ExactSizeIterator<Item = ReportBlock> + 'a {
        blocks(&self.body[4..], self.count)
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.body.len() >= 4 + usize::from(self.count) * ReportBlock::LEN
    }
}

impl ReportBlock {
    /// Bytes of a block.
    pub(crate) const LEN: usize = 24;

    fn read(bytes: &[u8]) -> Self {
        Self {
            ssrc: Ssrc(u32_at(bytes, 0)),
            fraction_lost: bytes[4],
            // Shifted up and down again to extend the sign.
            cumulative_lost: (u32_at(bytes, 4) << 8) as i32 >> 8,
            extended_highest_seq: u32_at(bytes, 8),
            jitter: u32_at(bytes, 12),
            last_sr: u32_at(bytes, 16),
            delay_since_last_sr: u32_at(bytes, 20),
        }
    }

    pub(crate) fn write(&self, out: &mut [u8]) {
        let lost = self.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0x00ff_ffff;
        let words = [
            self.ssrc.0,
            (u32::from(self.fraction_lost) << 24) | lost,
            self.extended_highest_seq,
            self.jitter,
            self.last_sr,
            self.delay_since_last_sr,
        ];
        for (field, word) in out.chunks_exact_mut(4).zip(words) {
            field.copy_from_slice(&word.to_be_bytes());
        }
    }

    /// Round-trip time to the reporter (RFC 3550 §6.4.1), from the arrival time of its report by the clock of
    /// our sender reports; `None` if it has not received one yet.
    pub fn round_trip(&self, arrival: NtpTime) -> Option<std::time::Duration> {
        rtp::ntp::round_trip(arrival, self.last_sr, self.delay_since_last_sr)
    }

    /// The 16-bit sequence number of [`extended_highest_seq`](Self::extended_highest_seq).
    pub fn highest_seq(&self) -> rtp::Seq {
        rtp::Seq(u16_at(&self.extended_highest_seq.to_be_bytes(), 2))
    }
}

/// A profile-specific extension after the blocks (RFC 3550 §6.4.3) is ignored.
fn blocks(bytes: &[u8], count: u8) -> impl ExactSizeIterator<Item = ReportBlock> {
    bytes[..usize::from(count) * ReportBlock::LEN].chunks_exact(ReportBlock::LEN).map(ReportBlock::read)
}

/// SSRC and sender info.
pub(crate) const SENDER_INFO_LEN: usize = 24;
