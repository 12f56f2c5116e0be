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
    for (lost, written) in [(0x7f_ffff, 0x7f_ffff), (i32::MAX, 0x7f_ffff), (i32::MIN, -0x80_0000), (-1, -1)] {
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
    let Some(Packet::Twcc(view)) = Compound::new(writer.as_bytes()).expect("well formed").packets().next()
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
