//! What a session description has in common with a router, for the module of SDP.

use super::capabilities::{self, EXTENSIONS};
use super::formats;
use super::h264::H264Format;
use super::media_config::MediaConfig;
use super::names;
use super::value::text;
use crate::proto::ParameterValue;
use control::{Codec, ExtensionKind, Kind};
use std::collections::BTreeMap;

/// The format of a payload type.
#[derive(Clone, Copy, Debug)]
pub struct OfferedFormat<'a> {
    /// Audio or video.
    pub kind: Kind,
    /// For example `VP8`.
    pub name: &'a str,
    /// Hz.
    pub clock_rate_hz: u32,
    /// Absent for video.
    pub channels: Option<u32>,
    /// The format parameters by lower-case name.
    pub parameters: &'a BTreeMap<String, String>,
}

impl OfferedFormat<'_> {
    /// For example `video/VP8`.
    pub fn mime_type(&self) -> String {
        format!("{}/{}", super::kind_name(self.kind), self.name)
    }

    /// The parameters as values of ORTC.
    pub fn values(&self) -> BTreeMap<String, ParameterValue> {
        self.parameters.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    }
}

/// The codec of this format, if rooms with this configuration have it.
pub fn router_codec(format: &OfferedFormat<'_>, config: &MediaConfig) -> Option<Codec> {
    let found = formats::find(&format.mime_type(), format.clock_rate_hz, format.channels, &format.values())?;
    let is_usable =
        found.kind == format.kind && capabilities::codecs(config).any(|codec| codec == found.codec);
    is_usable.then_some(found.codec)
}

/// The format of H264 with these parameters.
pub fn h264_format(format: &OfferedFormat<'_>) -> Option<H264Format> {
    H264Format::of(&format.values())
}

/// The header extension with this URI, if the engine supports it for this kind of media.
pub fn extension_of(kind: Kind, uri: &str) -> Option<ExtensionKind> {
    let found = names::extension(uri)?;
    let is_for_kind =
        |(known, _, kinds, _): &&(ExtensionKind, u8, &[Kind], &str)| *known == found && kinds.contains(&kind);
    EXTENSIONS.iter().find(is_for_kind).map(|(known, ..)| *known)
}

/// The header extensions that a consumer may have: URI, and id of the router.
pub fn sent_extensions(kind: Kind) -> impl Iterator<Item = (&'static str, u8)> {
    let sent = EXTENSIONS
        .iter()
        .filter(move |(_, _, kinds, direction)| kinds.contains(&kind) && *direction != "recvonly");
    sent.map(|(extension, id, ..)| (names::uri(*extension), *id))
}

/// RTCP feedback that the engine supports: names and parameters.
pub fn feedback_of(kind: Kind) -> &'static [(&'static str, &'static str)] {
    capabilities::feedback(kind)
}
