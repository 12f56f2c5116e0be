//! Log entries of pages: `POST /client-logs`.

mod harness;

use harness::engine::{Engine, socket_path};
use harness::{HERE, Signaling, join};
use serde_json::{Value, json};
use signaling::limits;
use signaling::proto::{ErrorCode, Joined};
use signaling::rooms::{Admission, CLIENT_LOG_TARGET};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

fn start() -> (Engine, Signaling) {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::Development { verifier: None });
    (engine, signaling)
}

/// A request with these entries, of the peer that has joined.
fn batch(joined: &Joined, entries: Value) -> Vec<u8> {
    use base64::Engine as _;
    let secret = base64::engine::general_purpose::STANDARD.encode(&joined.resume_secret);
    json!({ "peerId": joined.peer_id, "secret": secret, "dropped": 3, "entries": entries })
        .to_string()
        .into_bytes()
}

fn entry(message: &str) -> Value {
    json!({ "timestamp": 7, "level": "warn", "message": message })
}

/// What this process logs. A subscriber of one thread alone would miss lines: whether a line is of interest is
/// remembered for all threads.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn entries_of_a_page_are_logged_for_its_peer_only() {
    let (_engine, signaling) = start();
    let client = signaling.client();
    let joined = client.join(join("stage", "Ada")).await;
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).with_target(true);
    tracing::subscriber::set_global_default(subscriber.finish()).expect("no other test sets it");
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln";
    let mut failed = entry(&format!("join with {token}\nERROR forged"));
    failed["error"] = json!({ "name": "TypeError", "message": "no track", "stack": "at a\nat b" });
    signaling.rooms.on_client_logs(HERE, &batch(&joined, json!([failed]))).expect("accepted");
    let mut wrong = joined.clone();
    wrong.resume_secret[0] ^= 1;
    let of_another = batch(&wrong, json!([entry("of another")]));
    let error = signaling.rooms.on_client_logs(HERE, &of_another).expect_err("refused");
    assert_eq!(error.code, ErrorCode::ResumeSecret);
    let text = lines.text();
    // Other tests of this process log too.
    let of_page: Vec<&str> = text
        .lines()
        .filter(|line| line.contains(&joined.peer_id) && line.contains(CLIENT_LOG_TARGET))
        .collect();
    let [line, dropped] = of_page[..] else { panic!("two lines, not {text}") };
    for part in [
        CLIENT_LOG_TARGET,
        "WARN",
        "join with [redacted]\\nERROR forged",
        "TypeError: no track",
        &joined.peer_id,
    ] {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    assert!(dropped.contains("dropped=3"), "{dropped}");
    assert!(!text.contains("eyJ") && !text.contains("of another"), "{text}");
}

#[tokio::test]
async fn wrong_requests_are_refused_and_nothing_is_logged() {
    let (_engine, signaling) = start();
    let client = signaling.client();
    let joined = client.join(join("stage", "Ada")).await;
    let too_many = vec![entry("x"); limits::CLIENT_LOG_ENTRIES_MAX + 1];
    for (body, expected) in [
        (b"no JSON".to_vec(), "not a batch of log entries"),
        (batch(&joined, json!([{ "level": "warn" }])), "missing field"),
        (batch(&joined, json!([{ "timestamp": 0, "level": "loud", "message": "" }])), "unknown variant"),
        (batch(&joined, json!(too_many)), "at most 100 log entries"),
        (
            json!({ "peerId": "x", "secret": "", "entries": [] }).to_string().into_bytes(),
            "16 hexadecimal digits",
        ),
    ] {
        let error = signaling.rooms.on_client_logs(HERE, &body).expect_err("refused");
        assert_eq!(error.code, ErrorCode::BadMessage);
        assert!(error.message.contains(expected), "{:?} is not {expected:?}", error.message);
    }
    signaling.rooms.on_client_logs(HERE, &batch(&joined, json!([]))).expect("accepted");
}

#[tokio::test]
async fn requests_are_bounded_by_peer_and_address() {
    let (_engine, signaling) = start();
    let (ada, bob) = (signaling.client(), signaling.client());
    let (ada, bob) = (ada.join(join("stage", "Ada")).await, bob.join(join("stage", "Bob")).await);
    let body = batch(&ada, json!([]));
    let accepted = (0..100).filter(|_| signaling.rooms.on_client_logs(HERE, &body).is_ok()).count();
    let burst = limits::CLIENT_LOGS_BURST_OF_PEER as usize;
    assert!((burst..burst + 10).contains(&accepted), "{accepted}");
    let of_bob = batch(&bob, json!([]));
    signaling.rooms.on_client_logs(HERE, &of_bob).expect("another peer");

    let other = IpAddr::from(Ipv4Addr::new(192, 0, 2, 7));
    let is_limited = |_: &usize| matches!(signaling.rooms.on_client_logs(other, b"noise"), Err(error) if error.code == ErrorCode::Limit);
    let limited = (0..2 * limits::CLIENT_LOGS_BURST as usize).filter(is_limited).count();
    assert!(limited > limits::CLIENT_LOGS_BURST as usize / 2, "{limited}");
    signaling.rooms.on_client_logs(HERE, &of_bob).expect("another address");
}
