//! Signaling servers: `leat up`, and the server of `bench/rivals/socketio`, each with its own Redis.

use super::{Directory, Running, Start, ask, find, free_port, is_open, leat};
use crate::cli::Front;
use std::path::Path;

/// Starts one on `core`. Redis runs on any core.
pub fn start(front: Front, core: usize, secret: &str) -> anyhow::Result<Start> {
    let Some(redis) = find("redis-server") else {
        return Ok(Start::Skipped(
            "redis-server is not on the path; Debian's package has this name".to_owned(),
        ));
    };
    let port = free_port()?;
    let text = port.to_string();
    let arguments =
        ["--port", &text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"];
    let store = Running::start_anywhere(&redis, &arguments, Directory::new()?, || is_open(port))?;
    let started = match front {
        Front::Leat => {
            let address = format!("redis://127.0.0.1:{port}");
            let extra = ["--redis", &address, "--secret", secret, "--log", "json"];
            leat::start_with(core, &extra)?
        }
        Front::SocketIo => node(core, port, secret)?,
    };
    Ok(match started {
        Start::Running(mut running) => {
            running.store = Some(Box::new(store));
            Start::Running(running)
        }
        skipped => skipped,
    })
}

fn node(core: usize, redis: u16, secret: &str) -> anyhow::Result<Start> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rivals/socketio");
    let Some(node) = find("node") else { return Ok(Start::Skipped("node is not on the path".to_owned())) };
    let Ok(package) = std::fs::read_to_string(folder.join("node_modules/socket.io/package.json")) else {
        return Ok(Start::Skipped(format!(
            "socket.io is not installed: run `npm ci` in {}",
            folder.display()
        )));
    };
    let port = free_port()?;
    let script = folder.join("server.js").display().to_string();
    let arguments = [script.as_str(), &port.to_string(), &redis.to_string()];
    let environment = [("LEAT_SECRET", secret)];
    let mut running =
        Running::start_with(&node, &arguments, &environment, Some(core), Directory::new()?, || {
            is_open(port)
        })?;
    running.url = format!("ws://127.0.0.1:{port}");
    let package: serde_json::Value = serde_json::from_str(&package)?;
    let version = package["version"].as_str().unwrap_or("unknown");
    running.version = format!("{version} (Node {})", ask(&node, "--version").trim());
    Ok(Start::Running(running))
}
