//! Layered video as browsers send it: simulcast and SVC, of every codec. A [`LayeredTrack`] describes it, a
//! [`LayeredSource`] sends it.
//!
//! Nothing is encoded here. A frame is its descriptor, the beginning by which a keyframe is recognised, and
//! at the end of each packet the [`Truth`] about the frame, so that a receiver's model can be checked against
//! it.

mod encoder;
mod packetizer;
mod pattern;
mod source;
mod structure;
mod truth;

pub use source::LayeredSource;
pub use truth::{TRUTH_LEN, Truth};

use control::{Codec, CodecParameters, Extension, ExtensionKind, fixtures};
use std::time::Duration;

/// A camera in several layers.
#[derive(Clone, Debug)]
pub struct LayeredTrack {
    /// VP8, VP9, H.264 or AV1.
    pub codec: Codec,
    /// The streams: one, or those of simulcast with the lowest first.
    pub encodings: Vec<EncodingPlan>,
    /// Spatial layers in each stream.
    pub spatial_layers: u8,
    /// Temporal layers in each stream, 1 to 3.
    pub temporal_layers: u8,
    /// Whether the upper spatial layers reference the lower ones in key pictures only (`L3T3_KEY`).
    pub only_key_pictures_are_shared: bool,
    /// VP9: frames list their references.
    pub flexible: bool,
    /// VP8: the width of its picture ids, 15 or 7.
    pub picture_id_bits: u8,
    /// Whether packets carry the dependency descriptor.
    pub dependency_descriptor: bool,
    /// Between two pictures.
    pub frame_interval: Duration,
    /// The probability of padding after a picture, as when libwebrtc probes.
    pub padding: f64,
    /// Whether the streams have sender reports.
    pub sender_reports: bool,
    /// Whether a request for one stream causes a keyframe in every one, as with VP8 in Chrome.
    pub keyframes_together: bool,
    /// Whether the engine may request lost packets.
    pub nack: bool,
    /// Whether they are then sent on a separate stream (RFC 4588).
    pub rtx: bool,
    /// Whether retransmissions name their stream as media does, by `rid` instead of `repaired-rid`.
    pub repairs_have_rid: bool,
    /// Whether packets carry a transport-wide number.
    pub transport_cc: bool,
}

/// One stream of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodingPlan {
    /// Its name (`a=rid`); none if it is the only one.
    pub rid: Option<&'static str>,
    /// Of its largest pictures.
    pub width: u16,
    /// Of its largest pictures.
    pub height: u16,
    /// Of all its layers together, on average.
    pub bitrate_bps: u32,
}

const SIMULCAST: [EncodingPlan; 3] = [
    EncodingPlan { rid: Some("q"), width: 320, height: 180, bitrate_bps: 150_000 },
    EncodingPlan { rid: Some("h"), width: 640, height: 360, bitrate_bps: 400_000 },
    EncodingPlan { rid: Some("f"), width: 1280, height: 720, bitrate_bps: 1_000_000 },
];

const SVC: EncodingPlan = EncodingPlan { rid: None, width: 1280, height: 720, bitrate_bps: 1_200_000 };

impl LayeredTrack {
    /// Three encodings of VP8, each `L1T3`, identified by their RIDs alone.
    pub fn vp8_simulcast() -> Self {
        Self {
            codec: Codec::Vp8,
            encodings: SIMULCAST.to_vec(),
            spatial_layers: 1,
            temporal_layers: 3,
            only_key_pictures_are_shared: false,
            flexible: false,
            picture_id_bits: 15,
            dependency_descriptor: false,
            frame_interval: Duration::from_nanos(33_333_333),
            padding: 0.05,
            sender_reports: true,
            keyframes_together: false,
            nack: true,
            rtx: true,
            repairs_have_rid: false,
            transport_cc: true,
        }
    }

    /// Three encodings of H.264 without layers.
    pub fn h264_simulcast() -> Self {
        Self { codec: Codec::H264, temporal_layers: 1, ..Self::vp8_simulcast() }
    }

    /// Three encodings of H.264, each `L1T3`, described only by the dependency descriptor.
    pub fn h264_temporal_simulcast() -> Self {
        Self { codec: Codec::H264, dependency_descriptor: true, ..Self::vp8_simulcast() }
    }

    /// Three encodings of VP9, each `L1T3`.
    pub fn vp9_simulcast() -> Self {
        Self { codec: Codec::Vp9, ..Self::vp8_simulcast() }
    }

    /// One stream of VP9 in `L3T3`, with the group of pictures announced.
    pub fn vp9_svc() -> Self {
        Self { codec: Codec::Vp9, encodings: vec![SVC], spatial_layers: 3, ..Self::vp8_simulcast() }
    }

    /// One stream of VP9 in `L3T3_KEY`.
    pub fn vp9_key_svc() -> Self {
        Self { only_key_pictures_are_shared: true, ..Self::vp9_svc() }
    }

    /// One stream of AV1 in `L3T3`.
    pub fn av1_svc() -> Self {
        Self { codec: Codec::Av1, dependency_descriptor: true, ..Self::vp9_svc() }
    }

    /// One stream of AV1 in `L3T3_KEY`.
    pub fn av1_key_svc() -> Self {
        Self { only_key_pictures_are_shared: true, ..Self::av1_svc() }
    }

    /// Three encodings of AV1, each `L1T3`.
    pub fn av1_simulcast() -> Self {
        Self { codec: Codec::Av1, dependency_descriptor: true, ..Self::vp8_simulcast() }
    }

    /// Encodings of these names, without further information.
    pub(crate) fn names_of<'a>(names: impl Iterator<Item = Option<&'a str>>) -> Vec<EncodingPlan> {
        let known = |name: &str| SIMULCAST.iter().find(|plan| plan.rid == Some(name)).copied();
        names.map(|name| name.and_then(known).unwrap_or(SVC)).collect()
    }

    /// With listed references (VP9).
    pub fn flexible(self) -> Self {
        Self { flexible: true, ..self }
    }

    /// With picture ids of seven bits (VP8).
    pub fn short_picture_ids(self) -> Self {
        Self { picture_id_bits: 7, ..self }
    }

    /// With the dependency descriptor in addition to the payload's descriptor.
    pub fn with_descriptor(self) -> Self {
        Self { dependency_descriptor: true, ..self }
    }

    /// Without padding.
    pub fn without_padding(self) -> Self {
        Self { padding: 0.0, ..self }
    }

    /// With this amount of padding.
    pub fn padding(self, padding: f64) -> Self {
        Self { padding, ..self }
    }

    /// Without RTX, so that a retransmission is the identical packet, with padding on the stream itself.
    pub fn without_rtx(self) -> Self {
        Self { rtx: false, ..self }
    }

    /// Without sender reports.
    pub fn without_sender_reports(self) -> Self {
        Self { sender_reports: false, ..self }
    }

    /// Whether there is more than one stream.
    pub fn is_simulcast(&self) -> bool {
        self.encodings.len() > 1
    }

    /// How many spatial layers a consumer can choose from: streams, or layers of the one.
    pub fn choices(&self) -> u8 {
        if self.is_simulcast() { self.encodings.len() as u8 } else { self.spatial_layers }
    }

    /// Its codec at the publisher.
    pub(crate) fn codec_parameters(&self) -> CodecParameters {
        CodecParameters {
            nack: self.nack,
            rtx_pt: self.rtx.then_some(99),
            transport_cc: self.transport_cc,
            codec: self.codec,
            ..fixtures::vp8(98, 99)
        }
    }

    /// Its codec at a subscriber.
    pub fn consumed_codec(&self) -> CodecParameters {
        CodecParameters { pt: 118, rtx_pt: self.rtx.then_some(119), ..self.codec_parameters() }
    }

    /// The header extensions at the publisher.
    pub(crate) fn sent_extensions(&self) -> Vec<Extension> {
        let descriptor = Extension { kind: ExtensionKind::DependencyDescriptor, id: sent_ext::DESCRIPTOR };
        let mut extensions = crate::track::sent_extensions();
        extensions.push(Extension { kind: ExtensionKind::Rid, id: sent_ext::RID });
        extensions.push(Extension { kind: ExtensionKind::RepairedRid, id: sent_ext::REPAIRED_RID });
        extensions.extend(self.dependency_descriptor.then_some(descriptor));
        extensions
    }

    /// The header extensions at a subscriber.
    pub fn received_extensions(&self) -> Vec<Extension> {
        let descriptor =
            Extension { kind: ExtensionKind::DependencyDescriptor, id: received_ext::DESCRIPTOR };
        let mut extensions = crate::track::received_extensions();
        extensions.extend(self.dependency_descriptor.then_some(descriptor));
        extensions
    }
}

/// Extension ids at the publisher, in addition to those of every track.
pub(crate) mod sent_ext {
    pub const RID: u8 = 12;
    pub const REPAIRED_RID: u8 = 13;
    pub const DESCRIPTOR: u8 = 14;
}

/// Extension ids at a subscriber, in addition to those of every track.
pub(crate) mod received_ext {
    pub const DESCRIPTOR: u8 = 13;
}
