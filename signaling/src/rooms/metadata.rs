//! Changes of a peer's display name and metadata.

use super::Rooms;
use super::join::{check_display_name, shown_name};
use super::lookup::{not_joined, permitted};
use super::state::PeerId;
use super::transports::peer_updates;
use crate::limits;
use crate::presence::Now;
use crate::proto::{SetMetadata, signal::Payload};
use crate::request_error::RequestError;

impl Rooms {
    pub(super) fn set_metadata(&self, peer: PeerId, set: SetMetadata) -> Result<(), RequestError> {
        if let Some(name) = &set.display_name {
            check_display_name(name)?;
        }
        if set.metadata.as_ref().is_some_and(|metadata| metadata.len() > limits::METADATA_BYTES_MAX) {
            let text = format!("metadata must have at most {} bytes", limits::METADATA_BYTES_MAX);
            return Err(RequestError::bad(text));
        }
        let updates = {
            let mut state = self.state();
            let found = state.peers.get_mut(&peer).ok_or_else(not_joined)?;
            permitted(found.permissions.can_update_own_metadata, "canUpdateOwnMetadata")?;
            found.count_change()?;
            if let Some(name) = set.display_name {
                found.display_name = shown_name(None, &name, &found.user);
            }
            found.metadata = set.metadata.unwrap_or_else(|| std::mem::take(&mut found.metadata));
            let (room, is_hidden) = (found.room.clone(), found.permissions.hidden);
            let display_name = found.display_name.clone();
            state.presence.rename(peer.0, &display_name, Now::read());
            if let Some(changed) = state.peer_changed(peer).filter(|_| !is_hidden) {
                state.broadcast(&room, Some(peer), Payload::PeerChanged(changed));
            }
            peer_updates(&state, peer)
        };
        for (worker, command) in updates {
            self.node.tell(worker, command);
        }
        Ok(())
    }
}
