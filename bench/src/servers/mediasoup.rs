//! mediasoup, by the small server in `bench/rivals/mediasoup/`.

use super::{Directory, Running, Start, ask, find, free_port, is_open};
use std::path::{Path, PathBuf};

/// The variable for mediasoup's worker. The package's own install step downloads one, which `npm ci
/// --ignore-scripts` omits.
const WORKER: &str = "MEDIASOUP_WORKER_BIN";

pub fn start(core: usize) -> anyhow::Result<Start> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rivals/mediasoup");
    let skipped = |why: String| Ok(Start::Skipped(why));
    let Some(worker) = std::env::var_os(WORKER).map(PathBuf::from) else {
        return skipped(format!("{WORKER} does not name a mediasoup-worker, and there is no default"));
    };
    if !worker.is_file() {
        return skipped(format!("{WORKER} names {}, which is no file", worker.display()));
    }
    let Some(node) = find("node").filter(|node| major(&ask(node, "--version")) >= NODE_MIN) else {
        return skipped(format!("mediasoup needs Node {NODE_MIN} or newer on the path"));
    };
    let package = folder.join("node_modules/mediasoup/package.json");
    let Ok(package) = std::fs::read_to_string(&package) else {
        return skipped(format!(
            "mediasoup is not installed: run `npm ci --ignore-scripts` in {}",
            folder.display()
        ));
    };
    let port = free_port()?;
    let script = folder.join("server.js").display().to_string();
    let arguments = [script.as_str(), &port.to_string(), "127.0.0.1"];
    let mut running = Running::start(&node, &arguments, core, Directory::new()?, || is_open(port))?;
    running.url = format!("tcp://127.0.0.1:{port}");
    let package: serde_json::Value = serde_json::from_str(&package)?;
    running.version = package["version"].as_str().unwrap_or("unknown").to_owned();
    Ok(Start::Running(running))
}

/// The oldest version that mediasoup 3.27 supports.
const NODE_MIN: u32 = 22;

/// 22 for "v22.23.3".
fn major(version: &str) -> u32 {
    version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_read() {
        assert_eq!([major("v22.23.3\n"), major("v9.1"), major("")], [22, 9, 0]);
    }
}
