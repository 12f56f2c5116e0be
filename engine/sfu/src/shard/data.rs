//! Creates data channels. A repeated command creates nothing. The flow of messages is in
//! [`data_flow`](super::data_flow).

use crate::base::slots::Slot;
use crate::egress::data_consumer::DataConsumer;
use crate::ingress::data_producer::DataProducer;
use crate::limits;
use crate::objects::Objects;
use crate::shard::refusal::{Refused, check_limit, invalid, not_found, same_or_exists, transport_slot};
use crate::shard::turn::Turn;
use crate::transport::data::{Data, Use};
use control::{ConsumeData, Counter, DataChannel, DataConsumerId, DataProducerId, ProduceData, TransportId};
use machine::Tx;
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
    if data.association.is_some() {
        return;
    }
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

/// The slot of a data producer.
pub(super) fn data_producer_slot(objects: &Objects, id: DataProducerId) -> Result<Slot, Refused> {
    objects.data_producer_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("data producer {id}")))
}

/// The slot of a data consumer.
pub(super) fn data_consumer_slot(objects: &Objects, id: DataConsumerId) -> Result<Slot, Refused> {
    objects.data_consumer_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("data consumer {id}")))
}
