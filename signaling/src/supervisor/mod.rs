//! `leat up`: starts the engine, signaling and the TURN server, restarts each when it exits, and ends all of
//! them on request.
//!
//! The processes need each other only while they run, so they start in any order. None of them outlives this
//! process, however it ends.

mod arguments;
mod process;

pub(crate) use arguments::listen_ips;
pub use process::{die_with_parent, termination};

use crate::auth::dev_key::private_dir;
use crate::config::{self, ConfigError, cli};
use crate::rooms::Admission;
use anyhow::Context;
use arguments::{engine_arguments, has_turn_option, signaling_arguments, turn_addresses, turn_arguments};
use leat_log::Format;
use leat_log::redact::ClientAddresses;
use options::{ConfigFile, OptionsOf};
use process::{QUICK_EXIT, Supervised, died, until_ready};
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};

/// Runs until SIGINT or SIGTERM, or until the first start of a child fails. Returns the exit code, which in
/// the second case is that of the child.
pub fn run(options: cli::UpOptions, format: Format, file: Option<&ConfigFile>) -> anyhow::Result<u8> {
    let addresses = ClientAddresses::shown_if(options.log_addresses);
    leat_log::start(format, options.log_level.as_deref(), crate::LOG_FILTER, addresses);
    check(&options)?;
    // One thread, which lives as long as the process: the parent-death signal of the kernel depends on the
    // thread that started the child.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(supervise(options, format, file))
}

/// Checks what the children would refuse, to report it once and with the right option.
fn check(options: &cli::UpOptions) -> Result<(), ConfigError> {
    let http = options.http.http;
    config::media(&options.media)?;
    let admission = config::admission(&options.key, options.accounts.require_token)?;
    if matches!(admission, Admission::Development { .. }) && !http.ip().is_loopback() {
        return Err(ConfigError::DevelopmentModeInPublic(http));
    }
    check_relay_ips(options)?;
    config::nats(&options.bus)?;
    if http.port() == 0 { Err(ConfigError::NoPort(http)) } else { Ok(()) }
}

fn check_relay_ips(options: &cli::UpOptions) -> Result<(), ConfigError> {
    let listen_ips = listen_ips(options);
    let same_family = |a: &IpAddr, b: &IpAddr| a.is_ipv4() == b.is_ipv4();
    for (index, ip) in options.relay_ip.iter().enumerate() {
        let is_second = options.relay_ip[..index].iter().any(|first| same_family(first, ip));
        let has_family = listen_ips.iter().any(|listen| same_family(listen, ip));
        if is_second || !has_family || ip.is_unspecified() || ip.is_multicast() {
            return Err(ConfigError::RelayIp(*ip));
        }
    }
    Ok(())
}

async fn supervise(options: cli::UpOptions, format: Format, file: Option<&ConfigFile>) -> anyhow::Result<u8> {
    let mut ended = std::pin::pin!(termination().context("cannot listen for signals")?);
    // Without a handler, SIGHUP would end only this process.
    let mut hangups = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    // If another process has the port, it might be another Leat, whose health check would succeed.
    drop(crate::server::http::bind(options.http.http).await?);
    let turn_addresses = turn_addresses(&options)?;
    let control_socket = prepare_control_socket(options.control_socket.as_deref())?;
    let mut engine = Supervised::new("leat-engine", engine_arguments(&options, &control_socket, format))?;
    let mut signaling = Supervised::new(
        "leat-signaling",
        signaling_arguments(&options, turn_addresses.as_ref(), &control_socket, format),
    )?;
    signaling.environment.extend(secret_environment(&options));
    let of_bus = bus_environment(&options.bus);
    signaling.environment.extend(of_bus.clone());
    let mut turn = match &turn_addresses {
        None => None,
        Some(addresses) => Some(Supervised::new("leat-turn", turn_arguments(&options, addresses, format))?),
    };
    if let Some(turn) = &mut turn {
        // Generated here, if only these two processes use it. It stays the same when one of them is restarted.
        let secret: Option<OsString> = match &options.turn_secret {
            cli::TurnSecretOptions { turn_secret_file: Some(_), .. } => None,
            cli::TurnSecretOptions { turn_secret: Some(secret), .. } => Some(secret.into()),
            _ => Some(random_secret().context("the system provides no random numbers")?.into()),
        };
        let secret = secret.map(|secret| ("LEAT_TURN_SECRET".into(), secret));
        turn.environment.extend(secret.clone());
        turn.environment.extend(of_bus);
        signaling.environment.extend(secret);
    }
    if let Some(file) = file {
        engine.read_file(file, OptionsOf::Engine)?;
        signaling.read_file(file, OptionsOf::Signaling)?;
        turn.as_mut().map(|turn| turn.read_file(file, OptionsOf::Turn)).transpose()?;
    }
    if let Some(turn) = &mut turn {
        turn.start()?;
    }
    engine.start()?;
    signaling.start()?;

    let mut ready = std::pin::pin!(until_ready(options.http.http));
    let mut is_up = false;
    let code = loop {
        let (process, status) = tokio::select! {
            signal = &mut ended => {
                tracing::info!(signal, "received a termination signal");
                break 0;
            }
            () = &mut ready, if !is_up => {
                is_up = true;
                println!("Leat is up: {}", address(options.http.http));
                continue;
            }
            Some(()) = hangups.recv() => {
                match &turn {
                    Some(turn) => turn.hang_up(),
                    None => tracing::info!("SIGHUP ignored: there is no TURN server that could reload its files"),
                }
                continue;
            }
            status = engine.died() => (&mut engine, status?),
            status = signaling.died() => (&mut signaling, status?),
            Some(status) = died(&mut turn), if turn.is_some() => match &mut turn {
                Some(turn) => (turn, status?),
                None => continue,
            },
        };
        // Calls work without a TURN server: unless the operator configured it, its error does not end the
        // others.
        let is_needed = process.name != "leat-turn" || has_turn_option(&options);
        let is_first_start =
            is_needed && (!is_up || process.starts == 1 && process.started.elapsed() < QUICK_EXIT);
        if is_first_start && !status.success() && status.code().is_some() {
            tracing::error!(process = process.name, status = %status, "failed to start; see its log output above");
            break u8::try_from(status.code().unwrap_or(1)).unwrap_or(1);
        }
        process.plan_restart(&status);
    };
    let end_turn = async {
        if let Some(turn) = &mut turn {
            turn.end().await;
        }
    };
    tokio::join!(engine.end(), signaling.end(), end_turn);
    Ok(code)
}

/// What signaling needs and other users of the machine could read as arguments.
fn secret_environment(options: &cli::UpOptions) -> impl Iterator<Item = (OsString, OsString)> {
    let given = [
        ("LEAT_SECRET", &options.key.secret),
        ("LEAT_DATABASE", &options.accounts.store.database),
        ("LEAT_REDIS", &options.sessions.redis),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name.into(), value.clone()?.into())))
}

/// How the processes reach NATS. As arguments, every user of the machine could read a password in a URL.
fn bus_environment(options: &cli::BusOptions) -> Vec<(OsString, OsString)> {
    let urls = (!options.nats.is_empty()).then(|| ("LEAT_NATS".into(), options.nats.join(",").into()));
    let credentials = options.nats_credentials.as_ref();
    let credentials = credentials.map(|path| ("LEAT_NATS_CREDENTIALS".into(), path.into()));
    urls.into_iter().chain(credentials).collect()
}

/// A secret for TURN credentials, in hexadecimal digits.
fn random_secret() -> Result<String, getrandom::Error> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Creates the directory of the control socket, for this user only.
fn prepare_control_socket(chosen: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = chosen.map_or_else(config::control_socket, Path::to_path_buf);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if chosen.is_none() {
        private_dir(dir).context("choose another path with --control-socket")?;
        return Ok(path);
    }
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| {
                format!("--control-socket {}: cannot create its directory", path.display())
            });
        }
        _ => {}
    }
    Ok(path)
}

/// The URL to open in a browser.
fn address(http: SocketAddr) -> String {
    if http.ip().is_loopback() || http.ip().is_unspecified() {
        format!("http://localhost:{}", http.port())
    } else {
        format!("http://{http}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn up(flags: &str) -> cli::UpOptions {
        let flags = ["leat", "up"].into_iter().chain(flags.split_whitespace());
        let cli::LeatCommand::Up(up) = cli::Leat::parse_from(flags).command else {
            panic!("the command is up")
        };
        up
    }

    #[test]
    fn invalid_relay_address_is_refused_with_the_name_of_the_option() {
        let check = |flags| check_relay_ips(&up(flags)).map_err(|error| error.to_string());
        assert_eq!(
            check("--listen-ip 0.0.0.0 --listen-ip :: --relay-ip 10.0.0.5 --relay-ip fd00::5"),
            Ok(())
        );
        for flags in [
            "--listen-ip 0.0.0.0 --relay-ip fd00::5",
            "--listen-ip 0.0.0.0 --relay-ip 0.0.0.0",
            "--listen-ip 0.0.0.0 --relay-ip 224.0.0.1",
            "--listen-ip 0.0.0.0 --relay-ip 10.0.0.5 --relay-ip 10.0.0.6",
        ] {
            assert!(check(flags).expect_err(flags).contains("--relay-ip"));
        }
    }

    #[test]
    fn the_processes_get_the_urls_of_nats_by_the_environment() {
        let options = up("--nats nats://u:p@a,nats://b --nats-credentials /c --region eu").bus;
        let wanted = [("LEAT_NATS", "nats://u:p@a,nats://b"), ("LEAT_NATS_CREDENTIALS", "/c")];
        assert_eq!(bus_environment(&options), wanted.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(bus_environment(&up("").bus), []);
    }
}
