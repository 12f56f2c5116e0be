//! A server with the HTTP API, a database of accounts and an engine; and a client of it.

use super::engine::{Engine, socket_path};
use super::{Client, LIMIT, Signaling, join, settings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use signaling::api::accounts::{AccountsApi, TokenParties};
use signaling::api::{ApiService, audit_writer, stored_keys};
use signaling::auth::keyring::Keyring;
use signaling::auth::token::Permissions;
use signaling::proto::{self, JoinRoom};
use signaling::rooms::{Admission, RoomSettings};
use signaling::server::http;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use stores::accounts::{Accounts, Actor, ApiKey, Database, NewUser, PasswordThreads};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;

pub const PASSWORD: &str = "correct horse battery staple";

/// A server that requires tokens, unless it is in development mode.
pub struct ApiServer {
    pub accounts: Accounts,
    pub signaling: Signaling,
    pub address: SocketAddr,
    pub engine: Engine,
    dir: PathBuf,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub text: String,
    /// `null` if the body is no JSON.
    pub json: Value,
}

impl ApiServer {
    pub async fn start(name: &str) -> Self {
        let keyring = Keyring::with_secret(super::tokens::SECRET, Duration::ZERO).expect("a good secret");
        Self::with(name, Admission::TokenRequired(keyring)).await
    }

    pub async fn with(name: &str, admission: Admission) -> Self {
        let dir = std::env::temp_dir().join(format!("leat-api-{name}-{}", std::process::id()));
        let accounts = Accounts::open(&Database::Directory(dir.clone())).expect("a new file");
        let engine = Engine::start(&socket_path());
        let signaling = Signaling::start_with(&engine.path, RoomSettings { admission, ..settings() });
        let listener = http::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let rooms = signaling.rooms.clone();
        let logins = AccountsApi::start(accounts.clone(), TokenParties::default()).expect("threads");
        let api = ApiService::new(rooms.clone(), Some(Arc::new(logins))).router();
        tokio::spawn(http::serve(listener, rooms.clone(), http::HttpSettings { api, ..Default::default() }));
        tokio::spawn(stored_keys::follow_api_keys(accounts.clone(), rooms.clone()));
        tokio::spawn(audit_writer::follow_revocations(accounts.clone(), rooms.clone()));
        tokio::spawn(audit_writer::write_audit(accounts.clone(), rooms.audit_queue()));
        Self { accounts, signaling, address, engine, dir }
    }

    /// Adds a user with [`PASSWORD`]; one hash for all tests.
    pub async fn add_user(&self, project: &str, name: &str, is_admin: bool) {
        static HASH: OnceCell<String> = OnceCell::const_new();
        let hash = HASH.get_or_init(|| async {
            PasswordThreads::start().expect("threads").hash(PASSWORD).await.expect("a hash")
        });
        let new = NewUser { name, password_hash: hash.await, is_admin };
        self.accounts.add_user(&by(), project, new).await.expect("added");
    }

    /// The header of a user who logs in; the user is added.
    pub async fn user(&self, project: &str, name: &str, is_admin: bool) -> String {
        self.add_user(project, name, is_admin).await;
        let login = json!({ "project": project, "user": name, "password": PASSWORD });
        let answer = self.send("POST", "/api/v1/login", "", Some(&login)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        bearer(answer.json["token"].as_str().expect("a token"))
    }

    /// An API key that the server knows.
    pub async fn key(&self, project: &str) -> ApiKey {
        let key = self.accounts.add_api_key(&by(), project, "test").await.expect("a key");
        self.eventually("the server knows the key", async || {
            self.send("GET", "/api/v1/stats", &basic(&key), None).await.status == 200
        })
        .await;
        key
    }

    /// Waits until this is so.
    pub async fn eventually(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let end = tokio::time::Instant::now() + LIMIT;
        while !is_so().await {
            assert!(tokio::time::Instant::now() < end, "not within {LIMIT:?}: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A client in a room, with a token of the server's own key.
    pub async fn enter(&self, room: &str, user: &str, permissions: Permissions) -> (Client, proto::Joined) {
        let client = self.signaling.client();
        let token = super::tokens::token(&claims(room, user, permissions));
        let joined = client.join(JoinRoom { token, ..join(room, "") }).await;
        (client, joined)
    }

    pub async fn send(&self, method: &str, path: &str, authorization: &str, body: Option<&Value>) -> Answer {
        self.send_with(method, path, authorization, "", body).await
    }

    /// `lines` are further header lines.
    pub async fn send_with(
        &self,
        method: &str,
        path: &str,
        authorization: &str,
        lines: &str,
        body: Option<&Value>,
    ) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let content_type = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let authorization = match authorization {
            "" => String::new(),
            value => format!("Authorization: {value}\r\n"),
        };
        self.send_text(method, path, &format!("{authorization}{content_type}{lines}"), &body).await
    }

    pub async fn send_text(&self, method: &str, path: &str, lines: &str, body: &str) -> Answer {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        exchange(stream, method, path, lines, body).await
    }
}

async fn exchange(mut stream: TcpStream, method: &str, path: &str, lines: &str, body: &str) -> Answer {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A server that refuses a request does not read the rest.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let mut bytes = Vec::new();
    let _ = timeout(LIMIT, stream.read_to_end(&mut bytes)).await.expect("an answer in time");
    let text = String::from_utf8(bytes).expect("text");
    let (head, text) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let json = serde_json::from_str(text).unwrap_or_default();
    Answer { status, head: head.to_ascii_lowercase(), text: text.to_owned(), json }
}

impl Answer {
    /// Checks the status of a success, and returns the body.
    #[track_caller]
    pub fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json
    }

    /// Checks that it is a problem with this status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.json["code"].as_str().unwrap_or_default()), (status, code), "{self:?}");
        assert!(self.head.contains("content-type: application/problem+json"), "{self:?}");
        assert_eq!(self.json["status"], status);
        assert!(self.json["detail"].as_str().is_some_and(|detail| detail.len() > 10), "a sentence: {self:?}");
        self.json
    }

    /// Checks that it is a problem that names this field.
    #[track_caller]
    pub fn names(self, field: &str) {
        let problem = self.refused(400, "BAD_MESSAGE");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        assert!(problem["errors"][0]["expected"].is_string(), "{problem}");
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Claims for a room.
pub fn claims(room: &str, user: &str, permissions: Permissions) -> signaling::auth::token::Claims {
    let claims = super::tokens::claims(user, permissions);
    signaling::auth::token::Claims { room_id: Some(room.to_owned()), ..claims }
}

/// The header with a token for a room.
pub fn token_for(room: &str, user: &str, permissions: Permissions) -> String {
    bearer(&super::tokens::token(&claims(room, user, permissions)))
}

pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

pub fn basic(key: &ApiKey) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{}", key.id, key.secret)))
}

pub fn by() -> Actor {
    Actor::Cli("operator".into())
}
