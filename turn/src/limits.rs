//! The bounds of the server outside the relay.

use std::time::Duration;

/// Messages that wait for one worker: a few per signal. A message beyond the bound is lost, with a line in
/// the log.
pub const ORDERS_MAX: usize = 64;

/// Interval between two copies of a worker's counters for the metrics.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Interval between two checks whether a draining server has become idle.
pub const DRAIN_POLL: Duration = Duration::from_millis(200);

/// Interval between two reads of the interfaces' addresses if the kernel reports no change: a report may be
/// lost.
pub const INTERFACES_READ_EVERY: Duration = Duration::from_secs(30);

/// The interval if the kernel cannot report changes, and after a failed read.
pub const INTERFACES_RETRY: Duration = Duration::from_secs(1);

/// Revocations in one message to a worker: the worker enters them, and looks once through its allocations, in
/// one turn.
pub const REVOCATIONS_PER_ORDER: usize = 256;

/// Descriptors in addition to those of relay sockets and TCP connections.
pub const OTHER_DESCRIPTORS: usize = 1024;
