//! Which layers of a producer are wanted: of one consumer its own wish within what its bandwidth allows, of the producer the
//! union over its consumers, which is what its publisher needs to encode.

use crate::base::slots::Slot;
use crate::egress::consumer::Consumer;
use crate::limits;
use crate::shard::Shard;
use control::{Event, Kind, Layers};
use machine::{Instant, Tx, meter};

/// What bandwidth allows a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayerBudget {
    /// Everything; also where nobody estimates.
    #[default]
    Everything,
    /// No more than these layers.
    UpTo(Layers),
    /// Nothing: its picture stands still until there is room again.
    Nothing,
}

/// How many consumers want each spatial layer of a producer, and what its publisher was told.
#[derive(Debug)]
pub struct LayerDemand {
    counts: Vec<u32>,
    /// What the publisher begins with, untold.
    initial: u8,
    told: u8,
    /// Since when it is known that some of the layers told have no takers any more.
    unwanted_since: Option<Instant>,
}

impl LayerDemand {
    /// Of a producer with so many spatial layers, at least one. Its publisher begins with all of them. Of audio there is never
    /// anything to tell.
    pub fn new(kind: Kind, layers: u8) -> Self {
        let counts = vec![0; usize::from(layers.clamp(1, limits::SPATIAL_LAYERS_MAX))];
        let initial = match kind {
            Kind::Audio => 0,
            Kind::Video => u8::MAX >> (8 - counts.len()),
        };
        Self { counts, initial, told: initial, unwanted_since: None }
    }

    /// Whoever was told may have forgotten, and begins anew.
    pub fn forget_reported(&mut self) {
        self.told = self.initial;
        self.unwanted_since = None;
    }

    /// How often each layer is wanted.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// How many spatial layers there are.
    pub fn layers(&self) -> u8 {
        self.counts.len() as u8
    }

    /// A consumer wanted the layers of one mask, and now wants those of another.
    pub fn replace(&mut self, old: u8, new: u8) {
        for (layer, count) in self.counts.iter_mut().enumerate() {
            *count = *count + u32::from(new >> layer & 1) - u32::from(old >> layer & 1);
        }
        if self.wanted() == self.told {
            self.unwanted_since = None;
        }
    }

    /// Bit `n`: layer `n` has takers.
    pub fn wanted(&self) -> u8 {
        self.counts.iter().enumerate().fold(0, |mask, (layer, count)| mask | u8::from(*count > 0) << layer)
    }

    /// When [`poll`](Self::poll) wants to be called: at once after a change, which it has to date.
    pub fn next_timeout(&self) -> Option<Instant> {
        let wanted = self.wanted();
        let waiting = self.unwanted_since.filter(|_| wanted & !self.told == 0);
        (wanted != self.told).then(|| waiting.map_or(Instant::EPOCH, |since| since + limits::UNWANTED_AFTER))
    }

    /// What to tell the publisher now, if anything. Layers that have lost their takers go a while after the others have come: until those bring a
    /// keyframe, they are still watched.
    pub fn poll(&mut self, now: Instant) -> Option<u8> {
        let wanted = self.wanted();
        if wanted == self.told {
            return None;
        }
        if wanted & !self.told != 0 {
            self.told |= wanted;
            self.unwanted_since = (self.told != wanted).then_some(now);
            return Some(self.told);
        }
        let since = *self.unwanted_since.get_or_insert(now);
        if now < since + limits::UNWANTED_AFTER {
            return None;
        }
        self.told = wanted;
        self.unwanted_since = None;
        Some(wanted)
    }
}

impl Shard {
    /// What a consumer wants, may have or can get has changed: follows the encoding that is best now, and asks for the keyframe
    /// that takes.
    pub(crate) fn retarget(&mut self, now: Instant, slot: Slot) {
        meter::charge(1, 600);
        let Some(consumer) = self.consumers.find_mut(slot) else { return };
        let Some(producer) = self.producers.find_mut(consumer.producer) else { return };
        if producer.kind() == Kind::Audio {
            return;
        }
        consumer.update_ceiling(producer);
        let (old, new) = consumer.replace_wanted(producer);
        producer.layer_demand.replace(old, new);
        let can_send =
            self.transports.find(consumer.transport).is_some_and(|transport| transport.send_path().is_some());
        if let Some(stream) = consumer.stream_missed(producer).filter(|_| can_send && !producer.paused) {
            producer.streams[stream].keyframes.want();
        }
        let waits = !consumer.paused && !producer.paused && consumer.layer_budget == LayerBudget::Nothing;
        let (receiving, producer) = (consumer.transport, consumer.producer);
        self.rearm_producer(producer);
        if waits {
            self.hasten_sharing(now, receiving);
        }
    }

    /// Somebody waits to be given something: where nothing was wanted until now, bandwidth is shared out once a second.
    fn hasten_sharing(&mut self, now: Instant, slot: Slot) {
        let Some(transport) = self.transports.find_mut(slot) else { return };
        if let Some(side) = transport.send_side.as_deref_mut() {
            side.adapt_at = side.adapt_at.min(now);
            self.deadlines.hasten(slot.index(), now);
        }
    }

    /// Tells the controller which layers of this transport's producers have takers, where that is news.
    pub(crate) fn report_wanted_layers(&mut self, now: Instant, slot: Slot) {
        let Some(transport) = self.transports.find(slot) else { return };
        meter::charge(transport.producers.len(), 50);
        for producer in &transport.producers {
            let producer = self.producers.find_mut(*producer);
            // Where it comes from that is told, of all workers together.
            let Some(producer) = producer.filter(|producer| producer.pipe_source.is_none()) else { continue };
            if let Some(spatial) = producer.layer_demand.poll(now) {
                let producer = producer.spec.producer;
                self.events.tell(Event::LayersWanted { producer, spatial });
            }
        }
    }

    /// A controller that asks for everything has not heard, or not kept, which layers have takers.
    pub(crate) fn forget_reported_layers(&mut self, index: u32) {
        let Some(slot) = self.producers.slot_at(index) else { return };
        let Some(producer) = self.producers.find_mut(slot) else { return };
        producer.layer_demand.forget_reported();
        if let Some(at) = producer.layer_demand.next_timeout() {
            self.deadlines.hasten(producer.transport.index(), at);
        }
    }

    /// After an encoding fell silent or came back: everybody looks for the best one.
    pub(crate) fn retarget_all(&mut self, now: Instant, producer: Slot) {
        let count = self.producers.find(producer).map_or(0, |producer| producer.consumers.len());
        for index in 0..count {
            let consumer = self.producers.find(producer).and_then(|producer| producer.consumers.get(index));
            let Some(consumer) = consumer.copied() else { return };
            self.retarget(now, consumer);
        }
    }

    /// A consumer may be sent from now on: from the keyframe that is at hand, or else from the next.
    pub(crate) fn wake(&mut self, now: Instant, slot: Slot, tx: &mut impl Tx) {
        self.wake_with(now, slot, limits::CATCH_UP_PACKETS_MAX, tx);
    }

    /// The same with at most so many packets behind the beginning of that keyframe. How many there were.
    fn wake_with(&mut self, now: Instant, slot: Slot, packets_max: usize, tx: &mut impl Tx) -> usize {
        let Some(consumer) = self.consumers.find_mut(slot).filter(|consumer| !consumer.paused) else {
            return 0;
        };
        let producer = self.producers.find(consumer.producer);
        let producer = producer.filter(|producer| producer.kind() == Kind::Video && !producer.paused);
        let transport = consumer.transport;
        let mut behind = 0;
        if let Some(producer) = producer
            && let Some(leaving_by) = self.transports.find_mut(transport)
            && let Some(out) = &mut leaving_by.egress(now, tx, &mut self.counters)
        {
            behind = consumer.begin_from_cache(producer, packets_max, out);
        }
        self.retarget(now, slot);
        self.rearm_send_side(transport);
        behind
    }

    /// The transport can send from now on: the video it consumes begins. All of it together gets as many packets from the caches as one
    /// consumer may; the rest begins with the publishers' next keyframes.
    pub(crate) fn wake_consumers(&mut self, now: Instant, slot: Slot, tx: &mut impl Tx) {
        let Some(transport) = self.transports.find_mut(slot) else { return };
        if !std::mem::take(&mut transport.has_become_able) {
            return;
        }
        let mut packets_max = limits::CATCH_UP_PACKETS_MAX;
        for index in 0..transport.consumers.len() {
            let consumer = self.transports.find(slot).and_then(|transport| transport.consumers.get(index));
            let Some((_, consumer)) = consumer.copied() else { return };
            packets_max = packets_max.saturating_sub(self.wake_with(now, consumer, packets_max, tx));
        }
    }

    /// A consumer is being closed: it wants nothing any more.
    pub(crate) fn withdraw(&mut self, consumer: &mut Consumer) {
        let Some(producer) = self.producers.find_mut(consumer.producer) else { return };
        producer.layer_demand.replace(consumer.take_wanted(), 0);
        if producer.consumers.is_empty() && producer.subscribers.is_empty() {
            producer.forget_keyframes();
        }
        let told = producer.layer_demand.next_timeout().into_iter().chain(producer.next_message_to_origin());
        if let Some(at) = told.min() {
            self.deadlines.hasten(producer.transport.index(), at);
        }
    }
}

/// The lower of two ceilings: of the one with fewer spatial layers, its temporal ones count.
pub fn lower(one: Layers, other: Layers) -> Layers {
    match one.spatial.cmp(&other.spatial) {
        std::cmp::Ordering::Less => one,
        std::cmp::Ordering::Greater => other,
        std::cmp::Ordering::Equal => one.min(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Instant {
        Instant::EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn layers_with_takers_are_told_at_once_and_those_without_after_a_while() {
        let mut layer_demand = LayerDemand::new(Kind::Video, 3);
        layer_demand.replace(0, 0b001);
        assert_eq!(layer_demand.poll(at(0)), None);
        assert_eq!(layer_demand.poll(at(1_999)), None);
        assert_eq!(layer_demand.poll(at(2_000)), Some(0b001), "the publisher began with all three");
        layer_demand.replace(0, 0b111);
        assert_eq!(layer_demand.poll(at(3_000)), Some(0b111));
        layer_demand.replace(0b111, 0);
        assert_eq!(layer_demand.poll(at(4_000)), None);
        layer_demand.replace(0, 0b111);
        assert_eq!(layer_demand.next_timeout(), None, "back in time");
        layer_demand.replace(0b111, 0);
        layer_demand.replace(0b001, 0);
        assert_eq!(layer_demand.next_timeout(), Some(Instant::EPOCH), "to be dated");
        assert_eq!(layer_demand.poll(at(6_000)), None);
        assert_eq!(layer_demand.next_timeout(), Some(at(8_000)));
        assert_eq!(layer_demand.poll(at(8_000)), Some(0));
        assert_eq!(layer_demand.poll(at(9_000)), None);
    }

    #[test]
    fn a_layer_goes_only_a_while_after_another_has_come_for_it() {
        let mut layer_demand = LayerDemand::new(Kind::Video, 3);
        layer_demand.replace(0, 0b001);
        assert_eq!(layer_demand.poll(at(0)), None);
        assert_eq!(layer_demand.poll(at(2_000)), Some(0b001));
        layer_demand.replace(0b001, 0b100);
        assert_eq!(
            layer_demand.poll(at(3_000)),
            Some(0b101),
            "the small one is watched until the large one is here"
        );
        assert_eq!(layer_demand.next_timeout(), Some(at(5_000)));
        assert_eq!(layer_demand.poll(at(4_999)), None);
        assert_eq!(layer_demand.poll(at(5_000)), Some(0b100));
        assert_eq!(layer_demand.next_timeout(), None);
    }

    #[test]
    fn who_begins_anew_is_told_again() {
        let mut layer_demand = LayerDemand::new(Kind::Video, 2);
        layer_demand.replace(0, 0b10);
        assert_eq!(layer_demand.poll(at(0)), None);
        assert_eq!(layer_demand.poll(at(2_000)), Some(0b10));
        layer_demand.forget_reported();
        assert_eq!(layer_demand.next_timeout(), Some(Instant::EPOCH), "to be dated");
        assert_eq!(layer_demand.poll(at(3_000)), None);
        assert_eq!(layer_demand.poll(at(5_000)), Some(0b10));
        let mut audio = LayerDemand::new(Kind::Audio, 1);
        audio.forget_reported();
        assert_eq!(audio.next_timeout(), None);
    }

    #[test]
    fn of_two_ceilings_the_lower_counts() {
        let layers = |spatial, temporal| Layers { spatial, temporal };
        assert_eq!(lower(layers(2, 0), layers(1, 2)), layers(1, 2));
        assert_eq!(lower(layers(1, 2), layers(1, 1)), layers(1, 1));
    }
}
