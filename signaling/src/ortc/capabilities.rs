//! The RTP capabilities of a router, for `Device.load` of the client.

use super::formats;
use super::h264::Profile;
use super::names::{self, uri};
use super::payload_types::payload_types;
use super::text::kind_name;
use super::value::number;
use crate::ortc::media_config::MediaConfig;
use crate::proto::{RtcpFeedback, RtpCapabilities, RtpCodecCapability, RtpHeaderExtension};
use control::{Codec, ExtensionKind, Kind};
use std::collections::BTreeMap;

/// Header extensions: the kinds of media, the id on every consumer, and the direction from the router's point
/// of view. An id has the same meaning for audio and video, because they share a BUNDLE group (RFC 8843
/// §9.1).
pub(super) const EXTENSIONS: &[(ExtensionKind, u8, &[Kind], &str)] = &[
    (ExtensionKind::Mid, 1, &[Kind::Audio, Kind::Video], "sendrecv"),
    // Identifies the layer of a packet to the router; a consumer gets one stream.
    (ExtensionKind::Rid, 2, &[Kind::Video], "recvonly"),
    (ExtensionKind::RepairedRid, 3, &[Kind::Video], "recvonly"),
    // A consumer gets one of these two: the one that its feedback needs.
    (ExtensionKind::AbsSendTime, 4, &[Kind::Audio, Kind::Video], "sendrecv"),
    (ExtensionKind::TransportCc, 5, &[Kind::Audio, Kind::Video], "sendrecv"),
    // Layers and their dependencies. Not covered by end-to-end encryption: the engine reads this instead of
    // the payload.
    (ExtensionKind::DependencyDescriptor, 6, &[Kind::Video], "sendrecv"),
    (ExtensionKind::AudioLevel, 10, &[Kind::Audio], "sendrecv"),
    (ExtensionKind::VideoOrientation, 11, &[Kind::Video], "sendrecv"),
    (ExtensionKind::TimeOffset, 12, &[Kind::Video], "sendrecv"),
    (ExtensionKind::AbsCaptureTime, 13, &[Kind::Audio, Kind::Video], "sendrecv"),
    (ExtensionKind::PlayoutDelay, 14, &[Kind::Video], "sendrecv"),
];

/// Sent to clients that request it, but not announced as a capability of the router: mediasoup-client numbers
/// it for audio without considering the ids of video, even if the browser does not offer it. In one BUNDLE
/// group the ids would conflict.
const UNANNOUNCED: ExtensionKind = ExtensionKind::AbsCaptureTime;

/// RTCP feedback that the engine supports for media of one kind. Consumers use `goog-remb` only without
/// transport-cc. Producers do not need it: every browser prefers transport-cc, and the engine sends no REMB.
pub(super) fn feedback(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Audio => &[("nack", ""), ("transport-cc", "")],
        Kind::Video => {
            &[("nack", ""), ("nack", "pli"), ("ccm", "fir"), ("goog-remb", ""), ("transport-cc", "")]
        }
    }
}

pub(super) fn feedback_message((r#type, parameter): (&str, &str)) -> RtcpFeedback {
    RtcpFeedback { r#type: r#type.into(), parameter: parameter.into() }
}

/// The codecs of every room, in the order of preference. RED comes after Opus, because a client that takes
/// only the first codec must not take RED, which contains Opus.
pub(super) fn codecs(config: &MediaConfig) -> impl Iterator<Item = Codec> {
    [Codec::Opus, Codec::Red].into_iter().chain(config.video_codecs.iter().copied())
}

/// The capabilities of every router with this configuration.
pub fn router(config: &MediaConfig) -> RtpCapabilities {
    let mut codecs = Vec::new();
    // Further profiles of H264 come last: a client that takes the first format of a codec takes the one that all
    // browsers have.
    let common = self::codecs(config).map(|codec| (codec, Profile::default()));
    let further = Profile::ALL.into_iter().skip(1).map(|profile| (Codec::H264, profile));
    let further = further.filter(|_| config.video_codecs.contains(&Codec::H264));
    for (codec, profile) in common.chain(further) {
        let name = names::name(codec);
        let (pt, rtx_pt) = payload_types(codec, profile);
        let mut parameters = formats::parameters(codec, profile);
        if codec == Codec::Opus {
            // RFC 7587 §6.1: the preference of the receiver. mediasoup-client passes it to the browser.
            let preferences = [("stereo", config.opus.stereo), ("usedtx", config.opus.dtx)];
            parameters.extend(preferences.map(|(name, wanted)| (name.to_owned(), number(wanted.into()))));
        }
        let media = RtpCodecCapability {
            kind: kind_name(name.kind).into(),
            mime_type: name.mime_type.into(),
            preferred_payload_type: pt.into(),
            clock_rate: name.clock_rate_hz,
            channels: (name.kind == Kind::Audio).then_some(name.channels),
            parameters,
            rtcp_feedback: feedback(name.kind).iter().copied().map(feedback_message).collect(),
        };
        let rtx = rtx_pt.map(|rtx_pt| RtpCodecCapability {
            mime_type: format!("{}/rtx", kind_name(name.kind)),
            preferred_payload_type: rtx_pt.into(),
            parameters: BTreeMap::from([("apt".into(), number(pt.into()))]),
            rtcp_feedback: Vec::new(),
            ..media.clone()
        });
        codecs.push(media);
        codecs.extend(rtx);
    }
    let extension = |kind: Kind| {
        let announced = EXTENSIONS.iter().filter(|(extension, ..)| *extension != UNANNOUNCED);
        announced.filter(move |(_, _, kinds, _)| kinds.contains(&kind)).map(
            move |(extension, id, _, direction)| RtpHeaderExtension {
                kind: kind_name(kind).into(),
                uri: uri(*extension).into(),
                preferred_id: (*id).into(),
                preferred_encrypt: false,
                direction: (*direction).into(),
            },
        )
    };
    RtpCapabilities {
        codecs,
        header_extensions: extension(Kind::Audio).chain(extension(Kind::Video)).collect(),
    }
}
