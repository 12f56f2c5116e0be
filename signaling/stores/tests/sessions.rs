//! The stores of sessions: one suite for all of them, and what only Redis can do.

mod redis_server;

use redis_server::{LIMIT, RedisServer};
use std::time::{Duration, Instant};
use stores::sessions::limits::SESSION_TTL;
use stores::sessions::{
    MemorySessions, PeerSession, PresenceState, RedisSessions, RoomRef, Sessions, SessionsChanged,
    SessionsError,
};
use tokio::time::{sleep, timeout};

/// The lifetime of keys in tests that wait for its end.
const SHORT_TTL: Duration = Duration::from_secs(2);

fn session(peer: &str, user: &str, state: PresenceState, since_ms: u64) -> PeerSession {
    PeerSession {
        peer: peer.into(),
        user: user.into(),
        display_name: format!("{user}'s name"),
        state,
        since_ms,
    }
}

/// The sessions of others, by peer.
async fn others(store: &dyn Sessions, room: &RoomRef) -> Result<Vec<PeerSession>, SessionsError> {
    let mut found = store.others(room).await?;
    found.sort_by(|a, b| a.peer.cmp(&b.peer));
    Ok(found)
}

/// Waits until a process sees exactly these sessions of others.
async fn sees(store: &dyn Sessions, room: &RoomRef, wanted: &[PeerSession]) {
    let mut last = None;
    let found = timeout(LIMIT, async {
        loop {
            let now = others(store, room).await;
            if now.as_deref().ok() == Some(wanted) {
                return;
            }
            last = Some(now);
            sleep(Duration::from_millis(20)).await;
        }
    });
    if found.await.is_err() {
        panic!("{room}: wanted {wanted:?}, found {last:?}");
    }
}

/// What every store does. `one` and `other` are two processes with the same store.
async fn suite(one: &dyn Sessions, other: &dyn Sessions) {
    let (lobby, studio) = (RoomRef::new("default", "lobby"), RoomRef::new("default", "studio"));
    let foreign = RoomRef::new("another-project", "lobby");
    let ann = session("01", "ann", PresenceState::Active, 1_764_000_000_000);
    let bob = session("02", "bob", PresenceState::Away, 1_764_000_000_001);
    let cid = session("03", "cid", PresenceState::Idle, 1_764_000_000_002);

    // A process sees the sessions of others, not its own.
    let mut changes = other.changes();
    one.put(&lobby, ann.clone());
    one.put(&lobby, bob.clone());
    one.put(&studio, cid.clone());
    sees(other, &lobby, &[ann.clone(), bob.clone()]).await;
    sees(other, &studio, std::slice::from_ref(&cid)).await;
    assert_eq!(others(one, &lobby).await.expect("a store"), []);
    // Rooms with the same name in different projects are different rooms.
    assert_eq!(others(other, &foreign).await.expect("a store"), []);
    other.put(&foreign, bob.clone());
    sees(one, &foreign, std::slice::from_ref(&bob)).await;
    assert_eq!(others(one, &lobby).await.expect("a store"), []);

    // Every change is reported to the others, with its room.
    let mut reported = Vec::new();
    while !(reported.contains(&lobby) && reported.contains(&studio)) {
        match timeout(LIMIT, changes.recv()).await.expect("a report").expect("the store runs") {
            SessionsChanged::Room(room) => reported.push(room),
            SessionsChanged::All => reported.extend([lobby.clone(), studio.clone()]),
        }
    }

    // A later put replaces the session.
    let idle = PeerSession { state: PresenceState::Idle, since_ms: 1_764_000_000_009, ..ann.clone() };
    one.put(&lobby, idle.clone());
    sees(other, &lobby, &[idle.clone(), bob.clone()]).await;

    // Removing one peer leaves the others; removing the last, nothing.
    one.remove(&lobby, "01");
    one.remove(&lobby, "no such peer");
    sees(other, &lobby, std::slice::from_ref(&bob)).await;
    one.remove(&lobby, "02");
    sees(other, &lobby, &[]).await;

    // A process that ends removes its own sessions only.
    other.put(&studio, ann.clone());
    sees(one, &studio, std::slice::from_ref(&ann)).await;
    one.clear().await;
    assert_eq!(others(other, &studio).await.expect("a store"), []);
    sees(one, &studio, std::slice::from_ref(&ann)).await;
    assert!(one.is_available() && other.is_available());
}

#[tokio::test]
async fn memory_store_passes_the_suite() {
    let one = MemorySessions::default();
    let other = one.another();
    suite(&one, &other).await;
    let studio = RoomRef::new("default", "studio");
    drop(other);
    assert_eq!(others(&one, &studio).await.expect("a store"), []);
}

#[tokio::test]
async fn redis_store_passes_the_suite() {
    let server = RedisServer::start();
    let one = start(&server, "one", SESSION_TTL);
    let other = start(&server, "other", SESSION_TTL);
    suite(&one, &other).await;
}

fn start(server: &RedisServer, process: &str, ttl: Duration) -> RedisSessions {
    RedisSessions::start(&server.url(), process, ttl).expect("a valid address")
}

#[tokio::test]
async fn invalid_address_of_redis_is_refused_without_showing_it() {
    for address in ["", "localhost:6379", "http://secret@localhost/", "redis://:secret@localhost:port/"] {
        let error = RedisSessions::start(address, "p", SESSION_TTL).err().expect(address);
        let text = error.to_string();
        assert!(text.contains("redis://[USER") && !text.contains("secret"), "{text}");
    }
}

/// Two processes with short lifetimes of keys; one has a peer, which the other sees.
struct Shared {
    server: RedisServer,
    one: RedisSessions,
    other: RedisSessions,
    lobby: RoomRef,
    ann: PeerSession,
}

impl Shared {
    async fn start() -> Self {
        let server = RedisServer::start();
        let (one, other) = (start(&server, "one", SHORT_TTL), start(&server, "other", SHORT_TTL));
        let lobby = RoomRef::new("default", "lobby");
        let ann = session("01", "ann", PresenceState::Active, 7);
        one.put(&lobby, ann.clone());
        sees(&other, &lobby, std::slice::from_ref(&ann)).await;
        Self { server, one, other, lobby, ann }
    }
}

#[tokio::test]
async fn every_key_has_a_lifetime_and_the_process_renews_it() {
    let Shared { server, one, other, lobby, ann } = Shared::start().await;
    for key in ["leat:sessions:default/lobby:one", "leat:processes:default/lobby"] {
        let answer = server.command(&format!("PTTL {key}"));
        let left: i64 = answer.trim_start_matches(':').parse().expect("a number");
        assert!(left > 0 && left <= SHORT_TTL.as_millis() as i64, "{key}: {left} ms");
    }
    assert_eq!(server.command("DBSIZE"), ":2");
    // Longer than the lifetime of its keys.
    sleep(2 * SHORT_TTL).await;
    assert_eq!(others(&other, &lobby).await.expect("a store"), [ann]);
    // The sessions of a killed process end with their keys.
    drop(one);
    sees(&other, &lobby, &[]).await;
    // Reading the room removes the process from its set, which would otherwise have lived as long.
    let deadline = Instant::now() + LIMIT;
    while server.command("DBSIZE") != ":0" {
        assert!(Instant::now() < deadline, "{}", server.command("KEYS *"));
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn redis_that_loses_its_data_gets_it_again() {
    let Shared { server, one: _one, other, lobby, ann } = Shared::start().await;
    assert_eq!(server.command("FLUSHALL"), "+OK");
    sees(&other, &lobby, &[ann]).await;
}

#[tokio::test]
async fn outage_of_redis_fails_soon_and_ends_by_itself() {
    let mut server = RedisServer::absent();
    let (one, other) = (start(&server, "one", SESSION_TTL), start(&server, "other", SESSION_TTL));
    let lobby = RoomRef::new("default", "lobby");
    let ann = session("01", "ann", PresenceState::Active, 7);
    let bob = session("02", "bob", PresenceState::Idle, 8);
    // Absent from the start: writing does not fail, reading does.
    one.put(&lobby, ann.clone());
    timeout(LIMIT, other.others(&lobby)).await.expect("an answer").expect_err("no server");
    assert!(!one.is_available());
    server.start_again();
    sees(&other, &lobby, std::slice::from_ref(&ann)).await;

    // Stopped, and changed meanwhile: what was written is lost with the server.
    let mut changes = other.changes();
    server.stop();
    timeout(LIMIT, async {
        while other.others(&lobby).await.is_ok() || one.is_available() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the outage is noticed");
    one.put(&lobby, bob.clone());
    server.start_again();
    sees(&other, &lobby, &[ann.clone(), bob.clone()]).await;
    // The subscription is back too, and its reader was notified to read everything again.
    while timeout(LIMIT, changes.recv()).await.expect("a report").expect("the store runs")
        != SessionsChanged::All
    {}
    one.remove(&lobby, "01");
    let is_lobby = |change: &SessionsChanged| matches!(change, SessionsChanged::Room(room) if *room == lobby);
    while !is_lobby(&timeout(LIMIT, changes.recv()).await.expect("a report").expect("the store runs")) {}
    sees(&other, &lobby, &[bob]).await;
}
