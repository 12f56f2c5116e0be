//! All rooms, their peers, and what each client may request.
//!
//! One lock guards plain data ([`state`]); it is never held across an `await`. An object is entered in the
//! tables *before* the media node is asked for it, and confirmed by the answer ([`reservation`]). So an event
//! that arrives before the answer finds the object, and a peer that leaves in the meantime removes it.

pub mod app_data;
mod audit;
mod author;
mod backups;
mod client_logs;
mod consumers;
mod data;
mod dcep;
mod engine_events;
mod events;
mod hints;
mod join;
mod kick;
mod layers;
mod lookup;
mod messages;
mod metadata;
mod mute;
mod negotiation;
mod negotiator;
mod notification_log;
mod object;
mod observer;
mod operator;
mod outbox;
mod overview;
mod peer_quality;
mod placement;
mod plain;
mod policy;
mod presence;
mod producers;
mod quality;
mod recovery;
mod refresh;
mod reservation;
mod restrictions;
mod roles;
mod room_key;
mod sdp_record;
mod session;
mod state;
mod stats;
mod subscribers;
mod transports;
mod waiting;

pub use audit::{AuditQueue, AuditRecord};
pub use client_logs::TARGET as CLIENT_LOG_TARGET;
pub use negotiation::{
    Accepted, IfMatch, Patched, PlayedMedia, PlayerStatus, Resource, ResourceName, Visitor, WantedLayers,
};
pub use negotiator::Plan;
pub use operator::{Operator, PeerStats};
pub use outbox::{Batch, ConnectionId, Counted, Outbox, Outstanding, Queue};
pub use overview::{PeerDetails, PeerOverview, ProducerOverview, ProjectCounts, RoomOverview};
pub use quality::{QualityQueue, QualityRecord};
pub use restrictions::Overrides;
pub use room_key::RoomKey;
pub use session::{EVENTS, SessionEvent, SessionState, TRANSITIONS};
pub use state::PeerId;

use crate::auth::keyring::Keyring;
use crate::auth::revocations::Revocations;
use crate::auth::since_1970;
use crate::auth::turn::{self, TurnServer};
use crate::limits;
use crate::media_node::{AskError, MediaNode};
use crate::metrics::{QualityMetrics, RequestMetrics};
use crate::ortc::capabilities;
use crate::ortc::media_config::MediaConfig;
use crate::presence::Board;
use crate::proto::{Ack, ErrorCode, RouterCapabilities, signal::Payload};
use crate::protocol::{self, Request, encode};
use crate::request_error::RequestError;
use crate::token_bucket::{TokenBucket, TokenBuckets};
use audit::Auditor;
use bus::Bus;
use bytes::Bytes;
use client_logs::ClientLogs;
use quality::QualityRecorder;
use state::State;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use stores::sessions::Sessions;
use tokio::sync::{Semaphore, watch};
use webhooks::EventIntake;

/// Who may join.
pub enum Admission {
    /// Development mode: every client, and only clients of this machine can connect. A client that shows a
    /// token gets what the token permits, if there is a key to verify it with.
    Development {
        /// With the development key.
        verifier: Option<Keyring>,
    },
    /// Clients with a valid token.
    TokenRequired(Keyring),
}

impl Admission {
    /// The keys that verify tokens, if there are any.
    fn keyring(&self) -> Option<&Keyring> {
        match self {
            Self::Development { verifier } => verifier.as_ref(),
            Self::TokenRequired(keyring) => Some(keyring),
        }
    }
}

/// How long the rooms wait.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the first snapshot of the media node, before joins continue without it.
    pub settle: Duration,
    /// For a peer that lost its connection.
    pub away: Duration,
    /// For the peers of a former signaling process.
    pub restart: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            settle: limits::FIRST_SNAPSHOT_TIMEOUT,
            away: limits::AWAY_TIMEOUT,
            restart: limits::AWAY_AFTER_RESTART,
        }
    }
}

/// The configuration of the rooms.
pub struct RoomSettings {
    /// Who may join.
    pub admission: Admission,
    /// Codecs of the rooms and how clients encode.
    pub media: MediaConfig,
    /// The TURN server that is announced to clients.
    pub turn: Option<TurnServer>,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Number of peers of a room above which further peers are placed on other workers.
    pub spread_above: usize,
    /// Maximum number of peers of one user in one room.
    pub peers_per_user: usize,
    /// Whether clients may have a SHA-1 fingerprint alone.
    pub allows_sha1: bool,
    /// The store of sessions and presence.
    pub sessions: Arc<dyn Sessions>,
    /// Time without activity after which a peer is IDLE.
    pub idle_after: Duration,
}

/// All rooms of this process.
pub struct Rooms {
    state: Mutex<State>,
    node: Arc<dyn MediaNode>,
    admission: Admission,
    revocations: Arc<Revocations>,
    media: MediaConfig,
    turn: Option<TurnServer>,
    timeouts: Timeouts,
    spread_above: usize,
    peers_per_user: usize,
    allows_sha1: bool,
    /// Sessions of WHIP and WHEP.
    resources: Arc<Semaphore>,
    joins: Mutex<TokenBucket>,
    /// By project and user.
    joins_of_users: Mutex<TokenBuckets<(String, String)>>,
    leave_beacons: Mutex<TokenBuckets>,
    client_logs: ClientLogs,
    /// What administrators do.
    auditor: Auditor,
    /// The quality of sessions that have ended.
    quality: QualityRecorder,
    /// Whether the objects of returning clients are known.
    settled: watch::Sender<bool>,
    /// Whether this process is about to end.
    draining: watch::Sender<bool>,
    connections: AtomicU64,
    metrics: RequestMetrics,
    quality_metrics: QualityMetrics,
    /// Cloned into every connection, to count them.
    alive: Arc<()>,
}

/// Numbers of what exists in the rooms of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it; those that need an explanation have one")]
pub struct RoomCounts {
    pub rooms: usize,
    /// With a connection, or with a session of WHIP or WHEP.
    pub peers: usize,
    /// Without a connection, for a limited time.
    pub peers_away: usize,
    /// Clients that an administrator has to admit.
    pub waiting: usize,
    /// Of Socket.IO, WHIP and WHEP.
    pub connections: usize,
    pub transports: usize,
    pub producers: usize,
    pub consumers: usize,
    pub data_producers: usize,
    pub data_consumers: usize,
}

/// The connection of one client.
pub struct Connection {
    id: ConnectionId,
    /// Address of the client.
    address: IpAddr,
    outbox: Outbox,
    messages: Mutex<TokenBucket>,
    _alive: Arc<()>,
}

impl Connection {
    /// The bytes that are queued for the client.
    pub fn outstanding(&self) -> &Outstanding {
        self.outbox.outstanding()
    }

    /// Queues the answer to a request behind the notifications before it. Returns whether the queue is open.
    pub fn answer(&self, request: u64, signal: Bytes) -> bool {
        self.outbox.answer(request, signal)
    }

    /// Counts a message against the rate limit of the connection.
    fn count_message(&self) -> Result<(), RequestError> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = messages.take(Instant::now());
        taken
            .map_err(|pause| RequestError::limit("too many messages from this connection").retry_after(pause))
    }
}

impl Rooms {
    /// No rooms yet, on this media node.
    pub fn new(node: Arc<dyn MediaNode>, settings: RoomSettings) -> Arc<Self> {
        let RoomSettings {
            admission,
            media,
            turn,
            timeouts,
            spread_above,
            peers_per_user,
            allows_sha1,
            sessions,
            idle_after,
        } = settings;
        let presence = Board::new(sessions, idle_after);
        let joins = TokenBucket::new(limits::JOINS_PER_SECOND, limits::JOINS_BURST, Instant::now());
        let burst = limits::JOINS_BURST_OF_USER.max(peers_per_user.saturating_mul(2)) as f64;
        let joins_of_users = TokenBuckets::new(limits::JOINS_PER_SECOND_OF_USER, burst);
        let leave_beacons = TokenBuckets::new(limits::LEAVE_BEACONS_PER_SECOND, limits::LEAVE_BEACONS_BURST);
        // Without keys there are no tokens, and revocations only end calls of guests.
        let revocations = match admission.keyring() {
            Some(keyring) => keyring.revocations().clone(),
            None => Arc::new(Revocations::new(Duration::ZERO)),
        };
        let rooms = Arc::new(Self {
            state: Mutex::new(State { presence, ..State::default() }),
            node,
            admission,
            revocations,
            media,
            turn,
            timeouts,
            spread_above,
            peers_per_user,
            allows_sha1,
            resources: Arc::new(Semaphore::new(limits::RESOURCES_MAX)),
            joins: Mutex::new(joins),
            joins_of_users: Mutex::new(joins_of_users),
            leave_beacons: Mutex::new(leave_beacons),
            client_logs: ClientLogs::default(),
            auditor: Auditor::default(),
            quality: QualityRecorder::default(),
            settled: watch::channel(false).0,
            draining: watch::channel(false).0,
            connections: AtomicU64::new(0),
            metrics: RequestMetrics::default(),
            quality_metrics: QualityMetrics::default(),
            alive: Arc::default(),
        });
        let waiting = rooms.clone();
        tokio::spawn(async move {
            tokio::time::sleep(timeouts.settle).await;
            waiting.settled.send_replace(true);
        });
        tokio::spawn(presence::follow(Arc::downgrade(&rooms)));
        rooms
    }

    /// Publishes what happens in the rooms on this bus, after this call.
    pub fn publish_events(&self, bus: Bus) {
        self.state().observer.bus = Some(bus);
    }

    /// Puts what happens in the rooms into the queue of webhooks, after this call.
    pub fn queue_webhooks(&self, intake: EventIntake) {
        self.state().observer.webhooks = Some(intake);
    }

    /// Revokes the TURN credentials that this user of a project has got so far, and ends its allocations.
    pub fn revoke_turn(&self, project: &str, user: &str) {
        self.revoke_turn_before(project, user, since_1970());
    }

    /// The same for credentials that the user got before `time`, since 1970.
    pub(crate) fn revoke_turn_before(&self, project: &str, user: &str, time: Duration) {
        let user = turn::user_name(project, user);
        self.turn.iter().for_each(|turn| turn.revoke(&user, time));
    }

    /// Opens the connection of a client, and the queue of messages to it.
    pub fn connect(&self, address: IpAddr) -> (Arc<Connection>, Queue) {
        let id = ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed));
        let (outbox, queue) = Outbox::new();
        let messages = TokenBucket::new(limits::MESSAGES_PER_SECOND, limits::MESSAGES_BURST, Instant::now());
        self.state().connections.insert(id, None);
        let messages = Mutex::new(messages);
        (Arc::new(Connection { id, address, outbox, messages, _alive: self.alive.clone() }), queue)
    }

    /// Prepares the end of this process: notifies every client, and refuses all requests except `Leave`.
    /// Peers and their media stay in the engine, where the next process finds them.
    pub fn drain(&self) {
        self.draining.send_replace(true);
        let state = self.state();
        // Without a number, because it concerns the connection, and the log of notifications ends here.
        let signal = encode(Payload::Error(draining().into()));
        for (_, outbox) in state.peers.values().filter_map(|peer| peer.socket.as_ref()) {
            outbox.send(signal.clone());
            outbox.end();
        }
        for client in state.waiting.values() {
            client.outbox.send(encode(Payload::Error(draining().into())));
            client.outbox.end();
        }
    }

    /// Resolves after [`Self::drain`].
    pub async fn drained(&self) {
        // The sender lives as long as `self`.
        let _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }

    /// Number of connections in memory: open ones, and those that are being closed.
    pub fn connection_count(&self) -> usize {
        Arc::strong_count(&self.alive) - 1
    }

    /// What this process counts about requests.
    pub fn metrics(&self) -> &RequestMetrics {
        &self.metrics
    }

    /// What clients measure of their calls.
    pub fn quality_metrics(&self) -> &QualityMetrics {
        &self.quality_metrics
    }

    /// What exists now.
    pub fn counts(&self) -> RoomCounts {
        let state = self.state();
        let away = state.peers.values().filter(|peer| peer.socket.is_none()).count();
        RoomCounts {
            rooms: state.rooms.len(),
            peers: state.peers.len() - away,
            peers_away: away,
            waiting: state.waiting.len(),
            connections: state.connections.len(),
            transports: state.transports.len(),
            producers: state.producers.len(),
            consumers: state.consumers.len(),
            data_producers: state.data_producers.len(),
            data_consumers: state.data_consumers.len(),
        }
    }

    /// The keys that verify tokens; `None` in development mode without a key.
    pub fn keyring(&self) -> Option<&Keyring> {
        self.admission.keyring()
    }

    /// Whether clients need no token.
    pub fn is_development_mode(&self) -> bool {
        matches!(self.admission, Admission::Development { .. })
    }

    /// Whether requests that need the media node can succeed.
    pub fn is_media_ready(&self) -> bool {
        self.state().media.least_loaded().is_some()
    }

    /// Handles one message and returns the bytes of the acknowledgement.
    pub async fn on_message(self: &Arc<Self>, connection: &Connection, message: &[u8]) -> Bytes {
        let since = Instant::now();
        let decoded = connection.count_message().and_then(|()| protocol::decode(message));
        let request = decoded.map(Request::try_from);
        let name = match &request {
            Ok(Ok(request)) => request.into(),
            Ok(Err(_)) => "NO_REQUEST",
            Err(_) => "NOT_READ",
        };
        let answer = match request {
            Ok(request) => self.on_request(connection, request).await,
            Err(error) => Err(error),
        };
        self.metrics.count(name, answer.as_ref().err().map(|error| error.code));
        if matches!(answer, Ok(Payload::Joined(_))) {
            self.metrics.count_join(since.elapsed());
        }
        encode(answer.unwrap_or_else(|error| {
            tracing::debug!(connection = connection.id.0, %error, "a request failed");
            Payload::Error(error.into())
        }))
    }

    /// The answer to a packet that contains no message, which still counts as a message.
    pub fn on_invalid_message(&self, connection: &Connection, error: RequestError) -> Bytes {
        let error = connection.count_message().err().unwrap_or(error);
        self.metrics.count("NOT_READ", Some(error.code));
        encode(Payload::Error(error.into()))
    }

    async fn on_request(
        self: &Arc<Self>,
        connection: &Connection,
        request: Result<Request, RequestError>,
    ) -> Result<Payload, RequestError> {
        if *self.draining.borrow() && !matches!(request, Ok(Request::Leave(_))) {
            return Err(draining());
        }
        let request = request?;
        self.state().check_request(connection.id, &request)?;
        let peer = || self.peer_of(connection);
        match request {
            Request::JoinRoom(join) => return self.join(connection, join).await,
            Request::GetRouterCapabilities => {
                peer()?;
                let rtp_capabilities = Some(capabilities::router(&self.media));
                return Ok(Payload::RouterCapabilities(RouterCapabilities { rtp_capabilities }));
            }
            Request::CreateTransport(create) => return self.create_transport(peer()?, create).await,
            Request::CreatePlainTransport(create) => {
                return self.create_plain_transport(peer()?, create).await;
            }
            Request::ProduceMedia(produce) => return self.produce(peer()?, produce).await,
            Request::ConsumeMedia(consume) => return self.consume(peer()?, consume).await,
            Request::Offer(offer) => return self.on_offer(peer()?, offer).await,
            Request::Answer(answer) => self.on_answer(peer()?, &answer).await?,
            Request::Candidate(candidate) => self.on_candidate(peer()?, &candidate)?,
            Request::RestartIce(restart) => return self.restart_ice(peer()?, restart).await,
            Request::GetStats(get) => return self.get_stats(peer()?, get).await,
            Request::ConnectTransport(connect) => self.connect_transport(peer()?, connect).await?,
            Request::ConnectPlainTransport(connect) => self.connect_plain_transport(peer()?, connect).await?,
            Request::CloseTransport(close) => self.close_transport(peer()?, &close.transport_id)?,
            Request::PauseProducer(pause) => self.pause_producer(peer()?, &pause.producer_id).await?,
            Request::ResumeProducer(resume) => self.resume_producer(peer()?, &resume.producer_id).await?,
            Request::CloseProducer(close) => self.close_producer(peer()?, &close.producer_id)?,
            Request::PauseConsumer(pause) => self.pause_consumer(peer()?, &pause.consumer_id).await?,
            Request::ResumeConsumer(resume) => self.resume_consumer(peer()?, &resume.consumer_id).await?,
            Request::CloseConsumer(close) => self.close_consumer(peer()?, &close.consumer_id)?,
            Request::SetPreferredLayers(set) => self.set_preferred_layers(peer()?, set).await?,
            Request::SetPriority(set) => self.set_priority(peer()?, set).await?,
            Request::SetBitrates(set) => self.set_bitrates(peer()?, set).await?,
            Request::RefreshToken(refresh) => return self.refresh_token(peer()?, refresh).await,
            Request::Kick(kick) => self.kick(peer()?, &kick)?,
            Request::MutePeer(mute) => self.mute_peer(peer()?, &mute).await?,
            Request::MuteProducer(mute) => self.mute_producer(peer()?, &mute).await?,
            Request::SetRoom(set) => self.set_room(peer()?, &set)?,
            Request::AdmitPeer(admit) => self.admit_waiting(peer()?, &admit)?,
            Request::DenyPeer(deny) => self.deny_waiting(peer()?, &deny)?,
            Request::SetSubscribers(set) => self.set_subscribers(peer()?, &set).await?,
            Request::SetMetadata(set) => self.set_metadata(peer()?, set)?,
            Request::Leave(_) if self.stop_waiting(connection) => {}
            Request::SetPresence(set) => self.set_presence(peer()?, &set)?,
            Request::SendMessage(send) => self.send_message(peer()?, send)?,
            Request::ProduceData(produce) => return self.produce_data(peer()?, produce).await,
            Request::ConsumeData(consume) => return self.consume_data(peer()?, consume).await,
            Request::CloseDataProducer(close) => {
                self.close_data_producer(peer()?, &close.data_producer_id)?
            }
            Request::CloseDataConsumer(close) => {
                self.close_data_consumer(peer()?, &close.data_consumer_id)?
            }
            Request::EndRoom(end) => self.end_room(peer()?, &end)?,
            Request::SetAdmin(set) => self.set_admin(peer()?, &set)?,
            Request::QualityReport(report) => self.on_quality_report(peer()?, report)?,
            Request::Leave(leave) => self.leave(peer()?, leave.quality),
        }
        Ok(Payload::Ack(Ack {}))
    }

    /// Whether the client of this connection is in a room, or waits for it.
    pub fn has_joined(&self, connection: &Connection) -> bool {
        let state = self.state();
        state.connections.get(&connection.id).copied().flatten().is_some()
            || state.waiting.contains_key(&connection.id)
    }

    fn peer_of(&self, connection: &Connection) -> Result<PeerId, RequestError> {
        let peer = self.state().connections.get(&connection.id).copied().flatten();
        peer.ok_or_else(lookup::not_joined)
    }

    /// The state of the session on this connection.
    pub fn session(&self, connection: &Connection) -> SessionState {
        self.state().session_of(connection.id)
    }

    /// Number of transitions of sessions that this event has caused.
    pub fn transition_count(&self, event: SessionEvent) -> u64 {
        self.state().transitions.get(&event).copied().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No critical section panics in the middle of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn draining() -> RequestError {
    RequestError::new(ErrorCode::Draining, "this server is shutting down; reconnect")
        .retry_after(limits::DRAINING_PAUSE)
}

impl From<AskError> for RequestError {
    fn from(error: AskError) -> Self {
        let unavailable = |pause_ms| {
            Self::new(ErrorCode::EngineUnavailable, error.to_string())
                .retry_after(Duration::from_millis(pause_ms))
        };
        match &error {
            AskError::Away => unavailable(500),
            AskError::Busy | AskError::TimedOut => unavailable(1_000),
            AskError::Refused { .. } => Self::new(ErrorCode::EngineRefused, error.to_string()),
            AskError::TooLong(_) => {
                Self::new(ErrorCode::Internal, "the request is too large for the media engine")
            }
        }
    }
}

/// An unguessable number. It is never 0, which an absent id decodes to.
fn random_id() -> u64 {
    getrandom::u64().expect("the kernel provides random numbers").max(1)
}
