//! The database: a SQLite file, or PostgreSQL. Both have the same tables and the same queries; only what this
//! file contains differs.

use super::error::AccountError;
use super::limits::{
    ACQUIRE_TIMEOUT, BUSY_TIMEOUT, CALL_TIMEOUT, FAILURE_PAUSE, MIGRATION_TIMEOUT, OPEN_TIMEOUT,
    POSTGRES_CONNECTIONS, SQLITE_CALL_TIMEOUT, SQLITE_CONNECTIONS,
};
use sqlx::ConnectOptions;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

static MIGRATOR: Migrator = {
    let mut migrator = sqlx::migrate!("./migrations");
    // A newer version may have migrated the database: its tables have everything that this version uses.
    migrator.ignore_missing = true;
    migrator
};

/// The name of the SQLite file in the data directory.
pub const FILE_NAME: &str = "leat.db";

/// Where accounts are stored.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// The file `leat.db` in this directory, which is created if it does not exist.
    Directory(PathBuf),
    /// PostgreSQL, by its URL.
    Postgres(String),
}

impl std::fmt::Debug for Database {
    /// Without the password in the URL.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(dir) => f.debug_tuple("Directory").field(dir).finish(),
            Self::Postgres(_) => f.debug_tuple("Postgres").field(&"…").finish(),
        }
    }
}

pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

pub(super) struct Store {
    pub(super) pool: Pool,
    /// The directory of the SQLite file.
    dir: Option<PathBuf>,
    migrated: OnceCell<()>,
    /// The time of the last failed attempt to migrate.
    failed: Mutex<Option<Instant>>,
}

/// Evaluates the expression with the pool of either database: they have different types.
macro_rules! on_pool {
    ($store:expr, |$pool:ident| $body:expr) => {
        $store
            .call(async {
                match &$store.pool {
                    $crate::accounts::database::Pool::Sqlite($pool) => $body,
                    $crate::accounts::database::Pool::Postgres($pool) => $body,
                }
            })
            .await
    };
}
pub(super) use on_pool;

/// Evaluates the expression with a transaction of either database, and commits if its result is `Ok`.
///
/// SQLite gets `BEGIN IMMEDIATE`: a transaction that reads and then writes fails at once if another one has
/// written in between, whatever the busy timeout.
macro_rules! in_transaction {
    ($store:expr, |$tx:ident| $body:expr) => {
        $store
            .call(async {
                match &$store.pool {
                    $crate::accounts::database::Pool::Sqlite(pool) => {
                        let mut $tx = pool.begin_with("BEGIN IMMEDIATE").await?;
                        let result: Result<_, $crate::accounts::AccountError> = async { $body }.await;
                        let result = result?;
                        $tx.commit().await?;
                        Ok(result)
                    }
                    $crate::accounts::database::Pool::Postgres(pool) => {
                        let mut $tx = pool.begin().await?;
                        let result: Result<_, $crate::accounts::AccountError> = async { $body }.await;
                        let result = result?;
                        $tx.commit().await?;
                        Ok(result)
                    }
                }
            })
            .await
    };
}
pub(super) use in_transaction;

impl Store {
    /// Checks the configuration. The connection is made by the first call.
    pub(super) fn open(database: &Database) -> Result<Self, AccountError> {
        let (pool, dir) = match database {
            Database::Directory(dir) => (Pool::Sqlite(sqlite(dir)?), Some(dir.clone())),
            Database::Postgres(url) => (Pool::Postgres(postgres(url)?), None),
        };
        Ok(Self { pool, dir, migrated: OnceCell::new(), failed: Mutex::default() })
    }

    /// Awaits a call to the migrated database, for a bounded time.
    pub(super) async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, AccountError>>,
    ) -> Result<T, AccountError> {
        if !self.migrated.initialized() {
            self.prepare().await?;
        }
        let limit = self.call_timeout();
        timeout(limit, call).await.unwrap_or(Err(AccountError::Timeout(limit)))
    }

    /// The directory of the SQLite file.
    pub(super) fn dir(&self) -> &Path {
        self.dir.as_deref().unwrap_or(Path::new(""))
    }

    /// Time of one call. A writer of another process delays one to SQLite.
    pub(super) const fn call_timeout(&self) -> Duration {
        match self.pool {
            Pool::Sqlite(_) => SQLITE_CALL_TIMEOUT,
            Pool::Postgres(_) => CALL_TIMEOUT,
        }
    }

    /// Migrates the database once. Calls that wait for another one's attempt share its failure.
    async fn prepare(&self) -> Result<(), AccountError> {
        let asked = Instant::now();
        let attempt = self.migrated.get_or_try_init(async || {
            let failed = *self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if failed.is_some_and(|failed| failed > asked || failed.elapsed() < FAILURE_PAUSE) {
                return Err(AccountError::Unavailable(sqlx::Error::PoolTimedOut));
            }
            let result = self.migrate().await;
            if result.as_ref().is_err_and(AccountError::is_unavailable) {
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            }
            result
        });
        attempt.await.map(|_| ())
    }

    async fn migrate(&self) -> Result<(), AccountError> {
        let migration = async {
            match (&self.pool, &self.dir) {
                // SQLite has no lock for this between processes. The first connection changes the journal mode,
                // which fails at once if another process is doing it too: `busy_timeout` does not apply to it.
                (Pool::Sqlite(pool), dir) => {
                    let _lock = match dir {
                        Some(dir) => Some(lock(&dir.join("migration.lock")).await?),
                        None => None,
                    };
                    MIGRATOR.run(pool).await?;
                    for statement in PROTECT_SQLITE {
                        sqlx::query(statement).execute(pool).await?;
                    }
                }
                // PostgreSQL has a lock for this.
                (Pool::Postgres(pool), _) => {
                    MIGRATOR.run(pool).await?;
                    protect_postgres(pool).await?;
                }
            }
            Ok(())
        };
        // Waiting for a connection has a limit of its own, so a database that is away is noticed early.
        if let Pool::Postgres(pool) = &self.pool {
            drop(pool.acquire().await?);
        }
        timeout(MIGRATION_TIMEOUT, migration).await.unwrap_or(Err(AccountError::Timeout(MIGRATION_TIMEOUT)))
    }
}

fn sqlite(dir: &Path) -> Result<SqlitePool, AccountError> {
    let path = dir.join(FILE_NAME);
    private_file(dir, &path).map_err(|source| AccountError::File { path: path.clone(), source })?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // An acknowledged write survives a power failure too.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new().max_connections(SQLITE_CONNECTIONS).acquire_timeout(OPEN_TIMEOUT);
    Ok(pool.connect_lazy_with(options))
}

/// Creates the file for this user only: it contains the secrets of API keys. SQLite creates its other files
/// with the same mode.
fn private_file(dir: &Path, path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

/// The lock lasts as long as the file is open.
async fn lock(path: &Path) -> Result<File, AccountError> {
    loop {
        match try_lock_file(path)? {
            Some(file) => return Ok(file),
            None => sleep(LOCK_POLL).await,
        }
    }
}

/// Locks a file, which is created if it does not exist. `None` while another process has the lock.
pub(super) fn try_lock_file(path: &Path) -> Result<Option<File>, AccountError> {
    let failed = |source| AccountError::File { path: path.to_path_buf(), source };
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Interval of attempts to get the lock.
const LOCK_POLL: Duration = Duration::from_millis(20);

fn postgres(url: &str) -> Result<PgPool, AccountError> {
    // The parser accepts other schemes too.
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        let error = sqlx::Error::Configuration("not a URL of PostgreSQL".into());
        return Err(AccountError::Url(error));
    }
    let options = PgConnectOptions::from_str(url).map_err(AccountError::Url)?;
    let milliseconds = CALL_TIMEOUT.as_millis().to_string();
    let options = options
        .application_name("leat")
        .options([("lock_timeout", &milliseconds), ("idle_in_transaction_session_timeout", &milliseconds)])
        .disable_statement_logging();
    let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
    Ok(pool.connect_lazy_with(options))
}

/// The audit log is append-only. Only entries before the time in `audit_retention` can be deleted.
const PROTECT_SQLITE: [&str; 2] = [
    "CREATE TRIGGER IF NOT EXISTS audit_is_not_updated BEFORE UPDATE ON audit BEGIN \
     SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    "CREATE TRIGGER IF NOT EXISTS audit_is_not_deleted BEFORE DELETE ON audit \
     WHEN OLD.at >= (SELECT keep_from FROM audit_retention WHERE id = 1) BEGIN \
     SELECT RAISE(ABORT, 'the audit log is append-only'); END",
];

async fn protect_postgres(pool: &PgPool) -> Result<(), AccountError> {
    let found = sqlx::query(
        "SELECT 1 FROM pg_trigger WHERE tgrelid = 'audit'::regclass AND tgname = 'audit_is_not_truncated'",
    );
    if found.fetch_optional(pool).await?.is_some() {
        return Ok(());
    }
    for statement in PROTECT_POSTGRES {
        sqlx::query(statement).execute(pool).await?;
    }
    Ok(())
}

/// Several processes may run these at the same time: the lock excludes that.
const PROTECT_POSTGRES: [&str; 1] = ["DO $do$ BEGIN \
     LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE; \
     CREATE OR REPLACE FUNCTION audit_is_kept() RETURNS trigger LANGUAGE plpgsql AS $fn$ BEGIN \
         IF TG_OP = 'DELETE' AND OLD.at < (SELECT keep_from FROM audit_retention WHERE id = 1) THEN \
             RETURN OLD; \
         END IF; \
         RAISE EXCEPTION 'the audit log is append-only'; \
     END $fn$; \
     CREATE OR REPLACE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit \
         FOR EACH ROW EXECUTE FUNCTION audit_is_kept(); \
     CREATE OR REPLACE TRIGGER audit_is_not_truncated BEFORE TRUNCATE ON audit \
         FOR EACH STATEMENT EXECUTE FUNCTION audit_is_kept(); \
     END $do$"];
