//! How much one user, one address and all together may have.

use crate::table::{Keyed, Table};
use crate::throttle::one_source;
use machine::Rng;
use std::net::IpAddr;

/// Bounds, each with its unit in its name. Zero is no bound for rates; a bound of counts is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Allocations of one user. Default 24: a browser with two transports makes one for each interface and URL.
    pub allocations_per_user: u32,
    /// Relay ports of one user, reserved ones too. Default 48: no user empties the pool.
    pub ports_per_user: u32,
    /// Connections with peers over TCP of one user. Default 64: a browser does not want any; whoever does, wants several.
    pub connections_per_user: u32,
    /// Allocations from one IPv4 address or IPv6 /64. Default 512: an office behind one NAT.
    pub allocations_per_address: u32,
    /// Allocations of this worker. Default 8192.
    pub allocations: u32,
    /// Bits of payload a second of one allocation in each direction. Default 0: no bound.
    pub bits_per_second_per_allocation: u64,
    /// Bits of payload a second of this worker in both directions together. Default 0: no bound.
    pub bits_per_second: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            allocations_per_user: 24,
            ports_per_user: 48,
            connections_per_user: 64,
            allocations_per_address: 512,
            allocations: crate::limits::ALLOCATIONS_MAX as u32,
            bits_per_second_per_allocation: 0,
            bits_per_second: 0,
        }
    }
}

/// Who has how much. Only those who have something are in it.
#[derive(Debug)]
pub(crate) struct Ledger {
    users: Table<Box<[u8]>, Held>,
    addresses: Table<IpAddr, u32>,
    total: Held,
}

/// What somebody holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    allocations: u32,
    ports: u32,
    connections: u32,
}

impl Ledger {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let (users, addresses) = (Keyed::new(rng), Keyed::new(rng));
        Self {
            users: Table::with_hasher(users),
            addresses: Table::with_hasher(addresses),
            total: Held::default(),
        }
    }

    /// Enters an allocation with so many ports, if nobody's bound is reached by it.
    pub(crate) fn enter(&mut self, quotas: &Quotas, user: &[u8], address: IpAddr, ports: u32) -> bool {
        let held = self.users.get(user).copied().unwrap_or_default();
        let of_address = self.addresses.get(&one_source(address)).copied().unwrap_or_default();
        if held.allocations >= quotas.allocations_per_user
            || held.ports + ports > quotas.ports_per_user
            || of_address >= quotas.allocations_per_address
            || self.total.allocations >= quotas.allocations
        {
            return false;
        }
        let held = Held { allocations: held.allocations + 1, ports: held.ports + ports, ..held };
        self.users.insert(user.into(), held);
        self.addresses.insert(one_source(address), of_address + 1);
        self.total.allocations += 1;
        self.total.ports += ports;
        true
    }

    /// An allocation is no more. Its ports are given back one by one.
    pub(crate) fn leave(&mut self, user: &[u8], address: IpAddr) {
        self.total.allocations -= 1;
        self.change(user, |held| held.allocations -= 1);
        if let Some(count) = self.addresses.get_mut(&one_source(address)) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&one_source(address));
            }
        }
    }

    /// So many of a user's ports are closed.
    pub(crate) fn give_back(&mut self, user: &[u8], ports: u32) {
        self.total.ports -= ports;
        self.change(user, |held| held.ports -= ports);
    }

    /// Enters a connection with a peer, if the user may have another. A user without an allocation has none.
    pub(crate) fn enter_stream(&mut self, quotas: &Quotas, user: &[u8]) -> bool {
        let held = self.users.get_mut(user).filter(|held| held.connections < quotas.connections_per_user);
        let may = held.map(|held| held.connections += 1).is_some();
        self.total.connections += u32::from(may);
        may
    }

    /// A connection with a peer is no more.
    pub(crate) fn leave_stream(&mut self, user: &[u8]) {
        self.total.connections -= 1;
        self.change(user, |held| held.connections -= 1);
    }

    fn change(&mut self, user: &[u8], change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.users.get_mut(user) {
            change(held);
            if *held == Held::default() {
                self.users.remove(user);
            }
        }
    }

    pub(crate) fn allocations(&self) -> usize {
        self.total.allocations as usize
    }

    pub(crate) fn connections(&self) -> usize {
        self.total.connections as usize
    }

    pub(crate) fn ports(&self) -> usize {
        self.total.ports as usize
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
            allocations_per_address: 3,
            allocations: 4,
            ..Quotas::default()
        };
        let mut ledger = Ledger::new(&mut Rng::from_number(1));
        let (near, far): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        assert!(ledger.enter(&quotas, b"a", near, 2));
        assert!(!ledger.enter(&quotas, b"a", near, 2), "four ports");
        assert!(ledger.enter(&quotas, b"a", near, 1));
        assert!(!ledger.enter(&quotas, b"a", near, 0), "three allocations");
        assert!(ledger.enter(&quotas, b"b", near, 1), "another user is not concerned");
        assert!(!ledger.enter(&quotas, b"b", near, 1), "a fourth of one address");
        assert!(ledger.enter(&quotas, b"b", far, 1));
        assert!(!ledger.enter(&quotas, b"c", far, 1), "a fifth in all");
        for (user, address, ports) in [(b"a", near, 2), (b"a", near, 1), (b"b", near, 1), (b"b", far, 1)] {
            ledger.leave(user, address);
            ledger.give_back(user, ports);
        }
        assert_eq!((ledger.allocations(), ledger.ports()), (0, 0));
        assert!(ledger.users.is_empty() && ledger.addresses.is_empty());
    }
}
