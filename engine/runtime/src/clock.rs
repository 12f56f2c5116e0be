//! The only place where clocks are read.

use crate::limits::TIMESTAMP_AGE_MAX;
use machine::Instant;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

const NANOS: i128 = 1_000_000_000;

/// Monotonic time since an epoch, and the wall-clock time of that epoch. `Copy`: all workers of a process
/// share one epoch, so their instants are comparable.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// `CLOCK_MONOTONIC` at the epoch, nanoseconds.
    epoch: i128,
    unix_at_epoch: Duration,
}

impl Clock {
    /// A clock whose epoch is now.
    pub fn start() -> Self {
        let epoch = nanos_of(ClockId::Monotonic);
        let unix = u64::try_from(nanos_of(ClockId::Realtime)).unwrap_or(0);
        Self { epoch, unix_at_epoch: Duration::from_nanos(unix) }
    }

    /// The time since the epoch.
    pub fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(nanos_of(ClockId::Monotonic) - self.epoch).unwrap_or(0))
    }

    /// The wall-clock time (since 1970) at the epoch. NTP timestamps are computed from it, so they advance
    /// evenly even when the wall clock is set.
    pub fn unix_at_epoch(&self) -> Duration {
        self.unix_at_epoch
    }

    /// The current offset of the kernel's receive timestamps. Read it again every turn, because the wall
    /// clock may be set.
    pub fn receive_timestamps(&self) -> ReceiveTimestamps {
        let monotonic = nanos_of(ClockId::Monotonic);
        ReceiveTimestamps { realtime_at_epoch: nanos_of(ClockId::Realtime) - (monotonic - self.epoch) }
    }
}

/// Converts wall-clock receive timestamps to instants; valid for one turn.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveTimestamps {
    realtime_at_epoch: i128,
}

impl ReceiveTimestamps {
    /// The instant of a timestamp in nanoseconds since 1970. Never later than `now`; `now` itself for a
    /// timestamp that is missing or older than [`TIMESTAMP_AGE_MAX`].
    pub fn instant(&self, realtime_nanos: Option<i128>, now: Instant) -> Instant {
        let Some(timestamp) = realtime_nanos else { return now };
        let age = i128::from(now.as_nanos()) - (timestamp - self.realtime_at_epoch);
        match u64::try_from(age) {
            Ok(age) if age <= TIMESTAMP_AGE_MAX.as_nanos() as u64 => now - Duration::from_nanos(age),
            _ => now,
        }
    }
}

fn nanos_of(clock: ClockId) -> i128 {
    let time = clock_gettime(clock);
    i128::from(time.tv_sec) * NANOS + i128::from(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_starts_near_zero_and_does_not_go_back() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(first.as_nanos() < 1_000_000_000);
        assert!(clock.now() >= first);
        assert!(clock.unix_at_epoch() > Duration::from_secs(1_700_000_000));
    }

    #[test]
    fn a_timestamp_is_converted_and_an_impossible_one_becomes_now() {
        let timestamps = ReceiveTimestamps { realtime_at_epoch: 1_000 };
        let now = Instant::from_nanos(5_000_000_000);
        let at = |nanos| timestamps.instant(Some(nanos), now);
        assert_eq!(at(1_000 + 4_999_999_000), Instant::from_nanos(4_999_999_000));
        assert_eq!(at(1_000 + 5_000_000_000), now);
        assert_eq!(at(1_000 + 5_000_000_001), now, "the future: the wall clock was set back");
        assert_eq!(at(1_000 + 4_000_000_000), now - TIMESTAMP_AGE_MAX);
        assert_eq!(at(1_000 + 3_999_999_999), now, "too old: the wall clock was set forward");
        assert_eq!(at(i128::MIN / 2), now);
        assert_eq!(timestamps.instant(None, now), now);
    }
}
