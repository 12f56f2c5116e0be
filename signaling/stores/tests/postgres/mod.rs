//! A PostgreSQL server of this test, in a temporary folder, on a free port of 127.0.0.1. It ends with this
//! value, also when a test panics.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The server.
pub struct Postgres {
    dir: PathBuf,
    port: u16,
    server: Option<Child>,
}

/// The limit of every wait. No condition takes this long; afterwards the test fails.
const LIMIT: Duration = Duration::from_secs(60);

impl Postgres {
    /// Creates the cluster and starts the server.
    pub fn start() -> Self {
        let dir = temporary_dir("postgres");
        if let Some((uid, gid)) = owner() {
            chown(&dir, Some(uid), Some(gid)).expect("root may do this");
        }
        let data = dir.join("data");
        let initdb = command(&dir, "initdb")
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"])
            .arg("--pgdata")
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(initdb.status.success(), "{}", String::from_utf8_lossy(&initdb.stderr));
        let port = free_port();
        let mut postgres = Self { dir, port, server: None };
        postgres.resume();
        postgres
    }

    /// Starts the server again.
    pub fn resume(&mut self) {
        let server = command(&self.dir, "postgres")
            .arg("-D")
            .arg(self.dir.join("data"))
            .arg("-k")
            .arg(&self.dir)
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-c", "fsync=off"])
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.dir.join("log")).expect("a file of this test"))
            .spawn();
        self.server = Some(server.expect("postgres runs"));
        let start = Instant::now();
        while !self.is_ready() {
            assert!(start.elapsed() < LIMIT, "{}", self.log());
            let ended = self.server.as_mut().expect("started").try_wait().expect("a child");
            assert!(ended.is_none(), "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the server; connections are closed at once.
    pub fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        // SIGINT is the fast shutdown (server-shutdown, PostgreSQL manual).
        signal("INT", server.id());
        server.wait().expect("a child");
    }

    /// Stops the execution of all its processes; its connections stay open.
    pub fn freeze(&self) {
        self.signal_all("STOP");
    }

    pub fn thaw(&self) {
        self.signal_all("CONT");
    }

    fn signal_all(&self, name: &str) {
        let Some(server) = &self.server else { return };
        let pid = server.id();
        signal(name, pid);
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("Linux");
        for child in children.split_whitespace() {
            // One that serves a connection may have ended.
            let _ = Command::new("kill").args(["-s", name, child]).stderr(Stdio::null()).status();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// The port is open before the server accepts connections.
    fn is_ready(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
            && self.log().contains("ready to accept connections")
    }

    /// Runs SQL as the superuser.
    pub fn sql(&self, database: &str, sql: &str) {
        let port = self.port.to_string();
        let psql = command(&self.dir, "psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"])
            .args(["-p", &port, "-d", database, "-c", sql])
            .output()
            .expect("psql runs");
        assert!(psql.status.success(), "{sql}: {}", String::from_utf8_lossy(&psql.stderr));
    }

    /// The URL of a new database, which belongs to a role with no other rights.
    pub fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("leat{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE ROLE {name} LOGIN"));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {name}"));
        format!("postgres://{name}@127.0.0.1:{}/{name}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.thaw();
        if let Some(mut server) = self.server.take() {
            // SIGQUIT ends it without a checkpoint; the files are deleted.
            signal("QUIT", server.id());
            let _ = server.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A new folder of this test process.
pub fn temporary_dir(name: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("leat-{name}-{}-{number}", std::process::id()));
    fs::create_dir(&dir).expect("a new folder");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("the new folder");
    dir
}

/// A program of PostgreSQL. It refuses to run as root: then it runs as the user `postgres`.
fn command(dir: &Path, name: &str) -> Command {
    let versions =
        fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed: apt-get install postgresql");
    let mut found: Vec<PathBuf> = versions.map(|entry| entry.expect("a folder").path()).collect();
    found.sort();
    let newest = found.iter().rev().map(|version| version.join("bin").join(name)).find(|path| path.is_file());
    let mut command =
        Command::new(newest.unwrap_or_else(|| panic!("/usr/lib/postgresql/*/bin/{name} exists")));
    command.current_dir(dir).stdin(Stdio::null());
    if let Some((uid, gid)) = owner() {
        command.uid(uid).gid(gid);
    }
    command
}

/// The user and group `postgres`, if this test runs as root.
fn owner() -> Option<(u32, u32)> {
    let own = fs::metadata("/proc/self").expect("Linux");
    if std::os::unix::fs::MetadataExt::uid(&own) != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("Linux");
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("a user postgres");
    let mut fields = line.split(':').skip(2).map(|field| field.parse().expect("a number"));
    fields.next().zip(fields.next())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(status.expect("kill runs").success(), "process {pid}");
}
