//! Mutes by an administrator: the engine pauses the producers, and the client cannot resume them.
//!
//! A producer is paused if its client paused it or an administrator muted it. Both are kept apart, so that the
//! end of a mute does not resume what the client had paused.

use super::Rooms;
use super::author::Author;
use super::lookup::{gone, others_producer};
use super::restrictions::{Kinds, Mute, UserHash};
use super::room_key::RoomKey;
use super::state::{PeerId, Room, State};
use super::transports::peer_updates;
use crate::limits;
use crate::media_node::Worker;
use crate::proto::{self, ErrorCode, MutePeer, MuteProducer, signal::Payload};
use crate::request_error::RequestError;
use control::{Command, ProducerId};

impl Rooms {
    pub(super) async fn mute_peer(&self, peer: PeerId, mute: &MutePeer) -> Result<(), RequestError> {
        let target = {
            let mut state = self.state();
            let author = state.author(peer)?;
            self.mute_peer_by(&mut state, &author, mute)?
        };
        self.apply_mute(target).await
    }

    /// Enters the mute. [`Self::apply_mute`] of the result must follow.
    pub(super) fn mute_peer_by(
        &self,
        state: &mut State,
        author: &Author,
        mute: &MutePeer,
    ) -> Result<PeerId, RequestError> {
        let (audio, video) = match mute.kind.as_str() {
            "" => (true, true),
            "audio" => (true, false),
            "video" => (false, true),
            _ => return Err(RequestError::bad("kind must be \"audio\", \"video\" or empty for both")),
        };
        let target = author.target(state, &mute.peer_id)?;
        if let Some(peer) = author.peer {
            state.peers.get_mut(&peer).ok_or_else(gone)?.count_mute()?;
        }
        let kinds = Kinds { audio, video };
        let before = state.peers.get(&target).map(|peer| peer.mute.clone());
        let is_meant = |id: &ProducerId| state.producers.get(id).is_some_and(|of| kinds.contains(of.kind));
        let producers: Vec<_> = state.producers_of(target).filter(is_meant).collect();
        let muted = &mut state.peers.get_mut(&target).ok_or_else(gone)?.mute;
        // The mute of the peer includes those of single producers, and so does its end.
        muted.producers.retain(|id| !producers.contains(id));
        if audio {
            (muted.audio, muted.later.audio) = (mute.muted, false);
        }
        if video {
            (muted.video, muted.later.video) = (mute.muted, false);
        }
        if !mute.muted {
            state.forget_mute(target, kinds);
        }
        if state.peers.get(&target).map(|peer| &peer.mute) != before.as_ref() {
            let action = if mute.muted { "peer.mute" } else { "peer.unmute" };
            let what = if mute.kind.is_empty() { "audio and video" } else { &mute.kind };
            self.record(author, action, user_of(state, target), what.to_owned(), Vec::new());
        }
        Ok(target)
    }

    pub(super) async fn mute_producer(&self, peer: PeerId, mute: &MuteProducer) -> Result<(), RequestError> {
        let target = {
            let mut state = self.state();
            let author = state.author(peer)?;
            let first = others_producer(&state, peer, &mute.producer_id)?;
            let producer = state.producers.get(&first).ok_or_else(gone)?;
            let (target, kind, first) = (producer.peer, producer.kind, producer.backup_for.unwrap_or(first));
            state.peers.get_mut(&peer).ok_or_else(gone)?.count_mute()?;
            let before = state.peers.get(&target).map(|peer| peer.mute.clone());
            let muted = &mut state.peers.get_mut(&target).ok_or_else(gone)?.mute;
            if mute.muted {
                muted.producers.insert(first);
            } else {
                muted.producers.remove(&first);
                muted.later.set(kind, false);
                let mut kinds = Kinds::default();
                kinds.set(kind, true);
                state.forget_mute(target, kinds);
            }
            if state.peers.get(&target).map(|peer| &peer.mute) != before.as_ref() {
                let action = if mute.muted { "producer.mute" } else { "producer.unmute" };
                let details = format!("producer {first}");
                self.record(&author, action, user_of(&state, target), details, Vec::new());
            }
            target
        };
        self.apply_mute(target).await
    }

    /// Pauses and resumes the producers of a peer as its mute requires, and stores the mute in the engine.
    pub(super) async fn apply_mute(&self, target: PeerId) -> Result<(), RequestError> {
        let changes = self.state().update_muted(target);
        let mut result = Ok(());
        for (worker, producer, paused) in changes {
            if let Err(error) = self.node.ask(worker, pause_command(producer, paused)).await {
                // Without an engine there is no media; a busy engine gets the command again.
                self.node.tell(worker, pause_command(producer, paused));
                result = Err(error.into());
            }
            // Another request may have changed it in the meantime, and its command may have come first.
            let now = self.state().producers.get(&producer).map(|producer| producer.paused);
            if let Some(now) = now.filter(|now| *now != paused) {
                self.node.tell(worker, pause_command(producer, now));
            }
        }
        let updates = peer_updates(&self.state(), target);
        for (worker, command) in updates {
            self.node.tell(worker, command);
        }
        result
    }
}

impl State {
    /// Whether an administrator muted this producer, or the one of which it is a backup.
    pub(super) fn is_muted(&self, id: ProducerId) -> bool {
        let Some(producer) = self.producers.get(&id) else { return false };
        let first = producer.backup_for.unwrap_or(id);
        self.peers.get(&producer.peer).is_some_and(|peer| peer.mute.contains(first, producer.kind))
    }

    /// The kinds of which this peer has a mute of any form.
    pub(super) fn muted_kinds(&self, id: PeerId) -> Kinds {
        let Some(peer) = self.peers.get(&id) else { return Kinds::default() };
        let Mute { audio, video, later, .. } = peer.mute;
        let mut kinds = Kinds { audio: audio || later.audio, video: video || later.video };
        for producer in peer.mute.producers.iter().filter_map(|id| self.producers.get(id)) {
            kinds.set(producer.kind, true);
        }
        kinds
    }

    /// Compares each producer of a peer with its mute. Changes those that differ, notifies the peer and the
    /// others, and returns which ones the engine must pause or resume.
    fn update_muted(&mut self, target: PeerId) -> Vec<(Worker, ProducerId, bool)> {
        let mut changes = Vec::new();
        let producers: Vec<_> = self.producers_of(target).collect();
        for id in producers {
            let is_muted = self.is_muted(id);
            let Some(producer) = self.producers.get_mut(&id) else { continue };
            if producer.muted == is_muted {
                continue;
            }
            producer.muted = is_muted;
            let (transport, is_announced) = (producer.transport, producer.is_announced());
            self.update_paused(id);
            let paused = self.producers.get(&id).is_some_and(|producer| producer.paused);
            changes.extend(self.worker_of(transport).map(|worker| (worker, id, paused)));
            if is_announced {
                let producer_id = id.to_string();
                self.send(target, Payload::Muted(proto::Muted { producer_id, muted: is_muted }));
            }
        }
        changes
    }
}

impl State {
    /// A new peer of a user is muted like the others of the user, and as the user was when it left.
    pub(super) fn mute_of_new_peer(&self, room: &RoomKey, user: &str) -> Mute {
        let others = self.peers_of_user(room, user).into_iter().map(|peer| self.muted_kinds(peer));
        let remembered =
            self.rooms.get(room).and_then(|room| room.muted_users.get(&UserHash::new(user)).copied());
        let all = others.chain(remembered);
        let Kinds { audio, video } = all.fold(Kinds::default(), Kinds::with);
        Mute { audio, video, ..Mute::default() }
    }

    /// Ends the mute of this peer's user for its next join.
    fn forget_mute(&mut self, peer: PeerId, kinds: Kinds) {
        let Some(peer) = self.peers.get(&peer) else { return };
        let Some(room) = self.rooms.get_mut(&peer.room) else { return };
        let user = UserHash::new(&peer.user);
        if let Some(remembered) = room.muted_users.get_mut(&user) {
            remembered.audio &= !kinds.audio;
            remembered.video &= !kinds.video;
            if remembered.is_empty() {
                room.muted_users.remove(&user);
            }
        }
    }
}

impl Room {
    /// Keeps the mute of a user that leaves, so that it does not end when the user joins again.
    pub(super) fn remember_mute(&mut self, user: &str, kinds: Kinds) {
        if kinds.is_empty() {
            return;
        }
        let user = UserHash::new(user);
        if self.muted_users.len() < limits::MUTES_REMEMBERED || self.muted_users.contains_key(&user) {
            let remembered = self.muted_users.entry(user).or_default();
            *remembered = remembered.with(kinds);
        }
    }
}

fn user_of(state: &State, peer: PeerId) -> Option<&str> {
    state.peers.get(&peer).map(|peer| peer.user.as_str())
}

fn pause_command(producer: ProducerId, paused: bool) -> Command {
    if paused { Command::PauseProducer { producer } } else { Command::ResumeProducer { producer } }
}

/// The client may not resume a muted producer.
pub(super) fn muted() -> RequestError {
    RequestError::new(
        ErrorCode::Muted,
        "an administrator muted this producer; only an administrator can unmute it",
    )
}
