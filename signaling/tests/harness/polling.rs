//! A Socket.IO client that uses only HTTP polling (Engine.IO protocol 4, Socket.IO protocol 5).

use prost::Message;
use signaling::proto::Signal;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Maximum time for an answer: the machine may run all other tests as well.
const TIMEOUT: Duration = Duration::from_secs(30);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            (0..3).fold(0usize, |bits, at| bits << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            text.push(if at <= chunk.len() { char::from(ALPHABET[bits >> (18 - 6 * at) & 63]) } else { '=' });
        }
    }
    text
}

pub fn from_base64(text: &str) -> Vec<u8> {
    let sextets = text.bytes().filter_map(|c| ALPHABET.iter().position(|known| *known == c));
    let bits: Vec<bool> =
        sextets.flat_map(|sextet| (0..6).map(move |at| sextet >> (5 - at) & 1 == 1)).collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | u8::from(*bit))).collect()
}

/// The answer to one HTTP request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// The target of requests, and what they claim about their origin.
#[derive(Clone, Debug)]
pub struct Http {
    pub server: SocketAddr,
    /// The address of the client; any if `None`.
    pub source: Option<IpAddr>,
    /// Lines of the head, without line breaks.
    pub lines: Vec<String>,
}

impl Http {
    pub fn to(server: SocketAddr) -> Self {
        Self { server, source: None, lines: vec!["Host: localhost".to_owned()] }
    }

    /// From another address of this machine.
    pub fn from(server: SocketAddr, source: &str) -> Self {
        Self { source: Some(source.parse().expect("an address")), ..Self::to(server) }
    }

    /// With one more line in the head.
    pub fn with(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    pub async fn connect(&self) -> TcpStream {
        let socket = if self.server.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.expect("a socket");
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source, 0)).expect("an address of this machine");
        }
        socket.connect(self.server).await.expect("connect")
    }

    /// One request on a new connection; `None` if the connection ends without an answer.
    pub async fn try_ask(&self, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
        self.try_ask_as("text/plain", method, path, body).await
    }

    async fn try_ask_as(&self, form: &str, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
        let mut stream = self.connect().await;
        let lines = self.lines.join("\r\n");
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{lines}\r\nConnection: close\r\nContent-Type: {form}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // A server that refuses the head does not read the rest.
        let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut bytes));
        let _ = read.await.expect("an answer in time");
        let text = String::from_utf8(bytes).expect("text");
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Some(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
    }

    pub async fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        self.try_ask(method, path, body).await.expect("an answer")
    }

    /// Sends JSON by POST.
    pub async fn ask_json(&self, path: &str, body: &str) -> Answer {
        let answer = self.try_ask_as("application/json", "POST", path, body.as_bytes());
        answer.await.expect("an answer")
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, b"").await
    }

    /// Requests a WebSocket of Engine.IO: the connection, and the status of the answer.
    pub async fn upgrade(&self) -> (TcpStream, u16) {
        let mut stream = self.connect().await;
        let head = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
            self.lines.join("\r\n")
        );
        stream.write_all(head.as_bytes()).await.expect("send");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let read = tokio::time::timeout(TIMEOUT, stream.read_u8()).await.expect("an answer in time");
            answer.push(read.expect("a head"));
        }
        let text = String::from_utf8(answer).expect("text");
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (stream, status)
    }
}

/// A WebSocket frame from a client, masked with zeros (RFC 6455 §5.2).
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [&frame_header(opcode, payload.len())[..], payload].concat()
}

pub fn frame_header(opcode: u8, len: usize) -> Vec<u8> {
    [&[0x80 | opcode, 0xff][..], &(len as u64).to_be_bytes(), &[0; 4]].concat()
}

pub struct PollingClient {
    pub http: Http,
    pub path: String,
}

/// The request that opens a session.
pub const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

impl PollingClient {
    pub async fn connect(http: Http) -> Self {
        let client = Self::open(http).await;
        client.post("40").await;
        assert!(client.poll().await.iter().any(|packet| packet.starts_with("40")), "connected");
        client
    }

    /// A session that has not connected to the namespace.
    pub async fn open(http: Http) -> Self {
        let Answer { status, body, .. } = http.get(HANDSHAKE).await;
        assert_eq!(status, 200, "{body}");
        let sid =
            body.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a session id");
        Self { http, path: format!("{HANDSHAKE}&sid={sid}") }
    }

    pub async fn post(&self, packets: &str) {
        let answer = self.http.ask("POST", &self.path, packets.as_bytes()).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    }

    pub async fn poll(&self) -> Vec<String> {
        let Answer { status, body, .. } = self.http.get(&self.path).await;
        assert_eq!(status, 200, "{body}");
        body.split('\x1e').map(str::to_owned).collect()
    }

    /// Receives packets until there is a binary one, which belongs to the packet before.
    pub async fn next_binary(&self) -> (String, Signal) {
        let mut packets = Vec::new();
        loop {
            packets.extend(self.poll().await);
            if let Some(at) = packets.iter().position(|packet| packet.starts_with('b')) {
                let signal = Signal::decode(from_base64(&packets[at][1..]).as_slice()).expect("a Signal");
                return (packets[at - 1].clone(), signal);
            }
        }
    }

    pub async fn ask(&self, id: u32, bytes: &[u8]) -> Signal {
        let head = format!("451-{id}[\"signal\",{{\"_placeholder\":true,\"num\":0}}]");
        self.post(&format!("{head}\x1eb{}", to_base64(bytes))).await;
        let (head, signal) = self.next_binary().await;
        assert!(head.starts_with(&format!("461-{id}[")), "an acknowledgement of {id}, not {head}");
        signal
    }
}
