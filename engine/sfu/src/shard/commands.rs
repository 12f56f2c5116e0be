//! What the controller asks. Every request gets one answer; a refusal changes nothing.

use crate::bandwidth::sender::{Bitrates, SendSide};
use crate::base::slots::Slot;
use crate::egress::consumer::Consumer;
use crate::egress::layer_budget::LayerBudget;
use crate::ingress::producer::has_labels;
use crate::limits;
use crate::objects::Objects;
use crate::objects::router::Router;
use crate::shard::adapt::set_bitrates;
use crate::shard::close::{claim_router, close_consumer, close_producer, close_router, close_transport};
use crate::shard::config::Config;
use crate::shard::handling::Handling;
use crate::shard::pausing::{pause, resume};
use crate::shard::pipe_in::create_pipe;
use crate::shard::pipe_out::send_state_to_subscribers;
use crate::shard::plain::{connect_plain_transport, create_plain_transport};
use crate::shard::rearm::rearm;
use crate::shard::recovery::{router_of_command, transport_of};
use crate::shard::refusal::{
    Refused, check_limit, consumer_slot, invalid, not_found, own_producer_slot, producer_slot, router_slot,
    same_or_exists, transport_slot,
};
use crate::shard::requests::{stream_of_interest, want_keyframe};
use crate::shard::snapshot::begin_snapshot;
use crate::shard::speakers::observe_audio;
use crate::shard::stats::{answer_stats, consumer_stats, producer_stats, transport_stats, walk_stats};
use crate::shard::targets::{retarget, wake};
use crate::shard::turn::Turn;
use crate::shard::validate::{
    check_consume, check_observer, check_payload_types, check_playout_delay, check_produce, signaled_ssrcs,
};
use crate::transport::pipe::Pipe;
use crate::transport::{Link, Transport, WebRtc};
use control::{
    AppData, Closed, CodecParameters, Command, Consume, ConsumerId, Counter, CreateTransport, Event, Kind,
    Produce, Request, RequestId, RouterId, Stage, StatsOf, Text, TransportId,
};
use dtls::Fingerprint;
use machine::Tx;
use rtp::Ssrc;

pub(super) fn on_request(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, request: Request) {
    let id = request.id;
    turn.news.events.be_heard();
    turn.handling.of_any(transport_of(objects, &request.command));
    turn.handling.of_router(router_of_command(objects, &request.command));
    let carried_out = carry_out(objects, turn, id, request.command);
    turn.handling.check_trap();
    match carried_out {
        Ok(Some(answer)) => turn.news.answer(answer),
        Ok(None) => {}
        Err((refusal, text)) => {
            turn.news.answer(Event::Refused { request: Some(id), refusal, text: Text::new(text) });
        }
    }
}

/// `Ok(None)`: the answer is a sequence, which is under way, or waits for a socket.
fn carry_out(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    request: RequestId,
    command: Command,
) -> Result<Option<Event>, Refused> {
    match command {
        Command::CreateRouter { router, app_data } => create_router(objects, turn, router, app_data)?,
        Command::CloseRouter { router } => {
            let slot = router_slot(objects, router)?;
            close_router(objects, turn, slot, Closed::Requested);
        }
        Command::ClaimRouter { router } => {
            let slot = router_slot(objects, router)?;
            claim_router(objects, turn.timers, slot);
        }
        Command::CreateTransport(create) => {
            return create_transport(objects, turn, request, create).map(Some);
        }
        Command::ConnectTransport { transport, fingerprint } => {
            connect_transport(objects, turn, transport, Fingerprint(fingerprint))?;
        }
        Command::RestartIce { transport } => return restart_ice(objects, turn, request, transport).map(Some),
        Command::CloseTransport { transport } => {
            let slot = transport_slot(objects, transport)?;
            close_transport(objects, turn, slot, Closed::Requested);
        }
        Command::CreatePlainTransport(create) => {
            return create_plain_transport(objects, turn, request, create);
        }
        Command::ConnectPlainTransport(connect) => connect_plain_transport(objects, turn, connect)?,
        Command::CreatePipe(create) => create_pipe(objects, turn, create)?,
        Command::Produce(produce) => create_producer(objects, turn, produce)?,
        Command::PauseProducer { producer } => {
            let slot = own_producer_slot(objects, producer)?;
            pause(objects, turn, slot);
        }
        Command::ResumeProducer { producer } => {
            let slot = own_producer_slot(objects, producer)?;
            resume(objects, turn, slot);
        }
        Command::CloseProducer { producer } => {
            let slot = producer_slot(objects, producer)?;
            close_producer(objects, turn, slot, Closed::Requested);
        }
        Command::Consume(consume) => create_consumer(objects, turn, consume)?,
        Command::PauseConsumer { consumer } => {
            let slot = consumer_slot(objects, consumer)?;
            if let Some(consumer) = objects.consumers.find_mut(slot) {
                consumer.pause();
            }
            retarget(objects, turn, slot);
        }
        Command::ResumeConsumer { consumer } => resume_consumer(objects, turn, consumer)?,
        Command::CloseConsumer { consumer } => {
            let slot = consumer_slot(objects, consumer)?;
            close_consumer(objects, turn, slot, Closed::Requested);
        }
        Command::RequestKeyframe { consumer } => {
            let slot = consumer_slot(objects, consumer)?;
            if let Some(consumer) = objects.consumers.find(slot) {
                let (producer, stream) = (consumer.producer, stream_of_interest(objects, consumer));
                want_keyframe(objects, turn.timers, producer, stream);
            }
        }
        Command::SetPreferredLayers { consumer, layers } => {
            let slot = consumer_slot(objects, consumer)?;
            if let Some(consumer) = objects.consumers.find_mut(slot) {
                consumer.preferred_layers = Some(layers);
            }
            retarget(objects, turn, slot);
        }
        Command::SetPriority { consumer, priority } => {
            let slot = consumer_slot(objects, consumer)?;
            if let Some(consumer) = objects.consumers.find_mut(slot) {
                consumer.priority = priority;
            }
        }
        Command::SetContentHint { producer, hint } => {
            let slot = own_producer_slot(objects, producer)?;
            if let Some(producer) = objects.producers.find_mut(slot) {
                producer.content_hint = hint;
            }
            send_state_to_subscribers(objects, turn.pipes, slot);
        }
        Command::SetPlayoutDelay { consumer, delay } => {
            delay.as_ref().map_or(Ok(()), check_playout_delay)?;
            let slot = consumer_slot(objects, consumer)?;
            if let Some(consumer) = objects.consumers.find_mut(slot) {
                consumer.set_playout_delay(delay).map_err(invalid)?;
            }
        }
        Command::SetIgnoreDtx { consumer, ignore } => {
            let slot = consumer_slot(objects, consumer)?;
            if let Some(consumer) = objects.consumers.find_mut(slot) {
                consumer.ignores_dtx = ignore;
            }
        }
        Command::SetBitrates { transport, max_incoming_bps, min_outgoing_bps, max_outgoing_bps } => {
            let slot = transport_slot(objects, transport)?;
            let bitrates = Bitrates::new(max_incoming_bps, min_outgoing_bps, max_outgoing_bps);
            set_bitrates(objects, turn, slot, bitrates);
        }
        Command::SetAppData { transport, app_data } => {
            let slot = transport_slot(objects, transport)?;
            let kept = objects.transports.find_mut(slot).and_then(Transport::app_data_mut);
            *kept.ok_or_else(|| not_found(format_args!("client's transport {transport}")))? = app_data;
        }
        Command::ObserveAudio { router, observer } => {
            let slot = router_slot(objects, router)?;
            if let Some(observer) = &observer {
                check_observer(observer)?;
            }
            observe_audio(objects, turn, slot, observer);
        }
        Command::Stats { of } => {
            stats(objects, turn, request, of)?;
            return Ok(None);
        }
        Command::InjectPanic { transport, stage } => {
            let slot = transport_slot(objects, transport)?;
            inject_panic(turn.handling, slot, stage)?;
        }
        Command::Snapshot => {
            begin_snapshot(turn.news, request);
            return Ok(None);
        }
    }
    Ok(Some(Event::Done { request }))
}

fn create_router(
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

fn create_transport(
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
    let (id, webrtc) = (create.transport, WebRtc::new(create, turn.rng));
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

fn connect_transport(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    id: TransportId,
    fingerprint: Fingerprint,
) -> Result<(), Refused> {
    let now = turn.now;
    let slot = transport_slot(objects, id)?;
    let webrtc = objects.transports.find_mut(slot).and_then(Transport::webrtc_mut);
    let webrtc = webrtc.ok_or_else(|| invalid(format!("transport {id} has no DTLS")))?;
    match webrtc.dtls.fingerprint {
        Some(known) => {
            same_or_exists(known == fingerprint, format_args!("a fingerprint for transport {id}"))?
        }
        None => {
            webrtc.dtls.fingerprint = Some(fingerprint);
            webrtc.connect_deadline = Some(now + limits::CONNECT_TIMEOUT);
        }
    }
    rearm(objects, turn, slot);
    Ok(())
}

fn restart_ice(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    request: RequestId,
    id: TransportId,
) -> Result<Event, Refused> {
    let slot = transport_slot(objects, id)?;
    let rng = &mut *turn.rng;
    let webrtc = objects.transports.find_mut(slot).and_then(Transport::webrtc_mut);
    let ice = &mut webrtc.ok_or_else(|| invalid(format!("transport {id} has no ICE")))?.ice;
    if let Some(forgotten) = ice.restart(rng) {
        objects.by_ufrag.remove(&forgotten);
    }
    objects.by_ufrag.insert(ice.ufrag(), slot);
    Ok(Event::IceRestarted { request, transport: id, ice: ice.parameters() })
}

fn create_producer(
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
    let Some(transport) = objects.transports.find_mut(slot) else { return Ok(()) };
    let count = transport.producers.len();
    check_limit(count, limits::PRODUCERS_PER_TRANSPORT_MAX, "producers of a transport")?;
    if transport.plain().is_some() {
        let others = transport.producers.iter().filter_map(|slot| objects.producers.find(*slot));
        check_payload_types(&produce, others)?;
    } else if !has_labels(&produce) {
        return Err(invalid("a producer without SSRC needs a MID to be recognised by".to_owned()));
    }
    let conflict = produce.extensions.iter().find(|wish| !transport.extensions.accepts(wish.kind, wish.id));
    if let Some(wish) = conflict {
        return Err(invalid(format!(
            "extension id {} already means something else on this transport",
            wish.id
        )));
    }
    let mid = produce.mid.as_ref().map(Text::as_str);
    let others = transport.producers.iter().filter_map(|slot| objects.producers.find(*slot));
    if mid.is_some() && others.clone().any(|other| other.spec.mid.as_ref().map(Text::as_str) == mid) {
        return Err(invalid(format!(
            "MID {:?} already has a producer on this transport",
            mid.unwrap_or_default()
        )));
    }
    if let Some(ssrc) = signaled_ssrcs(&produce).find(|ssrc| transport.sources.find(*ssrc).is_some()) {
        return Err(invalid(format!("SSRC {} already belongs to a producer of this transport", ssrc.0)));
    }

    for wish in &produce.extensions {
        transport.extensions.declare(wish.kind, wish.id);
    }
    let origin = transport.pipe().map(Pipe::origin);
    objects.insert_producer(produce, slot, origin);
    turn.counters.count(Counter::Producers);
    // No layer has consumers yet. If that stays so, the publisher is told before it has sent anything.
    rearm(objects, turn, slot);
    Ok(())
}

fn create_consumer(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    consume: Consume,
) -> Result<(), Refused> {
    let now = turn.now;
    let id = consume.consumer;
    if let Some(consumer) = objects.consumer_ids.get(&id).and_then(|slot| objects.consumers.find(*slot)) {
        return same_or_exists(*consumer.spec == consume, format_args!("consumer {id}"));
    }
    let transport_slot = transport_slot(objects, consume.transport)?;
    let producer_slot = producer_slot(objects, consume.producer)?;
    check_consume(&consume)?;
    // Rooms are kept apart here too, whatever the controller mixes up.
    if objects.router_of(transport_slot) != objects.router_of_producer(producer_slot) {
        return Err(invalid(format!("producer {} belongs to another router", consume.producer)));
    }
    let (Some(transport), Some(producer)) =
        (objects.transports.find_mut(transport_slot), objects.producers.find_mut(producer_slot))
    else {
        return Ok(());
    };
    let ssrcs = [Some(consume.ssrc), consume.rtx_ssrc].into_iter().flatten().map(Ssrc);
    if let Some(ssrc) = ssrcs.clone().find(|ssrc| transport.sent_ssrcs.contains(ssrc)) {
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
        return Err(invalid(format!("transport {} is a pipe, and leads to nobody", consume.transport)));
    }
    let codec =
        |codec: &CodecParameters| producer.codecs().iter().any(|produced| produced.codec == codec.codec);
    if !consume.codecs.iter().all(codec) {
        return Err(invalid("a codec of the consumer is none of its producer's".to_owned()));
    }

    transport.sent_ssrcs.extend(ssrcs);
    let mut made = Consumer::new(consume, transport_slot, producer_slot, producer, turn.rng);
    if made.is_numbered() && transport.send_side.is_none() {
        transport.send_side = Some(Box::new(SendSide::new(now, transport.bitrates.outgoing)));
    }
    if let Some(side) = transport.send_side.as_deref_mut() {
        // Video begins when bandwidth has been allocated to it, which is in a moment. Audio needs no allocation.
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
    // Where the producer comes from another worker, that worker is told before the next deadline.
    rearm(objects, turn, producing);
    rearm(objects, turn, transport_slot);
    Ok(())
}

fn resume_consumer(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    id: ConsumerId,
) -> Result<(), Refused> {
    let slot = consumer_slot(objects, id)?;
    let Some(consumer) = objects.consumers.find_mut(slot) else { return Ok(()) };
    if std::mem::replace(&mut consumer.paused, false) {
        wake(objects, turn, slot);
    }
    Ok(())
}

fn stats(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    request: RequestId,
    of: StatsOf,
) -> Result<(), Refused> {
    let now = turn.now;
    let item = match of {
        StatsOf::Transport(id) => transport_stats(objects, now, transport_slot(objects, id)?),
        StatsOf::Producer(id) => producer_stats(objects, now, producer_slot(objects, id)?),
        StatsOf::Consumer(id) => consumer_stats(objects, now, consumer_slot(objects, id)?),
        StatsOf::Router(_) | StatsOf::Worker => {
            let mut transports = match of {
                StatsOf::Router(id) => objects.transports_of(router_slot(objects, id)?),
                _ => objects.transport_ids.values().copied().collect(),
            };
            // What comes from another worker is counted there.
            let is_pipe = |slot| objects.transports.find(slot).is_some_and(|found| found.pipe().is_some());
            transports.retain(|slot| !is_pipe(*slot));
            check_limit(turn.news.walks.len(), limits::STATS_WALKS_MAX, "requests for statistics under way")?;
            walk_stats(turn.news, now, request, transports);
            return Ok(());
        }
    };
    answer_stats(turn.news, request, item);
    Ok(())
}

fn inject_panic(handling: &mut Handling, slot: Slot, stage: Stage) -> Result<(), Refused> {
    if !handling.accepts_traps() {
        return Err(invalid("the engine was not started for tests that inject panics".to_owned()));
    }
    if !Stage::INJECTABLE.contains(&stage) {
        return Err(invalid(format!("no panic can be injected in stage {}", stage.name())));
    }
    handling.set_trap(stage, slot);
    Ok(())
}
