//! What a track is made of, in numbers: the engine knows no SDP and no names of codecs.

use crate::codec::{DecodeError, Input, Wire, wire_enum, wire_struct};
use crate::ids::ProducerId;
use crate::limits;
use std::net::SocketAddr;

/// What the controller wants back in a snapshot: opaque to the engine, at most
/// [`APP_DATA_LEN_MAX`](limits::APP_DATA_LEN_MAX) bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AppData(pub Vec<u8>);

impl std::fmt::Debug for AppData {
    /// Its length only: what is inside may be personal.
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
    /// Cuts what exceeds the bound, at a character boundary.
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
    /// Pictures; has keyframes.
    Video,
}
wire_enum!(Kind, "media kind" { 0 => Audio, 1 => Video });

/// A codec the engine knows how to forward.
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
    /// Redundant Opus (RFC 2198). Its blocks are Opus under the payload type of the Opus codec of the same track.
    Red,
}
wire_enum!(Codec, "codec" { 0 => Opus, 1 => Vp8, 2 => H264, 3 => Vp9, 4 => Av1, 5 => Red });

/// A pair of layers: as a wish, the highest that are wanted; as a fact, the highest that are there. mediasoup's
/// `ConsumerLayers`. Of simulcast the spatial layer is the index of the encoding, the lowest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Layers {
    /// Spatial layer, 0 the smallest picture.
    pub spatial: u8,
    /// Temporal layer, 0 the fewest frames.
    pub temporal: u8,
}
wire_struct!(Layers { spatial, temporal });

/// What a better picture means for a track, when there is bandwidth for one improvement only (`contentHint`, W3C
/// mst-content-hint).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentHint {
    /// More frames: a camera.
    #[default]
    Motion,
    /// More pixels: a screen that is read.
    Detail,
}
wire_enum!(ContentHint, "content hint" { 0 => Motion, 1 => Detail });

/// How long a receiver is to hold frames back, at least and at most (libwebrtc's `playout-delay`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutDelay {
    /// At least, in milliseconds; sent in steps of 10.
    pub min_ms: u16,
    /// At most, in milliseconds, up to [`PLAYOUT_DELAY_MS_MAX`](limits::PLAYOUT_DELAY_MS_MAX); sent in steps of 10.
    pub max_ms: u16,
}
wire_struct!(PlayoutDelay { min_ms, max_ms });

/// One codec of a track, with the payload types it has on one leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecParameters {
    /// The codec.
    pub codec: Codec,
    /// Payload type on this leg, 0–127.
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

/// One RTP stream of a producer. At least one of `rid` and `ssrc` is there, or the producer has a MID and this
/// is its only encoding.
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
    /// `maxBitrate`, bits a second, if the publisher said it.
    pub max_bitrate_bps: Option<u32>,
}
wire_struct!(Encoding { rid, ssrc, rtx_ssrc, spatial_layers, temporal_layers, max_bitrate_bps });

impl Encoding {
    /// One layer of each kind, known by nothing: of a producer that has a MID and no other encoding.
    pub const SINGLE: Self = Self {
        rid: None,
        ssrc: None,
        rtx_ssrc: None,
        spatial_layers: 1,
        temporal_layers: 1,
        max_bitrate_bps: None,
    };
}

/// What to tell of who speaks in a router, and whether to forward only those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioObserver {
    /// The least time between two pieces of news, 100 to 10,000 ms.
    pub interval_ms: u16,
    /// A producer quieter than this is not among the volumes: decibels relative to overload, −127 (silence) to 0 (the
    /// loudest).
    pub threshold_dbov: i8,
    /// How many audio producers are forwarded at most, the loudest; at least 1. `None`: all.
    pub loudest_forwarded: Option<u8>,
}
wire_struct!(AudioObserver { interval_ms, threshold_dbov, loudest_forwarded });

/// How loud a producer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Which.
    pub producer: ProducerId,
    /// Its level, smoothed: decibels relative to overload, −127 (silence) to 0 (the loudest); RFC 6464.
    pub dbov: i8,
}
wire_struct!(Volume { producer, dbov });

/// A header extension (RFC 8285) the engine reads, writes or carries over.
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

/// A header extension and its id on one leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// What it is.
    pub kind: ExtensionKind,
    /// Its local identifier, 1–14 in the one-byte form (RFC 8285 §4.2), up to 255 in the two-byte form.
    pub id: u8,
}
wire_struct!(Extension { kind, id });

/// The engine's half of an ICE session (RFC 8445): the engine is lite, so these and the candidates are all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceParameters {
    /// `a=ice-ufrag`.
    pub ufrag: Text,
    /// `a=ice-pwd`.
    pub pwd: Text,
}
wire_struct!(IceParameters { ufrag, pwd });

/// What a candidate is spoken to over.
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
    /// Where the peer sends its checks to.
    pub address: SocketAddr,
    /// By what.
    pub protocol: Protocol,
}
wire_struct!(Candidate { address, protocol });

impl Candidate {
    /// Of UDP.
    pub const fn udp(address: SocketAddr) -> Self {
        Self { address, protocol: Protocol::Udp }
    }

    /// Of TCP.
    pub const fn tcp(address: SocketAddr) -> Self {
        Self { address, protocol: Protocol::Tcp }
    }
}
