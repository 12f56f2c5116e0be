//! What the command line means: values that make sense together, or a sentence that says which does not.

mod addresses;
pub mod cli;
mod paths;

pub use addresses::{default_listen_ips, own_address};
pub use paths::control_socket;

use crate::auth::dev_key;
use crate::auth::token::{KeyError, Verifier};
use crate::auth::turn::{TurnServer, TurnServerError};
use crate::ortc::media_config::{MediaConfig, MediaFileError};
use crate::rooms::Admission;
use crate::server::edge::{self, address::TrustedProxies};
use crate::server::http;
use paths::read;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How far the clocks of who signs and who checks may be apart.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// The operator asked for something that cannot be. Exit code 2.
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
    /// The key is not good enough.
    #[error("{option}: no usable key")]
    Key {
        /// The option.
        option: &'static str,
        /// The cause.
        source: KeyError,
    },
    /// `media.yml` is not as it should be.
    #[error("--media {}", path.display())]
    Media {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        source: MediaFileError,
    },
    /// The TURN server cannot be told to clients.
    #[error(transparent)]
    Turn(#[from] TurnServerError),
    /// Development mode on an address others can reach.
    #[error(
        "--http {0}: without a key everybody is let in, so only a loopback address such as {default} is taken; give --secret-file to listen \
         on others",
        default = cli::HTTP_DEFAULT
    )]
    DevelopmentModeInPublic(SocketAddr),
    /// The TURN server cannot relay from there.
    #[error(
        "--relay-ip {0}: give an address of this machine, of a family that --listen-ip has, and at most one of each family"
    )]
    RelayIp(IpAddr),
    /// `leat up` has to know where to look.
    #[error("--http {0}: give a port from 1 to 65535")]
    NoPort(SocketAddr),
    /// Two keys, of which one is easily forgotten.
    #[error(
        "the environment variable LEAT_SECRET is set, and {option} is given too: which key is meant? Unset LEAT_SECRET, or leave out {option}"
    )]
    TwoKeys {
        /// The option beside the variable.
        option: &'static str,
    },
    /// A public key checks tokens and signs none.
    #[error(
        "--public-key-file {}: a public key cannot sign a token; sign it with the private key, or give --secret-file",
        .0.display()
    )]
    CannotSign(PathBuf),
    /// There is neither a secret nor a development key to sign with.
    #[error(
        "{}: cannot keep a development key; give --secret-file or --secret (or the environment variable LEAT_SECRET), the same as the server's",
        path.display()
    )]
    NothingToSignWith {
        /// Where the development key would be.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// What `leat-signaling` is to do.
pub struct Config {
    /// Where clients connect.
    pub http: SocketAddr,
    /// Who may connect.
    pub http_settings: http::HttpSettings,
    /// Who gets in.
    pub admission: Admission,
    /// What clients may send, and how.
    pub media: MediaConfig,
    /// The TURN server that clients are told of.
    pub turn: Option<TurnServer>,
    /// Peers of a room beyond which it is spread over the engine's workers.
    pub spread_above: usize,
    /// Peers of one user in one room.
    pub peers_per_user: usize,
    /// Where the engine is.
    pub control_socket: PathBuf,
    /// Whether to end with the parent process.
    pub die_with_parent: bool,
    /// What is added to its niceness.
    pub nice: u8,
}

impl TryFrom<cli::SignalingOptions> for Config {
    type Error = ConfigError;

    fn try_from(cli: cli::SignalingOptions) -> Result<Self, ConfigError> {
        let http = cli.http.http;
        for (option, path) in
            [("--secret-file", &cli.key.secret_file), ("--turn-secret-file", &cli.turn.turn_secret_file)]
        {
            path.iter().for_each(|path| warn_if_open(option, path));
        }
        let admission = admission(&cli.key)?;
        if matches!(admission, Admission::Development { .. }) && !http.ip().is_loopback() {
            return Err(ConfigError::DevelopmentModeInPublic(http));
        }
        Ok(Self {
            http,
            http_settings: http_settings(cli.edge),
            admission,
            media: media(&cli.media)?,
            turn: turn(cli.turn)?,
            spread_above: cli.rooms.spread_above,
            peers_per_user: cli.rooms.peers_per_user as usize,
            control_socket: cli.control_socket.unwrap_or_else(control_socket),
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

/// What the file says, or the built-in one.
pub fn media(cli: &cli::MediaOptions) -> Result<MediaConfig, ConfigError> {
    let Some(path) = &cli.media else { return Ok(MediaConfig::default()) };
    MediaConfig::read(path).map_err(|source| ConfigError::Media { path: path.clone(), source })
}

/// The TURN server, if clients are to be told of one.
fn turn(cli: cli::TurnOptions) -> Result<Option<TurnServer>, ConfigError> {
    if cli.turn_url.is_empty() {
        return Ok(None);
    }
    let secret = match &cli.turn_secret_file {
        Some(path) => String::from_utf8_lossy(&read("--turn-secret-file", path)?).into_owned(),
        None => cli.turn_secret.unwrap_or_default(),
    };
    Ok(Some(TurnServer::new(cli.turn_url, &secret, cli.turn_ttl)?))
}

/// Who gets in with this key.
pub fn admission(key: &cli::KeyOptions) -> Result<Admission, ConfigError> {
    check_one(key)?;
    if let Some(path) = &key.public_key_file {
        let option = "--public-key-file";
        let pem = read(option, path)?;
        let verifier =
            Verifier::with_public_key(&pem, LEEWAY).map_err(|source| ConfigError::Key { option, source })?;
        return Ok(Admission::TokenRequired(verifier));
    }
    let Some((option, secret)) = secret(key)? else {
        let development = dev_key::secret(&dev_key::path(&control_socket())).ok();
        let verifier = development.and_then(|secret| Verifier::with_secret(&secret, LEEWAY).ok());
        return Ok(Admission::Development { verifier });
    };
    let verifier =
        Verifier::with_secret(&secret, LEEWAY).map_err(|source| ConfigError::Key { option, source })?;
    Ok(Admission::TokenRequired(verifier))
}

/// The options exclude each other; the environment has to be looked at beside them.
fn check_one(key: &cli::KeyOptions) -> Result<(), ConfigError> {
    let given = [
        ("--secret-file", key.secret_file.is_some()),
        ("--secret", key.secret.is_some()),
        ("--public-key-file", key.public_key_file.is_some()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given && key.secret_of_environment.is_some()) {
        Some((option, _)) => Err(ConfigError::TwoKeys { option }),
        None => Ok(()),
    }
}

/// Warns of a file with a secret that other users of this machine can read or replace.
fn warn_if_open(option: &str, path: &Path) {
    // One that cannot be looked at is not read either, and that is an error of its own.
    let Ok(mode) = std::fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o777) else {
        return;
    };
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = %format_args!("{mode:04o}"),
            "{option}: others than its owner have access to this key; run chmod 600 on it"
        );
    }
}

/// The secret, and where it came from.
pub fn secret(key: &cli::KeyOptions) -> Result<Option<(&'static str, Vec<u8>)>, ConfigError> {
    check_one(key)?;
    if let Some(path) = &key.secret_file {
        let bytes = read("--secret-file", path)?;
        return Ok(Some(("--secret-file", bytes.trim_ascii_end().to_vec())));
    }
    let given = [("--secret", &key.secret), (cli::SECRET_VARIABLE, &key.secret_of_environment)];
    Ok(given.into_iter().find_map(|(from, secret)| Some((from, secret.clone()?.into_bytes()))))
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
    fn development_mode_stays_on_loopback() {
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
    fn a_short_secret_and_a_missing_file_are_told_by_option() {
        let error = config(&["--secret", "short"]).err().expect("refused");
        assert!(
            leat_log::chain(&error).contains("--secret") && leat_log::chain(&error).contains("at least 32"),
            "{error}"
        );
        let error = config(&["--secret-file", "/nonexistent/file"]).err().expect("refused");
        assert!(error.to_string().contains("--secret-file /nonexistent/file"), "{error}");
    }
}
