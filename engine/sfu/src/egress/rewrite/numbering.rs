//! One run of numbers, and the properties of packets that affect it.

use crate::egress::source::Source;
use crate::packet::picture::{PictureNumbers, PictureOffset};
use rtp::SeqNo;
use rtp::dependency_descriptor::FrameNumber;

/// How the numbers of a run of packets are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbering {
    /// The source of the packets.
    pub source: Source,
    /// The publisher's first number of the run.
    pub(super) first: SeqNo,
    /// Our number for it.
    pub(super) ours: SeqNo,
    /// Ours minus the publisher's, modulo 2³².
    pub(super) timestamp_offset: u32,
    /// Ours minus the publisher's.
    pub picture: PictureOffset,
    /// Ours minus the publisher's, of the frame number in the dependency descriptor.
    pub(super) frame_offset: u16,
    /// The highest spatial layer forwarded in the run: the picture ends with it.
    pub top: u8,
}

impl Numbering {
    /// Our number for the publisher's, which must belong to the run.
    pub(super) fn seq(&self, seq: SeqNo) -> SeqNo {
        SeqNo(self.ours.0 + (seq.0 - self.first.0))
    }

    /// Our timestamp for the publisher's.
    pub fn timestamp(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_add(self.timestamp_offset)
    }

    /// Our frame number for the publisher's.
    pub fn frame(&self, frame: FrameNumber) -> FrameNumber {
        FrameNumber(frame.0.wrapping_add(self.frame_offset))
    }

    /// Whether frame numbers are changed.
    pub fn changes_frames(&self) -> bool {
        self.frame_offset != 0
    }
}

/// The start of a source.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// Its first forwarded packet.
    pub seq: SeqNo,
    /// That packet's timestamp.
    pub timestamp: u32,
    /// Our timestamp for it, if the clocks of this source and the last one are known; otherwise the elapsed
    /// time is used.
    pub aligned: Option<u32>,
    /// Its picture's numbers.
    pub picture: Option<PictureNumbers>,
    /// Its frame's number.
    pub frame: Option<FrameNumber>,
    /// The highest spatial layer to be forwarded.
    pub top: u8,
}

/// The frame of a packet that is not forwarded, in the publisher's numbers.
#[derive(Clone, Copy, Debug)]
pub struct LeftOut {
    /// Its timestamp.
    pub timestamp: u32,
    /// Its spatial layer.
    pub spatial: u8,
    /// Its picture's numbers.
    pub picture: Option<PictureNumbers>,
    /// Picture ids continue without a gap: those of VP8 do. VP9 counts pictures that are left out, because
    /// its group of pictures defines them.
    pub closes_up: bool,
    /// Its frame's number.
    pub frame: Option<FrameNumber>,
}

impl LeftOut {
    pub(super) fn is_of_frame_of(&self, other: &Self) -> bool {
        (self.timestamp, self.spatial) == (other.timestamp, other.spatial)
    }
}
