//! Backups: all tables as JSON lines, in one form for both databases. A backup of one can be restored into the
//! other.
//!
//! The first line is a header with the version of the form, each further one a row, and the last one has the
//! number of rows and the SHA-256 of all lines before it: a backup that was cut or damaged is not restored. A
//! backup contains the secrets of API keys and the hashes of passwords.

use super::Accounts;
use super::audit::{APPEND, Action, Actor, append};
use super::database::Pool;
use super::error::AccountError;
use super::ids::{hex, now_ms};
use super::limits::{BACKUP_LINE_BYTES_MAX, CALL_TIMEOUT, PAGE_LEN};
use super::revocations::{ADD, RevocationRow};
use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Read, Write};
use tokio::time::timeout;

/// Version of the form. A reader accepts its own and all earlier ones.
const VERSION: u32 = 2;

/// Rows of each table in a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupCounts {
    /// Projects, with `default`.
    pub projects: u64,
    /// Users.
    pub users: u64,
    /// API keys, with the revoked ones.
    pub api_keys: u64,
    /// Stream keys, with the revoked ones.
    pub stream_keys: u64,
    /// Entries of the audit log.
    pub audit: u64,
    /// Revocations of tokens; absent in backups of form 1.
    #[serde(default)]
    pub revocations: u64,
}

#[derive(Serialize, Deserialize)]
struct BackupHeader {
    leat_backup: u32,
    created_at: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "table", rename_all = "snake_case")]
enum BackupRow {
    Projects(ProjectRow),
    Users(UserRow),
    ApiKeys(ApiKeyRow),
    StreamKeys(StreamKeyRow),
    Audit(AuditRow),
    Revocations(RevocationRow),
    /// The last line.
    End(BackupEnd),
}

#[derive(Serialize, Deserialize, sqlx::FromRow)]
struct ProjectRow {
    name: String,
    created_at: i64,
}

#[derive(Serialize, Deserialize, sqlx::FromRow)]
struct UserRow {
    id: String,
    project: String,
    name: String,
    password_hash: String,
    is_admin: bool,
    is_disabled: bool,
    session_epoch: i64,
    created_at: i64,
}

#[derive(Serialize, Deserialize, sqlx::FromRow)]
struct ApiKeyRow {
    id: String,
    project: String,
    kind: String,
    label: String,
    secret: String,
    created_at: i64,
    revoked_at: Option<i64>,
}

#[derive(Serialize, Deserialize, sqlx::FromRow)]
struct StreamKeyRow {
    id: String,
    project: String,
    room: String,
    label: String,
    secret_hash: String,
    created_at: i64,
    revoked_at: Option<i64>,
}

#[derive(Serialize, Deserialize, sqlx::FromRow)]
struct AuditRow {
    id: String,
    at: i64,
    actor: String,
    action: String,
    target: String,
    project: Option<String>,
    details: String,
}

#[derive(Serialize, Deserialize)]
struct BackupEnd {
    #[serde(flatten)]
    counts: BackupCounts,
    sha256: String,
}

/// Writes lines, and counts and hashes them.
struct LineWriter<'a, W> {
    out: &'a mut W,
    sha256: Context,
    counts: BackupCounts,
}

impl<W: Write> LineWriter<'_, W> {
    fn line(&mut self, value: &impl Serialize) -> Result<(), AccountError> {
        let mut line = serde_json::to_vec(value).expect("rows are plain JSON");
        line.push(b'\n');
        self.sha256.update(&line);
        self.out.write_all(&line).map_err(AccountError::BackupIo)
    }
}

/// Writes one table in the order of its key, page by page, so that memory is bounded.
macro_rules! write_table {
    ($tx:expr, $lines:expr, $row:ty, $variant:ident, $count:ident, $key:ident, $sql:literal) => {{
        let mut after = String::new();
        loop {
            let page = sqlx::query_as($sql).bind(&after).bind(PAGE_LEN).fetch_all(&mut *$tx);
            let page: Vec<$row> =
                timeout(CALL_TIMEOUT, page).await.map_err(|_| AccountError::Timeout(CALL_TIMEOUT))??;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.$key);
            for row in page {
                $lines.counts.$count += 1;
                $lines.line(&BackupRow::$variant(row))?;
            }
        }
    }};
}

macro_rules! write_tables {
    ($tx:expr, $lines:expr) => {{
        write_table!(
            $tx,
            $lines,
            ProjectRow,
            Projects,
            projects,
            name,
            "SELECT name, created_at FROM projects WHERE name > $1 ORDER BY name LIMIT $2"
        );
        write_table!(
            $tx,
            $lines,
            UserRow,
            Users,
            users,
            id,
            "SELECT id, project, name, password_hash, is_admin, is_disabled, session_epoch, created_at FROM users \
             WHERE id > $1 ORDER BY id LIMIT $2"
        );
        write_table!(
            $tx,
            $lines,
            ApiKeyRow,
            ApiKeys,
            api_keys,
            id,
            "SELECT id, project, kind, label, secret, created_at, revoked_at FROM api_keys \
             WHERE id > $1 ORDER BY id LIMIT $2"
        );
        write_table!(
            $tx,
            $lines,
            StreamKeyRow,
            StreamKeys,
            stream_keys,
            id,
            "SELECT id, project, room, label, secret_hash, created_at, revoked_at FROM stream_keys \
             WHERE id > $1 ORDER BY id LIMIT $2"
        );
        write_table!(
            $tx,
            $lines,
            AuditRow,
            Audit,
            audit,
            id,
            "SELECT id, at, actor, action, target, project, details FROM audit WHERE id > $1 ORDER BY id LIMIT $2"
        );
        write_table!(
            $tx,
            $lines,
            RevocationRow,
            Revocations,
            revocations,
            id,
            "SELECT id, project, kind, value, since, until FROM revocations WHERE id > $1 ORDER BY id LIMIT $2"
        );
    }};
}

/// Reads lines of bounded length, and hashes them.
struct LineReader<'a, R> {
    input: &'a mut R,
    sha256: Context,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> LineReader<'_, R> {
    fn next(&mut self) -> Result<(), AccountError> {
        self.sha256.update(&self.line);
        self.line.clear();
        self.number += 1;
        let limit = BACKUP_LINE_BYTES_MAX as u64;
        let mut bounded = self.input.by_ref().take(limit);
        bounded.read_until(b'\n', &mut self.line).map_err(AccountError::BackupIo)?;
        if self.line.ends_with(b"\n") {
            return Ok(());
        }
        Err(self.invalid(if self.line.len() as u64 == limit {
            "the line is too long"
        } else {
            "the file ends too early; the backup is not complete"
        }))
    }

    fn invalid(&self, wanted: impl Into<String>) -> AccountError {
        AccountError::BackupLine { line: self.number, wanted: wanted.into() }
    }

    fn header(&mut self) -> Result<(), AccountError> {
        self.next()?;
        let header: BackupHeader = serde_json::from_slice(&self.line)
            .map_err(|_| self.invalid("expected the header of a backup that `leat backup` wrote"))?;
        if header.leat_backup > VERSION {
            let text = format!(
                "the form has version {}, and this program knows {VERSION}; use a newer one",
                header.leat_backup
            );
            return Err(self.invalid(text));
        }
        Ok(())
    }

    /// The next row. The end is checked.
    fn row(&mut self, counts: &BackupCounts) -> Result<BackupRow, AccountError> {
        self.next()?;
        let row = serde_json::from_slice(&self.line)
            .map_err(|error| self.invalid(format!("expected a row of a table: {error}")))?;
        if let BackupRow::End(end) = &row {
            let sha256 = hex(self.sha256.clone().finish().as_ref());
            if end.sha256 != sha256 || end.counts != *counts {
                return Err(self.invalid("the content does not match its checksum; the backup is damaged"));
            }
            let mut rest = [0];
            if self.input.read(&mut rest).map_err(AccountError::BackupIo)? != 0 {
                return Err(self.invalid("expected the end of the file after this line"));
            }
        }
        Ok(row)
    }
}

/// Checks in a transaction that the database has only what an empty one has.
macro_rules! check_is_empty {
    ($tx:expr) => {
        for (what, sql) in IS_EMPTY {
            let found: Option<(i64,)> = sqlx::query_as(sql).fetch_optional(&mut *$tx).await?;
            if found.is_some() {
                return Err(AccountError::NotEmpty { what });
            }
        }
    };
}

const IS_EMPTY: [(&str, &str); 6] = [
    ("users", "SELECT CAST(1 AS BIGINT) FROM users LIMIT 1"),
    ("API keys", "SELECT CAST(1 AS BIGINT) FROM api_keys WHERE kind <> 'server' LIMIT 1"),
    ("stream keys", "SELECT CAST(1 AS BIGINT) FROM stream_keys LIMIT 1"),
    ("projects", "SELECT CAST(1 AS BIGINT) FROM projects WHERE name <> 'default' LIMIT 1"),
    ("entries in the audit log", "SELECT CAST(1 AS BIGINT) FROM audit LIMIT 1"),
    ("revocations", "SELECT CAST(1 AS BIGINT) FROM revocations LIMIT 1"),
];

/// Reads all rows into a transaction of either database.
macro_rules! read_tables {
    ($tx:expr, $lines:expr) => {{
        check_is_empty!($tx);
        // Only that of the server, in a project that the backup has too.
        sqlx::query("DELETE FROM projects").execute(&mut *$tx).await?;
        let mut counts = BackupCounts::default();
        loop {
            match $lines.row(&counts)? {
                BackupRow::Projects(row) => {
                    counts.projects += 1;
                    sqlx::query("INSERT INTO projects (name, created_at) VALUES ($1, $2)")
                        .bind(row.name)
                        .bind(row.created_at)
                        .execute(&mut *$tx)
                        .await
                }
                BackupRow::Users(row) => {
                    counts.users += 1;
                    sqlx::query(
                        "INSERT INTO users (id, project, name, password_hash, is_admin, is_disabled, session_epoch, \
                         created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                    )
                    .bind(row.id)
                    .bind(row.project)
                    .bind(row.name)
                    .bind(row.password_hash)
                    .bind(row.is_admin)
                    .bind(row.is_disabled)
                    .bind(row.session_epoch)
                    .bind(row.created_at)
                    .execute(&mut *$tx)
                    .await
                }
                BackupRow::ApiKeys(row) => {
                    counts.api_keys += 1;
                    sqlx::query(
                        "INSERT INTO api_keys (id, project, kind, label, secret, created_at, revoked_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    )
                    .bind(row.id)
                    .bind(row.project)
                    .bind(row.kind)
                    .bind(row.label)
                    .bind(row.secret)
                    .bind(row.created_at)
                    .bind(row.revoked_at)
                    .execute(&mut *$tx)
                    .await
                }
                BackupRow::StreamKeys(row) => {
                    counts.stream_keys += 1;
                    sqlx::query(
                        "INSERT INTO stream_keys (id, project, room, label, secret_hash, created_at, revoked_at) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    )
                    .bind(row.id)
                    .bind(row.project)
                    .bind(row.room)
                    .bind(row.label)
                    .bind(row.secret_hash)
                    .bind(row.created_at)
                    .bind(row.revoked_at)
                    .execute(&mut *$tx)
                    .await
                }
                BackupRow::Audit(row) => {
                    counts.audit += 1;
                    sqlx::query(APPEND)
                        .bind(row.id)
                        .bind(row.at)
                        .bind(row.actor)
                        .bind(row.action)
                        .bind(row.target)
                        .bind(row.project)
                        .bind(row.details)
                        .execute(&mut *$tx)
                        .await
                }
                BackupRow::Revocations(row) => {
                    counts.revocations += 1;
                    sqlx::query(ADD)
                        .bind(row.id)
                        .bind(row.project)
                        .bind(row.kind)
                        .bind(row.value)
                        .bind(row.since)
                        .bind(row.until)
                        .execute(&mut *$tx)
                        .await
                }
                BackupRow::End(_) => break,
            }
            .map_err(|error| match error.as_database_error() {
                Some(cause) => $lines.invalid(format!("the database refuses this row: {cause}")),
                None => AccountError::Unavailable(error),
            })?;
        }
        counts
    }};
}

impl Accounts {
    /// Writes everything as of one moment, while others may read and write.
    pub async fn backup<W: Write>(&self, actor: &Actor, out: &mut W) -> Result<BackupCounts, AccountError> {
        self.record(actor, about("backup", String::new())).await?;
        let mut lines = LineWriter { out, sha256: Context::new(&SHA256), counts: BackupCounts::default() };
        lines.line(&BackupHeader { leat_backup: VERSION, created_at: now_ms() })?;
        match &self.store.pool {
            Pool::Sqlite(pool) => {
                let mut tx = pool.begin().await?;
                write_tables!(tx, lines);
            }
            Pool::Postgres(pool) => {
                let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
                write_tables!(tx, lines);
            }
        }
        let counts = lines.counts;
        let sha256 = hex(lines.sha256.clone().finish().as_ref());
        lines.line(&BackupRow::End(BackupEnd { counts, sha256 }))?;
        out.flush().map_err(AccountError::BackupIo)?;
        Ok(counts)
    }

    /// Reads a backup into an empty database: everything, or nothing if there is an error.
    pub async fn restore<R: BufRead>(
        &self,
        actor: &Actor,
        input: &mut R,
    ) -> Result<BackupCounts, AccountError> {
        self.prepare().await?;
        let mut lines = LineReader { input, sha256: Context::new(&SHA256), number: 0, line: Vec::new() };
        lines.header()?;
        match &self.store.pool {
            Pool::Sqlite(pool) => {
                let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
                let counts = read_tables!(tx, lines);
                append!(tx, actor, about("restore", format!("{} rows", lines.number - 2)))?;
                tx.commit().await?;
                Ok(counts)
            }
            Pool::Postgres(pool) => {
                let mut tx = pool.begin().await?;
                let counts = read_tables!(tx, lines);
                append!(tx, actor, about("restore", format!("{} rows", lines.number - 2)))?;
                tx.commit().await?;
                Ok(counts)
            }
        }
    }
}

fn about(action: &'static str, details: String) -> Action<'static> {
    Action { project: None, ..Action::new(action, "database".to_owned(), "").with_details(details) }
}
