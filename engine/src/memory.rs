//! Keeps what is resident of the engine near what it uses: after a large meeting its memory goes back to the system.

use runtime::memory::{self, Usage};
use std::time::{Duration, Instant};

/// Between two looks. Each takes the allocator's locks for some microseconds.
const INTERVAL: Duration = Duration::from_secs(10);

/// The same while looks find more than there should be, and giving it back did not help: what is left lies between blocks in use, page by page.
const INTERVAL_MAX: Duration = Duration::from_secs(300);

/// Resident memory beside twice the heap that is no reason to do anything: code, stacks, rings, and what the next peers will use.
const SPARE_BYTES: u64 = 8 << 20;

/// Looks from time to time.
#[derive(Debug)]
pub struct Keeper {
    next: Instant,
    interval: Duration,
}

impl Keeper {
    /// The first look is in a while.
    pub fn new(now: Instant) -> Self {
        Self { next: now + INTERVAL, interval: INTERVAL }
    }

    /// How long until the next look.
    pub fn timeout(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// Looks if it is time, and gives back what is too much.
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
                    "gave memory back"
                );
                next_interval(self.interval, after)
            }
            _ => INTERVAL,
        };
        self.next = now + self.interval;
    }
}

/// Logs what is used now, because an operator asks.
pub fn log_usage() {
    match memory::usage() {
        Some(Usage { heap, resident }) => tracing::info!(heap, resident, "memory in use, bytes"),
        None => tracing::warn!("memory in use: the C library of this system does not tell"),
    }
}

fn is_too_much(Usage { heap, resident }: Usage) -> bool {
    resident > 2 * heap + SPARE_BYTES
}

/// How long to wait after a release that left this.
fn next_interval(interval: Duration, after: Usage) -> Duration {
    if is_too_much(after) { (2 * interval).min(INTERVAL_MAX) } else { INTERVAL }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_heap_and_a_little_more_is_not_too_much() {
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
