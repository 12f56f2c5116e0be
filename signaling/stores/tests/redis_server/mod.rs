//! A Redis server of this test, on a free port of loopback, without files.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The limit of every wait. No condition takes this long; afterwards the test fails.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A running server, or the place of one that was stopped. Dropping it ends the process.
pub struct RedisServer {
    port: u16,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts the server of Debian. Debian 13 has both it and Valkey, which starts with the same options.
    pub fn start() -> Self {
        let mut server = Self::absent();
        server.start_again();
        server
    }

    /// A port on which no server is running.
    pub fn absent() -> Self {
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        Self { port: probe.local_addr().expect("bound").port(), process: None }
    }

    /// The address for `--redis`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Starts it after [`Self::stop`], without data.
    pub fn start_again(&mut self) {
        let port = self.port.to_string();
        let options =
            ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/tmp", "--port", &port];
        let start =
            |program| Command::new(program).args(options).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let started = start("redis-server").or_else(|_| start("valkey-server"));
        self.process = Some(started.expect("redis-server or valkey-server is installed"));
        let since = Instant::now();
        while self.try_command("PING").as_deref() != Some("+PONG") {
            assert!(since.elapsed() < LIMIT, "the server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it, with all data.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it is running");
            process.wait().expect("it has ended");
        }
    }

    /// Stops its execution; its connections stay open.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.process.as_ref().expect("it is running").id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(status.success(), "process {pid}");
    }

    /// Sends one command without spaces in its arguments, and returns the first line of the answer.
    pub fn command(&self, command: &str) -> String {
        self.try_command(command).expect("an answer")
    }

    fn try_command(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let (mut line, mut byte) = (Vec::new(), [0]);
        while stream.read(&mut byte).ok()? == 1 && byte != *b"\r" {
            line.push(byte[0]);
        }
        String::from_utf8(line).ok()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
