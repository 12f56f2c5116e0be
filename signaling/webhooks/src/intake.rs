//! Events on their way from the rooms into the database.

use crate::counts::{Counters, Dropped};
use crate::limits::{BODY_BYTES_MAX, INTAKE_BATCH_LEN, INTAKE_LEN, STORE_RETRY, STORE_TRIES};
use crate::outage::Outage;
use bus::Event;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stores::accounts::{Accounts, QueuedEvent};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

/// Takes events without waiting. Clones are the same intake.
#[derive(Clone)]
pub struct EventIntake(Arc<Shared>);

struct Shared {
    types: Vec<&'static str>,
    /// Number of targets: each event counts once for each.
    targets: u64,
    waiting: Mutex<Waiting>,
    changed: Notify,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Waiting {
    /// In the order of their ids.
    events: VecDeque<QueuedEvent>,
    is_closed: bool,
}

impl fmt::Debug for EventIntake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventIntake").field("types", &self.0.types).finish_non_exhaustive()
    }
}

impl EventIntake {
    pub(crate) fn new(types: Vec<&'static str>, targets: u64, counters: Arc<Counters>) -> Self {
        let (waiting, changed) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared { types, targets, waiting, changed, counters }))
    }

    /// Takes an event, if its type is one of those that are sent. Events of one room must come in their order.
    pub fn put(&self, event: &Event) {
        if !self.0.types.contains(&event.what.type_name()) {
            return;
        }
        let body = match String::from_utf8(event.to_json()) {
            Ok(body) if body.len() <= BODY_BYTES_MAX => body,
            _ => return self.drop_events(Dropped::Invalid, 1),
        };
        let mut waiting = self.lock();
        // The id is made under the lock, so that the queue has the order of ids.
        waiting.events.push_back(QueuedEvent::new(format!("{}/{}", event.project, event.room), body));
        if waiting.events.len() > INTAKE_LEN {
            waiting.events.pop_front();
            self.drop_events(Dropped::StoreAway, 1);
        }
        drop(waiting);
        self.0.changed.notify_one();
    }

    /// Ends the task that writes, after the events that are in it.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.0.changed.notify_one();
    }

    /// Writes events until the intake is closed. While the database is away, they wait, in order.
    pub(crate) async fn write(self, accounts: Accounts, targets: Vec<String>, written: watch::Sender<u64>) {
        let mut outage = Outage::new("the database does not take events".to_owned());
        let mut refused = 0;
        while let Some(batch) = self.next_batch().await {
            match accounts.queue_webhooks(&targets, &batch).await {
                Ok(dropped) => {
                    self.0.counters.count_dropped(Dropped::QueueFull, dropped);
                    written.send_modify(|version| *version += 1);
                    outage.end();
                }
                Err(error) => {
                    outage.fail(&error);
                    refused += u32::from(error.is_refusal() || !error.is_unavailable());
                    if refused < STORE_TRIES {
                        sleep(STORE_RETRY).await;
                        continue;
                    }
                    // Events that the database refuses must not stop the others.
                    self.drop_events(Dropped::Invalid, batch.len() as u64);
                }
            }
            refused = 0;
            self.remove(&batch);
        }
    }

    /// Copies of the first events. `None` after the last one.
    async fn next_batch(&self) -> Option<Vec<QueuedEvent>> {
        loop {
            let changed = self.0.changed.notified();
            {
                let waiting = self.lock();
                if !waiting.events.is_empty() {
                    return Some(waiting.events.iter().take(INTAKE_BATCH_LEN).cloned().collect());
                }
                if waiting.is_closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Removes events that were written; others may have been dropped meanwhile.
    fn remove(&self, batch: &[QueuedEvent]) {
        let Some(last) = batch.last() else { return };
        let mut waiting = self.lock();
        while waiting.events.front().is_some_and(|event| event.id <= last.id) {
            waiting.events.pop_front();
        }
    }

    fn drop_events(&self, reason: Dropped, count: u64) {
        self.0.counters.count_dropped(reason, count * self.0.targets);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No critical section panics in the middle of a change.
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
