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
mod tests;
