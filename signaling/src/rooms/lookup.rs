//! Ids of clients and the objects behind them, and why there is none.

use super::state::{PeerId, State};
use crate::engine::Worker;
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use control::{ConsumerId, Event, ProducerId, TransportId};

/// Reads an id as this server writes it.
pub(super) fn parse_id(id: &str) -> Option<u64> {
    let is_ours = id.len() == 16 && id.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    if is_ours { u64::from_str_radix(id, 16).ok() } else { None }
}

/// A direction, from the client's point of view: whether it sends.
pub(super) fn sends(direction: &str) -> Result<bool, RequestError> {
    match direction {
        "send" => Ok(true),
        "recv" => Ok(false),
        _ => Err(RequestError::bad("direction must be \"send\" or \"recv\"")),
    }
}

pub(super) fn check_permission(
    permissions: crate::auth::token::Permissions,
    sends: bool,
) -> Result<(), RequestError> {
    if sends {
        permitted(permissions.can_publish, "canPublish")
    } else {
        permitted(permissions.can_subscribe, "canSubscribe")
    }
}

/// Refuses what needs a claim that the token does not have.
pub(super) fn permitted(allowed: bool, claim: &str) -> Result<(), RequestError> {
    if allowed {
        return Ok(());
    }
    Err(RequestError::new(ErrorCode::TokenPermission, format!("the token's permissions do not have {claim}")))
}

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

/// A producer of somebody else in the same room, confirmed by the engine.
pub(super) fn others_producer(state: &State, peer: PeerId, id: &str) -> Result<ProducerId, RequestError> {
    let id = parse_id(id).map(ProducerId);
    let found = id.filter(|id| {
        let owner =
            state.producers.get(id).filter(|producer| producer.made.is_some()).map(|producer| producer.peer);
        let room = |peer: PeerId| state.peers.get(&peer).map(|peer| &peer.room);
        owner.is_some_and(|owner| owner != peer && room(owner) == room(peer))
    });
    found.ok_or_else(|| {
        RequestError::new(
            ErrorCode::NoSuchProducer,
            "nobody else in this room has a producer with this id (any more)",
        )
    })
}

pub(super) fn not_joined() -> RequestError {
    RequestError::new(ErrorCode::NotJoined, "this peer is not in its room any more")
}

/// It was made, and was closed before the answer arrived.
pub(super) fn gone() -> RequestError {
    RequestError::new(ErrorCode::EngineUnavailable, "it was closed again while it was being made; try again")
        .retry_after(std::time::Duration::from_millis(500))
}

pub(super) fn wrong_answer(event: &Event) -> RequestError {
    tracing::error!(event = ?event, "the engine gave an answer to another question");
    RequestError::new(
        ErrorCode::Internal,
        "the media engine's answer makes no sense; the server's log has more",
    )
}
