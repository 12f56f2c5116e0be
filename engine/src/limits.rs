//! The bounds of what main thread and workers tell each other.

/// Orders waiting for one worker: an attach or detach each. A worker takes them every turn; one that has let so many pile up
/// does not turn any more, and the order is lost with a line in the log.
pub const ORDERS_MAX: usize = 64;

/// Notices waiting for the main thread, of all workers. Each is followed by a detach, after which the worker has nothing to
/// report; one beyond the bound is lost, as another of the same kind is there.
pub const NOTICES_MAX: usize = 256;
