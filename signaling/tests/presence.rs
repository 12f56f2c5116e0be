//! Presence of users: in the roster, as notifications, and at other processes.

mod harness;
#[path = "../stores/tests/redis_server/mod.rs"]
mod redis_server;

use harness::engine::{Engine, socket_path};
use harness::tokens::{entry, keyring};
use harness::{Client, LIMIT, Signaling, join, settings};
use redis_server::RedisServer;
use signaling::auth::token::Permissions;
use signaling::limits;
use signaling::presence::{Now, PresenceState as State, RoomRef, UserPresence};
use signaling::proto::{self, ErrorCode, PresenceChanged, PresenceState, SetPresence, signal::Payload};
use signaling::rooms::{Admission, RoomSettings};
use std::sync::Arc;
use std::time::Duration;
use stores::sessions::limits::SESSION_TTL;
use stores::sessions::{RedisSessions, Sessions};

fn set(state: PresenceState) -> Payload {
    Payload::SetPresence(SetPresence { state: state.into() })
}

/// The next notification, which must be a change of presence.
async fn changed(client: &mut Client) -> PresenceChanged {
    match client.any_notification().await {
        Payload::PresenceChanged(changed) => changed,
        other => panic!("a change of presence, not {other:?}"),
    }
}

fn is_recent(since_ms: u64) -> bool {
    let now = Now::read().unix_ms;
    (now.saturating_sub(LIMIT.as_millis() as u64)..=now).contains(&since_ms)
}

#[tokio::test]
async fn presence_is_in_the_roster_and_its_changes_are_notified() {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start_with(&engine.path, settings());
    let mut ada = signaling.client();
    let ada_joined = ada.join(join("r", "Ada")).await;
    let mut bob = signaling.client();
    let joined = bob.join(join("r", "Bob")).await;
    let listed = &joined.peers[0];
    assert_eq!((listed.presence(), &listed.user), (PresenceState::Active, &ada_joined.user));
    assert!(is_recent(listed.presence_since_ms), "{}", listed.presence_since_ms);
    match ada.any_notification().await {
        Payload::PeerJoined(joined) => {
            assert_eq!(joined.peer.expect("who").presence(), PresenceState::Active);
        }
        other => panic!("{other:?}"),
    }

    // Only changes are sent, with the time of the transition.
    ada.done(set(PresenceState::Active)).await;
    ada.done(set(PresenceState::Idle)).await;
    ada.done(set(PresenceState::Idle)).await;
    let idle = changed(&mut bob).await;
    assert_eq!((idle.state(), &idle.user), (PresenceState::Idle, &ada_joined.user));
    assert!(is_recent(idle.timestamp_ms));
    assert_eq!(changed(&mut ada).await, idle, "its own other clients would get it too");
    ada.done(set(PresenceState::Active)).await;
    assert_eq!(changed(&mut bob).await.state(), PresenceState::Active);

    // A lost connection is AWAY, a resumed one is as before.
    ada.disconnect();
    assert!(matches!(bob.any_notification().await, Payload::PeerAway(away) if away.away));
    assert_eq!(changed(&mut bob).await.state(), PresenceState::Away);
    let ada = signaling.client();
    let resume = proto::Resume {
        peer_id: ada_joined.peer_id.clone(),
        secret: ada_joined.resume_secret.clone(),
        ..Default::default()
    };
    let resumed = ada.join(proto::JoinRoom { resume: Some(resume), ..join("r", "Ada") }).await;
    assert!(resumed.resumed);
    assert!(matches!(bob.any_notification().await, Payload::PeerAway(away) if !away.away));
    assert_eq!(changed(&mut bob).await.state(), PresenceState::Active);

    // The last peer of a user leaves: AWAY, and then it is not in the roster.
    ada.done(Payload::Leave(proto::Leave::default())).await;
    assert_eq!(changed(&mut bob).await.state(), PresenceState::Away);
    match bob.any_notification().await {
        Payload::PeerLeft(left) => assert_eq!(left.peer_id, ada_joined.peer_id),
        other => panic!("{other:?}"),
    }
    let room = RoomRef::new("default", "r");
    let present = signaling.rooms.presence_in(&room).await;
    assert_eq!(present.iter().map(|it| it.user.as_str()).collect::<Vec<_>>(), [joined.user.as_str()]);
}

#[tokio::test]
async fn peer_without_activity_becomes_idle_by_itself() {
    let engine = Engine::start(&socket_path());
    let idle_after = Duration::from_millis(500);
    let signaling = Signaling::start_with(&engine.path, RoomSettings { idle_after, ..settings() });
    let mut ada = signaling.client();
    let joined = ada.join(join("r", "Ada")).await;
    let idle = changed(&mut ada).await;
    assert_eq!((idle.state(), idle.user), (PresenceState::Idle, joined.user));
}

#[tokio::test]
async fn invalid_and_too_frequent_reports_are_refused() {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start_with(&engine.path, settings());
    let ada = signaling.client();
    assert_eq!(ada.fails(set(PresenceState::Active)).await, ErrorCode::WrongState);
    ada.join(join("r", "Ada")).await;
    assert_eq!(ada.fails(set(PresenceState::Unspecified)).await, ErrorCode::BadMessage);
    let unknown = Payload::SetPresence(SetPresence { state: 77 });
    assert_eq!(ada.fails(unknown).await, ErrorCode::BadMessage);
    let changes = limits::PRESENCE_CHANGES_BURST as usize * 4;
    let mut refused = None;
    for number in 0..changes {
        let state = if number % 2 == 0 { PresenceState::Idle } else { PresenceState::Active };
        if let Payload::Error(error) = ada.ask(set(state)).await {
            refused = Some((number, error));
            break;
        }
    }
    let (number, error) = refused.expect("a refusal");
    assert!(number >= limits::PRESENCE_CHANGES_BURST as usize, "{number}");
    assert_eq!(error.code(), ErrorCode::Limit);
    assert!(error.retry_after_ms > 0);
}

/// A signaling process with an engine of its own, and Redis.
fn with_redis(redis: &RedisServer, process: &str) -> (Engine, Signaling, Arc<RedisSessions>) {
    let engine = Engine::start(&socket_path());
    let sessions = Arc::new(RedisSessions::start(&redis.url(), process, SESSION_TTL).expect("an address"));
    let admission = Admission::Development { verifier: Some(keyring()) };
    let settings = RoomSettings { sessions: sessions.clone(), admission, ..settings() };
    let signaling = Signaling::start_with(&engine.path, settings);
    (engine, signaling, sessions)
}

/// Waits until a process reports this presence in the room.
async fn sees(signaling: &Signaling, room: &RoomRef, wanted: &[(&str, State)]) {
    let short = |present: &[UserPresence]| -> Vec<(String, State)> {
        present.iter().map(|it| (it.user.clone(), it.state)).collect()
    };
    let mut wanted: Vec<_> = wanted.iter().map(|(user, state)| ((*user).to_owned(), *state)).collect();
    wanted.sort();
    let mut last = Vec::new();
    let found = tokio::time::timeout(LIMIT, async {
        while last != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
            last = short(&signaling.rooms.presence_in(room).await);
        }
    });
    let is_found = found.await.is_ok();
    assert!(is_found, "wanted {wanted:?}, found {last:?}");
}

#[tokio::test]
async fn processes_share_presence_through_redis_and_survive_its_outage() {
    let mut redis = RedisServer::start();
    let (_engine, one, sessions) = with_redis(&redis, "one");
    let (_other_engine, other, _) = with_redis(&redis, "other");
    let room = RoomRef::new("default", "r");
    let mut ada = one.client();
    let permissions = Permissions { can_update_own_metadata: true, ..Permissions::default() };
    let ada_user = ada.join(entry("ada", permissions)).await.user;
    let bob = other.client();
    let bob_user = bob.join(join("r", "Bob")).await.user;
    let both = [(&*ada_user, State::Active), (&*bob_user, State::Active)];
    sees(&one, &room, &both).await;
    sees(&other, &room, &both).await;
    // A watcher gets the transitions of the other process.
    let mut watch = one.rooms.watch_presence(&room);
    bob.done(set(PresenceState::Idle)).await;
    let idle = tokio::time::timeout(LIMIT, watch.next()).await.expect("in time").expect("an event");
    assert_eq!((idle.user.as_str(), idle.state), (bob_user.as_str(), State::Idle));

    // A new name reaches Redis too.
    let name = proto::SetMetadata { display_name: Some("Ada L.".into()), ..Default::default() };
    ada.done(Payload::SetMetadata(name)).await;
    tokio::time::timeout(LIMIT, async {
        let reader = RedisSessions::start(&redis.url(), "reader", SESSION_TTL).expect("an address");
        while !reader
            .others(&room)
            .await
            .is_ok_and(|found| found.iter().any(|it| it.display_name == "Ada L."))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the new name");

    // Without Redis, the presence of this process works, and joins do.
    redis.stop();
    tokio::time::timeout(LIMIT, async {
        while sessions.is_available() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the outage is noticed");
    ada.done(set(PresenceState::Idle)).await;
    assert_eq!(changed(&mut ada).await.state(), PresenceState::Idle);
    let cid = one.client();
    let cid_user = cid.join(join("r", "Cid")).await.user;
    cid.transport("send").await;
    bob.done(set(PresenceState::Active)).await;

    // It recovers without its data: each process writes what it owns.
    redis.start_again();
    let all = [(&*ada_user, State::Idle), (&*bob_user, State::Active), (&*cid_user, State::Active)];
    sees(&one, &room, &all).await;
    sees(&other, &room, &all).await;

    // A room without peers of this process is read from Redis.
    let elsewhere = RoomRef::new("default", "elsewhere");
    let eve = one.client();
    let eve_user = eve.join(join("elsewhere", "Eve")).await.user;
    sees(&other, &elsewhere, &[(&*eve_user, State::Active)]).await;

    // A process that ends in an orderly way takes its sessions with it.
    sessions.clear().await;
    sees(&other, &room, &[(&*bob_user, State::Active)]).await;
}
