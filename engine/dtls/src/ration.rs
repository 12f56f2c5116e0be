//! A rate limit of costly work in a handshake before its peer has authenticated.

use crate::limits::{
    FOREIGN_SIGNATURE_BURST, FOREIGN_SIGNATURE_INTERVAL, HELLO_BURST, HELLO_INTERVAL, SIGNATURE_BURST,
    SIGNATURE_INTERVAL,
};
use machine::Instant;
use std::time::Duration;

/// A number of portions, with a new one per interval.
#[derive(Debug)]
pub(crate) struct Ration {
    left: u32,
    burst: u32,
    interval: Duration,
    filled_at: Option<Instant>,
}

impl Ration {
    pub(crate) fn of_hellos() -> Self {
        Self { left: HELLO_BURST, burst: HELLO_BURST, interval: HELLO_INTERVAL, filled_at: None }
    }

    pub(crate) fn of_signatures() -> Self {
        Self { left: SIGNATURE_BURST, burst: SIGNATURE_BURST, interval: SIGNATURE_INTERVAL, filled_at: None }
    }

    pub(crate) fn of_foreign_signatures() -> Self {
        let (burst, interval) = (FOREIGN_SIGNATURE_BURST, FOREIGN_SIGNATURE_INTERVAL);
        Self { left: burst, burst, interval, filled_at: None }
    }

    #[cfg(test)]
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// Takes a portion, if one is left.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let filled_at = *self.filled_at.get_or_insert(now);
        let earned = now.saturating_since(filled_at).as_nanos() / self.interval.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(self.burst);
            self.filled_at = Some(filled_at + self.interval.saturating_mul(earned));
        }
        let is_left = self.left > 0;
        self.left -= u32::from(is_left);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_are_refilled_with_time_up_to_the_burst() {
        let mut ration = Ration::of_hellos();
        let mut now = Instant::EPOCH;
        for _ in 0..HELLO_BURST {
            assert!(ration.take(now));
        }
        assert!(!ration.take(now));
        now += HELLO_INTERVAL;
        assert!(ration.take(now) && !ration.take(now));
        now += HELLO_INTERVAL.saturating_mul(100);
        for _ in 0..HELLO_BURST {
            assert!(ration.take(now));
        }
        assert!(!ration.take(now));
    }
}
