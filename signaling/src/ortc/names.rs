//! Names of codecs and header extensions in SDP.

use control::{Codec, ExtensionKind, Kind};

/// The name of a codec: media type, clock rate and channels (1 if SDP has none).
#[derive(Debug)]
pub(super) struct CodecName {
    pub(super) codec: Codec,
    pub(super) kind: Kind,
    pub(super) mime_type: &'static str,
    pub(super) clock_rate_hz: u32,
    pub(super) channels: u32,
}

/// The codecs that the engine forwards.
pub(super) const CODECS: &[CodecName] = &[
    // RFC 7587 §7: always signaled as 48000/2.
    CodecName::audio(Codec::Opus, "audio/opus"),
    // RFC 2198, for Opus, with its clock rate and channels.
    CodecName::audio(Codec::Red, "audio/red"),
    CodecName::video(Codec::Vp8, "video/VP8"),
    CodecName::video(Codec::Vp9, "video/VP9"),
    CodecName::video(Codec::H264, "video/H264"),
    CodecName::video(Codec::Av1, "video/AV1"),
];

impl CodecName {
    const fn audio(codec: Codec, mime_type: &'static str) -> Self {
        Self { codec, kind: Kind::Audio, mime_type, clock_rate_hz: 48_000, channels: 2 }
    }

    const fn video(codec: Codec, mime_type: &'static str) -> Self {
        Self { codec, kind: Kind::Video, mime_type, clock_rate_hz: 90_000, channels: 1 }
    }
}

/// The name of `codec`.
pub(super) fn name(codec: Codec) -> &'static CodecName {
    CODECS.iter().find(|name| name.codec == codec).expect("every codec has a name: CODECS lists them all")
}

/// Finds a codec by its name. Media types are case-insensitive (RFC 2045 §5.1).
pub(super) fn find(mime_type: &str, clock_rate_hz: u32, channels: Option<u32>) -> Option<&'static CodecName> {
    CODECS.iter().find(|name| {
        name.mime_type.eq_ignore_ascii_case(mime_type)
            && name.clock_rate_hz == clock_rate_hz
            && name.channels == channels.unwrap_or(1).max(1)
    })
}

/// Whether this is the retransmission format (RFC 4588).
pub(super) fn is_rtx(mime_type: &str) -> bool {
    mime_type.eq_ignore_ascii_case("video/rtx") || mime_type.eq_ignore_ascii_case("audio/rtx")
}

/// Header extensions that the engine supports, and their URIs.
pub(super) const EXTENSIONS: &[(ExtensionKind, &str)] = &[
    (ExtensionKind::Mid, "urn:ietf:params:rtp-hdrext:sdes:mid"),
    (ExtensionKind::Rid, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"),
    (ExtensionKind::RepairedRid, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"),
    (ExtensionKind::AbsSendTime, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
    (ExtensionKind::TransportCc, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"),
    (ExtensionKind::AudioLevel, "urn:ietf:params:rtp-hdrext:ssrc-audio-level"),
    (ExtensionKind::VideoOrientation, "urn:3gpp:video-orientation"),
    (ExtensionKind::TimeOffset, "urn:ietf:params:rtp-hdrext:toffset"),
    (ExtensionKind::PlayoutDelay, "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"),
    (ExtensionKind::AbsCaptureTime, "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"),
    (
        ExtensionKind::DependencyDescriptor,
        "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
    ),
];

/// The URI of `kind`.
pub(super) fn uri(kind: ExtensionKind) -> &'static str {
    EXTENSIONS
        .iter()
        .find(|(known, _)| *known == kind)
        .expect("every extension has a URI: EXTENSIONS lists them all")
        .1
}

/// The extension with this URI, if the engine supports it.
pub(super) fn extension(uri: &str) -> Option<ExtensionKind> {
    EXTENSIONS.iter().find(|(_, known)| *known == uri).map(|(kind, _)| *kind)
}
