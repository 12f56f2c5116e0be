//! Mutes by an administrator: the engine pauses the producers, and the client cannot resume them.
//!
//! A producer is paused if its client paused it or an administrator muted it. Both are kept apart, so that the
//! end of a mute does not resume what the client had paused.

use super::Rooms;
use super::kick::{check_admin, others_peer};
use super::lookup::{gone, others_producer};
use super::state::{PeerId, State};
use super::transports::peer_updates;
use crate::media_node::Worker;
use crate::proto::{self, ErrorCode, MutePeer, MuteProducer, signal::Payload};
use crate::request_error::RequestError;
use control::{Command, ProducerId};

impl Rooms {
    pub(super) async fn mute_peer(&self, peer: PeerId, mute: &MutePeer) -> Result<(), RequestError> {
        let (audio, video) = match mute.kind.as_str() {
            "" => (true, true),
            "audio" => (true, false),
            "video" => (false, true),
            _ => return Err(RequestError::bad("kind must be \"audio\", \"video\" or empty for both")),
        };
        let target = {
            let mut state = self.state();
            check_admin(&state, peer)?;
            let target = others_peer(&state, peer, &mute.peer_id)?;
            let muted = &mut state.peers.get_mut(&target).ok_or_else(gone)?.mute;
            muted.audio = if audio { mute.muted } else { muted.audio };
            muted.video = if video { mute.muted } else { muted.video };
            target
        };
        self.apply_mute(target).await
    }

    pub(super) async fn mute_producer(&self, peer: PeerId, mute: &MuteProducer) -> Result<(), RequestError> {
        let target = {
            let mut state = self.state();
            check_admin(&state, peer)?;
            let first = others_producer(&state, peer, &mute.producer_id)?;
            let producer = state.producers.get(&first).ok_or_else(gone)?;
            let (target, first) = (producer.peer, producer.backup_for.unwrap_or(first));
            let muted = &mut state.peers.get_mut(&target).ok_or_else(gone)?.mute.producers;
            _ = if mute.muted { muted.insert(first) } else { muted.remove(&first) };
            target
        };
        self.apply_mute(target).await
    }

    /// Pauses and resumes the producers of a peer as its mute requires, and stores the mute in the engine.
    async fn apply_mute(&self, target: PeerId) -> Result<(), RequestError> {
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
