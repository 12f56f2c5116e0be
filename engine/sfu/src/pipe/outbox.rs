//! Messages to other workers.

use crate::limits;
use crate::pipe::message::PipeMessage;
use machine::{Instant, WorkerId, meter};

/// Messages that wait to be sent to other workers.
#[derive(Debug, Default)]
pub struct PipeOutbox(Vec<(WorkerId, PipeMessage)>);

impl PipeOutbox {
    /// Adds a message. At the bound it is dropped; the other worker requests it again.
    pub fn push(&mut self, worker: WorkerId, message: PipeMessage) {
        meter::charge(1, 40);
        if self.0.len() < limits::PIPE_MESSAGES_MAX {
            self.0.push((worker, message));
        }
    }

    /// The number of waiting messages.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes all of them.
    pub fn drain(&mut self) -> impl Iterator<Item = (WorkerId, PipeMessage)> {
        self.0.drain(..)
    }

    /// When to send: at once, if there are messages.
    pub fn next_timeout(&self) -> Option<Instant> {
        (!self.0.is_empty()).then_some(Instant::EPOCH)
    }
}
