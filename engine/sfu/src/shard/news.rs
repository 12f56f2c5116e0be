//! What is under way to the controller: events, and answers that are sequences of them.

use crate::base::slots::Slot;
use control::RequestId;
use machine::Instant;

/// How far a snapshot has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    pub(super) request: RequestId,
    pub(super) table: Table,
    pub(super) index: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Routers,
    Transports,
    Producers,
    Consumers,
}

impl Cursor {
    /// The request that it answers.
    pub(super) fn request(&self) -> RequestId {
        self.request
    }
}

/// Statistics under way to the controller.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) request: RequestId,
    /// When they were asked for: rates are as of then.
    pub(super) asked_at: Instant,
    /// What is still to be told, the next one last. Who has closed since is passed over.
    pub(super) transports: Vec<Slot>,
    pub(super) objects: Vec<Object>,
}

impl Walk {
    /// The request that it answers.
    pub(super) fn request(&self) -> RequestId {
        self.request
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Object {
    Producer(Slot),
    Consumer(Slot),
}
