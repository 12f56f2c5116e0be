//! Which packets of a received stream are requested again, and when (RFC 4585 §6.2.1).

use crate::limits;
use machine::{Instant, meter};
use rtp::SeqNo;
use std::collections::VecDeque;
use std::time::Duration;

/// The missing packets of one stream.
///
/// A packet counts as lost once [`NACK_REORDER_PACKETS`](limits::NACK_REORDER_PACKETS) newer ones have
/// arrived (or the gap is old). It is requested once per round trip, and given up after a number of attempts,
/// when it is too old, or when a keyframe makes it unnecessary.
#[derive(Debug)]
pub struct NackGenerator {
    /// In order of sequence number. Allocated once, at its bound.
    missing: VecDeque<Missing>,
    highest: Option<SeqNo>,
    /// The lowest received number: earlier packets may not exist.
    lowest: SeqNo,
    /// Start of the last keyframe: earlier packets are not needed.
    keyframe: SeqNo,
    /// Smoothed time from a request to its retransmission.
    rtt: Duration,
    given_up: u64,
    /// When [`poll`](Self::poll) next has work. May be too early, because a packet has arrived since; never
    /// too late.
    due: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    seq: SeqNo,
    noticed_at: Instant,
    requested_at: Option<Instant>,
    requests: u8,
}

impl NackGenerator {
    /// Without packets.
    pub fn new() -> Self {
        Self {
            missing: VecDeque::with_capacity(limits::NACK_PENDING_MAX),
            highest: None,
            lowest: SeqNo(0),
            keyframe: SeqNo(0),
            rtt: limits::NACK_RTT_INITIAL,
            given_up: 0,
            due: None,
        }
    }

    /// A packet arrived, first time or by retransmission.
    pub fn on_packet(&mut self, now: Instant, seq: SeqNo) {
        let Some(highest) = self.highest else {
            self.highest = Some(seq);
            self.lowest = seq;
            return;
        };
        if seq < self.lowest {
            return self.on_early_packet(now, seq);
        }
        if seq <= highest {
            self.on_late_packet(now, seq);
            return;
        }
        self.highest = Some(seq);
        // Only the last few missing packets before this one can have become late enough because of it.
        let was_too_near = |missing: &&Missing| highest.0 - missing.seq.0 < limits::NACK_REORDER_PACKETS;
        let overtaken = self.missing.iter().rev().take_while(was_too_near);
        let due = overtaken.map(|missing| missing.timeout(self.highest, self.interval())).min();
        self.hasten(due);
        // After a jump longer than the bound, only the newest part of the gap is requested.
        let first = (highest.0 + 1).max(seq.0.saturating_sub(limits::NACK_PENDING_MAX as u64));
        self.given_up += first - (highest.0 + 1);
        meter::charge((seq.0 - first) as usize, 15);
        for missing in first..seq.0 {
            if self.missing.len() == limits::NACK_PENDING_MAX {
                self.missing.pop_front();
                self.given_up += 1;
            }
            self.missing.push_back(Missing::noticed_at(now, SeqNo(missing)));
        }
        if first < seq.0 {
            // The first of the new gaps is the first to be due.
            let due = Missing::noticed_at(now, SeqNo(first)).timeout(self.highest, self.interval());
            self.hasten(Some(due));
        }
    }

    /// A packet from before the first one: the stream started earlier, and the packets in between are missing
    /// too.
    fn on_early_packet(&mut self, now: Instant, seq: SeqNo) {
        let first = (seq.0 + 1).max(self.keyframe.0);
        let room = limits::NACK_PENDING_MAX - self.missing.len();
        meter::charge(room, 15);
        for missing in (first..self.lowest.0).rev().take(room) {
            self.missing.push_front(Missing::noticed_at(now, SeqNo(missing)));
        }
        if let Some(lowest) = self.missing.front() {
            let due = lowest.timeout(self.highest, self.interval());
            self.hasten(Some(due));
        }
        self.lowest = seq;
    }

    fn on_late_packet(&mut self, now: Instant, seq: SeqNo) {
        let Ok(index) = self.missing.binary_search_by_key(&seq, |missing| missing.seq) else { return };
        let Some(found) = self.missing.remove(index) else { return };
        // A packet that was requested once answers that request: a round-trip sample.
        if let (Some(requested_at), 1) = (found.requested_at, found.requests) {
            let sample = now.saturating_since(requested_at);
            let before = self.interval();
            self.rtt = (self.rtt * 7 + sample) / 8;
            // Requested packets are due earlier by the decrease of the interval.
            let shorter = before.saturating_sub(self.interval());
            self.due = self.due.map(|due| due - shorter);
        }
        self.rest_if_whole();
    }

    /// Whether a packet is missing and may still be requested.
    pub fn is_missing(&self, seq: SeqNo) -> bool {
        self.missing.binary_search_by_key(&seq, |missing| missing.seq).is_ok()
    }

    /// A keyframe starts at `seq`: earlier packets are not needed any more.
    pub fn on_keyframe(&mut self, seq: SeqNo) {
        self.keyframe = self.keyframe.max(seq);
        let needed_from = self.missing.partition_point(|missing| missing.seq < seq);
        self.given_up += self.missing.drain(..needed_from).len() as u64;
        self.rest_if_whole();
    }

    /// Passes every packet that is due to `request`, in ascending order, and counts it as requested.
    pub fn poll(&mut self, now: Instant, mut request: impl FnMut(SeqNo)) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        meter::charge(self.missing.len(), 20);
        let (highest, interval) = (self.highest, self.interval());
        let before = self.missing.len();
        let mut next: Option<Instant> = None;
        self.missing.retain_mut(|missing| {
            if missing.is_hopeless(now) {
                return false;
            }
            if missing.due_at(highest, interval) <= now {
                missing.requests += 1;
                missing.requested_at = Some(now);
                request(missing.seq);
            }
            let due = missing.timeout(highest, interval);
            next = Some(next.map_or(due, |next| next.min(due)));
            true
        });
        self.given_up += (before - self.missing.len()) as u64;
        self.due = next;
    }

    /// When [`poll`](Self::poll) next has work, or somewhat earlier. A stored value: this is called for every
    /// packet.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The number of missing packets, which is the work of one [`poll`](Self::poll).
    pub fn missing(&self) -> usize {
        self.missing.len()
    }

    fn interval(&self) -> Duration {
        self.rtt.max(limits::NACK_INTERVAL_MIN)
    }

    fn hasten(&mut self, due: Option<Instant>) {
        self.due = self.due.into_iter().chain(due).min();
    }

    fn rest_if_whole(&mut self) {
        if self.missing.is_empty() {
            self.due = None;
        }
    }

    /// Packets given up since the last call.
    pub fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }
}

impl Missing {
    fn noticed_at(now: Instant, seq: SeqNo) -> Self {
        Self { seq, noticed_at: now, requested_at: None, requests: 0 }
    }

    /// Not worth a request any more.
    fn is_hopeless(&self, now: Instant) -> bool {
        self.requests >= limits::NACK_RETRIES_MAX
            || now.saturating_since(self.noticed_at) >= limits::NACK_AGE_MAX
    }

    /// When it must be requested or given up.
    fn timeout(&self, highest: Option<SeqNo>, interval: Duration) -> Instant {
        self.due_at(highest, interval).min(self.noticed_at + limits::NACK_AGE_MAX)
    }

    fn due_at(&self, highest: Option<SeqNo>, interval: Duration) -> Instant {
        match self.requested_at {
            Some(requested_at) => requested_at + interval,
            None if highest.is_some_and(|highest| highest.0 - self.seq.0 >= limits::NACK_REORDER_PACKETS) => {
                self.noticed_at
            }
            None => self.noticed_at + limits::NACK_REORDER_WAIT,
        }
    }
}

impl Default for NackGenerator {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
