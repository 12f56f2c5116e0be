//! Access: permissions, new tokens, revocations, kicks, subscribers and metadata.

mod harness;

use control::Command;
use harness::engine::{Engine, socket_path};
use harness::tokens::*;
use harness::{Client, Signaling, consume, dtls, join, produce, transport_id};
use signaling::auth::DEFAULT_PROJECT;
use signaling::auth::keyring::ApiKey;
use signaling::auth::revocations::{Revocation, Revoked};
use signaling::auth::session::TokenId;
use signaling::auth::token::{self, Claims, NumericDate, Permissions};
use signaling::limits;
use signaling::proto::{self, ErrorCode, signal::Payload};
use signaling::rooms::Admission;
use std::time::Duration;

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
            (true, Payload::Joined(_)) => outside.done(Payload::Leave(proto::Leave::default())).await,
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
        client.done(Payload::Leave(proto::Leave::default())).await;
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
    again.done(Payload::Leave(proto::Leave::default())).await;
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

    // Less: what is not permitted is closed. The audio has the source "camera" too.
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
    assert_eq!(ada.fails(Payload::Leave(proto::Leave::default())).await, ErrorCode::WrongState);
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
    carl.consume(&carls, &video).await;
    // Users that may receive it again are notified; the same list again notifies no one.
    ada.done(set(false, &["bob", "carl"])).await;
    assert_eq!(until(&mut bob, announced).await, video);
    for _ in 0..100 {
        ada.done(set(false, &["carl", "bob"])).await;
    }
    bob.no_more_notifications();
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

/// A flood of changes is limited, of which each reaches all others.
#[tokio::test]
async fn changes_of_metadata_and_subscribers_are_limited() {
    let (_engine, signaling) = start();
    let permitted = Permissions { can_update_own_metadata: true, ..Permissions::default() };
    let (ada, _) = enter(&signaling, "ada", permitted).await;
    let send = ada.transport("send").await.id;
    let producer_id = ada.produce(&send, "video").await;
    let mut refused = [0, 0];
    for number in 0..limits::PEER_CHANGES_BURST as usize + 20 {
        let (display_name, metadata) = (None, Some(number.to_string()));
        let set = Payload::SetMetadata(proto::SetMetadata { display_name, metadata });
        let users = vec![number.to_string()];
        let producer_id = producer_id.clone();
        let list = Payload::SetSubscribers(proto::SetSubscribers { producer_id, everyone: false, users });
        for (request, refused) in [set, list].into_iter().zip(&mut refused) {
            match ada.ask(request).await {
                Payload::Ack(_) => {}
                Payload::Error(error) => {
                    assert_eq!(error.code(), ErrorCode::Limit);
                    assert!(error.retry_after_ms > 0);
                    *refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(refused.iter().all(|refused| *refused > 0), "{refused:?}");
}

/// With the token from before a refresh, a removed peer cannot return either.
#[tokio::test]
async fn kick_revokes_the_earlier_tokens_of_the_peer() {
    let (_engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let (ada, joined) = enter(&signaling, "ada", Permissions::default()).await;
    for number in 0..3 {
        let later = Claims { jti: Some(format!("later {number}")), ..claims("ada", Permissions::default()) };
        let refresh = Payload::RefreshToken(proto::RefreshToken { token: token(&later) });
        assert!(matches!(ada.ask(refresh).await, Payload::TokenRefreshed(_)));
    }
    boss.done(kick(&joined.peer_id)).await;
    let again = signaling.client();
    let first = Payload::JoinRoom(entry("ada", Permissions::default()));
    assert_eq!(again.fails(first).await, ErrorCode::TokenRevoked);
    for number in 0..3 {
        let later = Claims { jti: Some(format!("later {number}")), ..claims("ada", Permissions::default()) };
        let join = proto::JoinRoom { token: token(&later), ..join("r", "") };
        assert_eq!(again.fails(Payload::JoinRoom(join)).await, ErrorCode::TokenRevoked, "{number}");
    }
}

/// The administrator gets the error that the token is not revoked, and the peer is removed.
#[tokio::test]
async fn kick_removes_the_peer_also_if_no_more_tokens_can_be_revoked() {
    let (_engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let (mut ada, joined) = enter(&signaling, "ada", Permissions::default()).await;
    let revocations = signaling.rooms.keyring().expect("tokens are required").revocations();
    let until_then = Duration::from_secs(now() + 3_600);
    for number in 0..limits::REVOCATIONS_MAX {
        let project = format!("p{}", number / limits::REVOCATIONS_PER_PROJECT_MAX);
        let of = Revoked::Key(number.to_string());
        let revocation = Revocation { project, of, until: until_then };
        revocations.add(revocation, Duration::from_secs(now())).expect("within the limit");
    }
    assert_eq!(boss.fails(kick(&joined.peer_id)).await, ErrorCode::Limit);
    until(&mut ada, |payload| matches!(payload, Payload::Evicted(_)).then_some(())).await;
}

/// A resume with other permissions keeps only what the policy of the room permits with them.
#[tokio::test]
async fn resume_respects_the_policy_of_the_room() {
    let (_engine, signaling) = start();
    let (boss, _) = enter(&signaling, "boss", admin()).await;
    let (ada, joined) = enter(&signaling, "ada", admin()).await;
    let send = ada.transport("send").await.id;
    let video = ada.produce(&send, "video").await;
    boss.done(set_room(|set| set.publishers = Some("admins".into()))).await;
    ada.disconnect();
    let transports = vec![proto::HeldTransport { id: send }];
    let producers = vec![proto::HeldProducer { id: video.clone() }];
    let back = proto::Resume { transports, producers, ..resume(&joined) };
    let join = proto::JoinRoom { resume: Some(back), ..entry("ada", Permissions::default()) };
    let joined = signaling.client().join(join).await;
    assert!(joined.resumed && joined.kept_producers.is_empty(), "{:?}", joined.kept_producers);
}

/// A user who is alone and reloads the page finds the room as it was.
#[tokio::test]
async fn room_outlives_the_take_over_of_its_only_peer() {
    let (_engine, signaling) = start();
    let (boss, joined) = enter(&signaling, "boss", admin()).await;
    let (mut bob, bobs) = enter(&signaling, "bob", Permissions::default()).await;
    boss.done(set_room(|set| set.waiting_room = Some(true))).await;
    boss.done(kick(&bobs.peer_id)).await;
    until(&mut bob, |payload| matches!(payload, Payload::Evicted(_)).then_some(())).await;
    let mut ada = signaling.client();
    let waiting = ada.ask(Payload::JoinRoom(entry("ada", Permissions::default()))).await;
    assert!(matches!(waiting, Payload::Waiting(_)), "{waiting:?}");
    boss.disconnect();
    let again = signaling.client();
    let permissions = Permissions { can_create_room: false, ..admin() };
    let back = again.join(proto::JoinRoom { take_over: true, ..entry("boss", permissions) }).await;
    assert!(!back.resumed && back.peer_id != joined.peer_id && back.peers.is_empty());
    let waiting_id = back.waiting.first().expect("who waits").waiting_id.clone();
    again.done(Payload::AdmitPeer(proto::AdmitPeer { waiting_id })).await;
    until(&mut ada, |payload| matches!(payload, Payload::Joined(_)).then_some(())).await;
}
