//! Scores: how well a stream arrives, from 0 to 10.
//!
//! What counts is what is missing *after* repair: loss that retransmissions mend costs a viewer nothing. The share that is
//! missing is smoothed over about four seconds. Of pictures the score is 10 ÷ (1 + 15 × share): 9 at 1 %, 6 at 5 %, 4 at 10 %,
//! 1 when nearly all is lost. Of sound it is what a listener thinks of it ([`emodel`](super::emodel)), which delay spoils too: an opinion
//! of 1 is 0, one of 4.5 is 10. A score is for people and dashboards; nothing that is forwarded depends on it.

use super::emodel;
use crate::limits;
use machine::Instant;
use std::time::Duration;

/// The score of one stream or consumer.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// Smoothed share of packets that never came.
    missing: f32,
    /// Of sound: how long it takes from mouth to ear.
    delay: Option<Duration>,
    /// Nothing comes, though something should.
    is_silent: bool,
    told: u8,
    told_at: Option<Instant>,
}

impl Quality {
    /// Of something nothing bad is known of.
    pub const fn good() -> Self {
        Self { missing: 0.0, delay: None, is_silent: false, told: SCORE_MAX, told_at: None }
    }

    /// Of something that has not begun.
    pub const fn silent() -> Self {
        Self { missing: 0.0, delay: None, is_silent: true, told: 0, told_at: None }
    }

    /// In some while, `expected` packets should have come, and `missing` of them did not, nor were repaired; negative when
    /// more was repaired than lost in that while. Where nothing was expected (discontinuous transmission), nothing is
    /// learned, and from a few packets not much.
    pub fn on_interval(&mut self, expected: u64, missing: i64) {
        if expected == 0 {
            return;
        }
        let expected = expected.min(1 << 20) as f32;
        let share = (missing as f32 / expected).clamp(-1.0, 1.0);
        let weight = WEIGHT * (expected / EXPECTED_ENOUGH).min(1.0);
        self.missing = (self.missing + (share - self.missing) * weight).max(0.0);
    }

    /// It is sound, which takes so long from mouth to ear.
    pub fn set_delay(&mut self, delay: Duration) {
        self.delay = Some(delay);
    }

    /// Whether nothing comes though something should.
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

    /// The score, if it is time to tell it; it then counts as told.
    pub fn news(&mut self, now: Instant) -> Option<u8> {
        let score = self.score();
        let is_too_soon =
            self.told_at.is_some_and(|told_at| now.saturating_since(told_at) < limits::SCORE_NEWS_INTERVAL);
        if score.abs_diff(self.told) <= 1 || is_too_soon {
            return None;
        }
        self.told = score;
        self.told_at = Some(now);
        Some(score)
    }
}

const SCORE_MAX: u8 = 10;

/// Of the newest interval, at one interval a second: about four seconds are remembered.
const WEIGHT: f32 = 0.25;

/// Packets from which on an interval has its full weight: half of what sound sends in a second.
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
    fn scores_fall_with_what_is_missing() {
        let scores = [0.0, 0.01, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0].map(|share| settled(share).score());
        assert_eq!(scores, [10, 9, 7, 6, 4, 3, 1, 1]);
    }

    #[test]
    fn scores_of_sound_are_opinions() {
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
    fn what_is_repaired_a_little_later_does_not_count() {
        let mut quality = Quality::good();
        for _ in 0..30 {
            quality.on_interval(500, 20);
            quality.on_interval(500, -20);
        }
        assert!(quality.score() >= 9, "{quality:?}");
    }

    #[test]
    fn silence_between_words_changes_nothing_and_few_packets_little() {
        let mut quality = Quality::good();
        for _ in 0..10 {
            quality.on_interval(0, 0);
        }
        assert_eq!(quality.score(), 10);
        quality.on_interval(3, 1);
        assert!(quality.score() >= 8, "{quality:?}");
    }

    #[test]
    fn news_comes_when_there_is_some_and_not_too_often() {
        let at = |seconds| Instant::EPOCH + Duration::from_secs(seconds);
        let mut quality = Quality::silent();
        assert_eq!(quality.news(at(0)), None);
        quality.set_silent(false);
        assert_eq!(quality.news(at(1)), Some(10));
        assert_eq!(quality.news(at(5)), None);
        quality.set_silent(true);
        assert_eq!(quality.news(at(6)), Some(0));
        quality.set_silent(false);
        assert_eq!(quality.news(at(7)), None, "too soon");
        assert_eq!(quality.news(at(8)), Some(10));
        quality.missing = 0.01;
        assert_eq!((quality.score(), quality.news(at(60))), (9, None), "one is no news");
    }
}
