//! The controller's commands. Every request gets one answer; a refused one changes nothing.

use crate::bandwidth::sender::Bitrates;
use crate::base::slots::Slot;
use crate::egress::consumer::Consumer;
use crate::limits;
use crate::objects::Objects;
use crate::pipe::outbox::PipeOutbox;
use crate::shard::adapt::set_bitrates;
use crate::shard::close::{
    claim_router, close_consumer, close_data_consumer, close_data_producer, close_producer, close_router,
    close_transport,
};
use crate::shard::connect::prepare_client;
use crate::shard::create::{create_consumer, create_producer, create_router, create_transport};
use crate::shard::data::{
    accept_data, close_opened, consume_data, data_consumer_slot, data_producer_slot, produce_data,
};
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
use crate::shard::timers::Timers;
use crate::shard::turn::Turn;
use crate::shard::validate::{check_observer, check_playout_delay};
use crate::transport::{DtlsPeer, Transport};
use control::{
    AppData, AudioObserver, Closed, Command, ConsumerId, ContentHint, DtlsRole, Event, Layers,
    PeerFingerprint, PlayoutDelay, ProducerId, Request, RequestId, RouterId, Stage, StatsOf, Text,
    TransportId,
};
use dtls::CertificateHash;
use machine::Tx;

pub(super) fn on_request(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, request: Request) {
    let id = request.id;
    turn.news.events.on_request();
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

/// `Ok(None)`: the answer is a sequence that has started, or waits for a socket.
fn carry_out(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    request: RequestId,
    command: Command,
) -> Result<Option<Event>, Refused> {
    match command {
        Command::CreateRouter { router, app_data } => create_router(objects, turn, router, app_data)?,
        Command::CloseRouter { router } => close_router_by_id(objects, turn, router)?,
        Command::ClaimRouter { router } => {
            let slot = router_slot(objects, router)?;
            claim_router(objects, turn.timers, slot);
        }
        Command::ObserveAudio { router, observer } => set_observer(objects, turn, router, observer)?,
        Command::CreateTransport(create) => {
            return create_transport(objects, turn, request, create).map(Some);
        }
        Command::CreatePlainTransport(create) => {
            return create_plain_transport(objects, turn, request, create);
        }
        Command::CreatePipe(create) => create_pipe(objects, turn, create)?,
        Command::ConnectTransport { transport, fingerprint } => {
            let peer = DtlsPeer { role: DtlsRole::Server, certificate: CertificateHash::Sha256(fingerprint) };
            connect_transport(objects, turn, transport, peer)?;
        }
        Command::ConnectTransportAs { transport, role, fingerprint } => {
            let peer = DtlsPeer { role, certificate: certificate_hash(fingerprint) };
            connect_transport(objects, turn, transport, peer)?;
        }
        Command::ConnectPlainTransport(connect) => connect_plain_transport(objects, turn, connect)?,
        Command::RestartIce { transport } => return restart_ice(objects, turn, request, transport).map(Some),
        Command::CloseTransport { transport } => close_transport_by_id(objects, turn, transport)?,
        Command::SetAppData { transport, app_data } => set_app_data(objects, transport, app_data)?,
        Command::SetBitrates { transport, max_incoming_bps, min_outgoing_bps, max_outgoing_bps } => {
            let slot = transport_slot(objects, transport)?;
            set_bitrates(
                objects,
                turn,
                slot,
                Bitrates::new(max_incoming_bps, min_outgoing_bps, max_outgoing_bps),
            );
        }
        Command::Produce(produce) => create_producer(objects, turn, produce)?,
        Command::PauseProducer { producer } => pause_by_id(objects, turn, producer)?,
        Command::ResumeProducer { producer } => resume_by_id(objects, turn, producer)?,
        Command::CloseProducer { producer } => close_producer_by_id(objects, turn, producer)?,
        Command::SetContentHint { producer, hint } => set_content_hint(objects, turn.pipes, producer, hint)?,
        Command::Consume(consume) => create_consumer(objects, turn, consume)?,
        Command::PauseConsumer { consumer } => pause_consumer(objects, turn, consumer)?,
        Command::ResumeConsumer { consumer } => resume_consumer(objects, turn, consumer)?,
        Command::CloseConsumer { consumer } => close_consumer_by_id(objects, turn, consumer)?,
        Command::RequestKeyframe { consumer } => request_keyframe(objects, turn.timers, consumer)?,
        Command::SetPreferredLayers { consumer, layers } => {
            set_preferred_layers(objects, turn, consumer, layers)?;
        }
        Command::SetPriority { consumer, priority } => consumer_mut(objects, consumer)?.priority = priority,
        Command::SetPlayoutDelay { consumer, delay } => set_playout_delay(objects, consumer, delay)?,
        Command::SetIgnoreDtx { consumer, ignore } => consumer_mut(objects, consumer)?.ignores_dtx = ignore,
        Command::ProduceData(produce) => produce_data(objects, turn, produce)?,
        Command::CloseDataProducer { producer } => {
            let slot = data_producer_slot(objects, producer)?;
            close_data_producer(objects, turn, slot, Closed::Requested);
        }
        Command::ConsumeData(consume) => consume_data(objects, turn, consume)?,
        Command::CloseDataConsumer { consumer } => {
            let slot = data_consumer_slot(objects, consumer)?;
            close_data_consumer(objects, turn, slot, Closed::Requested);
        }
        Command::AcceptData(accept) => accept_data(objects, turn, accept)?,
        Command::CloseDataChannel { transport, stream } => close_opened(objects, turn, transport, stream)?,
        Command::Stats { of } => return stats(objects, turn, request, of).map(|()| None),
        Command::Snapshot => {
            begin_snapshot(turn.news, request);
            return Ok(None);
        }
        Command::InjectPanic { transport, stage } => {
            inject_panic(turn.handling, transport_slot(objects, transport)?, stage)?;
        }
    }
    Ok(Some(Event::Done { request }))
}

fn close_router_by_id(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    id: RouterId,
) -> Result<(), Refused> {
    let slot = router_slot(objects, id)?;
    close_router(objects, turn, slot, Closed::Requested);
    Ok(())
}

fn close_transport_by_id(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    id: TransportId,
) -> Result<(), Refused> {
    let slot = transport_slot(objects, id)?;
    close_transport(objects, turn, slot, Closed::Requested);
    Ok(())
}

fn close_producer_by_id(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    id: ProducerId,
) -> Result<(), Refused> {
    let slot = producer_slot(objects, id)?;
    close_producer(objects, turn, slot, Closed::Requested);
    Ok(())
}

fn close_consumer_by_id(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    id: ConsumerId,
) -> Result<(), Refused> {
    let slot = consumer_slot(objects, id)?;
    close_consumer(objects, turn, slot, Closed::Requested);
    Ok(())
}

fn set_observer(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    id: RouterId,
    observer: Option<AudioObserver>,
) -> Result<(), Refused> {
    let slot = router_slot(objects, id)?;
    if let Some(observer) = &observer {
        check_observer(observer)?;
    }
    observe_audio(objects, turn, slot, observer);
    Ok(())
}

fn set_app_data(objects: &mut Objects, id: TransportId, app_data: AppData) -> Result<(), Refused> {
    let slot = transport_slot(objects, id)?;
    let kept = objects.transports.find_mut(slot).and_then(Transport::app_data_mut);
    *kept.ok_or_else(|| not_found(format_args!("client's transport {id}")))? = app_data;
    Ok(())
}

fn pause_by_id(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, id: ProducerId) -> Result<(), Refused> {
    let slot = own_producer_slot(objects, id)?;
    pause(objects, turn, slot);
    Ok(())
}

fn resume_by_id(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, id: ProducerId) -> Result<(), Refused> {
    let slot = own_producer_slot(objects, id)?;
    resume(objects, turn, slot);
    Ok(())
}

fn set_content_hint(
    objects: &mut Objects,
    pipes: &mut PipeOutbox,
    id: ProducerId,
    hint: ContentHint,
) -> Result<(), Refused> {
    let slot = own_producer_slot(objects, id)?;
    if let Some(producer) = objects.producers.find_mut(slot) {
        producer.content_hint = hint;
    }
    send_state_to_subscribers(objects, pipes, slot);
    Ok(())
}

fn consumer_mut(objects: &mut Objects, id: ConsumerId) -> Result<&mut Consumer, Refused> {
    let slot = consumer_slot(objects, id)?;
    objects.consumers.find_mut(slot).ok_or_else(|| not_found(format_args!("consumer {id}")))
}

fn pause_consumer(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    id: ConsumerId,
) -> Result<(), Refused> {
    let slot = consumer_slot(objects, id)?;
    consumer_mut(objects, id)?.pause();
    retarget(objects, turn, slot);
    Ok(())
}

fn request_keyframe(objects: &mut Objects, timers: &mut Timers, id: ConsumerId) -> Result<(), Refused> {
    let slot = consumer_slot(objects, id)?;
    if let Some(consumer) = objects.consumers.find(slot) {
        let (producer, stream) = (consumer.producer, stream_of_interest(objects, consumer));
        want_keyframe(objects, timers, producer, stream);
    }
    Ok(())
}

fn set_preferred_layers(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    id: ConsumerId,
    layers: Layers,
) -> Result<(), Refused> {
    let slot = consumer_slot(objects, id)?;
    consumer_mut(objects, id)?.preferred_layers = Some(layers);
    retarget(objects, turn, slot);
    Ok(())
}

fn set_playout_delay(
    objects: &mut Objects,
    id: ConsumerId,
    delay: Option<PlayoutDelay>,
) -> Result<(), Refused> {
    delay.as_ref().map_or(Ok(()), check_playout_delay)?;
    consumer_mut(objects, id)?.set_playout_delay(delay).map_err(invalid)
}

fn connect_transport(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    id: TransportId,
    peer: DtlsPeer,
) -> Result<(), Refused> {
    let now = turn.now;
    let slot = transport_slot(objects, id)?;
    let webrtc = objects.transports.find_mut(slot).and_then(Transport::webrtc_mut);
    let webrtc = webrtc.ok_or_else(|| invalid(format!("transport {id} has no DTLS")))?;
    match webrtc.dtls.peer {
        Some(known) => {
            same_or_exists(known == peer, format_args!("a role or fingerprint for transport {id}"))?
        }
        None => {
            webrtc.dtls.peer = Some(peer);
            webrtc.connect_deadline = Some(now + limits::CONNECT_TIMEOUT);
            prepare_client(webrtc, now);
        }
    }
    rearm(objects, turn, slot);
    Ok(())
}

fn certificate_hash(fingerprint: PeerFingerprint) -> CertificateHash {
    match fingerprint {
        PeerFingerprint::Sha1(hash) => CertificateHash::Sha1(hash),
        PeerFingerprint::Sha224(hash) => CertificateHash::Sha224(hash),
        PeerFingerprint::Sha256(hash) => CertificateHash::Sha256(hash),
        PeerFingerprint::Sha384(hash) => CertificateHash::Sha384(hash),
        PeerFingerprint::Sha512(hash) => CertificateHash::Sha512(hash),
    }
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
            // The statistics of a piped producer are at its origin.
            let is_pipe = |slot| objects.transports.find(slot).is_some_and(|found| found.pipe().is_some());
            transports.retain(|slot| !is_pipe(*slot));
            check_limit(turn.news.walks.len(), limits::STATS_WALKS_MAX, "running requests for statistics")?;
            walk_stats(turn.news, now, request, transports);
            return Ok(());
        }
    };
    answer_stats(turn.news, request, item);
    Ok(())
}

fn inject_panic(handling: &mut Handling, slot: Slot, stage: Stage) -> Result<(), Refused> {
    if !handling.accepts_traps() {
        return Err(invalid(
            "the engine was not started with the flag that allows injected panics".to_owned(),
        ));
    }
    if !Stage::INJECTABLE.contains(&stage) {
        return Err(invalid(format!("a panic cannot be injected in stage {}", stage.name())));
    }
    handling.set_trap(stage, slot);
    Ok(())
}
