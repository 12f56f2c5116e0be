//! Fixtures for tests of the object flow: an engine behind a real ring, the rooms of a signaling process, and
//! clients that send `Signal`s.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod api;
pub mod engine;
pub mod polling;
pub mod tokens;

use control::TransportId;
use prost::Message;
use signaling::auth::turn::TurnServer;
use signaling::engine::{Engine, start};
use signaling::ortc::media_config::MediaConfig;
use signaling::proto::{self, ErrorCode, Signal, signal::Payload};
use signaling::request_error::RequestError;
use signaling::rooms::{Admission, Connection, Queue, RoomSettings, Rooms, SessionState, Timeouts};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Waits until this is so, at most [`LIMIT`].
pub async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A signaling process without its HTTP server. Dropping it ends it as if it were killed.
pub struct Signaling {
    pub rooms: Arc<Rooms>,
    follower: JoinHandle<()>,
}

/// Shorter than in production, and longer than any step of a test on a busy machine.
pub const TIMEOUTS: Timeouts = Timeouts {
    settle: Duration::from_secs(3),
    away: Duration::from_secs(3),
    restart: Duration::from_secs(5),
};

/// The limit of every wait. No condition takes this long; afterwards the test fails.
pub const LIMIT: Duration = Duration::from_secs(60);

impl Signaling {
    pub fn start(control_socket: &Path, admission: Admission) -> Self {
        Self::start_with(control_socket, RoomSettings { admission, ..settings() })
    }

    pub fn start_with(control_socket: &Path, settings: RoomSettings) -> Self {
        let engine = Engine::new();
        let rooms = Rooms::new(Arc::new(engine.clone()), settings);
        let (sender, events) = mpsc::channel(64);
        start(engine, control_socket.to_path_buf(), sender).expect("a thread");
        let follower = tokio::spawn(rooms.clone().follow(events));
        Self { rooms, follower }
    }

    /// One that announces a TURN server.
    pub fn start_with_turn(control_socket: &Path, turn: TurnServer) -> Self {
        Self::start_with(control_socket, RoomSettings { turn: Some(turn), ..settings() })
    }

    /// One that places every room on both workers.
    pub fn start_spread(control_socket: &Path) -> Self {
        Self::start_with(control_socket, RoomSettings { spread_above: 0, ..settings() })
    }

    pub fn client(&self) -> Client {
        let (connection, queue) = self.rooms.connect(HERE);
        Client { rooms: self.rooms.clone(), connection, queue }
    }

    /// Ends the process: the link closes, and no client is notified.
    pub async fn kill(self) {
        self.follower.abort();
        let _ = self.follower.await;
        // The thread of the link checks its receiver once a second.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
    }
}

/// The address of all clients.
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Development mode, with the default limits.
pub fn settings() -> RoomSettings {
    RoomSettings {
        admission: Admission::Development { verifier: None },
        media: MediaConfig::default(),
        turn: None,
        timeouts: TIMEOUTS,
        spread_above: signaling::limits::SPREAD_ABOVE,
        peers_per_user: signaling::limits::PEERS_PER_USER,
        allows_sha1: false,
        sessions: Arc::new(stores::sessions::MemorySessions::default()),
        idle_after: signaling::limits::IDLE_AFTER,
    }
}

/// The connection of one client.
pub struct Client {
    pub rooms: Arc<Rooms>,
    connection: Arc<Connection>,
    queue: Queue,
}

impl Client {
    /// Sends a request and returns the answer.
    pub async fn ask(&self, payload: Payload) -> Payload {
        let signal = Signal { version: "1".into(), payload: Some(payload), ..Default::default() };
        self.ask_bytes(&signal.encode_to_vec()).await
    }

    pub async fn ask_bytes(&self, bytes: &[u8]) -> Payload {
        let answer = self.rooms.on_message(&self.connection, bytes).await;
        Signal::decode(answer).expect("a Signal").payload.expect("a payload")
    }

    /// Sends an event without a message.
    pub fn send_invalid_packet(&self) {
        let error = RequestError::bad("not a message");
        assert!(!self.rooms.on_invalid_message(&self.connection, error).is_empty());
    }

    /// The state of its session.
    pub fn session(&self) -> SessionState {
        self.rooms.session(&self.connection)
    }

    /// Sends a request that must fail.
    pub async fn fails(&self, payload: Payload) -> ErrorCode {
        match self.ask(payload).await {
            Payload::Error(error) => {
                assert!(error.message.len() > 10, "a sentence, not {:?}", error.message);
                error.code()
            }
            other => panic!("it should have failed: {other:?}"),
        }
    }

    pub async fn done(&self, payload: Payload) {
        match self.ask(payload).await {
            Payload::Ack(_) => {}
            other => panic!("it should have been done: {other:?}"),
        }
    }

    pub async fn join(&self, join: proto::JoinRoom) -> proto::Joined {
        match self.ask(Payload::JoinRoom(join)).await {
            Payload::Joined(joined) => joined,
            other => panic!("it should have joined: {other:?}"),
        }
    }

    pub async fn transport(&self, direction: &str) -> proto::TransportCreated {
        let create = proto::CreateTransport { direction: direction.into() };
        match self.ask(Payload::CreateTransport(create)).await {
            Payload::TransportCreated(created) => created,
            other => panic!("a transport, not {other:?}"),
        }
    }

    pub async fn produce(&self, transport: &str, kind: &str) -> String {
        match self.ask(produce(transport, kind)).await {
            Payload::ProducerCreated(created) => created.id,
            other => panic!("a producer, not {other:?}"),
        }
    }

    pub async fn consume(&self, transport: &str, producer: &str) -> proto::ConsumerCreated {
        match self.ask(consume(transport, producer)).await {
            Payload::ConsumerCreated(created) => created,
            other => panic!("a consumer, not {other:?}"),
        }
    }

    /// The next notification, except changes of presence.
    pub async fn notification(&mut self) -> Payload {
        loop {
            match self.any_notification().await {
                Payload::PresenceChanged(_) => {}
                other => return other,
            }
        }
    }

    /// The next notification.
    pub async fn any_notification(&mut self) -> Payload {
        let next = tokio::time::timeout(LIMIT, self.queue.recv()).await;
        let bytes = next.expect("a notification").expect("an open connection");
        Signal::decode(bytes.as_ref()).expect("a Signal").payload.expect("a payload")
    }

    /// The next notification with its number, if there is one.
    pub fn queued(&mut self) -> Option<Signal> {
        self.queue.try_recv().map(|bytes| Signal::decode(bytes.as_ref()).expect("a Signal"))
    }

    /// Whether the server has closed this connection, after everything queued is read.
    pub async fn is_closed_by_server(&mut self) -> bool {
        matches!(tokio::time::timeout(LIMIT, self.queue.recv()).await, Ok(None))
    }

    /// Checks that there is no further notification, except changes of presence.
    pub fn no_more_notifications(&mut self) {
        while let Some(bytes) = self.queue.try_recv() {
            let signal = Signal::decode(bytes.as_ref()).expect("a Signal");
            assert!(matches!(signal.payload, Some(Payload::PresenceChanged(_))), "unexpected: {signal:?}");
        }
    }

    /// Breaks the connection.
    pub fn disconnect(self) {
        self.rooms.disconnect(&self.connection);
    }
}

pub fn join(room: &str, name: &str) -> proto::JoinRoom {
    proto::JoinRoom { room: room.into(), display_name: name.into(), ..Default::default() }
}

pub fn dtls(role: &str) -> Option<proto::DtlsParameters> {
    let value = ["AB"; 32].join(":");
    Some(proto::DtlsParameters {
        role: role.into(),
        fingerprints: vec![proto::DtlsFingerprint { algorithm: "sha-256".into(), value }],
    })
}

/// A track with the payload types of the router.
pub fn produce(transport: &str, kind: &str) -> Payload {
    let capabilities = signaling::ortc::capabilities::router(&MediaConfig::default());
    let codecs = capabilities.codecs.iter().filter(|codec| codec.kind == kind).map(|codec| {
        proto::RtpCodecParameters {
            mime_type: codec.mime_type.clone(),
            payload_type: codec.preferred_payload_type,
            clock_rate: codec.clock_rate,
            channels: codec.channels,
            parameters: codec.parameters.clone(),
            rtcp_feedback: codec.rtcp_feedback.clone(),
        }
    });
    let encoding = proto::RtpEncodingParameters { ssrc: Some(0xa5a5), ..Default::default() };
    Payload::ProduceMedia(proto::ProduceMedia {
        transport_id: transport.into(),
        kind: kind.into(),
        rtp_parameters: Some(proto::RtpParameters {
            mid: Some("0".into()),
            codecs: codecs.collect(),
            encodings: vec![encoding],
            ..Default::default()
        }),
        source: "camera".into(),
        ..Default::default()
    })
}

pub fn consume(transport: &str, producer: &str) -> Payload {
    Payload::ConsumeMedia(proto::ConsumeMedia {
        transport_id: transport.into(),
        producer_id: producer.into(),
        rtp_capabilities: Some(signaling::ortc::capabilities::router(&MediaConfig::default())),
        ..Default::default()
    })
}

/// An id of the engine.
pub fn transport_id(id: &str) -> TransportId {
    TransportId(u64::from_str_radix(id, 16).expect("hex"))
}
