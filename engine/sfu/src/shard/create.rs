//! Creates routers, transports, producers and consumers. A repeated command creates nothing.

use crate::bandwidth::sender::SendSide;
use crate::base::slots::Slot;
use crate::egress::consumer::Consumer;
use crate::egress::layer_budget::LayerBudget;
use crate::ingress::producer::has_labels;
use crate::limits;
use crate::objects::Objects;
use crate::objects::router::Router;
use crate::shard::config::Config;
use crate::shard::rearm::rearm;
use crate::shard::refusal::{
    Refused, check_limit, invalid, not_found, producer_slot, router_slot, same_or_exists, transport_slot,
};
use crate::shard::targets::wake;
use crate::shard::turn::Turn;
use crate::shard::validate::{check_consume, check_payload_types, check_produce, signaled_ssrcs};
use crate::transport::pipe::Pipe;
use crate::transport::{Link, Transport, WebRtc};
use control::{
    AppData, CodecParameters, Consume, Counter, CreateTransport, Event, Kind, Produce, RequestId, RouterId,
    Text,
};
use machine::{Tx, WorkerId};
use rtp::Ssrc;

pub(super) fn create_router(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    id: RouterId,
    app_data: AppData,
) -> Result<(), Refused> {
    if let Some(router) = objects.router_ids.get(&id).and_then(|slot| objects.routers.find(*slot)) {
        return same_or_exists(router.app_data == app_data, format_args!("router {id}"));
    }
    check_limit(objects.routers.len(), limits::ROUTERS_MAX, "routers of a worker")?;
    let router = Router { id, app_data, transports: Vec::new(), speakers: None, abandoned_at: None };
    objects.insert_router(router);
    turn.counters.count(Counter::Routers);
    Ok(())
}

pub(super) fn create_transport(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    request: RequestId,
    create: CreateTransport,
) -> Result<Event, Refused> {
    if let Some(slot) = objects.transport_ids.get(&create.transport).copied() {
        let webrtc = objects.transports.find(slot).and_then(Transport::webrtc);
        let is_same = webrtc.is_some_and(|webrtc| webrtc.spec == create);
        same_or_exists(is_same, format_args!("transport {}", create.transport))?;
        return transport_created(objects, turn.config, request, slot);
    }
    let router = router_slot(objects, create.router)?;
    check_limit(objects.transports.len(), limits::TRANSPORTS_MAX, "transports of a worker")?;
    let lead = turn.config.shares_port_as.and_then(WorkerId::ice_char);
    let (id, webrtc) = (create.transport, WebRtc::new(create, lead, turn.rng));
    let slot = objects.insert_transport(id, router, Link::WebRtc(webrtc), turn.rng);
    turn.counters.count(Counter::Transports);
    transport_created(objects, turn.config, request, slot)
}

fn transport_created(
    objects: &Objects,
    config: &Config,
    request: RequestId,
    slot: Slot,
) -> Result<Event, Refused> {
    let webrtc = objects.transports.find(slot).and_then(Transport::webrtc);
    let webrtc = webrtc.ok_or_else(|| not_found(format_args!("the transport")))?;
    Ok(Event::TransportCreated {
        request,
        transport: webrtc.spec.transport,
        ice: webrtc.ice.parameters(),
        fingerprint: config.certificate.fingerprint().0,
        candidates: config.candidates.clone(),
    })
}

pub(super) fn create_producer(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    produce: Produce,
) -> Result<(), Refused> {
    let id = produce.producer;
    if let Some(producer) = objects.producer_ids.get(&id).and_then(|slot| objects.producers.find(*slot)) {
        return same_or_exists(*producer.spec == produce, format_args!("producer {id}"));
    }
    let slot = transport_slot(objects, produce.transport)?;
    check_produce(&produce)?;
    check_producer_fits(objects, slot, &produce)?;
    let Some(transport) = objects.transports.find_mut(slot) else { return Ok(()) };
    for wish in &produce.extensions {
        transport.extensions.declare(wish.kind, wish.id);
    }
    let origin = transport.pipe().map(Pipe::origin);
    objects.insert_producer(produce, slot, origin);
    turn.counters.count(Counter::Producers);
    // No layer has consumers yet. If that does not change, the publisher is notified before it has sent
    // anything.
    rearm(objects, turn, slot);
    Ok(())
}

/// Whether the transport has room for the producer, and can distinguish its packets from those of the others.
fn check_producer_fits(objects: &Objects, slot: Slot, produce: &Produce) -> Result<(), Refused> {
    let Some(transport) = objects.transports.find(slot) else { return Ok(()) };
    let count = transport.producers.len();
    check_limit(count, limits::PRODUCERS_PER_TRANSPORT_MAX, "producers of a transport")?;
    let others = transport.producers.iter().filter_map(|slot| objects.producers.find(*slot));
    if transport.plain().is_some() {
        check_payload_types(produce, others.clone())?;
    } else if !has_labels(produce) {
        return Err(invalid("a producer without SSRC needs a MID".to_owned()));
    }
    let conflict = produce.extensions.iter().find(|wish| !transport.extensions.accepts(wish.kind, wish.id));
    if let Some(wish) = conflict {
        return Err(invalid(format!(
            "extension id {} already has another meaning on this transport",
            wish.id
        )));
    }
    let mid = produce.mid.as_ref().map(Text::as_str);
    if mid.is_some() && others.clone().any(|other| other.spec.mid.as_ref().map(Text::as_str) == mid) {
        return Err(invalid(format!(
            "MID {:?} already has a producer on this transport",
            mid.unwrap_or_default()
        )));
    }
    if transport.pipe().is_none() {
        let taken: usize = others.map(|other| ssrc_count(&other.spec)).sum();
        // The last SSRC of the new producer must fit too.
        let needed = taken + ssrc_count(produce).saturating_sub(1);
        check_limit(needed, limits::SSRCS_PER_TRANSPORT_MAX, "received SSRCs of a transport")?;
    }
    match signaled_ssrcs(produce).find(|ssrc| transport.sources.find(*ssrc).is_some()) {
        Some(ssrc) => {
            Err(invalid(format!("SSRC {} already belongs to a producer of this transport", ssrc.0)))
        }
        None => Ok(()),
    }
}

/// SSRCs that the packets of a producer can have at a time: one for each encoding, and one for its
/// retransmissions.
fn ssrc_count(produce: &Produce) -> usize {
    let has_rtx = produce.codecs.iter().any(|codec| codec.rtx_pt.is_some());
    produce.encodings.len() * (1 + usize::from(has_rtx))
}

pub(super) fn create_consumer(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    consume: Consume,
) -> Result<(), Refused> {
    let now = turn.now;
    let id = consume.consumer;
    if let Some(consumer) = objects.consumer_ids.get(&id).and_then(|slot| objects.consumers.find(*slot)) {
        return same_or_exists(*consumer.spec == consume, format_args!("consumer {id}"));
    }
    let receiving = transport_slot(objects, consume.transport)?;
    let produced = producer_slot(objects, consume.producer)?;
    check_consume(&consume)?;
    check_consumer_fits(objects, receiving, produced, &consume)?;
    let (Some(transport), Some(producer)) =
        (objects.transports.find_mut(receiving), objects.producers.find(produced))
    else {
        return Ok(());
    };
    transport.sent_ssrcs.extend(sent_ssrcs(&consume));
    let mut made = Consumer::new(consume, receiving, produced, producer, turn.rng);
    if made.is_numbered() && transport.send_side.is_none() {
        transport.send_side = Some(Box::new(SendSide::new(now, transport.bitrates.outgoing)));
    }
    if let Some(side) = transport.send_side.as_deref_mut() {
        // Video starts after the next allocation of bandwidth, which is soon. Audio needs no allocation.
        if producer.kind() == Kind::Video {
            made.layer_budget = LayerBudget::Nothing;
        }
        side.adapt_at = now;
    }
    let producing = producer.transport;
    let consumer = objects.insert_consumer(made);
    turn.counters.count(Counter::Consumers);
    turn.handling.check_trap();
    wake(objects, turn, consumer);
    // If the producer comes from another worker, that worker is notified before the next deadline.
    rearm(objects, turn, producing);
    rearm(objects, turn, receiving);
    Ok(())
}

/// Whether the consumer may receive the producer, and both have room for it.
fn check_consumer_fits(
    objects: &Objects,
    receiving: Slot,
    produced: Slot,
    consume: &Consume,
) -> Result<(), Refused> {
    // Rooms are separated here too, in case of an error of the controller.
    if objects.router_of(receiving) != objects.router_of_producer(produced) {
        return Err(invalid(format!("producer {} belongs to another router", consume.producer)));
    }
    let (Some(transport), Some(producer)) =
        (objects.transports.find(receiving), objects.producers.find(produced))
    else {
        return Ok(());
    };
    if let Some(ssrc) = sent_ssrcs(consume).find(|ssrc| transport.sent_ssrcs.contains(ssrc)) {
        return Err(invalid(format!(
            "SSRC {ssrc} belongs, or has belonged, to a consumer of this transport"
        )));
    }
    check_limit(
        transport.sent_ssrcs.len() + 1,
        limits::SSRCS_SENT_PER_TRANSPORT_MAX,
        "SSRCs ever sent on a transport",
    )?;
    check_limit(transport.consumers.len(), limits::CONSUMERS_PER_TRANSPORT_MAX, "consumers of a transport")?;
    check_limit(producer.consumers.len(), limits::CONSUMERS_PER_PRODUCER_MAX, "consumers of a producer")?;
    if transport.pipe().is_some() {
        return Err(invalid(format!("transport {} is a pipe, which has no peer", consume.transport)));
    }
    let codec =
        |codec: &CodecParameters| producer.codecs().iter().any(|produced| produced.codec == codec.codec);
    if !consume.codecs.iter().all(codec) {
        return Err(invalid("a codec of the consumer is not among its producer's".to_owned()));
    }
    Ok(())
}

fn sent_ssrcs(consume: &Consume) -> impl Iterator<Item = Ssrc> {
    [Some(consume.ssrc), consume.rtx_ssrc].into_iter().flatten().map(Ssrc)
}
