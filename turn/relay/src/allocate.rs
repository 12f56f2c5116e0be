//! Allocate (RFC 8656 §7, RFC 6062 §5.1): what a client wants, whether it may have that, and the answer once its sockets are open.

use crate::allocation::{Allocation, Opening, Relayed, Socket, client_flow};
use crate::authenticate::AuthenticatedUser;
use crate::counters::Counter;
use crate::credentials::quota_name;
use crate::events::{End, Event};
use crate::limits::{ALLOCATIONS_MAX, LIFETIME_DEFAULT, RESERVATION_LIFETIME, RESERVATIONS_MAX};
use crate::relay::{Relay, Reservation};
use crate::relay_sockets::Owner;
use crate::respond::RequestHeader;
use crate::settings::Settings;
use machine::{Instant, LocalId, SocketError, SocketOrder, Tx};
use std::net::SocketAddr;
use std::time::Duration;
use stun::attribute::ALTERNATE_SERVER;
use stun::{Family, Message, Method, Writer};

/// What a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AllocateRequest {
    /// A socket of the first family, or one of each.
    Families(Family, Option<Family>),
    /// One with an even port, and perhaps the next port reserved.
    Even(Family, bool),
    /// A port reserved before.
    Reserved([u8; 8]),
    /// A TCP listener of the first family, or one of each.
    Listeners(Family, Option<Family>),
}

impl AllocateRequest {
    /// Reads it, or says by which code it is refused, in the order of RFC 8656 §7.2.
    fn of(message: &Message<'_>, comes_by_tcp: bool, settings: &Settings) -> Result<Self, u16> {
        let is_tcp = match message.requested_transport() {
            Some(Some(stun::UDP)) => false,
            Some(Some(stun::TCP)) if settings.tcp_peers => true,
            Some(Some(_)) => return Err(442),
            _ => return Err(400),
        };
        // None of them makes sense of a listener (RFC 6062 §5.1).
        let has_udp_wish =
            message.dont_fragment() || message.even_port().is_some() || message.reservation_token().is_some();
        if is_tcp && (has_udp_wish || !comes_by_tcp) {
            return Err(400);
        }
        let (family, additional) = (message.requested_address_family(), message.additional_address_family());
        if let Some(token) = message.reservation_token() {
            let stands_alone = family.is_none() && additional.is_none() && message.even_port().is_none();
            return token.filter(|_| stands_alone).map(Self::Reserved).ok_or(400);
        }
        let family = match family {
            None => None,
            Some(Some(family)) => Some(family),
            Some(None) => return Err(440),
        };
        let is_dual = match additional {
            None => false,
            // Only IPv6 beside IPv4, which is then not asked for by name.
            Some(Some(Family::V6)) if family.is_none() => true,
            Some(_) => return Err(400),
        };
        // Who names none means IPv4. Browsers never name one; where there is no IPv4 it is IPv6 or nothing.
        let unnamed = if settings.families == [false, true] { Family::V6 } else { Family::V4 };
        let family = family.unwrap_or(unnamed);
        match message.even_port() {
            None if is_tcp => Ok(Self::Listeners(family, is_dual.then_some(Family::V6))),
            None => Ok(Self::Families(family, is_dual.then_some(Family::V6))),
            Some(Some(reserves_next)) if !(is_dual && reserves_next) => Ok(Self::Even(family, reserves_next)),
            Some(_) => Err(400),
        }
    }

    /// Ports that it takes.
    fn ports(self) -> u32 {
        match self {
            Self::Families(_, Some(_)) | Self::Listeners(_, Some(_)) | Self::Even(_, true) => 2,
            _ => 1,
        }
    }
}

impl Relay {
    pub(crate) fn on_allocate(
        &mut self,
        now: Instant,
        header: &RequestHeader,
        user: &AuthenticatedUser,
        message: &Message<'_>,
        tx: &mut impl Tx,
    ) {
        if let Some(index) = self.find(header.path) {
            return self.on_allocate_again(now, header, user, index, tx);
        }
        if let Some(server) = self.settings.alternate_server {
            let fill = |writer: &mut Writer<'_>| _ = writer.address(ALTERNATE_SERVER, server);
            return self.error_response_with(header, &user.key, 300, tx, fill);
        }
        if self.is_draining {
            return self.error_response(header, &user.key, 403, tx);
        }
        let made = AllocateRequest::of(message, header.path.local.is_tcp(), &self.settings)
            .and_then(|wish| self.make(header, user, message, wish));
        match made {
            // A port that was reserved is open already.
            Ok(index) => self.answer_if_open(now, index, tx),
            Err(code) => self.error_response(header, &user.key, code, tx),
        }
    }

    /// The client has an allocation: its request has come twice, or it has forgotten.
    fn on_allocate_again(
        &mut self,
        now: Instant,
        header: &RequestHeader,
        user: &AuthenticatedUser,
        index: u32,
        tx: &mut impl Tx,
    ) {
        let Some(allocation) = self.allocation(index) else { return };
        if allocation.transaction_id != header.id {
            return self.error_response(header, &user.key, 437, tx);
        }
        // While its sockets are being opened the answer is still to come.
        if allocation.opening.is_none() {
            self.tell_allocation(now, header, index, None, tx);
        }
    }

    /// Enters the allocation, and orders its sockets. The code if it cannot be.
    fn make(
        &mut self,
        header: &RequestHeader,
        user: &AuthenticatedUser,
        message: &Message<'_>,
        wish: AllocateRequest,
    ) -> Result<u32, u16> {
        // A caller without an allocation is known by its credential.
        let origin = user.origin.ok_or(437u16)?;
        let lifetime = self.lifetime(message)?;
        let quota_name = quota_name(user.name.as_bytes());
        let first = match wish {
            AllocateRequest::Families(first, _) | AllocateRequest::Listeners(first, _) => first,
            AllocateRequest::Even(family, _) => family,
            AllocateRequest::Reserved(token) => self.reserved(token, quota_name).ok_or(508u16)?.family(),
        };
        if !self.settings.families[first as usize] {
            return Err(440);
        }
        if self.slots_used() >= ALLOCATIONS_MAX
            || !self.ledger.enter(&self.settings.quotas, quota_name, header.path.remote.ip(), wish.ports())
        {
            return Err(486);
        }
        let opening = Opening {
            socket: match wish {
                AllocateRequest::Even(..) => Socket::Even,
                AllocateRequest::Listeners(..) => Socket::Listener,
                AllocateRequest::Families(..) | AllocateRequest::Reserved(_) => Socket::Plain,
            },
            waiting: 0,
            first,
            failed: [None; 2],
            next: None,
            reserves_next: wish == AllocateRequest::Even(first, true),
            dont_fragment: message.dont_fragment(),
            asked_len: header.len,
            fingerprint: header.fingerprint,
        };
        let who = (user.name.as_bytes(), user.key.clone(), origin);
        let index =
            self.insert(Allocation::new(header.path, who, header.id, (lifetime, wish.ports()), opening));
        match wish {
            AllocateRequest::Reserved(token) => self.take_reserved(index, token),
            AllocateRequest::Even(family, _) => self.order(index, family),
            AllocateRequest::Families(first, second) | AllocateRequest::Listeners(first, second) => {
                [Some(first), second].into_iter().flatten().for_each(|family| self.order(index, family));
            }
        }
        Ok(index)
    }

    /// How long the allocation is to live: what the client asks for, within bounds.
    pub(crate) fn lifetime(&self, message: &Message<'_>) -> Result<Duration, u16> {
        let wanted = match message.lifetime() {
            None => LIFETIME_DEFAULT,
            Some(seconds) => Duration::from_secs(seconds.ok_or(400u16)?.into()),
        };
        Ok(wanted.min(self.settings.lifetime_max).max(LIFETIME_DEFAULT))
    }

    /// Orders a socket for the allocation, or two of which the first is to have an even port.
    fn order(&mut self, index: u32, family: Family) {
        let socket = self.allocation(index).and_then(|allocation| Some(allocation.opening?.socket));
        let is_even = socket == Some(Socket::Even);
        let has_family = self.settings.families[family as usize];
        let local = if has_family { self.sockets.take(Owner::Allocation(index, family)) } else { None };
        let next = local.filter(|_| is_even).and_then(|_| self.sockets.take(Owner::Next));
        let Some(allocation) = &mut self.allocations[index as usize] else { return };
        let Some(opening) = &mut allocation.opening else { return };
        match local {
            Some(local) if next.is_some() == is_even => {
                opening.waiting += 1;
                opening.next = next;
                let (is_ipv6, dont_fragment) = (family == Family::V6, opening.dont_fragment);
                self.orders.push_back(match opening.socket {
                    Socket::Listener => SocketOrder::Listen { local, is_ipv6 },
                    Socket::Plain | Socket::Even => SocketOrder::Open { local, next, is_ipv6, dont_fragment },
                });
            }
            local => {
                opening.failed[family as usize] = Some(if has_family { 508 } else { 440 });
                local.into_iter().for_each(|local| self.sockets.release(local));
            }
        }
    }

    /// What became of an order.
    pub(crate) fn on_opened(
        &mut self,
        now: Instant,
        local: LocalId,
        opened: Result<SocketAddr, SocketError>,
        tx: &mut impl Tx,
    ) {
        let Some(Owner::Allocation(index, family)) = self.sockets.owner(local) else { return };
        let slot = self.free_reservation();
        let Some(allocation) = self.allocation_mut(index) else { return };
        let Some(opening) = &mut allocation.opening else { return };
        opening.waiting -= 1;
        let (next, reserves_next) = (opening.next.take(), opening.reserves_next);
        match opened {
            // A port that cannot be reserved is not what the client asked for (RFC 8656 §7.2).
            Ok(_) if reserves_next && slot.is_none() => {
                opening.failed[family as usize] = Some(508);
                [Some(local), next].into_iter().flatten().for_each(|local| self.close(local));
            }
            Ok(address) => {
                let told = self.told(address);
                if let Some(allocation) = self.allocation_mut(index) {
                    allocation.relayed[family as usize] = Some(Relayed { local, address: told });
                }
                match (next, slot) {
                    (Some(next), Some(slot)) if reserves_next => self.reserve(now, index, slot, next, told),
                    (Some(next), _) => self.close(next),
                    (None, _) => {}
                }
            }
            Err(error) => {
                opening.failed[family as usize] = Some(if error == SocketError::Family { 440 } else { 508 });
                [Some(local), next].into_iter().flatten().for_each(|local| self.sockets.release(local));
            }
        }
        self.answer_if_open(now, index, tx);
    }

    /// The address that clients are to be told of a socket.
    fn told(&self, address: SocketAddr) -> SocketAddr {
        let announced = self.settings.announced.iter().find(|ip| ip.is_ipv4() == address.is_ipv4());
        SocketAddr::new(announced.copied().unwrap_or(address.ip()), address.port())
    }

    /// Answers the request that made the allocation, when nothing is waited for any more.
    fn answer_if_open(&mut self, now: Instant, index: u32, tx: &mut impl Tx) {
        let Some(allocation) = self.allocation_mut(index) else { return };
        let Some(opening) = allocation.opening.filter(|opening| opening.waiting == 0) else { return };
        allocation.opening = None;
        let (path, id) = (allocation.client, allocation.transaction_id);
        let header = RequestHeader {
            path,
            method: Method::ALLOCATE,
            id,
            len: opening.asked_len,
            fingerprint: opening.fingerprint,
        };
        if let Some(code) = opening.failed[opening.first as usize] {
            let key = allocation.key.clone();
            self.forget(index);
            return self.error_response(&header, &key, code, tx);
        }
        let second = opening.failed.iter().copied().flatten().next();
        if second.is_some() {
            self.give_back_port(index);
        }
        let Some(allocation) = self.allocation_mut(index) else { return };
        allocation.expires_at = now + allocation.lifetime;
        allocation.dont_fragment = opening.dont_fragment;
        let expires_at = allocation.expires_at;
        self.deadlines.set(index, Some(expires_at));
        if path.local.is_tcp() {
            self.orders.push_back(SocketOrder::Keep { path });
        }
        self.counters.count(Counter::AllocationsCreated);
        self.tell_created(index);
        self.tell_allocation(now, &header, index, second, tx);
    }

    fn tell_created(&mut self, index: u32) {
        let Some(allocation) = self.allocation(index) else { return };
        let Some(relayed) = allocation.relayed.iter().flatten().next() else { return };
        self.tell(Event::Created {
            user: String::from_utf8_lossy(&allocation.user).into_owned(),
            client: allocation.client.remote,
            relayed: relayed.address,
        });
    }

    /// The good answer, the first time or again.
    fn tell_allocation(
        &mut self,
        now: Instant,
        header: &RequestHeader,
        index: u32,
        second_failed: Option<u16>,
        tx: &mut impl Tx,
    ) {
        let Some(allocation) = self.allocation(index) else { return };
        let (key, relayed, token) = (allocation.key.clone(), allocation.relayed, allocation.token);
        let left = allocation.expires_at.saturating_since(now).as_secs() as u32;
        self.success_response(header, &key, client_flow(index), tx, |writer| {
            relayed.iter().flatten().for_each(|relayed| _ = writer.xor_relayed_address(relayed.address));
            writer.lifetime(left).xor_mapped_address(header.path.remote);
            token.into_iter().for_each(|token| _ = writer.reservation_token(token));
            second_failed.into_iter().for_each(|code| _ = writer.address_error_code(Family::V6, code));
        });
    }

    /// Where a reservation can be entered; `None` if there are as many as may be.
    fn free_reservation(&self) -> Option<usize> {
        let slot = self.reservations.iter().position(Option::is_none).unwrap_or(self.reservations.len());
        (slot < RESERVATIONS_MAX).then_some(slot)
    }

    /// Keeps the port after an even one for whoever has the token.
    fn reserve(&mut self, now: Instant, index: u32, slot: usize, local: LocalId, first: SocketAddr) {
        let mut token = [0; 8];
        self.rng.fill(&mut token);
        let socket = Relayed { local, address: SocketAddr::new(first.ip(), first.port() + 1) };
        let Some(allocation) = self.allocation_mut(index) else { return };
        allocation.token = Some(token);
        // The port counts for the reservation from now on.
        allocation.ports -= 1;
        let user = allocation.quota_name().into();
        let reservation = Some(Reservation { token, socket, user });
        match self.reservations.get_mut(slot) {
            Some(free) => *free = reservation,
            None => self.reservations.push(reservation),
        }
        self.sockets.pass(local, Owner::Reservation(slot as u32));
        self.deadlines.set((ALLOCATIONS_MAX + slot) as u32, Some(now + RESERVATION_LIFETIME));
    }

    /// One of the ports that were entered for an allocation is not to be had.
    fn give_back_port(&mut self, index: u32) {
        let Some(allocation) = self.allocations[index as usize].as_mut() else { return };
        allocation.ports -= 1;
        self.ledger.give_back(allocation.quota_name(), 1);
    }

    /// The reservation with this token, if it was made for this user.
    fn reserved(&self, token: [u8; 8], user: &[u8]) -> Option<&Reservation> {
        self.reservations.iter().flatten().find(|kept| kept.token == token && *kept.user == *user)
    }

    /// Makes a reserved port the allocation's.
    fn take_reserved(&mut self, index: u32, token: [u8; 8]) {
        let slot =
            self.reservations.iter().position(|kept| kept.as_ref().is_some_and(|kept| kept.token == token));
        let Some((slot, kept)) = slot.and_then(|slot| Some((slot, self.reservations[slot].take()?))) else {
            return;
        };
        self.deadlines.set((ALLOCATIONS_MAX + slot) as u32, None);
        // It counts for the allocation from now on.
        self.ledger.give_back(&kept.user, 1);
        self.sockets.pass(kept.socket.local, Owner::Allocation(index, kept.family()));
        if let Some(allocation) = self.allocation_mut(index) {
            allocation.relayed[kept.family() as usize] = Some(kept.socket);
        }
    }

    /// Nobody has come for a reserved port.
    pub(crate) fn on_reservation_expired(&mut self, slot: usize) {
        if let Some(kept) = self.reservations.get_mut(slot).and_then(Option::take) {
            self.ledger.give_back(&kept.user, 1);
            self.close(kept.socket.local);
        }
    }

    /// Ends an allocation that its client has been told of.
    pub(crate) fn end(&mut self, index: u32, end: End) {
        let Some(allocation) = self.allocation(index) else { return };
        let event = Event::Ended {
            user: String::from_utf8_lossy(&allocation.user).into_owned(),
            client: allocation.client.remote,
            end,
            to_peers_bytes: allocation.to_peers.bytes,
            to_client_bytes: allocation.to_client.bytes,
        };
        let path = allocation.client;
        self.tell(event);
        self.forget(index);
        if path.local.is_tcp() && end != End::Disconnected {
            self.orders.push_back(SocketOrder::HangUp { path });
        }
    }

    /// Removes an allocation with all it has.
    fn forget(&mut self, index: u32) {
        let streams = self.allocation_mut(index).map(|allocation| std::mem::take(&mut allocation.streams));
        streams.into_iter().flatten().for_each(|stream| self.close_stream(stream));
        let Some(allocation) = self.remove(index) else { return };
        self.deadlines.set(index, None);
        for relayed in allocation.relayed.iter().flatten() {
            self.close(relayed.local);
        }
        self.ledger.give_back(allocation.quota_name(), allocation.ports);
        self.ledger.leave(allocation.quota_name(), allocation.client.remote.ip());
    }

    /// Gives up one of two relayed addresses.
    pub(crate) fn release(&mut self, index: u32, family: Family) {
        let Some(allocation) = self.allocation_mut(index) else { return };
        if let Some(relayed) = allocation.relayed[family as usize].take() {
            self.close(relayed.local);
            self.give_back_port(index);
        }
    }

    fn close(&mut self, local: LocalId) {
        self.orders.push_back(SocketOrder::Close { local });
        self.sockets.release(local);
    }
}
