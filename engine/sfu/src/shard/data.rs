//! Data channels: messages of one peer's data producer go to the peers of its consumers.
//!
//! A datagram with data is given to the association of its transport. Everything that follows from it happens
//! when the timers run, at once: messages are put into the send buffers of the consumers, and the transports of
//! those send when their own timer runs. So one message causes a bounded work for each consumer, and media that
//! has arrived meanwhile goes first.

use crate::base::slots::Slot;
use crate::egress::data_consumer::DataConsumer;
use crate::ingress::data_producer::DataProducer;
use crate::limits;
use crate::objects::Objects;
use crate::shard::connect::drive_dtls;
use crate::shard::refusal::{Refused, check_limit, invalid, not_found, same_or_exists, transport_slot};
use crate::shard::turn::Turn;
use crate::transport::data::{Data, Use};
use crate::transport::{Link, Transport, WebRtc};
use bytes::Bytes;
use control::{
    Closed, ConsumeData, Counter, DataChannel, DataConsumerId, DataProducerId, Discard, Event, ProduceData,
    TransportId,
};
use machine::{Tx, meter};
use sctp::StreamId;

/// A channel on which the peer sends.
pub(super) fn produce_data(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    produce: ProduceData,
) -> Result<(), Refused> {
    let id = produce.producer;
    let known = objects.data_producer_ids.get(&id).and_then(|slot| objects.data_producers.find(*slot));
    if let Some(known) = known {
        return same_or_exists(*known.spec == produce, format_args!("data producer {id}"));
    }
    let transport = transport_slot(objects, produce.transport)?;
    open(objects, turn, transport, produce.transport, produce.stream, &produce.channel)?;
    let stream = StreamId(produce.stream);
    let producer = DataProducer { spec: Box::new(produce), transport, consumers: Vec::new() };
    let slot = objects.insert_data_producer(producer);
    taken(objects, turn, transport, stream, Use::Producer(slot));
    turn.counters.count(Counter::DataProducers);
    Ok(())
}

/// A channel on which the peer receives.
pub(super) fn consume_data(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    consume: ConsumeData,
) -> Result<(), Refused> {
    let id = consume.consumer;
    let known = objects.data_consumer_ids.get(&id).and_then(|slot| objects.data_consumers.find(*slot));
    if let Some(known) = known {
        return same_or_exists(*known.spec == consume, format_args!("data consumer {id}"));
    }
    let transport = transport_slot(objects, consume.transport)?;
    let producer = data_producer_slot(objects, consume.producer)?;
    let Some(found) = objects.data_producers.find(producer) else { return Ok(()) };
    // Rooms are separated here too, in case of an error of the controller.
    if objects.router_of(transport) != objects.router_of(found.transport) {
        return Err(invalid(format!("data producer {} belongs to another router", consume.producer)));
    }
    let max = limits::DATA_CONSUMERS_PER_PRODUCER_MAX;
    check_limit(found.consumers.len(), max, "data consumers of a data producer")?;
    open(objects, turn, transport, consume.transport, consume.stream, &consume.channel)?;
    let stream = StreamId(consume.stream);
    let slot = objects.insert_data_consumer(DataConsumer { spec: Box::new(consume), transport, producer });
    taken(objects, turn, transport, stream, Use::Consumer(slot));
    turn.counters.count(Counter::DataConsumers);
    Ok(())
}

/// Opens a stream of a transport. The first one begins the association, if DTLS is complete.
fn open(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    id: TransportId,
    stream: u16,
    channel: &DataChannel,
) -> Result<(), Refused> {
    if stream >= limits::DATA_STREAMS_MAX {
        let max = limits::DATA_STREAMS_MAX - 1;
        return Err(invalid(format!("stream {stream} is not from 0 to {max}")));
    }
    let Some(transport) = objects.transports.find_mut(slot) else { return Ok(()) };
    let role = transport.webrtc().map(|webrtc| webrtc.dtls.peer.map(|peer| peer.role));
    let role =
        role.ok_or_else(|| invalid(format!("transport {id} has no DTLS, which data channels need")))?;
    let is_connected = transport.protection.is_some();
    let data = transport.data.get_or_insert_with(|| Box::new(Data::new(turn.rng.fork())));
    if !data.is_free(stream) {
        return Err(invalid(format!("stream {stream} of transport {id} is in use")));
    }
    check_limit(data.uses.len(), limits::DATA_CHANNELS_PER_TRANSPORT_MAX, "data channels of a transport")?;
    if let (None, Some(role), true) = (&data.association, role, is_connected) {
        data.start(turn.now, role, std::iter::empty());
    }
    let opened = data.open(stream, channel);
    opened.map_err(|error| invalid(format!("stream {stream} of transport {id} cannot be opened: {error}")))
}

fn taken(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot, stream: StreamId, by: Use) {
    if let Some(data) = objects.transports.find_mut(slot).and_then(|transport| transport.data.as_mut()) {
        data.uses.insert(stream, by);
        turn.timers.hasten(slot, turn.now);
    }
}

/// DTLS is complete: the association of channels that were created before begins.
pub(super) fn start_data(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let Objects { transports, data_producers, data_consumers, .. } = objects;
    let Some(transport) = transports.find_mut(slot) else { return };
    let role = transport.webrtc().and_then(|webrtc| webrtc.dtls.peer).map(|peer| peer.role);
    let (Some(data), Some(role)) = (transport.data.as_mut(), role) else { return };
    let uses: Vec<_> = data.uses.values().copied().collect();
    let channels = uses.iter().filter_map(|by| match by {
        Use::Producer(slot) => {
            data_producers.find(*slot).map(|found| (found.spec.stream, &found.spec.channel))
        }
        Use::Consumer(slot) => {
            data_consumers.find(*slot).map(|found| (found.spec.stream, &found.spec.channel))
        }
    });
    data.start(turn.now, role, channels);
    turn.timers.hasten(slot, turn.now);
}

/// The timer of the data channels of a transport: delivers what has arrived, and sends what waits.
pub(super) fn drive_data(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let data = objects.transports.find_mut(slot).and_then(|transport| transport.data.as_mut());
    if !data.is_some_and(|data| data.on_timeout(now)) {
        return;
    }
    deliver(objects, turn, slot);
    transmit(objects, turn, slot);
}

/// Events of an association, up to the bound of one call.
fn deliver(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    for _ in 0..limits::DATA_EVENTS_PER_TIMEOUT {
        let Some(data) = objects.transports.find_mut(slot).and_then(|found| found.data.as_mut()) else {
            return;
        };
        let Some(event) = data.association.as_mut().and_then(|association| association.poll_event()) else {
            return;
        };
        meter::charge(1, 2_000);
        match event {
            sctp::Event::Message { stream, kind, payload } => {
                turn.counters.count(Counter::DataIn);
                match data.uses.get(&stream).copied() {
                    Some(Use::Producer(producer)) => {
                        forward(objects, turn, slot, producer, Message { kind, payload: &payload });
                    }
                    Some(Use::Consumer(_)) | None => turn.counters.discard(Discard::DataUnroutable),
                }
            }
            // The peer may open channels, but only those that the controller knows are used.
            sctp::Event::Opened { stream, .. } => data.close(stream.0),
            sctp::Event::Closed { stream } => match data.uses.get(&stream).copied() {
                Some(Use::Producer(slot)) => close_data_producer(objects, turn, slot, Closed::PeerClosed),
                Some(Use::Consumer(slot)) => close_data_consumer(objects, turn, slot, Closed::PeerClosed),
                None => {}
            },
            sctp::Event::Failed(_) => return close_data(objects, turn, slot, Closed::DataFailed),
            sctp::Event::Connected | sctp::Event::BufferLow { .. } => {}
        }
    }
    // The rest follows at once, after other transports.
    if let Some(data) = objects.transports.find_mut(slot).and_then(|found| found.data.as_mut()) {
        data.is_due = true;
    }
}

/// A message, whose payload the consumers share.
struct Message<'a> {
    kind: sctp::Kind,
    payload: &'a Bytes,
}

/// Puts a message into the send buffers of the consumers of a producer. One whose buffer is full does not get
/// it: a slow receiver costs a bounded memory, and does not delay the others.
fn forward(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    source: Slot,
    producer: Slot,
    message: Message<'_>,
) {
    let Objects { transports, data_producers, data_consumers, .. } = objects;
    let consumers = data_producers.find(producer).map_or(&[][..], |producer| &producer.consumers);
    meter::charge(consumers.len(), 1_000);
    for consumer in consumers.iter().filter_map(|slot| data_consumers.find(*slot)) {
        turn.handling.forward(source, consumer.transport);
        let data = transports.find_mut(consumer.transport).and_then(|transport| transport.data.as_mut());
        let sent = data.is_some_and(|data| {
            let Some(association) = &mut data.association else { return false };
            let stream = StreamId(consumer.spec.stream);
            data.is_due = true;
            association.send(turn.now, stream, message.kind, message.payload.clone()).is_ok()
        });
        turn.counters.count(if sent { Counter::DataOut } else { Counter::DataLost });
        turn.timers.hasten(consumer.transport, turn.now);
    }
    turn.handling.end_forward();
}

/// Sends packets of an association, up to the bound of one call.
fn transmit(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    for _ in 0..limits::DATA_PACKETS_PER_TIMEOUT {
        let Some(transport) = objects.transports.find_mut(slot) else { return };
        let Transport { link: Link::WebRtc(WebRtc { dtls, .. }), data: Some(data), .. } = transport else {
            return;
        };
        let (Some(endpoint), Some(association)) = (&mut dtls.endpoint, &mut data.association) else { return };
        let Some(packet) = association.poll_transmit(now) else { return };
        meter::charge(packet.len(), 10);
        // What DTLS does not take is lost, as in a network; the association sends it again.
        let sent = endpoint.send(now, &packet);
        drive_dtls(objects, turn, slot, Ok(()));
        if sent.is_err() {
            return;
        }
    }
    if let Some(data) = objects.transports.find_mut(slot).and_then(|found| found.data.as_mut()) {
        data.is_due = true;
    }
}

/// Closes all data channels of a transport, and their association.
pub(super) fn close_data(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot, closed: Closed) {
    let first =
        |objects: &Objects| objects.transports.find(slot)?.data.as_ref()?.uses.values().next().copied();
    while let Some(by) = first(objects) {
        match by {
            Use::Producer(slot) => close_data_producer(objects, turn, slot, closed),
            Use::Consumer(slot) => close_data_consumer(objects, turn, slot, closed),
        }
    }
    if let Some(transport) = objects.transports.find_mut(slot) {
        transport.data = None;
    }
}

/// Closes a data producer and its consumers.
pub(super) fn close_data_producer(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    closed: Closed,
) {
    while let Some(consumer) =
        objects.data_producers.find(slot).and_then(|producer| producer.consumers.last().copied())
    {
        close_data_consumer(objects, turn, consumer, closed);
    }
    let Some(producer) = objects.remove_data_producer(slot) else { return };
    meter::charge(1, 3_000);
    turn.timers.hasten(producer.transport, turn.now);
    turn.counters.uncount(Counter::DataProducers);
    turn.news.notify(Event::DataProducerClosed { producer: producer.spec.producer, closed });
}

/// Closes a data consumer.
pub(super) fn close_data_consumer(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    closed: Closed,
) {
    let Some(consumer) = objects.remove_data_consumer(slot) else { return };
    meter::charge(1, 3_000);
    turn.timers.hasten(consumer.transport, turn.now);
    turn.counters.uncount(Counter::DataConsumers);
    turn.news.notify(Event::DataConsumerClosed { consumer: consumer.spec.consumer, closed });
}

/// The slot of a data producer.
pub(super) fn data_producer_slot(objects: &Objects, id: DataProducerId) -> Result<Slot, Refused> {
    objects.data_producer_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("data producer {id}")))
}

/// The slot of a data consumer.
pub(super) fn data_consumer_slot(objects: &Objects, id: DataConsumerId) -> Result<Slot, Refused> {
    objects.data_consumer_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("data consumer {id}")))
}
