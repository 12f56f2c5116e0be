//! Detects a growing queue on the path from the differences between the delays of consecutive bursts.
//!
//! Draft-ietf-rmcat-gcc-02 §5.1 to §5.4, with the least-squares trend line that browsers use in place of the
//! draft's Kalman filter (§5.3).

use super::history::PeerTime;
use machine::Instant;
use std::time::Duration;

/// The trend of the delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// Delays are constant.
    #[default]
    Normal,
    /// A queue drains: the path carries more than is sent.
    Underusing,
    /// A queue grows.
    Overusing,
}

/// The over-use detector of one transport.
#[derive(Debug, Default)]
pub struct DelayDetector {
    current: Option<Group>,
    previous: Option<Group>,
    trend: Trend,
    threshold: Threshold,
    usage: Usage,
    /// Duration above the threshold …
    over_ms: f64,
    /// … and number of groups.
    over_count: u32,
    last_slope: f64,
    /// Consecutive groups that arrived before an earlier-sent one.
    reordered: u32,
}

/// Packets sent within one burst: the jitter between them does not matter (draft §5.2).
#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent: Instant,
    last_sent: Instant,
    first_arrival: PeerTime,
    last_arrival: PeerTime,
}

impl DelayDetector {
    /// A packet arrived; packets are passed in the order they were sent.
    pub fn on_packet(&mut self, sent_at: Instant, at: PeerTime) {
        let Some(group) = &mut self.current else {
            self.current = Some(Group::begin(sent_at, at));
            return;
        };
        if sent_at < group.first_sent {
            return; // reported late; its group is closed
        }
        if group.takes(sent_at, at) {
            group.last_sent = group.last_sent.max(sent_at);
            group.last_arrival = group.last_arrival.max(at);
            return;
        }
        let complete = *group;
        self.current = Some(Group::begin(sent_at, at));
        if let Some(previous) = self.previous.replace(complete) {
            self.on_group(&previous, &complete);
        }
    }

    /// The present state.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Drops all delays: the path has changed, or nothing was sent for long.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn on_group(&mut self, previous: &Group, group: &Group) {
        let sent_ms = millis(group.last_sent.saturating_since(previous.last_sent));
        let arrival_ms = group.last_arrival.micros_since(previous.last_arrival) as f64 / 1e3;
        if arrival_ms < 0.0 {
            self.reordered += 1;
            if self.reordered >= REORDERED_MAX {
                self.reset();
            }
            return;
        }
        self.reordered = 0;
        if (arrival_ms - sent_ms).abs() > CLOCK_STEP_MS {
            self.reset(); // the peer has set its clock
            return;
        }
        let at_ms = group.last_arrival.0 as f64 / 1e3;
        self.trend.push(at_ms, arrival_ms - sent_ms);
        let Some(slope) = self.trend.slope() else { return };
        self.detect(slope, sent_ms, at_ms);
    }

    /// Draft §5.4: overuse is a trend above the threshold for 10 ms and more than one group that does not
    /// decrease.
    fn detect(&mut self, slope: f64, sent_ms: f64, at_ms: f64) {
        let trend = slope * f64::from(self.trend.count.min(COUNT_GAIN_MAX)) * SLOPE_GAIN;
        if trend > self.threshold.ms {
            self.over_ms += if self.over_count == 0 { sent_ms / 2.0 } else { sent_ms };
            self.over_count += 1;
            if self.over_ms > OVER_MS_MIN && self.over_count > 1 && slope >= self.last_slope {
                self.over_ms = 0.0;
                self.over_count = 0;
                self.usage = Usage::Overusing;
            }
        } else {
            self.over_ms = 0.0;
            self.over_count = 0;
            self.usage = if trend < -self.threshold.ms { Usage::Underusing } else { Usage::Normal };
        }
        self.last_slope = slope;
        self.threshold.adapt(trend, at_ms);
    }
}

impl Group {
    fn begin(sent_at: Instant, at: PeerTime) -> Self {
        Self { first_sent: sent_at, last_sent: sent_at, first_arrival: at, last_arrival: at }
    }

    /// Sent within the burst, or drained from a queue together with it: then it arrives directly after it,
    /// with a shorter delay.
    fn takes(&self, sent_at: Instant, at: PeerTime) -> bool {
        if sent_at.saturating_since(self.first_sent) <= BURST_TIME {
            return true;
        }
        let arrival_ms = at.micros_since(self.last_arrival) as f64 / 1e3;
        let waited_less = arrival_ms < millis(sent_at.saturating_since(self.last_sent));
        waited_less
            && arrival_ms <= millis(BURST_TIME)
            && at.micros_since(self.first_arrival) < BURST_MICROS_MAX
    }
}

/// The delays of the latest groups, and the line through them.
#[derive(Debug, Default)]
struct Trend {
    /// Arrival times, and the smoothed delay at each, in milliseconds; a ring.
    points: [(f64, f64); WINDOW],
    /// Number of groups.
    count: u32,
    first_ms: f64,
    /// The sum of all differences: the delay relative to the first group.
    accumulated: f64,
    smoothed: f64,
}

impl Trend {
    fn push(&mut self, at_ms: f64, difference_ms: f64) {
        if self.count == 0 {
            self.first_ms = at_ms;
        }
        self.accumulated += difference_ms;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        self.points[self.count as usize % WINDOW] = (at_ms - self.first_ms, self.smoothed);
        self.count = self.count.wrapping_add(1).max(1);
    }

    /// Milliseconds of delay per millisecond: least squares over a full window.
    fn slope(&self) -> Option<f64> {
        if (self.count as usize) < WINDOW {
            return None;
        }
        let count = WINDOW as f64;
        let (sum_x, sum_y) =
            self.points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        let (mean_x, mean_y) = (sum_x / count, sum_y / count);
        let (above, below) = self.points.iter().fold((0.0, 0.0), |sum, (x, y)| {
            (sum.0 + (x - mean_x) * (y - mean_y), sum.1 + (x - mean_x) * (x - mean_x))
        });
        (below > 0.0).then(|| above / below)
    }
}

/// The threshold follows the trend, quickly down and slowly up: a fixed one would starve beside a flow that
/// fills queues (Carlucci et al., §4.2).
#[derive(Debug)]
struct Threshold {
    ms: f64,
    adapted_ms: Option<f64>,
}

impl Default for Threshold {
    fn default() -> Self {
        Self { ms: 12.5, adapted_ms: None }
    }
}

impl Threshold {
    fn adapt(&mut self, trend: f64, at_ms: f64) {
        let last = self.adapted_ms.replace(at_ms).unwrap_or(at_ms);
        let size = trend.abs();
        // Draft §5.4: a sudden jump, as after a route change, must not raise it.
        if size > self.ms + 15.0 {
            return;
        }
        let gain = if size < self.ms { 0.039 } else { 0.0087 };
        let elapsed = (at_ms - last).clamp(0.0, 100.0);
        self.ms = (self.ms + gain * (size - self.ms) * elapsed).clamp(6.0, 600.0);
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// Draft §5.2: packets sent within 5 ms are one group.
const BURST_TIME: Duration = Duration::from_millis(5);
/// A group that arrives back to back is limited to this.
const BURST_MICROS_MAX: i64 = 100_000;
/// Groups in the line: two thirds of a second at 30 frames per second.
const WINDOW: usize = 20;
/// Factor of the exponential smoothing before the line.
const SMOOTHING: f64 = 0.9;
/// The slope is scaled to the draft's threshold: by this number of groups (at most) …
const COUNT_GAIN_MAX: u32 = 60;
/// … times this.
const SLOPE_GAIN: f64 = 4.0;
/// Draft §5.4, `overuse_time_th`.
const OVER_MS_MIN: f64 = 10.0;
const REORDERED_MAX: u32 = 3;
const CLOCK_STEP_MS: f64 = 3000.0;

#[cfg(test)]
mod tests;
