//! Every bound of the crate, its reason, and what happens when it is reached.

use std::num::NonZeroU64;
use std::time::Duration;

/// A heap block of at least this size is mapped separately, and returns to the system when it is freed:
/// packet caches of tracks and windows of transports are larger. Smaller blocks come and go with every peer;
/// a system call for each would slow down joining.
pub const LARGE_BLOCK_BYTES: usize = 64 << 10;

/// Listening addresses of one worker: IPv4 and IPv6 on a few interfaces. More are refused at start.
pub const SOCKETS_MAX: usize = 16;

/// Sockets on demand that are open at once; their numbers are dense. Further requests are refused. It is the
/// number of dynamic ports (RFC 6335 §6).
pub const ON_DEMAND_SOCKETS_MAX: usize = 16_384;

/// Ports in use by other processes that one search for a free port tries, about 20 µs each. Then the search
/// fails; the next one continues behind them.
pub const PORT_TRIES_MAX: usize = 64;

/// Messages of one `recvmmsg`: a frame burst of several publishers. The next call receives the rest.
pub const RECEIVE_MESSAGES: usize = 64;

/// Bytes of one receive buffer with GRO: the kernel fills at most one IP packet, 65 535 bytes. Only pages
/// that datagrams reach are used, so 64 buffers cost what arrives, not 4 MiB.
pub const RECEIVE_BYTES_GRO: usize = 64 << 10;

/// Bytes of one receive buffer without GRO: any datagram of a 1500-byte link. The kernel truncates a longer
/// one; it is dropped and counted.
pub const RECEIVE_BYTES_PLAIN: usize = 2 << 10;

/// Added to the distance of receive buffers, an odd number of cache lines: buffers at a distance of a power
/// of two would compete for the same few cache lines.
pub const RECEIVE_STAGGER: usize = 17 * 64;

/// `recvmmsg` calls per socket in one turn: 256 messages. More would delay timers and commands. The next turn
/// receives the rest, without sleeping.
pub const RECEIVES_PER_TURN: usize = 4;

/// How long a worker sleeps at a time while the machine waits for the rest of a burst. With the scheduler's
/// delay it is about twice as long; sending a burst of ten packets takes about as long.
pub const GATHER_SLEEP: Duration = Duration::from_micros(20);

/// How much later than requested the kernel may wake a worker, nanoseconds. The default is 50 000, longer
/// than [`GATHER_SLEEP`].
pub const TIMER_SLACK_NS: NonZeroU64 = NonZeroU64::new(1_000).expect("not zero");

/// The time slice of a worker, nanoseconds: the minimum of the kernel; the default is 1 to 3 ms. With it a
/// packet does not wait for the full slice of signaling, or of another process on the same core.
pub const TIME_SLICE_NS: u64 = 100_000;

/// How long a socket is not used after a receive error (other than an empty socket). A permanent error would
/// keep a core busy; the kernel's buffer holds what arrives meanwhile.
pub const RECEIVE_RETRY: Duration = Duration::from_millis(1);

/// Bytes of the send arena: a burst of 10 packets of 1200 bytes to 340 subscribers before a flush. A larger
/// arena does not fit the cache, a smaller one makes shorter runs. When it is full, the worker flushes early.
pub const SEND_ARENA_BYTES: usize = 4 << 20;

/// A batch of at least this size is flushed at the end of a flow, while it is in the cache and so that the
/// first peer does not wait for the work on the last: five frames of usual size. The system call is then half
/// a percent of the work.
pub const SEND_FLOW_BYTES: usize = 64 << 10;

/// Bytes of one prefetch: as many cache lines as a core can load at once.
pub const PREFETCH_BYTES_MAX: usize = 16 * 64;

/// Datagrams of one send batch: [`SEND_ARENA_BYTES`] of datagrams of 512 bytes (audio and feedback are
/// shorter, video is longer). When it is full, the worker flushes early.
pub const SEND_SLOTS: usize = 8 << 10;

/// Bytes of one datagram: the maximum of an IPv4 packet. A longer one is dropped and counted.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Flow numbers are dense, so this is the number of peers of one worker, far above what it can serve. A
/// datagram with a higher number is dropped as if the batch were full: one wrong number must not allocate a
/// large table.
pub const FLOWS_MAX: usize = 1 << 20;

/// Segments of one GSO run (`UDP_MAX_SEGMENTS` was 64 before Linux 6.9). A longer run becomes two.
pub const RUN_SEGMENTS_MAX: usize = 64;

/// Bytes of one GSO run: below 65 507, with room for IPv6 options. A longer run becomes two.
pub const RUN_BYTES_MAX: usize = 65_000;

/// Messages of one `sendmmsg`: the system call is then 1 % of the cost. More need another call.
pub const SEND_MESSAGES: usize = 64;

/// Pieces of one `sendmmsg`: 64 messages of 16 segments. Further runs need another call.
pub const SEND_PIECES: usize = 1024;
const _: () = assert!(SEND_PIECES >= 2 * RUN_SEGMENTS_MAX);

/// A forwarded body of at least this size is sent from the receive arena. Copying a shorter one costs less
/// than another piece for the kernel to gather.
pub const FORWARD_BYTES_MIN: usize = 256;

/// Runs that may find the socket full in one flush before the rest is dropped: a smaller run may fit where a
/// larger one did not, but each attempt is a system call on an overloaded socket.
pub const WOULD_BLOCK_TRIES: usize = 8;

/// Maximum age of a kernel receive timestamp. The timestamps are wall-clock time; an older one means that the
/// clock was set, and is replaced by now.
pub const TIMESTAMP_AGE_MAX: Duration = Duration::from_secs(1);

/// Commands of one turn: joins are the expensive ones, about 100 µs each. The rest wait for the next turn,
/// which does not sleep.
pub const COMMANDS_PER_TURN: usize = 64;

/// Events pushed in one turn: four for each command of a full turn, so that answers do not accumulate. A
/// snapshot of thousands of objects would otherwise be one long turn while packets wait. The next turn pushes
/// the rest, without sleeping.
pub const EVENTS_PER_TURN: usize = 256;
const _: () = assert!(EVENTS_PER_TURN > COMMANDS_PER_TURN);

/// Readiness events of one poll. The next poll reports the rest.
pub const POLL_EVENTS: usize = 64;
const _: () = assert!(POLL_EVENTS > SOCKETS_MAX);

/// TCP connections of one worker: twice the peers that it can serve. Beyond, the oldest unproven connection
/// is closed for a new one; if all are proven, the new one is refused.
pub const CONNECTIONS_MAX: usize = 2048;

/// TCP connections from one IPv4 address or IPv6 /64: an office of a hundred behind one NAT, two transports
/// each. Beyond, as with [`CONNECTIONS_MAX`], among the connections of the host.
pub const CONNECTIONS_PER_HOST_MAX: usize = 256;

/// Connections that wait to be accepted: those of two turns. Beyond, the kernel makes clients try again.
pub const ACCEPT_BACKLOG: i32 = 256;

/// Connections accepted by one listener in a turn. The next turn accepts the rest, without sleeping.
pub const ACCEPTS_PER_TURN: usize = 32;

/// Pause of accepting when the system has no descriptor or no memory for another connection.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A connection to which the machine has sent nothing for this time after it was accepted is closed: a peer
/// opens it in order to check the pair, and an authentic check is answered at once. It is five handshakes
/// over a slow satellite link.
pub const PROOF_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to which the machine has sent nothing for this time is closed. Browsers check a reserve pair
/// at least every 25 s.
pub const IDLE_MAX: Duration = Duration::from_secs(60);

/// A connection that has accepted nothing for this time, although something waits, is closed: its consent
/// would expire as well.
pub const BLOCKED_MAX: Duration = Duration::from_secs(30);

/// Interval of the check for useless connections: the maximum delay of [`PROOF_TIMEOUT`] and the like.
pub const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// Streams that the machine may have at once; their numbers are dense. Further ones are refused. Each needs a
/// client's connection, so there are at most [`CONNECTIONS_MAX`].
pub const PEER_STREAMS_MAX: usize = CONNECTIONS_MAX;

/// Streams processed in one turn, one read per direction each. The next turn processes the rest, without
/// sleeping.
pub const PASSES_PER_TURN: usize = 64;

/// How long one direction of a joined stream may continue after the end of the other. Then both are closed.
pub const LINGER_MAX: Duration = Duration::from_secs(30);

/// Bytes of one TCP frame: the maximum of a datagram without GRO. A stream that announces a longer one is
/// closed. At most as many bytes of an incomplete frame are kept.
pub const FRAME_BYTES_MAX: usize = RECEIVE_BYTES_PLAIN;

/// Bytes of one STUN message or ChannelData on a TCP connection: the longest datagram that can be relayed,
/// and a header. A stream that announces a longer one is closed. At most as many bytes of an incomplete one
/// are kept.
pub const STUN_FRAME_BYTES_MAX: usize = DATAGRAM_BYTES_MAX + 29;
const _: () = assert!(STUN_FRAME_BYTES_MAX.is_multiple_of(4));

/// Bytes read from a TCP connection by one call, into a shared buffer: a frame burst. The rest waits for the
/// connection's next turn among the readable ones.
pub const READ_BYTES: usize = 16 << 10;

/// Reads from TCP connections in one turn. The next turn reads the rest, without sleeping.
pub const READS_PER_TURN: usize = 64;

/// Bytes of frames that wait for a TCP connection: half a second of 2 Mbit/s. When the queue is full, the
/// oldest frames are dropped. With [`CONNECTIONS_MAX`] stalled readers this is 256 MiB; a reader that keeps
/// up needs none of it.
pub const QUEUE_BYTES_MAX: usize = 128 << 10;
const _: () = assert!(QUEUE_BYTES_MAX > DATAGRAM_BYTES_MAX + 2);

/// How long a frame waits for a TCP connection. Older media is useless, and is dropped.
pub const QUEUE_AGE_MAX: Duration = Duration::from_millis(500);

/// Encrypted bytes that TLS holds of a connection. Like those of [`UNSENT_BYTES_MAX`] they can no longer be
/// dropped. It is one record.
pub const TLS_BUFFER_BYTES: usize = 16 << 10;

/// Unsent bytes that the kernel holds of a TCP connection: enough to avoid a wake-up for every frame, and few
/// compared with [`QUEUE_BYTES_MAX`], because these bytes can no longer be dropped.
pub const UNSENT_BYTES_MAX: i32 = 16 << 10;

/// Envelopes that wait for one worker: 20 ms of a gigabit per second, 4 MiB if all are in use. When the
/// mailbox is full, messages to the worker are dropped and counted.
pub const MAILBOX_ENVELOPES_MAX: usize = 2048;

/// Bytes of one envelope: a packet of a 1500-byte link, and its metadata. A longer message is dropped and
/// counted. With the 20 bytes of its other fields an envelope has 2 KiB.
pub const ENVELOPE_BYTES_MAX: usize = (2 << 10) - 20;

/// Bytes of the buffers that wait for one worker: 32 messages of a data channel of the longest kind. Beyond,
/// messages with a buffer are dropped and counted, and others are not affected. Twice what one peer can have
/// waiting at its worker, for several peers that send at once.
pub const MAILBOX_BUFFER_BYTES_MAX: usize = 8 << 20;

/// Envelopes received in one turn: a quarter of the mailbox. The next turn receives the rest, without
/// sleeping.
pub const ENVELOPES_PER_TURN: usize = MAILBOX_ENVELOPES_MAX / 4;

/// Paths that a worker has claimed at a shared port: twice the pairs of the transports that it can serve. Beyond, the
/// oldest is given up: its datagrams are handed over as those of strangers, until the next check claims it again.
pub const CLAIMS_MAX: usize = 16 << 10;

/// A path whose peer has passed no check for this time may be claimed by another worker. Browsers send a check every
/// few seconds (RFC 7675 §5.1: consent lasts 30 s).
pub const CLAIM_SILENCE_MAX: Duration = Duration::from_secs(30);

/// Tables over which the paths of all workers are spread, so that two workers rarely wait for each other.
pub const FLOW_TABLES: usize = 64;

/// Attributes of a check that are searched for USERNAME. Known clients write it first.
pub const NAME_ATTRIBUTES_MAX: usize = 8;
