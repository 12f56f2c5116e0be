//! A token bucket. The time comes in as an argument.

use std::time::{Duration, Instant};

/// Lets `per_second` through in the long run, and `burst` at once.
#[derive(Clone, Debug)]
pub struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(per_second: f64, burst: f64, now: Instant) -> Self {
        Self { per_second, burst, tokens: burst, filled: now }
    }

    /// Takes one token, or says when there will be one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / self.per_second));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 3.0, start);
        for _ in 0..3 {
            bucket.take(start).expect("within the burst");
        }
        let pause = bucket.take(start).expect_err("the burst is spent");
        assert_eq!(pause, Duration::from_millis(100));
        bucket.take(start + pause).expect("after the pause it said");
        bucket.take(start + pause).expect_err("one pause, one token");
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut bucket = Bucket::new(10.0, 1.0, start);
        bucket.take(start).expect("full");
        bucket.take(start - Duration::from_secs(5)).expect_err("time went backwards");
        bucket.take(start).expect_err("no time has passed");
    }
}
