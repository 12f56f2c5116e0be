//! Building a compound packet, packet by packet, in the caller's buffer.

use rtp::ntp::NtpTime;
use rtp::{Seq, Ssrc};

use crate::compound::HEADER_LEN;
use crate::feedback::{FEEDBACK_LEN, REMB_LEN, REMB_NAME};
use crate::limits::COUNT_MAX;
use crate::report::{ReportBlock, SENDER_INFO_LEN, SenderInfo};
use crate::twcc::Feedback;
use crate::xr::{self, Dlrr};
use crate::{format, packet_type, sdes};

/// Appends packets to a buffer. Every method returns `false` without writing if its packet does not fit the
/// buffer or its numbers do not fit the format.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// An empty compound.
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// Bytes written; a multiple of four.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes left in the buffer.
    pub fn remaining(&self) -> usize {
        self.out.len() - self.len
    }

    /// Removes the bytes after the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// The compound so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.out[..self.len]
    }

    /// A sender report (RFC 3550 §6.4.1) with blocks on the received streams, at most [`COUNT_MAX`].
    pub fn sender_report(&mut self, info: &SenderInfo, reports: &[ReportBlock]) -> bool {
        let body_len = SENDER_INFO_LEN + reports.len() * ReportBlock::LEN;
        let Some(body) = self.packet(reports.len(), packet_type::SR, body_len) else { return false };
        let words = [
            info.ssrc.0,
            (info.ntp.0 >> 32) as u32,
            info.ntp.0 as u32,
            info.rtp_timestamp,
            info.packet_count,
            info.octet_count,
        ];
        put_words(body, words);
        put_blocks(&mut body[SENDER_INFO_LEN..], reports);
        true
    }

    /// A receiver report (RFC 3550 §6.4.2), at most [`COUNT_MAX`] blocks.
    pub fn receiver_report(&mut self, ssrc: Ssrc, reports: &[ReportBlock]) -> bool {
        let body_len = 4 + reports.len() * ReportBlock::LEN;
        let Some(body) = self.packet(reports.len(), packet_type::RR, body_len) else { return false };
        put_words(body, [ssrc.0]);
        put_blocks(&mut body[4..], reports);
        true
    }

    /// A source description with the canonical name (RFC 3550 §6.5.1), at most 255 bytes.
    pub fn sdes_cname(&mut self, ssrc: Ssrc, cname: &str) -> bool {
        let Ok(len) = u8::try_from(cname.len()) else { return false };
        // The chunk ends with at least one zero byte.
        let body_len = (4 + 2 + cname.len() + 1).next_multiple_of(4);
        let Some(body) = self.packet(1, packet_type::SDES, body_len) else { return false };
        put_words(body, [ssrc.0]);
        body[4..6].copy_from_slice(&[sdes::CNAME, len]);
        body[6..6 + cname.len()].copy_from_slice(cname.as_bytes());
        body[6 + cname.len()..].fill(0);
        true
    }

    /// A BYE (RFC 3550 §6.6) of at most [`COUNT_MAX`] sources.
    pub fn bye(&mut self, ssrcs: &[Ssrc]) -> bool {
        let Some(body) = self.packet(ssrcs.len(), packet_type::BYE, 4 * ssrcs.len()) else { return false };
        put_words(body, ssrcs.iter().map(|ssrc| ssrc.0));
        true
    }

    /// A generic NACK (RFC 4585 §6.2.1). Numbers in ascending order (wrapping) need the least space; any
    /// order is valid. Without numbers nothing is written, which succeeds.
    pub fn nack(&mut self, sender: Ssrc, media: Ssrc, losses: impl IntoIterator<Item = Seq>) -> bool {
        let mut losses = losses.into_iter();
        let Some(mut pid) = losses.next() else { return true };
        let mut mask = 0u16;
        // The number of entries is not known in advance: they are written first, then the header.
        let mut at = self.len + HEADER_LEN + FEEDBACK_LEN;
        for seq in losses {
            match pid.forward_distance(seq) {
                0 => {}
                step @ 1..=16 => mask |= 1 << (step - 1),
                _ => {
                    if !self.put_nack_entry(&mut at, pid, mask) {
                        return false;
                    }
                    (pid, mask) = (seq, 0);
                }
            }
        }
        if !self.put_nack_entry(&mut at, pid, mask) {
            return false;
        }
        let body_len = at - self.len - HEADER_LEN;
        let Some(body) = self.packet(usize::from(format::NACK), packet_type::RTPFB, body_len) else {
            return false;
        };
        put_words(body, [sender.0, media.0]);
        true
    }

    /// A picture loss indication (RFC 4585 §6.3.1).
    pub fn pli(&mut self, sender: Ssrc, media: Ssrc) -> bool {
        let Some(body) = self.packet(usize::from(format::PLI), packet_type::PSFB, FEEDBACK_LEN) else {
            return false;
        };
        put_words(body, [sender.0, media.0]);
        true
    }

    /// A full intra request (RFC 5104 §4.3.1): the streams, each with the sequence number of the request.
    /// `false` without entries.
    pub fn fir(&mut self, sender: Ssrc, entries: &[(Ssrc, u8)]) -> bool {
        if entries.is_empty() {
            return false;
        }
        let body_len = FEEDBACK_LEN + 8 * entries.len();
        let Some(body) = self.packet(usize::from(format::FIR), packet_type::PSFB, body_len) else {
            return false;
        };
        // The media SSRC of the header is unused and zero (RFC 5104 §4.3.1.2); each entry has an SSRC.
        put_words(body, [sender.0, 0]);
        put_words(
            &mut body[FEEDBACK_LEN..],
            entries.iter().flat_map(|&(ssrc, number)| [ssrc.0, u32::from(number) << 24]),
        );
        true
    }

    /// An estimate of the bandwidth (draft-alvestrand-rmcat-remb-03) for at most 255 streams, rounded down to
    /// 18 bits and an exponent.
    pub fn remb(&mut self, sender: Ssrc, bitrate_bps: u64, ssrcs: &[Ssrc]) -> bool {
        let Ok(count) = u8::try_from(ssrcs.len()) else { return false };
        let body_len = REMB_LEN + 4 * ssrcs.len();
        let Some(body) = self.packet(usize::from(format::ALFB), packet_type::PSFB, body_len) else {
            return false;
        };
        let exponent = (64 - bitrate_bps.leading_zeros()).saturating_sub(18);
        let mantissa = (bitrate_bps >> exponent) as u32;
        let packed = (u32::from(count) << 24) | (exponent << 18) | mantissa;
        put_words(body, [sender.0, 0, u32::from_be_bytes(REMB_NAME), packed]);
        put_words(&mut body[REMB_LEN..], ssrcs.iter().map(|ssrc| ssrc.0));
        true
    }

    /// A transport-wide congestion control feedback. `false` also for more than 65535 statuses.
    pub fn twcc(&mut self, feedback: &Feedback<'_>) -> bool {
        if feedback.statuses.len() > usize::from(u16::MAX) {
            return false;
        }
        let body_len = feedback.body_len();
        let Some(body) = self.packet(usize::from(format::TWCC), packet_type::RTPFB, body_len) else {
            return false;
        };
        feedback.write_body(body);
        true
    }

    /// A receiver reference time (RFC 3611 §4.4): a receiver without a sending stream measures the round trip
    /// from the DLRR that answers it.
    pub fn xr_rrtr(&mut self, sender: Ssrc, now: NtpTime) -> bool {
        let Some(body) = self.packet(0, packet_type::XR, 16) else { return false };
        let header = (u32::from(xr::RECEIVER_REFERENCE_TIME) << 24) | 2;
        put_words(body, [sender.0, header, (now.0 >> 32) as u32, now.0 as u32]);
        true
    }

    /// Answers to receiver reference times (RFC 3611 §4.5).
    pub fn xr_dlrr(&mut self, sender: Ssrc, items: &[Dlrr]) -> bool {
        let Ok(words) = u16::try_from(items.len() * Dlrr::LEN / 4) else { return false };
        let body_len = 8 + items.len() * Dlrr::LEN;
        let Some(body) = self.packet(0, packet_type::XR, body_len) else { return false };
        put_words(body, [sender.0, (u32::from(xr::DLRR) << 24) | u32::from(words)]);
        put_words(
            &mut body[8..],
            items.iter().flat_map(|item| [item.ssrc.0, item.last_rr, item.delay_since_last_rr]),
        );
        true
    }

    /// Writes a header and returns the body, whose every byte must be filled.
    fn packet(&mut self, count: usize, packet_type: u8, body_len: usize) -> Option<&mut [u8]> {
        debug_assert!(body_len.is_multiple_of(4));
        let words = u16::try_from(body_len / 4).ok().filter(|_| count <= COUNT_MAX)?;
        let packet = self.out[self.len..].get_mut(..HEADER_LEN + body_len)?;
        self.len += packet.len();
        packet[0] = 0x80 | count as u8;
        packet[1] = packet_type;
        packet[2..4].copy_from_slice(&words.to_be_bytes());
        Some(&mut packet[HEADER_LEN..])
    }

    fn put_nack_entry(&mut self, at: &mut usize, pid: Seq, mask: u16) -> bool {
        let Some(entry) = self.out.get_mut(*at..*at + 4) else { return false };
        put_words(entry, [(u32::from(pid.0) << 16) | u32::from(mask)]);
        *at += 4;
        true
    }
}

/// Fills the front of `out` with words.
fn put_words(out: &mut [u8], words: impl IntoIterator<Item = u32>) {
    for (field, word) in out.chunks_exact_mut(4).zip(words) {
        field.copy_from_slice(&word.to_be_bytes());
    }
}

fn put_blocks(out: &mut [u8], reports: &[ReportBlock]) {
    for (field, report) in out.chunks_exact_mut(ReportBlock::LEN).zip(reports) {
        report.write(field);
    }
}

#[cfg(test)]
mod tests;
