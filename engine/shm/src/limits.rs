//! Every bound of this crate, its reason, and what happens when it is reached.

use std::time::Duration;

/// Workers of one engine. The kernel passes at most 253 descriptors in one message (`SCM_MAX_FD`): the
/// region and two doorbells a worker. [`Listener::bind`](crate::Listener::bind) refuses more.
pub const WORKERS_MAX: u16 = 126;
const _: () = assert!(FDS_MAX <= 253);

/// Descriptors of one welcome: the region and two doorbells a worker.
pub(crate) const FDS_MAX: usize = 1 + 2 * WORKERS_MAX as usize;

/// Bytes of one command ring: some 5 000 commands of 200 bytes, more than signaling sends while a worker is
/// busy with one turn. When full, the push is refused and signaling keeps the command.
pub const COMMAND_RING_BYTES: usize = 1 << 20;

/// Bytes of one event ring: a second of statistics events for 5 000 objects. When full, the push is
/// refused; the worker never waits, it holds the event back and takes no command meanwhile.
pub const EVENT_RING_BYTES: usize = 1 << 20;

/// Bytes of one record: room for the largest command (a codec list) many times over, and small enough that 15
/// such records fit a ring. A longer one is refused with [`PushError::TooLong`](crate::PushError::TooLong).
pub const RECORD_BYTES_MAX: usize = 64 << 10;

const _: () = assert!(COMMAND_RING_BYTES.is_power_of_two() && EVENT_RING_BYTES.is_power_of_two());
const _: () = assert!(RECORD_BYTES_MAX + 8 <= COMMAND_RING_BYTES && RECORD_BYTES_MAX + 8 <= EVENT_RING_BYTES);

/// Counters of one worker's statistics page: twice what the engine counts today. Values beyond are left out.
pub const STATS_SLOTS: usize = 256;

/// Attempts of one statistics read. A write takes well under a microsecond and comes a few times a
/// second, so even a second attempt is rare; after the last the reader gives up until next time.
pub const STATS_READ_TRIES: usize = 64;

/// Connections that have not yet said hello. One is enough for a controller; the rest are strangers. When
/// full, the one that has kept silent longest is dropped.
pub const PENDING_MAX: usize = 8;

/// How long a connection may take over its hello. A controller sends it at once; 2 s forgives a paused process.
/// Then it is refused as too slow.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(2);

/// Connections accepted in one [`Listener::poll`](crate::Listener::poll), so that a flood of them cannot keep the
/// caller inside it. The rest are accepted [`RETRY_AFTER`] later.
pub const ACCEPTS_PER_POLL: usize = 32;

/// Pause before the listener tries again after a flood, or when the process is out of descriptors.
pub const RETRY_AFTER: Duration = Duration::from_millis(20);

/// Bytes of a refusal's sentence. Longer ones are cut.
pub const SENTENCE_BYTES_MAX: usize = 256;
