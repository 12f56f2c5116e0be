//! A peer's tracks: their parameters, as negotiated by a browser.

use control::{Codec, CodecParameters, Extension, ExtensionKind, Kind, fixtures};
use std::time::Duration;

/// A camera or a microphone.
#[derive(Clone, Debug)]
pub struct Track {
    /// Audio or video.
    pub kind: Kind,
    /// Between two frames of it.
    pub frame_interval: Duration,
    /// On average, without headers.
    pub bitrate_bps: u32,
    /// Whether the SSRCs are signaled; otherwise the engine learns them from the MID.
    pub ssrcs_are_signaled: bool,
    /// Whether the engine may request lost packets.
    pub nack: bool,
    /// Whether they are then sent on a separate stream (RFC 4588).
    pub rtx: bool,
    /// Whether keyframes are requested by PLI; otherwise by FIR.
    pub pli: bool,
    /// Whether audio is sent redundantly (RFC 2198): each packet with a copy of the previous one.
    pub red: bool,
    /// Whether packets carry a transport-wide number.
    pub transport_cc: bool,
}

impl Track {
    /// VP8 as Chrome sends it: 2.5 Mbit/s at 30 frames/s, each a burst of about ten packets.
    pub fn camera() -> Self {
        Self {
            kind: Kind::Video,
            frame_interval: Duration::from_nanos(33_333_333),
            bitrate_bps: 2_500_000,
            ssrcs_are_signaled: true,
            nack: true,
            rtx: true,
            pli: true,
            red: false,
            transport_cc: true,
        }
    }

    /// Opus at 50 packets/s.
    pub fn microphone() -> Self {
        Self {
            kind: Kind::Audio,
            frame_interval: Duration::from_millis(20),
            bitrate_bps: 40_000,
            ssrcs_are_signaled: true,
            nack: true,
            rtx: false,
            pli: false,
            red: false,
            transport_cc: true,
        }
    }

    /// Of another size.
    pub fn bitrate_bps(self, bitrate_bps: u32) -> Self {
        Self { bitrate_bps, ..self }
    }

    /// Identified by its MID alone.
    pub fn unsignaled(self) -> Self {
        Self { ssrcs_are_signaled: false, ..self }
    }

    /// Retransmissions on the stream itself, as if RTX was not negotiated.
    pub fn without_rtx(self) -> Self {
        Self { rtx: false, ..self }
    }

    /// With a copy of the previous packet in each.
    pub fn redundant(self) -> Self {
        Self { red: true, ..self }
    }

    /// Keyframes requested by FIR (RFC 5104 §4.3.1).
    pub fn with_fir(self) -> Self {
        Self { pli: false, ..self }
    }

    /// RTP timestamp ticks per second.
    pub fn clock_rate_hz(&self) -> u32 {
        match self.kind {
            Kind::Audio => 48_000,
            Kind::Video => 90_000,
        }
    }

    /// Its codec at the publisher.
    pub(crate) fn codec(&self) -> CodecParameters {
        let (codec, pt) = match self.kind {
            Kind::Audio => (Codec::Opus, 111),
            Kind::Video => (Codec::Vp8, 96),
        };
        CodecParameters {
            rtx_pt: self.rtx.then_some(97),
            nack: self.nack,
            pli: self.pli,
            fir: true,
            transport_cc: self.transport_cc,
            ..fixtures::codec(codec, pt)
        }
    }

    /// Its codecs at the publisher, the sent one first.
    pub(crate) fn codecs(&self) -> Vec<CodecParameters> {
        let red = CodecParameters { codec: Codec::Red, pt: RED_PT, ..self.codec() };
        self.red.then_some(red).into_iter().chain([self.codec()]).collect()
    }

    /// Its codec at a subscriber, with different numbers.
    pub(crate) fn consumed_codec(&self) -> CodecParameters {
        let pt = match self.kind {
            Kind::Audio => 109,
            Kind::Video => 120,
        };
        CodecParameters { pt, rtx_pt: self.rtx.then_some(124), ..self.codec() }
    }
}

/// RED's payload type at the publisher.
pub(crate) const RED_PT: u8 = 63;

/// RED's payload type at a subscriber.
pub(crate) const RED_PT_RECEIVED: u8 = 62;

/// Extension ids at the publisher.
pub(crate) mod sent_ext {
    pub const AUDIO_LEVEL: u8 = 1;
    pub const TRANSPORT_CC: u8 = 3;
    pub const MID: u8 = 4;
    pub const ABS_CAPTURE_TIME: u8 = 5;
}

/// Extension ids at a subscriber.
pub(crate) mod received_ext {
    pub const MID: u8 = 9;
    pub const AUDIO_LEVEL: u8 = 10;
    pub const TRANSPORT_CC: u8 = 11;
    pub const ABS_CAPTURE_TIME: u8 = 7;
    pub const PLAYOUT_DELAY: u8 = 8;
}

/// The header extensions at the publisher.
pub(crate) fn sent_extensions() -> Vec<Extension> {
    vec![
        Extension { kind: ExtensionKind::AudioLevel, id: sent_ext::AUDIO_LEVEL },
        Extension { kind: ExtensionKind::TransportCc, id: sent_ext::TRANSPORT_CC },
        Extension { kind: ExtensionKind::Mid, id: sent_ext::MID },
        Extension { kind: ExtensionKind::AbsCaptureTime, id: sent_ext::ABS_CAPTURE_TIME },
    ]
}

/// The header extensions at a subscriber.
pub(crate) fn received_extensions() -> Vec<Extension> {
    vec![
        Extension { kind: ExtensionKind::Mid, id: received_ext::MID },
        Extension { kind: ExtensionKind::AudioLevel, id: received_ext::AUDIO_LEVEL },
        Extension { kind: ExtensionKind::AbsCaptureTime, id: received_ext::ABS_CAPTURE_TIME },
        Extension { kind: ExtensionKind::PlayoutDelay, id: received_ext::PLAYOUT_DELAY },
    ]
}
