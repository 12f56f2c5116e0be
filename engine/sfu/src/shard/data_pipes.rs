//! Data channels of other workers. As for media ([`pipe_in`](super::pipe_in)), a worker with consumers for a data
//! producer of another worker has a copy of it on a pipe, subscribes, and repeats the subscription. Each message
//! is sent once for each subscribed worker, and its consumers there share the payload.

use crate::base::slots::Slot;
use crate::ingress::data_producer::DataProducer;
use crate::limits;
use crate::objects::Objects;
use crate::pipe::message::PipeMessage;
use crate::pipe::subscription::PipeSubscriber;
use crate::shard::close::close_data_producer;
use crate::shard::handling::Handling;
use crate::shard::turn::Turn;
use crate::transport::Transport;
use crate::transport::pipe::Piped;
use bytes::Bytes;
use control::{Closed, Counter, DataProducerId, Discard, Stage};
use machine::{Tx, WorkerId};

/// Another worker subscribes to a data producer.
pub(super) fn on_subscribe_data(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    worker: WorkerId,
    id: DataProducerId,
    taker: Slot,
    wanted: u8,
) {
    let producer = objects.data_producer_ids.get(&id).and_then(|slot| objects.data_producers.find_mut(*slot));
    // One that is itself piped is served by its origin, not from here.
    let Some(producer) = producer.filter(|producer| producer.pipe_source.is_none()) else {
        return turn.pipes.push(worker, PipeMessage::DataGone { taker });
    };
    turn.handling.of(Stage::HandOff, producer.transport);
    let subscriber = PipeSubscriber { worker, taker, wanted, last_message_at: turn.now };
    let known = producer.subscribers.iter().position(|known| known.worker == worker);
    match known {
        Some(index) => producer.subscribers[index] = subscriber,
        None if producer.subscribers.len() >= limits::SUBSCRIBERS_MAX => {
            return turn.pipes.push(worker, PipeMessage::DataGone { taker });
        }
        None => producer.subscribers.push(subscriber),
    }
    turn.pipes.push(worker, PipeMessage::DataSubscribed { taker });
}

/// Another worker ends its subscription.
pub(super) fn on_unsubscribe_data(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    worker: WorkerId,
    id: DataProducerId,
    taker: Slot,
) -> Result<(), Discard> {
    let producer = objects.data_producer_ids.get(&id).and_then(|slot| objects.data_producers.find_mut(*slot));
    let producer = producer.ok_or(Discard::PipeMessageStale)?;
    turn.handling.of(Stage::HandOff, producer.transport);
    let subscribers = &mut producer.subscribers;
    let known = subscribers.iter().position(|known| (known.worker, known.taker) == (worker, taker));
    subscribers.swap_remove(known.ok_or(Discard::PipeMessageStale)?);
    Ok(())
}

/// The origin has answered a subscription.
pub(super) fn on_data_subscribed(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    from: WorkerId,
    taker: Slot,
) -> Result<(), Discard> {
    let now = turn.now;
    let producer = piped(objects, turn.handling, from, taker)?;
    if let Some(source) = producer.pipe_source.as_mut().filter(|source| !source.is_confirmed) {
        (source.is_confirmed, source.due) = (true, now + limits::SUBSCRIBE_INTERVAL);
    }
    Ok(())
}

/// The data producer is closed at its origin. Its last messages are delivered first.
pub(super) fn on_data_gone(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    from: WorkerId,
    taker: Slot,
) -> Result<(), Discard> {
    let transport = piped(objects, turn.handling, from, taker)?.transport;
    let pipe = objects.transports.find_mut(transport).and_then(Transport::pipe_mut);
    match pipe.is_some_and(|pipe| pipe.push(Piped::End { producer: taker })) {
        true => turn.timers.hasten(transport, turn.now),
        false => close_data_producer(objects, turn, taker, Closed::Requested),
    }
    Ok(())
}

/// A message has arrived from another worker. It is delivered when the timers run, as one of a peer.
pub(super) fn on_piped_data(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    (from, taker): (WorkerId, Slot),
    is_text: bool,
    payload: Box<[u8]>,
) -> Result<(), Discard> {
    let transport = piped(objects, turn.handling, from, taker)?.transport;
    let found = objects.transports.find_mut(transport).ok_or(Discard::PipeMessageStale)?;
    found.traffic.received.count(payload.len());
    let kind = if is_text { sctp::Kind::String } else { sctp::Kind::Binary };
    let message = Piped::Message { producer: taker, kind, payload: Bytes::from(payload) };
    let is_queued = found.pipe_mut().is_some_and(|pipe| pipe.push(message));
    turn.counters.count(if is_queued { Counter::PipedIn } else { Counter::PipedLost });
    turn.timers.hasten(transport, turn.now);
    Ok(())
}

/// A data producer here whose origin is that worker.
fn piped<'a>(
    objects: &'a mut Objects,
    handling: &mut Handling,
    from: WorkerId,
    taker: Slot,
) -> Result<&'a mut DataProducer, Discard> {
    let producer = objects.data_producers.find_mut(taker).filter(|found| found.origin() == Some(from));
    let producer = producer.ok_or(Discard::PipeMessageStale)?;
    handling.of(Stage::HandOff, producer.transport);
    Ok(producer)
}
