//! Pipes, the receiving half: packets and messages of other workers. A room may use several workers of one
//! engine.
//!
//! A producer is on its publisher's worker, the origin. A worker with consumers for it has a second producer,
//! with the same id and parameters, on a transport without a peer, a [`Pipe`]. Each packet is sent to it
//! once, as received and decrypted, and is received, cached and forwarded there like any other; NACKs are
//! answered from the cache of the worker that receives them. Requests for keyframes and layers are sent to
//! the origin, where they count as those of one more consumer.
//!
//! The worker with the consumers subscribes and repeats the subscription. The origin answers each repetition
//! with the complete state. So any message may be lost, and no worker waits for another.

use crate::base::slots::Slot;
use crate::ingress::producer::Producer;
use crate::limits;
use crate::objects::Objects;
use crate::packet::received::{Received, Role};
use crate::pipe::message::PipeMessage;
use crate::pipe::subscription::PipeSubscriber;
use crate::shard::close::close_producer;
use crate::shard::data_pipes::{
    on_data_gone, on_data_subscribed, on_piped_data, on_subscribe_data, on_unsubscribe_data,
};
use crate::shard::demux::read_extensions;
use crate::shard::fan_out::forward_pending;
use crate::shard::handling::Handling;
use crate::shard::pausing::{pause, resume};
use crate::shard::pipe_out::clock_of;
use crate::shard::rearm::rearm;
use crate::shard::receive::accept;
use crate::shard::refusal::{Refused, check_limit, router_slot, same_or_exists};
use crate::shard::requests::want_keyframe;
use crate::shard::turn::Turn;
use crate::transport::pipe::Pipe;
use crate::transport::{Link, Transport};
use control::{Closed, Codec, ContentHint, Counter, CreatePipe, Discard, ProducerId, Stage};
use machine::{Instant, Tx, WorkerId};
use rtp::dependency_descriptor;

pub(super) fn create_pipe(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    create: CreatePipe,
) -> Result<(), Refused> {
    let id = create.transport;
    if let Some(slot) = objects.transport_ids.get(&id) {
        let pipe = objects.transports.find(*slot).and_then(Transport::pipe);
        return same_or_exists(pipe.is_some_and(|pipe| pipe.spec == create), format_args!("transport {id}"));
    }
    let router = router_slot(objects, create.router)?;
    check_limit(objects.transports.len(), limits::TRANSPORTS_MAX, "transports of a worker")?;
    objects.insert_transport(id, router, Link::Pipe(Box::new(Pipe::new(create))), turn.rng);
    turn.counters.count(Counter::Transports);
    Ok(())
}

/// A message of another worker, with its buffer if it has one.
pub(super) fn on_pipe_message(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    from: WorkerId,
    bytes: &[u8],
    buffer: Box<[u8]>,
) -> Result<(), Discard> {
    let now = turn.now;
    let (message, packet) = PipeMessage::read(bytes).ok_or(Discard::PipeMessageMalformed)?;
    if !buffer.is_empty() && !matches!(message, PipeMessage::Data { .. }) {
        return Err(Discard::PipeMessageMalformed);
    }
    match message {
        PipeMessage::SubscribeData { producer, taker, wanted } => {
            on_subscribe_data(objects, turn, from, producer, taker, wanted);
            Ok(())
        }
        PipeMessage::UnsubscribeData { producer, taker } => {
            on_unsubscribe_data(objects, turn, from, producer, taker)
        }
        PipeMessage::DataSubscribed { taker } => on_data_subscribed(objects, turn, from, taker),
        PipeMessage::DataGone { taker } => on_data_gone(objects, turn, from, taker),
        PipeMessage::Data { taker, is_text } => on_piped_data(objects, turn, (from, taker), is_text, buffer),
        PipeMessage::Subscribe { producer, taker, wanted } => {
            on_subscribe(objects, turn, from, producer, taker, wanted);
            send_parameter_sets(objects, turn, from, producer, taker);
            Ok(())
        }
        PipeMessage::Unsubscribe { producer, taker } => on_unsubscribe(objects, turn, from, producer, taker),
        PipeMessage::Keyframe { producer, taker, stream } => {
            let (slot, _) = find_subscriber(objects, turn.handling, from, producer, taker)?;
            want_keyframe(objects, turn.timers, slot, usize::from(stream));
            Ok(())
        }
        PipeMessage::State { taker, paused, is_detail } => {
            let producer = piped(objects, turn.handling, from, taker)?;
            producer.content_hint = if is_detail { ContentHint::Detail } else { ContentHint::Motion };
            if let Some(piped) = &mut producer.pipe_source {
                piped.is_confirmed = true;
            }
            match (producer.paused, paused) {
                (false, true) => pause(objects, turn, taker),
                (true, false) => resume(objects, turn, taker),
                _ => {}
            }
            Ok(())
        }
        PipeMessage::Gone { taker } => {
            piped(objects, turn.handling, from, taker)?;
            close_producer(objects, turn, taker, Closed::Requested);
            Ok(())
        }
        PipeMessage::Clock { taker, stream, received_at, ntp, rtp_timestamp } => {
            let stream = piped(objects, turn.handling, from, taker)?.streams.get_mut(usize::from(stream));
            let stream = stream.ok_or(Discard::PipeMessageMalformed)?;
            stream.on_sender_report(received_at.min(now), ntp, rtp_timestamp);
            Ok(())
        }
        PipeMessage::ParameterSet { taker, stream } => {
            let producer = piped(objects, turn.handling, from, taker)?;
            if !producer.codecs().iter().any(|codec| codec.codec == Codec::H264) {
                return Err(Discard::PipeMessageMalformed);
            }
            let stream =
                producer.streams.get_mut(usize::from(stream)).ok_or(Discard::PipeMessageMalformed)?;
            stream.on_earlier_parameter_set(packet);
            Ok(())
        }
        PipeMessage::Media { taker, stream, life, received_at } => {
            on_piped_packet(objects, turn, (from, taker), (stream, life), received_at.min(now), packet)
        }
    }
}

/// A producer here whose origin is that worker.
fn piped<'a>(
    objects: &'a mut Objects,
    handling: &mut Handling,
    from: WorkerId,
    taker: Slot,
) -> Result<&'a mut Producer, Discard> {
    let producer = objects.producers.find_mut(taker).filter(|producer| producer.origin() == Some(from));
    let producer = producer.ok_or(Discard::PipeMessageStale)?;
    handling.of(Stage::HandOff, producer.transport);
    Ok(producer)
}

/// A producer of this worker, and the index of this subscriber.
fn find_subscriber(
    objects: &Objects,
    handling: &mut Handling,
    from: WorkerId,
    producer: ProducerId,
    taker: Slot,
) -> Result<(Slot, usize), Discard> {
    let slot = *objects.producer_ids.get(&producer).ok_or(Discard::PipeMessageStale)?;
    let producer = objects.producers.find(slot).ok_or(Discard::PipeMessageStale)?;
    handling.of(Stage::HandOff, producer.transport);
    let subscribers = &producer.subscribers;
    let is_it = |subscriber: &PipeSubscriber| (subscriber.worker, subscriber.taker) == (from, taker);
    Ok((slot, subscribers.iter().position(is_it).ok_or(Discard::PipeMessageStale)?))
}

fn on_subscribe(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    worker: WorkerId,
    id: ProducerId,
    taker: Slot,
    wanted: u8,
) {
    let now = turn.now;
    let producer = objects.producer_ids.get(&id).and_then(|slot| objects.producers.find_mut(*slot));
    // A piped producer is served by its origin, not from here.
    let Some(producer) = producer.filter(|producer| producer.pipe_source.is_none()) else {
        return turn.pipes.push(worker, PipeMessage::Gone { taker });
    };
    turn.handling.of(Stage::HandOff, producer.transport);
    let subscribers = &mut producer.subscribers;
    let known = subscribers.iter().position(|subscriber| subscriber.worker == worker);
    if known.is_none() && subscribers.len() >= limits::SUBSCRIBERS_MAX {
        return turn.pipes.push(worker, PipeMessage::Gone { taker });
    }
    let former = known.map_or(0, |index| subscribers.swap_remove(index).wanted);
    subscribers.push(PipeSubscriber { worker, taker, wanted, last_message_at: now });
    producer.layer_demand.replace(former, wanted);
    turn.pipes.push(worker, producer.state(taker));
    for (stream, clock) in producer.streams.iter().enumerate() {
        if let Some(clock) = clock_of(clock, stream) {
            turn.pipes.push(worker, clock(taker));
        }
    }
    let transport = producer.transport;
    rearm(objects, turn, transport);
}

/// Sends the parameter sets of a producer to a subscribed worker: they may have been sent only once, before
/// the subscription.
fn send_parameter_sets(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    worker: WorkerId,
    id: ProducerId,
    taker: Slot,
) {
    let Ok((slot, _)) = find_subscriber(objects, turn.handling, worker, id, taker) else { return };
    let Some(producer) = objects.producers.find(slot) else { return };
    for (index, stream) in producer.streams.iter().enumerate() {
        let Some(sets) = stream.parameter_sets() else { continue };
        let head = PipeMessage::ParameterSet { taker, stream: index as u8 }.write();
        for unit in (0..sets.len()).filter_map(|set| sets.unit(set)) {
            if !turn.tx.hand_off(worker, head.as_bytes(), unit) {
                turn.counters.count(Counter::PipedLost);
            }
        }
    }
}

fn on_unsubscribe(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    worker: WorkerId,
    id: ProducerId,
    taker: Slot,
) -> Result<(), Discard> {
    let (slot, index) = find_subscriber(objects, turn.handling, worker, id, taker)?;
    let producer = objects.producers.find_mut(slot).ok_or(Discard::PipeMessageStale)?;
    let subscriber = producer.subscribers.swap_remove(index);
    producer.layer_demand.replace(subscriber.wanted, 0);
    let transport = producer.transport;
    rearm(objects, turn, transport);
    Ok(())
}

fn on_piped_packet(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    (from, slot): (WorkerId, Slot),
    (stream, life): (u8, u8),
    received_at: Instant,
    bytes: &[u8],
) -> Result<(), Discard> {
    let now = turn.now;
    let producer = piped(objects, turn.handling, from, slot)?;
    let stream = usize::from(stream);
    let rtp = rtp::Packet::new(bytes).map_err(|_| Discard::RtpMalformed)?;
    let role = producer.role(rtp.pt()).ok_or(Discard::RtpUnknownPt)?;
    let known = producer.streams.get_mut(stream).ok_or(Discard::PipeMessageMalformed)?;
    let has_restarted = known.follow_life(life);
    let has_changed = matches!(role, Role::Media(_)) && known.ssrc != Some(rtp.ssrc());
    let transport_slot = producer.transport;
    let transport = objects.transports.find_mut(transport_slot).ok_or(Discard::PipeMessageStale)?;
    let router = transport.router;
    transport.traffic.received.count(bytes.len());
    let read = read_extensions(transport, &rtp);
    turn.counters.count(Counter::PipedIn);
    // Earlier packets must be forwarded with their own numbers and structure.
    if has_restarted || has_changed || dependency_descriptor::has_structure(read.descriptor) {
        forward_pending(objects, turn);
    }
    let producer = piped(objects, turn.handling, from, slot)?;
    let is_reset = has_changed && producer.streams[stream].learn_ssrc(now, rtp.ssrc());
    if has_restarted && !is_reset {
        producer.streams[stream].reset();
    }
    if has_restarted || is_reset {
        producer.on_new_beginning(stream);
    }
    let (carried, descriptor) = (read.carried, read.descriptor);
    let received = Received { rtp, role, carried, descriptor, received_at };
    accept(objects, turn, router, (slot, stream), &received)
}
