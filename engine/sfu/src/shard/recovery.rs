//! What becomes of a shard after a panic: what was being handled is closed, or everything is.

use crate::base::slots::Slot;
use crate::limits;
use crate::shard::Shard;
use control::{Closed, Command, Counter, Event, Refusal, RequestId, Text, TransportId};

impl Shard {
    /// Closes what was being handled when a panic came, and puts back what was taken out of the shard meanwhile.
    pub(crate) fn close_after_panic(&mut self) -> Vec<TransportId> {
        self.restore_taken();
        let transports: Vec<_> = self.handling.transports().collect();
        let mut closed = Vec::new();
        for slot in transports {
            let id = self.transports.find(slot).map(|transport| transport.id);
            self.close_transport(slot, Closed::Fault);
            closed.extend(id);
        }
        if let Some(router) = self.handling.router() {
            self.close_router(router, Closed::Fault);
        }
        closed
    }

    /// Replaces everything by an empty shard with the same configuration, and reports all routers as closed. What was counted and what waits
    /// to be told is kept.
    ///
    /// No slot of the former shard names anything in the new one: other workers may go on handing over packets for them.
    pub(crate) fn renew(&mut self) {
        let mut new = Self::new(self.config.clone(), self.rng.fork());
        new.routers = self.routers.successor();
        new.transports = self.transports.successor();
        new.producers = self.producers.successor();
        new.consumers = self.consumers.successor();
        new.counters = std::mem::take(&mut self.counters);
        new.counters.clear_existing();
        new.counters.count(Counter::ShardsReplaced);
        new.handling = std::mem::take(&mut self.handling);
        new.events = std::mem::take(&mut self.events);
        new.ears = std::mem::take(&mut self.ears);
        for request in new.ears.close_all() {
            let text = Text::new("the worker's state was replaced after a fault of its own");
            new.events.answer(Event::Refused { request: Some(request), refusal: Refusal::Fault, text });
        }
        for snapshot in &self.snapshots {
            new.events.answer(Event::SnapshotEnd { request: snapshot.request() });
        }
        for walk in &self.walks {
            new.events.answer(Event::StatsEnd { request: walk.request() });
        }
        for router in self.router_ids.keys() {
            new.events.tell(Event::RouterClosed { router: *router, closed: Closed::Fault });
        }
        *self = new;
    }

    /// Answers a command that ended in a panic, unless it has been answered or still will be.
    pub(crate) fn answer_after_panic(&mut self, request: RequestId) {
        let is_pending = self.snapshots.iter().any(|snapshot| snapshot.request() == request)
            || self.walks.iter().any(|walk| walk.request() == request)
            || self.ears.is_opening(request);
        if is_pending || self.events.has_answered(request) {
            return;
        }
        let text = Text::new("the engine met a fault of its own while it carried this out; see its log");
        self.events.answer(Event::Refused { request: Some(request), refusal: Refusal::Fault, text });
    }

    /// The slot of the transport that a command is about.
    pub(crate) fn transport_of(&self, command: &Command) -> Option<Slot> {
        let of_producer = |id| Some(self.producers.find(*self.producer_ids.get(id)?)?.transport);
        let of_consumer = |id| Some(self.consumers.find(*self.consumer_ids.get(id)?)?.transport);
        match command {
            Command::CreateTransport(create) => self.transport_ids.get(&create.transport).copied(),
            Command::CreatePlainTransport(create) => self.transport_ids.get(&create.transport).copied(),
            Command::CreatePipe(create) => self.transport_ids.get(&create.transport).copied(),
            Command::ConnectPlainTransport(connect) => self.transport_ids.get(&connect.transport).copied(),
            Command::Produce(produce) => self.transport_ids.get(&produce.transport).copied(),
            Command::Consume(consume) => self.transport_ids.get(&consume.transport).copied(),
            Command::ConnectTransport { transport, .. }
            | Command::RestartIce { transport }
            | Command::CloseTransport { transport }
            | Command::SetAppData { transport, .. }
            | Command::SetBitrates { transport, .. } => self.transport_ids.get(transport).copied(),
            Command::PauseProducer { producer }
            | Command::ResumeProducer { producer }
            | Command::CloseProducer { producer }
            | Command::SetContentHint { producer, .. } => of_producer(producer),
            Command::PauseConsumer { consumer }
            | Command::ResumeConsumer { consumer }
            | Command::CloseConsumer { consumer }
            | Command::RequestKeyframe { consumer }
            | Command::SetPreferredLayers { consumer, .. }
            | Command::SetPriority { consumer, .. }
            | Command::SetPlayoutDelay { consumer, .. }
            | Command::SetIgnoreDtx { consumer, .. } => of_consumer(consumer),
            // What only reads, and what concerns a whole router.
            Command::Stats { .. }
            | Command::Snapshot
            | Command::InjectPanic { .. }
            | Command::CreateRouter { .. }
            | Command::CloseRouter { .. }
            | Command::ClaimRouter { .. }
            | Command::ObserveAudio { .. } => None,
        }
    }

    /// The slot of the router that a command is about as a whole.
    pub(crate) fn router_of_command(&self, command: &Command) -> Option<Slot> {
        match command {
            Command::CloseRouter { router }
            | Command::ClaimRouter { router }
            | Command::ObserveAudio { router, .. } => self.router_ids.get(router).copied(),
            _ => None,
        }
    }

    /// State that a stage takes out of the shard while it works is lost with a panic; from here on there is an empty one of its kind.
    fn restore_taken(&mut self) {
        if self.held.capacity() < limits::HELD_MAX {
            self.held.reserve(limits::HELD_MAX);
        }
    }
}
