//! Entries of the audit log about what administrators do in rooms, and the revocations that come with them.
//!
//! Nothing here waits for a database: a task writes the entries ([`crate::api::audit_writer`]).

use super::Rooms;
use super::state::{PeerId, State};
use crate::auth::revocations::Revocation;
use crate::limits;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// What an administrator did in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// The project of the room.
    pub project: String,
    /// The user who did it.
    pub actor: String,
    /// For example `peer.kick`.
    pub action: &'static str,
    /// To which user; `None`: to the room.
    pub user: Option<String>,
    /// The name of the room.
    pub room: String,
    /// More about it. May be empty.
    pub details: String,
    /// Tokens that are revoked with it.
    pub revocations: Vec<(Revocation, Duration)>,
}

/// The entries that are waiting to be written.
#[derive(Debug)]
pub struct AuditQueue {
    receiver: mpsc::Receiver<AuditRecord>,
    dropped: Arc<AtomicU64>,
}

impl AuditQueue {
    /// The next entry; `None` after the last one.
    pub async fn next(&mut self) -> Option<AuditRecord> {
        self.receiver.recv().await
    }

    /// Number of entries that were dropped since the last call, because the queue was full.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

/// The way into the queue, once there is one.
#[derive(Debug, Default)]
pub(super) struct Auditor(Mutex<Option<(mpsc::Sender<AuditRecord>, Arc<AtomicU64>)>>);

impl Auditor {
    fn put(&self, record: AuditRecord) {
        if let Some((sender, dropped)) = &*self.lock()
            && sender.try_send(record).is_err()
        {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(mpsc::Sender<AuditRecord>, Arc<AtomicU64>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    /// From now on, what administrators do goes into this queue.
    pub fn audit_queue(&self) -> AuditQueue {
        let (sender, receiver) = mpsc::channel(limits::AUDIT_QUEUE_LEN);
        let dropped = Arc::<AtomicU64>::default();
        *self.auditor.lock() = Some((sender, dropped.clone()));
        AuditQueue { receiver, dropped }
    }

    /// Ends the queue after the entries that are in it.
    pub fn end_audit(&self) {
        *self.auditor.lock() = None;
    }

    /// An administrator has done something to a user, or to its room.
    pub(super) fn record(
        &self,
        state: &State,
        by: PeerId,
        action: &'static str,
        user: Option<&str>,
        details: String,
        revocations: Vec<(Revocation, Duration)>,
    ) {
        let Some(actor) = state.peers.get(&by) else { return };
        self.auditor.put(AuditRecord {
            project: actor.room.project.clone(),
            actor: actor.user.clone(),
            action,
            user: user.map(str::to_owned),
            room: actor.room.name.clone(),
            details,
            revocations,
        });
    }
}
