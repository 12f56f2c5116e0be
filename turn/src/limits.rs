//! The bounds of what surrounds the relay.

use std::time::Duration;

/// Bytes of a configuration file. A longer one is refused.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Orders waiting for one worker: commands of signals, a few in its life. One beyond is lost with a line in the log.
pub const ORDERS_MAX: usize = 64;

/// Between two copies of a worker's counters for the metrics.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of a request for metrics. A longer one is answered with 400.
pub const METRICS_REQUEST_BYTES_MAX: usize = 4096;

/// How long a request for metrics may take in all, its answer included. The next one waits meanwhile.
pub const METRICS_TIMEOUT: Duration = Duration::from_secs(2);

/// Between two looks whether a draining server has become idle.
pub const DRAIN_POLL: Duration = Duration::from_millis(200);

/// Between two readings of the interfaces' addresses when the kernel reports no change: a report may be lost.
pub const INTERFACES_READ_EVERY: Duration = Duration::from_secs(30);

/// The same where the kernel cannot report changes, and after a reading that failed.
pub const INTERFACES_RETRY: Duration = Duration::from_secs(1);

/// Descriptors beside those of relay sockets and TCP connections.
pub const OTHER_DESCRIPTORS: usize = 1024;
