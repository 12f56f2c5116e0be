//! What an administrator does from outside of a room, over the HTTP API: the same as administrators in the room.

use super::Rooms;
use super::restrictions::Overrides;
use super::room_key::RoomKey;
use super::state::PeerId;
use crate::limits;
use crate::media_node::{AskError, Worker};
use crate::proto::{self, Kick, MutePeer, SetRoom};
use crate::request_error::RequestError;
use control::{Command, Event, StatsOf};
use stores::accounts::Actor;

/// An administrator, and the room on which it acts.
#[derive(Clone)]
pub struct Operator<'a> {
    rooms: &'a Rooms,
    room: RoomKey,
    actor: Actor,
}

/// Statistics of the objects of a peer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerStats {
    /// Of each object.
    pub objects: Vec<proto::Stats>,
    /// Whether objects are missing, because the peer has more than [`limits::API_STATS_OBJECTS_MAX`].
    pub is_truncated: bool,
}

impl Rooms {
    /// An administrator that acts on a room, recorded as `actor` in the audit log. The caller has checked its
    /// rights.
    pub fn operator(&self, room: RoomKey, actor: Actor) -> Operator<'_> {
        Operator { rooms: self, room, actor }
    }
}

impl Operator<'_> {
    /// Ends the call: removes all peers, and refuses the clients that wait.
    pub fn end(&self, reason: &str) -> Result<(), RequestError> {
        let mut state = self.rooms.state();
        let author = state.outside_author(&self.room, &self.actor)?;
        self.rooms.end_room_by(&mut state, &author, reason)
    }

    /// Changes the policy of the room.
    pub fn set(&self, set: &SetRoom) -> Result<(), RequestError> {
        let mut state = self.rooms.state();
        let author = state.outside_author(&self.room, &self.actor)?;
        self.rooms.set_room_by(&mut state, &author, set)
    }

    /// Removes a peer, and bans its user or revokes its token.
    pub fn kick(&self, kick: &Kick) -> Result<(), RequestError> {
        let mut state = self.rooms.state();
        let author = state.outside_author(&self.room, &self.actor)?;
        self.rooms.kick_by(&mut state, &author, kick)
    }

    /// Mutes a peer, or ends that.
    pub async fn mute(&self, mute: &MutePeer) -> Result<(), RequestError> {
        let target = {
            let mut state = self.rooms.state();
            let author = state.outside_author(&self.room, &self.actor)?;
            self.rooms.mute_peer_by(&mut state, &author, mute)?
        };
        self.rooms.apply_mute(target).await
    }

    /// Changes permissions of a peer, until it leaves.
    pub fn set_permissions(&self, peer: &str, changes: Overrides) -> Result<(), RequestError> {
        let mut state = self.rooms.state();
        let author = state.outside_author(&self.room, &self.actor)?;
        let target = author.target(&state, peer)?;
        self.rooms.set_permissions_by(&mut state, &author, target, changes)
    }

    /// The engine's statistics of the transports, producers and consumers of a peer.
    pub async fn stats(&self, peer: &str) -> Result<PeerStats, RequestError> {
        let (objects, is_truncated) = {
            let state = self.rooms.state();
            let target = state.outside_author(&self.room, &self.actor)?.target(&state, peer)?;
            let mut objects = self.objects(&state, target);
            let is_truncated = objects.len() > limits::API_STATS_OBJECTS_MAX;
            objects.truncate(limits::API_STATS_OBJECTS_MAX);
            (objects, is_truncated)
        };
        let mut stats = PeerStats { objects: Vec::with_capacity(objects.len()), is_truncated };
        for (worker, of) in objects {
            match self.rooms.node.ask(worker, Command::Stats { of }).await {
                Ok(Event::Stats { item, .. }) => stats.objects.push(super::stats::stats(item)),
                Ok(other) => return Err(super::lookup::wrong_answer(&other)),
                // It was closed meanwhile.
                Err(AskError::Refused { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(stats)
    }

    /// The confirmed objects of a peer, with their workers.
    fn objects(&self, state: &super::state::State, peer: PeerId) -> Vec<(Worker, StatsOf)> {
        let Some(found) = state.peers.get(&peer) else { return Vec::new() };
        let of_transport = |id: &control::TransportId| {
            let transport = state.transports.get(id).filter(|transport| transport.created_by.is_some())?;
            let producers = transport
                .producers
                .iter()
                .filter(|id| state.producers.get(id).is_some_and(|producer| producer.created_by.is_some()));
            let consumers = transport
                .consumers
                .iter()
                .filter(|id| state.consumers.get(id).is_some_and(|consumer| consumer.created_by.is_some()));
            let objects = std::iter::once(StatsOf::Transport(*id))
                .chain(producers.map(|id| StatsOf::Producer(*id)))
                .chain(consumers.map(|id| StatsOf::Consumer(*id)));
            let worker = transport.worker;
            Some(objects.map(move |of| (worker, of)).collect::<Vec<_>>())
        };
        found.transports.iter().filter_map(of_transport).flatten().collect()
    }
}
