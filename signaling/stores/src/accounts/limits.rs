//! The limits of accounts, the reason for each, and what happens when it is reached.

use std::time::Duration;

/// Connections to PostgreSQL of one process: a query takes a millisecond. While all are in use, a call waits
/// up to [`ACQUIRE_TIMEOUT`].
pub const POSTGRES_CONNECTIONS: u32 = 8;
/// Connections to the SQLite file of one process: there is one writer at a time. While all are in use, a call
/// waits up to [`CALL_TIMEOUT`].
pub const SQLITE_CONNECTIONS: u32 = 4;
/// Time to open the SQLite file for the first time: a slow disk. Later calls have [`SQLITE_CALL_TIMEOUT`].
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// Time to get a connection to PostgreSQL. Afterwards the call fails as unavailable.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time that a write to SQLite waits for the writer of another process. Afterwards the call fails as
/// unavailable. A commit waits for the disk, which takes seconds while another program writes gigabytes.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// Time of one call to PostgreSQL, with [`ACQUIRE_TIMEOUT`]. Afterwards it fails; a write may have been carried
/// out.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);
const _: () = assert!(CALL_TIMEOUT.as_millis() > ACQUIRE_TIMEOUT.as_millis());
/// Time of one call to SQLite, with [`BUSY_TIMEOUT`]. Afterwards it fails; a write may have been carried out.
pub const SQLITE_CALL_TIMEOUT: Duration = Duration::from_secs(30);
const _: () = assert!(SQLITE_CALL_TIMEOUT.as_millis() > BUSY_TIMEOUT.as_millis());
/// Time to migrate the database, which another process may be doing. Afterwards the call fails as
/// unavailable, and the next one tries again.
pub const MIGRATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Characters of the name of a project. A longer one is refused.
pub const PROJECT_LEN_MAX: usize = 64;
/// Characters of the name of a user, as in a token. A longer one is refused.
pub const USER_LEN_MAX: usize = 128;
/// Bytes of the name of a user, as in a token. A longer one is refused.
pub const USER_BYTES_MAX: usize = 256;
/// Bytes of the name of a room, as in a token. A longer one is refused.
pub const ROOM_LEN_MAX: usize = 64;
/// Characters of the label of a key. A longer one is refused.
pub const LABEL_LEN_MAX: usize = 128;
/// Bytes of a password: a sentence fits. A longer one is refused before it is hashed.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Characters of a new password (NIST SP 800-63B §5.1.1.2). A shorter one is refused.
pub const PASSWORD_LEN_MIN: usize = 8;
/// Bytes of a stream key. A longer one is not looked up.
pub const STREAM_KEY_BYTES_MAX: usize = 160;
/// Bytes of the details of an audit entry. Longer ones are cut.
pub const DETAILS_BYTES_MAX: usize = 1024;

/// Projects of one database: every signaling process keeps the keys of all. A further one is refused.
pub const PROJECTS_MAX: i64 = 1_000;
/// Valid API keys of one project: some applications, and two of each while it changes its key. A further one
/// is refused.
pub const KEYS_PER_PROJECT_MAX: i64 = 15;
/// Valid stream keys of one project: some for each of its rooms with an encoder. A further one is refused.
pub const STREAM_KEYS_PER_PROJECT_MAX: i64 = 10_000;
/// Revocations of one project, as in the memory of signaling. A further one replaces the one that ends first.
pub const REVOCATIONS_PER_PROJECT_MAX: i64 = 4_096;
/// Time for which the tokens of a user are revoked that is disabled, erased, or gets another password: longer
/// than tokens are valid.
pub const USER_REVOCATION_TIME: Duration = Duration::from_secs(24 * 3_600);
/// Time within which a revocation of another process appears: the difference of the clocks, and a slow
/// transaction. One that appears later is not read.
pub const REVOCATIONS_OVERLAP: Duration = Duration::from_secs(60);
/// Entries of the audit log that one transaction deletes after their retention.
pub const RETENTION_BATCH_LEN: i64 = 2_000;
/// Time after a failed connection to the database for which further calls fail at once: they would wait for
/// each other.
pub const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// Rows of one page of a list. The caller asks for the next page.
pub const PAGE_LEN: i64 = 500;

/// Threads that hash passwords, each with 19 MiB for a hash. Further passwords wait in the queue.
pub const PASSWORD_THREADS: usize = 2;
/// Passwords that wait for these threads: about five seconds of work. Further ones are refused as busy.
pub const PASSWORD_QUEUE_LEN: usize = 256;
/// Niceness of these threads: media has priority.
pub const PASSWORD_NICENESS: i32 = 19;
/// Memory of one password hash, in KiB. A stored hash that needs more is not computed, and matches no
/// password.
pub const HASH_KIB: u32 = 19 * 1024;
/// Time without a password after which a thread returns this memory.
pub const HASH_MEMORY_IDLE: Duration = Duration::from_secs(60);
/// Passes of one password hash. A stored hash that needs more is not computed, and matches no password.
pub const HASH_PASSES: u32 = 2;

/// Events that wait for one target of webhooks: about 10 MB. A further one replaces the oldest, which is counted.
pub const WEBHOOK_QUEUE_LEN: i64 = 10_000;
/// Time for which an event waits for its target. Afterwards it is deleted and counted.
pub const WEBHOOK_QUEUE_TIME: Duration = Duration::from_secs(24 * 3_600);
/// Events of a room that are read at once and deleted together after their delivery: as many are delivered again
/// if the process is killed in between.
pub const WEBHOOK_BATCH_LEN: i64 = 16;

/// Bytes of one line of a backup: the longest row has 3 KiB. A longer one is refused.
pub const BACKUP_LINE_BYTES_MAX: usize = 64 * 1024;
/// Seconds for which the revocation of a stream key is stored: all processes read it within seconds, and one that
/// cannot reach the database within a day.
pub const STREAM_KEY_REVOCATION_S: i64 = 24 * 3_600;
