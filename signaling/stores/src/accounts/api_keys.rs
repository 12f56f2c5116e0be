//! API keys: secrets that sign tokens (HS256). The id of a key is the `kid` in the header of a token, and the
//! key determines the project of the token.
//!
//! Keys of applications are added by an administrator. Each project also has one key of the server, which
//! signs the tokens of users who log in.

use super::Accounts;
use super::audit::{Action, Actor, append};
use super::database::{in_transaction, on_pool};
use super::error::AccountError;
use super::ids::{new_id, new_secret, now_ms};
use super::limits::{KEYS_PER_PROJECT_MAX, PROJECTS_MAX};
use super::names::check_label;
use std::fmt::{self, Debug, Formatter};

/// A key.
#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ApiKey {
    /// The `kid` in the header of a token.
    pub id: String,
    /// The project of all tokens that it signs.
    pub project: String,
    /// Whether the server itself signs with it.
    pub is_server: bool,
    /// A note of the operator; may be empty.
    pub label: String,
    /// Signs tokens: the bytes of this text.
    pub secret: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// When it was revoked, in milliseconds since 1970: tokens that it signed are refused.
    pub revoked_at: Option<i64>,
}

impl Debug for ApiKey {
    /// Without the secret.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { id, project, is_server, label, created_at, revoked_at, secret: _ } = self;
        f.debug_struct("ApiKey")
            .field("id", id)
            .field("project", project)
            .field("is_server", is_server)
            .field("label", label)
            .field("created_at", created_at)
            .field("revoked_at", revoked_at)
            .finish_non_exhaustive()
    }
}

/// Adds the key of the server to a project in a transaction of either database, unless it has one.
macro_rules! add_server_key {
    ($tx:expr, $project:expr) => {
        sqlx::query($crate::accounts::api_keys::ADD_SERVER_KEY)
            .bind($crate::accounts::api_keys::new_key_id())
            .bind($project)
            .bind($crate::accounts::ids::new_secret())
            .bind($crate::accounts::ids::now_ms())
            .execute(&mut *$tx)
            .await
    };
}
pub(super) use add_server_key;

pub(super) const ADD_SERVER_KEY: &str = "INSERT INTO api_keys (id, project, kind, label, secret, created_at, revoked_at) \
     VALUES ($1, $2, 'server', '', $3, $4, NULL) ON CONFLICT DO NOTHING";

pub(super) fn new_key_id() -> String {
    format!("ak_{}", new_id())
}

impl Accounts {
    /// Adds a key for an application. The secret is in the result.
    pub async fn add_api_key(
        &self,
        actor: &Actor,
        project: &str,
        label: &str,
    ) -> Result<ApiKey, AccountError> {
        check_label(label)?;
        let key = ApiKey {
            id: new_key_id(),
            project: project.to_owned(),
            is_server: false,
            label: label.to_owned(),
            secret: new_secret(),
            created_at: now_ms(),
            revoked_at: None,
        };
        in_transaction!(self.store, |tx| {
            let (count,): (i64,) = sqlx::query_as(
                "SELECT COUNT(*) FROM api_keys WHERE project = $1 AND kind = 'application' AND revoked_at IS NULL",
            )
            .bind(project)
            .fetch_one(&mut *tx)
            .await?;
            if count >= KEYS_PER_PROJECT_MAX {
                let (limit, what) = (KEYS_PER_PROJECT_MAX, "valid API keys in a project");
                return Err(AccountError::Limit { limit, what, advice: "revoke one that is not used" });
            }
            sqlx::query(
                "INSERT INTO api_keys (id, project, kind, label, secret, created_at, revoked_at) \
                 VALUES ($1, $2, 'application', $3, $4, $5, NULL)",
            )
            .bind(&key.id)
            .bind(project)
            .bind(label)
            .bind(&key.secret)
            .bind(key.created_at)
            .execute(&mut *tx)
            .await
            .map_err(|error| AccountError::of_insert(error, "key", &key.id, Some(project)))?;
            append!(tx, actor, Action::new("key.add", format!("key:{}", key.id), project))?;
            Ok(())
        })?;
        Ok(key)
    }

    /// The keys of a project, in the order of their creation; the revoked ones too, and that of the server. At
    /// most 1,000.
    pub async fn api_keys(&self, project: &str) -> Result<Vec<ApiKey>, AccountError> {
        const KEYS: &str = "SELECT id, project, kind = 'server' AS is_server, label, secret, created_at, revoked_at \
             FROM api_keys WHERE project = $1 ORDER BY id LIMIT 1000";
        self.check_project_exists(project).await?;
        on_pool!(self.store, |pool| Ok(sqlx::query_as(KEYS).bind(project).fetch_all(pool).await?))
    }

    /// The valid keys of all projects, in the order of their creation.
    pub async fn valid_api_keys(&self) -> Result<Vec<ApiKey>, AccountError> {
        const KEYS: &str = "SELECT id, project, kind = 'server' AS is_server, label, secret, created_at, revoked_at \
             FROM api_keys WHERE revoked_at IS NULL ORDER BY id LIMIT $1";
        on_pool!(self.store, |pool| Ok(sqlx::query_as(KEYS)
            .bind(PROJECTS_MAX * (KEYS_PER_PROJECT_MAX + 1))
            .fetch_all(pool)
            .await?))
    }

    /// The key with which the server signs tokens of a project.
    pub async fn server_key(&self, project: &str) -> Result<ApiKey, AccountError> {
        const KEY: &str = "SELECT id, project, kind = 'server' AS is_server, label, secret, created_at, revoked_at \
             FROM api_keys WHERE project = $1 AND kind = 'server' AND revoked_at IS NULL";
        let find = async || -> Result<Option<ApiKey>, AccountError> {
            on_pool!(self.store, |pool| Ok(sqlx::query_as(KEY).bind(project).fetch_optional(pool).await?))
        };
        if let Some(key) = find().await? {
            return Ok(key);
        }
        // The project `default` has none before it is needed.
        in_transaction!(self.store, |tx| {
            add_server_key!(tx, project)
                .map_err(|error| AccountError::of_insert(error, "key", project, Some(project)))?;
            Ok(())
        })?;
        find().await?.ok_or_else(|| AccountError::not_found("project", project, None))
    }

    /// The key with this id, if it is valid and the server signs with it.
    pub async fn valid_server_key(&self, id: &str) -> Result<Option<ApiKey>, AccountError> {
        const KEY: &str = "SELECT id, project, kind = 'server' AS is_server, label, secret, created_at, revoked_at \
             FROM api_keys WHERE id = $1 AND kind = 'server' AND revoked_at IS NULL";
        on_pool!(self.store, |pool| Ok(sqlx::query_as(KEY).bind(id).fetch_optional(pool).await?))
    }

    /// Revokes a key. If it is that of the server, the project gets another one.
    pub async fn revoke_api_key(&self, actor: &Actor, project: &str, id: &str) -> Result<(), AccountError> {
        in_transaction!(self.store, |tx| {
            let kind: Option<(String,)> = sqlx::query_as(
                "UPDATE api_keys SET revoked_at = $3 WHERE project = $1 AND id = $2 AND revoked_at IS NULL \
                 RETURNING kind",
            )
            .bind(project)
            .bind(id)
            .bind(now_ms())
            .fetch_optional(&mut *tx)
            .await?;
            let (kind,) = kind.ok_or_else(|| AccountError::not_found("valid key", id, Some(project)))?;
            if kind == "server" {
                add_server_key!(tx, project)?;
            }
            append!(tx, actor, Action::new("key.revoke", format!("key:{id}"), project))?;
            Ok(())
        })
    }
}
