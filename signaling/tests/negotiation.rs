//! Clients that speak SDP: the SDP flow, and the resources of WHIP and WHEP, with an engine behind the real ring.

mod harness;

use control::{Closed, Command};
use harness::engine::{Engine, socket_path};
use harness::{Client, HERE, Signaling, eventually, join};
use sdp::{Description, Direction, MediaKind, Section};
use signaling::limits;
use signaling::proto::{self, ErrorCode, signal::Payload};
use signaling::request_error::RequestError;
use signaling::rooms::{Admission, IfMatch, Patched, Plan, Resource, ResourceName, Visitor, WantedLayers};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;
use webrtc_sdp::attribute_type::{SdpAttribute, SdpAttributeType};

fn start() -> (Engine, Signaling) {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::Development { verifier: None });
    (engine, signaling)
}

/// A real offer.
fn vector(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/sdp").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The offer of a browser that receives audio and video.
fn watching() -> String {
    vector("chrome-offer-av-recvonly.sdp")
}

/// The offer of a browser that sends audio and video.
fn sending() -> String {
    vector("chrome-offer-av-plain.sdp")
}

fn read(text: &str) -> Description {
    Description::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn offer(sdp: &str) -> Payload {
    Payload::Offer(proto::Offer { sdp: sdp.into(), ..Default::default() })
}

fn answer(sdp: &str) -> Payload {
    Payload::Answer(proto::Answer { sdp: sdp.into(), ..Default::default() })
}

/// What a browser answers to an offer of the server, which it names.
fn answer_to(offer: &proto::Offer) -> Payload {
    Payload::Answer(proto::Answer { sdp: accepting(&offer.sdp), offer_id: offer.id, ..Default::default() })
}

async fn offers(client: &Client, sdp: &str) -> Description {
    match client.ask(offer(sdp)).await {
        Payload::Answer(answer) => {
            assert_eq!(answer.ice_ufrag.len(), 1);
            read(&answer.sdp)
        }
        other => panic!("an answer, not {other:?}"),
    }
}

/// The next offer of the server.
async fn offered(client: &mut Client) -> String {
    next_offer(client).await.sdp
}

async fn next_offer(client: &mut Client) -> proto::Offer {
    loop {
        match client.notification().await {
            Payload::Offer(offer) => return offer,
            Payload::Error(error) => panic!("{error:?}"),
            _ => {}
        }
    }
}

/// What a browser answers to an offer of the server: it takes everything.
fn accepting(offer: &str) -> String {
    let flipped = offer.lines().filter(|line| {
        !["a=candidate", "a=end-of", "a=ice-lite", "a=ssrc", "a=msid:"]
            .iter()
            .any(|start| line.starts_with(start))
    });
    let flipped = flipped.map(|line| match line {
        "a=sendonly" => "a=recvonly",
        "a=recvonly" => "a=sendonly",
        "a=setup:actpass" => "a=setup:active",
        other => other,
    });
    flipped.map(|line| format!("{line}\r\n")).collect()
}

/// With the first section of a kind closed.
fn closed(text: &str, media: &str) -> String {
    let (before, line) = text.split_once(&format!("m={media} ")).expect("a section");
    let (_port, after) = line.split_once(' ').expect("a port");
    format!("{before}m={media} 0 {after}")
}

fn directions(description: &Description) -> Vec<Direction> {
    description.sections.iter().map(|section| section.direction).collect()
}

fn consumed(engine: &Engine) -> Vec<control::Consume> {
    let commands = engine.commands().into_iter();
    commands
        .filter_map(|command| if let Command::Consume(consume) = command { Some(consume) } else { None })
        .collect()
}

/// Ada sends audio and video in the object flow.
async fn publisher(signaling: &Signaling, room: &str) -> (Client, Vec<String>) {
    let ada = signaling.client();
    ada.join(join(room, "Ada")).await;
    let send = ada.transport("send").await.id;
    let tracks = vec![ada.produce(&send, "audio").await, ada.produce(&send, "video").await];
    (ada, tracks)
}

#[tokio::test]
async fn every_real_offer_gets_an_answer_that_another_parser_accepts() {
    let (_engine, signaling) = start();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/sdp");
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the vectors")
        .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names.len(), 26);
    let (_ada, _) = publisher(&signaling, "stage").await;
    for (index, name) in names.iter().enumerate() {
        let client = signaling.client();
        client.join(join("stage", &format!("client {index}"))).await;
        let text = vector(name);
        let wanted = read(&text);
        let Payload::Answer(answered) = client.ask(offer(&text)).await else { panic!("{name}") };
        let other =
            webrtc_sdp::parse_sdp(&answered.sdp, true).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(other.media.len(), wanted.sections.len(), "{name}");
        let found = read(&answered.sdp);
        assert!(found.is_ice_lite, "{name}");
        for ((own, asked), media) in found.sections.iter().zip(&wanted.sections).zip(&other.media) {
            assert_eq!(own.mid, asked.mid, "{name}");
            assert_ne!(media.get_port(), 0, "{name}");
            assert!(media.get_attribute(SdpAttributeType::IceUfrag).is_some(), "{name}");
            if asked.kind == MediaKind::Application {
                let port = media.get_attribute(SdpAttributeType::SctpPort);
                assert!(matches!(port, Some(SdpAttribute::SctpPort(5000))), "{name}");
                continue;
            }
            assert_eq!(own.direction.receives(), asked.direction.sends(), "{name}");
            // Simulcast is received with the RIDs of the offer.
            let sent: Vec<_> = asked.rids.iter().filter(|rid| rid.is_sent).map(|rid| &rid.id).collect();
            let received: Vec<_> = own.rids.iter().map(|rid| &rid.id).collect();
            assert_eq!(received, sent, "{name}");
        }
        client.done(Payload::Leave(proto::Leave::default())).await;
    }
}

#[tokio::test]
async fn bare_client_publishes_with_its_numbers_and_others_learn_of_it() {
    let (engine, signaling) = start();
    let mut bob = signaling.client();
    bob.join(join("stage", "Bob")).await;
    let ada = signaling.client();
    let joined = ada.join(join("stage", "Ada")).await;
    let text = vector("chrome-offer-av-simulcast-vp8-dc.sdp");
    let (wanted, found) = (read(&text), offers(&ada, &text).await);
    assert_eq!(directions(&found)[..2], [Direction::RecvOnly, Direction::RecvOnly]);
    assert_eq!(found.sections.last().map(|section| section.port), Some(9), "data channels");
    assert!(matches!(bob.notification().await, Payload::PeerJoined(_)));
    let mut sources = Vec::new();
    while sources.len() < 2 {
        let Payload::NewProducer(new) = bob.notification().await else { panic!("a producer") };
        assert_eq!(new.peer_id, joined.peer_id);
        sources.push(new.producer.expect("what").source);
    }
    assert_eq!(sources, ["microphone", "camera"]);
    let produced: Vec<_> = engine
        .commands()
        .into_iter()
        .filter_map(|command| if let Command::Produce(produce) = command { Some(produce) } else { None })
        .collect();
    let video = &wanted.sections[1];
    let vp8 = video.rtpmaps.iter().find(|map| map.name == "VP8").expect("VP8").payload_type;
    assert_eq!(produced[1].codecs[0].pt, vp8);
    assert_eq!(produced[1].encodings.len(), 3);
    assert!(produced[1].encodings.iter().all(|encoding| encoding.rid.is_some() && encoding.ssrc.is_none()));

    // The same offer again changes nothing; without the video, its producer ends.
    offers(&ada, &text).await;
    bob.no_more_notifications();
    let without = closed(&text, "video");
    let found = offers(&ada, &without).await;
    assert_eq!(found.sections[1].port, 0);
    assert!(matches!(bob.notification().await, Payload::ProducerClosed(_)));
    bob.no_more_notifications();
}

/// The client was busy for so long that the offer was repeated: its late answer is not that to the newer offer.
#[tokio::test]
async fn answer_to_an_offer_that_was_replaced_is_ignored() {
    let (engine, signaling) = start();
    let mut bob = signaling.client();
    bob.join(join("stage", "Bob")).await;
    offers(&bob, &watching()).await;
    let (_ada, _) = publisher(&signaling, "stage").await;
    let first = next_offer(&mut bob).await;
    let mut newest = next_offer(&mut bob).await;
    assert!(first.id != 0 && first.id < newest.id, "{} {}", first.id, newest.id);
    let resumed = |engine: &Engine| {
        engine.commands().iter().filter(|command| matches!(command, Command::ResumeConsumer { .. })).count()
    };
    bob.done(answer_to(&first)).await;
    assert_eq!(resumed(&engine), 0);
    while directions(&read(&newest.sdp)) != [Direction::SendOnly, Direction::SendOnly] {
        bob.done(answer_to(&newest)).await;
        newest = next_offer(&mut bob).await;
    }
    bob.done(answer_to(&newest)).await;
    assert_eq!(resumed(&engine), 2);
    // A repetition of the answer changes nothing.
    assert_eq!(bob.fails(answer_to(&newest)).await, ErrorCode::WrongState);
    assert_eq!(resumed(&engine), 2);
}

#[tokio::test]
async fn tracks_of_others_come_and_go_by_offers_of_the_server() {
    let (engine, signaling) = start();
    let mut bob = signaling.client();
    bob.join(join("stage", "Bob")).await;
    let found = offers(&bob, &watching()).await;
    assert_eq!(directions(&found), [Direction::Inactive, Direction::Inactive]);
    let (ada, tracks) = publisher(&signaling, "stage").await;
    // Both sections are free: they are used, and no further ones are added.
    let mut text = offered(&mut bob).await;
    while directions(&read(&text)) != [Direction::SendOnly, Direction::SendOnly] {
        bob.done(answer(&accepting(&text))).await;
        text = offered(&mut bob).await;
    }
    let description = read(&text);
    assert_eq!(
        description.sections.iter().map(|section| section.mid.as_str()).collect::<Vec<_>>(),
        ["0", "1"]
    );
    assert_eq!(description.sections[1].msid.as_ref().map(|msid| msid.track.clone()), Some(tracks[1].clone()));
    assert_eq!(description.sections[1].ssrcs.len(), 2, "the stream and its retransmissions");
    assert!(description.sections.iter().all(|section| section.setup == Some(sdp::Setup::ActPass)));
    webrtc_sdp::parse_sdp(&text, true).unwrap_or_else(|error| panic!("{error}"));
    let resumed = |engine: &Engine| {
        engine.commands().iter().filter(|command| matches!(command, Command::ResumeConsumer { .. })).count()
    };
    assert!(resumed(&engine) < 2, "before the answer");
    bob.done(answer(&accepting(&text))).await;
    assert_eq!(resumed(&engine), 2);
    // The consumers have the numbers of the client.
    let wanted = read(&watching());
    let vp8 = wanted.sections[1].rtpmaps.iter().find(|map| map.name == "VP8").expect("VP8").payload_type;
    let video = consumed(&engine).into_iter().find(|consume| consume.rtx_ssrc.is_some()).expect("video");
    assert_eq!(video.codecs[0].pt, vp8);
    let mid = wanted.sections[1].extmaps.iter().find(|extmap| extmap.uri.ends_with(":mid")).expect("mid").id;
    assert!(video.extensions.iter().any(|extension| extension.id == mid));

    // A further track gets a section of its own.
    let eve = signaling.client();
    eve.join(join("stage", "Eve")).await;
    let send = eve.transport("send").await.id;
    let camera = eve.produce(&send, "video").await;
    let text = offered(&mut bob).await;
    let description = read(&text);
    assert_eq!((description.sections.len(), description.sections[2].mid.as_str()), (3, "s0"));
    assert_eq!(description.sections[2].rtpmaps[0].payload_type, vp8, "one number has one meaning");
    bob.done(answer(&accepting(&text))).await;

    // It ends: its section is inactive, and used again for the next track.
    eve.done(Payload::CloseProducer(proto::CloseProducer { producer_id: camera })).await;
    let text = offered(&mut bob).await;
    assert_eq!(read(&text).sections[2].direction, Direction::Inactive);
    bob.done(answer(&accepting(&text))).await;
    eve.produce(&send, "video").await;
    let text = offered(&mut bob).await;
    assert_eq!((read(&text).sections.len(), read(&text).sections[2].direction), (3, Direction::SendOnly));
    bob.done(answer(&accepting(&text))).await;
    drop(ada);
}

#[tokio::test]
async fn offers_that_cross_end_with_the_one_of_the_client() {
    let (_engine, signaling) = start();
    let mut bob = signaling.client();
    bob.join(join("stage", "Bob")).await;
    offers(&bob, &watching()).await;
    let (_ada, _) = publisher(&signaling, "stage").await;
    let eve = signaling.client();
    eve.join(join("stage", "Eve")).await;
    let send = eve.transport("send").await.id;
    eve.produce(&send, "video").await;
    let crossed = next_offer(&mut bob).await;
    // The client has not seen that offer: its own has two sections.
    let found = offers(&bob, &watching()).await;
    assert_eq!(found.sections.len(), 2);
    // Its answer is that to a void offer, and has no effect.
    bob.done(answer_to(&crossed)).await;
    // The server offers again, until all three tracks play.
    let mut text = offered(&mut bob).await;
    for _ in 0..5 {
        let playing = directions(&read(&text)).iter().filter(|direction| direction.sends()).count();
        bob.done(answer(&accepting(&text))).await;
        if playing == 3 {
            return;
        }
        text = offered(&mut bob).await;
    }
    panic!("not all tracks play: {text}");
}

#[tokio::test]
async fn refused_track_is_not_offered_again() {
    let (engine, signaling) = start();
    let (_ada, _) = publisher(&signaling, "stage").await;
    let mut bob = signaling.client();
    bob.join(join("stage", "Bob")).await;
    let only_audio = vector("chrome-offer-audio.sdp")
        .replace("a=sendrecv", "a=recvonly")
        .replace("a=sendonly", "a=recvonly");
    let found = offers(&bob, &only_audio).await;
    assert_eq!(found.sections[0].direction, Direction::SendOnly);
    // Of video, the client has said nothing: the server offers all that it has.
    let text = offered(&mut bob).await;
    let description = read(&text);
    let video = &description.sections[1];
    assert!(
        video.rtpmaps.iter().any(|map| map.name == "VP8")
            && video.rtpmaps.iter().any(|map| map.name == "AV1")
    );
    let audio: Vec<u8> = description.sections[0].rtpmaps.iter().map(|map| map.payload_type).collect();
    assert!(video.rtpmaps.iter().all(|map| !audio.contains(&map.payload_type)));
    let refusing = closed(&accepting(&text), "video");
    bob.done(answer(&refusing)).await;
    engine
        .received("the end of the consumer", |command| matches!(command, Command::CloseConsumer { .. }))
        .await;
    sleep(10 * limits::NEGOTIATION_PAUSE).await;
    while let Some(signal) = bob.queued() {
        assert!(!matches!(signal.payload, Some(Payload::Offer(_))), "{signal:?}");
    }
}

#[tokio::test]
async fn invalid_descriptions_are_refused_with_a_reason() {
    let (_engine, signaling) = start();
    let ada = signaling.client();
    assert_eq!(ada.fails(offer(&sending())).await, ErrorCode::WrongState, "before the join");
    ada.join(join("stage", "Ada")).await;
    assert_eq!(ada.fails(answer(&sending())).await, ErrorCode::WrongState);
    let candidate =
        |text: &str| Payload::Candidate(proto::Candidate { candidate: text.into(), ..Default::default() });
    assert_eq!(ada.fails(candidate("")).await, ErrorCode::WrongState);
    let text = sending();
    let cases = [
        (String::new(), "SDP"),
        ("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n".to_owned(), "no section"),
        ("x".to_owned(), "SDP"),
        (text.replace("a=ice-ufrag", "a=x-ufrag"), "ice-ufrag"),
        (text.replace("a=fingerprint", "a=x-fingerprint"), "fingerprint"),
        (text.replace("a=setup:actpass", "a=setup:holdconn"), "holdconn"),
        (text.replace("a=setup", "a=x-setup"), "setup"),
        (text.replace("a=rtcp-mux", "a=x-mux"), "rtcp-mux"),
        (text.replacen("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n", 1), "ICE-lite"),
        (text.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "UDP/TLS/RTP/SAVPF"),
        (closed(&closed(&text, "audio"), "video"), "no section"),
        (text.replace("opus", "GSM").replace("red/48000", "x/48000"), "GSM"),
    ];
    for (wrong, word) in cases {
        match ada.ask(offer(&wrong)).await {
            // One section is unknown, the other is not.
            Payload::Answer(answer) if word == "GSM" => assert_eq!(read(&answer.sdp).sections[0].port, 0),
            Payload::Error(error) => assert!(error.message.contains(word), "{word}: {error:?}"),
            other => panic!("{word}: {other:?}"),
        }
    }
    let found = offers(&ada, &sending()).await;
    assert_eq!(directions(&found), [Direction::RecvOnly; 2]);
    ada.done(candidate("")).await;
    ada.done(candidate("candidate:1 1 udp 2122260223 x-y.local 50000 typ host")).await;
    assert_eq!(ada.fails(candidate("candidate:1")).await, ErrorCode::BadMessage);
    let fewer = sending().split("m=video").next().expect("the audio").to_owned();
    assert_eq!(ada.fails(offer(&fewer)).await, ErrorCode::BadMessage, "fewer sections");
    let renamed = sending().replace("a=mid:1", "a=mid:7").replace("BUNDLE 0 1", "BUNDLE 0 7");
    assert_eq!(ada.fails(offer(&renamed)).await, ErrorCode::BadMessage, "another mid");
}

#[tokio::test]
async fn changed_credentials_restart_ice_and_another_certificate_starts_again() {
    let (engine, signaling) = start();
    let ada = signaling.client();
    ada.join(join("stage", "Ada")).await;
    let text = sending();
    offers(&ada, &text).await;
    let ufrag = read(&text).sections[0].ice_ufrag.clone().expect("a user name fragment");
    let restarted = text.replace(&format!("a=ice-ufrag:{ufrag}"), "a=ice-ufrag:ABCD");
    offers(&ada, &restarted).await;
    let count =
        |wanted: fn(&Command) -> bool| engine.commands().iter().filter(|command| wanted(command)).count();
    assert_eq!(count(|command| matches!(command, Command::RestartIce { .. })), 1);
    assert_eq!(count(|command| matches!(command, Command::CreateTransport(_))), 1);
    let line = text.lines().find(|line| line.starts_with("a=fingerprint")).expect("a fingerprint");
    let other = text.replace(line, &format!("a=fingerprint:sha-256 {}", ["CD"; 32].join(":")));
    offers(&ada, &other).await;
    assert_eq!(count(|command| matches!(command, Command::CreateTransport(_))), 2);
    engine
        .received("the end of the first", |command| matches!(command, Command::CloseTransport { .. }))
        .await;
}

fn visitor(room: &str) -> Visitor {
    Visitor {
        address: HERE,
        room: room.into(),
        token: String::new(),
        session: None,
        name: "Encoder".into(),
        scalability_mode: String::new(),
    }
}

async fn open(signaling: &Signaling, room: &str, sdp: &str, plan: Plan) -> Result<Resource, RequestError> {
    signaling.rooms.open_resource(visitor(room), sdp, plan).await
}

fn publishing<'a>(room: &'a str, resource: &'a Resource) -> ResourceName<'a> {
    ResourceName { is_player: false, room, id: &resource.id }
}

fn playing<'a>(room: &'a str, resource: &'a Resource) -> ResourceName<'a> {
    ResourceName { is_player: true, room, id: &resource.id }
}

#[tokio::test]
async fn encoder_is_a_peer_until_it_deletes_its_resource_or_vanishes() {
    let (engine, signaling) = start();
    let mut bob = signaling.client();
    bob.join(join("stage", "Bob")).await;
    let resource = open(&signaling, "stage", &sending(), Plan::Nothing).await.expect("opened");
    assert_eq!(directions(&read(&resource.accepted.sdp)), [Direction::RecvOnly; 2]);
    let Payload::PeerJoined(joined) = bob.notification().await else { panic!("a peer") };
    let peer = joined.peer.expect("who");
    assert_eq!(peer.display_name, "Encoder");
    let name = publishing("stage", &resource);
    assert!(signaling.rooms.has_resource(name));
    for wrong in [
        ResourceName { is_player: true, ..name },
        ResourceName { room: "other", ..name },
        ResourceName { id: &resource.id[..resource.id.len() - 2], ..name },
        ResourceName { id: &format!("{}x", resource.id), ..name },
        ResourceName { id: &format!("{}0", resource.id), ..name },
        ResourceName { id: "", ..name },
        ResourceName { id: &resource.id.replace(|c: char| c.is_ascii_digit(), "é"), ..name },
    ] {
        assert!(!signaling.rooms.has_resource(wrong) && !signaling.rooms.close_resource(wrong), "{wrong:?}");
    }
    assert!(signaling.rooms.close_resource(name) && !signaling.rooms.close_resource(name));
    while !matches!(bob.notification().await, Payload::PeerLeft(left) if left.peer_id == peer.id) {}
    eventually("the connections are gone", || signaling.rooms.connection_count() == 1).await;

    let resource = open(&signaling, "stage", &sending(), Plan::Nothing).await.expect("opened");
    let created = engine.commands().into_iter().rev();
    let created = created.filter_map(|command| match command {
        Command::CreateTransport(create) => Some(create.transport),
        _ => None,
    });
    let transport = created.into_iter().next().expect("a transport");
    engine.close_transport(transport, Closed::ConsentLost);
    while !matches!(bob.notification().await, Payload::PeerLeft(_)) {}
    assert!(!signaling.rooms.has_resource(publishing("stage", &resource)));
    eventually("the connections are gone", || signaling.rooms.connection_count() == 1).await;
}

#[tokio::test]
async fn encoder_gets_all_tracks_accepted_or_none() {
    let (engine, signaling) = start();
    for (text, code) in [
        (
            sending().replace("VP8", "X1").replace("VP9", "X2").replace("H264", "X3").replace("AV1", "X4"),
            ErrorCode::UnsupportedCodec,
        ),
        (sending().replace("a=group:BUNDLE", "a=group:X"), ErrorCode::UnsupportedCodec),
        (watching(), ErrorCode::UnsupportedCodec),
        (String::from("v=0\r\n"), ErrorCode::BadMessage),
    ] {
        let error = open(&signaling, "stage", &text, Plan::Nothing).await.expect_err("refused");
        assert_eq!(error.code, code, "{error}");
    }
    eventually("nothing is left", || signaling.rooms.connection_count() == 0).await;
    let count =
        |wanted: fn(&Command) -> bool| engine.commands().iter().filter(|command| wanted(command)).count();
    eventually("all transports are closed", || {
        count(|command| matches!(command, Command::CreateTransport(_)))
            == count(|command| matches!(command, Command::CloseTransport { .. }))
    })
    .await;
}

#[tokio::test]
async fn patch_restarts_ice_if_the_condition_holds() {
    let (_engine, signaling) = start();
    let resource = open(&signaling, "stage", &sending(), Plan::Nothing).await.expect("opened");
    let name = publishing("stage", &resource);
    let tag = resource.accepted.ice_ufrag.clone();
    let own = read(&sending()).sections[0].ice_ufrag.clone().expect("a user name fragment");
    let trickle =
        format!("a=ice-ufrag:{own}\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\na=end-of-candidates\r\n");
    let restart = format!("a=ice-ufrag:NEWU\r\na=ice-pwd:{}\r\n", "p".repeat(22));
    let rooms = &signaling.rooms;
    let patched =
        rooms.patch_resource(name, &IfMatch::Tags(vec![tag.clone()]), &trickle).await.expect("understood");
    assert_eq!(patched, Some(Patched::Candidates));
    let patched =
        rooms.patch_resource(name, &IfMatch::Tags(vec!["else".into()]), &restart).await.expect("understood");
    assert_eq!(patched, Some(Patched::Mismatch));
    let patched = rooms.patch_resource(name, &IfMatch::Any, &restart).await.expect("understood");
    let Some(Patched::Restarted { fragment, .. }) = patched else { panic!("{patched:?}") };
    for wanted in ["a=ice-ufrag:", "a=ice-pwd:", "a=candidate:", "m=audio 9 ", "a=mid:0"] {
        assert!(fragment.contains(wanted), "{wanted}: {fragment}");
    }
    for wrong in ["", "open sesame", "a=ice-ufrag:x\r\n", "a=ice-ufrag:MORE\r\n"] {
        let error = rooms.patch_resource(name, &IfMatch::Any, wrong).await.expect_err("refused");
        assert_eq!(error.code, ErrorCode::BadMessage, "{wrong:?}: {error}");
    }
}

#[tokio::test]
async fn player_fills_its_sections_without_further_offers() {
    let (engine, signaling) = start();
    let player = || Plan::Fill { only: None, names_ssrcs: false };
    let error = open(&signaling, "stage", &watching(), player()).await.expect_err("nothing to play");
    assert_eq!((error.code, error.retry_after), (ErrorCode::NoSuchProducer, Some(limits::PLAYER_PAUSE)));
    let mut bob = signaling.client();
    bob.join(join("stage", "Bob")).await;
    let send = bob.transport("send").await.id;
    let first = bob.produce(&send, "video").await;
    let resource = open(&signaling, "stage", &watching(), player()).await.expect("opened");
    let found = read(&resource.accepted.sdp);
    assert_eq!(directions(&found), [Direction::SendOnly; 2], "also the section without a track");
    assert!(
        found.sections.iter().all(|section: &Section| section.ssrcs.is_empty() && section.msid.is_some())
    );
    assert_eq!(consumed(&engine).len(), 1);
    // The audio that comes later is put on its free section.
    assert!(matches!(bob.notification().await, Payload::PeerJoined(_)));
    bob.produce(&send, "audio").await;
    eventually("the audio is played", || consumed(&engine).len() == 2).await;
    let mids: Vec<_> = consumed(&engine)
        .iter()
        .filter_map(|consume| Some(consume.mid.as_ref()?.as_str().to_owned()))
        .collect();
    assert_eq!(mids, ["1", "0"]);
    // Another video has no section, until the first one ends.
    let second = bob.produce(&send, "video").await;
    sleep(10 * limits::NEGOTIATION_PAUSE).await;
    assert_eq!(consumed(&engine).len(), 2);
    bob.done(Payload::CloseProducer(proto::CloseProducer { producer_id: first })).await;
    eventually("the second video is played", || {
        consumed(&engine).last().is_some_and(|last| last.producer.to_string() == second)
    })
    .await;
    let wanted = |mid: &str, encoding: Option<&str>| WantedLayers {
        mid: Some(mid.into()),
        encoding: encoding.map(Into::into),
        ..Default::default()
    };
    let name = playing("stage", &resource);
    assert!(signaling.rooms.set_resource_layers(name, &wanted("1", Some("0"))).await.expect("layers"));
    signaling.rooms.set_resource_layers(name, &wanted("0", None)).await.expect_err("audio");
    signaling.rooms.set_resource_layers(name, &wanted("1", Some("7"))).await.expect_err("no such encoding");
    let stream = signaling.rooms.open_status_stream(name).expect("a session");
    let status = signaling.rooms.player_status(name, stream).await.expect("a session");
    signaling.rooms.open_status_stream(name).expect("a session");
    assert_eq!(signaling.rooms.player_status(name, stream).await, None, "a later stream ends it");
    assert_eq!((status.is_active, status.viewers, status.media[0].mid.as_str()), (true, 1, "1"));
    assert!(signaling.rooms.close_resource(playing("stage", &resource)));
}

#[tokio::test]
async fn negotiations_outlive_the_process() {
    let engine = Engine::start(&socket_path());
    let first = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let encoder = open(&first, "stage", &sending(), Plan::Nothing).await.expect("opened");
    let player = open(&first, "stage", &watching(), Plan::Fill { only: None, names_ssrcs: false })
        .await
        .expect("opened");
    let bob = first.client();
    let joined = bob.join(join("stage", "Bob")).await;
    offers(&bob, &watching()).await;
    let closed = |engine: &Engine| {
        engine.commands().iter().filter(|command| matches!(command, Command::CloseTransport { .. })).count()
    };
    sleep(Duration::from_millis(200)).await;
    first.kill().await;
    drop(bob);

    let second = Signaling::start(&engine.path, Admission::Development { verifier: None });
    eventually("media is ready", || second.rooms.is_media_ready()).await;
    assert!(second.rooms.has_resource(publishing("stage", &encoder)));
    assert!(second.rooms.has_resource(playing("stage", &player)));
    // The tag of the encoder is the same, and ICE can be restarted.
    let condition = IfMatch::Tags(vec![encoder.accepted.ice_ufrag.clone()]);
    let restart = format!("a=ice-ufrag:NEWU\r\na=ice-pwd:{}\r\n", "p".repeat(22));
    let patched = second.rooms.patch_resource(publishing("stage", &encoder), &condition, &restart).await;
    assert!(matches!(patched, Ok(Some(Patched::Restarted { .. }))), "{patched:?}");
    let mut bob = second.client();
    let resume = proto::Resume {
        peer_id: joined.peer_id.clone(),
        secret: joined.resume_secret.clone(),
        engine_epoch: joined.engine_epoch.clone(),
        ..Default::default()
    };
    let back = bob.join(proto::JoinRoom { resume: Some(resume), ..join("stage", "") }).await;
    assert!(back.resumed && back.kept_transports.len() == 1 && back.kept_consumers.len() == 2);
    // An offer that was lost is made again.
    let text = offered(&mut bob).await;
    assert_eq!(directions(&read(&text)), [Direction::SendOnly; 2]);
    bob.done(answer(&accepting(&text))).await;
    // The former objects are still used: none was closed, longer than clients that did not return are waited for.
    sleep(harness::TIMEOUTS.restart + Duration::from_secs(1)).await;
    assert_eq!(closed(&engine), 0);
    let again = offers(&bob, &watching()).await;
    assert_eq!(directions(&again), [Direction::SendOnly; 2]);
    assert_eq!(closed(&engine), 0);
    assert!(second.rooms.close_resource(publishing("stage", &encoder)));
    // The player has nothing left to play, and waits.
    assert!(second.rooms.has_resource(playing("stage", &player)));
}

#[tokio::test]
async fn client_that_holds_and_continues_gets_its_tracks_again() {
    let (_engine, signaling) = start();
    let (_ada, _) = publisher(&signaling, "stage").await;
    let bob = signaling.client();
    bob.join(join("stage", "Bob")).await;
    assert_eq!(directions(&offers(&bob, &watching()).await), [Direction::SendOnly; 2]);
    let held = watching().replace("a=recvonly", "a=inactive");
    assert_eq!(directions(&offers(&bob, &held).await), [Direction::Inactive; 2]);
    assert_eq!(directions(&offers(&bob, &watching()).await), [Direction::SendOnly; 2]);
}

#[tokio::test]
async fn offer_that_fails_changes_nothing() {
    let (_engine, signaling) = start();
    let mut bob = signaling.client();
    bob.join(join("stage", "Bob")).await;
    let ada = signaling.client();
    ada.join(join("stage", "Ada")).await;
    assert_eq!(directions(&offers(&ada, &sending()).await), [Direction::RecvOnly; 2]);
    let mut seen = 0;
    while seen < 2 {
        seen += usize::from(matches!(bob.notification().await, Payload::NewProducer(_)));
    }
    // Another audio track, and a source that is too long: nothing is closed for it.
    let changed = sending().replace("a=extmap:1 ", "a=extmap:9 ");
    let wrong = Payload::Offer(proto::Offer {
        sdp: changed,
        tracks: vec![proto::OfferedTrack {
            mid: "1".into(),
            source: "x".repeat(limits::SOURCE_LEN_MAX + 1),
            ..Default::default()
        }],
        ..Default::default()
    });
    assert_eq!(ada.fails(wrong).await, ErrorCode::BadMessage);
    bob.no_more_notifications();
    assert_eq!(directions(&offers(&ada, &sending()).await), [Direction::RecvOnly; 2]);
    bob.no_more_notifications();
}

#[tokio::test]
async fn mids_of_the_server_are_none_of_the_client() {
    let (_engine, signaling) = start();
    let mut bob = signaling.client();
    bob.join(join("stage", "Bob")).await;
    let own = watching()
        .replace("a=mid:0", "a=mid:s0")
        .replace("a=mid:1", "a=mid:s4294967295")
        .replace("BUNDLE 0 1", "BUNDLE s0 s4294967295");
    offers(&bob, &own).await;
    let eve = signaling.client();
    eve.join(join("stage", "Eve")).await;
    let send = eve.transport("send").await.id;
    eve.produce(&send, "video").await;
    eve.produce(&send, "video").await;
    let mut text = offered(&mut bob).await;
    while read(&text).sections.len() < 3 {
        bob.done(answer(&accepting(&text))).await;
        text = offered(&mut bob).await;
    }
    let mids: Vec<_> = read(&text).sections.into_iter().map(|section| section.mid).collect();
    assert_eq!(mids, ["s0", "s4294967295", "s1"]);
}

#[tokio::test]
async fn layers_of_a_stream_are_those_that_the_client_names() {
    let (engine, signaling) = start();
    let ada = signaling.client();
    ada.join(join("stage", "Ada")).await;
    let text = vector("chrome-offer-vp9-L3T3_KEY.sdp");
    let mid =
        read(&text).sections.into_iter().find(|section| section.kind == MediaKind::Video).expect("video").mid;
    let named = |mode: &str| {
        let track =
            proto::OfferedTrack { mid: mid.clone(), scalability_mode: mode.into(), ..Default::default() };
        Payload::Offer(proto::Offer { sdp: text.clone(), tracks: vec![track], ..Default::default() })
    };
    assert_eq!(ada.fails(named("L9T9")).await, ErrorCode::BadMessage);
    assert!(matches!(ada.ask(named("L3T3_KEY")).await, Payload::Answer(_)));
    let layers = || {
        let mut produced = engine.commands().into_iter().rev().filter_map(|command| match command {
            Command::Produce(produce) if produce.kind == control::Kind::Video => Some(produce),
            _ => None,
        });
        let encodings = produced.next().expect("a producer").encodings;
        (encodings[0].spatial_layers, encodings[0].temporal_layers)
    };
    assert_eq!(layers(), (3, 3));
    // The same for an encoder of WHIP.
    let encoder = |mode: &str| Visitor { scalability_mode: mode.into(), ..visitor("studio") };
    let error =
        signaling.rooms.open_resource(encoder("L9T9"), &text, Plan::Nothing).await.expect_err("refused");
    assert_eq!(error.code, ErrorCode::BadMessage);
    signaling.rooms.open_resource(encoder("L2T3"), &text, Plan::Nothing).await.expect("opened");
    assert_eq!(layers(), (2, 3));
}

/// A client that finds its tracks by SSRC gets those of the tracks that play.
#[tokio::test]
async fn answer_to_a_player_names_ssrcs_on_request() {
    let (engine, signaling) = start();
    let bob = signaling.client();
    bob.join(join("stage", "Bob")).await;
    let send = bob.transport("send").await.id;
    bob.produce(&send, "video").await;
    let player = Plan::Fill { only: None, names_ssrcs: true };
    let resource = open(&signaling, "stage", &watching(), player).await.expect("opened");
    let found = read(&resource.accepted.sdp);
    let consume = consumed(&engine).pop().expect("a consumer");
    for section in &found.sections {
        let ssrcs: Vec<u32> = section.ssrcs.iter().map(|ssrc| ssrc.id).collect();
        let wanted = match section.kind {
            MediaKind::Video => [Some(consume.ssrc), consume.rtx_ssrc].into_iter().flatten().collect(),
            _ => Vec::new(),
        };
        assert_eq!(ssrcs, wanted);
    }
}
