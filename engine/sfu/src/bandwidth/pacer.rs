//! When a packet is sent: a leaky bucket per transport, so that a keyframe does not fill the queue of the
//! path.
//!
//! A frame of usual size finds the bucket nearly empty and is sent as one burst, in the same turn of the
//! loop; this makes runs for the send batch. Further packets wait here, as references into the producer's
//! cache: their payload is encrypted when they are released. Audio never waits.

use super::limits;
use machine::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// The class of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Audio: sent at once, and only counted.
    Audio,
    /// Packets that a peer requested again: before new video, which needs them.
    Retransmission,
    /// Video.
    Video,
}

/// The decision about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Send now; [`Pacer::on_sent`] follows.
    Now,
    /// Wait: [`Pacer::push`] follows.
    Later,
    /// The queue is full; drop and count it.
    Never,
}

/// The pacer of one transport. `E` identifies a packet: small, and sufficient to write it later.
#[derive(Debug)]
pub struct Pacer<E> {
    rate: Rate,
    /// Sent bytes that the elapsed time does not cover yet; drains at the pacing rate.
    level: f64,
    drained_at: Instant,
    retransmissions: VecDeque<Queued<E>>,
    video: VecDeque<Queued<E>>,
    queued_bytes: u64,
    /// The next check of the queue; set while it is not empty.
    release_at: Option<Instant>,
    dropped: u64,
}

#[derive(Clone, Copy, Debug)]
struct Queued<E> {
    entry: E,
    since: Instant,
    size: u16,
}

/// In bytes per second.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// The rate at which the bucket drains.
    pacing: f64,
    /// The level up to which packets may be sent.
    burst_bytes: f64,
}

impl<E: Copy> Pacer<E> {
    /// A pacer for an estimate of `estimate_bps`, without a queue.
    pub fn new(now: Instant, estimate_bps: u64) -> Self {
        let mut pacer = Self {
            rate: Rate { pacing: 0.0, burst_bytes: 0.0 },
            level: 0.0,
            drained_at: now,
            retransmissions: VecDeque::new(),
            video: VecDeque::new(),
            queued_bytes: 0,
            release_at: None,
            dropped: 0,
        };
        pacer.set_rate(now, estimate_bps, 0, false);
        pacer
    }

    /// The allowed rate and the allocated rate, in bits per second: allocated media is not delayed for long,
    /// even if the estimate has decreased. With `is_limit`, the path is known to carry no more.
    pub fn set_rate(&mut self, now: Instant, estimate_bps: u64, allocated_bps: u64, is_limit: bool) {
        self.drain(now);
        let estimate = estimate_bps.max(limits::BITRATE_MIN_BPS) as f64 / 8.0;
        let allocated = SWING * allocated_bps as f64 / 8.0;
        let factor = if is_limit { PACING_FACTOR_AT_LIMIT } else { PACING_FACTOR };
        let pacing = (factor * estimate).max(allocated);
        let usual = estimate.max(allocated);
        self.rate = Rate { pacing, burst_bytes: usual * BURST_TIME.as_secs_f64() };
    }

    /// Decides about a packet of this class.
    pub fn offer(&mut self, now: Instant, class: Class) -> Offer {
        self.drain(now);
        let must_wait = match class {
            Class::Audio => false,
            Class::Retransmission => !self.has_room() || !self.retransmissions.is_empty(),
            // After the waiting packets: the order within a track is kept.
            Class::Video => !self.has_room() || !self.is_empty(),
        };
        match must_wait {
            false => Offer::Now,
            true if self.len() < limits::PACER_QUEUE_LEN => Offer::Later,
            true => {
                self.dropped += 1;
                Offer::Never
            }
        }
    }

    /// Queues a packet that [`offer`](Self::offer) delayed.
    pub fn push(&mut self, now: Instant, class: Class, size: usize, entry: E) {
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        let waiting = Queued { entry, since: now, size };
        match class {
            Class::Retransmission => self.retransmissions.push_back(waiting),
            Class::Audio | Class::Video => self.video.push_back(waiting),
        }
        self.queued_bytes += u64::from(size);
        self.release_at.get_or_insert(now + limits::PACER_INTERVAL);
    }

    /// A datagram of `size` bytes has been sent, of any kind.
    pub fn on_sent(&mut self, now: Instant, size: usize) {
        self.drain(now);
        self.level += size as f64;
    }

    /// Removes and returns the next packet that may be sent now. To be called until there is none.
    pub fn pop(&mut self, now: Instant) -> Option<E> {
        self.drain(now);
        self.drop_late(now);
        let next = if self.has_room() {
            self.retransmissions.pop_front().or_else(|| self.video.pop_front())
        } else {
            None
        };
        self.release_at = (!self.is_empty()).then(|| now + limits::PACER_INTERVAL);
        let next = next?;
        self.queued_bytes -= u64::from(next.size);
        Some(next.entry)
    }

    /// Packets that may be sent remain: [`pop`](Self::pop) is to be called again at `at`.
    pub fn resume_at(&mut self, at: Instant) {
        self.release_at = self.release_at.map(|release_at| release_at.min(at));
    }

    /// When [`pop`](Self::pop) may return a packet; `None` with an empty queue.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.release_at
    }

    /// Packets in the queue.
    pub fn len(&self) -> usize {
        self.retransmissions.len() + self.video.len()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Packets dropped because of a full queue or too long a wait, since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether a packet may be sent. It may be larger than the remaining room: otherwise a bucket smaller
    /// than a packet would block it.
    fn has_room(&self) -> bool {
        self.level <= self.rate.burst_bytes
    }

    fn drain(&mut self, now: Instant) {
        let elapsed = now.saturating_since(self.drained_at).as_secs_f64();
        self.drained_at = now;
        // A queue that would take too long is sent faster: late frames are useless, but lost ones too.
        let in_time = self.queued_bytes as f64 / (limits::PACER_WAIT / 2).as_secs_f64();
        let rate = self.rate.pacing.max(in_time.min(self.rate.pacing * HURRY));
        self.level = (self.level - elapsed * rate).max(0.0);
    }

    fn drop_late(&mut self, now: Instant) {
        for queue in [&mut self.retransmissions, &mut self.video] {
            let is_late = |first: &mut Queued<E>| now.saturating_since(first.since) >= limits::PACER_WAIT_MAX;
            while let Some(late) = queue.pop_front_if(is_late) {
                self.queued_bytes -= u64::from(late.size);
                self.dropped += 1;
            }
        }
    }
}

/// As in browsers: media is sent at up to two and a half times the estimate, so that a keyframe is spread out
/// but not late.
const PACING_FACTOR: f64 = 2.5;
/// … if the estimate is the path's capacity, less the decrease: more would wait in the path's queue, and look
/// like a growing queue.
const PACING_FACTOR_AT_LIMIT: f64 = 1.25;
/// The allocated rate is a mean; the short-term rate may exceed it by this factor.
const SWING: f64 = 1.25;
/// A long queue is sent at this multiple of the pacing rate.
const HURRY: f64 = 2.0;
/// This duration of the estimate is sent at once: one and a half frames at 25 per second.
const BURST_TIME: Duration = Duration::from_millis(60);

#[cfg(test)]
mod tests;
