//! A rate, and what may come at once: a token bucket in one number (the generic cell rate algorithm).

use machine::Instant;
use std::time::Duration;

/// When the bucket will be full again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket(Instant);

impl Bucket {
    /// Takes what comes back in the time `cost`, if the bucket, which fills in the time `depth`, has as much.
    pub(crate) fn take(&mut self, now: Instant, cost: Duration, depth: Duration) -> bool {
        let full_at = self.0.max(now) + cost;
        let may = full_at.saturating_since(now) <= depth;
        if may {
            self.0 = full_at;
        }
        may
    }

    /// Takes so many bytes of a rate in bits a second, of which a second's worth may come at once. A rate of zero is no bound.
    pub(crate) fn take_bytes(&mut self, now: Instant, bytes: usize, rate_bps: u64) -> bool {
        if rate_bps == 0 {
            return true;
        }
        let nanos = bytes as u64 * 8 * 1_000_000_000 / rate_bps;
        self.take(now, Duration::from_nanos(nanos), Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_in_bits() {
        for step in [Duration::from_micros(7), Duration::from_micros(900), Duration::from_millis(4)] {
            let (mut bucket, mut passed) = (Bucket::default(), 0_u64);
            let mut now = Instant::from_nanos(5_000_000_000);
            let end = now + Duration::from_secs(10);
            while now < end {
                passed += if bucket.take_bytes(now, 1_000, 1_000_000) { 8_000 } else { 0 };
                now += step;
            }
            // A second's worth at once, and then ten seconds of the rate.
            assert!(
                (10_900_000..=11_010_000).contains(&passed),
                "{passed} bits in 10 s by steps of {step:?}"
            );
        }
    }

    #[test]
    fn zero_is_no_bound() {
        let mut bucket = Bucket::default();
        assert!((0..1_000).all(|_| bucket.take_bytes(Instant::EPOCH, 65_000, 0)));
    }
}
