//! A `nats-server` with JetStream on a port of its own, in a temporary folder, which ends with the test. Tests of
//! other crates use this file too.

#![allow(dead_code, clippy::unwrap_used, reason = "no test uses all of it")]

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub struct NatsServer {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl NatsServer {
    pub fn start() -> Self {
        static LAST: AtomicU16 = AtomicU16::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("leat-nats-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = free_port(number);
        let mut server = Self { process: spawn(port, &folder), port, folder };
        server.await_port();
        server
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends the process; its files stay.
    pub fn stop(&mut self) {
        // Fails if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again on the same port, with its files.
    pub fn restart(&mut self) {
        self.process = spawn(self.port, &self.folder);
        self.await_port();
    }

    /// Stops its execution without closing its connections.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn await_port(&mut self) {
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert_eq!(self.process.try_wait().unwrap(), None, "nats-server has ended");
            assert!(Instant::now() < end, "nats-server does not listen");
            sleep(Duration::from_millis(20));
        }
    }
}

/// A free port below the ephemeral ones; each process and each server starts at another one.
fn free_port(number: u16) -> u16 {
    let first = 18_000 + (std::process::id() % 97) as u16 * 50;
    let ports = (0..).map(|step| first + (number + step) % 4_000);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.take(4_000).find(is_free).expect("a free port")
}

fn spawn(port: u16, folder: &std::path::Path) -> Child {
    Command::new("nats-server")
        .args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server, which .ci/test installs")
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
