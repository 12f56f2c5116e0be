//! Sessions in memory: the default. One program is one process, so there are no others; tests make several.

use super::{PeerSession, Pending, RoomRef, Sessions, SessionsChanged, SessionsError, limits};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// The sessions of a process that share a memory with others.
#[derive(Debug)]
pub struct MemorySessions {
    process: usize,
    shared: Arc<Shared>,
    changes: broadcast::Sender<SessionsChanged>,
}

#[derive(Debug, Default)]
struct Shared {
    rooms: Mutex<Rooms>,
    /// The receivers of each process; `None` after its end.
    processes: Mutex<Vec<Option<broadcast::Sender<SessionsChanged>>>>,
}

/// By room, then by process and peer.
type Rooms = BTreeMap<RoomRef, BTreeMap<(usize, String), PeerSession>>;

impl Default for MemorySessions {
    fn default() -> Self {
        Self::join(Arc::default())
    }
}

impl MemorySessions {
    /// Another process with the same memory.
    pub fn another(&self) -> Self {
        Self::join(self.shared.clone())
    }

    fn join(shared: Arc<Shared>) -> Self {
        let changes = broadcast::channel(limits::CHANGES_LEN).0;
        let mut processes = shared.processes.lock().unwrap_or_else(PoisonError::into_inner);
        let process = processes.len();
        processes.push(Some(changes.clone()));
        drop(processes);
        Self { process, shared, changes }
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.shared.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, change: &SessionsChanged) {
        let processes = self.shared.processes.lock().unwrap_or_else(PoisonError::into_inner);
        let others = processes.iter().enumerate().filter(|(process, _)| *process != self.process);
        for changes in others.filter_map(|(_, changes)| changes.as_ref()) {
            // Without a receiver, the result is not needed.
            let _ = changes.send(change.clone());
        }
    }

    fn remove_all(&self) {
        self.rooms().retain(|_, sessions| {
            sessions.retain(|(process, _), _| *process != self.process);
            !sessions.is_empty()
        });
        self.report(&SessionsChanged::All);
    }
}

impl Drop for MemorySessions {
    fn drop(&mut self) {
        self.remove_all();
        self.shared.processes.lock().unwrap_or_else(PoisonError::into_inner)[self.process] = None;
    }
}

impl Sessions for MemorySessions {
    fn put(&self, room: &RoomRef, session: PeerSession) {
        let key = (self.process, session.peer.clone());
        self.rooms().entry(room.clone()).or_default().insert(key, session);
        self.report(&SessionsChanged::Room(room.clone()));
    }

    fn remove(&self, room: &RoomRef, peer: &str) {
        let mut rooms = self.rooms();
        if let Some(sessions) = rooms.get_mut(room) {
            sessions.remove(&(self.process, peer.to_owned()));
            if sessions.is_empty() {
                rooms.remove(room);
            }
        }
        drop(rooms);
        self.report(&SessionsChanged::Room(room.clone()));
    }

    fn others<'a>(&'a self, room: &'a RoomRef) -> Pending<'a, Result<Vec<PeerSession>, SessionsError>> {
        let rooms = self.rooms();
        let sessions = rooms.get(room).into_iter().flatten();
        let others = sessions.filter(|((process, _), _)| *process != self.process);
        let others: Vec<_> = others.take(limits::OTHERS_MAX).map(|(_, session)| session.clone()).collect();
        Box::pin(std::future::ready(Ok(others)))
    }

    fn changes(&self) -> broadcast::Receiver<SessionsChanged> {
        self.changes.subscribe()
    }

    fn is_available(&self) -> bool {
        true
    }

    fn clear(&self) -> Pending<'_, ()> {
        self.remove_all();
        Box::pin(std::future::ready(()))
    }
}
