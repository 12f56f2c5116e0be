//! An administrator changes what a peer may do in its room: whether it is an administrator too, publishes,
//! receives, and sends data. That applies until the peer leaves, also with a new token.

use super::Rooms;
use super::author::Author;
use super::lookup::not_joined;
use super::restrictions::{Overrides, granted};
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
        let author = state.author(peer)?;
        let target =
            if set.peer_id == peer.to_string() { peer } else { author.target(&state, &set.peer_id)? };
        let changes = Overrides { admin: Some(set.admin), ..Overrides::default() };
        self.set_permissions_by(&mut state, &author, target, changes)
    }

    /// Changes these permissions of a peer of the author's room, until it leaves.
    pub(super) fn set_permissions_by(
        &self,
        state: &mut State,
        author: &Author,
        target: PeerId,
        changes: Overrides,
    ) -> Result<(), RequestError> {
        let found = state.peers.get(&target).ok_or_else(not_joined)?;
        let (room, user, is_hidden) = (found.room.clone(), found.user.clone(), found.permissions.hidden);
        let before = found.permissions.clone();
        let after = changes.applied_to(before.clone());
        if before == after {
            return Ok(());
        }
        let entry = state.rooms.get_mut(&room).ok_or_else(not_joined)?;
        let (rate, burst) = (limits::ROOM_CHANGES_PER_SECOND, limits::ROOM_CHANGES_BURST);
        TokenBucket::take_of(&mut entry.changes, rate, burst, Instant::now())
            .map_err(|pause| RequestError::limit("too many changes of this room").retry_after(pause))?;
        if let Some(found) = state.peers.get_mut(&target) {
            found.overrides = found.overrides.with(changes);
            found.permissions = after.clone();
        }
        tracing::info!(roomId = %room, userId = %user, peerId = %target, by = author.by(), ?changes, "an administrator changed the permissions of a peer");
        if before.admin != after.admin {
            let action = if after.admin { "admin.grant" } else { "admin.end" };
            self.record(author, action, Some(&user), String::new(), Vec::new());
        }
        let details = changes.details();
        if !details.is_empty() {
            self.record(author, "peer.permissions", Some(&user), details, Vec::new());
        }
        self.close_forbidden(state, target);
        let waiting = if after.admin && !before.admin { state.waiting_for(&room) } else { Vec::new() };
        let permissions = state.peers.get(&target).map(|peer| granted(&peer.permissions));
        state.send(target, Payload::PermissionsChanged(PermissionsChanged { permissions, waiting }));
        if before.admin != after.admin
            && let Some(changed) = state.peer_changed(target).filter(|_| !is_hidden)
        {
            state.broadcast(&room, Some(target), Payload::PeerChanged(changed));
        }
        for (worker, command) in peer_updates(state, target) {
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
