//! An administrator changes the policy of a room: who may enter and publish.

use super::Rooms;
use super::author::Author;
use super::lookup::not_joined;
use super::restrictions::{ADMINS, EVERYONE, Policy};
use super::room_key::RoomKey;
use super::state::{PeerId, State};
use super::transports::room_updates;
use crate::limits;
use crate::proto::{self, RoomChanged, SetRoom, signal::Payload};
use crate::request_error::RequestError;
use crate::token_bucket::TokenBucket;
use std::time::Instant;

impl Rooms {
    /// Changes the policy of the room, closes what the new one does not permit, and notifies all peers.
    pub(super) fn set_room(&self, peer: PeerId, set: &SetRoom) -> Result<(), RequestError> {
        let mut state = self.state();
        let author = state.author(peer)?;
        self.set_room_by(&mut state, &author, set)
    }

    pub(super) fn set_room_by(
        &self,
        state: &mut State,
        author: &Author,
        set: &SetRoom,
    ) -> Result<(), RequestError> {
        let max = set.max_peers.map(|max| max as usize);
        if max.is_some_and(|max| max > limits::PEERS_PER_ROOM_MAX) {
            let text = format!(
                "maxPeers must be at most {}, or 0 for no maximum of this room",
                limits::PEERS_PER_ROOM_MAX
            );
            return Err(RequestError::bad(text));
        }
        let admins_publish = match set.publishers.as_deref() {
            None => None,
            Some(EVERYONE) => Some(false),
            Some(ADMINS) => Some(true),
            Some(_) => return Err(RequestError::bad("publishers must be \"everyone\" or \"admins\"")),
        };
        let room = author.room.clone();
        let entry = state.rooms.get_mut(&room).ok_or_else(not_joined)?;
        let before = entry.policy.clone();
        let policy = Policy {
            peers_max: max.map_or(before.peers_max, |max| Some(max).filter(|max| *max != 0)),
            locked: set.locked.unwrap_or(before.locked),
            waiting_room: set.waiting_room.unwrap_or(before.waiting_room),
            admins_publish: admins_publish.unwrap_or(before.admins_publish),
            encrypted: set.encrypted.unwrap_or(before.encrypted),
            bans: if set.clear_bans == Some(true) { Vec::new() } else { before.bans.clone() },
            revision: before.revision,
        };
        if policy == before {
            return Ok(());
        }
        let (rate, burst) = (limits::ROOM_CHANGES_PER_SECOND, limits::ROOM_CHANGES_BURST);
        TokenBucket::take_of(&mut entry.changes, rate, burst, Instant::now())
            .map_err(|pause| RequestError::limit("too many changes of this room").retry_after(pause))?;
        entry.policy = Policy { revision: before.revision.wrapping_add(1), ..policy };
        let message = entry.policy.message();
        tracing::info!(roomId = %room, by = author.by(), policy = ?entry.policy, "an administrator changed a room");
        let proto::RoomPolicy { max_peers, locked, waiting_room, publishers, encrypted, bans } = &message;
        let details = format!(
            "max_peers {max_peers}; locked {locked}; waiting_room {waiting_room}; publishers {publishers}; \
             encrypted {encrypted}; bans {bans}"
        );
        self.record(author, "room.set", None, details, Vec::new());
        self.close_what_policy_denies(state, &room);
        for (worker, command) in room_updates(state, &room) {
            self.node.tell(worker, command);
        }
        state.broadcast(&room, None, Payload::RoomChanged(RoomChanged { policy: Some(message) }));
        Ok(())
    }

    fn close_what_policy_denies(&self, state: &mut State, room: &RoomKey) {
        let peers: Vec<_> =
            state.rooms.get(room).into_iter().flat_map(|room| room.peers.iter().copied()).collect();
        for peer in peers {
            self.close_forbidden(state, peer);
        }
    }
}
