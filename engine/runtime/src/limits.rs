//! Every bound of the loop, its reason, and what happens when it is reached.

use std::time::Duration;

/// Listening addresses of one worker: IPv4 and IPv6 on a few interfaces. More are refused at start.
pub const SOCKETS_MAX: usize = 16;

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

/// How long a socket is left alone after a receive failed other than by finding nothing. A failure that lasts would keep a core
/// busy; the kernel's buffer holds what comes meanwhile.
pub const RECEIVE_RETRY: Duration = Duration::from_millis(1);

/// Bytes of the send arena: a burst of 10 packets of 1200 bytes to 340 subscribers before a flush. A larger one falls out
/// of the cache, a smaller one cuts runs. When full, the worker flushes early.
pub const SEND_ARENA_BYTES: usize = 4 << 20;

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
const _: () = assert!(SEND_PIECES >= RUN_SEGMENTS_MAX);

/// Runs that may meet a full socket in one flush before the rest of it is dropped unasked: a smaller run may still
/// fit where a larger did not, but each attempt is a system call on a socket that is overloaded.
pub const WOULD_BLOCK_TRIES: usize = 8;

/// How far back a kernel receive stamp may lie. The stamps are wall-clock time; an older one is a clock that was set, and is
/// replaced by now.
pub const STAMP_AGE_MAX: Duration = Duration::from_secs(1);

/// Commands of one turn: joins are the expensive ones, about 100 µs each. The rest wait for the next turn, which does
/// not sleep.
pub const COMMANDS_PER_TURN: usize = 64;

/// Calls of `on_timeout` in one turn, should a machine arm itself in the past again and again. The rest come next turn.
pub const TIMEOUTS_PER_TURN: usize = 16;

/// Events given to the controller in one turn: four for each command of a full turn, so that answers never pile up. A snapshot of
/// thousands of objects would otherwise be one long turn while packets wait. The rest comes next turn, which does not sleep.
pub const EVENTS_PER_TURN: usize = 256;
const _: () = assert!(EVENTS_PER_TURN > COMMANDS_PER_TURN);

/// Readiness events of one poll. More are reported by the next.
pub const POLL_EVENTS: usize = 64;
const _: () = assert!(POLL_EVENTS > SOCKETS_MAX);
