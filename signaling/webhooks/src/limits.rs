//! Every bound of webhooks: the reason for its value, and what happens when it is reached. Those of the queue are
//! in [`stores::accounts::limits`].

use std::time::Duration;

/// Targets. Each has its own queue; more are refused at start.
pub const TARGETS_MAX: usize = 8;
/// Bytes of the URL of a target. A longer one is refused at start.
pub const URL_BYTES_MAX: usize = 2_048;
/// Secrets for signatures: the new one and the old one while receivers change. More are refused at start.
pub const SECRETS_MAX: usize = 2;
/// Bytes of a secret, as in Standard Webhooks. Another length is refused at start.
pub const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of the body of a request: the longest event has 2 KiB. A longer one is dropped and counted.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// Events that wait in memory for the database: some minutes of a busy process. A further one replaces the
/// oldest, which is counted.
pub const INTAKE_LEN: usize = 10_000;
/// Events that one transaction adds to the queues: short, so that other writers wait for milliseconds.
pub const INTAKE_BATCH_LEN: usize = 32;
/// Pause before events are written again after the database did not answer.
pub const STORE_RETRY: Duration = Duration::from_secs(1);
/// Attempts to write events that the database refuses. Afterwards they are dropped and counted.
pub const STORE_TRIES: u32 = 3;

/// Requests to one target at a time, each for another room. Further rooms wait.
pub const DELIVERIES_PER_TARGET: usize = 8;
/// Time of one attempt: name resolution, connection, TLS, request and head of the response. Then it has failed.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time to connect to one of several addresses. Then the next one is tried.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Addresses of one name to which an attempt connects. Further ones are not tried.
pub const ADDRESSES_MAX: usize = 4;
/// Names of one target that are resolved at a time: the resolver of the system blocks a thread, also after the
/// attempt has ended. Further ones wait.
pub const RESOLUTIONS_PER_TARGET: usize = 2;
/// Bytes of a response that are read. Its body is not used, and a longer head is an error.
pub const RESPONSE_BYTES_MAX: usize = 16 * 1024;

/// Pause after the first failed attempt; it doubles with each further one.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// The longest pause: a receiver that returns gets the events of a room within this time.
pub const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// Interval at which the queue is read for events of other processes. Own events are read at once.
pub const QUEUE_POLL: Duration = Duration::from_secs(2);
/// Shortest time between two reads of the queue: events of a busy process are read together.
pub const QUEUE_PAUSE: Duration = Duration::from_millis(50);
/// Interval at which the process that delivers checks that it still has the lock of the queue.
pub const LOCK_POLL: Duration = Duration::from_secs(1);
/// Interval at which the others try to get it. With PostgreSQL, each attempt opens a connection.
pub const TAKEOVER_POLL: Duration = Duration::from_secs(3);
/// Interval at which old events are deleted and the queue is counted.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Interval of log entries about one target that fails.
pub const LOG_INTERVAL: Duration = Duration::from_secs(60);
