//! From what a browser is about to send to what the engine has to expect.

use super::names::{self, is_rtx};
use super::{capabilities, check_len};
use crate::failure::Failure;
use crate::limits;
use crate::proto::{
    ErrorCode, ParameterValue, RtcpFeedback, RtpCodecParameters, RtpParameters, parameter_value::Value,
};
use control::{CodecParameters, Encoding, Extension, ExtensionKind, Kind, Text};
use std::collections::HashSet;

/// A producer's parameters, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    /// `a=mid`.
    pub mid: Option<Text>,
    /// Codecs, the first is the one the browser starts with.
    pub codecs: Vec<CodecParameters>,
    /// The one stream.
    pub encodings: Vec<Encoding>,
    /// Header extensions the engine knows.
    pub extensions: Vec<Extension>,
}

impl Produced {
    /// Checks what a client says it will send.
    pub fn new(kind: Kind, parameters: &RtpParameters) -> Result<Self, Failure> {
        let mid = parameters.mid.as_deref().map(|mid| label("mid", mid)).transpose()?;
        let codecs = codecs(kind, &parameters.codecs)?;
        let extensions = extensions(parameters)?;
        let encoding = encoding(parameters)?;
        let has_mid =
            mid.is_some() && extensions.iter().any(|extension| extension.kind == ExtensionKind::Mid);
        if encoding.ssrc.is_none() && encoding.rid.is_none() && !has_mid {
            return Err(Failure::bad(
                "nothing tells which packets are this producer's: encodings need an ssrc or a rid, or rtpParameters a mid and its extension",
            ));
        }
        Ok(Self { mid, codecs, encodings: vec![encoding], extensions })
    }
}

/// A MID or RID: a token (RFC 8866 §9) that fits a one-byte header extension.
fn label(what: &str, text: &str) -> Result<Text, Failure> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{|}~".contains(c);
    if text.is_empty() || text.len() > limits::MID_LEN_MAX || !text.chars().all(is_token) {
        return Err(Failure::bad(format!(
            "{what} must be a token of 1 to {} characters (RFC 8866 §9)",
            limits::MID_LEN_MAX
        )));
    }
    Ok(Text::new(text))
}

fn codecs(kind: Kind, codecs: &[RtpCodecParameters]) -> Result<Vec<CodecParameters>, Failure> {
    check_len("rtpParameters.codecs", codecs)?;
    let mut taken = HashSet::new();
    let mut media = Vec::new();
    for codec in codecs {
        let pt = payload_type(codec.payload_type)?;
        if !taken.insert(pt) {
            return Err(Failure::bad(format!("payload type {pt} is used twice in rtpParameters.codecs")));
        }
        if is_rtx(&codec.mime_type) {
            continue;
        }
        let name =
            names::find(&codec.mime_type, codec.clock_rate, codec.channels).filter(|name| name.kind == kind);
        let Some(name) = name else {
            let text = format!(
                "{}/{} is no {} codec of this router; see the capabilities in Joined",
                shortened(&codec.mime_type),
                codec.clock_rate,
                super::kind_name(kind),
            );
            return Err(Failure::new(ErrorCode::UnsupportedCodec, text));
        };
        check_len("rtcpFeedback", &codec.rtcp_feedback)?;
        let has = |wanted| has_feedback(kind, &codec.rtcp_feedback, wanted);
        media.push(CodecParameters {
            codec: name.codec,
            pt,
            rtx_pt: None,
            clock_rate_hz: name.clock_rate_hz,
            nack: has(("nack", "")),
            pli: has(("nack", "pli")),
            fir: has(("ccm", "fir")),
            transport_cc: has(("transport-cc", "")),
        });
    }
    if media.is_empty() {
        return Err(Failure::bad("rtpParameters.codecs names no codec that carries media"));
    }
    if media.len() > control::limits::LIST_LEN_MAX {
        return Err(Failure::bad(format!("at most {} codecs per producer", control::limits::LIST_LEN_MAX)));
    }
    for rtx in codecs.iter().filter(|codec| is_rtx(&codec.mime_type)) {
        let apt = rtx.parameters.get("apt").and_then(as_number);
        let Some(original) = media.iter_mut().find(|codec| Some(i32::from(codec.pt)) == apt) else {
            return Err(Failure::bad(
                "an RTX codec's apt names no payload type of rtpParameters.codecs (RFC 4588 §8.1)",
            ));
        };
        if original.rtx_pt.replace(payload_type(rtx.payload_type)?).is_some() {
            return Err(Failure::bad(format!("payload type {} has two RTX codecs", original.pt)));
        }
    }
    Ok(media)
}

/// Whether the client and the router both have this feedback.
pub(super) fn has_feedback(kind: Kind, claimed: &[RtcpFeedback], wanted: (&str, &str)) -> bool {
    capabilities::feedback(kind).contains(&wanted)
        && claimed.iter().any(|feedback| (feedback.r#type.as_str(), feedback.parameter.as_str()) == wanted)
}

/// RFC 5761 §4: with RTP and RTCP on one port, 64–95 look like RTCP.
fn payload_type(pt: u32) -> Result<u8, Failure> {
    match u8::try_from(pt) {
        Ok(pt @ (0..=63 | 96..=127)) => Ok(pt),
        _ => Err(Failure::bad(format!("payload type {pt} is not in 0–63 or 96–127 (RFC 5761 §4)"))),
    }
}

pub(super) fn as_number(value: &ParameterValue) -> Option<i32> {
    match value.value.as_ref()? {
        Value::Number(number) => Some(*number),
        Value::Text(text) => text.parse().ok(),
    }
}

fn extensions(parameters: &RtpParameters) -> Result<Vec<Extension>, Failure> {
    check_len("rtpParameters.headerExtensions", &parameters.header_extensions)?;
    let mut ids = HashSet::new();
    let mut known: Vec<Extension> = Vec::new();
    for extension in &parameters.header_extensions {
        // RFC 8285 §4.2, §4.3: 0 is padding, 15 ends a one-byte header.
        let id = match u8::try_from(extension.id) {
            Ok(id @ (1..=14 | 16..)) => id,
            _ => {
                return Err(Failure::bad(format!(
                    "header extension id {} is not in 1–14 or 16–255 (RFC 8285)",
                    extension.id
                )));
            }
        };
        if !ids.insert(id) {
            return Err(Failure::bad(format!("header extension id {id} is used twice")));
        }
        // What the engine does not know it does not forward either: nothing to agree on. RFC 6904 is not spoken.
        let Some(kind) = names::extension(&extension.uri).filter(|_| !extension.encrypt) else { continue };
        if known.iter().any(|known| known.kind == kind) {
            return Err(Failure::bad(format!("header extension {} has two ids", extension.uri)));
        }
        known.push(Extension { kind, id });
    }
    Ok(known)
}

fn encoding(parameters: &RtpParameters) -> Result<Encoding, Failure> {
    let encoding = match parameters.encodings.as_slice() {
        [] => return Ok(Encoding::SINGLE),
        [encoding] => encoding,
        more => {
            let text = format!("a producer has one encoding here, not {}: turn simulcast off", more.len());
            return Err(Failure::new(ErrorCode::Limit, text));
        }
    };
    let rtx_ssrc = encoding.rtx.as_ref().map(|rtx| rtx.ssrc);
    if encoding.ssrc == Some(0) || rtx_ssrc == Some(0) {
        return Err(Failure::bad("an ssrc in encodings must not be 0"));
    }
    if rtx_ssrc.is_some() && rtx_ssrc == encoding.ssrc {
        return Err(Failure::bad("an encoding and its retransmissions need two ssrcs (RFC 4588 §5.1)"));
    }
    let rid = encoding.rid.as_deref().map(|rid| label("rid", rid)).transpose()?;
    Ok(Encoding { rid, ssrc: encoding.ssrc, rtx_ssrc, ..Encoding::SINGLE })
}

/// As much of a client's text as belongs into an answer.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(32)]
}
