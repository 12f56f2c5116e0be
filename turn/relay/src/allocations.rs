//! The tables of a relay: its allocations with their sockets, reserved ports and connections with peers.
//!
//! They change together, so that every socket and connection has an owner and is counted in the ledger
//! ([`Allocations::audit`]). The stages decide which client may have what.

use crate::allocation::{Allocation, Relayed, Socket};
use crate::events::{End, Event};
use crate::limits::{ALLOCATIONS_MAX, RESERVATIONS_MAX, STREAMS_MAX};
use crate::peer_streams::{PeerStream, PeerStreams, deadline_of};
use crate::quota::LedgerHandle;
use crate::relay_sockets::{Owner, RelaySockets};
use crate::table::{Keyed, Table};
use machine::{Deadlines, Instant, LocalId, Path, Rng, SocketRequest, StreamId};
use policy::Policy;
use std::collections::VecDeque;
use stun::{Family, Message, Method};

/// All allocations, and the objects that belong to them.
#[derive(Debug)]
pub(crate) struct Allocations {
    slots: Vec<Option<Box<Allocation>>>,
    free: Vec<u32>,
    by_client: Table<Path, u32>,
    /// The allocation of a client's last datagram: the next datagram often belongs to the same.
    last: Option<(Path, u32)>,
    pub sockets: RelaySockets,
    pub streams: PeerStreams,
    reservations: Vec<Option<Reservation>>,
    pub ledger: LedgerHandle,
    /// Deadlines: of allocations by their index, then of reservations, then of connections with peers.
    pub deadlines: Deadlines,
    pub socket_requests: VecDeque<SocketRequest>,
}

/// A reserved port, for the client that sends its token.
#[derive(Debug)]
pub(crate) struct Reservation {
    token: [u8; 8],
    socket: Relayed,
    /// The user whose quota it counts towards.
    user: Box<[u8]>,
}

impl Reservation {
    pub(crate) fn family(&self) -> Family {
        Family::of(&self.socket.address)
    }
}

impl Allocations {
    pub(crate) fn new(ledger: LedgerHandle, rng: &mut Rng) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_client: Table::with_hasher(Keyed::new(rng)),
            last: None,
            sockets: RelaySockets::default(),
            streams: PeerStreams::new(rng),
            reservations: Vec::new(),
            ledger,
            deadlines: Deadlines::default(),
            socket_requests: VecDeque::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_client.len()
    }

    /// The allocation of the client behind this path.
    pub(crate) fn find(&self, path: Path) -> Option<u32> {
        self.by_client.get(&path).copied()
    }

    /// As [`find`](Self::find), but tries the last result first.
    pub(crate) fn find_cached(&mut self, path: Path) -> Option<u32> {
        match self.last {
            Some((last, index)) if last == path => Some(index),
            _ => {
                let index = self.find(path)?;
                self.last = Some((path, index));
                Some(index)
            }
        }
    }

    pub(crate) fn get(&self, index: u32) -> Option<&Allocation> {
        self.slots.get(index as usize)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut Allocation> {
        self.slots.get_mut(index as usize)?.as_deref_mut()
    }

    /// An allocation, and the ledger that counts its traffic and its connections.
    pub(crate) fn with_ledger(&mut self, index: u32) -> Option<(&mut Allocation, &mut LedgerHandle)> {
        Some((self.slots.get_mut(index as usize)?.as_deref_mut()?, &mut self.ledger))
    }

    /// All allocations, by their index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Allocation)> {
        (0..).zip(&self.slots).filter_map(|(index, slot)| Some((index, slot.as_deref()?)))
    }

    /// The allocation of a ConnectionBind.
    pub(crate) fn named(&self, message: &Message<'_>) -> Option<&Allocation> {
        let stream = self.streams.named(message).filter(|_| message.method() == Method::CONNECTION_BIND)?;
        self.get(self.streams.get(stream)?.allocation)
    }

    pub(crate) fn insert(&mut self, allocation: Allocation) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.by_client.insert(allocation.client, index);
        self.slots[index as usize] = Some(Box::new(allocation));
        index
    }

    fn take(&mut self, index: u32) -> Option<Box<Allocation>> {
        let allocation = self.slots.get_mut(index as usize)?.take()?;
        self.by_client.remove(&allocation.client);
        self.last = None;
        self.free.push(index);
        Some(allocation)
    }

    /// Removes an allocation and all objects that it owns.
    pub(crate) fn remove(&mut self, index: u32) {
        let streams = self.get_mut(index).map(|allocation| std::mem::take(&mut allocation.streams));
        streams.into_iter().flatten().for_each(|stream| self.close_stream(stream));
        let Some(allocation) = self.take(index) else { return };
        self.deadlines.set(index, None);
        for relayed in allocation.relayed.iter().flatten() {
            self.close(relayed.local);
        }
        self.ledger.give_back(allocation.quota_name(), allocation.ports);
        self.ledger.leave(allocation.quota_name(), allocation.client.remote.ip());
    }

    /// Ends an allocation that was announced to its client. The controller gets an event.
    pub(crate) fn end(&mut self, index: u32, end: End) -> Option<Event> {
        let allocation = self.get(index)?;
        let path = allocation.client;
        let event = Event::Ended {
            user: String::from_utf8_lossy(&allocation.user).into_owned(),
            client: path.remote,
            end,
            to_peers_bytes: allocation.to_peers.bytes,
            to_client_bytes: allocation.to_client.bytes,
        };
        self.remove(index);
        if path.local.is_tcp() && end != End::Disconnected {
            self.socket_requests.push_back(SocketRequest::HangUp { path });
        }
        Some(event)
    }

    /// Ends permissions, channels and connections to peers that the policy does not admit.
    pub(crate) fn obey(&mut self, policy: &Policy) {
        self.slots.iter_mut().flatten().for_each(|allocation| allocation.obey(policy));
        let outside = self.streams.outside(|peer| policy.admits_host(peer.ip()));
        outside.into_iter().for_each(|stream| self.close_stream(stream));
    }

    /// Requests a socket for a new allocation, or two, of which the first has an even port. `has_family`: the
    /// server has relay addresses of this family.
    pub(crate) fn request_socket(&mut self, index: u32, family: Family, has_family: bool) {
        let socket = self.get(index).and_then(|allocation| Some(allocation.opening?.socket));
        let is_even = socket == Some(Socket::Even);
        let local = if has_family { self.sockets.take(Owner::Allocation(index, family)) } else { None };
        let next = local.filter(|_| is_even).and_then(|_| self.sockets.take(Owner::Next));
        let Some(allocation) = &mut self.slots[index as usize] else { return };
        let Some(opening) = &mut allocation.opening else { return };
        match local {
            Some(local) if next.is_some() == is_even => {
                opening.waiting += 1;
                opening.next = next;
                let (is_ipv6, dont_fragment) = (family == Family::V6, opening.dont_fragment);
                self.socket_requests.push_back(match opening.socket {
                    Socket::Listener => SocketRequest::Listen { local, is_ipv6 },
                    Socket::Plain | Socket::Even => {
                        SocketRequest::Open { local, next, is_ipv6, dont_fragment }
                    }
                });
            }
            local => {
                opening.failed[family as usize] = Some(if has_family { 508 } else { 440 });
                local.into_iter().for_each(|local| self.sockets.release(local));
            }
        }
    }

    /// Closes a relay socket.
    pub(crate) fn close(&mut self, local: LocalId) {
        self.socket_requests.push_back(SocketRequest::Close { local });
        self.sockets.release(local);
    }

    /// Releases one of two relayed addresses.
    pub(crate) fn release(&mut self, index: u32, family: Family) {
        let Some(allocation) = self.get_mut(index) else { return };
        if let Some(relayed) = allocation.relayed[family as usize].take() {
            self.close(relayed.local);
            self.give_back_port(index);
        }
    }

    /// Removes one of an allocation's ports from the ledger.
    pub(crate) fn give_back_port(&mut self, index: u32) {
        let Some((allocation, ledger)) = self.with_ledger(index) else { return };
        allocation.ports -= 1;
        ledger.give_back(allocation.quota_name(), 1);
    }

    /// The place for a reservation; `None` if there are [`RESERVATIONS_MAX`].
    pub(crate) fn free_reservation(&self) -> Option<usize> {
        let slot = self.reservations.iter().position(Option::is_none).unwrap_or(self.reservations.len());
        (slot < RESERVATIONS_MAX).then_some(slot)
    }

    /// Reserves the port after an even one for the client that sends the token.
    pub(crate) fn reserve(
        &mut self,
        index: u32,
        slot: usize,
        socket: Relayed,
        token: [u8; 8],
        expires_at: Instant,
    ) {
        let Some(allocation) = self.get_mut(index) else { return };
        allocation.token = Some(token);
        // The port counts for the reservation from now on.
        allocation.ports -= 1;
        let user = allocation.quota_name().into();
        let reservation = Some(Reservation { token, socket, user });
        match self.reservations.get_mut(slot) {
            Some(free) => *free = reservation,
            None => self.reservations.push(reservation),
        }
        self.sockets.pass(socket.local, Owner::Reservation(slot as u32));
        self.deadlines.set((ALLOCATIONS_MAX + slot) as u32, Some(expires_at));
    }

    /// The reservation with this token, if it was made for this user.
    pub(crate) fn reserved(&self, token: [u8; 8], user: &[u8]) -> Option<&Reservation> {
        self.reservations.iter().flatten().find(|kept| kept.token == token && *kept.user == *user)
    }

    /// Moves a reserved port to the allocation.
    pub(crate) fn take_reserved(&mut self, index: u32, token: [u8; 8]) {
        let slot =
            self.reservations.iter().position(|kept| kept.as_ref().is_some_and(|kept| kept.token == token));
        let Some((slot, kept)) = slot.and_then(|slot| Some((slot, self.reservations[slot].take()?))) else {
            return;
        };
        self.deadlines.set((ALLOCATIONS_MAX + slot) as u32, None);
        // It counts for the allocation from now on.
        self.ledger.give_back(&kept.user, 1);
        self.sockets.pass(kept.socket.local, Owner::Allocation(index, kept.family()));
        if let Some(allocation) = self.get_mut(index) {
            allocation.relayed[kept.family() as usize] = Some(kept.socket);
        }
    }

    /// A reservation has expired.
    pub(crate) fn on_reservation_expired(&mut self, slot: usize) {
        if let Some(kept) = self.reservations.get_mut(slot).and_then(Option::take) {
            self.ledger.give_back(&kept.user, 1);
            self.close(kept.socket.local);
        }
    }

    /// Closes a connection with a peer without a response to its client.
    pub(crate) fn close_stream(&mut self, stream: StreamId) {
        self.remove_stream(stream);
        self.socket_requests.push_back(SocketRequest::CloseStream { stream });
    }

    /// Removes a closed connection with a peer.
    pub(crate) fn remove_stream(&mut self, stream: StreamId) -> Option<PeerStream> {
        let entry = self.streams.remove(stream)?;
        self.deadlines.set(deadline_of(stream), None);
        if let Some((allocation, ledger)) = self.with_ledger(entry.allocation) {
            allocation.streams.retain(|other| *other != stream);
            ledger.leave_stream(allocation.quota_name());
        }
        Some(entry)
    }

    /// Returns an inconsistency of the tables, if there is one: every socket needs an owner and must be
    /// counted, and no table may exceed its bound.
    pub(crate) fn audit(&self) -> Option<&'static str> {
        let live = || self.slots.iter().flatten();
        let held = live().map(|allocation| allocation.ports as usize).sum::<usize>();
        let reserved = self.reservations.iter().flatten().count();
        if self.ledger.allocations() != live().count() || self.by_client.len() != live().count() {
            Some("allocations that are not entered")
        } else if self.ledger.ports() != held + reserved {
            Some("ports without an owner")
        } else if self.sockets.len() != self.ledger.ports() {
            Some("sockets that are not entered")
        } else if self.streams.len() > STREAMS_MAX
            || self.ledger.connections() != self.streams.len()
            || live().map(|allocation| allocation.streams.len()).sum::<usize>() != self.streams.len()
        {
            Some("connections with peers that are not entered")
        } else if live().any(|allocation| !allocation.is_within_bounds()) {
            Some("more permissions or channels than may be")
        } else {
            None
        }
    }
}
