//! The loss-based bound: where queues are short, packets are lost before they are late (draft-ietf-rmcat-gcc-02 §6).
//!
//! Not a rate of its own as in the draft, but a bound that exists only after heavy loss: a path that loses a packet here and there all
//! the time (radio) costs nothing, and the ramp at the start is not held up by it.

use machine::Instant;
use std::time::Duration;

/// Rates to judge loss by, in bits a second.
#[derive(Clone, Copy, Debug)]
pub struct SendRate {
    /// What is allowed.
    pub allowed_bps: f64,
    /// What arrives, if that is known.
    pub acked_bps: Option<f64>,
}

/// What loss allows one transport to send.
#[derive(Debug, Default)]
pub struct LossBound {
    bps: Option<f64>,
    lost: u32,
    received: u32,
    /// When the present count began.
    began_at: Option<Instant>,
    lowered_at: Option<Instant>,
    /// Of the last whole count, and when that was.
    judged: Option<(Instant, f64)>,
}

impl LossBound {
    /// Packets of one feedback: how many arrived, and how many had not. One that arrived after all takes its loss back (`lost` −1).
    pub fn on_packets(&mut self, received: u32, lost: i32) {
        self.received = self.received.saturating_add(received);
        self.lost = self.lost.saturating_add_signed(lost);
    }

    /// The bound; `None` while loss sets none.
    pub fn bps(&self) -> Option<f64> {
        self.bps
    }

    /// Loss in the last count, 0 to 1; none where that is long ago.
    pub fn fraction(&self, now: Instant) -> f64 {
        let recent = self.judged.filter(|(at, _)| now.saturating_since(*at) < FRACTION_AGE_MAX);
        recent.map_or(0.0, |(_, fraction)| fraction)
    }

    /// Judges what was counted, when it is enough; `rate` is what is allowed at present, and
    /// what arrives. True if the bound was lowered.
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

    /// A reception report's fraction (RFC 3550 §6.4.1), from a peer without transport-wide feedback.
    pub fn on_report(&mut self, now: Instant, fraction: f64, allowed_bps: f64, rtt: Duration) -> bool {
        let elapsed = self.began_at.replace(now).map_or(Duration::ZERO, |began| now.saturating_since(began));
        let rate = SendRate { allowed_bps, acked_bps: None };
        self.judge(now, fraction, rate, rtt, elapsed)
    }

    /// So much was shown to fit: a bound below it is void.
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
            // Draft §6: the loss that one step has not mended yet must not make another.
            let wait = LOWER_INTERVAL + rtt;
            let may_step = self.lowered_at.is_none_or(|at| now.saturating_since(at) >= wait);
            let step = may_step.then_some(rate.allowed_bps * (1.0 - 0.5 * fraction));
            // A queue that is full does not grow: its delay tells nothing, but what comes out of it is what the path carries.
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
                self.bps = None; // something else bounds the rate by now
            }
        }
        false
    }
}

/// A count of so long ago tells nothing of the path.
const FRACTION_AGE_MAX: Duration = Duration::from_secs(2);
/// Packets that tell a fraction: with fewer, one loss would be heavy.
const COUNT_MIN: u32 = 20;
/// … and the time they come from: bursts of loss are averaged over it.
const COUNT_TIME: Duration = Duration::from_millis(500);
/// Draft §6: above 10 %, the rate goes down by half of the fraction.
const HEAVY: f64 = 0.10;
/// So much loss is no radio's: a queue is full.
const OVERFLOW: f64 = 0.25;
/// The draft grows below 2 %; here below 5 %, because what has no bound is not held back by 2 % either.
const LIGHT: f64 = 0.05;
/// The draft grows by 5 % per report, about once a second.
const GROWTH: f64 = 0.08;
const LOWER_INTERVAL: Duration = Duration::from_millis(300);
const VOID_AT: f64 = 1.5;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn allowed(allowed_bps: f64) -> SendRate {
        SendRate { allowed_bps, acked_bps: None }
    }

    /// A second with this share of loss in 100 packets.
    fn second(bound: &mut LossBound, second: u64, lost: u32, rate: f64) -> bool {
        bound.update(at(second * 1000), allowed(rate), Duration::from_millis(50));
        bound.on_packets(100 - lost, lost as i32);
        bound.update(at(second * 1000 + 999), allowed(rate), Duration::from_millis(50))
    }

    #[test]
    fn light_loss_sets_no_bound_and_heavy_loss_one_that_heals() {
        let mut bound = LossBound::default();
        for now in 0..10 {
            assert!(!second(&mut bound, now, 2, 1e6));
        }
        assert_eq!(bound.bps(), None);
        assert!(second(&mut bound, 10, 20, 1e6));
        assert_eq!(bound.bps(), Some(0.9e6));
        assert!(!second(&mut bound, 11, 7, 0.9e6), "neither heavy nor light: it stays");
        assert_eq!(bound.bps(), Some(0.9e6));
        (12..30).for_each(|now| assert!(!second(&mut bound, now, 1, 1e6)));
        assert_eq!(bound.bps(), None);
    }

    #[test]
    fn a_packet_that_was_only_late_is_no_loss() {
        let mut bound = LossBound::default();
        bound.update(at(0), allowed(1e6), Duration::ZERO);
        bound.on_packets(80, 20);
        bound.on_packets(20, -20);
        assert!(!bound.update(at(1000), allowed(1e6), Duration::ZERO));
        assert_eq!(bound.fraction(at(1000)), 0.0);
    }

    #[test]
    fn few_packets_tell_nothing() {
        let mut bound = LossBound::default();
        bound.update(at(0), allowed(1e6), Duration::ZERO);
        bound.on_packets(1, 15);
        assert!(!bound.update(at(5000), allowed(1e6), Duration::ZERO));
        assert_eq!(bound.bps(), None);
    }

    #[test]
    fn one_round_trip_of_loss_is_one_step() {
        let mut bound = LossBound::default();
        assert!(bound.on_report(at(0), 0.5, 1e6, Duration::from_millis(100)));
        assert!(!bound.on_report(at(399), 0.5, 1e6, Duration::from_millis(100)));
        assert!(bound.on_report(at(400), 0.5, 1e6, Duration::from_millis(100)));
        assert_eq!(bound.bps(), Some(0.75e6));
    }

    #[test]
    fn what_comes_out_of_a_full_queue_is_what_fits() {
        let mut bound = LossBound::default();
        let rate = SendRate { allowed_bps: 3e6, acked_bps: Some(1e6) };
        bound.update(at(0), rate, Duration::ZERO);
        bound.on_packets(35, 65);
        assert!(bound.update(at(500), rate, Duration::ZERO));
        assert_eq!(bound.bps(), Some(1e6));
        assert_eq!((bound.fraction(at(2_499)), bound.fraction(at(2_500))), (0.65, 0.0));
    }
}
