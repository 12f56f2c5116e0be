//! The counters of a received stream.

use crate::base::emodel::mouth_to_ear;
use crate::base::meter::Meter;
use crate::base::quality::Quality;
use crate::limits;
use crate::packet::media_packet::MediaPacket;
use control::{Codec, Kind};
use machine::Instant;
use std::time::Duration;

/// The counters of a received stream.
#[derive(Clone, Debug)]
pub struct StreamCounts {
    /// Packets, each counted once.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// The retransmitted packets among them.
    pub retransmitted: u64,
    /// Packets requested again.
    pub nacks: u64,
    /// Keyframes requested by PLI.
    pub plis: u64,
    /// Keyframes requested by FIR.
    pub firs: u64,
    /// Keyframes whose first packet arrived.
    pub keyframes: u64,
    /// Payload bytes of the last second.
    pub rate: Meter,
    /// The quality of reception.
    pub quality: Quality,
    keyframe_timestamp: Option<u32>,
    last_at: Instant,
    /// Loss under former SSRCs.
    lost_before: i32,
    /// Expected and received packets at the last assessment.
    assessed: (u64, u64),
}

impl StreamCounts {
    /// All zero.
    pub fn new() -> Self {
        Self {
            packets: 0,
            bytes: 0,
            retransmitted: 0,
            nacks: 0,
            plis: 0,
            firs: 0,
            keyframes: 0,
            rate: Meter::default(),
            quality: Quality::silent(),
            keyframe_timestamp: None,
            last_at: Instant::EPOCH,
            lost_before: 0,
            assessed: (0, 0),
        }
    }

    /// Counts one new packet.
    pub fn on_packet(&mut self, now: Instant, packet: &MediaPacket<'_>, is_retransmission: bool) {
        let payload_len = packet.payload.len();
        // A keyframe may start more than once: with its parameter sets, and with its first slice.
        let is_sound = matches!(packet.codec, Codec::Opus | Codec::Red);
        if packet.starts_keyframe && !is_sound && self.keyframe_timestamp != Some(packet.timestamp) {
            self.keyframe_timestamp = Some(packet.timestamp);
            self.keyframes += 1;
        }
        self.packets += 1;
        self.bytes += payload_len as u64;
        self.retransmitted += u64::from(is_retransmission);
        self.rate.count(now, payload_len);
        self.last_at = now;
    }

    /// The stream is reset. `lost` packets were lost of the old one.
    pub fn restart(&mut self, lost: i32) {
        self.lost_before = self.lost_before.saturating_add(lost);
        self.assessed = (0, self.packets);
    }

    /// Packets lost before any repair, `lost` of them under the present SSRC.
    pub fn lost(&self, lost: i32) -> i32 {
        self.lost_before.saturating_add(lost)
    }

    /// About once a second: `expected` packets should have arrived since the stream started or was reset,
    /// with this jitter.
    pub fn assess(&mut self, now: Instant, kind: Kind, expected: u64, jitter: Duration) {
        if kind == Kind::Audio {
            // The delay from the publisher is unknown.
            self.quality.set_delay(mouth_to_ear(Duration::ZERO, jitter));
        }
        let (expected_before, received_before) = self.assessed;
        let gained = expected.saturating_sub(expected_before);
        let missing = gained as i64 - (self.packets - received_before) as i64;
        self.quality.on_interval(gained, missing);
        self.assessed = (expected, self.packets);
        // Audio may pause during silence (discontinuous transmission); video does not.
        let has_ceased =
            kind == Kind::Video && now.saturating_since(self.last_at) > limits::SILENT_VIDEO_AFTER;
        self.quality.set_silent(self.packets == 0 || has_ceased);
    }
}
