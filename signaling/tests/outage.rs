//! Redis, PostgreSQL and NATS are away, each and all together: ended, and without an answer on open
//! connections. A table has the result of each action. `LEAT_OUTAGE_SECONDS` makes each outage longer.

mod harness;
#[path = "../bus/tests/server/mod.rs"]
mod nats_server;
#[path = "../stores/tests/postgres/mod.rs"]
mod postgres;
#[path = "../stores/tests/redis_server/mod.rs"]
mod redis_server;

use bus::{Bus, Event, NatsOptions};
use harness::engine::{Engine, socket_path};
use harness::polling::Http;
use harness::{Client, LIMIT, Signaling, join, settings};
use nats_server::NatsServer;
use postgres::Postgres;
use redis_server::RedisServer;
use serde_json::{Value, json};
use signaling::api::accounts::{AccountsApi, TokenParties};
use signaling::api::{audit_writer, stored_keys};
use signaling::auth::keyring::Keyring;
use signaling::auth::token::{self, Claims, NumericDate, Permissions};
use signaling::auth::turn::TurnServer;
use signaling::presence::RoomRef;
use signaling::proto::{self, ErrorCode, PresenceState, SetPresence, signal::Payload};
use signaling::rooms::{Admission, RoomSettings};
use signaling::server::http;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use stores::accounts::{
    Accounts, Actor, ApiKey, DEFAULT_PROJECT, Database, NewUser, PasswordThreads, RevocationReader,
};
use stores::sessions::limits::SESSION_TTL;
use stores::sessions::{RedisSessions, Sessions};
use tokio::time::{Instant, sleep};

const PASSWORD: &str = "correct horse battery staple";

/// Number of users that log in in turn, so that the limit of an account is not reached.
const ACCOUNTS: usize = 20;

fn account(number: usize) -> String {
    format!("account-{}", number % ACCOUNTS)
}

/// The servers that can be away.
struct Servers {
    redis: RedisServer,
    postgres: Postgres,
    nats: NatsServer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absent {
    None,
    Redis,
    Postgres,
    Nats,
    All,
}

/// How a server is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Its process has ended: connections are refused.
    Ended,
    /// It does not answer, and its connections stay open.
    Frozen,
}

impl Absent {
    fn has(self, other: Self) -> bool {
        self == other || self == Self::All
    }
}

impl Servers {
    fn take_away(&mut self, absent: Absent, way: Way) {
        if absent.has(Absent::Redis) {
            if way == Way::Ended { self.redis.stop() } else { self.redis.freeze() }
        }
        if absent.has(Absent::Postgres) {
            if way == Way::Ended { self.postgres.stop() } else { self.postgres.freeze() }
        }
        if absent.has(Absent::Nats) {
            if way == Way::Ended { self.nats.stop() } else { self.nats.freeze() }
        }
    }

    fn bring_back(&mut self, absent: Absent, way: Way) {
        if absent.has(Absent::Redis) {
            if way == Way::Ended { self.redis.start_again() } else { self.redis.thaw() }
        }
        if absent.has(Absent::Postgres) {
            if way == Way::Ended { self.postgres.resume() } else { self.postgres.thaw() }
        }
        if absent.has(Absent::Nats) {
            if way == Way::Ended { self.nats.restart() } else { self.nats.thaw() }
        }
    }
}

/// A signaling process with all three, and what looks at it from outside.
struct World {
    signaling: Signaling,
    engine: Engine,
    address: SocketAddr,
    accounts: Accounts,
    sessions: Arc<RedisSessions>,
    bus: Bus,
    other: Bus,
    /// Of the project, in the database.
    key: ApiKey,
    /// A session of a user who has logged in.
    session: String,
    /// Makes users different.
    users: AtomicUsize,
}

async fn connected(server: &NatsServer, name: &str) -> Bus {
    let options = NatsOptions { servers: vec![server.url()], credentials: None, name: name.to_owned() };
    let bus = Bus::nats(&options).await.expect("an address");
    until("a connection to NATS", async || bus.is_connected()).await;
    bus
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_so().await {
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn by() -> Actor {
    Actor::Cli("operator".into())
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

impl World {
    async fn start(servers: &Servers) -> Self {
        let accounts = Accounts::open(&Database::Postgres(servers.postgres.database())).expect("a URL");
        let key = accounts.add_api_key(&by(), DEFAULT_PROJECT, "application").await.expect("added");
        let hash = PasswordThreads::start().expect("threads").hash(PASSWORD).await.expect("a hash");
        let ada = NewUser { name: "ada", password_hash: &hash, is_admin: true };
        accounts.add_user(&by(), DEFAULT_PROJECT, ada).await.expect("added");
        for number in 0..ACCOUNTS {
            let name = &account(number);
            let user = NewUser { name, password_hash: &hash, is_admin: false };
            accounts.add_user(&by(), DEFAULT_PROJECT, user).await.expect("added");
        }

        let sessions = RedisSessions::start(&servers.redis.url(), "one", SESSION_TTL).expect("an address");
        let sessions = Arc::new(sessions);
        let bus = connected(&servers.nats, "one").await;
        let mut turn = TurnServer::new(vec!["turn:192.0.2.1".into()], "secret", Duration::from_secs(600))
            .unwrap_or_else(|_| panic!("a TURN server"));
        turn.use_bus(&bus, None);
        let engine = Engine::start(&socket_path());
        let signaling = Signaling::start_with(
            &engine.path,
            RoomSettings {
                admission: Admission::TokenRequired(Keyring::new(Duration::ZERO)),
                sessions: sessions.clone(),
                turn: Some(turn),
                ..settings()
            },
        );
        signaling.rooms.publish_events(bus.clone());
        let api = AccountsApi::start(accounts.clone(), TokenParties::default()).expect("threads");
        let http = http::HttpSettings { api: Arc::new(api).router(), ..http::HttpSettings::default() };
        let listener = http::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(http::serve(listener, signaling.rooms.clone(), http));
        tokio::spawn(stored_keys::follow_api_keys(accounts.clone(), signaling.rooms.clone()));
        tokio::spawn(audit_writer::follow_revocations(accounts.clone(), signaling.rooms.clone()));
        tokio::spawn(audit_writer::write_audit(accounts.clone(), signaling.rooms.audit_queue()));
        let other = connected(&servers.nats, "other").await;
        let mut world = Self {
            signaling,
            engine,
            address,
            accounts,
            sessions,
            bus,
            other,
            key,
            session: String::new(),
            users: AtomicUsize::new(0),
        };
        let (status, body) = world.login().await;
        assert_eq!(status, 200, "{body}");
        world.session = body["token"].as_str().expect("a token").to_owned();
        until("the key", async || {
            let token = world.token("first", Permissions::default());
            let join = proto::JoinRoom { token, ..join("elsewhere", "") };
            matches!(world.signaling.client().ask(Payload::JoinRoom(join)).await, Payload::Joined(_))
        })
        .await;
        world
    }

    /// A token of the application, for any room.
    fn token(&self, user: &str, permissions: Permissions) -> String {
        let (iat, jti) = (Some(NumericDate(now())), Some(format!("token of {user}")));
        let claims = Claims { permissions, iat, jti, ..Claims::new(user, "*", NumericDate(now() + 3_600)) };
        token::mint_with_kid(&claims, self.key.secret.as_bytes(), Some(&self.key.id)).expect("a good secret")
    }

    /// A user that was not there before.
    fn new_user(&self) -> String {
        format!("user-{}", self.users.fetch_add(1, Ordering::Relaxed))
    }

    async fn enter(&self, user: &str, permissions: Permissions) -> (Client, proto::Joined) {
        let client = self.signaling.client();
        let join = proto::JoinRoom { token: self.token(user, permissions), ..join("stage", "") };
        let joined = client.join(join).await;
        (client, joined)
    }

    async fn post(&self, path: &str, session: Option<&str>, body: Value) -> (u16, Value) {
        let mut http = Http::to(self.address);
        if let Some(session) = session {
            http = http.with(&format!("Authorization: Bearer {session}"));
        }
        let answer = http.ask_json(path, &body.to_string()).await;
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
    }

    async fn login(&self) -> (u16, Value) {
        let number = self.users.fetch_add(1, Ordering::Relaxed);
        self.post("/api/v1/login", None, json!({ "user": account(number), "password": PASSWORD })).await
    }

    async fn room_token(&self) -> (u16, Value) {
        self.post("/api/v1/token", Some(&self.session), json!({ "room": "stage" })).await
    }

    /// The presence of a user, over GraphQL.
    async fn presence_of(&self, user: &str) -> Option<String> {
        let token = self.token("watcher", Permissions::default());
        let authorization = format!("Authorization: Bearer {token}");
        let query = json!({ "query": "{ presence(roomId: \"stage\") { userId state } }" }).to_string();
        let http = Http::to(self.address).with(&authorization).with("Accept: application/json");
        let answer = http.ask_json("/graphql", &query).await;
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
        let users = body["data"]["presence"].as_array().unwrap_or_else(|| panic!("{body}")).clone();
        let found = users.into_iter().find(|found| found["userId"] == user)?;
        found["state"].as_str().map(str::to_owned)
    }

    /// The actions that need no store. Each of them has to succeed. Returns the user that was removed.
    async fn act(&self, ada: &Client, roster: &str) -> String {
        // Joins, media, presence.
        let user = self.new_user();
        let (bob, joined) = self.enter(&user, Permissions::default()).await;
        assert!(!joined.ice_servers.is_empty(), "a TURN server is announced");
        let transport = bob.transport("send").await;
        let producer = bob.produce(&transport.id, "audio").await;
        let receiving = ada.transport("recv").await;
        ada.consume(&receiving.id, &producer).await;
        ada.done(Payload::CloseTransport(proto::CloseTransport { transport_id: receiving.id })).await;
        bob.done(Payload::SetPresence(SetPresence { state: PresenceState::Idle.into() })).await;
        assert_eq!(self.presence_of(&user).await.as_deref(), Some("IDLE"));
        assert!(self.presence_of(roster).await.is_some(), "who was there before");

        // A lost connection, and the resume.
        let resume = proto::Resume {
            peer_id: joined.peer_id.clone(),
            secret: joined.resume_secret.clone(),
            ..Default::default()
        };
        bob.disconnect();
        let bob = self.signaling.client();
        let token = self.token(&user, Permissions::default());
        let back = bob.join(proto::JoinRoom { token, resume: Some(resume), ..join("stage", "") }).await;
        assert!(back.resumed, "{back:?}");

        // What an administrator does takes effect at once.
        let set = proto::SetRoom { locked: Some(true), ..Default::default() };
        self.settle(ada, Payload::SetRoom(set)).await;
        let late = self.signaling.client();
        let token = self.token(&self.new_user(), Permissions::default());
        let locked = late.fails(Payload::JoinRoom(proto::JoinRoom { token, ..join("stage", "") })).await;
        assert_eq!(locked, ErrorCode::RoomLocked);
        let set = proto::SetRoom { locked: Some(false), ..Default::default() };
        self.settle(ada, Payload::SetRoom(set)).await;
        let peer_id = joined.peer_id;
        ada.done(Payload::Kick(proto::Kick { peer_id, ..Default::default() })).await;
        let again = self.signaling.client();
        let token = self.token(&user, Permissions::default());
        let refused = again.fails(Payload::JoinRoom(proto::JoinRoom { token, ..join("stage", "") })).await;
        assert_eq!(refused, ErrorCode::TokenRevoked);

        let (cid, _) = self.enter(&self.new_user(), Permissions::default()).await;
        cid.done(Payload::Leave(proto::Leave::default())).await;
        user
    }

    /// Repeats a request that comes too early.
    async fn settle(&self, client: &Client, payload: Payload) {
        loop {
            match client.ask(payload.clone()).await {
                Payload::Error(error) if error.code() == ErrorCode::Limit => {
                    sleep(Duration::from_millis(u64::from(error.retry_after_ms))).await;
                }
                Payload::Error(error) => panic!("{error:?}"),
                _ => return,
            }
        }
    }

    /// The actions that write to the database of accounts, or read a password or a session from it.
    async fn assert_accounts(&self, absent: Absent) {
        let expected =
            if absent.has(Absent::Postgres) { (503, json!("STORE_UNAVAILABLE")) } else { (200, Value::Null) };
        for (what, (status, body)) in
            [("login", self.login().await), ("a room token", self.room_token().await)]
        {
            assert_eq!((status, body["code"].clone()), expected, "{what} without {absent:?}: {body}");
        }
        let written = self.accounts.add_project(&by(), &self.new_user()).await;
        match written {
            Err(error) if absent.has(Absent::Postgres) => assert!(error.is_unavailable(), "{error}"),
            written => {
                assert!(written.is_ok() && !absent.has(Absent::Postgres), "without {absent:?}: {written:?}")
            }
        }
    }

    /// Executes the actions of a call while logins wait for the database: they share nothing that blocks.
    async fn assert_logins_block_nothing(&self, ada: &Client, roster: &str) {
        for _ in 0..5 {
            let waiting = AtomicUsize::new(0);
            let logins = (0..16).map(|_| async {
                let (status, body) = self.login().await;
                waiting.fetch_add(1, Ordering::Relaxed);
                assert_eq!(status, 503, "{body}");
            });
            let actions = async {
                self.act(ada, roster).await;
                waiting.load(Ordering::Relaxed)
            };
            let (_, ended) = tokio::join!(futures_util::future::join_all(logins), actions);
            if ended < 16 {
                return;
            }
        }
        panic!("the actions of the call end only after all logins");
    }
}

/// The actions of a table × what is away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_action_gives_its_result_without_each_store_and_all_recovers() {
    let mut servers =
        Servers { redis: RedisServer::start(), postgres: Postgres::start(), nats: NatsServer::start() };
    let world = World::start(&servers).await;
    let admin = Permissions { admin: true, ..Permissions::default() };
    let (ada, _) = world.enter("ada", admin).await;
    let sending = ada.transport("send").await;
    ada.produce(&sending.id, "video").await;
    world.act(&ada, "ada").await;
    world.assert_accounts(Absent::None).await;
    let commands = world.engine.commands().len();

    let pause: u64 =
        std::env::var("LEAT_OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let outages = [
        (Absent::Redis, Way::Ended),
        (Absent::Postgres, Way::Ended),
        (Absent::Nats, Way::Ended),
        (Absent::All, Way::Ended),
        (Absent::All, Way::Frozen),
    ];
    let mut removed = Vec::new();
    for (absent, way) in outages {
        servers.take_away(absent, way);
        let end = Instant::now() + Duration::from_secs(pause);
        // At once, while it is not noticed everywhere, and later.
        removed.push(world.act(&ada, "ada").await);
        if absent.has(Absent::Redis) {
            until("the loss of Redis", async || !world.sessions.is_available()).await;
        }
        if absent.has(Absent::Nats) && way == Way::Ended {
            until("the loss of NATS", async || !world.bus.is_connected()).await;
        }
        removed.push(world.act(&ada, "ada").await);
        world.assert_accounts(absent).await;
        if absent.has(Absent::Postgres) {
            world.assert_logins_block_nothing(&ada, "ada").await;
        }
        while Instant::now() < end {
            removed.push(world.act(&ada, "ada").await);
            sleep(Duration::from_secs(1)).await;
        }

        servers.bring_back(absent, way);
        until("the return of Redis", async || world.sessions.is_available()).await;
        until("the return of NATS", async || world.bus.is_connected() && world.other.is_connected()).await;
        until("logins", async || world.login().await.0 == 200).await;
        world.assert_recovered(&servers, &mut removed).await;
    }

    // Nothing of the call was closed or made again.
    let of_call = |command: &control::Command| matches!(command, control::Command::CloseTransport { transport } if *transport == harness::transport_id(&sending.id));
    assert!(!world.engine.commands()[commands..].iter().any(of_call), "the call was interrupted");
}

impl World {
    /// Another process gets everything again, and the audit log has what was done meanwhile.
    async fn assert_recovered(&self, servers: &Servers, removed: &mut Vec<String>) {
        let mut events = self.other.subscribe(Event::ALL).await;
        let user = self.new_user();
        let (_client, _) = self.enter(&user, Permissions::default()).await;
        // An event at the moment of the return may be lost, so further ones follow.
        let others = async {
            loop {
                let (other, _) = self.enter(&self.new_user(), Permissions::default()).await;
                other.done(Payload::Leave(proto::Leave::default())).await;
                sleep(Duration::from_millis(200)).await;
            }
        };
        let seen = tokio::time::timeout(LIMIT, events.next());
        tokio::select! {
            () = others => {}
            event = seen => assert!(event.expect("an event in time").is_some(), "the subscription ended"),
        }

        let room = RoomRef::new(DEFAULT_PROJECT, "stage");
        let other = RedisSessions::start(&servers.redis.url(), "other", SESSION_TTL).expect("an address");
        until("the session in Redis", async || {
            other.others(&room).await.is_ok_and(|found| found.iter().any(|session| session.user == user))
        })
        .await;

        let mut reader = RevocationReader::new(self.accounts.clone());
        let mut revoked = Vec::new();
        until("the revocations of all removed users", async || {
            revoked.extend(reader.next().await.unwrap_or_default().into_iter().map(|found| found.value));
            removed.iter().all(|user| revoked.contains(&format!("token of {user}")))
        })
        .await;
        let entries = self.accounts.audit(None, None, 500).await.expect("a list");
        for user in removed.drain(..) {
            let target = format!("participant:{user}");
            let of_user =
                entries.iter().filter(|entry| entry.action == "peer.kick" && entry.target == target);
            assert_eq!(of_user.count(), 1, "{user}");
        }
    }
}
