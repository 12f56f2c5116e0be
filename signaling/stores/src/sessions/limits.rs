//! Limits of the stores of sessions, the reason for each, and what happens when it is reached.

use std::time::Duration;

/// Lifetime of the keys of a process in Redis. A process that is killed leaves its sessions behind for this
/// time.
pub const SESSION_TTL: Duration = Duration::from_secs(30);
/// Parts of the lifetime after which a process renews its keys: one renewal may fail.
pub const RENEWALS_PER_TTL: u32 = 3;

/// Time of one command and of one connection to Redis. Afterwards it fails, and is tried again later.
pub const COMMAND_TIMEOUT: Duration = Duration::from_millis(500);
/// Pause between PINGs, and between tries while Redis is away.
pub const PING_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum pause between two attempts to connect the subscription.
pub const SUBSCRIBE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Sessions, or rooms to renew, in one transaction: about 200 KiB. Further ones follow in the next.
pub const BATCH_LEN_MAX: usize = 1_000;

/// Changes by other processes that wait for a reader. A reader that falls further behind reads all rooms
/// again.
pub const CHANGES_LEN: usize = 1_024;
/// Bytes of one message about a change: a project and a room. A longer one is ignored.
pub const CHANGE_BYTES_MAX: usize = 1_024;
/// Sessions of other processes that are read for one room. Further ones are ignored.
pub const OTHERS_MAX: usize = 10_000;
/// Ended rooms whose keys wait to be deleted while Redis is away. Those of further ones end by themselves.
pub const ENDED_ROOMS_MAX: usize = 1_000;
