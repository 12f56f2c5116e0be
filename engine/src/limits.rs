//! The bounds of the messages between main thread and workers, and of the configuration.

use std::time::Duration;

/// Requests that wait for one worker: one for each attach or detach. A worker reads them every turn. If the
/// queue is full, the worker does not run any more; the request is lost, with a line in the log.
pub const ORDERS_MAX: usize = 64;

/// Notices that wait for the main thread, of all workers. Each is followed by a detach, after which the
/// worker has nothing to report. A notice beyond the bound is lost; the queue contains others with the same
/// effect.
pub const NOTICES_MAX: usize = 256;

/// Addresses announced to a peer, each of them a UDP and a TCP candidate: 16 listening addresses are
/// possible, and a browser spends 50 ms on each that does not answer. More are refused at start.
pub const ADDRESSES_MAX: usize = 16;
const _: () = assert!(2 * ADDRESSES_MAX <= control::limits::LIST_LEN_MAX);

/// Descriptors beside those of TCP connections: sockets, polls, rings and doorbells of 126 workers, and a
/// reserve.
pub const OTHER_DESCRIPTORS: usize = 4096;

/// How long a packet to an announced address may take to come back. Two seconds cover intercontinental paths
/// and slow NATs. A later packet counts as lost.
pub const SELF_PING_WAIT: Duration = Duration::from_secs(2);
