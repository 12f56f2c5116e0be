//! What a router can do, for the client's `Device.load`.

use super::formats;
use super::names::{self, uri};
use super::payload_types::payload_types;
use super::text::kind_name;
use super::value::number;
use crate::ortc::media_config::MediaConfig;
use crate::proto::{RtcpFeedback, RtpCapabilities, RtpCodecCapability, RtpHeaderExtension};
use control::{Codec, ExtensionKind, Kind};
use std::collections::BTreeMap;

/// The kinds of media an extension is for, its id on every consumer, and the direction as the router sees it.
/// One id means the same extension for audio and video: they share a BUNDLE group (RFC 8843 §9.1).
pub(super) const EXTENSIONS: &[(ExtensionKind, u8, &[Kind], &str)] = &[
    (ExtensionKind::Mid, 1, &[Kind::Audio, Kind::Video], "sendrecv"),
    // Which layer a packet is of only means something towards the router: a consumer gets one stream.
    (ExtensionKind::Rid, 2, &[Kind::Video], "recvonly"),
    (ExtensionKind::RepairedRid, 3, &[Kind::Video], "recvonly"),
    // Of these two a consumer gets one: what its feedback is about.
    (ExtensionKind::AbsSendTime, 4, &[Kind::Audio, Kind::Video], "sendrecv"),
    (ExtensionKind::TransportCc, 5, &[Kind::Audio, Kind::Video], "sendrecv"),
    // Layers and what they need of each other; outside end-to-end encryption, so the engine reads this and no payload.
    (ExtensionKind::DependencyDescriptor, 6, &[Kind::Video], "sendrecv"),
    (ExtensionKind::AudioLevel, 10, &[Kind::Audio], "sendrecv"),
    (ExtensionKind::VideoOrientation, 11, &[Kind::Video], "sendrecv"),
    (ExtensionKind::TimeOffset, 12, &[Kind::Video], "sendrecv"),
    (ExtensionKind::AbsCaptureTime, 13, &[Kind::Audio, Kind::Video], "sendrecv"),
    (ExtensionKind::PlayoutDelay, 14, &[Kind::Video], "sendrecv"),
];

/// What goes to those who ask for it by themselves, but is not told as something the router can do: mediasoup-client numbers it for audio
/// without looking at video's ids, and says so even where the browser sends none. In one BUNDLE group that is a contradiction.
const UNANNOUNCED: ExtensionKind = ExtensionKind::AbsCaptureTime;

/// RTCP feedback the engine understands for media of one kind. Towards consumers `goog-remb` stands in where there is no
/// transport-cc. From producers nobody needs it: every browser prefers transport-cc, and the engine sends no REMB.
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

/// The codecs of every room, in the order in which clients should prefer them. RED comes after Opus: a client that takes the first codec alone must
/// not take RED, which is nothing without Opus.
pub(super) fn codecs(config: &MediaConfig) -> impl Iterator<Item = Codec> {
    [Codec::Opus, Codec::Red].into_iter().chain(config.video_codecs.iter().copied())
}

/// What every router can do under this configuration.
pub fn router(config: &MediaConfig) -> RtpCapabilities {
    let mut codecs = Vec::new();
    for codec in self::codecs(config) {
        let name = names::name(codec);
        let (pt, rtx_pt) = payload_types(codec);
        let mut parameters = formats::parameters(codec);
        if codec == Codec::Opus {
            // RFC 7587 §6.1: what we, as a receiver, prefer to get. mediasoup-client answers the browser with it.
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
        let told = EXTENSIONS.iter().filter(|(extension, ..)| *extension != UNANNOUNCED);
        told.filter(move |(_, _, kinds, _)| kinds.contains(&kind)).map(
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
