//! The tracks of a room that a client may play.

use crate::rooms::negotiator::Plan;
use crate::rooms::state::{Peer, PeerId, State};
use control::{Kind, ProducerId};

/// A track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Playable {
    pub(super) producer: ProducerId,
    pub(super) peer: PeerId,
    pub(super) kind: Kind,
    /// Whether its peer is the active speaker.
    pub(super) is_featured: bool,
}

impl State {
    /// The tracks that a client may play by its plan, in the order in which their peers joined.
    pub(super) fn playable(&self, id: PeerId, plan: &Plan) -> Vec<Playable> {
        let Some(room) = self.peers.get(&id).and_then(|peer| self.rooms.get(&peer.room)) else {
            return Vec::new();
        };
        let mut others: Vec<(PeerId, &Peer)> = room
            .peers
            .iter()
            .filter(|other| **other != id && self.is_visible(**other))
            .filter_map(|other| Some((*other, self.peers.get(other)?)))
            .filter(|_| *plan != Plan::Nothing)
            .collect();
        if let Plan::Fill { only: Some(name), .. } = plan {
            // A display name is chosen by its client, so an id or a user comes first.
            let is_by_id = |(other, _): &(PeerId, &Peer)| other.to_string() == *name;
            let is_by_user = |(_, peer): &(PeerId, &Peer)| peer.user == *name;
            let (by_id, by_user) = (others.iter().any(is_by_id), others.iter().any(is_by_user));
            others.retain(|other| match (by_id, by_user) {
                (true, _) => is_by_id(other),
                (false, true) => is_by_user(other),
                (false, false) => other.1.display_name == *name,
            });
        }
        others.sort_by_key(|(other, peer)| (peer.joined, *other));
        let mut found = Vec::new();
        for (peer, _) in others {
            let mut tracks: Vec<_> = self
                .producers_of(peer)
                .filter_map(|producer| Some((producer, self.producers.get(&producer)?)))
                .filter(|(producer, track)| {
                    track.is_announced() && self.check_subscriber(*producer, id).is_ok()
                })
                .collect();
            tracks.sort_by_key(|(producer, track)| (track.created_by, *producer));
            found.extend(tracks.into_iter().map(|(producer, track)| Playable {
                producer,
                peer,
                kind: track.kind,
                is_featured: room.dominant == Some(peer),
            }));
        }
        found
    }
}
