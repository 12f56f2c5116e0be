//! The engine's process.

use crate::PATIENCE;
use crate::controller::Controller;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A running engine, which ends with the test.
#[derive(Debug)]
pub struct Engine {
    process: Child,
    /// The first worker's.
    pub port: u16,
    /// Its control socket.
    pub socket: PathBuf,
}

impl Engine {
    /// One worker, on loopback of both families.
    pub fn start() -> Self {
        Self::start_with(&["--workers", "1"])
    }

    /// With these flags in addition to port and socket. Waits until it listens.
    pub fn start_with(flags: &[&str]) -> Self {
        let (port, socket) = (free_ports(), socket_path());
        let mut command = command(port, &socket);
        command.args(flags);
        Self::start_by(command, port, socket)
    }

    /// With this command line, which names its control socket. Waits until it listens.
    pub fn start_by(mut command: Command, port: u16, socket: PathBuf) -> Self {
        let log = File::create(socket.with_extension("log")).unwrap();
        let process = command.stderr(log).spawn().expect("the engine starts");
        let mut engine = Self { process, port, socket };
        let deadline = Instant::now() + PATIENCE;
        while !engine.socket.exists() {
            let ended = engine.process.try_wait().unwrap();
            assert_eq!(ended, None, "the engine ended instead of listening");
            assert!(Instant::now() < deadline, "the engine does not listen within {PATIENCE:?}");
            sleep(Duration::from_millis(5));
        }
        engine
    }

    /// Attaches to it.
    pub fn attach(&self) -> Controller {
        Controller::attach(&self.socket)
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.socket.with_extension("log")).unwrap()
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.process.id() as i32).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.process)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let log = self.socket.with_extension("log");
        if std::thread::panicking() {
            eprintln!("the engine's log:\n{}", fs::read_to_string(&log).unwrap_or_default());
        }
        for path in [&log, &self.socket, &self.socket.with_extension("sock.lock")] {
            let _ = fs::remove_file(path);
        }
    }
}

/// The engine's command line with a port and a socket; more flags may follow.
pub fn command(port: u16, socket: &Path) -> Command {
    let mut command = Command::new(binary("leat-engine"));
    command.arg("--rtc-port").arg(port.to_string()).arg("--control-socket").arg(socket);
    command.env("LEAT_LOG", "info").stdin(Stdio::null());
    command
}

/// Waits for the end of a process that should end by itself.
pub fn wait(process: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            let _ = process.kill();
            panic!("the process did not end within {PATIENCE:?}");
        }
        sleep(Duration::from_millis(5));
    }
}

/// Runs a command that should end by itself; returns its exit code and standard error.
pub fn run_to_end(command: &mut Command) -> (Option<i32>, String) {
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = wait(&mut process);
    let mut said = String::new();
    process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.code(), said)
}

/// A path for a control socket that nothing else uses.
pub fn socket_path() -> PathBuf {
    static LAST: AtomicU16 = AtomicU16::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("leat-process-{}-{number}.sock", std::process::id()))
}

/// Whether this machine has IPv6 on loopback. Containers often do not; tests then print that IPv6 is skipped.
pub fn has_ipv6() -> bool {
    let has = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        eprintln!("this machine has no IPv6 loopback: only IPv4 is tested");
    }
    has
}

/// Two adjacent free ports on loopback, for UDP and TCP, below the kernel's ephemeral ports.
pub fn free_ports() -> u16 {
    const FIRST: u16 = 16_000;
    const COUNT: u16 = 8_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two concurrent runs start at different ends; binding detects a port that both try.
    let start = (std::process::id() % 97) as u16 * 80;
    for _ in 0..COUNT / 2 {
        let port = FIRST + (start + 2 * NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let is_free =
            |ip: IpAddr, port| UdpSocket::bind((ip, port)).is_ok() && TcpListener::bind((ip, port)).is_ok();
        let both = |port| {
            let is_free_in_v6 = || !has_ipv6() || is_free(Ipv6Addr::LOCALHOST.into(), port);
            is_free(Ipv4Addr::LOCALHOST.into(), port) && is_free_in_v6()
        };
        if both(port) && both(port + 1) {
            return port;
        }
    }
    panic!("no free port");
}

/// A program under test: for the engine `LEAT_ENGINE` if set, otherwise the one beside this test's binary,
/// built if it is missing or older than its sources.
pub fn binary(name: &'static str) -> PathBuf {
    static FOUND: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());
    // Locked during a build: a second test waits for it.
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let find = || {
        if let Some(path) = std::env::var_os("LEAT_ENGINE").filter(|_| name == "leat-engine") {
            return PathBuf::from(path);
        }
        // target/debug/deps/process-…
        let own = std::env::current_exe().unwrap();
        let profile = own.parent().and_then(Path::parent).expect("cargo's folders");
        let path = profile.join(name);
        if !is_fresh(&path) {
            build(name, profile);
        }
        path
    };
    found.entry(name).or_insert_with(find).clone()
}

/// Whether the binary exists, and is newer than all its sources, by cargo's list.
fn is_fresh(binary: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let (Some(built), Ok(list)) = (modified(binary), fs::read_to_string(binary.with_extension("d"))) else {
        return false;
    };
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources);
    sources.split_whitespace().all(|source| modified(Path::new(source)).is_some_and(|source| source <= built))
}

fn build(name: &str, profile: &Path) {
    // Its package has another name.
    let package = if name == "leat" { "leat-signaling" } else { name };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--package", package, "--target-dir"]).arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
    assert!(status.success(), "{name} does not build");
}
