//! The lock of the process that delivers webhooks: with one sender, the events of a room stay in order. It ends
//! with its process, also after SIGKILL: it is the lock of a file, or one of a session of PostgreSQL.

use super::database::{Pool, Store, try_lock_file};
use super::error::AccountError;
use super::limits::CALL_TIMEOUT;
use sqlx::postgres::PgConnection;
use std::fs::File;
use tokio::time::timeout;

/// Held by at most one process of a database.
#[derive(Debug)]
pub struct DeliveryLock(Kind);

#[derive(Debug)]
enum Kind {
    File { _locked: File },
    Session(Box<PgConnection>),
}

impl DeliveryLock {
    pub(super) async fn acquire(store: &Store) -> Result<Option<Self>, AccountError> {
        match &store.pool {
            Pool::Sqlite(_) => {
                let path = store.dir().join(FILE_NAME);
                Ok(try_lock_file(&path)?.map(|file| Self(Kind::File { _locked: file })))
            }
            Pool::Postgres(pool) => {
                // The pool closes connections that are not used for a while.
                let mut connection = pool.acquire().await?.detach();
                for setting in SESSION {
                    sqlx::query(setting).execute(&mut connection).await?;
                }
                let lock = sqlx::query_as("SELECT pg_try_advisory_lock($1)").bind(ADVISORY_LOCK);
                let (is_locked,): (bool,) = lock.fetch_one(&mut connection).await?;
                Ok(is_locked.then(|| Self(Kind::Session(Box::new(connection)))))
            }
        }
    }

    /// Whether it is still held: the session of PostgreSQL may have ended.
    pub async fn is_held(&mut self) -> bool {
        match &mut self.0 {
            Kind::File { .. } => true,
            Kind::Session(connection) => {
                let alive = sqlx::query("SELECT 1").execute(&mut **connection);
                timeout(CALL_TIMEOUT, alive).await.is_ok_and(|alive| alive.is_ok())
            }
        }
    }
}

/// The file beside the database. It stays when the lock ends.
const FILE_NAME: &str = "webhooks.lock";

/// The number of the lock in a database of PostgreSQL: "webhooks" in ASCII.
const ADVISORY_LOCK: i64 = i64::from_be_bytes(*b"webhooks");

/// PostgreSQL ends the session of a host that is gone within a minute, and so the lock.
const SESSION: [&str; 3] =
    ["SET tcp_keepalives_idle = 30", "SET tcp_keepalives_interval = 10", "SET tcp_keepalives_count = 3"];
