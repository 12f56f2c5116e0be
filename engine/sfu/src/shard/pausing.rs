//! Stops and continues the forwarding of a producer.

use crate::base::slots::Slot;
use crate::ingress::stream::Stream;
use crate::shard::Shard;
use machine::Instant;

impl Shard {
    /// Stops forwarding a producer, here and on all workers that take it.
    pub(crate) fn pause(&mut self, slot: Slot) {
        let Some(producer) = self.producers.find_mut(slot) else { return };
        producer.paused = true;
        producer.forget_keyframes();
        for consumer in &producer.consumers {
            if let Some(consumer) = self.consumers.find_mut(*consumer) {
                consumer.interrupt();
            }
        }
        if let Some(router) = self.router_of_producer(slot) {
            self.reset_audio_level(router, slot);
        }
        self.send_state_to_subscribers(slot);
    }

    /// Forwards it again.
    pub(crate) fn resume(&mut self, now: Instant, slot: Slot) {
        let Some(producer) = self.producers.find_mut(slot) else { return };
        if !std::mem::replace(&mut producer.paused, false) {
            return;
        }
        producer.streams.iter_mut().for_each(Stream::forget_gaps);
        self.send_state_to_subscribers(slot);
        self.retarget_all(now, slot);
    }
}
