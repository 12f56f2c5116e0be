//! Bounds the bytes sent to unauthenticated clients beyond those received: their source address may be
//! forged, and then each response goes to another host.
//!
//! One bucket for each cell of a fixed table, selected by a keyed hash of the source: the table never grows.
//! An answer that is not longer than its request costs nothing: the sender could as well have sent the
//! request to the other address itself.

use crate::bucket::Bucket;
use crate::counters::{Counter, Counters};
use crate::limits::THROTTLE_CELLS;
use crate::table::Keyed;
use machine::{Instant, Path, Rng};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

/// Counts bytes by source.
#[derive(Debug)]
pub(crate) struct Throttle {
    keyed: Keyed,
    cells: Box<[Bucket]>,
}

/// The burst: the bytes that are refilled in this time.
const DEPTH: Duration = Duration::from_secs(2);

impl Throttle {
    /// A throttle whose sources have used no bytes.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let cells = vec![Bucket::default(); THROTTLE_CELLS].into_boxed_slice();
        Self { keyed: Keyed::new(rng), cells }
    }

    /// Whether to send this many more bytes than an unauthenticated client sent. Its source address may be
    /// forged, except on a TCP connection.
    pub(crate) fn may_answer(
        &mut self,
        now: Instant,
        path: Path,
        excess: usize,
        bytes_per_second: u32,
        counters: &mut Counters,
    ) -> bool {
        let may = path.local.is_tcp() || self.take(now, path.remote.ip(), excess, bytes_per_second);
        if !may {
            counters.count(Counter::Throttled);
        }
        may
    }

    /// Whether this many more bytes than received may be sent to this source, at this rate a second.
    fn take(&mut self, now: Instant, source: IpAddr, excess: usize, bytes_per_second: u32) -> bool {
        if excess == 0 {
            return true;
        }
        let cost = Duration::from_nanos(excess as u64 * 1_000_000_000 / u64::from(bytes_per_second.max(1)));
        let cell = self.keyed.hash_one(one_source(source)) as usize % THROTTLE_CELLS;
        self.cells[cell].take(now, cost, DEPTH)
    }
}

/// The unit that counts as one source: an IPv4 address, or the 64 bits of an IPv6 address that its provider
/// assigned.
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
    fn each_source_has_its_own_rate_and_burst() {
        const RATE: u32 = 1_000;
        let mut throttle = Throttle::new(&mut Rng::from_number(1));
        let (one, other): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().expect("an address"), "2001:db8::1".parse().expect("an address"));
        let mut bytes = 0;
        for millis in 0..10_000 {
            let now = Instant::EPOCH + Duration::from_millis(millis);
            bytes += if throttle.take(now, one, 24, RATE) { 24 } else { 0 };
        }
        assert!((11_950..=12_000).contains(&bytes), "{bytes} bytes in 10 s");
        let now = Instant::EPOCH + Duration::from_secs(10);
        assert!((0..1_000).all(|_| throttle.take(now, one, 0, RATE)), "an answer that is not longer is free");
        assert!(throttle.take(now, other, 100, RATE), "another source has its own");
        let neighbour: IpAddr = "2001:db8::2".parse().expect("an address");
        assert!((0..19).all(|_| throttle.take(now, neighbour, 100, RATE)));
        assert!(!throttle.take(now, other, 100, RATE), "but not another address of the same network");
    }
}
