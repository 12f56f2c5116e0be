//! Parameters of consumers, from the capabilities of the receiving browser.

use super::h264::H264Format;
use super::names::{self, is_rtx, uri};
use super::payload_types::payload_types;
use super::produce::{Produced, has_feedback, payload_type};
use super::text::{check_len, kind_name};
use super::value::{as_number, number};
use super::{ScalabilityMode, capabilities, formats};
use crate::ortc::media_config::MediaConfig;
use crate::proto::{
    ErrorCode, RtcpParameters, RtpCapabilities, RtpCodecCapability, RtpCodecParameters,
    RtpEncodingParameters, RtpHeaderExtensionParameters, RtpParameters, RtxStream,
};
use crate::request_error::RequestError;
use control::{Codec, CodecParameters, Extension, ExtensionKind, Kind};
use std::collections::BTreeMap;

/// Whose payload types and extension ids a consumer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Those of the router: the client creates its description from the parameters of the consumer.
    Router,
    /// Those of the receiver: its description has them, and an answer cannot change them.
    Receiver,
}

/// What one client can receive of one producer, before MID and SSRCs are assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumable {
    kind: Kind,
    /// Codecs in the producer's order.
    pub codecs: Vec<CodecParameters>,
    /// Extensions.
    pub extensions: Vec<Extension>,
    /// Whether one stream of the producer has several spatial layers.
    pub has_spatial_layers: bool,
    /// The layers of the producer.
    scalability_mode: ScalabilityMode,
    is_stereo: bool,
    h264: H264Format,
    /// The client reports its bandwidth by REMB, because it has no transport-wide feedback.
    has_remb: bool,
}

/// The SSRCs of a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerSsrcs {
    /// Of the media stream.
    pub media: u32,
    /// Of the retransmission stream, if there is one.
    pub rtx: Option<u32>,
}

impl Consumable {
    /// Intersects a producer with the capabilities of a receiver; the numbers are those of the router.
    pub fn new(kind: Kind, produced: &Produced, receiver: &RtpCapabilities) -> Result<Self, RequestError> {
        Self::with_numbers(kind, produced, receiver, Numbers::Router)
    }

    /// Intersects a producer with the capabilities of a receiver.
    pub fn with_numbers(
        kind: Kind,
        produced: &Produced,
        receiver: &RtpCapabilities,
        numbers: Numbers,
    ) -> Result<Self, RequestError> {
        check_len("rtpCapabilities.codecs", &receiver.codecs)?;
        check_len("rtpCapabilities.headerExtensions", &receiver.header_extensions)?;
        let h264 = produced.h264;
        let mut codecs: Vec<CodecParameters> = Vec::new();
        for produced in &produced.codecs {
            let known = codecs.iter().any(|codec| codec.codec == produced.codec);
            if let Some(codec) = codec(kind, produced.codec, h264, receiver, numbers)?.filter(|_| !known) {
                codecs.push(codec);
            }
        }
        // RED contains Opus and cannot be used without it.
        if !codecs.iter().any(|codec| codec.codec != Codec::Red) {
            let names: Vec<_> =
                produced.codecs.iter().map(|codec| names::name(codec.codec).mime_type).collect();
            let text = format!(
                "the producer sends {}, and rtpCapabilities has no matching codec{}",
                names.join(" or "),
                if names.contains(&"video/H264") { " with its profile and packetization mode" } else { "" }
            );
            return Err(RequestError::new(ErrorCode::CannotConsume, text));
        }
        // One kind of bandwidth feedback, with the extension that it needs.
        let takes = |extension| receives(kind, extension, receiver);
        let has_transport_cc =
            takes(ExtensionKind::TransportCc) && codecs.iter().any(|codec| codec.transport_cc);
        let has_remb = !has_transport_cc
            && takes(ExtensionKind::AbsSendTime)
            && sends_remb(kind, &codecs, h264, receiver);
        if !has_transport_cc {
            codecs.iter_mut().for_each(|codec| codec.transport_cc = false);
        }
        let extensions = capabilities::EXTENSIONS
            .iter()
            .filter(|(_, _, kinds, direction)| kinds.contains(&kind) && *direction != "recvonly")
            .filter(|(extension, ..)| match extension {
                ExtensionKind::TransportCc => has_transport_cc,
                ExtensionKind::AbsSendTime => has_remb,
                other => takes(*other),
            })
            .filter_map(|(kind, id, ..)| {
                let id = match numbers {
                    Numbers::Router => *id,
                    Numbers::Receiver => receivers_id(*kind, receiver)?,
                };
                Some(Extension { kind: *kind, id })
            })
            .collect();
        let (scalability_mode, is_stereo) = (produced.scalability_mode, produced.is_stereo);
        let has_spatial_layers = produced.encodings.iter().any(|encoding| encoding.spatial_layers > 1);
        Ok(Self { kind, codecs, extensions, has_spatial_layers, scalability_mode, is_stereo, h264, has_remb })
    }

    /// Whether there is a retransmission stream.
    pub fn has_rtx(&self) -> bool {
        self.codecs.iter().any(|codec| codec.rtx_pt.is_some())
    }

    /// The RTP parameters for the client.
    pub fn parameters(&self, mid: &str, ssrcs: ConsumerSsrcs, cname: &str) -> RtpParameters {
        let header_extensions = self.extensions.iter().map(|extension| RtpHeaderExtensionParameters {
            uri: uri(extension.kind).into(),
            id: extension.id.into(),
            encrypt: false,
        });
        let encoding = RtpEncodingParameters {
            ssrc: Some(ssrcs.media),
            rtx: ssrcs.rtx.map(|ssrc| RtxStream { ssrc }),
            // One stream, whatever the producer sends: the encodings of simulcast become its spatial layers.
            scalability_mode: (self.scalability_mode != ScalabilityMode::SINGLE)
                .then(|| self.scalability_mode.to_string()),
            ..RtpEncodingParameters::default()
        };
        RtpParameters {
            mid: Some(mid.into()),
            codecs: self.codecs.iter().flat_map(|codec| self.codec_parameters(codec)).collect(),
            header_extensions: header_extensions.collect(),
            encodings: vec![encoding],
            rtcp: Some(RtcpParameters { cname: Some(cname.into()), reduced_size: Some(true) }),
            msid: None,
        }
    }

    /// A codec and its RTX.
    fn codec_parameters(&self, codec: &CodecParameters) -> impl Iterator<Item = RtpCodecParameters> {
        let name = names::name(codec.codec);
        let feedback = [
            (codec.nack, ("nack", "")),
            (codec.pli, ("nack", "pli")),
            (codec.fir, ("ccm", "fir")),
            (codec.transport_cc, ("transport-cc", "")),
            (self.has_remb, ("goog-remb", "")),
        ];
        let mut parameters = formats::parameters(codec.codec, self.h264.profile);
        if self.is_stereo && codec.codec == Codec::Opus {
            // RFC 7587 §6.1: what will be sent. mediasoup-client makes the browser decode two channels.
            parameters.insert("sprop-stereo".into(), number(1));
        }
        let feedback = feedback.into_iter().filter(|(agreed, _)| *agreed);
        let media = RtpCodecParameters {
            mime_type: name.mime_type.into(),
            payload_type: codec.pt.into(),
            clock_rate: name.clock_rate_hz,
            channels: (self.kind == Kind::Audio).then_some(name.channels),
            parameters,
            rtcp_feedback: feedback.map(|(_, feedback)| capabilities::feedback_message(feedback)).collect(),
        };
        let rtx = codec.rtx_pt.map(|rtx_pt| RtpCodecParameters {
            mime_type: format!("{}/rtx", kind_name(self.kind)),
            payload_type: rtx_pt.into(),
            clock_rate: name.clock_rate_hz,
            channels: None,
            parameters: BTreeMap::from([("apt".into(), number(codec.pt.into()))]),
            rtcp_feedback: Vec::new(),
        });
        [Some(media), rtx].into_iter().flatten()
    }
}

/// The first video codec of the router that a client can decode; `None` if there is none.
pub fn first_playable(media: &MediaConfig, receiver: &RtpCapabilities) -> Option<Codec> {
    media
        .video_codecs
        .iter()
        .copied()
        .find(|codec| claimed(*codec, H264Format::default(), receiver).is_some())
}

/// The media type of a codec, for example "video/VP8".
pub fn mime_type(codec: Codec) -> &'static str {
    names::name(codec).mime_type
}

/// The id of an extension in the description of the receiver.
fn receivers_id(kind: ExtensionKind, receiver: &RtpCapabilities) -> Option<u8> {
    let claimed = receiver.header_extensions.iter().find(|claimed| claimed.uri == uri(kind));
    claimed.and_then(|claimed| u8::try_from(claimed.preferred_id).ok()).filter(|id| *id > 0)
}

/// `codec` with the features of `receiver`; `None` if the client cannot receive it.
fn codec(
    kind: Kind,
    codec: Codec,
    h264: H264Format,
    receiver: &RtpCapabilities,
    numbers: Numbers,
) -> Result<Option<CodecParameters>, RequestError> {
    let Some(claimed) = claimed(codec, h264, receiver) else { return Ok(None) };
    check_len("rtcpFeedback", &claimed.rtcp_feedback)?;
    let claimed_rtx = receiver.codecs.iter().find(|rtx| {
        is_rtx(&rtx.mime_type)
            && rtx.parameters.get("apt").and_then(as_number).and_then(|apt| u32::try_from(apt).ok())
                == Some(claimed.preferred_payload_type)
    });
    let has = |wanted| has_feedback(kind, &claimed.rtcp_feedback, wanted);
    let (pt, rtx_pt) = match numbers {
        Numbers::Router => payload_types(codec, h264.profile),
        Numbers::Receiver => {
            let number = |number| payload_type(number).map(Some);
            let pt = payload_type(claimed.preferred_payload_type)?;
            (pt, claimed_rtx.map_or(Ok(None), |rtx| number(rtx.preferred_payload_type))?)
        }
    };
    Ok(Some(CodecParameters {
        codec,
        pt,
        // Without NACK, RTX is never requested.
        rtx_pt: rtx_pt.filter(|_| claimed_rtx.is_some() && has(("nack", ""))),
        clock_rate_hz: names::name(codec).clock_rate_hz,
        nack: has(("nack", "")),
        pli: has(("nack", "pli")),
        fir: has(("ccm", "fir")),
        transport_cc: has(("transport-cc", "")),
    }))
}

/// The capability of the client for `codec` in a format of this server; for H264, one that takes this stream.
fn claimed(codec: Codec, h264: H264Format, receiver: &RtpCapabilities) -> Option<&RtpCodecCapability> {
    receiver.codecs.iter().find(|claimed| {
        let found =
            formats::find(&claimed.mime_type, claimed.clock_rate, claimed.channels, &claimed.parameters);
        let takes = || H264Format::of(&claimed.parameters).is_some_and(|format| format.takes(h264));
        found.is_some_and(|name| name.codec == codec) && (codec != Codec::H264 || takes())
    })
}

/// Whether the client sends REMB for one of `codecs`.
fn sends_remb(kind: Kind, codecs: &[CodecParameters], h264: H264Format, receiver: &RtpCapabilities) -> bool {
    codecs
        .iter()
        .filter_map(|codec| claimed(codec.codec, h264, receiver))
        .any(|claimed| has_feedback(kind, &claimed.rtcp_feedback, ("goog-remb", "")))
}

/// Whether the client accepts this extension on incoming media. The direction in its capabilities is from its
/// own point of view.
fn receives(kind: Kind, extension: ExtensionKind, receiver: &RtpCapabilities) -> bool {
    // mediasoup-client stores the extensions of a browser by id. Extensions that audio and video share have
    // the same id (RFC 8843 §9.1), so only those of video remain. A browser supports these for both kinds or
    // for neither.
    let is_shared =
        matches!(extension, ExtensionKind::Mid | ExtensionKind::TransportCc | ExtensionKind::AbsSendTime);
    receiver.header_extensions.iter().any(|claimed| {
        claimed.uri == uri(extension)
            && (is_shared || claimed.kind.is_empty() || claimed.kind == kind_name(kind))
            && matches!(claimed.direction.as_str(), "" | "sendrecv" | "recvonly")
    })
}
