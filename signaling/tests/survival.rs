//! One of the two processes ends; the other continues.

mod harness;

use control::{Command, TransportId};
use harness::engine::{Engine, socket_path};
use harness::{Signaling, join, transport_id};
use signaling::limits;
use signaling::media_node::{MediaNode, NodeEvent};
use signaling::proto::{self, ErrorCode, signal::Payload};
use signaling::rooms::Admission;
use std::time::Duration;
use tokio::sync::mpsc;

#[tokio::test]
async fn new_process_recovers_the_rooms() {
    let engine = Engine::start(&socket_path());
    let first = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let (ada, bob, eve) = (first.client(), first.client(), first.client());
    let ada_joined = ada.join(join("stage", "Ada")).await;
    let bob_joined = bob.join(join("stage", "Bob")).await;
    let eve_joined = eve.join(join("stage", "Eve")).await;
    let (send, recv) = (ada.transport("send").await.id, bob.transport("recv").await.id);
    let eves = eve.transport("send").await.id;
    let video = ada.produce(&send, "video").await;
    ada.done(Payload::PauseProducer(proto::PauseProducer { producer_id: video.clone() })).await;
    let watched = bob.consume(&recv, &video).await;
    first.kill().await;
    drop((ada, bob, eve));
    let commands_before = engine.commands().len();

    let second = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let resume = |joined: &proto::Joined| proto::Resume {
        peer_id: joined.peer_id.clone(),
        secret: joined.resume_secret.clone(),
        engine_epoch: joined.engine_epoch.clone(),
        ..Default::default()
    };
    let again = |resume: proto::Resume| proto::JoinRoom { resume: Some(resume), ..join("stage", "") };
    let thief = second.client();
    let stolen = proto::Resume { secret: vec![7; 32], ..resume(&ada_joined) };
    assert_eq!(thief.fails(Payload::JoinRoom(again(stolen))).await, ErrorCode::ResumeSecret);

    let mut ada = second.client();
    let ada_back = ada
        .join(again(proto::Resume {
            transports: vec![proto::HeldTransport { id: send.clone() }],
            producers: vec![proto::HeldProducer { id: video.clone() }],
            ..resume(&ada_joined)
        }))
        .await;
    assert!(
        ada_back.resumed
            && ada_back.display_name == "Ada"
            && ada_back.engine_epoch == ada_joined.engine_epoch
    );
    assert_eq!(
        (&ada_back.kept_transports, &ada_back.kept_producers),
        (&vec![send.clone()], &vec![video.clone()])
    );
    assert_eq!(ada_back.resume_secret, ada_joined.resume_secret);
    let mut away: Vec<_> =
        ada_back.peers.iter().filter(|peer| peer.away).map(|peer| peer.display_name.as_str()).collect();
    away.sort_unstable();
    assert_eq!(away, ["Bob", "Eve"]);

    let bob = second.client();
    let bob_back = bob
        .join(again(proto::Resume {
            transports: vec![proto::HeldTransport { id: recv.clone() }],
            consumers: vec![proto::HeldConsumer { id: watched.id.clone() }],
            ..resume(&bob_joined)
        }))
        .await;
    assert_eq!(bob_back.kept_consumers, std::slice::from_ref(&watched.id));
    assert!(
        matches!(ada.notification().await, Payload::PeerAway(away) if !away.away && away.peer_id == bob_joined.peer_id)
    );

    // A new peer sees and consumes what was produced before the restart.
    let carl = second.client();
    let carl_joined = carl.join(join("stage", "Carl")).await;
    let seen = carl_joined.peers.iter().find(|peer| peer.id == ada_joined.peer_id).expect("Ada is there");
    assert!(
        seen.producers[0].paused && seen.producers[0].id == video && seen.producers[0].source == "camera"
    );
    let carls = carl.transport("recv").await.id;
    assert!(carl.consume(&carls, &video).await.producer_paused);
    assert!(matches!(ada.notification().await, Payload::PeerJoined(_)));

    // On an old transport, no MID and no SSRC is used twice.
    let new = bob.consume(&recv, &video).await.rtp_parameters.expect("parameters");
    let old = watched.rtp_parameters.expect("parameters");
    let mid = |parameters: &proto::RtpParameters| {
        parameters.mid.as_ref().and_then(|mid| mid.parse::<u32>().ok()).expect("a number")
    };
    assert!(mid(&new) > mid(&old) + 1_000);
    assert_ne!(new.encodings[0].ssrc, old.encodings[0].ssrc);

    // A peer that does not return is removed, with its objects.
    match ada.notification().await {
        Payload::PeerLeft(left) => assert_eq!(left.peer_id, eve_joined.peer_id),
        other => panic!("{other:?}"),
    }
    let forgotten = transport_id(&eves);
    engine
        .received(
            "to close Eve's transport",
            |c| matches!(c, Command::CloseTransport { transport } if *transport == forgotten),
        )
        .await;
    let since: Vec<_> = engine.commands().split_off(commands_before);
    assert!(since.iter().any(|command| matches!(command, Command::ClaimRouter { .. })));
    assert!(
        !since
            .iter()
            .any(|command| matches!(command, Command::CreateRouter { .. } | Command::CloseRouter { .. }))
    );
}

#[tokio::test]
async fn unknown_events_and_fields_of_a_newer_engine_are_skipped() {
    let engine = Engine::start_newer(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let (ada, mut bob) = (signaling.client(), signaling.client());
    ada.join(join("r", "Ada")).await;
    bob.join(join("r", "Bob")).await;
    let (send, recv) = (ada.transport("send").await.id, bob.transport("recv").await.id);
    let video = ada.produce(&send, "video").await;
    assert!(matches!(bob.notification().await, Payload::NewProducer(_)));
    bob.consume(&recv, &video).await;
    let snapshots = engine.commands().into_iter().filter(|command| *command == Command::Snapshot).count();
    assert_eq!(snapshots, 2, "one for each worker: signaling has attached once");
}

#[tokio::test]
async fn when_the_engine_exits_all_clients_are_notified_and_can_start_again() {
    let path = socket_path();
    let engine = Engine::start(&path);
    let first_epoch = engine.epoch;
    let signaling = Signaling::start(&path, Admission::Development { verifier: None });
    let (mut ada, mut bob) = (signaling.client(), signaling.client());
    ada.join(join("r", "Ada")).await;
    bob.join(join("r", "Bob")).await;
    assert!(matches!(ada.notification().await, Payload::PeerJoined(_)));
    let send = ada.transport("send").await.id;
    ada.produce(&send, "video").await;
    assert!(matches!(bob.notification().await, Payload::NewProducer(_)));

    drop(engine);
    assert!(matches!(ada.notification().await, Payload::MediaLost(_)));
    assert!(matches!(bob.notification().await, Payload::MediaLost(_)));
    assert!(!signaling.rooms.is_media_ready());
    let create = Payload::CreateTransport(proto::CreateTransport { direction: "send".into() });
    assert_eq!(ada.fails(create).await, ErrorCode::EngineUnavailable);
    let late = signaling.client();
    let joined = late.join(join("r", "Late")).await;
    assert_eq!(joined.engine_epoch, "");
    assert!(joined.peers.iter().all(|peer| peer.producers.is_empty()), "what was produced is gone");
    assert!(matches!(ada.notification().await, Payload::PeerJoined(_)));
    assert!(matches!(bob.notification().await, Payload::PeerJoined(_)));

    let engine = Engine::start(&path);
    assert_ne!(engine.epoch, first_epoch);
    for client in [&mut ada, &mut bob] {
        match client.notification().await {
            Payload::MediaReady(ready) => assert_eq!(ready.engine_epoch, format!("{:016x}", engine.epoch)),
            other => panic!("{other:?}"),
        }
    }
    let send = ada.transport("send").await.id;
    let video = ada.produce(&send, "video").await;
    assert!(matches!(bob.notification().await, Payload::NewProducer(_)));
    let recv = bob.transport("recv").await.id;
    bob.consume(&recv, &video).await;
}

#[tokio::test]
async fn command_to_a_busy_engine_is_sent_again() {
    let engine = Engine::start(&socket_path());
    let handle = signaling::engine::Engine::new();
    let (sender, mut events) = mpsc::channel(64);
    signaling::engine::start(handle.clone(), engine.path.clone(), sender).expect("a thread");
    assert!(matches!(events.recv().await, Some(NodeEvent::Attached { .. })));
    for _ in 0..2 {
        assert!(matches!(events.recv().await, Some(NodeEvent::Snapshot { .. })));
    }
    // All requests that are possible stay unanswered, and there is one more.
    engine.fall_silent();
    for id in 0..=limits::REQUESTS_MAX as u64 {
        handle.tell(0, Command::CloseTransport { transport: TransportId(id) });
    }
    let last = TransportId(limits::REQUESTS_MAX as u64);
    let is_last = |c: &Command| matches!(c, Command::CloseTransport { transport } if *transport == last);
    assert!(!engine.commands().iter().any(is_last), "there is no place for it yet");
    engine.received("the last one, once the others are given up", is_last).await;
}

#[tokio::test]
async fn without_an_engine_peers_can_join_and_media_is_unavailable() {
    let signaling = Signaling::start(&socket_path(), Admission::Development { verifier: None });
    let ada = signaling.client();
    let started = std::time::Instant::now();
    let joined = ada.join(join("r", "Ada")).await;
    assert!(started.elapsed() >= Duration::from_secs(2), "it gives the engine a chance first");
    assert_eq!(joined.engine_epoch, "");
    let create = Payload::CreateTransport(proto::CreateTransport { direction: "recv".into() });
    assert_eq!(ada.fails(create).await, ErrorCode::EngineUnavailable);
}
