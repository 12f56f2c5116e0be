//! A transport without a peer: its producers come from another worker.

use control::CreatePipe;
use machine::WorkerId;

/// A transport without a peer: its producers come from another worker.
#[derive(Debug)]
pub struct Pipe {
    /// The command that created it: distinguishes a repetition from a contradiction.
    pub spec: CreatePipe,
}

impl Pipe {
    /// The worker of its producers.
    pub fn origin(&self) -> WorkerId {
        WorkerId(self.spec.worker)
    }
}
