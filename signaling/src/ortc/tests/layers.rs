//! All codecs and their layers, with offers of Chrome 156 and Firefox 153 (`tests/sdp`).

use super::{ids, offered, router, sent_as};
use crate::ortc::media_config::{MediaConfig, Opus};
use crate::ortc::*;
use crate::proto::{
    self, ErrorCode, RtcpFeedback, RtpCapabilities, RtpCodecCapability, RtpEncodingParameters, RtpParameters,
    parameter_value::Value,
};
use control::{Codec, ExtensionKind, Kind};

const VP8: &str = include_str!("../../../tests/sdp/chrome-156-vp8-sim3.sdp");
const H264: &str = include_str!("../../../tests/sdp/chrome-156-h264-sim3.sdp");
const VP9: &str = include_str!("../../../tests/sdp/chrome-156-vp9-L3T3_KEY.sdp");
const AV1: &str = include_str!("../../../tests/sdp/chrome-156-av1-L3T3_KEY.sdp");
const EVERYTHING: &str = include_str!("../../../tests/sdp/chrome-156-av-recvonly.sdp");
const FIREFOX: &str = include_str!("../../../tests/sdp/firefox-153-vp8-sim3.sdp");
const FIREFOX_VP9: &str = include_str!("../../../tests/sdp/firefox-153-vp9-single.sdp");

/// Three sizes, as Chrome sends them with mediasoup-client: identified by RID, without SSRCs.
fn simulcast(sdp: &str, mime_type: &str, mode: Option<&str>) -> RtpParameters {
    let mut parameters = sent_as(sdp, mime_type).expect("supported by the browser");
    let encoding = |(index, scale): (usize, &f64)| RtpEncodingParameters {
        rid: Some(format!("r{index}")),
        scalability_mode: mode.map(Into::into),
        scale_resolution_down_by: Some(*scale),
        max_bitrate: Some(100_000 << index),
        ..Default::default()
    };
    parameters.encodings = [4.0, 2.0, 1.0].iter().enumerate().map(encoding).collect();
    parameters
}

fn svc(sdp: &str, mime_type: &str, mode: &str) -> RtpParameters {
    let mut parameters = sent_as(sdp, mime_type).expect("supported by the browser");
    parameters.encodings[0].scalability_mode = Some(mode.into());
    parameters
}

fn consumer_parameters(produced: &Produced, receiver: &RtpCapabilities) -> RtpParameters {
    let consumable = Consumable::new(Kind::Video, produced, receiver).expect("consumable");
    let ssrcs = ConsumerSsrcs { media: 7, rtx: consumable.has_rtx().then_some(8) };
    consumable.parameters("3", ssrcs, "cname")
}

#[test]
fn simulcast_of_chrome_and_firefox_has_three_encodings_and_one_for_the_consumer() {
    for (sdp, mime_type, mode, temporal, pts, seen) in [
        (VP8, "video/VP8", Some("L1T3"), 3, (96, 97), "L3T3"),
        (H264, "video/H264", Some("L1T3"), 3, (108, 109), "L3T3"),
        (FIREFOX, "video/VP8", None, 1, (120, 124), "L3T1"),
    ] {
        let produced = Produced::new(Kind::Video, &simulcast(sdp, mime_type, mode)).expect("understood");
        let codec = produced.codecs[0];
        assert_eq!((codec.pt, codec.rtx_pt), (pts.0, Some(pts.1)), "{mime_type}");
        let rids: Vec<_> = produced
            .encodings
            .iter()
            .filter_map(|encoding| encoding.rid.as_ref())
            .map(|rid| rid.as_str())
            .collect();
        assert_eq!(rids, ["r0", "r1", "r2"]);
        for (index, encoding) in produced.encodings.iter().enumerate() {
            assert_eq!((encoding.spatial_layers, encoding.temporal_layers), (1, temporal));
            assert_eq!(encoding.max_bitrate_bps, Some(100_000 << index));
            assert_eq!((encoding.ssrc, encoding.rtx_ssrc), (None, None));
        }
        let descriptor = ids(&produced.extensions)
            .into_iter()
            .find(|(kind, _)| *kind == ExtensionKind::DependencyDescriptor);
        assert_eq!(descriptor.map(|(_, id)| id), Some(if sdp == FIREFOX { 8 } else { 13 }));

        let parameters = consumer_parameters(&produced, &offered(EVERYTHING));
        let [encoding] = parameters.encodings.as_slice() else { panic!("one: {parameters:?}") };
        assert_eq!(encoding.scalability_mode.as_deref(), Some(seen));
        assert_eq!((encoding.ssrc, encoding.rid.as_ref()), (Some(7), None));
    }
}

#[test]
fn svc_stream_is_one_encoding_with_layers() {
    for (sdp, mime_type, codec, pt) in
        [(VP9, "video/VP9", Codec::Vp9, 98), (AV1, "video/AV1", Codec::Av1, 45)]
    {
        for (mode, spatial, temporal) in
            [("L3T3_KEY", 3, 3), ("L3T3", 3, 3), ("L1T2", 1, 2), ("S2T1", 2, 1), ("L2T3_KEY_SHIFT", 2, 3)]
        {
            let produced = Produced::new(Kind::Video, &svc(sdp, mime_type, mode)).expect("understood");
            assert_eq!((produced.codecs[0].codec, produced.codecs[0].pt), (codec, pt));
            let [encoding] = produced.encodings.as_slice() else { panic!("one") };
            assert_eq!((encoding.spatial_layers, encoding.temporal_layers), (spatial, temporal), "{mode}");
            assert_eq!(encoding.ssrc, Some(1_111));
            let parameters = consumer_parameters(&produced, &offered(EVERYTHING));
            assert_eq!(parameters.encodings[0].scalability_mode.as_deref(), Some(mode));
            let named = |kind| {
                let uri = names::uri(kind);
                parameters.header_extensions.iter().any(|extension| extension.uri == uri)
            };
            // Chrome names the dependency descriptor only in an offer with layers; mediasoup-client makes
            // such an offer to query it.
            assert!(!named(ExtensionKind::DependencyDescriptor) && named(ExtensionKind::TransportCc));
            let asked = consumer_parameters(&produced, &offered(sdp));
            let uri = names::uri(ExtensionKind::DependencyDescriptor);
            assert!(
                asked.header_extensions.iter().any(|extension| extension.uri == uri && extension.id == 6)
            );
        }
    }
    let plain =
        Produced::new(Kind::Video, &sent_as(FIREFOX_VP9, "video/VP9").expect("it has")).expect("understood");
    assert_eq!(plain.scalability_mode, ScalabilityMode::SINGLE);
    assert_eq!(consumer_parameters(&plain, &offered(EVERYTHING)).encodings[0].scalability_mode, None);
}

#[test]
fn abs_capture_time_is_sent_only_to_clients_that_offer_it() {
    let uri = names::uri(ExtensionKind::AbsCaptureTime);
    let mut sent = svc(AV1, "video/AV1", "L3T3");
    let extension = proto::RtpHeaderExtensionParameters { uri: uri.into(), id: 9, encrypt: false };
    sent.header_extensions.retain(|extension| extension.id != 9);
    sent.header_extensions.push(extension);
    let produced = Produced::new(Kind::Video, &sent).expect("understood");
    assert!(ids(&produced.extensions).contains(&(ExtensionKind::AbsCaptureTime, 9)));
    let id_of = |receiver: &proto::RtpCapabilities| {
        let parameters = consumer_parameters(&produced, receiver);
        let named = parameters.header_extensions.iter().find(|extension| extension.uri == uri);
        named.map(|extension| extension.id)
    };
    let mut receiver = offered(AV1);
    receiver.header_extensions.retain(|extension| extension.uri != uri);
    assert_eq!(id_of(&receiver), None);
    receiver.header_extensions.push(proto::RtpHeaderExtension {
        kind: "video".into(),
        uri: uri.into(),
        ..Default::default()
    });
    assert_eq!(id_of(&receiver), Some(13));
    let router = super::capabilities::router(&Default::default());
    assert!(router.header_extensions.iter().all(|extension| extension.uri != uri));
}

#[test]
fn every_codec_is_consumed_with_the_payload_types_of_the_router() {
    for (sdp, mime_type, pts) in [
        (VP8, "video/VP8", [101, 102]),
        (H264, "video/H264", [103, 104]),
        (VP9, "video/VP9", [105, 106]),
        (AV1, "video/AV1", [107, 108]),
    ] {
        let produced =
            Produced::new(Kind::Video, &sent_as(sdp, mime_type).expect("it has")).expect("understood");
        for receiver in [offered(EVERYTHING), router()] {
            let parameters = consumer_parameters(&produced, &receiver);
            let payload_types: Vec<_> = parameters.codecs.iter().map(|codec| codec.payload_type).collect();
            assert_eq!(payload_types, pts, "{mime_type}");
            // Both come from one table: the parameters of a consumer are valid for a producer.
            Produced::new(Kind::Video, &parameters).expect("valid");
        }
        let mut without = offered(EVERYTHING);
        without.codecs.retain(|codec| codec.mime_type != mime_type);
        let error = Consumable::new(Kind::Video, &produced, &without).expect_err("it has none");
        assert_eq!(error.code, ErrorCode::CannotConsume);
        assert!(error.message.contains(mime_type), "{error}");
    }
    let h264 = router().codecs.into_iter().find(|codec| codec.mime_type == "video/H264").expect("it has");
    let value = |name: &str| h264.parameters[name].value.clone();
    assert_eq!(value("profile-level-id"), Some(Value::Text("42e01f".into())));
    assert_eq!(value("packetization-mode"), Some(Value::Number(1)));
    assert_eq!(value("level-asymmetry-allowed"), Some(Value::Number(1)));
}

#[test]
fn h264_of_safari_and_firefox_is_found_among_their_formats() {
    let format = |pt: u32, id: &str, mode: Option<i32>| RtpCodecCapability {
        kind: "video".into(),
        mime_type: "video/H264".into(),
        preferred_payload_type: pt,
        clock_rate: 90_000,
        parameters: [("profile-level-id", Value::Text(id.into()))]
            .into_iter()
            .chain(mode.map(|mode| ("packetization-mode", Value::Number(mode))))
            .map(|(name, value)| (name.into(), crate::proto::ParameterValue { value: Some(value) }))
            .collect(),
        ..Default::default()
    };
    let produced =
        Produced::new(Kind::Video, &sent_as(H264, "video/H264").expect("it has")).expect("understood");
    // High first, as in Safari; Constrained Baseline with another level, as in Firefox's OpenH264.
    for codecs in [
        vec![format(96, "640c1f", Some(1)), format(98, "42e01f", Some(1))],
        vec![format(126, "42e01f", Some(1)), format(97, "42e01f", None)],
        vec![format(97, "42e01f", None), format(126, "42e034", Some(1))],
    ] {
        let receiver = RtpCapabilities { codecs, header_extensions: vec![] };
        Consumable::new(Kind::Video, &produced, &receiver).expect("one of them is supported");
    }
    // A receiver without fragments and aggregates cannot receive what others send in mode 1.
    for codecs in [
        vec![format(97, "42e01f", None)],
        vec![format(96, "640c1f", Some(1))],
        vec![format(1, "42001f", Some(1))],
    ] {
        let receiver = RtpCapabilities { codecs, header_extensions: vec![] };
        let error = Consumable::new(Kind::Video, &produced, &receiver).expect_err("none is supported");
        assert_eq!(error.code, ErrorCode::CannotConsume);
    }
    let mut high = sent_as(H264, "video/H264").expect("it has");
    high.codecs[0].parameters.insert(
        "profile-level-id".into(),
        crate::proto::ParameterValue { value: Some(Value::Text("640c1f".into())) },
    );
    let error = Produced::new(Kind::Video, &high).expect_err("other browsers cannot decode it");
    assert_eq!(error.code, ErrorCode::UnsupportedCodec);
    assert!(error.message.contains("video/H264/90000 with profile-level-id 640c1f"), "{error}");
}

#[test]
fn red_is_consumed_only_by_clients_that_support_it_and_opus_by_all() {
    let opus = sent_as(EVERYTHING, "audio/opus").expect("it has");
    let mut both = sent_as(EVERYTHING, "audio/red").expect("it has");
    assert_eq!(both.codecs[0].payload_type, 63);
    let alone = Produced::new(Kind::Audio, &both).expect_err("RED carries Opus");
    assert!(alone.message.contains("audio/opus"), "{alone}");
    both.codecs.extend(opus.codecs.clone());
    let produced = Produced::new(Kind::Audio, &both).expect("understood");
    let codecs = |receiver: &RtpCapabilities| {
        let consumable = Consumable::new(Kind::Audio, &produced, receiver).expect("consumable");
        consumable.codecs.iter().map(|codec| (codec.codec, codec.pt)).collect::<Vec<_>>()
    };
    let mut receiver = offered(EVERYTHING);
    assert_eq!(codecs(&receiver), [(Codec::Red, 109), (Codec::Opus, 100)]);
    receiver.codecs.retain(|codec| codec.mime_type != "audio/red");
    assert_eq!(codecs(&receiver), [(Codec::Opus, 100)], "the engine strips the redundancy");
    receiver = offered(EVERYTHING);
    receiver.codecs.retain(|codec| codec.mime_type != "audio/opus");
    let error = Consumable::new(Kind::Audio, &produced, &receiver).expect_err("RED alone cannot be played");
    assert_eq!(error.code, ErrorCode::CannotConsume);
}

#[test]
fn consumer_has_one_kind_of_bandwidth_feedback() {
    let produced =
        Produced::new(Kind::Video, &sent_as(VP8, "video/VP8").expect("it has")).expect("understood");
    let feedback = |parameters: &RtpParameters| {
        let known =
            |name: &str| parameters.codecs[0].rtcp_feedback.iter().any(|feedback| feedback.r#type == name);
        let has =
            |kind| parameters.header_extensions.iter().any(|extension| extension.uri == names::uri(kind));
        let extensions = (has(ExtensionKind::TransportCc), has(ExtensionKind::AbsSendTime));
        ((known("transport-cc"), known("goog-remb")), extensions)
    };
    let mut receiver = offered(VP8);
    assert_eq!(feedback(&consumer_parameters(&produced, &receiver)), ((true, false), (true, false)));
    receiver.header_extensions.retain(|extension| !extension.uri.contains("transport-wide-cc"));
    assert_eq!(
        feedback(&consumer_parameters(&produced, &receiver)),
        ((false, true), (false, true)),
        "REMB stands in"
    );
    receiver.header_extensions.retain(|extension| !extension.uri.contains("abs-send-time"));
    assert_eq!(feedback(&consumer_parameters(&produced, &receiver)), ((false, false), (false, false)));

    // One half of transport-wide feedback is missing: REMB again.
    let mut receiver = offered(VP8);
    receiver.codecs[0].rtcp_feedback.retain(|feedback| feedback.r#type != "transport-cc");
    assert_eq!(feedback(&consumer_parameters(&produced, &receiver)), ((false, true), (false, true)));

    // mediasoup-client names shared extensions only for video.
    let audio =
        Produced::new(Kind::Audio, &sent_as(EVERYTHING, "audio/opus").expect("it has")).expect("understood");
    let mut receiver = offered(EVERYTHING);
    receiver
        .header_extensions
        .retain(|extension| extension.kind == "video" || extension.uri.contains("audio-level"));
    let consumable = Consumable::new(Kind::Audio, &audio, &receiver).expect("consumable");
    assert!(consumable.codecs[0].transport_cc);
    let kinds: Vec<_> = consumable.extensions.iter().map(|extension| extension.kind).collect();
    assert_eq!(kinds, [ExtensionKind::Mid, ExtensionKind::TransportCc, ExtensionKind::AudioLevel]);
}

#[test]
fn impossible_layers_are_refused_with_a_reason() {
    let refused = |mut parameters: RtpParameters, damage: &dyn Fn(&mut RtpParameters)| {
        damage(&mut parameters);
        let produced =
            Produced::new(Kind::Video, &parameters).and_then(|produced| produced.check_identification());
        let error = produced.expect_err("refused");
        assert_eq!(error.code, ErrorCode::BadMessage, "{error}");
        error.message
    };
    let vp8 = || simulcast(VP8, "video/VP8", Some("L1T3"));
    let vp9 = || svc(VP9, "video/VP9", "L3T3");
    let cases = [
        (
            refused(vp9(), &|p| p.encodings[0].scalability_mode = Some("L4T4".into())),
            "scalabilityMode \"L4T4\": expected a scalability mode",
        ),
        (
            refused(vp9(), &|p| p.encodings[0].scalability_mode = Some("L".repeat(5_000))),
            "expected a scalability mode",
        ),
        (
            refused(vp8(), &|p| p.encodings[0].scalability_mode = Some("L3T3".into())),
            "video/VP8 has one spatial layer per stream",
        ),
        (
            refused(simulcast(VP9, "video/VP9", Some("L2T1")), &|_| {}),
            "with several encodings, each has one spatial layer",
        ),
        (refused(vp8(), &|p| p.encodings[2].rid = Some("r0".into())), "rid r0 is used twice"),
        (refused(vp8(), &|p| p.encodings[1].rid = None), "packets cannot be assigned to this producer"),
        (
            refused(vp8(), &|p| p.header_extensions.retain(|e| !e.uri.ends_with(":rtp-stream-id"))),
            "packets cannot be assigned to this producer",
        ),
        (refused(vp8(), &|p| p.encodings.reverse()), "start with the smallest picture"),
        (
            refused(vp8(), &|p| p.encodings[0].scale_resolution_down_by = Some(f64::NAN)),
            "scaleResolutionDownBy must be 1 or more",
        ),
        (
            refused(vp8(), &|p| p.encodings[0].scale_resolution_down_by = Some(0.5)),
            "scaleResolutionDownBy must be 1 or more",
        ),
        (
            refused(vp8(), &|p| p.encodings = vec![p.encodings[0].clone(); 5]),
            "encodings has 5 entries; at most 4",
        ),
        (
            refused(vp8(), &|p| {
                p.encodings[0].ssrc = Some(5);
                p.encodings[2].rtx = Some(crate::proto::RtxStream { ssrc: 5 });
            }),
            "ssrc 5 is used twice",
        ),
    ];
    for (message, wanted) in cases {
        assert!(message.contains(wanted), "should contain {wanted:?}: {message}");
        assert!(message.len() < 300, "{message}");
    }
    let mut opus = sent_as(EVERYTHING, "audio/opus").expect("it has");
    opus.encodings[0].scalability_mode = Some("L1T2".into());
    let error = Produced::new(Kind::Audio, &opus).expect_err("refused");
    assert!(error.message.contains("audio/opus has no layers"), "{error}");
    opus.encodings[0].scalability_mode = Some("L1T1".into());
    Produced::new(Kind::Audio, &opus).expect("no layers is what it has");
}

#[test]
fn router_capabilities_follow_the_configuration() {
    let config = MediaConfig {
        video_codecs: vec![Codec::Av1, Codec::Vp8],
        opus: Opus { stereo: true, dtx: false },
        ..MediaConfig::default()
    };
    let router = capabilities::router(&config);
    let names: Vec<_> = router.codecs.iter().map(|codec| codec.mime_type.as_str()).collect();
    assert_eq!(names, ["audio/opus", "audio/red", "video/AV1", "video/rtx", "video/VP8", "video/rtx"]);
    let value = |name: &str| router.codecs[0].parameters[name].value.clone();
    assert_eq!((value("stereo"), value("usedtx")), (Some(Value::Number(1)), Some(Value::Number(0))));
    for (sdp, mime_type, is_ours) in
        [(AV1, "video/AV1", true), (VP8, "video/VP8", true), (VP9, "video/VP9", false)]
    {
        let produced =
            Produced::new(Kind::Video, &sent_as(sdp, mime_type).expect("it has")).expect("understood");
        match produced.check(&config) {
            Ok(()) => assert!(is_ours, "{mime_type}"),
            Err(error) => {
                assert!(!is_ours && error.code == ErrorCode::UnsupportedCodec, "{error}");
                assert!(error.message.contains(mime_type), "{error}");
            }
        }
    }
}

#[test]
fn stereo_is_signaled_for_two_channels() {
    let mut opus = sent_as(EVERYTHING, "audio/opus").expect("it has");
    let nack = RtcpFeedback { r#type: "nack".into(), parameter: String::new() };
    opus.codecs[0].rtcp_feedback.push(nack);
    let sprop_stereo = |parameters: &RtpParameters| {
        let produced = Produced::new(Kind::Audio, parameters).expect("understood");
        let consumable = Consumable::new(Kind::Audio, &produced, &router()).expect("consumable");
        assert!(consumable.codecs[0].nack, "both have it");
        let parameters = consumable.parameters("0", ConsumerSsrcs { media: 7, rtx: None }, "cname");
        parameters.codecs[0].parameters.get("sprop-stereo").cloned()
    };
    assert_eq!(sprop_stereo(&opus), None);
    opus.codecs[0].parameters.insert("sprop-stereo".into(), value::number(1));
    assert_eq!(sprop_stereo(&opus), Some(value::number(1)));
}
