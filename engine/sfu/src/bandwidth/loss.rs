//! The loss-based bound: on paths with short queues, packets are lost before they are delayed
//! (draft-ietf-rmcat-gcc-02 §6).
//!
//! Not a separate rate as in the draft, but a bound that exists only after heavy loss: a path with constant
//! light loss (radio) is not limited, and the initial ramp is not delayed.

use machine::Instant;
use std::time::Duration;

/// The rates for assessing loss, in bits per second.
#[derive(Clone, Copy, Debug)]
pub struct SendRate {
    /// The allowed rate.
    pub allowed_bps: f64,
    /// The arrived rate, if known.
    pub acked_bps: Option<f64>,
}

/// The loss-based bound of one transport.
#[derive(Debug, Default)]
pub struct LossBound {
    bps: Option<f64>,
    lost: u32,
    received: u32,
    /// Start of the present count.
    began_at: Option<Instant>,
    lowered_at: Option<Instant>,
    /// Time and fraction of the last complete count.
    judged: Option<(Instant, f64)>,
}

impl LossBound {
    /// The packets of one feedback: number of arrived and of missing ones. A late arrival is a loss of −1.
    pub fn on_packets(&mut self, received: u32, lost: i32) {
        self.received = self.received.saturating_add(received);
        self.lost = self.lost.saturating_add_signed(lost);
    }

    /// The bound; `None` without one.
    pub fn bps(&self) -> Option<f64> {
        self.bps
    }

    /// Loss of the last count, 0 to 1; zero if that is too old.
    pub fn fraction(&self, now: Instant) -> f64 {
        let recent = self.judged.filter(|(at, _)| now.saturating_since(*at) < FRACTION_AGE_MAX);
        recent.map_or(0.0, |(_, fraction)| fraction)
    }

    /// Assesses the count when it is large enough; `rate` has the allowed and the arrived rate. True if the
    /// bound was lowered.
    pub fn update(&mut self, now: Instant, rate: SendRate, rtt: Duration) -> bool {
        let began_at = *self.began_at.get_or_insert(now);
        let elapsed = now.saturating_since(began_at);
        let count = self.lost.saturating_add(self.received);
        if elapsed < COUNT_TIME || count < COUNT_MIN {
            return false;
        }
        let fraction = f64::from(self.lost) / f64::from(count);
        (self.lost, self.received, self.began_at) = (0, 0, Some(now));
        self.judge(now, fraction, rate, rtt, elapsed)
    }

    /// The fraction of a reception report (RFC 3550 §6.4.1), from a peer without transport-wide feedback.
    pub fn on_report(&mut self, now: Instant, fraction: f64, allowed_bps: f64, rtt: Duration) -> bool {
        let elapsed = self.began_at.replace(now).map_or(Duration::ZERO, |began| now.saturating_since(began));
        let rate = SendRate { allowed_bps, acked_bps: None };
        self.judge(now, fraction, rate, rtt, elapsed)
    }

    /// This rate was carried: a lower bound is removed.
    pub fn raise(&mut self, bps: f64) {
        if self.bps.is_some_and(|bound| bound < bps) {
            self.bps = Some(bps);
        }
    }

    fn judge(
        &mut self,
        now: Instant,
        fraction: f64,
        rate: SendRate,
        rtt: Duration,
        elapsed: Duration,
    ) -> bool {
        self.judged = Some((now, fraction));
        if fraction > HEAVY {
            // Draft §6: loss that the last decrease has not ended yet must not cause another one.
            let wait = LOWER_INTERVAL + rtt;
            let may_step = self.lowered_at.is_none_or(|at| now.saturating_since(at) >= wait);
            let step = may_step.then_some(rate.allowed_bps * (1.0 - 0.5 * fraction));
            // A full queue does not grow: its delay is constant, but the rate at its output is the path's
            // capacity.
            let carried = rate.acked_bps.filter(|acked| fraction > OVERFLOW && *acked < rate.allowed_bps);
            let lowered = [step, carried].into_iter().flatten().reduce(f64::min);
            if lowered.is_some() {
                self.bps = lowered;
                self.lowered_at = Some(now);
            }
            return lowered.is_some();
        }
        if let Some(bound) = &mut self.bps
            && fraction < LIGHT
        {
            *bound *= 1.0 + GROWTH * elapsed.as_secs_f64().min(1.0);
            if *bound > VOID_AT * rate.allowed_bps {
                self.bps = None; // another limit applies now
            }
        }
        false
    }
}

/// An older count is not used.
const FRACTION_AGE_MAX: Duration = Duration::from_secs(2);
/// Minimum packets of a count: with fewer, one loss would be heavy.
const COUNT_MIN: u32 = 20;
/// … and its minimum duration: bursts of loss are averaged over it.
const COUNT_TIME: Duration = Duration::from_millis(500);
/// Draft §6: above 10 %, the rate decreases by half of the fraction.
const HEAVY: f64 = 0.10;
/// Radio loss does not reach this fraction: a queue is full.
const OVERFLOW: f64 = 0.25;
/// The draft grows below 2 %; here below 5 %, because light loss sets no bound.
const LIGHT: f64 = 0.05;
/// The draft grows by 5 % per report, about once per second.
const GROWTH: f64 = 0.08;
const LOWER_INTERVAL: Duration = Duration::from_millis(300);
const VOID_AT: f64 = 1.5;

#[cfg(test)]
mod tests;
