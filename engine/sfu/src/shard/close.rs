//! Closing: an object takes with it what depends on it, each once, each told once.

use crate::base::slots::Slot;
use crate::shard::Shard;
use crate::transport::{Link, WebRtc};
use control::{Closed, Counter, Event};
use machine::{Instant, meter};

impl Shard {
    /// Closes a router and its transports.
    pub(crate) fn close_router(&mut self, slot: Slot, closed: Closed) {
        while let Some(transport) =
            self.routers.find(slot).and_then(|router| router.transports.last().copied())
        {
            self.close_transport(transport, closed);
        }
        let Some(router) = self.routers.remove(slot) else { return };
        meter::charge(1, 3_000);
        self.observations.set(slot.index(), None);
        self.router_ids.remove(&router.id);
        self.counters.uncount(Counter::Routers);
        self.events.tell(Event::RouterClosed { router: router.id, closed });
    }

    /// Closes a transport, its producers with their consumers, and its consumers.
    pub(crate) fn close_transport(&mut self, slot: Slot, closed: Closed) {
        while let Some(producer) =
            self.transports.find(slot).and_then(|transport| transport.producers.last().copied())
        {
            self.close_producer(producer, closed);
        }
        while let Some(consumer) =
            self.transports.find(slot).and_then(|transport| transport.consumers.last().copied())
        {
            self.close_consumer(consumer.1, closed);
        }
        let Some(transport) = self.transports.remove(slot) else { return };
        meter::charge(1, 3_000);
        match &transport.link {
            Link::WebRtc(WebRtc { ice, .. }) => {
                for path in ice.paths() {
                    // The address may since have been proved to be another's.
                    if self.by_path.get(&path) == Some(&slot) {
                        self.by_path.remove(&path);
                    }
                }
                for ufrag in ice.ufrags() {
                    self.by_ufrag.remove(&ufrag);
                }
            }
            Link::Plain(plain) => self.ears.close(plain.ears()),
            Link::Pipe(_) => {}
        }
        if let Some(router) = self.routers.find_mut(transport.router) {
            forget(&mut router.transports, slot);
        }
        self.deadlines.set(slot.index(), None);
        self.transport_ids.remove(&transport.id);
        self.counters.uncount(Counter::Transports);
        self.events.tell(Event::TransportClosed { transport: transport.id, closed });
    }

    /// Closes a producer and its consumers; and a pipe that brings nothing any more.
    pub(crate) fn close_producer(&mut self, slot: Slot, closed: Closed) {
        while let Some(consumer) =
            self.producers.find(slot).and_then(|producer| producer.consumers.last().copied())
        {
            self.close_consumer(consumer, closed);
        }
        let Some(producer) = self.producers.remove(slot) else { return };
        meter::charge(1, 3_000);
        if let Some(transport) = self.transports.find_mut(producer.transport) {
            forget(&mut transport.producers, slot);
            transport.sources.forget(slot);
        }
        self.send_end_to_subscribers(slot, &producer);
        self.producer_ids.remove(&producer.spec.producer);
        self.counters.uncount(Counter::Producers);
        self.events.tell(Event::ProducerClosed { producer: producer.spec.producer, closed });
        let pipe = self.transports.find(producer.transport).filter(|transport| transport.pipe().is_some());
        if pipe.is_some_and(|pipe| pipe.producers.is_empty()) {
            self.close_transport(producer.transport, closed);
        }
    }

    /// Closes a consumer.
    pub(crate) fn close_consumer(&mut self, slot: Slot, closed: Closed) {
        let Some(mut consumer) = self.consumers.remove(slot) else { return };
        meter::charge(1, 3_000);
        if let Some(producer) = self.producers.find_mut(consumer.producer) {
            forget(&mut producer.consumers, slot);
        }
        self.withdraw(&mut consumer);
        if let Some(transport) = self.transports.find_mut(consumer.transport) {
            transport.remove_consumer(consumer.ssrc());
        }
        self.consumer_ids.remove(&consumer.spec.consumer);
        self.counters.uncount(Counter::Consumers);
        self.events.tell(Event::ConsumerClosed { consumer: consumer.spec.consumer, closed });
    }

    /// The controller has gone: whatever nobody claims will be closed after the grace period.
    pub(crate) fn on_controller_lost(&mut self, now: Instant) {
        self.events.fall_silent();
        self.snapshots.clear();
        self.walks.clear();
        let abandoned_at = now + self.config.grace_period;
        let slots: Vec<Slot> = self.routers.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            if let Some(router) = self.routers.find_mut(slot) {
                // A controller that dies in a loop does not prolong the life of what it never claimed.
                router.abandoned_at.get_or_insert(abandoned_at);
            }
        }
        self.update_abandon_at();
    }

    /// A controller cares for this router.
    pub(crate) fn claim_router(&mut self, slot: Slot) {
        if let Some(router) = self.routers.find_mut(slot) {
            router.abandoned_at = None;
        }
        self.update_abandon_at();
    }

    /// Closes the routers whose grace period is over.
    pub(crate) fn close_abandoned(&mut self, now: Instant) {
        if self.abandon_at.is_none_or(|at| at > now) {
            return;
        }
        let is_over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let over: Vec<Slot> = self
            .routers
            .iter()
            .filter(|(_, router)| is_over(router.abandoned_at))
            .map(|(slot, _)| slot)
            .collect();
        for slot in over {
            self.handling.of_router(Some(slot));
            self.close_router(slot, Closed::Abandoned);
        }
        self.update_abandon_at();
    }

    fn update_abandon_at(&mut self) {
        self.abandon_at = self.routers.iter().filter_map(|(_, router)| router.abandoned_at).min();
    }
}

/// Takes a child off its parent's list. Whoever closes all children takes them from the end, so the search begins there.
fn forget(children: &mut Vec<Slot>, child: Slot) {
    if let Some(index) = children.iter().rposition(|other| *other == child) {
        children.swap_remove(index);
    }
}
