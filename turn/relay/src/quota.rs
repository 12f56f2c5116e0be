//! The quotas of one user, one address and the whole server.

use crate::bucket::Bucket;
use crate::table::{Keyed, Table};
use crate::throttle::one_source;
use machine::{Instant, Rng};
use std::fmt::Debug;
use std::net::IpAddr;

/// Quotas, each with its unit in its name, over all workers of a server. For rates, zero means no bound; for
/// counts it means none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Allocations of one user. Default 24: a browser with two transports makes one for each interface and URL.
    pub allocations_per_user: u32,
    /// Relay ports of one user, reserved ones too. Default 48: no user exhausts the pool.
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

/// The accounts of all users, for all workers of a server. A single relay has its own; the workers of a
/// server share one.
pub trait Ledger: Debug + Send {
    /// Gives access to the accounts: when an object is created or ends, never for a packet.
    fn open(&mut self, act: &mut dyn FnMut(&mut Accounts));

    /// Gives access to the bucket that counts all payload. Per packet, but only if the payload is bounded;
    /// `change` may be called several times, of which the last counts.
    fn pay(&mut self, change: &mut dyn FnMut(&mut Bucket));
}

/// The ledger of a single relay.
#[derive(Debug)]
struct OwnLedger {
    accounts: Accounts,
    traffic: Bucket,
}

impl Ledger for OwnLedger {
    fn open(&mut self, act: &mut dyn FnMut(&mut Accounts)) {
        act(&mut self.accounts);
    }

    fn pay(&mut self, change: &mut dyn FnMut(&mut Bucket)) {
        change(&mut self.traffic);
    }
}

/// The accounts of users and addresses. Only users and addresses with an allocation have one.
#[derive(Debug)]
pub struct Accounts {
    users: Table<Box<[u8]>, Usage>,
    addresses: Table<IpAddr, u32>,
    allocations: u32,
}

/// The objects of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    allocations: u32,
    ports: u32,
    connections: u32,
}

impl Accounts {
    /// Empty accounts. Their hashes are keyed, so that no client can cause collisions.
    pub fn new(rng: &mut Rng) -> Self {
        let (users, addresses) = (Keyed::new(rng), Keyed::new(rng));
        Self { users: Table::with_hasher(users), addresses: Table::with_hasher(addresses), allocations: 0 }
    }

    fn enter(&mut self, quotas: &Quotas, user: &[u8], address: IpAddr, ports: u32) -> bool {
        let usage = self.users.get(user).copied().unwrap_or_default();
        let of_address = self.addresses.get(&one_source(address)).copied().unwrap_or_default();
        if usage.allocations >= quotas.allocations_per_user
            || usage.ports + ports > quotas.ports_per_user
            || of_address >= quotas.allocations_per_address
            || self.allocations >= quotas.allocations
        {
            return false;
        }
        let usage = Usage { allocations: usage.allocations + 1, ports: usage.ports + ports, ..usage };
        self.users.insert(user.into(), usage);
        self.addresses.insert(one_source(address), of_address + 1);
        self.allocations += 1;
        true
    }

    fn leave(&mut self, user: &[u8], address: IpAddr) {
        self.allocations -= 1;
        self.change(user, |usage| usage.allocations -= 1);
        if let Some(count) = self.addresses.get_mut(&one_source(address)) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&one_source(address));
            }
        }
    }

    /// A user without an allocation has no connections either.
    fn enter_stream(&mut self, quotas: &Quotas, user: &[u8]) -> bool {
        let usage = self.users.get_mut(user).filter(|usage| usage.connections < quotas.connections_per_user);
        usage.map(|usage| usage.connections += 1).is_some()
    }

    fn change(&mut self, user: &[u8], change: impl FnOnce(&mut Usage)) {
        if let Some(usage) = self.users.get_mut(user) {
            change(usage);
            if *usage == Usage::default() {
                self.users.remove(user);
            }
        }
    }
}

/// A relay's part of the ledger.
#[derive(Debug)]
pub(crate) struct LedgerHandle {
    ledger: Box<dyn Ledger>,
    own: Usage,
}

impl LedgerHandle {
    /// For a single relay.
    pub(crate) fn alone(rng: &mut Rng) -> Self {
        Self::of(Box::new(OwnLedger { accounts: Accounts::new(rng), traffic: Bucket::default() }))
    }

    pub(crate) fn of(ledger: Box<dyn Ledger>) -> Self {
        Self { ledger, own: Usage::default() }
    }

    /// Counts an allocation with this many ports, if it exceeds no bound.
    pub(crate) fn enter(&mut self, quotas: &Quotas, user: &[u8], address: IpAddr, ports: u32) -> bool {
        let mut may = false;
        self.ledger.open(&mut |accounts| may = accounts.enter(quotas, user, address, ports));
        if may {
            self.own.allocations += 1;
            self.own.ports += ports;
        }
        may
    }

    /// An allocation has ended. Its ports are released one by one.
    pub(crate) fn leave(&mut self, user: &[u8], address: IpAddr) {
        self.own.allocations -= 1;
        self.ledger.open(&mut |accounts| accounts.leave(user, address));
    }

    /// This many of a user's ports are closed.
    pub(crate) fn give_back(&mut self, user: &[u8], ports: u32) {
        self.own.ports -= ports;
        self.ledger.open(&mut |accounts| accounts.change(user, |usage| usage.ports -= ports));
    }

    /// Counts a connection with a peer, if the user may have another.
    pub(crate) fn enter_stream(&mut self, quotas: &Quotas, user: &[u8]) -> bool {
        let mut may = false;
        self.ledger.open(&mut |accounts| may = accounts.enter_stream(quotas, user));
        self.own.connections += u32::from(may);
        may
    }

    /// A connection with a peer has ended.
    pub(crate) fn leave_stream(&mut self, user: &[u8]) {
        self.own.connections -= 1;
        self.ledger.open(&mut |accounts| accounts.change(user, |usage| usage.connections -= 1));
    }

    /// As [`Bucket::take_bytes`], from the bucket of all payload.
    pub(crate) fn take_bytes(&mut self, now: Instant, bytes: usize, rate_bps: u64) -> bool {
        let mut may = true;
        if rate_bps != 0 {
            self.ledger.pay(&mut |bucket| may = bucket.take_bytes(now, bytes, rate_bps));
        }
        may
    }

    /// As [`Bucket::spend_bytes`], from the same bucket.
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
    fn users_and_addresses_have_separate_bounds() {
        let quotas = Quotas {
            allocations_per_user: 2,
            ports_per_user: 3,
            connections_per_user: 1,
            allocations_per_address: 3,
            allocations: 4,
            ..Quotas::default()
        };
        let mut accounts = Accounts::new(&mut Rng::from_number(1));
        let (near, far): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        assert!(!accounts.enter_stream(&quotas, b"a"), "without an allocation");
        assert!(accounts.enter(&quotas, b"a", near, 2));
        assert!(!accounts.enter(&quotas, b"a", near, 2), "four ports");
        assert!(accounts.enter(&quotas, b"a", near, 1));
        assert!(!accounts.enter(&quotas, b"a", near, 0), "three allocations");
        assert!(accounts.enter(&quotas, b"b", near, 1), "another user is not concerned");
        assert!(!accounts.enter(&quotas, b"b", near, 1), "a fourth of one address");
        assert!(accounts.enter(&quotas, b"b", far, 1));
        assert!(!accounts.enter(&quotas, b"c", far, 1), "a fifth in all");
        assert!(
            accounts.enter_stream(&quotas, b"a") && !accounts.enter_stream(&quotas, b"a"),
            "one connection"
        );
        accounts.change(b"a", |usage| usage.connections -= 1);
        for (user, address, ports) in [(b"a", near, 2), (b"a", near, 1), (b"b", near, 1), (b"b", far, 1)] {
            accounts.leave(user, address);
            accounts.change(user, |usage| usage.ports -= ports);
        }
        assert!(accounts.users.is_empty() && accounts.addresses.is_empty() && accounts.allocations == 0);
    }
}
