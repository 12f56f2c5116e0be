//! Real offers of Chrome and Firefox, compared with another parser; changed ones; and every limit.

use proptest::prelude::*;
use sdp::limits::{
    ATTRIBUTES_MAX, DESCRIPTION_BYTES_MAX, FORMATS_MAX, FRAGMENT_BYTES_MAX, LINES_MAX, RIDS_MAX, SECTIONS_MAX,
};
use sdp::{
    Answer, Candidate, CandidateAddress, CandidateKind, Description, Direction, ExtMap, Fingerprint,
    Fragment, HashAlgorithm, LocalCodec, LocalData, LocalMedia, LocalSection, LocalTransport, MediaKind,
    Msid, Offer, OfferedSection, RtpMap, SdpError, Section, Setup, TcpKind, Transport,
};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use webrtc_sdp::attribute_type::{SdpAttribute, SdpAttributeSetup, SdpAttributeType};

/// All vectors: name and text.
fn vectors() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/sdp");
    let files = fs::read_dir(folder).expect("the vectors").map(|entry| entry.expect("a file").path());
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, fs::read_to_string(&path).expect("text"))
    };
    let mut all: Vec<_> = files.map(read).collect();
    all.sort();
    assert_eq!(all.len(), 26);
    all
}

fn vector(name: &str) -> String {
    vectors().into_iter().find(|(file, _)| file == name).unwrap_or_else(|| panic!("{name}")).1
}

fn parse(text: &str) -> Description {
    Description::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_real_offer_is_read_and_has_what_a_connection_needs() {
    for (name, text) in vectors() {
        let description = Description::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!description.is_ice_lite && !description.sections.is_empty(), "{name}");
        let mids: Vec<_> = description.sections.iter().map(|section| section.mid.clone()).collect();
        assert_eq!(description.bundles, [mids], "{name}");
        for section in &description.sections {
            let pwd = section.ice_pwd.as_ref().expect(&name);
            assert!(section.ice_ufrag.is_some() && pwd.len() >= 22 && section.trickles, "{name}");
            let hashes: Vec<_> = section.fingerprints.iter().map(|found| found.algorithm).collect();
            assert_eq!(hashes, [HashAlgorithm::Sha256], "{name}");
            assert!(
                matches!(section.setup, Some(Setup::ActPass | Setup::Active)),
                "{name}: {:?}",
                section.setup
            );
            if section.kind == MediaKind::Application {
                assert_eq!(
                    (section.sctp_port, section.formats.as_slice()),
                    (Some(5000), &["webrtc-datachannel".to_owned()][..])
                );
                continue;
            }
            assert!(section.has_rtcp_mux, "{name}");
            let mapped: BTreeSet<u8> = section.rtpmaps.iter().map(|map| map.payload_type).collect();
            let offered: BTreeSet<u8> = section.payload_types().collect();
            assert!(offered.is_subset(&mapped), "{name}: {offered:?} of {mapped:?}");
            assert!(
                section.extmaps.iter().any(|map| map.uri == "urn:ietf:params:rtp-hdrext:sdes:mid"),
                "{name}"
            );
        }
    }
}

#[test]
fn simulcast_and_svc_of_browsers_are_read() {
    for (name, rids) in [
        ("chrome-offer-vp8-sim3.sdp", vec!["q", "h", "f"]),
        ("firefox-offer-vp8-sim3.sdp", vec!["q", "h", "f"]),
        ("chrome-offer-vp8-single.sdp", vec![]),
        ("chrome-offer-av1-L3T3.sdp", vec![]),
    ] {
        let description = parse(&vector(name));
        let video = description.sections.iter().find(|section| section.kind == MediaKind::Video).expect(name);
        let sent: Vec<_> = video.simulcast.iter().flat_map(|simulcast| simulcast.sent_rids()).collect();
        assert_eq!(sent, rids, "{name}");
        assert_eq!(video.rids.len(), rids.len(), "{name}");
        assert!(video.rids.iter().all(|rid| rid.is_sent), "{name}");
        assert_eq!(video.direction, Direction::SendOnly, "{name}");
        assert!(video.msid.is_some(), "{name}");
    }
}

/// What both parsers know is the same.
#[test]
fn another_parser_reads_the_same() {
    for (name, text) in vectors() {
        let (ours, theirs) = (parse(&text), webrtc_sdp::parse_sdp(&text, false).expect(&name));
        assert_eq!(ours.sections.len(), theirs.media.len(), "{name}");
        for (section, media) in ours.sections.iter().zip(&theirs.media) {
            compare(&name, section, media);
        }
    }
}

fn compare(name: &str, section: &Section, media: &webrtc_sdp::media_type::SdpMedia) {
    let of = |kind| media.get_attribute(kind);
    let Some(SdpAttribute::Mid(mid)) = of(SdpAttributeType::Mid) else { panic!("{name}: no mid") };
    assert_eq!(&section.mid, mid, "{name}");
    assert_eq!(u32::from(section.port), media.get_port(), "{name}");
    if let Some(SdpAttribute::IceUfrag(ufrag)) = of(SdpAttributeType::IceUfrag) {
        assert_eq!(section.ice_ufrag.as_ref(), Some(ufrag), "{name}");
    }
    if let Some(SdpAttribute::Fingerprint(fingerprint)) = of(SdpAttributeType::Fingerprint) {
        assert_eq!(section.fingerprints[0].value, fingerprint.fingerprint, "{name}");
    }
    if let Some(SdpAttribute::Setup(setup)) = of(SdpAttributeType::Setup) {
        let expected = match setup {
            SdpAttributeSetup::Actpass => Setup::ActPass,
            SdpAttributeSetup::Active => Setup::Active,
            SdpAttributeSetup::Passive => Setup::Passive,
            SdpAttributeSetup::Holdconn => Setup::HoldConn,
        };
        assert_eq!(section.setup, Some(expected), "{name}");
    }
    let direction = match media {
        media if media.get_attribute(SdpAttributeType::Sendonly).is_some() => Direction::SendOnly,
        media if media.get_attribute(SdpAttributeType::Recvonly).is_some() => Direction::RecvOnly,
        media if media.get_attribute(SdpAttributeType::Inactive).is_some() => Direction::Inactive,
        _ => Direction::SendRecv,
    };
    assert_eq!(section.direction, direction, "{name}");
    let of_kind = |kind| media.get_attributes_of_type(kind);
    let extensions: Vec<_> = of_kind(SdpAttributeType::Extmap)
        .into_iter()
        .filter_map(|attribute| match attribute {
            SdpAttribute::Extmap(map) => Some((u16::from(u8::try_from(map.id).ok()?), map.url.clone())),
            _ => None,
        })
        .collect();
    let own: Vec<_> = section.extmaps.iter().map(|map| (u16::from(map.id), map.uri.clone())).collect();
    assert_eq!(own, extensions, "{name}");
    let codecs: Vec<_> = of_kind(SdpAttributeType::Rtpmap)
        .into_iter()
        .filter_map(|attribute| match attribute {
            SdpAttribute::Rtpmap(map) => Some((map.payload_type, map.codec_name.clone(), map.frequency)),
            _ => None,
        })
        .collect();
    let own: Vec<_> =
        section.rtpmaps.iter().map(|map| (map.payload_type, map.name.clone(), map.clock_rate)).collect();
    assert_eq!(own, codecs, "{name}");
    let rids: Vec<_> = of_kind(SdpAttributeType::Rid)
        .into_iter()
        .filter_map(|attribute| match attribute {
            SdpAttribute::Rid(rid) => Some(rid.id.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(section.rids.iter().map(|rid| rid.id.clone()).collect::<Vec<_>>(), rids, "{name}");
    assert_eq!(section.candidates.len(), of_kind(SdpAttributeType::Candidate).len(), "{name}");
    assert_eq!(section.feedback.len(), of_kind(SdpAttributeType::Rtcpfb).len(), "{name}");
}

#[test]
fn candidates_are_read() {
    let read = |text: &str| Candidate::parse(text);
    let host = read("candidate:1 1 udp 2122194687 192.0.2.2 49742 typ host generation 0 network-id 3")
        .expect("read");
    assert_eq!((host.priority, host.port, host.kind), (2_122_194_687, 49_742, CandidateKind::Host));
    assert_eq!(host.transport, Transport::Udp);
    let tcp = read("2 1 TCP 1518214911 ::1 9 typ host tcptype active").expect("read");
    assert_eq!(tcp.transport, Transport::Tcp(TcpKind::Active));
    assert_eq!(tcp.address, CandidateAddress::Ip("::1".parse().expect("an address")));
    let hidden = read("3 1 udp 1 8f2c4f2e-7e3c-4c1b-a0b4-5a8c5c0f3a1e.local 50000 typ host").expect("read");
    assert!(matches!(hidden.address, CandidateAddress::Name(name) if name.ends_with(".local")));
    let relayed =
        read("4 1 udp 41885439 203.0.113.9 3478 typ relay raddr 192.0.2.1 rport 1234").expect("read");
    assert_eq!(relayed.kind, CandidateKind::Relayed);
    for wrong in [
        "",
        "1 1 udp 1 192.0.2.2 49742",
        "1 1 udp 1 192.0.2.2 70000 typ host",
        "1 1 udp 4294967296 192.0.2.2 1 typ host",
        "1 1 udp -1 192.0.2.2 1 typ host",
        "1 1 sctp 1 192.0.2.2 1 typ host",
        "1 1 tcp 1 192.0.2.2 9 typ host",
        "1 1 tcp 1 192.0.2.2 9 typ host tcptype both",
        "1 1 udp 1 not_a_name 1 typ host",
        "1 1 udp 1 192.0.2.2 1 typ moon",
    ] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

/// A section of this kind, with these lines instead of the usual attributes.
fn with(lines: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n{lines}")
}

#[test]
fn candidates_of_unknown_kinds_are_skipped() {
    let lines = "a=candidate:1 1 ssltcp 1 192.0.2.1 443 typ host\r\na=candidate:2 1 udp 1 192.0.2.1 1 typ moon\r\n\
                 a=candidate:3 1 udp 1 192.0.2.1 7 typ host\r\n";
    let description = parse(&with(lines));
    let ports: Vec<_> = description.sections[0].candidates.iter().map(|candidate| candidate.port).collect();
    assert_eq!(ports, [7]);
}

#[test]
fn wrong_values_are_named() {
    for (lines, wanted) in [
        ("a=setup:both\r\n", "section 0 (mid 0): a=setup: expected actpass"),
        ("a=mid:v\r\na=fingerprint:sha-256 AB:CD\r\n", "section 0 (mid v): a=fingerprint: expected a hash"),
        ("a=fingerprint:sha-1 zz\r\n", "a=fingerprint"),
        ("a=ice-ufrag:abc\r\n", "a=ice-ufrag: expected letters"),
        ("a=ice-pwd:too short\r\n", "a=ice-pwd"),
        ("a=extmap:0 urn:x\r\n", "a=extmap: expected an id from 1 to 255"),
        ("a=extmap:256 urn:x\r\n", "a=extmap"),
        ("a=rtpmap:128 VP8/90000\r\n", "a=rtpmap"),
        ("a=rtpmap:96 VP8\r\n", "a=rtpmap"),
        ("a=fmtp:x a=b\r\n", "a=fmtp"),
        ("a=rtcp-fb:96\r\n", "a=rtcp-fb"),
        ("a=rid:a/b send\r\n", "a=rid"),
        ("a=rid:a both\r\n", "a=rid"),
        ("a=rid:a send\r\na=rid:a send\r\n", "a RID is there twice"),
        ("a=simulcast:send\r\n", "a=simulcast"),
        ("a=simulcast:send a send b\r\n", "a=simulcast"),
        ("a=ssrc:-1 cname:x\r\n", "a=ssrc"),
        ("a=ssrc-group:FID\r\n", "a=ssrc-group"),
        ("a=candidate:1 1 udp\r\n", "a=candidate"),
        ("a=extmap:1 urn:x\r\na=extmap:1 urn:y\r\n", "same id"),
        ("a=sctp-port:0\r\n", "a=sctp-port: expected a port from 1 to 65535"),
        ("a=sctp-port:70000\r\n", "a=sctp-port"),
        ("a=sctpmap:5000\r\n", "a=sctpmap: expected a port from 1 to 65535"),
        ("a=max-message-size:all\r\n", "a=max-message-size: expected a number of bytes"),
        ("a=ssrc:1 msid:s t1\r\na=ssrc:2 msid:s t2\r\n", "Plan B"),
        ("a=mid:a\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:a\r\n", "its mid is that of another section"),
    ] {
        let error = Description::parse(&with(lines)).expect_err(lines).to_string();
        assert!(error.contains(wanted), "{lines:?}: {error}");
    }
    for text in ["", "hello", "v=1\r\n", "m=video 9 X 96\r\n"] {
        assert!(matches!(Description::parse(text), Err(SdpError::Syntax(_))), "{text:?}");
    }
}

#[test]
fn values_of_the_session_count_for_sections_without_own_ones() {
    let sha = ["AB"; 32].join(":");
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE a b\r\na=group:LS a b\r\n\
         a=fingerprint:SHA-256 {sha}\r\na=fingerprint:md5 AB:CD\r\na=setup:passive\r\na=ice-ufrag:abcd\r\n\
         a=ice-pwd:abcdefghijklmnopqrstuv\r\na=inactive\r\na=extmap-allow-mixed\r\n\
         m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\na=bundle-only\r\n\
         m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:b\r\na=setup:active\r\na=recvonly\r\n"
    );
    let description = parse(&text);
    assert!(description.is_ice_lite);
    assert_eq!(description.bundles, [["a".to_owned(), "b".to_owned()]]);
    let [audio, video] = &description.sections[..] else { panic!("two sections") };
    assert_eq!((audio.setup, video.setup), (Some(Setup::Passive), Some(Setup::Active)));
    assert_eq!((audio.direction, video.direction), (Direction::Inactive, Direction::RecvOnly));
    assert_eq!((audio.fingerprints.len(), video.fingerprints.len()), (1, 1), "md5 is not known and skipped");
    assert_eq!(audio.ice_ufrag, video.ice_ufrag);
    assert!(audio.allows_mixed && !audio.is_rejected() && video.is_rejected());
    assert_eq!(description.section("b"), Some(video));
}

#[test]
fn every_limit_refuses() {
    let refused = |text: String, wanted: &str| {
        let error = Description::parse(&text).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{wanted}: {error}");
    };
    let lines =
        |line: &dyn Fn(usize) -> String, count: usize| with(&(0..count).map(line).collect::<String>());
    refused("v=0\r\n".to_owned() + &"x".repeat(DESCRIPTION_BYTES_MAX), "bytes");
    refused("a\n".repeat(LINES_MAX + 1), "lines");
    let section = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n";
    refused(with(&section.repeat(SECTIONS_MAX)), "media sections");
    let formats: Vec<String> = (0..=FORMATS_MAX).map(|number| number.to_string()).collect();
    refused(with(&format!("m=audio 9 UDP/TLS/RTP/SAVPF {}\r\n", formats.join(" "))), "formats");
    refused(lines(&|n| format!("a=rtpmap:{} X/1\r\n", n % 128), FORMATS_MAX + 1), "rtpmap");
    refused(lines(&|n| format!("a=fmtp:{} a=b\r\n", n % 128), FORMATS_MAX + 1), "fmtp");
    refused(lines(&|n| format!("a=rtcp-fb:{} nack\r\n", n % 128), 8 * FORMATS_MAX + 1), "rtcp-fb");
    refused(lines(&|n| format!("a=extmap:{} urn:x\r\n", n % 255 + 1), ATTRIBUTES_MAX + 1), "extmap");
    refused(lines(&|n| format!("a=ssrc:{n} cname:x\r\n"), ATTRIBUTES_MAX + 1), "SSRCs");
    refused(lines(&|n| format!("a=ssrc-group:FID {n} 1\r\n"), ATTRIBUTES_MAX + 1), "ssrc-group");
    refused(
        lines(&|n| format!("a=candidate:{n} 1 udp 1 192.0.2.1 1 typ host\r\n"), ATTRIBUTES_MAX + 1),
        "candidate",
    );
    refused(lines(&|n| format!("a=rid:r{n} send\r\n"), RIDS_MAX + 1), "rid");
    let streams: Vec<String> = (0..=RIDS_MAX).map(|number| format!("r{number}")).collect();
    refused(with(&format!("a=simulcast:send {}\r\n", streams.join(";"))), "simulcast");
    let print = format!("a=fingerprint:sha-1 {}\r\n", ["AB"; 20].join(":"));
    refused(with(&print.repeat(sdp::limits::FINGERPRINTS_MAX + 1)), "fingerprint");
    refused(with(&format!("a=rid:{} send\r\n", "x".repeat(sdp::limits::TOKEN_BYTES_MAX + 1))), "a=rid");
}

/// What may happen to a description on its way.
#[derive(Clone, Debug)]
enum Change {
    Byte(usize, u8),
    Cut(usize),
    RemoveLine(usize),
    RepeatLine(usize),
    SwapLines(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        any::<usize>().prop_map(Change::Cut),
        any::<usize>().prop_map(Change::RemoveLine),
        any::<usize>().prop_map(Change::RepeatLine),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Change::SwapLines(a, b)),
    ]
}

fn apply(text: &str, change: &Change) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let len = lines.len().max(1);
    match change {
        Change::Byte(at, byte) => {
            let mut bytes = text.as_bytes().to_vec();
            if let Some(found) = bytes.len().checked_sub(1).map(|last| at % (last + 1)) {
                bytes[found] = *byte;
            }
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        Change::Cut(at) => return text[..text.floor_char_boundary(at % (text.len() + 1))].to_owned(),
        Change::RemoveLine(at) if !lines.is_empty() => _ = lines.remove(at % len),
        Change::RepeatLine(at) if !lines.is_empty() => lines.insert(at % len, lines[at % len]),
        Change::SwapLines(a, b) if !lines.is_empty() => lines.swap(a % len, b % len),
        _ => {}
    }
    lines.concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    /// Reading ends with a value or an error, for any change of a real offer.
    #[test]
    fn changed_offers_cause_no_panic(which in 0_usize..26, changes in prop::collection::vec(change(), 1..8)) {
        let text = changes.iter().fold(vectors_once()[which].clone(), |text, change| apply(&text, change));
        if let Ok(description) = Description::parse(&text) {
            prop_assert!(description.sections.len() <= SECTIONS_MAX);
        }
    }

    #[test]
    fn any_candidate_causes_no_panic(text in "\\PC{0,80}") {
        let _ = Candidate::parse(&text);
    }
}

fn vectors_once() -> &'static [String] {
    static TEXTS: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    TEXTS.get_or_init(|| vectors().into_iter().map(|(_, text)| text).collect())
}

fn codec(section: &Section, map: &RtpMap) -> LocalCodec {
    let parameters = section.fmtp(map.payload_type).map(|fmtp| {
        let pairs = fmtp.parameters.iter().map(|(name, value)| match name.is_empty() {
            true => value.clone(),
            false => format!("{name}={value}"),
        });
        pairs.collect::<Vec<_>>().join(";")
    });
    let feedback = section.feedback.iter().filter(|feedback| feedback.payload_type == Some(map.payload_type));
    let feedback =
        feedback.map(|feedback| format!("{} {}", feedback.name, feedback.parameter).trim().to_owned());
    LocalCodec { map: map.clone(), parameters: parameters.unwrap_or_default(), feedback: feedback.collect() }
}

/// Accepts what `accepts` says of each section, codec and extension.
fn answer(offer: &Description, mut accepts: impl FnMut() -> bool) -> Answer {
    let mut sections = Vec::new();
    for section in &offer.sections {
        if section.kind == MediaKind::Application && !section.is_rejected() && accepts() {
            sections.push(LocalSection::Data(LocalData {
                port: 5000,
                streams: 1024,
                message_len_max: 262_144,
            }));
            continue;
        }
        let is_media = matches!(section.kind, MediaKind::Audio | MediaKind::Video) && !section.is_rejected();
        let offered: BTreeSet<u8> = section.payload_types().collect();
        let maps = section.rtpmaps.iter().filter(|map| offered.contains(&map.payload_type) && accepts());
        let codecs: Vec<_> = maps.map(|map| codec(section, map)).collect();
        if !is_media || codecs.is_empty() {
            sections.push(LocalSection::Rejected);
            continue;
        }
        let extmaps = section.extmaps.iter().filter(|_| accepts()).cloned();
        let extmaps = extmaps.map(|map| ExtMap { direction: map.direction.map(Direction::reversed), ..map });
        let direction = section.direction.reversed();
        let received_rids = section.rids.iter().filter(|rid| rid.is_sent).map(|rid| rid.id.clone()).collect();
        let msid = Msid { stream: "stream".into(), track: "track".into() };
        sections.push(LocalSection::Media(LocalMedia {
            direction,
            codecs,
            extmaps: extmaps.collect(),
            received_rids,
            sent: direction.sends().then_some((msid, vec![1, 2])),
        }));
    }
    let transport = LocalTransport {
        ice_ufrag: "abcd".into(),
        ice_pwd: "abcdefghijklmnopqrstuvwx".into(),
        fingerprint: Fingerprint { algorithm: HashAlgorithm::Sha256, value: vec![0xab; 32] },
        setup: Setup::Passive,
        candidates: vec![
            Candidate::parse("1 1 udp 2130706431 192.0.2.1 7881 typ host").expect("a candidate"),
            Candidate::parse("2 1 tcp 1671430143 2001:db8::1 7881 typ host tcptype passive")
                .expect("a candidate"),
        ],
        is_ice_lite: true,
    };
    Answer { session_id: 7, version: 1, transport, sections }
}

/// The section of data channels of an answer has the form of the offer.
fn check_data(name: &str, section: &Section, offered: &Section) {
    assert_eq!(section.protocol, offered.protocol, "{name}");
    assert_eq!(section.max_message_size, Some(262_144), "{name}");
    let map = section.sctpmap.as_ref().map(|map| (map.port, &*map.application));
    match offered.sctpmap {
        None => {
            assert_eq!((section.sctp_port, map), (Some(5000), None), "{name}");
            assert_eq!(section.formats, ["webrtc-datachannel"], "{name}");
        }
        Some(_) => {
            assert_eq!((section.sctp_port, map), (None, Some((5000, "webrtc-datachannel"))), "{name}");
            assert_eq!(section.formats, ["5000"], "{name}");
        }
    }
}

/// The answer says what was meant, for our parser and for another one.
fn check_answer(name: &str, offer: &Description, answer: &Answer) {
    let text = answer.write(offer).unwrap_or_else(|error| panic!("{name}: {error}"));
    let read = Description::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
    assert!(read.is_ice_lite, "{name}");
    assert_eq!(read.sections.len(), offer.sections.len(), "{name}");
    let mut bundled = Vec::new();
    for ((section, offered), meant) in read.sections.iter().zip(&offer.sections).zip(&answer.sections) {
        assert_eq!((&section.mid, &section.media), (&offered.mid, &offered.media), "{name}");
        if *meant == LocalSection::Rejected {
            assert!(section.is_rejected(), "{name}");
            continue;
        }
        bundled.push(section.mid.clone());
        let LocalSection::Media(media) = meant else {
            check_data(name, section, offered);
            continue;
        };
        assert_eq!(section.direction, media.direction, "{name}");
        assert_eq!(section.extmaps, media.extmaps, "{name}");
        assert_eq!(section.candidates, answer.transport.candidates, "{name}");
        assert_eq!(section.fingerprints, std::slice::from_ref(&answer.transport.fingerprint), "{name}");
        assert_eq!((section.setup, section.has_rtcp_mux), (Some(Setup::Passive), true), "{name}");
        let maps: Vec<_> = media.codecs.iter().map(|codec| codec.map.clone()).collect();
        assert_eq!(section.rtpmaps, maps, "{name}");
        let sent: Vec<_> = section.simulcast.iter().flat_map(|simulcast| &simulcast.recv).flatten().collect();
        assert_eq!(
            sent.iter().map(|choice| &choice.rid).collect::<Vec<_>>(),
            media.received_rids.iter().collect::<Vec<_>>()
        );
    }
    assert_eq!(read.bundles, if bundled.is_empty() { vec![] } else { vec![bundled] }, "{name}");
    let theirs = webrtc_sdp::parse_sdp(&text, true).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
    assert_eq!(theirs.media.len(), read.sections.len(), "{name}");
    for (section, media) in read.sections.iter().zip(&theirs.media) {
        compare(name, section, media);
    }
}

#[test]
fn answers_to_real_offers_are_read_as_they_were_meant() {
    for (name, text) in vectors() {
        let offer = parse(&text);
        check_answer(&name, &offer, &answer(&offer, || true));
    }
}

/// A section of data channels in the current or the older form, among sections of real offers.
fn with_channels(offer: &str, mid: &str, is_older: bool, port: u16, size: Option<u64>) -> String {
    let size = size.map(|size| format!("a=max-message-size:{size}\r\n")).unwrap_or_default();
    let (head, line) = match is_older {
        true => (format!("DTLS/SCTP {port}"), format!("a=sctpmap:{port} webrtc-datachannel 1024\r\n")),
        false => ("UDP/DTLS/SCTP webrtc-datachannel".to_owned(), format!("a=sctp-port:{port}\r\n")),
    };
    format!("{offer}m=application 9 {head}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n{line}{size}")
}

#[test]
fn answer_with_what_was_not_offered_is_refused() {
    let offer = parse(&vector("chrome-offer-vp8-sim3.sdp"));
    let good = answer(&offer, || true);
    let refused = |change: &dyn Fn(&mut LocalMedia), wanted: &str| {
        let mut changed = good.clone();
        let LocalSection::Media(media) = &mut changed.sections[0] else { panic!("a section") };
        change(media);
        let error = changed.write(&offer).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{wanted}: {error}");
    };
    refused(&|media| media.codecs.clear(), "it has no codec");
    refused(&|media| media.codecs[0].map.payload_type = 5, "a payload type is not offered");
    refused(&|media| media.extmaps[0].id = 200, "a header extension is not offered");
    refused(&|media| media.received_rids.push("x".into()), "a RID is not offered");
    refused(&|media| media.direction = Direction::SendOnly, "it sends, and the offer does not receive");
    let data = LocalSection::Data(LocalData { port: 5000, streams: 1024, message_len_max: 0 });
    let error = Answer { sections: vec![data], ..good.clone() }.write(&offer).expect_err("video");
    assert!(error.to_string().contains("only an application has data channels"), "{error}");
    let short = Answer { sections: Vec::new(), ..good.clone() };
    assert!(short.write(&offer).expect_err("too short").to_string().contains("as many sections"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Whatever part of a real offer is accepted, the answer is one to this offer.
    #[test]
    fn answers_with_any_part_of_an_offer_are_valid(which in 0_usize..26, choices in prop::collection::vec(any::<bool>(), 64)) {
        let offer = parse(&vectors_once()[which]);
        let mut choices = choices.into_iter().cycle();
        check_answer("generated", &offer, &answer(&offer, || choices.next().unwrap_or(true)));
    }

    /// The same with a section of data channels of any form.
    #[test]
    fn answers_to_offers_with_data_channels_are_valid(
        which in 0_usize..26,
        is_older: bool,
        port in 1_u16..,
        size in prop::option::of(any::<u64>()),
        choices in prop::collection::vec(any::<bool>(), 64),
    ) {
        let offer = parse(&with_channels(&vectors_once()[which], "data", is_older, port, size));
        let section = offer.sections.last().expect("the last one");
        prop_assert_eq!(section.max_message_size, size);
        let mut choices = choices.into_iter().cycle();
        check_answer("generated", &offer, &answer(&offer, || choices.next().unwrap_or(true)));
    }
}

#[test]
fn fragments_are_read_and_wrong_ones_are_named() {
    let text = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
                a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\n\
                a=candidate:2 1 sctp 1 192.0.2.1 9 typ host\r\na=x-unknown\r\na=end-of-candidates\r\n";
    let fragment = Fragment::parse(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((fragment.ice_ufrag.as_deref(), fragment.mid.as_deref()), (Some("EsAw"), Some("0")));
    assert_eq!((fragment.candidates.len(), fragment.has_end_of_candidates), (1, true));
    let many = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n".repeat(ATTRIBUTES_MAX + 1);
    for (wrong, word) in [
        ("", "candidate"),
        ("open sesame", "letter"),
        ("a=mid:0\r\n", "ice-ufrag"),
        ("a=ice-ufrag:x\r\n", "ice-ufrag"),
        ("a=ice-pwd:short\r\n", "ice-pwd"),
        ("a=candidate:x\r\n", "candidate"),
        ("a=end-of-candidates\r\na=mid:a b\r\n", "mid"),
        (many.as_str(), "128 candidates"),
        ("x".repeat(FRAGMENT_BYTES_MAX + 1).as_str(), "bytes"),
    ] {
        let error = Fragment::parse(wrong).expect_err(wrong).to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
}

/// An offer of this side is read by another parser, with what was written.
#[test]
fn own_offer_is_valid() {
    let offered = parse(&vector("chrome-offer-av-plain.sdp"));
    let media = |section: &Section| LocalMedia {
        direction: Direction::SendOnly,
        codecs: section
            .rtpmaps
            .iter()
            .map(|map| LocalCodec {
                map: map.clone(),
                parameters: String::new(),
                feedback: vec!["nack".into()],
            })
            .collect(),
        extmaps: section.extmaps.clone(),
        received_rids: Vec::new(),
        sent: Some((Msid { stream: "peer".into(), track: section.mid.clone() }, vec![1, 2])),
    };
    let mut sections: Vec<OfferedSection> = offered
        .sections
        .iter()
        .map(|section| OfferedSection {
            media: section.media.clone(),
            protocol: section.protocol.clone(),
            mid: section.mid.clone(),
            formats: section.formats.clone(),
            content: LocalSection::Media(media(section)),
        })
        .collect();
    sections.push(OfferedSection {
        mid: "gone".into(),
        content: LocalSection::Rejected,
        ..sections[0].clone()
    });
    let transport = LocalTransport {
        ice_ufrag: "abcd".into(),
        ice_pwd: "abcdefghijklmnopqrstuv".into(),
        fingerprint: Fingerprint { algorithm: HashAlgorithm::Sha256, value: vec![7; 32] },
        setup: Setup::ActPass,
        candidates: Vec::new(),
        is_ice_lite: true,
    };
    let text = Offer { session_id: 7, version: 3, transport, sections, allows_mixed: true }.write();
    let other = webrtc_sdp::parse_sdp(&text, true).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!((other.origin.session_id, other.origin.session_version), (7, 3));
    let ports: Vec<_> = other.media.iter().map(|media| media.get_port()).collect();
    assert_eq!(ports, [9, 9, 0]);
    let found = parse(&text);
    assert_eq!(found.bundles, [["0", "1"]]);
    assert_eq!(found.session_id, "7");
    for (own, asked) in found.sections.iter().zip(&offered.sections) {
        assert_eq!(
            (&own.rtpmaps, &own.extmaps, own.direction),
            (&asked.rtpmaps, &asked.extmaps, Direction::SendOnly)
        );
        assert_eq!((own.ssrcs.len(), own.ssrc_groups.len(), own.setup), (2, 1, Some(Setup::ActPass)));
    }
}

#[test]
fn repeated_formats_and_long_parameters_are_refused() {
    let text = vector("chrome-offer-av-plain.sdp");
    let repeated = text.replace("UDP/TLS/RTP/SAVPF 96 ", "UDP/TLS/RTP/SAVPF 96 96 ");
    let two =
        text.replacen("a=rtpmap:96 VP8/90000\r\n", "a=rtpmap:96 VP8/90000\r\na=rtpmap:96 VP9/90000\r\n", 1);
    let long =
        text.replacen("a=rtpmap:96 ", &format!("a=fmtp:96 x={}\r\na=rtpmap:96 ", "y".repeat(1_100)), 1);
    for (wrong, word) in [(repeated, "twice"), (two, "two codecs"), (long, "1024 bytes")] {
        assert_ne!(wrong, text);
        let error = Description::parse(&wrong).expect_err(word).to_string();
        assert!(error.contains(word) && error.contains("mid 1"), "{word}: {error}");
    }
}
