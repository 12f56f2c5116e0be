//! Plain transports in the object flow, with an engine behind the real ring.

mod harness;

use control::{Command, Event, IpFamily, SrtpProfile};
use harness::engine::{Engine, socket_path};
use harness::{Client, Signaling, join, produce, transport_id};
use signaling::auth::keyring::Keyring;
use signaling::auth::token::{self, Claims, NumericDate, Permissions};
use signaling::proto::{self, ErrorCode, signal::Payload};
use signaling::rooms::Admission;
use std::time::Duration;

const SECRET: &[u8] = b"a secret of thirty-two bytes at least";

fn start() -> (Engine, Signaling) {
    let engine = Engine::start(&socket_path());
    let signaling = Signaling::start(&engine.path, Admission::Development { verifier: None });
    (engine, signaling)
}

fn token(permissions: Permissions) -> String {
    let claims = Claims { permissions, ..Claims::new("ada", "r", NumericDate(u64::MAX / 2)) };
    token::mint(&claims, SECRET).expect("a good secret")
}

fn sending() -> proto::CreatePlainTransport {
    proto::CreatePlainTransport { direction: "send".into(), ..Default::default() }
}

async fn create(client: &Client, create: proto::CreatePlainTransport) -> proto::PlainTransportCreated {
    match client.ask(Payload::CreatePlainTransport(create)).await {
        Payload::PlainTransportCreated(created) => created,
        other => panic!("a plain transport, not {other:?}"),
    }
}

/// A producer that is identified only by its payload type.
fn produce_by_payload_type(transport: &str) -> Payload {
    let Payload::ProduceMedia(mut produce) = produce(transport, "video") else { unreachable!() };
    let parameters = produce.rtp_parameters.as_mut().expect("parameters");
    (parameters.mid, parameters.encodings) = (None, Vec::new());
    Payload::ProduceMedia(produce)
}

#[tokio::test]
async fn plain_transport_exchanges_addresses() {
    let (engine, signaling) = start();
    let mut ada = signaling.client();
    ada.join(join("r", "Ada")).await;
    let plain = create(&ada, sending()).await;
    assert_eq!((plain.address.as_str(), plain.port, plain.rtcp_port), ("127.0.0.1", 40_000, Some(40_001)));
    assert_eq!(plain.srtp_parameters, None);
    let connect = proto::ConnectPlainTransport {
        transport_id: plain.id.clone(),
        address: "127.0.0.7".into(),
        port: 5_004,
        ..Default::default()
    };
    ada.done(Payload::ConnectPlainTransport(connect)).await;
    engine
        .received("the program's address", |command| {
            matches!(command, Command::ConnectPlainTransport(connect) if connect.transport == transport_id(&plain.id)
                && connect.remote == "127.0.0.7:5004".parse().ok() && connect.rtcp_remote.is_none())
        })
        .await;
    // Only on a plain transport the payload type is sufficient.
    assert!(matches!(ada.ask(produce_by_payload_type(&plain.id)).await, Payload::ProducerCreated(_)));
    let webrtc = ada.transport("send").await.id;
    assert_eq!(ada.fails(produce_by_payload_type(&webrtc)).await, ErrorCode::BadMessage);

    let remote = "127.0.0.1:6000".parse().expect("an address");
    engine.tell(Event::PlainTransportTuple { transport: transport_id(&plain.id), remote, rtcp_remote: None });
    match ada.notification().await {
        Payload::PlainTransportTuple(tuple) => {
            assert_eq!((tuple.transport_id, tuple.remote_port), (plain.id.clone(), 6_000));
            assert_eq!((tuple.remote_address.as_str(), tuple.remote_rtcp_port), ("127.0.0.1", None));
        }
        other => panic!("{other:?}"),
    }
    ada.done(Payload::CloseTransport(proto::CloseTransport { transport_id: plain.id })).await;
    engine.received("to close it", |command| matches!(command, Command::CloseTransport { .. })).await;
}

#[tokio::test]
async fn srtp_keys_are_exchanged_in_both_directions() {
    let (engine, signaling) = start();
    let ada = signaling.client();
    ada.join(join("r", "Ada")).await;
    let wanted = proto::CreatePlainTransport {
        family: "ipv6".into(),
        rtcp_mux: true,
        comedia: true,
        srtp_suite: "AEAD_AES_128_GCM".into(),
        ..sending()
    };
    let plain = create(&ada, wanted).await;
    assert_eq!(plain.rtcp_port, None);
    let ours = plain.srtp_parameters.expect("the engine's key");
    assert_eq!(ours.crypto_suite, "AEAD_AES_128_GCM");
    assert_eq!(ours.key_base64.len(), 40);
    engine
        .received("what was asked for", |command| {
            matches!(command, Command::CreatePlainTransport(create) if create.family == IpFamily::V6 && create.rtcp_mux
                && create.comedia && create.srtp == Some(SrtpProfile::AeadAes128Gcm))
        })
        .await;
    let theirs = proto::SrtpParameters {
        crypto_suite: "AEAD_AES_128_GCM".into(),
        key_base64: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==".into(),
    };
    let connect = proto::ConnectPlainTransport {
        transport_id: plain.id,
        srtp_parameters: Some(theirs),
        ..Default::default()
    };
    ada.done(Payload::ConnectPlainTransport(connect)).await;
    engine
        .received("the program's key", |command| {
            matches!(command, Command::ConnectPlainTransport(connect)
                if connect.remote.is_none() && connect.srtp.as_ref().is_some_and(|srtp| srtp.key.0 == (0..28).collect::<Vec<u8>>()))
        })
        .await;
}

#[tokio::test]
async fn invalid_request_is_refused_without_a_command_to_the_engine() {
    let (engine, signaling) = start();
    let ada = signaling.client();
    ada.join(join("r", "Ada")).await;
    for wrong in [
        proto::CreatePlainTransport { direction: "both".into(), ..sending() },
        proto::CreatePlainTransport { family: "ipx".into(), ..sending() },
        proto::CreatePlainTransport { srtp_suite: "F8".into(), ..sending() },
        proto::CreatePlainTransport { direction: "recv".into(), comedia: true, ..sending() },
    ] {
        assert_eq!(ada.fails(Payload::CreatePlainTransport(wrong)).await, ErrorCode::BadMessage);
    }
    let plain = create(&ada, sending()).await;
    let to = |address: &str, port: u32| {
        let transport_id = plain.id.clone();
        let address = address.into();
        Payload::ConnectPlainTransport(proto::ConnectPlainTransport {
            transport_id,
            address,
            port,
            ..Default::default()
        })
    };
    assert_eq!(ada.fails(to("example.com", 5_004)).await, ErrorCode::BadMessage);
    assert_eq!(ada.fails(to("127.0.0.7", 0)).await, ErrorCode::BadMessage);
    let count = |commands: Vec<Command>| {
        let is_plain = |command: &&Command| {
            matches!(command, Command::CreatePlainTransport(_) | Command::ConnectPlainTransport(_))
        };
        commands.iter().filter(is_plain).count()
    };
    assert_eq!(count(engine.commands()), 1);

    // A peer cannot connect the transport of another one.
    let eve = signaling.client();
    eve.join(join("r", "Eve")).await;
    assert_eq!(eve.fails(to("127.0.0.66", 5_004)).await, ErrorCode::NoSuchTransport);
}

#[tokio::test]
async fn plain_transports_need_a_token_that_permits_them() {
    let engine = Engine::start(&socket_path());
    let verifier = Keyring::with_secret(SECRET, Duration::ZERO).expect("a good secret");
    let signaling = Signaling::start(&engine.path, Admission::TokenRequired(verifier));
    let with = |permissions| proto::JoinRoom { token: token(permissions), ..join("r", "") };
    let allowed = Permissions { can_use_plain_transports: true, ..Permissions::default() };

    let browser = signaling.client();
    browser.join(with(Permissions::default())).await;
    assert_eq!(browser.fails(Payload::CreatePlainTransport(sending())).await, ErrorCode::TokenPermission);

    let program = signaling.client();
    let joined = program.join(with(allowed)).await;
    let (plain, webrtc) = (create(&program, sending()).await.id, program.transport("recv").await.id);
    program.disconnect();
    // It resumes with a token that permits less.
    let held = |id: &String| proto::HeldTransport { id: id.clone() };
    let resume = proto::Resume {
        peer_id: joined.peer_id,
        secret: joined.resume_secret,
        transports: vec![held(&plain), held(&webrtc)],
        ..Default::default()
    };
    let back = signaling
        .client()
        .join(proto::JoinRoom { resume: Some(resume), ..with(Permissions::default()) })
        .await;
    assert_eq!(back.kept_transports, [webrtc]);
    let id = transport_id(&plain);
    engine
        .received(
            "to close the plain one",
            |command| matches!(command, Command::CloseTransport { transport } if *transport == id),
        )
        .await;
}

#[tokio::test]
async fn plain_transports_survive_the_signaling_process() {
    let (engine, first) = start();
    let program = first.client();
    let joined = program.join(join("r", "Film")).await;
    let plain = create(&program, sending()).await.id;
    let Payload::ProducerCreated(video) = program.ask(produce_by_payload_type(&plain)).await else {
        panic!("a producer");
    };
    first.kill().await;
    drop(program);

    let second = Signaling::start(&engine.path, Admission::Development { verifier: None });
    let resume = proto::Resume {
        peer_id: joined.peer_id,
        secret: joined.resume_secret,
        engine_epoch: joined.engine_epoch,
        transports: vec![proto::HeldTransport { id: plain.clone() }],
        producers: vec![proto::HeldProducer { id: video.id.clone() }],
        ..Default::default()
    };
    let program = second.client();
    let back = program.join(proto::JoinRoom { resume: Some(resume), ..join("r", "") }).await;
    assert!(back.resumed);
    assert_eq!((&back.kept_transports, &back.kept_producers), (&vec![plain], &vec![video.id]));
    // The permissions are recovered too.
    create(&program, sending()).await;
}

#[tokio::test]
async fn in_development_mode_plain_transports_send_only_to_loopback() {
    let (engine, signaling) = start();
    let ada = signaling.client();
    ada.join(join("r", "Ada")).await;
    let plain =
        create(&ada, proto::CreatePlainTransport { direction: "recv".into(), ..Default::default() }).await;
    let connect = |address: &str| {
        let address = address.into();
        let connect = proto::ConnectPlainTransport {
            transport_id: plain.id.clone(),
            address,
            port: 5_004,
            ..Default::default()
        };
        Payload::ConnectPlainTransport(connect)
    };
    for beyond in
        ["192.0.2.7", "10.0.0.1", "0.0.0.0", "2001:db8::1", "fe80::1", "::ffff:192.0.2.7", "::ffff:127.0.0.1"]
    {
        assert_eq!(ada.fails(connect(beyond)).await, ErrorCode::TokenPermission, "{beyond}");
    }
    assert!(!engine.commands().iter().any(|command| matches!(command, Command::ConnectPlainTransport(_))));
    for loopback in ["127.0.0.1", "127.9.9.9"] {
        ada.done(connect(loopback)).await;
    }
}
