//! Webhooks of the real signaling process: what happens in rooms arrives, also after SIGKILL.

mod harness;
#[path = "../webhooks/tests/receiver/mod.rs"]
mod receiver;

use harness::engine::{Engine, socket_path};
use harness::join;
use harness::polling::{Http, PollingClient};
use prost::Message;
use receiver::{Arrived, LIMIT, Receiver, Reply, SECRET, until};
use serde_json::Value;
use signaling::proto::{self, Signal, signal::Payload};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A folder of this test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("leat-webhooks-{name}-{}", std::process::id()));
        fs::create_dir(&dir).expect("a new folder");
        fs::write(dir.join("secret"), format!("{SECRET}\n")).expect("a file of this test");
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
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

/// `leat-signaling` without webhooks.
fn program(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leat-signaling"));
    command.args(["--http", "127.0.0.1:0", "--log", "json", "--data-dir", &folder.path("data")]);
    for variable in ["LEAT_DATABASE", "LEAT_SECRET", "LEAT_LOG", "LEAT_WEBHOOK_URL", "SSL_CERT_FILE"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running `leat-signaling`. It is killed at the end.
struct Process {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Process {
    fn start(folder: &Folder, engine: &Path, metrics: u16, url: &str) -> Self {
        let mut command = program(folder);
        command.arg("--control-socket").arg(engine);
        command.args(["--metrics", &format!("127.0.0.1:{metrics}")]);
        command.args(["--webhook-secret-file", &folder.path("secret"), "--webhook-allow", "127.0.0.0/8"]);
        // A URL with a secret is better not an argument.
        command.env("LEAT_WEBHOOK_URL", url);
        command.envs(folder.0.join("ca.pem").is_file().then(|| ("SSL_CERT_FILE", folder.path("ca.pem"))));
        let mut child = command.spawn().expect("the program runs");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let log = Arc::<Mutex<String>>::default();
        let copy = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                copy.lock().expect("no panic").push_str(&(line + "\n"));
            }
        });
        let start = Instant::now();
        let address = loop {
            let text = log.lock().expect("no panic").clone();
            if let Some(line) = text.lines().find(|line| line.contains("\"listening\"")) {
                let port = line.split("127.0.0.1:").nth(1).expect("an address");
                let port: String = port.chars().take_while(char::is_ascii_digit).collect();
                break SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port")));
            }
            assert!(start.elapsed() < LIMIT, "it does not listen: {text}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        };
        Self { child, address, log }
    }

    /// SIGKILL.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn signal(payload: Payload) -> Vec<u8> {
    Signal { version: "1".into(), payload: Some(payload), ..Default::default() }.encode_to_vec()
}

/// A client that has joined a room.
async fn joined(process: &Process, room: &str) -> (PollingClient, proto::Joined) {
    let client = PollingClient::connect(Http::to(process.address)).await;
    let answer = client.ask(0, &signal(Payload::JoinRoom(join(room, "Ada")))).await;
    let Some(Payload::Joined(joined)) = answer.payload else { panic!("{answer:?}") };
    (client, joined)
}

fn event(request: &Arrived) -> Value {
    assert!(request.is_signed_with(SECRET), "{request:?}");
    serde_json::from_str(&request.body).expect("JSON")
}

fn types(requests: &[Arrived]) -> Vec<String> {
    requests.iter().map(|request| event(request)["type"].as_str().expect("a type").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_in_a_room_arrives_in_order_and_without_secrets_in_the_log() {
    let (folder, engine) = (Folder::new("room"), Engine::start(&socket_path()));
    let receiver = Receiver::start().await;
    let metrics = free_port();
    let process = Process::start(&folder, &engine.path, metrics, &receiver.url());
    let (ada, joined) = joined(&process, "mill.pond").await;
    ada.ask(1, &signal(Payload::Leave(proto::Leave::default()))).await;
    let requests = receiver.await_requests(4).await;
    assert_eq!(types(&requests), ["room.created", "participant.joined", "participant.left", "room.closed"]);
    let found = event(&requests[1]);
    let participant = serde_json::json!({ "id": joined.peer_id, "user": joined.user, "name": "Ada" });
    assert_eq!((&found["room"], &found["participant"]), (&Value::from("mill.pond"), &participant));
    let page = async || Http::to(SocketAddr::from(([127, 0, 0, 1], metrics))).get("/metrics").await.body;
    let wanted = [
        "leat_signaling_webhook_attempts_total{result=\"delivered\"} 4",
        "leat_signaling_webhook_dropped_total{reason=\"queue_full\"} 0",
        "leat_signaling_webhook_delivering 1.0",
        "leat_signaling_webhook_queued 0.0",
        "leat_signaling_webhook_oldest_age_seconds 0.0",
    ];
    let start = Instant::now();
    loop {
        let page = page().await;
        let missing: Vec<_> =
            wanted.iter().filter(|line| !page.lines().any(|other| other == **line)).collect();
        if missing.is_empty() {
            break;
        }
        assert!(start.elapsed() < LIMIT, "{missing:?} in {page}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let log = process.log.lock().expect("no panic").clone();
    assert!(log.contains("not encrypted") && !log.contains("s3cret") && !log.contains(SECRET), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_survive_sigkill_between_acceptance_and_delivery() {
    let (folder, engine) = (Folder::new("kill"), Engine::start(&socket_path()));
    let receiver = Receiver::answering(|_| Reply::Silence).await;
    let mut process = Process::start(&folder, &engine.path, free_port(), &receiver.url());
    let (ada, _) = joined(&process, "mill").await;
    // The first event is on its way, and not accepted by its target; the others wait in the queue.
    receiver.await_requests(1).await;
    ada.ask(1, &signal(Payload::Leave(proto::Leave::default()))).await;
    let accounts = stores::accounts::Database::Directory(folder.0.join("data"));
    let accounts = stores::accounts::Accounts::open(&accounts).expect("it exists");
    let start = Instant::now();
    let target: webhooks::Target = receiver.url().parse().expect("a URL");
    while accounts.webhook_backlog(target.id()).await.expect("a count").events < 4 {
        assert!(start.elapsed() < LIMIT, "the events are not in the database");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    process.kill();
    let first = receiver.arrived().clone();
    assert_eq!(types(&first), ["room.created"]);

    receiver.answer(|_| Reply::Status(200));
    let _again = Process::start(&folder, &engine.path, free_port(), &receiver.url());
    let requests = receiver.await_requests(5).await;
    let again = &requests[1..];
    assert_eq!(types(again), ["room.created", "participant.joined", "participant.left", "room.closed"]);
    assert_eq!((again[0].id(), &again[0].body), (first[0].id(), &first[0].body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_needs_a_valid_certificate() {
    let (folder, engine) = (Folder::new("https"), Engine::start(&socket_path()));
    folder
        .openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
    folder.openssl("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost");
    fs::write(folder.path("names"), "subjectAltName=DNS:localhost\n").expect("a file of this test");
    folder.openssl(
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names",
    );
    let (receiver, port) = (Receiver::start().await, free_port());
    // A server of TLS that is not ours, in front of the receiver.
    let configuration = format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr;
        events {{}}
        http {{ access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            server {{ listen 127.0.0.1:{port} ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;
                location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Host $http_host; }} }} }}",
        receiver.address
    );
    fs::write(folder.path("nginx.conf"), configuration).expect("a file of this test");
    let mut nginx = Command::new("nginx");
    nginx.args(["-p", &folder.path(""), "-c", "nginx.conf", "-e", "stderr"]).stderr(Stdio::null());
    let _nginx = Running(nginx.spawn().expect("nginx is installed"));
    let connects = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    until("nginx listens", connects).await;

    // The certificate is for another name.
    let (by_address, by_name) =
        (format!("https://127.0.0.1:{port}/a"), format!("https://localhost:{port}/b"));
    let process = Process::start(&folder, &engine.path, free_port(), &format!("{by_address},{by_name}"));
    let (_ada, _) = joined(&process, "mill").await;
    let requests = receiver.await_requests(2).await;
    assert_eq!(types(&requests), ["room.created", "participant.joined"]);
    until("the failure", || process.log.lock().expect("no panic").contains("TLS: ")).await;
    assert!(receiver.arrived().iter().all(|request| request.target == "POST /b"));
    assert!(requests[0].header("host") == format!("localhost:{port}"));
    drop(process);
    // No authority of this machine has signed it.
    fs::remove_file(folder.path("ca.pem")).expect("it exists");
    let before = receiver.arrived().len();
    let process = Process::start(&folder, &engine.path, free_port(), &by_name);
    let (_bob, _) = joined(&process, "pond").await;
    until("the failure", || process.log.lock().expect("no panic").contains("TLS: ")).await;
    assert_eq!(receiver.arrived().len(), before);
}

fn fails(folder: &Folder, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = program(folder).args(arguments).output().expect("the program runs");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn wrong_options_are_named_and_their_secrets_are_not_repeated() {
    let folder = Folder::new("options");
    fs::write(folder.path("weak"), "s3cret\n").expect("a file of this test");
    let (secret, weak) = (folder.path("secret"), folder.path("weak"));
    let url = "https://app.example/s3cret";
    let many: Vec<String> = (0..9).map(|number| format!("https://app.example/{number}")).collect();
    let mut nine: Vec<&str> = many.iter().flat_map(|url| ["--webhook-url", url]).collect();
    nine.extend(["--webhook-secret-file", &secret]);
    for (arguments, wanted) in [
        (&["--webhook-url", url][..], "--webhook-secret-file"),
        (&["--webhook-secret-file", &secret], "--webhook-url"),
        (&["--webhook-url", "ftp://a/s3cret", "--webhook-secret-file", &secret], "--webhook-url"),
        (&["--webhook-url", "https://u:s3cret@a/", "--webhook-secret-file", &secret], "--webhook-url"),
        (&["--webhook-url", url, "--webhook-secret-file", &weak], "24 to 64 bytes"),
        (&["--webhook-url", url, "--webhook-url", url, "--webhook-secret-file", &secret], "given twice"),
        (
            &["--webhook-url", "http://169.254.169.254/s3cret", "--webhook-secret-file", &secret],
            "--webhook-allow 169.254.169.254",
        ),
        (
            &["--webhook-url", url, "--webhook-secret-file", &secret, "--webhook-event", "room.left"],
            "room.created",
        ),
        (
            &["--webhook-url", url, "--webhook-secret-file", &secret, "--webhook-allow", "private"],
            "--webhook-allow",
        ),
        (&nine, "at most 8"),
    ] {
        let (code, text) = fails(&folder, arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(wanted) && !text.contains("s3cret"), "{arguments:?}: {text}");
    }
}
