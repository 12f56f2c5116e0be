//! The rooms: all rooms, who is in them, and what each client may ask for.
//!
//! One lock over plain data ([`state`]), never held while anything is awaited. An object is entered *before* the engine is
//! asked for it and confirmed by the answer; so news that overtakes the answer finds it, and a peer that
//! leaves meanwhile takes it along.

pub mod app_data;
mod backups;
mod consumers;
mod engine_events;
mod hints;
mod join;
mod layers;
mod lookup;
mod outbox;
mod placement;
mod plain;
mod producers;
mod recovery;
mod state;
mod stats;
mod transports;

pub use outbox::{Batch, ConnectionId, Counted, Outbox, Outstanding, Queue, encode};
pub use state::PeerId;

use crate::auth::token::Verifier;
use crate::auth::turn::TurnServer;
use crate::engine::{AskError, Engine};
use crate::limits;
use crate::ortc::media_config::MediaConfig;
use crate::proto::{Ack, ErrorCode, RouterCapabilities, Signal, signal::Payload};
use crate::protocol::bounds;
use crate::request_error::RequestError;
use crate::token_bucket::{TokenBucket, TokenBuckets};
use bytes::Bytes;
use prost::Message;
use state::State;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Who gets in.
pub enum Admission {
    /// Development: development mode. Only where nobody but this machine can connect. Who shows a token is held to it, if there
    /// is a key to check it with.
    Development {
        /// With the development key.
        verifier: Option<Verifier>,
    },
    /// Who has a token.
    TokenRequired(Verifier),
}

/// How patient the rooms is.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// With the engine's first snapshot, before joins go on without it.
    pub settle: Duration,
    /// With a peer whose socket was lost.
    pub away: Duration,
    /// With the peers that a predecessor of this process left behind.
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

/// What a rooms needs to know.
pub struct RoomSettings {
    /// Who gets in.
    pub admission: Admission,
    /// What clients may send, and how.
    pub media: MediaConfig,
    /// The TURN server that clients are sent to.
    pub turn: Option<TurnServer>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Peers of a room beyond which it is spread over the engine's workers.
    pub spread_above: usize,
    /// Peers of one user in one room.
    pub peers_per_user: usize,
}

/// The rooms. One per process.
pub struct Rooms {
    state: Mutex<State>,
    engine: Engine,
    admission: Admission,
    media: MediaConfig,
    turn: Option<TurnServer>,
    timeouts: Timeouts,
    spread_above: usize,
    peers_per_user: usize,
    joins: Mutex<TokenBucket>,
    joins_of_users: Mutex<TokenBuckets<String>>,
    leave_beacons: Mutex<TokenBuckets>,
    /// Whether a returning client would find its objects by now.
    settled: watch::Sender<bool>,
    /// Whether this process is about to end.
    draining: watch::Sender<bool>,
    connections: AtomicU64,
    /// Shared with every connection there is.
    alive: Arc<()>,
}

/// One client's connection.
pub struct Connection {
    id: ConnectionId,
    /// Where the client is.
    address: IpAddr,
    outbox: Outbox,
    messages: Mutex<TokenBucket>,
    _alive: Arc<()>,
}

impl Connection {
    /// What is on its way to the client.
    pub fn outstanding(&self) -> &Outstanding {
        self.outbox.outstanding()
    }
}

impl Rooms {
    /// An empty rooms.
    pub fn new(engine: Engine, settings: RoomSettings) -> Arc<Self> {
        let RoomSettings { admission, media, turn, timeouts, spread_above, peers_per_user } = settings;
        let joins = TokenBucket::new(limits::JOINS_PER_SECOND, limits::JOINS_BURST, Instant::now());
        let burst = limits::JOINS_BURST_OF_USER.max(peers_per_user.saturating_mul(2)) as f64;
        let joins_of_users = TokenBuckets::new(limits::JOINS_PER_SECOND_OF_USER, burst);
        let leave_beacons = TokenBuckets::new(limits::LEAVE_BEACONS_PER_SECOND, limits::LEAVE_BEACONS_BURST);
        let rooms = Arc::new(Self {
            state: Mutex::default(),
            engine,
            admission,
            media,
            turn,
            timeouts,
            spread_above,
            peers_per_user,
            joins: Mutex::new(joins),
            joins_of_users: Mutex::new(joins_of_users),
            leave_beacons: Mutex::new(leave_beacons),
            settled: watch::channel(false).0,
            draining: watch::channel(false).0,
            connections: AtomicU64::new(0),
            alive: Arc::default(),
        });
        let waiting = rooms.clone();
        tokio::spawn(async move {
            tokio::time::sleep(timeouts.settle).await;
            waiting.settled.send_replace(true);
        });
        rooms
    }

    /// A client connected: its connection, and the queue of what to send it.
    pub fn connect(&self, address: IpAddr) -> (Arc<Connection>, Queue) {
        let id = ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed));
        let (outbox, queue) = Outbox::new();
        let messages = TokenBucket::new(limits::MESSAGES_PER_SECOND, limits::MESSAGES_BURST, Instant::now());
        self.state().connections.insert(id, None);
        let messages = Mutex::new(messages);
        (Arc::new(Connection { id, address, outbox, messages, _alive: self.alive.clone() }), queue)
    }

    /// This process is about to end: tells every client so, and takes no request any more but to leave. Peers and their media stay in the
    /// engine, where the next process finds them.
    pub fn drain(&self) {
        self.draining.send_replace(true);
        let state = self.state();
        state.broadcast_all(Payload::Error(draining().into()));
        for (_, outbox) in state.peers.values().filter_map(|peer| peer.socket.as_ref()) {
            outbox.end();
        }
    }

    /// Resolves when [`Self::drain`] was called.
    pub async fn drained(&self) {
        // The sender lives as long as the rooms.
        let _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }

    /// How many connections take memory: the open ones, and those on their way out.
    pub fn connection_count(&self) -> usize {
        Arc::strong_count(&self.alive) - 1
    }

    /// Whether everybody gets in: development mode.
    pub fn is_development_mode(&self) -> bool {
        matches!(self.admission, Admission::Development { .. })
    }

    /// Whether requests that need the engine can be done.
    pub fn is_media_ready(&self) -> bool {
        self.state().media.least_loaded().is_some()
    }

    /// Handles one message; the answer is the acknowledgement's bytes.
    pub async fn on_message(self: &Arc<Self>, connection: &Connection, message: &[u8]) -> Bytes {
        let answer = match decode(connection, message) {
            Ok(payload) => self.on_request(connection, payload).await,
            Err(failure) => Err(failure),
        };
        encode(answer.unwrap_or_else(|failure| {
            tracing::debug!(connection = connection.id.0, error = %failure, "a request failed");
            Payload::Error(failure.into())
        }))
    }

    /// The answer to something that is not even a message. It counts as one.
    pub fn on_invalid_message(&self, connection: &Connection, failure: RequestError) -> Bytes {
        let failure = take_message(connection).err().unwrap_or(failure);
        encode(Payload::Error(failure.into()))
    }

    async fn on_request(
        self: &Arc<Self>,
        connection: &Connection,
        request: Payload,
    ) -> Result<Payload, RequestError> {
        if *self.draining.borrow() && !matches!(request, Payload::Leave(_)) {
            return Err(draining());
        }
        if let Payload::JoinRoom(join) = request {
            return self.join(connection, join).await;
        }
        check_is_request(&request)?;
        let peer = self.peer_behind(connection)?;
        match request {
            Payload::GetRouterCapabilities(_) => {
                let rtp_capabilities = Some(crate::ortc::capabilities::router(&self.media));
                return Ok(Payload::RouterCapabilities(RouterCapabilities { rtp_capabilities }));
            }
            Payload::CreateTransport(create) => return self.create_transport(peer, create).await,
            Payload::CreatePlainTransport(create) => return self.create_plain_transport(peer, create).await,
            Payload::ProduceMedia(produce) => return self.produce(peer, produce).await,
            Payload::ConsumeMedia(consume) => return self.consume(peer, consume).await,
            Payload::RestartIce(restart) => return self.restart_ice(peer, restart).await,
            Payload::GetStats(get) => return self.get_stats(peer, get).await,
            Payload::ConnectTransport(connect) => self.connect_transport(peer, connect).await?,
            Payload::ConnectPlainTransport(connect) => self.connect_plain_transport(peer, connect).await?,
            Payload::CloseTransport(close) => self.close_transport(peer, &close.transport_id)?,
            Payload::PauseProducer(pause) => self.pause_producer(peer, &pause.producer_id).await?,
            Payload::ResumeProducer(resume) => self.resume_producer(peer, &resume.producer_id).await?,
            Payload::CloseProducer(close) => self.close_producer(peer, &close.producer_id)?,
            Payload::PauseConsumer(pause) => self.pause_consumer(peer, &pause.consumer_id).await?,
            Payload::ResumeConsumer(resume) => self.resume_consumer(peer, &resume.consumer_id).await?,
            Payload::CloseConsumer(close) => self.close_consumer(peer, &close.consumer_id)?,
            Payload::SetPreferredLayers(set) => self.set_preferred_layers(peer, set).await?,
            Payload::SetPriority(set) => self.set_priority(peer, set).await?,
            Payload::SetBitrates(set) => self.set_bitrates(peer, set).await?,
            Payload::Leave(_) => self.leave(peer),
            _ => {
                return Err(RequestError::new(
                    ErrorCode::UnsupportedMessage,
                    "this request is not known here",
                ));
            }
        }
        Ok(Payload::Ack(Ack {}))
    }

    /// Whether the client of this connection is in a room.
    pub fn has_joined(&self, connection: &Connection) -> bool {
        self.state().connections.get(&connection.id).copied().flatten().is_some()
    }

    fn peer_behind(&self, connection: &Connection) -> Result<PeerId, RequestError> {
        let peer = self.state().connections.get(&connection.id).copied().flatten();
        peer.ok_or_else(|| RequestError::new(ErrorCode::NotJoined, "JoinRoom comes first"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in a critical section panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a message against its connection's bound.
fn take_message(connection: &Connection) -> Result<(), RequestError> {
    let mut messages = connection.messages.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = messages.take(Instant::now());
    taken.map_err(|pause| RequestError::limit("too many messages from this connection").retry_after(pause))
}

/// Reads a message and checks all that does not depend on who sent it.
fn decode(connection: &Connection, message: &[u8]) -> Result<Payload, RequestError> {
    take_message(connection)?;
    if message.len() > limits::MESSAGE_BYTES_MAX {
        let text =
            format!("a message of {} bytes; at most {} are taken", message.len(), limits::MESSAGE_BYTES_MAX);
        return Err(RequestError::bad(text));
    }
    bounds::check(message).map_err(|error| RequestError::bad(format!("not a Signal: {error}")))?;
    let signal =
        Signal::decode(message).map_err(|error| RequestError::bad(format!("not a Signal: {error}")))?;
    if signal.version.split('.').next() != Some(crate::SIGNAL_VERSION) {
        let text = format!(
            "this server speaks version {} of the signal protocol; say so in Signal.version",
            crate::SIGNAL_VERSION
        );
        return Err(RequestError::new(ErrorCode::UnsupportedVersion, text));
    }
    let missing = || {
        RequestError::new(
            ErrorCode::UnsupportedMessage,
            "the Signal has no payload, or one that is not known here",
        )
    };
    signal.payload.ok_or_else(missing)
}

fn draining() -> RequestError {
    RequestError::new(ErrorCode::Draining, "this server is going down; connect again, perhaps to another one")
        .retry_after(limits::DRAINING_PAUSE)
}

/// Refuses what is no request of the object flow, whoever sends it.
fn check_is_request(payload: &Payload) -> Result<(), RequestError> {
    match payload {
        Payload::Offer(_) | Payload::Answer(_) | Payload::Candidate(_) => Err(RequestError::new(
            ErrorCode::SdpFlowUnsupported,
            "this server offers the object flow only: begin with JoinRoom",
        )),
        Payload::JoinRoom(_)
        | Payload::GetRouterCapabilities(_)
        | Payload::CreateTransport(_)
        | Payload::ConnectTransport(_)
        | Payload::CreatePlainTransport(_)
        | Payload::ConnectPlainTransport(_)
        | Payload::ProduceMedia(_)
        | Payload::ConsumeMedia(_)
        | Payload::PauseProducer(_)
        | Payload::ResumeProducer(_)
        | Payload::CloseProducer(_)
        | Payload::PauseConsumer(_)
        | Payload::ResumeConsumer(_)
        | Payload::CloseConsumer(_)
        | Payload::CloseTransport(_)
        | Payload::RestartIce(_)
        | Payload::GetStats(_)
        | Payload::SetPreferredLayers(_)
        | Payload::SetPriority(_)
        | Payload::SetBitrates(_)
        | Payload::Leave(_) => Ok(()),
        _ => Err(RequestError::new(ErrorCode::UnsupportedMessage, "only a server sends this message")),
    }
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

/// A number nobody can guess. Never 0: that is what an absent id decodes to.
fn random_id() -> u64 {
    getrandom::u64().expect("the kernel has randomness").max(1)
}
