//! Entries of the audit log about what administrators do in rooms, and the revocations that come with them.
//!
//! Nothing here waits for a database: a task writes the entries ([`crate::api::audit_writer`]).

use super::Rooms;
use super::author::Author;
use crate::auth::revocations::Revocation;
use crate::auth::since_1970;
use crate::limits;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use stores::accounts::Actor;
use tokio::sync::mpsc;

/// What an administrator did in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// The project of the room.
    pub project: String,
    /// Who did it.
    pub actor: Actor,
    /// For example `peer.kick`.
    pub action: &'static str,
    /// To which user; `None`: to the room.
    pub user: Option<String>,
    /// The name of the room.
    pub room: String,
    /// More about it. May be empty.
    pub details: String,
    /// Time since 1970.
    pub at: Duration,
    /// Tokens that are revoked with it.
    pub revocations: Vec<(Revocation, Duration)>,
}

/// The entries that are waiting to be written.
#[derive(Debug)]
pub struct AuditQueue {
    receiver: mpsc::Receiver<AuditRecord>,
    counts: Arc<Mutex<AuditCounts>>,
}

#[derive(Debug, Default)]
struct AuditCounts {
    /// Entries in the queue, by project.
    waiting: HashMap<String, usize>,
    dropped: u64,
}

impl AuditQueue {
    /// The next entry; `None` after the last one.
    pub async fn next(&mut self) -> Option<AuditRecord> {
        let record = self.receiver.recv().await?;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = counts.waiting.get_mut(&record.project) {
            *waiting -= 1;
            if *waiting == 0 {
                counts.waiting.remove(&record.project);
            }
        }
        Some(record)
    }

    /// Number of entries that were dropped since the last call, because the queue was full.
    pub fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner).dropped)
    }
}

/// The way into the queue, once there is one.
#[derive(Debug, Default)]
pub(super) struct Auditor(Mutex<Option<QueueEnd>>);

#[derive(Debug)]
struct QueueEnd {
    sender: mpsc::Sender<AuditRecord>,
    counts: Arc<Mutex<AuditCounts>>,
}

impl Auditor {
    fn put(&self, record: AuditRecord) {
        let end = self.lock();
        let Some(QueueEnd { sender, counts }) = &*end else { return };
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = counts.waiting.get(&record.project).copied().unwrap_or_default();
        let max = match record.revocations.is_empty() {
            true => limits::AUDIT_QUEUE_WITHOUT_REVOCATION,
            false => limits::AUDIT_QUEUE_OF_PROJECT,
        };
        let project = record.project.clone();
        if waiting < max && sender.try_send(record).is_ok() {
            *counts.waiting.entry(project).or_default() += 1;
        } else {
            counts.dropped += 1;
        }
    }

    fn open(&self) -> AuditQueue {
        let (sender, receiver) = mpsc::channel(limits::AUDIT_QUEUE_LEN);
        let counts = Arc::<Mutex<AuditCounts>>::default();
        *self.lock() = Some(QueueEnd { sender, counts: counts.clone() });
        AuditQueue { receiver, counts }
    }

    fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<QueueEnd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    /// After this call, what administrators do goes into this queue.
    pub fn audit_queue(&self) -> AuditQueue {
        self.auditor.open()
    }

    /// Ends the queue after the entries that are in it.
    pub fn end_audit(&self) {
        self.auditor.close();
    }

    /// An administrator has done something to a user, or to its room.
    pub(super) fn record(
        &self,
        by: &Author,
        action: &'static str,
        user: Option<&str>,
        details: String,
        revocations: Vec<(Revocation, Duration)>,
    ) {
        self.auditor.put(AuditRecord {
            project: by.room.project.clone(),
            actor: by.actor.clone(),
            action,
            user: user.map(str::to_owned),
            room: by.room.name.clone(),
            details,
            at: since_1970(),
            revocations,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::revocations::Revoked;

    fn record(project: &str, is_revoking: bool) -> AuditRecord {
        let revocation = Revocation { project: project.into(), of: Revoked::Project, until: Duration::ZERO };
        AuditRecord {
            project: project.into(),
            actor: Actor::Participant("ada".into()),
            action: "test",
            user: None,
            room: "stage".into(),
            details: String::new(),
            at: Duration::ZERO,
            revocations: is_revoking.then_some((revocation, Duration::ZERO)).into_iter().collect(),
        }
    }

    #[tokio::test]
    async fn no_project_and_no_mute_takes_the_places_of_others() {
        let auditor = Auditor::default();
        let mut queue = auditor.open();
        for _ in 0..limits::AUDIT_QUEUE_LEN {
            auditor.put(record("p", false));
        }
        let dropped = limits::AUDIT_QUEUE_LEN - limits::AUDIT_QUEUE_WITHOUT_REVOCATION;
        assert_eq!(queue.take_dropped(), dropped as u64);
        auditor.put(record("p", true));
        auditor.put(record("q", false));
        assert_eq!(queue.take_dropped(), 0, "a kick, and another project");
        for _ in 0..limits::AUDIT_QUEUE_LEN {
            auditor.put(record("p", true));
        }
        assert!(queue.take_dropped() > 0);
        auditor.close();
        let mut read = [0, 0];
        while let Some(record) = queue.next().await {
            read[usize::from(record.project == "q")] += 1;
        }
        assert_eq!(read, [limits::AUDIT_QUEUE_OF_PROJECT, 1]);
    }
}
