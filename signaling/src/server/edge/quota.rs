//! How many of something there may be, of one address and of all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts what is taken.
#[derive(Debug)]
pub struct Quota {
    all: usize,
    per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// By network and the length of its prefix. Never more than three entries for each of `all`.
    by_network: HashMap<(IpAddr, u8), usize>,
}

/// Which bound was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuotaExceeded {
    /// That of all.
    #[error("too many connections")]
    All,
    /// That of one address.
    #[error("too many connections from this address")]
    Address,
}

/// One that is taken, until it is dropped.
#[derive(Debug)]
pub struct QuotaPermit {
    of: Arc<Quota>,
    address: Option<IpAddr>,
}

impl Quota {
    /// So many of all, and so many of one IPv4 address or IPv6 /64. Providers give one customer a /56 or a /48 too (RFC 6177): those may take
    /// 4 and 8 times as many.
    pub fn new(all: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { all, per_address, taken: Mutex::default() })
    }

    /// Takes a place for an address; without one, it counts among all alone.
    pub fn acquire(self: &Arc<Self>, address: Option<IpAddr>) -> Result<QuotaPermit, QuotaExceeded> {
        let mut taken = self.taken();
        if taken.all >= self.all {
            return Err(QuotaExceeded::All);
        }
        if let Some(address) = address {
            let is_full = |(key, times): ((IpAddr, u8), usize)| {
                taken
                    .by_network
                    .get(&key)
                    .is_some_and(|taken| *taken >= self.per_address.saturating_mul(times))
            };
            if networks(address).any(is_full) {
                return Err(QuotaExceeded::Address);
            }
            networks(address).for_each(|(key, _)| *taken.by_network.entry(key).or_default() += 1);
        }
        taken.all += 1;
        Ok(QuotaPermit { of: self.clone(), address })
    }

    /// Exchanges a place for one that counts for an address.
    pub fn acquire_instead(
        self: &Arc<Self>,
        permit: QuotaPermit,
        address: IpAddr,
    ) -> Result<QuotaPermit, QuotaExceeded> {
        drop(permit);
        self.acquire(Some(address))
    }

    /// How many are taken.
    pub fn count(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for QuotaPermit {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        taken.all -= 1;
        for (key, _) in self.address.into_iter().flat_map(networks) {
            if let Some(of_network) = taken.by_network.get_mut(&key) {
                *of_network -= 1;
                if *of_network == 0 {
                    taken.by_network.remove(&key);
                }
            }
        }
    }
}

/// The networks that an address counts for, each with its prefix length, and how many times the bound of one address it may take.
fn networks(address: IpAddr) -> impl Iterator<Item = ((IpAddr, u8), usize)> {
    let address = address.to_canonical();
    let prefixes: &[(u8, usize)] = match address {
        IpAddr::V4(_) => &[(32, 1)],
        IpAddr::V6(_) => &[(64, 1), (56, 4), (48, 8)],
    };
    prefixes.iter().map(move |(len, times)| ((network(address, *len), *len), *times))
}

/// The first address of the network of this prefix length.
fn network(address: IpAddr, len: u8) -> IpAddr {
    match address {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - len))).into(),
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << (32 - len))).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn an_address_has_its_own_bound_and_a_dropped_place_is_free() {
        let quota = Quota::new(4, 2);
        let (first, _second) = (quota.acquire(ip("192.0.2.1")), quota.acquire(ip("192.0.2.1")));
        assert_eq!(quota.acquire(ip("192.0.2.1")).err(), Some(QuotaExceeded::Address));
        let _other = quota.acquire(ip("192.0.2.2")).expect("another address");
        drop(first);
        let _third = quota.acquire(ip("192.0.2.1")).expect("one is free again");
        let _proxy = quota.acquire(None).expect("counts among all");
        assert_eq!(quota.acquire(None).err(), Some(QuotaExceeded::All));
        assert_eq!(quota.acquire(ip("192.0.2.3")).err(), Some(QuotaExceeded::All));
        assert_eq!(quota.count(), 4);
    }

    #[test]
    fn what_is_free_leaves_nothing_behind() {
        let quota = Quota::new(10, 10);
        let proxied = quota.acquire(None).expect("a place");
        let counted =
            quota.acquire_instead(proxied, "2001:db8::1".parse().expect("an address")).expect("a place");
        assert_eq!((quota.count(), quota.taken().by_network.len()), (1, 3));
        drop(counted);
        assert_eq!((quota.count(), quota.taken().by_network.len()), (0, 0));
    }

    #[test]
    fn one_customers_ipv6_networks_take_a_few_times_the_places_of_one_address() {
        let quota = Quota::new(1_000, 2);
        let of = |network: u16, nth: u16| Some(IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, nth]));
        // Of a /56, four times as many as one /64 may take; of a /48, eight times.
        let held: Vec<_> = (0..0x1000).filter_map(|network| quota.acquire(of(network, 1)).ok()).collect();
        assert_eq!(held.len(), 16);
        let first: Vec<_> = held.iter().filter_map(|place| place.address).take(9).collect();
        assert_eq!((first[7], first[8]), (of(7, 1).expect("an address"), of(0x100, 1).expect("an address")));
        assert_eq!(quota.acquire(of(0xffff, 1)).err(), Some(QuotaExceeded::Address));
        let _another = quota.acquire(ip("2001:db8:1::1")).expect("another customer");
        drop(held);
        assert_eq!((quota.count(), quota.taken().by_network.len()), (1, 3));
    }
}
