//! Administrators of a room pass their role on, and ban users.

mod harness;

use control::Command;
use harness::engine::{Engine, socket_path};
use harness::tokens::*;
use harness::{Client, Signaling, join, produce};
use signaling::auth::token::{Claims, Permissions};
use signaling::limits;
use signaling::proto::{self, ErrorCode, signal::Payload};
use signaling::rooms::Admission;

fn set_admin(peer: &str, admin: bool) -> Payload {
    Payload::SetAdmin(proto::SetAdmin { peer_id: peer.into(), admin })
}

fn ban(peer: &str, seconds: u32) -> Payload {
    let peer_id = peer.into();
    Payload::Kick(proto::Kick { peer_id, ban: true, ban_seconds: seconds, ..Default::default() })
}

fn permissions(payload: Payload) -> Option<proto::PermissionsChanged> {
    match payload {
        Payload::PermissionsChanged(changed) => Some(changed),
        _ => None,
    }
}

fn changed(payload: Payload) -> Option<proto::PeerChanged> {
    match payload {
        Payload::PeerChanged(changed) => Some(changed),
        _ => None,
    }
}

fn evicted(payload: Payload) -> Option<String> {
    match payload {
        Payload::Evicted(evicted) => Some(evicted.reason),
        _ => None,
    }
}

/// The answer to a join that is refused.
async fn refused(client: &Client, join: proto::JoinRoom) -> proto::Error {
    match client.ask(Payload::JoinRoom(join)).await {
        Payload::Error(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn administrator_passes_its_role_to_another_peer() {
    let (_engine, signaling) = start();
    let (mut boss, bosss) = enter(&signaling, "boss", admin()).await;
    let (mut ada, adas) = enter(&signaling, "ada", Permissions::default()).await;
    let (mut bob, bobs) = enter(&signaling, "bob", Permissions::default()).await;
    assert!(bobs.peers.iter().all(|peer| peer.admin == (peer.user == "boss")), "{:?}", bobs.peers);
    assert_eq!(ada.fails(set_admin(&adas.peer_id, true)).await, ErrorCode::TokenPermission);
    assert_eq!(boss.fails(set_admin(&"0".repeat(16), true)).await, ErrorCode::NoSuchPeer);
    boss.done(set_room(|set| set.waiting_room = Some(true))).await;
    let eve = signaling.client();
    let join = Payload::JoinRoom(entry("eve", Permissions::default()));
    assert!(matches!(eve.ask(join).await, Payload::Waiting(_)));

    boss.done(set_admin(&adas.peer_id, true)).await;
    let granted = until(&mut ada, permissions).await;
    assert!(granted.permissions.is_some_and(|granted| granted.admin && granted.can_publish));
    assert_eq!(granted.waiting.iter().map(|client| &*client.user).collect::<Vec<_>>(), ["eve"]);
    for client in [&mut boss, &mut bob] {
        let changed = until(client, changed).await;
        assert_eq!((changed.peer_id, changed.admin), (adas.peer_id.clone(), true));
    }
    // The role of a peer that has it already stays, and is not announced again.
    boss.done(set_admin(&adas.peer_id, true)).await;
    boss.done(set_admin(&bosss.peer_id, false)).await;
    assert!(until(&mut boss, permissions).await.permissions.is_some_and(|granted| !granted.admin));
    let last = until(&mut bob, changed).await;
    assert_eq!((last.peer_id, last.admin), (bosss.peer_id.clone(), false));

    // Now Ada decides, and the former administrator does not.
    assert_eq!(boss.fails(set_room(|set| set.locked = Some(true))).await, ErrorCode::TokenPermission);
    ada.done(set_room(|set| set.locked = Some(true))).await;
    // Neither a new token nor a new socket changes that.
    for (client, user, permitted) in [(&boss, "boss", admin()), (&ada, "ada", Permissions::default())] {
        let claims = Claims { jti: Some(format!("second of {user}")), ..claims(user, permitted) };
        let refresh = proto::RefreshToken { token: token(&claims) };
        match client.ask(Payload::RefreshToken(refresh)).await {
            Payload::TokenRefreshed(answer) => {
                assert_eq!(answer.permissions.map(|granted| granted.admin), Some(user == "ada"))
            }
            other => panic!("{other:?}"),
        }
    }
    ada.disconnect();
    let again = signaling.client();
    let back = proto::JoinRoom { resume: Some(resume(&adas)), ..entry("ada", Permissions::default()) };
    assert!(again.join(back).await.permissions.is_some_and(|granted| granted.admin));
    again.done(kick(&bobs.peer_id)).await;
    // A later peer has what its token permits.
    boss.done(Payload::Leave(proto::Leave::default())).await;
    assert!(boss.join(entry("boss", admin())).await.permissions.is_some_and(|granted| granted.admin));
}

#[tokio::test]
async fn former_administrator_stops_what_only_administrators_may_do() {
    let (engine, signaling) = start();
    let (mut boss, bosss) = enter(&signaling, "boss", admin()).await;
    boss.done(set_room(|set| set.publishers = Some("admins".into()))).await;
    let send = boss.transport("send").await.id;
    let video = boss.produce(&send, "video").await;
    boss.done(set_admin(&bosss.peer_id, false)).await;
    let closed = until(&mut boss, |payload| match payload {
        Payload::ProducerClosed(closed) => Some(closed.producer_id),
        _ => None,
    });
    assert_eq!(closed.await, video);
    engine.received("to close the video", |c| matches!(c, Command::CloseProducer { .. })).await;
    assert_eq!(boss.fails(produce(&send, "video")).await, ErrorCode::PublishDenied);
}

#[tokio::test]
async fn banned_user_is_refused_with_every_token_until_the_bans_end() {
    let (_engine, signaling) = start();
    let (mut boss, bosss) = enter(&signaling, "boss", admin()).await;
    let (mut ada, adas) = enter(&signaling, "ada", Permissions::default()).await;
    let (mut tab, _) = enter(&signaling, "ada", Permissions::default()).await;
    let (bob, bobs) = enter(&signaling, "bob", Permissions::default()).await;
    assert_eq!(bob.fails(ban(&adas.peer_id, 0)).await, ErrorCode::TokenPermission);
    boss.done(ban(&adas.peer_id, 0)).await;
    for client in [&mut ada, &mut tab] {
        assert_eq!(until(client, evicted).await, "an administrator banned you from the room");
        assert!(client.is_closed_by_server().await);
    }
    let policy = until(&mut boss, |payload| match payload {
        Payload::RoomChanged(changed) => changed.policy,
        _ => None,
    });
    assert_eq!(policy.await.bans, 1);
    let again = signaling.client();
    let error = refused(&again, entry("ada", Permissions::default())).await;
    assert_eq!((error.code(), error.retry_after_ms), (ErrorCode::Banned, 0));
    assert_eq!(error.message, "an administrator banned you from this room until the call ends");
    let other = Claims { jti: Some("another".into()), ..claims("ada", admin()) };
    let other = proto::JoinRoom { token: token(&other), ..join("r", "") };
    assert_eq!(refused(&again, other).await.code(), ErrorCode::Banned);
    let back = proto::JoinRoom { resume: Some(resume(&adas)), ..entry("ada", Permissions::default()) };
    assert_eq!(refused(&again, back).await.code(), ErrorCode::Banned);

    // For a time: the error says how long.
    boss.done(ban(&bobs.peer_id, 3_600)).await;
    let error = refused(&again, entry("bob", Permissions::default())).await;
    assert_eq!(error.code(), ErrorCode::Banned);
    assert!((3_000_000..=3_601_000).contains(&error.retry_after_ms), "{error:?}");
    // The administrator is not banned with another peer of its own.
    let (_second, seconds) = enter(&signaling, "boss", admin()).await;
    assert_eq!(boss.fails(ban(&seconds.peer_id, 0)).await, ErrorCode::BadMessage);
    assert_eq!(boss.fails(ban(&bosss.peer_id, 0)).await, ErrorCode::NoSuchPeer);

    boss.done(set_room(|set| set.clear_bans = Some(true))).await;
    again.join(entry("ada", Permissions::default())).await;
}

#[tokio::test]
async fn ban_for_a_second_ends() {
    let (_engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let (_ada, adas) = enter(&signaling, "ada", Permissions::default()).await;
    boss.done(ban(&adas.peer_id, 1)).await;
    let again = signaling.client();
    let error = refused(&again, entry("ada", Permissions::default())).await;
    assert_eq!(error.code(), ErrorCode::Banned);
    tokio::time::sleep(std::time::Duration::from_millis(error.retry_after_ms.into())).await;
    again.join(entry("ada", Permissions::default())).await;
}

/// Clients that wait are refused, and the bans of a room are bounded.
#[tokio::test]
async fn ban_ends_a_wait_and_bans_are_limited() {
    let (_engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let (_ada, adas) = enter(&signaling, "ada", Permissions::default()).await;
    boss.done(set_room(|set| set.waiting_room = Some(true))).await;
    let mut waits = signaling.client();
    let join = Payload::JoinRoom(entry("ada", Permissions::default()));
    assert!(matches!(waits.ask(join).await, Payload::Waiting(_)));
    boss.done(ban(&adas.peer_id, 0)).await;
    assert!(matches!(waits.notification().await, Payload::Denied(_)));
    boss.done(set_room(|set| set.waiting_room = Some(false))).await;
    for number in 1..limits::BANS_PER_ROOM_MAX {
        let (_client, joined) = enter(&signaling, &format!("user-{number}"), Permissions::default()).await;
        boss.done(ban(&joined.peer_id, 0)).await;
    }
    let (_last, lasts) = enter(&signaling, "last", Permissions::default()).await;
    assert_eq!(boss.fails(ban(&lasts.peer_id, 0)).await, ErrorCode::Limit);
    boss.done(kick(&lasts.peer_id)).await;
}

/// A client without a token has only its name.
#[tokio::test]
async fn guest_is_banned_by_its_name() {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::Development { verifier: Some(keyring()) });
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let mut guest = signaling.client();
    let joined = guest.join(join("r", "Mallory")).await;
    boss.done(ban(&joined.peer_id, 0)).await;
    until(&mut guest, evicted).await;
    let again = signaling.client();
    assert_eq!(refused(&again, join("r", " mallory ")).await.code(), ErrorCode::Banned);
    again.join(join("r", "Grace")).await;
    // A user with that id is another one.
    enter(&signaling, "Mallory", Permissions::default()).await;
}

#[tokio::test]
async fn roles_and_bans_survive_a_restart_of_signaling() {
    let engine = Engine::start(&socket_path());
    let first = Signaling::start(&engine.path, Admission::TokenRequired(keyring()));
    let (boss, bosss) = enter(&first, "boss", admin()).await;
    let (ada, adas) = enter(&first, "ada", Permissions::default()).await;
    let (_bob, bobs) = enter(&first, "bob", Permissions::default()).await;
    let (recv, send) = (boss.transport("recv").await.id, ada.transport("send").await.id);
    boss.done(ban(&bobs.peer_id, 0)).await;
    boss.done(set_admin(&adas.peer_id, true)).await;
    boss.done(set_admin(&bosss.peer_id, false)).await;
    // The engine handles the commands of a connection in their order.
    boss.transport("send").await;
    first.kill().await;

    let second = Signaling::start(&engine.path, Admission::TokenRequired(keyring()));
    let come_back = async |joined: &proto::Joined, transport: &str, user: &str, permitted| {
        let client = second.client();
        let transports = vec![proto::HeldTransport { id: transport.into() }];
        let resume = Some(proto::Resume { transports, ..resume(joined) });
        let back = client.join(proto::JoinRoom { resume, ..entry(user, permitted) }).await;
        assert!(back.resumed);
        (client, back)
    };
    let (_boss, back) = come_back(&bosss, &recv, "boss", admin()).await;
    assert_eq!(back.permissions.map(|granted| granted.admin), Some(false));
    assert_eq!(back.policy.map(|policy| policy.bans), Some(1));
    let (ada, _) = come_back(&adas, &send, "ada", Permissions::default()).await;
    ada.done(set_room(|set| set.locked = Some(true))).await;
    let late = second.client();
    assert_eq!(refused(&late, entry("bob", admin())).await.code(), ErrorCode::Banned);
}
