//! Connections with peers over TCP (RFC 6062): whom a client connects to, who connects to it, and which connection of the client's
//! each is joined with.
//!
//! What is decided here is who may; the bytes of a joined connection never come by, only their number does.

use crate::allocation::{Allocation, client_flow};
use crate::authenticate::AuthenticatedUser;
use crate::counters::Counter;
use crate::limits::{ALLOCATIONS_MAX, RESERVATIONS_MAX, STREAM_PATIENCE, STREAMS_MAX};
use crate::relay::Relay;
use crate::relay_sockets::Owner;
use crate::respond::RequestHeader;
use crate::table::{Keyed, Table};
use machine::{Instant, LocalId, Rng, SocketOrder, StreamId, Towards, Tx};
use std::net::SocketAddr;
use stun::{Class, Key, Message, Method, TransactionId, Writer};

/// The first of the deadlines that are streams'.
pub(crate) const FIRST_DEADLINE: usize = ALLOCATIONS_MAX + RESERVATIONS_MAX;

/// A connection with a peer.
#[derive(Debug)]
pub(crate) struct PeerStream {
    /// Whose it is.
    pub allocation: u32,
    pub peer: SocketAddr,
    /// What the client knows it by.
    connection_id: u32,
    state: State,
}

/// How far a connection is.
#[derive(Debug)]
enum State {
    /// The peer has not answered yet, and neither has the request been, which was signed with this key.
    Connecting(Box<(RequestHeader, Key)>),
    /// The client has been told, and is to join a connection of its own.
    Waiting,
    /// Bytes pass.
    Joined,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct PeerStreams {
    streams: Vec<Option<PeerStream>>,
    free: Vec<u16>,
    by_connection: Table<u32, StreamId>,
}

impl PeerStreams {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self { streams: Vec::new(), free: Vec::new(), by_connection: Table::with_hasher(Keyed::new(rng)) }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_connection.len()
    }

    pub(crate) fn get(&self, stream: StreamId) -> Option<&PeerStream> {
        self.streams.get(usize::from(stream.0))?.as_ref()
    }

    fn get_mut(&mut self, stream: StreamId) -> Option<&mut PeerStream> {
        self.streams.get_mut(usize::from(stream.0))?.as_mut()
    }

    /// `None` if there are as many as may be.
    fn insert(&mut self, stream: PeerStream) -> Option<StreamId> {
        let index = self.free.pop().or_else(|| {
            let next = self.streams.len();
            (next < STREAMS_MAX).then(|| {
                self.streams.push(None);
                next as u16
            })
        })?;
        self.by_connection.insert(stream.connection_id, StreamId(index));
        self.streams[usize::from(index)] = Some(stream);
        Some(StreamId(index))
    }

    fn remove(&mut self, stream: StreamId) -> Option<PeerStream> {
        let removed = self.streams.get_mut(usize::from(stream.0))?.take()?;
        self.by_connection.remove(&removed.connection_id);
        self.free.push(stream.0);
        Some(removed)
    }

    /// Of the connection that a request names.
    fn named(&self, message: &Message<'_>) -> Option<StreamId> {
        self.by_connection.get(&message.connection_id()??).copied()
    }

    /// Those whose peers the policy admits no more.
    pub(crate) fn outside(&self, admits: impl Fn(SocketAddr) -> bool) -> Vec<StreamId> {
        let live = (0..).zip(&self.streams).filter_map(|(index, stream)| Some((index, stream.as_ref()?)));
        live.filter(|(_, stream)| !admits(stream.peer)).map(|(index, _)| StreamId(index)).collect()
    }
}

impl Relay {
    /// Connect (RFC 6062 §5.2): the client wants to reach a peer.
    pub(crate) fn on_connect(
        &mut self,
        now: Instant,
        header: &RequestHeader,
        user: &AuthenticatedUser,
        index: u32,
        message: &Message<'_>,
        tx: &mut impl Tx,
    ) {
        if let Err(code) = self.connect(now, header, user, index, message) {
            self.error_response(header, &user.key, code, tx);
        }
    }

    fn connect(
        &mut self,
        now: Instant,
        header: &RequestHeader,
        user: &AuthenticatedUser,
        index: u32,
        message: &Message<'_>,
    ) -> Result<(), u16> {
        let allocation = self.allocation(index).filter(|allocation| allocation.is_tcp).ok_or(437u16)?;
        let Some(Some(peer)) = message.xor_peer_address() else { return Err(400) };
        if peer.port() == 0 {
            return Err(400);
        }
        if allocation
            .streams
            .iter()
            .any(|stream| self.streams.get(*stream).is_some_and(|other| other.peer == peer))
        {
            return Err(446);
        }
        self.check_peer(index, &peer, |policy| policy.admits(peer))?;
        let relayed =
            self.allocation(index).and_then(|allocation| allocation.relayed_for(&peer)).ok_or(443u16)?;
        let state = State::Connecting(Box::new((*header, user.key.clone())));
        let (stream, _) = self.add_stream(now, index, peer, state).ok_or(508u16)?;
        self.orders.push_back(SocketOrder::Connect { stream, local: relayed.local, remote: peer });
        Ok(())
    }

    /// A new connection of an allocation, and its number. `None` if its user, or all together, have as many as they may.
    fn add_stream(
        &mut self,
        now: Instant,
        index: u32,
        peer: SocketAddr,
        state: State,
    ) -> Option<(StreamId, u32)> {
        let allocation = self.allocations.get_mut(index as usize)?.as_mut()?;
        if !self.ledger.enter_stream(&self.settings.quotas, allocation.quota_name()) {
            return None;
        }
        let mut connection_id = self.rng.next_u64() as u32;
        while self.streams.by_connection.contains_key(&connection_id) {
            connection_id = connection_id.wrapping_add(1);
        }
        let Some(stream) = self.streams.insert(PeerStream { allocation: index, peer, connection_id, state })
        else {
            self.ledger.leave_stream(allocation.quota_name());
            return None;
        };
        allocation.streams.push(stream);
        self.deadlines.set(deadline_of(stream), Some(now + STREAM_PATIENCE));
        Some((stream, connection_id))
    }

    /// The peer has answered (RFC 6062 §5.2).
    pub(crate) fn on_connected(&mut self, now: Instant, stream: StreamId, tx: &mut impl Tx) {
        let Some(entry) = self.streams.get_mut(stream) else { return };
        let (index, connection_id) = (entry.allocation, entry.connection_id);
        let State::Connecting(asker) = std::mem::replace(&mut entry.state, State::Waiting) else { return };
        let (header, key) = *asker;
        self.deadlines.set(deadline_of(stream), Some(now + STREAM_PATIENCE));
        self.counters.count(Counter::PeerConnectionsMade);
        self.success_response(&header, &key, client_flow(index), tx, |writer| {
            _ = writer.connection_id(connection_id)
        });
    }

    /// A peer has connected to a relayed address (RFC 6062 §5.3): the client is told, if it permits that peer.
    pub(crate) fn on_offered(
        &mut self,
        now: Instant,
        local: LocalId,
        peer: SocketAddr,
        tx: &mut impl Tx,
    ) -> Option<StreamId> {
        let Some(Owner::Allocation(index, _)) = self.sockets.owner(local) else { return None };
        let allocation = self.allocation(index).filter(|allocation| allocation.opening.is_none())?;
        if !allocation.permits(now, peer.ip()) {
            self.counters.count(Counter::NoPermission);
            return None;
        }
        let client = allocation.client;
        let Some((stream, connection_id)) = self.add_stream(now, index, peer, State::Waiting) else {
            self.counters.count(Counter::NoCapacity);
            return None;
        };
        let mut id = TransactionId([0; 12]);
        self.rng.fill(&mut id.0);
        let attempt = RequestHeader {
            path: client,
            method: Method::CONNECTION_ATTEMPT,
            id,
            len: 0,
            fingerprint: false,
        };
        self.counters.count(Counter::PeerConnectionsMade);
        // One that is lost, since the batch is full, is closed when nobody has come for it.
        self.write(&attempt, client_flow(index), Class::Indication, tx, |writer: &mut Writer<'_>| {
            writer.xor_peer_address(peer).connection_id(connection_id);
        });
        Some(stream)
    }

    /// ConnectionBind (RFC 6062 §5.4): the client's new connection is for this peer.
    pub(crate) fn on_connection_bind(
        &mut self,
        header: &RequestHeader,
        user: &AuthenticatedUser,
        message: &Message<'_>,
        tx: &mut impl Tx,
    ) {
        let waiting = self.streams.named(message).filter(|stream| self.is_waiting_for(*stream, user));
        // A connection that has an allocation is where its client is told of others.
        let is_new = header.path.local.is_tcp() && self.find(header.path).is_none();
        let Some(stream) = waiting.filter(|_| is_new) else {
            return self.error_response(header, &user.key, 400, tx);
        };
        if let Some(entry) = self.streams.get_mut(stream) {
            entry.state = State::Joined;
        }
        self.deadlines.set(deadline_of(stream), None);
        self.success_response(header, &user.key, crate::allocation::STRANGERS, tx, |_| {});
        self.orders.push_back(SocketOrder::Join { stream, path: header.path });
    }

    fn is_waiting_for(&self, stream: StreamId, user: &AuthenticatedUser) -> bool {
        let is_waiting = |entry: &&PeerStream| matches!(entry.state, State::Waiting);
        let allocation =
            self.streams.get(stream).filter(is_waiting).and_then(|entry| self.allocation(entry.allocation));
        allocation.is_some_and(|allocation| *allocation.user == *user.name.as_bytes())
    }

    /// The allocation that a ConnectionBind is about.
    pub(crate) fn allocation_named(&self, message: &Message<'_>) -> Option<&Allocation> {
        let stream = self.streams.named(message).filter(|_| message.method() == Method::CONNECTION_BIND)?;
        self.allocation(self.streams.get(stream)?.allocation)
    }

    /// Bytes have passed: counted, and paid for in time.
    pub(crate) fn on_passed(
        &mut self,
        now: Instant,
        stream: StreamId,
        towards: Towards,
        bytes: usize,
    ) -> Instant {
        let Self { streams, allocations, counters, settings, ledger, .. } = self;
        let index = streams.get(stream).map(|entry| entry.allocation as usize);
        let Some(Some(allocation)) = index.and_then(|index| allocations.get_mut(index)) else { return now };
        let (direction, counter) = match towards {
            Towards::Peer => (&mut allocation.to_peers, Counter::ToPeersBytes),
            Towards::Client => (&mut allocation.to_client, Counter::ToClientsBytes),
        };
        direction.bytes += bytes as u64;
        counters.add(counter, bytes as u64);
        let quotas = &settings.quotas;
        let own = direction.bucket.spend_bytes(now, bytes, quotas.bits_per_second_per_allocation);
        own.max(ledger.spend_bytes(now, bytes, quotas.bits_per_second))
    }

    /// The peer has not answered in time, or nobody has come for it.
    pub(crate) fn on_stream_late(&mut self, stream: StreamId, tx: &mut impl Tx) {
        self.on_closed(stream, tx);
        self.orders.push_back(SocketOrder::CloseStream { stream });
    }

    /// A connection is no more. Whoever waits for it to come is told (RFC 6062 §5.2).
    pub(crate) fn on_closed(&mut self, stream: StreamId, tx: &mut impl Tx) {
        let Some(entry) = self.forget_stream(stream) else { return };
        if let State::Connecting(asker) = entry.state {
            self.error_response(&asker.0, &asker.1, 447, tx);
        }
    }

    /// Closes a connection that nobody is to be told of.
    pub(crate) fn close_stream(&mut self, stream: StreamId) {
        self.forget_stream(stream);
        self.orders.push_back(SocketOrder::CloseStream { stream });
    }

    fn forget_stream(&mut self, stream: StreamId) -> Option<PeerStream> {
        let entry = self.streams.remove(stream)?;
        self.deadlines.set(deadline_of(stream), None);
        if let Some(Some(allocation)) = self.allocations.get_mut(entry.allocation as usize) {
            allocation.streams.retain(|other| *other != stream);
            self.ledger.leave_stream(allocation.quota_name());
        }
        Some(entry)
    }
}

fn deadline_of(stream: StreamId) -> u32 {
    FIRST_DEADLINE as u32 + u32::from(stream.0)
}
