//! Coming, coming back, going away and leaving.

use super::state::{Peer, PeerId, RemovedPeer, State};
use super::{Admission, Connection, Rooms, random_id};
use crate::auth::token::{self, Grant, Permissions};
use crate::limits;
use crate::media_node::{AskError, Worker};
use crate::ortc::capabilities;
use crate::proto::{
    self, EncodingPolicy, ErrorCode, Goodbye, IceServer, JoinRoom, Joined, PeerAway, Resume, signal::Payload,
};
use crate::protocol::encode;
use crate::request_error::RequestError;
use aws_lc_rs::{constant_time, digest};
use control::Command;
use prost::Message;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What a join's token is good for.
enum TokenCheck {
    /// Development mode, and no token was shown.
    NotRequired,
    Valid(Grant),
    /// It would be valid, had it not expired: no way in, but no reason either to end a call that goes on.
    Expired {
        user: String,
        failure: RequestError,
    },
}

impl TokenCheck {
    /// Whose it is.
    fn user(&self) -> Option<&str> {
        match self {
            Self::NotRequired => None,
            Self::Valid(Grant { user, .. }) | Self::Expired { user, .. } => Some(user),
        }
    }
}

/// What a returning client still holds, and what the engine is to do about the rest.
#[derive(Default)]
struct KeptObjects {
    transports: Vec<String>,
    producers: Vec<String>,
    consumers: Vec<String>,
    commands: Vec<(Worker, Command)>,
    /// What has to be done before the client hears that it is back.
    updates: Vec<(Worker, Command)>,
}

impl Rooms {
    pub(super) async fn join(
        self: &Arc<Self>,
        connection: &Connection,
        join: JoinRoom,
    ) -> Result<Payload, RequestError> {
        check(&join)?;
        let ticket = self.admit(&join)?;
        if let Some(user) = ticket.user() {
            let mut joins = self.joins_of_users.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = joins.take_of(user.to_owned(), Instant::now());
            drop(joins);
            taken.map_err(|pause| RequestError::limit("too many joins of this user").retry_after(pause))?;
        }
        // Below the token, so that nobody without one uses up everybody's joins. Verifying is bounded per connection.
        let taken = self.joins.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        taken.map_err(|pause| RequestError::limit("too many joins at this server").retry_after(pause))?;

        // A client that comes back to a new process must not be faster than the engine's snapshot.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;

        let (joined, updates) = self.admit_peer(connection, &join, ticket)?;
        for (worker, command) in updates {
            // An engine that is away has lost the transports as well; a slow one is told again.
            if let Err(AskError::TimedOut | AskError::Busy) = self.node.ask(worker, command.clone()).await {
                self.node.tell(worker, command);
            }
        }
        Ok(Payload::Joined(joined))
    }

    /// Lets a new or a returning peer in: the answer, and what the engine has to do before it is given.
    fn admit_peer(
        &self,
        connection: &Connection,
        join: &JoinRoom,
        ticket: TokenCheck,
    ) -> Result<(Joined, Vec<(Worker, Command)>), RequestError> {
        let mut state = self.state();
        match state.connections.get(&connection.id) {
            Some(None) => {}
            Some(Some(_)) => {
                return Err(RequestError::new(
                    ErrorCode::AlreadyJoined,
                    "this connection has joined already; Leave first",
                ));
            }
            None => return Err(RequestError::new(ErrorCode::NotJoined, "the connection is gone")),
        }
        let returning = join.resume.as_ref().and_then(|resume| Some((parse_peer(&resume.peer_id)?, resume)));
        let returning =
            returning.filter(|(id, _)| state.peers.get(id).is_some_and(|peer| peer.room == join.room));
        let socket = (connection.id, connection.outbox.clone());
        let (id, secret, held) = match returning {
            Some((id, resume)) => {
                let grant = check_resume(&state.peers[&id], resume, ticket)?;
                let held = resume_peer(&mut state, id, resume, socket, grant);
                (id, resume.secret.clone(), Some(held))
            }
            None => {
                let grant = match ticket {
                    TokenCheck::NotRequired => None,
                    TokenCheck::Valid(grant) => Some(grant),
                    TokenCheck::Expired { failure, .. } => return Err(failure),
                };
                if let Some(grant) = &grant {
                    self.make_room_for_peer(&mut state, join, &grant.user)?;
                }
                let (id, secret) = add_peer(&mut state, join, socket, grant)?;
                (id, secret, None)
            }
        };
        state.connections.insert(connection.id, Some(id));
        let resumed = held.is_some();
        let held = held.unwrap_or_default();
        for (worker, command) in held.commands {
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
        for news in state.layer_notifications(id) {
            connection.outbox.send(encode(news));
        }
        let ice_servers = self.ice_servers(&peer.user);
        let others = state.rooms[&peer.room].peers.iter().filter(|other| **other != id);
        let joined = Joined {
            peer_id: id.to_string(),
            resume_secret: secret,
            room: peer.room.clone(),
            user: peer.user.clone(),
            display_name: peer.display_name.clone(),
            router_capabilities: Some(capabilities::router(&self.media)),
            peers: others.filter_map(|other| state.peer_info(*other)).collect(),
            resumed,
            engine_epoch: state.media.epoch_text(),
            kept_transports: held.transports,
            kept_producers: held.producers,
            kept_consumers: held.consumers,
            encoding_policy: Some(EncodingPolicy {
                scalability_mode: self.media.scalability_mode.to_string(),
                opus_stereo: self.media.opus.stereo,
                opus_dtx: self.media.opus.dtx,
            }),
            ice_servers,
        };
        Ok((joined, held.updates))
    }

    /// Where this user finds relays, with a credential that is good from now on.
    pub(super) fn ice_servers(&self, user: &str) -> Vec<IceServer> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.turn.iter().map(|turn| turn.ice_server(user, now)).collect()
    }

    /// What the token is good for.
    fn admit(&self, join: &JoinRoom) -> Result<TokenCheck, RequestError> {
        let verifier = match &self.admission {
            Admission::Development { verifier: Some(verifier) } if !join.token.is_empty() => verifier,
            Admission::Development { .. } => return Ok(TokenCheck::NotRequired),
            Admission::TokenRequired(verifier) => verifier,
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        match verifier.verify(&join.token, &join.room, now) {
            Ok(grant) => Ok(TokenCheck::Valid(grant)),
            Err(failure) if failure.code == ErrorCode::TokenExpired && join.resume.is_some() => {
                let grant = verifier.verify_ignoring_expiry(&join.token, &join.room, now)?;
                Ok(TokenCheck::Expired { user: grant.user, failure })
            }
            Err(failure) => Err(failure),
        }
    }

    /// The client's socket is gone. Its place and its media wait for it.
    pub fn disconnect(self: &Arc<Self>, connection: &Connection) {
        connection.outbox.end();
        let mut state = self.state();
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
            "a peer's connection is gone; its place waits"
        );
        let away = PeerAway { peer_id: id.to_string(), away: true };
        state.broadcast(&room, Some(id), Payload::PeerAway(away));
        drop(state);
        self.expire(id, absence, self.timeouts.away);
    }

    /// Sees that one more peer of this user fits into the room. Peers of the user that are away give way: all of them if the client wants
    /// to take over, else those that went away first, as many as it takes.
    fn make_room_for_peer(&self, state: &mut State, join: &JoinRoom, user: &str) -> Result<(), RequestError> {
        let peers = state.peers_of_user(&join.room, user);
        let is_away = |id: &PeerId| state.peers.get(id).is_some_and(|peer| peer.socket.is_none());
        let mut away: Vec<_> = peers.iter().copied().filter(is_away).collect();
        if peers.len() - away.len() >= self.peers_per_user {
            let text = format!(
                "this user is in the room {} times, and may be {} times; leave it elsewhere first",
                peers.len(),
                self.peers_per_user
            );
            return Err(RequestError::limit(text));
        }
        away.sort_by_key(|id| state.peers[id].away_since);
        let too_many = (peers.len() + 1).saturating_sub(self.peers_per_user);
        let gives_way = if join.take_over { away.len() } else { too_many };
        for id in away.into_iter().take(gives_way) {
            self.remove(state, id, "a peer gave way to another of the same user");
        }
        Ok(())
    }

    /// Removes a peer that is not back from this absence in time.
    pub(super) fn expire(self: &Arc<Self>, id: PeerId, absence: u64, timeout: Duration) {
        let rooms = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            let mut state = rooms.state();
            let still_away =
                state.peers.get(&id).is_some_and(|peer| peer.socket.is_none() && peer.absences == absence);
            if still_away {
                rooms.remove(&mut state, id, "a peer did not come back");
            }
        });
    }

    pub(super) fn leave(&self, id: PeerId) {
        self.remove(&mut self.state(), id, "a peer left");
    }

    /// Takes the last word of a page that is gone: its peer leaves, whatever became of its socket.
    pub fn on_leave_beacon(&self, address: IpAddr, message: &[u8]) -> Result<(), RequestError> {
        let mut leave_beacons = self.leave_beacons.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = leave_beacons.take(address, Instant::now());
        drop(leave_beacons);
        taken.map_err(|pause| {
            RequestError::limit("too many leave_beacons from this address").retry_after(pause)
        })?;
        let goodbye =
            Goodbye::decode(message).map_err(|error| RequestError::bad(format!("not a Goodbye: {error}")))?;
        let id = parse_peer(&goodbye.peer_id)
            .ok_or_else(|| RequestError::bad("peer_id must be the 16 hexadecimal digits that Joined gave"))?;
        let mut state = self.state();
        let Some(peer) = state.peers.get(&id) else { return Ok(()) };
        if !is_secret_of(peer, &goodbye.secret) {
            return Err(RequestError::new(ErrorCode::ResumeSecret, "secret is not this peer's"));
        }
        self.remove(&mut state, id, "a peer left with its page");
        Ok(())
    }

    fn remove(&self, state: &mut State, id: PeerId, why: &'static str) {
        let Some(RemovedPeer { peer, transports, routers }) = state.remove_peer(id) else { return };
        tracing::info!(roomId = %peer.room, userId = %peer.user, peerId = %id, "{why}");
        for (transport, worker) in transports {
            self.node.tell(worker, Command::CloseTransport { transport });
        }
        for (router, worker) in routers {
            self.node.tell(worker, Command::CloseRouter { router });
        }
    }
}

/// Checks the form of a join.
fn check(join: &JoinRoom) -> Result<(), RequestError> {
    token::check_room(&join.room).map_err(|wanted| RequestError::bad(format!("room must be {wanted}")))?;
    if join.display_name.chars().count() > limits::DISPLAY_NAME_LEN_MAX
        || join.display_name.chars().any(char::is_control)
    {
        let text = format!(
            "display_name must be at most {} characters, none of them a control character",
            limits::DISPLAY_NAME_LEN_MAX
        );
        return Err(RequestError::bad(text));
    }
    let Some(resume) = &join.resume else { return Ok(()) };
    if resume.secret.len() > limits::SECRET_BYTES_MAX {
        return Err(RequestError::bad("resume.secret is longer than any this server gave out"));
    }
    let longest = resume.transports.len().max(resume.producers.len()).max(resume.consumers.len());
    if longest > limits::RESUME_OBJECTS_MAX {
        return Err(RequestError::bad(format!(
            "resume lists {longest} objects; at most {} of a kind are taken",
            limits::RESUME_OBJECTS_MAX
        )));
    }
    Ok(())
}

fn parse_peer(id: &str) -> Option<PeerId> {
    super::lookup::parse_id(id).map(PeerId)
}

/// Checks that this really is the peer it says it is. Gives back what it may do from now on; `None` is what it might do before.
fn check_resume(peer: &Peer, resume: &Resume, ticket: TokenCheck) -> Result<Option<Grant>, RequestError> {
    let is_its_secret = is_secret_of(peer, &resume.secret);
    match ticket {
        // Its token was good when the call began; the secret says that this is the same call.
        TokenCheck::Expired { user, .. } if is_its_secret && user == peer.user => Ok(None),
        TokenCheck::Expired { failure, .. } => Err(failure),
        _ if !is_its_secret => {
            let text = "resume.secret is not this peer's; join without resume to add_peer as a new one";
            Err(RequestError::new(ErrorCode::ResumeSecret, text))
        }
        TokenCheck::Valid(grant) if grant.user != peer.user => {
            let text = "the token is for another user than the peer it is to resume";
            Err(RequestError::new(ErrorCode::TokenPermission, text))
        }
        TokenCheck::Valid(grant) => Ok(Some(grant)),
        TokenCheck::NotRequired => Ok(None),
    }
}

/// Gives a returning peer its new socket, and closes what its client no longer knows of or may no longer have.
fn resume_peer(
    state: &mut State,
    id: PeerId,
    resume: &Resume,
    socket: (super::ConnectionId, super::Outbox),
    grant: Option<Grant>,
) -> KeptObjects {
    let peer = state.peers.get_mut(&id).expect("the caller found this peer");
    let before = peer.permissions;
    if let Some(grant) = grant {
        peer.permissions = grant.permissions;
    }
    let is_changed = peer.permissions != before;
    let room = peer.room.clone();
    match peer.socket.replace(socket) {
        Some((old, outbox)) => {
            state.connections.insert(old, None);
            let reason = "the same peer has resumed on another connection".into();
            outbox.send(encode(Payload::Evicted(proto::Evicted { reason })));
            outbox.end();
        }
        None => {
            let back = PeerAway { peer_id: id.to_string(), away: false };
            state.broadcast(&room, Some(id), Payload::PeerAway(back));
        }
    }
    let mut held = keep_listed_objects(state, id, resume);
    if is_changed {
        // Else the next process would find the former permissions beside the transports.
        held.updates = super::transports::permission_updates(state, id);
    }
    held
}

fn keep_listed_objects(state: &mut State, id: PeerId, resume: &Resume) -> KeptObjects {
    use super::lookup::parse_id;
    use control::{ConsumerId, ProducerId, TransportId};
    use std::collections::HashSet;
    let transports: HashSet<_> =
        resume.transports.iter().filter_map(|held| parse_id(&held.id)).map(TransportId).collect();
    let producers: HashSet<_> =
        resume.producers.iter().filter_map(|held| parse_id(&held.id)).map(ProducerId).collect();
    let consumers: HashSet<_> =
        resume.consumers.iter().filter_map(|held| parse_id(&held.id)).map(ConsumerId).collect();

    let mut held = KeptObjects::default();
    // A new token may permit less than the one these were made with.
    let Permissions { can_publish, can_subscribe, can_use_plain_transports } = state.peers[&id].permissions;
    let ours: Vec<_> = state.peers[&id].transports.iter().copied().collect();
    for transport in ours {
        let is_permitted = can_use_plain_transports || !state.transports[&transport].is_plain;
        if is_permitted && transports.contains(&transport) {
            held.transports.push(transport.to_string());
        } else if let Some(removed) = state.remove_transport(transport) {
            held.commands.push((removed.worker, Command::CloseTransport { transport }));
        }
    }
    let ours: Vec<_> = state.producers_of(id).collect();
    for producer in ours {
        let worker = state.producers.get(&producer).and_then(|producer| state.worker_of(producer.transport));
        if can_publish && producers.contains(&producer) {
            held.producers.push(producer.to_string());
        } else if let (Some(worker), Some(_)) = (worker, state.remove_producer(producer)) {
            held.commands.push((worker, Command::CloseProducer { producer }));
        }
    }
    let ours: Vec<_> = state.consumers_of(id).collect();
    for consumer in ours {
        let worker = state.consumers.get(&consumer).and_then(|consumer| state.worker_of(consumer.transport));
        if can_subscribe && consumers.contains(&consumer) {
            held.consumers.push(consumer.to_string());
        } else if let (Some(worker), Some(_)) = (worker, state.remove_consumer(consumer)) {
            held.commands.push((worker, Command::CloseConsumer { consumer }));
        }
    }
    held
}

/// Makes a new peer and tells the others.
fn add_peer(
    state: &mut State,
    join: &JoinRoom,
    socket: (super::ConnectionId, super::Outbox),
    grant: Option<Grant>,
) -> Result<(PeerId, Vec<u8>), RequestError> {
    match state.rooms.get(&join.room) {
        Some(room) if room.peers.len() >= limits::PEERS_PER_ROOM_MAX => {
            return Err(RequestError::limit(format!(
                "the room is full: {} peers",
                limits::PEERS_PER_ROOM_MAX
            )));
        }
        None if state.rooms.len() >= limits::ROOMS_MAX => {
            return Err(RequestError::limit(format!(
                "this server has {} rooms and takes no more",
                limits::ROOMS_MAX
            )));
        }
        _ => {}
    }
    let id = PeerId(random_id());
    let mut secret = vec![0; limits::SECRET_BYTES];
    getrandom::fill(&mut secret).expect("the kernel has randomness");
    let (user, name, permissions) = match grant {
        Some(Grant { user, name, permissions }) => (user, name, permissions),
        // Development mode: nobody but this machine is here.
        None => {
            let permissions = Permissions { can_use_plain_transports: true, ..Permissions::default() };
            (format!("guest-{:04x}", id.0 >> 48), None, permissions)
        }
    };
    let shown =
        [name, Some(join.display_name.clone())].into_iter().flatten().find(|name| !name.trim().is_empty());
    let display_name = shown
        .unwrap_or_else(|| user.clone())
        .chars()
        .filter(|c| !c.is_control())
        .take(limits::DISPLAY_NAME_LEN_MAX)
        .collect();
    let peer = Peer {
        room: join.room.clone(),
        user,
        display_name,
        secret_hash: hash(&secret),
        permissions,
        socket: Some(socket),
        away_since: Instant::now(),
        absences: 0,
        transports: Default::default(),
    };
    state.peers.insert(id, peer);
    state.rooms.entry(join.room.clone()).or_default().peers.insert(id);
    let joined = proto::PeerJoined { peer: state.peer_info(id) };
    state.broadcast(&join.room, Some(id), Payload::PeerJoined(joined));
    Ok((id, secret))
}

fn is_secret_of(peer: &Peer, secret: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(&hash(secret), &peer.secret_hash).is_ok()
}

fn hash(secret: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, secret).as_ref().to_vec()
}
