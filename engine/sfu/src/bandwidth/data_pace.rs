//! How fast data channels send on a transport with media: what the media leaves, and never so much that a queue
//! delays it.
//!
//! SCTP fills the queue of a path until packets are lost, and audio would wait in the same queue. So its packets are
//! paced. The rate follows the round trip of the data itself, as in LEDBAT (RFC 6817): above the shortest round
//! trip there is a queue, and data gives way to whatever fills it. The bandwidth estimate, if there is one, is an
//! upper bound.

use super::limits::{
    DATA_QUEUE_HIGH, DATA_QUEUE_LOW, DATA_RATE_MAX_BPS, DATA_RATE_MIN_BPS, DATA_RATE_START_BPS,
};
use crate::base::meter::Meter;
use machine::Instant;
use std::time::Duration;

/// What the bandwidth estimate leaves for data, in bits per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataLimits {
    /// The share of data: video leaves it free. Without this bound, the queue that video makes would stop data.
    pub least_bps: u64,
    /// What is not allocated to media.
    pub most_bps: u64,
}

/// The pace of the data channels of one transport.
#[derive(Debug)]
pub struct DataPace {
    rate_bps: f64,
    /// When the next packet may leave.
    next_at: Instant,
    /// The shortest round trip of this period, and of the one before.
    base: [Option<Duration>; 2],
    base_since: Instant,
    /// The shortest round trip since the last judgement.
    recent: Option<Duration>,
    judge_at: Instant,
    acknowledged: Meter<25>,
    acknowledged_bytes: u64,
    /// Packets had to wait since the last judgement …
    has_waited: bool,
    /// … and when the last one had to.
    waited_at: Option<Instant>,
    /// No queue has been seen yet.
    is_starting: bool,
}

impl DataPace {
    /// For an association of which the peer has acknowledged this number of bytes.
    pub fn new(now: Instant, acknowledged_bytes: u64) -> Self {
        Self {
            rate_bps: DATA_RATE_START_BPS,
            next_at: now,
            base: [None; 2],
            base_since: now,
            recent: None,
            judge_at: now,
            acknowledged: Meter::default(),
            acknowledged_bytes,
            has_waited: false,
            waited_at: None,
            is_starting: true,
        }
    }

    /// DATA chunks of 1200 bytes that fill the path for its round trip and a while longer.
    pub fn in_flight_max(&self) -> u32 {
        let span = self.base_rtt().unwrap_or(INTERVAL) + IN_FLIGHT_TIME;
        (self.rate_bps * span.as_secs_f64() / (8.0 * 1200.0)) as u32 + 4
    }

    /// The bytes that the peer has acknowledged so far, and a round trip if one was measured. `limits`: what the
    /// estimate leaves at least and at most. Returns the bytes that are new.
    pub fn on_feedback(
        &mut self,
        now: Instant,
        acknowledged: u64,
        round_trip: Option<Duration>,
        limits: Option<DataLimits>,
    ) -> usize {
        // Another association begins at zero.
        let new = acknowledged.checked_sub(self.acknowledged_bytes).unwrap_or(acknowledged);
        self.acknowledged_bytes = acknowledged;
        if new > 0 {
            self.acknowledged.count(now, new as usize);
        }
        if let Some(round_trip) = round_trip {
            self.on_round_trip(now, round_trip);
        }
        if now >= self.judge_at
            && let Some(recent) = self.recent.take()
        {
            self.judge(now, recent);
        }
        if let Some(limits) = limits {
            let least = (limits.least_bps as f64).max(DATA_RATE_MIN_BPS);
            self.rate_bps = self.rate_bps.clamp(least, least.max(limits.most_bps as f64));
        }
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

    fn on_round_trip(&mut self, now: Instant, round_trip: Duration) {
        let shorter = |known: Option<Duration>| Some(known.map_or(round_trip, |known| known.min(round_trip)));
        if now.saturating_since(self.base_since) >= BASE_PERIOD {
            self.base = [None, self.base[0]];
            self.base_since = now;
        }
        self.base[0] = shorter(self.base[0]);
        self.recent = shorter(self.recent);
    }

    fn judge(&mut self, now: Instant, recent: Duration) {
        let base = self.base_rtt().unwrap_or(recent);
        let queue = recent.saturating_sub(base);
        let acknowledged = self.acknowledged.bps(now) as f64;
        // At the start the rate rises fast: the first sign of a queue ends that.
        if queue > if self.is_starting { DATA_QUEUE_LOW } else { DATA_QUEUE_HIGH } {
            // What arrives is what the path carries beside the media; less drains the queue.
            let decrease = if self.is_starting { DECREASE_AT_START } else { DECREASE };
            self.rate_bps = self.rate_bps.min(acknowledged.max(self.rate_bps / 2.0)) * decrease;
            self.is_starting = false;
            // Its effect is visible after a round trip.
            self.judge_at = now + base.max(INTERVAL) + queue;
        } else {
            if queue <= DATA_QUEUE_LOW && self.has_waited {
                self.rate_bps *= if self.is_starting { INCREASE_AT_START } else { INCREASE };
            }
            self.judge_at = now + base.max(INTERVAL);
        }
        self.rate_bps = self.rate_bps.clamp(DATA_RATE_MIN_BPS, DATA_RATE_MAX_BPS);
        self.has_waited = false;
    }
}

/// Between two judgements, if the round trip is shorter: enough for some packets.
const INTERVAL: Duration = Duration::from_millis(50);
/// Beyond the round trip, DATA in flight covers this time: the peer delays its SACKs, and the timers of the engine.
const IN_FLIGHT_TIME: Duration = Duration::from_millis(150);
/// Data that has waited within this time has a share of the estimate: a pause between two messages changes no layer.
const BUSY_TIME: Duration = Duration::from_secs(1);
/// The time that one call of the timers may be late.
const CREDIT: Duration = Duration::from_millis(2);
/// The shortest round trip is forgotten after once to twice this time: another path may be longer.
const BASE_PERIOD: Duration = Duration::from_secs(10);
const INCREASE_AT_START: f64 = 1.1;
const INCREASE: f64 = 1.015;
const DECREASE: f64 = 0.85;
const DECREASE_AT_START: f64 = 0.6;

#[cfg(test)]
mod tests;
