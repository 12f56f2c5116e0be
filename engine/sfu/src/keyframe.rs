//! The keyframe governor of one producer: however many consumers ask, the publisher is asked at most once per
//! interval, and again and again until a keyframe arrives.

use crate::limits::KEYFRAME_REQUEST_INTERVAL;
use machine::Instant;

/// Aggregates keyframe requests. RFC 4585 §6.3.1.1: a PLI may be lost, or go unanswered under congestion, so
/// one request is not enough.
#[derive(Debug, Default)]
pub struct KeyframeGovernor {
    wanted: bool,
    last_request: Option<Instant>,
}

impl KeyframeGovernor {
    /// Somebody needs a keyframe.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// A keyframe began to arrive: whoever asked until now is served.
    pub fn on_keyframe(&mut self) {
        self.wanted = false;
    }

    /// Nobody is left to want one.
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
        self.wanted.then(|| self.last_request.map_or(Instant::EPOCH, |last| last + KEYFRAME_REQUEST_INTERVAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn many_wishes_make_one_request_an_interval_until_a_keyframe_comes() {
        let mut governor = KeyframeGovernor::default();
        let mut requests = 0;
        let start = Instant::from_nanos(1_000_000_000);
        for ms in 0..2_000 {
            governor.want();
            requests += u32::from(governor.poll(start + Duration::from_millis(ms)));
        }
        assert_eq!(requests, 4);
        governor.on_keyframe();
        assert!(!governor.poll(start + Duration::from_secs(60)));
        assert_eq!(governor.next_timeout(), None);
    }
}
