//! The rooms and their peers, for interfaces other than the signal protocol.

use super::Rooms;
use super::lookup::{no_such_peer, parse_id};
use super::room_key::RoomKey;
use super::state::{PeerId, Room, State};
use crate::auth::token::Permissions;
use crate::ortc;
use crate::presence::RoomRef;
use crate::request_error::RequestError;
use std::ops::Bound;

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

/// A room, for administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomOverview {
    /// Its name.
    pub name: String,
    /// Number of its peers.
    pub peer_count: usize,
    /// Number of clients that wait to be admitted.
    pub waiting_count: usize,
    /// Maximum number of peers; `None`: that of the server.
    pub peers_max: Option<usize>,
    /// Whether only administrators may join.
    pub is_locked: bool,
    /// Whether others wait until they are admitted.
    pub has_waiting_room: bool,
    /// Whether only administrators may publish.
    pub admins_publish: bool,
    /// Whether clients encrypt end to end.
    pub is_encrypted: bool,
    /// Number of bans.
    pub ban_count: usize,
}

/// A peer of a room, for administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerDetails {
    /// Its id.
    pub id: PeerId,
    /// Its user.
    pub user: String,
    /// The name that other peers see.
    pub display_name: String,
    /// What the application stored with it.
    pub metadata: String,
    /// False while its connection is lost.
    pub is_connected: bool,
    /// What it may do.
    pub permissions: Permissions,
    /// Whether an administrator muted its audio.
    pub is_audio_muted: bool,
    /// Whether an administrator muted its video.
    pub is_video_muted: bool,
    /// Its tracks that were announced to the other peers.
    pub producers: Vec<ProducerOverview>,
}

/// A track of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerOverview {
    /// Its id.
    pub id: String,
    /// "audio" or "video".
    pub kind: &'static str,
    /// For example "camera".
    pub source: String,
    /// Whether it sends nothing: its client paused it, or an administrator muted it.
    pub is_paused: bool,
    /// Whether an administrator muted it.
    pub is_muted: bool,
}

/// What exists in one project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "as in `RoomCounts`")]
pub struct ProjectCounts {
    pub rooms: usize,
    pub peers: usize,
    pub peers_away: usize,
    pub waiting: usize,
    pub producers: usize,
    pub consumers: usize,
    pub data_producers: usize,
    pub data_consumers: usize,
}

impl Rooms {
    /// At most `count` rooms of a project that come after this name, in order. Without `with_hidden`, hidden
    /// peers do not count.
    pub fn room_page(
        &self,
        project: &str,
        after: Option<&str>,
        count: usize,
        with_hidden: bool,
    ) -> Vec<RoomOverview> {
        let state = self.state();
        let is_next =
            |key: &RoomKey| key.project == project && after.is_none_or(|after| key.name.as_str() > after);
        let mut found: Vec<_> = state
            .rooms
            .iter()
            .filter(|(key, room)| is_next(key) && room.is_seen(&state, with_hidden))
            .collect();
        if found.len() > count {
            found.select_nth_unstable_by(count, |a, b| a.0.name.cmp(&b.0.name));
            found.truncate(count);
        }
        found.sort_unstable_by(|a, b| a.0.name.cmp(&b.0.name));
        found.into_iter().map(|(key, room)| room.overview(&state, key, with_hidden)).collect()
    }

    /// A room that exists.
    pub fn room_overview(&self, room: &RoomKey, with_hidden: bool) -> Option<RoomOverview> {
        let state = self.state();
        let found = state.rooms.get(room).filter(|found| found.is_seen(&state, with_hidden))?;
        Some(found.overview(&state, room, with_hidden))
    }

    /// At most `count` peers of a room after this one, by id. `None` if there is no such room.
    pub fn peer_page(
        &self,
        room: &RoomKey,
        after: Option<PeerId>,
        count: usize,
        with_hidden: bool,
    ) -> Option<Vec<PeerDetails>> {
        let state = self.state();
        let found = state.rooms.get(room).filter(|found| found.is_seen(&state, with_hidden))?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let ids = found.peers.range((start, Bound::Unbounded));
        let seen = ids.filter(|id| with_hidden || state.is_visible(**id));
        Some(seen.filter_map(|id| state.peer_details(*id)).take(count).collect())
    }

    /// The peer with this id in a room.
    pub fn peer_details(
        &self,
        room: &RoomKey,
        id: &str,
        with_hidden: bool,
    ) -> Result<PeerDetails, RequestError> {
        let state = self.state();
        let is_here = |id: &PeerId| {
            state.peers.get(id).is_some_and(|peer| peer.room == *room)
                && (with_hidden || state.is_visible(*id))
        };
        let found = parse_id(id).map(PeerId).filter(is_here);
        found.and_then(|id| state.peer_details(id)).ok_or_else(no_such_peer)
    }

    /// What exists in a project now.
    pub fn project_counts(&self, project: &str) -> ProjectCounts {
        let state = self.state();
        let rooms = state.rooms.keys().filter(|room| room.project == project).count();
        let waiting = state.waiting.values().filter(|client| client.room.project == project).count();
        let mut counts = ProjectCounts { rooms, waiting, ..ProjectCounts::default() };
        for (id, peer) in state.peers.iter().filter(|(_, peer)| peer.room.project == project) {
            *(if peer.socket.is_some() { &mut counts.peers } else { &mut counts.peers_away }) += 1;
            for transport in state.transports_of(*id) {
                counts.producers += transport.producers.len();
                counts.consumers += transport.consumers.len();
                counts.data_producers += transport.data_producers.len();
                counts.data_consumers += transport.data_consumers.len();
            }
        }
        counts
    }

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

impl Room {
    fn is_seen(&self, state: &State, with_hidden: bool) -> bool {
        with_hidden || self.peers.iter().any(|id| state.is_visible(*id))
    }

    fn overview(&self, state: &State, key: &RoomKey, with_hidden: bool) -> RoomOverview {
        RoomOverview {
            name: key.name.clone(),
            peer_count: self.peers.iter().filter(|id| with_hidden || state.is_visible(**id)).count(),
            waiting_count: self.waiting.len(),
            peers_max: self.policy.peers_max,
            is_locked: self.policy.locked,
            has_waiting_room: self.policy.waiting_room,
            admins_publish: self.policy.admins_publish,
            is_encrypted: self.policy.encrypted,
            ban_count: self.policy.bans.len(),
        }
    }
}

impl State {
    fn peer_details(&self, id: PeerId) -> Option<PeerDetails> {
        let peer = self.peers.get(&id)?;
        let announced = self.producers_of(id).filter_map(|id| {
            let producer = self.producers.get(&id).filter(|producer| producer.is_announced())?;
            Some(ProducerOverview {
                id: id.to_string(),
                kind: ortc::kind_name(producer.kind),
                source: producer.source.clone(),
                is_paused: producer.paused,
                is_muted: producer.muted,
            })
        });
        Some(PeerDetails {
            id,
            user: peer.user.clone(),
            display_name: peer.display_name.clone(),
            metadata: peer.metadata.clone(),
            is_connected: peer.socket.is_some(),
            permissions: peer.permissions.clone(),
            is_audio_muted: peer.mute.audio,
            is_video_muted: peer.mute.video,
            producers: announced.collect(),
        })
    }
}
