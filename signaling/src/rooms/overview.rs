//! Which rooms there are and who is in them, for interfaces other than the signal protocol.

use super::Rooms;
use super::state::PeerId;
use crate::presence::RoomRef;

/// A peer of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerOverview {
    /// Its id.
    pub id: PeerId,
    /// Its user.
    pub user: String,
    /// The name that other peers see.
    pub display_name: String,
    /// False while its connection is lost.
    pub is_connected: bool,
    /// Number of its producers that were announced to the other peers.
    pub producer_count: usize,
}

impl Rooms {
    /// The names of at most `count` rooms of a project that come after this name, in order.
    pub fn room_names(&self, project: &str, after: Option<&str>, count: usize) -> Vec<String> {
        let state = self.state();
        let names = state.rooms.iter().filter(|(key, room)| key.project == project && !room.peers.is_empty());
        let mut names: Vec<&str> = names.map(|(key, _)| key.name.as_str()).collect();
        names.retain(|name| after.is_none_or(|after| *name > after));
        if names.len() > count {
            names.select_nth_unstable(count);
            names.truncate(count);
        }
        names.sort_unstable();
        names.into_iter().map(str::to_owned).collect()
    }

    /// The peers of a room, by id, without hidden ones; `None` if there are none.
    pub fn participants(&self, room: &RoomRef) -> Option<Vec<PeerOverview>> {
        let state = self.state();
        let peers = &state.rooms.get(&room.clone().into())?.peers;
        let overview = |id: &PeerId| {
            let peer = state.peers.get(id).filter(|peer| !peer.permissions.hidden)?;
            let producers = state.producers_of(*id).filter_map(|id| state.producer_info(id));
            Some(PeerOverview {
                id: *id,
                user: peer.user.clone(),
                display_name: peer.display_name.clone(),
                is_connected: peer.socket.is_some(),
                producer_count: producers.count(),
            })
        };
        let peers: Vec<PeerOverview> = peers.iter().filter_map(overview).collect();
        (!peers.is_empty()).then_some(peers)
    }
}
