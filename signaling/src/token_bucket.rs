//! Token buckets. The time is an argument.

use crate::limits;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Admits `per_second` events on average, and `burst` at once.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(per_second: f64, burst: f64, now: Instant) -> Self {
        Self { per_second, burst, tokens: burst, filled: now }
    }

    /// Takes one token of a bucket that is made, full, when it is first needed.
    pub fn take_of(
        bucket: &mut Option<Self>,
        per_second: f64,
        burst: f64,
        now: Instant,
    ) -> Result<(), Duration> {
        bucket.get_or_insert_with(|| Self::new(per_second, burst, now)).take(now)
    }

    /// Whether all tokens are there.
    fn is_full(&self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens + elapsed * self.per_second >= self.burst
    }

    /// Takes one token, or returns the time until there is one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        self.take_some(1.0, now)
    }

    /// Takes `count` tokens, or takes none and returns the time until there are enough. `count` is at most the burst.
    pub fn take_some(&mut self, count: f64, now: Instant) -> Result<(), Duration> {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.burst);
        if self.tokens < count {
            return Err(Duration::from_secs_f64((count - self.tokens) / self.per_second));
        }
        self.tokens -= count;
        Ok(())
    }
}

/// One bucket per key; by default a key is the address of a client.
#[derive(Debug)]
pub struct TokenBuckets<K = IpAddr> {
    per_second: f64,
    burst: f64,
    by_key: HashMap<K, TokenBucket>,
}

impl TokenBuckets {
    /// Takes one token of this address, or returns the time until there is one.
    pub fn take(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        self.take_of(site(address), now)
    }
}

impl<K: Eq + Hash> TokenBuckets<K> {
    /// A full bucket for every key.
    pub fn new(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst, by_key: HashMap::new() }
    }

    /// Takes one token of this key, or returns the time until there is one.
    pub fn take_of(&mut self, key: K, now: Instant) -> Result<(), Duration> {
        if self.by_key.len() >= limits::BUCKETS_MAX && !self.by_key.contains_key(&key) {
            // A full bucket needs no entry. While none is full, other keys wait as long as an empty bucket
            // takes to fill.
            self.by_key.retain(|_, bucket| !bucket.is_full(now));
            if self.by_key.len() >= limits::BUCKETS_MAX {
                return Err(Duration::from_secs_f64(self.burst / self.per_second));
            }
        }
        let new = || TokenBucket::new(self.per_second, self.burst, now);
        self.by_key.entry(key).or_insert_with(new).take(now)
    }
}

/// The addresses that share a bucket: an IPv4 address, or the /64 of an IPv6 address, in which one host can
/// use every address (RFC 4291 §2.5.4).
pub fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ipv4_address_and_each_ipv6_64_has_its_own_bucket() {
        let now = Instant::now();
        let mut buckets = TokenBuckets::new(1.0, 1.0);
        let mut take = |address: &str| buckets.take(address.parse().expect("an address"), now).is_ok();
        assert!(take("192.0.2.1") && !take("192.0.2.1") && !take("::ffff:192.0.2.1"));
        assert!(take("192.0.2.2"));
        assert!(take("2001:db8::1") && !take("2001:db8::ffff:1") && take("2001:db8:0:1::1"));
    }

    #[test]
    fn table_is_bounded_and_full_buckets_are_removed() {
        let now = Instant::now();
        let mut buckets = TokenBuckets::new(1.0, 1.0);
        let address = |number: usize| IpAddr::from((number as u32).to_be_bytes());
        for number in 0..limits::BUCKETS_MAX {
            buckets.take(address(number), now).expect("a full bucket");
        }
        let another = address(limits::BUCKETS_MAX);
        assert_eq!(buckets.take(another, now), Err(Duration::from_secs(1)));
        buckets.take(another, now + Duration::from_secs(1)).expect("the others are idle");
        assert_eq!(buckets.by_key.len(), 1);
    }

    #[test]
    fn burst_is_admitted_and_then_the_rate_applies() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10.0, 3.0, start);
        for _ in 0..3 {
            bucket.take(start).expect("within the burst");
        }
        let pause = bucket.take(start).expect_err("the burst is spent");
        assert_eq!(pause, Duration::from_millis(100));
        bucket.take(start + pause).expect("after the returned pause");
        bucket.take(start + pause).expect_err("one pause, one token");
    }

    #[test]
    fn several_tokens_are_taken_together_or_not_at_all() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10.0, 8.0, start);
        bucket.take_some(5.0, start).expect("within the burst");
        assert_eq!(bucket.take_some(5.0, start), Err(Duration::from_millis(200)));
        bucket.take_some(3.0, start).expect("the refused ones were not taken");
    }

    #[test]
    fn no_tokens_without_progress_of_time() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut bucket = TokenBucket::new(10.0, 1.0, start);
        bucket.take(start).expect("full");
        bucket.take(start - Duration::from_secs(5)).expect_err("time went backwards");
        bucket.take(start).expect_err("no time has passed");
    }
}
