//! A transport without a peer: what is produced on it comes from another worker.

use control::CreatePipe;
use machine::WorkerId;

/// A transport without a peer: what is produced on it comes from another worker.
#[derive(Debug)]
pub struct Pipe {
    /// The command that made it: tells a repetition from a contradiction.
    pub spec: CreatePipe,
}

impl Pipe {
    /// Where everything on it comes from.
    pub fn origin(&self) -> WorkerId {
        WorkerId(self.spec.worker)
    }
}
