//! The parameters of a track, as numbers: the engine handles neither SDP nor codec names.

use crate::codec::{DecodeError, Input, Wire, wire_enum, wire_struct};
use crate::ids::ProducerId;
use crate::limits;
use std::net::SocketAddr;

/// Data that the controller gets back in a snapshot: opaque to the engine, at most
/// [`APP_DATA_LEN_MAX`](limits::APP_DATA_LEN_MAX) bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AppData(pub Vec<u8>);

impl std::fmt::Debug for AppData {
    /// Only its length: the content may be personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AppData({} bytes)", self.0.len())
    }
}

impl Wire for AppData {
    fn write(&self, out: &mut Vec<u8>) {
        (self.0.len() as u32).write(out);
        out.extend_from_slice(&self.0);
    }

    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let len = u32::read(input)? as usize;
        if len > limits::APP_DATA_LEN_MAX {
            return Err(DecodeError::TooLong { what: "app data", len, max: limits::APP_DATA_LEN_MAX });
        }
        input.take(len).map(|bytes| Self(bytes.to_vec()))
    }
}

/// A short text, at most [`TEXT_LEN_MAX`](limits::TEXT_LEN_MAX) bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Cuts the text at the bound, at a character boundary.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(limits::TEXT_LEN_MAX));
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Wire for Text {
    fn write(&self, out: &mut Vec<u8>) {
        (self.0.len() as u16).write(out);
        out.extend_from_slice(self.0.as_bytes());
    }

    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let len = usize::from(u16::read(input)?);
        if len > limits::TEXT_LEN_MAX {
            return Err(DecodeError::TooLong { what: "text", len, max: limits::TEXT_LEN_MAX });
        }
        let text = std::str::from_utf8(input.take(len)?).map_err(|_| DecodeError::NotText)?;
        Ok(Self(text.to_owned()))
    }
}

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Video; has keyframes.
    Video,
}
wire_enum!(Kind, "media kind" { 0 => Audio, 1 => Video });

/// A codec that the engine can forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// RFC 7741.
    Vp8,
    /// RFC 6184, packetization modes 0 and 1.
    H264,
    /// RFC 9628.
    Vp9,
    /// The AV1 RTP specification of the Alliance for Open Media.
    Av1,
    /// Redundant Opus (RFC 2198). Its blocks are Opus under the payload type of the Opus codec of the same
    /// track.
    Red,
}
wire_enum!(Codec, "codec" { 0 => Opus, 1 => Vp8, 2 => H264, 3 => Vp9, 4 => Av1, 5 => Red });

/// A spatial and a temporal layer: the highest requested, or the highest available. mediasoup's
/// `ConsumerLayers`. For simulcast the spatial layer is the index of the encoding, the lowest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Layers {
    /// Spatial layer, 0 the lowest resolution.
    pub spatial: u8,
    /// Temporal layer, 0 the lowest frame rate.
    pub temporal: u8,
}
wire_struct!(Layers { spatial, temporal });

/// How to improve a track's picture first when bandwidth is short (`contentHint`, W3C mst-content-hint).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentHint {
    /// Frame rate first: a camera.
    #[default]
    Motion,
    /// Resolution first: a screen with text.
    Detail,
}
wire_enum!(ContentHint, "content hint" { 0 => Motion, 1 => Detail });

/// How long a receiver delays frames, at least and at most (libwebrtc's `playout-delay`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutDelay {
    /// At least, in milliseconds; sent in steps of 10.
    pub min_ms: u16,
    /// At most, in milliseconds, up to [`PLAYOUT_DELAY_MS_MAX`](limits::PLAYOUT_DELAY_MS_MAX); sent in steps
    /// of 10.
    pub max_ms: u16,
}
wire_struct!(PlayoutDelay { min_ms, max_ms });

/// One codec of a track, with its payload types between engine and peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecParameters {
    /// The codec.
    pub codec: Codec,
    /// Payload type, 0–127.
    pub pt: u8,
    /// Payload type of its retransmissions (RFC 4588), if negotiated.
    pub rtx_pt: Option<u8>,
    /// RTP timestamp ticks a second.
    pub clock_rate_hz: u32,
    /// Generic NACK negotiated (RFC 4585 §6.2.1).
    pub nack: bool,
    /// PLI negotiated (RFC 4585 §6.3.1).
    pub pli: bool,
    /// FIR negotiated (RFC 5104 §4.3.1).
    pub fir: bool,
    /// Transport-wide congestion control feedback negotiated.
    pub transport_cc: bool,
}
wire_struct!(CodecParameters { codec, pt, rtx_pt, clock_rate_hz, nack, pli, fir, transport_cc });

/// One RTP stream of a producer. It has at least a `rid` or an `ssrc`, or the producer has a MID and this is
/// its only encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// `a=rid` (RFC 8851), at most 16 bytes.
    pub rid: Option<Text>,
    /// SSRC, if signaled.
    pub ssrc: Option<u32>,
    /// SSRC of its retransmissions, if signaled.
    pub rtx_ssrc: Option<u32>,
    /// Spatial layers inside this stream (`scalabilityMode`, W3C WebRTC-SVC): 1 without SVC.
    pub spatial_layers: u8,
    /// Temporal layers, as announced; streams may have fewer.
    pub temporal_layers: u8,
    /// `maxBitrate`, bits per second, if the publisher set it.
    pub max_bitrate_bps: Option<u32>,
}
wire_struct!(Encoding { rid, ssrc, rtx_ssrc, spatial_layers, temporal_layers, max_bitrate_bps });

impl Encoding {
    /// One layer of each kind, without identifiers: the only encoding of a producer with a MID.
    pub const SINGLE: Self = Self {
        rid: None,
        ssrc: None,
        rtx_ssrc: None,
        spatial_layers: 1,
        temporal_layers: 1,
        max_bitrate_bps: None,
    };
}

/// What to report about active speakers in a router, and whether to forward only those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioObserver {
    /// The minimum time between two reports, 100 to 10,000 ms.
    pub interval_ms: u16,
    /// Producers quieter than this are not reported: decibels relative to overload, −127 (silence) to 0 (the
    /// loudest).
    pub threshold_dbov: i8,
    /// The number of audio producers that are forwarded, the loudest; at least 1. `None`: all.
    pub loudest_forwarded: Option<u8>,
}
wire_struct!(AudioObserver { interval_ms, threshold_dbov, loudest_forwarded });

/// The audio level of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The producer.
    pub producer: ProducerId,
    /// Its level, smoothed: decibels relative to overload, −127 (silence) to 0 (the loudest); RFC 6464.
    pub dbov: i8,
}
wire_struct!(Volume { producer, dbov });

/// A header extension (RFC 8285) that the engine reads, writes or forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtensionKind {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid` (RFC 9143).
    Mid,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id` (RFC 8852).
    Rid,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id` (RFC 8852).
    RepairedRid,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`.
    AbsSendTime,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`.
    TransportCc,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464).
    AudioLevel,
    /// `urn:3gpp:video-orientation`.
    VideoOrientation,
    /// `urn:ietf:params:rtp-hdrext:toffset` (RFC 5450).
    TimeOffset,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`.
    PlayoutDelay,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time`.
    AbsCaptureTime,
    /// `https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension`.
    DependencyDescriptor,
}
wire_enum!(ExtensionKind, "header extension" {
    0 => Mid, 1 => Rid, 2 => RepairedRid, 3 => AbsSendTime, 4 => TransportCc, 5 => AudioLevel,
    6 => VideoOrientation, 7 => TimeOffset, 8 => PlayoutDelay, 9 => AbsCaptureTime, 10 => DependencyDescriptor,
});

/// A header extension and its id between engine and peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The extension.
    pub kind: ExtensionKind,
    /// Its local identifier, 1–14 in the one-byte form (RFC 8285 §4.2), up to 255 in the two-byte form.
    pub id: u8,
}
wire_struct!(Extension { kind, id });

/// The engine's part of an ICE session (RFC 8445); the engine is an ICE-lite agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceParameters {
    /// `a=ice-ufrag`.
    pub ufrag: Text,
    /// `a=ice-pwd`.
    pub pwd: Text,
}
wire_struct!(IceParameters { ufrag, pwd });

/// The transport protocol of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP, which the peer opens (RFC 6544: the engine is passive), with the frames of RFC 4571.
    Tcp,
}
wire_enum!(Protocol, "protocol" { 0 => Udp, 1 => Tcp });

/// A host candidate of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The address to which the peer sends its checks.
    pub address: SocketAddr,
    /// The transport protocol.
    pub protocol: Protocol,
}
wire_struct!(Candidate { address, protocol });

impl Candidate {
    /// A UDP candidate.
    pub const fn udp(address: SocketAddr) -> Self {
        Self { address, protocol: Protocol::Udp }
    }

    /// A TCP candidate.
    pub const fn tcp(address: SocketAddr) -> Self {
        Self { address, protocol: Protocol::Tcp }
    }
}
