//! Access: permissions, new tokens, revocations, and what administrators do.

mod harness;

use control::Command;
use harness::engine::{Engine, socket_path};
use harness::polling::{Http, PollingClient};
use harness::{Client, Signaling, consume, dtls, join, produce, transport_id};
use prost::Message;
use signaling::auth::DEFAULT_PROJECT;
use signaling::auth::keyring::{ApiKey, Keyring};
use signaling::auth::revocations::{Revocation, Revoked};
use signaling::auth::session::TokenId;
use signaling::auth::token::{self, Claims, NumericDate, Permissions};
use signaling::limits;
use signaling::proto::{self, ErrorCode, Signal, signal::Payload};
use signaling::rooms::Admission;
use signaling::server::http;
use std::time::{Duration, SystemTime};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const OTHER_SECRET: &[u8] = b"fedcba9876543210fedcba9876543210";

fn keyring() -> Keyring {
    Keyring::with_secret(SECRET, Duration::ZERO).expect("a good secret")
}

fn start() -> (Engine, Signaling) {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::TokenRequired(keyring()));
    (engine, signaling)
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
}

fn claims(user: &str, permissions: Permissions) -> Claims {
    let (iat, jti) = (Some(NumericDate(now())), Some(format!("token of {user}")));
    Claims { permissions, iat, jti, ..Claims::new(user, "r", NumericDate(now() + 3_600)) }
}

fn token(claims: &Claims) -> String {
    token::mint(claims, SECRET).expect("a good secret")
}

fn entry(user: &str, permissions: Permissions) -> proto::JoinRoom {
    proto::JoinRoom { token: token(&claims(user, permissions)), ..join("r", "") }
}

fn admin() -> Permissions {
    Permissions { admin: true, ..Permissions::default() }
}

/// A client in the room `r`.
async fn enter(signaling: &Signaling, user: &str, permissions: Permissions) -> (Client, proto::Joined) {
    let client = signaling.client();
    let joined = client.join(entry(user, permissions)).await;
    (client, joined)
}

fn resume(joined: &proto::Joined) -> proto::Resume {
    let (peer_id, secret) = (joined.peer_id.clone(), joined.resume_secret.clone());
    proto::Resume { peer_id, secret, ..Default::default() }
}

fn set_room(change: impl FnOnce(&mut proto::SetRoom)) -> Payload {
    let mut set = proto::SetRoom::default();
    change(&mut set);
    Payload::SetRoom(set)
}

fn kick(peer: &str) -> Payload {
    Payload::Kick(proto::Kick { peer_id: peer.into(), ..Default::default() })
}

/// Skips notifications up to the first one that `is_it` accepts.
async fn until<T>(client: &mut Client, is_it: impl Fn(Payload) -> Option<T>) -> T {
    loop {
        if let Some(found) = is_it(client.notification().await) {
            return found;
        }
    }
}

/// What a request without permission gets, and what each permission alone changes: all requests × all
/// permissions.
#[tokio::test]
async fn each_request_needs_its_permission_and_no_other() {
    let (_engine, signaling) = start();
    let none = || Permissions {
        can_join: true,
        can_create_room: false,
        can_publish: false,
        can_publish_sources: None,
        can_subscribe: false,
        can_publish_data: false,
        can_update_own_metadata: false,
        can_use_plain_transports: false,
        admin: false,
        hidden: false,
    };
    let cameras = |sources: &[&str]| Some(sources.iter().map(|source| (*source).to_owned()).collect());
    // Each permission alone, and the requests that it is necessary and sufficient for.
    let grants: [(&str, Permissions, &[&str]); 12] = [
        ("none", none(), &[]),
        ("canCreateRoom", Permissions { can_create_room: true, ..none() }, &["create"]),
        ("canPublish", Permissions { can_publish: true, ..none() }, &["produce"]),
        ("canPublishSources", Permissions { can_publish_sources: cameras(&["camera"]), ..none() }, &[]),
        (
            "canPublish, canPublishSources with the source",
            Permissions { can_publish: true, can_publish_sources: cameras(&["screen", "camera"]), ..none() },
            &["produce"],
        ),
        (
            "canPublish, canPublishSources without the source",
            Permissions { can_publish: true, can_publish_sources: cameras(&["screen"]), ..none() },
            &[],
        ),
        ("canSubscribe", Permissions { can_subscribe: true, ..none() }, &["consume"]),
        ("canPublishData", Permissions { can_publish_data: true, ..none() }, &[]),
        ("canUpdateOwnMetadata", Permissions { can_update_own_metadata: true, ..none() }, &["metadata"]),
        ("canUsePlainTransports", Permissions { can_use_plain_transports: true, ..none() }, &["plain"]),
        ("admin", Permissions { admin: true, ..none() }, &["admin"]),
        ("hidden, canPublish", Permissions { hidden: true, can_publish: true, ..none() }, &[]),
    ];
    let (publisher, published) = enter(&signaling, "publisher", Permissions::default()).await;
    let sending = publisher.transport("send").await.id;
    let video = publisher.produce(&sending, "video").await;

    for (name, permissions, granted) in grants {
        let outside = signaling.client();
        let claims = Claims { room_id: Some("*".into()), ..claims(name, permissions.clone()) };
        let creating =
            proto::JoinRoom { token: token(&claims), ..join(&format!("new-{}", granted.len()), "") };
        match (granted.contains(&"create"), outside.ask(Payload::JoinRoom(creating)).await) {
            (true, Payload::Joined(_)) => outside.done(Payload::Leave(proto::Leave {})).await,
            (false, Payload::Error(error)) => assert_eq!(error.code(), ErrorCode::TokenPermission, "{name}"),
            (_, other) => panic!("{name}: {other:?}"),
        }

        let client = signaling.client();
        client.join(proto::JoinRoom { token: token(&claims), ..join("r", "") }).await;
        // Both transports need no permission: an unused one costs little.
        let (send, recv) = (client.transport("send").await.id, client.transport("recv").await.id);
        let own = format!("{:016x}", 7);
        // Every request of a client that has joined: the permission it needs, and the answer with it.
        use ErrorCode::{NoSuchConsumer, NoSuchPeer, NoSuchProducer, NoSuchTransport, TokenPermission};
        let producer_id = || video.clone();
        let peer_id = || own.clone();
        let requests: Vec<(&str, Payload, Option<ErrorCode>)> = vec![
            ("", Payload::GetRouterCapabilities(proto::GetRouterCapabilities {}), None),
            ("produce", produce(&send, "video"), None),
            ("consume", consume(&recv, &video), None),
            (
                "plain",
                Payload::CreatePlainTransport(proto::CreatePlainTransport {
                    direction: "send".into(),
                    ..Default::default()
                }),
                None,
            ),
            (
                "",
                Payload::ConnectTransport(proto::ConnectTransport {
                    transport_id: send.clone(),
                    dtls_parameters: dtls("client"),
                }),
                None,
            ),
            ("", Payload::RestartIce(proto::RestartIce { transport_id: send.clone() }), None),
            (
                "",
                Payload::CloseTransport(proto::CloseTransport { transport_id: own.clone() }),
                Some(NoSuchTransport),
            ),
            (
                "",
                Payload::ConnectPlainTransport(proto::ConnectPlainTransport {
                    transport_id: own.clone(),
                    ..Default::default()
                }),
                Some(NoSuchTransport),
            ),
            (
                "",
                Payload::SetBitrates(proto::SetBitrates { transport_id: own.clone(), ..Default::default() }),
                Some(NoSuchTransport),
            ),
            // The objects of other peers do not exist for these.
            (
                "",
                Payload::PauseProducer(proto::PauseProducer { producer_id: producer_id() }),
                Some(NoSuchProducer),
            ),
            (
                "",
                Payload::ResumeProducer(proto::ResumeProducer { producer_id: producer_id() }),
                Some(NoSuchProducer),
            ),
            (
                "",
                Payload::CloseProducer(proto::CloseProducer { producer_id: producer_id() }),
                Some(NoSuchProducer),
            ),
            (
                "",
                Payload::PauseConsumer(proto::PauseConsumer { consumer_id: own.clone() }),
                Some(NoSuchConsumer),
            ),
            (
                "",
                Payload::ResumeConsumer(proto::ResumeConsumer { consumer_id: own.clone() }),
                Some(NoSuchConsumer),
            ),
            (
                "",
                Payload::CloseConsumer(proto::CloseConsumer { consumer_id: own.clone() }),
                Some(NoSuchConsumer),
            ),
            (
                "",
                Payload::SetPriority(proto::SetPriority { consumer_id: own.clone(), priority: 1 }),
                Some(NoSuchConsumer),
            ),
            (
                "",
                Payload::SetSubscribers(proto::SetSubscribers {
                    producer_id: producer_id(),
                    everyone: true,
                    ..Default::default()
                }),
                Some(NoSuchProducer),
            ),
            ("metadata", Payload::SetMetadata(proto::SetMetadata::default()), None),
            ("", Payload::RefreshToken(proto::RefreshToken { token: token(&claims) }), None),
            ("admin", kick(&own), Some(NoSuchPeer)),
            (
                "admin",
                Payload::MutePeer(proto::MutePeer { peer_id: peer_id(), ..Default::default() }),
                Some(NoSuchPeer),
            ),
            (
                "admin",
                Payload::MuteProducer(proto::MuteProducer { producer_id: producer_id(), muted: false }),
                None,
            ),
            ("admin", set_room(|set| set.locked = Some(false)), None),
            ("admin", Payload::AdmitPeer(proto::AdmitPeer { waiting_id: own.clone() }), Some(NoSuchPeer)),
            (
                "admin",
                Payload::DenyPeer(proto::DenyPeer { waiting_id: own.clone(), ..Default::default() }),
                Some(NoSuchPeer),
            ),
        ];
        for (needed, request, answer) in requests {
            let wanted =
                if needed.is_empty() || granted.contains(&needed) { answer } else { Some(TokenPermission) };
            let what = format!("{name}: {request:?}");
            let found = match client.ask(request).await {
                Payload::Error(error) => Some(error.code()),
                _ => None,
            };
            assert_eq!(found, wanted, "{what}");
        }
        client.done(Payload::Leave(proto::Leave {})).await;
    }
    assert!(!published.peer_id.is_empty());
}

#[tokio::test]
async fn token_without_can_join_admits_to_no_room() {
    let (_engine, signaling) = start();
    let api_only = Permissions { can_join: false, ..admin() };
    let client = signaling.client();
    assert_eq!(client.fails(Payload::JoinRoom(entry("ada", api_only))).await, ErrorCode::TokenPermission);
    let roomless = Claims { room_id: None, ..claims("ada", admin()) };
    let join = proto::JoinRoom { token: token(&roomless), ..join("r", "") };
    assert_eq!(client.fails(Payload::JoinRoom(join)).await, ErrorCode::TokenRoom);
}

#[tokio::test]
async fn hidden_peer_is_in_no_roster_and_receives() {
    let (_engine, signaling) = start();
    let (mut ada, adas) = enter(&signaling, "ada", Permissions::default()).await;
    let hidden = Permissions { hidden: true, ..admin() };
    let (recorder, recorders) = enter(&signaling, "recorder", hidden).await;
    assert_eq!(recorders.peers.len(), 1);
    let (_bob, bobs) = enter(&signaling, "bob", Permissions::default()).await;
    let ids = bobs.peers.iter().map(|peer| peer.id.as_str()).collect::<Vec<_>>();
    assert_eq!(ids, [adas.peer_id.as_str()]);
    let send = ada.transport("send").await.id;
    let video = ada.produce(&send, "video").await;
    let recv = recorder.transport("recv").await.id;
    recorder.consume(&recv, &video).await;
    // Its absence, return and end are not reported either.
    recorder.disconnect();
    let again = signaling.client();
    let join = proto::JoinRoom {
        resume: Some(resume(&recorders)),
        ..entry("recorder", Permissions { hidden: true, ..admin() })
    };
    assert!(again.join(join).await.resumed);
    again.done(Payload::Leave(proto::Leave {})).await;
    match ada.notification().await {
        Payload::PeerJoined(joined) => assert_eq!(joined.peer.expect("who").id, bobs.peer_id),
        other => panic!("{other:?}"),
    }
    ada.no_more_notifications();
}

#[tokio::test]
async fn refreshed_token_replaces_permissions_and_expiry() {
    let (engine, signaling) = start();
    let (ada, joined) = enter(&signaling, "ada", Permissions::default()).await;
    assert!(joined.token_expires_at > now() && joined.permissions.expect("granted").can_publish);
    let (mut bob, _) = enter(&signaling, "bob", Permissions::default()).await;
    let mut ada = ada;
    let (send, recv) = (ada.transport("send").await.id, ada.transport("recv").await.id);
    let bobs_send = bob.transport("send").await.id;
    let bobs_video = bob.produce(&bobs_send, "video").await;
    let (video, audio) = (ada.produce(&send, "video").await, ada.produce(&send, "audio").await);
    let watched = ada.consume(&recv, &bobs_video).await.id;
    let refresh = |claims: &Claims| Payload::RefreshToken(proto::RefreshToken { token: token(claims) });

    for (wrong, code) in [
        (claims("bob", admin()), ErrorCode::TokenPermission),
        (Claims { room_id: Some("other".into()), ..claims("ada", admin()) }, ErrorCode::TokenRoom),
        (Claims { exp: NumericDate(1), ..claims("ada", admin()) }, ErrorCode::TokenExpired),
        (claims("ada", Permissions { can_join: false, ..admin() }), ErrorCode::TokenPermission),
    ] {
        assert_eq!(ada.fails(refresh(&wrong)).await, code);
    }
    assert_eq!(
        ada.fails(Payload::RefreshToken(proto::RefreshToken::default())).await,
        ErrorCode::TokenMissing
    );
    assert_eq!(ada.fails(set_room(|set| set.locked = Some(true))).await, ErrorCode::TokenPermission);

    // More, with another expiry.
    let more = Claims { exp: NumericDate(now() + 60), ..claims("ada", admin()) };
    match ada.ask(refresh(&more)).await {
        Payload::TokenRefreshed(refreshed) => {
            assert_eq!(refreshed.expires_at, more.exp.0);
            assert!(refreshed.permissions.expect("granted").admin);
        }
        other => panic!("{other:?}"),
    }
    ada.done(set_room(|set| set.locked = Some(true))).await;

    // Less: what is not permitted any more is closed. The audio has the source "camera" too.
    let microphone = Some(vec!["microphone".to_owned()]);
    let less =
        Permissions { can_publish_sources: microphone, can_subscribe: false, ..Permissions::default() };
    assert!(matches!(ada.ask(refresh(&claims("ada", less))).await, Payload::TokenRefreshed(_)));
    let mut closed = Vec::new();
    while closed.len() < 3 {
        let id = until(&mut ada, |payload| match payload {
            Payload::ProducerClosed(closed) => Some(closed.producer_id),
            Payload::ConsumerClosed(closed) => Some(closed.consumer_id),
            _ => None,
        })
        .await;
        closed.push(id);
    }
    let mut wanted = vec![video.clone(), audio, watched];
    closed.sort();
    wanted.sort();
    assert_eq!(closed, wanted);
    let gone = until(&mut bob, |payload| match payload {
        Payload::ProducerClosed(closed) => Some(closed.producer_id),
        _ => None,
    })
    .await;
    assert!(wanted.contains(&gone));
    engine.received("to close a consumer", |c| matches!(c, Command::CloseConsumer { .. })).await;
    assert_eq!(ada.fails(produce(&send, "video")).await, ErrorCode::TokenPermission);
    assert_eq!(ada.fails(consume(&recv, &bobs_video)).await, ErrorCode::TokenPermission);
}

#[tokio::test]
async fn kicked_peer_is_out_at_once_and_its_token_admits_no_more() {
    let (engine, signaling) = start();
    let (mut boss, boss_joined) = enter(&signaling, "boss", admin()).await;
    let (mut ada, joined) = enter(&signaling, "ada", Permissions::default()).await;
    // The same token in a second tab.
    let (mut tab, _) = enter(&signaling, "ada", Permissions::default()).await;
    let send = ada.transport("send").await.id;
    let other = kick(&"0".repeat(16));
    assert_eq!(boss.fails(other).await, ErrorCode::NoSuchPeer);
    assert_eq!(boss.fails(kick(&boss_joined.peer_id)).await, ErrorCode::NoSuchPeer, "Leave is for this");
    let request =
        proto::Kick { peer_id: joined.peer_id.clone(), reason: "noise".into(), ..Default::default() };
    boss.done(Payload::Kick(request)).await;
    // The engine gets the command with the same call; what follows in its queue comes later.
    engine
        .received(
            "to close the transport",
            |c| matches!(c, Command::CloseTransport { transport } if *transport == transport_id(&send)),
        )
        .await;
    for client in [&mut ada, &mut tab] {
        let reason = until(client, |payload| match payload {
            Payload::Evicted(evicted) => Some(evicted.reason),
            _ => None,
        });
        assert_eq!(reason.await, "noise");
        assert!(client.is_closed_by_server().await);
    }
    for _ in 0..2 {
        until(&mut boss, |payload| matches!(payload, Payload::PeerLeft(_)).then_some(())).await;
    }
    assert_eq!(ada.fails(Payload::Leave(proto::Leave {})).await, ErrorCode::WrongState);
    let again = signaling.client();
    let with = |resume: Option<proto::Resume>| {
        Payload::JoinRoom(proto::JoinRoom { resume, ..entry("ada", Permissions::default()) })
    };
    assert_eq!(again.fails(with(None)).await, ErrorCode::TokenRevoked);
    assert_eq!(again.fails(with(Some(resume(&joined)))).await, ErrorCode::TokenRevoked);
    // Another token of the same user is valid, until the whole user is removed.
    let another = |id: &str| {
        let claims = Claims { jti: Some(id.into()), ..claims("ada", Permissions::default()) };
        proto::JoinRoom { token: token(&claims), ..join("r", "") }
    };
    let back = again.join(another("another")).await;
    let request = proto::Kick { peer_id: back.peer_id, whole_user: true, ..Default::default() };
    boss.done(Payload::Kick(request)).await;
    let last = signaling.client();
    assert_eq!(last.fails(Payload::JoinRoom(another("a third"))).await, ErrorCode::TokenRevoked);
    enter(&signaling, "bob", Permissions::default()).await;
}

#[tokio::test]
async fn revocation_of_a_user_key_or_project_ends_its_calls_only() {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::TokenRequired(keyring()));
    let keys = signaling.rooms.keyring().expect("tokens are required");
    let key = |id: &str, project: &str, secret: &[u8]| ApiKey {
        id: id.into(),
        project: project.into(),
        secret: secret.to_vec(),
    };
    let refused = keys.set_api_keys(vec![
        key("k1", "shop", SECRET),
        key("k2", "shop", OTHER_SECRET),
        key("k3", "school", OTHER_SECRET),
    ]);
    assert!(refused.is_empty(), "{refused:?}");
    let by = |kid: &str, user: &str| {
        let secret = if kid == "k1" { SECRET } else { OTHER_SECRET };
        let token = token::mint_with_kid(&claims(user, Permissions::default()), secret, Some(kid));
        proto::JoinRoom { token: token.expect("a good secret"), ..join("r", "") }
    };
    let revoke = |project: &str, of: Revoked| {
        let until = Duration::from_secs(now() + 3_600);
        signaling.rooms.revoke(Revocation { project: project.into(), of, until }).expect("space")
    };
    let mut members = Vec::new();
    for (kid, user) in [("k1", "ada"), ("k1", "bob"), ("k2", "carl"), ("k2", "dora"), ("k3", "ada")] {
        let client = signaling.client();
        let joined = client.join(by(kid, user)).await;
        members.push((client, joined, kid, user));
    }
    let present = async |members: &[(Client, proto::Joined, &str, &str)]| {
        let mut found = Vec::new();
        for (index, (client, ..)) in members.iter().enumerate() {
            let request = Payload::GetRouterCapabilities(proto::GetRouterCapabilities {});
            if matches!(client.ask(request).await, Payload::RouterCapabilities(_)) {
                found.push(index);
            }
        }
        found
    };
    // The room of the same name in another project is another room.
    assert_eq!(members[4].1.peers.len(), 0);
    assert_eq!(members[3].1.peers.len(), 3);

    assert_eq!(revoke("school", Revoked::User("bob".into())), 0, "bob is in another project");
    assert_eq!(revoke("shop", Revoked::User("ada".into())), 1);
    assert_eq!(present(&members).await, [1, 2, 3, 4]);
    assert_eq!(revoke("shop", Revoked::Key("k1".into())), 1);
    assert_eq!(present(&members).await, [2, 3, 4]);
    assert_eq!(revoke("shop", Revoked::Token(TokenId("token of carl".into()))), 1);
    assert_eq!(present(&members).await, [3, 4]);
    // A peer that is away is removed too, and cannot return.
    let (dora, joined, ..) = members.remove(3);
    dora.disconnect();
    assert_eq!(revoke("shop", Revoked::Project), 1);
    let again = signaling.client();
    let back = Payload::JoinRoom(proto::JoinRoom { resume: Some(resume(&joined)), ..by("k2", "dora") });
    assert_eq!(again.fails(back).await, ErrorCode::TokenRevoked);
    assert_eq!(present(&members).await, [3], "the other project");
    assert_ne!(DEFAULT_PROJECT, "shop");
}

#[tokio::test]
async fn muted_producer_stays_paused_until_an_administrator_unmutes_it() {
    let (engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let (mut ada, joined) = enter(&signaling, "ada", Permissions::default()).await;
    let (mut bob, _) = enter(&signaling, "bob", Permissions::default()).await;
    let send = ada.transport("send").await.id;
    let audio = ada.produce(&send, "audio").await;
    let mute = |muted| Payload::MuteProducer(proto::MuteProducer { producer_id: audio.clone(), muted });
    let pause = || Payload::PauseProducer(proto::PauseProducer { producer_id: audio.clone() });
    let go_on = || Payload::ResumeProducer(proto::ResumeProducer { producer_id: audio.clone() });
    let last = |engine: &Engine| {
        let commands = engine.commands().into_iter().rev();
        let mut changes = commands.filter_map(|command| match command {
            Command::PauseProducer { .. } => Some("pause"),
            Command::ResumeProducer { .. } => Some("resume"),
            _ => None,
        });
        changes.next()
    };
    let muted = |payload| match payload {
        Payload::Muted(muted) => Some(muted.muted),
        _ => None,
    };
    boss.done(mute(true)).await;
    assert_eq!(last(&engine), Some("pause"));
    assert!(until(&mut ada, muted).await);
    until(&mut bob, |payload| matches!(payload, Payload::ProducerPaused(_)).then_some(())).await;
    assert_eq!(ada.fails(go_on()).await, ErrorCode::Muted);
    assert_eq!(last(&engine), Some("pause"));
    boss.done(mute(false)).await;
    assert_eq!(last(&engine), Some("resume"));
    assert!(!until(&mut ada, muted).await);
    until(&mut bob, |payload| matches!(payload, Payload::ProducerResumed(_)).then_some(())).await;

    // The end of a mute does not resume what the client has paused.
    boss.done(mute(true)).await;
    ada.done(pause()).await;
    boss.done(mute(false)).await;
    assert_eq!(last(&engine), Some("pause"));
    ada.done(go_on()).await;
    assert_eq!(last(&engine), Some("resume"));

    // A muted peer cannot avoid it with a new producer.
    let peer_id = joined.peer_id.clone();
    let all =
        |muted| Payload::MutePeer(proto::MutePeer { peer_id: peer_id.clone(), muted, kind: "audio".into() });
    boss.done(all(true)).await;
    assert_eq!(ada.fails(go_on()).await, ErrorCode::Muted);
    let second = ada.produce(&send, "audio").await;
    let resume_second = Payload::ResumeProducer(proto::ResumeProducer { producer_id: second.clone() });
    assert_eq!(ada.fails(resume_second).await, ErrorCode::Muted);
    let is_paused = |c: &Command| matches!(c, Command::Produce(produce) if produce.paused);
    engine.received("a paused producer", is_paused).await;
    ada.produce(&send, "video").await;
    boss.done(all(false)).await;
    ada.done(go_on()).await;
    let unknown = Payload::MutePeer(proto::MutePeer { peer_id, muted: true, kind: "smell".into() });
    assert_eq!(boss.fails(unknown).await, ErrorCode::BadMessage);
}

/// Neither a new producer nor a new peer ends the mute of the old one.
#[tokio::test]
async fn mute_outlives_the_producer_and_the_peer() {
    let (engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let (ada, _) = enter(&signaling, "ada", Permissions::default()).await;
    let send = ada.transport("send").await.id;
    let audio = ada.produce(&send, "audio").await;
    let mute =
        |id: &str, muted| Payload::MuteProducer(proto::MuteProducer { producer_id: id.to_owned(), muted });
    let go_on = |id: &str| Payload::ResumeProducer(proto::ResumeProducer { producer_id: id.to_owned() });
    boss.done(mute(&audio, true)).await;
    ada.done(Payload::CloseProducer(proto::CloseProducer { producer_id: audio })).await;
    let again = ada.produce(&send, "audio").await;
    assert_eq!(ada.fails(go_on(&again)).await, ErrorCode::Muted);
    let is_paused = |c: &Command| matches!(c, Command::Produce(produce) if produce.paused);
    engine.received("a paused producer", is_paused).await;
    let video = ada.produce(&send, "video").await;
    ada.done(go_on(&video)).await;

    ada.done(Payload::Leave(proto::Leave {})).await;
    ada.join(entry("ada", Permissions::default())).await;
    let send = ada.transport("send").await.id;
    let last = ada.produce(&send, "audio").await;
    assert_eq!(ada.fails(go_on(&last)).await, ErrorCode::Muted);
    // The peer is muted now, not one producer of it.
    let peer_id = boss_sees(&signaling, "ada").await;
    let unmute = proto::MutePeer { peer_id, muted: false, ..Default::default() };
    boss.done(Payload::MutePeer(unmute)).await;
    ada.done(go_on(&last)).await;
    ada.done(Payload::CloseProducer(proto::CloseProducer { producer_id: last })).await;
    let free = ada.produce(&send, "audio").await;
    ada.done(go_on(&free)).await;
}

/// The id of a peer, as a client that joins now gets it.
async fn boss_sees(signaling: &Signaling, user: &str) -> String {
    let (client, joined) = enter(signaling, "observer", Permissions::default()).await;
    client.done(Payload::Leave(proto::Leave {})).await;
    joined.peers.into_iter().find(|peer| peer.user == user).expect("in the room").id
}

/// The answer Waiting opens the way for notifications, as Joined does.
#[tokio::test]
async fn waiting_client_gets_joined_on_its_socket() {
    let (_engine, signaling) = start();
    let listener = http::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(http::serve(listener, signaling.rooms.clone(), http::HttpSettings::default()));
    let (mut boss, _) = enter(&signaling, "boss", admin()).await;
    boss.done(set_room(|set| set.waiting_room = Some(true))).await;
    let ada = PollingClient::connect(Http::to(address)).await;
    let join = Some(Payload::JoinRoom(entry("ada", Permissions::default())));
    let request = Signal { version: "1".into(), payload: join, ..Default::default() }.encode_to_vec();
    assert!(matches!(ada.ask(0, &request).await.payload, Some(Payload::Waiting(_))));
    let waiting = until(&mut boss, |payload| match payload {
        Payload::PeerWaiting(waiting) => Some(waiting),
        _ => None,
    });
    let waiting_id = waiting.await.waiting_id;
    boss.done(Payload::AdmitPeer(proto::AdmitPeer { waiting_id })).await;
    let peer_id = match ada.next_binary().await.1.payload {
        Some(Payload::Joined(joined)) => joined.peer_id,
        other => panic!("{other:?}"),
    };
    boss.done(kick(&peer_id)).await;
    assert!(matches!(ada.next_binary().await.1.payload, Some(Payload::Evicted(_))));
}

#[tokio::test]
async fn hundred_joins_at_once_fill_a_room_of_two_exactly() {
    let (_engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    boss.done(set_room(|set| set.max_peers = Some(2))).await;
    let mut joins = tokio::task::JoinSet::new();
    for number in 0..100 {
        let client = signaling.client();
        let join = entry(&format!("user-{number}"), Permissions::default());
        joins.spawn(async move {
            let answer = client.ask(Payload::JoinRoom(join)).await;
            (client, answer)
        });
    }
    let mut clients = Vec::new();
    let (mut joined, mut full) = (0, 0);
    while let Some(answer) = joins.join_next().await {
        let (client, answer) = answer.expect("no panic");
        match answer {
            Payload::Joined(_) => joined += 1,
            Payload::Error(error) if error.code() == ErrorCode::RoomFull => full += 1,
            other => panic!("{other:?}"),
        }
        clients.push(client);
    }
    assert_eq!((joined, full), (1, 99), "with the administrator two");
    // A lower maximum removes no peer; without one the room is open again.
    boss.done(set_room(|set| set.max_peers = Some(1))).await;
    boss.done(set_room(|set| set.max_peers = Some(0))).await;
    enter(&signaling, "late", Permissions::default()).await;
    let too_many = set_room(|set| set.max_peers = Some(limits::PEERS_PER_ROOM_MAX as u32 + 1));
    assert_eq!(boss.fails(too_many).await, ErrorCode::BadMessage);
}

#[tokio::test]
async fn locked_room_and_publishers_are_for_administrators() {
    let (engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let (mut ada, joined) = enter(&signaling, "ada", Permissions::default()).await;
    let send = ada.transport("send").await.id;
    let video = ada.produce(&send, "video").await;
    boss.done(set_room(|set| {
        set.locked = Some(true);
        set.publishers = Some("admins".into());
    }))
    .await;
    let closed = until(&mut ada, |payload| match payload {
        Payload::ProducerClosed(closed) => Some(closed.producer_id),
        _ => None,
    });
    assert_eq!(closed.await, video);
    let policy = until(&mut ada, |payload| match payload {
        Payload::RoomChanged(changed) => changed.policy,
        _ => None,
    });
    let policy = policy.await;
    assert!(policy.locked && policy.publishers == "admins" && !policy.waiting_room && policy.max_peers == 0);
    engine.received("to close the video", |c| matches!(c, Command::CloseProducer { .. })).await;
    assert_eq!(ada.fails(produce(&send, "video")).await, ErrorCode::PublishDenied);
    let bosss_send = boss.transport("send").await.id;
    boss.produce(&bosss_send, "video").await;

    let late = signaling.client();
    assert_eq!(
        late.fails(Payload::JoinRoom(entry("late", Permissions::default()))).await,
        ErrorCode::RoomLocked
    );
    let (_deputy, deputys) = enter(&signaling, "deputy", admin()).await;
    assert!(deputys.policy.expect("a policy").locked);
    // A resume is no entry.
    ada.disconnect();
    let again = signaling.client();
    let back = proto::JoinRoom { resume: Some(resume(&joined)), ..entry("ada", Permissions::default()) };
    assert!(again.join(back).await.resumed);
    let wrong = set_room(|set| set.publishers = Some("some".into()));
    assert_eq!(boss.fails(wrong).await, ErrorCode::BadMessage);
    // Each change is sent to everyone, so their rate is limited.
    let mut changes = 0;
    let code = loop {
        let request = set_room(|set| set.max_peers = Some(10 + changes % 2));
        match boss.ask(request).await {
            Payload::Ack(_) => changes += 1,
            Payload::Error(error) => break error.code(),
            other => panic!("{other:?}"),
        }
        assert!(changes < 1_000, "nothing bounds the changes");
    };
    assert_eq!(code, ErrorCode::Limit);
}

#[tokio::test]
async fn waiting_client_joins_when_it_is_admitted() {
    let (_engine, signaling) = start();
    let (mut boss, _) = enter(&signaling, "boss", admin()).await;
    boss.done(set_room(|set| set.waiting_room = Some(true))).await;
    let waits = async |user: &str| {
        let client = signaling.client();
        match client.ask(Payload::JoinRoom(entry(user, Permissions::default()))).await {
            Payload::Waiting(waiting) => {
                assert_eq!((waiting.room.as_str(), waiting.user.as_str()), ("r", user))
            }
            other => panic!("{other:?}"),
        }
        client
    };
    let waiting = |payload| match payload {
        Payload::PeerWaiting(waiting) => Some(waiting),
        _ => None,
    };
    let (mut ada, mut bob, carl) = (waits("ada").await, waits("bob").await, waits("carl").await);
    let [adas, bobs, carls] =
        [until(&mut boss, waiting).await, until(&mut boss, waiting).await, until(&mut boss, waiting).await];
    assert!(adas.user == "ada" && bobs.user == "bob" && !bobs.gone);
    // Nothing but waiting is possible.
    let create = Payload::CreateTransport(proto::CreateTransport { direction: "send".into() });
    assert_eq!(ada.fails(create).await, ErrorCode::WrongState);
    let join = || Payload::JoinRoom(entry("ada", Permissions::default()));
    assert_eq!(ada.fails(join()).await, ErrorCode::WrongState);
    let admit = |id: &str| Payload::AdmitPeer(proto::AdmitPeer { waiting_id: id.into() });
    let deny =
        |id: &str| Payload::DenyPeer(proto::DenyPeer { waiting_id: id.into(), reason: "not today".into() });
    // A second administrator finds them, and clients can give up.
    let (deputy, deputys) = enter(&signaling, "deputy", admin()).await;
    assert_eq!(deputys.waiting.len(), 3);
    carl.done(Payload::Leave(proto::Leave {})).await;
    let gone = until(&mut boss, waiting).await;
    assert!(gone.gone && gone.waiting_id == carls.waiting_id);
    assert_eq!(boss.fails(admit(&carls.waiting_id)).await, ErrorCode::NoSuchPeer);

    boss.done(admit(&adas.waiting_id)).await;
    assert_eq!(deputy.fails(admit(&adas.waiting_id)).await, ErrorCode::NoSuchPeer, "already");
    let joined = until(&mut ada, |payload| match payload {
        Payload::Joined(joined) => Some(joined),
        _ => None,
    });
    let joined = joined.await;
    assert_eq!((joined.user.as_str(), joined.peers.len(), joined.resumed), ("ada", 2, false));
    ada.transport("send").await;
    deputy.done(deny(&bobs.waiting_id)).await;
    let reason = until(&mut bob, |payload| match payload {
        Payload::Denied(denied) => Some(denied.reason),
        _ => None,
    });
    assert_eq!(reason.await, "not today");
    let leave = Payload::Leave(proto::Leave {});
    assert_eq!(bob.fails(leave).await, ErrorCode::WrongState);

    // A revocation reaches those that wait, a lost socket ends the wait, and a full room admits no client.
    let mut dora = waits("dora").await;
    let of = Revoked::User("dora".into());
    let until_later = Duration::from_secs(now() + 60);
    let revocation = Revocation { project: DEFAULT_PROJECT.into(), of, until: until_later };
    assert_eq!(signaling.rooms.revoke(revocation).expect("space"), 0);
    until(&mut dora, |payload| matches!(payload, Payload::Denied(_)).then_some(())).await;
    let eve = waits("eve").await;
    let eves = loop {
        let found = until(&mut boss, waiting).await;
        if found.user == "eve" {
            break found;
        }
    };
    boss.done(set_room(|set| set.max_peers = Some(3))).await;
    assert_eq!(boss.fails(admit(&eves.waiting_id)).await, ErrorCode::RoomFull);
    eve.disconnect();
    assert!(until(&mut boss, waiting).await.gone);
}

#[tokio::test]
async fn waiting_clients_are_bounded_and_end_with_the_room() {
    let (_engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    boss.done(set_room(|set| set.waiting_room = Some(true))).await;
    let mut clients = Vec::new();
    let mut adas = Vec::new();
    for number in 0..=limits::PEERS_PER_USER {
        let client = signaling.client();
        let join = Payload::JoinRoom(entry("ada", Permissions::default()));
        let is_too_often =
            matches!(client.ask(join).await, Payload::Error(error) if error.code() == ErrorCode::Limit);
        assert_eq!(is_too_often, number == limits::PEERS_PER_USER, "{number}");
        adas.push(client);
    }
    adas.into_iter().for_each(Client::disconnect);
    for number in 0..limits::WAITING_PER_ROOM_MAX {
        let client = signaling.client();
        let join = Payload::JoinRoom(entry(&format!("user-{number}"), Permissions::default()));
        assert!(matches!(client.ask(join).await, Payload::Waiting(_)));
        clients.push(client);
    }
    let one_more = signaling.client();
    let join = Payload::JoinRoom(entry("one more", Permissions::default()));
    assert_eq!(one_more.fails(join).await, ErrorCode::Limit);
    boss.done(Payload::Leave(proto::Leave {})).await;
    for client in &mut clients {
        assert!(matches!(client.notification().await, Payload::Denied(_)));
    }
}

#[tokio::test]
async fn producer_cannot_be_received_by_users_that_its_peer_does_not_name() {
    let (engine, signaling) = start();
    let (ada, _) = enter(&signaling, "ada", Permissions::default()).await;
    let (mut bob, _) = enter(&signaling, "bob", Permissions::default()).await;
    let (mut carl, _) = enter(&signaling, "carl", Permissions::default()).await;
    let send = ada.transport("send").await.id;
    let video = ada.produce(&send, "video").await;
    let (bobs, carls) = (bob.transport("recv").await.id, carl.transport("recv").await.id);
    let watched = bob.consume(&bobs, &video).await.id;
    let set = |everyone: bool, users: &[&str]| {
        let users = users.iter().map(|user| (*user).to_owned()).collect();
        Payload::SetSubscribers(proto::SetSubscribers { producer_id: video.clone(), everyone, users })
    };
    let announced = |payload| match payload {
        Payload::NewProducer(new) => new.producer.map(|producer| producer.id),
        _ => None,
    };
    assert_eq!(until(&mut carl, announced).await, video);
    ada.done(set(false, &["carl"])).await;
    let closed = until(&mut bob, |payload| match payload {
        Payload::ConsumerClosed(closed) => Some(closed.consumer_id),
        _ => None,
    });
    assert_eq!(closed.await, watched);
    engine.received("to close the consumer", |c| matches!(c, Command::CloseConsumer { .. })).await;
    assert_eq!(bob.fails(consume(&bobs, &video)).await, ErrorCode::SubscriptionDenied);
    assert_eq!(until(&mut carl, announced).await, video, "who may receive it now is notified");
    carl.consume(&carls, &video).await;
    ada.done(set(false, &[])).await;
    assert_eq!(carl.fails(consume(&carls, &video)).await, ErrorCode::SubscriptionDenied);
    ada.done(set(true, &[])).await;
    assert_eq!(until(&mut bob, announced).await, video);
    bob.consume(&bobs, &video).await;
    // Only the owner decides, within the bounds.
    assert_eq!(bob.fails(set(true, &[])).await, ErrorCode::NoSuchProducer);
    assert_eq!(ada.fails(set(true, &["bob"])).await, ErrorCode::BadMessage);
    assert_eq!(ada.fails(set(false, &["a\nb"])).await, ErrorCode::BadMessage);
    let names: Vec<_> = (0..=limits::SUBSCRIBERS_NAMED_MAX).map(|number| format!("user-{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(ada.fails(set(false, &names)).await, ErrorCode::Limit);
    bob.consume(&bobs, &video).await;
}

#[tokio::test]
async fn metadata_reaches_the_others() {
    let (_engine, signaling) = start();
    let permitted = Permissions { can_update_own_metadata: true, ..Permissions::default() };
    let (ada, adas) = enter(&signaling, "ada", permitted).await;
    let (mut bob, _) = enter(&signaling, "bob", Permissions::default()).await;
    let set = |name: Option<&str>, metadata: Option<&str>| {
        let (display_name, metadata) = (name.map(str::to_owned), metadata.map(str::to_owned));
        Payload::SetMetadata(proto::SetMetadata { display_name, metadata })
    };
    let changed = |payload| match payload {
        Payload::PeerChanged(changed) => Some((changed.peer_id, changed.display_name, changed.metadata)),
        _ => None,
    };
    let id = adas.peer_id.clone();
    for (name, metadata, seen) in [
        (Some("Ada L."), Some("hand up"), ("Ada L.", "hand up")),
        (None, Some(""), ("Ada L.", "")),
        (Some(""), None, ("ada", "")),
    ] {
        ada.done(set(name, metadata)).await;
        assert_eq!(until(&mut bob, changed).await, (id.clone(), seen.0.to_owned(), seen.1.to_owned()));
    }
    ada.done(set(None, Some("back soon"))).await;
    let (_carl, carls) = enter(&signaling, "carl", Permissions::default()).await;
    let info = carls.peers.iter().find(|peer| peer.id == id).expect("ada");
    assert_eq!((info.display_name.as_str(), info.metadata.as_str()), ("ada", "back soon"));
    let long = "x".repeat(limits::METADATA_BYTES_MAX + 1);
    assert_eq!(ada.fails(set(None, Some(&long))).await, ErrorCode::BadMessage);
    assert_eq!(ada.fails(set(Some("a\nb"), None)).await, ErrorCode::BadMessage);
}

/// The engine's data is enough for the next signaling process: policy, mutes, subscribers, removed peers.
#[tokio::test]
async fn what_administrators_decided_survives_a_restart_of_signaling() {
    let engine = Engine::start(&socket_path());
    let first = Signaling::start(&engine.path, Admission::TokenRequired(keyring()));
    let (boss, _) = enter(&first, "boss", admin()).await;
    let permitted = || Permissions { can_update_own_metadata: true, ..Permissions::default() };
    let (ada, adas) = enter(&first, "ada", permitted()).await;
    let (_bob, bobs) = enter(&first, "bob", Permissions::default()).await;
    boss.transport("recv").await;
    let send = ada.transport("send").await.id;
    let (video, audio) = (ada.produce(&send, "video").await, ada.produce(&send, "audio").await);
    boss.done(set_room(|set| {
        set.locked = Some(true);
        set.max_peers = Some(7);
    }))
    .await;
    boss.done(Payload::MuteProducer(proto::MuteProducer { producer_id: audio.clone(), muted: true })).await;
    boss.done(kick(&bobs.peer_id)).await;
    let named = proto::SetSubscribers {
        producer_id: video.clone(),
        users: vec!["boss".into()],
        ..Default::default()
    };
    ada.done(Payload::SetSubscribers(named)).await;
    let name = proto::SetMetadata { metadata: Some("hand up".into()), ..Default::default() };
    ada.done(Payload::SetMetadata(name)).await;
    engine
        .received("the metadata", |c| {
            let is_it = |app_data: &control::AppData| app_data.0.windows(7).any(|bytes| bytes == b"hand up");
            matches!(c, Command::SetAppData { app_data, .. } if is_it(app_data))
        })
        .await;
    first.kill().await;

    let second = Signaling::start(&engine.path, Admission::TokenRequired(keyring()));
    let (deputy, deputys) = enter(&second, "deputy", admin()).await;
    let policy = deputys.policy.expect("a policy");
    assert!(policy.locked && policy.max_peers == 7, "{policy:?}");
    let info = deputys.peers.iter().find(|peer| peer.id == adas.peer_id).expect("ada");
    assert_eq!(info.metadata, "hand up");
    let recv = deputy.transport("recv").await.id;
    assert_eq!(deputy.fails(consume(&recv, &video)).await, ErrorCode::SubscriptionDenied);
    let late = second.client();
    assert_eq!(
        late.fails(Payload::JoinRoom(entry("late", Permissions::default()))).await,
        ErrorCode::RoomLocked
    );
    assert_eq!(
        late.fails(Payload::JoinRoom(entry("bob", Permissions::default()))).await,
        ErrorCode::TokenRevoked
    );

    let ada = second.client();
    let held = |id: &str| proto::HeldProducer { id: id.into() };
    let resume = proto::Resume {
        transports: vec![proto::HeldTransport { id: send }],
        producers: vec![held(&video), held(&audio)],
        ..resume(&adas)
    };
    let back = ada.join(proto::JoinRoom { resume: Some(resume), ..entry("ada", permitted()) }).await;
    assert_eq!((back.resumed, back.muted_producers), (true, vec![audio.clone()]));
    let go_on = || Payload::ResumeProducer(proto::ResumeProducer { producer_id: audio.clone() });
    assert_eq!(ada.fails(go_on()).await, ErrorCode::Muted);
    deputy
        .done(Payload::MuteProducer(proto::MuteProducer { producer_id: audio.clone(), muted: false }))
        .await;
    ada.done(go_on()).await;
}
