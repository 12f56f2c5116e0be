//! Leat: `leat up` with one worker.

use super::{Directory, Running, Start, ask, free_port};
use crate::Place;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

/// The program: `LEAT_BIN`, or the one beside this program.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("LEAT_BIN").map(PathBuf::from);
    let beside = || Some(std::env::current_exe().ok()?.with_file_name("leat"));
    // An absolute path: it is started in another directory.
    named.or_else(beside).and_then(|program| program.canonicalize().ok()).filter(|program| program.is_file())
}

pub fn start(core: usize) -> anyhow::Result<Start> {
    start_with(core, &[])
}

/// With further options.
pub fn start_with(core: usize, options: &[&str]) -> anyhow::Result<Start> {
    let Some(program) = program() else {
        return Ok(Start::Skipped(
            "leat is not beside leat-bench, and LEAT_BIN does not name it; `make build` makes it".to_owned(),
        ));
    };
    let (http, media) = (free_port()?, free_port()?);
    let directory = Directory::new()?;
    let (address, port) = (format!("127.0.0.1:{http}"), media.to_string());
    let (socket, data) = (directory.at("control/socket"), directory.at("data"));
    let arguments = [
        ["--workers", "1"],
        ["--http", &address],
        ["--rtc-port", &port],
        ["--rtc-tcp-port", "0"],
        ["--turn-port", "0"],
        ["--listen-ip", "127.0.0.1"],
        ["--control-socket", &socket],
        ["--data-dir", &data],
        // All peers come from this machine.
        ["--connections-per-address", "32768"],
    ];
    let arguments: Vec<&str> =
        std::iter::once("up").chain(arguments.into_iter().flatten()).chain(options.iter().copied()).collect();
    let mut running = Running::start(&program, &arguments, core, directory, || is_ready(http))?;
    running.url = format!("ws://{address}");
    let version = ask(&program, "--version");
    let version = version.split_whitespace().nth(1).unwrap_or("unknown");
    running.version = format!("{version} ({})", Place::here().commit());
    Ok(Start::Running(running))
}

/// Signaling answers and has an engine.
fn is_ready(port: u16) -> bool {
    let answer = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(4096).read_to_string(&mut answer)?;
        Ok(answer)
    };
    answer().is_ok_and(|answer| answer.contains("\"engine\":\"ready\""))
}
