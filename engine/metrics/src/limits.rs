//! The bounds of the HTTP server, the reason for each, and what happens when it is reached.

use std::time::Duration;

/// Bytes of a request: that of Prometheus has some hundred. A longer one is answered with 400.
pub const REQUEST_BYTES_MAX: usize = 4096;
/// Time of a request, including the answer. The next request waits that long.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
