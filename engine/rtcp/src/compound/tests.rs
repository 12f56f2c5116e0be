use super::*;
use crate::testing::hex;
use crate::{ReportBlock, SenderInfo, Writer};
use proptest::prelude::*;
use rtp::ntp::NtpTime;
use rtp::{Seq, Ssrc};

fn packets(bytes: &[u8]) -> Vec<Packet<'_>> {
    Compound::new(bytes).expect("well formed").packets().collect()
}

fn sr_sdes() -> Vec<u8> {
    hex(include_str!("../../../../tests/vectors/rfc3550/sr-sdes.hex"))
}

#[test]
fn reads_a_sender_report_and_a_description() {
    let bytes = sr_sdes();
    let [Packet::SenderReport(report), Packet::Sdes(sdes)] = packets(&bytes)[..] else {
        panic!("two packets");
    };
    let info = SenderInfo {
        ssrc: Ssrc(110),
        ntp: NtpTime(0xb44d_b705_2000_0000),
        rtp_timestamp: 16000,
        packet_count: 200,
        octet_count: 32000,
    };
    assert_eq!(report.info(), info);
    let block = ReportBlock {
        ssrc: Ssrc(114),
        fraction_lost: 64,
        cumulative_lost: -2,
        extended_highest_seq: 0x2_0005,
        jitter: 34,
        last_sr: 0,
        delay_since_last_sr: 0,
    };
    assert_eq!(report.reports().collect::<Vec<_>>(), [block]);
    assert_eq!(block.highest_seq(), Seq(5));
    assert_eq!(block.round_trip(info.ntp), None);

    let chunks: Vec<_> = sdes.chunks().collect();
    assert_eq!(chunks.iter().map(|chunk| chunk.ssrc).collect::<Vec<_>>(), [Ssrc(110), Ssrc(114)]);
    let items: Vec<_> = chunks[0].items().map(|item| (item.kind, item.text)).collect();
    assert_eq!(items, [(1, &b"a@b.c"[..]), (2, b"x")]);
    assert_eq!(sdes.cname(Ssrc(114)), Some(&b"mixer"[..]));
    assert_eq!(sdes.cname(Ssrc(1)), None);
}

#[test]
fn reads_a_receiver_report_and_a_bye() {
    let bytes = hex(include_str!("../../../../tests/vectors/rfc3550/rr-bye.hex"));
    let [Packet::ReceiverReport(report), Packet::Bye(bye)] = packets(&bytes)[..] else {
        panic!("two packets");
    };
    assert_eq!(report.ssrc(), Ssrc(114));
    let block = report.reports().next().expect("one block");
    // The example of figure 2 (RFC 3550 §6.4.1): 6.125 s.
    let round_trip = block.round_trip(NtpTime(0xb44d_b710_8000_0000));
    assert_eq!(round_trip, Some(std::time::Duration::from_millis(6125)));
    assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [Ssrc(114), Ssrc(115)]);
    assert_eq!(bye.reason(), Some(&b"so long"[..]));
}

#[test]
fn reads_an_application_packet_without_its_padding() {
    let bytes = hex(include_str!("../../../../tests/vectors/rfc3550/app.hex"));
    let [Packet::App(app)] = packets(&bytes)[..] else { panic!("one packet") };
    assert_eq!((app.subtype(), app.ssrc(), app.name()), (9, Ssrc(110), *b"LEAT"));
    assert_eq!(app.data(), [1, 2, 3, 4]);
}

#[test]
fn cut_short_anywhere_but_between_packets_is_malformed() {
    let bytes = sr_sdes();
    for len in 0..bytes.len() {
        let compound = Compound::new(&bytes[..len]);
        match len {
            0 => assert_eq!(compound.err(), Some(Malformed::Empty)),
            52 => assert_eq!(compound.expect("the report alone").packets().count(), 1),
            1..4 | 53..56 => assert_eq!(compound.err(), Some(Malformed::TooShort), "{len} bytes"),
            _ => assert_eq!(compound.err(), Some(Malformed::Cut), "{len} bytes"),
        }
    }
}

/// A packet of this count, type and body.
fn packet(count: u8, packet_type: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | count, packet_type, 0, (body.len() / 4) as u8];
    bytes.extend(body);
    bytes
}

#[test]
fn a_body_shorter_than_its_type_requires_is_malformed() {
    // Count or format, type, and the shortest valid body.
    let shortest: &[(u8, u8, Vec<u8>)] = &[
        (0, packet_type::SR, vec![0; 24]),
        (1, packet_type::SR, vec![0; 48]),
        (0, packet_type::RR, vec![0; 4]),
        (31, packet_type::RR, vec![0; 4 + 31 * 24]),
        (1, packet_type::SDES, vec![0; 8]),
        (2, packet_type::SDES, vec![0; 16]),
        (2, packet_type::BYE, vec![0; 8]),
        (0, packet_type::APP, vec![0; 8]),
        (format::NACK, packet_type::RTPFB, vec![0; 12]),
        (format::TWCC, packet_type::RTPFB, vec![0; 16]),
        (format::PLI, packet_type::PSFB, vec![0; 8]),
        (format::FIR, packet_type::PSFB, vec![0; 16]),
        (format::ALFB, packet_type::PSFB, [&[0; 8], &b"REMB"[..], &[0; 4]].concat()),
        (format::ALFB, packet_type::PSFB, [&[0; 8], &b"REMB\x01"[..], &[0; 7]].concat()),
        (0, packet_type::XR, vec![0; 4]),
        (0, packet_type::XR, [&[0; 4], &[4, 0, 0, 2][..], &[0; 8]].concat()),
        (0, packet_type::XR, [&[0; 4], &[5, 0, 0, 3][..], &[0; 12]].concat()),
    ];
    for (count, packet_type, body) in shortest {
        let whole = packet(*count, *packet_type, body);
        assert!(Compound::new(&whole).is_ok(), "type {packet_type}, count {count}");
        let cut = packet(*count, *packet_type, &body[..body.len() - 4]);
        let error = Compound::new(&cut).err();
        assert_eq!(error, Some(Malformed::Body), "type {packet_type}, count {count}");
    }
}

#[test]
fn texts_must_end_within_their_packet() {
    let unended = packet(1, packet_type::SDES, &[0, 0, 0, 1, 1, 2, b'a', b'b']);
    assert_eq!(Compound::new(&unended).err(), Some(Malformed::Body), "the chunk has no zero byte at its end");
    let long = packet(1, packet_type::SDES, &[0, 0, 0, 1, 1, 200, b'a', 0]);
    assert_eq!(Compound::new(&long).err(), Some(Malformed::Body));
    let reason = packet(1, packet_type::BYE, &[0, 0, 0, 1, 4, b'b', b'y', b'e']);
    assert_eq!(Compound::new(&reason).err(), Some(Malformed::Body));
    let no_reason = packet(1, packet_type::BYE, &[0, 0, 0, 1]);
    let [Packet::Bye(bye)] = packets(&no_reason)[..] else { panic!("one packet") };
    assert_eq!(bye.reason(), None);
}

#[test]
fn extended_report_blocks_must_have_their_length() {
    let short_reference = packet(0, packet_type::XR, &[0, 0, 0, 1, 4, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(Compound::new(&short_reference).err(), Some(Malformed::Body));
    let odd_dlrr = packet(0, packet_type::XR, &[0, 0, 0, 1, 5, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(Compound::new(&odd_dlrr).err(), Some(Malformed::Body));
    let past_the_end = packet(0, packet_type::XR, &[0, 0, 0, 1, 9, 0, 0, 1]);
    assert_eq!(Compound::new(&past_the_end).err(), Some(Malformed::Body));
}

#[test]
fn only_the_last_packet_may_be_padded() {
    let mut padded = packet(0, packet_type::RR, &[0, 0, 0, 1, 0, 0, 0, 4]);
    padded[0] |= PADDING_BIT;
    assert!(Compound::new(&padded).is_ok());
    let twice = [&padded[..], &padded].concat();
    assert_eq!(Compound::new(&twice).err(), Some(Malformed::PaddingBeforeEnd));
    for count in [0, 9, 255] {
        padded[11] = count;
        assert_eq!(Compound::new(&padded).err(), Some(Malformed::Padding), "{count} of 8");
    }
    padded[11] = 8;
    assert_eq!(Compound::new(&padded).err(), Some(Malformed::Body), "padding in place of the SSRC");
}

/// Each packet's name, or its error.
fn walked(bytes: &[u8]) -> Vec<Result<&'static str, Malformed>> {
    let name = |packet| match packet {
        Packet::SenderReport(_) => "SR",
        Packet::ReceiverReport(_) => "RR",
        Packet::Sdes(_) => "SDES",
        Packet::Pli(_) => "PLI",
        other => panic!("{other:?}"),
    };
    Walk::new(bytes).map(|packet| packet.map(name)).collect()
}

#[test]
fn a_malformed_packet_is_skipped_and_the_others_are_kept() {
    let report = packet(0, packet_type::SR, &[0; 24]);
    let pli = packet(format::PLI, packet_type::PSFB, &[0, 0, 0, 1, 0, 0, 0, 2]);
    let mut padded_report = report.clone();
    padded_report[0] |= PADDING_BIT;
    let bad = [
        (
            "SDES without the final null",
            packet(1, packet_type::SDES, b"\0\0\0\x07\x01\x06janus1"),
            Malformed::Body,
        ),
        (
            "SDES whose text is longer than the packet",
            packet(1, packet_type::SDES, b"\0\0\0\x07\x01\xc8ja"),
            Malformed::Body,
        ),
        (
            "SDES that announces two chunks and has one",
            packet(2, packet_type::SDES, &[0; 8]),
            Malformed::Body,
        ),
        ("FIR without entries", packet(format::FIR, packet_type::PSFB, &[0; 8]), Malformed::Body),
        ("NACK without entries", packet(format::NACK, packet_type::RTPFB, &[0; 8]), Malformed::Body),
        ("RR of four bytes", packet(0, packet_type::RR, &[]), Malformed::Body),
        ("RR that announces one block and has none", packet(1, packet_type::RR, &[0; 4]), Malformed::Body),
        ("padded SR", padded_report, Malformed::PaddingBeforeEnd),
    ];
    for (name, bad, malformed) in bad {
        let around = walked(&[&report[..], &bad, &pli].concat());
        assert_eq!(around, [Ok("SR"), Err(malformed), Ok("PLI")], "{name}");
        assert_eq!(walked(&[&bad[..], &report].concat()), [Err(malformed), Ok("SR")], "{name} first");
        let twice = walked(&[&report[..], &bad, &bad, &pli].concat());
        assert_eq!(twice, [Ok("SR"), Err(malformed), Err(malformed), Ok("PLI")], "{name} twice");
    }
}

#[test]
fn packets_before_a_framing_error_are_kept() {
    let report = packet(0, packet_type::SR, &[0; 24]);
    // An SDES that announces two words too many.
    let mut cut = packet(1, packet_type::SDES, b"\0\0\0\x07\x01\x05janus\0");
    cut[3] += 2;
    let mut stranger = packet(0, packet_type::RR, &[0; 4]);
    stranger[0] = 0x40;
    for (end, malformed) in
        [(cut, Malformed::Cut), (stranger, Malformed::Version), (vec![0x80, 201], Malformed::TooShort)]
    {
        assert_eq!(walked(&[&report[..], &end].concat()), [Ok("SR"), Err(malformed)]);
        assert_eq!(walked(&end), [Err(malformed)]);
    }
    assert_eq!(walked(&[]), []);
}

#[test]
fn another_version_is_another_protocol() {
    for version in [0x00, 0x40, 0xc0] {
        let mut bytes = sr_sdes();
        bytes[52] = bytes[52] & 0x3f | version;
        assert_eq!(Compound::new(&bytes).err(), Some(Malformed::Version));
    }
}

#[test]
fn unsupported_packets_are_returned_whole() {
    let bytes = [
        packet(3, packet_type::RTPFB, &[1, 2, 3, 4]),
        packet(format::ALFB, packet_type::PSFB, b"12345678XXXX"),
        packet(0, 195, &[]),
    ]
    .concat();
    let unknown: Vec<_> = packets(&bytes)
        .into_iter()
        .map(|packet| match packet {
            Packet::Unknown(unknown) => (unknown.packet_type, unknown.count, unknown.body),
            known => panic!("{known:?}"),
        })
        .collect();
    assert_eq!(unknown, [(205, 3, &[1, 2, 3, 4][..]), (206, 15, b"12345678XXXX"), (195, 0, &[])]);
}

/// Calls all accessors.
fn read_all<'a>(packets: impl IntoIterator<Item = Packet<'a>>) -> usize {
    let mut things = 0;
    for packet in packets {
        things += match packet {
            Packet::SenderReport(view) => {
                let _ = view.info();
                view.reports().count()
            }
            Packet::ReceiverReport(view) => {
                let _ = view.ssrc();
                view.reports().count()
            }
            Packet::Sdes(view) => view.chunks().map(|chunk| chunk.items().count()).sum(),
            Packet::Bye(view) => view.ssrcs().count() + view.reason().map_or(0, <[u8]>::len),
            Packet::App(view) => {
                let _ = (view.subtype(), view.ssrc(), view.name());
                view.data().len()
            }
            Packet::Nack(view) => {
                let _ = (view.sender(), view.media());
                view.losses().count()
            }
            Packet::Pli(view) => (view.sender().0 ^ view.media().0) as usize & 1,
            Packet::Fir(view) => {
                let _ = view.sender();
                view.entries().count()
            }
            Packet::Remb(view) => {
                let _ = (view.sender(), view.bitrate_bps());
                view.ssrcs().count()
            }
            Packet::Twcc(view) => {
                let _ = (view.sender(), view.media(), view.reference_time(), view.feedback_count());
                // The check guarantees that no status is missing.
                assert_eq!(view.statuses().count(), usize::from(view.status_count()));
                usize::from(view.status_count())
            }
            Packet::Xr(view) => {
                let _ = view.sender();
                view.blocks()
                    .map(|block| match block {
                        crate::XrBlock::Dlrr(items) => items.count(),
                        _ => 1,
                    })
                    .sum()
            }
            Packet::Unknown(unknown) => unknown.body.len(),
        }
    }
    things
}

/// Packets with correct framing, so that the bodies are tested.
fn any_framed() -> impl Strategy<Value = Vec<u8>> {
    let kind = (any::<u8>(), 192u8..212);
    let body = prop::collection::vec(any::<[u8; 4]>(), 0..20);
    prop::collection::vec((kind, body), 1..4).prop_map(|packets| {
        let mut bytes = Vec::new();
        let last = packets.len() - 1;
        for (index, ((first, packet_type), body)) in packets.into_iter().enumerate() {
            let padding = if index == last { first & PADDING_BIT } else { 0 };
            bytes.extend([0x80 | padding | (first & 0x1f), packet_type, 0, body.len() as u8]);
            bytes.extend(body.concat());
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_are_parsed_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = Compound::new(&bytes).map(read_all);
        let _ = read_all(Walk::new(&bytes).flatten());
    }

    #[test]
    fn no_framed_bytes_panic(bytes in any_framed()) {
        let _ = Compound::new(&bytes).map(read_all);
        let _ = read_all(Walk::new(&bytes).flatten());
    }

    /// A datagram with all packet types and one changed byte: the most likely way to a half-valid packet.
    #[test]
    fn no_changed_byte_panics(at in 0usize..200, byte in any::<u8>()) {
        let mut out = [0xa5; 400];
        let mut writer = Writer::new(&mut out);
        let statuses = [Some(3), None, Some(-1), Some(300), None, None, None, None, None, None, Some(7)];
        let feedback = crate::TwccFeedback {
            sender: Ssrc(1),
            media: Ssrc(2),
            base_seq: rtp::TwccSeq(65530),
            reference_time: 5,
            feedback_count: 6,
            statuses: &statuses,
        };
        let dlrr = crate::Dlrr { ssrc: Ssrc(1), last_rr: 2, delay_since_last_rr: 3 };
        let written = writer.receiver_report(Ssrc(1), &[])
            && writer.sdes_cname(Ssrc(1), "cname")
            && writer.nack(Ssrc(1), Ssrc(2), [Seq(1), Seq(5), Seq(40)])
            && writer.fir(Ssrc(1), &[(Ssrc(2), 3)])
            && writer.remb(Ssrc(1), 1_000_000, &[Ssrc(2)])
            && writer.twcc(&feedback)
            && writer.xr_rrtr(Ssrc(1), NtpTime(2))
            && writer.xr_dlrr(Ssrc(1), &[dlrr])
            && writer.bye(&[Ssrc(1)]);
        prop_assert!(written);
        let len = writer.len();
        out[at % len] = byte;
        let _ = Compound::new(&out[..len]).map(read_all);
    }
}
