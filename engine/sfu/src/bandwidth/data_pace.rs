//! How fast data channels send on a transport with media: as fast as the path carries it without a queue in which
//! media would wait.
//!
//! SCTP fills the queue of a path until packets are lost, and audio would wait in the same queue. So its packets are
//! paced. The rate follows the round trip of the data itself, as in LEDBAT (RFC 6817): above the shortest round
//! trip there is a queue, and data gives way to whatever fills it. A busy machine makes some round trips longer, and a
//! queue all of them: so the shortest of several is judged. The rate has a floor, above which it always grows again.

use super::limits::{
    DATA_QUEUE_HIGH, DATA_QUEUE_LOW, DATA_RATE_FLOOR_BPS, DATA_RATE_MAX_BPS, DATA_RATE_MIN_BPS,
    DATA_RATE_START_BPS, DATA_SAMPLES_MIN, DATA_SAMPLES_SPREAD_MIN,
};
use crate::base::meter::Meter;
use machine::Instant;
use sctp::RoundTripSamples;
use std::time::Duration;

/// The pace of the data channels of one transport.
#[derive(Debug)]
pub struct DataPace {
    rate_bps: f64,
    /// When the next packet may leave.
    next_at: Instant,
    /// The shortest round trip of this period, and of the one before.
    base: [Option<Duration>; 2],
    base_since: Instant,
    /// Round trips since the last judgement.
    samples: Option<RoundTripSamples>,
    judged_at: Instant,
    /// Not earlier.
    judge_at: Instant,
    /// At the last judgement there was a queue.
    was_long: bool,
    /// The rate at which a queue appeared last, if one has appeared.
    limit_bps: Option<f64>,
    /// How long the rate has grown near that limit: it grows faster with time.
    growing: Duration,
    acknowledged: Meter<25>,
    acknowledged_bytes: u64,
    /// Packets had to wait since the last judgement …
    has_waited: bool,
    /// … and when the last one had to.
    waited_at: Option<Instant>,
}

impl DataPace {
    /// For an association of which the peer has acknowledged this number of bytes.
    pub fn new(now: Instant, acknowledged_bytes: u64) -> Self {
        Self {
            rate_bps: DATA_RATE_START_BPS,
            next_at: now,
            base: [None; 2],
            base_since: now,
            samples: None,
            judged_at: now,
            judge_at: now,
            was_long: false,
            limit_bps: None,
            growing: Duration::ZERO,
            acknowledged: Meter::default(),
            acknowledged_bytes,
            has_waited: false,
            waited_at: None,
        }
    }

    /// DATA chunks of 1200 bytes that fill the path for its round trip and a while longer.
    pub fn in_flight_max(&self) -> u32 {
        let span = self.base_rtt().unwrap_or(INTERVAL) + IN_FLIGHT_TIME;
        (self.rate_bps * span.as_secs_f64() / (8.0 * 1200.0)) as u32 + 4
    }

    /// The bytes that the peer has acknowledged so far, and the round trips that were measured. `share_bps`: the part
    /// of the bandwidth estimate that is left to data, if the estimate is the measured limit of the path. Returns the
    /// bytes that are new.
    pub fn on_feedback(
        &mut self,
        now: Instant,
        acknowledged: u64,
        samples: Option<RoundTripSamples>,
        share_bps: Option<u64>,
    ) -> usize {
        // Another association begins at zero.
        let new = acknowledged.checked_sub(self.acknowledged_bytes).unwrap_or(acknowledged);
        self.acknowledged_bytes = acknowledged;
        if new > 0 {
            self.acknowledged.count(now, new as usize);
        }
        if let Some(samples) = samples {
            self.on_round_trips(now, samples);
        }
        self.judge_if_due(now);
        let floor = share_bps.map_or(DATA_RATE_FLOOR_BPS, |bps| (bps as f64).max(DATA_RATE_MIN_BPS));
        self.rate_bps = self.rate_bps.max(floor).min(DATA_RATE_MAX_BPS);
        new as usize
    }

    /// Whether a packet may leave now; otherwise when.
    pub fn admit(&mut self, now: Instant) -> Result<(), Instant> {
        if self.next_at <= now {
            return Ok(());
        }
        self.has_waited = true;
        self.waited_at = Some(now);
        Err(self.next_at)
    }

    /// Whether data has waited for its pace a moment ago.
    pub fn is_busy(&self, now: Instant) -> bool {
        self.waited_at.is_some_and(|at| now.saturating_since(at) < BUSY_TIME)
    }

    /// A packet of `len` bytes has left.
    pub fn on_sent(&mut self, now: Instant, len: usize) {
        let time = Duration::from_secs_f64(len as f64 * 8.0 / self.rate_bps);
        // A pause gives no credit beyond the time between two calls.
        let from = self.next_at.max(now - CREDIT);
        self.next_at = from + time;
    }

    fn base_rtt(&self) -> Option<Duration> {
        self.base.iter().flatten().min().copied()
    }

    fn on_round_trips(&mut self, now: Instant, samples: RoundTripSamples) {
        if now.saturating_since(self.base_since) >= BASE_PERIOD {
            self.base = [None, self.base[0]];
            self.base_since = now;
        }
        let base = self.base[0].get_or_insert(samples.shortest);
        *base = samples.shortest.min(*base);
        match &mut self.samples {
            Some(known) => known.add(samples),
            none => *none = Some(samples),
        }
    }

    /// Judges the round trips, if there are enough. Those that differ much have several causes, so that more are
    /// needed.
    fn judge_if_due(&mut self, now: Instant) {
        let elapsed = now.saturating_since(self.judged_at).min(JUDGEMENT_WAIT_MAX);
        let is_enough = |samples: &mut RoundTripSamples| {
            let is_spread = samples.longest.saturating_sub(samples.shortest) > DATA_QUEUE_HIGH;
            let (count, time) = if is_spread {
                (DATA_SAMPLES_SPREAD_MIN, SPREAD_TIME)
            } else {
                (DATA_SAMPLES_MIN, INTERVAL)
            };
            samples.count >= count && elapsed >= time || elapsed == JUDGEMENT_WAIT_MAX
        };
        if now < self.judge_at {
            return;
        }
        let Some(samples) = self.samples.take_if(is_enough) else { return };
        let base = self.base_rtt().unwrap_or(samples.shortest);
        let queue = samples.shortest.saturating_sub(base);
        (self.judged_at, self.judge_at) = (now, now + INTERVAL);
        // A few may be long without a queue.
        let is_long = queue > DATA_QUEUE_HIGH && samples.count >= DATA_SAMPLES_MIN;
        let was_long = std::mem::replace(&mut self.was_long, is_long);
        let is_first_sign = self.limit_bps.is_none() && queue > DATA_QUEUE_LOW;
        if is_long && (was_long || queue > 2 * DATA_QUEUE_HIGH) || is_first_sign {
            self.lower(now);
            // The effect is visible after a round trip.
            self.judge_at += base + queue;
        } else if queue <= DATA_QUEUE_LOW && self.has_waited {
            self.raise(elapsed);
        }
        self.has_waited = false;
    }

    fn lower(&mut self, now: Instant) {
        // What arrives is what the path carries beside the media; less drains the queue.
        let carried = (self.acknowledged.bps(now) as f64).max(self.rate_bps / 2.0);
        self.limit_bps = Some(self.rate_bps);
        self.rate_bps = self.rate_bps.min(carried) * DECREASE;
        self.growing = Duration::ZERO;
        self.was_long = false;
    }

    /// No queue for this time.
    fn raise(&mut self, elapsed: Duration) {
        let is_below = self.limit_bps.is_some_and(|limit| self.rate_bps < NEAR_LIMIT * limit);
        let growth = if is_below {
            GROWTH_BELOW_LIMIT
        } else {
            let (first, doubling) = if self.limit_bps.is_some() { GROWTH_AT_LIMIT } else { GROWTH_AT_START };
            self.growing += elapsed;
            (first * (self.growing.as_secs_f64() / doubling.as_secs_f64()).exp2()).min(GROWTH_MAX)
        };
        self.rate_bps *= 1.0 + growth * elapsed.as_secs_f64();
    }
}

/// Between two judgements …
const INTERVAL: Duration = Duration::from_millis(50);
/// … and at least this time if round trips differ much: a busy machine handles what has arrived all at once.
const SPREAD_TIME: Duration = Duration::from_millis(250);
/// After this time the round trips that there are suffice for a judgement.
const JUDGEMENT_WAIT_MAX: Duration = Duration::from_millis(500);
/// Beyond the round trip, DATA in flight covers this time: the peer delays its SACKs, and the timers of the engine.
const IN_FLIGHT_TIME: Duration = Duration::from_millis(150);
/// Data that has waited within this time has a share of the estimate: a pause between two messages changes no layer.
const BUSY_TIME: Duration = Duration::from_secs(1);
/// The time that one call of the timers may be late.
const CREDIT: Duration = Duration::from_millis(5);
/// The shortest round trip is forgotten after once to twice this time: another path may be longer, and the machine of
/// the peer may be busy for long.
const BASE_PERIOD: Duration = Duration::from_secs(10);

/// Growth of the rate in a second: below this part of the last limit, fast …
const GROWTH_BELOW_LIMIT: f64 = 0.5;
const NEAR_LIMIT: f64 = 0.9;
/// … near it so slowly that the queue of a round trip stays short, and twice as fast after each of these times: the
/// limit may have been a disturbance …
const GROWTH_AT_LIMIT: (f64, Duration) = (0.03, Duration::from_millis(1500));
/// … in the same way until a limit is known …
const GROWTH_AT_START: (f64, Duration) = (0.3, Duration::from_secs(3));
/// … and never faster than this.
const GROWTH_MAX: f64 = 1.0;
const DECREASE: f64 = 0.85;

#[cfg(test)]
mod tests;
