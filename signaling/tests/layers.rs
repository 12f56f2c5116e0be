//! Layers and the media configuration: preferences of clients for the engine, and events of the engine for
//! clients.

mod harness;

use control::{Codec, Command, ConsumerId, ContentHint, Event, Layers, PlayoutDelay, ProducerId};
use harness::engine::{Engine, socket_path};
use harness::{Client, Signaling, consume, join, produce, settings, transport_id};
use signaling::ortc::media_config::MediaConfig;
use signaling::proto::{self, ErrorCode, signal::Payload};
use signaling::rooms::RoomSettings;

fn start(media: MediaConfig) -> (Engine, Signaling) {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start_with(&engine.path, RoomSettings { media, ..settings() });
    (engine, signaling)
}

/// Ada sends audio and video, and Bob receives: her producers, and his transport.
struct Stage {
    audio: String,
    video: String,
    recv: String,
}

async fn stage(ada: &Client, bob: &mut Client) -> Stage {
    ada.join(join("stage", "Ada")).await;
    bob.join(join("stage", "Bob")).await;
    let (send, recv) = (ada.transport("send").await.id, bob.transport("recv").await.id);
    let (audio, video) = (ada.produce(&send, "audio").await, ada.produce(&send, "video").await);
    for _ in 0..2 {
        assert!(matches!(bob.notification().await, Payload::NewProducer(_)));
    }
    Stage { audio, video, recv }
}

fn layers(spatial: u32, temporal: Option<u32>) -> Option<proto::Layers> {
    Some(proto::Layers { spatial_layer: spatial, temporal_layer: temporal })
}

fn prefer(consumer: &str, layers: Option<proto::Layers>) -> Payload {
    Payload::SetPreferredLayers(proto::SetPreferredLayers { consumer_id: consumer.into(), layers })
}

fn prioritise(consumer: &str, priority: u32) -> Payload {
    Payload::SetPriority(proto::SetPriority { consumer_id: consumer.into(), priority })
}

fn number(id: &str) -> u64 {
    transport_id(id).0
}

#[tokio::test]
async fn preferred_layers_and_priority_are_sent_to_the_engine() {
    let (engine, signaling) = start(MediaConfig::default());
    let (ada, mut bob) = (signaling.client(), signaling.client());
    let Stage { audio, video, recv, .. } = stage(&ada, &mut bob).await;

    let with = |layers, priority| {
        let Payload::ConsumeMedia(consume) = consume(&recv, &video) else { unreachable!() };
        Payload::ConsumeMedia(proto::ConsumeMedia { preferred_layers: layers, priority, ..consume })
    };
    let has_consumed = async |what: &str, wanted: (Option<Layers>, u8)| {
        engine
            .received(what, |command| {
                matches!(command, Command::Consume(consume)
                    if (consume.preferred_layers, consume.priority) == wanted)
            })
            .await;
    };
    assert!(matches!(bob.ask(with(None, 0)).await, Payload::ConsumerCreated(_)));
    has_consumed("to send all layers at the lowest priority", (None, 1)).await;
    assert!(matches!(bob.ask(with(layers(1, Some(0)), 200)).await, Payload::ConsumerCreated(_)));
    has_consumed("to send the middle", (Some(Layers { spatial: 1, temporal: 0 }), 200)).await;
    assert_eq!(bob.fails(with(layers(256, None), 1)).await, ErrorCode::BadMessage);
    assert_eq!(bob.fails(with(None, 256)).await, ErrorCode::BadMessage);

    let eye = bob.consume(&recv, &video).await.id;
    let consumer = ConsumerId(number(&eye));
    bob.done(prefer(&eye, layers(0, None))).await;
    bob.done(prefer(&eye, layers(2, Some(1)))).await;
    bob.done(prioritise(&eye, 255)).await;
    for (spatial, temporal) in [(0, u8::MAX), (2, 1)] {
        let wanted = Command::SetPreferredLayers { consumer, layers: Layers { spatial, temporal } };
        engine.received("the layers", |command| *command == wanted).await;
    }
    engine.received("the priority", |c| *c == Command::SetPriority { consumer, priority: 255 }).await;

    let ear = bob.consume(&recv, &audio).await.id;
    assert_eq!(bob.fails(prefer(&ear, layers(0, None))).await, ErrorCode::BadMessage, "audio has no layers");
    bob.done(prioritise(&ear, 2)).await;
    assert_eq!(bob.fails(prefer(&eye, None)).await, ErrorCode::BadMessage);
    assert_eq!(bob.fails(prefer(&eye, layers(0, Some(300)))).await, ErrorCode::BadMessage);
    assert_eq!(bob.fails(prioritise(&eye, 0)).await, ErrorCode::BadMessage);
    assert_eq!(ada.fails(prefer(&eye, layers(0, None))).await, ErrorCode::NoSuchConsumer, "it is Bob's");
    assert_eq!(ada.fails(prioritise(&eye, 1)).await, ErrorCode::NoSuchConsumer);
    for server_only in [
        Payload::LayersChanged(proto::LayersChanged::default()),
        Payload::LayersWanted(proto::LayersWanted::default()),
    ] {
        assert_eq!(bob.fails(server_only).await, ErrorCode::UnsupportedMessage);
    }
}

#[tokio::test]
async fn layer_events_are_sent_to_the_owner_also_after_an_absence() {
    let (engine, signaling) = start(MediaConfig::default());
    let (ada, mut bob) = (signaling.client(), signaling.client());
    let Stage { video, recv, .. } = stage(&ada, &mut bob).await;
    let eye = bob.consume(&recv, &video).await.id;
    let (producer, consumer) = (ProducerId(number(&video)), ConsumerId(number(&eye)));

    let mut ada = ada;
    assert!(matches!(ada.notification().await, Payload::PeerJoined(_)));
    engine.tell(Event::LayersWanted { producer, spatial: 0b101 });
    match ada.notification().await {
        Payload::LayersWanted(wanted) => {
            assert_eq!((wanted.producer_id, wanted.spatial_layers), (video.clone(), vec![0, 2]));
        }
        other => panic!("{other:?}"),
    }
    engine.tell(Event::LayersChanged { consumer, layers: Some(Layers { spatial: 2, temporal: 1 }) });
    match bob.notification().await {
        Payload::LayersChanged(changed) => {
            assert_eq!((changed.consumer_id, changed.layers), (eye.clone(), layers(2, Some(1))));
        }
        other => panic!("{other:?}"),
    }
    // An event of an unknown object is sent to no peer.
    engine.tell(Event::LayersWanted { producer: ProducerId(1), spatial: 1 });
    engine.tell(Event::LayersChanged { consumer: ConsumerId(1), layers: None });
    engine.tell(Event::LayersChanged { consumer, layers: None });
    assert!(matches!(bob.notification().await, Payload::LayersChanged(changed) if changed.layers.is_none()));
    ada.no_more_notifications();
    bob.no_more_notifications();
}

#[tokio::test]
async fn returning_peer_gets_the_changes_of_its_absence() {
    let (engine, signaling) = start(MediaConfig::default());
    let (ada, mut bob) = (signaling.client(), signaling.client());
    let joined = ada.join(join("stage", "Ada")).await;
    bob.join(join("stage", "Bob")).await;
    let send = ada.transport("send").await.id;
    let (first, second) = (ada.produce(&send, "video").await, ada.produce(&send, "video").await);
    let recv = bob.transport("recv").await.id;
    let consumer = ConsumerId(number(&bob.consume(&recv, &first).await.id));
    ada.disconnect();
    let producer = ProducerId(number(&first));
    for spatial in [0b111, 0] {
        engine.tell(Event::LayersWanted { producer, spatial });
    }
    // Afterwards all earlier events of the engine are handled.
    engine.tell(Event::LayersChanged { consumer, layers: None });
    while !matches!(bob.notification().await, Payload::LayersChanged(_)) {}

    let mut ada = signaling.client();
    let resume = proto::Resume {
        peer_id: joined.peer_id,
        secret: joined.resume_secret,
        engine_epoch: joined.engine_epoch,
        transports: vec![proto::HeldTransport { id: send.clone() }],
        producers: [&first, &second].map(|id| proto::HeldProducer { id: id.clone() }).to_vec(),
        ..Default::default()
    };
    let back = ada.join(proto::JoinRoom { resume: Some(resume), ..join("stage", "") }).await;
    assert_eq!(back.kept_producers.len(), 2);
    match ada.notification().await {
        Payload::LayersWanted(wanted) => {
            assert_eq!((wanted.producer_id, wanted.spatial_layers), (first.clone(), vec![]));
        }
        other => panic!("{other:?}"),
    }
    ada.no_more_notifications();

    // After a loss of events, every layer may be needed again.
    engine.overflow(transport_id(&bob.transport("recv").await.id));
    match ada.notification().await {
        Payload::LayersWanted(wanted) => {
            assert_eq!((wanted.producer_id, wanted.spatial_layers.len()), (first, 8));
        }
        other => panic!("{other:?}"),
    }
    ada.no_more_notifications();
}

#[tokio::test]
async fn room_has_the_codecs_and_the_encoding_policy_of_the_configuration() {
    let text = "video:\n  codecs: [{name: VP9, priority: 50}, {name: H264, priority: 100}]\n  scalabilityMode: L3T2\naudio: {opus: {stereo: true, dtx: false}}";
    let config = MediaConfig::parse(text).expect("valid");
    assert_eq!(config.video_codecs, [Codec::H264, Codec::Vp9]);
    let (_engine, signaling) = start(config);
    let ada = signaling.client();
    let joined = ada.join(join("stage", "Ada")).await;
    let policy = joined.encoding_policy.expect("always");
    assert_eq!(
        (policy.scalability_mode.as_str(), policy.opus_stereo, policy.opus_dtx),
        ("L3T2", true, false)
    );
    let again = match ada.ask(Payload::GetRouterCapabilities(proto::GetRouterCapabilities {})).await {
        Payload::RouterCapabilities(capabilities) => capabilities.rtp_capabilities,
        other => panic!("{other:?}"),
    };
    assert_eq!(again, joined.router_capabilities);
    let names: Vec<_> = (again.iter().flat_map(|capabilities| &capabilities.codecs))
        .map(|codec| codec.mime_type.as_str())
        .filter(|name| name.starts_with("video") && !name.ends_with("rtx"))
        .collect();
    // The further profiles of H264 come last.
    assert_eq!(names, ["video/H264", "video/VP9", "video/H264", "video/H264"]);

    let send = ada.transport("send").await.id;
    // All codecs that exist, including VP8 and AV1.
    assert_eq!(ada.fails(produce(&send, "video")).await, ErrorCode::UnsupportedCodec);
    let Payload::ProduceMedia(mut fewer) = produce(&send, "video") else { unreachable!() };
    let parameters = fewer.rtp_parameters.as_mut().expect("it has");
    let is_configured = |codec: &proto::RtpCodecParameters| (103..=106).contains(&codec.payload_type);
    parameters.codecs.retain(is_configured);
    assert!(matches!(ada.ask(Payload::ProduceMedia(fewer)).await, Payload::ProducerCreated(_)));
}

#[tokio::test]
async fn content_hint_is_sent_to_the_engine() {
    let (engine, signaling) = start(MediaConfig::default());
    let ada = signaling.client();
    ada.join(join("r", "Ada")).await;
    let send = ada.transport("send").await.id;
    let with = |source: &str, content_hint: &str| {
        let Payload::ProduceMedia(media) = produce(&send, "video") else { unreachable!() };
        let (source, content_hint) = (source.into(), content_hint.into());
        Payload::ProduceMedia(proto::ProduceMedia { source, content_hint, ..media })
    };
    let hints = [
        ("screen", "", ContentHint::Detail),
        ("camera", "text", ContentHint::Detail),
        ("whiteboard", "detail", ContentHint::Detail),
        ("screen", "motion", ContentHint::Motion),
        ("camera", "", ContentHint::Motion),
    ];
    for (source, hint, expected) in hints {
        let Payload::ProducerCreated(made) = ada.ask(with(source, hint)).await else {
            panic!("{source} {hint:?}")
        };
        let producer = ProducerId(number(&made.id));
        if expected == ContentHint::Detail {
            let is_it = |command: &Command| *command == Command::SetContentHint { producer, hint: expected };
            engine.received("that it is a screen", is_it).await;
        }
        ada.done(Payload::CloseProducer(proto::CloseProducer { producer_id: made.id })).await;
    }
    let hints =
        engine.commands().iter().filter(|command| matches!(command, Command::SetContentHint { .. })).count();
    assert_eq!(hints, 3, "motion is the default");
    assert_eq!(ada.fails(with("camera", "fluid")).await, ErrorCode::BadMessage);
}

#[tokio::test]
async fn consumer_hints_are_sent_to_the_engine_before_the_resume() {
    let delay = PlayoutDelay { min_ms: 0, max_ms: 400 };
    let media = MediaConfig { playout_delay: Some(delay), ..MediaConfig::default() };
    let (engine, signaling) = start(media);
    let (ada, mut bob) = (signaling.client(), signaling.client());
    let Stage { audio, video, recv } = stage(&ada, &mut bob).await;
    let eye = bob.consume(&recv, &video).await.id;
    let Payload::ConsumeMedia(media) = consume(&recv, &audio) else { unreachable!() };
    let spared = Payload::ConsumeMedia(proto::ConsumeMedia { ignore_dtx: true, ..media });
    let Payload::ConsumerCreated(ear) = bob.ask(spared).await else { panic!("a consumer") };
    for consumer_id in [eye.clone(), ear.id.clone()] {
        bob.done(Payload::ResumeConsumer(proto::ResumeConsumer { consumer_id })).await;
    }
    let (eye, ear) = (ConsumerId(number(&eye)), ConsumerId(number(&ear.id)));
    let commands = engine.commands();
    let place = |wanted: &Command| commands.iter().position(|command| command == wanted);
    let delayed = place(&Command::SetPlayoutDelay { consumer: eye, delay: Some(delay) });
    assert!(
        delayed.is_some() && delayed < place(&Command::ResumeConsumer { consumer: eye }),
        "{commands:#?}"
    );
    let spared = place(&Command::SetIgnoreDtx { consumer: ear, ignore: true });
    assert!(spared.is_some() && spared < place(&Command::ResumeConsumer { consumer: ear }), "{commands:#?}");
    assert_eq!(
        place(&Command::SetPlayoutDelay { consumer: ear, delay: Some(delay) }),
        None,
        "audio has none"
    );
}

#[tokio::test]
async fn client_can_limit_the_bitrates_of_its_transports() {
    let (engine, signaling) = start(MediaConfig::default());
    let (ada, bob) = (signaling.client(), signaling.client());
    ada.join(join("r", "Ada")).await;
    bob.join(join("r", "Bob")).await;
    let send = ada.transport("send").await.id;
    let bound = |transport: &str, incoming, outgoing| {
        Payload::SetBitrates(proto::SetBitrates {
            transport_id: transport.into(),
            max_incoming_bitrate: incoming,
            max_outgoing_bitrate: outgoing,
        })
    };
    ada.done(bound(&send, Some(500_000), None)).await;
    ada.done(bound(&send, None, Some(30_000))).await;
    for (max_incoming_bps, max_outgoing_bps) in [(Some(500_000), None), (None, Some(30_000))] {
        let wanted = Command::SetBitrates {
            transport: transport_id(&send),
            max_incoming_bps,
            min_outgoing_bps: None,
            max_outgoing_bps,
        };
        engine.received("a bound", |command| *command == wanted).await;
    }
    assert_eq!(ada.fails(bound(&send, Some(29_999), None)).await, ErrorCode::BadMessage);
    assert_eq!(bob.fails(bound(&send, Some(500_000), None)).await, ErrorCode::NoSuchTransport);
}
