//! `leat up`: starts the engine, signaling and the TURN server, starts each again at once when it dies, and ends all when asked to.
//!
//! They need each other only while they run: no start waits for another. What holds them together is
//! that none outlives this process, however it ends.

mod arguments;
mod process;

pub use process::{die_with_parent, termination};

use crate::auth::dev_key::private_dir;
use crate::config::{self, ConfigError, cli};
use crate::rooms::Admission;
use anyhow::Context;
use arguments::{
    engine_arguments, has_turn_option, listen_ips, signaling_arguments, turn_addresses, turn_arguments,
};
use leat_log::Format;
use process::{QUICK_EXIT, Supervised, died, until_ready};
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};

/// Runs until asked to end. The result is the exit code; that of a child whose first start failed is passed on.
pub fn run(options: cli::UpOptions, format: Format) -> anyhow::Result<u8> {
    leat_log::start(format, crate::LOG_FILTER);
    check(&options)?;
    // One thread, which lives as long as the process: the kernel's parent-death signal is about threads.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(supervise(options, format))
}

/// What a child would refuse is better told here, once.
fn check(options: &cli::UpOptions) -> Result<(), ConfigError> {
    let http = options.http.http;
    config::media(&options.media)?;
    let admission = config::admission(&options.key)?;
    if matches!(admission, Admission::Development { .. }) && !http.ip().is_loopback() {
        return Err(ConfigError::DevelopmentModeInPublic(http));
    }
    check_relay_ips(options)?;
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

async fn supervise(options: cli::UpOptions, format: Format) -> anyhow::Result<u8> {
    let mut ended = std::pin::pin!(termination().context("cannot listen for signals")?);
    // Without a listener it would kill this process alone.
    let mut hangups = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    // Whoever has the port may well answer that it is ready: another Leat.
    drop(crate::server::http::bind(options.http.http).await?);
    let turn_addresses = turn_addresses(&options)?;
    let control_socket = prepare_control_socket(options.control_socket.as_deref())?;
    let mut engine = Supervised::new("leat-engine", engine_arguments(&options, &control_socket, format))?;
    let mut signaling = Supervised::new(
        "leat-signaling",
        signaling_arguments(&options, turn_addresses.as_ref(), &control_socket, format),
    )?;
    if let Some(secret) = options.key.secret.as_ref().or(options.key.secret_of_environment.as_ref()) {
        // Not among the arguments, where everybody on the machine could read it.
        signaling.environment.push((cli::SECRET_VARIABLE.into(), secret.into()));
    }
    let mut turn = match &turn_addresses {
        None => None,
        Some(place) => Some(Supervised::new("leat-turn", turn_arguments(&options, place, format))?),
    };
    if let Some(turn) = &mut turn {
        // Nobody else has to know it: both get the same, and keep it when either is started again.
        let secret: OsString = random_secret().context("the system gives no randomness")?.into();
        turn.environment.push((TURN_SECRET_VARIABLE.into(), secret.clone()));
        signaling.environment.push((TURN_SECRET_VARIABLE.into(), secret));
        turn.start()?;
    }
    engine.start()?;
    signaling.start()?;

    let mut ready = std::pin::pin!(until_ready(options.http.http));
    let mut is_up = false;
    let code = loop {
        let (who, status) = tokio::select! {
            signal = &mut ended => {
                tracing::info!(signal, "asked to end");
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
                    None => tracing::info!("SIGHUP: there is no TURN server to read its files again; ignored"),
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
        // Calls work without a TURN server. One that nobody asked for ends nothing; it is started again.
        let is_needed = who.name != "leat-turn" || has_turn_option(&options);
        let is_first_start = is_needed && (!is_up || who.starts == 1 && who.started.elapsed() < QUICK_EXIT);
        if is_first_start && !status.success() && status.code().is_some() {
            tracing::error!(process = who.name, status = %status, "did not start; its own words are above");
            break u8::try_from(status.code().unwrap_or(1)).unwrap_or(1);
        }
        who.plan_restart(&status);
    };
    let end_turn = async {
        if let Some(turn) = &mut turn {
            turn.end().await;
        }
    };
    tokio::join!(engine.end(), signaling.end(), end_turn);
    Ok(code)
}

/// A secret for the TURN server's credentials, in hexadecimal digits.
fn random_secret() -> Result<String, getrandom::Error> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes the directory of the control socket, for this user alone.
fn prepare_control_socket(chosen: Option<&Path>) -> anyhow::Result<PathBuf> {
    let path = chosen.map_or_else(config::control_socket, Path::to_path_buf);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if chosen.is_none() {
        private_dir(dir).context("choose another place with --control-socket")?;
        return Ok(path);
    }
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error)
                .with_context(|| format!("--control-socket {}: cannot make its directory", path.display()));
        }
        _ => {}
    }
    Ok(path)
}

/// The address to open in a browser.
fn address(http: SocketAddr) -> String {
    if http.ip().is_loopback() || http.ip().is_unspecified() {
        format!("http://localhost:{}", http.port())
    } else {
        format!("http://{http}")
    }
}

/// By what the TURN server and signaling learn the secret they share.
const TURN_SECRET_VARIABLE: &str = "LEAT_TURN_SECRET";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn up(flags: &str) -> cli::UpOptions {
        let flags = ["leat", "up"].into_iter().chain(flags.split_whitespace());
        let cli::LeatCommand::Up(up) = cli::Leat::parse_from(flags).command else { panic!("it is up") };
        up
    }

    #[test]
    fn an_address_that_turn_cannot_relay_from_is_named() {
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
}
