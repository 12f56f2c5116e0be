//! How much one user, one address and all together may have.

use crate::bucket::Bucket;
use crate::table::{Keyed, Table};
use crate::throttle::one_source;
use machine::{Instant, Rng};
use std::fmt::Debug;
use std::net::IpAddr;

/// Bounds, each with its unit in its name, over all workers of a server. Zero is no bound for rates; a bound of counts is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Allocations of one user. Default 24: a browser with two transports makes one for each interface and URL.
    pub allocations_per_user: u32,
    /// Relay ports of one user, reserved ones too. Default 48: no user empties the pool.
    pub ports_per_user: u32,
    /// Connections with peers over TCP of one user. Default 64: browsers use none; other clients use several.
    pub connections_per_user: u32,
    /// Allocations from one IPv4 address or IPv6 /64. Default 2048: a school behind one NAT, 400 browsers with two transports of two TURN
    /// URLs each.
    pub allocations_per_address: u32,
    /// Allocations of the server. Default 8192, which is the bound of one worker.
    pub allocations: u32,
    /// Bits of payload a second of one allocation in each direction. Default 0: no bound.
    pub bits_per_second_per_allocation: u64,
    /// Bits of payload a second of the server in both directions together. Default 0: no bound.
    pub bits_per_second: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            allocations_per_user: 24,
            ports_per_user: 48,
            connections_per_user: 64,
            allocations_per_address: 2_048,
            allocations: crate::limits::ALLOCATIONS_MAX as u32,
            bits_per_second_per_allocation: 0,
            bits_per_second: 0,
        }
    }
}

/// Where it is written down who has how much, for all workers of a server. The relay is handed one: alone it has its own, and of a
/// server with several workers each is handed the same.
pub trait Ledger: Debug + Send {
    /// Has the books opened: when something is made or ends, never for a packet.
    fn open(&mut self, act: &mut dyn FnMut(&mut Books));

    /// Has the bucket changed that all payload is paid from. Per packet, but only where that has a bound; `change` may be called several
    /// times, of which the last counts.
    fn pay(&mut self, change: &mut dyn FnMut(&mut Bucket));
}

/// The ledger of a relay alone.
#[derive(Debug)]
struct Alone {
    books: Books,
    traffic: Bucket,
}

impl Ledger for Alone {
    fn open(&mut self, act: &mut dyn FnMut(&mut Books)) {
        act(&mut self.books);
    }

    fn pay(&mut self, change: &mut dyn FnMut(&mut Bucket)) {
        change(&mut self.traffic);
    }
}

/// Who has how much. Only those who have something are in it.
#[derive(Debug)]
pub struct Books {
    users: Table<Box<[u8]>, Held>,
    addresses: Table<IpAddr, u32>,
    allocations: u32,
}

/// What a user holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    allocations: u32,
    ports: u32,
    connections: u32,
}

impl Books {
    /// Empty ones. Their hashes are keyed, so that no client can make entries of others collide.
    pub fn new(rng: &mut Rng) -> Self {
        let (users, addresses) = (Keyed::new(rng), Keyed::new(rng));
        Self { users: Table::with_hasher(users), addresses: Table::with_hasher(addresses), allocations: 0 }
    }

    fn enter(&mut self, quotas: &Quotas, user: &[u8], address: IpAddr, ports: u32) -> bool {
        let held = self.users.get(user).copied().unwrap_or_default();
        let of_address = self.addresses.get(&one_source(address)).copied().unwrap_or_default();
        if held.allocations >= quotas.allocations_per_user
            || held.ports + ports > quotas.ports_per_user
            || of_address >= quotas.allocations_per_address
            || self.allocations >= quotas.allocations
        {
            return false;
        }
        let held = Held { allocations: held.allocations + 1, ports: held.ports + ports, ..held };
        self.users.insert(user.into(), held);
        self.addresses.insert(one_source(address), of_address + 1);
        self.allocations += 1;
        true
    }

    fn leave(&mut self, user: &[u8], address: IpAddr) {
        self.allocations -= 1;
        self.change(user, |held| held.allocations -= 1);
        if let Some(count) = self.addresses.get_mut(&one_source(address)) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&one_source(address));
            }
        }
    }

    /// A user without an allocation has no connections either.
    fn enter_stream(&mut self, quotas: &Quotas, user: &[u8]) -> bool {
        let held = self.users.get_mut(user).filter(|held| held.connections < quotas.connections_per_user);
        held.map(|held| held.connections += 1).is_some()
    }

    fn change(&mut self, user: &[u8], change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.users.get_mut(user) {
            change(held);
            if *held == Held::default() {
                self.users.remove(user);
            }
        }
    }
}

/// A relay's part of the ledger.
#[derive(Debug)]
pub(crate) struct Account {
    ledger: Box<dyn Ledger>,
    own: Held,
}

impl Account {
    /// Of a relay alone.
    pub(crate) fn alone(rng: &mut Rng) -> Self {
        Self::of(Box::new(Alone { books: Books::new(rng), traffic: Bucket::default() }))
    }

    pub(crate) fn of(ledger: Box<dyn Ledger>) -> Self {
        Self { ledger, own: Held::default() }
    }

    /// Enters an allocation with so many ports, if no bound is exceeded by it.
    pub(crate) fn enter(&mut self, quotas: &Quotas, user: &[u8], address: IpAddr, ports: u32) -> bool {
        let mut may = false;
        self.ledger.open(&mut |books| may = books.enter(quotas, user, address, ports));
        if may {
            self.own.allocations += 1;
            self.own.ports += ports;
        }
        may
    }

    /// An allocation has ended. Its ports are given back one by one.
    pub(crate) fn leave(&mut self, user: &[u8], address: IpAddr) {
        self.own.allocations -= 1;
        self.ledger.open(&mut |books| books.leave(user, address));
    }

    /// So many of a user's ports are closed.
    pub(crate) fn give_back(&mut self, user: &[u8], ports: u32) {
        self.own.ports -= ports;
        self.ledger.open(&mut |books| books.change(user, |held| held.ports -= ports));
    }

    /// Enters a connection with a peer, if the user may have another.
    pub(crate) fn enter_stream(&mut self, quotas: &Quotas, user: &[u8]) -> bool {
        let mut may = false;
        self.ledger.open(&mut |books| may = books.enter_stream(quotas, user));
        self.own.connections += u32::from(may);
        may
    }

    /// A connection with a peer has ended.
    pub(crate) fn leave_stream(&mut self, user: &[u8]) {
        self.own.connections -= 1;
        self.ledger.open(&mut |books| books.change(user, |held| held.connections -= 1));
    }

    /// As [`Bucket::take_bytes`], from what all payload of the server is paid from.
    pub(crate) fn take_bytes(&mut self, now: Instant, bytes: usize, rate_bps: u64) -> bool {
        let mut may = true;
        if rate_bps != 0 {
            self.ledger.pay(&mut |bucket| may = bucket.take_bytes(now, bytes, rate_bps));
        }
        may
    }

    /// As [`Bucket::spend_bytes`], from the same.
    pub(crate) fn spend_bytes(&mut self, now: Instant, bytes: usize, rate_bps: u64) -> Instant {
        let mut more_at = now;
        if rate_bps != 0 {
            self.ledger.pay(&mut |bucket| more_at = bucket.spend_bytes(now, bytes, rate_bps));
        }
        more_at
    }

    /// Allocations of this relay.
    pub(crate) fn allocations(&self) -> usize {
        self.own.allocations as usize
    }

    /// Connections with peers of this relay.
    pub(crate) fn connections(&self) -> usize {
        self.own.connections as usize
    }

    /// Ports of this relay, reserved ones too.
    pub(crate) fn ports(&self) -> usize {
        self.own.ports as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_addresses_have_bounds_of_their_own() {
        let quotas = Quotas {
            allocations_per_user: 2,
            ports_per_user: 3,
            connections_per_user: 1,
            allocations_per_address: 3,
            allocations: 4,
            ..Quotas::default()
        };
        let mut books = Books::new(&mut Rng::from_number(1));
        let (near, far): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        assert!(!books.enter_stream(&quotas, b"a"), "without an allocation");
        assert!(books.enter(&quotas, b"a", near, 2));
        assert!(!books.enter(&quotas, b"a", near, 2), "four ports");
        assert!(books.enter(&quotas, b"a", near, 1));
        assert!(!books.enter(&quotas, b"a", near, 0), "three allocations");
        assert!(books.enter(&quotas, b"b", near, 1), "another user is not concerned");
        assert!(!books.enter(&quotas, b"b", near, 1), "a fourth of one address");
        assert!(books.enter(&quotas, b"b", far, 1));
        assert!(!books.enter(&quotas, b"c", far, 1), "a fifth in all");
        assert!(books.enter_stream(&quotas, b"a") && !books.enter_stream(&quotas, b"a"), "one connection");
        books.change(b"a", |held| held.connections -= 1);
        for (user, address, ports) in [(b"a", near, 2), (b"a", near, 1), (b"b", near, 1), (b"b", far, 1)] {
            books.leave(user, address);
            books.change(user, |held| held.ports -= ports);
        }
        assert!(books.users.is_empty() && books.addresses.is_empty() && books.allocations == 0);
    }
}
