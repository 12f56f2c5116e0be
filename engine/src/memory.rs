//! Keeps the engine's resident memory near its used memory: after a large meeting, memory is returned to the
//! system.

use runtime::memory::{self, Usage};
use std::time::{Duration, Instant};

/// Interval between two checks. Each takes the allocator's locks for some microseconds.
const INTERVAL: Duration = Duration::from_secs(10);

/// The interval while resident memory stays too high although it was released: the rest is in pages with
/// blocks in use.
const INTERVAL_MAX: Duration = Duration::from_secs(300);

/// Resident memory that is allowed beyond twice the heap: code, stacks, rings, and a reserve for new peers.
const SPARE_BYTES: u64 = 8 << 20;

/// Checks the memory at intervals.
#[derive(Debug)]
pub struct Keeper {
    next: Instant,
    interval: Duration,
}

impl Keeper {
    /// The first check is one interval after `now`.
    pub fn new(now: Instant) -> Self {
        Self { next: now + INTERVAL, interval: INTERVAL }
    }

    /// The time until the next check.
    pub fn timeout(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// Checks if the interval has passed, and releases unused memory.
    pub fn look(&mut self, now: Instant) {
        if now < self.next {
            return;
        }
        self.interval = match memory::usage() {
            Some(usage) if is_too_much(usage) => {
                memory::release();
                let after = memory::usage().unwrap_or(usage);
                tracing::debug!(
                    heap = after.heap,
                    before = usage.resident,
                    after = after.resident,
                    "released memory to the system"
                );
                next_interval(self.interval, after)
            }
            _ => INTERVAL,
        };
        self.next = now + self.interval;
    }
}

/// Logs the memory in use, on request of an operator.
pub fn log_usage() {
    match memory::usage() {
        Some(Usage { heap, resident }) => tracing::info!(heap, resident, "memory in use, bytes"),
        None => tracing::warn!("memory in use: not available from the C library of this system"),
    }
}

fn is_too_much(Usage { heap, resident }: Usage) -> bool {
    resident > 2 * heap + SPARE_BYTES
}

/// The next interval after a release with this result.
fn next_interval(interval: Duration, after: Usage) -> Duration {
    if is_too_much(after) { (2 * interval).min(INTERVAL_MAX) } else { INTERVAL }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_heap_and_the_spare_bytes_are_allowed() {
        let usage =
            |heap_mb: u64, resident_mb: u64| Usage { heap: heap_mb << 20, resident: resident_mb << 20 };
        assert!(!is_too_much(usage(0, 8)) && is_too_much(usage(0, 9)));
        assert!(!is_too_much(usage(100, 208)) && is_too_much(usage(100, 209)));
    }

    #[test]
    fn releases_that_do_not_help_become_rare() {
        let stuck = Usage { heap: 0, resident: 1 << 30 };
        let mut interval = INTERVAL;
        for _ in 0..10 {
            let next = next_interval(interval, stuck);
            assert!(next > interval || next == INTERVAL_MAX);
            interval = next;
        }
        assert_eq!(interval, INTERVAL_MAX);
        assert_eq!(next_interval(interval, Usage { heap: 1 << 30, resident: 1 << 30 }), INTERVAL);
    }
}
