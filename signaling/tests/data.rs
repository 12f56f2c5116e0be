//! Data producers and data consumers of the object flow.

mod harness;

use control::{Command, DataReliability};
use harness::engine::{Engine, socket_path};
use harness::tokens::*;
use harness::{Client, Signaling, join};
use signaling::auth::token::Permissions;
use signaling::limits;
use signaling::proto::{self, ErrorCode, signal::Payload};
use signaling::rooms::Admission;

fn produce(transport: &str, stream_id: u32) -> proto::ProduceData {
    proto::ProduceData {
        transport_id: transport.into(),
        sctp_stream_parameters: Some(proto::SctpStreamParameters { stream_id, ..Default::default() }),
        label: "files".into(),
        ..Default::default()
    }
}

async fn produced(client: &Client, produce: proto::ProduceData) -> String {
    match client.ask(Payload::ProduceData(produce)).await {
        Payload::DataProducerCreated(created) => created.id,
        other => panic!("a data producer, not {other:?}"),
    }
}

async fn consumed(client: &Client, transport: &str, producer: &str) -> proto::DataConsumerCreated {
    match client.ask(consume(transport, producer)).await {
        Payload::DataConsumerCreated(created) => created,
        other => panic!("a data consumer, not {other:?}"),
    }
}

fn consume(transport: &str, producer: &str) -> Payload {
    let (transport_id, data_producer_id) = (transport.into(), producer.into());
    Payload::ConsumeData(proto::ConsumeData { transport_id, data_producer_id })
}

fn announced(payload: Payload) -> Option<proto::NewDataProducer> {
    match payload {
        Payload::NewDataProducer(new) => Some(new),
        _ => None,
    }
}

#[tokio::test]
async fn data_producer_is_announced_consumed_and_closed() {
    let (engine, signaling) = start();
    let (ada, adas) = enter(&signaling, "ada", Permissions::default()).await;
    let (mut bob, _) = enter(&signaling, "bob", Permissions::default()).await;
    let transport = ada.transport("send").await;
    let sctp = transport.sctp_parameters.expect("data channels");
    assert_eq!((sctp.port, sctp.os, sctp.mis, sctp.max_message_size), (5000, 1024, 1024, 256 * 1024));
    let (send, recv) = (transport.id, bob.transport("recv").await.id);
    let stream = proto::SctpStreamParameters {
        stream_id: 5,
        ordered: Some(false),
        max_retransmits: Some(3),
        ..Default::default()
    };
    let wanted = proto::ProduceData { sctp_stream_parameters: Some(stream), ..produce(&send, 0) };
    let producer = produced(&ada, wanted).await;
    let new = until(&mut bob, announced).await;
    assert_eq!(new.peer_id, adas.peer_id);
    assert_eq!(new.data_producer.expect("which").id, producer);
    let other = produced(&ada, produce(&send, 6)).await;
    let (first, second) = (consumed(&bob, &recv, &producer).await, consumed(&bob, &recv, &other).await);
    assert_eq!(consumed(&bob, &recv, &producer).await, first, "once; the first answer may have been lost");
    let streams = [&first, &second].map(|created| created.sctp_stream_parameters.expect("a stream"));
    assert_eq!(streams.map(|stream| stream.stream_id), [0, 1], "each has its own");
    assert_eq!((streams[0].ordered, streams[0].max_retransmits), (Some(false), Some(3)));
    assert_eq!(first.label, "files");
    let sent = engine.commands().into_iter().find_map(|command| match command {
        Command::ConsumeData(consume) => Some(consume),
        _ => None,
    });
    let sent = sent.expect("a command");
    assert_eq!(sent.channel.reliability, DataReliability::Retransmissions { max: 3 });
    assert!(sent.channel.is_unordered);
    // One who comes later finds it in the room.
    let (_, eves) = enter(&signaling, "eve", Permissions::default()).await;
    let seen: Vec<_> = eves.peers.iter().flat_map(|peer| &peer.data_producers).map(|data| &data.id).collect();
    let sorted = |mut ids: Vec<String>| {
        ids.sort_unstable();
        ids
    };
    let seen = seen.into_iter().cloned().collect();
    assert_eq!(sorted(seen), sorted(vec![producer.clone(), other]));
    let close = proto::CloseDataConsumer { data_consumer_id: first.id.clone() };
    bob.done(Payload::CloseDataConsumer(close.clone())).await;
    assert_eq!(bob.fails(Payload::CloseDataConsumer(close)).await, ErrorCode::NoSuchConsumer);
    let close = proto::CloseDataProducer { data_producer_id: producer.clone() };
    assert_eq!(bob.fails(Payload::CloseDataProducer(close.clone())).await, ErrorCode::NoSuchProducer);
    ada.done(Payload::CloseDataProducer(close)).await;
    let closed = |payload| match payload {
        Payload::DataProducerClosed(closed) => Some(closed.data_producer_id),
        _ => None,
    };
    assert_eq!(until(&mut bob, closed).await, producer);
    assert_eq!(bob.fails(consume(&recv, &producer)).await, ErrorCode::NoSuchProducer);
}

#[tokio::test]
async fn only_the_named_peers_see_and_consume_a_data_producer() {
    let (_engine, signaling) = start();
    let (ada, _) = enter(&signaling, "ada", Permissions::default()).await;
    let (mut bob, bobs) = enter(&signaling, "bob", Permissions::default()).await;
    let (mut eve, _) = enter(&signaling, "eve", Permissions::default()).await;
    let send = ada.transport("send").await.id;
    let secret = proto::ProduceData { to: vec![bobs.peer_id.clone()], ..produce(&send, 0) };
    let secret = produced(&ada, secret).await;
    let open = produced(&ada, produce(&send, 1)).await;
    assert_eq!(until(&mut bob, announced).await.data_producer.expect("which").id, secret);
    assert_eq!(until(&mut eve, announced).await.data_producer.expect("which").id, open);
    let recv = eve.transport("recv").await.id;
    assert_eq!(eve.fails(consume(&recv, &secret)).await, ErrorCode::NoSuchProducer);
    consumed(&eve, &recv, &open).await;
    let (_, joined) = enter(&signaling, "late", Permissions::default()).await;
    let seen: Vec<_> =
        joined.peers.iter().flat_map(|peer| &peer.data_producers).map(|data| &data.id).collect();
    assert_eq!(seen, [&open]);
    let unknown = proto::ProduceData { to: vec!["0000000000000007".into()], ..produce(&send, 2) };
    assert_eq!(ada.fails(Payload::ProduceData(unknown)).await, ErrorCode::NoSuchPeer);
}

#[tokio::test]
async fn requests_for_data_channels_are_checked() {
    let (_engine, signaling) = start();
    let (ada, _) = enter(&signaling, "ada", Permissions::default()).await;
    let silent = Permissions { can_publish_data: false, ..Permissions::default() };
    let (eve, _) = enter(&signaling, "eve", silent).await;
    let (send, recv) = (ada.transport("send").await.id, ada.transport("recv").await.id);
    let wrong = |change: fn(&mut proto::ProduceData)| {
        let mut wrong = produce(&send, 0);
        change(&mut wrong);
        Payload::ProduceData(wrong)
    };
    for payload in [
        wrong(|produce| produce.sctp_stream_parameters = None),
        wrong(|produce| produce.sctp_stream_parameters.as_mut().expect("some").stream_id = 1024),
        wrong(|produce| {
            let stream = produce.sctp_stream_parameters.as_mut().expect("some");
            (stream.max_retransmits, stream.max_packet_life_time) = (Some(1), Some(1));
        }),
        wrong(|produce| produce.label = "x".repeat(limits::DATA_LABEL_LEN_MAX + 1)),
        wrong(|produce| produce.priority = 3),
    ] {
        assert_eq!(ada.fails(payload).await, ErrorCode::BadMessage);
    }
    assert_eq!(ada.fails(Payload::ProduceData(produce(&recv, 0))).await, ErrorCode::WrongDirection);
    let own = produced(&ada, produce(&send, 0)).await;
    assert_eq!(ada.fails(consume(&recv, &own)).await, ErrorCode::NoSuchProducer, "its own");
    assert_eq!(ada.fails(consume(&send, &own)).await, ErrorCode::WrongDirection);
    let eves = eve.transport("send").await.id;
    assert_eq!(eve.fails(Payload::ProduceData(produce(&eves, 0))).await, ErrorCode::TokenPermission);
    for stream in 1..limits::DATA_PRODUCERS_PER_PEER_MAX as u32 {
        produced(&ada, produce(&send, stream)).await;
    }
    assert_eq!(ada.fails(Payload::ProduceData(produce(&send, 99))).await, ErrorCode::Limit);
}

/// Channels flow on while signaling restarts, and the next process knows them.
#[tokio::test]
async fn data_channels_outlive_the_signaling_process() {
    let engine = Engine::start(&socket_path());
    let first = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let (ada, bob) = (first.client(), first.client());
    let (adas, bobs) = (ada.join(join("stage", "Ada")).await, bob.join(join("stage", "Bob")).await);
    let (send, recv) = (ada.transport("send").await.id, bob.transport("recv").await.id);
    let secret = proto::ProduceData { to: vec![bobs.peer_id.clone()], ..produce(&send, 0) };
    let producer = produced(&ada, secret).await;
    let other = produced(&ada, produce(&send, 1)).await;
    let created = consumed(&bob, &recv, &producer).await;
    first.kill().await;
    drop((ada, bob));

    let second = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let back = |joined: &proto::Joined, transport: &str| {
        let resume = proto::Resume {
            peer_id: joined.peer_id.clone(),
            secret: joined.resume_secret.clone(),
            engine_epoch: joined.engine_epoch.clone(),
            transports: vec![proto::HeldTransport { id: transport.into() }],
            ..Default::default()
        };
        proto::JoinRoom { resume: Some(resume), ..join("stage", "") }
    };
    let (mut bob, ada) = (second.client(), second.client());
    bob.join(back(&bobs, &recv)).await;
    ada.join(back(&adas, &send)).await;
    assert_eq!(consumed(&bob, &recv, &producer).await, created, "it is still consumed");
    let again = consumed(&bob, &recv, &other).await;
    assert_eq!(again.sctp_stream_parameters.expect("a stream").stream_id, 1, "0 is in use");
    let is_close = |command: &Command| {
        matches!(command, Command::CloseDataProducer { .. } | Command::CloseDataConsumer { .. })
    };
    assert!(!engine.commands().iter().any(is_close));
    // The one who left closes it for the other.
    ada.done(Payload::Leave(proto::Leave {})).await;
    until(&mut bob, |payload| matches!(payload, Payload::PeerLeft(_)).then_some(())).await;
    assert_eq!(bob.fails(consume(&recv, &producer)).await, ErrorCode::NoSuchProducer);
}

/// A new engine has none of them, and the clients create them again.
#[tokio::test]
async fn data_channels_end_with_the_engine() {
    let path = socket_path();
    let engine = Engine::start(&path);
    let signaling = Signaling::start(&path, Admission::Development { verifier: None });
    let mut ada = signaling.client();
    ada.join(join("stage", "Ada")).await;
    let send = ada.transport("send").await.id;
    for stream in 0..limits::DATA_PRODUCERS_PER_PEER_MAX as u32 {
        produced(&ada, produce(&send, stream)).await;
    }
    drop(engine);
    until(&mut ada, |payload| matches!(payload, Payload::MediaLost(_)).then_some(())).await;
    let _engine = Engine::start(&path);
    until(&mut ada, |payload| matches!(payload, Payload::MediaReady(_)).then_some(())).await;
    let joined = signaling.client().join(join("stage", "Bob")).await;
    assert!(joined.peers.iter().all(|peer| peer.data_producers.is_empty()), "{:?}", joined.peers);
    let send = ada.transport("send").await.id;
    produced(&ada, produce(&send, 0)).await;
}

/// A new token that does not permit it ends what was created with the former one.
#[tokio::test]
async fn a_token_without_the_permission_closes_data_channels() {
    let (engine, signaling) = start();
    let (ada, _) = enter(&signaling, "ada", Permissions::default()).await;
    let send = ada.transport("send").await.id;
    let producer = produced(&ada, produce(&send, 0)).await;
    let silent = Permissions { can_publish_data: false, ..Permissions::default() };
    let token = entry("ada", silent).token;
    let refreshed = ada.ask(Payload::RefreshToken(proto::RefreshToken { token })).await;
    assert!(matches!(refreshed, Payload::TokenRefreshed(_)), "{refreshed:?}");
    let is_close = |command: &Command| matches!(command, Command::CloseDataProducer { producer: closed } if closed.to_string() == producer);
    engine.received("the end of the data producer", is_close).await;
    assert_eq!(ada.fails(Payload::ProduceData(produce(&send, 1))).await, ErrorCode::TokenPermission);
}
