//! Negotiation with offers of real browsers: `tests/sdp` has those of Chrome 156 and Firefox 153.

use super::*;
use crate::ortc::media_config::MediaConfig;
use crate::proto::{
    DtlsFingerprint, DtlsParameters, ErrorCode, ParameterValue, RtcpFeedback, RtpCapabilities,
    RtpCodecCapability, RtpCodecParameters, RtpEncodingParameters, RtpHeaderExtension,
    RtpHeaderExtensionParameters, RtpParameters, RtxStream, parameter_value::Value,
};
use crate::request_error::RequestError;
use control::{Candidate, Codec, DtlsRole, ExtensionKind, Kind, PeerFingerprint};
use std::collections::HashSet;

mod layers;

const CHROME: &str = include_str!("../../tests/sdp/chrome-156-av.sdp");
const FIREFOX: &str = include_str!("../../tests/sdp/firefox-153-av.sdp");

/// The capabilities of a router with the default configuration.
pub(super) fn router() -> RtpCapabilities {
    capabilities::router(&MediaConfig::default())
}

/// Converts an offer to RTP capabilities, as mediasoup-client does.
pub(super) fn offered(sdp: &str) -> RtpCapabilities {
    let mut capabilities = RtpCapabilities::default();
    let mut kind = String::new();
    // Firefox writes the fmtp of a codec before its rtpmap, so parse all rtpmap lines first.
    let is_rtpmap = |line: &&str| line.starts_with("m=") || line.starts_with("a=rtpmap:");
    for line in sdp.lines().filter(is_rtpmap).chain(sdp.lines().filter(|line| !line.starts_with("a=rtpmap:")))
    {
        let Some((key, value)) = line.strip_prefix("a=").and_then(|line| line.split_once(':')) else {
            if let Some(media) = line.strip_prefix("m=") {
                kind = media.split(' ').next().unwrap_or_default().to_owned();
            }
            continue;
        };
        let (head, rest) = value.split_once(' ').unwrap_or((value, ""));
        let pt = head.parse::<u32>().unwrap_or(u32::MAX);
        let mut codec = capabilities
            .codecs
            .iter_mut()
            .find(|codec| codec.preferred_payload_type == pt && codec.kind == kind);
        match (key, codec.as_mut()) {
            ("rtpmap", _) => {
                let mut parts = rest.split('/');
                let name = parts.next().expect("a codec name");
                let clock_rate = parts.next().and_then(|rate| rate.parse().ok()).expect("a clock rate");
                let channels = parts.next().and_then(|channels| channels.parse().ok());
                capabilities.codecs.push(RtpCodecCapability {
                    kind: kind.clone(),
                    mime_type: format!("{kind}/{name}"),
                    preferred_payload_type: pt,
                    clock_rate,
                    channels,
                    ..Default::default()
                });
            }
            ("fmtp", Some(codec)) => {
                for (name, value) in rest.split(';').filter_map(|pair| pair.split_once('=')) {
                    let value = value.parse().map_or_else(|_| Value::Text(value.into()), Value::Number);
                    codec.parameters.insert(name.into(), ParameterValue { value: Some(value) });
                }
            }
            ("rtcp-fb", Some(codec)) => {
                let (r#type, parameter) = rest.split_once(' ').unwrap_or((rest, ""));
                codec.rtcp_feedback.push(RtcpFeedback { r#type: r#type.into(), parameter: parameter.into() });
            }
            ("extmap", _) => capabilities.header_extensions.push(RtpHeaderExtension {
                kind: kind.clone(),
                uri: rest.into(),
                preferred_id: head.split('/').next().and_then(|id| id.parse().ok()).expect("an id"),
                ..Default::default()
            }),
            _ => {}
        }
    }
    capabilities
}

/// The parameters that mediasoup-client sends: the first common codec, its RTX, and the common extensions,
/// with the browser's numbers.
fn sent(sdp: &str, kind: &str) -> RtpParameters {
    let mut codecs = router().codecs.into_iter().filter(|codec| codec.kind == kind);
    codecs.find_map(|codec| sent_as(sdp, &codec.mime_type)).expect("a common codec")
}

/// The same with this codec in the common format; `None` if the browser does not have it.
pub(super) fn sent_as(sdp: &str, mime_type: &str) -> Option<RtpParameters> {
    let (browser, router) = (offered(sdp), router());
    let parameters = |codec: &RtpCodecCapability| RtpCodecParameters {
        mime_type: codec.mime_type.clone(),
        payload_type: codec.preferred_payload_type,
        clock_rate: codec.clock_rate,
        channels: codec.channels,
        parameters: codec.parameters.clone(),
        rtcp_feedback: codec.rtcp_feedback.clone(),
    };
    let kind = &mime_type[..5];
    let is_ours = |codec: &&RtpCodecCapability| {
        codec.mime_type.eq_ignore_ascii_case(mime_type)
            && formats::find(mime_type, codec.clock_rate, codec.channels, &codec.parameters).is_some_and(
                |name| {
                    let format = H264Format::of(&codec.parameters);
                    name.codec != Codec::H264 || format == Some(H264Format::default())
                },
            )
    };
    let media = browser.codecs.iter().find(is_ours)?;
    let apt = Some(Value::Number(media.preferred_payload_type as i32));
    let rtx = browser
        .codecs
        .iter()
        .find(|codec| codec.parameters.get("apt").is_some_and(|value| value.value == apt));
    let common = |extension: &&RtpHeaderExtension| {
        extension.kind == kind
            && router.header_extensions.iter().any(|known| known.uri == extension.uri && known.kind == kind)
    };
    Some(RtpParameters {
        mid: Some("0".into()),
        codecs: std::iter::once(media).chain(rtx).map(parameters).collect(),
        header_extensions: (browser.header_extensions.iter().filter(common))
            .map(|extension| RtpHeaderExtensionParameters {
                uri: extension.uri.clone(),
                id: extension.preferred_id,
                encrypt: false,
            })
            .collect(),
        encodings: vec![RtpEncodingParameters {
            ssrc: Some(1_111),
            rtx: rtx.map(|_| RtxStream { ssrc: 2_222 }),
            ..Default::default()
        }],
        ..Default::default()
    })
}

pub(super) fn ids(extensions: &[control::Extension]) -> Vec<(ExtensionKind, u8)> {
    extensions.iter().map(|extension| (extension.kind, extension.id)).collect()
}

#[test]
fn router_capabilities_have_no_duplicates() {
    let router = router();
    let mut pts = HashSet::new();
    for codec in &router.codecs {
        assert!(
            (96..=127).contains(&codec.preferred_payload_type) && pts.insert(codec.preferred_payload_type)
        );
    }
    // On a BUNDLEd transport an id means one extension for all media.
    let mut uri_of_id = std::collections::HashMap::new();
    for extension in &router.header_extensions {
        assert!((1..=14).contains(&extension.preferred_id));
        let known = uri_of_id.entry(extension.preferred_id).or_insert(&extension.uri);
        assert_eq!(*known, &extension.uri);
    }
    let names: Vec<_> = router.codecs.iter().map(|codec| codec.mime_type.as_str()).collect();
    let rtx = "video/rtx";
    assert_eq!(
        names,
        [
            "audio/opus",
            "audio/red",
            "video/VP8",
            rtx,
            "video/H264",
            rtx,
            "video/VP9",
            rtx,
            "video/AV1",
            rtx,
            // Baseline and High.
            "video/H264",
            rtx,
            "video/H264",
            rtx
        ]
    );
}

#[test]
fn producer_of_chrome_keeps_its_payload_types_and_ids() {
    let video = Produced::new(Kind::Video, &sent(CHROME, "video")).expect("understood");
    let [vp8] = video.codecs.as_slice() else { panic!("one codec: {:?}", video.codecs) };
    assert_eq!((vp8.codec, vp8.pt, vp8.rtx_pt), (Codec::Vp8, 96, Some(97)));
    assert!(vp8.nack && vp8.pli && vp8.fir && vp8.transport_cc);
    assert_eq!((video.encodings[0].ssrc, video.encodings[0].rtx_ssrc), (Some(1_111), Some(2_222)));
    assert_eq!(
        ids(&video.extensions),
        [
            (ExtensionKind::TimeOffset, 14),
            (ExtensionKind::AbsSendTime, 2),
            (ExtensionKind::VideoOrientation, 13),
            (ExtensionKind::TransportCc, 3),
            (ExtensionKind::PlayoutDelay, 5),
            (ExtensionKind::Mid, 4),
            (ExtensionKind::Rid, 10),
            (ExtensionKind::RepairedRid, 11),
        ]
    );
    let audio = Produced::new(Kind::Audio, &sent(CHROME, "audio")).expect("understood");
    assert_eq!((audio.codecs[0].codec, audio.codecs[0].pt, audio.codecs[0].rtx_pt), (Codec::Opus, 111, None));
    assert!(audio.codecs[0].transport_cc && !audio.codecs[0].nack && !audio.codecs[0].pli);
    let mut nack = sent(CHROME, "audio");
    // Added by mediasoup-client, because libwebrtc supports it.
    nack.codecs[0].rtcp_feedback.push(RtcpFeedback { r#type: "nack".into(), parameter: String::new() });
    assert!(Produced::new(Kind::Audio, &nack).expect("understood").codecs[0].nack);
}

#[test]
fn producer_of_firefox_keeps_its_payload_types_and_ids() {
    let video = Produced::new(Kind::Video, &sent(FIREFOX, "video")).expect("understood");
    assert_eq!(
        (video.codecs[0].codec, video.codecs[0].pt, video.codecs[0].rtx_pt),
        (Codec::Vp8, 120, Some(124))
    );
    let audio = Produced::new(Kind::Audio, &sent(FIREFOX, "audio")).expect("understood");
    assert_eq!((audio.codecs[0].codec, audio.codecs[0].pt), (Codec::Opus, 109));
}

#[test]
fn every_browser_can_consume_from_every_browser() {
    for sender in [CHROME, FIREFOX] {
        for receiver in [CHROME, FIREFOX] {
            for (kind, name) in [(Kind::Audio, "audio"), (Kind::Video, "video")] {
                let produced = Produced::new(kind, &sent(sender, name)).expect("understood");
                let consumable = Consumable::new(kind, &produced, &offered(receiver)).expect("consumable");
                let ssrcs = ConsumerSsrcs { media: 7, rtx: consumable.has_rtx().then_some(8) };
                let parameters = consumable.parameters("3", ssrcs, "cname");
                assert_eq!(parameters.mid.as_deref(), Some("3"));
                let pts: Vec<_> = parameters.codecs.iter().map(|codec| codec.payload_type).collect();
                assert_eq!(pts, if kind == Kind::Audio { vec![100] } else { vec![101, 102] });
                assert_eq!(parameters.encodings[0].rtx.is_some(), kind == Kind::Video);
                let router = router();
                for extension in &parameters.header_extensions {
                    let known = |known: &&RtpHeaderExtension| {
                        known.uri == extension.uri && known.preferred_id == extension.id
                    };
                    assert!(
                        router.header_extensions.iter().any(|extension| known(&extension)),
                        "{extension:?}"
                    );
                    assert!(!extension.uri.contains("stream-id"), "a consumer has one layer");
                }
                // The parameters of a consumer are valid for a producer: both come from one table.
                Produced::new(kind, &parameters).expect("valid");
            }
        }
    }
}

#[test]
fn consumer_has_only_features_of_its_receiver() {
    let produced = Produced::new(Kind::Video, &sent(CHROME, "video")).expect("understood");
    let mut receiver = offered(CHROME);
    receiver.codecs.retain(|codec| codec.mime_type != "video/rtx");
    receiver.header_extensions.retain(|extension| !extension.uri.contains("video-orientation"));
    receiver.header_extensions.iter_mut().filter(|extension| extension.uri.contains("toffset")).for_each(
        |extension| {
            extension.direction = "sendonly".into();
        },
    );
    let consumable = Consumable::new(Kind::Video, &produced, &receiver).expect("consumable");
    assert!(!consumable.has_rtx());
    let kinds: Vec<_> = consumable.extensions.iter().map(|extension| extension.kind).collect();
    assert!(
        !kinds.contains(&ExtensionKind::VideoOrientation)
            && !kinds.contains(&ExtensionKind::TimeOffset)
            && kinds.contains(&ExtensionKind::Mid)
    );

    receiver.codecs.retain(|codec| codec.mime_type != "video/VP8");
    let error = Consumable::new(Kind::Video, &produced, &receiver).expect_err("no VP8");
    assert_eq!(error.code, ErrorCode::CannotConsume);
}

/// The error for Chrome's video parameters after `damage`.
fn refused(damage: impl FnOnce(&mut RtpParameters)) -> RequestError {
    let mut parameters = sent(CHROME, "video");
    damage(&mut parameters);
    let produced = Produced::new(Kind::Video, &parameters);
    produced.and_then(|produced| produced.check_identification()).expect_err("refused")
}

#[test]
fn invalid_parameters_are_refused_with_a_reason() {
    let cases: Vec<(RequestError, ErrorCode, &str)> = vec![
        (refused(|p| p.codecs.clear()), ErrorCode::BadMessage, "no codec"),
        (refused(|p| _ = p.codecs.remove(0)), ErrorCode::BadMessage, "no codec"),
        (refused(|p| p.codecs[0].mime_type = "video/H265".into()), ErrorCode::UnsupportedCodec, "video/H265"),
        (refused(|p| p.codecs[0].clock_rate = 1), ErrorCode::UnsupportedCodec, "video/VP8/1 for video"),
        (refused(|p| p.codecs[0].payload_type = 72), ErrorCode::BadMessage, "72"),
        (refused(|p| p.codecs[0].payload_type = u32::MAX), ErrorCode::BadMessage, "payload type"),
        (refused(|p| p.codecs[1].payload_type = 96), ErrorCode::BadMessage, "twice"),
        (refused(|p| p.codecs[1].parameters.clear()), ErrorCode::BadMessage, "apt"),
        (refused(|p| p.codecs = vec![p.codecs[0].clone(); 200]), ErrorCode::BadMessage, "200 entries"),
        (refused(|p| p.header_extensions[0].id = 0), ErrorCode::BadMessage, "id 0"),
        (refused(|p| p.header_extensions[0].id = 15), ErrorCode::BadMessage, "id 15"),
        (refused(|p| p.header_extensions[0].id = 256), ErrorCode::BadMessage, "id 256"),
        (refused(|p| p.header_extensions[0].id = p.header_extensions[1].id), ErrorCode::BadMessage, "twice"),
        (
            refused(|p| p.header_extensions[0].uri = p.header_extensions[1].uri.clone()),
            ErrorCode::BadMessage,
            "two ids",
        ),
        (refused(|p| p.encodings.push(p.encodings[0].clone())), ErrorCode::BadMessage, "1111 is used twice"),
        (refused(|p| p.encodings[0].ssrc = Some(0)), ErrorCode::BadMessage, "not be 0"),
        (refused(|p| p.encodings[0].ssrc = Some(2_222)), ErrorCode::BadMessage, "2222 is used twice"),
        (refused(|p| p.encodings[0].rid = Some("r".repeat(17))), ErrorCode::BadMessage, "rid"),
        (refused(|p| p.mid = Some(String::new())), ErrorCode::BadMessage, "mid"),
        (refused(|p| p.mid = Some("a b".into())), ErrorCode::BadMessage, "mid"),
        (
            refused(|p| {
                p.mid = None;
                p.encodings.clear();
            }),
            ErrorCode::BadMessage,
            "cannot be assigned",
        ),
    ];
    for (error, code, word) in cases {
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(word), "{error} should contain {word:?}");
    }
    let error = Produced::new(Kind::Audio, &sent(CHROME, "video")).expect_err("video is not audio");
    assert_eq!(error.code, ErrorCode::UnsupportedCodec);
}

#[test]
fn single_encoding_may_be_identified_by_mid_alone() {
    let mut parameters = sent(FIREFOX, "video");
    parameters.encodings.clear();
    let produced = Produced::new(Kind::Video, &parameters).expect("a mid and its extension suffice");
    assert_eq!(produced.encodings.len(), 1);
    assert_eq!(produced.encodings[0].ssrc, None);
}

#[test]
fn formatted_fingerprint_is_parsed_to_the_same_bytes() {
    let bytes: [u8; 32] = std::array::from_fn(|index| index as u8 * 8 + 5);
    let ours = dtls::parameters(&bytes);
    let connect = |parameters: &DtlsParameters| dtls::connect(parameters, false);
    let sha256 =
        |bytes| Ok(dtls::Connect { role: DtlsRole::Server, fingerprint: PeerFingerprint::Sha256(bytes) });
    assert_eq!(connect(&ours), sha256(bytes));
    let line =
        CHROME.lines().find_map(|line| line.strip_prefix("a=fingerprint:sha-256 ")).expect("Chrome has one");
    let theirs = |role: &str, algorithm: &str, value: &str| DtlsParameters {
        role: role.into(),
        fingerprints: vec![DtlsFingerprint { algorithm: algorithm.into(), value: value.into() }],
    };
    let read = connect(&theirs("client", "SHA-256", line)).expect("Chrome's");
    let PeerFingerprint::Sha256(read) = read.fingerprint else { panic!("{read:?}") };
    assert_eq!(dtls::parameters(&read).fingerprints[0].value, line);
    let lower = line.to_ascii_lowercase();
    assert_eq!(connect(&theirs("auto", "sha-256", &lower)), sha256(read));
    let longer = format!("{line}:00");
    let signs = format!("+{}", &line[1..]);
    for wrong in ["", "00", &line[..line.len() - 1], &line[3..], &longer, &signs, &line.replace(':', "-")] {
        let error = connect(&theirs("client", "sha-256", wrong)).expect_err(wrong);
        assert_eq!(error.code, ErrorCode::BadMessage);
    }
    connect(&theirs("peer", "sha-256", line)).expect_err("no such role");
    // The engine is the DTLS client of a server.
    assert_eq!(connect(&theirs("server", "sha-256", line)).map(|found| found.role), Ok(DtlsRole::Client));
    // The strongest one counts, and sha-1 alone needs an option.
    let sha1 = theirs("client", "sha-1", &["07"; 20].join(":"));
    connect(&sha1).expect_err("too weak");
    let allowed = dtls::connect(&sha1, true).map(|found| found.fingerprint);
    assert_eq!(allowed, Ok(PeerFingerprint::Sha1([7; 20])));
    let mut several = theirs("client", "sha-256", line);
    several.fingerprints.extend(theirs("client", "sha-512", &["07"; 64].join(":")).fingerprints);
    several.fingerprints.extend(sha1.fingerprints);
    assert_eq!(connect(&several).map(|found| found.fingerprint), Ok(PeerFingerprint::Sha512([7; 64])));
    several.fingerprints[1].value = "07".into();
    connect(&several).expect_err("a damaged stronger one does not make a weaker one count");
}

#[test]
fn candidates_keep_the_order_of_the_engine() {
    let address = |address: &str| address.parse().expect("an address");
    let candidates = dtls::candidates(&[
        Candidate::udp(address("[::1]:7000")),
        Candidate::udp(address("127.0.0.1:7000")),
        Candidate::tcp(address("[::1]:7001")),
        Candidate::tcp(address("127.0.0.1:7001")),
    ]);
    assert_eq!(candidates[0].address, "::1");
    assert!(candidates.windows(2).all(|pair| pair[0].priority > pair[1].priority));
    let kinds =
        candidates.iter().map(|candidate| (candidate.protocol.as_str(), candidate.tcp_type.as_deref()));
    let (udp, tcp) = (("udp", None), ("tcp", Some("passive")));
    assert_eq!(kinds.collect::<Vec<_>>(), [udp, udp, tcp, tcp]);
    assert_eq!((candidates[2].address.as_str(), candidates[2].port), ("::1", 7001));
    let foundations: std::collections::BTreeSet<_> =
        candidates.iter().map(|candidate| &candidate.foundation).collect();
    assert_eq!(foundations.len(), 4, "no two share address and protocol");
    // RFC 6544 §4.2: the direction preference of a passive candidate is 4.
    assert_eq!(candidates[2].priority >> 8 & 0xffff, (1 << 13) * 4 + 8_191 - 2);
    // RFC 8445 §5.1.2.1, for the best host candidate of component 1.
    assert_eq!(candidates[0].priority, (1 << 24) * 126 + (1 << 8) * 65_535 + (256 - 1));
}
