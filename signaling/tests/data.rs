//! Data producers and data consumers of the object flow, and data channels of the SDP flow.

mod harness;

use control::{AcceptData, Closed, Command, DataChannel, DataReliability, Event, Text, TransportId};
use harness::engine::{Engine, socket_path};
use harness::tokens::*;
use harness::{Client, Signaling, join};
use signaling::auth::token::Permissions;
use signaling::limits;
use signaling::proto::{self, ErrorCode, signal::Payload};
use signaling::rooms::Admission;
use std::time::Duration;

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
    ada.done(Payload::Leave(proto::Leave::default())).await;
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

fn vector(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/sdp").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The offer of a browser with data channels alone.
fn channels_alone() -> String {
    vector("chrome-offer-datachannel.sdp")
}

/// The section of data channels of that offer, for an offer with other sections before it.
fn channel_section(mid: &str) -> String {
    let text = channels_alone();
    let (_, section) = text.split_once("m=application").expect("a section");
    format!("m=application{section}").replace("a=mid:0", &format!("a=mid:{mid}"))
}

fn offer(sdp: &str) -> Payload {
    Payload::Offer(proto::Offer { sdp: sdp.into(), ..Default::default() })
}

async fn offers(client: &Client, sdp: &str) -> sdp::Description {
    match client.ask(offer(sdp)).await {
        Payload::Answer(answer) => {
            webrtc_sdp::parse_sdp(&answer.sdp, true)
                .unwrap_or_else(|error| panic!("{error}: {}", answer.sdp));
            sdp::Description::parse(&answer.sdp).unwrap_or_else(|error| panic!("{error}: {}", answer.sdp))
        }
        other => panic!("an answer, not {other:?}"),
    }
}

/// The transports on which clients may open channels, in that order.
fn accepting(engine: &Engine) -> Vec<AcceptData> {
    let accepted = engine.commands().into_iter().filter_map(|command| match command {
        Command::AcceptData(accept) => Some(accept),
        _ => None,
    });
    accepted.collect()
}

fn channel(label: &str) -> DataChannel {
    DataChannel {
        label: Text::new(label),
        protocol: Text::new("json"),
        is_unordered: true,
        reliability: DataReliability::Lifetime { ms: 300 },
        priority: 1024,
    }
}

fn opened(transport: TransportId, stream: u16, label: &str) -> Event {
    Event::DataChannelOpened { transport, stream, channel: channel(label) }
}

fn channel_to(payload: Payload) -> Option<proto::DataConsumerCreated> {
    match payload {
        Payload::DataConsumerCreated(created) => Some(created),
        _ => None,
    }
}

/// The commands that open channels to clients of the SDP flow.
fn opened_to(engine: &Engine) -> Vec<control::ConsumeData> {
    let commands = engine.commands().into_iter().filter_map(|command| match command {
        Command::ConsumeData(consume) if consume.is_dcep => Some(consume),
        _ => None,
    });
    commands.collect()
}

#[tokio::test]
async fn channels_of_a_bare_client_are_data_producers_and_those_of_others_are_opened_to_it() {
    let (engine, signaling) = start();
    let (mut ada, adas) = enter(&signaling, "ada", Permissions::default()).await;
    let (mut bob, bobs) = enter(&signaling, "bob", Permissions::default()).await;
    let answer = offers(&ada, &channels_alone()).await;
    let section = &answer.sections[0];
    assert!(!section.is_rejected());
    assert_eq!(section.formats, ["webrtc-datachannel"]);
    assert_eq!((section.sctp_port, section.max_message_size), (Some(5000), Some(256 * 1024)));
    assert_eq!(answer.bundles, [["0".to_owned()]]);
    let accepted = accepting(&engine);
    assert_eq!(
        accepted.iter().map(|it| (it.port, it.message_len_max)).collect::<Vec<_>>(),
        [(5000, 262_144)]
    );
    let transport = accepted[0].transport;
    engine.tell(opened(transport, 0, "chat"));
    let new = until(&mut bob, announced).await;
    let info = new.data_producer.expect("which");
    assert_eq!((new.peer_id, &*info.label, &*info.protocol), (adas.peer_id.clone(), "chat", "json"));
    // The report is repeated after a loss of events.
    engine.tell(opened(transport, 0, "chat"));
    let (send, recv) = (bob.transport("send").await.id, bob.transport("recv").await.id);
    let received = consumed(&bob, &recv, &info.id).await;
    assert_eq!((&received.peer_id, &*received.label), (&adas.peer_id, "chat"));
    let stream = received.sctp_stream_parameters.expect("a stream");
    assert_eq!((stream.ordered, stream.max_packet_life_time), (Some(false), Some(300)));
    // The other direction: the engine is the DTLS server, which has the odd streams.
    let bobs_files = produced(&bob, produce(&send, 7)).await;
    let created = until(&mut ada, channel_to).await;
    assert_eq!((&created.data_producer_id, &created.peer_id), (&bobs_files, &bobs.peer_id));
    assert_eq!(created.sctp_stream_parameters.expect("a stream").stream_id % 2, 1);
    assert_eq!(opened_to(&engine).len(), 1);
    assert_eq!(opened_to(&engine)[0].transport, transport);
    // The client closes that channel; another one is opened, and the closed one is not.
    let consumer = opened_to(&engine)[0].consumer;
    engine.tell(Event::DataConsumerClosed { consumer, closed: Closed::PeerClosed });
    let second = produced(&bob, produce(&send, 8)).await;
    assert_eq!(until(&mut ada, channel_to).await.data_producer_id, second);
    // Long enough for the next comparison.
    tokio::time::sleep(5 * limits::NEGOTIATION_PAUSE).await;
    assert_eq!(opened_to(&engine).len(), 2);
    let produced =
        engine.commands().into_iter().filter(|it| matches!(it, Command::ProduceData(it) if it.is_dcep));
    assert_eq!(produced.count(), 1, "the repeated report changes nothing");
    // Its end is that of a data producer.
    let own = engine.commands().into_iter().find_map(|command| match command {
        Command::ProduceData(it) if it.is_dcep => Some(it.producer),
        _ => None,
    });
    let producer = own.expect("a data producer");
    engine.tell(Event::DataProducerClosed { producer, closed: Closed::PeerClosed });
    let closed = |payload| match payload {
        Payload::DataProducerClosed(closed) => Some(closed.data_producer_id),
        _ => None,
    };
    assert_eq!(until(&mut bob, closed).await, info.id);
}

/// For example, because a fault closed the copy of a data producer of another worker.
#[tokio::test]
async fn a_channel_that_the_engine_refuses_is_opened_later() {
    let (engine, signaling) = start();
    let (mut ada, _) = enter(&signaling, "ada", Permissions::default()).await;
    let (bob, _) = enter(&signaling, "bob", Permissions::default()).await;
    offers(&ada, &channels_alone()).await;
    let send = bob.transport("send").await.id;
    engine.refuse_data_consumers(2);
    let producer = produced(&bob, produce(&send, 7)).await;
    assert_eq!(until(&mut ada, channel_to).await.data_producer_id, producer);
    assert_eq!(opened_to(&engine).len(), 3);
}

/// Those that are not permitted, too many, or with names that are too long.
#[tokio::test]
async fn channels_that_are_not_possible_are_closed() {
    let (engine, signaling) = start();
    let silent = Permissions { can_publish_data: false, ..Permissions::default() };
    let (eve, _) = enter(&signaling, "eve", silent).await;
    offers(&eve, &channels_alone()).await;
    let (ada, _) = enter(&signaling, "ada", Permissions::default()).await;
    offers(&ada, &channels_alone()).await;
    let (mut bob, _) = enter(&signaling, "bob", Permissions::default()).await;
    let [of_eve, of_ada] = accepting(&engine)[..] else { panic!("two transports") };
    let closes = |of: AcceptData, wanted: u16| move |command: &Command| matches!(command, Command::CloseDataChannel { transport, stream } if *transport == of.transport && *stream == wanted);
    engine.tell(opened(of_eve.transport, 0, "chat"));
    engine.received("the end of a channel that is not permitted", closes(of_eve, 0)).await;
    engine.tell(opened(of_ada.transport, 0, &"x".repeat(limits::DATA_LABEL_LEN_MAX + 1)));
    engine.received("the end of a channel with a long label", closes(of_ada, 0)).await;
    let max = limits::DATA_PRODUCERS_PER_PEER_MAX as u16;
    for stream in (1..=max).map(|number| 2 * number) {
        engine.tell(opened(of_ada.transport, stream, "chat"));
        until(&mut bob, announced).await;
    }
    engine.tell(opened(of_ada.transport, 2 * max + 2, "chat"));
    engine.received("the end of a channel too many", closes(of_ada, 2 * max + 2)).await;
    // On a transport without a section for them.
    let other = harness::transport_id(&bob.transport("sendrecv").await.id);
    engine.tell(opened(other, 0, "chat"));
    let of_bob = AcceptData { transport: other, ..of_ada };
    engine.received("the end of a channel without a section", closes(of_bob, 0)).await;
}

#[tokio::test]
async fn channels_are_added_by_a_later_offer_and_closed_by_another() {
    let (engine, signaling) = start();
    let (mut ada, _) = enter(&signaling, "ada", Permissions::default()).await;
    let (mut bob, _) = enter(&signaling, "bob", Permissions::default()).await;
    let media = vector("chrome-offer-av-plain.sdp");
    offers(&ada, &media).await;
    assert_eq!(accepting(&engine), []);
    let with = |port: &str| {
        let section =
            channel_section("2").replacen("m=application 37224", &format!("m=application {port}"), 1);
        media.replace("BUNDLE 0 1", "BUNDLE 0 1 2") + &section
    };
    let answer = offers(&ada, &with("9")).await;
    assert_eq!(answer.sections.iter().map(|it| it.port).collect::<Vec<_>>(), [9; 3]);
    assert_eq!(answer.bundles, [["0", "1", "2"].map(str::to_owned)]);
    let transport = accepting(&engine)[0].transport;
    engine.tell(opened(transport, 0, "chat"));
    let chat = until(&mut bob, announced).await.data_producer.expect("which").id;
    let send = bob.transport("send").await.id;
    produced(&bob, produce(&send, 7)).await;
    until(&mut ada, channel_to).await;
    // New ICE credentials change nothing.
    let restarted = with("9").replace("a=ice-ufrag:", "a=ice-ufrag:new");
    offers(&ada, &restarted).await;
    let (recv, closed) = (bob.transport("recv").await.id, |command: &Command| {
        matches!(command, Command::CloseDataProducer { .. } | Command::CloseDataConsumer { .. })
    });
    consumed(&bob, &recv, &chat).await;
    assert_eq!(accepting(&engine).len(), 1);
    assert!(!engine.commands().iter().any(closed));
    // The client rejects the section.
    let answer = offers(&ada, &with("0").replace("a=ice-ufrag:", "a=ice-ufrag:new")).await;
    assert_eq!(answer.sections.iter().map(|it| it.port).collect::<Vec<_>>(), [9, 9, 0]);
    engine.received("the end of its producer", |it| matches!(it, Command::CloseDataProducer { .. })).await;
    engine.received("the end of its consumer", |it| matches!(it, Command::CloseDataConsumer { .. })).await;
    assert_eq!(bob.fails(consume(&recv, &chat)).await, ErrorCode::NoSuchProducer);
}

#[tokio::test]
async fn wrong_sections_of_data_channels_are_refused_with_a_reason() {
    let (_engine, signaling) = start();
    let (ada, _) = enter(&signaling, "ada", Permissions::default()).await;
    let text = channels_alone();
    let two = text.replace("BUNDLE 0", "BUNDLE 0 1") + &channel_section("1");
    for (wrong, words) in [
        (text.replace("a=sctp-port:5000", "a=x"), "a=sctp-port"),
        (text.replace("sctp-port:5000", "sctp-port:0"), "a port from 1 to 65535"),
        (text.replace("sctp-port:5000", "sctp-port:65536"), "a port from 1 to 65535"),
        (text.replace("max-message-size:262144", "max-message-size:-1"), "a number of bytes"),
        (text.replace("max-message-size:262144", "max-message-size:64K"), "a number of bytes"),
        (two, "a second section of data channels"),
        (text.replace("UDP/DTLS/SCTP webrtc-datachannel", "UDP/BFCP *"), "no section"),
        (text.replace("m=application 37224", "m=application 0"), "no section"),
        (text.replace("a=ice-ufrag", "a=x-ufrag"), "ice-ufrag"),
    ] {
        match ada.ask(offer(&wrong)).await {
            Payload::Error(error) => {
                assert_eq!(error.code(), ErrorCode::BadMessage);
                assert!(error.message.contains(words), "{words}: {error:?}");
            }
            other => panic!("{words}: {other:?}"),
        }
    }
    // A section outside the group has no transport.
    let media = vector("chrome-offer-av-plain.sdp") + &channel_section("2");
    let answer = offers(&ada, &media).await;
    assert_eq!(answer.sections.iter().map(|it| it.port).collect::<Vec<_>>(), [9, 9, 0]);
    // Without a size, 64 KiB count (RFC 8841 §6.1); the form before that RFC has the port as its format.
    let (engine, signaling) = start();
    let (bob, _) = enter(&signaling, "bob", Permissions::default()).await;
    let older = text
        .replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5001")
        .replace("a=sctp-port:5000", "a=sctpmap:5001 webrtc-datachannel 65535")
        .replace("a=max-message-size:262144\r\n", "");
    let answer = offers(&bob, &older).await;
    let section = &answer.sections[0];
    assert_eq!((&*section.protocol, &*section.formats), ("DTLS/SCTP", &["5000".to_owned()][..]));
    assert_eq!(
        section.sctpmap.as_ref().map(|map| (map.port, &*map.application)),
        Some((5000, "webrtc-datachannel"))
    );
    assert_eq!(
        accepting(&engine).iter().map(|it| (it.port, it.message_len_max)).collect::<Vec<_>>(),
        [(5001, 65_536)]
    );
}

/// What a client opened while no process of signaling was there is reported again.
#[tokio::test]
async fn channels_of_the_sdp_flow_outlive_the_signaling_process() {
    let engine = Engine::start(&socket_path());
    let first = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let (mut ada, mut bob) = (first.client(), first.client());
    let (adas, bobs) = (ada.join(join("stage", "Ada")).await, bob.join(join("stage", "Bob")).await);
    offers(&ada, &channels_alone()).await;
    let accepted = accepting(&engine);
    let transport = accepted[0].transport;
    engine.tell(opened(transport, 0, "chat"));
    until(&mut bob, announced).await;
    let send = bob.transport("send").await.id;
    produced(&bob, produce(&send, 7)).await;
    until(&mut ada, channel_to).await;
    first.kill().await;
    drop((ada, bob));

    let second = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let back = |joined: &proto::Joined, transports: Vec<String>| {
        let transports = transports.into_iter().map(|id| proto::HeldTransport { id }).collect();
        proto::JoinRoom { resume: Some(proto::Resume { transports, ..resume(joined) }), ..join("stage", "") }
    };
    let (mut bob, mut ada) = (second.client(), second.client());
    bob.join(back(&bobs, vec![send.clone()])).await;
    ada.join(back(&adas, Vec::new())).await;
    engine.received("the request to report channels again", |_| accepting(&engine).len() == 2).await;
    assert_eq!(accepting(&engine), [accepted[0]; 2]);
    engine.tell(opened(transport, 2, "files"));
    assert_eq!(until(&mut bob, announced).await.data_producer.expect("which").label, "files");
    produced(&bob, produce(&send, 8)).await;
    let stream = until(&mut ada, channel_to).await.sctp_stream_parameters.expect("a stream").stream_id;
    assert_eq!(opened_to(&engine).iter().map(|it| u32::from(it.stream)).collect::<Vec<_>>(), [1, stream]);
    assert_eq!(offers(&ada, &channels_alone()).await.sections[0].port, 9);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let is_close = |command: &Command| {
        matches!(
            command,
            Command::CloseDataProducer { .. }
                | Command::CloseDataConsumer { .. }
                | Command::CloseTransport { .. }
        )
    };
    assert!(!engine.commands().iter().any(is_close));
}

/// The answer to the first request was lost with the socket.
#[tokio::test]
async fn a_repeated_request_gets_the_same_data_producer() {
    let (_engine, signaling) = start();
    let (ada, _) = enter(&signaling, "ada", Permissions::default()).await;
    let send = ada.transport("send").await.id;
    let first = produced(&ada, produce(&send, 0)).await;
    assert_eq!(produced(&ada, produce(&send, 0)).await, first);
    assert_ne!(produced(&ada, produce(&send, 1)).await, first);
}

/// Each peer is on its own worker: the data producer is created a second time, once for each worker.
#[tokio::test]
async fn data_producer_of_another_worker_is_piped_once_and_survives_the_signaling_process() {
    let engine = Engine::start(&socket_path());
    let first = Signaling::start_spread(&engine.path);
    let mut members = Vec::new();
    for name in ["Ada", "Bob", "Carl", "Dan"] {
        let client = first.client();
        let joined = client.join(join("stage", name)).await;
        let (send, recv) = (client.transport("send").await.id, client.transport("recv").await.id);
        members.push((client, joined, send, recv));
    }
    let [ada, bob, _, dan] = &members[..] else { unreachable!() };
    let producer = produced(&ada.0, produce(&ada.2, 3)).await;
    let before = engine.commands_by_worker().len();
    let created = consumed(&bob.0, &bob.3, &producer).await;
    consumed(&dan.0, &dan.3, &producer).await;
    let commands = engine.commands_by_worker().split_off(before);
    let workers: Vec<usize> = commands.iter().map(|(worker, _)| *worker).collect();
    let commands: Vec<Command> = commands.into_iter().map(|(_, command)| command).collect();
    let [
        Command::CreatePipe(pipe),
        Command::ProduceData(copy),
        Command::ConsumeData(_),
        Command::ConsumeData(_),
    ] = &commands[..]
    else {
        panic!("{commands:#?}")
    };
    assert!(workers.iter().all(|worker| *worker != usize::from(pipe.worker)), "{workers:?}");
    assert_eq!((copy.transport, copy.producer.to_string()), (pipe.transport, producer.clone()));
    assert_eq!((pipe.transport, copy.app_data.0.len()), (harness::transport_id(&ada.2), 0));

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
    let (adas, bobs) = (back(&ada.1, &ada.2), back(&bob.1, &bob.3));
    let bobs_transport = bob.3.clone();
    first.kill().await;
    drop(members);
    let before = engine.commands().len();
    let second = Signaling::start_spread(&engine.path);
    let (mut bob, ada) = (second.client(), second.client());
    let joined = bob.join(bobs).await;
    let channels: usize = joined.peers.iter().map(|peer| peer.data_producers.len()).sum();
    assert_eq!(channels, 1, "a copy is not another data producer: {joined:?}");
    ada.join(adas).await;
    assert_eq!(consumed(&bob, &bobs_transport, &producer).await, created, "it is still consumed");
    let is_change = |command: &Command| {
        matches!(
            command,
            Command::CloseDataProducer { .. }
                | Command::CloseDataConsumer { .. }
                | Command::ProduceData(_)
                | Command::CreatePipe(_)
                | Command::ConsumeData(_)
        )
    };
    let since = engine.commands().split_off(before);
    assert!(!since.iter().any(is_change), "{since:#?}");
    let close = proto::CloseDataProducer { data_producer_id: producer.clone() };
    ada.done(Payload::CloseDataProducer(close)).await;
    until(&mut bob, |payload| matches!(payload, Payload::DataProducerClosed(_)).then_some(())).await;
    assert_eq!(bob.fails(consume(&bobs_transport, &producer)).await, ErrorCode::NoSuchProducer);
}
