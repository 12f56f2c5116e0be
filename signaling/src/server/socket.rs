//! Socket.IO: one event, `signal`, whose argument is one serialised `Signal`, acknowledged with another. Sessions are Engine.IO's; here they
//! are counted, their messages go to the rooms and its answers back, and they end when they cost too much.

use crate::limits;
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

/// Where Socket.IO is.
pub const PATH: &str = "/socket.io";

/// The sessions there may be, and the connections they use.
pub struct Sessions {
    quota: Arc<Quota>,
    upgrades: Mutex<HashMap<Sid, Upgraded>>,
}

/// The connection of a session that has a WebSocket, from its beginning or since it ended polling.
type Upgraded = Arc<Mutex<Option<StreamHandle>>>;

/// What a session keeps of the request that opened it, for as long as it lives.
#[derive(Clone)]
struct Opening {
    address: IpAddr,
    stream: StreamHandle,
    _permit: Arc<QuotaPermit>,
}

impl Sessions {
    /// So many of all, and so many of one address.
    pub fn new(all: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self { quota: Quota::new(all, per_address), upgrades: Mutex::default() })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.quota.count()
    }

    fn upgrades(&self) -> MutexGuard<'_, HashMap<Sid, Upgraded>> {
        self.upgrades.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves Socket.IO for `rooms`, and all else by `rest`.
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

/// Counts a session before it exists. Engine.IO keeps the head of the request that opened it for as long as it lives, and header values are
/// parts of the buffer that they were read into: only what is needed goes on, in a copy.
pub async fn admit(State(sessions): State<Arc<Sessions>>, request: Request, next: Next) -> Response {
    if !is_ours(request.uri().path()) {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let uri = parts.uri.to_string();
    let (Some(client), true) =
        (parts.extensions.remove::<Client>(), uri.len() <= limits::SESSION_URI_BYTES_MAX)
    else {
        return (StatusCode::URI_TOO_LONG, "the address is too long\n").into_response();
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
    // As Engine.IO reads it: the first one counts, and one that is no session's opens none.
    let sid = parts.uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("sid=")));
    match sid {
        None => match sessions.quota.acquire(Some(client.address)) {
            Ok(permit) => {
                let Client { address, stream, .. } = client;
                parts.extensions.insert(Opening { address, stream, _permit: Arc::new(permit) });
            }
            Err(exceeded) => return refusal(exceeded),
        },
        Some(sid) if parts.headers.contains_key(header::SEC_WEBSOCKET_KEY) => {
            let upgraded = sid.parse().ok().and_then(|sid: Sid| sessions.upgrades().get(&sid).cloned());
            if let Some(upgraded) = upgraded {
                let mut stream = upgraded.lock().unwrap_or_else(PoisonError::into_inner);
                // Behind a proxy a WebSocket is counted by its session alone, so that a session has one; and the one that is there is the
                // one to cut.
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

/// Whether Engine.IO takes this path.
pub fn is_ours(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What Engine.IO calls.
pub struct Handler {
    rooms: Arc<Rooms>,
    sessions: Arc<Sessions>,
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler(_)")
    }
}

type EngineSocket = Socket<OnceLock<Arc<Session>>>;

impl EngineIoHandler for Handler {
    type Data = OnceLock<Arc<Session>>;

    fn on_connect(self: Arc<Self>, socket: Arc<EngineSocket>) {
        // `admit` puts it into every request that opens a session.
        let opening = socket.req_parts.extensions.get::<Opening>();
        let address = opening.map_or(Ipv4Addr::UNSPECIFIED.into(), |opening| opening.address);
        let is_websocket = socket.transport_type() == engineioxide::TransportType::Websocket;
        let stream = opening.filter(|_| is_websocket).map(|opening| opening.stream.clone());
        let upgraded: Upgraded = Arc::new(Mutex::new(stream));
        self.sessions.upgrades().insert(socket.id, upgraded.clone());
        let (connection, queue) = self.rooms.connect(address);
        let (joined, is_joined) = oneshot::channel();
        let session = Arc::new(Session {
            rooms: self.rooms.clone(),
            connection,
            upgraded,
            dialogue: Mutex::new(Dialogue { is_connected: false, awaited: None, joined: Some(joined) }),
            under_way: Arc::default(),
            bytes_under_way: AtomicUsize::new(0),
        });
        // A socket is new here: nothing is in it.
        let session = socket.data.get_or_init(|| session).clone();
        tokio::spawn(session.send_queue(socket, queue, is_joined));
    }

    fn on_disconnect(&self, socket: Arc<EngineSocket>, _: DisconnectReason) {
        self.sessions.upgrades().remove(&socket.id);
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

/// One client's session.
pub struct Session {
    rooms: Arc<Rooms>,
    connection: Arc<Connection>,
    upgraded: Upgraded,
    dialogue: Mutex<Dialogue>,
    /// Read by every request until it is answered, and written by the end: what was said before the end counts, Leave above all.
    under_way: Arc<RwLock<()>>,
    /// Bytes of requests that are not answered yet.
    bytes_under_way: AtomicUsize,
}

/// How far a client has come.
struct Dialogue {
    /// To the namespace.
    is_connected: bool,
    /// A signal whose bytes are to come: the number of its acknowledgement, and until when.
    awaited: Option<(Option<u64>, Instant)>,
    /// To be told of the first join.
    joined: Option<oneshot::Sender<()>>,
}

/// What a client sent as a signal.
enum Message {
    Bytes(Bytes),
    Nonsense(RequestError),
}

impl Session {
    fn on_text(self: Arc<Self>, socket: &Arc<EngineSocket>, text: &str) {
        let mut dialogue = self.dialogue();
        let packet = match socketio::read(text) {
            // An attachment follows its packet at once.
            Ok(packet) if dialogue.awaited.is_none() => packet,
            _ => return close(socket),
        };
        match packet {
            Packet::Connect { namespace: "/" } => {
                dialogue.is_connected = true;
                // Where there is no room for it, the client has asked for it thousands of times.
                let _ = socket.emit(socketio::connected(&socket.id.to_string()));
            }
            Packet::Connect { namespace } if namespace.len() <= limits::NAMESPACE_BYTES_MAX => {
                let _ = socket.emit(socketio::no_such_namespace(namespace));
            }
            Packet::Signal { ack } if dialogue.is_connected => {
                dialogue.awaited = Some((ack, Instant::now() + limits::ATTACHMENT_TIMEOUT));
            }
            Packet::Other { ack } if dialogue.is_connected => {
                drop(dialogue);
                let text = "the event must be \"signal\", its only argument a binary attachment: a serialised Signal";
                self.on_signal(socket, ack, Message::Nonsense(RequestError::bad(text)));
            }
            Packet::Connect { .. } | Packet::Disconnect | Packet::Signal { .. } | Packet::Other { .. } => {
                close(socket);
            }
        }
    }

    fn on_attachment(self: Arc<Self>, socket: &Arc<EngineSocket>, bytes: Bytes) {
        let awaited = self.dialogue().awaited.take();
        match awaited {
            Some((ack, until)) if Instant::now() <= until => {
                self.on_signal(socket, ack, Message::Bytes(bytes))
            }
            _ => close(socket),
        }
    }

    fn on_signal(self: Arc<Self>, socket: &Arc<EngineSocket>, ack: Option<u64>, message: Message) {
        // Here still in the order of what came; none comes after the end.
        let Ok(reading) = self.under_way.clone().try_read_owned() else { return };
        let cost = match &message {
            Message::Bytes(bytes) => bytes.len() + limits::MESSAGE_OVERHEAD,
            Message::Nonsense(_) => limits::MESSAGE_OVERHEAD,
        };
        let bytes_max = match self.dialogue().joined {
            Some(_) => limits::UNANSWERED_BYTES_BEFORE_JOIN,
            None => limits::UNANSWERED_BYTES_MAX,
        };
        let others = self.bytes_under_way.fetch_add(cost, Ordering::Relaxed);
        let message = if others > 0 && others + cost > bytes_max {
            let text = "too many requests of this connection are unanswered";
            Message::Nonsense(RequestError::limit(text).retry_after(limits::UNANSWERED_PAUSE))
        } else {
            message
        };
        let socket = socket.clone();
        tokio::spawn(async move {
            let answer = match message {
                Message::Bytes(bytes) => self.rooms.on_message(&self.connection, &bytes).await,
                Message::Nonsense(failure) => self.rooms.on_invalid_message(&self.connection, failure),
            };
            self.bytes_under_way.fetch_sub(cost, Ordering::Relaxed);
            if let Some(ack) = ack {
                self.send(
                    &socket,
                    socketio::acknowledgement(ack),
                    self.connection.outstanding().count(answer),
                );
            }
            let joined =
                if self.rooms.has_joined(&self.connection) { self.dialogue().joined.take() } else { None };
            // A session that is at its end waits for nothing.
            let _ = joined.map(|joined| joined.send(()));
            drop(reading);
        });
    }

    /// Sends a packet and its attachment; a client that is too far behind loses its connection.
    fn send(&self, socket: &EngineSocket, packet: String, attachment: Counted) {
        let is_over = self.connection.outstanding().is_over();
        match socket.reserve() {
            Ok(permit) if !is_over => {
                permit.emit_many(packet.into(), VecDeque::from([attachment.into_bytes()]));
            }
            // Closed already.
            Err(_) if socket.is_closed() => {}
            _ => self.cut(socket),
        }
    }

    /// Sends what the rooms has for the client, and closes the session when the rooms lets go of it or the client has no use for it.
    async fn send_queue(
        self: Arc<Self>,
        socket: Arc<EngineSocket>,
        mut queue: Queue,
        joined: oneshot::Receiver<()>,
    ) {
        // NodeEvent of a room must not overtake the answer that says what the room is like.
        let has_joined = tokio::select! {
            joined = timeout(limits::JOIN_TIMEOUT, joined) => matches!(joined, Ok(Ok(()))),
            () = self.rooms.drained() => false,
        };
        if !has_joined {
            return self.cut(&socket);
        }
        let mut batch = Batch::default();
        let mut may_leave_at = Instant::now();
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
            batch.push(signal);
            // At once where nothing was said a moment ago; else with what is said until the moment is over.
            while !batch.is_full() {
                let Ok(Some(signal)) = timeout_at(may_leave_at, queue.recv()).await else { break };
                batch.push(signal);
            }
            may_leave_at = Instant::now() + limits::BATCH_INTERVAL;
            if let Some(signal) = batch.take() {
                self.send(&socket, socketio::event(), signal);
            }
        }
        if queue.has_overflowed() {
            return self.cut(&socket);
        }
        // The client closes the session when it reads this.
        if socket.emit(socketio::disconnected()).is_ok() {
            let _ = timeout(limits::CLOSE_TIMEOUT, socket.closed()).await;
        }
        self.cut(&socket);
    }

    /// Ends the session and its connection. A WebSocket whose client does not read would stay until it does.
    fn cut(&self, socket: &EngineSocket) {
        close(socket);
        let upgraded = self.upgraded.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stream) = upgraded {
            stream.cut();
        }
    }

    /// The session is over: once all that the client has said is done, so is its connection.
    async fn end(self: Arc<Self>) {
        let _all_done = self.under_way.write().await;
        self.rooms.disconnect(&self.connection);
        self.dialogue().joined = None;
    }

    fn dialogue(&self) -> MutexGuard<'_, Dialogue> {
        self.dialogue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn close(socket: &EngineSocket) {
    socket.close(DisconnectReason::TransportClose);
}
