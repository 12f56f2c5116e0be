//! State that the workers of the server share: usage per user, and the rate limit of all payload.

use machine::{Instant, Rng};
use relay::{Accounts, Bucket, Ledger};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A ledger; each worker has a clone.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    accounts: Mutex<Accounts>,
    /// When the bucket of all payload will be full, nanoseconds.
    traffic: AtomicU64,
}

impl Shared {
    /// An empty ledger.
    pub fn new(rng: &mut Rng) -> Self {
        Self(Arc::new(Inner { accounts: Mutex::new(Accounts::new(rng)), traffic: AtomicU64::new(0) }))
    }
}

impl Ledger for Shared {
    fn open(&mut self, act: &mut dyn FnMut(&mut Accounts)) {
        // A worker that panicked ends the server; until then the state is usable.
        act(&mut self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn pay(&mut self, change: &mut dyn FnMut(&mut Bucket)) {
        let traffic = &self.0.traffic;
        let mut before = traffic.load(Ordering::Relaxed);
        loop {
            let mut bucket = Bucket(Instant::from_nanos(before));
            change(&mut bucket);
            // Relaxed is enough: no other data depends on this number. If two workers pay at once, one of
            // them retries.
            let after = bucket.0.as_nanos();
            match traffic.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => before = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// With any number of workers, at most the rate plus the burst of one second passes.
    #[test]
    fn the_rate_of_a_server_is_kept_by_all_its_workers_together() {
        const RATE_BPS: u64 = 1_000_000;
        let shared = Shared::new(&mut Rng::from_number(1));
        let end = Duration::from_secs(10);
        let pay = |mut shared: Shared| {
            let (mut passed, mut time) = (0_u64, Duration::ZERO);
            while time < end {
                let now = Instant::EPOCH + Duration::from_secs(5) + time;
                let mut may = false;
                shared.pay(&mut |bucket| may = bucket.take_bytes(now, 1_000, RATE_BPS));
                passed += if may { 8_000 } else { 0 };
                time += Duration::from_micros(100);
            }
            passed
        };
        let passed: u64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..3)
                .map(|_| {
                    let worker = shared.clone();
                    scope.spawn(move || pay(worker))
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().expect("it pays")).sum()
        });
        assert!(passed <= 11 * RATE_BPS + 8_000, "{passed} bits in 10 s");
        assert!(passed >= RATE_BPS, "a second's worth at once");
    }
}
