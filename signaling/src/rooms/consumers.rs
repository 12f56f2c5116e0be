//! Consumers: the tracks that a client receives.

use super::app_data::{self, ConsumerRecord};
use super::lookup::{gone, others_producer, own_consumer, own_transport, permitted, wrong_answer};
use super::reservation::Reservation;
use super::state::{Consumer, PeerId};
use super::{Rooms, layers, random_id};
use crate::limits;
use crate::ortc::{self, Consumable, ConsumerSsrcs, Numbers};
use crate::proto::{
    ConsumeMedia, ConsumerCreated, ErrorCode, RtpCapabilities, RtpParameters, signal::Payload,
};
use crate::request_error::RequestError;
use control::{Codec, Command, ConsumerId, Event, ExtensionKind, Kind, Layers, ProducerId, Text};
use std::collections::HashSet;
use std::time::Instant;

/// A checked request for a consumer.
struct CheckedConsume {
    transport_id: String,
    producer_id: String,
    capabilities: RtpCapabilities,
    preferred_layers: Option<Layers>,
    priority: u8,
    /// Of the section for it, if the client speaks SDP.
    mid: Option<String>,
}

/// A consumer that its worker is about to be asked for.
struct NewConsumer<'a> {
    /// The producer that the client named; the command may name its backup.
    requested: ProducerId,
    kind: Kind,
    command: control::Consume,
    parameters: RtpParameters,
    reservation: Reservation<'a>,
}

impl Rooms {
    pub(super) async fn consume(&self, peer: PeerId, consume: ConsumeMedia) -> Result<Payload, RequestError> {
        Ok(Payload::ConsumerCreated(self.consume_on(peer, consume, None).await?))
    }

    /// `mid`: of the section of a client that speaks SDP. Then the consumer has the numbers of the client's
    /// capabilities.
    pub(super) async fn consume_on(
        &self,
        peer: PeerId,
        consume: ConsumeMedia,
        mid: Option<String>,
    ) -> Result<ConsumerCreated, RequestError> {
        let ignore_dtx = consume.ignore_dtx;
        let NewConsumer { requested, kind, command, parameters, mut reservation } =
            self.reserve_consumer(peer, check_consume(consume, mid)?)?;
        let (consumer, producer, worker) = (command.consumer, command.producer, reservation.worker());
        self.pipe(producer, worker).await?;
        let answer = reservation.ask(Command::Consume(command.clone())).await?;
        let Event::Done { request } = answer else { return Err(wrong_answer(&answer)) };
        let mut state = self.state();
        reservation.commit(&mut state, request)?;
        self.send_consumer_hints(worker, kind, &command, ignore_dtx);
        Ok(ConsumerCreated {
            id: consumer.to_string(),
            producer_id: requested.to_string(),
            kind: ortc::kind_name(kind).into(),
            rtp_parameters: Some(parameters),
            paused: true,
            producer_paused: state.producers.get(&producer).is_some_and(|producer| producer.paused),
        })
    }

    fn reserve_consumer(
        &self,
        peer: PeerId,
        consume: CheckedConsume,
    ) -> Result<NewConsumer<'_>, RequestError> {
        let consumer = ConsumerId(random_id());
        let mut state = self.state();
        let (transport, worker) = own_transport(&state, peer, &consume.transport_id)?;
        permitted(state.peers[&peer].permissions.can_subscribe, "canSubscribe")?;
        if !state.transports[&transport].direction.receives() {
            return Err(RequestError::new(
                ErrorCode::WrongDirection,
                "ConsumeMedia needs a transport made with direction \"recv\" or \"sendrecv\"",
            ));
        }
        if state.consumers_of(peer).count() >= limits::CONSUMERS_PER_PEER_MAX {
            let text =
                format!("a peer has at most {} consumers; close one first", limits::CONSUMERS_PER_PEER_MAX);
            return Err(RequestError::limit(text));
        }
        let requested = others_producer(&state, peer, &consume.producer_id)?;
        state.check_subscriber(requested, peer)?;
        let numbers = if consume.mid.is_some() { Numbers::Receiver } else { Numbers::Router };
        let (producer, consumable) =
            state.choose(requested, &consume.capabilities, numbers, &self.media, Instant::now())?;
        let source = &state.producers[&producer];
        let (kind, cname) = (source.kind, source.peer.to_string());
        let entry = state.transports.get_mut(&transport).ok_or_else(gone)?;
        let media = unused_ssrc(&entry.ssrcs, None);
        let ssrcs = ConsumerSsrcs {
            media,
            rtx: consumable.has_rtx().then(|| unused_ssrc(&entry.ssrcs, Some(media))),
        };
        let mid = consume.mid.unwrap_or_else(|| {
            entry.next_mid += 1;
            (entry.next_mid - 1).to_string()
        });
        let parameters = consumable.parameters(&mid, ssrcs, &cname);
        let app_data = app_data::pack(&ConsumerRecord { rtp_parameters: Some(parameters.clone()) })?;
        let command = control::Consume {
            transport,
            producer,
            consumer,
            mid: Some(Text::new(mid)),
            codecs: consumable.codecs.clone(),
            ssrc: ssrcs.media,
            rtx_ssrc: ssrcs.rtx,
            cname: Text::new(cname),
            extensions: consumable.extensions.clone(),
            preferred_layers: decodable_layers(&consumable, consume.preferred_layers)
                .filter(|_| kind == Kind::Video),
            priority: consume.priority,
            paused: true,
            app_data,
        };
        let ssrcs = std::iter::once(ssrcs.media).chain(ssrcs.rtx).collect();
        let entry = Consumer { peer, transport, producer, ssrcs, layers: None, created_by: None };
        let reservation = Reservation::consumer(self, &mut state, worker, consumer, entry);
        Ok(NewConsumer { requested, kind, command, parameters, reservation })
    }

    pub(super) async fn pause_consumer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let (consumer, worker) = own_consumer(&self.state(), peer, id)?;
        self.node.ask(worker, Command::PauseConsumer { consumer }).await?;
        Ok(())
    }

    pub(super) async fn resume_consumer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let (consumer, worker) = own_consumer(&self.state(), peer, id)?;
        self.node.ask(worker, Command::ResumeConsumer { consumer }).await?;
        Ok(())
    }

    pub(super) fn close_consumer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let mut state = self.state();
        let (consumer, worker) = own_consumer(&state, peer, id)?;
        state.remove_consumer(consumer);
        self.node.tell(worker, Command::CloseConsumer { consumer });
        Ok(())
    }
}

/// Spatial layers of AV1 cannot be put together without the dependency descriptor: a receiver without it gets the
/// lowest one.
fn decodable_layers(consumable: &Consumable, wanted: Option<Layers>) -> Option<Layers> {
    let has_descriptor =
        consumable.extensions.iter().any(|extension| extension.kind == ExtensionKind::DependencyDescriptor);
    let is_av1 = consumable.codecs.first().is_some_and(|codec| codec.codec == Codec::Av1);
    if !is_av1 || has_descriptor || !consumable.has_spatial_layers {
        return wanted;
    }
    Some(Layers { spatial: 0, temporal: wanted.map_or(u8::MAX, |wanted| wanted.temporal) })
}

/// Checks what does not depend on the tables.
fn check_consume(consume: ConsumeMedia, mid: Option<String>) -> Result<CheckedConsume, RequestError> {
    Ok(CheckedConsume {
        transport_id: consume.transport_id,
        producer_id: consume.producer_id,
        capabilities: consume
            .rtp_capabilities
            .ok_or_else(|| RequestError::bad("ConsumeMedia needs rtpCapabilities"))?,
        preferred_layers: consume.preferred_layers.as_ref().map(layers::preferred).transpose()?,
        priority: layers::priority(consume.priority.max(1))?,
        mid,
    })
}

/// A random SSRC that no other consumer of the transport uses (RFC 3550 §8.1), and that differs from `other`.
fn unused_ssrc(used: &HashSet<u32>, other: Option<u32>) -> u32 {
    loop {
        let ssrc = random_id() as u32;
        if ssrc != 0 && Some(ssrc) != other && !used.contains(&ssrc) {
            return ssrc;
        }
    }
}
