//! Pipes, the sending half: packets and messages to other workers.
//!
//! Nothing here waits for an answer. A subscription is repeated, and each repetition is answered with the
//! complete state.

use crate::base::slots::Slot;
use crate::ingress::data_producer::DataProducer;
use crate::ingress::producer::Producer;
use crate::ingress::stream::Stream;
use crate::limits;
use crate::objects::Objects;
use crate::packet::received::Received;
use crate::pipe::message::PipeMessage;
use crate::pipe::outbox::PipeOutbox;
use crate::pipe::subscription::{PipeSource, PipeSubscriber};
use crate::shard::turn::Turn;
use crate::transport::Transport;
use control::{ContentHint, Counter, Counters};
use machine::{Instant, Tx, meter};

impl Producer {
    /// The state of the producer, for a subscribed worker.
    pub(crate) fn state(&self, taker: Slot) -> PipeMessage {
        let is_detail = self.content_hint == ContentHint::Detail;
        PipeMessage::State { taker, paused: self.paused, is_detail }
    }

    /// Sends a packet to every subscribed worker, and removes those whose subscription was not repeated. A
    /// layer without consumers there is sent too: its frames show that it exists, and its rate what it would
    /// cost.
    pub(crate) fn send_to_subscribers(
        &mut self,
        now: Instant,
        stream: usize,
        packet: &Received<'_>,
        tx: &mut impl Tx,
        counters: &mut Counters,
    ) {
        let Self { subscribers, layer_demand, streams, .. } = self;
        let life = streams[stream].life();
        subscribers.retain(|subscriber| {
            let is_there = subscriber.is_there(now);
            if !is_there {
                layer_demand.replace(subscriber.wanted, 0);
            }
            is_there
        });
        meter::charge(subscribers.len(), 300);
        for PipeSubscriber { worker, taker, .. } in subscribers {
            let (taker, received_at) = (*taker, packet.received_at);
            let head = PipeMessage::Media { taker, stream: stream as u8, life, received_at }.write();
            let is_given = tx.hand_off(*worker, head.as_bytes(), packet.rtp.as_bytes());
            counters.count(if is_given { Counter::PipedOut } else { Counter::PipedLost });
        }
    }
}

/// Sends the waiting messages to other workers.
pub(super) fn send_pipe_messages(turn: &mut Turn<'_, impl Tx>) {
    meter::charge(turn.pipes.len(), 200);
    for (worker, message) in turn.pipes.drain() {
        if !turn.tx.hand_off(worker, message.write().as_bytes(), &[]) {
            turn.counters.count(Counter::PipedLost);
        }
    }
}

/// Sends due subscriptions of this pipe's producers to their origins, with the needed layers.
pub(super) fn subscribe_if_due(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find(slot).filter(|transport| transport.pipe().is_some()) else {
        return;
    };
    for taker in &transport.producers {
        let Some(producer) = objects.producers.find_mut(*taker) else { continue };
        let (is_taken, wanted) = (producer.is_taken(), producer.layer_demand.wanted());
        let id = producer.spec.producer;
        let Some(piped) = &mut producer.pipe_source else { continue };
        if piped.next_timeout(is_taken, wanted).is_none_or(|at| at > now) {
            continue;
        }
        if !is_taken {
            // Until the next subscription its sequence numbers may have wrapped.
            producer.streams.iter_mut().for_each(Stream::reset);
            turn.pipes.push(piped.origin, PipeMessage::Unsubscribe { producer: id, taker: *taker });
            *piped = PipeSource::new(piped.origin);
            continue;
        }
        let pause = if piped.is_confirmed { limits::SUBSCRIBE_INTERVAL } else { limits::SUBSCRIBE_RETRY };
        (piped.is_subscribed, piped.reported, piped.due) = (true, wanted, now + pause);
        turn.pipes.push(piped.origin, PipeMessage::Subscribe { producer: id, taker: *taker, wanted });
    }
}

/// Requests the keyframes that this pipe's producers need from their origins.
pub(super) fn ask_origins(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    // A worker without a subscription gets no answer.
    subscribe_if_due(objects, turn, slot);
    let Some(transport) = objects.transports.find(slot) else { return };
    for taker in &transport.producers {
        let Some(producer) = objects.producers.find_mut(*taker) else { continue };
        let (Some(origin), id) = (producer.origin(), producer.spec.producer) else { continue };
        for (index, stream) in producer.streams.iter_mut().enumerate() {
            if stream.keyframes.poll(now) {
                let message = PipeMessage::Keyframe { producer: id, taker: *taker, stream: index as u8 };
                turn.pipes.push(origin, message);
            }
        }
    }
}

/// Sends the state of a producer to its subscribed workers.
pub(super) fn send_state_to_subscribers(objects: &Objects, pipes: &mut PipeOutbox, slot: Slot) {
    let Some(producer) = objects.producers.find(slot) else { return };
    for PipeSubscriber { worker, taker, .. } in &producer.subscribers {
        pipes.push(*worker, producer.state(*taker));
    }
}

/// Sends the clocks of a producer's publisher to its subscribed workers, after a new report.
pub(super) fn send_clock_to_subscribers(
    objects: &Objects,
    pipes: &mut PipeOutbox,
    slot: Slot,
    stream: usize,
) {
    let Some(producer) = objects.producers.find(slot) else { return };
    let Some(clock) = producer.streams.get(stream).and_then(|of| clock_of(of, stream)) else { return };
    for PipeSubscriber { worker, taker, .. } in &producer.subscribers {
        pipes.push(*worker, clock(*taker));
    }
}

/// A producer has been closed: notifies its subscribers, or its origin.
pub(super) fn send_end_to_subscribers(pipes: &mut PipeOutbox, slot: Slot, producer: &Producer) {
    for PipeSubscriber { worker, taker, .. } in &producer.subscribers {
        pipes.push(*worker, PipeMessage::Gone { taker: *taker });
    }
    if let Some(origin) = producer.origin() {
        let producer = producer.spec.producer;
        pipes.push(origin, PipeMessage::Unsubscribe { producer, taker: slot });
    }
}

/// Sends due subscriptions of this pipe's data producers to their origin.
pub(super) fn subscribe_data_if_due(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Objects { transports, data_producers, .. } = objects;
    let Some(pipe) = transports.find(slot).and_then(Transport::pipe) else { return };
    meter::charge(pipe.data_producers.len(), 60);
    for taker in &pipe.data_producers {
        let Some(producer) = data_producers.find_mut(*taker) else { continue };
        if producer.next_subscription().is_none_or(|at| at > now) {
            continue;
        }
        let (wanted, id) = (producer.wanted(), producer.spec.producer);
        let Some(source) = &mut producer.pipe_source else { continue };
        // A change is repeated until it is confirmed.
        source.is_confirmed &= source.reported == wanted;
        let pause = if source.is_confirmed { limits::SUBSCRIBE_INTERVAL } else { limits::SUBSCRIBE_RETRY };
        (source.is_subscribed, source.reported, source.due) = (true, wanted, now + pause);
        let message = PipeMessage::SubscribeData { producer: id, taker: *taker, wanted };
        turn.pipes.push(source.origin, message);
    }
}

/// A data producer has been closed: notifies its subscribers, or its origin.
pub(super) fn send_data_end(pipes: &mut PipeOutbox, slot: Slot, producer: &DataProducer) {
    for PipeSubscriber { worker, taker, .. } in &producer.subscribers {
        pipes.push(*worker, PipeMessage::DataGone { taker: *taker });
    }
    if let Some(origin) = producer.origin() {
        let producer = producer.spec.producer;
        pipes.push(origin, PipeMessage::UnsubscribeData { producer, taker: slot });
    }
}

/// The publisher's clocks as a message.
pub(super) fn clock_of(of: &Stream, stream: usize) -> Option<impl Fn(Slot) -> PipeMessage + use<>> {
    let (ntp, rtp_timestamp, received_at) = of.sender_report()?;
    let stream = stream as u8;
    Some(move |taker| PipeMessage::Clock { taker, stream, received_at, ntp, rtp_timestamp })
}
