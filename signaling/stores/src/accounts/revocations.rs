//! Revoked tokens: a row until they expire, so that all processes refuse them, also after a restart.

use super::Accounts;
use super::audit::{Action, Actor, append};
use super::database::{in_transaction, on_pool};
use super::error::AccountError;
use super::ids::{now_ms, sha256_hex};
use super::limits::{PAGE_LEN, REVOCATIONS_OVERLAP, REVOCATIONS_PER_PROJECT_MAX};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The tokens that are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationKind {
    /// One token, by its id.
    Token,
    /// All tokens of a user that were issued up to then, by the name of the user.
    User,
    /// All tokens that the server issued to a user of this store up to then, by [`account_hash`]: the name of
    /// an erased user must not stay.
    Account,
    /// All tokens of a key, by its id.
    Key,
    /// All tokens of the project.
    Project,
}

impl RevocationKind {
    const ALL: [Self; 5] = [Self::Token, Self::User, Self::Account, Self::Key, Self::Project];

    fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::User => "user",
            Self::Account => "account",
            Self::Key => "key",
            Self::Project => "project",
        }
    }
}

/// A revocation. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRevocation {
    /// The project of the tokens.
    pub project: String,
    /// What it is about.
    pub kind: RevocationKind,
    /// The id of the token or key, the name or hash of the user, or empty.
    pub value: String,
    /// Of a user: tokens that were issued later are valid.
    pub since: i64,
    /// When the last of the tokens has expired.
    pub until: i64,
}

impl StoredRevocation {
    /// All tokens that a user of this store has got so far, for `duration_s` seconds.
    pub(super) fn of_account(project: &str, name: &str, duration_s: i64) -> Self {
        let since = now_ms() / 1_000;
        let (project, value) = (project.to_owned(), account_hash(project, name));
        Self { project, kind: RevocationKind::Account, value, since, until: since.saturating_add(duration_s) }
    }
}

/// What stands for a user in a revocation: SHA-256 in hexadecimal digits.
pub fn account_hash(project: &str, name: &str) -> String {
    // Neither contains a line break.
    sha256_hex(format!("{project}\n{name}").as_bytes())
}

/// A row, also in a backup.
#[derive(Serialize, Deserialize, sqlx::FromRow)]
pub(super) struct RevocationRow {
    pub(super) id: String,
    pub(super) project: String,
    pub(super) kind: String,
    pub(super) value: String,
    pub(super) since: i64,
    pub(super) until: i64,
}

/// Adds a revocation in a transaction of either database. The one of the project that ends first makes room
/// when there are too many.
macro_rules! add_revocation {
    ($tx:expr, $revocation:expr) => {{
        let revocation: &$crate::accounts::StoredRevocation = $revocation;
        sqlx::query($crate::accounts::revocations::MAKE_ROOM)
            .bind(&revocation.project)
            .bind($crate::accounts::limits::REVOCATIONS_PER_PROJECT_MAX)
            .execute(&mut *$tx)
            .await?;
        sqlx::query($crate::accounts::revocations::ADD)
            .bind($crate::accounts::ids::new_id())
            .bind(&revocation.project)
            .bind($crate::accounts::revocations::name_of(revocation.kind))
            .bind(&revocation.value)
            .bind(revocation.since)
            .bind(revocation.until)
            .execute(&mut *$tx)
            .await?;
    }};
}
pub(super) use add_revocation;

pub(super) const ADD: &str =
    "INSERT INTO revocations (id, project, kind, value, since, until) VALUES ($1, $2, $3, $4, $5, $6)";

/// Deletes nothing while the project has fewer rows than the limit.
pub(super) const MAKE_ROOM: &str = "DELETE FROM revocations WHERE id IN ( \
     SELECT id FROM revocations WHERE project = $1 ORDER BY until LIMIT 1) \
     AND (SELECT COUNT(*) FROM revocations WHERE project = $1) >= $2";

pub(super) fn name_of(kind: RevocationKind) -> &'static str {
    kind.name()
}

const _: () = assert!(REVOCATIONS_PER_PROJECT_MAX > 0);

impl Accounts {
    /// Adds an entry to the audit log, and revocations, in one transaction.
    pub async fn record_and_revoke(
        &self,
        actor: &Actor,
        action: Action<'_>,
        revocations: &[StoredRevocation],
    ) -> Result<(), AccountError> {
        in_transaction!(self.store, |tx| {
            for revocation in revocations {
                add_revocation!(tx, revocation);
            }
            append!(tx, actor, action)?;
            Ok(())
        })
    }

    /// Deletes revocations that have ended. Returns their number.
    pub async fn delete_ended_revocations(&self) -> Result<u64, AccountError> {
        let now = now_ms() / 1_000;
        on_pool!(self.store, |pool| {
            let deleted = sqlx::query("DELETE FROM revocations WHERE until < $1").bind(now).execute(pool);
            Ok(deleted.await?.rows_affected())
        })
    }

    async fn revocations_after(&self, id: &str) -> Result<Vec<RevocationRow>, AccountError> {
        const ROWS: &str = "SELECT id, project, kind, value, since, until FROM revocations WHERE id > $1 \
             ORDER BY id LIMIT $2";
        on_pool!(self.store, |pool| Ok(sqlx::query_as(ROWS).bind(id).bind(PAGE_LEN).fetch_all(pool).await?))
    }
}

/// Reads the revocations of all processes, each once.
pub struct RevocationReader {
    accounts: Accounts,
    /// Rows with smaller ids are read.
    from: String,
    /// Those that are read with larger ids: rows of other processes appear a little late.
    read: BTreeSet<String>,
}

impl std::fmt::Debug for RevocationReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RevocationReader").field("from", &self.from).finish_non_exhaustive()
    }
}

impl RevocationReader {
    /// Starts with the oldest one.
    pub fn new(accounts: Accounts) -> Self {
        Self { accounts, from: String::new(), read: BTreeSet::new() }
    }

    /// Those that were added since the last call, at most 500. Fewer than 500 are all.
    pub async fn next(&mut self) -> Result<Vec<StoredRevocation>, AccountError> {
        let mut found = Vec::new();
        let mut after = self.from.clone();
        // Bounded by the rows of the overlap.
        while found.is_empty() {
            let rows = self.accounts.revocations_after(&after).await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.id);
            let is_last_page = (rows.len() as i64) < PAGE_LEN;
            found.extend(rows.into_iter().filter(|row| self.read.insert(row.id.clone())));
            if is_last_page {
                break;
            }
        }
        if let Some(from) = overlapping(&after) {
            self.from = self.from.clone().max(from);
            self.read = self.read.split_off(&self.from);
        }
        Ok(found.into_iter().filter_map(revocation).collect())
    }
}

/// An id from [`REVOCATIONS_OVERLAP`] before another one.
fn overlapping(id: &str) -> Option<String> {
    let time = u64::from_str_radix(id.get(..16)?, 16).ok()?;
    Some(format!("{:016x}", time.saturating_sub(REVOCATIONS_OVERLAP.as_micros() as u64)))
}

/// `None` for a kind of a newer version of the program.
fn revocation(row: RevocationRow) -> Option<StoredRevocation> {
    let kind = RevocationKind::ALL.into_iter().find(|kind| kind.name() == row.kind);
    if kind.is_none() {
        tracing::warn!(
            kind = row.kind,
            "a revocation in the database is of a kind that this version does not know"
        );
    }
    let RevocationRow { project, value, since, until, .. } = row;
    Some(StoredRevocation { project, kind: kind?, value, since, until })
}
