//! From what a browser can receive to what the engine is to send, and how the browser is told.

use super::names::{self, is_rtx, uri};
use super::produce::{as_number, has_feedback};
use super::{capabilities, check_len};
use crate::failure::Failure;
use crate::proto::{
    ErrorCode, RtcpParameters, RtpCapabilities, RtpCodecCapability, RtpCodecParameters,
    RtpEncodingParameters, RtpHeaderExtensionParameters, RtpParameters, RtxStream,
};
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
    /// What a client with `receiver`'s capabilities can get of a producer with these codecs.
    pub fn new(
        kind: Kind,
        produced: &[CodecParameters],
        receiver: &RtpCapabilities,
    ) -> Result<Self, Failure> {
        check_len("rtpCapabilities.codecs", &receiver.codecs)?;
        check_len("rtpCapabilities.headerExtensions", &receiver.header_extensions)?;
        let mut codecs: Vec<CodecParameters> = Vec::new();
        for produced in produced {
            let known = codecs.iter().any(|codec| codec.codec == produced.codec);
            if let Some(codec) = codec(kind, produced.codec, receiver)?.filter(|_| !known) {
                codecs.push(codec);
            }
        }
        if codecs.is_empty() {
            let names: Vec<_> = produced.iter().map(|codec| names::name(codec.codec).mime_type).collect();
            let text =
                format!("the producer sends {}, and rtpCapabilities has nothing like it", names.join(" or "));
            return Err(Failure::new(ErrorCode::CannotConsume, text));
        }
        let extensions: Vec<_> = capabilities::EXTENSIONS
            .iter()
            .filter(|(_, _, kinds, direction)| kinds.contains(&kind) && *direction != "recvonly")
            .filter(|(extension, ..)| receives(kind, uri(*extension), receiver))
            .map(|(extension, id, ..)| Extension { kind: *extension, id: *id })
            .collect();
        if !extensions.iter().any(|extension| extension.kind == ExtensionKind::TransportCc) {
            // There are no numbers to give feedback on.
            codecs.iter_mut().for_each(|codec| codec.transport_cc = false);
        }
        Ok(Self { kind, codecs, extensions })
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
        ];
        let feedback = feedback.into_iter().filter(|(agreed, _)| *agreed);
        let media = RtpCodecParameters {
            mime_type: name.mime_type.into(),
            payload_type: codec.pt.into(),
            clock_rate: name.clock_rate_hz,
            channels: (self.kind == Kind::Audio).then_some(name.channels),
            parameters: capabilities::parameters(codec.codec),
            rtcp_feedback: feedback.map(|(_, feedback)| capabilities::feedback_message(feedback)).collect(),
        };
        let rtx = codec.rtx_pt.map(|rtx_pt| RtpCodecParameters {
            mime_type: format!("{}/rtx", super::kind_name(self.kind)),
            payload_type: rtx_pt.into(),
            clock_rate: name.clock_rate_hz,
            channels: None,
            parameters: BTreeMap::from([("apt".into(), capabilities::number(codec.pt.into()))]),
            rtcp_feedback: Vec::new(),
        });
        [Some(media), rtx].into_iter().flatten()
    }
}

/// `codec` with the router's payload types and what `receiver` can do of it; `None` if it cannot receive it.
fn codec(kind: Kind, codec: Codec, receiver: &RtpCapabilities) -> Result<Option<CodecParameters>, Failure> {
    let matches = |claimed: &&RtpCodecCapability| {
        names::find(&claimed.mime_type, claimed.clock_rate, claimed.channels)
            .is_some_and(|name| name.codec == codec)
    };
    let Some(claimed) = receiver.codecs.iter().find(matches) else { return Ok(None) };
    check_len("rtcpFeedback", &claimed.rtcp_feedback)?;
    let takes_rtx = receiver.codecs.iter().any(|rtx| {
        is_rtx(&rtx.mime_type)
            && rtx.parameters.get("apt").and_then(as_number).and_then(|apt| u32::try_from(apt).ok())
                == Some(claimed.preferred_payload_type)
    });
    let has = |wanted| has_feedback(kind, &claimed.rtcp_feedback, wanted);
    let (pt, rtx_pt) = capabilities::payload_types(codec);
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

/// Whether the client takes this extension on what it receives. A direction in its capabilities is as it sees it itself.
fn receives(kind: Kind, uri: &str, receiver: &RtpCapabilities) -> bool {
    receiver.header_extensions.iter().any(|extension| {
        extension.uri == uri
            && (extension.kind.is_empty() || extension.kind == super::kind_name(kind))
            && matches!(extension.direction.as_str(), "" | "sendrecv" | "recvonly")
    })
}
