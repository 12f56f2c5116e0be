//! The media engine on this host, behind shared memory: a [`MediaNode`].
//!
//! [`link`] attaches to the engine and reads the event rings. This file has the command rings and the table
//! of open requests. Nothing here blocks: a full ring is an error at once, and a missing answer is an error
//! after a bounded time.

mod link;
mod table;

pub use link::start;

use crate::limits;
use crate::media_node::{Answer, AskError, MediaNode, Worker};
use control::{Command, Event, Request, RequestId};
use shm::{Doorbell, Producer, PushError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use table::RequestTable;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// A command that was sent, and the receiver of its answer.
type Sent = Result<(RequestId, oneshot::Receiver<Event>), AskError>;

/// A handle to the engine, attached or not. Cloning it is cheap.
#[derive(Clone, Default)]
pub struct Engine {
    session: Arc<Mutex<Option<AttachedEngine>>>,
}

/// The sending half of an attachment.
struct AttachedEngine {
    workers: Vec<CommandRing>,
    table: RequestTable,
    record: Vec<u8>,
}

struct CommandRing {
    commands: Producer,
    doorbell: Doorbell,
}

impl MediaNode for Engine {
    fn ask(&self, worker: Worker, command: Command) -> Answer<'_> {
        Box::pin(async move {
            let (request, answer) = self.send(worker, command)?;
            match timeout(limits::ANSWER_TIMEOUT, answer).await {
                Ok(Ok(Event::Refused { refusal, text, .. })) => {
                    Err(AskError::Refused { refusal, text: text.as_str().to_owned() })
                }
                Ok(Ok(event)) => Ok(event),
                Ok(Err(_)) => Err(AskError::Away),
                Err(_) => {
                    self.forget(request);
                    Err(AskError::TimedOut)
                }
            }
        })
    }

    fn tell(&self, worker: Worker, command: Command) {
        let sent = self.send(worker, command.clone());
        if !matches!(sent, Err(AskError::Away)) {
            tokio::spawn(self.clone().follow(worker, command, sent));
        }
    }
}

impl Engine {
    /// An engine that is away until the thread of [`start`] attaches to it.
    pub fn new() -> Self {
        Self::default()
    }

    async fn follow(self, worker: Worker, command: Command, mut sent: Sent) {
        for _ in 0..limits::TELL_RETRIES_MAX {
            if !matches!(sent, Err(AskError::Busy)) {
                break;
            }
            sleep(limits::TELL_PAUSE).await;
            sent = self.send(worker, command.clone());
        }
        match sent {
            Ok((request, answer)) => match timeout(limits::ANSWER_TIMEOUT, answer).await {
                Ok(Ok(Event::Refused { text: why, .. })) => {
                    tracing::debug!(command = ?command, "the engine refused: {}", why.as_str());
                }
                Ok(_) => {}
                Err(_) => self.forget(request),
            },
            Err(AskError::Away) => {}
            Err(error) => {
                tracing::warn!(command = ?command, error = %error, "a command could not be sent to the engine")
            }
        }
    }

    fn send(&self, worker: Worker, command: Command) -> Sent {
        let mut session = self.session();
        let session = session.as_mut().ok_or(AskError::Away)?;
        let AttachedEngine { workers, table, record } = session;
        let ring = workers.get_mut(worker).ok_or(AskError::Away)?;
        let (id, answer) = table.open().ok_or(AskError::Busy)?;
        Request { id, command }.encode(record);
        match ring.commands.push(record) {
            Ok(()) => {
                ring.doorbell.ring();
                Ok((id, answer))
            }
            Err(error) => {
                table.forget(id);
                match error {
                    PushError::Full => Err(AskError::Busy),
                    PushError::TooLong { .. } => Err(AskError::TooLong(error.to_string())),
                    // The reader of the event ring detects a broken engine too, and ends the attachment.
                    PushError::Corrupt(_) => Err(AskError::Away),
                }
            }
        }
    }

    /// Requests a snapshot, whose items [`link`] collects.
    fn snapshot(&self, worker: Worker) -> Result<RequestId, AskError> {
        self.send(worker, Command::Snapshot).map(|(id, _)| id)
    }

    fn attach(&self, workers: Vec<CommandRing>) {
        *self.session() =
            Some(AttachedEngine { workers, table: RequestTable::default(), record: Vec::new() });
    }

    /// Ends the attachment: all open requests fail.
    fn detach(&self) {
        *self.session() = None;
    }

    fn answer(&self, request: RequestId, event: Event) {
        if let Some(session) = self.session().as_mut() {
            session.table.answer(request, event);
        }
    }

    fn forget(&self, request: RequestId) {
        if let Some(session) = self.session().as_mut() {
            session.table.forget(request);
        }
    }

    fn session(&self) -> MutexGuard<'_, Option<AttachedEngine>> {
        // No critical section panics in the middle of a change.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
