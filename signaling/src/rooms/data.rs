//! Data channels: one direction each, from a data producer of a peer to the data consumers of others.

use super::app_data::{self, DataConsumerRecord, DataProducerRecord};
use super::lookup::{gone, others_peer_ids, own_transport, parse_id, permitted, wrong_answer};
use super::reservation::Reservation;
use super::state::{BEFORE_THIS_PROCESS, DataConsumer, DataProducer, PeerId, State};
use super::{Rooms, random_id};
use crate::auth::token::Permissions;
use crate::limits;
use crate::media_node::Worker;
use crate::proto::{
    self, ConsumeData, DataConsumerCreated, DataProducerCreated, DataProducerInfo, ErrorCode,
    NewDataProducer, ProduceData, SctpStreamParameters, signal::Payload,
};
use crate::request_error::RequestError;
use control::{
    AppData, Closed, Command, DataChannel, DataConsumerId, DataProducerId, DataReliability, Event, Text,
    TransportId,
};
use std::collections::BTreeSet;

impl DataProducer {
    /// Whether a peer may consume it.
    fn is_for(&self, peer: PeerId) -> bool {
        self.peer != peer && (self.record.to.is_empty() || self.record.to.contains(&peer.0))
    }

    fn info(&self, id: DataProducerId) -> DataProducerInfo {
        DataProducerInfo {
            id: id.to_string(),
            label: self.record.label.clone(),
            protocol: self.record.protocol.clone(),
        }
    }
}

impl Rooms {
    pub(super) async fn produce_data(
        &self,
        peer: PeerId,
        produce: ProduceData,
    ) -> Result<Payload, RequestError> {
        let (stream, channel, record) = check(produce.clone())?;
        let (transport, record) = {
            let state = self.state();
            let (transport, _) = own_transport(&state, peer, &produce.transport_id)?;
            let to = others_peer_ids(&state, peer, &produce.to)?;
            let record = DataProducerRecord { to: to.into_iter().map(|peer| peer.0).collect(), ..record };
            if let Some(known) = state.same_data_producer(transport, &record) {
                // The answer to the first request was lost with the socket.
                return Ok(producer_created(known));
            }
            (transport, record)
        };
        let new = NewChannel { stream, channel, record, is_dcep: false };
        Ok(producer_created(self.produce_data_on(peer, transport, new).await?))
    }

    /// A data producer on a channel that the client has opened.
    pub(super) async fn produce_on_opened(
        &self,
        peer: PeerId,
        transport: TransportId,
        stream: u16,
        channel: DataChannel,
    ) -> Result<(), RequestError> {
        check_names(channel.label.as_str(), channel.protocol.as_str())?;
        let record = record_of(stream, &channel);
        let new = NewChannel { stream, channel, record, is_dcep: true };
        self.produce_data_on(peer, transport, new).await.map(|_| ())
    }

    async fn produce_data_on(
        &self,
        peer: PeerId,
        transport: TransportId,
        new: NewChannel,
    ) -> Result<DataProducerId, RequestError> {
        let NewChannel { stream, channel, record, is_dcep } = new;
        let producer = DataProducerId(random_id());
        let (command, mut reservation) = {
            let mut state = self.state();
            let worker = state.worker_of(transport).ok_or_else(gone)?;
            let permissions = &state.peers.get(&peer).ok_or_else(gone)?.permissions;
            permitted(permissions.can_publish_data, "canPublishData")?;
            if permissions.hidden {
                let text = "a hidden peer cannot create data producers";
                return Err(RequestError::new(ErrorCode::TokenPermission, text));
            }
            let on = &state.transports[&transport];
            if !on.direction.sends() || on.is_plain {
                return Err(wrong_direction("ProduceData", "send"));
            }
            if state.data_producers_of(peer).count() >= limits::DATA_PRODUCERS_PER_PEER_MAX {
                let max = limits::DATA_PRODUCERS_PER_PEER_MAX;
                return Err(RequestError::limit(format!(
                    "a peer has at most {max} data producers; close one first"
                )));
            }
            let app_data = app_data::pack(&record)?;
            let command = control::ProduceData { transport, producer, stream, channel, app_data, is_dcep };
            let consumers = BTreeSet::new();
            let entry = DataProducer { peer, transport, record, consumers, created_by: None };
            (command, Reservation::data_producer(self, &mut state, worker, producer, entry))
        };
        let answer = reservation.ask(Command::ProduceData(command)).await?;
        let Event::Done { request } = answer else { return Err(wrong_answer(&answer)) };
        let mut state = self.state();
        reservation.commit(&mut state, request)?;
        state.announce_data(producer);
        Ok(producer)
    }

    pub(super) async fn consume_data(
        &self,
        peer: PeerId,
        consume: ConsumeData,
    ) -> Result<Payload, RequestError> {
        self.consume_data_by(peer, consume, false).await
    }

    /// `is_dcep`: the engine opens the channel by a message; otherwise the client creates it as negotiated.
    pub(super) async fn consume_data_by(
        &self,
        peer: PeerId,
        consume: ConsumeData,
        is_dcep: bool,
    ) -> Result<Payload, RequestError> {
        let consumer = DataConsumerId(random_id());
        let (command, copy, found, mut reservation) = {
            let mut state = self.state();
            let (transport, worker) = own_transport(&state, peer, &consume.transport_id)?;
            permitted(state.peers[&peer].permissions.can_subscribe, "canSubscribe")?;
            let on = &state.transports[&transport];
            if !on.direction.receives() || on.is_plain {
                return Err(wrong_direction("ConsumeData", "recv"));
            }
            let producer = state.others_data_producer(peer, &consume.data_producer_id)?;
            let found = &state.data_producers[&producer];
            let mut known =
                found.consumers.iter().filter_map(|id| Some((*id, state.data_consumers.get(id)?)));
            if let Some((id, known)) = known.find(|(_, consumer)| consumer.peer == peer) {
                // Once for each client. The answer to the first request may have been lost with the socket.
                if known.transport == transport && known.created_by.is_some() {
                    return Ok(created(id, producer, known.stream, found));
                }
                let text = "this client consumes the data producer already, or is about to";
                return Err(RequestError::limit(text));
            }
            let found = found.clone();
            let channel = channel(&found.record)?;
            let copy = copy_of(producer, found.transport, channel.clone());
            let stream = state.free_stream(transport).ok_or_else(|| {
                RequestError::limit(format!(
                    "a transport has at most {} data channels",
                    limits::DATA_STREAMS_MAX
                ))
            })?;
            let app_data = app_data::pack(&DataConsumerRecord { stream: stream.into() })?;
            let command =
                control::ConsumeData { transport, producer, consumer, stream, channel, app_data, is_dcep };
            let entry = DataConsumer { peer, transport, producer, stream, created_by: None };
            (command, copy, found, Reservation::data_consumer(self, &mut state, worker, consumer, entry))
        };
        let (producer, stream, transport) = (command.producer, command.stream, command.transport);
        self.pipe_data(copy, reservation.worker()).await?;
        let answer = match reservation.ask(Command::ConsumeData(command)).await {
            Ok(answer) => answer,
            Err(error) => {
                // The client may have fewer streams than the engine: the next one is low again.
                if let Some(entry) = self.state().transports.get_mut(&transport) {
                    entry.next_stream = 0;
                }
                return Err(error);
            }
        };
        let Event::Done { request } = answer else { return Err(wrong_answer(&answer)) };
        reservation.commit(&mut self.state(), request)?;
        Ok(created(consumer, producer, stream, &found))
    }

    pub(super) fn close_data_producer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let mut state = self.state();
        let producer = parse_id(id).map(DataProducerId).ok_or_else(no_such_data_producer)?;
        let own = state.data_producers.get(&producer).filter(|found| found.peer == peer);
        let worker = state.worker_of(own.ok_or_else(no_such_data_producer)?.transport);
        state.remove_data_producer(producer);
        if let Some(worker) = worker {
            self.node.tell(worker, Command::CloseDataProducer { producer });
        }
        Ok(())
    }

    pub(super) fn close_data_consumer(&self, peer: PeerId, id: &str) -> Result<(), RequestError> {
        let mut state = self.state();
        let none = || {
            RequestError::new(
                ErrorCode::NoSuchConsumer,
                "this peer has no data consumer with this id (any more)",
            )
        };
        let consumer = parse_id(id).map(DataConsumerId).ok_or_else(none)?;
        let own = state.data_consumers.get(&consumer).filter(|found| found.peer == peer);
        let worker = state.worker_of(own.ok_or_else(none)?.transport);
        state.remove_data_consumer(consumer);
        if let Some(worker) = worker {
            self.node.tell(worker, Command::CloseDataConsumer { consumer });
        }
        Ok(())
    }
}

impl State {
    /// The data producers of a peer.
    pub(super) fn data_producers_of(
        &self,
        peer: PeerId,
    ) -> impl Iterator<Item = (DataProducerId, &DataProducer)> {
        let ids = self.transports_of(peer).flat_map(|transport| transport.data_producers.iter());
        ids.filter_map(|id| Some((*id, self.data_producers.get(id)?)))
    }

    /// The confirmed data producer on a transport with this record.
    fn same_data_producer(
        &self,
        transport: TransportId,
        record: &DataProducerRecord,
    ) -> Option<DataProducerId> {
        let of = self.transports.get(&transport)?.data_producers.iter();
        let mut confirmed = of.filter_map(|id| Some((*id, self.data_producers.get(id)?)));
        confirmed.find(|(_, found)| found.created_by.is_some() && found.record == *record).map(|(id, _)| id)
    }

    /// Whether a transport has a data producer on this stream, confirmed or not.
    pub(super) fn has_data_producer_on(&self, transport: TransportId, stream: u16) -> bool {
        let of = self.transports.get(&transport).into_iter().flat_map(|entry| &entry.data_producers);
        let mut streams = of.filter_map(|id| self.data_producers.get(id)?.record.stream);
        streams.any(|used| used.stream_id == u32::from(stream))
    }

    /// The confirmed data producers that a peer may consume, in the order in which their peers joined.
    pub(super) fn data_producers_of_others(&self, receiver: PeerId) -> Vec<DataProducerId> {
        let room = self.peers.get(&receiver).and_then(|peer| self.rooms.get(&peer.room));
        let others = room.into_iter().flat_map(|room| room.peers.iter().copied());
        let mut others: Vec<_> = others.filter_map(|id| Some((self.peers.get(&id)?.joined, id))).collect();
        others.sort_unstable();
        let data = others.into_iter().flat_map(|(_, of)| self.data_producers_of(of));
        data.filter(|(_, found)| found.created_by.is_some() && found.is_for(receiver))
            .map(|(id, _)| id)
            .collect()
    }

    /// The confirmed data producers of a peer that another one may consume.
    pub(super) fn data_producers_for(&self, of: PeerId, receiver: PeerId) -> Vec<DataProducerInfo> {
        let found =
            self.data_producers_of(of).filter(|(_, data)| data.created_by.is_some() && data.is_for(receiver));
        found.map(|(id, data)| data.info(id)).collect()
    }

    /// The confirmed data producers of a peer that everyone in the room may consume.
    pub(super) fn data_producers_for_all(&self, of: PeerId) -> Vec<DataProducerInfo> {
        let is_open = |data: &DataProducer| data.created_by.is_some() && data.record.to.is_empty();
        self.data_producers_of(of).filter(|(_, data)| is_open(data)).map(|(id, data)| data.info(id)).collect()
    }

    /// A data producer that a peer may consume.
    fn others_data_producer(&self, peer: PeerId, id: &str) -> Result<DataProducerId, RequestError> {
        let room = |peer: PeerId| self.peers.get(&peer).map(|peer| &peer.room);
        let found = parse_id(id).map(DataProducerId).filter(|id| {
            let confirmed = self.data_producers.get(id).filter(|found| found.created_by.is_some());
            confirmed.is_some_and(|found| found.is_for(peer) && room(found.peer) == room(peer))
        });
        found.ok_or_else(|| {
            let text = "no other peer in this room has a data producer with this id for this peer (any more)";
            RequestError::new(ErrorCode::NoSuchProducer, text)
        })
    }

    /// A stream of a transport that no data consumer uses, and that was not used for a long time: the engine
    /// refuses one whose end the client has not confirmed.
    fn free_stream(&mut self, transport: TransportId) -> Option<u16> {
        let entry = self.transports.get(&transport)?;
        let consumers =
            entry.data_consumers.iter().filter_map(|id| Some(self.data_consumers.get(id)?.stream));
        let producers =
            entry.data_producers.iter().filter_map(|id| self.data_producers.get(id)?.record.stream);
        let producers = producers.filter_map(|stream| u16::try_from(stream.stream_id).ok());
        let used: BTreeSet<u16> = consumers.chain(producers).collect();
        let entry = self.transports.get_mut(&transport)?;
        let first = entry.next_stream % limits::DATA_STREAMS_MAX;
        let candidates = (first..limits::DATA_STREAMS_MAX).chain(0..first);
        let dcep = entry.dcep.as_ref();
        let is_ours = |stream: &u16| dcep.is_none_or(|dcep| dcep.opens(*stream));
        let stream = candidates.into_iter().find(|stream| !used.contains(stream) && is_ours(stream))?;
        entry.next_stream = stream + 1;
        Some(stream)
    }

    /// Notifies the peers that may consume a new data producer.
    fn announce_data(&mut self, id: DataProducerId) {
        let Some(found) = self.data_producers.get(&id) else { return };
        let new = new_data_producer(id, found);
        let receivers = self.receivers_of_data(id);
        self.send_to(receivers, new);
    }

    /// The peers of the room that may consume a data producer.
    fn receivers_of_data(&self, id: DataProducerId) -> Vec<PeerId> {
        let Some(found) = self.data_producers.get(&id) else { return Vec::new() };
        let room = self.peers.get(&found.peer).and_then(|peer| self.rooms.get(&peer.room));
        let peers = room.into_iter().flat_map(|room| room.peers.iter().copied());
        peers.filter(|peer| found.is_for(*peer)).collect()
    }

    /// Removes a data producer with its consumers, and notifies the other peers.
    pub(super) fn remove_data_producer(&mut self, id: DataProducerId) -> Option<DataProducer> {
        let receivers = self.receivers_of_data(id);
        let removed = self.data_producers.remove(&id)?;
        // The engine closes the copies of a data producer together with it.
        while let Some(copy) = self.piped_data.range((id, 0)..=(id, Worker::MAX)).next().copied() {
            self.piped_data.remove(&copy);
        }
        if let Some(transport) = self.transports.get_mut(&removed.transport) {
            transport.data_producers.remove(&id);
        }
        for consumer in &removed.consumers {
            self.remove_data_consumer(*consumer);
        }
        if removed.created_by.is_some() {
            self.send_to(receivers, data_producer_closed(removed.peer, id));
        }
        Some(removed)
    }

    /// Enters a data producer.
    pub(super) fn insert_data_producer(&mut self, id: DataProducerId, producer: DataProducer) {
        if let Some(transport) = self.transports.get_mut(&producer.transport) {
            transport.data_producers.insert(id);
        }
        self.data_producers.insert(id, producer);
    }

    /// Enters a data consumer.
    pub(super) fn insert_data_consumer(&mut self, id: DataConsumerId, consumer: DataConsumer) {
        if let Some(transport) = self.transports.get_mut(&consumer.transport) {
            transport.data_consumers.insert(id);
        }
        if let Some(producer) = self.data_producers.get_mut(&consumer.producer) {
            producer.consumers.insert(id);
        }
        self.data_consumers.insert(id, consumer);
    }

    /// Removes a data consumer.
    pub(super) fn remove_data_consumer(&mut self, id: DataConsumerId) -> Option<DataConsumer> {
        let removed = self.data_consumers.remove(&id)?;
        if let Some(transport) = self.transports.get_mut(&removed.transport) {
            transport.data_consumers.remove(&id);
        }
        if let Some(producer) = self.data_producers.get_mut(&removed.producer) {
            producer.consumers.remove(&id);
        }
        Some(removed)
    }

    /// Removes the data channels of a peer that are not permitted. Returns for each its worker, the command that
    /// closes it and the notification for the peer.
    pub(super) fn take_forbidden_data(
        &mut self,
        peer: PeerId,
        permissions: &Permissions,
    ) -> Vec<(Worker, Command, Payload)> {
        let mut closed = Vec::new();
        let producers: Vec<_> = self.data_producers_of(peer).map(|(id, _)| id).collect();
        let may_send = permissions.can_publish_data && !permissions.hidden;
        for producer in producers.into_iter().filter(|_| !may_send) {
            let removed = self.remove_data_producer(producer);
            let worker = removed.and_then(|removed| self.worker_of(removed.transport));
            let command = Command::CloseDataProducer { producer };
            closed.extend(worker.map(|worker| (worker, command, data_producer_closed(peer, producer))));
        }
        let consumers = self.transports_of(peer).flat_map(|transport| transport.data_consumers.iter());
        let consumers: Vec<_> = consumers.copied().collect();
        for consumer in consumers.into_iter().filter(|_| !permissions.can_subscribe) {
            let removed = self.remove_data_consumer(consumer);
            let worker = removed.and_then(|removed| self.worker_of(removed.transport));
            let command = Command::CloseDataConsumer { consumer };
            closed.extend(worker.map(|worker| (worker, command, data_consumer_closed(consumer))));
        }
        closed
    }

    /// The engine has closed a data producer: the peer or a fault has.
    pub(super) fn on_data_producer_closed(&mut self, worker: Worker, id: DataProducerId) {
        if self.piped_data.remove(&(id, worker)) || self.is_elsewhere(id, worker) {
            return;
        }
        if let Some(removed) = self.remove_data_producer(id) {
            self.send(removed.peer, data_producer_closed(removed.peer, id));
        }
    }

    /// The engine has closed a data consumer.
    pub(super) fn on_data_consumer_closed(&mut self, worker: Worker, id: DataConsumerId, closed: Closed) {
        let Some(removed) = self.remove_data_consumer(id) else { return };
        let entry = self.transports.get_mut(&removed.transport);
        let dcep = entry.and_then(|entry| entry.dcep.as_mut());
        if let Some(dcep) = dcep.filter(|_| closed == Closed::PeerClosed) {
            dcep.refused.insert(removed.producer);
        }
        self.send(removed.peer, data_consumer_closed(id));
        // A fault of this worker has closed a copy, as for media: the original can be consumed again.
        if closed == Closed::Fault && self.is_elsewhere(removed.producer, worker) {
            self.piped_data.remove(&(removed.producer, worker));
            let Some(found) = self.data_producers.get(&removed.producer) else { return };
            let again = new_data_producer(removed.producer, found);
            self.send(removed.peer, again);
        }
    }

    /// Whether a data producer is on another worker than this one.
    fn is_elsewhere(&self, id: DataProducerId, worker: Worker) -> bool {
        self.data_producers.get(&id).is_some_and(|found| self.worker_of(found.transport) != Some(worker))
    }

    /// A data producer of the former process.
    pub(super) fn adopt_data_producer(
        &mut self,
        id: DataProducerId,
        transport: TransportId,
        app_data: &AppData,
    ) -> Option<()> {
        let record: DataProducerRecord = app_data::unpack(app_data)?;
        let peer = self.transports.get(&transport)?.peer;
        let created_by = Some(BEFORE_THIS_PROCESS);
        let consumers = BTreeSet::new();
        self.insert_data_producer(id, DataProducer { peer, transport, record, consumers, created_by });
        Some(())
    }

    /// A data consumer of the former process.
    pub(super) fn adopt_data_consumer(
        &mut self,
        id: DataConsumerId,
        transport: TransportId,
        producer: DataProducerId,
        app_data: &AppData,
    ) -> Option<()> {
        let DataConsumerRecord { stream } = app_data::unpack(app_data)?;
        let stream = u16::try_from(stream).ok()?;
        self.data_producers.get(&producer)?;
        let entry = self.transports.get_mut(&transport)?;
        entry.next_stream = entry.next_stream.max(stream.saturating_add(1));
        let peer = entry.peer;
        let created_by = Some(BEFORE_THIS_PROCESS);
        self.insert_data_consumer(id, DataConsumer { peer, transport, producer, stream, created_by });
        Some(())
    }
}

fn new_data_producer(id: DataProducerId, producer: &DataProducer) -> Payload {
    let (peer_id, data_producer) = (producer.peer.to_string(), Some(producer.info(id)));
    Payload::NewDataProducer(NewDataProducer { peer_id, data_producer })
}

/// The command that creates the copy of a data producer on another worker.
fn copy_of(producer: DataProducerId, transport: TransportId, channel: DataChannel) -> control::ProduceData {
    control::ProduceData {
        transport,
        producer,
        stream: 0,
        channel,
        app_data: AppData::default(),
        is_dcep: false,
    }
}

fn data_producer_closed(peer: PeerId, id: DataProducerId) -> Payload {
    let (peer_id, data_producer_id) = (peer.to_string(), id.to_string());
    Payload::DataProducerClosed(proto::DataProducerClosed { peer_id, data_producer_id })
}

fn data_consumer_closed(id: DataConsumerId) -> Payload {
    Payload::DataConsumerClosed(proto::DataConsumerClosed { data_consumer_id: id.to_string() })
}

fn producer_created(id: DataProducerId) -> Payload {
    Payload::DataProducerCreated(DataProducerCreated { id: id.to_string() })
}

fn created(id: DataConsumerId, producer: DataProducerId, stream_id: u16, of: &DataProducer) -> Payload {
    let DataProducerRecord { label, protocol, stream, .. } = of.record.clone();
    let stream = SctpStreamParameters { stream_id: stream_id.into(), ..stream.unwrap_or_default() };
    Payload::DataConsumerCreated(DataConsumerCreated {
        id: id.to_string(),
        data_producer_id: producer.to_string(),
        sctp_stream_parameters: Some(stream),
        label,
        protocol,
        peer_id: of.peer.to_string(),
    })
}

/// A channel that becomes a data producer.
struct NewChannel {
    stream: u16,
    channel: DataChannel,
    record: DataProducerRecord,
    is_dcep: bool,
}

fn check_names(label: &str, protocol: &str) -> Result<(), RequestError> {
    for (name, text) in [("label", label), ("protocol", protocol)] {
        if text.len() > limits::DATA_LABEL_LEN_MAX {
            let text = format!("{name} must have at most {} bytes", limits::DATA_LABEL_LEN_MAX);
            return Err(RequestError::bad(text));
        }
    }
    Ok(())
}

/// What is stored of a channel that the client has opened.
fn record_of(stream: u16, channel: &DataChannel) -> DataProducerRecord {
    let (max_packet_life_time, max_retransmits) = match channel.reliability {
        DataReliability::Reliable => (None, None),
        DataReliability::Lifetime { ms } => (Some(ms), None),
        DataReliability::Retransmissions { max } => (None, Some(max)),
    };
    let stream = SctpStreamParameters {
        stream_id: stream.into(),
        ordered: Some(!channel.is_unordered),
        max_packet_life_time,
        max_retransmits,
    };
    DataProducerRecord {
        label: channel.label.as_str().to_owned(),
        protocol: channel.protocol.as_str().to_owned(),
        to: Vec::new(),
        stream: Some(stream),
        priority: channel.priority.into(),
    }
}

/// Checks what does not depend on the tables: the stream, the channel, and what is stored.
fn check(produce: ProduceData) -> Result<(u16, DataChannel, DataProducerRecord), RequestError> {
    let ProduceData { sctp_stream_parameters, label, protocol, priority, to, .. } = produce;
    check_names(&label, &protocol)?;
    if to.len() > limits::MESSAGE_RECEIVERS_MAX {
        let text = format!("to must name at most {} peers; empty: all", limits::MESSAGE_RECEIVERS_MAX);
        return Err(RequestError::bad(text));
    }
    if !matches!(priority, 0 | 128 | 256 | 512 | 1024) {
        return Err(RequestError::bad("priority must be 128, 256, 512 or 1024"));
    }
    let stream =
        sctp_stream_parameters.ok_or_else(|| RequestError::bad("ProduceData needs sctpStreamParameters"))?;
    let id = u16::try_from(stream.stream_id).ok().filter(|id| *id < limits::DATA_STREAMS_MAX);
    let id = id.ok_or_else(|| {
        RequestError::bad(format!("streamId must be from 0 to {}", limits::DATA_STREAMS_MAX - 1))
    })?;
    let record = DataProducerRecord { label, protocol, to: Vec::new(), stream: Some(stream), priority };
    Ok((id, channel(&record)?, record))
}

/// For the engine.
fn channel(record: &DataProducerRecord) -> Result<DataChannel, RequestError> {
    let stream = record.stream.ok_or_else(gone)?;
    let reliability = match (stream.max_packet_life_time, stream.max_retransmits) {
        (None, None) => DataReliability::Reliable,
        (Some(ms), None) => DataReliability::Lifetime { ms },
        (None, Some(max)) => DataReliability::Retransmissions { max },
        (Some(_), Some(_)) => {
            let text = "sctpStreamParameters must not have both maxPacketLifeTime and maxRetransmits";
            return Err(RequestError::bad(text));
        }
    };
    Ok(DataChannel {
        label: Text::new(&*record.label),
        protocol: Text::new(&*record.protocol),
        is_unordered: stream.ordered == Some(false),
        reliability,
        // One of four values, or that of the message that opened the channel.
        priority: if record.priority == 0 { 256 } else { record.priority as u16 },
    })
}

fn no_such_data_producer() -> RequestError {
    RequestError::new(ErrorCode::NoSuchProducer, "this peer has no data producer with this id (any more)")
}

fn wrong_direction(request: &str, direction: &str) -> RequestError {
    let text = format!("{request} needs a transport made with direction \"{direction}\" or \"sendrecv\"");
    RequestError::new(ErrorCode::WrongDirection, text)
}
