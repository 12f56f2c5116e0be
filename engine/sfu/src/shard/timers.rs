//! The deadlines of a shard.

use crate::base::slots::Slot;
use machine::{Deadlines, Instant};

/// The deadlines of a shard.
#[derive(Debug, Default)]
pub struct Timers {
    /// One per transport, by the index of its slot.
    pub transports: Deadlines,
    /// The next check of the speakers of each router, by the index of its slot.
    pub routers: Deadlines,
    /// The earliest [`Router::abandoned_at`](crate::objects::router::Router::abandoned_at).
    pub abandon_at: Option<Instant>,
}

impl Timers {
    /// The transport has work at `deadline`, or earlier.
    pub fn hasten(&mut self, transport: Slot, deadline: Instant) {
        self.transports.hasten(transport.index(), deadline);
    }

    /// The earliest of all.
    pub fn next(&self) -> Option<Instant> {
        [self.transports.next(), self.routers.next(), self.abandon_at].into_iter().flatten().min()
    }
}
