//! Backups: a publisher whose codec a consumer cannot decode is asked for another, and each consumer gets one
//! that it can decode.

mod harness;

use control::{Codec, Command, ProducerId};
use harness::engine::{Engine, socket_path};
use harness::{Client, Signaling, consume, join, produce, transport_id};
use signaling::proto::{self, ErrorCode, signal::Payload};
use signaling::rooms::Admission;

fn start() -> (Engine, Signaling) {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::Development { verifier: None });
    (engine, signaling)
}

/// Video in a single codec, perhaps as a backup.
fn produce_in(transport: &str, codec: &str, backup_for: &str) -> Payload {
    let Payload::ProduceMedia(mut media) = produce(transport, "video") else { unreachable!() };
    let parameters = media.rtp_parameters.as_mut().expect("there are some");
    parameters.codecs.retain(|parameters| parameters.mime_type.eq_ignore_ascii_case(codec));
    parameters.codecs.truncate(1);
    assert_eq!(parameters.codecs.len(), 1);
    Payload::ProduceMedia(proto::ProduceMedia { backup_for: backup_for.into(), ..media })
}

/// A request of a client that cannot decode one codec.
fn consume_without(transport: &str, producer: &str, codec: &str) -> Payload {
    let Payload::ConsumeMedia(mut media) = consume(transport, producer) else { unreachable!() };
    let capabilities = media.rtp_capabilities.as_mut().expect("there are some");
    capabilities.codecs.retain(|capability| !capability.mime_type.eq_ignore_ascii_case(codec));
    Payload::ConsumeMedia(media)
}

async fn made(client: &Client, request: Payload) -> String {
    match client.ask(request).await {
        Payload::ProducerCreated(created) => created.id,
        other => panic!("a producer, not {other:?}"),
    }
}

/// The codec that a client receives.
async fn received(client: &Client, request: Payload) -> (String, String) {
    match client.ask(request).await {
        Payload::ConsumerCreated(created) => {
            let parameters = created.rtp_parameters.expect("there are some");
            (created.producer_id, parameters.codecs[0].mime_type.clone())
        }
        other => panic!("a consumer, not {other:?}"),
    }
}

async fn refused(client: &Client, request: Payload) -> (ErrorCode, bool) {
    match client.ask(request).await {
        Payload::Error(error) => (error.code(), error.retry_after_ms > 0),
        other => panic!("a refusal, not {other:?}"),
    }
}

#[tokio::test]
async fn client_that_cannot_decode_the_first_codec_gets_a_backup() {
    let (engine, signaling) = start();
    let (mut ada, mut bob, carol) = (signaling.client(), signaling.client(), signaling.client());
    ada.join(join("r", "Ada")).await;
    bob.join(join("r", "Bob")).await;
    carol.join(join("r", "Carol")).await;
    for _ in 0..2 {
        assert!(matches!(ada.notification().await, Payload::PeerJoined(_)));
    }
    assert!(matches!(bob.notification().await, Payload::PeerJoined(_)));
    let send = ada.transport("send").await.id;
    let (to_bob, to_carol) = (bob.transport("recv").await.id, carol.transport("recv").await.id);
    let camera = made(&ada, produce_in(&send, "video/VP9", "")).await;
    assert!(matches!(bob.notification().await, Payload::NewProducer(_)));

    // Requested once, however often the consumer tries.
    for _ in 0..2 {
        let refusal = refused(&bob, consume_without(&to_bob, &camera, "video/VP9")).await;
        assert_eq!(refusal, (ErrorCode::CannotConsume, true));
    }
    let Payload::BackupWanted(wanted) = ada.notification().await else { panic!("she is asked") };
    assert_eq!((wanted.producer_id.as_str(), wanted.mime_type.as_str()), (camera.as_str(), "video/VP8"));
    ada.no_more_notifications();

    let backup = made(&ada, produce_in(&send, "video/VP8", &camera)).await;
    // Other peers are not notified of it, and a new peer does not see it either.
    bob.no_more_notifications();
    let dave = signaling.client();
    let joined = dave.join(join("r", "Dave")).await;
    let ids: Vec<_> = joined
        .peers
        .iter()
        .flat_map(|peer| peer.producers.iter().map(|producer| producer.id.clone()))
        .collect();
    assert_eq!(ids, std::slice::from_ref(&camera));

    let got = received(&bob, consume_without(&to_bob, &camera, "video/VP9")).await;
    assert_eq!(got, (camera.clone(), "video/VP8".into()));
    let got = received(&carol, consume(&to_carol, &camera)).await;
    assert_eq!(got, (camera.clone(), "video/VP9".into()));
    let ids = [&camera, &backup].map(|id| ProducerId(transport_id(id).0));
    for (id, codec) in ids.into_iter().zip([Codec::Vp9, Codec::Vp8]) {
        let of_it = |command: &Command| matches!(command, Command::Consume(consume) if consume.producer == id && consume.codecs[0].codec == codec);
        engine.received("who consumes which", of_it).await;
    }

    // It is closed together with the original.
    ada.done(Payload::CloseProducer(proto::CloseProducer { producer_id: camera.clone() })).await;
    for id in ids {
        engine.received("to close both", |command| *command == Command::CloseProducer { producer: id }).await;
    }
    let (mut consumers, mut producers) = (0, 0);
    assert!(matches!(bob.notification().await, Payload::PeerJoined(_)), "Dave");
    while consumers + producers < 2 {
        match bob.notification().await {
            Payload::ConsumerClosed(_) => consumers += 1,
            Payload::ProducerClosed(closed) if closed.producer_id == camera => producers += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((consumers, producers), (1, 1));
    bob.no_more_notifications();
}

#[tokio::test]
async fn client_without_any_codec_is_refused_at_once_and_a_backup_needs_an_original() {
    let (_engine, signaling) = start();
    let (mut ada, bob) = (signaling.client(), signaling.client());
    ada.join(join("r", "Ada")).await;
    bob.join(join("r", "Bob")).await;
    assert!(matches!(ada.notification().await, Payload::PeerJoined(_)));
    let (send, recv) = (ada.transport("send").await.id, bob.transport("recv").await.id);
    let (sound, camera) =
        (ada.produce(&send, "audio").await, made(&ada, produce_in(&send, "video/VP9", "")).await);
    let Payload::ConsumeMedia(mut nothing) = consume(&recv, &camera) else { unreachable!() };
    nothing.rtp_capabilities.as_mut().expect("some").codecs.retain(|codec| codec.kind == "audio");
    assert_eq!(refused(&bob, Payload::ConsumeMedia(nothing)).await, (ErrorCode::CannotConsume, false));
    ada.no_more_notifications();

    assert_eq!(ada.fails(produce_in(&send, "video/VP8", &sound)).await, ErrorCode::BadMessage);
    assert_eq!(
        ada.fails(produce_in(&send, "video/VP8", "0000000000000001")).await,
        ErrorCode::NoSuchProducer
    );
    let backup = made(&ada, produce_in(&send, "video/VP8", &camera)).await;
    assert_eq!(ada.fails(produce_in(&send, "video/H264", &backup)).await, ErrorCode::BadMessage);
}

#[tokio::test]
async fn new_process_recovers_backups() {
    let (engine, first) = start();
    let ada = first.client();
    ada.join(join("r", "Ada")).await;
    let send = ada.transport("send").await.id;
    let camera = made(&ada, produce_in(&send, "video/VP9", "")).await;
    let backup = made(&ada, produce_in(&send, "video/VP8", &camera)).await;
    first.kill().await;
    drop(ada);

    let second = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let bob = second.client();
    let joined = bob.join(join("r", "Bob")).await;
    let ids: Vec<_> = joined.peers[0].producers.iter().map(|producer| producer.id.as_str()).collect();
    assert_eq!(ids, [camera.as_str()]);
    let recv = bob.transport("recv").await.id;
    let got = received(&bob, consume_without(&recv, &camera, "video/VP9")).await;
    assert_eq!(got, (camera, "video/VP8".into()));
    let backup = ProducerId(transport_id(&backup).0);
    let of_it =
        |command: &Command| matches!(command, Command::Consume(consume) if consume.producer == backup);
    engine.received("to consume the backup", of_it).await;
}
