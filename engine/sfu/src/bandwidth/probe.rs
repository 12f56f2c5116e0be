//! Probing: a short cluster of packets, sent faster than the estimate, shows whether the path carries more.
//!
//! A subscriber is usually limited by what publishers send, not by its path: without probing, an estimate
//! that was once lowered would never rise again, and the estimate of a transport whose tracks are all paused
//! would stay low. A cluster consists of the media sent during its time, and of padding for the rest.

use super::history::{ClusterId, PeerTime, SentPacket};
use super::limits;
use machine::{Instant, Tx};
use std::num::NonZeroU16;
use std::time::Duration;

/// Decides when to probe, controls the cluster, and evaluates the results.
#[derive(Debug)]
pub struct Prober {
    last_id: ClusterId,
    sending: Option<Sending>,
    /// Clusters whose feedback is incomplete; the oldest first.
    pending: [Option<Cluster>; limits::PROBES_PENDING_MAX],
    schedule: Schedule,
}

/// The cluster that is being sent.
#[derive(Clone, Copy, Debug)]
struct Sending {
    id: ClusterId,
    target_bps: f64,
    began_at: Instant,
    bytes: u32,
    packets: u32,
}

/// A cluster, according to the peer's feedback.
#[derive(Clone, Copy, Debug)]
struct Cluster {
    id: ClusterId,
    target_bps: f64,
    began_at: Instant,
    /// True once the last packet is sent.
    is_whole: bool,
    sent: Span<Instant>,
    arrived: Span<PeerTime>,
    sent_bytes: u32,
    sent_packets: u32,
}

/// Packets over time: rates exclude the first or last moment, whose bytes took no time.
#[derive(Clone, Copy, Debug)]
struct Span<T> {
    first: T,
    last: T,
    bytes: u32,
    packets: u32,
    /// Bytes of the first packet, and of all packets of the last moment.
    first_bytes: u32,
    last_bytes: u32,
}

/// The time of the next probe.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    /// At this rate, once the path has no queue; after a result, or a decrease that may have been a mistake.
    requested: Option<(Instant, f64)>,
    /// Otherwise, if a higher rate is requested.
    next_at: Instant,
    interval: Duration,
    /// Start of the last probe.
    last_at: Option<Instant>,
}

/// The prober's input for a decision.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The present estimate.
    pub estimate_bps: f64,
    /// The requested rate, without a limit.
    pub wanted_bps: f64,
    /// A queue is growing, or was a moment ago: a probe would increase it without a result.
    pub is_congested: bool,
}

/// The result of a finished cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The rate that the path carried.
    pub bps: f64,
    /// The target rate.
    pub target_bps: f64,
    /// The path was the limit, not the sent rate: it carries this rate, and has a short queue now.
    pub is_saturated: bool,
}

impl Default for Prober {
    fn default() -> Self {
        Self {
            last_id: ClusterId(NonZeroU16::MAX),
            sending: None,
            pending: [None; limits::PROBES_PENDING_MAX],
            schedule: Schedule {
                requested: None,
                next_at: Instant::EPOCH,
                interval: limits::PROBE_INTERVAL_MIN,
                last_at: None,
            },
        }
    }
}

impl Prober {
    /// The cluster of packets sent now.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.sending.map(|sending| sending.id)
    }

    /// Prefetches the state for [`on_sent`](Self::on_sent).
    pub fn prefetch(&self, tx: &impl Tx) {
        tx.prefetch(&self.sending);
    }

    /// Starts a cluster if one is due; true if so.
    pub fn poll(&mut self, now: Instant, situation: &Situation) -> bool {
        self.forget_overdue(now);
        let is_waiting =
            self.sending.is_some() || self.pending.iter().flatten().any(|cluster| cluster.is_whole);
        if is_waiting || situation.is_congested || situation.wanted_bps <= 0.0 {
            return false;
        }
        let aim = situation.wanted_bps * HEADROOM;
        let has_enough = situation.estimate_bps >= situation.wanted_bps * ENOUGH;
        let target = match self.schedule.requested.filter(|(at, _)| *at <= now) {
            Some((_, target)) => target.min(aim),
            None if !has_enough && self.schedule.next_at <= now => {
                (STEP * situation.estimate_bps).max(TARGET_MIN_BPS).min(aim.max(TARGET_MIN_BPS))
            }
            None => return false,
        };
        self.schedule.requested = self.schedule.requested.filter(|(at, _)| *at > now);
        self.schedule.next_at = now + self.schedule.interval;
        if target <= situation.estimate_bps {
            return false;
        }
        self.begin(now, target);
        true
    }

    /// Requests a probe at `target_bps`, not before `at`.
    pub fn request(&mut self, at: Instant, target_bps: f64) {
        self.schedule.requested = Some((at, target_bps));
    }

    /// The requested rate has risen: the next probe is soon.
    pub fn hasten(&mut self, now: Instant) {
        self.schedule.interval = limits::PROBE_INTERVAL_MIN;
        let last = self.schedule.last_at.map_or(now, |last| last + limits::PROBE_INTERVAL_WANTED);
        self.schedule.next_at = self.schedule.next_at.min(last.max(now));
    }

    /// Whether a cluster is in progress: a queue may be caused by it.
    pub fn is_under_way(&self) -> bool {
        self.sending.is_some() || self.pending.iter().any(Option::is_some)
    }

    /// Whether the last result leads to a further probe, or is still missing.
    pub fn is_rising(&self) -> bool {
        self.is_under_way() || self.schedule.requested.is_some()
    }

    /// Missing bytes of the cluster, to be filled with padding.
    pub fn due_bytes(&self, now: Instant) -> u32 {
        let Some(sending) = &self.sending else { return 0 };
        // One interval ahead: packets sent now cover the time until the next call.
        let elapsed = now.saturating_since(sending.began_at) + limits::PACER_INTERVAL;
        let by_now = (sending.target_bps * elapsed.as_secs_f64() / 8.0) as u32;
        by_now.min(limits::PROBE_BYTES_MAX).saturating_sub(sending.bytes)
    }

    /// When [`due_bytes`](Self::due_bytes) is next non-zero, in steps of the pacer's interval.
    pub fn next_timeout(&self) -> Option<Instant> {
        let sending = self.sending.as_ref()?;
        // One byte more than the rounding error: at that time, the due bytes must not be zero.
        let covered = f64::from(sending.bytes.saturating_add(2)) * 8.0 / sending.target_bps;
        let steps = (covered / limits::PACER_INTERVAL.as_secs_f64()).ceil() as u32;
        Some(sending.began_at + limits::PACER_INTERVAL * steps.saturating_sub(1))
    }

    /// A packet has been sent, as part of the present cluster if there is one.
    pub fn on_sent(&mut self, now: Instant, size: u16) {
        let Some(sending) = &mut self.sending else { return };
        sending.bytes += u32::from(size);
        sending.packets += 1;
        let id = sending.id;
        let elapsed = now.saturating_since(sending.began_at);
        let bytes_min = (sending.target_bps * limits::PROBE_TIME_MIN.as_secs_f64() / 8.0) as u32;
        let is_long = elapsed >= limits::PROBE_TIME_MIN && sending.bytes >= bytes_min;
        let is_whole = sending.packets >= limits::PROBE_PACKETS_MIN
            && (is_long || sending.bytes >= limits::PROBE_BYTES_MAX);
        if let Some(cluster) = self.find(id) {
            cluster.sent_bytes += u32::from(size);
            cluster.sent_packets += 1;
            cluster.is_whole = is_whole;
        }
        if is_whole {
            self.sending = None;
        }
    }

    /// A packet of a cluster arrived. Returns the result once enough have arrived, and again with each later
    /// one.
    pub fn on_packet(&mut self, packet: &SentPacket, at: PeerTime) -> Option<Found> {
        let cluster = self.find(packet.cluster?)?;
        cluster.sent.add(packet.sent_at, packet.size);
        cluster.arrived.add(at, packet.size);
        let has_enough = cluster.is_whole
            && f64::from(cluster.arrived.packets) >= ENOUGH_ARRIVED * f64::from(cluster.sent_packets)
            && f64::from(cluster.arrived.bytes) >= ENOUGH_ARRIVED * f64::from(cluster.sent_bytes);
        has_enough.then(|| cluster.result()).flatten()
    }

    /// All feedback of one message was read: clusters with a result are done, and the gain determines the
    /// time of the next probe.
    pub fn on_result(&mut self, now: Instant, found: &Found, estimate_bps: f64) {
        for pending in &mut self.pending {
            *pending = pending.filter(|cluster| !cluster.is_whole);
        }
        if found.bps > estimate_bps * GAINED {
            self.schedule.interval = limits::PROBE_INTERVAL_MIN;
            if found.bps >= CONTINUE * found.target_bps {
                self.request(now, STEP * found.bps);
            }
        } else {
            self.schedule.interval = (self.schedule.interval * 2).min(limits::PROBE_INTERVAL_MAX);
        }
        self.schedule.next_at = now + self.schedule.interval;
    }

    fn begin(&mut self, now: Instant, target_bps: f64) {
        let id = ClusterId(self.last_id.0.checked_add(1).unwrap_or(NonZeroU16::MIN));
        self.last_id = id;
        self.schedule.last_at = Some(now);
        self.sending = Some(Sending { id, target_bps, began_at: now, bytes: 0, packets: 0 });
        self.pending.rotate_left(1);
        self.pending[limits::PROBES_PENDING_MAX - 1] = Some(Cluster {
            id,
            target_bps,
            began_at: now,
            is_whole: false,
            sent: Span::new(Instant::EPOCH),
            arrived: Span::new(PeerTime::default()),
            sent_bytes: 0,
            sent_packets: 0,
        });
    }

    fn find(&mut self, id: ClusterId) -> Option<&mut Cluster> {
        self.pending.iter_mut().flatten().find(|cluster| cluster.id == id)
    }

    fn forget_overdue(&mut self, now: Instant) {
        let is_overdue = |began_at| now.saturating_since(began_at) >= limits::PROBE_TIME_MAX;
        self.sending = self.sending.filter(|sending| !is_overdue(sending.began_at));
        for pending in &mut self.pending {
            *pending = pending.filter(|cluster| !is_overdue(cluster.began_at));
        }
    }
}

impl Cluster {
    /// The lower one of the sending rate and the arrival rate.
    fn result(&self) -> Option<Found> {
        let sent_secs = self.sent.last.saturating_since(self.sent.first).as_secs_f64();
        let arrived_secs = self.arrived.last.micros_since(self.arrived.first) as f64 / 1e6;
        let is_possible = |secs: f64| secs > 0.0 && secs <= limits::PROBE_TIME_MAX.as_secs_f64();
        if !is_possible(sent_secs) || !is_possible(arrived_secs) {
            return None;
        }
        // The last moment's bytes took no sending time; the first packet took no arrival time. A burst that a
        // fast path delivers at once is included: it may be a frame within the cluster.
        let sent_bps = f64::from(self.sent.bytes - self.sent.last_bytes) * 8.0 / sent_secs;
        let arrived_bps = f64::from(self.arrived.bytes - self.arrived.first_bytes) * 8.0 / arrived_secs;
        if arrived_bps > RATIO_MAX * sent_bps {
            return None; // the packets waited somewhere, and arrived at once
        }
        let is_saturated = arrived_bps < UNSATURATED * sent_bps;
        let bps = if is_saturated { UTILISED * arrived_bps } else { sent_bps.min(arrived_bps) };
        Some(Found { bps, target_bps: self.target_bps, is_saturated })
    }
}

impl<T: Copy + PartialOrd> Span<T> {
    fn new(origin: T) -> Self {
        Self { first: origin, last: origin, bytes: 0, packets: 0, first_bytes: 0, last_bytes: 0 }
    }

    fn add(&mut self, at: T, size: u16) {
        let size = u32::from(size);
        if self.packets == 0 || at < self.first {
            (self.first, self.first_bytes) = (at, size);
        }
        if self.packets == 0 || at > self.last {
            (self.last, self.last_bytes) = (at, 0);
        }
        if at == self.last {
            self.last_bytes += size;
        }
        self.bytes += size;
        self.packets += 1;
    }
}

/// Each probe targets twice the known rate: a path that carries it is found in a few steps, another one has a
/// queue of at most the cluster's length.
const STEP: f64 = 2.0;
/// The lowest target: the first step from zero.
const TARGET_MIN_BPS: f64 = 150_000.0;
/// The highest target is the requested rate, with room for the allocator's headroom.
const HEADROOM: f64 = 1.25;
/// No probes above this share of the requested rate.
const ENOUGH: f64 = 1.12;
/// Share of a cluster that must have arrived for a result.
const ENOUGH_ARRIVED: f64 = 0.8;
/// A peer cannot receive faster than is sent, except for the jitter of a short cluster.
const RATIO_MAX: f64 = 2.0;
/// Below this share of the sending rate the path was the limit …
const UNSATURATED: f64 = 0.9;
/// … and a rate slightly below the carried one empties its queue.
const UTILISED: f64 = 0.95;
/// Minimum factor of a gain.
const GAINED: f64 = 1.05;
/// A cluster that reached this share of its target is followed by a higher one.
const CONTINUE: f64 = 0.7;

#[cfg(test)]
mod tests;
