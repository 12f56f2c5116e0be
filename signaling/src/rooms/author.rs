//! The administrators that act on a room: a peer in it, or a client of the HTTP API outside of it.

use super::lookup::{no_such_peer, not_joined, others_peer, parse_id, permitted};
use super::room_key::RoomKey;
use super::state::{PeerId, State};
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use stores::accounts::Actor;

/// An administrator that acts on a room.
#[derive(Clone, Debug)]
pub(super) struct Author {
    /// The room.
    pub(super) room: RoomKey,
    /// `None` outside of the room.
    pub(super) peer: Option<PeerId>,
    /// For the audit log.
    pub(super) actor: Actor,
}

impl State {
    /// A peer that acts on its room, if it is an administrator.
    pub(super) fn author(&self, peer: PeerId) -> Result<Author, RequestError> {
        let found = self.peers.get(&peer).ok_or_else(not_joined)?;
        permitted(found.permissions.admin, "admin")?;
        let actor = Actor::Participant(found.user.clone());
        Ok(Author { room: found.room.clone(), peer: Some(peer), actor })
    }

    /// An administrator outside of this room, which must exist.
    pub(super) fn outside_author(&self, room: &RoomKey, actor: &Actor) -> Result<Author, RequestError> {
        if !self.rooms.contains_key(room) {
            let text = format!("there is no room {:?} (any more): it is empty", room.name);
            return Err(RequestError::new(ErrorCode::NoSuchPeer, text));
        }
        Ok(Author { room: room.clone(), peer: None, actor: actor.clone() })
    }
}

impl Author {
    /// A peer of the room other than the author, also a hidden one.
    pub(super) fn target(&self, state: &State, id: &str) -> Result<PeerId, RequestError> {
        if let Some(peer) = self.peer {
            return others_peer(state, peer, id);
        }
        let found = parse_id(id).map(PeerId);
        let is_here = |id: &PeerId| state.peers.get(id).is_some_and(|peer| peer.room == self.room);
        found.filter(is_here).ok_or_else(no_such_peer)
    }

    /// For the log.
    pub(super) fn by(&self) -> String {
        self.peer.map_or_else(|| self.actor.to_string(), |peer| peer.to_string())
    }
}
