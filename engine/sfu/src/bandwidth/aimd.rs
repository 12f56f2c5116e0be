//! The delay-based rate: it rises while the path has no queue, and falls when a queue grows
//! (draft-ietf-rmcat-gcc-02 §5.5).

use super::delay::Usage;
use machine::Instant;
use std::time::Duration;

/// The rate of one transport.
#[derive(Debug)]
pub struct Aimd {
    bps: f64,
    state: State,
    /// The measured capacity of the path during overuse.
    capacity: Capacity,
    changed_at: Option<Instant>,
    decreased_at: Option<Instant>,
    rtt: Duration,
}

/// Draft §5.5, figure of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Increase,
    Hold,
}

impl Aimd {
    /// Starts at `bps`.
    pub fn new(bps: f64) -> Self {
        Self {
            bps,
            state: State::Increase,
            capacity: Capacity::default(),
            changed_at: None,
            decreased_at: None,
            rtt: RTT_INITIAL,
        }
    }

    /// Bits per second.
    pub fn bps(&self) -> f64 {
        self.bps
    }

    /// The round trip to the peer: determines the growth near the capacity.
    pub fn on_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt.clamp(RTT_MIN, RTT_MAX);
    }

    /// Sets the rate to a known value: from a probe, or a limit.
    pub fn set(&mut self, now: Instant, bps: f64) {
        self.bps = bps;
        self.changed_at = Some(now);
        // An earlier capacity below this rate is no longer valid.
        if bps > self.capacity.upper() {
            self.capacity = Capacity::default();
        }
    }

    /// A probe has shown that the path carries this rate, and not more.
    pub fn set_limit(&mut self, now: Instant, bps: f64) {
        self.set(now, bps);
        self.capacity.on_overuse(bps);
    }

    /// The detector's result, and the rate that the path is known to carry.
    pub fn update(&mut self, now: Instant, usage: Usage, acked_bps: Option<f64>) {
        match usage {
            Usage::Overusing => {
                if self.may_decrease(now, acked_bps) {
                    self.decrease(now, acked_bps);
                }
                self.state = State::Hold;
            }
            // A queue drains: growing now would prevent that.
            Usage::Underusing => self.state = State::Hold,
            Usage::Normal if self.state == State::Hold => {
                self.state = State::Increase;
                self.changed_at = Some(now);
            }
            Usage::Normal => self.increase(now, acked_bps),
        }
    }

    /// A further decrease waits until the last one can take effect: a round trip, unless the path carries
    /// less than half.
    fn may_decrease(&self, now: Instant, acked_bps: Option<f64>) -> bool {
        let has_passed = self.decreased_at.is_none_or(|at| now.saturating_since(at) >= self.rtt);
        has_passed || acked_bps.is_some_and(|acked| acked < 0.5 * self.bps)
    }

    fn decrease(&mut self, now: Instant, acked_bps: Option<f64>) {
        // Without a measurement, the excessive rate is the best value available.
        let carried = acked_bps.unwrap_or(self.bps);
        self.bps = (BETA * carried).min(self.bps);
        if let Some(acked) = acked_bps {
            self.capacity.on_overuse(acked);
        }
        self.decreased_at = Some(now);
        self.changed_at = Some(now);
    }

    fn increase(&mut self, now: Instant, acked_bps: Option<f64>) {
        let last = self.changed_at.replace(now).unwrap_or(now);
        let elapsed = now.saturating_since(last).as_secs_f64().min(1.0);
        if acked_bps.is_some_and(|acked| acked > self.capacity.upper()) {
            self.capacity = Capacity::default();
        }
        let step = if self.capacity.is_known() {
            self.additive_bps_per_second() * elapsed
        } else {
            (self.bps * MULTIPLICATIVE * elapsed).max(1000.0 * elapsed)
        };
        // Draft §5.5: a rate that was never sent is not verified. This bounds the growth, and lowers nothing.
        // If the path was the limit before, only probes allow a rate far above the sent rate.
        let factor = if self.capacity.is_known() { BEYOND_SENT_AT_LIMIT } else { BEYOND_SENT };
        let limit = acked_bps.map_or(self.bps, |acked| factor * acked + 10_000.0);
        self.bps = (self.bps + step).min(limit.max(self.bps));
    }

    /// Draft §5.5: about one packet per response time, at 30 frames per second in packets of 1,200 bytes.
    fn additive_bps_per_second(&self) -> f64 {
        let frame_bits = self.bps / 30.0;
        let packets = (frame_bits / (1200.0 * 8.0)).ceil().max(1.0);
        let response = self.rtt.as_secs_f64() + DETECTION_TIME.as_secs_f64();
        (frame_bits / packets / response).max(4000.0)
    }
}

/// Mean and deviation of the rates during overuse.
#[derive(Debug, Default)]
struct Capacity {
    mean_bps: Option<f64>,
    /// Relative to the mean.
    variance: f64,
}

impl Capacity {
    fn is_known(&self) -> bool {
        self.mean_bps.is_some()
    }

    fn on_overuse(&mut self, acked_bps: f64) {
        let mean = match self.mean_bps {
            // Three deviations away, the path has changed.
            Some(mean) if (acked_bps - mean).abs() <= 3.0 * self.deviation(mean) => {
                let error = (acked_bps - mean) / mean.max(1.0);
                self.variance = ((1.0 - CAPACITY_GAIN) * self.variance + CAPACITY_GAIN * error * error)
                    .clamp(VARIANCE_MIN, VARIANCE_MAX);
                (1.0 - CAPACITY_GAIN) * mean + CAPACITY_GAIN * acked_bps
            }
            _ => {
                self.variance = VARIANCE_INITIAL;
                acked_bps
            }
        };
        self.mean_bps = Some(mean);
    }

    /// Above this rate, the mean is no longer valid.
    fn upper(&self) -> f64 {
        self.mean_bps.map_or(f64::INFINITY, |mean| mean + 3.0 * self.deviation(mean))
    }

    fn deviation(&self, mean: f64) -> f64 {
        mean * self.variance.sqrt()
    }
}

/// Draft §5.5: the decrease, to 85 % of the carried rate.
pub const BETA: f64 = 0.85;
/// Draft §5.5: the growth far from capacity, 8 % per second.
const MULTIPLICATIVE: f64 = 0.08;
/// Draft §5.5: the growth ends at this multiple of the sent rate …
const BEYOND_SENT: f64 = 1.5;
/// … and at this one if a capacity is known.
const BEYOND_SENT_AT_LIMIT: f64 = 1.1;
/// Draft §5.5: the detection time, in addition to the round trip.
const DETECTION_TIME: Duration = Duration::from_millis(100);
const RTT_INITIAL: Duration = Duration::from_millis(200);
const RTT_MIN: Duration = Duration::from_millis(10);
const RTT_MAX: Duration = Duration::from_millis(500);
/// Draft §5.5: smoothing of 0.95 for mean and variance.
const CAPACITY_GAIN: f64 = 0.05;
/// Squares of 4 %, 6 % and 12 % of the mean.
const VARIANCE_MIN: f64 = 0.0016;
const VARIANCE_INITIAL: f64 = 0.0036;
const VARIANCE_MAX: f64 = 0.0144;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    /// A second without a queue, updated every 100 ms.
    fn quiet(aimd: &mut Aimd, from_ms: u64, acked: f64) {
        (0..=10).for_each(|step| aimd.update(at(from_ms + 100 * step), Usage::Normal, Some(acked)));
    }

    #[test]
    fn grows_by_eight_percent_per_second_until_the_capacity_is_known() {
        let mut aimd = Aimd::new(1e6);
        quiet(&mut aimd, 0, 1e6);
        assert!((1.08e6..1.09e6).contains(&aimd.bps()), "{aimd:?}");
        aimd.on_rtt(Duration::from_millis(50));
        aimd.update(at(1100), Usage::Overusing, Some(1e6));
        assert_eq!(aimd.bps(), 0.85e6);
        aimd.update(at(1200), Usage::Normal, Some(0.85e6));
        quiet(&mut aimd, 1200, 0.85e6);
        let grown = aimd.bps() - 0.85e6;
        assert!((30_000.0..70_000.0).contains(&grown), "additive near the capacity: {grown}");
        quiet(&mut aimd, 2300, 1.4e6);
        let grown = aimd.bps() / (0.85e6 + grown);
        assert!(grown > 1.07, "the path carries more than the earlier capacity: {grown}");
    }

    #[test]
    fn growth_is_bounded_by_the_sent_rate_without_lowering_the_rate() {
        let mut aimd = Aimd::new(1e6);
        quiet(&mut aimd, 0, 0.1e6);
        assert_eq!(aimd.bps(), 1e6);
        let mut aimd = Aimd::new(0.1e6);
        (0..60).for_each(|second| quiet(&mut aimd, second * 1100, 0.1e6));
        assert_eq!(aimd.bps(), 0.16e6);
    }

    #[test]
    fn one_queue_causes_one_decrease() {
        let mut aimd = Aimd::new(1e6);
        aimd.on_rtt(Duration::from_millis(100));
        aimd.update(at(0), Usage::Overusing, Some(0.9e6));
        aimd.update(at(50), Usage::Overusing, Some(0.8e6));
        assert_eq!(aimd.bps(), 0.85 * 0.9e6);
        aimd.update(at(60), Usage::Overusing, Some(0.3e6));
        assert_eq!(aimd.bps(), 0.85 * 0.3e6, "less than half: decreases without waiting");
    }
}
