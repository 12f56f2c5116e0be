//! The system's wall clock, which an operator or NTP may change while the server runs.

use machine::Instant;
use relay::WallClock;
use std::time::{Duration, SystemTime};

/// Read at each call.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl WallClock for SystemClock {
    fn since_1970(&self, _now: Instant) -> Duration {
        // A clock before 1970 is not set; then no time-limited credential has expired.
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_seconds_since_1970() {
        let since_1970 = |now| SystemClock.since_1970(now).as_secs();
        let later = Instant::EPOCH + Duration::from_secs(1_000_000_000);
        assert!(since_1970(Instant::EPOCH) > 1_700_000_000);
        assert!(since_1970(later) - since_1970(Instant::EPOCH) < 1_000_000);
    }
}
