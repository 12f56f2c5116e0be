//! The audit log: who did what, when. Entries are added, in the transaction of the change that they record,
//! and never changed. A user appears by id: when the user is deleted, the entries have a pseudonym.

use super::Accounts;
use super::database::{in_transaction, on_pool};
use super::error::AccountError;
use super::limits::{DETAILS_BYTES_MAX, PAGE_LEN, RETENTION_BATCH_LEN};
use std::fmt::{self, Display, Formatter};

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The user of the operating system that ran `leat`.
    Cli(String),
    /// A user, by id.
    User(String),
    /// An application, by the id of its API key.
    Key(String),
    /// A participant of a call who is no user of this store, by the name in its token.
    Participant(String),
    /// The server itself, for example because a retention time has passed.
    System,
}

impl Display for Actor {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cli(name) => write!(f, "cli:{name}"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Participant(name) => write!(f, "participant:{name}"),
            Self::System => f.write_str("system"),
        }
    }
}

/// What is recorded, besides the actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action<'a> {
    /// What was done, for example `user.add`.
    pub action: &'static str,
    /// To what, for example `user:ID`.
    pub target: String,
    /// In which project.
    pub project: Option<&'a str>,
    /// More about it, without secrets and without names of users. May be empty.
    pub details: String,
    /// Milliseconds since 1970, if it was before now.
    pub at: Option<i64>,
}

impl<'a> Action<'a> {
    /// An action in a project, without details.
    pub fn new(action: &'static str, target: String, project: &'a str) -> Self {
        Self { action, target, project: Some(project), details: String::new(), at: None }
    }

    /// The same action at an earlier time: it waited for the database.
    pub fn at(self, at_ms: i64) -> Self {
        Self { at: Some(at_ms), ..self }
    }

    /// The same action, with details.
    pub fn with_details(mut self, details: String) -> Self {
        self.details = details;
        self
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct AuditEntry {
    /// Orders entries by time.
    pub id: String,
    /// Milliseconds since 1970.
    pub at: i64,
    /// For example `cli:root` or `user:ID`.
    pub actor: String,
    /// For example `user.add`.
    pub action: String,
    /// For example `user:ID`.
    pub target: String,
    /// The project, if it is about one.
    pub project: Option<String>,
    /// May be empty.
    pub details: String,
    /// Name of the actor, if it is a user that still exists.
    pub actor_name: Option<String>,
    /// Name of the target, if it is a user that still exists.
    pub target_name: Option<String>,
}

/// Adds an entry in a transaction of either database.
macro_rules! append {
    ($tx:expr, $actor:expr, $action:expr) => {{
        let (actor, action) = ($actor, $action);
        sqlx::query($crate::accounts::audit::APPEND)
            .bind($crate::accounts::ids::new_id())
            .bind(action.at.unwrap_or_else($crate::accounts::ids::now_ms))
            .bind(actor.to_string())
            .bind(action.action)
            .bind(action.target)
            .bind(action.project)
            .bind($crate::accounts::audit::cut(action.details))
            .execute(&mut *$tx)
            .await
    }};
}
pub(super) use append;

pub(super) const APPEND: &str = "INSERT INTO audit (id, at, actor, action, target, project, details) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)";

pub(super) fn cut(mut details: String) -> String {
    details.truncate(details.floor_char_boundary(DETAILS_BYTES_MAX));
    details
}

impl Accounts {
    /// Adds an entry for an action that changes nothing in this store.
    pub async fn record(&self, actor: &Actor, action: Action<'_>) -> Result<(), AccountError> {
        in_transaction!(self.store, |tx| {
            append!(tx, actor, action)?;
            Ok(())
        })
    }

    /// The newest entries before the one with the id `before`, or the newest of all, at most `limit` and
    /// 500; of one project, or of all.
    pub async fn audit(
        &self,
        project: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, AccountError> {
        const ENTRIES: &str = "SELECT audit.id, audit.at, audit.actor, audit.action, audit.target, audit.project, \
             audit.details, actors.name AS actor_name, targets.name AS target_name FROM audit \
             LEFT JOIN users AS actors ON audit.actor = 'user:' || actors.id \
             LEFT JOIN users AS targets ON audit.target = 'user:' || targets.id \
             WHERE ($1 = '' OR audit.project = $1) AND ($2 = '' OR audit.id < $2) \
             ORDER BY audit.id DESC LIMIT $3";
        let limit = i64::try_from(limit).unwrap_or(PAGE_LEN).min(PAGE_LEN);
        on_pool!(self.store, |pool| Ok(sqlx::query_as(ENTRIES)
            .bind(project.unwrap_or_default())
            .bind(before.unwrap_or_default())
            .bind(limit)
            .fetch_all(pool)
            .await?))
    }

    /// Deletes the entries before `keep_from` (milliseconds since 1970), and records that. Returns their
    /// number.
    pub async fn delete_audit_before(&self, actor: &Actor, keep_from: i64) -> Result<u64, AccountError> {
        let mut count = 0;
        loop {
            let deleted = self.delete_some_audit_before(keep_from).await;
            // What was deleted is recorded also if the rest cannot be deleted now.
            let (some, rest) = match deleted {
                Ok(some) => (some, Ok(())),
                Err(error) => (0, Err(error)),
            };
            count += some;
            if some == 0 {
                if count > 0 {
                    let (target, details) =
                        ("audit".to_owned(), format!("{count} entries before {keep_from}"));
                    self.record(
                        actor,
                        Action {
                            project: None,
                            ..Action::new("audit.delete", target, "").with_details(details)
                        },
                    )
                    .await?;
                }
                return rest.map(|()| count);
            }
        }
    }

    /// A short transaction, so that others can write in between.
    async fn delete_some_audit_before(&self, keep_from: i64) -> Result<u64, AccountError> {
        // Ids begin with the time in microseconds, and the order of ids needs no other index.
        const DELETE: &str = "DELETE FROM audit WHERE id IN ( \
             SELECT id FROM audit WHERE id < $1 ORDER BY id LIMIT $2) AND at < $3";
        let before = format!("{:016x}", keep_from.max(0).saturating_mul(1_000));
        in_transaction!(self.store, |tx| {
            sqlx::query("UPDATE audit_retention SET keep_from = $1 WHERE id = 1 AND keep_from < $1")
                .bind(keep_from)
                .execute(&mut *tx)
                .await?;
            let deleted = sqlx::query(DELETE).bind(&before).bind(RETENTION_BATCH_LEN).bind(keep_from);
            Ok(deleted.execute(&mut *tx).await?.rows_affected())
        })
    }
}
