//! The keyframe governor of one encoding: however many consumers ask, the publisher is asked at most once per
//! interval, and again and again until a keyframe arrives; and what keyframes may cost is bounded.

use crate::limits::{KEYFRAME_PAUSE_MAX, KEYFRAME_REQUEST_INTERVAL, KEYFRAME_SHARE_PERCENT};
use machine::Instant;
use std::time::Duration;

/// Aggregates keyframe requests. RFC 4585 §6.3.1.1: a PLI may be lost, or go unanswered under congestion, so
/// one request is not enough.
///
/// A publisher that is asked for a keyframe twice a second spends its whole rate on them, and everybody's picture turns
/// to mud. So the next one is asked for only when the last has been paid: when it is no more than a share of all
/// that could be sent since.
#[derive(Debug, Default)]
pub struct KeyframeGovernor {
    wanted: bool,
    last_request: Option<Instant>,
    last_keyframe: Option<Keyframe>,
}

/// The latest keyframe, as far as it has come.
#[derive(Clone, Copy, Debug)]
struct Keyframe {
    timestamp: u32,
    began_at: Instant,
    bytes: u64,
    /// How long it has to be paid off.
    pause: Duration,
}

impl KeyframeGovernor {
    /// A consumer needs a keyframe.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// A keyframe began to arrive: all requests until now are answered.
    pub fn on_keyframe(&mut self, now: Instant, timestamp: u32) {
        self.wanted = false;
        self.last_keyframe = Some(Keyframe { timestamp, began_at: now, bytes: 0, pause: Duration::ZERO });
    }

    /// Whether packets of this time stamp are those of the latest keyframe.
    pub fn is_of_keyframe(&self, timestamp: u32) -> bool {
        self.last_keyframe.is_some_and(|keyframe| keyframe.timestamp == timestamp)
    }

    /// A packet arrived; `bps` is the rate of its stream, keyframes included.
    pub fn on_packet(&mut self, timestamp: u32, bytes: usize, bps: impl FnOnce() -> u64) {
        let Some(keyframe) = self.last_keyframe.as_mut().filter(|of| of.timestamp == timestamp) else {
            return;
        };
        keyframe.bytes += bytes as u64;
        let payable_bps = (bps() * KEYFRAME_SHARE_PERCENT / 100).max(1);
        keyframe.pause = Duration::from_millis(keyframe.bytes * 8_000 / payable_bps).min(KEYFRAME_PAUSE_MAX);
    }

    /// No consumer is left that needs one.
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

    /// When [`poll`](Self::poll) will next say yes.
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
    fn many_wishes_make_one_request_an_interval_until_a_keyframe_comes() {
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
    fn a_keyframe_is_paid_off_before_the_next_is_asked_for() {
        let mut governor = KeyframeGovernor::default();
        governor.on_keyframe(START, 7);
        // 50 kB at 1 Mbit/s, of which a fifth may be keyframes.
        for _ in 0..50 {
            governor.on_packet(7, 1_000, || 1_000_000);
        }
        governor.on_packet(8, 1_000_000, || 1);
        governor.want();
        assert_eq!(governor.next_timeout(), Some(START + Duration::from_secs(2)));
        // A huge one on a slow link does not block all requests for ever.
        governor.on_packet(7, 10_000_000, || 1_000);
        assert_eq!(governor.next_timeout(), Some(START + KEYFRAME_PAUSE_MAX));
    }
}
