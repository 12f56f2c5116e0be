//! Creates data channels. A repeated command creates nothing. The flow of messages is in
//! [`data_flow`](super::data_flow).

use crate::base::slots::Slot;
use crate::egress::data_consumer::DataConsumer;
use crate::ingress::data_producer::DataProducer;
use crate::limits;
use crate::objects::Objects;
use crate::shard::pipe_out::subscribe_data_if_due;
use crate::shard::rearm::rearm;
use crate::shard::refusal::{Refused, check_limit, invalid, not_found, same_or_exists, transport_slot};
use crate::shard::turn::Turn;
use crate::transport::Transport;
use crate::transport::data::{Data, Start, Use};
use control::{
    AcceptData, ConsumeData, Counter, DataConsumerId, DataProducerId, DtlsRole, Event, ProduceData,
    TransportId,
};
use machine::Tx;
use sctp::StreamId;

/// A channel on which the peer sends. On a pipe: the messages of a channel of another worker.
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
    if let Some(pipe) = objects.transports.find(transport).and_then(Transport::pipe) {
        let (count, max) = (pipe.data_producers.len(), limits::DATA_CHANNELS_PER_TRANSPORT_MAX);
        check_limit(count, max, "data channels of a transport")?;
        let origin = Some(pipe.origin());
        objects.insert_data_producer(DataProducer::new(produce, transport, origin));
        subscribe_data_if_due(objects, turn, transport);
        rearm(objects, turn, transport);
        turn.counters.count(Counter::DataProducers);
        return Ok(());
    }
    let stream = StreamId(produce.stream);
    if produce.is_dcep {
        let data = objects.transports.find_mut(transport).and_then(|transport| transport.data.as_mut());
        let opened = data.and_then(|data| data.opened.remove(&stream));
        opened
            .ok_or_else(|| not_found(format_args!("channel that the peer opened on stream {}", stream.0)))?;
    } else {
        let start = Start { stream: stream.0, channel: &produce.channel, is_opened_here: false };
        open(objects, turn, transport, produce.transport, &start)?;
    }
    let producer = DataProducer::new(produce, transport, None);
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
    let producing = found.transport;
    let stream = StreamId(consume.stream);
    let start = Start { stream: stream.0, channel: &consume.channel, is_opened_here: consume.is_dcep };
    open(objects, turn, transport, consume.transport, &start)?;
    let slot = objects.insert_data_consumer(DataConsumer { spec: Box::new(consume), transport, producer });
    taken(objects, turn, transport, stream, Use::Consumer(slot));
    // If the producer comes from another worker, that worker is notified at once.
    subscribe_data_if_due(objects, turn, producing);
    rearm(objects, turn, producing);
    turn.counters.count(Counter::DataConsumers);
    Ok(())
}

/// Opens a stream of a transport. The first one begins the association, if DTLS is complete.
fn open(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    id: TransportId,
    start: &Start<'_>,
) -> Result<(), Refused> {
    let stream = start.stream;
    if stream >= limits::DATA_STREAMS_MAX {
        let max = limits::DATA_STREAMS_MAX - 1;
        return Err(invalid(format!("stream {stream} is not from 0 to {max}")));
    }
    let Some(transport) = objects.transports.find_mut(slot) else { return Ok(()) };
    let role = dtls_role(transport, id)?;
    if start.is_opened_here && !role.is_some_and(|role| opens(role, stream)) {
        return Err(invalid(format!("stream {stream} is opened by the other side, or DTLS has no role yet")));
    }
    let is_connected = transport.protection.is_some();
    let data = transport.data.get_or_insert_with(|| Box::new(Data::new(turn.rng.fork())));
    if !data.is_free(stream) {
        return Err(invalid(format!("stream {stream} of transport {id} is in use")));
    }
    check_limit(data.uses.len(), limits::DATA_CHANNELS_PER_TRANSPORT_MAX, "data channels of a transport")?;
    if let (None, Some(role), true) = (&data.association, role, is_connected) {
        data.start(turn.now, role, std::iter::empty());
    }
    let opened = data.open(start);
    opened.map_err(|error| invalid(format!("stream {stream} of transport {id} cannot be opened: {error}")))
}

/// The role of the engine, if it is known.
fn dtls_role(transport: &Transport, id: TransportId) -> Result<Option<DtlsRole>, Refused> {
    let role = transport.webrtc().map(|webrtc| webrtc.dtls.peer.map(|peer| peer.role));
    role.ok_or_else(|| invalid(format!("transport {id} has no DTLS, which data channels need")))
}

/// Whether the side with this role opens a channel on this stream (RFC 8832 §6).
fn opens(role: DtlsRole, stream: u16) -> bool {
    stream.is_multiple_of(2) == (role == DtlsRole::Client)
}

/// The peer may open channels. Those that it has opened are reported again.
pub(super) fn accept_data(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    accept: AcceptData,
) -> Result<(), Refused> {
    let slot = transport_slot(objects, accept.transport)?;
    let Some(transport) = objects.transports.find_mut(slot) else { return Ok(()) };
    let role = dtls_role(transport, accept.transport)?;
    let is_connected = transport.protection.is_some();
    let data = transport.data.get_or_insert_with(|| Box::new(Data::new(turn.rng.fork())));
    data.accept(accept);
    if let (None, Some(role), true) = (&data.association, role, is_connected) {
        data.start(turn.now, role, std::iter::empty());
        turn.timers.hasten(slot, turn.now);
    }
    for (stream, channel) in &data.opened {
        let (transport, channel) = (accept.transport, channel.clone());
        turn.news.notify(Event::DataChannelOpened { transport, stream: stream.0, channel });
    }
    Ok(())
}

/// Closes a channel that the peer has opened. One that is closed already is no error.
pub(super) fn close_opened(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    transport: TransportId,
    stream: u16,
) -> Result<(), Refused> {
    let slot = transport_slot(objects, transport)?;
    let data = objects.transports.find_mut(slot).and_then(|transport| transport.data.as_mut());
    if let Some(data) = data.filter(|data| data.opened.contains_key(&StreamId(stream))) {
        data.close(stream);
        turn.timers.hasten(slot, turn.now);
    }
    Ok(())
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
    if data.association.is_some() {
        return;
    }
    let uses: Vec<_> = data.uses.values().copied().collect();
    let channels = uses.iter().filter_map(|by| match by {
        Use::Producer(slot) => data_producers.find(*slot).map(|found| Start {
            stream: found.spec.stream,
            channel: &found.spec.channel,
            is_opened_here: false,
        }),
        Use::Consumer(slot) => data_consumers.find(*slot).map(|found| Start {
            stream: found.spec.stream,
            channel: &found.spec.channel,
            is_opened_here: found.spec.is_dcep,
        }),
    });
    data.start(turn.now, role, channels);
    turn.timers.hasten(slot, turn.now);
}

/// The slot of a data producer.
pub(super) fn data_producer_slot(objects: &Objects, id: DataProducerId) -> Result<Slot, Refused> {
    objects.data_producer_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("data producer {id}")))
}

/// The slot of a data consumer.
pub(super) fn data_consumer_slot(objects: &Objects, id: DataConsumerId) -> Result<Slot, Refused> {
    objects.data_consumer_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("data consumer {id}")))
}
