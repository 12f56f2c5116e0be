//! Every bound of this crate, its reason, and what happens when it is reached.

use std::time::Duration;

/// Workers of one engine. The kernel passes at most 253 descriptors in one message (`SCM_MAX_FD`): the
/// region and two doorbells a worker. [`Listener::bind`](crate::Listener::bind) refuses more.
pub const WORKERS_MAX: u16 = 126;
const _: () = assert!(FDS_MAX <= 253);

/// Descriptors of one welcome: the region and two doorbells a worker.
pub(crate) const FDS_MAX: usize = 1 + 2 * WORKERS_MAX as usize;

/// Bytes of one command ring: about 5 000 commands of 200 bytes, more than signaling sends during one turn of
/// a worker. If it is full, the push is refused and signaling keeps the command.
pub const COMMAND_RING_BYTES: usize = 1 << 20;

/// Bytes of one event ring: a second of statistics events for 5 000 objects. If it is full, the push is
/// refused; the worker does not wait: it keeps the event and reads no commands until it is pushed.
pub const EVENT_RING_BYTES: usize = 1 << 20;

/// Bytes of one record: several times the largest command (a codec list), and small enough that 15 such
/// records fit a ring. A longer one is refused with [`PushError::TooLong`](crate::PushError::TooLong).
pub const RECORD_BYTES_MAX: usize = 64 << 10;

const _: () = assert!(COMMAND_RING_BYTES.is_power_of_two() && EVENT_RING_BYTES.is_power_of_two());
const _: () = assert!(RECORD_BYTES_MAX + 8 <= COMMAND_RING_BYTES && RECORD_BYTES_MAX + 8 <= EVENT_RING_BYTES);

/// Words of one worker's statistics page, by default. Values beyond are left out.
pub const STATS_SLOTS: usize = 256;

/// Words of a statistics page that a controller accepts: 32 KiB. An engine with more is refused.
pub const STATS_SLOTS_MAX: usize = 4096;

/// Bytes of a ring that a controller accepts: 16 times the current size. An engine with a larger ring is
/// refused.
pub const RING_BYTES_MAX: usize = 16 << 20;
const _: () = assert!(COMMAND_RING_BYTES <= RING_BYTES_MAX && EVENT_RING_BYTES <= RING_BYTES_MAX);

/// How far the protocol versions of engine and controller may differ. The newer side supports the older
/// version.
pub const VERSION_SKEW_MAX: u32 = 1;

/// Attempts of one read of the statistics. A write takes well under a microsecond and happens a few times a
/// second, so even a second attempt is rare; after the last one the reader returns without a value.
pub const STATS_READ_TRIES: usize = 64;

/// Connections without a complete hello. A controller needs one. When full, the oldest silent one is dropped.
pub const PENDING_MAX: usize = 8;

/// Time limit of the hello. A controller sends it at once; 2 s tolerate a paused process. Then the connection
/// is refused as too slow.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(2);

/// Connections accepted in one [`Listener::poll`](crate::Listener::poll), so that a flood cannot keep the
/// caller in it. The rest are accepted [`RETRY_AFTER`] later.
pub const ACCEPTS_PER_POLL: usize = 32;

/// Pause before the listener tries again after a flood, or when the process is out of descriptors.
pub const RETRY_AFTER: Duration = Duration::from_millis(20);

/// Bytes of the text of a refusal. Longer ones are cut.
pub const SENTENCE_BYTES_MAX: usize = 256;
