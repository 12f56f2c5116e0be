//! The waiting room: clients that an administrator has to admit before they join.

use super::author::Author;
use super::join::{KeptObjects, NewPeer, shown_name};
use super::kick::reason;
use super::lookup::{not_joined, parse_id};
use super::outbox::ConnectionId;
use super::restrictions::WaitingClient;
use super::room_key::RoomKey;
use super::session::SessionEvent;
use super::state::{PeerId, State};
use super::{Connection, Rooms, random_id};
use crate::auth::session::Session;
use crate::auth::since_1970;
use crate::limits;
use crate::proto::{AdmitPeer, Denied, DenyPeer, ErrorCode, JoinRoom, PeerWaiting, Waiting, signal::Payload};
use crate::protocol::encode;
use crate::request_error::RequestError;
use std::time::Duration;

impl Rooms {
    /// Lets a client wait, and notifies the administrators of the room.
    pub(super) fn wait(
        &self,
        state: &mut State,
        connection: &Connection,
        room: &RoomKey,
        join: &JoinRoom,
        session: Option<Session>,
    ) -> Result<Payload, RequestError> {
        let entry = state.rooms.get(room).ok_or_else(not_joined)?;
        if entry.waiting.len() >= limits::WAITING_PER_ROOM_MAX {
            let text =
                format!("{} clients wait already; at most that many may", limits::WAITING_PER_ROOM_MAX);
            return Err(RequestError::limit(text));
        }
        if let Some(session) = &session {
            let waiting = entry.waiting.iter().filter_map(|id| state.waiting.get(id));
            let own = waiting.filter(|client| client.user == session.user).count();
            if own >= self.peers_per_user {
                let text = format!("this user waits {own} times already; at most that many may");
                return Err(RequestError::limit(text));
            }
        }
        let id = random_id();
        let user = session.as_ref().map_or_else(|| guest(id), |session| session.user.clone());
        let name = session.as_ref().and_then(|session| session.name.as_deref());
        let display_name = shown_name(name, &join.display_name, &user);
        let client = WaitingClient {
            id,
            room: room.clone(),
            session,
            user: user.clone(),
            display_name: display_name.clone(),
            outbox: connection.outbox.clone(),
        };
        tracing::info!(roomId = %room, userId = %user, clientAddress = %connection.address, "a client waits to be admitted");
        state.notify_admins(room, Payload::PeerWaiting(client.message(false)));
        if let Some(entry) = state.rooms.get_mut(room) {
            entry.waiting.insert(connection.id);
        }
        state.waiting.insert(connection.id, client);
        Ok(Payload::Waiting(Waiting { room: room.name.clone(), user, display_name }))
    }

    /// Admits a client that waits: it gets `Joined` as a notification.
    pub(super) fn admit_waiting(&self, peer: PeerId, admit: &AdmitPeer) -> Result<(), RequestError> {
        let mut state = self.state();
        let author = state.author(peer)?;
        let connection = waiting_client(&state, &author, &admit.waiting_id)?;
        let client = &state.waiting[&connection];
        let (room, session, display_name) =
            (client.room.clone(), client.session.clone(), client.display_name.clone());
        let replaced = match &session {
            Some(session) => {
                let expires_at = Duration::from_secs(session.token.expires_at.0) + self.revocations.leeway();
                if expires_at <= since_1970() {
                    state.deny(connection, "your token expired while you waited; get a new one");
                    let text = "the token of this client expired while it waited; it has to join again";
                    return Err(RequestError::new(ErrorCode::NoSuchPeer, text));
                }
                self.replaced_peers(&state, &room, &session.user, false)?
            }
            None => Vec::new(),
        };
        let peer_count = state.rooms.get(&room).ok_or_else(not_joined)?.peers.len();
        state.rooms[&room].policy.check_size(peer_count - replaced.len())?;
        let Some(client) = state.remove_waiting(connection) else { return Err(no_such_client()) };
        let join = JoinRoom { room: room.name.clone(), display_name, ..JoinRoom::default() };
        let socket = (connection, client.outbox.clone());
        let entry = NewPeer { join: &join, socket, session };
        let (id, secret) = self.add_peer(&mut state, &room, entry, replaced)?;
        state.connections.insert(connection, Some(id));
        state.apply(id, SessionEvent::AuthValid);
        tracing::info!(roomId = %room, userId = %client.user, peerId = %id, "a waiting client was admitted");
        self.record(&author, "waiting.admit", Some(&client.user), String::new(), Vec::new());
        let joined = self.joined(&state, id, secret, false, KeptObjects::default());
        client.outbox.send(encode(Payload::Joined(joined)));
        Ok(())
    }

    pub(super) fn deny_waiting(&self, peer: PeerId, deny: &DenyPeer) -> Result<(), RequestError> {
        let reason = reason(&deny.reason, "an administrator did not admit you")?;
        let mut state = self.state();
        let author = state.author(peer)?;
        let connection = waiting_client(&state, &author, &deny.waiting_id)?;
        let user = state.waiting.get(&connection).map(|client| client.user.as_str());
        self.record(&author, "waiting.deny", user, String::new(), Vec::new());
        state.deny(connection, &reason);
        Ok(())
    }

    /// Ends the wait of a client that leaves; whether it waited.
    pub(super) fn stop_waiting(&self, connection: &Connection) -> bool {
        self.state().remove_waiting(connection.id).is_some()
    }
}

impl State {
    /// The clients that wait for this room, for an administrator.
    pub(super) fn waiting_for(&self, room: &RoomKey) -> Vec<PeerWaiting> {
        let ids = self.rooms.get(room).into_iter().flat_map(|room| &room.waiting);
        ids.filter_map(|id| Some(self.waiting.get(id)?.message(false))).collect()
    }

    /// Removes a client that waits, and notifies the administrators.
    pub(super) fn remove_waiting(&mut self, connection: ConnectionId) -> Option<WaitingClient> {
        let client = self.waiting.remove(&connection)?;
        if let Some(room) = self.rooms.get_mut(&client.room) {
            room.waiting.remove(&connection);
        }
        self.notify_admins(&client.room, Payload::PeerWaiting(client.message(true)));
        Some(client)
    }

    /// Removes a client that waits, and notifies it too. It may send `JoinRoom` again.
    pub(super) fn deny(&mut self, connection: ConnectionId, reason: &str) {
        if let Some(client) = self.remove_waiting(connection) {
            client.outbox.send(encode(Payload::Denied(Denied { reason: reason.to_owned() })));
        }
    }

    fn notify_admins(&mut self, room: &RoomKey, payload: Payload) {
        let peers = self.rooms.get(room).into_iter().flat_map(|room| room.peers.iter().copied());
        let is_admin = |id: &PeerId| self.peers.get(id).is_some_and(|peer| peer.permissions.admin);
        let admins: Vec<_> = peers.filter(is_admin).collect();
        for peer in admins {
            self.send(peer, payload.clone());
        }
    }
}

/// The connection of a client that waits for the room of this administrator.
fn waiting_client(state: &State, author: &Author, id: &str) -> Result<ConnectionId, RequestError> {
    let room = &author.room;
    let id = parse_id(id);
    let mut waiting = state.rooms.get(room).into_iter().flat_map(|room| room.waiting.iter().copied());
    let found = waiting.find(|connection| state.waiting.get(connection).map(|client| client.id) == id);
    found.filter(|_| id.is_some()).ok_or_else(no_such_client)
}

fn no_such_client() -> RequestError {
    RequestError::new(ErrorCode::NoSuchPeer, "no client with this id waits (any more)")
}

/// The user of a client without a token.
fn guest(id: u64) -> String {
    format!("guest-{:04x}", id >> 48)
}
