//! A running server, with its own files, which ends with the test.

use crate::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A running `leat-turn`.
pub struct Server {
    process: Child,
    /// UDP and TCP.
    pub port: u16,
    /// TLS, where there is a certificate.
    pub tls_port: u16,
    pub metrics_port: u16,
    folder: Folder,
}

impl Server {
    /// With user `u`, password `p`, and loopback allowed to peers.
    pub fn start(flags: &[&str]) -> Self {
        Self::start_in(Folder::new(), flags)
    }

    /// The same, with files that the flags name. With a configuration file, its users are those of the file:
    /// the command line would replace them.
    pub fn start_in(folder: Folder, flags: &[&str]) -> Self {
        let [port, tls_port, metrics_port] = free_ports();
        let log = File::create(folder.path("log")).unwrap();
        let process = command()
            .args([
                "--listen-ip",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--tls-port",
                &tls_port.to_string(),
            ])
            .args(["--metrics", &format!("127.0.0.1:{metrics_port}")])
            .args(["--allow-peer", "127.0.0.1"])
            .args(if flags.contains(&"--config") { &[][..] } else { &["--user", "u:p"] })
            .args(flags)
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let mut server = Self { process, port, tls_port, metrics_port, folder };
        server.await_log("TURN server is up");
        server
    }

    /// Waits until the log contains this.
    pub fn await_log(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert_eq!(self.process.try_wait().unwrap(), None, "the server ended: {}", self.log());
            assert!(Instant::now() < deadline, "nothing of {text:?} in the log: {}", self.log());
            sleep(Duration::from_millis(5));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path("log")).unwrap()
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.process.id().cast_signed()).unwrap(), signal).unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not end");
            sleep(Duration::from_millis(10));
        }
    }

    /// The page of metrics.
    pub fn metrics(&self) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.metrics_port)).unwrap();
        connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut page = String::new();
        connection.read_to_string(&mut page).unwrap();
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        page
    }

    /// Waits until a metric has this value: it is published once a second.
    pub fn await_metric(&self, name: &str, value: u64) {
        let line = format!("leat_turn_{name} {value}\n");
        let deadline = Instant::now() + PATIENCE;
        while !self.metrics().contains(&line) {
            assert!(Instant::now() < deadline, "no {line:?} in {}", self.metrics());
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

/// The program itself, without variables of the environment.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leat-turn"));
    command.env_remove("LEAT_TURN_SECRET").env_remove("LEAT_LOG").stdin(Stdio::null());
    command
}

/// A separate folder of the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("leat-turn-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The same, as an argument.
    pub fn argument(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.argument(name)
    }

    /// Writes `cert.pem` and `key.pem`, for this name.
    pub fn make_certificate(&self, name: &str) {
        self.make_certificate_of(name, EC, &[], "cert.pem", "key.pem");
    }

    /// Writes an RSA key to `key.pem`, and its certificate, signed by another one, with that one to
    /// `cert.pem`.
    pub fn make_rsa_chain(&self, name: &str) {
        self.make_certificate_of("issuer", EC, &[], "issuer.pem", "issuer-key.pem");
        let issuer = [("-CA", self.path("issuer.pem")), ("-CAkey", self.path("issuer-key.pem"))];
        self.make_certificate_of(name, &["rsa:2048"], &issuer, "leaf.pem", "key.pem");
        let chain = ["leaf.pem", "issuer.pem"].map(|file| fs::read(self.path(file)).unwrap()).concat();
        fs::write(self.path("cert.pem"), chain).unwrap();
    }

    fn make_certificate_of(
        &self,
        name: &str,
        key: &[&str],
        issuer: &[(&str, PathBuf)],
        certificate: &str,
        private_key: &str,
    ) {
        let output = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2", "-subj", &format!("/CN={name}"), "-newkey"])
            .args(key)
            .args(issuer.iter().flat_map(|(option, path)| [Path::new(option), path]))
            .args([Path::new("-keyout"), &self.path(private_key), Path::new("-out"), &self.path(certificate)])
            .output()
            .expect("openssl, which .ci/test installs");
        assert!(output.status.success(), "{output:?}");
    }
}

/// The parameters of `openssl req -newkey` for ECDSA on P-256.
const EC: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Free ports, below the ephemeral ones; each test starts at another one.
pub fn free_ports() -> [u16; 3] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(3, Ordering::Relaxed) % 3_000;
        let first = 24_000 + (std::process::id() as u16 % 97) * 60 + step;
        let ports = [first, first + 1, first + 2];
        let is_free = |port: &u16| {
            UdpSocket::bind(("127.0.0.1", *port)).is_ok() && TcpListener::bind(("127.0.0.1", *port)).is_ok()
        };
        if ports.iter().all(is_free) {
            return ports;
        }
    }
}
