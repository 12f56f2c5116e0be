//! The flow of data channels: delivers what has arrived to the consumers of a producer, and sends what waits.
//!
//! A datagram with data is given to the association of its transport. Everything that follows from it happens
//! when the timers run, at once: messages are put into the send buffers of the consumers, and the transports of
//! those send when their own timer runs. So one message causes a bounded work for each consumer, and media that
//! has arrived meanwhile goes first.

use crate::base::slots::Slot;
use crate::limits;
use crate::objects::Objects;
use crate::pipe::message::PipeMessage;
use crate::pipe::subscription::PipeSubscriber;
use crate::shard::close::{close_data, close_data_consumer, close_data_producer};
use crate::shard::connect::drive_dtls;
use crate::shard::pipe_out::subscribe_data_if_due;
use crate::shard::turn::Turn;
use crate::transport::data::{Use, reported};
use crate::transport::pipe::{Pipe, Piped};
use crate::transport::{Link, Transport, WebRtc};
use bytes::Bytes;
use control::{Closed, Counter, Discard, Event};
use machine::{Instant, Tx, meter};
use sctp::StreamId;

/// The timer of the data channels of a transport: delivers what has arrived, and sends what waits.
pub(super) fn drive_data(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    subscribe_data_if_due(objects, turn, slot);
    deliver_piped(objects, turn, slot);
    let data = objects.transports.find_mut(slot).and_then(|transport| transport.data.as_mut());
    let is_due = data.is_some_and(|data| {
        let is_due = data.on_timeout(now);
        data.count_discarded(turn.counters);
        is_due
    });
    if !is_due {
        return;
    }
    deliver(objects, turn, slot);
    follow_path(objects, now, slot);
    transmit(objects, turn, slot);
}

/// Updates the pace of the data of a transport, and tells the estimator of the media what the data uses.
fn follow_path(objects: &mut Objects, now: Instant, slot: Slot) {
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    let has_media = !transport.consumers.is_empty();
    let share_bps = transport.send_side.as_ref().and_then(|side| side.data_share_bps());
    let Some(data) = &mut transport.data else { return };
    let acknowledged = data.follow(now, has_media, share_bps);
    if let Some(side) = &mut transport.send_side {
        side.estimator.on_data_acknowledged(now, acknowledged);
    }
}

/// Events of an association, up to the bound of one call.
fn deliver(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let mut sends = 0;
    for _ in 0..limits::DATA_EVENTS_PER_TIMEOUT {
        if sends > limits::DATA_SENDS_PER_TIMEOUT {
            break;
        }
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
                        let message = Message { kind, payload: &payload };
                        sends += send_to_workers(objects, turn, producer, &message);
                        sends += forward(objects, turn, slot, producer, &message);
                    }
                    Some(Use::Consumer(_)) | None => turn.counters.discard(Discard::DataUnroutable),
                }
            }
            // The peer opens a channel that the controller knows.
            sctp::Event::Opened { stream, .. } if data.uses.contains_key(&stream) => {}
            sctp::Event::Opened { stream, channel } => match data.accepted {
                Some(accepted) if data.opened.len() < limits::DATA_CHANNELS_OPENED_MAX => {
                    let (transport, channel) = (accepted.transport, reported(channel));
                    data.opened.insert(stream, channel.clone());
                    turn.news.notify(Event::DataChannelOpened { transport, stream: stream.0, channel });
                }
                _ => data.close(stream.0),
            },
            sctp::Event::Closed { stream } => match data.uses.get(&stream).copied() {
                Some(Use::Producer(slot)) => close_data_producer(objects, turn, slot, Closed::PeerClosed),
                Some(Use::Consumer(slot)) => close_data_consumer(objects, turn, slot, Closed::PeerClosed),
                None => _ = data.opened.remove(&stream),
            },
            sctp::Event::Failed(_) => {
                // The ABORT, if there is one.
                transmit(objects, turn, slot);
                close_data(objects, turn, slot, Closed::DataFailed);
                return stop(objects, slot);
            }
            sctp::Event::Connected | sctp::Event::BufferLow { .. } => {}
        }
    }
    // The rest follows at once, after other transports.
    if let Some(data) = objects.transports.find_mut(slot).and_then(|found| found.data.as_mut()) {
        data.is_due = true;
    }
}

/// Messages of another worker, up to the bound of one call.
fn deliver_piped(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let mut sends = 0;
    for _ in 0..limits::DATA_EVENTS_PER_TIMEOUT {
        let pipe = objects.transports.find_mut(slot).and_then(Transport::pipe_mut);
        let Some(piped) = pipe.and_then(Pipe::pop) else { return };
        meter::charge(1, 2_000);
        match piped {
            Piped::Message { producer, kind, payload } => {
                sends += forward(objects, turn, slot, producer, &Message { kind, payload: &payload });
            }
            // Perhaps the pipe closes with it.
            Piped::End { producer } => close_data_producer(objects, turn, producer, Closed::Requested),
        }
        if sends > limits::DATA_SENDS_PER_TIMEOUT {
            return;
        }
    }
}

/// A message, whose payload the consumers share.
struct Message<'a> {
    kind: sctp::Kind,
    payload: &'a Bytes,
}

/// Sends a message to the subscribed workers, each of which gets a copy of the payload. Returns the work, as a
/// number of messages for consumers.
fn send_to_workers(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    producer: Slot,
    message: &Message<'_>,
) -> usize {
    let Some(producer) = objects.data_producers.find_mut(producer) else { return 0 };
    let now = turn.now;
    producer.subscribers.retain(|subscriber| subscriber.is_there(now));
    let mut sends = 0;
    for PipeSubscriber { worker, taker, .. } in producer.subscribers.iter().filter(|of| of.wanted != 0) {
        sends += 1 + message.payload.len() / limits::COPY_BYTES_PER_SEND;
        meter::charge(message.payload.len() / 16, 1);
        let head = PipeMessage::Data { taker: *taker, is_text: message.kind == sctp::Kind::String }.write();
        // The other worker frees it; shared memory would make both cores write its count of references.
        let is_given = turn.tx.hand_off_buffer(*worker, head.as_bytes(), Box::from(&message.payload[..]));
        turn.counters.count(if is_given { Counter::PipedOut } else { Counter::PipedLost });
    }
    sends
}

/// Puts a message into the send buffers of the consumers of a producer. One whose buffer is full does not get
/// it: a slow receiver costs a bounded memory, and does not delay the others. Returns the number of consumers.
fn forward(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    source: Slot,
    producer: Slot,
    message: &Message<'_>,
) -> usize {
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
    consumers.len()
}

/// Sends packets of an association, up to the bound of one call.
fn transmit(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    for _ in 0..limits::DATA_PACKETS_PER_TIMEOUT {
        let Some(transport) = objects.transports.find_mut(slot) else { return };
        let Transport { link: Link::WebRtc(WebRtc { dtls, .. }), data: Some(data), send_side, .. } =
            transport
        else {
            return;
        };
        if !data.admit(now) {
            return;
        }
        let (Some(endpoint), Some(association)) = (&mut dtls.endpoint, &mut data.association) else { return };
        let Some(packet) = association.poll_transmit(now) else { return };
        meter::charge(packet.len(), 10);
        if let Some(pace) = &mut data.pace {
            pace.on_sent(now, packet.len() + limits::OVERHEAD_LEN);
        }
        if let Some(side) = send_side {
            side.estimator.on_unnumbered(now, packet.len());
        }
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

/// The association of a peer has failed: its next record does not begin another one. The controller's next channel
/// does.
fn stop(objects: &mut Objects, slot: Slot) {
    if let Some(data) = objects.transports.find_mut(slot).and_then(|found| found.data.as_mut()) {
        data.has_failed = true;
    }
}
