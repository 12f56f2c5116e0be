//! Producers: the tracks that a client sends.

use super::app_data::{self, ProducerRecord};
use super::lookup::{check_permission, gone, own_producer, own_transport};
use super::state::{PeerId, Producer, State};
use super::{Rooms, hints, random_id};
use crate::limits;
use crate::ortc::{self, Produced};
use crate::proto::{self, ErrorCode, NewProducer, ProduceMedia, ProducerCreated, signal::Payload};
use crate::request_error::RequestError;
use control::{Command, Event, Kind, ProducerId};
use std::collections::BTreeSet;

impl Rooms {
    pub(super) async fn produce(&self, peer: PeerId, produce: ProduceMedia) -> Result<Payload, RequestError> {
        let kind = ortc::kind(&produce.kind)?;
        let parameters =
            produce.rtp_parameters.ok_or_else(|| RequestError::bad("ProduceMedia needs rtpParameters"))?;
        if produce.source.chars().count() > limits::SOURCE_LEN_MAX
            || produce.source.chars().any(char::is_control)
        {
            let text = format!(
                "source must be at most {} characters, none of them a control character",
                limits::SOURCE_LEN_MAX
            );
            return Err(RequestError::bad(text));
        }
        let hint = hints::content_hint(&produce.content_hint, &produce.source)?;
        let produced = Produced::new(kind, &parameters)?;
        produced.check(&self.media)?;
        let mut held = ProducerRecord {
            source: produce.source.clone(),
            rtp_parameters: Some(parameters),
            backup_for: 0,
        };
        let producer = ProducerId(random_id());
        let (transport, worker, app_data) = {
            let mut state = self.state();
            let (transport, worker) = own_transport(&state, peer, &produce.transport_id)?;
            check_permission(state.peers[&peer].permissions, true)?;
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
                let text = format!(
                    "a peer has at most {} producers; close one first",
                    limits::PRODUCERS_PER_PEER_MAX
                );
                return Err(RequestError::limit(text));
            }
            let backup_for = backup_for(&state, peer, &produce.backup_for, kind)?;
            held.backup_for = backup_for.map_or(0, |first| first.0);
            let entry = Producer {
                peer,
                transport,
                kind,
                source: produce.source,
                paused: produce.paused,
                produced: produced.clone(),
                consumers: BTreeSet::new(),
                backup_for,
                backups_asked: Vec::new(),
                wanted: None,
                made: None,
            };
            let app_data = app_data::pack(&held)?;
            state.insert_producer(producer, entry);
            (transport, worker, app_data)
        };
        let Produced { mid, codecs, encodings, extensions, .. } = produced;
        let paused = produce.paused;
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
        let answer = self.engine.ask(worker, Command::Produce(command)).await;
        if answer.is_ok() && kind == Kind::Audio {
            self.pipe_to_home_worker(peer, producer).await;
        }
        let mut state = self.state();
        let made = match answer {
            Ok(Event::Done { request }) => request,
            other => {
                state.remove_producer(producer);
                return Err(self.give_up(worker, other, Command::CloseProducer { producer }));
            }
        };
        state.producers.get_mut(&producer).ok_or_else(gone)?.made = Some(made);
        if kind == Kind::Video {
            self.hint(worker, producer, hint);
        }
        let info = state.producer_info(producer);
        if let (Some(_), Some(room)) = (&info, state.peers.get(&peer).map(|peer| &peer.room)) {
            let news = NewProducer { peer_id: peer.to_string(), producer: info };
            state.broadcast(room, Some(peer), Payload::NewProducer(news));
        }
        Ok(Payload::ProducerCreated(ProducerCreated { id: producer.to_string() }))
    }

    pub(super) async fn pause_producer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let (producer, worker) = own_producer(&self.state(), peer, id)?;
        self.engine.ask(worker, Command::PauseProducer { producer }).await?;
        let ids = || (peer.to_string(), producer.to_string());
        self.set_producer_paused(peer, producer, true, || {
            let (peer_id, producer_id) = ids();
            Payload::ProducerPaused(proto::ProducerPaused { peer_id, producer_id })
        });
        Ok(())
    }

    pub(super) async fn resume_producer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let (producer, worker) = own_producer(&self.state(), peer, id)?;
        self.engine.ask(worker, Command::ResumeProducer { producer }).await?;
        let ids = || (peer.to_string(), producer.to_string());
        self.set_producer_paused(peer, producer, false, || {
            let (peer_id, producer_id) = ids();
            Payload::ProducerResumed(proto::ProducerResumed { peer_id, producer_id })
        });
        Ok(())
    }

    fn set_producer_paused(
        &self,
        peer: PeerId,
        id: ProducerId,
        paused: bool,
        news: impl FnOnce() -> Payload,
    ) {
        let mut state = self.state();
        let Some(producer) = state.producers.get_mut(&id) else { return };
        producer.paused = paused;
        if !producer.is_announced() {
            return;
        }
        if let Some(room) = state.peers.get(&peer).map(|peer| &peer.room) {
            state.broadcast(room, Some(peer), news());
        }
    }

    pub(super) fn close_producer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let mut state = self.state();
        let (first, _) = own_producer(&state, peer, id)?;
        for producer in state.backups_of(first).into_iter().chain([first]) {
            let worker =
                state.remove_producer(producer).and_then(|removed| state.worker_of(removed.transport));
            if let Some(worker) = worker {
                self.engine.tell(worker, Command::CloseProducer { producer });
            }
        }
        Ok(())
    }
}

/// The producer that a new one is to be a backup of; `None` if of none.
fn backup_for(state: &State, peer: PeerId, id: &str, kind: Kind) -> Result<Option<ProducerId>, RequestError> {
    if id.is_empty() {
        return Ok(None);
    }
    let (first, _) = own_producer(state, peer, id)?;
    let producer = &state.producers[&first];
    if kind != Kind::Video || producer.kind != Kind::Video || producer.backup_for.is_some() {
        return Err(RequestError::bad("backupFor must name a producer of video that is no backup itself"));
    }
    Ok(Some(first))
}
