//! Scores: the quality of a stream, from 0 to 10.
//!
//! Only loss *after* repair counts: loss that retransmissions repair is not visible. The share of missing
//! packets is smoothed over about four seconds. For video the score is 10 ÷ (1 + 15 × share): 9 at 1 %, 6 at
//! 5 %, 4 at 10 %, 1 at nearly 100 %. For audio it is the estimated opinion of a listener
//! ([`emodel`](super::emodel)), which also depends on the delay: an opinion of 1 is 0, one of 4.5 is 10. A
//! score is for people and dashboards; forwarding does not depend on it.

use super::emodel;
use crate::limits;
use machine::Instant;
use std::time::Duration;

/// The score of one stream or consumer.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// Smoothed share of lost packets.
    missing: f32,
    /// For audio: the delay from mouth to ear.
    delay: Option<Duration>,
    /// No packets arrive, although some should.
    is_silent: bool,
    reported: u8,
    reported_at: Option<Instant>,
}

impl Quality {
    /// Without any loss.
    pub const fn good() -> Self {
        Self { missing: 0.0, delay: None, is_silent: false, reported: SCORE_MAX, reported_at: None }
    }

    /// Of a stream that has not started.
    pub const fn silent() -> Self {
        Self { missing: 0.0, delay: None, is_silent: true, reported: 0, reported_at: None }
    }

    /// In the last interval, `expected` packets should have arrived, and `missing` of them were lost and not
    /// repaired; negative if more were repaired than lost. Without expected packets (discontinuous
    /// transmission) nothing changes, and few packets have a small weight.
    pub fn on_interval(&mut self, expected: u64, missing: i64) {
        if expected == 0 {
            return;
        }
        let expected = expected.min(1 << 20) as f32;
        let share = (missing as f32 / expected).clamp(-1.0, 1.0);
        let weight = WEIGHT * (expected / EXPECTED_ENOUGH).min(1.0);
        self.missing = (self.missing + (share - self.missing) * weight).max(0.0);
    }

    /// It is audio, with this delay from mouth to ear.
    pub fn set_delay(&mut self, delay: Duration) {
        self.delay = Some(delay);
    }

    /// Sets whether packets are missing completely.
    pub fn set_silent(&mut self, is_silent: bool) {
        self.is_silent = is_silent;
    }

    /// 0 while silent, else 1 to 10.
    pub fn score(&self) -> u8 {
        if self.is_silent {
            return 0;
        }
        let score = match self.delay {
            Some(delay) => {
                (emodel::opinion(self.missing, delay) - 1.0) / OPINION_RANGE * f32::from(SCORE_MAX)
            }
            None => f32::from(SCORE_MAX) / (1.0 + STEEPNESS * self.missing),
        };
        (score.round() as u8).clamp(1, SCORE_MAX)
    }

    /// The score, if it is time to report it; it then counts as reported.
    pub fn take_report(&mut self, now: Instant) -> Option<u8> {
        let score = self.score();
        let is_too_soon = self
            .reported_at
            .is_some_and(|reported_at| now.saturating_since(reported_at) < limits::SCORE_REPORT_INTERVAL);
        if score.abs_diff(self.reported) <= 1 || is_too_soon {
            return None;
        }
        self.reported = score;
        self.reported_at = Some(now);
        Some(score)
    }
}

const SCORE_MAX: u8 = 10;

/// Weight of the newest interval, at one interval per second: a memory of about four seconds.
const WEIGHT: f32 = 0.25;

/// Packets for the full weight of an interval: half of what audio sends in a second.
const EXPECTED_ENOUGH: f32 = 25.0;

/// From the worst opinion to the best.
const OPINION_RANGE: f32 = 3.5;

/// The score is halved at a share of 1/15.
const STEEPNESS: f32 = 15.0;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn settled(share: f32) -> Quality {
        let mut quality = Quality::good();
        (0..60).for_each(|_| quality.on_interval(1_000, (1_000.0 * share) as i64));
        quality
    }

    #[test]
    fn scores_fall_with_loss() {
        let scores = [0.0, 0.01, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0].map(|share| settled(share).score());
        assert_eq!(scores, [10, 9, 7, 6, 4, 3, 1, 1]);
    }

    #[test]
    fn scores_of_audio_are_opinions() {
        let score = |share, ms| {
            let mut quality = settled(share);
            quality.set_delay(Duration::from_millis(ms));
            quality.score()
        };
        assert_eq!(
            [0.0, 0.01, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0].map(|share| score(share, 60)),
            [10, 9, 7, 6, 4, 2, 1, 1]
        );
        assert_eq!([100, 200, 300, 400, 600, 3_000].map(|ms| score(0.0, ms)), [10, 9, 8, 6, 2, 1]);
    }

    #[test]
    fn a_stream_recovers_in_some_seconds() {
        let mut quality = settled(0.2);
        let seconds = (1..60).find(|_| {
            quality.on_interval(500, 0);
            quality.score() >= 9
        });
        assert!(seconds.is_some_and(|seconds| (4..16).contains(&seconds)), "{seconds:?}");
    }

    #[test]
    fn packets_repaired_a_little_later_are_not_loss() {
        let mut quality = Quality::good();
        for _ in 0..30 {
            quality.on_interval(500, 20);
            quality.on_interval(500, -20);
        }
        assert!(quality.score() >= 9, "{quality:?}");
    }

    #[test]
    fn silence_changes_nothing_and_few_packets_little() {
        let mut quality = Quality::good();
        for _ in 0..10 {
            quality.on_interval(0, 0);
        }
        assert_eq!(quality.score(), 10);
        quality.on_interval(3, 1);
        assert!(quality.score() >= 8, "{quality:?}");
    }

    #[test]
    fn changes_are_reported_and_not_too_often() {
        let at = |seconds| Instant::EPOCH + Duration::from_secs(seconds);
        let mut quality = Quality::silent();
        assert_eq!(quality.take_report(at(0)), None);
        quality.set_silent(false);
        assert_eq!(quality.take_report(at(1)), Some(10));
        assert_eq!(quality.take_report(at(5)), None);
        quality.set_silent(true);
        assert_eq!(quality.take_report(at(6)), Some(0));
        quality.set_silent(false);
        assert_eq!(quality.take_report(at(7)), None, "too soon");
        assert_eq!(quality.take_report(at(8)), Some(10));
        quality.missing = 0.01;
        assert_eq!(
            (quality.score(), quality.take_report(at(60))),
            (9, None),
            "a change by one is not reported"
        );
    }
}
