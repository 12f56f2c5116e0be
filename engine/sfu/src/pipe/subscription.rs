//! Both ends of a subscription to a producer of another worker.

use crate::base::slots::Slot;
use crate::limits;
use machine::{Instant, WorkerId};

/// The additional state of a piped producer.
#[derive(Debug)]
pub struct PipeSource {
    /// The worker of the publisher.
    pub origin: WorkerId,
    /// A subscription was sent to the origin.
    pub is_subscribed: bool,
    /// The layers in the last message to the origin.
    pub reported: u8,
    /// The origin has answered.
    pub is_confirmed: bool,
    /// When to subscribe (again).
    pub due: Instant,
}

impl PipeSource {
    /// One that has not subscribed yet.
    pub fn new(origin: WorkerId) -> Self {
        Self { origin, is_subscribed: false, reported: 0, is_confirmed: false, due: Instant::EPOCH }
    }

    /// When the next message to the origin is due: after a change of the subscription or of the layers.
    pub fn next_timeout(&self, is_taken: bool, wanted: u8) -> Option<Instant> {
        match (is_taken, self.is_subscribed) {
            (false, false) => None,
            (true, true) if wanted == self.reported => Some(self.due),
            _ => Some(Instant::EPOCH),
        }
    }
}

/// A worker that subscribes to a producer of this one.
#[derive(Clone, Copy, Debug)]
pub struct PipeSubscriber {
    /// The worker.
    pub worker: WorkerId,
    /// The slot of the piped producer there.
    pub taker: Slot,
    /// The layers with consumers there. Of a data producer: 1 if it has any.
    pub wanted: u8,
    /// The time of its last message.
    pub last_message_at: Instant,
}

impl PipeSubscriber {
    /// Whether it repeats its subscription.
    pub fn is_there(&self, now: Instant) -> bool {
        now.saturating_since(self.last_message_at) < limits::SUBSCRIBER_SILENT_MAX
    }
}
