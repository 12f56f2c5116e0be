//! Every bound of the bus: the reason for its value, and what happens when it is reached.

use std::time::Duration;

/// Events that wait to be sent to NATS: a full room joins and publishes at once. Further ones are dropped and
/// counted.
pub const PUBLISH_QUEUE_LEN: usize = 4_096;

/// Messages that wait for one subscriber of this process. Further ones are lost for this subscriber, and
/// counted.
pub const SUBSCRIPTION_LEN: usize = 4_096;

/// Subscriptions of one bus in process. A further one gets no messages; its end is logged. A process has a few.
pub const SUBSCRIPTIONS_MAX: usize = 256;

/// Messages that the NATS client holds for its connection. With this number, sending waits at most
/// [`SEND_TIMEOUT`].
pub const CLIENT_QUEUE_LEN: usize = 256;

/// Time that one event may wait for a place in the queue of the NATS client: longer means that the server
/// does not read. Then the event is dropped and counted, and the next one is sent.
pub const SEND_TIMEOUT: Duration = Duration::from_millis(500);

/// Bytes of a message. Events have a few hundred; a longer message is dropped and counted by the sender, and
/// ignored by a receiver.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// Time for one attempt to connect to NATS.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Maximum pause between two attempts to connect to NATS. The first attempts follow faster.
pub const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(500);

/// Interval of pings to NATS: after two without an answer the connection counts as lost. This finds a server
/// that has stopped without closing its connections.
pub const NATS_PING_INTERVAL: Duration = Duration::from_secs(5);

/// Time for an answer of JetStream. Afterwards it is not known whether the entry was stored, so it is stored
/// again.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause before a failed attempt to store or read entries is repeated.
pub const STORE_RETRY: Duration = Duration::from_millis(500);

/// Entries of a bucket that are read at once, and that a bus in process keeps. Further ones are ignored and
/// logged; in process, the entry that expires first makes room.
pub const BUCKET_ENTRIES_MAX: usize = 16_384;

/// Revocations that wait until NATS has stored them. A further one is refused and logged.
pub const REVOCATIONS_PENDING_MAX: usize = 4_096;

/// Revocations that a reader gets at once: a worker of the TURN server handles them in one turn.
pub const REVOCATIONS_BATCH: usize = 256;

/// Interval at which a TURN server reads all revocations again, even if the connection was not lost: a message
/// may be dropped where a queue is full.
pub const REVOCATIONS_READ_EVERY: Duration = Duration::from_secs(30);

/// Added to the lifetime of revocations: the clocks of two hosts differ.
pub const REVOCATION_MARGIN: Duration = Duration::from_secs(60);

/// Bytes of a user name in a revocation: with an expiry in front it is a user name of STUN, which has at most
/// 508 bytes. A longer one is refused.
pub const USER_BYTES_MAX: usize = 496;

/// Interval between two reports of a TURN server. Each is a few hundred bytes.
pub const TURN_REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// Reports that a TURN server may miss. After the third, no more clients are sent to it.
pub const TURN_REPORTS_MISSED_MAX: u32 = 3;

/// Interval at which the register looks for TURN servers that are gone.
pub const TURN_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// TURN servers in the register. Reports of further ones are ignored and logged.
pub const TURN_SERVERS_MAX: usize = 1_024;

/// URLs of one TURN server: a browser tries each of them. A report with more is ignored; `leat-turn` refuses
/// more at the start.
pub const TURN_URLS_MAX: usize = 8;

/// Secrets of one TURN server: the one in use, and its predecessor or successor. A report with more is ignored.
pub const TURN_SECRETS_MAX: usize = 2;

/// Bytes of a URL of a TURN server: a host name has at most 253. A longer one is refused.
pub const TURN_URL_BYTES_MAX: usize = 300;

/// Characters of the name of a region. A longer one is refused.
pub const REGION_LEN_MAX: usize = 32;

/// Characters of the id of a TURN server. A report with a longer one is ignored.
pub const SERVER_ID_LEN_MAX: usize = 64;

/// Interval between two log lines about dropped messages.
pub const LOG_INTERVAL: Duration = Duration::from_secs(60);
