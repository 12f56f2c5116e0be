use super::*;
use crate::ortc::media_config::MediaConfig;
use crate::proto::ErrorCode;
use control::Kind;
use proptest::prelude::*;
use sdp::{
    Answer, Description, Direction, Fingerprint, HashAlgorithm, LocalMedia, LocalSection, LocalTransport,
    Section, Setup,
};
use std::collections::BTreeSet;

const CHROME: &str = include_str!("../../../tests/vectors/sdp/chrome-offer-av-plain.sdp");
const SIMULCAST: &str = include_str!("../../../tests/vectors/sdp/chrome-offer-vp8-sim3.sdp");

fn read(text: &str) -> Description {
    Description::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The first section of this kind.
fn section(text: &str, wanted: Kind) -> Section {
    read(text).sections.into_iter().find(|section| kind(section) == Some(wanted)).expect("a section")
}

fn config() -> MediaConfig {
    MediaConfig::default()
}

#[test]
fn publisher_gets_its_first_codec_with_its_numbers() {
    let video = publish(&section(CHROME, Kind::Video), Kind::Video, &config()).expect("published");
    let codecs: Vec<_> =
        video.media.codecs.iter().map(|codec| (codec.map.payload_type, codec.map.name.as_str())).collect();
    assert_eq!(codecs, [(96, "VP8"), (97, "rtx")]);
    assert!(video.media.codecs[0].feedback.contains(&"transport-cc".to_owned()));
    let audio = publish(&section(CHROME, Kind::Audio), Kind::Audio, &config()).expect("published");
    let names: Vec<_> = audio.media.codecs.iter().map(|codec| codec.map.name.as_str()).collect();
    assert_eq!(names, ["opus"], "RED comes after Opus");
    let red_first = CHROME.replace("SAVPF 111 63", "SAVPF 63 111");
    let audio = publish(&section(&red_first, Kind::Audio), Kind::Audio, &config()).expect("published");
    let names: Vec<_> = audio.media.codecs.iter().map(|codec| codec.map.name.as_str()).collect();
    assert_eq!(names, ["red", "opus"]);
}

#[test]
fn publisher_of_h264_gets_the_format_that_most_receivers_have() {
    let mut video = section(CHROME, Kind::Video);
    let is_h264 = |section: &Section, payload_type: u8| {
        section.rtpmaps.iter().any(|map| map.payload_type == payload_type && map.name == "H264")
    };
    let (h264, others): (Vec<_>, Vec<_>) =
        video.formats.iter().cloned().partition(|format| is_h264(&video, format.parse().expect("a number")));
    video.formats = h264.into_iter().chain(others).collect();
    let published = publish(&video, Kind::Video, &config()).expect("published");
    let parameters = &published.media.codecs[0].parameters;
    assert!(
        parameters.contains("profile-level-id=42e01f") && parameters.contains("packetization-mode=1"),
        "{parameters}"
    );
    // With High alone, that.
    let high =
        |fmtp: &sdp::Fmtp| fmtp.parameters.get("profile-level-id").is_none_or(|id| id.starts_with("64"));
    video.fmtps.retain(high);
    let known: BTreeSet<u8> = video.fmtps.iter().map(|fmtp| fmtp.payload_type).collect();
    video.rtpmaps.retain(|map| map.name == "H264" && known.contains(&map.payload_type));
    let published = publish(&video, Kind::Video, &config());
    if let Ok(published) = published {
        assert!(published.media.codecs[0].parameters.contains("profile-level-id=64"));
    }
}

#[test]
fn section_without_a_common_codec_is_refused_by_name() {
    let mut video = section(CHROME, Kind::Video);
    video.rtpmaps.iter_mut().for_each(|map| map.name = format!("X{}", map.name));
    let error = publish(&video, Kind::Video, &config()).expect_err("refused");
    assert_eq!(error.code, ErrorCode::UnsupportedCodec);
    for word in ["mid 1", "XVP8", "VP8", "AV1"] {
        assert!(error.message.contains(word), "{word}: {error}");
    }
    assert_eq!(play(&video, Kind::Video, &config()), None);
}

#[test]
fn rids_are_ordered_from_the_smallest_picture() {
    let rids = |ids: &[&str], restrictions: &[&str]| {
        let line = |(index, id): (usize, &&str)| {
            let restriction = restrictions.get(index).map(|text| format!(" {text}")).unwrap_or_default();
            format!("a=rid:{id} send{restriction}\r\n")
        };
        let lines: String = ids.iter().enumerate().map(line).collect();
        let kept =
            SIMULCAST.lines().filter(|line| !line.starts_with("a=rid:") && !line.starts_with("a=simulcast"));
        let text: String = kept.map(|line| format!("{line}\r\n")).collect();
        let text = format!("{text}{lines}a=simulcast:send {}\r\n", ids.join(";"));
        let video = section(&text, Kind::Video);
        let published = publish(&video, Kind::Video, &config()).expect("published");
        assert_eq!(published.media.received_rids, ids, "the answer has the order of the offer");
        let encodings = published.parameters.encodings.iter();
        encodings.map(|encoding| encoding.rid.clone().expect("a RID")).collect::<Vec<_>>()
    };
    assert_eq!(rids(&["h", "m", "l"], &[]), ["l", "m", "h"]);
    assert_eq!(rids(&["f", "h", "q"], &[]), ["q", "h", "f"]);
    assert_eq!(rids(&["2", "1", "0"], &[]), ["0", "1", "2"]);
    assert_eq!(rids(&["a", "c", "b"], &[]), ["a", "c", "b"], "unknown names keep their order");
    let sizes =
        ["max-width=1280;max-height=720", "max-width=320;max-height=180", "max-width=640;max-height=360"];
    assert_eq!(rids(&["x", "y", "z"], &sizes), ["y", "z", "x"]);
    assert_eq!(
        rids(&["l", "h"], &["max-br=900000", "max-br=100000"]),
        ["h", "l"],
        "restrictions before names"
    );
}

#[test]
fn older_simulcast_has_ssrcs_in_groups() {
    let lines = "a=ssrc-group:SIM 1 2 3\r\na=ssrc-group:FID 1 11\r\na=ssrc-group:FID 2 12\r\na=ssrc-group:FID 3 13\r\n";
    let ssrcs: String =
        [1, 2, 3, 11, 12, 13].iter().map(|ssrc| format!("a=ssrc:{ssrc} cname:x\r\n")).collect();
    let kept = CHROME.lines().filter(|line| !line.starts_with("a=ssrc"));
    let text: String = kept.map(|line| format!("{line}\r\n")).collect();
    let video = section(&format!("{text}{lines}{ssrcs}"), Kind::Video);
    let published = publish(&video, Kind::Video, &config()).expect("published");
    let encodings: Vec<_> = published
        .parameters
        .encodings
        .iter()
        .map(|encoding| (encoding.ssrc.expect("an SSRC"), encoding.rtx.as_ref().expect("RTX").ssrc))
        .collect();
    assert_eq!(encodings, [(1, 11), (2, 12), (3, 13)]);
}

#[test]
fn stereo_and_dtx_are_agreed_for_opus() {
    let parameters = |text: &str, config: &MediaConfig| {
        publish(&section(text, Kind::Audio), Kind::Audio, config).expect("published").media.codecs[0]
            .parameters
            .clone()
    };
    let mut mono = config();
    (mono.opus.stereo, mono.opus.dtx) = (false, false);
    assert_eq!(parameters(CHROME, &mono), "minptime=10;useinbandfec=1");
    let stereo = CHROME.replace("a=fmtp:111 minptime=10;", "a=fmtp:111 stereo=1;minptime=10;");
    assert!(parameters(&stereo, &mono).contains("stereo=1"));
    mono.opus.stereo = true;
    assert!(parameters(CHROME, &mono).contains("stereo=1"));
    let without_fec = CHROME.replace("useinbandfec=1", "useinbandfec=0");
    assert!(!parameters(&without_fec, &config()).contains("useinbandfec=1"));
}

#[test]
fn template_has_the_numbers_of_the_client_or_free_ones() {
    let audio = section(CHROME, Kind::Audio);
    let video = section(CHROME, Kind::Video);
    let same = template("s0".into(), Kind::Video, &[&audio, &video], &config());
    assert_eq!((same.mid.as_str(), &same.formats), ("s0", &video.formats));
    assert!(
        same.extmaps.iter().any(|extmap| extmap.uri.contains("dependency-descriptor")),
        "browsers take it"
    );
    let new = template("s0".into(), Kind::Video, &[&audio], &config());
    let taken: BTreeSet<u8> = audio.rtpmaps.iter().map(|map| map.payload_type).collect();
    assert!(!new.rtpmaps.is_empty() && new.rtpmaps.iter().all(|map| !taken.contains(&map.payload_type)));
    for section in [&same, &new] {
        let mut ids = BTreeSet::new();
        assert!(section.extmaps.iter().all(|extmap| ids.insert(extmap.id)), "{:?}", section.extmaps);
        for extmap in &section.extmaps {
            let other = audio.extmaps.iter().find(|other| other.id == extmap.id);
            assert!(other.is_none_or(|other| other.uri == extmap.uri), "{extmap:?}");
        }
        assert!(play(section, Kind::Video, &config()).is_some());
    }
    let red = template("s0".into(), Kind::Audio, &[&video], &config());
    let opus =
        red.rtpmaps.iter().find(|map| map.name.eq_ignore_ascii_case("opus")).expect("Opus").payload_type;
    let of_red = red.rtpmaps.iter().find(|map| map.name == "red").expect("RED").payload_type;
    assert_eq!(red.fmtp(of_red).expect("parameters").parameters[""], format!("{opus}/{opus}"));
}

#[test]
fn strongest_fingerprint_counts() {
    let mut video = section(CHROME, Kind::Video);
    let of = |algorithm, len| Fingerprint { algorithm, value: vec![7; len] };
    video.fingerprints =
        vec![of(HashAlgorithm::Sha256, 32), of(HashAlgorithm::Sha512, 64), of(HashAlgorithm::Sha1, 20)];
    let (dtls, setup) = peer_dtls(&video).expect("accepted");
    assert_eq!((dtls.fingerprints[0].algorithm.as_str(), setup), ("sha-512", Setup::Passive));
    video.setup = Some(Setup::Passive);
    assert_eq!(
        peer_dtls(&video).map(|(dtls, setup)| (dtls.role, setup)),
        Ok(("server".into(), Setup::Active))
    );
    video.setup = Some(Setup::HoldConn);
    peer_dtls(&video).expect_err("refused");
    video.fingerprints.clear();
    peer_dtls(&video).expect_err("refused");
}

/// A codec of a generated offer.
const CODECS: [(&str, &str, &str); 8] = [
    ("video", "VP8/90000", ""),
    ("video", "VP9/90000", "profile-id=0"),
    ("video", "VP9/90000", "profile-id=2"),
    ("video", "H264/90000", "packetization-mode=1;profile-level-id=42e01f"),
    ("video", "H264/90000", "packetization-mode=0;profile-level-id=64001f"),
    ("video", "AV1/90000", ""),
    ("audio", "opus/48000/2", "useinbandfec=1"),
    ("audio", "PCMU/8000", ""),
];

const EXTENSIONS: [&str; 6] = [
    "urn:ietf:params:rtp-hdrext:sdes:mid",
    "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "urn:example:unknown",
];

prop_compose! {
    fn generated_section(index: usize)(
        media in prop_oneof![Just("audio"), Just("video"), Just("application")],
        direction in prop_oneof![Just("sendrecv"), Just("sendonly"), Just("recvonly"), Just("inactive")],
        codecs in prop::sample::subsequence((0..CODECS.len()).collect::<Vec<_>>(), 0..=CODECS.len()).prop_shuffle(),
        extensions in prop::sample::subsequence(EXTENSIONS.to_vec(), 0..=EXTENSIONS.len()),
        has_rtx in any::<bool>(),
        rids in prop::sample::subsequence(vec!["q", "h", "f"], 0..=3).prop_shuffle(),
        is_rejected in prop::bool::weighted(0.1),
    ) -> String {
        use std::fmt::Write;
        let (mut formats, mut lines) = (Vec::new(), String::new());
        let own = codecs.iter().filter(|codec| CODECS[**codec].0 == media);
        for (number, codec) in own.enumerate() {
            let (pt, (_, name, parameters)) = (96 + 2 * number, CODECS[*codec]);
            formats.push(pt.to_string());
            let _ = write!(lines, "a=rtpmap:{pt} {name}\r\na=rtcp-fb:{pt} nack\r\n");
            if !parameters.is_empty() {
                let _ = write!(lines, "a=fmtp:{pt} {parameters}\r\n");
            }
            if has_rtx && media == "video" {
                formats.push((pt + 1).to_string());
                let _ = write!(lines, "a=rtpmap:{} rtx/90000\r\na=fmtp:{} apt={pt}\r\n", pt + 1, pt + 1);
            }
        }
        for (id, uri) in extensions.iter().enumerate() {
            let _ = write!(lines, "a=extmap:{} {uri}\r\n", id + 1);
        }
        if media == "video" && matches!(direction, "sendrecv" | "sendonly") && !rids.is_empty() {
            rids.iter().for_each(|rid| _ = write!(lines, "a=rid:{rid} send\r\n"));
            let _ = write!(lines, "a=simulcast:send {}\r\n", rids.join(";"));
        }
        if formats.is_empty() {
            formats.push("0".into());
        }
        let port = if is_rejected { 0 } else { 9 };
        format!(
            "m={media} {port} UDP/TLS/RTP/SAVPF {}\r\nc=IN IP4 0.0.0.0\r\na=mid:{index}\r\na={direction}\r\na=rtcp-mux\r\n\
             a=ice-ufrag:abcd\r\na=ice-pwd:{}\r\na=setup:actpass\r\na=fingerprint:sha-256 {}\r\n{lines}",
            formats.join(" "),
            "p".repeat(22),
            ["AB"; 32].join(":"),
        )
    }
}

fn generated_offer() -> impl Strategy<Value = String> {
    (1_usize..6).prop_flat_map(|count| {
        (0..count).map(generated_section).collect::<Vec<_>>().prop_map(|sections| {
            let mids: Vec<_> = (0..sections.len()).map(|mid| mid.to_string()).collect();
            format!(
                "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n{}",
                mids.join(" "),
                sections.concat()
            )
        })
    })
}

/// What this server answers to a section: both directions, as far as both sides have them.
fn local(section: &Section) -> LocalSection {
    let (false, Some(kind)) = (section.is_rejected(), kind(section)) else { return LocalSection::Rejected };
    let published = section.direction.sends().then(|| publish(section, kind, &config()).ok()).flatten();
    let playing = play(section, kind, &config()).filter(|_| section.direction.receives());
    match (published, playing) {
        (Some(published), Some(playing)) => {
            let mut media = published.media;
            media.codecs = playing.media.codecs;
            LocalSection::Media(LocalMedia { direction: Direction::SendRecv, ..media })
        }
        (Some(published), None) => LocalSection::Media(published.media),
        (None, Some(playing)) => LocalSection::Media(playing.media),
        (None, None) => LocalSection::Rejected,
    }
}

proptest! {
    /// Judged by the rules of RFC 3264 §6 on what another parser reads.
    #[test]
    fn answer_is_acceptable_to_its_offerer(text in generated_offer()) {
        use webrtc_sdp::attribute_type::{SdpAttribute, SdpAttributeType};
        let offer = read(&text);
        let transport = LocalTransport {
            ice_ufrag: "abcd".into(),
            ice_pwd: "p".repeat(22),
            fingerprint: Fingerprint { algorithm: HashAlgorithm::Sha256, value: vec![7; 32] },
            setup: Setup::Passive,
            candidates: Vec::new(),
            is_ice_lite: true,
        };
        let answer = Answer { session_id: 1, version: 1, transport, sections: offer.sections.iter().map(local).collect() };
        let answered = answer.write(&offer).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let theirs = webrtc_sdp::parse_sdp(&text, false).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let ours = webrtc_sdp::parse_sdp(&answered, true).unwrap_or_else(|error| panic!("{error}\n{answered}"));
        prop_assert_eq!(ours.media.len(), theirs.media.len());
        for (own, offered) in ours.media.iter().zip(&theirs.media) {
            prop_assert_eq!(own.get_type(), offered.get_type());
            if own.get_port() == 0 {
                continue;
            }
            prop_assert_ne!(offered.get_port(), 0);
            let maps = |media: &webrtc_sdp::media_type::SdpMedia| -> BTreeSet<(u8, String, u32)> {
                media.get_attributes_of_type(SdpAttributeType::Rtpmap).into_iter().filter_map(|attribute| match attribute {
                    SdpAttribute::Rtpmap(map) => Some((map.payload_type, map.codec_name.to_lowercase(), map.frequency)),
                    _ => None,
                }).collect()
            };
            let ids = |media: &webrtc_sdp::media_type::SdpMedia| -> BTreeSet<(u16, String)> {
                media.get_attributes_of_type(SdpAttributeType::Extmap).into_iter().filter_map(|attribute| match attribute {
                    SdpAttribute::Extmap(extmap) => Some((extmap.id, extmap.url.clone())),
                    _ => None,
                }).collect()
            };
            let rids = |media: &webrtc_sdp::media_type::SdpMedia| -> BTreeSet<String> {
                media.get_attributes_of_type(SdpAttributeType::Rid).into_iter().filter_map(|attribute| match attribute {
                    SdpAttribute::Rid(rid) => Some(rid.id.clone()),
                    _ => None,
                }).collect()
            };
            prop_assert!(!maps(own).is_empty() && maps(own).is_subset(&maps(offered)));
            prop_assert!(ids(own).is_subset(&ids(offered)));
            prop_assert!(rids(own).is_subset(&rids(offered)));
            let has = |media: &webrtc_sdp::media_type::SdpMedia, direction| media.get_attribute(direction).is_some();
            let sends = |media| has(media, SdpAttributeType::Sendrecv) || has(media, SdpAttributeType::Sendonly);
            let receives = |media| has(media, SdpAttributeType::Sendrecv) || has(media, SdpAttributeType::Recvonly);
            prop_assert!(!sends(own) || receives(offered));
            prop_assert!(!receives(own) || sends(offered));
        }
    }
}
