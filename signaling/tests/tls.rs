//! Redis and NATS over TLS, whose certificate is from an authority of the operator.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The limit of every wait. No condition takes this long; afterwards the test fails.
const LIMIT: Duration = Duration::from_secs(60);

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Folder(PathBuf);

impl Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn openssl(&self, arguments: &str) {
        let made = Command::new("openssl").args(arguments.split(' ')).current_dir(&self.0).output();
        let made = made.expect("openssl is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port().to_string()
}

fn start(command: &mut Command) -> Running {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Running(quiet.spawn().expect("the program is installed"))
}

/// Runs `leat-signaling` until its log has all these lines.
fn logs(folder: &Folder, redis: &str, nats: &str, authority: Option<&Path>, lines: &[&str]) {
    let log = folder.path("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_leat-signaling"));
    command
        .args(["--http", "127.0.0.1:0", "--log", "text", "--control-socket"])
        .arg(folder.path("control.sock"))
        .arg("--data-dir")
        .arg(folder.path("data"))
        .args(["--redis", redis, "--nats", nats])
        .env_remove("LEAT_LOG")
        .env_remove("SSL_CERT_FILE")
        .envs(authority.map(|file| ("SSL_CERT_FILE", file)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log).expect("a file of this test"));
    let _signaling = Running(command.spawn().expect("it starts"));
    let since = Instant::now();
    loop {
        let text = fs::read_to_string(&log).unwrap_or_default();
        if lines.iter().all(|line| text.contains(line)) {
            return;
        }
        assert!(since.elapsed() < LIMIT, "{lines:?} are not all in the log:\n{text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn redis_and_nats_are_used_over_tls_if_their_certificate_is_valid() {
    let folder = Folder(std::env::temp_dir().join(format!("leat-tls-{}", std::process::id())));
    fs::create_dir(&folder.0).expect("a new folder");
    folder
        .openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
    folder.openssl("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost");
    fs::write(folder.path("names"), "subjectAltName=DNS:localhost\n").expect("a file of this test");
    folder.openssl(
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names",
    );
    let (redis_port, nats_port) = (free_port(), free_port());
    let program = if Path::new("/usr/bin/redis-server").exists() { "redis-server" } else { "valkey-server" };
    let mut redis = Command::new(program);
    redis.args(["--bind", "127.0.0.1", "--port", "0", "--save", "", "--tls-auth-clients", "no"]);
    redis.args(["--tls-port", &redis_port, "--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"]);
    redis.args(["--tls-ca-cert-file", "ca.pem"]).current_dir(&folder.0);
    let _redis = start(&mut redis);
    let mut nats = Command::new("nats-server");
    nats.args(["-js", "-a", "127.0.0.1", "-p", &nats_port, "-sd", "jetstream"]);
    nats.args(["--tls", "--tlscert", "cert.pem", "--tlskey", "key.pem"]).current_dir(&folder.0);
    let _nats = start(&mut nats);

    let (redis, nats) = (format!("rediss://localhost:{redis_port}/"), format!("tls://localhost:{nats_port}"));
    let authority = folder.path("ca.pem");
    logs(&folder, &redis, &nats, Some(&authority), &["Redis answers", "connected to NATS"]);
    logs(&folder, &redis, &nats, None, &["Redis does not answer", "trouble with NATS"]);
}
