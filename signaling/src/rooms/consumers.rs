//! Consumers: the tracks that a client receives.

use super::app_data::{self, ConsumerRecord};
use super::lookup::{check_permission, gone, others_producer, own_consumer, own_transport};
use super::state::{Consumer, PeerId};
use super::{Rooms, layers, random_id};
use crate::limits;
use crate::ortc::{self, ConsumerSsrcs};
use crate::proto::{ConsumeMedia, ConsumerCreated, ErrorCode, signal::Payload};
use crate::request_error::RequestError;
use control::{Command, ConsumerId, Event, Kind, Text};
use std::collections::HashSet;
use std::time::Instant;

impl Rooms {
    pub(super) async fn consume(&self, peer: PeerId, consume: ConsumeMedia) -> Result<Payload, RequestError> {
        let capabilities = consume
            .rtp_capabilities
            .ok_or_else(|| RequestError::bad("ConsumeMedia needs rtpCapabilities"))?;
        let preferred_layers = consume.preferred_layers.as_ref().map(layers::preferred).transpose()?;
        let priority = layers::priority(consume.priority.max(1))?;
        let consumer = ConsumerId(random_id());
        let asked;
        let (command, parameters, kind, worker) = {
            let mut state = self.state();
            let (transport, worker) = own_transport(&state, peer, &consume.transport_id)?;
            check_permission(state.peers[&peer].permissions, false)?;
            if state.transports[&transport].sends {
                return Err(RequestError::new(
                    ErrorCode::WrongDirection,
                    "ConsumeMedia needs a transport made with direction \"recv\"",
                ));
            }
            if state.consumers_of(peer).count() >= limits::CONSUMERS_PER_PEER_MAX {
                let text = format!(
                    "a peer has at most {} consumers; close one first",
                    limits::CONSUMERS_PER_PEER_MAX
                );
                return Err(RequestError::limit(text));
            }
            asked = others_producer(&state, peer, &consume.producer_id)?;
            let (producer, consumable) = state.choose(asked, &capabilities, &self.media, Instant::now())?;
            let source = &state.producers[&producer];
            let (kind, cname) = (source.kind, source.peer.to_string());
            let entry = state.transports.get_mut(&transport).ok_or_else(gone)?;
            let media = unused_ssrc(&entry.ssrcs, None);
            let ssrcs = ConsumerSsrcs {
                media,
                rtx: consumable.has_rtx().then(|| unused_ssrc(&entry.ssrcs, Some(media))),
            };
            let mid = entry.next_mid.to_string();
            entry.next_mid += 1;
            let parameters = consumable.parameters(&mid, ssrcs, &cname);
            let app_data = app_data::pack(&ConsumerRecord { rtp_parameters: Some(parameters.clone()) })?;
            let used = std::iter::once(ssrcs.media).chain(ssrcs.rtx).collect();
            let entry = Consumer { peer, transport, producer, ssrcs: used, layers: None, made: None };
            state.insert_consumer(consumer, entry);
            let command = control::Consume {
                transport,
                producer,
                consumer,
                mid: Some(Text::new(mid)),
                codecs: consumable.codecs,
                ssrc: ssrcs.media,
                rtx_ssrc: ssrcs.rtx,
                cname: Text::new(cname),
                extensions: consumable.extensions,
                preferred_layers: preferred_layers.filter(|_| kind == Kind::Video),
                priority,
                paused: true,
                app_data,
            };
            (command, parameters, kind, worker)
        };
        let producer = command.producer;
        let answer = match self.pipe(producer, worker).await {
            Ok(()) => self.engine.ask(worker, Command::Consume(command.clone())).await,
            Err(failure) => {
                self.state().remove_consumer(consumer);
                return Err(failure);
            }
        };
        let mut state = self.state();
        let made = match answer {
            Ok(Event::Done { request }) => request,
            other => {
                state.remove_consumer(consumer);
                return Err(self.give_up(worker, other, Command::CloseConsumer { consumer }));
            }
        };
        state.consumers.get_mut(&consumer).ok_or_else(gone)?.made = Some(made);
        self.send_consumer_hints(worker, kind, &command, consume.ignore_dtx);
        Ok(Payload::ConsumerCreated(ConsumerCreated {
            id: consumer.to_string(),
            producer_id: asked.to_string(),
            kind: ortc::kind_name(kind).into(),
            rtp_parameters: Some(parameters),
            paused: true,
            producer_paused: state.producers.get(&producer).is_some_and(|producer| producer.paused),
        }))
    }

    pub(super) async fn pause_consumer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let (consumer, worker) = own_consumer(&self.state(), peer, id)?;
        self.engine.ask(worker, Command::PauseConsumer { consumer }).await?;
        Ok(())
    }

    pub(super) async fn resume_consumer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let (consumer, worker) = own_consumer(&self.state(), peer, id)?;
        self.engine.ask(worker, Command::ResumeConsumer { consumer }).await?;
        Ok(())
    }

    pub(super) fn close_consumer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let mut state = self.state();
        let (consumer, worker) = own_consumer(&state, peer, id)?;
        state.remove_consumer(consumer);
        self.engine.tell(worker, Command::CloseConsumer { consumer });
        Ok(())
    }
}

/// An SSRC that no other consumer of the transport has (RFC 3550 §8.1), and that is not `other`.
fn unused_ssrc(used: &HashSet<u32>, other: Option<u32>) -> u32 {
    loop {
        let ssrc = random_id() as u32;
        if ssrc != 0 && Some(ssrc) != other && !used.contains(&ssrc) {
            return ssrc;
        }
    }
}
