//! All limits, the reason for each, and what happens when it is reached.

use std::time::Duration;

/// TCP connections of one signaling process: a session that polls has two at a time, and each needs a file
/// descriptor. Further ones are closed at once.
pub const CONNECTIONS_MAX: usize = 2 * SESSIONS_MAX;
/// Default limit of TCP connections, and of sessions, of one IPv4 address or IPv6 /64: a school behind one
/// address has a thousand browsers, and an attacker needs 32 addresses to lock out other clients. A further
/// connection is closed at once; a further session gets status 429.
pub const CONNECTIONS_PER_ADDRESS: usize = 1_024;
/// File descriptors for everything except connections: the engine's rings, logs, the runtime.
pub const OTHER_DESCRIPTORS: usize = 256;
/// Pause after `accept` failed, mostly because no file descriptor was free.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for the head of a request, from the start of the connection or from the previous answer; so also the
/// idle time of a connection. Afterwards the connection is closed.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the head of a request: browsers send 1 KiB, and proxies add little. A longer one gets status 431.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Time for a POST with its body: [`PAYLOAD_BYTES_MAX`] at 64 kbit/s. Afterwards it gets status 408.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// Time in which a client reads nothing although data is waiting, before its connection is closed: longer
/// than a phone needs to change networks.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes in the kernel's send buffer for a client (the kernel doubles the value): enough for 2 MB/s at 100
/// ms.
pub const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// Retry-After of a client that was refused because a limit is reached.
pub const QUOTA_PAUSE: Duration = Duration::from_secs(5);
/// Interval between log lines about refused clients.
pub const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Socket.IO sessions of one signaling process, joined or not: sixteen full rooms. A further one gets status
/// 503.
pub const SESSIONS_MAX: usize = 16_384;
/// Bytes of the URI of a request to Socket.IO, which is stored with the session: clients send 80. A longer
/// one gets status 414.
pub const SESSION_URI_BYTES_MAX: usize = 512;
/// Bytes of the name of a namespace in a CONNECT packet; the only namespace is `/`. A longer name ends the
/// session.
pub const NAMESPACE_BYTES_MAX: usize = 64;
/// Time between connecting and joining, before the session is closed: clients join at once, and a join waits
/// at most [`FIRST_SNAPSHOT_TIMEOUT`]. After leaving a room, a client has up to twice this time to join
/// again.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(15);
const _: () = assert!(JOIN_TIMEOUT.as_secs() > 2 * FIRST_SNAPSHOT_TIMEOUT.as_secs());

/// Bytes of one serialized `Signal` from a client: the capabilities of a browser take 6 KiB, a resume with
/// 1,000 consumers 21 KiB. A longer one gets `BAD_MESSAGE`; one that Socket.IO does not buffer
/// ([`PAYLOAD_BYTES_MAX`]) ends the session.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Messages and list elements in a `Signal` from a client: the capabilities of Chrome have 1,100, a resume
/// with 1,000 consumers as many. Each takes two bytes in the message and up to 200 bytes in memory. More get
/// `BAD_MESSAGE` before they are decoded.
pub const MESSAGE_ELEMENTS_MAX: usize = 4_096;
/// Nesting depth of messages; `signal.proto` needs six levels.
pub const MESSAGE_DEPTH_MAX: usize = 8;

/// Bytes that Engine.IO buffers for one packet, in an HTTP body or a WebSocket message: a message and its
/// framing, in base64 if the client polls. A longer packet ends the session.
pub const PAYLOAD_BYTES_MAX: u64 = 128 * 1024;
const _: () = assert!(PAYLOAD_BYTES_MAX as usize > MESSAGE_BYTES_MAX / 3 * 4 + 4096);

/// Time between the packet that announces an attachment and the attachment: 64 KiB on a very slow uplink. A
/// later one ends the session.
pub const ATTACHMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of unanswered requests of a client that has not joined: its JoinRoom and one more message. Further
/// requests get `LIMIT`.
pub const UNANSWERED_BYTES_BEFORE_JOIN: usize = 2 * MESSAGE_BYTES_MAX;
/// Bytes of unanswered requests of a client that has joined: it consumes everything of 500 peers at once,
/// and sends the capabilities of a browser with each request.
pub const UNANSWERED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Pause before a retry of a request that exceeded the limit of unanswered bytes.
pub const UNANSWERED_PAUSE: Duration = Duration::from_millis(200);

/// Messages per second of one connection: consuming and resuming audio and video of 40 peers at once takes
/// 160. Above it, each message gets `LIMIT` and the time for a retry.
pub const MESSAGES_PER_SECOND: f64 = 100.0;
/// Messages of one connection at once, before [`MESSAGES_PER_SECOND`] applies: consuming [`CONSUMERS_PER_PEER_MAX`] tracks.
pub const MESSAGES_BURST: f64 = 2_500.0;

/// Joins per second of all connections, counted after the token was verified. A join takes 0.4 ms of a core
/// of the engine, mostly for ICE and DTLS, so media still gets enough time when all clients reconnect
/// together. Above it, a join gets `LIMIT` and the time for a retry.
pub const JOINS_PER_SECOND: f64 = 1_000.0;
/// Joins at once, before [`JOINS_PER_SECOND`] applies: a full room.
pub const JOINS_BURST: f64 = 1_000.0;

/// Joins per second of one user, so that a user who joins and leaves repeatedly does not use up the joins of
/// others. Above it, a join gets `LIMIT`.
pub const JOINS_PER_SECOND_OF_USER: f64 = 20.0;
/// Joins of one user at once; at least twice the value of `--peers-per-user`.
pub const JOINS_BURST_OF_USER: usize = 100;

/// Bytes of the body of `POST /leave`: an id, a secret and space for future fields. A longer one gets status
/// 413.
pub const LEAVE_BEACON_BYTES_MAX: usize = 1024;
/// `POST /leave` requests per second of one IPv4 address or IPv6 /64. Above it they get status 429, and their
/// peers stay for [`AWAY_TIMEOUT`].
pub const LEAVE_BEACONS_PER_SECOND: f64 = 50.0;
/// `POST /leave` requests at once, before the rate applies: all pages of a full room behind one address are
/// closed together.
pub const LEAVE_BEACONS_BURST: f64 = PEERS_PER_ROOM_MAX as f64;

/// Bytes of the body of `POST /client-logs`: browsers send at most 64 KiB when a page closes, for all of its
/// requests together. A longer one gets status 413.
pub const CLIENT_LOGS_BYTES_MAX: usize = 48 * 1024;
/// Log entries of one `POST /client-logs`: the SDK sends at most half of it. More get status 400, and none is
/// logged.
pub const CLIENT_LOG_ENTRIES_MAX: usize = 100;
/// Characters of the message, or of the error, of a log entry of a page: one sentence. The rest is not logged.
pub const CLIENT_LOG_TEXT_LEN_MAX: usize = 1_024;
/// Characters of the stack of an error in a log entry of a page: some twenty frames. The rest is not logged.
pub const CLIENT_LOG_STACK_LEN_MAX: usize = 2_048;
/// `POST /client-logs` requests per second of one IPv4 address or IPv6 /64: the pages of a school behind one
/// address, each at the rate of [`CLIENT_LOGS_PER_SECOND_OF_PEER`] for a short time. Above it they get status 429,
/// and the page sends the entries later.
pub const CLIENT_LOGS_PER_SECOND: f64 = 50.0;
/// `POST /client-logs` requests of an address at once, before the rate applies: a full room whose pages all note
/// the loss of an engine.
pub const CLIENT_LOGS_BURST: f64 = PEERS_PER_ROOM_MAX as f64;
/// `POST /client-logs` requests per second of one peer: the SDK sends one in ten seconds, and earlier ones if its
/// queue fills. Above it they get status 429.
pub const CLIENT_LOGS_PER_SECOND_OF_PEER: f64 = 0.2;
/// `POST /client-logs` requests of a peer at once, before the rate applies: a join that fails again and again.
pub const CLIENT_LOGS_BURST_OF_PEER: f64 = 10.0;

/// Addresses or users with a token bucket. While all buckets are in use, `POST /leave`, `POST /client-logs` and
/// joins of further addresses and users are refused.
pub const BUCKETS_MAX: usize = 16_384;

/// Rooms of one signaling process. A join that would create another gets `LIMIT`.
pub const ROOMS_MAX: usize = 10_000;
/// Peers in one room, including those that are away. Each is notified of every other, so the cost of a room
/// grows with the square. A further one gets `LIMIT`.
pub const PEERS_PER_ROOM_MAX: usize = 1_000;
/// Default limit of peers of one user in one room: a few devices, and pages whose end was not noticed. A
/// further one replaces a peer that is away, or gets `LIMIT`.
pub const PEERS_PER_USER: usize = 8;
/// Transports of one peer: one to send, one to receive, and both again while they are replaced. A further one
/// gets `LIMIT`.
pub const TRANSPORTS_PER_PEER_MAX: usize = 4;
/// Producers of one peer: microphone, camera, screen, audio of the screen, and as many again. A further one
/// gets `LIMIT`.
pub const PRODUCERS_PER_PEER_MAX: usize = 8;
/// Time in which a publisher answers `BackupWanted` with a producer: a browser needs half a second. Until
/// then, consumers of the backup get the time for a retry; afterwards the codec is not available.
pub const BACKUP_WAIT: Duration = Duration::from_secs(10);
/// Pause before a consumer retries while a backup is expected.
pub const BACKUP_PAUSE: Duration = Duration::from_millis(500);
/// Time after which a publisher is asked for the same backup again: it may have been away.
pub const BACKUP_ASK_AGAIN: Duration = Duration::from_secs(60);

/// Consumers of one peer: cameras and microphones of 500 peers. A further one gets `LIMIT`.
pub const CONSUMERS_PER_PEER_MAX: usize = 1_000;
/// Objects of each kind in a resume. A longer list gets `BAD_MESSAGE`.
pub const RESUME_OBJECTS_MAX: usize = CONSUMERS_PER_PEER_MAX;

/// Bytes of the name of a room; a longer one gets `BAD_MESSAGE`.
pub const ROOM_LEN_MAX: usize = 64;
/// Characters of a display name; a longer one gets `BAD_MESSAGE`.
pub const DISPLAY_NAME_LEN_MAX: usize = 64;
/// Characters of a user id in a token; a longer one gets `TOKEN_MALFORMED`.
pub const USER_LEN_MAX: usize = 128;
/// Bytes of a user id in a token; a longer one gets `TOKEN_MALFORMED`. With a time in front, it is the user
/// name of a TURN credential, which has less than 509 bytes (RFC 8489 §14.3).
pub const USER_BYTES_MAX: usize = 256;
/// Characters of the source of a producer; a longer one gets `BAD_MESSAGE`.
pub const SOURCE_LEN_MAX: usize = 32;
/// Bytes of a token: an RS256 signature and many claims fit. A longer one gets `TOKEN_MALFORMED`.
pub const TOKEN_LEN_MAX: usize = 4096;
/// Clients that wait for one room. A further one gets `LIMIT`.
pub const WAITING_PER_ROOM_MAX: usize = 100;
/// Changes of the policy of a room per second. Each is sent to all peers and stored with
/// [`ROOM_RECORD_COPIES`] transports. Above it, `SetRoom` gets `LIMIT` and the time for a retry.
pub const ROOM_CHANGES_PER_SECOND: f64 = 1.0;
/// Changes at once, before [`ROOM_CHANGES_PER_SECOND`] applies: an administrator sets everything one by one.
pub const ROOM_CHANGES_BURST: f64 = 10.0;
/// Peers with whose transports a change of a room's policy is stored, for the next signaling process; later
/// transports have it too. A restart ends the policy only if all of them have left.
pub const ROOM_RECORD_COPIES: usize = 32;
/// Removed peers whose tokens stay revoked after a restart of signaling, per room: the latest ones.
pub const KICKS_REMEMBERED: usize = 32;
/// Users and names that are banned from a room at a time. A further ban gets `LIMIT`: an administrator can end the
/// bans, or lock the room. Each takes about 30 of the bytes that the engine stores with a transport.
pub const BANS_PER_ROOM_MAX: usize = 64;
/// Users of a room whose mute is kept while they are not in it; the mute of a further one ends when it leaves.
pub const MUTES_REMEMBERED: usize = 256;
/// Least time for which all tokens of a removed user are revoked: longer than tokens are valid.
pub const USER_REVOCATION_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Characters of a reason that an administrator gives; a longer one gets `BAD_MESSAGE`.
pub const REASON_LEN_MAX: usize = 256;
/// Users that a peer names as subscribers, for all its producers together; the engine stores 16 bytes of
/// each. More get `LIMIT`.
pub const SUBSCRIBERS_NAMED_MAX: usize = 256;
/// Changes of its metadata and its subscribers by one peer per second: each is sent to the others and stored
/// with its transports. Above it, `SetMetadata` and `SetSubscribers` get `LIMIT` and the time for a retry.
pub const PEER_CHANGES_PER_SECOND: f64 = 1.0;
/// Changes at once, before [`PEER_CHANGES_PER_SECOND`] applies: an application sets everything after the join.
pub const PEER_CHANGES_BURST: f64 = 20.0;
/// Mutes by one administrator per second; each is an entry in the audit log. Above it, `MutePeer` and
/// `MuteProducer` get `LIMIT` and the time for a retry.
pub const MUTES_PER_SECOND: f64 = 10.0;
/// Mutes at once, before [`MUTES_PER_SECOND`] applies: all peers of a large room.
pub const MUTES_BURST: f64 = 500.0;
/// `QualityReport`s of a peer per second: the SDK sends one in 30 s. Above it, they get `LIMIT` and the time for a
/// retry.
pub const QUALITY_REPORTS_PER_SECOND: f64 = 0.1;
/// `QualityReport`s at once, before [`QUALITY_REPORTS_PER_SECOND`] applies: after the join, and before the end.
pub const QUALITY_REPORTS_BURST: f64 = 4.0;
/// Milliseconds of a join in a `QualityReport`: an administrator admits the client after an hour. A higher value gets
/// `BAD_MESSAGE`, as for the next four.
pub const QUALITY_JOIN_MS_MAX: u32 = 3_600_000;
/// Milliseconds until the first picture in a `QualityReport`: the others start their cameras after a day.
pub const QUALITY_FIRST_FRAME_MS_MAX: u32 = 86_400_000;
/// Freezes in a `QualityReport`: a hundred videos that freeze for half a day.
pub const QUALITY_FREEZES_MAX: u32 = 1_000_000;
/// Jitter and round-trip time in a `QualityReport`, in microseconds: connections end before.
pub const QUALITY_DELAY_US_MAX: u32 = 60_000_000;
/// Packets in a `QualityReport`: the largest number that JSON readers keep.
pub const QUALITY_PACKETS_MAX: u64 = 9_007_199_254_740_992;
/// Freezes of one report that are added to the metric: one client must not determine the number of all.
pub const FREEZES_PER_REPORT: u32 = 100;
/// Records of ended sessions that wait for the database: all sessions of a large process end at once. Further ones are
/// dropped and counted.
pub const QUALITY_QUEUE_LEN: usize = 8_192;
/// Records of ended sessions that one transaction writes.
pub const QUALITY_BATCH_LEN: usize = 100;
/// Attempts to write records that the database refuses. Afterwards they are dropped and counted.
pub const QUALITY_TRIES: u32 = 3;
/// Earlier tokens of a peer, from `RefreshToken` and resumes, that are revoked with it until they expire. More
/// are not revoked, the oldest first: a client does not get more before the first ones have expired.
pub const FORMER_TOKENS_MAX: usize = 8;
/// Bytes of the metadata of a peer, which all other peers get; more get `BAD_MESSAGE`.
pub const METADATA_BYTES_MAX: usize = 1_024;
/// Bytes of the body of `SendMessage`; more get `BAD_MESSAGE`.
pub const MESSAGE_BODY_BYTES_MAX: usize = 16_384;
/// Characters of the topic of `SendMessage`; more get `BAD_MESSAGE`.
pub const TOPIC_LEN_MAX: usize = 64;
/// Receivers that `SendMessage` can name; more get `BAD_MESSAGE`. Without names, all peers of the room get it.
pub const MESSAGE_RECEIVERS_MAX: usize = 256;
/// Bytes of `SendMessage` of one peer per second, where each message counts as [`RELAYED_OVERHEAD`] more than its
/// body: far below what a receiver on a slow network can take ([`OUTSTANDING_BYTES_MAX`] ends its session). Above
/// it, `LIMIT` and the time for a retry.
pub const MESSAGE_BYTES_PER_SECOND: f64 = 32_768.0;
/// Bytes at once, before [`MESSAGE_BYTES_PER_SECOND`] applies.
pub const MESSAGE_BYTES_BURST: f64 = 262_144.0;
/// What a message costs beside its body, in bytes.
pub const RELAYED_OVERHEAD: usize = 512;
/// What a message costs its sender for each receiver, in bytes, if that is more than its content: one sender cannot
/// use up [`DELIVERIES_PER_SECOND`].
pub const RELAYED_PER_RECEIVER: usize = 8;
/// Messages that all peers of a room together receive by `SendMessage` per second: the work of one room. Above
/// it, `LIMIT` and the time for a retry.
pub const DELIVERIES_PER_SECOND: f64 = 20_000.0;
/// Messages at once, before [`DELIVERIES_PER_SECOND`] applies.
pub const DELIVERIES_BURST: f64 = 100_000.0;
/// The SCTP port of the engine (`a=sctp-port`): that of browsers.
pub const SCTP_PORT: u16 = 5_000;
/// Data channels that a client of the SDP flow opens: each is announced to the room. A further one is closed.
pub const CHANNELS_OPENED_PER_SECOND: f64 = 2.0;
/// The burst of that.
pub const CHANNELS_OPENED_BURST: f64 = 32.0;
/// Streams of an SCTP association: stream ids are below. A higher one gets `BAD_MESSAGE`.
pub const DATA_STREAMS_MAX: u16 = 1_024;
/// Bytes of the longest message on a data channel, as the engine accepts it.
pub const DATA_MESSAGE_LEN_MAX: u32 = 262_144;
/// Bytes of the label and of the protocol of a data channel; more get `BAD_MESSAGE`.
pub const DATA_LABEL_LEN_MAX: usize = 64;
/// Data producers of one peer; more get `LIMIT`.
pub const DATA_PRODUCERS_PER_PEER_MAX: usize = 16;
/// Bytes of the id of a token (`jti`); a longer one gets `TOKEN_MALFORMED`.
pub const TOKEN_ID_LEN_MAX: usize = 128;
/// Bytes of the id of a key (`kid`) and of the name of a project; a longer one is refused where it is
/// configured.
pub const KEY_ID_LEN_MAX: usize = 64;
/// Keys with an id in the configuration: two for a rotation, and some issuers. More are refused at the start.
pub const TOKEN_KEYS_MAX: usize = 16;
/// API keys of all projects, about 300 bytes each. Further ones are refused by name.
pub const API_KEYS_MAX: usize = 16_384;
/// Sources in `canPublishSources` of a token; more get `TOKEN_MALFORMED`.
pub const PUBLISH_SOURCES_MAX: usize = 16;
/// Revocations of all projects, up to 500 bytes each. A further one gets `LIMIT`.
pub const REVOCATIONS_MAX: usize = 65_536;
/// Revocations of one project. A further one replaces the one of the project that ends first.
pub const REVOCATIONS_PER_PROJECT_MAX: usize = 4_096;
/// Lowest bitrate limit that a client may set for its transport: less is not enough for audio. A lower one
/// gets `BAD_MESSAGE`.
pub const BITRATE_MIN: u32 = 30_000;
/// Bytes of a MID or RID (RFC 8843 §15, RFC 8851): the maximum of a one-byte header extension. A longer one
/// gets `BAD_MESSAGE`.
pub const MID_LEN_MAX: usize = 16;

/// Entries of a list of codecs, extensions, feedback or parameters: Chrome 156 lists 60 video codecs. A
/// longer list gets `BAD_MESSAGE`.
pub const PARAMETERS_LEN_MAX: usize = 128;

/// Encodings of one producer: browsers send at most three sizes, and the engine reports layers as bits of one
/// byte. More get `BAD_MESSAGE`.
pub const ENCODINGS_MAX: usize = 4;
const _: () = assert!(ENCODINGS_MAX <= 8 && ENCODINGS_MAX <= control::limits::LIST_LEN_MAX);

/// Bytes of a `media.yml`: the built-in one has 1,200, mostly comments. A longer one is refused at the start.
pub const MEDIA_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Notifications within this time are sent in one event: an event costs two WebSocket messages and one turn
/// of the client's event loop, and while a room of 400 fills within a second, each client gets 400
/// notifications.
pub const BATCH_INTERVAL: Duration = Duration::from_millis(25);
/// Bytes of an event above which it is sent without waiting for more notifications: a dozen new peers.
pub const BATCH_BYTES_MAX: usize = 1 << 10;

/// Bytes that wait to be sent to one client: `Joined` of a full room fits, in which every peer has all its
/// producers of both kinds, metadata and a long name. A client above the limit loses its connection; after a resume, `Joined`
/// has the complete state.
pub const OUTSTANDING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of one peer in `Joined`: its metadata, names and ids, and its producers, each with ids, kind and
/// source.
const PEER_BYTES_MAX: usize = METADATA_BYTES_MAX
    + 4 * DISPLAY_NAME_LEN_MAX
    + USER_BYTES_MAX
    + 128
    + PRODUCERS_PER_PEER_MAX * (4 * SOURCE_LEN_MAX + 128)
    + DATA_PRODUCERS_PER_PEER_MAX * (2 * DATA_LABEL_LEN_MAX + 64);
const _: () = assert!(PEERS_PER_ROOM_MAX * PEER_BYTES_MAX < OUTSTANDING_BYTES_MAX);
/// Bytes that a message takes in addition to its content, in the queue and in that of Engine.IO.
pub const MESSAGE_OVERHEAD: usize = 256;
/// Notifications that wait to be sent to one client, whatever their size: all that a full room sends in one
/// burst.
pub const OUTBOX_LEN: usize = 2_048;

/// Notifications of one peer that are kept for a resume, 32 bytes each; the bytes of the notification itself
/// are shared by the peers of a room. A full room changes this often in the time of a long absence. Fewer are
/// kept if they have more than [`REPLAY_BYTES_MAX`]. A client that missed more gets a snapshot.
pub const NOTIFICATIONS_KEPT: usize = 1_024;
/// Bytes of the notifications that are sent again after a resume, with [`MESSAGE_OVERHEAD`]: half of what may
/// wait for a client, so that a resume does not end the connection again. A client that missed more gets a
/// snapshot.
pub const REPLAY_BYTES_MAX: usize = 1024 * 1024;
const _: () = assert!(REPLAY_BYTES_MAX <= OUTSTANDING_BYTES_MAX / 2);
const _: () = assert!(NOTIFICATIONS_KEPT < OUTBOX_LEN);

/// Time that the health check waits for the database: shorter than the timeout of those who ask.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Time in which a client closes its session after the server announced the end, before the server closes it.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Retry-after of requests to a process that is ending: by then its successor is running.
pub const DRAINING_PAUSE: Duration = Duration::from_millis(500);
/// Time that an ending process waits for clients to read their notification. The supervisor kills it after 3
/// s.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
const _: () = assert!(DRAIN_TIMEOUT.as_millis() > CLOSE_TIMEOUT.as_millis());

/// Default number of peers of a room above which further peers are placed on other workers. A room of 32 in
/// which each peer watches 16 others costs a fifth of a core; spreading a smaller one would only make every
/// packet cross between workers.
pub const SPREAD_ABOVE: usize = 32;

/// Unanswered requests to the engine, over all workers. A further one fails with `ENGINE_UNAVAILABLE`.
pub const REQUESTS_MAX: usize = 8_192;
/// Time for an answer of the engine. A turn of a worker takes milliseconds; afterwards the request fails with
/// `ENGINE_UNAVAILABLE`.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause before a command that needs no answer is sent again to a worker that was too busy to take it.
pub const TELL_PAUSE: Duration = Duration::from_millis(100);
/// Number of these attempts. Together they take longer than [`ANSWER_TIMEOUT`], after which entries in the
/// table of requests become free. Then the command is dropped and logged.
pub const TELL_RETRIES_MAX: u32 = 50;
const _: () = assert!(TELL_PAUSE.as_millis() * TELL_RETRIES_MAX as u128 > ANSWER_TIMEOUT.as_millis());

/// Events of the engine that wait for the rooms. When the queue is full, the ring is not read; when the ring
/// is full, the engine drops events and reports an overflow.
pub const NODE_EVENTS_LEN: usize = 1_024;
/// Events that are kept while a worker's snapshot arrives. More means that the engine is broken: it is
/// detached.
pub const SNAPSHOT_BACKLOG_MAX: usize = 65_536;
/// Objects in a worker's snapshot: ten full rooms. More means that the engine is broken: it is detached.
pub const SNAPSHOT_ITEMS_MAX: usize = 1 << 20;

/// Minimum interval between two reports of active speakers of a room: about the time in which a person looks
/// for a face.
pub const SPEAKERS_INTERVAL_MS: u16 = 300;
/// Volume below which a producer is not reported as active, in dB relative to overload: the noise of a quiet
/// room.
pub const SPEAKERS_THRESHOLD_DBOV: i8 = -60;
/// Microphones of a room that are forwarded at once, the loudest ones. In a smaller room all are forwarded;
/// in a larger one this bounds the load of every peer.
pub const LOUDEST_FORWARDED: u8 = 8;

/// Time of one attempt to attach to the engine.
pub const ATTACH_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause after the first failed attempt to attach; doubles with each attempt up to [`ATTACH_PAUSE_MAX`].
pub const ATTACH_PAUSE_MIN: Duration = Duration::from_millis(50);
/// Maximum pause between two attempts to attach.
pub const ATTACH_PAUSE_MAX: Duration = Duration::from_millis(500);

/// Time that joins to a new process wait for the first snapshot of the engine, so that a returning client
/// finds its objects. Afterwards all clients are new.
pub const FIRST_SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time that a peer without a connection stays in its room with its media: longer than a change of networks
/// takes, short enough that the others tolerate a frozen picture.
pub const AWAY_TIMEOUT: Duration = Duration::from_secs(15);
/// The same after a restart of this process: all clients reconnect after the pause of Socket.IO, which is up
/// to 5 s.
pub const AWAY_AFTER_RESTART: Duration = Duration::from_secs(20);

/// Default time without a report of activity after which a peer is IDLE: longer than most people listen
/// without touching anything. A client reports every half minute while it is in use.
pub const IDLE_AFTER: Duration = Duration::from_secs(5 * 60);
/// Changes of presence per second that one client may report: each is sent to the whole room. Above it, a
/// report that changes something gets `LIMIT` and the time for a retry.
pub const PRESENCE_CHANGES_PER_SECOND: f64 = 0.5;
/// Changes of presence of one client at once, before [`PRESENCE_CHANGES_PER_SECOND`] applies.
pub const PRESENCE_CHANGES_BURST: f64 = 10.0;
/// Transitions that wait for one watcher of a room: a quarter of a room. A watcher that falls further behind
/// is closed, and counted.
pub const PRESENCE_QUEUE_LEN: usize = 256;
/// Interval at which peers without activity become IDLE.
pub const PRESENCE_TICK: Duration = Duration::from_secs(1);
/// Interval at which the sessions of other processes are read again, because a process that was killed
/// reports nothing.
pub const SESSIONS_REREAD: Duration = Duration::from_secs(10);

/// GraphQL requests, openings of WebSockets, and operations on them, per second of one IPv4 address or IPv6
/// /64. Above it they get status 429, and operations get `LIMIT`.
pub const GRAPHQL_REQUESTS_PER_SECOND: f64 = 50.0;
/// The same at once, before [`GRAPHQL_REQUESTS_PER_SECOND`] applies.
pub const GRAPHQL_REQUESTS_BURST: f64 = 200.0;
/// Bytes of a GraphQL request, over HTTP or in a WebSocket message: introspection has 2 KiB. A longer one gets
/// status 413, or ends the WebSocket.
pub const GRAPHQL_BODY_BYTES_MAX: usize = 32 * 1024;
/// Depth of a GraphQL query: the introspection of tools has 13 levels, the schema itself 3. A deeper one is
/// refused.
pub const GRAPHQL_DEPTH_MAX: usize = 15;
/// Nesting of brackets in a GraphQL query, because the parser is recursive, and of its selections with all
/// fragments expanded. A deeper one gets status 400.
pub const GRAPHQL_NESTING_MAX: usize = 32;
/// Directives on one field of a GraphQL query. More are refused.
pub const GRAPHQL_DIRECTIVES_MAX: usize = 8;
/// Selections, arguments, directives and values in arguments of a GraphQL document, with all fragments
/// expanded: validation and execution walk each of them. The introspection of tools has 200. A larger document
/// gets status 400.
pub const GRAPHQL_NODES_MAX: usize = 5_000;
/// Values of the schema in the answer to a GraphQL introspection, with lists of an average length: the
/// introspection of tools has 6,000. A query for more gets status 400.
pub const GRAPHQL_INTROSPECTION_MAX: usize = 10_000;
/// Complexity of a GraphQL query: the number of values that a typical answer has, aliases included. A more
/// complex one is refused.
pub const GRAPHQL_COMPLEXITY_MAX: usize = 5_000;
/// Participants of a typical room, for the complexity of a query: a list of them is built under the lock of
/// all rooms.
pub const GRAPHQL_ROOM_COST: usize = 50;
/// Complexity of a number of participants, and of whether a room is empty: nothing is built, but each peer is
/// counted under the lock of all rooms.
pub const GRAPHQL_COUNT_COST: usize = 10;
/// Complexity of a page of rooms, besides what is requested of each: the names of all rooms are compared under
/// their lock.
pub const GRAPHQL_ROOM_LIST_COST: usize = 500;
/// Bytes of a GraphQL response: three rooms of 512 participants with all fields. A longer one is replaced by
/// `LIMIT`, because a client that does not read leaves one in memory for each of its operations.
pub const GRAPHQL_RESPONSE_BYTES_MAX: usize = 512 * 1024;
/// Errors in a GraphQL response. Further ones are left out: a byte of a query can be an error of 100.
pub const GRAPHQL_ERRORS_MAX: usize = 20;
/// Rooms in one page. More are refused.
pub const GRAPHQL_PAGE_MAX: usize = 100;
/// WebSockets with GraphQL of one signaling process: dashboards and servers, not callers. A further one gets
/// status 503.
pub const GRAPHQL_SOCKETS_MAX: usize = 1_024;
/// The same of one IPv4 address or IPv6 /64, unless `--connections-per-address` is less. A further one gets
/// status 429. A sixteenth, so that an IPv6 /48, which has 8 times as many, leaves half to others.
pub const GRAPHQL_SOCKETS_PER_ADDRESS: usize = 64;
const _: () = assert!(8 * GRAPHQL_SOCKETS_PER_ADDRESS <= GRAPHQL_SOCKETS_MAX / 2);
/// Operations, mostly subscriptions, of one GraphQL WebSocket. A further one gets `LIMIT`.
pub const GRAPHQL_OPERATIONS_PER_SOCKET: usize = 32;
/// Operations of one user (`sub`) of a project over all its GraphQL WebSockets, so that a user with many
/// addresses leaves most to others. A further one gets `LIMIT`.
pub const GRAPHQL_OPERATIONS_PER_USER: usize = 512;
/// Operations of all GraphQL WebSockets: each has a queue of [`PRESENCE_QUEUE_LEN`]. A further one gets
/// `LIMIT`.
pub const GRAPHQL_OPERATIONS_MAX: usize = 4_096;
/// Responses that wait to be sent to one GraphQL WebSocket. Further ones wait in their operations.
pub const GRAPHQL_OUTGOING_LEN: usize = 16;
/// Bytes of the id that a client gives to an operation. A longer one ends the WebSocket with code 4400.
pub const GRAPHQL_ID_BYTES_MAX: usize = 128;
/// Messages per second of one GraphQL WebSocket. Above it, the WebSocket is closed with code 1008.
pub const GRAPHQL_MESSAGES_PER_SECOND: f64 = 20.0;
/// Messages of one GraphQL WebSocket at once, before [`GRAPHQL_MESSAGES_PER_SECOND`] applies.
pub const GRAPHQL_MESSAGES_BURST: f64 = 100.0;
/// Time from the opening of a GraphQL WebSocket to its `connection_init`. Afterwards it is closed with code
/// 4408.
pub const GRAPHQL_INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval at which the token of a GraphQL WebSocket is checked, also while the client does not read: its end
/// ends all operations.
pub const GRAPHQL_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Interval of pings of a GraphQL WebSocket. One that is silent for two intervals is closed.
pub const GRAPHQL_PING_INTERVAL: Duration = Duration::from_secs(30);

/// Interval of pings. A client that does not answer within [`PING_TIMEOUT`] loses its connection. This
/// detects networks that disappear; a closed page or connection is noticed at once. A ping and its answer
/// cost a tenth of a millisecond on a core that also forwards media: with 200 clients and an interval of 5 s,
/// a fourteenth of the cost of a livestream to them.
pub const PING_INTERVAL: Duration = Duration::from_secs(10);
/// See [`PING_INTERVAL`].
pub const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a resume secret: 256 bits cannot be guessed.
pub const SECRET_BYTES: usize = 32;
/// Bytes of a resume secret in a request; a longer one gets `BAD_MESSAGE`.
pub const SECRET_BYTES_MAX: usize = 256;

/// TURN URLs that are announced to clients. A browser tries each of them from each of its addresses. More are
/// refused at the start.
pub const TURN_URLS_MAX: usize = 8;

/// Bytes that are read from a file with a password: the longest password and its end of line.
pub const PASSWORD_FILE_BYTES_MAX: u64 = stores::accounts::limits::PASSWORD_BYTES_MAX as u64 + 2;

/// Bytes of the body of a request to `/api/v1`: the longest names and password, each byte of which may take six
/// in JSON. A longer one gets status 413.
pub const API_BODY_BYTES_MAX: usize = 16 * 1024;
/// Requests to `/api/v1` per second of one IPv4 address or IPv6 /64, before anything else of them is looked at: an
/// application server. Above it, they get status 429.
pub const API_REQUESTS_PER_ADDRESS_PER_SECOND: f64 = 100.0;
/// The same at once, before the rate applies.
pub const API_REQUESTS_PER_ADDRESS_BURST: f64 = 1_000.0;
/// New passwords per second of one project, by administrators: each is 20 ms of the threads that logins need too.
/// Above it, they get status 429.
pub const API_PASSWORDS_PER_SECOND: f64 = 2.0;
/// The same at once, before the rate applies: the users of a class.
pub const API_PASSWORDS_BURST: f64 = 50.0;
/// Entries of one page of a list. A request for more gets status 400.
pub const API_PAGE_MAX: usize = 100;
/// Entries of one page by default.
pub const API_PAGE_DEFAULT: usize = 50;
/// Bytes of a cursor: the longest name of a list in base64. A longer one gets status 400.
pub const API_CURSOR_LEN_MAX: usize = 512;
/// Characters of the name of a field in an error. A longer one is cut.
pub const API_FIELD_NAME_LEN_MAX: usize = 64;
/// Objects of a peer in an answer with statistics: each is a question to the engine. Further ones are left out, and
/// the answer says so.
pub const API_STATS_OBJECTS_MAX: usize = 256;
/// The longest lifetime of a token that an administrator asks for: it cannot be taken back without a revocation. A
/// longer one gets status 400.
pub const API_TOKEN_TTL_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Bytes of an `Idempotency-Key`. A longer one gets status 400.
pub const IDEMPOTENCY_KEY_LEN_MAX: usize = 255;
/// Time for which the answer to a request with an `Idempotency-Key` is kept.
pub const IDEMPOTENCY_TTL: Duration = Duration::from_secs(3_600);
/// Answers of one project that are kept. While there are more, requests of the project with a new key get status 429.
pub const IDEMPOTENCY_KEYS_PER_PROJECT: usize = 4_096;
/// Answers of all projects that are kept, each of at most [`API_BODY_BYTES_MAX`]. While there are more, requests with a
/// new key get status 429.
pub const IDEMPOTENCY_KEYS_MAX: usize = 4 * IDEMPOTENCY_KEYS_PER_PROJECT;

/// Logins per second from one IPv4 address or IPv6 /64. Above it, they get status 429.
pub const LOGINS_PER_ADDRESS_PER_SECOND: f64 = 2.0;
/// Logins at once from one address, before the rate applies: a class behind one address begins a lesson.
pub const LOGINS_PER_ADDRESS_BURST: f64 = 100.0;
/// Logins per second of one account, from all addresses: 8,640 guesses of a password in a day. Above it, they
/// get status 429, also with the right password.
pub const LOGINS_PER_ACCOUNT_PER_SECOND: f64 = 0.1;
/// Logins at once of one account, before the rate applies: typing errors, and several devices.
pub const LOGINS_PER_ACCOUNT_BURST: f64 = 10.0;
/// Requests for tokens of rooms per second from one IPv4 address or IPv6 /64: each is two queries. Above it,
/// they get status 429.
pub const ROOM_TOKENS_PER_ADDRESS_PER_SECOND: f64 = 20.0;
/// Requests for tokens at once from one address, before the rate applies: a school behind one address.
pub const ROOM_TOKENS_PER_ADDRESS_BURST: f64 = 1_000.0;
/// Lifetime of the session of a user who logged in: a working day. Afterwards the user logs in again.
pub const SESSION_TTL: Duration = Duration::from_secs(12 * 3_600);
/// Lifetime of a token for a room: it is needed to join, and to resume after a restart of the client.
pub const ROOM_TOKEN_TTL: Duration = Duration::from_secs(3_600);
/// Interval at which the API keys of the database are read: the time until a new key is accepted or a revoked
/// one refused.
pub const API_KEYS_INTERVAL: Duration = Duration::from_secs(3);
/// Pause before a join is tried again while the API keys have not been read since the start.
pub const API_KEYS_PAUSE: Duration = Duration::from_secs(1);
/// Time for which the tokens of a revoked API key are refused by its id, so that their peers cannot resume:
/// longer than a resume is possible. Joins are refused as long as the key is not valid.
pub const API_KEY_REVOCATION: Duration = Duration::from_secs(3_600);
/// Interval at which revocations that have ended are deleted, and old entries of the audit log, if a retention
/// time is configured.
pub const AUDIT_RETENTION_INTERVAL: Duration = Duration::from_secs(3_600);
/// Entries of the audit log about rooms that wait for the database: all that a hundred administrators do in
/// some minutes. Further ones are dropped, counted and logged.
pub const AUDIT_QUEUE_LEN: usize = 4_096;
/// Entries of one project in that queue, so that no project takes the places of others. Further ones are
/// dropped, counted and logged.
pub const AUDIT_QUEUE_OF_PROJECT: usize = AUDIT_QUEUE_LEN / 4;
/// Entries of one project that revoke nothing: mutes must not take the places of kicks.
pub const AUDIT_QUEUE_WITHOUT_REVOCATION: usize = AUDIT_QUEUE_OF_PROJECT / 2;
/// Attempts to write an entry that the database refuses. Afterwards it is dropped and logged.
pub const AUDIT_TRIES: u32 = 3;
/// Pause before an entry of the audit log is written again after the database did not answer.
pub const AUDIT_RETRY: Duration = Duration::from_secs(1);
/// Time at the end of the process to write what waits for the stores: entries of the audit log, sessions,
/// events.
pub const STORES_DRAIN: Duration = Duration::from_secs(2);

/// Sections of a negotiation, open or closed: audio and video of 20 peers, with 1 KiB each in the answer of a
/// browser, of which [`MESSAGE_BYTES_MAX`] leaves a third for its own tracks. Further tracks are not played; a
/// description of a client with more gets `LIMIT`.
pub const NEGOTIATED_SECTIONS_MAX: usize = 40;
const _: () = assert!(NEGOTIATED_SECTIONS_MAX <= sdp::limits::SECTIONS_MAX);
/// Offers and fragments of one client: a page that adds tracks one by one. Further ones get `LIMIT`. An answer to an
/// offer of the server is not counted, because there is at most one for each.
pub const DESCRIPTIONS_PER_SECOND: f64 = 10.0;
/// The burst of that.
pub const DESCRIPTIONS_BURST: f64 = 50.0;
/// Time between a change in a room and the offer to a client: changes that come together are one offer.
pub const NEGOTIATION_PAUSE: Duration = Duration::from_millis(20);
/// Retry-After of a player in a room in which nothing is published.
pub const PLAYER_PAUSE: Duration = Duration::from_secs(2);
/// Bytes of the body of a request with a description or a fragment: as in a message of the signal channel. A longer
/// one gets status 413.
pub const WHIP_BODY_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// Requests to WHIP and WHEP of one IPv4 address or IPv6 /64, before anything else of them is looked at: a school in
/// which every player retries. A further one gets status 429.
pub const WHIP_REQUESTS_PER_ADDRESS_PER_SECOND: f64 = 50.0;
/// The burst of that.
pub const WHIP_REQUESTS_PER_ADDRESS_BURST: f64 = 1_000.0;
/// Time for which a client with a stream key may come back to its call; its media flows as long as it likes.
pub const STREAM_KEY_SESSION: Duration = Duration::from_secs(24 * 3_600);
/// Retry-After while the database of stream keys does not answer.
pub const STREAM_KEY_PAUSE: Duration = Duration::from_secs(2);
/// Streams of events of players. A further one gets status 429.
pub const WHEP_STREAMS_MAX: usize = 1_024;
/// Interval at which the session of a stream of events is looked at.
pub const WHEP_EVENTS_INTERVAL: Duration = Duration::from_secs(1);
/// Number of intervals without an event, after which a comment is sent: proxies close silent connections after a
/// minute.
pub const WHEP_EVENTS_SILENCE: u32 = 20;
/// How often the engine may refuse to open a channel for a data producer, one time after the other, to a client of
/// the SDP flow. After that, the client has no channel for it.
pub const CONSUME_DATA_ATTEMPTS_MAX: u32 = 5;
/// The pause after the first of these; after the second it is twice as long, and so on.
pub const CONSUME_DATA_PAUSE: Duration = Duration::from_secs(1);
/// Time without an answer after which an offer of the server is made again: the answer was refused, or lost. It
/// doubles with each further one, up to [`OFFER_PAUSE_MAX`].
pub const OFFER_PAUSE: Duration = Duration::from_secs(5);
/// The longest such time.
pub const OFFER_PAUSE_MAX: Duration = Duration::from_secs(80);
/// Pause after an answer was refused, before the next offer.
pub const REFUSED_ANSWER_PAUSE: Duration = Duration::from_millis(500);
/// The longest time between changes of what a player plays: a publisher that opens and closes tracks all the time
/// costs each player one change in this time. The first changes after [`PLAYER_QUIET`] come at once.
pub const PLAYER_CHANGE_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Time without a change after which the next one of a player comes at once.
pub const PLAYER_QUIET: Duration = Duration::from_secs(10);
/// Bytes of a stored negotiation: half of what the engine stores with a transport, the rest is for the peer. A longer
/// one is not stored: then the call ends with this process.
pub const SDP_RECORD_BYTES_MAX: usize = 8 * 1024;
/// Sessions of WHIP and WHEP: half of those of Socket.IO. A further one gets status 429.
pub const RESOURCES_MAX: usize = SESSIONS_MAX / 2;
/// New sessions of WHIP and WHEP of one IPv4 address or IPv6 /64, whose clients may never connect. A further one gets
/// status 429.
pub const RESOURCES_PER_ADDRESS_PER_SECOND: f64 = 10.0;
/// The burst of that: a school that opens one page.
pub const RESOURCES_PER_ADDRESS_BURST: f64 = 500.0;
