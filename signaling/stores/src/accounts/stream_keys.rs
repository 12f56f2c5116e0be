//! Stream keys: an encoder publishes into one room with such a key. The key is shown once; only its hash is
//! stored.

use super::Accounts;
use super::audit::{Action, Actor, append};
use super::database::{in_transaction, on_pool};
use super::error::AccountError;
use super::ids::{new_id, new_secret, now_ms, sha256_hex};
use super::limits::{PAGE_LEN, STREAM_KEY_BYTES_MAX, STREAM_KEY_REVOCATION_S, STREAM_KEYS_PER_PROJECT_MAX};
use super::names::{check_label, check_room};
use super::revocations::{RevocationKind, StoredRevocation, add_revocation};
use aws_lc_rs::constant_time::verify_slices_are_equal;

/// A stream key, without its secret part.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct StreamKey {
    /// Names the key in lists and in the audit log.
    pub id: String,
    /// The project.
    pub project: String,
    /// The room into which it publishes.
    pub room: String,
    /// A note of the operator; may be empty.
    pub label: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// When it was revoked, in milliseconds since 1970.
    pub revoked_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct StoredStreamKey {
    #[sqlx(flatten)]
    key: StreamKey,
    secret_hash: String,
}

impl Accounts {
    /// Adds a key for a room. The second part of the result is what the encoder gets; it cannot be read again.
    pub async fn add_stream_key(
        &self,
        actor: &Actor,
        project: &str,
        room: &str,
        label: &str,
    ) -> Result<(StreamKey, String), AccountError> {
        check_room(room)?;
        check_label(label)?;
        let key = StreamKey {
            id: format!("sk_{}", new_id()),
            project: project.to_owned(),
            room: room.to_owned(),
            label: label.to_owned(),
            created_at: now_ms(),
            revoked_at: None,
        };
        let secret = new_secret();
        let hash = sha256_hex(secret.as_bytes());
        in_transaction!(self.store, |tx| {
            let (count,): (i64,) =
                sqlx::query_as("SELECT COUNT(*) FROM stream_keys WHERE project = $1 AND revoked_at IS NULL")
                    .bind(project)
                    .fetch_one(&mut *tx)
                    .await?;
            if count >= STREAM_KEYS_PER_PROJECT_MAX {
                let (limit, what) = (STREAM_KEYS_PER_PROJECT_MAX, "valid stream keys in a project");
                return Err(AccountError::Limit { limit, what, advice: "revoke those that are not used" });
            }
            sqlx::query(
                "INSERT INTO stream_keys (id, project, room, label, secret_hash, created_at, revoked_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, NULL)",
            )
            .bind(&key.id)
            .bind(project)
            .bind(room)
            .bind(label)
            .bind(&hash)
            .bind(key.created_at)
            .execute(&mut *tx)
            .await
            .map_err(|error| AccountError::of_insert(error, "stream key", &key.id, Some(project)))?;
            let action = Action::new("stream-key.add", format!("stream-key:{}", key.id), project);
            append!(tx, actor, action.with_details(format!("room {room}")))?;
            Ok(())
        })?;
        let text = format!("{}_{secret}", key.id);
        Ok((key, text))
    }

    /// At most 500 keys of a project in the order of their creation, after the one with the id `after`; of one
    /// room, or of all. The revoked ones too.
    pub async fn stream_keys(
        &self,
        project: &str,
        room: Option<&str>,
        after: &str,
    ) -> Result<Vec<StreamKey>, AccountError> {
        const KEYS: &str = "SELECT id, project, room, label, created_at, revoked_at FROM stream_keys \
             WHERE project = $1 AND ($2 = '' OR room = $2) AND id > $3 ORDER BY id LIMIT $4";
        self.check_project_exists(project).await?;
        on_pool!(self.store, |pool| Ok(sqlx::query_as(KEYS)
            .bind(project)
            .bind(room.unwrap_or_default())
            .bind(after)
            .bind(PAGE_LEN)
            .fetch_all(pool)
            .await?))
    }

    /// Revokes a key.
    pub async fn revoke_stream_key(
        &self,
        actor: &Actor,
        project: &str,
        id: &str,
    ) -> Result<(), AccountError> {
        in_transaction!(self.store, |tx| {
            let room: Option<(String,)> = sqlx::query_as(
                "UPDATE stream_keys SET revoked_at = $3 WHERE project = $1 AND id = $2 AND revoked_at IS NULL \
                 RETURNING room",
            )
            .bind(project)
            .bind(id)
            .bind(now_ms())
            .fetch_optional(&mut *tx)
            .await?;
            let (room,) =
                room.ok_or_else(|| AccountError::not_found("valid stream key", id, Some(project)))?;
            // It ends what the encoder publishes now.
            let now = now_ms() / 1_000;
            let revocation = StoredRevocation {
                project: project.to_owned(),
                kind: RevocationKind::Token,
                value: id.to_owned(),
                since: 0,
                until: now.saturating_add(STREAM_KEY_REVOCATION_S),
            };
            add_revocation!(tx, &revocation);
            let action = Action::new("stream-key.revoke", format!("stream-key:{id}"), project);
            append!(tx, actor, action.with_details(format!("room {room}")))?;
            Ok(())
        })
    }

    /// The key that an encoder sent, if it is valid: with it, the encoder may publish into the room.
    pub async fn check_stream_key(&self, text: &str) -> Result<Option<StreamKey>, AccountError> {
        let parts = text.rsplit_once('_').filter(|_| text.len() <= STREAM_KEY_BYTES_MAX);
        let Some((id, secret)) = parts else { return Ok(None) };
        const KEY: &str = "SELECT id, project, room, label, created_at, revoked_at, secret_hash FROM stream_keys \
             WHERE id = $1 AND revoked_at IS NULL";
        let found: Option<StoredStreamKey> = on_pool!(self.store, |pool| Ok::<_, AccountError>(
            sqlx::query_as(KEY).bind(id).fetch_optional(pool).await?
        ))?;
        let hash = sha256_hex(secret.as_bytes());
        let is_right = |found: &StoredStreamKey| {
            verify_slices_are_equal(found.secret_hash.as_bytes(), hash.as_bytes()).is_ok()
        };
        Ok(found.filter(is_right).map(|found| found.key))
    }
}
