//! The payload types of a section that this server supports.

use crate::ortc::media_config::MediaConfig;
use crate::ortc::{
    H264Format, OfferedFormat, extension_of, feedback_of, h264_format, kind_name, router_codec,
};
use crate::proto::{
    ParameterValue, RtcpFeedback, RtpCodecCapability, RtpCodecParameters, parameter_value::Value,
};
use control::{Codec, ExtensionKind, Kind};
use sdp::{ExtMap, LocalCodec, RtpMap, Section};
use std::collections::BTreeMap;

/// A payload type of a section, with that of its retransmissions.
#[derive(Debug)]
pub(super) struct Format<'a> {
    pub(super) codec: Codec,
    /// Of H264.
    pub(super) h264: Option<H264Format>,
    map: &'a RtpMap,
    /// As offered.
    pub(super) parameters: BTreeMap<String, String>,
    feedback: Vec<(&'static str, &'static str)>,
    rtx: Option<&'a RtpMap>,
}

/// What both sides support, in the order of the section.
pub(super) fn supported<'a>(section: &'a Section, kind: Kind, config: &MediaConfig) -> Vec<Format<'a>> {
    let map = |payload_type: u8| section.rtpmaps.iter().find(|map| map.payload_type == payload_type);
    let parameters =
        |map: &RtpMap| section.fmtp(map.payload_type).map(|fmtp| fmtp.parameters.clone()).unwrap_or_default();
    let format = |map: &'a RtpMap| {
        // RFC 5761 §4: these cannot be told apart from RTCP.
        if (64..96).contains(&map.payload_type) {
            return None;
        }
        let parameters = parameters(map);
        let channels = map.channels.map(u32::from);
        let offered = OfferedFormat {
            kind,
            name: &map.name,
            clock_rate_hz: map.clock_rate,
            channels,
            parameters: &parameters,
        };
        let codec = router_codec(&offered, config)?;
        let h264 = h264_format(&offered).filter(|_| codec == Codec::H264);
        let is_rtx = |rtx: &&RtpMap| {
            let apt = section.fmtp(rtx.payload_type).and_then(|fmtp| fmtp.parameters.get("apt"));
            rtx.name.eq_ignore_ascii_case("rtx")
                && apt.and_then(|apt| apt.parse().ok()) == Some(map.payload_type)
                && section.payload_types().any(|offered| offered == rtx.payload_type)
        };
        let rtx = section.rtpmaps.iter().filter(|rtx| !(64..96).contains(&rtx.payload_type)).find(is_rtx);
        Some(Format {
            codec,
            h264,
            map,
            parameters,
            feedback: feedback(section, kind, map.payload_type),
            rtx,
        })
    };
    section.payload_types().filter_map(map).filter_map(format).collect()
}

fn feedback(section: &Section, kind: Kind, payload_type: u8) -> Vec<(&'static str, &'static str)> {
    let offers = |(name, parameter): &(&str, &str)| {
        section.feedback.iter().any(|offered| {
            offered.payload_type.is_none_or(|of| of == payload_type)
                && offered.name == *name
                && offered.parameter == *parameter
        })
    };
    feedback_of(kind).iter().copied().filter(offers).collect()
}

impl Format<'_> {
    /// For a description: the payload type, and that of its retransmissions.
    pub(super) fn lines(&self) -> impl Iterator<Item = LocalCodec> {
        let feedback =
            self.feedback.iter().map(|(name, parameter)| format!("{name} {parameter}").trim().to_owned());
        let media = LocalCodec {
            map: self.map.clone(),
            parameters: text(&self.parameters),
            feedback: feedback.collect(),
        };
        let rtx = self.rtx.map(|rtx| LocalCodec {
            map: rtx.clone(),
            parameters: format!("apt={}", self.map.payload_type),
            feedback: Vec::new(),
        });
        std::iter::once(media).chain(rtx)
    }

    fn mime_type(&self, kind: Kind) -> String {
        format!("{}/{}", kind_name(kind), self.map.name)
    }

    fn rtcp_feedback(&self) -> Vec<RtcpFeedback> {
        let message = |(name, parameter): &(&str, &str)| RtcpFeedback {
            r#type: (*name).to_owned(),
            parameter: (*parameter).to_owned(),
        };
        self.feedback.iter().map(message).collect()
    }

    fn values(&self) -> BTreeMap<String, ParameterValue> {
        let value = |text: &String| ParameterValue { value: Some(Value::Text(text.clone())) };
        self.parameters.iter().map(|(name, text)| (name.clone(), value(text))).collect()
    }

    /// For a producer: the codec, and that of its retransmissions.
    pub(super) fn parameters(&self, kind: Kind) -> impl Iterator<Item = RtpCodecParameters> {
        let media = RtpCodecParameters {
            mime_type: self.mime_type(kind),
            payload_type: self.map.payload_type.into(),
            clock_rate: self.map.clock_rate,
            channels: self.map.channels.map(u32::from),
            parameters: self.values(),
            rtcp_feedback: self.rtcp_feedback(),
        };
        let rtx = self.rtx.map(|rtx| RtpCodecParameters {
            mime_type: format!("{}/rtx", kind_name(kind)),
            payload_type: rtx.payload_type.into(),
            clock_rate: rtx.clock_rate,
            channels: None,
            parameters: self.apt(),
            rtcp_feedback: Vec::new(),
        });
        std::iter::once(media).chain(rtx)
    }

    /// For a receiver: the codec, and that of its retransmissions.
    pub(super) fn capabilities(&self, kind: Kind) -> impl Iterator<Item = RtpCodecCapability> {
        let media = RtpCodecCapability {
            kind: kind_name(kind).to_owned(),
            mime_type: self.mime_type(kind),
            preferred_payload_type: self.map.payload_type.into(),
            clock_rate: self.map.clock_rate,
            channels: self.map.channels.map(u32::from),
            parameters: self.values(),
            rtcp_feedback: self.rtcp_feedback(),
        };
        let rtx = self.rtx.map(|rtx| RtpCodecCapability {
            mime_type: format!("{}/rtx", kind_name(kind)),
            preferred_payload_type: rtx.payload_type.into(),
            parameters: self.apt(),
            rtcp_feedback: Vec::new(),
            ..media.clone()
        });
        std::iter::once(media).chain(rtx)
    }

    fn apt(&self) -> BTreeMap<String, ParameterValue> {
        let apt = ParameterValue { value: Some(Value::Number(self.map.payload_type.into())) };
        BTreeMap::from([("apt".to_owned(), apt)])
    }
}

/// Parameters as the value of `a=fmtp`.
fn text(parameters: &BTreeMap<String, String>) -> String {
    let pair = |(name, value): (&String, &String)| match name.as_str() {
        "" => value.clone(),
        name => format!("{name}={value}"),
    };
    parameters.iter().map(pair).collect::<Vec<_>>().join(";")
}

/// The header extensions of a section that the engine supports, as this side writes them. The direction is that of
/// this side.
pub(super) fn extensions(section: &Section, kind: Kind) -> Vec<(ExtensionKind, ExtMap)> {
    let mut found: Vec<(ExtensionKind, ExtMap)> = Vec::new();
    for offered in &section.extmaps {
        let Some(extension) = extension_of(kind, &offered.uri) else { continue };
        if found.iter().all(|(known, _)| *known != extension) {
            let direction = offered.direction.map(|direction| direction.reversed());
            found.push((extension, ExtMap { direction, ..offered.clone() }));
        }
    }
    found
}
