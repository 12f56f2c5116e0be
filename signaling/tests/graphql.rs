//! GraphQL over HTTP and WebSockets: the schema, who sees what, and every limit.

mod harness;

use futures_util::{SinkExt, StreamExt};
use harness::engine::{Engine, socket_path};
use harness::{Client, LIMIT, Signaling, join, settings};
use serde_json::{Value, json};
use signaling::auth::keyring::{ApiKey, Keyring};
use signaling::auth::revocations::{Revocation, Revoked};
use signaling::auth::token::{self, Claims, NumericDate};
use signaling::graphql::sdl;
use signaling::limits;
use signaling::proto::{self, PresenceState, SetPresence, signal::Payload};
use signaling::rooms::{Admission, RoomSettings};
use signaling::server::http;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210";

struct World {
    _engine: Engine,
    signaling: Signaling,
    address: SocketAddr,
}

impl World {
    /// In development mode, without a key.
    async fn open() -> Self {
        Self::with(Admission::Development { verifier: None }).await
    }

    /// With tokens of two projects.
    async fn with_tokens() -> Self {
        let keyring = Keyring::with_secret(SECRET.as_bytes(), Duration::ZERO).expect("a good secret");
        let key = ApiKey { id: "other".into(), project: "another".into(), secret: OTHER_SECRET.into() };
        assert_eq!(keyring.set_api_keys(vec![key]).len(), 0);
        Self::with(Admission::TokenRequired(keyring)).await
    }

    async fn with(admission: Admission) -> Self {
        let engine = Engine::start(&socket_path());
        let signaling = Signaling::start_with(&engine.path, RoomSettings { admission, ..settings() });
        let listener = http::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(http::serve(listener, signaling.rooms.clone(), http::HttpSettings::default()));
        Self { _engine: engine, signaling, address }
    }

    /// A client in a room.
    async fn join(&self, room: &str, token: &str) -> (Client, proto::Joined) {
        let client = self.signaling.client();
        let joined = client.join(proto::JoinRoom { token: token.into(), ..join(room, "") }).await;
        (client, joined)
    }

    /// Sends a request by POST. Returns status and body.
    async fn post(&self, token: &str, body: &str) -> (u16, String) {
        let authorization =
            if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        self.post_with(&format!("Content-Type: application/json\r\n{authorization}"), body).await
    }

    async fn post_with(&self, lines: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("connect");
        let head = format!(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}Content-Length: {}\r\n\r\n",
            body.len()
        );
        // A server that refuses a request does not read the rest.
        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        let mut bytes = Vec::new();
        let _ = timeout(LIMIT, stream.read_to_end(&mut bytes)).await.expect("an answer in time");
        let text = String::from_utf8(bytes).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body.to_owned())
    }

    /// Executes a query by POST, which must be executed.
    async fn query(&self, token: &str, query: &str) -> Value {
        let (status, body) = self.post(token, &json!({ "query": query }).to_string()).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// The code of the error of a query.
    async fn error(&self, token: &str, query: &str) -> String {
        let answer = self.query(token, query).await;
        answer["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("an error: {answer}"))
            .into()
    }

    async fn open_socket(&self, protocol: &str) -> Result<Socket, SocketError> {
        self.open_socket_from([127, 0, 0, 1], protocol).await
    }

    /// Every address of 127.0.0.0/8 belongs to this machine.
    async fn open_socket_from(&self, address: [u8; 4], protocol: &str) -> Result<Socket, SocketError> {
        let tcp = TcpSocket::new_v4().expect("a socket");
        tcp.bind((address, 0).into()).expect("an address of this machine");
        // So that a client that does not read is noticed soon.
        tcp.set_recv_buffer_size(4_096).expect("a small buffer");
        let tcp = tcp.connect(self.address).await.expect("connect");
        let mut request = "ws://localhost/graphql".into_client_request().expect("a request");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol.parse().expect("a name"));
        let (stream, _) = tokio_tungstenite::client_async(request, tcp).await?;
        Ok(Socket { stream })
    }

    /// A WebSocket after its initialisation.
    async fn socket(&self, token: &str) -> Socket {
        self.socket_from([127, 0, 0, 1], token).await
    }

    async fn socket_from(&self, address: [u8; 4], token: &str) -> Socket {
        let socket = self.open_socket_from(address, "graphql-transport-ws").await;
        let mut socket = socket.expect("a WebSocket");
        let payload =
            if token.is_empty() { json!({}) } else { json!({ "Authorization": format!("Bearer {token}") }) };
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.next().await, json!({ "type": "connection_ack" }));
        socket
    }
}

struct Socket {
    stream: WebSocketStream<TcpStream>,
}

impl Socket {
    async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    async fn send_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("an open WebSocket");
    }

    async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
    }

    async fn next_frame(&mut self) -> Option<Message> {
        // The server's pings do not prolong the wait.
        let frame = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(message)) => return Some(message),
                    Some(Err(_)) | None => return None,
                }
            }
        };
        timeout(LIMIT, frame).await.expect("a message in time")
    }

    /// The next message.
    async fn next(&mut self) -> Value {
        match self.next_frame().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("a message, not {other:?}"),
        }
    }

    /// The next event of a subscription to presence: the user and the state.
    async fn event(&mut self, id: &str) -> (String, String) {
        let message = self.next().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!(id)), "{message}");
        let event = &message["payload"]["data"]["presence"];
        assert!(is_recent(event["timestamp"].as_str().expect("a time")), "{event}");
        (event["userId"].as_str().expect("a user").into(), event["state"].as_str().expect("a state").into())
    }

    /// The message of the error with which an operation is refused.
    async fn refusal(&mut self, id: &str) -> String {
        let refused = self.next().await;
        assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!(id)), "{refused}");
        assert_eq!(refused["payload"][0]["extensions"]["code"], "LIMIT", "{refused}");
        refused["payload"][0]["message"].as_str().expect("a message").into()
    }

    /// The code with which the server closes, after all messages before.
    async fn close_code(&mut self) -> u16 {
        loop {
            match self.next_frame().await {
                Some(Message::Close(Some(frame))) => return frame.code.into(),
                Some(Message::Text(_)) => {}
                other => panic!("a close frame, not {other:?}"),
            }
        }
    }
}

/// Whether a text is a time of today or yesterday in the form of RFC 3339 with milliseconds, in UTC.
fn is_recent(text: &str) -> bool {
    let pattern = "dddd-dd-ddTdd:dd:dd.dddZ";
    let is_form = text.len() == pattern.len()
        && text.chars().zip(pattern.chars()).all(|(c, p)| if p == 'd' { c.is_ascii_digit() } else { c == p });
    let output = |day| {
        let date = std::process::Command::new("date").args(["-u", "-d", day, "+%F"]).output().expect("date");
        String::from_utf8(date.stdout).expect("text")
    };
    is_form && ["today", "yesterday"].iter().any(|day| text.starts_with(output(day).trim()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A token of the default project.
fn token(user: &str, room: &str) -> String {
    token_until(user, room, u64::MAX)
}

fn token_until(user: &str, room: &str, exp: u64) -> String {
    token::mint(&Claims::new(user, room, NumericDate(exp)), SECRET.as_bytes()).expect("a good secret")
}

fn admin_token(room: &str) -> String {
    let mut claims = Claims::new("boss", room, NumericDate(u64::MAX));
    claims.permissions.admin = true;
    token::mint(&claims, SECRET.as_bytes()).expect("a good secret")
}

fn token_of_other_project(room: &str) -> String {
    let claims = Claims::new("eve", room, NumericDate(u64::MAX));
    token::mint_with_kid(&claims, OTHER_SECRET.as_bytes(), Some("other")).expect("a good secret")
}

const WATCH: &str = "subscription { presence(roomId: \"lobby\") { userId state timestamp } }";
const PRESENCE: &str = "{ presence(roomId: \"lobby\") { userId state } }";

#[test]
fn schema_is_the_one_in_the_repository_and_has_the_types_of_the_requirements() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/graphql/schema.graphql");
    if std::env::var_os("LEAT_WRITE_GOLDEN").is_some() {
        std::fs::write(path, sdl()).expect("written");
    }
    let golden = std::fs::read_to_string(path).expect("readable");
    assert_eq!(sdl(), golden, "run this test with LEAT_WRITE_GOLDEN=1 to write {path}");
    for wanted in [
        "type PresenceEvent {\n  userId: ID!\n  state: PresenceState!\n  timestamp: DateTime!\n}\n",
        "enum PresenceState {\n  ACTIVE\n  IDLE\n  AWAY\n}\n",
        "  presence(roomId: ID!): PresenceEvent!\n",
    ] {
        assert!(golden.contains(wanted), "{wanted}");
    }
}

/// The examples of a language in the documentation.
fn examples(language: &str) -> Vec<String> {
    let page = include_str!("../../docs/presence.md");
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|block| block.split("```").next().expect("an end").to_owned()).collect()
}

#[tokio::test]
async fn documented_examples_work() {
    let world = World::open().await;
    let (_ada, joined) = world.join("lobby", "").await;
    let [query, subscription] = &examples("graphql")[..] else { panic!("two examples") };
    let answer = world.query("", query).await;
    let data = &answer["data"]["room"];
    assert_eq!(data["participantCount"], 1);
    assert_eq!(
        data["participants"][0],
        json!({ "userId": joined.user, "displayName": joined.display_name, "connected": true })
    );
    assert_eq!(data["presence"][0]["state"], "ACTIVE");
    assert!(is_recent(data["presence"][0]["timestamp"].as_str().expect("a time")));
    let mut socket = world.socket("").await;
    socket.subscribe("1", subscription).await;
    assert_eq!(socket.event("1").await, (joined.user, "ACTIVE".into()));
    // The body of the command, as the shell passes it on.
    let command = examples("sh").concat();
    let body = command.split("-d '").nth(1).and_then(|rest| rest.split('\'').next()).expect("a body");
    let (status, answer) = world.post("", body).await;
    assert!(status == 200 && answer.contains("ACTIVE"), "{answer}");
}

#[tokio::test]
async fn subscription_reports_transitions_until_the_last_peer_has_left() {
    let world = World::with_tokens().await;
    let mut socket = world.socket(&token("watcher", "lobby")).await;
    socket.subscribe("a", WATCH).await;
    let (phone, _) = world.join("lobby", &token("ann", "lobby")).await;
    assert_eq!(socket.event("a").await, ("ann".into(), "ACTIVE".into()));
    let idle = || Payload::SetPresence(SetPresence { state: PresenceState::Idle.into() });
    phone.done(idle()).await;
    assert_eq!(socket.event("a").await, ("ann".into(), "IDLE".into()));
    let (laptop, _) = world.join("lobby", &token("ann", "lobby")).await;
    assert_eq!(socket.event("a").await, ("ann".into(), "ACTIVE".into()), "the most active peer counts");
    laptop.disconnect();
    assert_eq!(socket.event("a").await, ("ann".into(), "IDLE".into()));
    phone.done(Payload::Leave(proto::Leave::default())).await;
    assert_eq!(socket.event("a").await, ("ann".into(), "AWAY".into()));
    // The peer of the laptop is still in its grace period, and leaves after it. AWAY is not repeated.
    let token = token("watcher", "lobby");
    timeout(LIMIT, async {
        while world.query(&token, "{ participants(roomId: \"lobby\") { userId } }").await["data"]["participants"]
            != json!([])
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("the grace period ends");
    assert_eq!(world.query(&token, PRESENCE).await["data"]["presence"], json!([]));
    let (_bob, _) = world.join("lobby", &self::token("bob", "lobby")).await;
    assert_eq!(socket.event("a").await, ("bob".into(), "ACTIVE".into()));
    // The client ends it; the WebSocket stays open, also for queries.
    socket.send(json!({ "type": "complete", "id": "a" })).await;
    socket.send(json!({ "type": "ping", "payload": { "x": 1 } })).await;
    assert_eq!(socket.next().await, json!({ "type": "pong", "payload": { "x": 1 } }));
    socket.subscribe("a", PRESENCE).await;
    let answer = socket.next().await;
    assert_eq!(answer["payload"]["data"]["presence"], json!([{ "userId": "bob", "state": "ACTIVE" }]));
    assert_eq!(socket.next().await, json!({ "type": "complete", "id": "a" }));
    socket.subscribe("b", "{ nonsense }").await;
    let answer = socket.next().await;
    assert!(answer["type"] == "error" && answer["payload"][0]["message"].is_string(), "{answer}");
}

#[tokio::test]
async fn token_shows_its_room_or_project_and_nothing_else() {
    let world = World::with_tokens().await;
    let (_ann, _) = world.join("lobby", &token("ann", "lobby")).await;
    let (_bob, _) = world.join("studio", &token("bob", "studio")).await;
    let (_eve, _) = world.join("lobby", &token_of_other_project("lobby")).await;
    let rooms = "{ rooms { id } }";
    let participants = |room: &str| format!("{{ participants(roomId: \"{room}\") {{ userId }} }}");
    // Each token, the rooms it lists, and the users that it sees in the lobby and in the studio; `None`: refused.
    let cases = [
        (token("ann", "lobby"), Some(vec!["lobby"]), Some("ann"), None),
        (token("x", "studio"), Some(vec!["studio"]), None, Some("bob")),
        (token("x", "empty"), Some(vec![]), None, None),
        (token("api", "*"), None, Some("ann"), Some("bob")),
        (admin_token("*"), Some(vec!["lobby", "studio"]), Some("ann"), Some("bob")),
        // An administrator of one room.
        (admin_token("lobby"), Some(vec!["lobby"]), Some("ann"), None),
        (token_of_other_project("*"), None, Some("eve"), Some("")),
    ];
    for (token, listed, in_lobby, in_studio) in &cases {
        match listed {
            Some(listed) => {
                let found = world.query(token, rooms).await["data"]["rooms"].clone();
                let wanted: Vec<Value> = listed.iter().map(|id| json!({ "id": id })).collect();
                assert_eq!(found, json!(wanted), "{token}");
            }
            None => assert_eq!(world.error(token, rooms).await, "TOKEN_PERMISSION"),
        }
        for (room, seen) in [("lobby", in_lobby), ("studio", in_studio)] {
            match seen {
                Some(user) => {
                    let answer = world.query(token, &participants(room)).await;
                    let users: Vec<Value> = Some(user)
                        .filter(|user| !user.is_empty())
                        .map(|user| json!({ "userId": user }))
                        .into_iter()
                        .collect();
                    assert_eq!(answer["data"]["participants"], json!(users), "{room} {token}");
                }
                None => {
                    assert_eq!(world.error(token, &participants(room)).await, "TOKEN_ROOM");
                    let presence = format!("{{ presence(roomId: \"{room}\") {{ userId }} }}");
                    assert_eq!(world.error(token, &presence).await, "TOKEN_ROOM");
                    let of_room = format!("{{ room(id: \"{room}\") {{ participantCount }} }}");
                    assert_eq!(world.error(token, &of_room).await, "TOKEN_ROOM");
                    let mut socket = world.socket(token).await;
                    let watch = format!("subscription {{ presence(roomId: \"{room}\") {{ userId }} }}");
                    socket.subscribe("1", &watch).await;
                    let refused = socket.next().await;
                    assert_eq!(refused["type"], "error", "{refused}");
                    assert_eq!(refused["payload"][0]["extensions"]["code"], "TOKEN_ROOM");
                }
            }
        }
    }
    // Pages of rooms.
    let (token, ..) = &cases[4];
    let first = world.query(token, "{ rooms(first: 1) { id } }").await;
    assert_eq!(first["data"]["rooms"], json!([{ "id": "lobby" }]));
    let second = world.query(token, "{ rooms(first: 1, after: \"lobby\") { id participantCount } }").await;
    assert_eq!(second["data"]["rooms"], json!([{ "id": "studio", "participantCount": 1 }]));
    let own = world.query(&self::token("ann", "lobby"), "{ rooms(after: \"lobby\") { id } }").await;
    assert_eq!(own["data"]["rooms"], json!([]));
}

#[tokio::test]
async fn request_without_a_valid_token_is_refused() {
    let world = World::with_tokens().await;
    let expired = token_until("ann", "lobby", now() - 1);
    let foreign = token::mint(&Claims::new("a", "lobby", NumericDate(u64::MAX)), OTHER_SECRET.as_bytes());
    for (token, code) in [
        ("", "TOKEN_MISSING"),
        ("rubbish", "TOKEN_MALFORMED"),
        (&expired, "TOKEN_EXPIRED"),
        (&foreign.expect("a token"), "TOKEN_SIGNATURE"),
    ] {
        let (status, body) = world.post(token, &json!({ "query": PRESENCE }).to_string()).await;
        assert!(status == 401 && body.contains(code), "{status} {body}");
        let mut socket = world.open_socket("graphql-transport-ws").await.expect("a WebSocket");
        let payload = json!({ "Authorization": format!("Bearer {token}") });
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.close_code().await, 4403, "{code}");
    }
    let lines = "Content-Type: application/json\r\nAuthorization: Basic eDp5\r\n";
    assert_eq!(world.post_with(lines, "{}").await.0, 401);
}

#[tokio::test]
async fn end_of_a_token_ends_its_subscriptions() {
    let world = World::with_tokens().await;
    let mut socket = world.socket(&token_until("watcher", "lobby", now() + 3)).await;
    let mut other = world.socket(&token("other", "lobby")).await;
    for socket in [&mut socket, &mut other] {
        socket.subscribe("1", WATCH).await;
    }
    let (_ann, _) = world.join("lobby", &token("ann", "lobby")).await;
    assert_eq!(socket.event("1").await, ("ann".into(), "ACTIVE".into()));
    let end = socket.next().await;
    assert_eq!((&end["type"], &end["id"]), (&json!("error"), &json!("1")), "{end}");
    assert_eq!(end["payload"][0]["extensions"]["code"], "TOKEN_EXPIRED");
    assert_eq!(socket.close_code().await, 4403);

    // A revocation does so at once.
    assert_eq!(other.event("1").await, ("ann".into(), "ACTIVE".into()));
    let revocation = Revocation {
        project: "default".into(),
        of: Revoked::User("other".into()),
        until: Duration::from_secs(now() + 3_600),
    };
    let keyring = world.signaling.rooms.keyring().expect("keys");
    keyring.revocations().add(revocation, Duration::from_secs(now())).expect("room for it");
    assert_eq!(other.next().await["payload"][0]["extensions"]["code"], "TOKEN_REVOKED");
    assert_eq!(other.close_code().await, 4403);
}

#[tokio::test]
async fn requests_beyond_a_limit_are_refused() {
    let world = World::open().await;
    let refused = async |query: &str, part: &str| {
        let answer = world.query("", query).await;
        let message = answer["errors"][0]["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.to_lowercase().contains(part), "{part}: {answer}");
    };
    // Depth, with a part of the schema that is recursive.
    let deep = |levels: usize| {
        format!(
            "{{ __schema {{ types {{ fields {{ type {} }} }} }} }}",
            "{ ofType ".repeat(levels) + "{ name }" + &" }".repeat(levels)
        )
    };
    assert!(world.query("", &deep(8)).await["errors"].is_null());
    refused(&deep(limits::GRAPHQL_DEPTH_MAX), "too deep").await;
    // Complexity: aliases, and large pages.
    let aliases = |count: usize| {
        let fields: Vec<String> =
            (0..count).map(|n| format!("a{n}: presence(roomId: \"r\") {{ userId }}")).collect();
        format!("{{ {} }}", fields.join(" "))
    };
    assert!(world.query("", &aliases(90)).await["errors"].is_null());
    refused(&aliases(limits::GRAPHQL_COMPLEXITY_MAX / limits::GRAPHQL_ROOM_COST + 1), "complex").await;
    refused("{ rooms(first: 100) { presence { userId state } } }", "complex").await;
    let page = limits::GRAPHQL_PAGE_MAX + 1;
    refused(&format!("{{ rooms(first: {page}) {{ id }} }}"), "first must be").await;
    refused("{ rooms(first: -1) { id } }", "first must be").await;
    // What is done under the lock of all rooms, for each alias.
    let of_room = |field: &str, count: usize| {
        let fields: String = (0..count).map(|n| format!("a{n}: {field} ")).collect();
        format!("{{ room(id: \"r\") {{ {fields} }} }}")
    };
    assert!(world.query("", &of_room("participantCount", 400)).await["errors"].is_null());
    refused(&of_room("participantCount", 500), "complex").await;
    let of_query = |field: &str, count: usize| {
        let fields: String = (0..count).map(|n| format!("a{n}: {field} ")).collect();
        format!("{{ {fields} }}")
    };
    assert!(world.query("", "{ rooms(first: 100) { id participantCount } }").await["errors"].is_null());
    refused(&of_query("room(id: \"r\") { id }", 500), "complex").await;
    refused(&of_query("rooms(first: 1) { id }", 10), "complex").await;
    let mut socket = world.socket("").await;
    let watched: String = (0..101).map(|n| format!("a{n}: userId ")).collect();
    socket.subscribe("1", &format!("subscription {{ presence(roomId: \"r\") {{ {watched} }} }}")).await;
    assert!(socket.next().await.to_string().contains("complex"));
    // Errors.
    let unknown: String = (0..2_000).map(|n| format!("a{n} ")).collect();
    let answer = world.query("", &format!("{{ {unknown} }}")).await;
    assert_eq!(answer["errors"].as_array().map(Vec::len), Some(limits::GRAPHQL_ERRORS_MAX));
    // Directives.
    let directives = "@skip(if: false) ".repeat(limits::GRAPHQL_DIRECTIVES_MAX + 1);
    refused(&format!("{{ rooms {{ id {directives} }} }}"), "directives").await;
    // The parser, which is recursive.
    for levels in [limits::GRAPHQL_NESTING_MAX, limits::GRAPHQL_BODY_BYTES_MAX / 2 - 100] {
        let query = format!("{{ rooms(after: {}{}) {{ id }} }}", "[".repeat(levels), "]".repeat(levels));
        let (status, answer) = world.post("", &json!({ "query": query }).to_string()).await;
        assert!(status == 400 && answer.contains("nested"), "{status} {answer}");
        let mut socket = world.socket("").await;
        socket.subscribe("1", &query).await;
        let answer = socket.next().await;
        assert!(answer["type"] == "error" && answer.to_string().contains("nested"), "{answer}");
    }
    // What would keep validation busy for ever, and a string without an end.
    let spread = |n: usize| format!("fragment f{n} on Query {{ ...f{} ...f{} }} ", n + 1, n + 1);
    let fragments: String = (0..29).map(spread).collect();
    let expanded = format!("{{ ...f0 }} {fragments} fragment f29 on Query {{ __typename }}");
    let circle = "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }".to_owned();
    let unended = format!("{{ rooms(after: \"{}) {{ id }} }}", "\\\"".repeat(8_000));
    let names: String = (0..200).map(|n| format!("a{n}: name ")).collect();
    let schema = format!("{{ __schema {{ types {{ fields {{ {names} }} }} }} }}");
    let twice =
        "subscription { a: presence(roomId: \"a\") { userId } b: presence(roomId: \"b\") { userId } }";
    for (query, part) in [
        (expanded, "expanded"),
        (circle, "contains itself"),
        (unended, "no end"),
        (schema, "values of the schema"),
        (twice.to_owned(), "one field"),
    ] {
        let (status, answer) = world.post("", &json!({ "query": query }).to_string()).await;
        assert!(status == 400 && answer.contains(part), "{status} {answer}");
        let mut socket = world.socket("").await;
        socket.subscribe("1", &query).await;
        let answer = socket.next().await;
        assert!(answer["type"] == "error" && answer.to_string().contains(part), "{answer}");
    }
    // A subscription needs a WebSocket.
    refused(WATCH, "subscription").await;
    // Batches, and what is not JSON.
    let request = json!({ "query": PRESENCE });
    for body in [json!([request, request]).to_string(), "{".into(), "{}".into(), "[]".into(), String::new()] {
        let (status, answer) = world.post("", &body).await;
        assert!(status == 400 && answer.contains("BAD_MESSAGE"), "{body}: {status} {answer}");
    }
    let (status, _) = world.post_with("Content-Type: text/plain\r\n", &request.to_string()).await;
    assert_eq!(status, 415);
    // Size.
    let long = json!({ "query": PRESENCE, "operationName": null, "variables": { "x": "y".repeat(limits::GRAPHQL_BODY_BYTES_MAX) } });
    assert_eq!(world.post("", &long.to_string()).await.0, 413);
    // Rate.
    let mut statuses = Vec::new();
    while statuses.last() != Some(&429) {
        assert!(statuses.len() < 100 * limits::GRAPHQL_REQUESTS_BURST as usize, "no limit");
        let (status, _) = world.post("", &request.to_string()).await;
        statuses.push(status);
    }
    // Operations of WebSockets count as well: without pause, most of these are above the rate.
    let mut refused = 0;
    let mut sockets = Vec::new();
    for _ in 0..2 * limits::GRAPHQL_REQUESTS_BURST as usize / limits::GRAPHQL_OPERATIONS_PER_SOCKET {
        sockets.push(world.socket_from([127, 0, 0, 2], "").await);
    }
    for socket in &mut sockets {
        for id in 0..limits::GRAPHQL_OPERATIONS_PER_SOCKET {
            socket.subscribe(&id.to_string(), WATCH).await;
        }
        socket.send(json!({ "type": "ping" })).await;
        while let message = socket.next().await
            && message["type"] != "pong"
        {
            assert!(message.to_string().contains("too many GraphQL requests"), "{message}");
            refused += 1;
        }
    }
    assert!(refused > 0, "every operation was within the rate");
}

#[tokio::test]
async fn introspection_of_tools_is_answered_and_a_long_response_is_not() {
    let world = World::open().await;
    let type_ref = "kind name ".to_owned() + &"ofType { kind name ".repeat(9) + &"} ".repeat(9);
    let value = "name description type { ...Ref } defaultValue isDeprecated deprecationReason";
    let introspection = format!(
        "query IntrospectionQuery {{ __schema {{ description queryType {{ name kind }} mutationType {{ name kind }} \
         subscriptionType {{ name kind }} types {{ ...Full }} \
         directives {{ name description isRepeatable locations args(includeDeprecated: true) {{ ...Input }} }} }} }} \
         fragment Full on __Type {{ kind name description specifiedByURL isOneOf \
         fields(includeDeprecated: true) {{ name description args(includeDeprecated: true) {{ ...Input }} \
         type {{ ...Ref }} isDeprecated deprecationReason }} \
         inputFields(includeDeprecated: true) {{ ...Input }} interfaces {{ ...Ref }} \
         enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }} \
         possibleTypes {{ ...Ref }} }} \
         fragment Input on __InputValue {{ {value} }} fragment Ref on __Type {{ {type_ref} }}"
    );
    let answer = world.query("", &introspection).await;
    assert!(answer["errors"].is_null(), "{answer}");
    let types = answer["data"]["__schema"]["types"].as_array().expect("types");
    assert!(types.iter().any(|of| of["name"] == "PresenceEvent"));

    // Many long names: within the complexity, but not within the bytes.
    let names: String = (0..90).map(|n| format!("a{n}: displayName ")).collect();
    let list = format!("{{ participants(roomId: \"lobby\") {{ {names} }} }}");
    let mut guests = Vec::new();
    for count in [40, 100] {
        while guests.len() < count {
            let guest = world.signaling.client();
            guest.join(proto::JoinRoom { display_name: "x".repeat(64), ..join("lobby", "") }).await;
            guests.push(guest);
        }
        match count {
            40 => assert_eq!(world.query("", &list).await["data"]["participants"][39]["a89"], "x".repeat(64)),
            _ => assert_eq!(world.error("", &list).await, "LIMIT"),
        }
    }
    let mut socket = world.socket("").await;
    socket.subscribe("1", &list).await;
    assert!(socket.refusal("1").await.contains("bytes"));
    let count = world.query("", "{ room(id: \"lobby\") { participantCount } }").await;
    assert_eq!(count["data"]["room"]["participantCount"], 100);
}

#[tokio::test]
async fn protocol_errors_close_the_websocket_with_their_code() {
    let world = World::open().await;
    for protocol in ["graphql-ws", "other"] {
        let Err(SocketError::Http(answer)) = world.open_socket(protocol).await else { panic!("{protocol}") };
        assert_eq!(answer.status(), 400);
    }
    let open = async || world.open_socket("graphql-transport-ws").await.expect("a WebSocket");
    let mut silent = open().await;

    let mut socket = open().await;
    socket.subscribe("1", WATCH).await;
    assert_eq!(socket.close_code().await, 4401);

    for invalid in ["", "{", "{\"type\":\"other\"}", "{\"type\":\"subscribe\",\"id\":\"1\"}", "[]"] {
        let mut socket = world.socket("").await;
        socket.send_text(invalid).await;
        assert_eq!(socket.close_code().await, 4400, "{invalid}");
    }
    for id in [String::new(), "x".repeat(limits::GRAPHQL_ID_BYTES_MAX + 1)] {
        let mut socket = world.socket("").await;
        socket.subscribe(&id, WATCH).await;
        assert_eq!(socket.close_code().await, 4400);
    }
    let mut socket = world.socket("").await;
    socket.stream.send(Message::binary(&b"{}"[..])).await.expect("an open WebSocket");
    assert_eq!(socket.close_code().await, 4400);

    let mut socket = world.socket("").await;
    socket.send(json!({ "type": "connection_init" })).await;
    assert_eq!(socket.close_code().await, 4429);

    let mut socket = world.socket("").await;
    socket.subscribe("1", WATCH).await;
    socket.subscribe("1", WATCH).await;
    assert_eq!(socket.close_code().await, 4409);

    let mut socket = world.socket("").await;
    for _ in 0..limits::GRAPHQL_MESSAGES_BURST as usize * 10 {
        // The server closes it in the meantime.
        if socket.stream.send(Message::text("{\"type\":\"ping\"}")).await.is_err() {
            break;
        }
    }
    assert_eq!(socket.close_code().await, 1008);

    assert_eq!(silent.close_code().await, 4408, "no connection_init");
}

#[tokio::test]
async fn operations_of_one_websocket_of_one_user_and_of_all_are_limited() {
    let world = World::with_tokens().await;
    let mut sockets = Vec::new();
    let each = limits::GRAPHQL_OPERATIONS_PER_SOCKET;
    let per_user = limits::GRAPHQL_OPERATIONS_PER_USER / each;
    let user = |number: usize| token(&format!("user {number}"), "lobby");
    for number in 0..limits::GRAPHQL_OPERATIONS_MAX / each {
        // Five WebSockets of an address are within its rate.
        let address = [127, 0, 1, 1 + (number / 5) as u8];
        let mut socket = world.socket_from(address, &user(number / per_user)).await;
        for id in 0..each {
            socket.subscribe(&id.to_string(), WATCH).await;
        }
        if number == 0 {
            socket.subscribe("one more", WATCH).await;
            assert!(socket.refusal("one more").await.contains("this connection"));
        } else {
            // The operations are running when the next message is answered.
            socket.send(json!({ "type": "ping" })).await;
            assert_eq!(socket.next().await, json!({ "type": "pong" }));
        }
        sockets.push(socket);
        if sockets.len() == per_user {
            let mut same = world.socket(&user(0)).await;
            same.subscribe("1", WATCH).await;
            assert!(same.refusal("1").await.contains("this user"));
            // The id of a user is unique in its project only.
            let claims = Claims::new("user 0", "lobby", NumericDate(u64::MAX));
            let foreign = token::mint_with_kid(&claims, OTHER_SECRET.as_bytes(), Some("other"));
            let mut other = world.socket(&foreign.expect("a token")).await;
            other.subscribe("1", PRESENCE).await;
            assert_eq!(other.next().await["type"], "next");
            assert_eq!(other.next().await["type"], "complete");
        }
    }
    let mut last = world.socket(&token("last", "lobby")).await;
    last.subscribe("1", WATCH).await;
    assert!(last.refusal("1").await.contains("this server"));
    // The end of an operation, or of a WebSocket, makes room.
    sockets[0].send(json!({ "type": "complete", "id": "0" })).await;
    sockets[0].send(json!({ "type": "ping" })).await;
    assert_eq!(sockets[0].next().await, json!({ "type": "pong" }));
    last.subscribe("2", PRESENCE).await;
    assert_eq!(last.next().await["type"], "next");
    assert_eq!(last.next().await["type"], "complete");
    sockets.clear();
    timeout(LIMIT, async {
        for id in 3.. {
            last.subscribe(&id.to_string(), PRESENCE).await;
            if last.next().await["type"] == "next" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("closed WebSockets make room");
}

#[tokio::test]
async fn websockets_of_one_address_are_limited() {
    let world = World::open().await;
    let mut open = Vec::new();
    let refused = loop {
        match world.open_socket("graphql-transport-ws").await {
            Ok(socket) => open.push(socket),
            Err(SocketError::Http(answer)) => break answer.status(),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!((refused.as_u16(), open.len()), (429, limits::GRAPHQL_SOCKETS_PER_ADDRESS));
    const { assert!(limits::GRAPHQL_SOCKETS_PER_ADDRESS <= limits::GRAPHQL_SOCKETS_MAX / 8) };
    let _other = world.socket_from([127, 0, 0, 2], "").await;
    open.clear();
    timeout(LIMIT, async {
        while world.open_socket("graphql-transport-ws").await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("closed WebSockets make room");
}

/// State and unsent bytes of the server's end of a connection, as Linux reports them; 1 is ESTABLISHED.
fn server_end(server: SocketAddr, client: SocketAddr) -> (u8, u64) {
    let table = std::fs::read_to_string("/proc/self/net/tcp").expect("readable");
    let has_ports = |fields: &[&str]| {
        let port = |at: usize| fields.get(at).and_then(|field| u16::from_str_radix(&field[9..], 16).ok());
        (port(1), port(2)) == (Some(server.port()), Some(client.port()))
    };
    let mut lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let Some(fields) = lines.find(|fields| has_ports(fields)) else { return (0, 0) };
    let unsent = fields[4].split(':').next().unwrap_or_default();
    let hex = |text| u64::from_str_radix(text, 16).expect("a number");
    (hex(fields[3]) as u8, hex(unsent))
}

#[tokio::test]
async fn end_of_a_token_ends_the_websocket_of_a_client_that_does_not_read() {
    const QUERIES: usize = 90;
    let world = World::with_tokens().await;
    let mut slow = world.socket(&token("slow", "lobby")).await;
    let client = slow.stream.get_ref().local_addr().expect("connected");
    // More bytes than the system keeps for a connection.
    let names: String = (0..100).map(|n| format!("a{n}: name ")).collect();
    let query = format!("{{ __schema {{ types {{ fields {{ {names} }} }} }} }}");
    for id in 0..QUERIES {
        slow.subscribe(&id.to_string(), &query).await;
    }
    let mut unsent = Vec::new();
    timeout(LIMIT, async {
        // The server is waiting for the client: for two seconds no byte more.
        while unsent.len() < 20
            || unsent[unsent.len() - 20..].iter().any(|count| Some(count) != unsent.last())
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let (_, count) = server_end(world.address, client);
            unsent.extend((count > 0).then_some(count));
        }
    })
    .await
    .expect("the server waits");
    assert_eq!(server_end(world.address, client).0, 1);
    let revocation = Revocation {
        project: "default".into(),
        of: Revoked::User("slow".into()),
        until: Duration::from_secs(now() + 3_600),
    };
    let keyring = world.signaling.rooms.keyring().expect("keys");
    keyring.revocations().add(revocation, Duration::from_secs(now())).expect("room for it");
    // Long before the client counts as gone.
    timeout(limits::STALL_TIMEOUT / 2, async {
        while server_end(world.address, client).0 == 1 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("the server closes the connection");
    let mut answers = 0;
    while let Some(Message::Text(text)) = slow.next_frame().await {
        answers += usize::from(text.contains("__schema"));
    }
    assert!(answers < QUERIES, "the server never waited for the client");
}

#[tokio::test]
async fn client_that_does_not_read_loses_its_subscription_and_is_counted() {
    let world = World::open().await;
    let mut slow = world.socket("").await;
    for id in 0..limits::GRAPHQL_OPERATIONS_PER_SOCKET {
        slow.subscribe(&id.to_string(), WATCH).await;
    }
    // Each client is a user that becomes ACTIVE, then AWAY.
    let mut changes = 0;
    while world.signaling.rooms.slow_presence_watchers() == 0 {
        assert!(changes < 1_800, "no watcher was too slow");
        let (guest, _) = world.join("lobby", "").await;
        guest.done(Payload::Leave(proto::Leave::default())).await;
        changes += 2;
        tokio::task::yield_now().await;
    }
    // When it reads again, it gets an error because transitions are missing.
    let mut ended = std::collections::BTreeSet::new();
    timeout(LIMIT, async {
        while ended.is_empty() {
            let message = slow.next().await;
            if message["type"] == "error" {
                assert_eq!(message["payload"][0]["extensions"]["code"], "LIMIT");
                ended.insert(message["id"].to_string());
            }
        }
    })
    .await
    .expect("an error");
}
