//! Closes objects. Dependent objects are closed too, and each closed object is reported once.

use crate::base::slots::Slot;
use crate::objects::Objects;
use crate::shard::pipe_out::{send_data_end, send_end_to_subscribers};
use crate::shard::targets::withdraw;
use crate::shard::timers::Timers;
use crate::shard::turn::Turn;
use crate::transport::data::Use;
use control::{Closed, Counter, Event};
use machine::{Instant, Tx, meter};

/// Closes a router and its transports.
pub(super) fn close_router(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot, closed: Closed) {
    while let Some(transport) =
        objects.routers.find(slot).and_then(|router| router.transports.last().copied())
    {
        close_transport(objects, turn, transport, closed);
    }
    let Some(router) = objects.remove_router(slot) else { return };
    meter::charge(1, 3_000);
    turn.timers.routers.set(slot.index(), None);
    turn.counters.uncount(Counter::Routers);
    turn.news.notify(Event::RouterClosed { router: router.id, closed });
}

/// Closes a transport, its producers with their consumers, and its consumers.
pub(super) fn close_transport(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    closed: Closed,
) {
    while let Some(producer) =
        objects.transports.find(slot).and_then(|transport| transport.producers.last().copied())
    {
        close_producer(objects, turn, producer, closed);
    }
    while let Some(consumer) =
        objects.transports.find(slot).and_then(|transport| transport.consumers.last().copied())
    {
        close_consumer(objects, turn, consumer.1, closed);
    }
    close_data(objects, turn, slot, closed);
    let Some(transport) = objects.remove_transport(slot) else { return };
    meter::charge(1, 3_000);
    turn.timers.transports.set(slot.index(), None);
    turn.counters.uncount(Counter::Transports);
    turn.news.notify(Event::TransportClosed { transport: transport.id, closed });
}

/// Closes a producer and its consumers; and a pipe without producers.
pub(super) fn close_producer(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    closed: Closed,
) {
    while let Some(consumer) =
        objects.producers.find(slot).and_then(|producer| producer.consumers.last().copied())
    {
        close_consumer(objects, turn, consumer, closed);
    }
    let Some(producer) = objects.remove_producer(slot) else { return };
    meter::charge(1, 3_000);
    send_end_to_subscribers(turn.pipes, slot, &producer);
    turn.counters.uncount(Counter::Producers);
    turn.news.notify(Event::ProducerClosed { producer: producer.spec.producer, closed });
    close_pipe_without_producers(objects, turn, producer.transport, closed);
}

fn close_pipe_without_producers(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    closed: Closed,
) {
    let Some(transport) = objects.transports.find(slot) else { return };
    let is_idle = transport.pipe().is_some_and(|pipe| pipe.data_producers.is_empty());
    if is_idle && transport.producers.is_empty() {
        close_transport(objects, turn, slot, closed);
    }
}

/// Closes a consumer.
pub(super) fn close_consumer(
    objects: &mut Objects,
    turn: &mut Turn<'_, impl Tx>,
    slot: Slot,
    closed: Closed,
) {
    let Some(mut consumer) = objects.remove_consumer(slot) else { return };
    meter::charge(1, 3_000);
    withdraw(objects, turn.timers, &mut consumer);
    turn.counters.uncount(Counter::Consumers);
    turn.news.notify(Event::ConsumerClosed { consumer: consumer.spec.consumer, closed });
}

/// Closes all data channels of a transport, and their association.
pub(super) fn close_data(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot, closed: Closed) {
    let piped = |objects: &Objects| objects.transports.find(slot)?.pipe()?.data_producers.last().copied();
    while let Some(producer) = piped(objects) {
        close_data_producer(objects, turn, producer, closed);
    }
    let first =
        |objects: &Objects| objects.transports.find(slot)?.data.as_ref()?.uses.values().next().copied();
    while let Some(by) = first(objects) {
        match by {
            Use::Producer(slot) => close_data_producer(objects, turn, slot, closed),
            Use::Consumer(slot) => close_data_consumer(objects, turn, slot, closed),
        }
    }
    if let Some(data) = objects.transports.find_mut(slot).and_then(|transport| transport.data.as_mut()) {
        data.association = None;
        data.opened.clear();
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
    send_data_end(turn.pipes, slot, &producer);
    turn.timers.hasten(producer.transport, turn.now);
    turn.counters.uncount(Counter::DataProducers);
    turn.news.notify(Event::DataProducerClosed { producer: producer.spec.producer, closed });
    close_pipe_without_producers(objects, turn, producer.transport, closed);
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
    // The last one at this worker: the origin of the producer sends no messages any more.
    let producer = objects.data_producers.find(consumer.producer);
    if let Some(producer) = producer.filter(|producer| producer.pipe_source.is_some()) {
        turn.timers.hasten(producer.transport, turn.now);
    }
}

/// The controller is gone: routers that are not claimed are closed after the grace period.
pub(super) fn on_controller_lost(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>) {
    let now = turn.now;
    turn.news.clear();
    let abandoned_at = now + turn.config.grace_period;
    let slots: Vec<Slot> = objects.routers.iter().map(|(slot, _)| slot).collect();
    for slot in slots {
        if let Some(router) = objects.routers.find_mut(slot) {
            // A controller that crashes repeatedly does not extend the grace period of routers that it never
            // claimed.
            router.abandoned_at.get_or_insert(abandoned_at);
        }
    }
    update_abandon_at(objects, turn.timers);
}

/// A controller claims this router.
pub(super) fn claim_router(objects: &mut Objects, timers: &mut Timers, slot: Slot) {
    if let Some(router) = objects.routers.find_mut(slot) {
        router.abandoned_at = None;
    }
    update_abandon_at(objects, timers);
}

/// Closes the routers whose grace period is over.
pub(super) fn close_abandoned(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>) {
    let now = turn.now;
    if turn.timers.abandon_at.is_none_or(|at| at > now) {
        return;
    }
    let is_over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
    let over: Vec<Slot> = objects
        .routers
        .iter()
        .filter(|(_, router)| is_over(router.abandoned_at))
        .map(|(slot, _)| slot)
        .collect();
    for slot in over {
        turn.handling.of_router(Some(slot));
        close_router(objects, turn, slot, Closed::Abandoned);
    }
    update_abandon_at(objects, turn.timers);
}

fn update_abandon_at(objects: &Objects, timers: &mut Timers) {
    timers.abandon_at = objects.routers.iter().filter_map(|(_, router)| router.abandoned_at).min();
}
