//! The publishers' media: frames of a realistic size, split as in browsers, and stamped so that a receiver
//! can check the source, the send time, and the content; and messages of data channels.

mod encoder;
mod message;
mod packetizer;
mod stamp;

pub use encoder::Encoder;
pub use message::{MESSAGE_HEAD_LEN, Message};
pub use packetizer::{FramePart, HEAD_LEN, head, split};
pub use stamp::{STAMP_LEN, Stamp};

use clap::ValueEnum;
use std::time::Duration;

/// The codec that media imitates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Codec {
    /// RFC 7741.
    Vp8,
    /// RFC 6184, packetization mode 1.
    H264,
    /// RFC 7587.
    #[value(skip)]
    Opus,
}

impl Codec {
    /// Its media type.
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::Vp8 => "video/VP8",
            Self::H264 => "video/H264",
            Self::Opus => "audio/opus",
        }
    }

    /// Its name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vp8 => "VP8",
            Self::H264 => "H264",
            Self::Opus => "opus",
        }
    }

    /// Hz.
    pub fn clock_rate(self) -> u32 {
        if self == Self::Opus { 48_000 } else { 90_000 }
    }

    /// Whether frames are split into packets, and keyframes requested.
    pub fn is_video(self) -> bool {
        self != Self::Opus
    }

    /// "audio" or "video".
    pub fn kind(self) -> &'static str {
        if self.is_video() { "video" } else { "audio" }
    }
}

/// How the packets of a frame are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pacing {
    /// All at once, as browsers do it where bandwidth allows.
    Burst,
    /// Evenly over the time until the next frame.
    Even,
}

/// One source of media: a camera or a microphone.
#[derive(Clone, Debug)]
pub struct Track {
    /// In every packet, so that a receiver can identify it. The lowest four bits are zero: they are for the
    /// encoding.
    pub id: u32,
    /// The imitated codec.
    pub codec: Codec,
    /// Bits of payload a second of each encoding, the smallest first; more than one for simulcast.
    pub bitrates_bps: Vec<u64>,
    /// Between frames.
    pub frame_interval: Duration,
    /// The timing of its packets.
    pub pacing: Pacing,
}
