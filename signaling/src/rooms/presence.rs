//! The presence of users, between the rooms and [`crate::presence`].

use super::state::{Peer, PeerId, State};
use super::{RoomKey, Rooms};
use crate::limits;
use crate::presence::{Now, PresenceState, PresenceWatch, RoomRef, Transition, UserPresence, users_of};
use crate::proto::{self, PresenceChanged, SetPresence, signal::Payload};
use crate::request_error::RequestError;
use std::sync::Weak;
use stores::sessions::SessionsChanged;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::interval;

impl Rooms {
    /// Handles the report of a client.
    pub(super) fn set_presence(&self, id: PeerId, set: &SetPresence) -> Result<(), RequestError> {
        let presence = match set.state() {
            proto::PresenceState::Active => PresenceState::Active,
            proto::PresenceState::Idle => PresenceState::Idle,
            proto::PresenceState::Away => PresenceState::Away,
            proto::PresenceState::Unspecified => {
                return Err(RequestError::bad("state must be ACTIVE, IDLE or AWAY"));
            }
        };
        let mut state = self.state();
        let transition = state.presence.report(id.0, presence, Now::read());
        let transition = transition.map_err(|pause| {
            RequestError::limit("the presence of this client changes too often").retry_after(pause)
        })?;
        state.broadcast_presence(transition);
        Ok(())
    }

    /// The presence in a room, after this call.
    pub fn watch_presence(&self, room: &RoomRef) -> PresenceWatch {
        self.state().presence.watch(room)
    }

    /// The presence of the users of a room, by user id. What is not known here is read from the store of
    /// sessions; while the store is away, it is missing.
    pub async fn presence_in(&self, room: &RoomRef) -> Vec<UserPresence> {
        let sessions = {
            let state = self.state();
            if state.presence.is_known(room) {
                return state.presence.users(room);
            }
            state.presence.sessions()
        };
        let others = sessions.others(room).await.unwrap_or_default();
        let mut state = self.state();
        if !state.presence.has_room(room) {
            return users_of(&others);
        }
        for transition in state.presence.set_others(room, &others, Now::read()) {
            state.broadcast_presence(Some(transition));
        }
        state.presence.users(room)
    }

    /// Number of watchers of presence that were too slow since the start.
    pub fn slow_presence_watchers(&self) -> u64 {
        self.state().presence.slow_watchers()
    }

    fn on_presence_tick(&self) {
        let mut state = self.state();
        for transition in state.presence.tick(Now::read()) {
            state.broadcast_presence(Some(transition));
        }
    }

    /// Reads the sessions of other processes in the rooms where they may have changed.
    async fn read_other_sessions(&self) {
        let sessions = self.state().presence.sessions();
        loop {
            let Some(room) = self.state().presence.next_unread() else { return };
            // Without the store, what is known stays until the store is back and reports a change of all.
            let Ok(others) = sessions.others(&room).await else { return };
            let mut state = self.state();
            for transition in state.presence.set_others(&room, &others, Now::read()) {
                state.broadcast_presence(Some(transition));
            }
        }
    }
}

/// Follows the time and the store of sessions until the rooms are dropped.
pub(super) async fn follow(rooms: Weak<Rooms>) {
    let mut changes = match rooms.upgrade() {
        Some(rooms) => rooms.state().presence.sessions().changes(),
        None => return,
    };
    let mut tick = interval(limits::PRESENCE_TICK);
    let mut reread = interval(limits::SESSIONS_REREAD);
    loop {
        let change = tokio::select! {
            _ = tick.tick() => None,
            _ = reread.tick() => {
                let Some(rooms) = rooms.upgrade() else { return };
                rooms.state().presence.mark_shared_unread();
                None
            }
            change = changes.recv() => match change {
                Ok(change) => Some(change),
                Err(RecvError::Lagged(_)) => Some(SessionsChanged::All),
                Err(RecvError::Closed) => return,
            },
        };
        let Some(rooms) = rooms.upgrade() else { return };
        match change {
            Some(SessionsChanged::Room(room)) => rooms.state().presence.mark_unread(Some(room)),
            Some(SessionsChanged::All) => rooms.state().presence.mark_unread(None),
            None => rooms.on_presence_tick(),
        }
        rooms.read_other_sessions().await;
    }
}

impl State {
    /// A peer was added to the tables. The others get its presence with the peer, and that of its user, if
    /// it has changed. A hidden peer has no presence.
    pub(super) fn join_presence(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get(&id).filter(|peer| !peer.permissions.hidden) else { return };
        let is_connected = peer.socket.is_some();
        let (room, user, name) = (room_ref(peer), &peer.user, &peer.display_name);
        let transition = self.presence.join(id.0, room, user, name, is_connected, Now::read());
        self.broadcast_presence(transition);
    }

    /// A peer lost its connection, or resumed.
    pub(super) fn set_presence_connected(&mut self, id: PeerId, is_connected: bool) {
        let transition = self.presence.set_connected(id.0, is_connected, Now::read());
        self.broadcast_presence(transition);
    }

    /// A peer was removed from the tables; `PeerLeft` is not sent yet.
    pub(super) fn leave_presence(&mut self, id: PeerId) {
        let transition = self.presence.leave(id.0, Now::read());
        self.broadcast_presence(transition);
    }

    /// The presence of a peer's user, for the other peers.
    pub(super) fn presence_info(&self, peer: &Peer) -> (i32, u64) {
        let presence = self.presence.of(&room_ref(peer), &peer.user);
        presence.map_or((0, 0), |presence| (wire(presence.state).into(), presence.since_ms))
    }

    /// Notifies the peers of a room, except of a user that was not there before: `PeerJoined` has it.
    fn broadcast_presence(&mut self, transition: Option<Transition>) {
        let Some(Transition { room, presence, was_present: true }) = transition else { return };
        let changed = PresenceChanged {
            user: presence.user,
            state: wire(presence.state).into(),
            timestamp_ms: presence.since_ms,
        };
        self.broadcast(&room.into(), None, Payload::PresenceChanged(changed));
    }
}

/// The room of a peer.
fn room_ref(peer: &Peer) -> RoomRef {
    RoomRef::new(&*peer.room.project, &*peer.room.name)
}

impl From<RoomRef> for RoomKey {
    fn from(RoomRef { project, room }: RoomRef) -> Self {
        Self::new(project, room)
    }
}

fn wire(state: PresenceState) -> proto::PresenceState {
    match state {
        PresenceState::Active => proto::PresenceState::Active,
        PresenceState::Idle => proto::PresenceState::Idle,
        PresenceState::Away => proto::PresenceState::Away,
    }
}
