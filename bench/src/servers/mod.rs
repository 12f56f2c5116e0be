//! Starts the compared servers, each on one core, in a separate directory.

mod front;
mod janus;
mod leat;
mod mediasoup;
mod network;
mod relays;

pub use front::start as start_front;
pub use network::Network;
pub use relays::start as start_relay;

use crate::cli::Server;
use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The result of starting a server.
#[derive(Debug)]
pub enum Start {
    /// It is ready.
    Running(Running),
    /// It cannot be started here; one sentence with the reason.
    Skipped(String),
}

/// A server that runs, and ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    process: Child,
    directory: Directory,
    /// The address for its driver.
    pub url: String,
    /// The server.
    pub version: String,
    /// What it stores its data in; ends after it.
    store: Option<Box<Running>>,
}

/// The time limit for a server's start and end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The interval of checks for this.
const STEP: Duration = Duration::from_millis(20);

/// Starts `server` on `core`.
pub fn start(server: Server, core: usize, network: &Network) -> anyhow::Result<Start> {
    match server {
        Server::Leat => leat::start(core),
        Server::Mediasoup => mediasoup::start(core),
        Server::Janus => janus::start(core, network),
    }
}

impl Running {
    /// Its process, the parent of the server's other processes.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Starts `program` on `core` and waits until `is_ready`.
    fn start(
        program: &Path,
        arguments: &[&str],
        core: usize,
        directory: Directory,
        is_ready: impl Fn() -> bool,
    ) -> anyhow::Result<Self> {
        Self::start_with(program, arguments, &[], Some(core), directory, is_ready)
    }

    /// Starts `program` on any core and waits until `is_ready`.
    fn start_anywhere(
        program: &Path,
        arguments: &[&str],
        directory: Directory,
        is_ready: impl Fn() -> bool,
    ) -> anyhow::Result<Self> {
        Self::start_with(program, arguments, &[], None, directory, is_ready)
    }

    /// Starts `program` with additional environment variables, on `core` if there is one, and waits until
    /// `is_ready`.
    fn start_with(
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        core: Option<usize>,
        directory: Directory,
        is_ready: impl Fn() -> bool,
    ) -> anyhow::Result<Self> {
        let log = std::fs::File::create(directory.0.join("log"))?;
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.arg("-c").arg(core.to_string()).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.envs(environment.iter().copied());
        // A separate process group: Ctrl-C ends the measurement, and only then the server.
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        // A crashed server's files are removed with its directory.
        command.current_dir(&directory.0);
        let process = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let mut running =
            Self { process, directory, url: String::new(), version: String::new(), store: None };
        let deadline = Instant::now() + PATIENCE;
        while !is_ready() {
            if let Some(status) = running.process.try_wait()? {
                bail!("{} ended with {status}:\n{}", program.display(), running.log());
            }
            if Instant::now() > deadline {
                bail!("{} does not serve within {PATIENCE:?}:\n{}", program.display(), running.log());
            }
            sleep(STEP);
        }
        Ok(running)
    }

    fn log(&self) -> String {
        std::fs::read(self.directory.0.join("log"))
            .map_or_else(|_| String::new(), |log| String::from_utf8_lossy(&log).into_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE / 4;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            sleep(STEP);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A directory that is removed when dropped.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new() -> anyhow::Result<Self> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("leat-bench-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// A path in it, as text.
    fn at(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The remaining files are small.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A free TCP port, whose UDP port is free too.
fn free_port() -> anyhow::Result<u16> {
    for _ in 0..100 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        if std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port is free")
}

/// Whether a process accepts connections there.
fn is_open(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The path of a program, if it is in PATH.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// A program's output with `argument`.
fn ask(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output();
    output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}
