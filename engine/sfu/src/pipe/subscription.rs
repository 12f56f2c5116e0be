//! Both ends of a subscription to a producer of another worker.

use crate::base::slots::Slot;
use machine::{Instant, WorkerId};

/// What a piped producer has beside others.
#[derive(Debug)]
pub struct PipeSource {
    /// The worker of the publisher.
    pub origin: WorkerId,
    /// The origin was told that it is taken here.
    pub is_subscribed: bool,
    /// The layers that the origin was told are wanted.
    pub told: u8,
    /// The origin has answered.
    pub is_confirmed: bool,
    /// When to subscribe (again).
    pub due: Instant,
}

impl PipeSource {
    /// One that has not subscribed yet.
    pub fn new(origin: WorkerId) -> Self {
        Self { origin, is_subscribed: false, told: 0, is_confirmed: false, due: Instant::EPOCH }
    }

    /// When to tell the origin something: whether it is taken here now, and which layers are wanted.
    pub fn next_timeout(&self, is_taken: bool, wanted: u8) -> Option<Instant> {
        match (is_taken, self.is_subscribed) {
            (false, false) => None,
            (true, true) if wanted == self.told => Some(self.due),
            _ => Some(Instant::EPOCH),
        }
    }
}

/// A worker that takes a producer of this one.
#[derive(Clone, Copy, Debug)]
pub struct PipeSubscriber {
    /// The worker.
    pub worker: WorkerId,
    /// Where the piped producer is there.
    pub taker: Slot,
    /// The layers that are wanted there.
    pub wanted: u8,
    /// When its last message came.
    pub heard_at: Instant,
}
