//! Events of the rooms for other processes: what is published when a table changes.

use super::room_key::RoomKey;
use super::session::SessionState;
use super::state::{Peer, PeerId, Producer, State};
use crate::ortc;
use bus::{Participant, Track, What};
use control::ProducerId;

impl State {
    /// Before a peer is entered in the tables: it may be the first of its room.
    pub(super) fn publish_joined(&self, id: PeerId, peer: &Peer) {
        if !self.rooms.contains_key(&peer.room) {
            self.observer.publish(&peer.room, || What::RoomCreated);
        }
        self.observer.publish(&peer.room, || What::ParticipantJoined { participant: participant(id, peer) });
    }

    pub(super) fn publish_left(&self, id: PeerId, peer: &Peer) {
        self.observer.publish(&peer.room, || What::ParticipantLeft { participant: participant(id, peer) });
    }

    /// After a peer has left.
    pub(super) fn publish_quality(&self, id: PeerId, peer: &Peer) {
        let what =
            || What::SessionQuality { participant: participant(id, peer), quality: peer.quality.result() };
        self.observer.publish(&peer.room, what);
    }

    pub(super) fn publish_room_closed(&self, room: &RoomKey) {
        self.observer.publish(room, || What::RoomClosed);
    }

    pub(super) fn publish_session(&self, id: PeerId, from: SessionState, to: SessionState) {
        let Some(peer) = self.peers.get(&id) else { return };
        let what = || What::SessionState {
            participant: participant(id, peer),
            from: from.name().to_owned(),
            to: to.name().to_owned(),
        };
        self.observer.publish(&peer.room, what);
    }

    /// After a producer was confirmed. Nothing, if the others are not notified of it.
    pub(super) fn publish_track(&self, id: ProducerId) {
        let Some((peer, producer)) = self.announced(id) else { return };
        let (participant, track) = (participant(producer.peer, peer), track(id, producer));
        self.observer.publish(&peer.room, || What::TrackPublished { participant, track });
    }

    /// A producer has ended while its peer stays; the others knew of it.
    pub(super) fn publish_track_ended(&self, id: ProducerId, producer: &Producer) {
        let Some(peer) = self.peers.get(&producer.peer) else { return };
        let what = || What::TrackUnpublished {
            participant: participant(producer.peer, peer),
            track: track(id, producer),
        };
        self.observer.publish(&peer.room, what);
    }

    /// All producers end: the engine is gone.
    pub(super) fn publish_tracks_ended(&self) {
        let announced = self.producers.iter().filter(|(_, producer)| producer.is_announced());
        announced.for_each(|(id, producer)| self.publish_track_ended(*id, producer));
    }

    fn announced(&self, id: ProducerId) -> Option<(&Peer, &Producer)> {
        let producer = self.producers.get(&id).filter(|producer| producer.is_announced())?;
        Some((self.peers.get(&producer.peer)?, producer))
    }
}

fn participant(id: PeerId, peer: &Peer) -> Participant {
    Participant { id: id.to_string(), user: peer.user.clone(), name: peer.display_name.clone() }
}

fn track(id: ProducerId, producer: &Producer) -> Track {
    Track {
        id: id.to_string(),
        kind: ortc::kind_name(producer.kind).to_owned(),
        source: producer.source.clone(),
    }
}
