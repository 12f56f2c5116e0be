//! Target layers: for a consumer its preferred layers within its bandwidth; for a producer the union over its
//! consumers, which its publisher needs to encode.

use crate::base::slots::Slot;
use crate::egress::consumer::Consumer;
use crate::egress::layer_budget::LayerBudget;
use crate::egress::writer::Egress;
use crate::limits;
use crate::objects::Objects;
use crate::shard::rearm::{rearm_producer, rearm_send_side};
use crate::shard::timers::Timers;
use crate::shard::turn::Turn;
use control::{Event, Kind};
use machine::{Tx, meter};

/// The target or the available layers of a consumer have changed: follows the encoding that is best now, and
/// requests the necessary keyframe.
pub(super) fn retarget(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    meter::charge(1, 600);
    let Some(consumer) = objects.consumers.find_mut(slot) else { return };
    let Some(producer) = objects.producers.find_mut(consumer.producer) else { return };
    if producer.kind() == Kind::Audio {
        return;
    }
    consumer.update_ceiling(producer);
    let (old, new) = consumer.replace_wanted(producer);
    producer.layer_demand.replace(old, new);
    let can_send =
        objects.transports.find(consumer.transport).is_some_and(|transport| transport.send_path().is_some());
    if let Some(stream) = consumer.stream_missed(producer).filter(|_| can_send && !producer.paused) {
        producer.streams[stream].keyframes.want();
    }
    let waits = !consumer.paused && !producer.paused && consumer.layer_budget == LayerBudget::Nothing;
    let (receiving, producer) = (consumer.transport, consumer.producer);
    rearm_producer(objects, turn.timers, producer);
    if waits {
        hasten_sharing(objects, turn, receiving);
    }
}

/// A consumer waits for bandwidth: allocates soon. If no consumer needed any before, the next allocation may
/// be a second away.
fn hasten_sharing(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    if let Some(side) = transport.send_side.as_deref_mut() {
        side.adapt_at = side.adapt_at.min(now);
        turn.timers.hasten(slot, now);
    }
}

/// Reports to the controller which layers of this transport's producers have consumers, if that has changed.
pub(super) fn report_wanted_layers(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find(slot) else { return };
    meter::charge(transport.producers.len(), 50);
    for producer in &transport.producers {
        let producer = objects.producers.find_mut(*producer);
        // The origin reports it for all workers together.
        let Some(producer) = producer.filter(|producer| producer.pipe_source.is_none()) else { continue };
        if let Some(spatial) = producer.layer_demand.poll(now) {
            let producer = producer.spec.producer;
            turn.news.notify(Event::LayersWanted { producer, spatial });
        }
    }
}

/// A controller that requests a snapshot does not know which layers have consumers: they are reported again.
pub(super) fn forget_reported_layers(objects: &mut Objects, timers: &mut Timers, index: u32) {
    let Some(slot) = objects.producers.slot_at(index) else { return };
    let Some(producer) = objects.producers.find_mut(slot) else { return };
    producer.layer_demand.forget_reported();
    if let Some(at) = producer.layer_demand.next_timeout() {
        timers.hasten(producer.transport, at);
    }
}

/// After an encoding became silent or active: every consumer selects the best one again.
pub(super) fn retarget_all(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, producer: Slot) {
    let count = objects.producers.find(producer).map_or(0, |producer| producer.consumers.len());
    for index in 0..count {
        let consumer = objects.producers.find(producer).and_then(|producer| producer.consumers.get(index));
        let Some(consumer) = consumer.copied() else { return };
        retarget(objects, turn, consumer);
    }
}

/// A consumer may be sent from now on: from the cached keyframe, or else from the next one.
pub(super) fn wake(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    wake_with(objects, turn, slot, limits::CATCH_UP_PACKETS_MAX);
}

/// The same with at most `packets_max` packets after the beginning of that keyframe. Returns their number.
fn wake_with(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot, packets_max: usize) -> usize {
    let now = turn.now;
    let Some(consumer) = objects.consumers.find_mut(slot).filter(|consumer| !consumer.paused) else {
        return 0;
    };
    let producer = objects.producers.find(consumer.producer);
    let producer = producer.filter(|producer| producer.kind() == Kind::Video && !producer.paused);
    let transport = consumer.transport;
    let mut behind = 0;
    if let Some(producer) = producer
        && let Some(leaving_by) = objects.transports.find_mut(transport)
        && let Some(out) = &mut Egress::of(leaving_by, now, turn.tx, turn.counters)
    {
        behind = consumer.begin_from_cache(producer, packets_max, out);
    }
    retarget(objects, turn, slot);
    rearm_send_side(objects, turn.timers, transport);
    behind
}

/// The transport can send from now on: the video it consumes starts. All consumers together get as many
/// packets from the caches as one consumer may; the rest start with the publishers' next keyframes.
pub(super) fn wake_consumers(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let Some(transport) = objects.transports.find_mut(slot) else { return };
    if !std::mem::take(&mut transport.has_become_able) {
        return;
    }
    let mut packets_max = limits::CATCH_UP_PACKETS_MAX;
    for index in 0..transport.consumers.len() {
        let consumer = objects.transports.find(slot).and_then(|transport| transport.consumers.get(index));
        let Some((_, consumer)) = consumer.copied() else { return };
        packets_max = packets_max.saturating_sub(wake_with(objects, turn, consumer, packets_max));
    }
}

/// A consumer is being closed: its layers are not counted any more.
pub(super) fn withdraw(objects: &mut Objects, timers: &mut Timers, consumer: &mut Consumer) {
    let Some(producer) = objects.producers.find_mut(consumer.producer) else { return };
    producer.layer_demand.replace(consumer.take_wanted(), 0);
    if producer.consumers.is_empty() && producer.subscribers.is_empty() {
        producer.forget_keyframes();
    }
    let due = producer.layer_demand.next_timeout().into_iter().chain(producer.next_message_to_origin());
    if let Some(at) = due.min() {
        timers.hasten(producer.transport, at);
    }
}
