//! From what a browser can receive to what the engine is to send, and how the browser is told.

use super::names::{self, is_rtx, uri};
use super::payload_types::payload_types;
use super::produce::{Produced, has_feedback};
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

/// What one client can get of one producer, before it has a MID and SSRCs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumable {
    kind: Kind,
    /// Codecs in the producer's order, with the router's payload types.
    pub codecs: Vec<CodecParameters>,
    /// Extensions with the router's ids.
    pub extensions: Vec<Extension>,
    /// The layers there are.
    scalability_mode: ScalabilityMode,
    is_stereo: bool,
    /// It tells its bandwidth by REMB, for want of transport-wide feedback.
    has_remb: bool,
}

/// The SSRCs a consumer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerSsrcs {
    /// Of the media.
    pub media: u32,
    /// Of the retransmissions, if there are any.
    pub rtx: Option<u32>,
}

impl Consumable {
    /// What a client with `receiver`'s capabilities can get of a producer.
    pub fn new(kind: Kind, produced: &Produced, receiver: &RtpCapabilities) -> Result<Self, RequestError> {
        check_len("rtpCapabilities.codecs", &receiver.codecs)?;
        check_len("rtpCapabilities.headerExtensions", &receiver.header_extensions)?;
        let mut codecs: Vec<CodecParameters> = Vec::new();
        for produced in &produced.codecs {
            let known = codecs.iter().any(|codec| codec.codec == produced.codec);
            if let Some(codec) = codec(kind, produced.codec, receiver)?.filter(|_| !known) {
                codecs.push(codec);
            }
        }
        // RED is nothing without the Opus in it.
        if !codecs.iter().any(|codec| codec.codec != Codec::Red) {
            let names: Vec<_> =
                produced.codecs.iter().map(|codec| names::name(codec.codec).mime_type).collect();
            let text =
                format!("the producer sends {}, and rtpCapabilities has nothing like it", names.join(" or "));
            return Err(RequestError::new(ErrorCode::CannotConsume, text));
        }
        // One kind of feedback about bandwidth, and the extension that it is about.
        let takes = |extension| receives(kind, extension, receiver);
        let has_transport_cc =
            takes(ExtensionKind::TransportCc) && codecs.iter().any(|codec| codec.transport_cc);
        let has_remb =
            !has_transport_cc && takes(ExtensionKind::AbsSendTime) && sends_remb(kind, &codecs, receiver);
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
            .map(|(extension, id, ..)| Extension { kind: *extension, id: *id })
            .collect();
        let (scalability_mode, is_stereo) = (produced.scalability_mode, produced.is_stereo);
        Ok(Self { kind, codecs, extensions, scalability_mode, is_stereo, has_remb })
    }

    /// Whether there will be retransmissions with an SSRC of their own.
    pub fn has_rtx(&self) -> bool {
        self.codecs.iter().any(|codec| codec.rtx_pt.is_some())
    }

    /// The same for the client.
    pub fn parameters(&self, mid: &str, ssrcs: ConsumerSsrcs, cname: &str) -> RtpParameters {
        let header_extensions = self.extensions.iter().map(|extension| RtpHeaderExtensionParameters {
            uri: uri(extension.kind).into(),
            id: extension.id.into(),
            encrypt: false,
        });
        let encoding = RtpEncodingParameters {
            ssrc: Some(ssrcs.media),
            rtx: ssrcs.rtx.map(|ssrc| RtxStream { ssrc }),
            // One stream, whatever the producer sends: simulcast looks like sizes within it.
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
        let mut parameters = formats::parameters(codec.codec);
        if self.is_stereo && codec.codec == Codec::Opus {
            // RFC 7587 §6.1: what will be sent. mediasoup-client has the browser decode two channels then.
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

/// The first video codec of the router that a client can play; `None` if it can play none.
pub fn first_playable(media: &MediaConfig, receiver: &RtpCapabilities) -> Option<Codec> {
    media.video_codecs.iter().copied().find(|codec| claimed(*codec, receiver).is_some())
}

/// Its name, for example "video/VP8".
pub fn mime_type(codec: Codec) -> &'static str {
    names::name(codec).mime_type
}

/// `codec` with the router's payload types and what `receiver` can do of it; `None` if it cannot receive it.
fn codec(
    kind: Kind,
    codec: Codec,
    receiver: &RtpCapabilities,
) -> Result<Option<CodecParameters>, RequestError> {
    let Some(claimed) = claimed(codec, receiver) else { return Ok(None) };
    check_len("rtcpFeedback", &claimed.rtcp_feedback)?;
    let takes_rtx = receiver.codecs.iter().any(|rtx| {
        is_rtx(&rtx.mime_type)
            && rtx.parameters.get("apt").and_then(as_number).and_then(|apt| u32::try_from(apt).ok())
                == Some(claimed.preferred_payload_type)
    });
    let has = |wanted| has_feedback(kind, &claimed.rtcp_feedback, wanted);
    let (pt, rtx_pt) = payload_types(codec);
    Ok(Some(CodecParameters {
        codec,
        pt,
        // Nobody asks for what RTX would carry without NACK.
        rtx_pt: rtx_pt.filter(|_| takes_rtx && has(("nack", ""))),
        clock_rate_hz: names::name(codec).clock_rate_hz,
        nack: has(("nack", "")),
        pli: has(("nack", "pli")),
        fir: has(("ccm", "fir")),
        transport_cc: has(("transport-cc", "")),
    }))
}

/// What the client says of `codec` in the format that is forwarded here.
fn claimed(codec: Codec, receiver: &RtpCapabilities) -> Option<&RtpCodecCapability> {
    receiver.codecs.iter().find(|claimed| {
        formats::takes_all(codec, &claimed.parameters)
            && formats::find(&claimed.mime_type, claimed.clock_rate, claimed.channels, &claimed.parameters)
                .is_some_and(|name| name.codec == codec)
    })
}

/// Whether the client answers one of `codecs` with REMB.
fn sends_remb(kind: Kind, codecs: &[CodecParameters], receiver: &RtpCapabilities) -> bool {
    codecs
        .iter()
        .filter_map(|codec| claimed(codec.codec, receiver))
        .any(|claimed| has_feedback(kind, &claimed.rtcp_feedback, ("goog-remb", "")))
}

/// Whether the client takes this extension on what it receives. A direction in its capabilities is as it sees it itself.
fn receives(kind: Kind, extension: ExtensionKind, receiver: &RtpCapabilities) -> bool {
    // mediasoup-client keeps a browser's extensions by id, so of those that audio and video share (and have to number alike,
    // RFC 8843 §9.1) it names only video's. A browser has these for both or for neither.
    let is_shared =
        matches!(extension, ExtensionKind::Mid | ExtensionKind::TransportCc | ExtensionKind::AbsSendTime);
    receiver.header_extensions.iter().any(|claimed| {
        claimed.uri == uri(extension)
            && (is_shared || claimed.kind.is_empty() || claimed.kind == kind_name(kind))
            && matches!(claimed.direction.as_str(), "" | "sendrecv" | "recvonly")
    })
}
