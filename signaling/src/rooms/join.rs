//! Joining, resuming, disconnecting and leaving.

use super::lookup::{permitted, turn_user};
use super::notification_log::NotificationLog;
use super::peer_quality::PeerQuality;
use super::restrictions::{Mute, Overrides, UserHash, granted};
use super::room_key::RoomKey;
use super::session::{SessionEvent, SessionState};
use super::state::{Peer, PeerId, RemovedPeer, State};
use super::{Admission, Connection, Rooms, random_id};
use crate::auth::DEFAULT_PROJECT;
use crate::auth::session::Session;
use crate::auth::since_1970;
use crate::auth::token::{self, Permissions};
use crate::limits;
use crate::media_node::{AskError, Worker};
use crate::ortc::capabilities;
use crate::proto::{
    self, EncodingPolicy, ErrorCode, Goodbye, IceServer, JoinRoom, Joined, NotificationPosition, PeerAway,
    QualityReport, Resume, signal::Payload,
};
use crate::protocol::encode;
use crate::request_error::RequestError;
use aws_lc_rs::{constant_time, digest};
use control::Command;
use prost::Message;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// The result of checking the token of a join.
pub(super) enum TokenCheck {
    /// Development mode, and no token was sent.
    NotRequired,
    Valid(Session),
    /// Valid except for its expiry: not sufficient to join, but sufficient to resume a call.
    Expired {
        session: Session,
        error: RequestError,
    },
}

impl TokenCheck {
    pub(super) fn session(&self) -> Option<&Session> {
        match self {
            Self::NotRequired => None,
            Self::Valid(session) | Self::Expired { session, .. } => Some(session),
        }
    }

    /// The project in which the room is.
    pub(super) fn project(&self) -> &str {
        self.session().map_or(DEFAULT_PROJECT, |session| &session.project)
    }
}

/// A peer that is admitted.
pub(super) struct NewPeer<'a> {
    pub(super) join: &'a JoinRoom,
    pub(super) socket: (super::ConnectionId, super::Outbox),
    pub(super) session: Option<Session>,
}

/// The answer to a join, and the commands that the engine must answer before.
struct Admitted {
    answer: Payload,
    updates: Vec<(Worker, Command)>,
}

/// The objects that a returning client keeps, and the commands for the others.
#[derive(Default)]
pub(super) struct KeptObjects {
    transports: Vec<String>,
    producers: Vec<String>,
    consumers: Vec<String>,
    commands: Vec<(Worker, Command)>,
    /// Commands that the engine must answer before the client gets its answer.
    updates: Vec<(Worker, Command)>,
    /// Where the notifications on the new connection begin; `None` for a new peer: at its first one.
    position: Option<NotificationPosition>,
    /// Whether the notifications that the client missed were queued for it: then it needs no snapshot.
    is_replayed: bool,
}

impl Rooms {
    pub(super) async fn join(
        self: &Arc<Self>,
        connection: &Connection,
        join: JoinRoom,
    ) -> Result<Payload, RequestError> {
        check(&join)?;
        let token = self.admit(&join)?;
        self.enter(connection, &join, token).await
    }

    /// Checks what a client of HTTP shows: a session that was checked, or the token in `join`.
    pub(super) fn check_entrance(
        &self,
        join: &JoinRoom,
        session: Option<Session>,
    ) -> Result<TokenCheck, RequestError> {
        check(join)?;
        match session {
            Some(session) => Ok(TokenCheck::Valid(session)),
            None => self.admit(join),
        }
    }

    /// Joins a client whose token was checked.
    pub(super) async fn enter(
        self: &Arc<Self>,
        connection: &Connection,
        join: &JoinRoom,
        token: TokenCheck,
    ) -> Result<Payload, RequestError> {
        if let Some(session) = token.session() {
            let user = (session.project.clone(), session.user.clone());
            let mut joins = self.joins_of_users.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = joins.take_of(user, Instant::now());
            drop(joins);
            taken.map_err(|pause| RequestError::limit("too many joins of this user").retry_after(pause))?;
        }
        // After the token check, so that clients without a token do not use up joins. Each connection limits
        // the number of checks.
        let taken = self.joins.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        taken.map_err(|pause| RequestError::limit("too many joins at this server").retry_after(pause))?;

        // A client that returns to a new process must find its objects: wait for the first snapshot of the
        // engine.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;

        let Admitted { answer, updates } = self.admit_peer(connection, join, token)?;
        for (worker, command) in updates {
            // Without an engine the transports are lost as well; a busy engine gets the command again.
            if let Err(AskError::TimedOut | AskError::Busy) = self.node.ask(worker, command.clone()).await {
                self.node.tell(worker, command);
            }
        }
        Ok(answer)
    }

    /// Admits a new or a returning peer. Returns the answer, and the commands that the engine must answer
    /// before.
    fn admit_peer(
        &self,
        connection: &Connection,
        join: &JoinRoom,
        token: TokenCheck,
    ) -> Result<Admitted, RequestError> {
        let room = RoomKey::new(token.project(), &*join.room);
        let mut state = self.state();
        // The session may have changed while this request waited.
        let may_join = matches!(state.connections.get(&connection.id), Some(None))
            && !state.waiting.contains_key(&connection.id);
        if !may_join {
            let text = "this connection has joined already, waits to be admitted, or is gone";
            return Err(RequestError::new(ErrorCode::WrongState, text));
        }
        // A token may have been revoked after its check, which did not hold this lock.
        if let Some(session) = token.session() {
            self.revocations.check(session, since_1970())?;
        }
        let returning = join.resume.as_ref().and_then(|resume| Some((parse_peer(&resume.peer_id)?, resume)));
        let returning = returning.filter(|(id, _)| state.peers.get(id).is_some_and(|peer| peer.room == room));
        let socket = (connection.id, connection.outbox.clone());
        let (id, secret, kept) = match returning {
            Some((id, resume)) => {
                let session = check_resume(&state.peers[&id], resume, token)?;
                let kept = resume_peer(&mut state, id, resume, socket, session);
                (id, resume.secret.clone(), Some(kept))
            }
            None => {
                let session = match token {
                    TokenCheck::NotRequired => None,
                    TokenCheck::Valid(session) => Some(session),
                    TokenCheck::Expired { error, .. } => return Err(error),
                };
                let permissions = permissions_of(session.as_ref());
                let policy = state.rooms.get(&room).map(|room| room.policy.clone());
                let banned = banned_as(session.as_ref(), &join.display_name);
                policy
                    .iter()
                    .try_for_each(|policy| policy.check_entry(&permissions, banned, since_1970()))?;
                if policy.as_ref().is_some_and(|policy| policy.lets_wait(&permissions)) {
                    let answer = self.wait(&mut state, connection, &room, join, session)?;
                    return Ok(Admitted { answer, updates: Vec::new() });
                }
                let replaced = match &session {
                    Some(session) => self.replaced_peers(&state, &room, &session.user, join.take_over)?,
                    None => Vec::new(),
                };
                let entry = NewPeer { join, socket, session };
                let (id, secret) = self.add_peer(&mut state, &room, entry, replaced)?;
                (id, secret, None)
            }
        };
        state.connections.insert(connection.id, Some(id));
        state.apply(id, SessionEvent::AuthValid);
        let resumed = kept.is_some();
        let mut kept = kept.unwrap_or_default();
        for (worker, command) in std::mem::take(&mut kept.commands) {
            self.node.tell(worker, command);
        }
        let peer = &state.peers[&id];
        tracing::info!(
            roomId = %peer.room,
            userId = %peer.user,
            peerId = %id,
            clientAddress = %connection.address,
            resumed,
            "a peer joined"
        );
        let updates = std::mem::take(&mut kept.updates);
        let joined = self.joined(&state, id, secret, resumed, kept);
        if !joined.replayed {
            for notification in state.layer_notifications(id) {
                state.send(id, notification);
            }
        }
        Ok(Admitted { answer: Payload::Joined(joined), updates })
    }

    /// The answer to a join: the peer, its room, and what it keeps.
    pub(super) fn joined(
        &self,
        state: &State,
        id: PeerId,
        secret: Vec<u8>,
        resumed: bool,
        kept: KeptObjects,
    ) -> Joined {
        let peer = &state.peers[&id];
        let ice_servers = self.ice_servers(&turn_user(peer));
        let others =
            state.rooms[&peer.room].peers.iter().filter(|other| **other != id && state.is_visible(**other));
        let others = others.filter(|_| !kept.is_replayed);
        let first = NotificationPosition { number: 0, ..peer.notifications.position() };
        let muted = state.producers_of(id).filter(|producer| state.is_muted(*producer));
        Joined {
            peer_id: id.to_string(),
            resume_secret: secret,
            room: peer.room.name.clone(),
            user: peer.user.clone(),
            display_name: peer.display_name.clone(),
            router_capabilities: Some(capabilities::router(&self.media)),
            peers: others
                .filter_map(|other| {
                    let data_producers = state.data_producers_for(*other, id);
                    Some(proto::Peer { data_producers, ..state.peer_info(*other)? })
                })
                .collect(),
            resumed,
            engine_epoch: state.media.epoch_text(),
            kept_transports: kept.transports,
            kept_producers: kept.producers,
            kept_consumers: kept.consumers,
            encoding_policy: Some(EncodingPolicy {
                scalability_mode: self.media.scalability_mode.to_string(),
                opus_stereo: self.media.opus.stereo,
                opus_dtx: self.media.opus.dtx,
            }),
            ice_servers,
            replayed: kept.is_replayed,
            position: Some(kept.position.unwrap_or(first)),
            token_expires_at: peer.token.as_ref().map_or(0, |token| token.expires_at.0),
            permissions: Some(granted(&peer.permissions)),
            policy: state.rooms.get(&peer.room).map(|room| room.policy.message()),
            waiting: if peer.permissions.admin { state.waiting_for(&peer.room) } else { Vec::new() },
            muted_producers: muted.map(|producer| producer.to_string()).collect(),
        }
    }

    /// The TURN servers with a new credential for this [user](turn_user).
    pub(super) fn ice_servers(&self, user: &str) -> Vec<IceServer> {
        self.turn.iter().flat_map(|turn| turn.ice_servers(user, since_1970())).collect()
    }

    /// Checks the token of a join.
    fn admit(&self, join: &JoinRoom) -> Result<TokenCheck, RequestError> {
        let keyring = match &self.admission {
            Admission::Development { verifier: Some(keyring) } if !join.token.is_empty() => keyring,
            Admission::Development { .. } => return Ok(TokenCheck::NotRequired),
            Admission::TokenRequired(keyring) => keyring,
        };
        let now = since_1970();
        let token = match keyring.validate_token(&join.token, now) {
            Ok(session) => TokenCheck::Valid(session),
            Err(error) if error.code == ErrorCode::TokenExpired && join.resume.is_some() => {
                let session = keyring.validate_ignoring_expiry(&join.token, now)?;
                TokenCheck::Expired { session, error }
            }
            Err(error) => return Err(error),
        };
        if let Some(session) = token.session() {
            session.check_room(&join.room)?;
            permitted(session.permissions.can_join, "canJoin")?;
        }
        Ok(token)
    }

    /// Handles the loss of a client's connection: its peer and its media stay for a while.
    pub fn disconnect(self: &Arc<Self>, connection: &Connection) {
        connection.outbox.end();
        let mut state = self.state();
        state.remove_waiting(connection.id);
        let Some(Some(id)) = state.connections.remove(&connection.id) else { return };
        let Some(peer) = state.peers.get_mut(&id) else { return };
        if peer.socket.as_ref().is_none_or(|(current, _)| *current != connection.id) {
            return;
        }
        peer.socket = None;
        peer.away_since = Instant::now();
        peer.absences += 1;
        let absence = peer.absences;
        let room = peer.room.clone();
        tracing::info!(
            roomId = %room,
            userId = %peer.user,
            peerId = %id,
            clientAddress = %connection.address,
            "a peer lost its connection; it may resume"
        );
        if state.is_visible(id) {
            let away = PeerAway { peer_id: id.to_string(), away: true };
            state.broadcast(&room, Some(id), Payload::PeerAway(away));
        }
        state.set_presence_connected(id, false);
        drop(state);
        self.expire(id, absence, self.timeouts.away);
    }

    /// Checks that the room takes one more peer of this user, and returns the peers of the user that it
    /// replaces. They are away: all of them if the client requests a take-over, otherwise as many as necessary,
    /// the longest absent first.
    pub(super) fn replaced_peers(
        &self,
        state: &State,
        room: &RoomKey,
        user: &str,
        take_over: bool,
    ) -> Result<Vec<PeerId>, RequestError> {
        let peers = state.peers_of_user(room, user);
        let is_away = |id: &PeerId| state.peers.get(id).is_some_and(|peer| peer.socket.is_none());
        let mut away: Vec<_> = peers.iter().copied().filter(is_away).collect();
        if peers.len() - away.len() >= self.peers_per_user {
            let text = format!(
                "this user is in the room {} times; at most {} are allowed; leave it elsewhere first",
                peers.len(),
                self.peers_per_user
            );
            return Err(RequestError::limit(text));
        }
        away.sort_by_key(|id| state.peers[id].away_since);
        let too_many = (peers.len() + 1).saturating_sub(self.peers_per_user);
        let replaced_count = if take_over { away.len() } else { too_many };
        away.truncate(replaced_count);
        Ok(away)
    }

    /// Adds a new peer, then removes those that it replaces, so that the room does not end in between.
    pub(super) fn add_peer(
        &self,
        state: &mut State,
        room: &RoomKey,
        new: NewPeer<'_>,
        replaced: Vec<PeerId>,
    ) -> Result<(PeerId, Vec<u8>), RequestError> {
        let added = add_peer(state, room, new, replaced.len())?;
        for id in replaced {
            self.remove(state, id, "a peer was replaced by another of the same user");
        }
        Ok(added)
    }

    /// Removes a peer that has not returned from this absence in time.
    pub(super) fn expire(self: &Arc<Self>, id: PeerId, absence: u64, timeout: Duration) {
        let rooms = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            let mut state = rooms.state();
            let still_away =
                state.peers.get(&id).is_some_and(|peer| peer.socket.is_none() && peer.absences == absence);
            if still_away {
                rooms.remove(&mut state, id, "a peer did not return in time");
            }
        });
    }

    pub(super) fn leave(&self, id: PeerId, quality: Option<QualityReport>) {
        let mut state = self.state();
        if let (Some(report), Some(peer)) = (quality, state.peers.get_mut(&id)) {
            // A report that is refused does not keep a client in the room.
            let _ = peer.quality.take(report, &self.quality_metrics);
        }
        self.remove(&mut state, id, "a peer left");
    }

    /// Handles the leave beacon of a closed page: its peer leaves, whatever the state of its connection.
    pub fn on_leave_beacon(&self, address: IpAddr, message: &[u8]) -> Result<(), RequestError> {
        let mut leave_beacons = self.leave_beacons.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = leave_beacons.take(address, Instant::now());
        drop(leave_beacons);
        taken.map_err(|pause| {
            RequestError::limit("too many leave requests from this address").retry_after(pause)
        })?;
        let goodbye =
            Goodbye::decode(message).map_err(|error| RequestError::bad(format!("not a Goodbye: {error}")))?;
        let id = parse_peer(&goodbye.peer_id).ok_or_else(|| {
            RequestError::bad("peer_id must be the 16 hexadecimal digits of Joined.peer_id")
        })?;
        let mut state = self.state();
        let Some(peer) = state.peers.get_mut(&id) else { return Ok(()) };
        if !is_secret_of(peer, &goodbye.secret) {
            return Err(RequestError::new(
                ErrorCode::ResumeSecret,
                "the secret does not belong to this peer",
            ));
        }
        if let Some(report) = goodbye.quality {
            // The page is gone: nothing reads an error.
            let _ = peer.quality.take(report, &self.quality_metrics);
        }
        self.remove(&mut state, id, "a peer left: its page was closed");
        Ok(())
    }

    pub(super) fn remove(&self, state: &mut State, id: PeerId, why: &'static str) {
        let Some(RemovedPeer { peer, transports, routers }) = state.remove_peer(id) else { return };
        tracing::info!(roomId = %peer.room, userId = %peer.user, peerId = %id, "{why}");
        self.record_quality(id, &peer);
        for (transport, worker) in transports {
            self.node.tell(worker, Command::CloseTransport { transport });
        }
        for (router, worker) in routers {
            self.node.tell(worker, Command::CloseRouter { router });
        }
    }
}

impl State {
    /// Assigns the content of a new token to a peer, and notifies the others if it becomes visible or hidden.
    /// Returns whether something changed.
    pub(super) fn replace_session(&mut self, id: PeerId, mut session: Session) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        // A new token does not change what an administrator decided.
        session.permissions = peer.overrides.applied_to(session.permissions);
        let is_admin_changed = peer.permissions.admin != session.permissions.admin;
        let is_changed =
            peer.permissions != session.permissions || peer.token.as_ref() != Some(&session.token);
        let was_hidden = peer.permissions.hidden;
        let former = peer.token.replace(session.token).filter(|former| peer.token.as_ref() != Some(former));
        peer.permissions = session.permissions;
        if let Some(former) = former {
            let now = since_1970().as_secs();
            peer.former_tokens.retain(|token| token.expires_at.0 > now && token.id != former.id);
            if peer.former_tokens.len() == limits::FORMER_TOKENS_MAX {
                peer.former_tokens.pop_front();
            }
            peer.former_tokens.push_back(former);
        }
        let (is_hidden, room) = (peer.permissions.hidden, peer.room.clone());
        peer.negotiator.iter().for_each(|negotiator| negotiator.wake());
        match (was_hidden, is_hidden) {
            (false, true) => {
                self.leave_presence(id);
                let left = proto::PeerLeft { peer_id: id.to_string() };
                self.broadcast(&room, Some(id), Payload::PeerLeft(left));
            }
            (true, false) => {
                self.join_presence(id);
                let joined = proto::PeerJoined { peer: self.peer_info(id) };
                self.broadcast(&room, Some(id), Payload::PeerJoined(joined));
            }
            (false, false) if is_admin_changed => {
                let changed = self.peer_changed(id).map(Payload::PeerChanged);
                changed.into_iter().for_each(|changed| self.broadcast(&room, Some(id), changed));
            }
            _ => {}
        }
        is_changed
    }
}

/// Checks the fields of a join.
fn check(join: &JoinRoom) -> Result<(), RequestError> {
    token::check_room(&join.room).map_err(|wanted| RequestError::bad(format!("room must be {wanted}")))?;
    check_display_name(&join.display_name)?;
    let Some(resume) = &join.resume else { return Ok(()) };
    if resume.secret.len() > limits::SECRET_BYTES_MAX {
        return Err(RequestError::bad("resume.secret is longer than the secrets of this server"));
    }
    let longest = resume.transports.len().max(resume.producers.len()).max(resume.consumers.len());
    if longest > limits::RESUME_OBJECTS_MAX {
        return Err(RequestError::bad(format!(
            "resume lists {longest} objects; at most {} of a kind are allowed",
            limits::RESUME_OBJECTS_MAX
        )));
    }
    Ok(())
}

/// Checks a display name of a client.
pub(super) fn check_display_name(name: &str) -> Result<(), RequestError> {
    if name.chars().count() <= limits::DISPLAY_NAME_LEN_MAX && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(RequestError::bad(format!(
        "display_name must be at most {} characters, none of them a control character",
        limits::DISPLAY_NAME_LEN_MAX
    )))
}

/// The name that others see: that of the token, or the client's, or the user id.
pub(super) fn shown_name(of_token: Option<&str>, of_client: &str, user: &str) -> String {
    let given = of_token.into_iter().chain([of_client]).find(|name| !name.trim().is_empty());
    let shown = given.unwrap_or(user).chars().filter(|c| !c.is_control());
    shown.take(limits::DISPLAY_NAME_LEN_MAX).collect()
}

/// As what a client can be banned: its user, or the name of one without a token.
pub(super) fn banned_as(session: Option<&Session>, display_name: &str) -> UserHash {
    match session {
        Some(session) => UserHash::new(&session.user),
        None => UserHash::of_name(display_name),
    }
}

/// What a new client may do.
pub(super) fn permissions_of(session: Option<&Session>) -> Permissions {
    match session {
        Some(session) => session.permissions.clone(),
        // In development mode, only clients of this machine can connect.
        None => Permissions { can_use_plain_transports: true, ..Permissions::default() },
    }
}

pub(super) fn parse_peer(id: &str) -> Option<PeerId> {
    super::lookup::parse_id(id).map(PeerId)
}

/// Authenticates a returning peer. Returns the content of its new token; `None` if its permissions stay the
/// same.
fn check_resume(peer: &Peer, resume: &Resume, token: TokenCheck) -> Result<Option<Session>, RequestError> {
    let is_its_secret = is_secret_of(peer, &resume.secret);
    match token {
        // The token was valid when the call began, and the secret identifies the call.
        TokenCheck::Expired { session, .. } if is_its_secret && session.user == peer.user => Ok(None),
        TokenCheck::Expired { error, .. } => Err(error),
        _ if !is_its_secret => {
            let text =
                "resume.secret does not belong to this peer; join without resume to enter as a new one";
            Err(RequestError::new(ErrorCode::ResumeSecret, text))
        }
        TokenCheck::Valid(session) if session.user != peer.user => {
            let text = "the token is for a different user than the peer to resume";
            Err(RequestError::new(ErrorCode::TokenPermission, text))
        }
        TokenCheck::Valid(session) => Ok(Some(session)),
        TokenCheck::NotRequired => Ok(None),
    }
}

/// Assigns the new connection to a returning peer, and closes the objects that its client did not list or
/// that are not permitted any more.
fn resume_peer(
    state: &mut State,
    id: PeerId,
    resume: &Resume,
    socket: (super::ConnectionId, super::Outbox),
    session: Option<Session>,
) -> KeptObjects {
    let is_changed = session.is_some_and(|session| state.replace_session(id, session));
    let peer = state.peers.get_mut(&id).expect("the caller has found this peer");
    let room = peer.room.clone();
    let missed = resume.position.as_ref().and_then(|seen| peer.notifications.after(seen));
    let position = resume.position.filter(|_| missed.is_some());
    let is_replayed = position.is_some();
    // Before the connection is assigned: what is sent on it later has higher numbers.
    let position = position.or_else(|| Some(peer.notifications.position()));
    let (_, outbox) = &socket;
    missed.into_iter().flatten().for_each(|notification| outbox.send(notification));
    match peer.socket.replace(socket) {
        Some((old, outbox)) => {
            state.connections.insert(old, None);
            let reason = "the same peer has resumed on another connection".into();
            // Without a number: it concerns the old connection, not the peer.
            outbox.send(encode(Payload::Evicted(proto::Evicted { reason })));
            outbox.end();
        }
        None if state.is_visible(id) => {
            let back = PeerAway { peer_id: id.to_string(), away: false };
            state.broadcast(&room, Some(id), Payload::PeerAway(back));
        }
        None => {}
    }
    state.set_presence_connected(id, true);
    if let Some(negotiator) = state.peers.get(&id).and_then(|peer| peer.negotiator.as_ref()) {
        // An offer among the missed notifications is sent again with them.
        if is_replayed { negotiator.wake() } else { negotiator.offer_again() }
    }
    let mut kept = keep_listed_objects(state, id, resume);
    kept.position = position;
    kept.is_replayed = is_replayed;
    if is_changed {
        // Otherwise a new signaling process would find the former permissions with the transports.
        kept.updates = super::transports::peer_updates(state, id);
    }
    kept
}

fn keep_listed_objects(state: &mut State, id: PeerId, resume: &Resume) -> KeptObjects {
    use super::lookup::parse_id;
    use control::{ConsumerId, ProducerId, TransportId};
    use std::collections::HashSet;
    let transports: HashSet<_> =
        resume.transports.iter().filter_map(|kept| parse_id(&kept.id)).map(TransportId).collect();
    let producers: HashSet<_> =
        resume.producers.iter().filter_map(|kept| parse_id(&kept.id)).map(ProducerId).collect();
    let consumers: HashSet<_> =
        resume.consumers.iter().filter_map(|kept| parse_id(&kept.id)).map(ConsumerId).collect();

    let mut kept = KeptObjects::default();
    // The new token may permit less than the one with which the objects were created.
    let permissions = state.peers[&id].permissions.clone();
    let policy = state.rooms.get(&state.peers[&id].room).map(|room| room.policy.clone()).unwrap_or_default();
    let may_publish =
        |source: &str| permissions.may_publish(source) && policy.check_publish(&permissions).is_ok();
    // Such a client does not know the objects behind its sections.
    let speaks_sdp = state.peers[&id].negotiator.is_some();
    let own: Vec<_> = state.peers[&id].transports.iter().copied().collect();
    for transport in own {
        let is_permitted = permissions.can_use_plain_transports || !state.transports[&transport].is_plain;
        if is_permitted && (speaks_sdp || transports.contains(&transport)) {
            kept.transports.push(transport.to_string());
        } else if let Some(removed) = state.remove_transport(transport) {
            kept.commands.push((removed.worker, Command::CloseTransport { transport }));
        }
    }
    let own: Vec<_> = state.producers_of(id).collect();
    for producer in own {
        let Some(found) = state.producers.get(&producer) else { continue };
        let worker = state.worker_of(found.transport);
        if may_publish(&found.source) && (speaks_sdp || producers.contains(&producer)) {
            kept.producers.push(producer.to_string());
        } else if let (Some(worker), Some(_)) = (worker, state.remove_producer(producer)) {
            kept.commands.push((worker, Command::CloseProducer { producer }));
        }
    }
    let own: Vec<_> = state.consumers_of(id).collect();
    for consumer in own {
        let worker = state.consumers.get(&consumer).and_then(|consumer| state.worker_of(consumer.transport));
        if permissions.can_subscribe && (speaks_sdp || consumers.contains(&consumer)) {
            kept.consumers.push(consumer.to_string());
        } else if let (Some(worker), Some(_)) = (worker, state.remove_consumer(consumer)) {
            kept.commands.push((worker, Command::CloseConsumer { consumer }));
        }
    }
    for (worker, command, notification) in state.take_forbidden_data(id, &permissions) {
        kept.commands.push((worker, command));
        state.send(id, notification);
    }
    kept
}

/// Adds a new peer, which replaces as many others of the room, and notifies the others.
fn add_peer(
    state: &mut State,
    room: &RoomKey,
    new: NewPeer<'_>,
    replaced: usize,
) -> Result<(PeerId, Vec<u8>), RequestError> {
    let NewPeer { join, socket, session } = new;
    match state.rooms.get(room) {
        Some(found) => found.policy.check_size(found.peers.len() - replaced)?,
        None if state.rooms.len() >= limits::ROOMS_MAX => {
            return Err(RequestError::limit(format!(
                "this server has {} rooms, which is its limit",
                limits::ROOMS_MAX
            )));
        }
        None if session.as_ref().is_some_and(|session| !session.permissions.can_create_room) => {
            let text = "the room does not exist, and the token's permissions do not have canCreateRoom";
            return Err(RequestError::new(ErrorCode::TokenPermission, text));
        }
        _ => {}
    }
    let id = PeerId(random_id());
    let mut secret = vec![0; limits::SECRET_BYTES];
    getrandom::fill(&mut secret).expect("the kernel provides random numbers");
    let permissions = permissions_of(session.as_ref());
    let (user, name, token) = match session {
        Some(Session { user, name, token, .. }) => (user, name, Some(token)),
        None => (format!("guest-{:04x}", id.0 >> 48), None, None),
    };
    let display_name = shown_name(name.as_deref(), &join.display_name, &user);
    let mut peer = Peer {
        room: room.clone(),
        user,
        display_name,
        secret_hash: hash(&secret),
        permissions,
        overrides: Overrides::default(),
        token,
        metadata: String::new(),
        mute: Mute::default(),
        subscribers: BTreeMap::new(),
        socket: Some(socket),
        away_since: Instant::now(),
        absences: 0,
        transports: Default::default(),
        session: SessionState::Handshaking,
        notifications: NotificationLog::new(random_id()),
        former_tokens: VecDeque::new(),
        changes: None,
        mutes: None,
        messages: None,
        quality: PeerQuality::since(since_1970()),
        joined: state.joins,
        negotiator: None,
    };
    state.joins += 1;
    state.publish_joined(id, &peer);
    peer.mute = state.mute_of_new_peer(room, &peer.user);
    state.peers.insert(id, peer);
    state.rooms.entry(room.clone()).or_default().peers.insert(id);
    state.join_presence(id);
    if state.is_visible(id) {
        let joined = proto::PeerJoined { peer: state.peer_info(id) };
        state.broadcast(room, Some(id), Payload::PeerJoined(joined));
    }
    Ok((id, secret))
}

pub(super) fn is_secret_of(peer: &Peer, secret: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(&hash(secret), &peer.secret_hash).is_ok()
}

fn hash(secret: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, secret).as_ref().to_vec()
}
