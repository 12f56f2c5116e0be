//! Bounds, the reason for each, and what happens when it is reached.

use std::time::Duration;

/// TCP connections of one signaling process: a session that polls has two at a time, and each takes a descriptor. One more is closed at once.
pub const CONNECTIONS_MAX: usize = 2 * SESSIONS_MAX;
/// TCP connections of one IPv4 address or IPv6 /64, and as many sessions, unless the operator says otherwise: a school behind one address has a
/// thousand browsers, and whoever wants to lock others out needs 32 addresses. One more connection is closed at once, one more session is
/// answered with 429.
pub const CONNECTIONS_PER_ADDRESS: usize = 1_024;
/// Descriptors beside those of connections: the engine's rings, logs, the runtime.
pub const OTHER_DESCRIPTORS: usize = 256;
/// Pause after a connection could not be accepted, mostly for want of descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the head of a request may take, from the connection or from the answer before; so also how long a connection may be idle.
/// Beyond it, the connection closes.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the head of a request: browsers send 1 KiB, and proxies add little. A longer one is answered with 431.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a POST may take with its body: [`PAYLOAD_BYTES_MAX`] over 64 kbit/s. Beyond it, it is answered with 408.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client may read nothing of what waits to be sent, before its connection closes: as long as a phone takes to change networks, and
/// some more.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that the kernel keeps for a client, before it doubles them: enough for 2 MB/s at 100 ms.
pub const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// What a client that was refused for want of room is told to wait.
pub const QUOTA_PAUSE: Duration = Duration::from_secs(5);
/// Between two lines in the log about refused clients.
pub const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Sessions of Socket.IO of one signaling process, joined or not: thirty full rooms. One more is answered with 503.
pub const SESSIONS_MAX: usize = 16_384;
/// Bytes of the address of a request to Socket.IO, which a session keeps: clients send 80. A longer one is answered with 414.
pub const SESSION_URI_BYTES_MAX: usize = 512;
/// Bytes of a namespace's name that is answered: there is only `/`. A longer one ends the session.
pub const NAMESPACE_BYTES_MAX: usize = 64;
/// How long a client that has connected may take to join, before its session is closed: clients join at once, and a join
/// waits [`FIRST_SNAPSHOT_TIMEOUT`] at most. One that has left a room may take up to twice as long to join again.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(15);
const _: () = assert!(JOIN_TIMEOUT.as_secs() > 2 * FIRST_SNAPSHOT_TIMEOUT.as_secs());

/// Bytes of one serialised `Signal` from a client: a browser's capabilities take 6 KiB, a resume with 1 000 consumers 21 KiB. A longer one is
/// answered with `BAD_MESSAGE`; one so long that Socket.IO refuses to buffer it ([`PAYLOAD_BYTES_MAX`]) ends the session.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Messages and list elements in a `Signal` from a client: Chrome's capabilities are 1 100, a resume with 1 000 consumers as many. Each takes up
/// to 200 bytes in memory, for two on the wire. More are answered with `BAD_MESSAGE`, before they are built.
pub const MESSAGE_ELEMENTS_MAX: usize = 4_096;
/// How deep messages may lie within messages: in `signal.proto` six.
pub const MESSAGE_DEPTH_MAX: usize = 8;

/// Bytes Engine.IO buffers for one packet, over HTTP polling or in a WebSocket message: a message and its framing,
/// with base64 over HTTP polling. A longer one ends the session.
pub const PAYLOAD_BYTES_MAX: u64 = 128 * 1024;
const _: () = assert!(PAYLOAD_BYTES_MAX as usize > MESSAGE_BYTES_MAX / 3 * 4 + 4096);

/// How long a message may follow the packet that announced it: ten seconds for 64 KiB is a very slow uplink. One that comes
/// later ends the session.
pub const ATTACHMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of requests that a client which has not joined may have unanswered: its JoinRoom, and another. More are answered with `LIMIT`.
pub const UNANSWERED_BYTES_BEFORE_JOIN: usize = 2 * MESSAGE_BYTES_MAX;
/// The same once it has joined: everybody in a full room consumed at once, with a browser's capabilities each.
pub const UNANSWERED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// When to try again.
pub const UNANSWERED_PAUSE: Duration = Duration::from_millis(200);

/// Messages a second from one connection: 40 peers' audio and video consumed and resumed at once are 160. Above it,
/// each message is answered with `LIMIT` and when to try again.
pub const MESSAGES_PER_SECOND: f64 = 100.0;
/// How many may come at once before [`MESSAGES_PER_SECOND`] holds: a full room consumed in one go.
pub const MESSAGES_BURST: f64 = 2_500.0;

/// Joins a second over all connections, of clients whose token admits them. One takes 0.4 ms of an engine's core, ICE and DTLS
/// above all, which leaves it time for media when everybody comes back at once. Above it, a join is answered with `LIMIT` and
/// when to try again.
pub const JOINS_PER_SECOND: f64 = 1_000.0;
/// How many joins may come at once: two full rooms.
pub const JOINS_BURST: f64 = 1_000.0;

/// The same of one user, so that nobody uses up everybody's joins by joining and leaving in turn. Above it, a join is answered with
/// `LIMIT`.
pub const JOINS_PER_SECOND_OF_USER: f64 = 20.0;
/// How many of them may come at once, and at least twice what `--peers-per-user` lets in.
pub const JOINS_BURST_OF_USER: usize = 100;

/// Bytes of a `POST /leave`: an id, a secret and room for fields to come. A longer one is answered with 413.
pub const LEAVE_BEACON_BYTES_MAX: usize = 1024;
/// Goodbyes a second from one IPv4 address or IPv6 /64. Above it they are answered with 429, and a peer that says one stays for
/// [`AWAY_TIMEOUT`].
pub const LEAVE_BEACONS_PER_SECOND: f64 = 50.0;
/// How many may come at once: a full room behind one address whose pages close together.
pub const LEAVE_BEACONS_BURST: f64 = PEERS_PER_ROOM_MAX as f64;
/// Addresses and users whose rates are remembered. While so many use up their bursts at a time, leave_beacons and joins of others are refused for
/// the moment.
pub const BUCKETS_MAX: usize = 16_384;

/// Rooms of one signaling process. A join that would make another is answered with `LIMIT`.
pub const ROOMS_MAX: usize = 10_000;
/// Peers in one room, also those away. Each hears of every other, so a room costs the square of this. One more is
/// answered with `LIMIT`.
pub const PEERS_PER_ROOM_MAX: usize = 500;
/// Peers of one user in one room, unless the operator says otherwise: a few devices, and some pages whose end was not noticed. One more
/// takes the place of one that is away, or is answered with `LIMIT`.
pub const PEERS_PER_USER: usize = 8;
/// Transports of one peer: one to send, one to receive, and both once more while they are being replaced. One
/// more is answered with `LIMIT`.
pub const TRANSPORTS_PER_PEER_MAX: usize = 4;
/// Producers of one peer: microphone, camera, screen, its sound, and as many again. One more is answered with `LIMIT`.
pub const PRODUCERS_PER_PEER_MAX: usize = 8;
/// How long a publisher may take to produce a codec it was asked for (`BackupWanted`): a browser takes half a second. Until then, who wants it is told to
/// try again; after that, that it cannot be had.
pub const BACKUP_WAIT: Duration = Duration::from_secs(10);
/// Pause before a consumer tries again meanwhile.
pub const BACKUP_PAUSE: Duration = Duration::from_millis(500);
/// After so long a publisher is asked again: it may have been away.
pub const BACKUP_ASK_AGAIN: Duration = Duration::from_secs(60);

/// Consumers of one peer: everything that a full room with camera and microphone produces. One more is answered with `LIMIT`.
pub const CONSUMERS_PER_PEER_MAX: usize = 2 * PEERS_PER_ROOM_MAX;
/// Objects a returning client may claim of each kind. A longer list is answered with `BAD_MESSAGE`.
pub const RESUME_OBJECTS_MAX: usize = CONSUMERS_PER_PEER_MAX;

/// Bytes of a room's name; `BAD_MESSAGE` beyond.
pub const ROOM_LEN_MAX: usize = 64;
/// Characters of a display name; `BAD_MESSAGE` beyond.
pub const DISPLAY_NAME_LEN_MAX: usize = 64;
/// Characters of a user id in a token; `TOKEN_MALFORMED` beyond.
pub const USER_LEN_MAX: usize = 128;
/// Bytes of a user id in a token; `TOKEN_MALFORMED` beyond. With a time before it, it is the user name of a TURN credential, which has less
/// than 509 bytes (RFC 8489 §14.3).
pub const USER_BYTES_MAX: usize = 256;
/// Characters of a producer's source; `BAD_MESSAGE` beyond.
pub const SOURCE_LEN_MAX: usize = 32;
/// Bytes of a token: room for an RS256 signature and generous claims. `TOKEN_MALFORMED` beyond.
pub const TOKEN_LEN_MAX: usize = 4096;
/// Bits a second that a client may bound its transports' rates to: below it not even sound fits. `BAD_MESSAGE` below.
pub const BITRATE_MIN: u32 = 30_000;
/// Bytes of a MID or RID (RFC 8843 §15, RFC 8851): what a one-byte header extension holds. `BAD_MESSAGE` beyond.
pub const MID_LEN_MAX: usize = 16;

/// Entries of a list of codecs, extensions, feedback or parameters: Chrome 156 lists 60 video codecs. `BAD_MESSAGE` beyond.
pub const PARAMETERS_LEN_MAX: usize = 128;

/// Encodings of one producer: browsers send three sizes at most, and layers are bits of a byte in the engine's news. `BAD_MESSAGE` beyond.
pub const ENCODINGS_MAX: usize = 4;
const _: () = assert!(ENCODINGS_MAX <= 8 && ENCODINGS_MAX <= control::limits::LIST_LEN_MAX);

/// Bytes of a `media.yml`: the built-in one has 1 200, nearly all of them comments. A longer one is refused at the start.
pub const MEDIA_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Notifications that come closer together than this go in one event: each event is two WebSocket messages and a turn of the client's event loop, and
/// in a room of 400 that fills within a second each client is told of 400 others.
pub const BATCH_INTERVAL: Duration = Duration::from_millis(25);
/// Bytes of such an event, beyond which it does not wait for more: a dozen newcomers.
pub const BATCH_BYTES_MAX: usize = 1 << 10;

/// Bytes on their way to one client, notifications and acknowledgements: `Joined` of a full room has 500 KiB at most. A client
/// that is further behind loses its connection; when it comes back, `Joined` has all of it.
pub const OUTSTANDING_BYTES_MAX: usize = 2 * 1024 * 1024;
/// What a message costs beside its bytes, in the queue and in Engine.IO's.
pub const MESSAGE_OVERHEAD: usize = 256;
/// Signals waiting to be sent to one client, beside the bound of their bytes: everything a full room can say in one burst.
pub const OUTBOX_LEN: usize = 2_048;

/// How long a client may take to close its session once it was told that it is over, before it is closed from here.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// When to connect again to a server that goes down: its successor is up by then.
pub const DRAINING_PAUSE: Duration = Duration::from_millis(500);
/// How long a process that is asked to end waits until its clients have been told. A supervisor kills it after 3 s.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
const _: () = assert!(DRAIN_TIMEOUT.as_millis() > CLOSE_TIMEOUT.as_millis());

/// Peers of a room beyond which more of them go to other workers, unless told otherwise. A room of 32 in which everybody watches 16 others costs
/// about a fifth of a core: below that, spreading it would only make every packet cross.
pub const SPREAD_ABOVE: usize = 32;

/// Requests to the engine without an answer yet, over all workers. One more fails with `ENGINE_UNAVAILABLE`.
pub const REQUESTS_MAX: usize = 8_192;
/// How long the engine may take to answer. A worker's turn takes milliseconds; after this, the request fails with `ENGINE_UNAVAILABLE`.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause before a command that nobody waits for is sent again to a worker that was too busy to take it.
pub const TELL_PAUSE: Duration = Duration::from_millis(100);
/// How often that is done: longer than [`ANSWER_TIMEOUT`], after which places in the table of requests come free. Then it is
/// given up and logged.
pub const TELL_RETRIES_MAX: u32 = 50;
const _: () = assert!(TELL_PAUSE.as_millis() * TELL_RETRIES_MAX as u128 > ANSWER_TIMEOUT.as_millis());

/// NodeEvent of the engine that wait for the rooms. When full, reading the ring waits; then the ring fills, and the engine
/// coalesces and says so.
pub const NODE_EVENTS_LEN: usize = 1_024;
/// Events kept back while a worker's snapshot arrives. More means a broken engine: the link is dropped.
pub const SNAPSHOT_BACKLOG_MAX: usize = 65_536;
/// Objects in a worker's snapshot: ten full rooms. More means a broken engine: the link is dropped.
pub const SNAPSHOT_ITEMS_MAX: usize = 1 << 20;

/// Between two notices of who speaks in a room, at least: about as fast as somebody looks for a face.
pub const SPEAKERS_INTERVAL_MS: u16 = 300;
/// Who is quieter than this, in decibels relative to overload, is told of to nobody: a quiet room's noise.
pub const SPEAKERS_THRESHOLD_DBOV: i8 = -60;
/// Microphones of a room that are forwarded at once, the loudest. In a smaller room, all; in a larger one nobody misses the
/// others, and everybody's load stays bounded.
pub const LOUDEST_FORWARDED: u8 = 8;

/// How long one attempt to attach may take.
pub const ATTACH_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause after the first failed attempt to attach; doubles each time up to [`ATTACH_PAUSE_MAX`].
pub const ATTACH_PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause between two attempts to attach.
pub const ATTACH_PAUSE_MAX: Duration = Duration::from_millis(500);

/// How long a new process makes joins wait for the engine's first snapshot: a returning client must find its objects. After that,
/// everybody is new.
pub const FIRST_SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a peer whose socket was lost keeps its place and its media: longer than a change of network
/// takes, shorter than others bear a frozen picture.
pub const AWAY_TIMEOUT: Duration = Duration::from_secs(15);
/// The same after a restart of this process: everybody reconnects at once, after Socket.IO's own pause of up to 5 s.
pub const AWAY_AFTER_RESTART: Duration = Duration::from_secs(20);

/// A ping to each client so often; one that is silent for [`PING_TIMEOUT`] after it has lost its socket. Who closes a page or a
/// connection says so, and is not waited for: this is for networks that vanish. A ping and its answer cost a tenth of a millisecond of a core
/// that has media on its mind: with 200 clients, each 5 s, a fourteenth of all that a livestream to them costs.
pub const PING_INTERVAL: Duration = Duration::from_secs(10);
/// See [`PING_INTERVAL`].
pub const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a resume secret: nobody guesses 256 bits.
pub const SECRET_BYTES: usize = 32;
/// Bytes a client may present as one. A longer one is answered with `BAD_MESSAGE`.
pub const SECRET_BYTES_MAX: usize = 256;

/// URLs of the TURN server that clients are told. A browser tries all of them for each of its addresses; more are refused at start.
pub const TURN_URLS_MAX: usize = 8;
