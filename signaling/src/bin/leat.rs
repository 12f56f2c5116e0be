//! The `leat` command. Exit codes: 0 for success; 1 for an error of the system; 2 for a wrong option.

#![forbid(unsafe_code)]

use clap::CommandFactory;
use leat_log::Format;
use options::{ConfigFile, OptionsOf};
use signaling::admin;
use signaling::auth::dev_key;
use signaling::auth::token::{self, Audience, Claims, NumericDate, Permissions};
use signaling::config::cli::{Leat, LeatCommand, TokenOptions};
use signaling::config::{self, ConfigError};
use signaling::operate::{self, ConfigCheckError};
use signaling::supervisor;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::SystemTime;

const PROGRAM: &str = "leat";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // `leat up` writes logs; the other commands write messages for the user.
    let is_up = arguments.get(1).is_some_and(|argument| argument == "up");
    let default = if is_up { Format::for_stderr() } else { Format::Text };
    let (options, file) = match read(&arguments, is_up, default) {
        Ok(read) => read,
        Err(code) => return code,
    };
    match options.command {
        LeatCommand::Up(options) => {
            let format = options.log.unwrap_or_else(Format::for_stderr);
            match supervisor::run(options, format, file.as_ref()) {
                Ok(code) => ExitCode::from(code),
                Err(error) => {
                    let code = if error.is::<ConfigError>() { leat_log::EXIT_USAGE } else { 1 };
                    leat_log::fatal(format, PROGRAM, error.as_ref(), code)
                }
            }
        }
        LeatCommand::Token(options) => match mint(options) {
            Ok(token) => {
                println!("{token}");
                ExitCode::SUCCESS
            }
            Err(error) => leat_log::fatal(Format::Text, PROGRAM, &error, leat_log::EXIT_USAGE),
        },
        LeatCommand::Doctor(options) => match operate::doctor(&options, &mut std::io::stdout().lock()) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => leat_log::fatal(Format::Text, PROGRAM, error.as_ref(), 1),
        },
        LeatCommand::Config { command } => match operate::config(&command, &mut std::io::stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let code = if error.is::<ConfigCheckError>() { leat_log::EXIT_USAGE } else { 1 };
                leat_log::fatal(Format::Text, PROGRAM, error.as_ref(), code)
            }
        },
        LeatCommand::Admin(command) => match admin::run(command, &mut std::io::stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let code = if admin::is_usage(&error) { leat_log::EXIT_USAGE } else { 1 };
                leat_log::fatal(Format::Text, PROGRAM, error.as_ref(), code)
            }
        },
    }
}

/// Reads the command line, the environment and the configuration file.
fn read(
    arguments: &[OsString],
    is_up: bool,
    default: Format,
) -> Result<(Leat, Option<ConfigFile>), ExitCode> {
    let command = Leat::command();
    let named = arguments.get(1).and_then(|name| command.find_subcommand(name));
    let Some(named) = named else { return Ok((leat_log::command_line(PROGRAM, arguments, default)?, None)) };
    // The doctor checks what `leat up` would use.
    let is_doctor = named.get_name() == "doctor";
    let program = if is_up || is_doctor { OptionsOf::Up } else { OptionsOf::Commands };
    let (options, resolved) = options::command_line(program, PROGRAM, named, arguments, 2, default)?;
    Ok((options, resolved.file))
}

fn development_secret() -> Result<Vec<u8>, ConfigError> {
    let path = dev_key::path(&config::control_socket());
    dev_key::secret(&path).map_err(|source| ConfigError::NothingToSignWith { path, source })
}

/// A random id, so that the token can be revoked alone.
fn token_id() -> String {
    let bytes: [u8; 8] = getrandom::u64().expect("the kernel provides random numbers").to_be_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mint(options: TokenOptions) -> Result<String, ConfigError> {
    if let Some(path) = options.key.public_key_file {
        return Err(ConfigError::CannotSign { option: "--public-key-file", path });
    }
    let named = match &options.kid {
        Some(kid) => config::token_key_secret(&options.key, kid)?,
        None => None,
    };
    let (option, secret) = match (named, config::secret(&options.key)?) {
        (Some(secret), _) => ("--token-key", secret),
        (None, Some(given)) => given,
        (None, None) => ("the development key", development_secret()?),
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = Claims {
        name: options.name,
        iat: Some(NumericDate(now)),
        jti: Some(token_id()),
        aud: options.key.token_audience.map(Audience::One),
        iss: options.key.token_issuer,
        permissions: Permissions {
            can_create_room: !options.no_create_room,
            can_publish: !options.no_publish,
            can_publish_sources: Some(options.publish_source).filter(|sources| !sources.is_empty()),
            can_subscribe: !options.no_subscribe,
            can_publish_data: !options.no_data,
            can_update_own_metadata: options.metadata,
            can_use_plain_transports: options.plain,
            admin: options.admin,
            hidden: options.hidden,
            ..Permissions::default()
        },
        ..Claims::new(options.user, options.room, NumericDate(now.saturating_add(options.ttl.as_secs())))
    };
    token::mint_with_kid(&claims, &secret, options.kid.as_deref())
        .map_err(|source| ConfigError::Key { option, source })
}
