//! What webhooks have done, for metrics.

use crate::client::Failure;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What webhooks have done since the start of the process, and what waits. Only the process that delivers counts
/// what waits, so that the sum over all processes is right.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebhookCounts {
    /// Attempts, by their result.
    pub attempts: Vec<(&'static str, u64)>,
    /// Events that were dropped, by reason; each counts once for each of its targets.
    pub dropped: Vec<(&'static str, u64)>,
    /// Events that wait: each counts once for each target that has not got it.
    pub queued: u64,
    /// Age of the oldest of them, in seconds.
    pub oldest_age_s: f64,
    /// Whether this process delivers.
    pub is_delivering: bool,
}

/// Why an event is not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// The queue in the database was full.
    QueueFull,
    /// It has waited for a day.
    Expired,
    /// The database did not answer, and too many events waited for it.
    StoreAway,
    /// The database refused it, or its body is too long.
    Invalid,
}

impl Dropped {
    const ALL: [(Self, &'static str); 4] = [
        (Self::QueueFull, "queue_full"),
        (Self::Expired, "expired"),
        (Self::StoreAway, "store_away"),
        (Self::Invalid, "invalid"),
    ];
}

/// Reads the counts. A clone reads the same ones.
#[derive(Clone, Debug)]
pub struct WebhookMonitor(Arc<Counters>);

impl WebhookMonitor {
    pub(crate) fn new(counters: Arc<Counters>) -> Self {
        Self(counters)
    }

    /// The counts at this moment.
    pub fn counts(&self) -> WebhookCounts {
        self.0.read()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    attempts: [AtomicU64; Failure::LABELS.len() + 1],
    dropped: [AtomicU64; Dropped::ALL.len()],
    queued: AtomicU64,
    oldest_age_ms: AtomicU64,
    is_delivering: AtomicU64,
}

impl Counters {
    pub(crate) fn count_attempt(&self, result: &Result<(), Failure>) {
        let index = match result {
            Ok(()) => 0,
            Err(failure) => 1 + failure.index(),
        };
        self.attempts[index].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_dropped(&self, reason: Dropped, count: u64) {
        self.dropped[reason as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn set_backlog(&self, queued: u64, oldest_age_ms: u64) {
        self.queued.store(queued, Ordering::Relaxed);
        self.oldest_age_ms.store(oldest_age_ms, Ordering::Relaxed);
    }

    pub(crate) fn set_delivering(&self, is_delivering: bool) {
        self.is_delivering.store(is_delivering.into(), Ordering::Relaxed);
        if !is_delivering {
            self.set_backlog(0, 0);
        }
    }

    pub(crate) fn read(&self) -> WebhookCounts {
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let results = std::iter::once("delivered").chain(Failure::LABELS);
        WebhookCounts {
            attempts: results.zip(self.attempts.iter().map(value)).collect(),
            dropped: Dropped::ALL.iter().zip(&self.dropped).map(|((_, name), n)| (*name, value(n))).collect(),
            queued: value(&self.queued),
            oldest_age_s: value(&self.oldest_age_ms) as f64 / 1_000.0,
            is_delivering: value(&self.is_delivering) == 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_place() {
        for (index, (reason, name)) in Dropped::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            let counters = Counters::default();
            counters.count_dropped(reason, 3);
            let read = counters.read().dropped;
            assert!(
                read.iter().all(|(other, count)| *count == if *other == name { 3 } else { 0 }),
                "{read:?}"
            );
        }
    }
}
