//! Users of a project.

use super::Accounts;
use super::audit::{Action, Actor, append};
use super::database::{in_transaction, on_pool};
use super::error::AccountError;
use super::ids::{new_id, now_ms};
use super::limits::{PAGE_LEN, USER_REVOCATION_TIME};
use super::names::check_user;
use super::revocations::{StoredRevocation, add_revocation};

/// A user, without the hash of the password.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct User {
    /// Random and permanent; used in the audit log.
    pub id: String,
    /// The project.
    pub project: String,
    /// Unique in the project.
    pub name: String,
    /// Whether the user may administer the project.
    pub is_admin: bool,
    /// Whether the user may not log in.
    pub is_disabled: bool,
    /// Increases when all sessions of the user end.
    pub session_epoch: i64,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// A user that is added.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    /// Unique in the project.
    pub name: &'a str,
    /// From [`super::PasswordThreads::hash`].
    pub password_hash: &'a str,
    /// Whether the user may administer the project.
    pub is_admin: bool,
}

/// A user with the hash of the password.
#[derive(sqlx::FromRow)]
pub(super) struct Credentials {
    #[sqlx(flatten)]
    pub(super) user: User,
    pub(super) password_hash: String,
}

const ENABLE: &str = "user.enable";

/// Runs a statement that changes or deletes a user and returns its id, revokes the user's tokens, and records
/// the change.
macro_rules! change_user {
    ($accounts:expr, $actor:expr, ($project:expr, $name:expr), $statement:expr, $action:expr) => {{
        let (project, name) = ($project, $name);
        let duration_s = USER_REVOCATION_TIME.as_secs() as i64;
        in_transaction!($accounts.store, |tx| {
            let id: Option<(String,)> = $statement.fetch_optional(&mut *tx).await?;
            let (id,) = id.ok_or_else(|| AccountError::not_found("user", name, Some(project)))?;
            if $action != ENABLE {
                add_revocation!(tx, &StoredRevocation::of_account(project, name, duration_s));
            }
            append!(tx, $actor, Action::new($action, format!("user:{id}"), project))?;
            Ok(())
        })
    }};
}

impl Accounts {
    /// Adds a user to a project.
    pub async fn add_user(
        &self,
        actor: &Actor,
        project: &str,
        new: NewUser<'_>,
    ) -> Result<User, AccountError> {
        check_user(new.name)?;
        let user = User {
            id: new_id(),
            project: project.to_owned(),
            name: new.name.to_owned(),
            is_admin: new.is_admin,
            is_disabled: false,
            session_epoch: 0,
            created_at: now_ms(),
        };
        const ADD: &str = "INSERT INTO users (id, project, name, password_hash, is_admin, is_disabled, session_epoch, created_at) \
             VALUES ($1, $2, $3, $4, $5, FALSE, 0, $6)";
        in_transaction!(self.store, |tx| {
            sqlx::query(ADD)
                .bind(&user.id)
                .bind(project)
                .bind(new.name)
                .bind(new.password_hash)
                .bind(new.is_admin)
                .bind(user.created_at)
                .execute(&mut *tx)
                .await
                .map_err(|error| AccountError::of_insert(error, "user", new.name, Some(project)))?;
            let action = Action::new("user.add", format!("user:{}", user.id), project);
            let details = if new.is_admin { "admin" } else { "" };
            append!(tx, actor, action.with_details(details.to_owned()))?;
            Ok(())
        })?;
        Ok(user)
    }

    /// At most 500 users of a project in the order of their creation, after the one with the id `after`.
    pub async fn users(&self, project: &str, after: &str) -> Result<Vec<User>, AccountError> {
        const USERS: &str = "SELECT id, project, name, is_admin, is_disabled, session_epoch, created_at FROM users \
             WHERE project = $1 AND id > $2 ORDER BY id LIMIT $3";
        self.check_project_exists(project).await?;
        on_pool!(self.store, |pool| Ok(sqlx::query_as(USERS)
            .bind(project)
            .bind(after)
            .bind(PAGE_LEN)
            .fetch_all(pool)
            .await?))
    }

    /// A user, by name.
    pub async fn user(&self, project: &str, name: &str) -> Result<Option<User>, AccountError> {
        Ok(self.credentials(project, name).await?.map(|found| found.user))
    }

    pub(super) async fn credentials(
        &self,
        project: &str,
        name: &str,
    ) -> Result<Option<Credentials>, AccountError> {
        const USER: &str = "SELECT id, project, name, is_admin, is_disabled, session_epoch, created_at, password_hash \
             FROM users WHERE project = $1 AND name = $2";
        on_pool!(self.store, |pool| Ok(sqlx::query_as(USER)
            .bind(project)
            .bind(name)
            .fetch_optional(pool)
            .await?))
    }

    /// Disables a user, which ends the user's sessions and calls, or enables one.
    pub async fn set_user_disabled(
        &self,
        actor: &Actor,
        project: &str,
        name: &str,
        is_disabled: bool,
    ) -> Result<(), AccountError> {
        const SET: &str = "UPDATE users SET is_disabled = $3, session_epoch = session_epoch + 1 \
             WHERE project = $1 AND name = $2 RETURNING id";
        let action = if is_disabled { "user.disable" } else { ENABLE };
        change_user!(
            self,
            actor,
            (project, name),
            sqlx::query_as(SET).bind(project).bind(name).bind(is_disabled),
            action
        )
    }

    /// Changes the password of a user, which ends the user's sessions and calls.
    pub async fn set_password(
        &self,
        actor: &Actor,
        project: &str,
        name: &str,
        password_hash: &str,
    ) -> Result<(), AccountError> {
        const SET: &str = "UPDATE users SET password_hash = $3, session_epoch = session_epoch + 1 \
             WHERE project = $1 AND name = $2 RETURNING id";
        let set = "user.password";
        change_user!(
            self,
            actor,
            (project, name),
            sqlx::query_as(SET).bind(project).bind(name).bind(password_hash),
            set
        )
    }

    /// Erases a user, which ends the user's calls. The audit log keeps the id of the user, without a
    /// name.
    pub async fn delete_user(&self, actor: &Actor, project: &str, name: &str) -> Result<(), AccountError> {
        const DELETE: &str = "DELETE FROM users WHERE project = $1 AND name = $2 RETURNING id";
        let delete = "user.delete";
        change_user!(self, actor, (project, name), sqlx::query_as(DELETE).bind(project).bind(name), delete)
    }

    /// An error if there is no such project: an empty list would hide a wrong name.
    pub(super) async fn check_project_exists(&self, project: &str) -> Result<(), AccountError> {
        let found: Option<(String,)> = on_pool!(self.store, |pool| Ok::<_, AccountError>(
            sqlx::query_as("SELECT name FROM projects WHERE name = $1")
                .bind(project)
                .fetch_optional(pool)
                .await?
        ))?;
        found.map(|_| ()).ok_or_else(|| AccountError::not_found("project", project, None))
    }
}
