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
mod tests {
    use super::*;
    use crate::limits::TWCC_STATUSES_MAX;
    use crate::{Compound, Packet, XrBlock};
    use proptest::prelude::*;
    use rtp::TwccSeq;

    const ME: Ssrc = Ssrc(0x1111_1111);
    const YOU: Ssrc = Ssrc(0x2222_2222);

    /// Writes one packet into a buffer of 0xa5 of exactly its length, checks that every shorter one is
    /// refused, and reads it.
    fn one(write: impl Fn(&mut Writer<'_>) -> bool, read: impl FnOnce(Packet<'_>)) {
        let mut out = [0xa5; 2000];
        let mut writer = Writer::new(&mut out);
        assert!(write(&mut writer));
        let len = writer.len();
        assert!(out[len..].iter().all(|&byte| byte == 0xa5), "bytes were written past its end");
        for short in 0..len {
            let mut out = vec![0xa5; short];
            let mut writer = Writer::new(&mut out);
            assert!(!write(&mut writer), "{short} of {len} bytes");
            assert!(writer.is_empty());
        }
        let mut exact = vec![0xa5; len];
        assert!(write(&mut Writer::new(&mut exact)));
        assert_eq!(exact, out[..len]);
        let mut packets = Compound::new(&exact).expect("well formed").packets();
        read(packets.next().expect("one packet"));
        assert!(packets.next().is_none());
    }

    fn block(ssrc: u32) -> ReportBlock {
        ReportBlock {
            ssrc: Ssrc(ssrc),
            fraction_lost: 255,
            cumulative_lost: -0x80_0000,
            extended_highest_seq: 0x0102_0304,
            jitter: 0x0506_0708,
            last_sr: 0x090a_0b0c,
            delay_since_last_sr: 0x0d0e_0f10,
        }
    }

    #[test]
    fn sender_reports() {
        let info = SenderInfo {
            ssrc: ME,
            ntp: NtpTime(0x0102_0304_0506_0708),
            rtp_timestamp: 9,
            packet_count: 10,
            octet_count: 11,
        };
        let reports = [block(1), block(2)];
        one(
            |writer| writer.sender_report(&info, &reports),
            |packet| {
                let Packet::SenderReport(view) = packet else { panic!("{packet:?}") };
                assert_eq!(view.info(), info);
                assert_eq!(view.reports().collect::<Vec<_>>(), reports);
            },
        );
    }

    #[test]
    fn receiver_reports_up_to_the_bound() {
        let reports: Vec<_> = (0..32).map(block).collect();
        one(
            |writer| writer.receiver_report(ME, &reports[..31]),
            |packet| {
                let Packet::ReceiverReport(view) = packet else { panic!("{packet:?}") };
                assert_eq!(view.ssrc(), ME);
                assert_eq!(view.reports().collect::<Vec<_>>(), reports[..31]);
            },
        );
        assert!(!Writer::new(&mut [0; 2000]).receiver_report(ME, &reports));
    }

    #[test]
    fn cumulative_loss_is_clamped_to_its_field() {
        for (lost, written) in
            [(0x7f_ffff, 0x7f_ffff), (i32::MAX, 0x7f_ffff), (i32::MIN, -0x80_0000), (-1, -1)]
        {
            one(
                |writer| writer.receiver_report(ME, &[ReportBlock { cumulative_lost: lost, ..block(1) }]),
                |packet| {
                    let Packet::ReceiverReport(view) = packet else { panic!("{packet:?}") };
                    let read = view.reports().next().expect("one block");
                    assert_eq!(read, ReportBlock { cumulative_lost: written, ..block(1) });
                },
            );
        }
    }

    #[test]
    fn canonical_names_of_every_length() {
        for len in [0, 1, 2, 3, 4, 5, 255] {
            let cname = "c".repeat(len);
            one(
                |writer| writer.sdes_cname(ME, &cname),
                |packet| {
                    let Packet::Sdes(view) = packet else { panic!("{packet:?}") };
                    assert_eq!(view.cname(ME), Some(cname.as_bytes()));
                    assert_eq!(view.chunks().count(), 1);
                },
            );
        }
        assert!(!Writer::new(&mut [0; 500]).sdes_cname(ME, &"c".repeat(256)));
    }

    #[test]
    fn bye_packets() {
        one(
            |writer| writer.bye(&[ME, YOU]),
            |packet| {
                let Packet::Bye(view) = packet else { panic!("{packet:?}") };
                assert_eq!(view.ssrcs().collect::<Vec<_>>(), [ME, YOU]);
                assert_eq!(view.reason(), None);
            },
        );
        assert!(!Writer::new(&mut [0; 500]).bye(&[ME; 32]));
    }

    #[test]
    fn nacks_use_masks_for_following_numbers() {
        one(
            |writer| writer.nack(ME, YOU, [65530, 65531, 65535, 10, 11, 27].map(Seq)),
            |packet| {
                let Packet::Nack(view) = packet else { panic!("{packet:?}") };
                assert_eq!((view.sender(), view.media()), (ME, YOU));
                // 10 is sixteen after 65530, the last one in its mask; 27 is sixteen after 11.
                let entries = [0xff, 0xfa, 0x80, 0x11, 0x00, 0x0b, 0x80, 0x00];
                assert_eq!(view.body[FEEDBACK_LEN..], entries);
                assert_eq!(view.losses().collect::<Vec<_>>(), [65530, 65531, 65535, 10, 11, 27].map(Seq));
                assert_eq!(view.loss_count(), 6);
            },
        );
    }

    #[test]
    fn a_nack_without_numbers_writes_nothing() {
        let mut out = [0xa5; 4];
        let mut writer = Writer::new(&mut out);
        assert!(writer.nack(ME, YOU, []));
        assert!(writer.is_empty());
    }

    #[test]
    fn keyframe_requests() {
        one(
            |writer| writer.pli(ME, YOU),
            |packet| {
                let Packet::Pli(view) = packet else { panic!("{packet:?}") };
                assert_eq!((view.sender(), view.media()), (ME, YOU));
            },
        );
        one(
            |writer| writer.fir(ME, &[(YOU, 7), (ME, 255)]),
            |packet| {
                let Packet::Fir(view) = packet else { panic!("{packet:?}") };
                assert_eq!(view.sender(), ME);
                assert_eq!(view.entries().collect::<Vec<_>>(), [(YOU, 7), (ME, 255)]);
            },
        );
        assert!(!Writer::new(&mut [0; 500]).fir(ME, &[]));
    }

    #[test]
    fn bandwidth_estimates_keep_eighteen_bits() {
        let cases = [
            (0, 0),
            (1, 1),
            (0x3_ffff, 0x3_ffff),
            (0x4_0001, 0x4_0000),
            (2_500_000, 2_500_000 & !0xf),
            (u64::MAX, 0x3_ffff << 46),
        ];
        for (bitrate_bps, read) in cases {
            one(
                |writer| writer.remb(ME, bitrate_bps, &[YOU, ME]),
                |packet| {
                    let Packet::Remb(view) = packet else { panic!("{packet:?}") };
                    assert_eq!((view.sender(), view.bitrate_bps()), (ME, read));
                    assert_eq!(view.ssrcs().collect::<Vec<_>>(), [YOU, ME]);
                },
            );
        }
        assert!(!Writer::new(&mut [0; 2000]).remb(ME, 1, &[YOU; 256]));
    }

    #[test]
    fn an_estimate_beyond_64_bits_is_the_maximum() {
        let mut out = [0xa5; 20];
        assert!(Writer::new(&mut out).remb(ME, 1, &[]));
        // Exponent 47 with eighteen bits of mantissa needs 65 bits; exponent 63 with one bit needs 64.
        for (packed, read) in
            [(0xbf_ffffu32, u64::MAX), (0xfc_0001, 1 << 63), (0xfc_0000, 0), (0xfc_0002, u64::MAX)]
        {
            out[16..20].copy_from_slice(&packed.to_be_bytes());
            let compound = Compound::new(&out).expect("well formed");
            let Some(Packet::Remb(view)) = compound.packets().next() else { panic!("a REMB") };
            assert_eq!(view.bitrate_bps(), read, "{packed:#x}");
        }
    }

    #[test]
    fn extended_reports() {
        one(
            |writer| writer.xr_rrtr(ME, NtpTime(0x0102_0304_0506_0708)),
            |packet| {
                let Packet::Xr(view) = packet else { panic!("{packet:?}") };
                assert_eq!(view.sender(), ME);
                let [XrBlock::ReceiverReferenceTime(ntp)] = view.blocks().collect::<Vec<_>>()[..] else {
                    panic!("one block");
                };
                assert_eq!(ntp, NtpTime(0x0102_0304_0506_0708));
            },
        );
        let items = [
            Dlrr { ssrc: YOU, last_rr: 1, delay_since_last_rr: 2 },
            Dlrr { ssrc: ME, last_rr: 3, delay_since_last_rr: u32::MAX },
        ];
        one(
            |writer| writer.xr_dlrr(ME, &items),
            |packet| {
                let Packet::Xr(view) = packet else { panic!("{packet:?}") };
                let Some(XrBlock::Dlrr(read)) = view.blocks().next() else { panic!("a DLRR block") };
                assert_eq!(read.collect::<Vec<_>>(), items);
            },
        );
    }

    fn feedback(statuses: &[Option<i16>]) -> Feedback<'_> {
        Feedback {
            sender: ME,
            media: YOU,
            base_seq: TwccSeq(65000),
            reference_time: -2,
            feedback_count: 255,
            statuses,
        }
    }

    #[test]
    fn transport_feedback_whose_chunks_end_the_packet() {
        // Two chunks, no packet received: no delta follows, and the packet ends with the second chunk.
        let mut statuses = [None; 8192];
        one(
            |writer| writer.twcc(&feedback(&statuses)),
            |packet| {
                let Packet::Twcc(view) = packet else { panic!("{packet:?}") };
                assert_eq!(view.body.len(), 16 + 4);
                assert_eq!((view.base_seq(), view.status_count()), (TwccSeq(65000), 8192));
                assert_eq!((view.reference_time(), view.feedback_count()), (-2, 255));
                assert!(view.statuses().all(|(_, delta)| delta.is_none()));
            },
        );
        statuses[8191] = Some(i16::MIN);
        let mut out = [0xa5; 200];
        let mut writer = Writer::new(&mut out);
        assert!(writer.twcc(&feedback(&statuses)));
        let Some(Packet::Twcc(view)) =
            Compound::new(writer.as_bytes()).expect("well formed").packets().next()
        else {
            panic!("a feedback");
        };
        assert_eq!(view.statuses().last(), Some((TwccSeq(65000).wrapping_add(8191), Some(-0x8000))));
    }

    #[test]
    fn a_refused_packet_does_not_change_earlier_ones() {
        let mut out = [0xa5; 24];
        let mut writer = Writer::new(&mut out);
        assert!(writer.receiver_report(ME, &[]) && writer.pli(ME, YOU));
        assert_eq!((writer.len(), writer.remaining()), (20, 4));
        assert!(!writer.pli(ME, YOU) && !writer.nack(ME, YOU, [Seq(1)]));
        assert!(writer.bye(&[]));
        let kinds: Vec<_> = Compound::new(writer.as_bytes()).expect("well formed").packets().collect();
        assert!(matches!(kinds[..], [Packet::ReceiverReport(_), Packet::Pli(_), Packet::Bye(_)]));
    }

    proptest! {
        /// The naive model is the set itself.
        #[test]
        fn a_nack_contains_each_number_once_in_order(start in any::<u16>(), steps in prop::collection::vec(1u16..40, 0..60)) {
            let mut seq = Seq(start);
            let losses: Vec<Seq> = steps.into_iter().map(|step| { seq = seq.wrapping_add(step); seq }).collect();
            let mut out = [0xa5; 400];
            let mut writer = Writer::new(&mut out);
            prop_assert!(writer.nack(ME, YOU, losses.iter().copied()));
            if losses.is_empty() {
                return Ok(());
            }
            let compound = Compound::new(writer.as_bytes()).expect("well formed");
            let Some(Packet::Nack(view)) = compound.packets().next() else { panic!("a NACK") };
            prop_assert_eq!(view.losses().collect::<Vec<_>>(), losses);
        }

        #[test]
        fn a_nack_in_any_order_contains_the_same_set(losses in prop::collection::vec(0u16..200, 1..40)) {
            let mut out = [0xa5; 400];
            let mut writer = Writer::new(&mut out);
            prop_assert!(writer.nack(ME, YOU, losses.iter().copied().map(Seq)));
            let compound = Compound::new(writer.as_bytes()).expect("well formed");
            let Some(Packet::Nack(view)) = compound.packets().next() else { panic!("a NACK") };
            let set = |numbers: &mut dyn Iterator<Item = u16>| numbers.collect::<std::collections::BTreeSet<_>>();
            prop_assert_eq!(set(&mut view.losses().map(|seq| seq.0)), set(&mut losses.iter().copied()));
        }

        #[test]
        fn transport_feedback_contains_every_status(
            base_seq in any::<u16>(),
            reference_time in -0x80_0000i32..0x80_0000,
            feedback_count in any::<u8>(),
            // Runs of one kind, so that all three types of chunk occur.
            runs in prop::collection::vec((0usize..40, 0u8..3), 0..20),
            deltas in prop::collection::vec(any::<(u8, i16)>(), 1..50),
        ) {
            let mut deltas = deltas.into_iter().cycle();
            let mut statuses: Vec<Option<i16>> = Vec::new();
            for (len, kind) in runs {
                statuses.extend((0..len).map(|_| {
                    let (small, large) = deltas.next().expect("cycles");
                    [None, Some(i16::from(small)), Some(large)][usize::from(kind)]
                }));
            }
            statuses.truncate(TWCC_STATUSES_MAX);
            let feedback = Feedback {
                sender: ME,
                media: YOU,
                base_seq: TwccSeq(base_seq),
                reference_time,
                feedback_count,
                statuses: &statuses,
            };
            let mut out = [0xa5; 1500];
            let mut writer = Writer::new(&mut out);
            prop_assert!(writer.twcc(&feedback));
            let compound = Compound::new(writer.as_bytes()).expect("well formed");
            let Some(Packet::Twcc(view)) = compound.packets().next() else { panic!("a feedback") };
            prop_assert_eq!((view.sender(), view.media(), view.base_seq()), (ME, YOU, TwccSeq(base_seq)));
            prop_assert_eq!((view.reference_time(), view.feedback_count()), (reference_time, feedback_count));
            let expected: Vec<_> = (0u16..)
                .zip(&statuses)
                .map(|(step, &status)| (TwccSeq(base_seq).wrapping_add(step), status.map(i32::from)))
                .collect();
            prop_assert_eq!(view.statuses().collect::<Vec<_>>(), expected);
        }
    }
}
