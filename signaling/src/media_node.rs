//! A media node as the rooms see it: a number of workers that take commands, and a stream of events.
//!
//! The rooms know only this interface. Its implementation is [`crate::engine::Engine`], which drives an engine on the same host through
//! shared memory.

use control::{Command, Event, Refusal, RequestId, SnapshotItem};
use std::pin::Pin;

/// Index of a worker of the node, from 0.
pub type Worker = usize;

/// The pending answer of a worker.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Event, AskError>> + Send + 'a>>;

/// Takes commands for the workers of a media node, whether it is attached or not. Neither method blocks.
pub trait MediaNode: Send + Sync {
    /// Sends a command; the future resolves with its answer. It fails at once if the command cannot be sent, and after a bounded
    /// time without an answer.
    fn ask(&self, worker: Worker, command: Command) -> Answer<'_>;

    /// Sends a command whose answer does not matter, for example that an object is to be closed. A node that is too busy to take it gets it
    /// again later, because otherwise it would keep the object. A refusal is only logged, and a node that is away is ignored: in both
    /// cases the object does not exist any more.
    fn tell(&self, worker: Worker, command: Command);
}

/// Why a command has no answer, or a refusal as its answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No node is attached, or it went away before it answered.
    #[error("the media engine is away")]
    Away,
    /// The worker has not read its ring for thousands of commands, or too many answers are outstanding.
    #[error("the media engine is overloaded")]
    Busy,
    /// No answer came within [`crate::limits::ANSWER_TIMEOUT`].
    #[error("the media engine did not answer in time")]
    TimedOut,
    /// The engine refused the command.
    #[error("the media engine refused: {text}")]
    Refused {
        /// The reason, for programs.
        refusal: Refusal,
        /// The reason, for people.
        text: String,
    },
    /// The command is longer than the node takes. This is a bug of signaling.
    #[error("the command is too long: {0}")]
    TooLong(String),
}

impl AskError {
    /// Whether the node may have carried out the command although there is no answer.
    pub fn may_have_succeeded(&self) -> bool {
        matches!(self, Self::TimedOut)
    }
}

/// What a node reports. For each attachment the order is: `Attached`; then for each worker a `Snapshot` before any of its
/// `Event`s; at last `Lost`.
#[derive(Debug)]
pub enum NodeEvent {
    /// A node is attached. The snapshot of each worker follows.
    Attached {
        /// A different number means a different engine process, which has none of the former objects.
        epoch: u64,
        /// How many workers it has.
        workers: usize,
    },
    /// All objects of a worker: after attaching, and whenever events of it were lost.
    Snapshot {
        /// The worker.
        worker: Worker,
        /// The request for the snapshot: objects that were requested after it are not in it.
        request: RequestId,
        /// Parents before children.
        items: Vec<SnapshotItem>,
    },
    /// An event that is not the answer to a request.
    Event {
        /// The worker.
        worker: Worker,
        /// What happened.
        event: Event,
    },
    /// The node is gone, with all its objects.
    Lost {
        /// For the log and the clients.
        reason: String,
    },
}
