//! Every bound of the loop, its reason, and what happens when it is reached.

use std::num::NonZeroU64;
use std::time::Duration;

/// Bytes from which on a block of the heap is mapped by itself, and goes back to the system when it is freed: the caches of tracks and the
/// windows of transports are larger. Smaller blocks come and go with every peer, and a system call for each would be felt by those that join.
pub const LARGE_BLOCK_BYTES: usize = 64 << 10;

/// ListenerConfig addresses of one worker: IPv4 and IPv6 on a few interfaces. More are refused at start.
pub const SOCKETS_MAX: usize = 16;

/// Sockets that the machine may have ordered at once; their numbers are dense. Another is refused to it. As many as there are
/// ports that systems call dynamic (RFC 6335 §6).
pub const ON_DEMAND_SOCKETS_MAX: usize = 16_384;

/// Ports of other processes that a search for a free one may meet, some 20 µs each, before it gives up. The next begins
/// behind them.
pub const PORT_TRIES_MAX: usize = 64;

/// Messages of one `recvmmsg`: a frame burst of several publishers. What is left is taken by the next call.
pub const RECEIVE_MESSAGES: usize = 64;

/// Bytes of one receive buffer with GRO: the kernel fills at most one IP packet's worth, 65 535. Memory is only touched as
/// far as datagrams reach, so 64 such buffers cost what arrives, not 4 MiB.
pub const RECEIVE_BYTES_GRO: usize = 64 << 10;

/// Bytes of one receive buffer without GRO: any datagram of a 1500-byte link. A longer one is cut by the kernel, and
/// then dropped and counted.
pub const RECEIVE_BYTES_PLAIN: usize = 2 << 10;

/// Added to the distance of receive buffers, an odd number of cache lines: starts of buffers that are a power of two apart
/// would all compete for the same few lines of the cache.
pub const RECEIVE_STAGGER: usize = 17 * 64;

/// `recvmmsg` calls per socket in one turn: 256 messages. More would keep timers and commands waiting; what is left is taken next
/// turn, which then does not sleep.
pub const RECEIVES_PER_TURN: usize = 4;

/// How long a worker sleeps at a time while the machine waits for the rest of what has begun to come. With the scheduler's delay it becomes
/// about twice as long; a burst of ten packets takes a sender as long.
pub const GATHER_SLEEP: Duration = Duration::from_micros(20);

/// How much later than asked for the kernel may wake a worker, nanoseconds; by default it is 50 000, longer than [`GATHER_SLEEP`].
pub const TIMER_SLACK_NS: NonZeroU64 = NonZeroU64::new(1_000).expect("not zero");

/// How long a worker runs at a time when others want its core, nanoseconds: the least the kernel grants, by default it is 1 to 3 ms. With it a packet
/// does not wait until signaling, or whatever else shares the core, has had its turn.
pub const TIME_SLICE_NS: u64 = 100_000;

/// How long a socket is left alone after a receive failed other than by finding nothing. A failure that lasts would keep a core
/// busy; the kernel's buffer holds what comes meanwhile.
pub const RECEIVE_RETRY: Duration = Duration::from_millis(1);

/// Bytes of the send arena: a burst of 10 packets of 1200 bytes to 340 subscribers before a flush. A larger one falls out
/// of the cache, a smaller one cuts runs. When full, the worker flushes early.
pub const SEND_ARENA_BYTES: usize = 4 << 20;

/// Bytes of a send batch from which on it leaves as soon as a flow is complete, so that it is still in the cache when the kernel copies it, and the
/// first peer does not wait for the work on the last: five frames of usual size. The system call is then half a percent of what it does.
pub const SEND_FLOW_BYTES: usize = 64 << 10;

/// Bytes that are fetched ahead at once: as many lines as a core can have under way.
pub const PREFETCH_BYTES_MAX: usize = 16 * 64;

/// Datagrams of one send batch: [`SEND_ARENA_BYTES`] of datagrams of 512 bytes (audio and feedback are
/// shorter, video is longer). When full, the worker flushes early.
pub const SEND_SLOTS: usize = 8 << 10;

/// Bytes one datagram may have: what fits an IPv4 packet. A longer one is dropped and counted.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Flow numbers are dense, so this is peers of one worker, far beyond what it can serve. Beyond it a datagram is dropped as if the
/// batch were full: a wild number must not cost its square in memory.
pub const FLOWS_MAX: usize = 1 << 20;

/// Segments of one GSO run (`UDP_MAX_SEGMENTS` was 64 before Linux 6.9). A longer run becomes two.
pub const RUN_SEGMENTS_MAX: usize = 64;

/// Bytes of one GSO run: below 65 507 with room for IPv6 options. A longer run becomes two.
pub const RUN_BYTES_MAX: usize = 65_000;

/// Messages of one `sendmmsg`: the system call is then 1 % of the cost. More take another call.
pub const SEND_MESSAGES: usize = 64;

/// Pieces gathered by one `sendmmsg`: 64 messages of 16 segments. Runs beyond wait for the next call.
pub const SEND_PIECES: usize = 1024;
const _: () = assert!(SEND_PIECES >= 2 * RUN_SEGMENTS_MAX);

/// Bytes of a datagram's body from which on it is sent from where it was received. Below, copying it is cheaper than another piece
/// for the kernel to gather.
pub const FORWARD_BYTES_MIN: usize = 256;

/// Runs that may meet a full socket in one flush before the rest of it is dropped unasked: a smaller run may still
/// fit where a larger did not, but each attempt is a system call on a socket that is overloaded.
pub const WOULD_BLOCK_TRIES: usize = 8;

/// How far back a kernel receive stamp may lie. The timestamps are wall-clock time; an older one is a clock that was set, and is
/// replaced by now.
pub const TIMESTAMP_AGE_MAX: Duration = Duration::from_secs(1);

/// Commands of one turn: joins are the expensive ones, about 100 µs each. The rest wait for the next turn, which does
/// not sleep.
pub const COMMANDS_PER_TURN: usize = 64;

/// Events given to the controller in one turn: four for each command of a full turn, so that answers never pile up. A snapshot of
/// thousands of objects would otherwise be one long turn while packets wait. The rest comes next turn, which does not sleep.
pub const EVENTS_PER_TURN: usize = 256;
const _: () = assert!(EVENTS_PER_TURN > COMMANDS_PER_TURN);

/// Readiness events of one poll. More are reported by the next.
pub const POLL_EVENTS: usize = 64;
const _: () = assert!(POLL_EVENTS > SOCKETS_MAX);

/// TCP connections of one worker: twice the peers it can serve. Beyond, the one that has waited longest without having proved
/// itself gives way to a newcomer; if all have, the newcomer is refused.
pub const CONNECTIONS_MAX: usize = 2048;

/// TCP connections from one IPv4 address or IPv6 /64: an office of a hundred behind one NAT, two transports each. Beyond, as with
/// [`CONNECTIONS_MAX`], among its own.
pub const CONNECTIONS_PER_HOST_MAX: usize = 256;

/// Connections that wait for a worker to accept them: those of two turns. The kernel lets more of them try again.
pub const ACCEPT_BACKLOG: i32 = 256;

/// Connections accepted by one listener in a turn. The rest come next turn, which does not sleep.
pub const ACCEPTS_PER_TURN: usize = 32;

/// How long nobody is accepted after the system had no descriptor or no memory for another connection.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A connection to which the machine has sent nothing within this is closed: a peer opens it in order to check the pair, and an
/// authentic check is answered at once. Five seconds are five handshakes over a bad satellite link.
pub const PROOF_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to which the machine has sent nothing for so long is closed. Browsers check a pair that they keep in reserve every
/// 25 s at the latest.
pub const IDLE_MAX: Duration = Duration::from_secs(60);

/// A connection that has taken nothing for so long, while there was something, is closed: consent would be lost as well.
pub const BLOCKED_MAX: Duration = Duration::from_secs(30);

/// Between two looks at all connections for those of no use: how late [`PROOF_TIMEOUT`] and its like may come.
pub const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// Connections that the machine may have at once; their numbers are dense. Another is refused to it. Each has a client's connection, of which
/// there are no more than [`CONNECTIONS_MAX`].
pub const PEER_STREAMS_MAX: usize = CONNECTIONS_MAX;

/// Looks at streams in one turn, a read each way. What is left is passed on next turn, which does not sleep.
pub const PASSES_PER_TURN: usize = 64;

/// How long the one side of a joined stream may go on when the other has said that nothing more comes. Then both are closed.
pub const LINGER_MAX: Duration = Duration::from_secs(30);

/// Bytes of one TCP frame: as long as a datagram may be where the kernel does not join them. A stream that announces a longer
/// one is closed. Up to as many bytes are kept of a frame that is not whole yet.
pub const FRAME_BYTES_MAX: usize = RECEIVE_BYTES_PLAIN;

/// Bytes of one STUN message or ChannelData on a TCP connection: the longest datagram that can be relayed, and a header. A stream that announces a longer one is closed. Up to as many bytes are kept of one that is not whole yet.
pub const STUN_FRAME_BYTES_MAX: usize = DATAGRAM_BYTES_MAX + 29;
const _: () = assert!(STUN_FRAME_BYTES_MAX.is_multiple_of(4));

/// Bytes read from a TCP connection by one call, into one buffer of the worker: a frame burst. The rest waits for its next turn
/// among the readable ones.
pub const READ_BYTES: usize = 16 << 10;

/// Reads from TCP connections in one turn. What is left is read next turn, which does not sleep.
pub const READS_PER_TURN: usize = 64;

/// Bytes of frames that wait for a TCP connection: half a second of 2 Mbit/s. When full, the oldest frames go. With
/// [`CONNECTIONS_MAX`] stalled readers at once this is 256 MiB; a reader that keeps up needs none of it.
pub const QUEUE_BYTES_MAX: usize = 128 << 10;
const _: () = assert!(QUEUE_BYTES_MAX > DATAGRAM_BYTES_MAX + 2);

/// How long a frame waits for a TCP connection. What is older would be of no use to the ear, and is dropped.
pub const QUEUE_AGE_MAX: Duration = Duration::from_millis(500);

/// Bytes that TLS may hold of a connection, encrypted: as with [`UNSENT_BYTES_MAX`] they can no longer be dropped. One record.
pub const TLS_BUFFER_BYTES: usize = 16 << 10;

/// Bytes that the kernel may take of a TCP connection without being able to send them yet: enough not to be woken for every
/// frame, and little beside [`QUEUE_BYTES_MAX`], since those bytes can no longer be dropped.
pub const UNSENT_BYTES_MAX: i32 = 16 << 10;

/// Envelopes that wait for one worker: what a gigabit a second brings in 20 ms, and 4 MiB if ever so many wait. When full, what is handed to it is dropped and counted.
pub const MAILBOX_ENVELOPES_MAX: usize = 2048;

/// Bytes of one envelope: a packet of a 1500-byte link, and what is said of it. A longer one is dropped and counted. With the envelope's own four
/// bytes it is 2 KiB.
pub const ENVELOPE_BYTES_MAX: usize = (2 << 10) - 4;

/// Envelopes of other workers taken in one turn: a quarter of what may wait. The rest comes next turn, which does not sleep.
pub const ENVELOPES_PER_TURN: usize = MAILBOX_ENVELOPES_MAX / 4;
