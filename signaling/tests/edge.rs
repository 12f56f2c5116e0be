//! What is available without a token, and to which address: limits of connections, heads, sessions and time;
//! proxies; other origins.

mod harness;

use harness::engine::{Engine, socket_path};
use harness::polling::{HANDSHAKE, Http, PollingClient, frame, to_base64};
use harness::{Signaling, join, settings};
use prost::Message;
use serde_json::json;
use signaling::auth::keyring::Keyring;
use signaling::auth::token::{self, Claims, NumericDate};
use signaling::limits;
use signaling::proto::{ErrorCode, Signal, signal::Payload};
use signaling::rooms::{self, Admission};
use signaling::server::edge::address::TrustedProxies;
use signaling::server::{edge, http, socket};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Maximum time for something that should happen soon: the machine may run all other tests as well.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A server that requires tokens, with these settings.
async fn serve(settings_of: impl FnOnce(&mut http::HttpSettings)) -> (Engine, Signaling, SocketAddr) {
    let engine = Engine::start(&socket_path());
    let verifier = Keyring::with_secret(SECRET.as_bytes(), Duration::ZERO).expect("a good secret");
    let admission = Admission::TokenRequired(verifier);
    let signaling = Signaling::start_with(&engine.path, rooms::RoomSettings { admission, ..settings() });
    let listener = http::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut settings = http::HttpSettings::default();
    settings_of(&mut settings);
    tokio::spawn(http::serve(listener, signaling.rooms.clone(), settings));
    (engine, signaling, address)
}

fn trusting(networks: &[&str]) -> TrustedProxies {
    TrustedProxies(networks.iter().map(|network| network.parse().expect("a network")).collect())
}

/// A token of this user.
fn token_of(user: &str) -> String {
    let claims = Claims::new(user, "r", NumericDate(u64::MAX));
    token::mint(&claims, SECRET.as_bytes()).expect("a good secret")
}

/// A JoinRoom that admits this user.
fn entry(user: &str) -> Vec<u8> {
    entry_with(user, "r")
}

/// A JoinRoom with the token of this user, to this room.
fn entry_with(user: &str, room: &str) -> Vec<u8> {
    let join = signaling::proto::JoinRoom { token: token_of(user), ..join(room, "") };
    Signal { version: "1".into(), payload: Some(Payload::JoinRoom(join)), ..Default::default() }
        .encode_to_vec()
}

async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}: not within {TIMEOUT:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn sessions_are_counted_from_the_handshake_in_total_and_by_address() {
    let (_engine, signaling, server) = serve(|settings| {
        settings.sessions = 5;
        settings.edge.connections_per_address = 3;
    })
    .await;
    let (one, other) = (Http::from(server, "127.0.0.1"), Http::from(server, "127.0.0.2"));
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(PollingClient::open(one.clone()).await);
    }
    let refused = one.get(HANDSHAKE).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(
        refused.body.contains("from this address") && refused.head.contains("retry-after"),
        "{refused:?}"
    );
    let (_held, status) = other.upgrade().await;
    assert_eq!(status, 101);
    sessions.push(PollingClient::open(other.clone()).await);
    let refused = Http::from(server, "127.0.0.3").get(HANDSHAKE).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.contains("too many connections"), "{refused:?}");
    assert_eq!(other.get("/healthz").await.status, 200, "what opens no session needs no place");
    // A session that ends frees its permit.
    sessions[0].post("1").await;
    eventually("the place is free", async || one.get(HANDSHAKE).await.status == 200).await;
    drop(signaling);
}

#[tokio::test]
async fn connections_of_one_address_are_bounded_and_others_can_connect() {
    let (_engine, _signaling, server) = serve(|settings| settings.edge.connections_per_address = 10).await;
    let silent: Vec<_> = {
        let mut silent = Vec::new();
        for _ in 0..10 {
            silent.push(Http::from(server, "127.0.0.1").connect().await);
        }
        silent
    };
    let refused = Http::from(server, "127.0.0.1").try_ask("GET", "/healthz", b"").await;
    assert!(refused.is_none(), "{refused:?}");
    assert_eq!(Http::from(server, "127.0.0.2").get("/healthz").await.status, 200);
    drop(silent);
    let one = Http::from(server, "127.0.0.1");
    eventually("places are free", async || one.try_ask("GET", "/healthz", b"").await.is_some()).await;
}

#[tokio::test]
async fn connection_without_a_complete_head_is_closed() {
    let (_engine, _signaling, server) = serve(|_| {}).await;
    let http = Http::to(server);
    let mut connections = Vec::new();
    for begun in [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut stream = http.connect().await;
        stream.write_all(begun).await.expect("send");
        connections.push(stream);
    }
    // One with a first request and no second.
    let mut idle = http.connect().await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("send");
    connections.push(idle);
    for mut stream in connections {
        let closed = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut Vec::new())).await;
        let _ = closed.expect("closed");
    }
}

#[tokio::test]
async fn request_with_a_missing_body_times_out() {
    let (_engine, _signaling, server) = serve(|_| {}).await;
    let mut stream = Http::to(server).connect().await;
    stream
        .write_all(b"POST /leave HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx")
        .await
        .expect("send");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut answer)).await;
    let _ = read.expect("closed");
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{:?}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn heads_are_bounded() {
    let (_engine, _signaling, server) = serve(|_| {}).await;
    let long = |len: usize| Http::to(server).with(&format!("X-Long: {}", "x".repeat(len)));
    assert_eq!(long(limits::HEAD_BYTES_MAX / 2).get(HANDSHAKE).await.status, 200);
    let refused = long(limits::HEAD_BYTES_MAX).try_ask("GET", HANDSHAKE, b"").await;
    assert!(refused.as_ref().is_none_or(|answer| answer.status == 431), "{refused:?}");
    let uri = format!("{HANDSHAKE}&t={}", "x".repeat(limits::SESSION_URI_BYTES_MAX));
    assert_eq!(Http::to(server).get(&uri).await.status, 414);
}

/// Engine.IO stores the head of the first request of a session, so it gets only the headers that it reads.
#[tokio::test]
async fn engine_io_gets_only_the_headers_that_it_reads() {
    let given = |headers: axum::http::HeaderMap| async move {
        headers.keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let admit = axum::middleware::from_fn_with_state(socket::Sessions::new(9, 9), socket::admit);
    let router = axum::Router::new().fallback(given).layer(admit);
    let listener = http::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let server = listener.local_addr().expect("bound");
    tokio::spawn(edge::serve(listener, router, edge::EdgeSettings::default()));
    let client = Http::to(server).with("X-Long: x").with("Cookie: a=b").with("User-Agent: test");
    assert_eq!(client.get(HANDSHAKE).await.body, "content-type");
    assert!(client.get("/").await.body.contains("x-long"), "others keep theirs");
}

#[tokio::test]
async fn session_that_does_not_join_is_closed_with_its_connection() {
    let (_engine, signaling, server) = serve(|_| {}).await;
    // A silent session, one that connects to the namespace, and one that polls; each answers pings before
    // they arrive.
    let (mut silent, _) = Http::to(server).upgrade().await;
    let (mut connected, _) = Http::to(server).upgrade().await;
    connected.write_all(&[frame(1, b"40"), frame(1, b"3")].concat()).await.expect("send");
    let polling = PollingClient::connect(Http::to(server)).await;
    assert_eq!(signaling.rooms.connection_count(), 3);
    let closing = async |stream: &mut tokio::net::TcpStream| {
        let closed = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut Vec::new())).await;
        let _ = closed.expect("closed");
    };
    tokio::join!(closing(&mut silent), closing(&mut connected));
    eventually("polling ends", async || polling.http.get(&polling.path).await.status == 400).await;
    eventually("all is forgotten", async || signaling.rooms.connection_count() == 0).await;
}

#[tokio::test]
async fn message_above_64_kib_is_refused_before_it_is_decoded() {
    let (_engine, _signaling, server) = serve(|_| {}).await;
    let client = PollingClient::connect(Http::to(server)).await;
    let head = |id: usize| format!("451-{id}[\"signal\",{{\"_placeholder\":true,\"num\":0}}]");
    // An unknown field, 2,000, that makes the message as long as allowed, or slightly longer.
    let padded = |len: usize| {
        let mut message = vec![0x82, 0x7d, 0, 0, 0];
        let padding = len - message.len();
        message[2..].copy_from_slice(&[
            padding as u8 & 0x7f | 0x80,
            (padding >> 7) as u8 & 0x7f | 0x80,
            (padding >> 14) as u8,
        ]);
        message.resize(len, 0);
        harness::polling::to_base64(&message)
    };
    client.post(&format!("{}\x1eb{}", head(0), padded(limits::MESSAGE_BYTES_MAX))).await;
    match client.next_binary().await.1.payload {
        Some(Payload::Error(error)) => assert_eq!(error.code(), ErrorCode::UnsupportedVersion),
        other => panic!("{other:?}"),
    }
    client.post(&format!("{}\x1eb{}", head(1), padded(limits::MESSAGE_BYTES_MAX + 1))).await;
    match client.next_binary().await.1.payload {
        Some(Payload::Error(error)) => assert_eq!(error.code(), ErrorCode::BadMessage),
        other => panic!("{other:?}"),
    }
}

/// Without an engine, joins wait for its snapshot.
#[tokio::test]
async fn too_many_unanswered_requests_before_a_join_are_refused() {
    let timeouts = rooms::Timeouts { settle: Duration::from_secs(3_600), ..harness::TIMEOUTS };
    let signaling = Signaling::start_with(&socket_path(), rooms::RoomSettings { timeouts, ..settings() });
    let listener = http::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let server = listener.local_addr().expect("bound");
    tokio::spawn(http::serve(listener, signaling.rooms.clone(), http::HttpSettings::default()));
    let client = PollingClient::connect(Http::to(server)).await;
    let mut message = entry("ada");
    // An unknown field, 2,000.
    let padding = 50_000_usize;
    message.extend([
        0x82,
        0x7d,
        padding as u8 & 0x7f | 0x80,
        (padding >> 7) as u8 & 0x7f | 0x80,
        (padding >> 14) as u8,
    ]);
    message.resize(message.len() + padding, 0);
    let fit = limits::UNANSWERED_BYTES_BEFORE_JOIN / message.len();
    for id in 0..=fit {
        let head = format!("451-{id}[\"signal\",{{\"_placeholder\":true,\"num\":0}}]");
        client.post(&format!("{head}\x1eb{}", harness::polling::to_base64(&message))).await;
    }
    let (head, answer) = client.next_binary().await;
    assert!(head.starts_with(&format!("461-{fit}[")), "the last is answered first: {head}");
    match answer.payload {
        Some(Payload::Error(error)) => assert_eq!(error.code(), ErrorCode::Limit),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn only_pages_of_listed_origins_may_use_the_server() {
    let (_engine, _signaling, server) = serve(|settings| {
        settings.allowed_origins = vec!["https://app.example.org".parse().expect("an origin")];
    })
    .await;
    let page = |origin: &str| Http::to(server).with(&format!("Origin: {origin}"));
    let listed = page("https://app.example.org");
    let answer = listed.get(HANDSHAKE).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("access-control-allow-origin: https://app.example.org"), "{}", answer.head);
    assert!(answer.head.contains("vary: origin"), "{}", answer.head);
    let preflight = listed
        .with("Access-Control-Request-Method: POST")
        .with("Access-Control-Request-Headers: content-type")
        .ask("OPTIONS", HANDSHAKE, b"")
        .await;
    assert_eq!(preflight.status, 200);
    for line in [
        "access-control-allow-origin: https://app.example.org",
        "post",
        "access-control-allow-headers: content-type,authorization",
    ] {
        assert!(preflight.head.contains(line), "{line}: {}", preflight.head);
    }
    assert_eq!(page("http://localhost").get(HANDSHAKE).await.status, 200, "its own");
    for origin in ["https://evil.example", "null", "http://app.example.org"] {
        let answer = page(origin).get(HANDSHAKE).await;
        assert_eq!(answer.status, 403, "{origin}");
        assert!(!answer.head.contains("access-control-allow-origin"), "{origin}: {}", answer.head);
        assert!(answer.body.contains("--allow-origin"), "{}", answer.body);
        assert_eq!(page(origin).upgrade().await.1, 403, "{origin}");
        assert_eq!(page(origin).ask("POST", "/leave", b"").await.status, 403, "{origin}");
        assert_eq!(page(origin).ask("POST", "/graphql", b"").await.status, 403, "{origin}");
    }
}

#[tokio::test]
async fn forwarded_address_of_an_untrusted_client_is_ignored() {
    let (_engine, _signaling, server) = serve(|settings| {
        settings.edge.connections_per_address = 2;
        settings.edge.trusted = trusting(&["127.0.0.9"]);
    })
    .await;
    for number in 0..2 {
        PollingClient::open(
            Http::from(server, "127.0.0.1").with(&format!("X-Forwarded-For: 192.0.2.{number}")),
        )
        .await;
    }
    let forged = Http::from(server, "127.0.0.1").with("X-Forwarded-For: 192.0.2.99");
    assert_eq!(forged.get(HANDSHAKE).await.status, 429);
    // The same for its PROXY header, which is not HTTP.
    let mut stream = Http::from(server, "127.0.0.2").connect().await;
    let header =
        [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[192, 0, 2, 99, 127, 0, 0, 1, 0, 1, 0, 2]].concat();
    stream.write_all(&header).await.expect("send");
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.expect("closed");
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn development_mode_refuses_remote_clients_of_a_trusted_proxy() {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start_with(&engine.path, settings());
    let listener = http::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let server = listener.local_addr().expect("bound");
    let mut edge = http::HttpSettings::default();
    edge.edge.trusted = trusting(&["127.0.0.1"]);
    tokio::spawn(http::serve(listener, signaling.rooms.clone(), edge));
    for (source, status) in [([203, 0, 113, 7], "403"), ([127, 0, 0, 5], "200")] {
        let mut stream = Http::from(server, "127.0.0.1").connect().await;
        let header =
            [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &source, &[127, 0, 0, 1, 0, 1, 0, 2]].concat();
        let request = format!("GET {HANDSHAKE} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(&[&header, request.as_bytes()].concat()).await.expect("send");
        let mut answer = String::new();
        let read = tokio::time::timeout(TIMEOUT, stream.read_to_string(&mut answer)).await;
        read.expect("closed").expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{source:?}: {answer}");
    }
}

/// Behind a proxy, sessions and requests are counted by address, and connections are not.
#[tokio::test]
async fn session_has_at_most_one_websocket() {
    let (_engine, _signaling, server) = serve(|settings| {
        settings.edge.connections_per_address = 2;
        settings.edge.trusted = trusting(&["127.0.0.1"]);
    })
    .await;
    let client = Http::from(server, "127.0.0.1").with("X-Forwarded-For: 192.0.2.1");
    let session = PollingClient::open(client.clone()).await;
    let path = session.path.replace("transport=polling", "transport=websocket");
    assert_eq!(further_websockets(&client, &path).await, 1, "it began with polling");
    let (mut websocket, _) = client.upgrade().await;
    let mut open = Vec::new();
    while !open.ends_with(b"\",") {
        let read = tokio::time::timeout(TIMEOUT, websocket.read_u8()).await;
        open.push(read.expect("in time").expect("its open packet"));
    }
    let open = String::from_utf8_lossy(&open).into_owned();
    let sid = open.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a session id");
    let path = format!("/socket.io/?EIO=4&transport=websocket&sid={sid}");
    assert_eq!(further_websockets(&client, &path).await, 0, "it began with a WebSocket");
}

/// How many of 20 further WebSockets a session gets.
async fn further_websockets(client: &Http, path: &str) -> usize {
    let mut held = Vec::new();
    let mut upgraded = 0;
    for _ in 0..20 {
        let mut stream = client.connect().await;
        let head = format!(
            "GET {path} HTTP/1.1\r\n{}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            client.lines.join("\r\n")
        );
        stream.write_all(head.as_bytes()).await.expect("send");
        let mut status = [0; 12];
        let read = tokio::time::timeout(TIMEOUT, stream.read_exact(&mut status)).await;
        let _ = read.expect("an answer").expect("a head");
        upgraded += usize::from(&status == b"HTTP/1.1 101");
        held.push(stream);
    }
    upgraded
}

// --------------------------------------------------------------------------------------------------------------
// The program, behind nginx and HAProxy

/// A program that ends with the test.
struct Program {
    process: Child,
    name: &'static str,
    lines: mpsc::Receiver<String>,
    log: Vec<String>,
}

impl Program {
    fn start(name: &'static str, command: &mut Command) -> Self {
        let mut process =
            command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap_or_else(|error| {
                panic!("{name} cannot be run ({error}); .ci/test installs what the tests need")
            });
        let stderr: ChildStderr = process.stderr.take().expect("piped");
        let (sender, lines) = mpsc::sync_channel(10_000);
        std::thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| _ = sender.send(line));
        });
        Self { process, name, lines, log: Vec::new() }
    }

    /// The next line of the log that contains `text`.
    fn await_line(&mut self, text: &str) -> String {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(rest) else {
                panic!("{}: no {text:?} in {:#?}", self.name, self.log)
            };
            self.log.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    fn await_end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.process.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "{} does not end", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its resident memory, in KiB.
    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A running `leat-signaling`, and the address on which it listens.
fn signaling(arguments: &[&str]) -> (Program, SocketAddr) {
    signaling_from(signaling_command(), arguments)
}

fn signaling_from(mut command: Command, arguments: &[&str]) -> (Program, SocketAddr) {
    command
        .args([
            "--http",
            "127.0.0.1:0",
            "--control-socket",
            "/nonexistent/control.sock",
            "--log",
            "json",
            "--secret",
            SECRET,
        ])
        .args(arguments)
        .env_remove("LEAT_SECRET");
    let mut program = Program::start("leat-signaling", &mut command);
    let line = program.await_line("\"message\":\"listening\"");
    let address = line.split("127.0.0.1:").nth(1).expect("an address");
    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
    (program, format!("127.0.0.1:{port}").parse().expect("an address"))
}

#[tokio::test]
async fn a_thousand_silent_connections_do_not_lock_out_others() {
    // The default of most systems, whose hard limit is much higher.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -S -n 1024 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_leat-signaling")]);
    command.env("XDG_STATE_HOME", std::env::temp_dir().join("leat-signaling-tests")).env_remove("LEAT_LOG");
    let (_program, server) = signaling_from(command, &[]);
    let mut silent = Vec::new();
    for number in 0..1_100 {
        let source = if number % 2 == 0 { "127.0.0.1" } else { "127.0.0.2" };
        silent.push(Http::from(server, source).connect().await);
    }
    assert_eq!(Http::from(server, "127.0.0.3").get("/healthz").await.status, 200);
}

#[tokio::test]
async fn sessions_that_have_not_joined_take_little_memory() {
    let (program, server) = signaling(&[]);
    let head = Http::to(server).with(&format!("X-Long: {}", "x".repeat(limits::HEAD_BYTES_MAX - 2_048)));
    // Costs that occur only once.
    for _ in 0..20 {
        PollingClient::open(head.clone()).await;
    }
    let before = program.resident_kib();
    for _ in 0..600 {
        PollingClient::open(head.clone()).await;
    }
    let grown = program.resident_kib().saturating_sub(before);
    assert!(grown < 24 * 1024, "600 sessions took {grown} KiB");
}

#[tokio::test]
async fn sigterm_notifies_clients_and_ends_the_process() {
    let (mut program, server) = signaling(&[]);
    let client = PollingClient::connect(Http::to(server)).await;
    assert!(matches!(client.ask(0, &entry("ada")).await.payload, Some(Payload::Joined(_))));
    let pid = rustix::process::Pid::from_child(&program.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    match client.next_binary().await.1.payload {
        Some(Payload::Error(error)) => assert_eq!(error.code(), ErrorCode::Draining),
        other => panic!("{other:?}"),
    }
    assert!(program.await_end().success());
}

#[tokio::test]
async fn log_of_a_session_has_no_address_token_or_credential_of_a_client() {
    let mut command = signaling_command();
    command.env("LEAT_LOG", "debug").env("LEAT_TURN_SECRET", SECRET);
    let turn = ["--turn-url", "turn:192.0.2.9:3478"];
    let (mut program, server) = signaling_from(command, &turn);
    let client = Http::from(server, "127.0.2.1");
    let session = PollingClient::connect(client.clone()).await;
    let Some(Payload::Joined(joined)) = session.ask(0, &entry("ada")).await.payload else { panic!("joined") };
    program.await_line("a peer joined");
    let entries = json!([{ "timestamp": 7, "level": "error",
        "message": format!("{} of 127.0.2.1 has {:?}", token_of("ada"), joined.ice_servers) }]);
    let batch =
        json!({ "peerId": joined.peer_id, "secret": to_base64(&joined.resume_secret), "entries": entries });
    assert_eq!(client.ask_json("/client-logs", &batch.to_string()).await.status, 204);
    let again = PollingClient::connect(client.clone()).await;
    let answer = again.ask(0, &entry_with("ada", "another-room")).await;
    assert!(matches!(answer.payload, Some(Payload::Error(_))), "{answer:?}");
    let pid = rustix::process::Pid::from_child(&program.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert!(program.await_end().success());
    program.log.extend(program.lines.iter());
    let log = program.log.join("\n");
    for part in ["a peer joined", "a request failed", "clientTime", "\"clientAddress\":\"[redacted]\""] {
        assert!(log.contains(part), "no {part:?} in {log}");
    }
    let server = &joined.ice_servers[0];
    assert!(!server.credential.is_empty(), "{joined:?}");
    for secret in
        ["127.0.2.1", &token_of("ada"), &server.credential, &to_base64(&joined.resume_secret), SECRET]
    {
        assert!(!log.contains(secret), "{secret:?} is in {log}");
    }
}

/// A folder for one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leat-edge-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a temporary file");
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port on which nothing listens.
/// Below the ephemeral ports, one of which another test of this file could get for one of its thousand connections
/// before the proxy listens.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 11_000 + (std::process::id() % 4_000) as u16;
    let ports = std::iter::from_fn(|| Some(first + NEXT.fetch_add(1, Ordering::Relaxed)));
    ports.take(1_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

async fn listening(port: u16) -> SocketAddr {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("the proxy listens", async || TcpStream::connect(address).is_ok()).await;
    address
}

/// Through a proxy that appends to X-Forwarded-For: each client has its own limit of two sessions, whatever
/// address it claims, and its address is in the log.
async fn clients_are_distinguished(program: &mut Program, proxy: SocketAddr) {
    let client = |address: &str| Http::from(proxy, address).with("X-Forwarded-For: 192.0.2.1");
    for number in 0..4 {
        let client = client(&format!("127.0.1.{number}"));
        PollingClient::open(client.clone()).await;
        PollingClient::open(client.clone()).await;
        assert_eq!(client.get(HANDSHAKE).await.status, 429, "{number}");
    }
    // An open WebSocket counts as one.
    let client = client("127.0.2.1");
    let (held, status) = client.upgrade().await;
    assert_eq!(status, 101);
    let joined = PollingClient::connect(client.clone()).await;
    assert_eq!(client.get(HANDSHAKE).await.status, 429);
    drop(held);
    eventually("its place is free", async || client.get(HANDSHAKE).await.status == 200).await;
    assert!(matches!(joined.ask(0, &entry("ada")).await.payload, Some(Payload::Joined(_))));
    let line = program.await_line("a peer joined");
    assert!(line.contains("\"clientAddress\":\"127.0.2.1\""), "{line}");
}

#[tokio::test]
async fn clients_behind_nginx_are_distinguished() {
    let (mut program, server) =
        signaling(&["--log-addresses", "--trusted-proxy", "127.0.0.1", "--connections-per-address", "2"]);
    let (folder, port) = (Folder::new("nginx"), free_port());
    let path = folder.0.display();
    let config = folder.write(
        "nginx.conf",
        &format!(
            "daemon off; master_process off; pid {path}/pid; error_log stderr;
            events {{ worker_connections 256; }}
            http {{
                access_log off;
                client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;
                uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
                map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
                server {{
                    listen 127.0.0.1:{port};
                    location / {{
                        proxy_pass http://{server};
                        proxy_http_version 1.1;
                        proxy_bind 127.0.0.1;
                        proxy_set_header Host $http_host;
                        proxy_set_header Upgrade $http_upgrade;
                        proxy_set_header Connection $connection_upgrade;
                        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                    }}
                }}
            }}"
        ),
    );
    let mut nginx = Command::new("/usr/sbin/nginx");
    let _nginx = Program::start("nginx", nginx.args(["-p", &path.to_string(), "-c", &config]));
    let proxy = listening(port).await;
    clients_are_distinguished(&mut program, proxy).await;
}

#[tokio::test]
async fn clients_behind_haproxy_are_distinguished_by_header_and_by_proxy_protocol() {
    for (name, frontend, backend) in
        [("http", "mode http\n    option forwardfor", ""), ("tcp", "mode tcp", "send-proxy-v2")]
    {
        // One polling request and one WebSocket at a time, and one more.
        let connections = if name == "tcp" { "3" } else { "2" };
        let (mut program, server) = signaling(&[
            "--log-addresses",
            "--trusted-proxy",
            "127.0.0.0/24",
            "--connections-per-address",
            connections,
        ]);
        let (folder, port) = (Folder::new(name), free_port());
        let config = folder.write(
            "haproxy.cfg",
            &format!(
                "defaults
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend web
    bind 127.0.0.1:{port}
    {frontend}
    default_backend leat
backend leat
    {frontend}
    server leat {server} source 127.0.0.1 {backend}
"
            ),
        );
        let mut haproxy = Command::new("/usr/sbin/haproxy");
        let _haproxy = Program::start("haproxy", haproxy.args(["-db", "-f", &config]));
        let proxy = listening(port).await;
        if name == "http" {
            clients_are_distinguished(&mut program, proxy).await;
        } else {
            clients_by_connection_are_distinguished(&mut program, proxy).await;
        }
    }
}

/// The same with a proxy that forwards connections and reports their clients.
async fn clients_by_connection_are_distinguished(program: &mut Program, proxy: SocketAddr) {
    for number in 0..4 {
        let client = Http::from(proxy, &format!("127.0.1.{number}")).with("X-Forwarded-For: 192.0.2.1");
        let mut held = Vec::new();
        for _ in 0..3 {
            let (stream, status) = client.upgrade().await;
            assert_eq!(status, 101);
            held.push(stream);
        }
        assert!(client.try_ask("GET", HANDSHAKE, b"").await.is_none(), "{number}: a fourth connection");
    }
    let client =
        PollingClient::connect(Http::from(proxy, "127.0.2.1").with("X-Forwarded-For: 192.0.2.1")).await;
    assert!(matches!(client.ask(0, &entry("ada")).await.payload, Some(Payload::Joined(_))));
    let line = program.await_line("a peer joined");
    assert!(line.contains("\"clientAddress\":\"127.0.2.1\""), "{line}");
}

#[test]
fn invalid_network_or_origin_is_reported_with_what_is_expected() {
    for (option, value, expected) in [
        ("--trusted-proxy", "proxy.example.org", "expected an address or a network"),
        ("--trusted-proxy", "10.0.0.1/8", "expected 10.0.0.0/8"),
        ("--allow-origin", "app.example.org", "expected an origin such as https://"),
        ("--connections-per-address", "0", "1.."),
        ("--peers-per-user", "0", "1.."),
    ] {
        let output = signaling_command()
            .args([option, value])
            .env_remove("LEAT_SECRET")
            .output()
            .expect("the program runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(option) && text.contains(expected), "{text}");
    }
}

/// `leat-signaling`, whose database is not that of this user.
fn signaling_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leat-signaling"));
    command.env("XDG_STATE_HOME", std::env::temp_dir().join("leat-signaling-tests")).env_remove("LEAT_LOG");
    command
}
