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

/// Of a frame's size, how much scatters to each side.
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

    /// Between -1 and 1, small values more likely: the mean of two throws.
    fn scatter(&mut self) -> f64 {
        throw(&mut self.random) + throw(&mut self.random) - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_nanos(33_333_333);

    fn minute(encoder: &mut Encoder) -> Vec<Frame> {
        let start = Instant::now();
        (0..1800).map(|frame| encoder.next_frame(start + INTERVAL * frame)).collect()
    }

    #[test]
    fn the_rate_is_kept_over_a_minute() {
        let frames = minute(&mut Encoder::new(true, 2_500_000, INTERVAL, 7));
        let bits = frames.iter().map(|frame| frame.len as u64 * 8).sum::<u64>();
        assert!((145_000_000..155_000_000).contains(&bits), "{bits}");
    }

    #[test]
    fn sizes_scatter_and_keyframes_are_large_and_rare() {
        let frames = minute(&mut Encoder::new(true, 2_500_000, INTERVAL, 7));
        let keyframes: Vec<_> = frames.iter().filter(|frame| frame.is_keyframe).collect();
        let at =
            |frame: &Frame| frames.iter().position(|other| std::ptr::eq(other, frame)).unwrap() as f64 / 30.0;
        let gaps: Vec<f64> = keyframes.windows(2).map(|two| at(two[1]) - at(two[0])).collect();
        assert!(gaps.iter().all(|gap| (5.0..15.1).contains(gap)), "{gaps:?}");
        let of_seed = |seed| {
            let frames = minute(&mut Encoder::new(true, 2_500_000, INTERVAL, seed));
            frames.iter().filter(|frame| frame.is_keyframe).count()
        };
        let of_hundred: usize = (1..=100).map(of_seed).sum();
        // The first, and of those behind it each gap's mean of 10 s and variance of 8.3 s² (renewals): 6.54 in a minute.
        assert!((630..=680).contains(&of_hundred), "{of_hundred} in a hundred minutes");
        let sizes: std::collections::BTreeSet<_> = frames.iter().map(|frame| frame.len).collect();
        assert!(sizes.len() > 1000, "{} sizes", sizes.len());
    }

    #[test]
    fn a_request_is_answered_but_not_twice_in_half_a_second() {
        let mut encoder = Encoder::new(true, 2_500_000, INTERVAL, 7);
        let start = Instant::now();
        assert!(encoder.next_frame(start).is_keyframe, "the first");
        encoder.request_keyframe();
        let answered: Vec<_> =
            (1..30).filter(|frame| encoder.next_frame(start + INTERVAL * *frame).is_keyframe).collect();
        assert_eq!(answered, [16], "500 ms after the first, the 16th frame");
    }

    #[test]
    fn the_same_seed_gives_the_same_frames() {
        let sizes = |seed| {
            minute(&mut Encoder::new(true, 1_000_000, INTERVAL, seed))
                .iter()
                .map(|frame| frame.len)
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(3), sizes(3));
        assert_ne!(sizes(3), sizes(4));
    }

    #[test]
    fn audio_packets_have_similar_sizes() {
        let mut encoder = Encoder::new(false, 40_000, Duration::from_millis(20), 7);
        let now = Instant::now();
        for _ in 0..100 {
            let frame = encoder.next_frame(now);
            assert!((85..=115).contains(&frame.len) && !frame.is_keyframe, "{frame:?}");
        }
    }
}
