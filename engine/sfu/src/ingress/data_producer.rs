//! A data producer: a data channel that a peer sends on, here or at another worker.

use crate::base::slots::Slot;
use crate::pipe::subscription::{PipeSource, PipeSubscriber};
use control::ProduceData;
use machine::{Instant, WorkerId};

/// A data producer.
#[derive(Debug)]
pub struct DataProducer {
    /// The command that created it.
    pub spec: Box<ProduceData>,
    /// Its transport.
    pub transport: Slot,
    /// Its consumers.
    pub consumers: Vec<Slot>,
    /// If it comes from another worker.
    pub pipe_source: Option<PipeSource>,
    /// Other workers that get its messages.
    pub subscribers: Vec<PipeSubscriber>,
}

impl DataProducer {
    /// Without consumers. `origin`: the worker from which it comes, if it is not this one.
    pub fn new(spec: ProduceData, transport: Slot, origin: Option<WorkerId>) -> Self {
        Self {
            spec: Box::new(spec),
            transport,
            consumers: Vec::new(),
            pipe_source: origin.map(PipeSource::new),
            subscribers: Vec::new(),
        }
    }

    /// The worker from which it comes, if it is not this one.
    pub fn origin(&self) -> Option<WorkerId> {
        self.pipe_source.as_ref().map(|source| source.origin)
    }

    /// What it needs of its origin: 0 without consumers.
    pub fn wanted(&self) -> u8 {
        u8::from(!self.consumers.is_empty())
    }

    /// When the next message to its origin is due, if it has one. One without consumers subscribes too: it closes
    /// with its original.
    pub fn next_subscription(&self) -> Option<Instant> {
        self.pipe_source.as_ref()?.next_timeout(true, self.wanted())
    }
}
