//! Socket.IO as it is on the wire: a client that knows nothing but HTTP polling (Engine.IO protocol 4, Socket.IO protocol 5).

mod harness;

use harness::engine::{Engine, socket_path};
use harness::{Signaling, join};
use prost::Message;
use signaling::hall::Admission;
use signaling::http;
use signaling::limits;
use signaling::proto::{self, ErrorCode, Signal, signal::Payload};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn to_base64(bytes: &[u8]) -> String {
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

fn from_base64(text: &str) -> Vec<u8> {
    let sextets = text.bytes().filter_map(|c| ALPHABET.iter().position(|known| *known == c));
    let bits: Vec<bool> =
        sextets.flat_map(|sextet| (0..6).map(move |at| sextet >> (5 - at) & 1 == 1)).collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | u8::from(*bit))).collect()
}

/// One HTTP request; status and body of the answer.
async fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    http_from(address, "Host: localhost", method, path, body).await
}

async fn http_from(address: SocketAddr, from: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    http_bytes(address, from, method, path, body.as_bytes()).await
}

async fn http_bytes(address: SocketAddr, from: &str, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    let head = format!(
        "{method} {path} HTTP/1.1\r\n{from}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).await.expect("send");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("receive");
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

struct PollingClient {
    address: SocketAddr,
    path: String,
}

impl PollingClient {
    async fn connect(address: SocketAddr) -> Self {
        let client = Self::open(address).await;
        assert!(client.poll().await.iter().any(|packet| packet.starts_with("40")), "connected");
        client
    }

    /// A session that has asked for the namespace and not heard yet whether it is there.
    async fn open(address: SocketAddr) -> Self {
        let path = "/socket.io/?EIO=4&transport=polling".to_owned();
        let (status, open) = http(address, "GET", &path, "").await;
        assert_eq!(status, 200);
        let sid =
            open.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a session id");
        let client = Self { address, path: format!("{path}&sid={sid}") };
        client.post("40").await;
        client
    }

    async fn post(&self, packets: &str) {
        assert_eq!(http(self.address, "POST", &self.path, packets).await, (200, "ok".into()));
    }

    async fn poll(&self) -> Vec<String> {
        let (status, body) = http(self.address, "GET", &self.path, "").await;
        assert_eq!(status, 200);
        body.split('\x1e').map(str::to_owned).collect()
    }

    /// Packets until there is a binary one, whose predecessor says what it belongs to.
    async fn next_binary(&self) -> (String, Signal) {
        let mut packets = Vec::new();
        loop {
            packets.extend(self.poll().await);
            if let Some(at) = packets.iter().position(|packet| packet.starts_with('b')) {
                let signal = Signal::decode(from_base64(&packets[at][1..]).as_slice()).expect("a Signal");
                return (packets[at - 1].clone(), signal);
            }
        }
    }

    async fn ask(&self, id: u32, bytes: &[u8]) -> Signal {
        let head = format!("451-{id}[\"signal\",{{\"_placeholder\":true,\"num\":0}}]");
        self.post(&format!("{head}\x1eb{}", to_base64(bytes))).await;
        let (head, signal) = self.next_binary().await;
        assert!(head.starts_with(&format!("461-{id}[")), "an acknowledgement of {id}, not {head}");
        signal
    }
}

async fn serve() -> (Engine, Signaling, SocketAddr) {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::Everybody { tokens: None });
    let listener = http::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(http::serve(listener, signaling.hall.clone()));
    (engine, signaling, address)
}

#[tokio::test]
async fn a_signal_goes_in_as_an_attachment_and_an_acknowledgement_comes_out() {
    let (_engine, signaling, address) = serve().await;
    let client = PollingClient::connect(address).await;
    let request = |room: &str| {
        Signal { version: "1".into(), payload: Some(Payload::JoinRoom(join(room, "Ada"))) }.encode_to_vec()
    };

    // A bad message first: it is answered, and the socket stays.
    match client.ask(0, &[0xff; 9]).await.payload {
        Some(Payload::Error(error)) => assert_eq!(error.code(), ErrorCode::BadMessage),
        other => panic!("{other:?}"),
    }
    client.post("421[\"signal\",\"not binary\"]").await;
    match client.next_binary().await.1.payload {
        Some(Payload::Error(error)) => assert_eq!(error.code(), ErrorCode::BadMessage),
        other => panic!("{other:?}"),
    }
    let joined = client.ask(2, &request("r")).await;
    assert_eq!(joined.version, "1");
    assert!(matches!(joined.payload, Some(Payload::Joined(_))));

    // And news come as the same event, unasked.
    let other = signaling.client();
    other.join(join("r", "Bob")).await;
    let (head, news) = client.next_binary().await;
    assert!(head.starts_with("451-[\"signal\""), "{head}");
    assert!(matches!(news.payload, Some(Payload::PeerJoined(_))));

    // The session ends, and the others hear it.
    client.post("1").await;
    let mut other = other;
    assert!(matches!(other.hears().await, Payload::PeerAway(away) if away.away));
}

#[tokio::test]
async fn what_is_said_in_one_moment_comes_in_one_event_and_in_order() {
    const PEERS: usize = 100;
    let (_engine, signaling, address) = serve().await;
    let ada = PollingClient::connect(address).await;
    let request = Signal { version: "1".into(), payload: Some(Payload::JoinRoom(join("r", "Ada"))) };
    ada.ask(0, &request.encode_to_vec()).await;
    let mut others = Vec::new();
    for number in 0..PEERS {
        let other = signaling.client();
        other.join(join("r", &number.to_string())).await;
        others.push(other);
    }
    let (mut names, mut events) = (Vec::new(), 0);
    while names.len() < PEERS {
        for packet in ada.poll().await.iter().filter(|packet| packet.starts_with('b')) {
            let signal = |bytes: &[u8]| Signal::decode(bytes).expect("a Signal").payload.expect("a payload");
            events += 1;
            let payloads = match signal(&from_base64(&packet[1..])) {
                Payload::Batch(batch) => batch.signals.iter().map(|bytes| signal(bytes)).collect(),
                single => vec![single],
            };
            for payload in payloads {
                let Payload::PeerJoined(joined) = payload else { panic!("{payload:?}") };
                names.push(joined.peer.expect("who").display_name);
            }
        }
    }
    assert_eq!(names, (0..PEERS).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(events < PEERS / 2, "{events} events");
}

#[tokio::test]
async fn nothing_of_a_closed_connection_stays() {
    let (_engine, signaling, address) = serve().await;
    let request = Signal { version: "1".into(), payload: Some(Payload::JoinRoom(join("r", "Ada"))) };
    // The session ends, or the namespace is left.
    for goodbye in ["1", "41"] {
        let stranger = PollingClient::connect(address).await;
        let ada = PollingClient::connect(address).await;
        ada.ask(0, &request.encode_to_vec()).await;
        assert_eq!(signaling.hall.connection_count(), 2);
        stranger.post(goodbye).await;
        ada.post(goodbye).await;
        eventually(|| signaling.hall.connection_count() == 0).await;
    }
}

async fn say_goodbye(address: SocketAddr, peer_id: &str, secret: &[u8]) -> u16 {
    let goodbye = proto::Goodbye { peer_id: peer_id.into(), secret: secret.into() };
    http_bytes(address, "Host: localhost", "POST", "/leave", &goodbye.encode_to_vec()).await.0
}

#[tokio::test]
async fn a_page_that_is_gone_leaves_over_http() {
    let (_engine, signaling, address) = serve().await;
    let mut ada = signaling.client();
    ada.join(join("r", "Ada")).await;
    let bob = signaling.client();
    let joined = bob.join(join("r", "Bob")).await;
    assert!(matches!(ada.hears().await, Payload::PeerJoined(_)));

    // Whoever does not know the secret changes nothing.
    assert_eq!(say_goodbye(address, &joined.peer_id, &[0xa5; 32]).await, 403);
    assert_eq!(say_goodbye(address, &joined.peer_id, &[]).await, 403);
    assert_eq!(say_goodbye(address, "nobody", &joined.resume_secret).await, 400);
    assert_eq!(http(address, "POST", "/leave", "not a goodbye").await.0, 400);
    let long = "x".repeat(limits::GOODBYE_BYTES_MAX + 1);
    assert_eq!(http(address, "POST", "/leave", &long).await.0, 413);
    assert_eq!(http(address, "GET", "/leave", "").await.0, 405);
    ada.heard_all();

    // Its socket still stands: the last word came on another way.
    assert_eq!(say_goodbye(address, &joined.peer_id, &joined.resume_secret).await, 204);
    assert!(matches!(ada.hears().await, Payload::PeerLeft(left) if left.peer_id == joined.peer_id));
    assert_eq!(bob.fails(Payload::Leave(proto::Leave {})).await, ErrorCode::NotJoined);
    // Said twice, because the page said it on its socket as well.
    assert_eq!(say_goodbye(address, &joined.peer_id, &joined.resume_secret).await, 204);
    ada.heard_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_and_closes_in_one_breath_has_left() {
    let (_engine, signaling, address) = serve().await;
    let leave = Signal { version: "1".into(), payload: Some(Payload::Leave(proto::Leave {})) };
    let leave = to_base64(&leave.encode_to_vec());
    let enter = Signal { version: "1".into(), payload: Some(Payload::JoinRoom(join("r", "Bob"))) };
    let mut ada = signaling.client();
    ada.join(join("r", "Ada")).await;
    for round in 0..50 {
        let bob = PollingClient::connect(address).await;
        bob.ask(0, &enter.encode_to_vec()).await;
        assert!(matches!(ada.hears().await, Payload::PeerJoined(_)));
        bob.post(&format!("451-1[\"signal\",{{\"_placeholder\":true,\"num\":0}}]\x1eb{leave}\x1e41")).await;
        let heard = ada.hears().await;
        assert!(matches!(heard, Payload::PeerLeft(_)), "round {round}: {heard:?}");
    }
}

#[tokio::test]
async fn goodbyes_are_bounded() {
    let (_engine, signaling, address) = serve().await;
    let goodbye = proto::Goodbye { peer_id: "a5".repeat(8), secret: vec![0; 32] }.encode_to_vec();
    let answered =
        (0..limits::GOODBYES_BURST as u32 * 2).filter(|_| signaling.hall.on_goodbye(&goodbye).is_ok());
    assert!(
        answered.count() < limits::GOODBYES_BURST as usize * 3 / 2,
        "the burst, and what a slow machine adds"
    );
    assert_eq!(http_bytes(address, "Host: localhost", "POST", "/leave", &goodbye).await.0, 429);
}

#[tokio::test]
async fn a_signal_has_one_attachment() {
    let (_engine, signaling, address) = serve().await;
    let client = PollingClient::connect(address).await;
    let head = "452-0[\"signal\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]";
    // The answer to this request, if there is one, is that the session is over.
    let _ = http(client.address, "POST", &client.path, &format!("{head}\x1ebAA==")).await;
    eventually(|| signaling.hall.connection_count() == 0).await;
}

#[tokio::test]
async fn a_websocket_buffers_no_more_than_polling_does() {
    let (_engine, signaling, address) = serve().await;
    let mut stream = TcpStream::connect(address).await.expect("connect");
    let upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.expect("send");
    // RFC 6455 §5.2: the last fragment of a text or a binary message, masked with zeros.
    let header =
        |opcode: u8, len: usize| [&[0x80 | opcode, 0xff][..], &(len as u64).to_be_bytes(), &[0; 4]].concat();
    stream.write_all(&[header(1, 2), b"40".to_vec()].concat()).await.expect("send");
    eventually(|| signaling.hall.connection_count() == 1).await;
    let len = usize::try_from(limits::PAYLOAD_BYTES_MAX).expect("it fits") + 1;
    stream.write_all(&header(2, len)).await.expect("send");
    // Nothing of it has to come: its header says enough.
    eventually(|| signaling.hall.connection_count() == 0).await;
}

#[tokio::test]
async fn who_does_not_read_is_let_go_of_and_told() {
    let (_engine, signaling, address) = serve().await;
    let client = PollingClient::connect(address).await;
    let request = Signal { version: "1".into(), payload: Some(Payload::JoinRoom(join("r", "Ada"))) };
    let Some(Payload::Joined(joined)) = client.ask(0, &request.encode_to_vec()).await.payload else {
        panic!("Ada is in");
    };
    // More than Socket.IO buffers for one client, however few events it takes. More visits than that would take as long as a client may leave a ping
    // unanswered, for a server lets only so many join in a second.
    let name = "\u{1f98a}".repeat(limits::DISPLAY_NAME_LEN_MAX);
    let said_of_a_visit = name.len() + 2 * joined.peer_id.len();
    for _ in 0..(limits::OUTBOX_LEN + 50) * limits::BATCH_BYTES_MAX.div_ceil(said_of_a_visit) {
        let visitor = signaling.client();
        while !matches!(visitor.ask(Payload::JoinRoom(join("r", &name))).await, Payload::Joined(_)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        visitor.done(Payload::Leave(proto::Leave {})).await;
    }
    // One that reads again hears all that was buffered, and then that this was the end.
    tokio::time::timeout(Duration::from_secs(10), async {
        while !client.poll().await.iter().any(|packet| packet == "41") {}
    })
    .await
    .expect("the goodbye");
    eventually(|| signaling.hall.connection_count() == 0).await;
}

#[tokio::test]
async fn more_connections_than_there_may_be_are_refused() {
    let (_engine, signaling, address) = serve().await;
    let taken: Vec<_> = (0..limits::CONNECTIONS_MAX).map(|_| signaling.client()).collect();
    let client = PollingClient::open(address).await;
    let refusal = client.poll().await;
    assert!(
        refusal.iter().any(|it| it.starts_with("44") && it.contains("too many connections")),
        "{refusal:?}"
    );
    drop(taken);
    let client = PollingClient::connect(address).await;
    eventually(|| signaling.hall.connection_count() == 1).await;
    client.post("1").await;
}

async fn eventually(is_so: impl Fn() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 5 s");
}

#[tokio::test]
async fn http_tells_its_health_and_serves_the_app() {
    let (_engine, signaling, address) = serve().await;
    eventually(|| signaling.hall.is_media_ready()).await;
    assert_eq!(
        http(address, "GET", "/healthz", "").await,
        (200, "{\"status\":\"ok\",\"engine\":\"ready\"}\n".into())
    );
    for page in ["/", "/room/stage"] {
        let (status, body) = http(address, "GET", page, "").await;
        assert!(status == 200 && body.starts_with("<!doctype html>"), "{page}: {status} {body}");
    }
    assert_eq!(http(address, "GET", "/nothing.js", "").await.0, 404);
    assert_eq!(http(address, "GET", "/../Cargo.toml", "").await.0, 404);
}

#[tokio::test]
async fn foreign_pages_find_no_server_in_development_mode() {
    let (_engine, _signaling, address) = serve().await;
    let path = "/socket.io/?EIO=4&transport=polling";
    for from in [
        "Host: localhost\r\nOrigin: https://example.org",
        "Host: example.org",
        "Host: localhost\r\nOrigin: null",
    ] {
        assert_eq!(http_from(address, from, "GET", path, "").await.0, 403, "{from}");
        assert_eq!(http_from(address, from, "GET", "/", "").await.0, 403, "{from}");
    }
    let from = format!("Host: localhost:{0}\r\nOrigin: http://127.0.0.1:{0}", address.port());
    assert_eq!(http_from(address, &from, "GET", path, "").await.0, 200);
}

#[tokio::test]
async fn a_port_in_use_is_told_with_the_option_that_changes_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let error = http::bind(address).await.expect_err("in use").to_string();
    assert!(error.contains(&address.port().to_string()) && error.contains("--http"), "{error}");
}
