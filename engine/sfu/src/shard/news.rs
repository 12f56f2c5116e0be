//! What is under way to the controller: events, and answers that are sequences of them.

use crate::base::slots::Slot;
use crate::shard::events::Events;
use control::{Event, RequestId};
use machine::Instant;

/// Everything that waits to be reported.
#[derive(Debug, Default)]
pub struct News {
    /// Single events.
    pub events: Events,
    /// Snapshots, the oldest first.
    pub snapshots: Vec<Cursor>,
    /// Statistics of many objects, the oldest request first.
    pub walks: Vec<Walk>,
}

impl News {
    /// Reports something that happened by itself.
    pub fn tell(&mut self, event: Event) {
        self.events.tell(event);
    }

    /// Answers a request.
    pub fn answer(&mut self, event: Event) {
        self.events.answer(event);
    }

    /// Drops everything. Nothing is reported until a controller sends its next request.
    pub fn clear(&mut self) {
        self.events.fall_silent();
        self.snapshots.clear();
        self.walks.clear();
    }

    /// Whether this request has an answer that waits, or will get one.
    pub fn has_answer(&self, request: RequestId) -> bool {
        self.snapshots.iter().any(|snapshot| snapshot.request() == request)
            || self.walks.iter().any(|walk| walk.request() == request)
            || self.events.has_answered(request)
    }
}

/// How far a snapshot has come.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// The request that it answers.
    pub request: RequestId,
    /// The table it is at.
    pub table: Table,
    /// The next index there.
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
}

impl Cursor {
    /// The request that it answers.
    pub fn request(&self) -> RequestId {
        self.request
    }
}

/// Statistics under way to the controller.
#[derive(Debug)]
pub struct Walk {
    /// The request that it answers.
    pub request: RequestId,
    /// When they were asked for: rates are as of then.
    pub asked_at: Instant,
    /// What is still to be told, the next one last. Who has closed since is passed over.
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
