//! TURN servers: `leat-turn` and coturn, each with one thread for its clients, and one user `u` with password
//! `p`.

use super::{Directory, Running, Start, ask, find, free_port, is_open};
use crate::Place;
use crate::cli::Relay;
use std::path::PathBuf;

/// Starts `relay` on `core`. Its `url` is the address it listens on.
pub fn start(relay: Relay, core: usize) -> anyhow::Result<Start> {
    match relay {
        Relay::Leat => leat(core),
        Relay::Coturn => coturn(core),
    }
}

fn leat(core: usize) -> anyhow::Result<Start> {
    let named = std::env::var_os("LEAT_BIN").map(PathBuf::from);
    let beside = named.or_else(|| std::env::current_exe().ok()).map(|path| path.with_file_name("leat-turn"));
    // An absolute path: it is started in another directory.
    let beside = beside.and_then(|program| program.canonicalize().ok());
    let Some(program) = beside.filter(|program| program.is_file()) else {
        return Ok(Start::Skipped("leat-turn is not beside leat-bench; `make build` makes it".to_owned()));
    };
    let port = free_port()?;
    let number = port.to_string();
    let arguments = [
        ["--listen-ip", "127.0.0.1"],
        ["--port", &number],
        ["--user", "u:p"],
        ["--allow-peer", "127.0.0.1"],
        ["--allocations-per-user", "8192"],
        ["--ports-per-user", "8192"],
        ["--allocations-per-address", "8192"],
        ["--excess-bytes-per-second", "1000000000"],
    ];
    let arguments = arguments.into_iter().flatten().collect::<Vec<_>>();
    let mut running = Running::start(&program, &arguments, core, Directory::new()?, || is_open(port))?;
    running.url = format!("127.0.0.1:{port}");
    let version = ask(&program, "--version");
    let version = version.split_whitespace().nth(1).unwrap_or("unknown");
    running.version = format!("{version} ({})", Place::here().commit());
    Ok(Start::Running(running))
}

fn coturn(core: usize) -> anyhow::Result<Start> {
    let Some(program) = find("turnserver") else {
        return Ok(Start::Skipped("turnserver is not installed; Debian's package is coturn".to_owned()));
    };
    let (port, directory) = (free_port()?, Directory::new()?);
    let configuration = format!(
        "listening-port={port}\nlistening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nrelay-threads=1\nno-tls\nno-dtls\nno-cli\n\
         lt-cred-mech\nuser=u:p\nrealm=leat\nallow-loopback-peers\nlog-file=stdout\nuserdb={}\npidfile={}\n",
        directory.at("userdb"),
        directory.at("pid"),
    );
    let file = directory.at("turnserver.conf");
    std::fs::write(&file, configuration)?;
    let mut running = Running::start(&program, &["-c", &file], core, directory, || is_open(port))?;
    running.url = format!("127.0.0.1:{port}");
    let version = ask(&program, "--version");
    running.version = version.lines().last().unwrap_or("unknown").trim().to_owned();
    Ok(Start::Running(running))
}
