//! The bounds of what main thread and workers tell each other.

use std::time::Duration;

/// Orders waiting for one worker: an attach or detach each. A worker takes them every turn; one that has let so many pile up
/// does not turn any more, and the order is lost with a line in the log.
pub const ORDERS_MAX: usize = 64;

/// Notices waiting for the main thread, of all workers. Each is followed by a detach, after which the worker has nothing to
/// report; one beyond the bound is lost, as another of the same kind is there.
pub const NOTICES_MAX: usize = 256;

/// Addresses told to a peer, each of which is a candidate of UDP and one of TCP: 16 listening addresses are possible, and a
/// browser takes 50 ms for each that does not answer. More are refused at start.
pub const ADDRESSES_TOLD_MAX: usize = 16;
const _: () = assert!(2 * ADDRESSES_TOLD_MAX <= control::limits::LIST_LEN_MAX);

/// Descriptors beside those of TCP connections: sockets, polls, rings and doorbells of 126 workers, and a reserve.
pub const OTHER_DESCRIPTORS: usize = 4096;

/// How long a packet to an announced address may take to come back: two seconds go by between continents and through slow NATs at worst, and the
/// start waits no longer. One that comes later is taken for lost.
pub const SELF_PING_WAIT: Duration = Duration::from_secs(2);
