//! The configuration: checked values from the command line, or an error that names the wrong option.

mod addresses;
pub mod cli;
pub mod clock_source;
mod paths;
pub mod store;

pub use addresses::{default_listen_ips, own_address};
pub use paths::control_socket;

use crate::api::accounts::TokenParties;
use crate::auth::dev_key;
use crate::auth::key::{self, KeyError};
use crate::auth::keyring::Keyring;
use crate::auth::turn::{TurnServer, TurnServerError};
use crate::ortc::media_config::{MediaConfig, MediaFileError};
use crate::rooms::Admission;
use crate::server::edge::{self, address::TrustedProxies};
use crate::server::http;
use bus::{BusError, NatsOptions, Region};
use paths::read;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stores::accounts::{AccountError, Database};
use stores::sessions::SessionsError;

/// Tolerated difference between the clocks of the issuer of a token and this server.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// The operator configured something impossible. Exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file named by an option cannot be read.
    #[error("{option} {}: cannot read it", path.display())]
    Unreadable {
        /// The option.
        option: &'static str,
        /// Its value.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The key is too weak or invalid.
    #[error("{option}: no usable key")]
    Key {
        /// The option.
        option: &'static str,
        /// The cause.
        source: KeyError,
    },
    /// One of several keys is too weak or invalid.
    #[error("--token-key {id}: no usable key")]
    TokenKey {
        /// Its `kid`.
        id: String,
        /// The cause.
        source: KeyError,
    },
    /// `media.yml` is invalid.
    #[error("--media {}", path.display())]
    Media {
        /// The file.
        path: PathBuf,
        /// The error, with its line.
        source: MediaFileError,
    },
    /// The TURN server cannot be announced to clients.
    #[error(transparent)]
    Turn(#[from] TurnServerError),
    /// NATS cannot be used.
    #[error("--nats")]
    Nats(#[from] BusError),
    /// Development mode on an address that other hosts can reach.
    #[error(
        "--http {0}: without a key, only a loopback address such as {default} is allowed; give --secret-file or \
         --require-token to listen on others",
        default = cli::HTTP_DEFAULT
    )]
    DevelopmentModeInPublic(SocketAddr),
    /// The TURN server cannot relay from this address.
    #[error(
        "--relay-ip {0}: give an address of this machine, of a family that --listen-ip has, and at most one of each family"
    )]
    RelayIp(IpAddr),
    /// `leat up` needs a fixed port for its health check.
    #[error("--http {0}: give a port from 1 to 65535")]
    NoPort(SocketAddr),
    /// There is no home directory for the database of accounts.
    #[error(
        "no directory for the database of accounts: neither XDG_STATE_HOME nor HOME is an absolute path; give --data-dir or --database"
    )]
    NoDataDir,
    /// The chosen database of accounts cannot be used.
    #[error(transparent)]
    Accounts(#[from] AccountError),
    /// The address of Redis is not valid.
    #[error("--redis (or the environment variable LEAT_REDIS): {0}")]
    Redis(SessionsError),
    /// A key in the configuration file of `leat up`, which it would ignore.
    #[error("{} line {line}: {key}: `leat up` sets this option of {program} itself; `leat up --help` has the options that it can have", path.display())]
    SetByUp {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// The key.
        key: &'static str,
        /// The name of the program.
        program: &'static str,
    },
    /// A public key can only verify tokens.
    #[error(
        "{option} {}: a public key cannot sign a token; sign it with the private key, or give --secret-file",
        path.display()
    )]
    CannotSign {
        /// The option.
        option: &'static str,
        /// Its value.
        path: PathBuf,
    },
    /// There is neither a secret nor a development key.
    #[error(
        "{}: cannot create a development key; give --secret-file or --secret (or the environment variable LEAT_SECRET), the same as the server's",
        path.display()
    )]
    NothingToSignWith {
        /// Path of the development key.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The configuration of `leat-signaling`.
pub struct Config {
    /// The address for HTTP.
    pub http: SocketAddr,
    /// Limits and origins of clients.
    pub http_settings: http::HttpSettings,
    /// Who may join.
    pub admission: Admission,
    /// Codecs, and how clients encode.
    pub media: MediaConfig,
    /// The TURN server that is announced to clients.
    pub turn: Option<TurnServer>,
    /// How to reach NATS; without it, events stay in this process.
    pub nats: Option<NatsOptions>,
    /// Where this process is.
    pub region: Option<Region>,
    /// Number of peers of a room above which further peers are placed on other workers.
    pub spread_above: usize,
    /// Maximum number of peers of one user in one room.
    pub peers_per_user: usize,
    /// Whether clients may have a SHA-1 fingerprint alone.
    pub allows_sha1: bool,
    /// The store of accounts.
    pub accounts: AccountSettings,
    /// The address of Redis for sessions and presence; `None`: in memory.
    pub redis: Option<String>,
    /// Time without activity after which a peer is IDLE.
    pub idle_after: Duration,
    /// The control socket of the engine.
    pub control_socket: PathBuf,
    /// The address for metrics and health.
    pub metrics: Option<SocketAddr>,
    /// Whether this process ends with its parent.
    pub die_with_parent: bool,
    /// Increment of the niceness.
    pub nice: u8,
}

/// The store of accounts.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// The database; `None` if there is no place for the default one.
    pub database: Option<Database>,
    /// Whether the operator has chosen it. Otherwise the server also works without.
    pub is_chosen: bool,
    /// Time after which entries of the audit log are deleted.
    pub audit_retention: Option<Duration>,
    /// Time after which records of the quality of calls are deleted.
    pub quality_retention: Duration,
    /// What tokens of logins contain beside the user.
    pub parties: TokenParties,
}

impl TryFrom<cli::SignalingOptions> for Config {
    type Error = ConfigError;

    fn try_from(cli: cli::SignalingOptions) -> Result<Self, ConfigError> {
        let http = cli.http.http;
        for (option, path) in [
            ("--secret-file", &cli.key.secret_file),
            ("--turn-secret-file", &cli.turn.secret.turn_secret_file),
        ] {
            path.iter().for_each(|path| warn_if_open(option, path));
        }
        for cli::TokenKey { path, .. } in &cli.key.token_keys {
            if std::fs::read(path).is_ok_and(|content| !key::is_pem(&content)) {
                warn_if_open("--token-key", path);
            }
        }
        let admission = admission(&cli.key, cli.accounts.require_token)?;
        if matches!(admission, Admission::Development { .. }) && !http.ip().is_loopback() {
            return Err(ConfigError::DevelopmentModeInPublic(http));
        }
        let nats = nats(&cli.bus)?;
        Ok(Self {
            http,
            http_settings: http_settings(cli.edge),
            admission,
            media: media(&cli.media)?,
            turn: turn(cli.turn, nats.is_some())?,
            nats,
            region: cli.bus.region,
            spread_above: cli.rooms.spread_above,
            peers_per_user: cli.rooms.peers_per_user as usize,
            allows_sha1: cli.rooms.allow_sha1_fingerprints,
            accounts: AccountSettings {
                database: cli.accounts.store.database().ok(),
                is_chosen: cli.accounts.store.is_chosen(),
                audit_retention: cli.accounts.audit_retention,
                quality_retention: cli.accounts.quality_retention,
                parties: TokenParties { audience: cli.key.token_audience, issuer: cli.key.token_issuer },
            },
            redis: cli.sessions.redis,
            idle_after: cli.sessions.idle_after,
            control_socket: cli.control_socket.unwrap_or_else(control_socket),
            metrics: cli.metrics,
            die_with_parent: cli.die_with_parent,
            nice: cli.nice,
        })
    }
}

fn http_settings(cli: cli::EdgeOptions) -> http::HttpSettings {
    let defaults = http::HttpSettings::default();
    http::HttpSettings {
        edge: edge::EdgeSettings {
            trusted: TrustedProxies(cli.trusted_proxy),
            connections_per_address: cli.connections_per_address as usize,
            ..defaults.edge
        },
        allowed_origins: cli.allow_origin,
        ..defaults
    }
}

/// The configuration in the file, or the built-in one.
pub fn media(cli: &cli::MediaOptions) -> Result<MediaConfig, ConfigError> {
    let Some(path) = &cli.media else { return Ok(MediaConfig::default()) };
    MediaConfig::read(path).map_err(|source| ConfigError::Media { path: path.clone(), source })
}

/// How to reach NATS, if it is given.
pub fn nats(cli: &cli::BusOptions) -> Result<Option<NatsOptions>, ConfigError> {
    if cli.nats.is_empty() {
        return Ok(None);
    }
    let (servers, credentials) = (cli.nats.clone(), cli.nats_credentials.clone());
    let options = NatsOptions { servers, credentials, name: "leat-signaling".to_owned() };
    options.check()?;
    Ok(Some(options))
}

/// The TURN servers, if there are URLs, or a register and a secret for credentials.
fn turn(cli: cli::TurnOptions, has_register: bool) -> Result<Option<TurnServer>, ConfigError> {
    let has_secret = cli.secret.turn_secret_file.is_some() || cli.secret.turn_secret.is_some();
    if cli.turn_url.is_empty() && !(has_register && has_secret) {
        return Ok(None);
    }
    let secret = match &cli.secret.turn_secret_file {
        Some(path) => String::from_utf8_lossy(&read("--turn-secret-file", path)?).into_owned(),
        None => cli.secret.turn_secret.unwrap_or_default(),
    };
    Ok(Some(TurnServer::new(cli.turn_url, &secret, cli.turn_ttl)?))
}

/// Who may join with these keys. With `require_token`, keys of the database are sufficient.
pub fn admission(keys: &cli::KeyOptions, require_token: bool) -> Result<Admission, ConfigError> {
    let unnamed = match &keys.public_key_file {
        Some(path) => {
            let option = "--public-key-file";
            let keyring = Keyring::with_public_key(&read(option, path)?, LEEWAY);
            Some(keyring.map_err(|source| ConfigError::Key { option, source })?)
        }
        None => match secret(keys)? {
            Some((option, secret)) => {
                let keyring = Keyring::with_secret(&secret, LEEWAY);
                Some(keyring.map_err(|source| ConfigError::Key { option, source })?)
            }
            None => None,
        },
    };
    if unnamed.is_none() && keys.token_keys.is_empty() && !require_token {
        let development = dev_key::secret(&dev_key::path(&control_socket())).ok();
        let verifier = development.and_then(|secret| Keyring::with_secret(&secret, LEEWAY).ok());
        return Ok(Admission::Development { verifier });
    }
    let mut keyring = unnamed.unwrap_or_else(|| Keyring::new(LEEWAY));
    for cli::TokenKey { id, path } in &keys.token_keys {
        let content = read("--token-key", path)?;
        keyring.add(id, &content).map_err(|source| ConfigError::TokenKey { id: id.clone(), source })?;
    }
    keyring.require_audience(keys.token_audience.clone());
    keyring.require_issuer(keys.token_issuer.clone());
    Ok(Admission::TokenRequired(keyring))
}

/// The secret of a `--token-key`, to sign with. `None`: there is no such option.
pub fn token_key_secret(keys: &cli::KeyOptions, id: &str) -> Result<Option<Vec<u8>>, ConfigError> {
    let Some(found) = keys.token_keys.iter().find(|key| key.id == id) else { return Ok(None) };
    let content = read("--token-key", &found.path)?;
    if key::is_pem(&content) {
        return Err(ConfigError::CannotSign { option: "--token-key", path: found.path.clone() });
    }
    Ok(Some(content.trim_ascii().to_vec()))
}

/// Warns if other users of this machine have access to a file with a secret.
fn warn_if_open(option: &str, path: &Path) {
    // If its metadata cannot be read, reading the file fails too, with its own error.
    let Ok(mode) = std::fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777) else {
        return;
    };
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = %format_args!("{mode:04o}"),
            "{option}: other users have access to this key; run chmod 600 on it"
        );
    }
}

/// The secret, and its option.
pub fn secret(key: &cli::KeyOptions) -> Result<Option<(&'static str, Vec<u8>)>, ConfigError> {
    if let Some(path) = &key.secret_file {
        let bytes = read("--secret-file", path)?;
        return Ok(Some(("--secret-file", bytes.trim_ascii_end().to_vec())));
    }
    Ok(key.secret.clone().map(|secret| ("--secret", secret.into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn config(arguments: &[&str]) -> Result<Config, ConfigError> {
        cli::SignalingOptions::try_parse_from([&["leat-signaling"], arguments].concat())
            .expect("well-formed")
            .try_into()
    }

    #[test]
    fn development_mode_listens_only_on_loopback() {
        for public in ["0.0.0.0:7080", "[::]:7080", "192.0.2.1:80"] {
            let error = config(&["--http", public]).err().expect("refused");
            assert!(
                error.to_string().contains(public) && error.to_string().contains("--secret-file"),
                "{error}"
            );
        }
        for loopback in ["127.0.0.1:0", "[::1]:7080", "127.1.2.3:7080"] {
            assert!(matches!(
                config(&["--http", loopback]),
                Ok(Config { admission: Admission::Development { .. }, .. })
            ));
        }
        let secret = "0123456789abcdef0123456789abcdef";
        assert!(matches!(
            config(&["--http", "0.0.0.0:1", "--secret", secret]),
            Ok(Config { admission: Admission::TokenRequired(_), .. })
        ));
    }

    #[test]
    fn error_for_short_secret_or_missing_file_names_the_option() {
        let error = config(&["--secret", "short"]).err().expect("refused");
        assert!(
            leat_log::chain(&error).contains("--secret") && leat_log::chain(&error).contains("at least 32"),
            "{error}"
        );
        let error = config(&["--secret-file", "/nonexistent/file"]).err().expect("refused");
        assert!(error.to_string().contains("--secret-file /nonexistent/file"), "{error}");
        let error = config(&["--nats", "http://127.0.0.1"]).err().expect("refused");
        assert!(
            leat_log::chain(&error).contains("--nats: \"http://127.0.0.1\" is not an address"),
            "{error}"
        );
    }
}
