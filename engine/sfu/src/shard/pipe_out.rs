//! Pipes, the sending half: packets and messages to other workers.
//!
//! Nothing here waits for an answer. A subscription is repeated, and each repetition is answered with all that the other worker has to know.

use crate::base::slots::Slot;
use crate::ingress::producer::Producer;
use crate::ingress::stream::Stream;
use crate::limits;
use crate::objects::Objects;
use crate::packet::received::Received;
use crate::pipe::message::PipeMessage;
use crate::pipe::outbox::PipeOutbox;
use crate::pipe::subscription::{PipeSource, PipeSubscriber};
use crate::shard::turn::Turn;
use control::{ContentHint, Counter, Counters};
use machine::{Instant, Tx, meter};

impl Producer {
    /// How it stands, for a worker that takes it.
    pub(crate) fn state(&self, taker: Slot) -> PipeMessage {
        let is_detail = self.content_hint == ContentHint::Detail;
        PipeMessage::State { taker, paused: self.paused, is_detail }
    }

    /// Sends a packet to every subscribed worker, and removes those whose subscription was not repeated. A layer without consumers there
    /// is sent too: by
    /// its frames it is known to be there, and by its rate what it would take.
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
        subscribers.retain(|neighbour| {
            let is_there = now.saturating_since(neighbour.heard_at) < limits::NEIGHBOUR_SILENT_MAX;
            if !is_there {
                layer_demand.replace(neighbour.wanted, 0);
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

/// Says to other workers what is to be said.
pub(super) fn send_pipe_messages(turn: &mut Turn<'_, impl Tx>) {
    meter::charge(turn.pipes.len(), 200);
    for (worker, parcel) in turn.pipes.drain() {
        if !turn.tx.hand_off(worker, parcel.write().as_bytes(), &[]) {
            turn.counters.count(Counter::PipedLost);
        }
    }
}

/// Tells the origins of what this pipe brings whether it is taken, and which layers are wanted.
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
            // By the next subscription its sequence numbers may have wrapped.
            producer.streams.iter_mut().for_each(Stream::reset);
            turn.pipes.push(piped.origin, PipeMessage::Unsubscribe { producer: id, taker: *taker });
            *piped = PipeSource::new(piped.origin);
            continue;
        }
        let pause = if piped.is_confirmed { limits::SUBSCRIBE_INTERVAL } else { limits::SUBSCRIBE_RETRY };
        (piped.is_subscribed, piped.told, piped.due) = (true, wanted, now + pause);
        turn.pipes.push(piped.origin, PipeMessage::Subscribe { producer: id, taker: *taker, wanted });
    }
}

/// Asks the origins for the keyframes that are wanted of what this pipe brings.
pub(super) fn ask_origins(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    // Who has not subscribed is not answered.
    subscribe_if_due(objects, turn, slot);
    let Some(transport) = objects.transports.find(slot) else { return };
    for taker in &transport.producers {
        let Some(producer) = objects.producers.find_mut(*taker) else { continue };
        let (Some(origin), id) = (producer.origin(), producer.spec.producer) else { continue };
        for (index, stream) in producer.streams.iter_mut().enumerate() {
            if stream.keyframes.poll(now) {
                let parcel = PipeMessage::Keyframe { producer: id, taker: *taker, stream: index as u8 };
                turn.pipes.push(origin, parcel);
            }
        }
    }
}

/// Tells the other workers that take a producer how it stands.
pub(super) fn send_state_to_subscribers(objects: &Objects, pipes: &mut PipeOutbox, slot: Slot) {
    let Some(producer) = objects.producers.find(slot) else { return };
    for PipeSubscriber { worker, taker, .. } in &producer.subscribers {
        pipes.push(*worker, producer.state(*taker));
    }
}

/// Tells the other workers that take a producer of its publisher's clocks, of which one has just been told.
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

/// A producer has been closed: tells its subscribers, or the worker that it came from.
pub(super) fn send_end_to_subscribers(pipes: &mut PipeOutbox, slot: Slot, producer: &Producer) {
    for PipeSubscriber { worker, taker, .. } in &producer.subscribers {
        pipes.push(*worker, PipeMessage::Gone { taker: *taker });
    }
    if let Some(origin) = producer.origin() {
        let producer = producer.spec.producer;
        pipes.push(origin, PipeMessage::Unsubscribe { producer, taker: slot });
    }
}

/// What is known of the publisher's clocks, to be told.
pub(super) fn clock_of(of: &Stream, stream: usize) -> Option<impl Fn(Slot) -> PipeMessage + use<>> {
    let (ntp, rtp_timestamp, received_at) = of.sender_report()?;
    let stream = stream as u8;
    Some(move |taker| PipeMessage::Clock { taker, stream, received_at, ntp, rtp_timestamp })
}
