//! Sessions and presence: which peers are in a room, at which process, and how active they are. All of it may
//! be lost with the processes that own it: the media engine is the authority for calls.
//!
//! Each process keeps its own sessions in memory and answers from there. A store shares them with the other
//! processes: [`memory`] inside one program, [`redis`] between machines. Writing never waits and never fails;
//! while the store is away, a process reads only its own sessions, and writes them again when the store is
//! back.

pub mod limits;
pub mod memory;
pub mod redis;

pub use memory::MemorySessions;
pub use redis::RedisSessions;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use tokio::sync::broadcast;

/// The room of a session, with its project.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoomRef {
    /// The project of the room.
    pub project: String,
    /// Its name inside the project.
    pub room: String,
}

impl RoomRef {
    /// The room `room` of `project`.
    pub fn new(project: impl Into<String>, room: impl Into<String>) -> Self {
        Self { project: project.into(), room: room.into() }
    }
}

impl fmt::Display for RoomRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.room)
    }
}

/// How active a peer or a user is. The least active is the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PresenceState {
    /// Its connection is lost, or its client reports it.
    Away,
    /// Connected, without activity for some time.
    Idle,
    /// Connected and in use.
    Active,
}

/// One peer in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerSession {
    /// The id of the peer, unique over all rooms.
    pub peer: String,
    /// Its user.
    pub user: String,
    /// The name that other peers see.
    pub display_name: String,
    /// Its presence.
    pub state: PresenceState,
    /// Time of the last change of `state`, in milliseconds since 1970.
    pub since_ms: u64,
}

/// The sessions of other processes have changed: read them again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionsChanged {
    /// Those of one room.
    Room(RoomRef),
    /// Perhaps those of every room: the store was away.
    All,
}

/// Why a store cannot be used or read.
#[derive(Debug, thiserror::Error)]
pub enum SessionsError {
    /// The address of the store is not valid. The address is not shown, because it may contain a password.
    #[error(
        "not an address of Redis ({0}); expected redis://[USER[:PASSWORD]@]HOST[:PORT][/NUMBER], or rediss:// for TLS"
    )]
    Address(String),
    /// The store does not answer.
    #[error("Redis does not answer")]
    Unavailable(#[source] ::redis::RedisError),
}

/// A future that a method of a trait object returns.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A store of sessions, as one process sees it.
pub trait Sessions: Send + Sync {
    /// Enters a session of this process, or replaces it. Other processes read it soon.
    fn put(&self, room: &RoomRef, session: PeerSession);

    /// Removes a session of this process.
    fn remove(&self, room: &RoomRef, peer: &str);

    /// The sessions of all other processes in a room.
    fn others<'a>(&'a self, room: &'a RoomRef) -> Pending<'a, Result<Vec<PeerSession>, SessionsError>>;

    /// Reports changes by other processes, after this call. A receiver that lags must read all rooms again.
    fn changes(&self) -> broadcast::Receiver<SessionsChanged>;

    /// Whether the store answered the last time.
    fn is_available(&self) -> bool;

    /// Removes all sessions of this process, because it ends. Waits until the store has done so, or is known
    /// to be away.
    fn clear(&self) -> Pending<'_, ()>;
}
