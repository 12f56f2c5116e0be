//! Accounts: projects, users, API keys, stream keys and the audit log, in a SQLite file or in PostgreSQL.
//!
//! Every change is written together with its entry in the audit log, and is on disk when the call returns.
//! Every call has a time limit, and fails while the database does not answer; the next call tries again. A
//! database that is away at the start is migrated when it answers.

mod api_keys;
mod audit;
mod backup;
mod database;
mod delivery_lock;
mod error;
mod ids;
pub mod limits;
mod login;
mod names;
mod passwords;
mod projects;
mod quality;
mod revocations;
mod stream_keys;
mod users;
mod webhook_queue;

pub use api_keys::ApiKey;
pub use audit::{Action, Actor, AuditEntry};
pub use backup::BackupCounts;
pub use database::{Database, FILE_NAME};
pub use delivery_lock::DeliveryLock;
pub use error::AccountError;
pub use login::LoginError;
pub use names::{check_password, check_project, check_room, check_user};
pub use passwords::{HashError, PasswordThreads, PasswordsBusy};
pub use projects::{DEFAULT_PROJECT, Project};
pub use quality::StoredQuality;
pub use revocations::{RevocationKind, RevocationReader, StoredRevocation, account_hash};
pub use stream_keys::StreamKey;
pub use users::{NewUser, User};
pub use webhook_queue::{QueuedEvent, WebhookBacklog};

use database::Store;
use database::on_pool;
use std::sync::Arc;

/// The store of accounts. Clones share their connections.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<Store>,
}

impl Accounts {
    /// Opens the store, inside a Tokio runtime. Creates the SQLite file; connects with the first call.
    pub fn open(database: &Database) -> Result<Self, AccountError> {
        Ok(Self { store: Arc::new(Store::open(database)?) })
    }

    /// Whether the database answers.
    pub async fn check(&self) -> Result<(), AccountError> {
        on_pool!(self.store, |pool| {
            sqlx::query("SELECT 1").execute(pool).await?;
            Ok(())
        })
    }

    /// Connects and migrates the database, unless that has been done.
    pub async fn prepare(&self) -> Result<(), AccountError> {
        self.store.call(async { Ok(()) }).await
    }
}
