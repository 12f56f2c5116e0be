//! Presence: how active each user of a room is. The most active peer of a user counts.
//!
//! A peer is ACTIVE while its client reports activity, IDLE without a report for some time, and AWAY while its
//! connection is lost; a client may also report IDLE and AWAY itself. A user whose last peer leaves becomes
//! AWAY, and then leaves the roster.
//!
//! Plain data, and the time is an argument. Nothing here waits: watchers have bounded queues, and the store
//! that shares sessions with other processes ([`stores::sessions`]) writes in its own task.

use crate::limits;
use crate::token_bucket::TokenBucket;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use stores::sessions::{MemorySessions, Sessions};
pub use stores::sessions::{PeerSession, PresenceState, RoomRef};
use tokio::sync::mpsc;

/// The current time, for timers and for people.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Monotonic.
    pub instant: Instant,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

impl Now {
    /// Reads the clocks.
    pub fn read() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), unix_ms: since.as_millis() as u64 }
    }
}

/// The presence of a user in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPresence {
    /// The user id.
    pub user: String,
    /// How active its most active peer is.
    pub state: PresenceState,
    /// Time of the last transition, in milliseconds since 1970.
    pub since_ms: u64,
}

/// The presence of a user has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The room.
    pub room: RoomRef,
    /// The user and its new state.
    pub presence: UserPresence,
    /// Whether the user was in the room before.
    pub was_present: bool,
}

/// The presence in a room, after this call.
#[derive(Debug)]
pub struct PresenceWatch {
    /// The users that are in the room.
    pub users: Vec<UserPresence>,
    receiver: mpsc::Receiver<UserPresence>,
    has_overflowed: Arc<AtomicBool>,
}

impl PresenceWatch {
    /// The next transition; `None` if this watcher was too slow.
    pub async fn next(&mut self) -> Option<UserPresence> {
        self.receiver.recv().await
    }

    /// Whether this watcher was too slow, so that transitions are missing.
    pub fn has_overflowed(&self) -> bool {
        self.has_overflowed.load(Ordering::Relaxed)
    }
}

/// The presence of all users in all rooms of this process.
pub struct Board {
    rooms: HashMap<RoomRef, RoomPresence>,
    peers: HashMap<u64, PeerPresence>,
    /// When each ACTIVE peer becomes IDLE.
    idle_at: BTreeSet<(Instant, u64)>,
    idle_after: Duration,
    sessions: Arc<dyn Sessions>,
    /// Rooms whose sessions at other processes must be read.
    unread: BTreeSet<RoomRef>,
    slow_watchers: u64,
}

#[derive(Default)]
struct RoomPresence {
    users: BTreeMap<String, UserEntry>,
    watchers: Vec<Watcher>,
}

struct UserEntry {
    peers: BTreeSet<u64>,
    /// The most active of its peers at other processes.
    elsewhere: Option<PresenceState>,
    state: PresenceState,
    since_ms: u64,
}

struct PeerPresence {
    room: RoomRef,
    user: String,
    display_name: String,
    is_connected: bool,
    /// By the client, or IDLE by its timer.
    reported: PresenceState,
    last_activity: Instant,
    changes: TokenBucket,
    /// The state in the store of sessions.
    written: Option<PresenceState>,
}

struct Watcher {
    sender: mpsc::Sender<UserPresence>,
    has_overflowed: Arc<AtomicBool>,
}

impl PeerPresence {
    fn state(&self) -> PresenceState {
        if self.is_connected { self.reported } else { PresenceState::Away }
    }
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").field("rooms", &self.rooms.len()).field("peers", &self.peers.len()).finish()
    }
}

impl Default for Board {
    fn default() -> Self {
        Self::new(Arc::new(MemorySessions::default()), limits::IDLE_AFTER)
    }
}

impl Board {
    /// No peers yet. Sessions go to this store; a peer without activity for `idle_after` is IDLE.
    pub fn new(sessions: Arc<dyn Sessions>, idle_after: Duration) -> Self {
        Self {
            rooms: HashMap::new(),
            peers: HashMap::new(),
            idle_at: BTreeSet::new(),
            idle_after,
            sessions,
            unread: BTreeSet::new(),
            slow_watchers: 0,
        }
    }

    /// The store of sessions.
    pub fn sessions(&self) -> Arc<dyn Sessions> {
        self.sessions.clone()
    }

    /// A peer has joined, or was found in the media engine without a connection.
    pub fn join(
        &mut self,
        peer: u64,
        room: RoomRef,
        user: &str,
        display_name: &str,
        is_connected: bool,
        now: Now,
    ) -> Option<Transition> {
        let changes = TokenBucket::new(
            limits::PRESENCE_CHANGES_PER_SECOND,
            limits::PRESENCE_CHANGES_BURST,
            now.instant,
        );
        let entry = PeerPresence {
            room: room.clone(),
            user: user.to_owned(),
            display_name: display_name.to_owned(),
            is_connected,
            reported: PresenceState::Active,
            last_activity: now.instant,
            changes,
            written: None,
        };
        self.leave(peer, now);
        self.peers.insert(peer, entry);
        self.idle_at.insert((now.instant + self.idle_after, peer));
        if !self.rooms.contains_key(&room) {
            self.unread.insert(room.clone());
        }
        let users = &mut self.rooms.entry(room).or_default().users;
        let known = users.get_mut(user);
        let was_present = known.is_some();
        match known {
            Some(entry) => _ = entry.peers.insert(peer),
            None => {
                let (state, since_ms) = (PresenceState::Away, now.unix_ms);
                let peers = BTreeSet::from([peer]);
                users.insert(user.to_owned(), UserEntry { peers, elsewhere: None, state, since_ms });
            }
        }
        self.settle(peer, !was_present, now)
    }

    /// A peer's connection was lost (or is back). It stays in its room.
    pub fn set_connected(&mut self, peer: u64, is_connected: bool, now: Now) -> Option<Transition> {
        self.peers.get_mut(&peer)?.is_connected = is_connected;
        self.settle(peer, false, now)
    }

    /// A peer has another display name. It reaches the store of sessions.
    pub fn rename(&mut self, peer: u64, display_name: &str, now: Now) {
        if let Some(entry) = self.peers.get_mut(&peer)
            && entry.display_name != display_name
        {
            entry.display_name = display_name.to_owned();
            entry.written = None;
            self.settle(peer, false, now);
        }
    }

    /// A client reports its activity. A report that changes the state of the peer too often returns the time
    /// until the next one is accepted.
    pub fn report(
        &mut self,
        peer: u64,
        state: PresenceState,
        now: Now,
    ) -> Result<Option<Transition>, Duration> {
        let Some(entry) = self.peers.get_mut(&peer) else { return Ok(None) };
        if entry.reported != state {
            entry.changes.take(now.instant)?;
            entry.reported = state;
        }
        self.idle_at.remove(&(entry.last_activity + self.idle_after, peer));
        if state == PresenceState::Active {
            entry.last_activity = now.instant;
            self.idle_at.insert((now.instant + self.idle_after, peer));
        }
        Ok(self.settle(peer, false, now))
    }

    /// A peer leaves its room. The transition of its last peer is AWAY; then the user is not in the room.
    pub fn leave(&mut self, peer: u64, now: Now) -> Option<Transition> {
        let entry = self.peers.remove(&peer)?;
        self.idle_at.remove(&(entry.last_activity + self.idle_after, peer));
        self.sessions.remove(&entry.room, &id_text(peer));
        if let Some(user) = self.user_mut(&entry.room, &entry.user) {
            user.peers.remove(&peer);
        }
        self.settle_user(&entry.room, &entry.user, false, now)
    }

    /// Peers without activity become IDLE. Called from time to time.
    pub fn tick(&mut self, now: Now) -> Vec<Transition> {
        let mut transitions = Vec::new();
        while let Some((at, peer)) = self.idle_at.first().copied().filter(|(at, _)| *at <= now.instant) {
            self.idle_at.remove(&(at, peer));
            if let Some(entry) = self.peers.get_mut(&peer) {
                entry.reported = entry.reported.min(PresenceState::Idle);
                transitions.extend(self.settle(peer, false, now));
            }
        }
        self.rooms.retain(|_, room| {
            room.watchers.retain(|watcher| !watcher.sender.is_closed());
            !room.users.is_empty() || !room.watchers.is_empty()
        });
        transitions
    }

    /// The presence of a user; `None` if it is not in the room.
    pub fn of(&self, room: &RoomRef, user: &str) -> Option<UserPresence> {
        let entry = self.rooms.get(room)?.users.get(user)?;
        Some(entry.presence(user))
    }

    /// The users of a room, by user id.
    pub fn users(&self, room: &RoomRef) -> Vec<UserPresence> {
        let users = self.rooms.get(room).into_iter().flat_map(|room| &room.users);
        users.map(|(user, entry)| entry.presence(user)).collect()
    }

    /// Whether a room has peers at this process, or watchers.
    pub fn has_room(&self, room: &RoomRef) -> bool {
        self.rooms.contains_key(room)
    }

    /// Whether a room is here, and its sessions at other processes were read.
    pub fn is_known(&self, room: &RoomRef) -> bool {
        self.has_room(room) && !self.unread.contains(room)
    }

    /// Watches a room, which need not exist.
    pub fn watch(&mut self, room: &RoomRef) -> PresenceWatch {
        let users = self.users(room);
        let (sender, receiver) = mpsc::channel(limits::PRESENCE_QUEUE_LEN);
        let has_overflowed = Arc::<AtomicBool>::default();
        if !self.rooms.contains_key(room) {
            self.unread.insert(room.clone());
        }
        let watcher = Watcher { sender, has_overflowed: has_overflowed.clone() };
        self.rooms.entry(room.clone()).or_default().watchers.push(watcher);
        PresenceWatch { users, receiver, has_overflowed }
    }

    /// Number of watchers that were too slow since the start.
    pub fn slow_watchers(&self) -> u64 {
        self.slow_watchers
    }

    /// The sessions of other processes have changed: in this room, or perhaps in all. Takes effect only for
    /// rooms that are known here.
    pub fn mark_unread(&mut self, room: Option<RoomRef>) {
        match room {
            Some(room) if self.rooms.contains_key(&room) => _ = self.unread.insert(room),
            Some(_) => {}
            None => self.unread.extend(self.rooms.keys().cloned()),
        }
    }

    /// Rooms with sessions at other processes must be read from time to time, because a process that was
    /// killed does not report it.
    pub fn mark_shared_unread(&mut self) {
        let is_shared = |room: &RoomPresence| room.users.values().any(|user| user.elsewhere.is_some());
        let shared = self.rooms.iter().filter(|(_, room)| is_shared(room));
        self.unread.extend(shared.map(|(name, _)| name.clone()));
    }

    /// The next room whose sessions at other processes must be read.
    pub fn next_unread(&mut self) -> Option<RoomRef> {
        self.unread.pop_first()
    }

    /// Takes over the sessions of other processes in a room.
    pub fn set_others(&mut self, room: &RoomRef, others: &[PeerSession], now: Now) -> Vec<Transition> {
        // A peer that has resumed at this process is still listed at its former process for a while.
        let is_own = |other: &PeerSession| {
            let peer = u64::from_str_radix(&other.peer, 16).ok();
            peer.is_some_and(|peer| self.peers.contains_key(&peer))
        };
        let others: Vec<PeerSession> = others.iter().filter(|other| !is_own(other)).cloned().collect();
        let users = users_of(&others);
        let states: BTreeMap<&str, PresenceState> =
            users.iter().map(|presence| (presence.user.as_str(), presence.state)).collect();
        let Some(entry) = self.rooms.get_mut(room) else { return Vec::new() };
        let known: Vec<String> = entry.users.keys().cloned().collect();
        let added: Vec<String> =
            states.keys().filter(|user| !entry.users.contains_key(**user)).map(|&user| user.into()).collect();
        for user in &added {
            let (peers, state, since_ms) = (BTreeSet::new(), PresenceState::Away, now.unix_ms);
            entry.users.insert(user.clone(), UserEntry { peers, elsewhere: None, state, since_ms });
        }
        for (user, entry) in &mut entry.users {
            entry.elsewhere = states.get(user.as_str()).copied();
        }
        let known = known.into_iter().map(|user| (user, false));
        let all = known.chain(added.into_iter().map(|user| (user, true)));
        all.filter_map(|(user, is_new)| self.settle_user(room, &user, is_new, now)).collect()
    }

    /// Writes the session of a peer if it has changed, and updates its user.
    fn settle(&mut self, peer: u64, is_new_user: bool, now: Now) -> Option<Transition> {
        let entry = self.peers.get_mut(&peer)?;
        let (room, user, state) = (entry.room.clone(), entry.user.clone(), entry.state());
        if entry.written.replace(state) != Some(state) {
            let display_name = entry.display_name.clone();
            let (peer, user, since_ms) = (id_text(peer), user.clone(), now.unix_ms);
            self.sessions.put(&room, PeerSession { peer, user, display_name, state, since_ms });
        }
        self.settle_user(&room, &user, is_new_user, now)
    }

    /// Recalculates the presence of a user, and reports a transition. Without peers, the user is removed.
    fn settle_user(&mut self, room: &RoomRef, user: &str, is_new: bool, now: Now) -> Option<Transition> {
        let own = self.rooms.get(room)?.users.get(user)?;
        let states = own.peers.iter().filter_map(|peer| Some(self.peers.get(peer)?.state()));
        let most_active = states.chain(own.elsewhere).max();
        let entry = self.rooms.get_mut(room)?;
        let known = entry.users.get_mut(user)?;
        let state = most_active.unwrap_or(PresenceState::Away);
        let is_transition = is_new || state != known.state;
        if is_transition {
            (known.state, known.since_ms) = (state, now.unix_ms);
        }
        let presence = known.presence(user);
        if most_active.is_none() {
            entry.users.remove(user);
        }
        if is_transition {
            self.slow_watchers += entry.report(&presence);
        }
        if entry.users.is_empty() && entry.watchers.is_empty() {
            self.rooms.remove(room);
            self.unread.remove(room);
        }
        is_transition.then(|| Transition { room: room.clone(), presence, was_present: !is_new })
    }

    fn user_mut(&mut self, room: &RoomRef, user: &str) -> Option<&mut UserEntry> {
        self.rooms.get_mut(room)?.users.get_mut(user)
    }
}

impl UserEntry {
    fn presence(&self, user: &str) -> UserPresence {
        UserPresence { user: user.to_owned(), state: self.state, since_ms: self.since_ms }
    }
}

impl RoomPresence {
    /// Sends to all watchers. Returns the number of those that were too slow, which are removed.
    fn report(&mut self, presence: &UserPresence) -> u64 {
        let mut slow = 0;
        self.watchers.retain(|watcher| match watcher.sender.try_send(presence.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                watcher.has_overflowed.store(true, Ordering::Relaxed);
                slow += 1;
                false
            }
        });
        slow
    }
}

/// The users of these sessions, by user id, each with the state of its most active peer.
pub fn users_of(sessions: &[PeerSession]) -> Vec<UserPresence> {
    let mut users: BTreeMap<&str, &PeerSession> = BTreeMap::new();
    for session in sessions {
        let known = users.entry(&session.user).or_insert(session);
        if session.state > known.state {
            *known = session;
        }
    }
    let presence = |(user, session): (&str, &PeerSession)| UserPresence {
        user: user.to_owned(),
        state: session.state,
        since_ms: session.since_ms,
    };
    users.into_iter().map(presence).collect()
}

/// The id of a peer as clients see it.
fn id_text(peer: u64) -> String {
    format!("{peer:016x}")
}

#[cfg(test)]
mod tests;
