//! Why a call to the store of accounts failed.

use sqlx::migrate::MigrateError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A call to the store failed. Unless the variant states otherwise, it changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The database does not answer, or it refuses the call.
    #[error("the database of accounts is not available")]
    Unavailable(#[source] sqlx::Error),
    /// No answer in time. A write may have been carried out.
    #[error("the database of accounts did not answer within {0:?}; a write may have been carried out")]
    Timeout(Duration),
    /// The tables cannot be created or migrated.
    #[error("cannot migrate the database of accounts to this version")]
    Migration(#[source] MigrateError),
    /// The file or its directory cannot be used.
    #[error("{}: cannot use it for the database of accounts; choose a directory with --data-dir", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// `--database` is no URL of PostgreSQL. The URL is not repeated, because it may contain a password.
    #[error("--database: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Url(#[source] sqlx::Error),
    /// Something with this name does not exist.
    #[error("there is no {kind} {name:?}{}", in_project(project))]
    NotFound {
        /// What it is: "user", "project", …
        kind: &'static str,
        /// Its name or id.
        name: String,
        /// The project in which it was looked up.
        project: Option<String>,
    },
    /// The name is in use.
    #[error("the {kind} {name:?} exists already{}", in_project(project))]
    Exists {
        /// What it is: "user", "project", …
        kind: &'static str,
        /// Its name.
        name: String,
        /// The project in which it exists.
        project: Option<String>,
    },
    /// A name or value has the wrong form.
    #[error("{what}: expected {wanted}")]
    Invalid {
        /// What it is.
        what: &'static str,
        /// The expected form.
        wanted: String,
    },
    /// A limit is reached.
    #[error("at most {limit} {what}; {advice}")]
    Limit {
        /// The number.
        limit: i64,
        /// What is counted.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The project `default` is the one that is used if none is named.
    #[error("the project \"default\" cannot be deleted")]
    DefaultProject,
    /// Only an empty database can be restored into.
    #[error(
        "the database has {what} already; restore into an empty one, for example with another --data-dir"
    )]
    NotEmpty {
        /// What was found.
        what: &'static str,
    },
    /// The backup cannot be read or written.
    #[error("backup: {0}")]
    BackupIo(#[source] io::Error),
    /// The backup is damaged, or of another version.
    #[error("backup, line {line}: {wanted}")]
    BackupLine {
        /// The line, from 1.
        line: u64,
        /// What was expected, or what is wrong.
        wanted: String,
    },
}

fn in_project(project: &Option<String>) -> String {
    project.as_ref().map(|project| format!(" in project {project:?}")).unwrap_or_default()
}

impl AccountError {
    /// Whether the same call may succeed later: the database did not answer.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Timeout(_) | Self::Migration(_) | Self::File { .. })
    }

    /// Whether the database answered and refuses a value, so that the same call fails again.
    pub fn is_refusal(&self) -> bool {
        let Self::Unavailable(error) = self else { return false };
        match error.as_database_error() {
            // SQLSTATE classes: data exception, and violation of a constraint.
            Some(cause) => cause.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23")),
            None => matches!(error, sqlx::Error::Encode(_)),
        }
    }

    pub(super) fn not_found(kind: &'static str, name: &str, project: Option<&str>) -> Self {
        Self::NotFound { kind, name: name.to_owned(), project: project.map(str::to_owned) }
    }

    /// The error of an INSERT: a name that is in use, a project that does not exist, or another one.
    pub(super) fn of_insert(
        error: sqlx::Error,
        kind: &'static str,
        name: &str,
        project: Option<&str>,
    ) -> Self {
        let cause = error.as_database_error().map(|cause| cause.kind());
        match (cause, project) {
            (Some(sqlx::error::ErrorKind::UniqueViolation), _) => {
                Self::Exists { kind, name: name.to_owned(), project: project.map(str::to_owned) }
            }
            (Some(sqlx::error::ErrorKind::ForeignKeyViolation), Some(project)) => {
                Self::not_found("project", project, None)
            }
            _ => Self::Unavailable(error),
        }
    }
}

impl From<sqlx::Error> for AccountError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error)
    }
}

impl From<MigrateError> for AccountError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => Self::Unavailable(error),
            error => Self::Migration(error),
        }
    }
}
