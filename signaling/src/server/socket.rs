//! Socket.IO: one event, `signal`, with one serialized `Signal` as its argument, and an acknowledgement with
//! another. Engine.IO manages the sessions. This file counts them, passes their messages to the rooms and the
//! answers back, and ends sessions that exceed a limit.

use crate::limits;
use crate::protocol;
use crate::request_error::RequestError;
use crate::rooms::{Batch, Connection, Counted, Queue, Rooms};
use crate::server::edge::{Client, Quota, QuotaPermit, StreamHandle, refusal};
use crate::server::socketio::{self, Packet};
use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use engineioxide::config::EngineIoConfig;
use engineioxide::handler::EngineIoHandler;
use engineioxide::service::EngineIoService;
use engineioxide::socket::Sid;
use engineioxide::{DisconnectReason, Socket, Str};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::{RwLock, oneshot};
use tokio::time::{Instant, interval_at, timeout, timeout_at};

/// The path of Socket.IO.
pub const PATH: &str = "/socket.io";

/// Counts the sessions, and knows the connections they use.
pub struct Sessions {
    quota: Arc<Quota>,
    websockets: Mutex<HashMap<Sid, WebSocketStream>>,
}

/// The connection of a session's WebSocket, which exists from the start or since the upgrade from polling.
type WebSocketStream = Arc<Mutex<Option<StreamHandle>>>;

/// What a session stores of its first request.
#[derive(Clone)]
struct FirstRequest {
    address: IpAddr,
    stream: StreamHandle,
    _permit: Arc<QuotaPermit>,
}

impl Sessions {
    /// With limits for all sessions and for those of one address.
    pub fn new(all: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { quota: Quota::new(all, per_address), websockets: Mutex::default() })
    }

    /// Number of sessions.
    pub fn count(&self) -> usize {
        self.quota.count()
    }

    fn websockets(&self) -> MutexGuard<'_, HashMap<Sid, WebSocketStream>> {
        self.websockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves Socket.IO for `rooms`, and everything else with `rest`.
pub fn service<S: Clone>(rooms: Arc<Rooms>, sessions: Arc<Sessions>, rest: S) -> EngineIoService<Handler, S> {
    let config = EngineIoConfig::builder()
        .req_path(PATH)
        .ws_max_message_size(limits::PAYLOAD_BYTES_MAX as usize)
        .ws_max_frame_size(limits::PAYLOAD_BYTES_MAX as usize)
        .max_payload(limits::PAYLOAD_BYTES_MAX)
        .max_buffer_size(limits::OUTBOX_LEN)
        .ping_interval(limits::PING_INTERVAL)
        .ping_timeout(limits::PING_TIMEOUT)
        .build();
    EngineIoService::with_config_inner(rest, Arc::new(Handler { rooms, sessions }), config)
}

/// Counts a session before it is opened. Engine.IO stores the head of the first request as long as the
/// session lives, and header values are slices of the receive buffer: so this passes on a copy of what is
/// needed.
pub async fn admit(State(sessions): State<Arc<Sessions>>, request: Request, next: Next) -> Response {
    if !is_socketio_path(request.uri().path()) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let uri = parts.uri.to_string();
    let (Some(client), true) =
        (parts.extensions.remove::<Client>(), uri.len() <= limits::SESSION_URI_BYTES_MAX)
    else {
        return (StatusCode::URI_TOO_LONG, "the URI is too long\n").into_response();
    };
    let Ok(uri) = uri.parse() else { return StatusCode::BAD_REQUEST.into_response() };
    parts.uri = uri;
    parts.extensions.remove::<OriginalUri>();
    let mut headers = HeaderMap::new();
    for name in [header::SEC_WEBSOCKET_KEY, header::CONTENT_TYPE] {
        let value = parts.headers.get(&name).and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
        value.into_iter().for_each(|value| _ = headers.insert(name.clone(), value));
    }
    parts.headers = headers;
    // The same rule as in Engine.IO: the first `sid` counts, and an unknown one opens no session.
    let sid = parts.uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("sid=")));
    match sid {
        None => match sessions.quota.acquire(Some(client.address)) {
            Ok(permit) => {
                let Client { address, stream, .. } = client;
                parts.extensions.insert(FirstRequest { address, stream, _permit: Arc::new(permit) });
            }
            Err(exceeded) => return refusal(exceeded),
        },
        Some(sid) if parts.headers.contains_key(header::SEC_WEBSOCKET_KEY) => {
            let websocket = sid.parse().ok().and_then(|sid: Sid| sessions.websockets().get(&sid).cloned());
            if let Some(websocket) = websocket {
                let mut stream = websocket.lock().unwrap_or_else(PoisonError::into_inner);
                // Behind a proxy, only the session is counted, not its WebSockets. So a session has at most
                // one, and that is the one to close.
                if stream.as_ref().is_some_and(StreamHandle::is_open) {
                    return (StatusCode::BAD_REQUEST, "the session has a WebSocket already\n")
                        .into_response();
                }
                *stream = Some(client.stream);
            }
        }
        Some(_) => {}
    }
    next.run(Request::from_parts(parts, body)).await
}

/// Whether Engine.IO handles this path.
pub fn is_socketio_path(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The callbacks of Engine.IO.
pub struct Handler {
    rooms: Arc<Rooms>,
    sessions: Arc<Sessions>,
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler(_)")
    }
}

type EngineSocket = Socket<OnceLock<Arc<ClientSession>>>;

impl EngineIoHandler for Handler {
    type Data = OnceLock<Arc<ClientSession>>;

    fn on_connect(self: Arc<Self>, socket: Arc<EngineSocket>) {
        // `admit` adds it to every request that opens a session.
        let first = socket.req_parts.extensions.get::<FirstRequest>();
        let address = first.map_or(Ipv4Addr::UNSPECIFIED.into(), |first| first.address);
        let is_websocket = socket.transport_type() == engineioxide::TransportType::Websocket;
        let stream = first.filter(|_| is_websocket).map(|first| first.stream.clone());
        let websocket: WebSocketStream = Arc::new(Mutex::new(stream));
        self.sessions.websockets().insert(socket.id, websocket.clone());
        let (connection, queue) = self.rooms.connect(address);
        let (joined, is_joined) = oneshot::channel();
        let session = Arc::new(ClientSession {
            rooms: self.rooms.clone(),
            connection,
            websocket,
            protocol: Mutex::new(ProtocolState {
                is_connected: false,
                expected_attachment: None,
                joined: Some(joined),
            }),
            in_progress: Arc::default(),
            unanswered_bytes: AtomicUsize::new(0),
            last_description: Mutex::default(),
        });
        // The socket is new, so this is the first value.
        let session = socket.data.get_or_init(|| session).clone();
        tokio::spawn(session.send_queue(socket, queue, is_joined));
    }

    fn on_disconnect(&self, socket: Arc<EngineSocket>, _: DisconnectReason) {
        self.sessions.websockets().remove(&socket.id);
        let Some(session) = socket.data.get().cloned() else { return };
        tokio::spawn(session.end());
    }

    fn on_message(self: &Arc<Self>, text: Str, socket: Arc<EngineSocket>) {
        if let Some(session) = socket.data.get().cloned() {
            session.on_text(&socket, &text);
        }
    }

    fn on_binary(self: &Arc<Self>, bytes: Bytes, socket: Arc<EngineSocket>) {
        if let Some(session) = socket.data.get().cloned() {
            session.on_attachment(&socket, bytes);
        }
    }
}

/// The session of one client.
pub struct ClientSession {
    rooms: Arc<Rooms>,
    connection: Arc<Connection>,
    websocket: WebSocketStream,
    protocol: Mutex<ProtocolState>,
    /// Requests hold a read lock until they are answered; the end of the session takes the write lock. So
    /// requests before the end are done, above all Leave.
    in_progress: Arc<RwLock<()>>,
    /// Bytes of unanswered requests.
    unanswered_bytes: AtomicUsize,
    /// Resolves when the last session description is answered: they are handled in the order of arrival.
    last_description: Mutex<Option<oneshot::Receiver<()>>>,
}

/// The protocol state of a session.
struct ProtocolState {
    /// Whether the client is connected to the namespace.
    is_connected: bool,
    /// A signal whose attachment is expected: the number of its acknowledgement, and the deadline.
    expected_attachment: Option<(Option<u64>, Instant)>,
    /// Sent to at the first join.
    joined: Option<oneshot::Sender<()>>,
}

/// A signal, or a packet without one.
enum Message {
    Bytes(Bytes),
    Invalid(RequestError),
}

impl ClientSession {
    fn on_text(self: Arc<Self>, socket: &Arc<EngineSocket>, text: &str) {
        let mut protocol = self.protocol();
        let packet = match socketio::read(text) {
            // An attachment must follow its packet at once.
            Ok(packet) if protocol.expected_attachment.is_none() => packet,
            _ => return close(socket),
        };
        match packet {
            Packet::Connect { namespace: "/" } => {
                protocol.is_connected = true;
                // Fails only if the queue is full, after thousands of requests.
                let _ = socket.emit(socketio::connected(&socket.id.to_string()));
            }
            Packet::Connect { namespace } if namespace.len() <= limits::NAMESPACE_BYTES_MAX => {
                let _ = socket.emit(socketio::no_such_namespace(namespace));
            }
            Packet::Signal { ack } if protocol.is_connected => {
                protocol.expected_attachment = Some((ack, Instant::now() + limits::ATTACHMENT_TIMEOUT));
            }
            Packet::Other { ack } if protocol.is_connected => {
                drop(protocol);
                let text = "the event must be \"signal\", its only argument a binary attachment: a serialized Signal";
                self.on_signal(socket, ack, Message::Invalid(RequestError::bad(text)));
            }
            Packet::Connect { .. } | Packet::Disconnect | Packet::Signal { .. } | Packet::Other { .. } => {
                close(socket);
            }
        }
    }

    fn on_attachment(self: Arc<Self>, socket: &Arc<EngineSocket>, bytes: Bytes) {
        let expected_attachment = self.protocol().expected_attachment.take();
        match expected_attachment {
            Some((ack, until)) if Instant::now() <= until => {
                self.on_signal(socket, ack, Message::Bytes(bytes))
            }
            _ => close(socket),
        }
    }

    fn on_signal(self: Arc<Self>, socket: &Arc<EngineSocket>, ack: Option<u64>, message: Message) {
        // Here the order of arrival is still known. After the end of the session, messages are ignored.
        let Ok(reading) = self.in_progress.clone().try_read_owned() else { return };
        let cost = match &message {
            Message::Bytes(bytes) => bytes.len() + limits::MESSAGE_OVERHEAD,
            Message::Invalid(_) => limits::MESSAGE_OVERHEAD,
        };
        let bytes_max = match self.protocol().joined {
            Some(_) => limits::UNANSWERED_BYTES_BEFORE_JOIN,
            None => limits::UNANSWERED_BYTES_MAX,
        };
        let others = self.unanswered_bytes.fetch_add(cost, Ordering::Relaxed);
        let message = if others > 0 && others + cost > bytes_max {
            let text = "this connection has too many unanswered requests";
            Message::Invalid(RequestError::limit(text).retry_after(limits::UNANSWERED_PAUSE))
        } else {
            message
        };
        let turn = match &message {
            Message::Bytes(bytes) if protocol::is_description(bytes) => Some(self.next_description()),
            _ => None,
        };
        let socket = socket.clone();
        tokio::spawn(async move {
            let answered = match turn {
                Some((answered, former)) => {
                    if let Some(former) = former {
                        // Resolves with an error when the former request is done.
                        let _ = former.await;
                    }
                    Some(answered)
                }
                None => None,
            };
            let is_description = answered.is_some();
            let answer = match message {
                Message::Bytes(bytes) => self.rooms.on_message(&self.connection, &bytes).await,
                Message::Invalid(error) => self.rooms.on_invalid_message(&self.connection, error),
            };
            self.unanswered_bytes.fetch_sub(cost, Ordering::Relaxed);
            // An offer of the server that was queued before is void for the client, one after it is not: the
            // answer must not overtake them.
            let is_queued = is_description
                && self.rooms.has_joined(&self.connection)
                && ack.is_some_and(|ack| self.connection.answer(ack, answer.clone()));
            if let Some(ack) = ack.filter(|_| !is_queued) {
                self.send(
                    &socket,
                    socketio::acknowledgement(ack),
                    self.connection.outstanding().count(answer),
                );
            }
            let joined =
                if self.rooms.has_joined(&self.connection) { self.protocol().joined.take() } else { None };
            // Nothing receives it if the session is ending.
            let _ = joined.map(|joined| joined.send(()));
            drop((answered, reading));
        });
    }

    /// The turn of a session description: what ends it, and the end of the turn before.
    fn next_description(&self) -> (oneshot::Sender<()>, Option<oneshot::Receiver<()>>) {
        let (answered, is_answered) = oneshot::channel();
        let mut last = self.last_description.lock().unwrap_or_else(PoisonError::into_inner);
        (answered, last.replace(is_answered))
    }

    /// Sends a packet and its attachment. A client that is too far behind loses its connection.
    fn send(&self, socket: &EngineSocket, packet: String, attachment: Counted) {
        let is_over = self.connection.outstanding().is_over();
        match socket.reserve() {
            Ok(permit) if !is_over => {
                permit.emit_many(packet.into(), VecDeque::from([attachment.into_bytes()]));
            }
            // Already closed.
            Err(_) if socket.is_closed() => {}
            _ => self.cut(socket),
        }
    }

    /// Sends the queue of the connection, and closes the session when the rooms end it or when the client
    /// does not join.
    async fn send_queue(
        self: Arc<Self>,
        socket: Arc<EngineSocket>,
        mut queue: Queue,
        joined: oneshot::Receiver<()>,
    ) {
        // The answer to JoinRoom has the state of the room; later notifications must not be sent before it.
        let has_joined = tokio::select! {
            joined = timeout(limits::JOIN_TIMEOUT, joined) => matches!(joined, Ok(Ok(()))),
            () = self.rooms.drained() => false,
        };
        if !has_joined {
            return self.cut(&socket);
        }
        let mut batch = Batch::default();
        let mut answer = None;
        let mut send_at = Instant::now();
        let mut check = interval_at(Instant::now() + limits::JOIN_TIMEOUT, limits::JOIN_TIMEOUT);
        let mut has_left = false;
        loop {
            let signal = tokio::select! {
                signal = queue.recv() => signal,
                _ = check.tick() => {
                    let is_outside = !self.rooms.has_joined(&self.connection);
                    if has_left && is_outside {
                        break;
                    }
                    has_left = is_outside;
                    continue;
                }
            };
            let Some(signal) = signal else { break };
            if signal.acknowledges().is_some() {
                answer = Some(signal);
            } else {
                batch.push(signal);
            }
            // The first notification after a pause is sent at once; further ones are batched until the
            // interval ends, or until an answer.
            while !batch.is_full() && answer.is_none() {
                let Ok(Some(signal)) = timeout_at(send_at, queue.recv()).await else { break };
                if signal.acknowledges().is_some() {
                    answer = Some(signal);
                } else {
                    batch.push(signal);
                }
            }
            send_at = Instant::now() + limits::BATCH_INTERVAL;
            if let Some(signal) = batch.take() {
                self.send(&socket, socketio::event(), signal);
            }
            if let Some(signal) = answer.take()
                && let Some(request) = signal.acknowledges()
            {
                self.send(&socket, socketio::acknowledgement(request), signal);
            }
        }
        if queue.has_overflowed() {
            return self.cut(&socket);
        }
        // The client closes the session when it receives this.
        if socket.emit(socketio::disconnected()).is_ok() {
            let _ = timeout(limits::CLOSE_TIMEOUT, socket.closed()).await;
        }
        self.cut(&socket);
    }

    /// Ends the session and its connection. A WebSocket whose client does not read would remain otherwise.
    fn cut(&self, socket: &EngineSocket) {
        close(socket);
        let websocket = self.websocket.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stream) = websocket {
            stream.cut();
        }
    }

    /// Ends the connection after all requests of the session are done.
    async fn end(self: Arc<Self>) {
        let _all_done = self.in_progress.write().await;
        self.rooms.disconnect(&self.connection);
        self.protocol().joined = None;
    }

    fn protocol(&self) -> MutexGuard<'_, ProtocolState> {
        self.protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn close(socket: &EngineSocket) {
    socket.close(DisconnectReason::TransportClose);
}
