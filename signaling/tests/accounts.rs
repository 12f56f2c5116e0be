//! Logging in over HTTP, and API keys of the database: from a password to a peer in a room.

mod harness;

use harness::engine::{Engine, socket_path};
use harness::{LIMIT, Signaling, join, settings};
use serde_json::{Value, json};
use signaling::api::accounts::{AccountsApi, TokenParties};
use signaling::api::{audit_writer, stored_keys};
use signaling::auth::keyring::Keyring;
use signaling::auth::token::{self, Claims, NumericDate};
use signaling::limits;
use signaling::proto::{self, ErrorCode, JoinRoom, signal::Payload};
use signaling::rooms::{Admission, RoomSettings};
use signaling::server::http;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stores::accounts::{Accounts, Actor, AuditEntry, DEFAULT_PROJECT, Database, NewUser, PasswordThreads};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

/// A server that requires tokens, with a database of accounts.
struct Server {
    accounts: Accounts,
    signaling: Signaling,
    address: SocketAddr,
    dir: PathBuf,
    _engine: Engine,
}

const PASSWORD: &str = "correct horse battery staple";

impl Server {
    async fn start(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("leat-accounts-http-{name}-{}", std::process::id()));
        Self::with(&Database::Directory(dir.clone()), Keyring::new(Duration::ZERO), dir).await
    }

    async fn with(database: &Database, keyring: Keyring, dir: PathBuf) -> Self {
        let accounts = Accounts::open(database).expect("a new file, or a valid URL");
        let engine = Engine::start(&socket_path());
        let admission = Admission::TokenRequired(keyring);
        let signaling = Signaling::start_with(&engine.path, RoomSettings { admission, ..settings() });
        let listener = http::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let api = AccountsApi::start(accounts.clone(), TokenParties::default()).expect("threads");
        let http = http::HttpSettings { api: Arc::new(api).router(), ..http::HttpSettings::default() };
        tokio::spawn(http::serve(listener, signaling.rooms.clone(), http));
        follow(&accounts, &signaling);
        Self { accounts, signaling, address, dir, _engine: engine }
    }

    /// Adds a user with [`PASSWORD`]; one hash for all tests.
    async fn add_user(&self, project: &str, name: &str, is_admin: bool) {
        static HASH: OnceCell<String> = OnceCell::const_new();
        let hash = HASH.get_or_init(|| async {
            PasswordThreads::start().expect("threads").hash(PASSWORD).await.expect("a hash")
        });
        let new = NewUser { name, password_hash: hash.await, is_admin };
        self.accounts.add_user(&by(), project, new).await.expect("added");
    }

    /// Status, body and headers of the answer.
    async fn post(&self, path: &str, session: &str, body: &str) -> (u16, Value, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let authorization = match session {
            "" => String::new(),
            session => format!("Authorization: Bearer {session}\r\n"),
        };
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{authorization}\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        let read = tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer));
        read.await.expect("an answer").expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, serde_json::from_str(body).unwrap_or_default(), head.to_ascii_lowercase())
    }

    async fn login(&self, project: &str, user: &str, password: &str) -> (u16, Value, String) {
        let body = json!({ "project": project, "user": user, "password": password }).to_string();
        self.post("/api/v1/login", "", &body).await
    }

    /// A session of a user with [`PASSWORD`].
    async fn session(&self, project: &str, user: &str) -> String {
        let (status, body, _) = self.login(project, user, PASSWORD).await;
        assert_eq!(status, 200, "{body}");
        body["token"].as_str().expect("a token").to_owned()
    }

    async fn room_token(&self, session: &str, room: &str) -> (u16, Value, String) {
        self.post("/api/v1/token", session, &json!({ "room": room }).to_string()).await
    }

    /// Joins when the key of the token is known.
    async fn join(&self, room: &str, token: &str) -> Payload {
        let start = Instant::now();
        loop {
            let client = self.signaling.client();
            let join = JoinRoom { token: token.into(), ..join(room, "") };
            match client.ask(Payload::JoinRoom(join)).await {
                Payload::Error(error) if error.code() == ErrorCode::TokenKey && start.elapsed() < LIMIT => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                answer => return answer,
            }
        }
    }
}

/// What a process does with the database besides requests.
fn follow(accounts: &Accounts, signaling: &Signaling) {
    let rooms = &signaling.rooms;
    tokio::spawn(stored_keys::follow_api_keys(accounts.clone(), rooms.clone()));
    tokio::spawn(audit_writer::follow_revocations(accounts.clone(), rooms.clone()));
    tokio::spawn(audit_writer::write_audit(accounts.clone(), rooms.audit_queue()));
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn by() -> Actor {
    Actor::Cli("operator".into())
}

#[track_caller]
fn assert_refused((status, body, _): (u16, Value, String), expected: (u16, &str)) {
    assert_eq!((status, body["code"].as_str().unwrap_or_default()), expected, "{body}");
    assert!(body["detail"].as_str().is_some_and(|detail| detail.len() > 10), "a sentence: {body}");
}

#[tokio::test]
async fn password_leads_to_a_session_and_a_session_to_a_room() {
    let server = Server::start("login").await;
    server.add_user(DEFAULT_PROJECT, "ada", true).await;
    let body = json!({ "user": "ada", "password": PASSWORD }).to_string();
    let (status, body, head) = server.post("/api/v1/login", "", &body).await;
    assert_eq!(status, 200, "{body}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert_eq!(
        (&body["project"], &body["user"], &body["admin"]),
        (&json!("default"), &json!("ada"), &json!(true))
    );
    let session = body["token"].as_str().expect("a token");
    let (status, body, _) = server.room_token(session, "stage").await;
    assert_eq!((status, &body["room"]), (200, &json!("stage")), "{body}");
    let room_token = body["token"].as_str().expect("a token");
    let joined = server.join("stage", room_token).await;
    assert!(matches!(joined, Payload::Joined(_)), "{joined:?}");

    // Neither token is the other.
    assert_refused(server.room_token(room_token, "stage").await, (401, "SESSION_INVALID"));
    let refused = server.join("stage", session).await;
    assert!(
        matches!(&refused, Payload::Error(error) if error.code() == ErrorCode::TokenSignature),
        "{refused:?}"
    );
    let refused = server.join("hall", room_token).await;
    assert!(matches!(&refused, Payload::Error(error) if error.code() == ErrorCode::TokenRoom), "{refused:?}");
}

#[tokio::test]
async fn wrong_password_unknown_user_and_disabled_user_get_the_same_answer() {
    let server = Server::start("refused").await;
    server.add_user(DEFAULT_PROJECT, "ada", false).await;
    server.add_user(DEFAULT_PROJECT, "grace", false).await;
    server.accounts.set_user_disabled(&by(), DEFAULT_PROJECT, "grace", true).await.expect("disabled");
    let answers = [
        server.login(DEFAULT_PROJECT, "ada", "wrong password").await,
        server.login(DEFAULT_PROJECT, "eve", PASSWORD).await,
        server.login(DEFAULT_PROJECT, "grace", PASSWORD).await,
        server.login("nowhere", "ada", PASSWORD).await,
    ];
    for answer in &answers {
        assert_eq!((answer.0, &answer.1), (401, &answers[0].1));
    }
    assert_refused(answers[0].clone(), (401, "LOGIN_REFUSED"));
    for body in [
        "",
        "{",
        "[]",
        r#"{"user":"ada"}"#,
        r#"{"user":"","password":"x"}"#,
        r#"{"user":"a","password":"x","project":"a b"}"#,
    ] {
        assert_refused(server.post("/api/v1/login", "", body).await, (400, "BAD_MESSAGE"));
    }
    let long = json!({ "user": "ada", "password": "x".repeat(limits::API_BODY_BYTES_MAX) }).to_string();
    assert_refused(server.post("/api/v1/login", "", &long).await, (413, "BODY_TOO_LONG"));
}

#[tokio::test]
async fn session_ends_with_a_new_password_a_disabled_user_and_a_revoked_key() {
    let server = Server::start("sessions").await;
    let accounts = &server.accounts;
    server.add_user(DEFAULT_PROJECT, "ada", false).await;
    let hash = PasswordThreads::start().expect("threads").hash(PASSWORD).await.expect("a hash");
    let key = accounts.server_key(DEFAULT_PROJECT).await.expect("a key");
    for step in ["password", "disable", "erase", "key"] {
        let session = server.session(DEFAULT_PROJECT, "ada").await;
        assert_eq!(server.room_token(&session, "stage").await.0, 200, "{step}");
        let done = match step {
            "password" => accounts.set_password(&by(), DEFAULT_PROJECT, "ada", &hash).await,
            "disable" => {
                accounts.set_user_disabled(&by(), DEFAULT_PROJECT, "ada", true).await.expect("disabled");
                accounts.set_user_disabled(&by(), DEFAULT_PROJECT, "ada", false).await
            }
            "erase" => {
                accounts.delete_user(&by(), DEFAULT_PROJECT, "ada").await.expect("erased");
                server.add_user(DEFAULT_PROJECT, "ada", false).await;
                Ok(())
            }
            _ => accounts.revoke_api_key(&by(), DEFAULT_PROJECT, &key.id).await,
        };
        done.expect(step);
        assert_refused(server.room_token(&session, "stage").await, (401, "SESSION_INVALID"));
    }
    let session = server.session(DEFAULT_PROJECT, "ada").await;
    assert_eq!(server.room_token(&session, "stage").await.0, 200, "with the new key");
    for wrong in ["", "x", "a.b.c", &session[..session.len() - 4], &"x".repeat(5_000)] {
        assert_refused(server.room_token(wrong, "stage").await, (401, "SESSION_INVALID"));
    }
    for body in ["", "{}", r#"{"room":"a/b"}"#, r#"{"room":"*"}"#] {
        assert_refused(server.post("/api/v1/token", &session, body).await, (400, "BAD_MESSAGE"));
    }
}

#[tokio::test]
async fn calls_end_with_a_new_password_and_a_disabled_or_erased_user() {
    let server = Server::start("calls").await;
    let accounts = &server.accounts;
    server.add_user(DEFAULT_PROJECT, "grace", false).await;
    let session = server.session(DEFAULT_PROJECT, "grace").await;
    let (_, body, _) = server.room_token(&session, "stage").await;
    let token = body["token"].as_str().expect("a token").to_owned();
    assert!(matches!(server.join("stage", &token).await, Payload::Joined(_)));
    let grace = server.signaling.client();
    grace.join(JoinRoom { token, ..join("stage", "") }).await;
    for step in ["password", "disable", "erase"] {
        server.add_user(DEFAULT_PROJECT, step, true).await;
        let session = server.session(DEFAULT_PROJECT, step).await;
        let (_, body, _) = server.room_token(&session, "stage").await;
        let token = body["token"].as_str().expect("a token").to_owned();
        let mut client = server.signaling.client();
        client.join(JoinRoom { token: token.clone(), ..join("stage", "") }).await;
        let done = match step {
            "password" => accounts.set_password(&by(), DEFAULT_PROJECT, step, "no hash").await,
            "disable" => accounts.set_user_disabled(&by(), DEFAULT_PROJECT, step, true).await,
            _ => accounts.delete_user(&by(), DEFAULT_PROJECT, step).await,
        };
        done.expect(step);
        while !matches!(client.notification().await, Payload::Evicted(_)) {}
        let again = Payload::JoinRoom(JoinRoom { token, ..join("stage", "") });
        assert_eq!(server.signaling.client().fails(again).await, ErrorCode::TokenRevoked, "{step}");
    }
    // The others stay.
    let answer = grace.ask(Payload::GetRouterCapabilities(Default::default())).await;
    assert!(matches!(answer, Payload::RouterCapabilities(_)), "{answer:?}");
}

/// What an administrator does is in the audit log, and the other processes with the database refuse the tokens of
/// removed peers, also those that start later.
#[tokio::test]
async fn kicks_are_audited_and_reach_other_processes() {
    let server = Server::start("kicks").await;
    for (name, is_admin) in [("ada", true), ("grace", false)] {
        server.add_user(DEFAULT_PROJECT, name, is_admin).await;
    }
    let mut tokens = Vec::new();
    for name in ["ada", "grace"] {
        let session = server.session(DEFAULT_PROJECT, name).await;
        let (_, body, _) = server.room_token(&session, "stage").await;
        tokens.push(body["token"].as_str().expect("a token").to_owned());
    }
    let entry = |token: &String| JoinRoom { token: token.clone(), ..join("stage", "") };
    assert!(matches!(server.join("stage", &tokens[0]).await, Payload::Joined(_)));
    let (ada, grace) = (server.signaling.client(), server.signaling.client());
    ada.join(entry(&tokens[0])).await;
    let peer_id = grace.join(entry(&tokens[1])).await.peer_id;
    let mute = proto::MutePeer { peer_id: peer_id.clone(), kind: "audio".into(), muted: true };
    ada.done(Payload::MutePeer(mute)).await;
    let lock = proto::SetRoom { locked: Some(true), ..Default::default() };
    ada.done(Payload::SetRoom(lock)).await;
    ada.done(Payload::Kick(proto::Kick { peer_id, ..Default::default() })).await;

    let user = |name| server.accounts.user(DEFAULT_PROJECT, name);
    let (ada, grace) = (
        user("ada").await.expect("found").expect("ada"),
        user("grace").await.expect("found").expect("grace"),
    );
    let start = Instant::now();
    let of_rooms = loop {
        let entries = server.accounts.audit(Some(DEFAULT_PROJECT), None, 100).await.expect("a list");
        let by_ada = entries
            .iter()
            .filter(|entry| entry.actor == format!("user:{}", ada.id) && entry.action != "user.login");
        let short = |entry: &AuditEntry| (entry.action.clone(), entry.target.clone(), entry.details.clone());
        let of_rooms: Vec<_> = by_ada.map(short).collect();
        if of_rooms.len() >= 3 {
            break of_rooms;
        }
        assert!(start.elapsed() < LIMIT, "{entries:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let grace = format!("user:{}", grace.id);
    let set = "max_peers 0; locked true; waiting_room false; publishers everyone; encrypted false; bans 0";
    let expected = [
        ("peer.kick", &*grace, "room stage"),
        ("room.set", "room:stage", set),
        ("peer.mute", &*grace, "room stage; audio"),
    ];
    assert_eq!(
        of_rooms,
        expected.map(|(action, target, details)| (action.into(), target.into(), details.into()))
    );

    let engine = Engine::start(&socket_path());
    let admission = Admission::TokenRequired(Keyring::new(Duration::ZERO));
    let other = Signaling::start_with(&engine.path, RoomSettings { admission, ..settings() });
    follow(&server.accounts, &other);
    let start = Instant::now();
    loop {
        match other.client().ask(Payload::JoinRoom(entry(&tokens[1]))).await {
            Payload::Error(error) if error.code() == ErrorCode::TokenRevoked => break,
            Payload::Error(error) if error.code() == ErrorCode::TokenKey => {}
            Payload::Joined(_) => {}
            answer => panic!("{answer:?}"),
        }
        assert!(start.elapsed() < LIMIT, "the other process does not learn it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(matches!(other.client().ask(Payload::JoinRoom(entry(&tokens[0]))).await, Payload::Joined(_)));
}

#[tokio::test]
async fn session_of_one_project_gives_no_token_for_another() {
    let server = Server::start("projects").await;
    for project in ["mine", "yours"] {
        server.accounts.add_project(&by(), project).await.expect("added");
        server.add_user(project, "ada", true).await;
    }
    let mut peers = Vec::new();
    for project in ["mine", "yours"] {
        let session = server.session(project, "ada").await;
        let (_, body, _) = server.room_token(&session, "stage").await;
        match server.join("stage", body["token"].as_str().expect("a token")).await {
            Payload::Joined(joined) => peers.push(joined.peers.len()),
            other => panic!("{project}: {other:?}"),
        }
    }
    assert_eq!(peers, [0, 0], "rooms with one name in two projects are two rooms");
}

#[tokio::test]
async fn api_key_signs_tokens_until_it_is_revoked() {
    let server = Server::start("keys").await;
    let key = server.accounts.add_api_key(&by(), DEFAULT_PROJECT, "").await.expect("added");
    let claims = Claims::new("ada", "stage", NumericDate(u64::MAX));
    let token = token::mint_with_kid(&claims, key.secret.as_bytes(), Some(&key.id)).expect("a good secret");
    // The first client waits until the key is known, the second one stays.
    let joined = server.join("stage", &token).await;
    assert!(matches!(joined, Payload::Joined(_)), "{joined:?}");
    let mut client = server.signaling.client();
    client.join(JoinRoom { token: token.clone(), ..join("stage", "") }).await;
    server.accounts.revoke_api_key(&by(), DEFAULT_PROJECT, &key.id).await.expect("revoked");
    let keyring = server.signaling.rooms.keyring().expect("it requires tokens");
    let start = Instant::now();
    while keyring.validate_token(&token, Duration::ZERO).is_ok() {
        assert!(start.elapsed() < LIMIT, "the revoked key is still accepted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let join = JoinRoom { token, ..join("stage", "") };
    assert_eq!(server.signaling.client().fails(Payload::JoinRoom(join)).await, ErrorCode::TokenKey);
    while !matches!(client.notification().await, Payload::Evicted(_)) {}
}

#[tokio::test]
async fn logins_are_limited_per_account_whether_it_exists_or_not() {
    let server = Server::start("limits").await;
    server.add_user(DEFAULT_PROJECT, "ada", false).await;
    server.add_user(DEFAULT_PROJECT, "grace", false).await;
    for user in ["ada", "eve"] {
        let mut refused = None;
        for _ in 0..limits::LOGINS_PER_ACCOUNT_BURST as usize + 20 {
            let answer = server.login(DEFAULT_PROJECT, user, "wrong password").await;
            if answer.0 != 401 {
                refused = Some(answer);
                break;
            }
        }
        let refused = refused.expect("the limit is reached");
        assert!(refused.2.contains("retry-after: "), "{}", refused.2);
        assert_refused(refused, (429, "LIMIT"));
        assert_eq!(server.login(DEFAULT_PROJECT, "grace", PASSWORD).await.0, 200, "another user");
    }
}

#[tokio::test]
async fn requests_for_tokens_are_limited_per_address() {
    let server = Server::start("tokens").await;
    let mut last = 0;
    for _ in 0..limits::ROOM_TOKENS_PER_ADDRESS_BURST as usize * 2 {
        last = server.room_token("no session", "stage").await.0;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
}

/// Only the database is away: nothing listens on its port.
#[tokio::test]
async fn database_that_is_away_is_reported_and_blocks_no_join() {
    let database = Database::Postgres("postgres://leat@127.0.0.1:1/leat".into());
    let secret = b"0123456789abcdef0123456789abcdef";
    let keyring = Keyring::with_secret(secret, Duration::ZERO).expect("a good secret");
    let server = Server::with(&database, keyring, PathBuf::from("/nonexistent")).await;
    let answer = server.login(DEFAULT_PROJECT, "ada", PASSWORD).await;
    assert!(answer.2.contains("retry-after: "), "{}", answer.2);
    assert_refused(answer, (503, "STORE_UNAVAILABLE"));
    let token =
        token::mint(&Claims::new("ada", "stage", NumericDate(u64::MAX)), secret).expect("a good secret");
    let joined = server.join("stage", &token).await;
    assert!(matches!(joined, Payload::Joined(_)), "{joined:?}");
}
