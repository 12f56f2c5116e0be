//! A receiver of webhooks, written without the code under test: an HTTP server that notes each request and
//! answers as a test wants.

#![allow(dead_code, reason = "each test file uses its part")]

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// The limit of every wait. No condition takes this long; afterwards the test fails.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The secret of all tests, as in its file.
pub const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// Another one, to which receivers change.
pub const NEW_SECRET: &str = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// A request that has arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Method and path.
    pub target: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Arrived {
    pub fn header(&self, name: &str) -> &str {
        let found: Vec<&String> =
            self.headers.iter().filter(|(key, _)| key == name).map(|(_, it)| it).collect();
        assert_eq!(found.len(), 1, "{name} in {:?}", self.headers);
        found[0]
    }

    /// The id of the event.
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// Whether a receiver with this secret accepts it, as in Standard Webhooks.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let time = self.header("webhook-timestamp");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_secs();
        assert!(now.abs_diff(time.parse().expect("seconds")) < 300, "{time}, now {now}");
        let signed = format!("{}.{time}.{}", self.id(), self.body);
        self.header("webhook-signature").split(' ').any(|signature| {
            let base64 = signature.strip_prefix("v1,").expect("a version");
            let tag = STANDARD.decode(base64).expect("base64");
            hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
        })
    }
}

/// What the receiver sends.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This status.
    Status(u16),
    /// A redirect to this URL.
    Redirect(u16, String),
    /// Nothing: the connection stays open.
    Silence,
    /// These bytes again and again, after this text.
    Endless(&'static str),
}

type Answering = Arc<Mutex<Box<dyn FnMut(&Arrived) -> Reply + Send>>>;

/// The server. It ends when it is dropped.
pub struct Receiver {
    pub address: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    answer: Answering,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    /// One that accepts everything.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0", |_| Reply::Status(200)).await
    }

    pub async fn start_at(address: &str, answer: impl FnMut(&Arrived) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let arrived = Arc::<Mutex<Vec<Arrived>>>::default();
        let answer: Answering = Arc::new(Mutex::new(Box::new(answer)));
        let serving = tokio::spawn(serve(listener, arrived.clone(), answer.clone()));
        Self { address, arrived, answer, serving }
    }

    pub async fn answering(answer: impl FnMut(&Arrived) -> Reply + Send + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    /// Answers in another way after this call.
    pub fn answer(&self, answer: impl FnMut(&Arrived) -> Reply + Send + 'static) {
        *self.answer.lock().expect("no panic") = Box::new(answer);
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook?key=s3cret", self.address)
    }

    pub fn arrived(&self) -> MutexGuard<'_, Vec<Arrived>> {
        self.arrived.lock().expect("no panic")
    }

    /// The requests, when there are this many.
    pub async fn await_requests(&self, count: usize) -> Vec<Arrived> {
        until(&format!("{count} requests"), || self.arrived().len() >= count).await;
        self.arrived().clone()
    }
}

/// Waits until this is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn serve(listener: TcpListener, arrived: Arc<Mutex<Vec<Arrived>>>, answer: Answering) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        connections.spawn(converse(stream, arrived.clone(), answer.clone()));
    }
}

/// One request. `None` if the connection ends before it is complete.
async fn converse<S>(mut stream: S, arrived: Arc<Mutex<Vec<Arrived>>>, answer: Answering) -> Option<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = Vec::new();
    let head_len = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_len].to_vec()).expect("text");
    let mut lines = head.trim_end().split("\r\n");
    let target = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: Vec<(String, String)> =
        headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse::<usize>().ok()?;
    while bytes.len() < head_len + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[head_len..].to_vec()).expect("text");
    let request = Arrived { target, headers, body };
    let reply = (answer.lock().expect("no panic"))(&request);
    arrived.lock().expect("no panic").push(request);
    match reply {
        Reply::Status(status) => {
            let head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok()?;
        }
        Reply::Redirect(status, location) => {
            let head =
                format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok()?;
        }
        Reply::Silence => std::future::pending().await,
        Reply::Endless(head) => {
            stream.write_all(head.as_bytes()).await.ok()?;
            loop {
                stream.write_all(&[b'x'; 4_096]).await.ok()?;
            }
        }
    }
    stream.shutdown().await.ok()
}
