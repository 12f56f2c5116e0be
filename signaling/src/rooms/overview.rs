//! The rooms and their peers, for interfaces other than the signal protocol.

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
    /// The names of at most `count` occupied rooms of a project that come after this name, in order.
    pub fn room_names(&self, project: &str, after: Option<&str>, count: usize) -> Vec<String> {
        let state = self.state();
        let names = state.rooms.iter().filter(|(key, room)| {
            key.project == project
                && after.is_none_or(|after| key.name.as_str() > after)
                && room.peers.iter().any(|id| state.is_visible(*id))
        });
        let mut names: Vec<&str> = names.map(|(key, _)| key.name.as_str()).collect();
        if names.len() > count {
            names.select_nth_unstable(count);
            names.truncate(count);
        }
        names.sort_unstable();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Number of peers in a room, without hidden ones.
    pub fn participant_count(&self, room: &RoomRef) -> usize {
        let state = self.state();
        let room = state.rooms.get(&room.clone().into());
        room.map_or(0, |room| room.peers.iter().filter(|id| state.is_visible(**id)).count())
    }

    /// Whether a room has peers that are not hidden.
    pub fn is_occupied(&self, room: &RoomRef) -> bool {
        let state = self.state();
        let room = state.rooms.get(&room.clone().into());
        room.is_some_and(|room| room.peers.iter().any(|id| state.is_visible(*id)))
    }

    /// The peers of a room, by id, without hidden ones.
    pub fn participants(&self, room: &RoomRef) -> Vec<PeerOverview> {
        let state = self.state();
        let Some(room) = state.rooms.get(&room.clone().into()) else { return Vec::new() };
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
        room.peers.iter().filter_map(overview).collect()
    }
}
