//! The `leat` command. Exit codes: 0 done; 1 a failure of the machine; 2 a wrong option.

#![forbid(unsafe_code)]

use clap::Parser;
use signaling::cli::{Leat, LeatCommand, Token};
use signaling::config::{self, ConfigError};
use signaling::token::{self, Claims, NumericDate, Permissions};
use signaling::{development, failure, up};
use std::process::ExitCode;
use std::time::SystemTime;

fn main() -> ExitCode {
    let (result, code) = match Leat::parse().command {
        LeatCommand::Up(options) => match up::run(options) {
            Ok(code) => return ExitCode::from(code),
            Err(error) => (Err(error), 1),
        },
        LeatCommand::Token(options) => (mint(options).map_err(anyhow::Error::from), 2),
    };
    match result {
        Ok(token) => {
            println!("{token}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("leat: {}", failure::chain(error.as_ref()));
            ExitCode::from(code)
        }
    }
}

fn development_secret() -> Result<Vec<u8>, ConfigError> {
    let path = development::path();
    development::secret(&path).map_err(|source| ConfigError::NothingToSignWith { path, source })
}

fn mint(options: Token) -> Result<String, ConfigError> {
    let (option, secret) = match config::secret(&options.key)? {
        Some(given) => given,
        None => ("the development key", development_secret()?),
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = Claims {
        sub: options.user,
        name: options.name,
        room: options.room,
        exp: NumericDate(now.saturating_add(options.ttl.as_secs())),
        nbf: None,
        iat: Some(NumericDate(now)),
        permissions: Permissions {
            can_publish: !options.no_publish,
            can_subscribe: !options.no_subscribe,
            can_use_plain_transports: options.plain,
        },
    };
    token::mint(&claims, &secret).map_err(|source| ConfigError::Key { option, source })
}
