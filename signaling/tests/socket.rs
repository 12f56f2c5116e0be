//! Socket.IO over HTTP polling and WebSockets.

mod harness;

use harness::engine::{Engine, socket_path};
use harness::polling::{Http, PollingClient, frame, frame_header, from_base64, to_base64};
use harness::{HERE, Signaling, eventually, join};
use prost::Message;
use signaling::limits;
use signaling::proto::{self, ErrorCode, Signal, signal::Payload};
use signaling::rooms::Admission;
use signaling::server::http;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

async fn serve() -> (Engine, Signaling, SocketAddr) {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let listener = http::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(http::serve(listener, signaling.rooms.clone(), http::HttpSettings::default()));
    (engine, signaling, address)
}

#[tokio::test]
async fn signal_in_an_attachment_gets_an_acknowledgement() {
    let (_engine, signaling, address) = serve().await;
    let client = PollingClient::connect(Http::to(address)).await;
    let request = |room: &str| {
        Signal {
            version: "1".into(),
            payload: Some(Payload::JoinRoom(join(room, "Ada"))),
            ..Default::default()
        }
        .encode_to_vec()
    };

    // First an invalid message: it gets an answer, and the session continues.
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

    // Notifications arrive as the same event.
    let other = signaling.client();
    other.join(join("r", "Bob")).await;
    let (head, notification) = client.next_binary().await;
    assert!(head.starts_with("451-[\"signal\""), "{head}");
    assert!(matches!(notification.payload, Some(Payload::PeerJoined(_))));

    // The session ends, and the others are notified.
    client.post("1").await;
    let mut other = other;
    assert!(matches!(other.notification().await, Payload::PeerAway(away) if away.away));
}

#[tokio::test]
async fn simultaneous_notifications_arrive_in_one_event_and_in_order() {
    const PEERS: usize = 100;
    let (_engine, signaling, address) = serve().await;
    let ada = PollingClient::connect(Http::to(address)).await;
    let request = Signal {
        version: "1".into(),
        payload: Some(Payload::JoinRoom(join("r", "Ada"))),
        ..Default::default()
    };
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
async fn closed_connection_leaves_nothing() {
    let (_engine, signaling, address) = serve().await;
    let request = Signal {
        version: "1".into(),
        payload: Some(Payload::JoinRoom(join("r", "Ada"))),
        ..Default::default()
    };
    // The session ends, or the client leaves the namespace.
    for packet in ["1", "41"] {
        let stranger = PollingClient::connect(Http::to(address)).await;
        let ada = PollingClient::connect(Http::to(address)).await;
        ada.ask(0, &request.encode_to_vec()).await;
        assert_eq!(signaling.rooms.connection_count(), 2);
        stranger.post(packet).await;
        ada.post(packet).await;
        eventually("0 connections are left", || signaling.rooms.connection_count() == 0).await;
    }
}

async fn send_leave_beacon(address: SocketAddr, peer_id: &str, secret: &[u8]) -> u16 {
    let beacon = proto::Goodbye { peer_id: peer_id.into(), secret: secret.into(), ..Default::default() };
    Http::to(address).ask("POST", "/leave", &beacon.encode_to_vec()).await.status
}

#[tokio::test]
async fn closed_page_leaves_over_http() {
    let (_engine, signaling, address) = serve().await;
    let mut ada = signaling.client();
    ada.join(join("r", "Ada")).await;
    let bob = signaling.client();
    let joined = bob.join(join("r", "Bob")).await;
    assert!(matches!(ada.notification().await, Payload::PeerJoined(_)));

    // Without the secret, nothing changes.
    assert_eq!(send_leave_beacon(address, &joined.peer_id, &[0xa5; 32]).await, 403);
    assert_eq!(send_leave_beacon(address, &joined.peer_id, &[]).await, 403);
    assert_eq!(send_leave_beacon(address, "unknown", &joined.resume_secret).await, 400);
    let http = Http::to(address);
    assert_eq!(http.ask("POST", "/leave", b"not a beacon").await.status, 400);
    assert_eq!(http.ask("POST", "/leave", &[b'x'; limits::LEAVE_BEACON_BYTES_MAX + 1]).await.status, 413);
    assert_eq!(http.get("/leave").await.status, 405);
    ada.no_more_notifications();

    // The connection of the peer is still open.
    assert_eq!(send_leave_beacon(address, &joined.peer_id, &joined.resume_secret).await, 204);
    assert!(matches!(ada.notification().await, Payload::PeerLeft(left) if left.peer_id == joined.peer_id));
    assert_eq!(bob.fails(Payload::Leave(proto::Leave::default())).await, ErrorCode::WrongState);
    // Repeated, because the page also sent it on its connection.
    assert_eq!(send_leave_beacon(address, &joined.peer_id, &joined.resume_secret).await, 204);
    ada.no_more_notifications();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leave_followed_by_an_immediate_close_is_handled() {
    let (_engine, signaling, address) = serve().await;
    let leave = Signal {
        version: "1".into(),
        payload: Some(Payload::Leave(proto::Leave::default())),
        ..Default::default()
    };
    let leave = to_base64(&leave.encode_to_vec());
    let enter = Signal {
        version: "1".into(),
        payload: Some(Payload::JoinRoom(join("r", "Bob"))),
        ..Default::default()
    };
    let mut ada = signaling.client();
    ada.join(join("r", "Ada")).await;
    for round in 0..50 {
        let bob = PollingClient::connect(Http::to(address)).await;
        bob.ask(0, &enter.encode_to_vec()).await;
        assert!(matches!(ada.notification().await, Payload::PeerJoined(_)));
        bob.post(&format!("451-1[\"signal\",{{\"_placeholder\":true,\"num\":0}}]\x1eb{leave}\x1e41")).await;
        let notification = ada.notification().await;
        assert!(matches!(notification, Payload::PeerLeft(_)), "round {round}: {notification:?}");
    }
}

#[tokio::test]
async fn leave_beacons_are_bounded_by_address() {
    let (_engine, signaling, address) = serve().await;
    let beacon =
        proto::Goodbye { peer_id: "a5".repeat(8), secret: vec![0; 32], ..Default::default() }.encode_to_vec();
    let is_taken = |_: &u32| signaling.rooms.on_leave_beacon(HERE, &beacon).is_ok();
    let taken = (0..limits::LEAVE_BEACONS_BURST as u32 * 2).filter(is_taken).count();
    assert!(taken < limits::LEAVE_BEACONS_BURST as usize * 3 / 2, "the burst, and what a slow machine adds");
    assert_eq!(Http::to(address).ask("POST", "/leave", &beacon).await.status, 429);
    assert_eq!(Http::from(address, "127.0.0.2").ask("POST", "/leave", &beacon).await.status, 204);
}

#[tokio::test]
async fn signal_has_one_attachment() {
    let (_engine, signaling, address) = serve().await;
    let client = PollingClient::connect(Http::to(address)).await;
    let head = "452-0[\"signal\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]";
    // If there is an answer to this request, it reports the end of the session.
    let _ = client.http.try_ask("POST", &client.path, format!("{head}\x1ebAA==").as_bytes()).await;
    eventually("0 connections are left", || signaling.rooms.connection_count() == 0).await;
}

#[tokio::test]
async fn websocket_buffers_no_more_than_polling() {
    let (_engine, signaling, address) = serve().await;
    let (mut stream, status) = Http::to(address).upgrade().await;
    assert_eq!(status, 101);
    stream.write_all(&frame(1, b"40")).await.expect("send");
    eventually("1 connections are left", || signaling.rooms.connection_count() == 1).await;
    let len = usize::try_from(limits::PAYLOAD_BYTES_MAX).expect("it fits") + 1;
    stream.write_all(&frame_header(2, len)).await.expect("send");
    // The data need not arrive: the header is sufficient.
    eventually("0 connections are left", || signaling.rooms.connection_count() == 0).await;
}

/// Joins, and sends more and more requests without reading any answer, while it answers pings that it has not
/// read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_does_not_read_acknowledgements_is_disconnected() {
    let (_engine, signaling, address) = serve().await;
    for transport in ["websocket", "polling"] {
        let signal = |payload| {
            Signal { version: "1".into(), payload: Some(payload), ..Default::default() }.encode_to_vec()
        };
        let enter = signal(Payload::JoinRoom(join("r", "Ada")));
        let ask = signal(Payload::GetRouterCapabilities(proto::GetRouterCapabilities {}));
        let head = |id: usize| format!("451-{id}[\"signal\",{{\"_placeholder\":true,\"num\":0}}]");
        let mut is_open = true;
        let mut sent = 0;
        if transport == "websocket" {
            let (mut stream, _) = Http::to(address).upgrade().await;
            stream
                .write_all(&[frame(1, b"40"), frame(1, head(0).as_bytes()), frame(2, &enter)].concat())
                .await
                .expect("send");
            while is_open && sent < limits::MESSAGES_BURST as usize {
                sent += 1;
                let request = [frame(1, head(sent).as_bytes()), frame(2, &ask), frame(1, b"3")].concat();
                is_open = stream.write_all(&request).await.is_ok();
            }
            eventually("0 connections are left", || signaling.rooms.connection_count() == 0).await;
        } else {
            let client = PollingClient::connect(Http::to(address)).await;
            client.ask(0, &enter).await;
            while is_open && sent < limits::MESSAGES_BURST as usize {
                let requests: Vec<_> =
                    (0..50).map(|at| format!("{}\x1eb{}\x1e3", head(sent + at), to_base64(&ask))).collect();
                sent += requests.len();
                let answer = client.http.ask("POST", &client.path, requests.join("\x1e").as_bytes()).await;
                is_open = answer.status == 200;
            }
            eventually("0 connections are left", || signaling.rooms.connection_count() == 0).await;
        }
    }
}

/// Only the number of bytes can end this session: not the number of messages, and not an unanswered ping.
#[tokio::test]
async fn unread_bytes_end_a_session_that_answers_pings() {
    const REQUESTS: usize = 1_600;
    const _: () = assert!(REQUESTS < limits::OUTBOX_LEN && REQUESTS < limits::MESSAGES_BURST as usize);
    let (_engine, signaling, address) = serve().await;
    // In a room with many others, so that each `Joined` is long: a third of the requests is enough. Requests of
    // one body are handled at the same time, so that some of them find the client in the room already.
    let name = "\u{1f98a}".repeat(limits::DISPLAY_NAME_LEN_MAX);
    let others: Vec<_> = (0..100).map(|_| signaling.client()).collect();
    for other in &others {
        other.join(join("r", &name)).await;
    }
    let signal = |payload| {
        Signal { version: "1".into(), payload: Some(payload), ..Default::default() }.encode_to_vec()
    };
    let client = PollingClient::connect(Http::to(address)).await;
    let (enter, leave) =
        (signal(Payload::JoinRoom(join("r", "Ada"))), signal(Payload::Leave(proto::Leave::default())));
    client.ask(0, &enter).await;
    let head = |id: usize| format!("451-{id}[\"signal\",{{\"_placeholder\":true,\"num\":0}}]");
    let mut is_open = true;
    for first in (1..REQUESTS).step_by(50) {
        if is_open {
            let ids = first..first + 50;
            let request = |id| if id % 2 == 0 { &enter } else { &leave };
            let requests: Vec<_> =
                ids.map(|id| format!("{}\x1eb{}", head(id), to_base64(request(id)))).collect();
            let body = requests.join("\x1e");
            is_open = client.http.ask("POST", &client.path, body.as_bytes()).await.status == 200;
        }
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while is_open {
        assert!(std::time::Instant::now() < deadline, "it has left {REQUESTS} answers unread");
        is_open = client.http.ask("POST", &client.path, b"3").await.status == 200;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn client_that_does_not_read_notifications_is_disconnected() {
    let (_engine, signaling, address) = serve().await;
    let client = PollingClient::connect(Http::to(address)).await;
    let request = Signal {
        version: "1".into(),
        payload: Some(Payload::JoinRoom(join("r", "Ada"))),
        ..Default::default()
    };
    client.ask(0, &request.encode_to_vec()).await;
    // More joins would take longer than the ping timeout, because a server limits joins per second.
    let name = "\u{1f98a}".repeat(limits::DISPLAY_NAME_LEN_MAX);
    while signaling.rooms.connection_count() > 0 {
        let visitor = signaling.client();
        while !matches!(visitor.ask(Payload::JoinRoom(join("r", &name))).await, Payload::Joined(_)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        visitor.done(Payload::Leave(proto::Leave::default())).await;
    }
    assert_eq!(client.http.get(&client.path).await.status, 400, "there is no such session");
}

#[tokio::test]
async fn draining_server_notifies_every_client_and_refuses_requests() {
    let (_engine, signaling, address) = serve().await;
    let client = PollingClient::connect(Http::to(address)).await;
    let request = Signal {
        version: "1".into(),
        payload: Some(Payload::JoinRoom(join("r", "Ada"))),
        ..Default::default()
    };
    client.ask(0, &request.encode_to_vec()).await;
    let outside = PollingClient::connect(Http::to(address)).await;
    let late = signaling.client();
    signaling.rooms.drain();
    let (head, notification) = client.next_binary().await;
    assert!(head.starts_with("451-[\"signal\""), "{head}");
    match notification.payload {
        Some(Payload::Error(error)) => {
            assert_eq!((error.code(), error.retry_after_ms > 0), (ErrorCode::Draining, true));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(late.fails(Payload::JoinRoom(join("r", "Bob"))).await, ErrorCode::Draining);
    eventually("1 connections are left", || signaling.rooms.connection_count() == 1).await;
    assert_eq!(outside.http.get(&outside.path).await.status, 400, "there is no such session");
}

#[tokio::test]
async fn http_serves_the_health_check_and_the_app() {
    let (_engine, signaling, address) = serve().await;
    let http = Http::to(address);
    eventually("media is ready", || signaling.rooms.is_media_ready()).await;
    let health = http.get("/healthz").await;
    assert_eq!((health.status, health.body.as_str()), (200, "{\"status\":\"ok\",\"engine\":\"ready\"}\n"));
    for page in ["/", "/room/stage"] {
        let answer = http.get(page).await;
        assert!(answer.status == 200 && answer.body.starts_with("<!doctype html>"), "{page}: {answer:?}");
    }
    assert_eq!(http.get("/nothing.js").await.status, 404);
    assert_eq!(http.get("/../Cargo.toml").await.status, 404);
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_in_development_mode() {
    let (_engine, _signaling, address) = serve().await;
    let path = "/socket.io/?EIO=4&transport=polling";
    for lines in [
        &["Host: localhost", "Origin: https://example.org"][..],
        &["Host: example.org"],
        &["Host: localhost", "Origin: null"],
    ] {
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        let http = Http { lines: lines.clone(), ..Http::to(address) };
        assert_eq!(http.get(path).await.status, 403, "{lines:?}");
        assert_eq!(http.get("/").await.status, 403, "{lines:?}");
    }
    let own = Http::to(address).with(&format!("Origin: http://127.0.0.1:{}", address.port()));
    assert_eq!(own.get(path).await.status, 200);
}

#[tokio::test]
async fn error_for_a_port_in_use_names_the_option() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let error = http::bind(address).await.expect_err("in use").to_string();
    assert!(error.contains(&address.port().to_string()) && error.contains("--http"), "{error}");
}
