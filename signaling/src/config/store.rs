//! Options for the store of accounts, and the commands of `leat` that administer it.

use super::ConfigError;
use super::paths::state_dir;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use stores::accounts::{DEFAULT_PROJECT, Database};

/// The database of accounts.
#[derive(Clone, Default, Args)]
pub struct StoreOptions {
    /// Directory for the database of accounts, a SQLite file; created if it does not exist [default:
    /// $XDG_STATE_HOME/leat, or ~/.local/state/leat]
    #[arg(long, value_name = "DIR", global = true, conflicts_with = "database")]
    pub data_dir: Option<PathBuf>,
    /// PostgreSQL for accounts instead of a file: postgres://USER:PASSWORD@HOST/DATABASE. Other users of this
    /// machine can read it in the process list: prefer the environment variable LEAT_DATABASE
    #[arg(long, value_name = "URL", global = true)]
    pub database: Option<String>,
}

impl std::fmt::Debug for StoreOptions {
    /// Without the URL, which may contain a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreOptions").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

impl StoreOptions {
    /// Whether the operator has chosen a database.
    pub fn is_chosen(&self) -> bool {
        self.data_dir.is_some() || self.database.is_some()
    }

    /// The database.
    pub fn database(&self) -> Result<Database, ConfigError> {
        if let Some(url) = &self.database {
            return Ok(Database::Postgres(url.clone()));
        }
        let dir = self.data_dir.clone().or_else(state_dir).ok_or(ConfigError::NoDataDir)?;
        Ok(Database::Directory(dir))
    }
}

/// The configuration file of a command.
#[derive(Clone, Debug, Default, Args)]
pub struct FileOption {
    /// Configuration file (TOML) with the database, unless that is given here or in the environment
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

/// The project of a command.
#[derive(Clone, Debug, Args)]
pub struct ProjectOption {
    /// The project
    #[arg(long, value_name = "NAME", default_value = DEFAULT_PROJECT)]
    pub project: String,
}

/// A user of a project.
#[derive(Clone, Debug, Args)]
pub struct UserArgument {
    /// The user: 1 to 128 characters
    pub name: String,
    /// The project.
    #[command(flatten)]
    pub project: ProjectOption,
}

/// The source of a password.
#[derive(Clone, Debug, Args)]
pub struct PasswordOption {
    /// File whose first line is the password, at least 8 characters; - for the standard input [default: a
    /// password is generated and printed]
    #[arg(long, value_name = "PATH")]
    pub password_file: Option<PathBuf>,
}

/// `leat users`.
#[derive(Clone, Debug, Subcommand)]
pub enum UsersCommand {
    /// Add a user
    Add {
        /// Who.
        #[command(flatten)]
        user: UserArgument,
        /// The user may administer the project
        #[arg(long)]
        admin: bool,
        /// The password.
        #[command(flatten)]
        password: PasswordOption,
    },
    /// List the users of a project
    List(ProjectOption),
    /// Disable a user: no further logins; sessions end
    Disable(UserArgument),
    /// Enable a user again
    Enable(UserArgument),
    /// Change the password of a user; sessions end
    Password {
        /// Who.
        #[command(flatten)]
        user: UserArgument,
        /// The new password.
        #[command(flatten)]
        password: PasswordOption,
    },
    /// Erase a user. The audit log contains only its id
    Delete(UserArgument),
}

/// `leat projects`.
#[derive(Clone, Debug, Subcommand)]
pub enum ProjectsCommand {
    /// Add a project
    Add {
        /// Its name: 1 to 64 of A-Z a-z 0-9 . _ -
        name: String,
    },
    /// List the projects
    List,
    /// Delete a project with its users and keys
    Delete {
        /// Its name
        name: String,
    },
}

/// `leat keys`.
#[derive(Clone, Debug, Subcommand)]
pub enum KeysCommand {
    /// Add an API key, and print its id (the "kid" of tokens) and its secret
    Add {
        /// The project.
        #[command(flatten)]
        project: ProjectOption,
        /// A note, for example the application that uses the key
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
    },
    /// List the API keys of a project, without their secrets
    List(ProjectOption),
    /// Revoke an API key: its tokens are refused within seconds
    Revoke {
        /// Its id
        id: String,
        /// The project.
        #[command(flatten)]
        project: ProjectOption,
    },
}

/// `leat stream-keys`.
#[derive(Clone, Debug, Subcommand)]
pub enum StreamKeysCommand {
    /// Add a stream key, with which an encoder publishes into one room, and print it; it cannot be read again
    Add {
        /// The project.
        #[command(flatten)]
        project: ProjectOption,
        /// The room: 1 to 64 of A-Z a-z 0-9 . _ -
        #[arg(long)]
        room: String,
        /// A note, for example the encoder that uses the key
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
    },
    /// List the stream keys of a project
    List {
        /// The project.
        #[command(flatten)]
        project: ProjectOption,
        /// Only those of this room
        #[arg(long)]
        room: Option<String>,
    },
    /// Revoke a stream key
    Revoke {
        /// Its id: the key without its last part
        id: String,
        /// The project.
        #[command(flatten)]
        project: ProjectOption,
    },
}

/// A command with subcommands, and its database.
#[derive(Clone, Debug, Args)]
pub struct Administer<C: Subcommand> {
    /// What to do.
    #[command(subcommand)]
    pub command: C,
    /// The database of accounts.
    #[command(flatten)]
    pub store: StoreOptions,
    /// The configuration file.
    #[command(flatten)]
    pub from: FileOption,
}

/// A command that works on the database of accounts, also while a server uses it.
#[derive(Clone, Debug, Subcommand)]
pub enum AdminCommand {
    /// Administer the users who log in with a password
    Users(Administer<UsersCommand>),
    /// Administer projects: each has its own users, keys and rooms
    Projects(Administer<ProjectsCommand>),
    /// Administer API keys, with which applications sign tokens
    Keys(Administer<KeysCommand>),
    /// Administer stream keys, with which encoders publish
    StreamKeys(Administer<StreamKeysCommand>),
    /// Print the audit log, the newest entry first
    Audit {
        /// Only entries about this project
        #[arg(long, value_name = "NAME")]
        project: Option<String>,
        /// Maximum number of entries
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: usize,
        /// The database of accounts.
        #[command(flatten)]
        store: StoreOptions,
        /// The configuration file.
        #[command(flatten)]
        from: FileOption,
    },
    /// Print the quality of the calls that have ended, the latest session first
    Quality {
        /// The project
        #[arg(long, value_name = "NAME", default_value = DEFAULT_PROJECT)]
        project: String,
        /// Maximum number of sessions
        #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
        /// The database of accounts.
        #[command(flatten)]
        store: StoreOptions,
        /// The configuration file.
        #[command(flatten)]
        from: FileOption,
    },
    /// Write everything in the database to a file, which contains secrets
    Backup {
        /// The file; it must not exist
        file: PathBuf,
        /// The database of accounts.
        #[command(flatten)]
        store: StoreOptions,
        /// The configuration file.
        #[command(flatten)]
        from: FileOption,
    },
    /// Read a backup into an empty database
    Restore {
        /// The file
        file: PathBuf,
        /// The database of accounts.
        #[command(flatten)]
        store: StoreOptions,
        /// The configuration file.
        #[command(flatten)]
        from: FileOption,
    },
}

impl AdminCommand {
    /// The options for the database.
    pub fn store(&self) -> &StoreOptions {
        match self {
            Self::Users(Administer { store, .. })
            | Self::Projects(Administer { store, .. })
            | Self::Keys(Administer { store, .. })
            | Self::StreamKeys(Administer { store, .. })
            | Self::Audit { store, .. }
            | Self::Quality { store, .. }
            | Self::Backup { store, .. }
            | Self::Restore { store, .. } => store,
        }
    }
}
