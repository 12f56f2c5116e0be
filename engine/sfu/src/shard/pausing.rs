//! Stops and continues the forwarding of a producer.

use crate::base::slots::Slot;
use crate::ingress::stream::Stream;
use crate::objects::Objects;
use crate::shard::pipe_out::send_state_to_subscribers;
use crate::shard::speakers::reset_audio_level;
use crate::shard::targets::retarget_all;
use crate::shard::turn::Turn;
use machine::Tx;

/// Stops forwarding a producer, here and on all subscribed workers.
pub(super) fn pause(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let Some(producer) = objects.producers.find_mut(slot) else { return };
    producer.paused = true;
    producer.forget_keyframes();
    for consumer in &producer.consumers {
        if let Some(consumer) = objects.consumers.find_mut(*consumer) {
            consumer.interrupt();
        }
    }
    if let Some(router) = objects.router_of_producer(slot) {
        reset_audio_level(objects, router, slot);
    }
    send_state_to_subscribers(objects, turn.pipes, slot);
}

/// Forwards it again.
pub(super) fn resume(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let Some(producer) = objects.producers.find_mut(slot) else { return };
    if !std::mem::replace(&mut producer.paused, false) {
        return;
    }
    producer.streams.iter_mut().for_each(Stream::forget_gaps);
    send_state_to_subscribers(objects, turn.pipes, slot);
    retarget_all(objects, turn, slot);
}
