//! The object flow, from `JoinRoom` to `Leave`, with an engine behind the real ring.

mod harness;

use control::{Closed, Command};
use harness::engine::{Engine, socket_path};
use harness::{Client, Signaling, consume, dtls, join, produce, transport_id};
use proptest::prelude::*;
use prost::Message;
use signaling::auth::keyring::Keyring;
use signaling::auth::token::{self, Claims, NumericDate, Permissions};
use signaling::auth::turn::TurnServer;
use signaling::limits;
use signaling::proto::{self, ErrorCode, Signal, signal::Payload};
use signaling::rooms::Admission;
use std::time::Duration;

fn start() -> (Engine, Signaling) {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::Development { verifier: None });
    (engine, signaling)
}

/// A call may last longer than the credential of its join: new transports and ICE restarts get a new one.
#[tokio::test]
async fn new_transport_and_ice_restart_have_a_new_turn_credential() {
    const TTL: Duration = Duration::from_secs(600);
    let engine = Engine::start(&socket_path());
    let urls = vec!["turn:192.0.2.1:3478?transport=udp".to_owned()];
    let turn = TurnServer::new(urls.clone(), "north", TTL).unwrap_or_else(|error| panic!("{error}"));
    let signaling = Signaling::start_with_turn(&engine.path, turn);
    let ada = signaling.client();
    let expiry = |servers: &[proto::IceServer], user: &str| -> u64 {
        let [server] = servers else { panic!("{servers:?}") };
        assert_eq!(server.urls, urls);
        let (expiry, name) = server.username.split_once(':').expect("EXPIRY:USER");
        assert_eq!(name, user);
        expiry.parse().expect("seconds")
    };
    let joined = ada.join(join("stage", "Ada")).await;
    let at_join = expiry(&joined.ice_servers, &joined.user);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let transport = ada.transport("send").await;
    let at_transport = expiry(&transport.ice_servers, &joined.user);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let restart = Payload::RestartIce(proto::RestartIce { transport_id: transport.id });
    let Payload::IceRestarted(restarted) = ada.ask(restart).await else { panic!("no restart") };
    let at_restart = expiry(&restarted.ice_servers, &joined.user);
    assert!(at_join < at_transport && at_transport < at_restart, "{at_join}, {at_transport}, {at_restart}");
}

#[tokio::test]
async fn two_peers_join_exchange_media_and_leave() {
    let (engine, signaling) = start();
    let (mut ada, mut bob) = (signaling.client(), signaling.client());
    let ada_joined = ada.join(join("stage", "Ada")).await;
    assert_eq!((ada_joined.room.as_str(), ada_joined.display_name.as_str()), ("stage", "Ada"));
    assert_eq!(ada_joined.engine_epoch, format!("{:016x}", engine.epoch));
    assert!(ada_joined.peers.is_empty() && !ada_joined.resumed && ada_joined.resume_secret.len() == 32);

    let send = ada.transport("send").await;
    assert!(send.ice_parameters.is_some_and(|ice| ice.ice_lite));
    assert_eq!(send.ice_candidates[0].port, 7000);
    ada.done(Payload::ConnectTransport(proto::ConnectTransport {
        transport_id: send.id.clone(),
        dtls_parameters: dtls("client"),
    }))
    .await;
    engine.received("the fingerprint", |command| {
        matches!(command, Command::ConnectTransport { fingerprint, .. } if *fingerprint == [0xab; 32])
    })
    .await;
    let video = ada.produce(&send.id, "video").await;

    let bob_joined = bob.join(join("stage", "")).await;
    assert!(bob_joined.display_name.starts_with("guest-"));
    assert_eq!(bob_joined.peers.len(), 1);
    assert_eq!(bob_joined.peers[0].producers[0].id, video);
    assert_eq!(bob_joined.peers[0].producers[0].source, "camera");
    assert!(matches!(ada.notification().await, Payload::PeerJoined(_)));

    let audio = ada.produce(&send.id, "audio").await;
    match bob.notification().await {
        Payload::NewProducer(new) => {
            assert_eq!(new.peer_id, ada_joined.peer_id);
            assert_eq!(new.producer.expect("what").id, audio);
        }
        other => panic!("{other:?}"),
    }

    let recv = bob.transport("recv").await;
    let (eye, ear) = (bob.consume(&recv.id, &video).await, bob.consume(&recv.id, &audio).await);
    assert!(eye.paused && ear.paused && eye.kind == "video" && ear.kind == "audio");
    let (eye_parameters, ear_parameters) =
        (eye.rtp_parameters.expect("parameters"), ear.rtp_parameters.expect("parameters"));
    assert_ne!(eye_parameters.mid, ear_parameters.mid);
    assert_ne!(eye_parameters.encodings[0].ssrc, ear_parameters.encodings[0].ssrc);
    assert_eq!(eye_parameters.rtcp, ear_parameters.rtcp, "one peer, one CNAME: its tracks play in sync");
    bob.done(Payload::ResumeConsumer(proto::ResumeConsumer { consumer_id: eye.id.clone() })).await;

    ada.done(Payload::PauseProducer(proto::PauseProducer { producer_id: video.clone() })).await;
    assert!(
        matches!(bob.notification().await, Payload::ProducerPaused(paused) if paused.producer_id == video)
    );
    ada.done(Payload::ResumeProducer(proto::ResumeProducer { producer_id: video.clone() })).await;
    assert!(matches!(bob.notification().await, Payload::ProducerResumed(_)));
    match ada.ask(Payload::RestartIce(proto::RestartIce { transport_id: send.id.clone() })).await {
        Payload::IceRestarted(restarted) => assert!(restarted.ice_parameters.is_some()),
        other => panic!("{other:?}"),
    }

    ada.done(Payload::CloseProducer(proto::CloseProducer { producer_id: audio.clone() })).await;
    assert!(
        matches!(bob.notification().await, Payload::ConsumerClosed(closed) if closed.consumer_id == ear.id)
    );
    assert!(
        matches!(bob.notification().await, Payload::ProducerClosed(closed) if closed.producer_id == audio)
    );
    let gone = Payload::CloseConsumer(proto::CloseConsumer { consumer_id: ear.id });
    assert_eq!(bob.fails(gone).await, ErrorCode::NoSuchConsumer);

    ada.done(Payload::Leave(proto::Leave::default())).await;
    assert!(
        matches!(bob.notification().await, Payload::ConsumerClosed(closed) if closed.consumer_id == eye.id)
    );
    assert!(
        matches!(bob.notification().await, Payload::PeerLeft(left) if left.peer_id == ada_joined.peer_id)
    );
    bob.no_more_notifications();
    let sending = transport_id(&send.id);
    engine
        .received(
            "to close Ada's transport",
            |c| matches!(c, Command::CloseTransport { transport } if *transport == sending),
        )
        .await;
    assert_eq!(ada.fails(Payload::Leave(proto::Leave::default())).await, ErrorCode::WrongState);

    bob.done(Payload::Leave(proto::Leave::default())).await;
    engine.received("to close the empty room's router", |c| matches!(c, Command::CloseRouter { .. })).await;
    ada.no_more_notifications();
}

#[tokio::test]
async fn every_error_has_its_code_and_keeps_the_connection() {
    let (_engine, signaling) = start();
    let (ada, bob) = (signaling.client(), signaling.client());
    let create =
        |direction: &str| Payload::CreateTransport(proto::CreateTransport { direction: direction.into() });
    assert_eq!(ada.fails(create("send")).await, ErrorCode::WrongState);
    for room in ["", "a b", "ü", &"r".repeat(65)] {
        assert_eq!(ada.fails(Payload::JoinRoom(join(room, ""))).await, ErrorCode::BadMessage, "{room}");
    }
    assert_eq!(ada.fails(Payload::JoinRoom(join("r", &"n".repeat(65)))).await, ErrorCode::BadMessage);
    assert_eq!(ada.fails(Payload::Offer(proto::Offer::default())).await, ErrorCode::WrongState);
    assert_eq!(ada.fails(Payload::Ack(proto::Ack {})).await, ErrorCode::UnsupportedMessage);
    ada.join(join("r", "Ada")).await;
    bob.join(join("r", "Bob")).await;
    assert_eq!(ada.fails(Payload::JoinRoom(join("r", "Ada"))).await, ErrorCode::WrongState);

    assert_eq!(ada.fails(create("both")).await, ErrorCode::BadMessage);
    let (send, recv) = (ada.transport("send").await.id, ada.transport("recv").await.id);
    let connect = |id: &str, role| {
        Payload::ConnectTransport(proto::ConnectTransport {
            transport_id: id.into(),
            dtls_parameters: dtls(role),
        })
    };
    assert_eq!(ada.fails(connect(&send, "peer")).await, ErrorCode::BadMessage);
    assert_eq!(bob.fails(connect(&send, "client")).await, ErrorCode::NoSuchTransport, "it is Ada's");
    assert_eq!(ada.fails(connect("", "client")).await, ErrorCode::NoSuchTransport);
    assert_eq!(ada.fails(produce(&recv, "video")).await, ErrorCode::WrongDirection);
    assert_eq!(ada.fails(produce(&send, "smell")).await, ErrorCode::BadMessage);
    let video = ada.produce(&send, "video").await;
    assert_eq!(ada.fails(consume(&send, &video)).await, ErrorCode::WrongDirection);
    assert_eq!(
        ada.fails(consume(&recv, &video)).await,
        ErrorCode::NoSuchProducer,
        "a peer cannot consume its own producer"
    );
    let bobs = bob.transport("recv").await.id;
    let deaf = proto::ConsumeMedia {
        transport_id: bobs.clone(),
        producer_id: video.clone(),
        rtp_capabilities: Some(proto::RtpCapabilities::default()),
        ..Default::default()
    };
    assert_eq!(bob.fails(Payload::ConsumeMedia(deaf)).await, ErrorCode::CannotConsume);
    let pause = Payload::PauseProducer(proto::PauseProducer { producer_id: video.clone() });
    assert_eq!(bob.fails(pause).await, ErrorCode::NoSuchProducer, "it is Ada's");

    for _ in 1..limits::PRODUCERS_PER_PEER_MAX {
        ada.produce(&send, "audio").await;
    }
    assert_eq!(ada.fails(produce(&send, "audio")).await, ErrorCode::Limit);
    for _ in 2..limits::TRANSPORTS_PER_PEER_MAX {
        ada.transport("send").await;
    }
    assert_eq!(ada.fails(create("send")).await, ErrorCode::Limit);

    let eve = signaling.client();
    eve.join(join("elsewhere", "Eve")).await;
    let eves = eve.transport("recv").await.id;
    assert_eq!(eve.fails(consume(&eves, &video)).await, ErrorCode::NoSuchProducer, "it is in another room");
    bob.consume(&bobs, &video).await;
}

#[tokio::test]
async fn peer_with_a_lost_connection_stays_for_a_while() {
    let (engine, signaling) = start();
    let (ada, mut bob) = (signaling.client(), signaling.client());
    bob.join(join("r", "Bob")).await;
    let joined = ada.join(join("r", "Ada")).await;
    assert!(matches!(bob.notification().await, Payload::PeerJoined(_)));
    let (send, extra) = (ada.transport("send").await.id, ada.transport("recv").await.id);
    let video = ada.produce(&send, "video").await;
    assert!(matches!(bob.notification().await, Payload::NewProducer(_)));

    ada.disconnect();
    assert!(matches!(bob.notification().await, Payload::PeerAway(away) if away.away));
    let mut ada = signaling.client();
    let resume = proto::Resume {
        peer_id: joined.peer_id.clone(),
        secret: joined.resume_secret.clone(),
        engine_epoch: joined.engine_epoch.clone(),
        transports: vec![proto::HeldTransport { id: send.clone() }],
        producers: vec![proto::HeldProducer { id: video.clone() }],
        consumers: vec![proto::HeldConsumer { id: "0000000000000001".into() }],
        position: None,
    };
    let again = |resume: &proto::Resume| proto::JoinRoom { resume: Some(resume.clone()), ..join("r", "") };
    let thief = proto::Resume { secret: vec![0; 32], ..resume.clone() };
    assert_eq!(ada.fails(Payload::JoinRoom(again(&thief))).await, ErrorCode::ResumeSecret);
    let back = ada.join(again(&resume)).await;
    assert!(back.resumed && back.peer_id == joined.peer_id && back.display_name == "Ada");
    assert_eq!((back.kept_transports, back.kept_producers), (vec![send.clone()], vec![video.clone()]));
    assert!(back.kept_consumers.is_empty());
    assert!(matches!(bob.notification().await, Payload::PeerAway(away) if !away.away));
    let dropped = transport_id(&extra);
    engine
        .received(
            "to close what Ada forgot",
            |c| matches!(c, Command::CloseTransport { transport } if *transport == dropped),
        )
        .await;

    // The same peer on another connection: the first one is notified and closed.
    let elsewhere = signaling.client();
    assert!(elsewhere.join(again(&resume)).await.resumed);
    assert!(matches!(ada.notification().await, Payload::Evicted(_)));
    assert!(ada.is_closed_by_server().await);
    ada.disconnect();
    bob.no_more_notifications();

    elsewhere.disconnect();
    assert!(matches!(bob.notification().await, Payload::PeerAway(away) if away.away));
    assert!(matches!(bob.notification().await, Payload::PeerLeft(left) if left.peer_id == joined.peer_id));
    let sending = transport_id(&send);
    engine
        .received(
            "to close Ada's transport",
            |c| matches!(c, Command::CloseTransport { transport } if *transport == sending),
        )
        .await;
    let late = signaling.client();
    let new = late.join(again(&resume)).await;
    assert!(!new.resumed && new.peer_id != joined.peer_id, "too late: a new peer");
}

#[tokio::test]
async fn events_of_the_engine_are_sent_to_the_affected_peers() {
    let (engine, signaling) = start();
    let (mut ada, mut bob) = (signaling.client(), signaling.client());
    ada.join(join("r", "Ada")).await;
    bob.join(join("r", "Bob")).await;
    assert!(matches!(ada.notification().await, Payload::PeerJoined(_)));
    // Each reason for which the engine closes a transport on its own, and an overflow of events.
    let reasons = [
        Some((Closed::ConsentLost, "the client stopped answering (RFC 7675)")),
        Some((Closed::KeysUsedUp, "its keys have protected the maximum number of streams")),
        Some((Closed::Fault, "the media engine had an internal error; connect again")),
        None,
    ];
    for closed in reasons {
        let send = ada.transport("send").await.id;
        let video = ada.produce(&send, "video").await;
        assert!(matches!(bob.notification().await, Payload::NewProducer(_)));
        let recv = bob.transport("recv").await.id;
        let consumer = bob.consume(&recv, &video).await.id;
        match closed {
            Some((closed, _)) => engine.close_transport(transport_id(&send), closed),
            None => engine.overflow(transport_id(&send)),
        }
        // After an overflow only the transport is reported; otherwise its producer was reported before.
        if closed.is_some() {
            assert!(
                matches!(ada.notification().await, Payload::ProducerClosed(closed) if closed.producer_id == video)
            );
        }
        let Payload::TransportClosed(notification) = ada.notification().await else { panic!("{closed:?}") };
        assert_eq!(notification.transport_id, send);
        assert!(closed.is_none_or(|(_, reason)| notification.reason == reason), "{}", notification.reason);
        assert!(
            matches!(bob.notification().await, Payload::ConsumerClosed(closed) if closed.consumer_id == consumer)
        );
        assert!(
            matches!(bob.notification().await, Payload::ProducerClosed(closed) if closed.producer_id == video)
        );
        ada.no_more_notifications();
        bob.no_more_notifications();
        bob.done(Payload::CloseTransport(proto::CloseTransport { transport_id: recv })).await;
    }
}

#[tokio::test]
async fn rooms_are_placed_on_all_workers_and_a_silent_engine_is_reported() {
    let (engine, signaling) = start();
    let (ada, bob) = (signaling.client(), signaling.client());
    ada.join(join("one", "Ada")).await;
    bob.join(join("two", "Bob")).await;
    ada.transport("send").await;
    let transport = bob.transport("send").await.id;
    engine.fall_silent();
    assert_eq!(bob.fails(produce(&transport, "audio")).await, ErrorCode::EngineUnavailable);
    engine.received("to undo what it may have done", |c| matches!(c, Command::CloseProducer { .. })).await;
}

#[tokio::test]
async fn request_that_is_dropped_before_its_answer_is_undone() {
    let (engine, signaling) = start();
    let ada = signaling.client();
    ada.join(join("r", "Ada")).await;
    let send = ada.transport("send").await.id;
    engine.fall_silent();
    let request = ada.ask(produce(&send, "video"));
    tokio::time::timeout(Duration::from_millis(200), request).await.expect_err("the engine is silent");
    engine
        .received("to close what it may have created", |command| {
            matches!(command, Command::CloseProducer { .. })
        })
        .await;
}

/// A token for `room`.
fn token(room: &str, permissions: Permissions) -> String {
    token_until(u64::MAX, room, permissions)
}

fn token_until(exp: u64, room: &str, permissions: Permissions) -> String {
    token_of("ada", exp, room, permissions)
}

fn token_of(user: &str, exp: u64, room: &str, permissions: Permissions) -> String {
    let claims = Claims { permissions, ..Claims::new(user, room, NumericDate(exp)) };
    token::mint(&claims, SECRET).expect("a good secret")
}

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn token_admits_only_to_its_room() {
    let engine = Engine::start(&socket_path());
    let verifier = Keyring::with_secret(SECRET, Duration::ZERO).expect("a good secret");
    let signaling = Signaling::start(&engine.path, Admission::TokenRequired(verifier));
    let ada = signaling.client();
    let with = |room: &str, token: String| proto::JoinRoom { token, ..join(room, "") };
    let all = Permissions::default();
    assert_eq!(ada.fails(Payload::JoinRoom(join("r", ""))).await, ErrorCode::TokenMissing);
    assert_eq!(
        ada.fails(Payload::JoinRoom(with("r", token("other", all.clone())))).await,
        ErrorCode::TokenRoom
    );
    let mute = Permissions { can_publish: false, ..Permissions::default() };
    let joined = ada.join(with("r", token("r", mute))).await;
    assert_eq!((joined.user.as_str(), joined.display_name.as_str()), ("ada", "ada"));
    // Clients create both transports; a token may forbid to use one of them.
    let (send, recv) = (ada.transport("send").await.id, ada.transport("recv").await.id);
    assert_eq!(ada.fails(produce(&send, "video")).await, ErrorCode::TokenPermission);

    let bob = signaling.client();
    let deaf = Permissions { can_subscribe: false, ..Permissions::default() };
    bob.join(with("r", token("r", deaf))).await;
    let (bobs_send, bobs_recv) = (bob.transport("send").await.id, bob.transport("recv").await.id);
    let video = bob.produce(&bobs_send, "video").await;
    assert_eq!(bob.fails(consume(&bobs_recv, &video)).await, ErrorCode::TokenPermission);
    ada.consume(&recv, &video).await;
}

#[tokio::test]
async fn call_continues_after_its_token_expired() {
    let engine = Engine::start(&socket_path());
    let verifier = Keyring::with_secret(SECRET, Duration::ZERO).expect("a good secret");
    let signaling = Signaling::start(&engine.path, Admission::TokenRequired(verifier));
    let mute = Permissions { can_publish: false, ..Permissions::default() };
    let first = signaling.client();
    let joined = first.join(proto::JoinRoom { token: token("r", mute), ..join("r", "") }).await;
    let send = first.transport("send").await.id;
    first.disconnect();

    // A token that expired long ago, and one with more permissions.
    let expired = |room: &str| token_until(1, room, Permissions::default());
    let resume = |secret: &[u8]| proto::Resume {
        peer_id: joined.peer_id.clone(),
        secret: secret.to_vec(),
        transports: vec![proto::HeldTransport { id: send.clone() }],
        ..Default::default()
    };
    let again = |token: String, resume: Option<proto::Resume>| {
        Payload::JoinRoom(proto::JoinRoom { token, resume, ..join("r", "") })
    };
    let ada = signaling.client();
    let secret = &joined.resume_secret;
    assert_eq!(ada.fails(again(expired("r"), None)).await, ErrorCode::TokenExpired);
    assert_eq!(ada.fails(again(expired("r"), Some(resume(&[7; 32])))).await, ErrorCode::TokenExpired);
    assert_eq!(ada.fails(again(expired("other"), Some(resume(secret)))).await, ErrorCode::TokenRoom);
    let stranger = proto::Resume { peer_id: "0000000000000001".into(), ..resume(secret) };
    assert_eq!(ada.fails(again(expired("r"), Some(stranger))).await, ErrorCode::TokenExpired);
    match ada.ask(again(expired("r"), Some(resume(secret)))).await {
        Payload::Joined(back) => assert!(back.resumed && back.peer_id == joined.peer_id),
        other => panic!("{other:?}"),
    }
    assert_eq!(ada.fails(produce(&send, "video")).await, ErrorCode::TokenPermission, "as before");

    // After leaving, a valid token is needed again.
    ada.done(Payload::Leave(proto::Leave::default())).await;
    assert_eq!(ada.fails(again(expired("r"), Some(resume(secret)))).await, ErrorCode::TokenExpired);
}

#[tokio::test]
async fn token_with_fewer_permissions_closes_what_it_does_not_permit() {
    let engine = Engine::start(&socket_path());
    let verifier = Keyring::with_secret(SECRET, Duration::ZERO).expect("a good secret");
    let signaling = Signaling::start(&engine.path, Admission::TokenRequired(verifier));
    let with = |permissions| proto::JoinRoom { token: token("r", permissions), ..join("r", "") };
    let ada = signaling.client();
    let joined = ada.join(with(Permissions::default())).await;
    let send = ada.transport("send").await.id;
    let video = ada.produce(&send, "video").await;
    ada.disconnect();

    let ada = signaling.client();
    let resume = proto::Resume {
        peer_id: joined.peer_id.clone(),
        secret: joined.resume_secret.clone(),
        transports: vec![proto::HeldTransport { id: send.clone() }],
        producers: vec![proto::HeldProducer { id: video.clone() }],
        ..Default::default()
    };
    let mute = Permissions { can_publish: false, ..Permissions::default() };
    let back = ada.join(proto::JoinRoom { resume: Some(resume), ..with(mute) }).await;
    assert!(back.resumed && back.kept_transports == [send] && back.kept_producers.is_empty());
    engine.received("to close the video", |c| matches!(c, Command::CloseProducer { .. })).await;
}

/// The engine stores the permissions of a peer for the next signaling process, including changes by a later
/// token.
#[tokio::test]
async fn reduced_permissions_stay_reduced_after_a_restart() {
    let engine = Engine::start(&socket_path());
    let admission = || {
        let verifier = Keyring::with_secret(SECRET, Duration::ZERO).expect("a good secret");
        Admission::TokenRequired(verifier)
    };
    let first = Signaling::start(&engine.path, admission());
    let all = Permissions { can_use_plain_transports: true, ..Permissions::default() };
    let ada = first.client();
    let joined = ada.join(proto::JoinRoom { token: token("r", all.clone()), ..join("r", "") }).await;
    let (send, recv) = (ada.transport("send").await.id, ada.transport("recv").await.id);
    ada.disconnect();
    let resume = || proto::Resume {
        peer_id: joined.peer_id.clone(),
        secret: joined.resume_secret.clone(),
        transports: [&send, &recv].map(|id| proto::HeldTransport { id: id.clone() }).to_vec(),
        ..Default::default()
    };
    let again = |token: String| proto::JoinRoom { token, resume: Some(resume()), ..join("r", "") };
    let mute = Permissions { can_publish: false, ..Permissions::default() };
    let ada = first.client();
    assert!(ada.join(again(token("r", mute))).await.resumed);
    assert_eq!(ada.fails(produce(&send, "video")).await, ErrorCode::TokenPermission);
    first.kill().await;
    drop(ada);

    let second = Signaling::start(&engine.path, admission());
    let ada = second.client();
    // A token from before the change that has expired: sufficient to continue, but not to restore
    // permissions.
    let back = ada.join(again(token_until(1, "r", all))).await;
    assert!(back.resumed && back.kept_transports.len() == 2, "{back:?}");
    assert_eq!(ada.fails(produce(&send, "video")).await, ErrorCode::TokenPermission);
    let plain = proto::CreatePlainTransport { direction: "send".into(), ..Default::default() };
    assert_eq!(ada.fails(Payload::CreatePlainTransport(plain)).await, ErrorCode::TokenPermission);
}

#[tokio::test]
async fn peers_of_one_user_in_a_room_are_bounded() {
    let engine = Engine::start(&socket_path());
    let verifier = Keyring::with_secret(SECRET, Duration::ZERO).expect("a good secret");
    let signaling = Signaling::start(&engine.path, Admission::TokenRequired(verifier));
    let of = |user: &str, room: &str| {
        let token = token_of(user, u64::MAX, room, Permissions::default());
        proto::JoinRoom { token, ..join(room, "") }
    };
    let mut bob = signaling.client();
    bob.join(of("bob", "r")).await;
    let mut adas = Vec::new();
    for _ in 0..limits::PEERS_PER_USER {
        let ada = signaling.client();
        ada.join(of("ada", "r")).await;
        assert!(matches!(bob.notification().await, Payload::PeerJoined(_)));
        adas.push(ada);
    }
    let another = signaling.client();
    assert_eq!(another.fails(Payload::JoinRoom(of("ada", "r"))).await, ErrorCode::Limit);
    let taking_over = proto::JoinRoom { take_over: true, ..of("ada", "r") };
    assert_eq!(another.fails(Payload::JoinRoom(taking_over.clone())).await, ErrorCode::Limit, "none is away");
    bob.no_more_notifications();
    let elsewhere = signaling.client();
    elsewhere.join(of("ada", "other")).await;
    signaling.client().join(of("carl", "r")).await;
    assert!(matches!(bob.notification().await, Payload::PeerJoined(_)));

    // Of three absent peers, the longest absent is replaced; a take-over replaces all of them.
    for ada in adas.drain(..3) {
        ada.disconnect();
        assert!(matches!(bob.notification().await, Payload::PeerAway(away) if away.away));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    another.join(of("ada", "r")).await;
    assert!(matches!(bob.notification().await, Payload::PeerJoined(_)));
    assert!(matches!(bob.notification().await, Payload::PeerLeft(_)));
    let last = signaling.client();
    last.join(taking_over).await;
    assert!(matches!(bob.notification().await, Payload::PeerJoined(_)));
    for _ in 0..2 {
        assert!(matches!(bob.notification().await, Payload::PeerLeft(_)));
    }
    bob.no_more_notifications();
}

#[tokio::test]
async fn joins_of_one_user_do_not_use_up_the_joins_of_others() {
    let engine = Engine::start(&socket_path());
    let verifier = Keyring::with_secret(SECRET, Duration::ZERO).expect("a good secret");
    let signaling = Signaling::start(&engine.path, Admission::TokenRequired(verifier));
    let of = |user: &str| {
        let token = token_of(user, u64::MAX, "r", Permissions::default());
        Payload::JoinRoom(proto::JoinRoom { token, ..join("r", "") })
    };
    let ada = signaling.client();
    let mut joins = 0;
    while matches!(ada.ask(of("ada")).await, Payload::Joined(_)) {
        ada.done(Payload::Leave(proto::Leave::default())).await;
        joins += 1;
        assert!(joins < limits::MESSAGES_BURST as usize / 2, "nothing bounds the joins of one user");
    }
    match signaling.client().ask(of("bob")).await {
        Payload::Joined(_) => {}
        other => panic!("after {joins} joins of another user: {other:?}"),
    }
}

#[tokio::test]
async fn router_of_one_successful_request_is_not_closed_by_a_failed_one() {
    let (engine, signaling) = start();
    let (ada, bob) = (signaling.client(), signaling.client());
    ada.join(join("r", "Ada")).await;
    bob.join(join("r", "Bob")).await;
    engine.lose_answers(1);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let create = Payload::CreateTransport(proto::CreateTransport { direction: "send".into() });
    let later = async {
        engine.received("to make the router", |c| matches!(c, Command::CreateRouter { .. })).await;
        bob.transport("send").await.id
    };
    // The answer for Ada is lost, the answer for Bob arrives: her request fails while his router is in use.
    let (first, second) = tokio::join!(ada.ask(create), later);
    assert!(matches!(first, Payload::TransportCreated(_)), "{first:?}");
    bob.produce(&second, "audio").await;
    assert!(!engine.commands().iter().any(|command| matches!(command, Command::CloseRouter { .. })));
}

#[tokio::test]
async fn router_without_a_successful_request_is_closed_and_created_again() {
    let (engine, signaling) = start();
    let (ada, bob) = (signaling.client(), signaling.client());
    ada.join(join("r", "Ada")).await;
    bob.join(join("r", "Bob")).await;
    engine.lose_answers(2);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let create = || Payload::CreateTransport(proto::CreateTransport { direction: "send".into() });
    let (first, second) = tokio::join!(ada.fails(create()), bob.fails(create()));
    assert_eq!((first, second), (ErrorCode::EngineUnavailable, ErrorCode::EngineUnavailable));
    engine.received("to close the router", |c| matches!(c, Command::CloseRouter { .. })).await;
    let transport = ada.transport("send").await.id;
    ada.produce(&transport, "audio").await;
}

#[tokio::test]
async fn clients_without_a_token_do_not_use_up_joins() {
    let engine = Engine::start(&socket_path());
    let verifier = Keyring::with_secret(SECRET, Duration::ZERO).expect("a good secret");
    let signaling = Signaling::start(&engine.path, Admission::TokenRequired(verifier));
    let stranger = signaling.client();
    for _ in 0..2 * limits::JOINS_BURST as usize {
        assert_eq!(stranger.fails(Payload::JoinRoom(join("r", ""))).await, ErrorCode::TokenMissing);
    }
    let with_token = proto::JoinRoom { token: token("r", Permissions::default()), ..join("r", "") };
    signaling.client().join(with_token).await;
}

#[tokio::test]
async fn development_mode_needs_no_token_but_applies_the_one_that_is_shown() {
    let engine = Engine::start(&socket_path());
    let verifier = Keyring::with_secret(SECRET, Duration::ZERO).expect("a good secret");
    let signaling = Signaling::start(&engine.path, Admission::Development { verifier: Some(verifier) });
    let with = |token: String| proto::JoinRoom { token, ..join("r", "") };
    let all = Permissions::default();
    let guest = signaling.client();
    assert!(guest.join(with(String::new())).await.user.starts_with("guest"));
    let ada = signaling.client();
    assert_eq!(ada.fails(Payload::JoinRoom(with(token("other", all.clone())))).await, ErrorCode::TokenRoom);
    assert_eq!(ada.join(with(token("r", all))).await.user, "ada");
}

#[tokio::test]
async fn invalid_packets_count_as_messages() {
    let (_engine, signaling) = start();
    let client = signaling.client();
    for _ in 0..limits::MESSAGES_BURST as usize + 500 {
        client.send_invalid_packet();
    }
    // A pause of this thread refills the bucket with a few messages.
    let mut is_limited = false;
    for _ in 0..100 {
        is_limited |= client.fails(Payload::Leave(proto::Leave::default())).await == ErrorCode::Limit;
    }
    assert!(is_limited);
}

#[tokio::test]
async fn random_bytes_get_an_answer() {
    let (_engine, signaling) = start();
    let stranger = signaling.client();
    let ada = signaling.client();
    ada.join(join("r", "Ada")).await;
    let transport = ada.transport("send").await.id;
    let valid =
        Signal { version: "1".into(), payload: Some(produce(&transport, "video")), ..Default::default() }
            .encode_to_vec();
    let runtime = tokio::runtime::Handle::current();
    let clients = [stranger, ada];
    let version = |version: &str| {
        Signal {
            version: version.into(),
            payload: Some(Payload::Leave(proto::Leave::default())),
            ..Default::default()
        }
        .encode_to_vec()
    };
    for (bytes, code) in [
        (vec![0xff; 40], ErrorCode::BadMessage),
        (vec![0; limits::MESSAGE_BYTES_MAX + 1], ErrorCode::BadMessage),
        (Vec::new(), ErrorCode::UnsupportedVersion),
        (version("2"), ErrorCode::UnsupportedVersion),
        (Signal { version: "1".into(), ..Default::default() }.encode_to_vec(), ErrorCode::UnsupportedMessage),
        // An unknown payload: field 2,000, empty.
        ([version("1.9")[..5].to_vec(), vec![0x82, 0x7d, 0x00]].concat(), ErrorCode::UnsupportedMessage),
    ] {
        match clients[1].ask_bytes(&bytes).await {
            Payload::Error(error) => assert_eq!(error.code(), code, "{}", error.message),
            other => panic!("{other:?}"),
        }
    }
    tokio::task::spawn_blocking(move || {
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(400));
        let ask = |client: &Client, bytes: &[u8]| runtime.block_on(client.ask_bytes(bytes));
        runner
            .run(&proptest::collection::vec(any::<u8>(), 0..300), |bytes| {
                for client in &clients {
                    prop_assert!(matches!(ask(client, &bytes), Payload::Error(_)));
                }
                Ok(())
            })
            .expect("arbitrary bytes are refused");
        runner
            .run(&(0..valid.len(), any::<u8>(), any::<bool>()), |(at, byte, cut)| {
                let mut bytes = valid.clone();
                bytes[at] = byte;
                if cut {
                    bytes.truncate(at);
                }
                // The result may be a valid request; it must get some answer.
                clients.iter().for_each(|client| _ = ask(client, &bytes));
                Ok(())
            })
            .expect("damaged requests are answered");
    })
    .await
    .expect("no panic");
}

#[tokio::test]
async fn display_name_in_the_token_takes_precedence() {
    let engine = Engine::start(&socket_path());
    let verifier = Keyring::with_secret(SECRET, Duration::ZERO).expect("a good secret");
    let signaling = Signaling::start(&engine.path, Admission::TokenRequired(verifier));
    let signed = |name: Option<&str>| {
        let name = name.map(str::to_owned);
        let claims = Claims { name, ..Claims::new("ada", "r", NumericDate(u64::MAX)) };
        token::mint(&claims, SECRET).expect("a good secret")
    };
    let long = "x".repeat(limits::DISPLAY_NAME_LEN_MAX + 1);
    for (name, typed, shown) in [
        (Some("Ada Lovelace"), "The Host", "Ada Lovelace"),
        (Some(" "), "The Host", "The Host"),
        (Some("Ada\u{202a}\n"), "", "Ada\u{202a}"),
        (Some(long.as_str()), "", &long[1..]),
        (None, "The Host", "The Host"),
        (None, "", "ada"),
    ] {
        let client = signaling.client();
        let join = proto::JoinRoom { token: signed(name), ..join("r", typed) };
        assert_eq!(client.join(join).await.display_name, shown, "{name:?} and {typed:?}");
        client.done(Payload::Leave(proto::Leave::default())).await;
    }
}
