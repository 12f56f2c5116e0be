//! An administrator of a room makes another peer an administrator, or ends that.

use super::Rooms;
use super::kick::check_admin;
use super::lookup::{not_joined, others_peer};
use super::restrictions::granted;
use super::state::{PeerId, State};
use super::transports::peer_updates;
use crate::limits;
use crate::proto::{PeerChanged, PermissionsChanged, SetAdmin, signal::Payload};
use crate::request_error::RequestError;
use crate::token_bucket::TokenBucket;
use std::time::Instant;

impl Rooms {
    /// Changes the role of another peer, or of this one. It applies until that peer leaves.
    pub(super) fn set_admin(&self, peer: PeerId, set: &SetAdmin) -> Result<(), RequestError> {
        let mut state = self.state();
        check_admin(&state, peer)?;
        let target =
            if set.peer_id == peer.to_string() { peer } else { others_peer(&state, peer, &set.peer_id)? };
        let found = state.peers.get(&target).ok_or_else(not_joined)?;
        let (room, user, is_hidden) = (found.room.clone(), found.user.clone(), found.permissions.hidden);
        if found.permissions.admin == set.admin {
            return Ok(());
        }
        let entry = state.rooms.get_mut(&room).ok_or_else(not_joined)?;
        let (rate, burst) = (limits::ROOM_CHANGES_PER_SECOND, limits::ROOM_CHANGES_BURST);
        TokenBucket::take_of(&mut entry.changes, rate, burst, Instant::now())
            .map_err(|pause| RequestError::limit("too many changes of this room").retry_after(pause))?;
        if let Some(found) = state.peers.get_mut(&target) {
            found.role = Some(set.admin);
            found.permissions.admin = set.admin;
        }
        tracing::info!(roomId = %room, userId = %user, peerId = %target, by = %peer, admin = set.admin, "an administrator changed the role of a peer");
        let action = if set.admin { "admin.grant" } else { "admin.end" };
        self.record(&state, peer, action, Some(&user), String::new(), Vec::new());
        self.close_forbidden(&mut state, target);
        let waiting = if set.admin { state.waiting_for(&room) } else { Vec::new() };
        let permissions = state.peers.get(&target).map(|peer| granted(&peer.permissions));
        state.send(target, Payload::PermissionsChanged(PermissionsChanged { permissions, waiting }));
        if let Some(changed) = state.peer_changed(target).filter(|_| !is_hidden) {
            state.broadcast(&room, Some(target), Payload::PeerChanged(changed));
        }
        for (worker, command) in peer_updates(&state, target) {
            self.node.tell(worker, command);
        }
        Ok(())
    }
}

impl State {
    /// What the others see of a peer.
    pub(super) fn peer_changed(&self, id: PeerId) -> Option<PeerChanged> {
        let peer = self.peers.get(&id)?;
        Some(PeerChanged {
            peer_id: id.to_string(),
            display_name: peer.display_name.clone(),
            metadata: peer.metadata.clone(),
            admin: peer.permissions.admin,
        })
    }
}
