//! The queue to the controller: events, and answers that are sequences of events.

use crate::base::slots::Slot;
use crate::shard::events::Events;
use control::{Event, RequestId};
use machine::Instant;

/// Everything that waits to be reported.
#[derive(Debug, Default)]
pub struct News {
    /// Notifications and single answers.
    pub events: Events,
    /// Snapshots, the oldest first.
    pub snapshots: Vec<Cursor>,
    /// Statistics of many objects, the oldest request first.
    pub walks: Vec<Walk>,
}

impl News {
    /// Adds a notification.
    pub fn notify(&mut self, event: Event) {
        self.events.notify(event);
    }

    /// Answers a request.
    pub fn answer(&mut self, event: Event) {
        self.events.answer(event);
    }

    /// Drops everything. Nothing is reported until a controller sends its next request.
    pub fn clear(&mut self) {
        self.events.on_controller_lost();
        self.snapshots.clear();
        self.walks.clear();
    }

    /// Whether an answer to this request is waiting or will be added.
    pub fn has_answer(&self, request: RequestId) -> bool {
        self.snapshots.iter().any(|snapshot| snapshot.request() == request)
            || self.walks.iter().any(|walk| walk.request() == request)
            || self.events.has_answered(request)
    }
}

/// The position of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// The request that it answers.
    pub request: RequestId,
    /// The current table.
    pub table: Table,
    /// The next index in it.
    pub index: u32,
}

/// The tables of a snapshot, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Routers.
    Routers,
    /// Transports.
    Transports,
    /// Producers.
    Producers,
    /// Consumers.
    Consumers,
    /// Data producers.
    DataProducers,
    /// Data consumers.
    DataConsumers,
}

impl Cursor {
    /// The request that it answers.
    pub fn request(&self) -> RequestId {
        self.request
    }
}

/// Statistics in progress.
#[derive(Debug)]
pub struct Walk {
    /// The request that it answers.
    pub request: RequestId,
    /// The time of the request: rates are as of then.
    pub asked_at: Instant,
    /// The transports still to report, the next one last. Closed ones are skipped.
    pub transports: Vec<Slot>,
    /// Objects of the transport reported last.
    pub objects: Vec<Object>,
}

impl Walk {
    /// The request that it answers.
    pub fn request(&self) -> RequestId {
        self.request
    }
}

/// An object with statistics.
#[derive(Clone, Copy, Debug)]
pub enum Object {
    /// A producer.
    Producer(Slot),
    /// A consumer.
    Consumer(Slot),
}
