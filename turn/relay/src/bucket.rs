//! A rate with a burst: a token bucket in one number (the generic cell rate algorithm).

use machine::Instant;
use std::time::Duration;

/// A bucket of tokens, as the time at which it will be full again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket(pub Instant);

impl Bucket {
    /// Takes the tokens that are refilled in the time `cost`, if the bucket, which is filled in the time
    /// `depth`, has them.
    pub fn take(&mut self, now: Instant, cost: Duration, depth: Duration) -> bool {
        let full_at = self.0.max(now) + cost;
        let may = full_at.saturating_since(now) <= depth;
        if may {
            self.0 = full_at;
        }
        may
    }

    /// Takes this many bytes of a rate in bits a second, with a burst of one second. A rate of zero is no
    /// bound.
    pub fn take_bytes(&mut self, now: Instant, bytes: usize, rate_bps: u64) -> bool {
        if rate_bps == 0 {
            return true;
        }
        self.take(now, cost(bytes, rate_bps), DEPTH)
    }

    /// Takes this many bytes that were sent already; returns when the rate allows more.
    pub fn spend_bytes(&mut self, now: Instant, bytes: usize, rate_bps: u64) -> Instant {
        if rate_bps == 0 {
            return now;
        }
        self.0 = self.0.max(now) + cost(bytes, rate_bps);
        now.max(self.0 - DEPTH)
    }
}

/// The burst of a rate in bits a second: one second.
const DEPTH: Duration = Duration::from_secs(1);

/// The time in which this many bytes are refilled.
fn cost(bytes: usize, rate_bps: u64) -> Duration {
    Duration::from_nanos(bytes as u64 * 8 * 1_000_000_000 / rate_bps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_in_bits() {
        for step in [Duration::from_micros(7), Duration::from_micros(900), Duration::from_millis(4)] {
            let (mut bucket, mut passed) = (Bucket::default(), 0_u64);
            let mut now = Instant::from_nanos(5_000_000_000);
            let end = now + Duration::from_secs(10);
            while now < end {
                passed += if bucket.take_bytes(now, 1_000, 1_000_000) { 8_000 } else { 0 };
                now += step;
            }
            // One second's burst, and then ten seconds of the rate.
            assert!(
                (10_900_000..=11_010_000).contains(&passed),
                "{passed} bits in 10 s by steps of {step:?}"
            );
        }
    }

    #[test]
    fn a_sender_that_waits_as_returned_keeps_the_rate() {
        let (mut bucket, mut passed) = (Bucket::default(), 0_u64);
        let mut now = Instant::from_nanos(5_000_000_000);
        let end = now + Duration::from_secs(10);
        while now < end {
            now = bucket.spend_bytes(now, 16_384, 1_000_000);
            passed += 8 * 16_384;
        }
        assert!((10_900_000..=11_300_000).contains(&passed), "{passed} bits in 10 s");
    }

    #[test]
    fn a_rate_of_zero_is_no_bound() {
        let mut bucket = Bucket::default();
        assert!((0..1_000).all(|_| bucket.take_bytes(Instant::EPOCH, 65_000, 0)));
    }
}
