//! `leat doctor`, with each thing that it checks right and broken. The TURN server is in `tests/process`.

#[path = "../bus/tests/server/mod.rs"]
mod nats_server;
#[path = "../stores/tests/postgres/mod.rs"]
mod postgres;
#[path = "../stores/tests/redis_server/mod.rs"]
mod redis_server;

use nats_server::NatsServer;
use postgres::Postgres;
use rcgen::{CertificateParams, KeyPair};
use redis_server::RedisServer;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

/// A folder of one test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("leat-doctor-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("a temporary file");
        path.to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is a temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The options of most tests: free ports, and no clock on a network.
fn doctor(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leat"));
    command.args(["doctor", "--json"]).args(arguments).env("XDG_STATE_HOME", &folder.0);
    for (option, value) in
        [("--http", "127.0.0.1:0"), ("--rtc-port", "0"), ("--turn-port", "0"), ("--clock", "none")]
    {
        if !arguments.contains(&option) {
            command.args([option, value]);
        }
    }
    command
}

fn findings(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"))
}

/// The findings of one check, as level and message. Everything but `ok` says what to do. The exit code is 1 if,
/// and only if, there is an error.
fn of_check(check: &str, command: &mut Command) -> Vec<(String, String)> {
    let output = command.output().expect("the program runs");
    let findings = findings(&output);
    let is_error = findings.iter().any(|finding| finding["level"] == "error");
    assert_eq!(output.status.code(), Some(i32::from(is_error)), "{findings:?}");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let found: Vec<_> = findings.iter().filter(|finding| finding["check"] == check).collect();
    for finding in &found {
        let has_advice = finding["advice"].as_str().is_some_and(|advice| advice.split(' ').count() > 1);
        assert_eq!(has_advice, finding["level"] != "ok", "{finding}");
    }
    found.into_iter().map(|finding| (text(&finding["level"]), text(&finding["message"]))).collect()
}

/// The same, of a check with one finding.
#[track_caller]
fn only(check: &str, command: &mut Command) -> (String, String) {
    let mut found = of_check(check, command);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_port_in_use_is_an_error_that_names_its_option() {
    let folder = Folder::new();
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0"));
    let (tcp, udp) = (tcp.expect("a free port"), udp.expect("a free port"));
    let http = tcp.local_addr().expect("bound").to_string();
    let rtc = udp.local_addr().expect("bound").port().to_string();
    let options = ["--http", &http, "--rtc-port", &rtc, "--workers", "1", "--rtc-tcp-port", "0"];
    let options = [&options[..], &["--listen-ip", "127.0.0.1"]].concat();
    let found = of_check("ports", &mut doctor(&folder, &options));
    let messages: Vec<_> = found.iter().map(|(level, message)| format!("{level} {message}")).collect();
    let port = tcp.local_addr().expect("bound").port();
    let wanted = [
        format!("error --http: TCP port {port} on 127.0.0.1 is in use by another process"),
        format!("error --rtc-port: UDP port {rtc} on 127.0.0.1 is in use by another process"),
    ];
    assert_eq!(messages, wanted);
    drop((tcp, udp));
    let (level, message) = only("ports", &mut doctor(&folder, &options));
    assert_eq!((level.as_str(), message.as_str()), ("ok", "all ports are free (2 checked)"));
    let (level, message) = only(
        "ports",
        &mut doctor(&folder, &["--listen-ip", "192.0.2.1", "--workers", "1", "--rtc-tcp-port", "0"]),
    );
    assert!(level == "error" && message.contains("this machine does not have the address"), "{message}");
}

#[test]
fn an_announced_address_that_does_not_lead_here_is_reported() {
    let folder = Folder::new();
    let probe = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let port = probe.local_addr().expect("bound").port().to_string();
    drop(probe);
    let basis = ["--rtc-port", &port, "--workers", "1", "--listen-ip", "127.0.0.1"];
    let with = |more: &[&str]| only("announced", &mut doctor(&folder, &[&basis[..], more].concat()));
    let (level, message) = with(&["--announced-ip", "127.0.0.1"]);
    assert!(level == "ok" && message.contains("comes back"), "{level} {message}");
    // Of a network for documentation (RFC 5737): there is no such machine.
    let (level, message) = with(&["--announced-ip", "192.0.2.1"]);
    assert!(level == "warning" && message.contains("192.0.2.1"), "{level} {message}");
    let (level, message) = with(&["--announced-ip", "leat.invalid"]);
    assert!(level == "error" && message.contains("cannot be resolved"), "{level} {message}");
    let (level, message) = with(&["--announced-ip", "::1"]);
    assert!(level == "error" && message.contains("no address of a family of --listen-ip"), "{message}");
    let (level, message) = with(&[]);
    assert!(level == "warning" && message.contains("clients elsewhere"), "{level} {message}");
    let (level, message) = only("announced", &mut doctor(&folder, &["--listen-ip", "0.0.0.0"]));
    assert!(level == "error" && message.contains("without --announced-ip"), "{level} {message}");
    let _taken = UdpSocket::bind(("127.0.0.1", port.parse::<u16>().expect("a port"))).expect("it is free");
    let (level, message) = with(&["--announced-ip", "127.0.0.1"]);
    assert!(level == "unknown" && message.contains("another process uses UDP port"), "{level} {message}");
}

#[test]
fn a_low_limit_of_open_files_is_a_warning() {
    let folder = Folder::new();
    let limited = |limit: &str| {
        let inner = doctor(&folder, &[]);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh"]).arg(inner.get_program());
        command.args(inner.get_args()).env("XDG_STATE_HOME", &folder.0);
        only("descriptors", &mut command)
    };
    let (level, message) = limited("1024");
    assert!(level == "warning" && message.contains("a process may open 1024 files"), "{level} {message}");
    assert_eq!(limited("20000").0, "ok");
}

/// Answers one request over NTP with a time that is `ahead` of the clock.
fn ntp_server(ahead: i64) -> (std::thread::JoinHandle<()>, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a valid time");
    let url = format!("ntp://{}", socket.local_addr().expect("bound"));
    let thread = std::thread::spawn(move || {
        let mut request = [0; 128];
        let (len, peer) = socket.recv_from(&mut request).expect("a request");
        assert_eq!((len, request[0] & 0b111), (48, 3), "of a client");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        let mut answer = [0; 48];
        (answer[0], answer[1]) = (0b0010_0100, 2);
        answer[24..32].copy_from_slice(&request[40..48]);
        let seconds = (now + 2_208_988_800).checked_add_signed(ahead).expect("in range");
        answer[40..44].copy_from_slice(&(seconds as u32).to_be_bytes());
        socket.send_to(&answer, peer).expect("it waits");
    });
    (thread, url)
}

/// Answers one request over HTTP with this date.
fn http_server(date: &str) -> (std::thread::JoinHandle<()>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/time", listener.local_addr().expect("bound"));
    let answer = format!("HTTP/1.1 200 OK\r\nServer: test\r\n{date}\r\nContent-Length: 0\r\n\r\n");
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 1024];
        let len = stream.read(&mut request).expect("a request");
        assert!(request[..len].starts_with(b"HEAD /time HTTP/1.1\r\n"));
        stream.write_all(answer.as_bytes()).expect("it waits");
    });
    (thread, url)
}

#[test]
fn a_wrong_clock_is_an_error_and_an_unreachable_source_is_not() {
    let folder = Folder::new();
    for (ahead, wanted) in [(0, "ok"), (3_600, "error"), (-3_600, "error")] {
        let (server, url) = ntp_server(ahead);
        let (level, message) = only("clock", &mut doctor(&folder, &["--clock", &url]));
        server.join().expect("no panic");
        assert_eq!(level, wanted, "{message}");
        assert!(message.contains(&url), "{message}");
    }
    let now = httpdate::fmt_http_date(SystemTime::now());
    for (date, wanted) in [
        (format!("date: {now}"), "ok"),
        ("Date: Sat, 01 Jan 2000 00:00:00 GMT".to_owned(), "error"),
        ("Date: soon".to_owned(), "unknown"),
        ("Age: 1".to_owned(), "unknown"),
    ] {
        let (server, url) = http_server(&date);
        let (level, message) = only("clock", &mut doctor(&folder, &["--clock", &url]));
        server.join().expect("no panic");
        assert_eq!(level, wanted, "{date}: {message}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
    for url in [&format!("http://{closed}/"), "ntp://leat.invalid", "none"] {
        let (level, message) = only("clock", &mut doctor(&folder, &["--clock", url]));
        assert!(level == "unknown" && message.starts_with("the clock cannot be checked"), "{message}");
    }
}

/// A certificate for `turn.example.org` and its key, valid for this time from now on.
fn certificate(folder: &Folder, name: &str, from_days: i64, to_days: i64) -> [String; 2] {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["turn.example.org".to_owned()]).expect("a name");
    let now = SystemTime::now();
    let at = |days: i64| {
        let span = Duration::from_secs(days.unsigned_abs() * 86_400 + 3_600);
        let time = if days < 0 { now - span } else { now + span };
        let seconds = time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    (params.not_before, params.not_after) = (at(from_days), at(to_days));
    let certificate = params.self_signed(&key).expect("a certificate");
    [
        folder.write(&format!("{name}.pem"), &certificate.pem()),
        folder.write(&format!("{name}.key"), &key.serialize_pem()),
    ]
}

#[test]
fn a_certificate_that_has_expired_or_soon_will_is_reported() {
    let folder = Folder::new();
    let check = |certificate: &str, key: &str, host: &str| {
        let options = ["--turn-certificate", certificate, "--turn-private-key", key, "--turn-host", host];
        only("certificates", &mut doctor(&folder, &options))
    };
    let [good, good_key] = certificate(&folder, "good", -1, 90);
    let (level, message) = check(&good, &good_key, "turn.example.org");
    assert!(level == "ok" && message.ends_with("is valid for 90 days"), "{level} {message}");
    for (name, from, to, wanted, words) in [
        ("expired", -90, -1, "error", "expired on"),
        ("soon", -90, 13, "warning", "in less than 14 days"),
        ("later", 1, 90, "error", "is valid only from"),
        ("enough", -1, 14, "ok", "is valid for 14 days"),
    ] {
        let [file, key] = certificate(&folder, name, from, to);
        let (level, message) = check(&file, &key, "turn.example.org");
        assert!(level == wanted && message.contains(words), "{name}: {level} {message}");
    }
    let other = check(&good, &certificate(&folder, "other", -1, 90)[1], "turn.example.org");
    assert!(other.0 == "error" && other.1.contains("cannot be used together"), "{other:?}");
    let (level, message) = check(&good, &good_key, "turn.example.net");
    assert!(
        level == "error" && message.contains("is not valid for --turn-host turn.example.net"),
        "{message}"
    );
    let (level, message) = check(&good_key, &good_key, "turn.example.org");
    assert!(level == "error" && message.contains("has no certificate"), "{message}");
    let (level, message) = check("/nonexistent.pem", &good_key, "turn.example.org");
    assert!(level == "error" && message.contains("/nonexistent.pem"), "{message}");
    assert_eq!(only("certificates", &mut doctor(&folder, &[])).0, "ok");
}

#[test]
fn stores_that_are_away_are_errors() {
    let folder = Folder::new();
    let (mut postgres, mut redis, mut nats) = (Postgres::start(), RedisServer::start(), NatsServer::start());
    let (postgres_url, redis_url, nats_url) = (postgres.database(), redis.url(), nats.url());
    let check = || {
        let mut command = doctor(&folder, &["--redis", &redis_url, "--nats", &nats_url]);
        of_check("stores", command.env("LEAT_DATABASE", &postgres_url))
    };
    let found = check();
    let levels =
        |found: &[(String, String)]| found.iter().map(|(level, _)| level.clone()).collect::<Vec<_>>();
    assert_eq!(levels(&found), ["ok", "ok", "ok"], "{found:?}");
    assert_eq!(found[0].1, "PostgreSQL answers");
    postgres.stop();
    redis.stop();
    nats.stop();
    let found = check();
    assert_eq!(levels(&found), ["error", "error", "error"], "{found:?}");
    for (finding, name) in found.iter().zip(["PostgreSQL", "Redis", "NATS"]) {
        assert!(finding.1.contains(name) && !finding.1.contains("postgres://"), "{finding:?}");
    }
    postgres.resume();
    redis.start_again();
    nats.restart();
    assert_eq!(levels(&check()), ["ok", "ok", "ok"]);
}

#[test]
fn the_directory_of_the_sqlite_file_must_be_writable_and_the_file_whole() {
    let folder = Folder::new();
    let data = folder.0.join("data");
    let data = data.to_str().expect("UTF-8");
    let check = |dir: &str| of_check("stores", &mut doctor(&folder, &["--data-dir", dir])).remove(0);
    let (level, message) = check(data);
    assert!(level == "ok" && message.ends_with("Leat creates leat.db there"), "{level} {message}");
    assert!(!folder.0.join("data").exists(), "it changes nothing");
    let added =
        Command::new(env!("CARGO_BIN_EXE_leat")).args(["users", "add", "ada", "--data-dir", data]).output();
    assert!(added.expect("the program runs").status.success());
    let (level, message) = check(data);
    assert!(level == "ok" && message.starts_with("SQLite file") && message.ends_with("answers"), "{message}");
    std::fs::write(folder.0.join("data/leat.db"), vec![7; 8_192]).expect("the file");
    assert_eq!(check(data).0, "error", "it is no database");
    // A file system without files of its own: also root cannot write there.
    let (level, message) = check("/proc/leat");
    assert!(level == "error" && message.contains("cannot write to /proc"), "{level} {message}");
}

#[test]
fn without_json_the_findings_are_lines_with_a_summary() {
    let folder = Folder::new();
    let output = Command::new(env!("CARGO_BIN_EXE_leat"))
        .args(["doctor", "--http", "127.0.0.1:0", "--rtc-port", "0", "--turn-port", "0", "--clock", "none"])
        .env("XDG_STATE_HOME", &folder.0)
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for wanted in ["ok       ports", "unknown  clock", "to do: give --clock", "0 errors, "] {
        assert!(text.contains(wanted), "no {wanted:?} in {text}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_leat")).args(["doctor", "--clock", "x"]).output();
    assert_eq!(output.expect("the program runs").status.code(), Some(2));
}
