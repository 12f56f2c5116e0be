//! Producers: the tracks that a client sends.

use super::app_data::{self, ProducerRecord};
use super::lookup::{check_publish, own_producer, own_transport, wrong_answer};
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
        if let (Some(_), Some(room)) = (&info, state.peers.get(&peer).map(|peer| &peer.room)) {
            let new = NewProducer { peer_id: peer.to_string(), producer: info };
            state.broadcast(room, Some(peer), Payload::NewProducer(new));
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
        check_publish(&state.peers[&peer].permissions, &source)?;
        let on = &state.transports[&transport];
        if !on.sends {
            return Err(RequestError::new(
                ErrorCode::WrongDirection,
                "ProduceMedia needs a transport made with direction \"send\"",
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
            produced,
            consumers: BTreeSet::new(),
            backup_for,
            backups_asked: Vec::new(),
            wanted: None,
            created_by: None,
        };
        Ok((command, Reservation::producer(self, &mut state, worker, producer, entry)))
    }

    pub(super) async fn pause_producer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let (producer, worker) = own_producer(&self.state(), peer, id)?;
        self.node.ask(worker, Command::PauseProducer { producer }).await?;
        self.set_producer_paused(peer, producer, true, |peer_id, producer_id| {
            Payload::ProducerPaused(proto::ProducerPaused { peer_id, producer_id })
        });
        Ok(())
    }

    pub(super) async fn resume_producer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let (producer, worker) = own_producer(&self.state(), peer, id)?;
        self.node.ask(worker, Command::ResumeProducer { producer }).await?;
        self.set_producer_paused(peer, producer, false, |peer_id, producer_id| {
            Payload::ProducerResumed(proto::ProducerResumed { peer_id, producer_id })
        });
        Ok(())
    }

    fn set_producer_paused(
        &self,
        peer: PeerId,
        id: ProducerId,
        paused: bool,
        notification: impl FnOnce(String, String) -> Payload,
    ) {
        let mut state = self.state();
        let Some(producer) = state.producers.get_mut(&id) else { return };
        producer.paused = paused;
        if !producer.is_announced() {
            return;
        }
        if let Some(room) = state.peers.get(&peer).map(|peer| &peer.room) {
            state.broadcast(room, Some(peer), notification(peer.to_string(), id.to_string()));
        }
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
