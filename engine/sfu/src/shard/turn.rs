//! One call of the shard: the time, the send batch, and all state of the shard except its objects.

use crate::bandwidth::{Allocator, Demand};
use crate::base::slots::Slot;
use crate::pipe::outbox::PipeOutbox;
use crate::shard::config::Config;
use crate::shard::handling::Handling;
use crate::shard::news::News;
use crate::shard::pending::PendingPacket;
use crate::shard::timers::Timers;
use control::Counters;
use machine::{Flow, Instant, Path, Rng, Tx, WorkerId};

/// The state that a stage may use in addition to the objects: borrowed from the shard for one call of its
/// driver.
pub struct Turn<'t, T> {
    /// The time of the call.
    pub now: Instant,
    /// The send batch.
    pub tx: &'t mut T,
    /// The configuration.
    pub config: &'t Config,
    /// The only source of randomness.
    pub rng: &'t mut Rng,
    /// Deadlines.
    pub timers: &'t mut Timers,
    /// Events and answers for the controller.
    pub news: &'t mut News,
    /// Messages for other workers.
    pub pipes: &'t mut PipeOutbox,
    /// Packets that wait for the end of the batch.
    pub pending: &'t mut Vec<PendingPacket>,
    /// Buffers.
    pub scratch: &'t mut Scratch,
    /// The worker's counters.
    pub counters: &'t mut Counters,
    /// The current stage, to attribute a panic.
    pub handling: &'t mut Handling,
}

/// Buffers that are kept for their memory. They are empty between two stages.
#[derive(Debug, Default)]
pub struct Scratch {
    /// For the datagrams that DTLS endpoints write.
    pub dtls: Vec<u8>,
    /// For the allocation of bandwidth.
    pub allocation: AllocationScratch,
}

/// For the allocation of the bandwidth of one transport.
#[derive(Debug, Default)]
pub struct AllocationScratch {
    /// The allocator.
    pub allocator: Allocator,
    /// The consumers' demands.
    pub demands: Vec<Demand>,
    /// The consumers, in the same order.
    pub consumers: Vec<Slot>,
}

/// A send batch for calls that send nothing.
pub struct NoTx;

impl Tx for NoTx {
    fn slot(&mut self, _: Flow, _: Path, _: usize) -> Option<&mut [u8]> {
        None
    }

    fn cancel(&mut self) {}

    fn prefetch<T: ?Sized>(&self, _soon: &T) {}

    fn end_of_flow(&mut self) {}

    fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool {
        machine::forward_by_copy(self, flow, path, head, body)
    }

    fn hand_off(&mut self, _worker: WorkerId, _head: &[u8], _body: &[u8]) -> bool {
        false
    }

    fn hand_off_buffer(&mut self, _worker: WorkerId, _head: &[u8], _body: Box<[u8]>) -> bool {
        false
    }
}
