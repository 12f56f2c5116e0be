//! Messages of the application from peer to peer: chat, reactions, keys of the encryption.

use super::Rooms;
use super::lookup::{not_joined, others_peer, permitted};
use super::state::{PeerId, State};
use crate::limits;
use crate::proto::{ErrorCode, PeerMessage, SendMessage, signal::Payload};
use crate::request_error::RequestError;
use crate::token_bucket::TokenBucket;
use std::collections::BTreeSet;
use std::time::Instant;

impl Rooms {
    /// Sends a message to other peers of the room. The server does not store it.
    pub(super) fn send_message(&self, peer: PeerId, send: SendMessage) -> Result<(), RequestError> {
        check(&send)?;
        let mut state = self.state();
        let sender = state.peers.get(&peer).ok_or_else(not_joined)?;
        permitted(sender.permissions.can_publish_data, "canPublishData")?;
        if sender.permissions.hidden {
            // The others would get the id of a peer that they cannot see.
            return Err(RequestError::new(ErrorCode::TokenPermission, "a hidden peer cannot send messages"));
        }
        let receivers = receivers(&state, peer, &send.to)?;
        count(&mut state, peer, send.body.len(), receivers.len())?;
        let message = Payload::PeerMessage(PeerMessage {
            peer_id: peer.to_string(),
            topic: send.topic,
            body: send.body,
            direct: !send.to.is_empty(),
        });
        state.send_to(receivers, message);
        Ok(())
    }
}

fn check(send: &SendMessage) -> Result<(), RequestError> {
    let is_name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    let topic = send.topic.as_bytes();
    if topic.is_empty() || topic.len() > limits::TOPIC_LEN_MAX || !topic.iter().all(|c| is_name(*c)) {
        let text = format!("topic must have 1 to {} of A-Z a-z 0-9 . _ -", limits::TOPIC_LEN_MAX);
        return Err(RequestError::bad(text));
    }
    if send.body.len() > limits::MESSAGE_BODY_BYTES_MAX {
        let text = format!(
            "body must have at most {} bytes, not {}",
            limits::MESSAGE_BODY_BYTES_MAX,
            send.body.len()
        );
        return Err(RequestError::bad(text));
    }
    if send.to.len() > limits::MESSAGE_RECEIVERS_MAX {
        let text = format!(
            "to must name at most {} peers; it is empty for all peers of the room",
            limits::MESSAGE_RECEIVERS_MAX
        );
        return Err(RequestError::bad(text));
    }
    Ok(())
}

/// The named peers that are in the room, or all others.
fn receivers(state: &State, peer: PeerId, to: &[String]) -> Result<BTreeSet<PeerId>, RequestError> {
    if to.is_empty() {
        let room = &state.peers.get(&peer).ok_or_else(not_joined)?.room;
        let all = state.rooms.get(room).into_iter().flat_map(|room| room.peers.iter().copied());
        return Ok(all.filter(|other| *other != peer).collect());
    }
    let found: BTreeSet<_> = to.iter().filter_map(|id| others_peer(state, peer, id).ok()).collect();
    if found.is_empty() {
        let text = "none of the peers in `to` is in the room (any more)";
        return Err(RequestError::new(ErrorCode::NoSuchPeer, text));
    }
    Ok(found)
}

/// Counts a message in the quotas of its sender and of the room.
fn count(state: &mut State, peer: PeerId, body: usize, receivers: usize) -> Result<(), RequestError> {
    let now = Instant::now();
    let sender = state.peers.get_mut(&peer).ok_or_else(not_joined)?;
    let (rate, burst) = (limits::MESSAGE_BYTES_PER_SECOND, limits::MESSAGE_BYTES_BURST);
    let cost = (body + limits::RELAYED_OVERHEAD).max(receivers * limits::RELAYED_PER_RECEIVER);
    let bucket = sender.messages.get_or_insert_with(|| TokenBucket::new(rate, burst, now));
    bucket
        .take_some(cost as f64, now)
        .map_err(|pause| RequestError::limit("too many messages of this peer").retry_after(pause))?;
    let room = state.rooms.get_mut(&sender.room).ok_or_else(not_joined)?;
    let (rate, burst) = (limits::DELIVERIES_PER_SECOND, limits::DELIVERIES_BURST);
    let bucket = room.deliveries.get_or_insert_with(|| TokenBucket::new(rate, burst, now));
    bucket
        .take_some(receivers as f64, now)
        .map_err(|pause| RequestError::limit("too many messages in this room").retry_after(pause))
}
