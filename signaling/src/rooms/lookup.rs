//! Finds the objects that a request names, and checks that the client may use them.

use super::state::{Direction, Peer, PeerId, State};
use crate::auth::token::Permissions;
use crate::auth::turn;
use crate::media_node::Worker;
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use control::{ConsumerId, Event, ProducerId, TransportId};

/// Parses an id as this server formats it: 16 lower-case hexadecimal digits.
pub(super) fn parse_id(id: &str) -> Option<u64> {
    let is_ours = id.len() == 16 && id.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    if is_ours { u64::from_str_radix(id, 16).ok() } else { None }
}

/// The user in the TURN credentials of a peer.
pub(super) fn turn_user(peer: &Peer) -> String {
    turn::user_name(&peer.room.project, &peer.user)
}

/// Parses a direction, from the client's point of view.
pub(super) fn direction(text: &str) -> Result<Direction, RequestError> {
    match text {
        "send" => Ok(Direction::Send),
        "recv" => Ok(Direction::Recv),
        "sendrecv" => Ok(Direction::SendRecv),
        _ => Err(RequestError::bad("direction must be \"send\", \"recv\" or \"sendrecv\"")),
    }
}

/// Checks that a peer may publish a source.
pub(super) fn check_publish(permissions: &Permissions, source: &str) -> Result<(), RequestError> {
    permitted(permissions.can_publish, "canPublish")?;
    if permissions.hidden {
        let text = "a hidden peer cannot publish: the token's permissions have hidden";
        return Err(RequestError::new(ErrorCode::TokenPermission, text));
    }
    permitted(permissions.may_publish(source), "this source in canPublishSources")
}

/// Refuses a request whose claim is missing in the token.
pub(super) fn permitted(allowed: bool, claim: &str) -> Result<(), RequestError> {
    if allowed {
        return Ok(());
    }
    Err(RequestError::new(ErrorCode::TokenPermission, format!("the token's permissions do not have {claim}")))
}

/// A transport of this peer.
pub(super) fn own_transport(
    state: &State,
    peer: PeerId,
    id: &str,
) -> Result<(TransportId, Worker), RequestError> {
    let id = parse_id(id).map(TransportId);
    let found = id.and_then(|id| {
        Some((id, state.transports.get(&id).filter(|transport| transport.peer == peer)?.worker))
    });
    found.ok_or_else(|| {
        RequestError::new(ErrorCode::NoSuchTransport, "this peer has no transport with this id (any more)")
    })
}

/// A producer of this peer.
pub(super) fn own_producer(
    state: &State,
    peer: PeerId,
    id: &str,
) -> Result<(ProducerId, Worker), RequestError> {
    let id = parse_id(id).map(ProducerId);
    let found = id.and_then(|id| {
        let producer = state.producers.get(&id).filter(|producer| producer.peer == peer)?;
        Some((id, state.worker_of(producer.transport)?))
    });
    found.ok_or_else(|| {
        RequestError::new(ErrorCode::NoSuchProducer, "this peer has no producer with this id (any more)")
    })
}

/// A consumer of this peer.
pub(super) fn own_consumer(
    state: &State,
    peer: PeerId,
    id: &str,
) -> Result<(ConsumerId, Worker), RequestError> {
    let id = parse_id(id).map(ConsumerId);
    let found = id.and_then(|id| {
        let consumer = state.consumers.get(&id).filter(|consumer| consumer.peer == peer)?;
        Some((id, state.worker_of(consumer.transport)?))
    });
    found.ok_or_else(|| {
        RequestError::new(ErrorCode::NoSuchConsumer, "this peer has no consumer with this id (any more)")
    })
}

/// A confirmed producer of another peer in the same room.
pub(super) fn others_producer(state: &State, peer: PeerId, id: &str) -> Result<ProducerId, RequestError> {
    let id = parse_id(id).map(ProducerId);
    let found = id.filter(|id| {
        let confirmed = state.producers.get(id).filter(|producer| producer.created_by.is_some());
        let owner = confirmed.map(|producer| producer.peer);
        let room = |peer: PeerId| state.peers.get(&peer).map(|peer| &peer.room);
        owner.is_some_and(|owner| owner != peer && room(owner) == room(peer))
    });
    found.ok_or_else(|| {
        RequestError::new(
            ErrorCode::NoSuchProducer,
            "no other peer in this room has a producer with this id (any more)",
        )
    })
}

/// The peer has left.
pub(super) fn not_joined() -> RequestError {
    RequestError::new(ErrorCode::WrongState, "this peer is not in its room any more")
}

/// The object was closed before the answer of the worker arrived.
pub(super) fn gone() -> RequestError {
    RequestError::new(ErrorCode::EngineUnavailable, "it was closed while it was being created; try again")
        .retry_after(std::time::Duration::from_millis(500))
}

/// The answer of the worker does not fit the request.
pub(super) fn wrong_answer(event: &Event) -> RequestError {
    tracing::error!(event = ?event, "unexpected response type from the engine");
    RequestError::new(
        ErrorCode::Internal,
        "unexpected response type from the media engine; see the server's log",
    )
}

/// Other peers of the same room; `NO_SUCH_PEER` if a peer is not one.
pub(super) fn others_peer_ids(
    state: &State,
    peer: PeerId,
    ids: &[String],
) -> Result<Vec<PeerId>, RequestError> {
    ids.iter().map(|id| others_peer(state, peer, id)).collect()
}

/// Another peer of the same room, also a hidden one.
pub(super) fn others_peer(state: &State, peer: PeerId, id: &str) -> Result<PeerId, RequestError> {
    let room = &state.peers.get(&peer).ok_or_else(not_joined)?.room;
    let found = parse_id(id).map(PeerId).filter(|found| *found != peer);
    found
        .filter(|found| state.peers.get(found).is_some_and(|other| other.room == *room))
        .ok_or_else(no_such_peer)
}

pub(super) fn no_such_peer() -> RequestError {
    RequestError::new(ErrorCode::NoSuchPeer, "no other peer with this id is in the room (any more)")
}
