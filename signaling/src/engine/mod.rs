//! The engine as the rooms sees it: ask a worker, await its answer; and a stream of news.
//!
//! [`link`] keeps the attachment and reads the rings; here are the command rings and the table of open requests. Nothing here blocks: a full
//! ring is an error at once, and an answer that does not come in time is one too.

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

/// A command on its way, and where its answer will arrive.
type Sent = Result<(RequestId, oneshot::Receiver<Event>), AskError>;

/// A handle to the engine, attached or not. Cloning it is cheap.
#[derive(Clone, Default)]
pub struct Engine {
    session: Arc<Mutex<Option<AttachedEngine>>>,
}

/// One attachment's sending side.
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
    /// An engine that is away until [`start`]'s thread attaches to it.
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
                tracing::warn!(command = ?command, error = %error, "a command did not reach the engine")
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
                    // The reader of the event ring notices a broken engine too, and ends the attachment.
                    PushError::Corrupt(_) => Err(AskError::Away),
                }
            }
        }
    }

    /// Opens a request whose answers are not awaited one by one: a snapshot.
    fn snapshot(&self, worker: Worker) -> Result<RequestId, AskError> {
        self.send(worker, Command::Snapshot).map(|(id, _)| id)
    }

    fn attach(&self, workers: Vec<CommandRing>) {
        *self.session() =
            Some(AttachedEngine { workers, table: RequestTable::default(), record: Vec::new() });
    }

    /// Development who waits for an answer learns that none will come.
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
        // Nothing in a critical section panics half-way through a change.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
