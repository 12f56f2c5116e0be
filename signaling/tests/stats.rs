//! Active speakers, scores and statistics, from the engine to the client.

mod harness;

use control::{Command, Event, ProducerId, RouterId, Scored, Volume};
use harness::engine::{Engine, socket_path};
use harness::{Client, Signaling, join};
use signaling::proto::{self, ErrorCode, GetStats, get_stats, score_changed, signal::Payload, stats};
use signaling::rooms::Admission;

fn start() -> (Engine, Signaling) {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::Development { verifier: None });
    (engine, signaling)
}

fn id(text: &str) -> u64 {
    u64::from_str_radix(text, 16).expect("hex")
}

fn observed(engine: &Engine) -> Vec<(RouterId, Option<u8>)> {
    let commands = engine.commands().into_iter().filter_map(|command| match command {
        Command::ObserveAudio { router, observer: Some(observer) } => {
            Some((router, observer.loudest_forwarded))
        }
        _ => None,
    });
    commands.collect()
}

async fn get(client: &Client, of: get_stats::Of) -> stats::Of {
    match client.ask(Payload::GetStats(GetStats { of: Some(of) })).await {
        Payload::Stats(stats) => stats.of.expect("of something"),
        other => panic!("statistics, not {other:?}"),
    }
}

#[tokio::test]
async fn active_speakers_are_sent_only_to_their_room() {
    let (engine, signaling) = start();
    let (mut ada, mut bob, mut eve) = (signaling.client(), signaling.client(), signaling.client());
    let joined = ada.join(join("stage", "Ada")).await;
    bob.join(join("stage", "Bob")).await;
    eve.join(join("elsewhere", "Eve")).await;
    let send = ada.transport("send").await;
    let voice = ada.produce(&send.id, "audio").await;
    engine.received("to observe", |command| matches!(command, Command::ObserveAudio { .. })).await;
    let (router, loudest) = observed(&engine)[0];
    assert_eq!(loudest, Some(signaling::limits::LOUDEST_FORWARDED));
    assert!(matches!(ada.notification().await, Payload::PeerJoined(_)));
    assert!(matches!(bob.notification().await, Payload::NewProducer(_)));

    let producer = ProducerId(id(&voice));
    let volumes = vec![Volume { producer, dbov: -31 }, Volume { producer: ProducerId(77), dbov: -40 }];
    engine.tell(Event::Speakers { router, dominant: Some(producer), volumes });
    engine.tell(Event::Speakers { router, dominant: None, volumes: Vec::new() });
    for client in [&mut ada, &mut bob] {
        let Payload::ActiveSpeakers(speakers) = client.notification().await else { panic!("who speaks") };
        assert_eq!(speakers.dominant_peer_id, joined.peer_id);
        assert_eq!(speakers.dominant_producer_id, voice);
        let [volume] = &speakers.volumes[..] else { panic!("who is known: {speakers:?}") };
        assert_eq!((&volume.producer_id, &volume.peer_id, volume.dbov), (&voice, &joined.peer_id, -31));
        let Payload::ActiveSpeakers(speakers) = client.notification().await else {
            panic!("an empty report is expected")
        };
        assert_eq!(speakers, proto::ActiveSpeakers::default());
    }
    // A score is sent only to the owner of the object.
    let of = Scored::Stream { producer, encoding: 0 };
    engine.tell(Event::Score { of, score: 6 });
    let Payload::ScoreChanged(changed) = ada.notification().await else { panic!("a score") };
    assert_eq!((changed.of, changed.score), (Some(score_changed::Of::ProducerId(voice)), 6));
    ada.done(Payload::CloseTransport(proto::CloseTransport { transport_id: send.id })).await;
    assert!(matches!(bob.notification().await, Payload::ProducerClosed(_)));
    eve.no_more_notifications();
}

#[tokio::test]
async fn new_process_observes_audio_again() {
    let (engine, signaling) = start();
    let ada = signaling.client();
    ada.join(join("stage", "Ada")).await;
    ada.transport("send").await;
    engine.received("to observe", |command| matches!(command, Command::ObserveAudio { .. })).await;
    signaling.kill().await;
    let _successor = Signaling::start(&engine.path, Admission::Development { verifier: None });
    engine.received("to claim", |command| matches!(command, Command::ClaimRouter { .. })).await;
    for _ in 0..6_000 {
        if observed(&engine).len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let observed = observed(&engine);
    assert_eq!(observed.len(), 2, "{observed:?}");
    assert_eq!(observed[0], observed[1]);
}

#[tokio::test]
async fn statistics_are_available_only_for_own_objects() {
    let (_engine, signaling) = start();
    let (ada, bob) = (signaling.client(), signaling.client());
    ada.join(join("stage", "Ada")).await;
    bob.join(join("stage", "Bob")).await;
    let send = ada.transport("send").await;
    let video = ada.produce(&send.id, "video").await;
    let recv = bob.transport("recv").await;
    let eye = bob.consume(&recv.id, &video).await;

    let stats::Of::Transport(transport) = get(&ada, get_stats::Of::TransportId(send.id.clone())).await else {
        panic!("of a transport");
    };
    assert_eq!((transport.id, transport.ice_state.as_str()), (send.id.clone(), "completed"));
    assert_eq!((transport.packets_sent, transport.round_trip_time), (2, Some(0.04)));
    let stats::Of::Producer(producer) = get(&ada, get_stats::Of::ProducerId(video.clone())).await else {
        panic!("of a producer");
    };
    assert_eq!((producer.id, producer.streams.len()), (video.clone(), 1));
    let stream = &producer.streams[0];
    assert_eq!((stream.packets_received, stream.packets_lost, stream.score), (10, 2, 8));
    assert_eq!((stream.jitter, stream.bitrate), (0.003, 70_000));
    let stats::Of::Consumer(consumer) = get(&bob, get_stats::Of::ConsumerId(eye.id.clone())).await else {
        panic!("of a consumer");
    };
    assert_eq!((consumer.id, consumer.packets_sent, consumer.fraction_lost), (eye.id.clone(), 20, 0.25));
    assert_eq!((consumer.round_trip_time, consumer.score), (None, 9));

    let asked = |of| Payload::GetStats(GetStats { of });
    assert_eq!(ada.fails(asked(None)).await, ErrorCode::BadMessage);
    let of = get_stats::Of::TransportId(recv.id);
    assert_eq!(ada.fails(asked(Some(of))).await, ErrorCode::NoSuchTransport);
    let of = get_stats::Of::ConsumerId(eye.id);
    assert_eq!(ada.fails(asked(Some(of))).await, ErrorCode::NoSuchConsumer);
    let of = get_stats::Of::ProducerId(video);
    assert_eq!(bob.fails(asked(Some(of))).await, ErrorCode::NoSuchProducer);
    assert_eq!(signaling.client().fails(asked(None)).await, ErrorCode::WrongState);
}
