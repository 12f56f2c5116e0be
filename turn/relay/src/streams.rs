//! Peers over TCP (RFC 6062): a client connects to a peer or a peer to a client, and the client joins another
//! connection with it.
//!
//! This file decides. The bytes of a joined connection do not pass here, only their number does.

use crate::allocation::{STRANGERS, client_flow};
use crate::allocations::Allocations;
use crate::call::Call;
use crate::counters::{Counter, Counters};
use crate::limits::STREAM_PATIENCE;
use crate::peer_streams::{PeerStream, StreamState, deadline_of};
use crate::permit::check_peer;
use crate::quota::Quotas;
use crate::relay_sockets::Owner;
use crate::request_context::{AuthenticatedUser, RequestContext, RequestHeader};
use crate::respond::{error_response, success_response, write};
use machine::{Instant, LocalId, SocketRequest, StreamId, Towards, Tx};
use std::net::SocketAddr;
use stun::{Class, Method, TransactionId, Writer};

/// Connect (RFC 6062 §5.2): the client requests a connection to a peer.
pub(crate) fn on_connect(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    request: &RequestContext<'_>,
    index: u32,
) {
    if let Err(code) = connect(allocations, call, request, index) {
        error_response(call, &request.header, &request.user.key, code);
    }
}

fn connect<T>(
    allocations: &mut Allocations,
    call: &mut Call<'_, T>,
    request: &RequestContext<'_>,
    index: u32,
) -> Result<(), u16> {
    let allocation = allocations.get(index).filter(|allocation| allocation.is_tcp).ok_or(437u16)?;
    let Some(Some(peer)) = request.message.xor_peer_address() else { return Err(400) };
    if peer.port() == 0 {
        return Err(400);
    }
    let is_of_peer =
        |stream: &StreamId| allocations.streams.get(*stream).is_some_and(|other| other.peer == peer);
    if allocation.streams.iter().any(is_of_peer) {
        return Err(446);
    }
    check_peer(allocations, index, &peer, call.settings.policy.admits(peer))?;
    let relayed = allocation.relayed_for(&peer).ok_or(443u16)?;
    let state = StreamState::Connecting(Box::new((request.header, request.user.key.clone())));
    let (stream, _) = add_stream(allocations, call, index, peer, state).ok_or(508u16)?;
    allocations.socket_requests.push_back(SocketRequest::Connect {
        stream,
        local: relayed.local,
        remote: peer,
    });
    Ok(())
}

/// A new connection of an allocation, and its number. `None` if its user, or the server, has the maximum
/// number.
fn add_stream<T>(
    allocations: &mut Allocations,
    call: &mut Call<'_, T>,
    index: u32,
    peer: SocketAddr,
    state: StreamState,
) -> Option<(StreamId, u32)> {
    let (allocation, ledger) = allocations.with_ledger(index)?;
    if !ledger.enter_stream(&call.settings.quotas, allocation.quota_name()) {
        return None;
    }
    let connection_id = allocations.streams.free_connection_id(call.rng.next_u64() as u32);
    let stream = allocations.streams.insert(PeerStream { allocation: index, peer, connection_id, state });
    let (allocation, ledger) = allocations.with_ledger(index)?;
    let Some(stream) = stream else {
        ledger.leave_stream(allocation.quota_name());
        return None;
    };
    allocation.streams.push(stream);
    allocations.deadlines.set(deadline_of(stream), Some(call.now + STREAM_PATIENCE));
    Some((stream, connection_id))
}

/// The peer has answered (RFC 6062 §5.2).
pub(crate) fn on_connected(allocations: &mut Allocations, call: &mut Call<'_, impl Tx>, stream: StreamId) {
    let Some(entry) = allocations.streams.get_mut(stream) else { return };
    let (index, connection_id) = (entry.allocation, entry.connection_id);
    let StreamState::Connecting(request) = std::mem::replace(&mut entry.state, StreamState::Waiting) else {
        return;
    };
    let (header, key) = *request;
    allocations.deadlines.set(deadline_of(stream), Some(call.now + STREAM_PATIENCE));
    call.counters.count(Counter::PeerConnectionsMade);
    let fill = |writer: &mut Writer<'_>| _ = writer.connection_id(connection_id);
    success_response(call, &header, &key, client_flow(index), fill);
}

/// A peer has connected to a relayed address (RFC 6062 §5.3). The client gets a ConnectionAttempt, if it
/// permits that peer.
pub(crate) fn on_offered(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    local: LocalId,
    peer: SocketAddr,
) -> Option<StreamId> {
    let Some(Owner::Allocation(index, _)) = allocations.sockets.owner(local) else { return None };
    let allocation = allocations.get(index).filter(|allocation| allocation.opening.is_none())?;
    if !allocation.permits(call.now, peer.ip()) {
        call.counters.count(Counter::NoPermission);
        return None;
    }
    let client = allocation.client;
    let added = add_stream(allocations, call, index, peer, StreamState::Waiting);
    let Some((stream, connection_id)) = added else {
        call.counters.count(Counter::NoCapacity);
        return None;
    };
    let mut id = TransactionId([0; 12]);
    call.rng.fill(&mut id.0);
    let attempt =
        RequestHeader { path: client, method: Method::CONNECTION_ATTEMPT, id, len: 0, fingerprint: false };
    call.counters.count(Counter::PeerConnectionsMade);
    // If it is lost because the batch is full, no client joins the connection, and its deadline closes it.
    write(call, &attempt, client_flow(index), Class::Indication, |writer| {
        writer.xor_peer_address(peer).connection_id(connection_id);
    });
    Some(stream)
}

/// ConnectionBind (RFC 6062 §5.4): the client's new connection is for this peer.
pub(crate) fn on_connection_bind(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    request: &RequestContext<'_>,
) {
    let RequestContext { header, user, message } = request;
    let waiting = allocations.streams.named(message);
    let waiting = waiting.filter(|stream| is_waiting_for(allocations, *stream, user));
    // A connection with an allocation is the control connection, on which its client gets responses and
    // indications.
    let is_new = header.path.local.is_tcp() && allocations.find(header.path).is_none();
    let Some(stream) = waiting.filter(|_| is_new) else {
        return error_response(call, header, &user.key, 400);
    };
    if let Some(entry) = allocations.streams.get_mut(stream) {
        entry.state = StreamState::Joined;
    }
    allocations.deadlines.set(deadline_of(stream), None);
    success_response(call, header, &user.key, STRANGERS, |_| {});
    allocations.socket_requests.push_back(SocketRequest::Join { stream, path: header.path });
}

fn is_waiting_for(allocations: &Allocations, stream: StreamId, user: &AuthenticatedUser) -> bool {
    let is_waiting = |entry: &&PeerStream| matches!(entry.state, StreamState::Waiting);
    let entry = allocations.streams.get(stream).filter(is_waiting);
    let allocation = entry.and_then(|entry| allocations.get(entry.allocation));
    allocation.is_some_and(|allocation| *allocation.user == *user.name.as_bytes())
}

/// Counts relayed bytes. Returns when more may be relayed.
pub(crate) fn on_passed(
    allocations: &mut Allocations,
    counters: &mut Counters,
    quotas: &Quotas,
    now: Instant,
    (stream, towards, bytes): (StreamId, Towards, usize),
) -> Instant {
    let index = allocations.streams.get(stream).map(|entry| entry.allocation);
    let Some((allocation, ledger)) = index.and_then(|index| allocations.with_ledger(index)) else {
        return now;
    };
    let (direction, counter) = match towards {
        Towards::Peer => (&mut allocation.to_peers, Counter::ToPeersBytes),
        Towards::Client => (&mut allocation.to_client, Counter::ToClientsBytes),
    };
    direction.bytes += bytes as u64;
    counters.add(counter, bytes as u64);
    let own = direction.bucket.spend_bytes(now, bytes, quotas.bits_per_second_per_allocation);
    own.max(ledger.spend_bytes(now, bytes, quotas.bits_per_second))
}

/// The peer has not answered in time, or the client has not joined the connection.
pub(crate) fn on_stream_late(allocations: &mut Allocations, call: &mut Call<'_, impl Tx>, stream: StreamId) {
    on_closed(allocations, call, stream);
    allocations.socket_requests.push_back(SocketRequest::CloseStream { stream });
}

/// A connection is closed. A Connect request that waits for it gets an error response (RFC 6062 §5.2).
pub(crate) fn on_closed(allocations: &mut Allocations, call: &mut Call<'_, impl Tx>, stream: StreamId) {
    let Some(entry) = allocations.remove_stream(stream) else { return };
    if let StreamState::Connecting(request) = entry.state {
        let (header, key) = *request;
        error_response(call, &header, &key, 447);
    }
}
