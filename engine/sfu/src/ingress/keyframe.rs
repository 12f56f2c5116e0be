//! The keyframe governor of one encoding: for any number of consumers, the publisher gets at most one request
//! per interval, repeated until a keyframe arrives; and the share of keyframes is bounded.

use crate::limits::{KEYFRAME_PAUSE_MAX, KEYFRAME_REQUEST_INTERVAL, KEYFRAME_SHARE_PERCENT};
use machine::Instant;
use std::time::Duration;

/// Aggregates keyframe requests. RFC 4585 §6.3.1.1: a PLI may be lost, or not answered during congestion, so
/// one request is not enough.
///
/// A publisher with two keyframe requests per second spends its whole rate on keyframes, and the quality of
/// all receivers suffers. So the next one is requested only when the last keyframe is at most a fixed share
/// of the bytes that could be sent since then.
#[derive(Debug, Default)]
pub struct KeyframeGovernor {
    wanted: bool,
    last_request: Option<Instant>,
    last_keyframe: Option<Keyframe>,
}

/// The received part of the latest keyframe.
#[derive(Clone, Copy, Debug)]
struct Keyframe {
    timestamp: u32,
    began_at: Instant,
    bytes: u64,
    /// The time until the next one may be requested.
    pause: Duration,
}

impl KeyframeGovernor {
    /// A consumer needs a keyframe.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// The first packet of a keyframe arrived: all earlier requests are answered.
    pub fn on_keyframe(&mut self, now: Instant, timestamp: u32) {
        self.wanted = false;
        self.last_keyframe = Some(Keyframe { timestamp, began_at: now, bytes: 0, pause: Duration::ZERO });
    }

    /// Whether packets with this timestamp belong to the latest keyframe.
    pub fn is_of_keyframe(&self, timestamp: u32) -> bool {
        self.last_keyframe.is_some_and(|keyframe| keyframe.timestamp == timestamp)
    }

    /// Counts a packet; `bps` is the rate of its stream, including keyframes.
    pub fn on_packet(&mut self, timestamp: u32, bytes: usize, bps: impl FnOnce() -> u64) {
        let Some(keyframe) = self.last_keyframe.as_mut().filter(|of| of.timestamp == timestamp) else {
            return;
        };
        keyframe.bytes += bytes as u64;
        let payable_bps = (bps() * KEYFRAME_SHARE_PERCENT / 100).max(1);
        keyframe.pause = Duration::from_millis(keyframe.bytes * 8_000 / payable_bps).min(KEYFRAME_PAUSE_MAX);
    }

    /// No consumer needs a keyframe any more.
    pub fn forget(&mut self) {
        self.wanted = false;
    }

    /// Whether to send a request now; if so, it counts as sent.
    pub fn poll(&mut self, now: Instant) -> bool {
        let due = self.next_timeout().is_some_and(|at| at <= now);
        if due {
            self.last_request = Some(now);
        }
        due
    }

    /// When [`poll`](Self::poll) will next return true.
    pub fn next_timeout(&self) -> Option<Instant> {
        let asked = self.last_request.map_or(Instant::EPOCH, |last| last + KEYFRAME_REQUEST_INTERVAL);
        let paid = self.last_keyframe.map_or(Instant::EPOCH, |keyframe| keyframe.began_at + keyframe.pause);
        self.wanted.then_some(asked.max(paid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_nanos(1_000_000_000);

    #[test]
    fn many_consumers_cause_one_request_per_interval_until_a_keyframe_arrives() {
        let mut governor = KeyframeGovernor::default();
        let mut requests = 0;
        for ms in 0..2_000 {
            governor.want();
            requests += u32::from(governor.poll(START + Duration::from_millis(ms)));
        }
        assert_eq!(requests, 4);
        governor.on_keyframe(START, 7);
        assert!(!governor.poll(START + Duration::from_secs(60)));
        assert_eq!(governor.next_timeout(), None);
    }

    #[test]
    fn the_next_keyframe_is_requested_when_the_share_of_the_last_is_low_enough() {
        let mut governor = KeyframeGovernor::default();
        governor.on_keyframe(START, 7);
        // 50 kB at 1 Mbit/s; a fifth may be keyframes.
        for _ in 0..50 {
            governor.on_packet(7, 1_000, || 1_000_000);
        }
        governor.on_packet(8, 1_000_000, || 1);
        governor.want();
        assert_eq!(governor.next_timeout(), Some(START + Duration::from_secs(2)));
        // A huge keyframe on a slow link does not block requests forever.
        governor.on_packet(7, 10_000_000, || 1_000);
        assert_eq!(governor.next_timeout(), Some(START + KEYFRAME_PAUSE_MAX));
    }
}
