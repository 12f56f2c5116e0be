//! How many answers a stranger gets: before somebody has authenticated, its address may be forged, and each answer then goes to
//! somebody else.
//!
//! One bucket of tokens for each cell of a fixed table, which a source finds by a keyed hash: nothing grows, whatever comes.

use crate::bucket::Bucket;
use crate::limits::THROTTLE_CELLS;
use crate::table::Keyed;
use machine::{Instant, Rng};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

/// Counts answers by source.
#[derive(Debug)]
pub(crate) struct Throttle {
    keyed: Keyed,
    cells: Box<[Bucket]>,
    /// What one answer takes.
    cost: Duration,
}

/// What comes back in so long may be taken at once.
const DEPTH: Duration = Duration::from_secs(2);

impl Throttle {
    /// So many answers a second to one source, and twice as many at once.
    pub(crate) fn new(answers_per_second: u32, rng: &mut Rng) -> Self {
        let cost = Duration::from_secs(1) / answers_per_second.max(1);
        let cells = vec![Bucket::default(); THROTTLE_CELLS].into_boxed_slice();
        Self { keyed: Keyed::new(rng), cells, cost }
    }

    /// Whether this source may be answered once more.
    pub(crate) fn take(&mut self, now: Instant, source: IpAddr) -> bool {
        let cell = self.keyed.hash_one(one_source(source)) as usize % THROTTLE_CELLS;
        self.cells[cell].take(now, self.cost, DEPTH)
    }
}

/// What counts as one source: an IPv4 address, or the 64 bits of an IPv6 address that its provider gave it.
pub(crate) fn one_source(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_gets_its_rate_and_a_burst_and_others_theirs() {
        let mut throttle = Throttle::new(10, &mut Rng::from_number(1));
        let (one, other): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().expect("an address"), "2001:db8::1".parse().expect("an address"));
        let mut answered = 0;
        for millis in 0..10_000 {
            let now = Instant::EPOCH + Duration::from_millis(millis);
            answered += u32::from(throttle.take(now, one));
        }
        assert!((110..=121).contains(&answered), "{answered} answers in 10 s");
        let now = Instant::EPOCH + Duration::from_secs(10);
        assert!(throttle.take(now, other), "another source has its own");
        let neighbour: IpAddr = "2001:db8::2".parse().expect("an address");
        assert!((0..19).all(|_| throttle.take(now, neighbour)));
        assert!(!throttle.take(now, other), "but not another address of the same network");
    }
}
