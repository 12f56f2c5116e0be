//! Producers: the tracks that a client sends.

use super::app_data::{self, ProducerRecord};
use super::lookup::{check_publish, own_producer, own_transport, wrong_answer};
use super::mute::muted;
use super::reservation::Reservation;
use super::state::{PeerId, Producer, State};
use super::{Rooms, hints, random_id};
use crate::auth::token::check_source;
use crate::limits;
use crate::ortc::{self, Produced};
use crate::proto::{
    self, ErrorCode, NewProducer, ProduceMedia, ProducerCreated, RtpParameters, signal::Payload,
};
use crate::request_error::RequestError;
use control::{Command, ContentHint, Event, Kind, ProducerId};
use std::collections::BTreeSet;

/// A checked request for a producer.
struct CheckedProduce {
    transport_id: String,
    kind: Kind,
    source: String,
    paused: bool,
    backup_for: String,
    content_hint: ContentHint,
    parameters: RtpParameters,
    produced: Produced,
}

impl Rooms {
    pub(super) async fn produce(&self, peer: PeerId, produce: ProduceMedia) -> Result<Payload, RequestError> {
        let produce = self.check_produce(produce)?;
        let (kind, content_hint) = (produce.kind, produce.content_hint);
        let (command, mut reservation) = self.reserve_producer(peer, produce)?;
        let producer = command.producer;
        let answer = reservation.ask(Command::Produce(command)).await?;
        if kind == Kind::Audio {
            self.pipe_to_home_worker(peer, producer).await;
        }
        let Event::Done { request } = answer else { return Err(wrong_answer(&answer)) };
        let worker = reservation.worker();
        let mut state = self.state();
        reservation.commit(&mut state, request)?;
        if kind == Kind::Video {
            self.send_content_hint(worker, producer, content_hint);
        }
        let info = state.producer_info(producer);
        if let (Some(_), Some(room)) = (&info, state.peers.get(&peer).map(|peer| peer.room.clone())) {
            let new = NewProducer { peer_id: peer.to_string(), producer: info };
            state.broadcast(&room, Some(peer), Payload::NewProducer(new));
        }
        state.publish_track(producer);
        Ok(Payload::ProducerCreated(ProducerCreated { id: producer.to_string() }))
    }

    /// Checks what does not depend on the tables.
    fn check_produce(&self, produce: ProduceMedia) -> Result<CheckedProduce, RequestError> {
        let kind = ortc::kind(&produce.kind)?;
        let parameters =
            produce.rtp_parameters.ok_or_else(|| RequestError::bad("ProduceMedia needs rtpParameters"))?;
        check_source(&produce.source)
            .map_err(|wanted| RequestError::bad(format!("source must be {wanted}")))?;
        let content_hint = hints::content_hint(&produce.content_hint, &produce.source)?;
        let produced = Produced::new(kind, &parameters)?;
        produced.check(&self.media)?;
        Ok(CheckedProduce {
            transport_id: produce.transport_id,
            kind,
            source: produce.source,
            paused: produce.paused,
            backup_for: produce.backup_for,
            content_hint,
            parameters,
            produced,
        })
    }

    fn reserve_producer(
        &self,
        peer: PeerId,
        produce: CheckedProduce,
    ) -> Result<(control::Produce, Reservation<'_>), RequestError> {
        let CheckedProduce { kind, source, paused, parameters, produced, .. } = produce;
        let producer = ProducerId(random_id());
        let mut state = self.state();
        let (transport, worker) = own_transport(&state, peer, &produce.transport_id)?;
        let owner = &state.peers[&peer];
        check_publish(&owner.permissions, &source)?;
        if let Some(room) = state.rooms.get(&owner.room) {
            room.policy.check_publish(&owner.permissions)?;
        }
        let mute = owner.mute.clone();
        let on = &state.transports[&transport];
        if !on.direction.sends() {
            return Err(RequestError::new(
                ErrorCode::WrongDirection,
                "ProduceMedia needs a transport made with direction \"send\" or \"sendrecv\"",
            ));
        }
        if !on.is_plain {
            produced.check_identification()?;
        }
        if state.producers_of(peer).count() >= limits::PRODUCERS_PER_PEER_MAX {
            let text =
                format!("a peer has at most {} producers; close one first", limits::PRODUCERS_PER_PEER_MAX);
            return Err(RequestError::limit(text));
        }
        let backup_for = backup_for(&state, peer, &produce.backup_for, kind)?;
        let is_late = mute.later.contains(kind);
        let is_muted = is_late || mute.contains(backup_for.unwrap_or(producer), kind);
        let (paused_by_client, paused) = (paused, paused || is_muted);
        let app_data = app_data::pack(&ProducerRecord {
            source: source.clone(),
            rtp_parameters: Some(parameters),
            backup_for: backup_for.map_or(0, |first| first.0),
        })?;
        let Produced { mid, codecs, encodings, extensions, .. } = produced.clone();
        let command = control::Produce {
            transport,
            producer,
            kind,
            mid,
            codecs,
            encodings,
            extensions,
            paused,
            app_data,
        };
        let entry = Producer {
            peer,
            transport,
            kind,
            source,
            paused,
            paused_by_client,
            muted: is_muted,
            produced,
            consumers: BTreeSet::new(),
            backup_for,
            backups_asked: Vec::new(),
            wanted: None,
            created_by: None,
        };
        if let Some(owner) = state.peers.get_mut(&peer).filter(|_| is_late && backup_for.is_none()) {
            owner.mute.producers.insert(producer);
        }
        Ok((command, Reservation::producer(self, &mut state, worker, producer, entry)))
    }

    pub(super) async fn pause_producer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let (producer, worker) = own_producer(&self.state(), peer, id)?;
        self.node.ask(worker, Command::PauseProducer { producer }).await?;
        self.state().set_paused_by_client(producer, true);
        Ok(())
    }

    pub(super) async fn resume_producer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let (producer, worker) = {
            let state = self.state();
            let found = own_producer(&state, peer, id)?;
            if state.is_muted(found.0) {
                return Err(muted());
            }
            found
        };
        self.node.ask(worker, Command::ResumeProducer { producer }).await?;
        let mut state = self.state();
        state.set_paused_by_client(producer, false);
        if state.is_muted(producer) {
            // Muted in the meantime: after both commands, in any order, it is paused.
            self.node.tell(worker, Command::PauseProducer { producer });
            return Err(muted());
        }
        Ok(())
    }

    /// Closes a producer and its backups.
    pub(super) fn close_producer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let mut state = self.state();
        let (first, _) = own_producer(&state, peer, id)?;
        for producer in state.backups_of(first).into_iter().chain([first]) {
            let worker =
                state.remove_producer(producer).and_then(|removed| state.worker_of(removed.transport));
            if let Some(worker) = worker {
                self.node.tell(worker, Command::CloseProducer { producer });
            }
        }
        Ok(())
    }
}

impl State {
    /// Stores whether the client paused it, and notifies the others of a change.
    fn set_paused_by_client(&mut self, id: ProducerId, paused: bool) {
        let Some(producer) = self.producers.get_mut(&id) else { return };
        producer.paused_by_client = paused;
        self.update_paused(id);
    }

    /// A producer is paused if its client paused it or an administrator muted it. Notifies the others of a
    /// change.
    pub(super) fn update_paused(&mut self, id: ProducerId) {
        let Some(producer) = self.producers.get_mut(&id) else { return };
        let before = producer.paused;
        producer.paused = producer.paused_by_client || producer.muted;
        let (peer, is_paused) = (producer.peer, producer.paused);
        if is_paused == before || !producer.is_announced() {
            return;
        }
        let (peer_id, producer_id) = (peer.to_string(), id.to_string());
        let changed = match is_paused {
            true => Payload::ProducerPaused(proto::ProducerPaused { peer_id, producer_id }),
            false => Payload::ProducerResumed(proto::ProducerResumed { peer_id, producer_id }),
        };
        if let Some(room) = self.peers.get(&peer).map(|peer| peer.room.clone()) {
            self.broadcast(&room, Some(peer), changed);
        }
    }
}

/// The producer for which a new one is a backup; `None` if the client names none.
fn backup_for(state: &State, peer: PeerId, id: &str, kind: Kind) -> Result<Option<ProducerId>, RequestError> {
    if id.is_empty() {
        return Ok(None);
    }
    let (first, _) = own_producer(state, peer, id)?;
    let producer = &state.producers[&first];
    if kind != Kind::Video || producer.kind != Kind::Video || producer.backup_for.is_some() {
        return Err(RequestError::bad("backupFor must name a producer of video that is not a backup itself"));
    }
    Ok(Some(first))
}
