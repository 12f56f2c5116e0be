//! Projects: each has its own users, keys and rooms. The project `default` exists from the start.

use super::Accounts;
use super::api_keys::add_server_key;
use super::audit::{Action, Actor, append};
use super::database::{in_transaction, on_pool};
use super::error::AccountError;
use super::ids::now_ms;
use super::limits::PROJECTS_MAX;
use super::names::check_project;

/// The project that is used if none is named.
pub const DEFAULT_PROJECT: &str = "default";

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Milliseconds since 1970; 0 for the project `default`.
    pub created_at: i64,
}

impl Accounts {
    /// Adds a project.
    pub async fn add_project(&self, actor: &Actor, name: &str) -> Result<Project, AccountError> {
        check_project(name)?;
        let project = Project { name: name.to_owned(), created_at: now_ms() };
        in_transaction!(self.store, |tx| {
            let (count,): (i64,) =
                sqlx::query_as("SELECT COUNT(*) FROM projects").fetch_one(&mut *tx).await?;
            if count >= PROJECTS_MAX {
                let (limit, what) = (PROJECTS_MAX, "projects");
                return Err(AccountError::Limit { limit, what, advice: "delete one that is not used" });
            }
            sqlx::query("INSERT INTO projects (name, created_at) VALUES ($1, $2)")
                .bind(name)
                .bind(project.created_at)
                .execute(&mut *tx)
                .await
                .map_err(|error| AccountError::of_insert(error, "project", name, None))?;
            add_server_key!(tx, name)?;
            append!(tx, actor, Action::new("project.add", format!("project:{name}"), name))?;
            Ok(())
        })?;
        Ok(project)
    }

    /// All projects, at most 1,000, by name.
    pub async fn projects(&self) -> Result<Vec<Project>, AccountError> {
        let mut projects: Vec<Project> = on_pool!(self.store, |pool| Ok::<_, AccountError>(
            sqlx::query_as("SELECT name, created_at FROM projects").fetch_all(pool).await?
        ))?;
        // Databases compare text by different rules.
        projects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(projects)
    }

    /// Deletes a project with its users and keys. Its entries in the audit log stay.
    pub async fn delete_project(&self, actor: &Actor, name: &str) -> Result<(), AccountError> {
        if name == DEFAULT_PROJECT {
            return Err(AccountError::DefaultProject);
        }
        in_transaction!(self.store, |tx| {
            let done =
                sqlx::query("DELETE FROM projects WHERE name = $1").bind(name).execute(&mut *tx).await?;
            if done.rows_affected() == 0 {
                return Err(AccountError::not_found("project", name, None));
            }
            append!(tx, actor, Action::new("project.delete", format!("project:{name}"), name))?;
            Ok(())
        })
    }
}
