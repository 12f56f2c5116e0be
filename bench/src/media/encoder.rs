//! Frame sizes of an encoder with rate control: keyframes several times as large as others, the others
//! varying, and a large frame is compensated by later ones. It encodes nothing.

use crate::random::throw;
use std::time::{Duration, Instant};

/// An encoded frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Bytes.
    pub len: usize,
    /// Can be decoded without others.
    pub is_keyframe: bool,
}

/// An encoder that holds a bit rate.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// Bytes of a frame on average.
    mean_len: f64,
    is_video: bool,
    /// Bytes beyond the rate, which following frames have to save.
    debt: f64,
    random: u64,
    keyframe_at: Option<Instant>,
    wants_keyframe: bool,
    last_keyframe: Option<Instant>,
}

/// The size of a keyframe relative to other frames: that of 720p at 2.5 Mbit/s in browsers.
const KEYFRAME_RATIO: f64 = 6.0;

/// Mean interval of keyframes without requests, varying from half of it to one and a half: encoders that got
/// a request at the same time must not stay synchronised.
const KEYFRAME_INTERVAL: Duration = Duration::from_secs(10);

/// Minimum interval of answers to requests.
const KEYFRAME_INTERVAL_MIN: Duration = Duration::from_millis(500);

/// The relative deviation of frame sizes, to each side.
const SCATTER: f64 = 0.35;

/// The share of the excess that a frame compensates.
const REPAYMENT: f64 = 0.15;

/// The smallest frame, bytes: one packet with room for its stamp.
const FRAME_LEN_MIN: f64 = 60.0;

impl Encoder {
    /// An encoder whose sizes follow from `seed`.
    pub fn new(is_video: bool, bitrate_bps: u64, frame_interval: Duration, seed: u64) -> Self {
        Self {
            mean_len: bitrate_bps as f64 / 8.0 * frame_interval.as_secs_f64(),
            is_video,
            debt: 0.0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            keyframe_at: None,
            wants_keyframe: true,
            last_keyframe: None,
        }
    }

    /// A receiver cannot decode.
    pub fn request_keyframe(&mut self) {
        self.wants_keyframe = true;
    }

    /// The next frame, at `now`.
    pub fn next_frame(&mut self, now: Instant) -> Frame {
        if !self.is_video {
            // Voice at a constant target varies little.
            let len = self.mean_len * (1.0 + 0.1 * self.scatter());
            return Frame { len: len.max(FRAME_LEN_MIN) as usize, is_keyframe: false };
        }
        let is_keyframe = self.is_keyframe_due(now);
        let wanted = match is_keyframe {
            true => self.mean_len * KEYFRAME_RATIO,
            false => self.mean_len - (self.debt * REPAYMENT).min(self.mean_len * 0.5),
        };
        let len = (wanted * (1.0 + SCATTER * self.scatter())).max(FRAME_LEN_MIN);
        self.debt = (self.debt + len - self.mean_len).max(-self.mean_len);
        Frame { len: len as usize, is_keyframe }
    }

    fn is_keyframe_due(&mut self, now: Instant) -> bool {
        let may = self.last_keyframe.is_none_or(|last| now.duration_since(last) >= KEYFRAME_INTERVAL_MIN);
        let is_due = may && (self.wants_keyframe || self.keyframe_at.is_some_and(|at| now >= at));
        if is_due {
            self.wants_keyframe = false;
            self.last_keyframe = Some(now);
            self.keyframe_at = Some(now + KEYFRAME_INTERVAL.mul_f64(0.5 + throw(&mut self.random)));
        }
        is_due
    }

    /// Between -1 and 1, small values more likely: the mean of two random numbers.
    fn scatter(&mut self) -> f64 {
        throw(&mut self.random) + throw(&mut self.random) - 1.0
    }
}

#[cfg(test)]
mod tests;
