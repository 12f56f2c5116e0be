//! Parameters of producers, from what a browser is about to send.

use super::h264::H264Format;
use super::names::{self, is_rtx};
use super::text::{check_len, kind_name, shortened};
use super::value::as_number;
use super::{ScalabilityMode, capabilities, formats};
use crate::limits;
use crate::ortc::media_config::MediaConfig;
use crate::proto::{ErrorCode, RtcpFeedback, RtpCodecParameters, RtpEncodingParameters, RtpParameters};
use crate::request_error::RequestError;
use control::{Codec, CodecParameters, Encoding, Extension, ExtensionKind, Kind, Text};
use std::collections::HashSet;

/// The checked parameters of a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    /// `a=mid`.
    pub mid: Option<Text>,
    /// Codecs; the browser starts with the first.
    pub codecs: Vec<CodecParameters>,
    /// The single stream, or the streams of simulcast with the smallest picture first.
    pub encodings: Vec<Encoding>,
    /// Header extensions that the engine supports.
    pub extensions: Vec<Extension>,
    /// The layers of all encodings together, as a consumer gets them.
    pub scalability_mode: ScalabilityMode,
    /// Opus with two channels.
    pub is_stereo: bool,
    /// The format of H264, the first one if there are several; that of a browser without H264.
    pub h264: H264Format,
}

impl Produced {
    /// Checks the parameters of a client.
    pub fn new(kind: Kind, parameters: &RtpParameters) -> Result<Self, RequestError> {
        let mid = parameters.mid.as_deref().map(|mid| label("mid", mid)).transpose()?;
        let codecs = codecs(kind, &parameters.codecs)?;
        let extensions = extensions(parameters)?;
        let (encodings, scalability_mode) = encodings(codecs[0].codec, &parameters.encodings)?;
        let is_stereo = parameters.codecs.iter().any(|codec| {
            codec.mime_type.eq_ignore_ascii_case("audio/opus")
                && codec.parameters.get("sprop-stereo").and_then(as_number) == Some(1)
        });
        let h264 =
            parameters.codecs.iter().filter(|codec| codec.mime_type.eq_ignore_ascii_case("video/H264"));
        let h264 = h264.filter_map(|codec| H264Format::of(&codec.parameters)).next().unwrap_or_default();
        Ok(Self { mid, codecs, encodings, extensions, scalability_mode, is_stereo, h264 })
    }

    /// Checks that packets can be assigned to this producer. On a plain transport the payload type is
    /// sufficient (the engine checks it).
    pub fn check_identification(&self) -> Result<(), RequestError> {
        let has = |wanted| self.extensions.iter().any(|extension| extension.kind == wanted);
        let is_identified_by_mid = self.mid.is_some() && has(ExtensionKind::Mid) && self.encodings.len() == 1;
        let is_identified = |encoding: &Encoding| {
            encoding.ssrc.is_some()
                || encoding.rid.is_some() && has(ExtensionKind::Rid)
                || is_identified_by_mid
        };
        if self.encodings.iter().all(is_identified) {
            return Ok(());
        }
        Err(RequestError::bad(
            "packets cannot be assigned to this producer: each encoding needs an ssrc, or a rid and its extension; a single encoding may have a mid and its extension instead",
        ))
    }

    /// Checks that all codecs are configured.
    pub fn check(&self, config: &MediaConfig) -> Result<(), RequestError> {
        let is_offered =
            |codec: &CodecParameters| capabilities::codecs(config).any(|known| known == codec.codec);
        match self.codecs.iter().find(|codec| !is_offered(codec)) {
            None => Ok(()),
            Some(codec) => Err(unsupported(names::name(codec.codec).mime_type, "")),
        }
    }
}

fn unsupported(name: &str, detail: &str) -> RequestError {
    let text =
        format!("{}{detail} is not a codec of this router; see the capabilities in Joined", shortened(name));
    RequestError::new(ErrorCode::UnsupportedCodec, text)
}

/// Parses a MID or RID: a token (RFC 8866 §9) that fits a one-byte header extension.
fn label(what: &str, text: &str) -> Result<Text, RequestError> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{|}~".contains(c);
    if text.is_empty() || text.len() > limits::MID_LEN_MAX || !text.chars().all(is_token) {
        return Err(RequestError::bad(format!(
            "{what} must be a token of 1 to {} characters (RFC 8866 §9)",
            limits::MID_LEN_MAX
        )));
    }
    Ok(Text::new(text))
}

fn codecs(kind: Kind, codecs: &[RtpCodecParameters]) -> Result<Vec<CodecParameters>, RequestError> {
    check_len("rtpParameters.codecs", codecs)?;
    let mut taken = HashSet::new();
    let mut media = Vec::new();
    for codec in codecs {
        let pt = payload_type(codec.payload_type)?;
        if !taken.insert(pt) {
            return Err(RequestError::bad(format!(
                "payload type {pt} is used twice in rtpParameters.codecs"
            )));
        }
        if is_rtx(&codec.mime_type) {
            continue;
        }
        check_parameters(codec)?;
        let name = formats::find(&codec.mime_type, codec.clock_rate, codec.channels, &codec.parameters)
            .filter(|name| name.kind == kind);
        let Some(name) = name else {
            let detail = format!(
                "/{}{} for {}",
                codec.clock_rate,
                formats::describe(&codec.parameters),
                kind_name(kind)
            );
            return Err(unsupported(&codec.mime_type, &detail));
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
        return Err(RequestError::bad("rtpParameters.codecs names no codec that carries media"));
    }
    let has = |wanted| media.iter().any(|codec: &CodecParameters| codec.codec == wanted);
    if has(Codec::Red) && !has(Codec::Opus) {
        return Err(RequestError::bad(
            "audio/red carries audio/opus (RFC 2198), which is not in rtpParameters.codecs",
        ));
    }
    if media.len() > control::limits::LIST_LEN_MAX {
        return Err(RequestError::bad(format!(
            "at most {} codecs per producer",
            control::limits::LIST_LEN_MAX
        )));
    }
    for rtx in codecs.iter().filter(|codec| is_rtx(&codec.mime_type)) {
        let apt = rtx.parameters.get("apt").and_then(as_number);
        let Some(original) = media.iter_mut().find(|codec| Some(i32::from(codec.pt)) == apt) else {
            return Err(RequestError::bad(
                "an RTX codec's apt names no payload type of rtpParameters.codecs (RFC 4588 §8.1)",
            ));
        };
        if original.rtx_pt.replace(payload_type(rtx.payload_type)?).is_some() {
            return Err(RequestError::bad(format!("payload type {} has two RTX codecs", original.pt)));
        }
    }
    Ok(media)
}

/// Refuses too many fmtp parameters.
fn check_parameters(codec: &RtpCodecParameters) -> Result<(), RequestError> {
    let max = limits::PARAMETERS_LEN_MAX;
    if codec.parameters.len() > max {
        let text = format!(
            "the parameters of {} have {} entries; at most {max} are allowed",
            shortened(&codec.mime_type),
            codec.parameters.len()
        );
        return Err(RequestError::bad(text));
    }
    Ok(())
}

/// Whether both the client and the router support this feedback.
pub(super) fn has_feedback(kind: Kind, claimed: &[RtcpFeedback], wanted: (&str, &str)) -> bool {
    capabilities::feedback(kind).contains(&wanted)
        && claimed.iter().any(|feedback| (feedback.r#type.as_str(), feedback.parameter.as_str()) == wanted)
}

/// RFC 5761 §4: with RTP and RTCP on one port, 64–95 are reserved for RTCP.
pub(super) fn payload_type(pt: u32) -> Result<u8, RequestError> {
    match u8::try_from(pt) {
        Ok(pt @ (0..=63 | 96..=127)) => Ok(pt),
        _ => Err(RequestError::bad(format!("payload type {pt} is not in 0–63 or 96–127 (RFC 5761 §4)"))),
    }
}

fn extensions(parameters: &RtpParameters) -> Result<Vec<Extension>, RequestError> {
    check_len("rtpParameters.headerExtensions", &parameters.header_extensions)?;
    let mut ids = HashSet::new();
    let mut known: Vec<Extension> = Vec::new();
    for extension in &parameters.header_extensions {
        // RFC 8285 §4.2, §4.3: 0 is padding, 15 ends a one-byte header.
        let id = match u8::try_from(extension.id) {
            Ok(id @ (1..=14 | 16..)) => id,
            _ => {
                return Err(RequestError::bad(format!(
                    "header extension id {} is not in 1–14 or 16–255 (RFC 8285)",
                    extension.id
                )));
            }
        };
        if !ids.insert(id) {
            return Err(RequestError::bad(format!("header extension id {id} is used twice")));
        }
        // Unknown extensions are not forwarded. Encrypted extensions (RFC 6904) are not supported.
        let Some(kind) = names::extension(&extension.uri).filter(|_| !extension.encrypt) else { continue };
        if known.iter().any(|known| known.kind == kind) {
            return Err(RequestError::bad(format!("header extension {} has two ids", extension.uri)));
        }
        known.push(Extension { kind, id });
    }
    Ok(known)
}

/// Checks the encodings, and returns their layers together. `codec` is the first codec.
fn encodings(
    codec: Codec,
    encodings: &[RtpEncodingParameters],
) -> Result<(Vec<Encoding>, ScalabilityMode), RequestError> {
    let max = limits::ENCODINGS_MAX;
    let count = match encodings {
        [] => return Ok((vec![Encoding::SINGLE], ScalabilityMode::SINGLE)),
        all if all.len() > max => {
            return Err(RequestError::bad(format!(
                "encodings has {} entries; at most {max} are allowed",
                all.len()
            )));
        }
        all => all.len(),
    };
    let modes = encodings.iter().map(|encoding| scalability_mode(codec, encoding, count));
    let modes: Vec<_> = modes.collect::<Result<_, _>>()?;
    let checked: Vec<_> = encodings
        .iter()
        .zip(&modes)
        .map(|(claimed, mode)| encoding(claimed, mode))
        .collect::<Result<_, _>>()?;
    let mut ssrcs = HashSet::new();
    if let Some(twice) = checked
        .iter()
        .flat_map(|encoding| encoding.ssrc.into_iter().chain(encoding.rtx_ssrc))
        .find(|ssrc| !ssrcs.insert(*ssrc))
    {
        return Err(RequestError::bad(format!(
            "ssrc {twice} is used twice in encodings: every stream and every retransmission stream needs its own (RFC 4588 §5.1)"
        )));
    }
    let mut rids = HashSet::new();
    if let Some(twice) =
        checked.iter().filter_map(|encoding| encoding.rid.as_ref()).find(|rid| !rids.insert(rid.as_str()))
    {
        return Err(RequestError::bad(format!("rid {} is used twice in encodings", twice.as_str())));
    }
    // Layers are numbered from the smallest picture.
    let scales: Vec<_> = encodings.iter().filter_map(|encoding| encoding.scale_resolution_down_by).collect();
    if scales.windows(2).any(|pair| pair[0] < pair[1]) {
        return Err(RequestError::bad(
            "encodings must start with the smallest picture: scaleResolutionDownBy must not increase",
        ));
    }
    let together = match modes.as_slice() {
        [mode] => *mode,
        all => {
            let temporal_layers = all.iter().map(|mode| mode.temporal_layers).max().unwrap_or(1);
            ScalabilityMode::simulcast(count as u8, temporal_layers)
        }
    };
    Ok((checked, together))
}

/// Parses the mode of one of `count` encodings. Without a mode there are no layers.
fn scalability_mode(
    codec: Codec,
    encoding: &RtpEncodingParameters,
    count: usize,
) -> Result<ScalabilityMode, RequestError> {
    let Some(text) = encoding.scalability_mode.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(ScalabilityMode::SINGLE);
    };
    let wrong = |why: &str| RequestError::bad(format!("scalabilityMode {:?}: {why}", shortened(text)));
    let mode: ScalabilityMode = text.parse().map_err(|unknown| wrong(&format!("{unknown}")))?;
    let name = names::name(codec).mime_type;
    match codec {
        Codec::Opus | Codec::Red if mode != ScalabilityMode::SINGLE => {
            Err(wrong(&format!("{name} has no layers")))
        }
        Codec::Vp8 | Codec::H264 if mode.spatial_layers > 1 => Err(wrong(&format!(
            "{name} has one spatial layer per stream; send several encodings with L1T1 to L1T3"
        ))),
        _ if mode.spatial_layers > 1 && count > 1 => Err(wrong(
            "with several encodings, each has one spatial layer; use L1T1 to L1T3, or one encoding",
        )),
        _ => Ok(mode),
    }
}

fn encoding(claimed: &RtpEncodingParameters, mode: &ScalabilityMode) -> Result<Encoding, RequestError> {
    let rtx_ssrc = claimed.rtx.as_ref().map(|rtx| rtx.ssrc);
    if claimed.ssrc == Some(0) || rtx_ssrc == Some(0) {
        return Err(RequestError::bad("an ssrc in encodings must not be 0"));
    }
    let is_scale = |scale: f64| scale.is_finite() && scale >= 1.0;
    if claimed.scale_resolution_down_by.is_some_and(|scale| !is_scale(scale)) {
        return Err(RequestError::bad("scaleResolutionDownBy must be 1 or more (W3C WebRTC §5.2.6)"));
    }
    Ok(Encoding {
        rid: claimed.rid.as_deref().map(|rid| label("rid", rid)).transpose()?,
        ssrc: claimed.ssrc,
        rtx_ssrc,
        spatial_layers: mode.spatial_layers,
        temporal_layers: mode.temporal_layers,
        max_bitrate_bps: claimed.max_bitrate.filter(|bitrate| *bitrate > 0),
    })
}
