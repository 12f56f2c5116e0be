//! Janus, as packaged by Debian, with only the videoroom plugin: `bench/rivals/janus/`.

use super::{Directory, Network, Running, Start, ask, find, free_port, is_open};
use anyhow::Context;
use std::path::{Path, PathBuf};

const CORE: &str = include_str!("../../rivals/janus/janus.jcfg");
const VIDEOROOM: &str = include_str!("../../rivals/janus/janus.plugin.videoroom.jcfg");
const WEBSOCKETS: &str = include_str!("../../rivals/janus/janus.transport.websockets.jcfg");

pub fn start(core: usize, network: &Network) -> anyhow::Result<Start> {
    let Some(program) = find("janus") else {
        return Ok(Start::Skipped("janus is not installed; Debian has a package of that name".to_owned()));
    };
    let Network::Own { interface } = network else {
        return Ok(Start::Skipped(
            "janus accepts no media on loopback, and only root can create a separate network; run this as root"
                .to_owned(),
        ));
    };
    let Some(modules) = modules() else {
        return Ok(Start::Skipped(
            "janus is installed, but its plugins are not in /usr/lib/*/janus".to_owned(),
        ));
    };
    let port = free_port()?;
    let directory = Directory::new()?;
    let mut configuration = CORE.to_owned();
    for (name, value) in [
        ("\"CONFIGS\"", directory.0.display().to_string()),
        ("\"PLUGINS\"", modules.join("plugins").display().to_string()),
        ("\"TRANSPORTS\"", modules.join("transports").display().to_string()),
        ("\"INTERFACE\"", interface.clone()),
    ] {
        configuration = configuration.replace(name, &format!("\"{value}\""));
    }
    let files = [
        ("janus.jcfg", configuration),
        ("janus.plugin.videoroom.jcfg", VIDEOROOM.to_owned()),
        ("janus.transport.websockets.jcfg", WEBSOCKETS.replace("WS_PORT", &port.to_string())),
    ];
    for (name, text) in files {
        std::fs::write(directory.0.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    let (file, folder) = (directory.at("janus.jcfg"), directory.at(""));
    let mut running =
        Running::start(&program, &["-C", &file, "-F", &folder], core, directory, || is_open(port))?;
    running.url = format!("ws://127.0.0.1:{port}");
    running.version = version(&program);
    Ok(Start::Running(running))
}

/// The folder of its plugins and transports: `/usr/lib/x86_64-linux-gnu/janus`, for example.
fn modules() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("janus"));
    folders.filter(|folder| folder.join("plugins/libjanus_videoroom.so").exists()).min()
}

/// Its output is "Janus version: 1102 (1.1.2)", and more.
fn version(program: &Path) -> String {
    let said = ask(program, "--version");
    let version = said.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    version.map_or_else(|| "unknown".to_owned(), |(version, _)| version.to_owned())
}
