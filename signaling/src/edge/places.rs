//! How many of something there may be, of one address and of all.

use crate::rate::site;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts what is taken.
#[derive(Debug)]
pub struct Places {
    all: usize,
    per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Never more entries than `all`.
    by_site: HashMap<IpAddr, usize>,
}

/// Which bound was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// That of all.
    #[error("too many connections")]
    All,
    /// That of one address.
    #[error("too many connections from this address")]
    Address,
}

/// One that is taken, until it is dropped.
#[derive(Debug)]
pub struct Place {
    of: Arc<Places>,
    site: Option<IpAddr>,
}

impl Places {
    /// So many of all, and so many of one IPv4 address or IPv6 /64.
    pub fn new(all: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { all, per_address, taken: Mutex::default() })
    }

    /// Takes a place for an address; without one, it counts among all alone.
    pub fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Place, Full> {
        let site = address.map(site);
        let mut taken = self.taken();
        if taken.all >= self.all {
            return Err(Full::All);
        }
        if let Some(site) = site {
            let of_site = taken.by_site.get(&site).copied().unwrap_or(0);
            if of_site >= self.per_address {
                return Err(Full::Address);
            }
            taken.by_site.insert(site, of_site + 1);
        }
        taken.all += 1;
        Ok(Place { of: self.clone(), site })
    }

    /// Exchanges a place for one that counts for an address.
    pub fn take_instead(self: &Arc<Self>, place: Place, address: IpAddr) -> Result<Place, Full> {
        drop(place);
        self.take(Some(address))
    }

    /// How many are taken.
    pub fn count(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        taken.all -= 1;
        if let Some(site) = self.site
            && let Some(of_site) = taken.by_site.get_mut(&site)
        {
            *of_site -= 1;
            if *of_site == 0 {
                taken.by_site.remove(&site);
            }
        }
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
        let places = Places::new(4, 2);
        let (first, _second) = (places.take(ip("192.0.2.1")), places.take(ip("192.0.2.1")));
        assert_eq!(places.take(ip("192.0.2.1")).err(), Some(Full::Address));
        let _other = places.take(ip("192.0.2.2")).expect("another address");
        drop(first);
        let _third = places.take(ip("192.0.2.1")).expect("one is free again");
        let _proxy = places.take(None).expect("counts among all");
        assert_eq!(places.take(None).err(), Some(Full::All));
        assert_eq!(places.take(ip("192.0.2.3")).err(), Some(Full::All));
        assert_eq!(places.count(), 4);
    }

    #[test]
    fn what_is_free_leaves_nothing_behind() {
        let places = Places::new(10, 10);
        let proxied = places.take(None).expect("a place");
        let counted =
            places.take_instead(proxied, "2001:db8::1".parse().expect("an address")).expect("a place");
        assert_eq!((places.count(), places.taken().by_site.len()), (1, 1));
        drop(counted);
        assert_eq!((places.count(), places.taken().by_site.len()), (0, 0));
    }
}
