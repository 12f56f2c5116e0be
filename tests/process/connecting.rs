//! Which peers can connect, and how they leave: ICE, DTLS and consent against attackers on real sockets.

use crate::call::{
    CONSUMER, Call, Family, PRODUCER, PUBLISHING, ROUTER, SUBSCRIBING, candidate, consume, create_router,
    create_transport, join, join_unannounced, loopback, produce,
};
use crate::caller::{Caller, certificate, now, settings, socket_to};
use crate::engine::Engine;
use crate::{PATIENCE, SILENCE};
use control::{Closed, Command, Counter, Discard, DtlsRole, Event, IceParameters, PeerFingerprint};
use dtls::{Certificate, Endpoint, Fingerprint, Output};
use oracle_stun::attributes::ATTR_USERNAME;
use oracle_stun::fingerprint::FINGERPRINT;
use oracle_stun::integrity::MessageIntegrity;
use oracle_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Getter, Message, Setter};
use oracle_stun::textattrs::TextAttribute;
use oracle_stun::xoraddr::XorMappedAddress;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

#[test]
fn a_certificate_with_another_fingerprint_gets_no_keys_and_no_media() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    controller.demand(create_router(ROUTER));
    let mut publisher = join(&engine, &mut controller, PUBLISHING, Family::udp());
    controller.demand(Command::Produce(produce(PUBLISHING, PRODUCER)));
    publisher.connect();

    // Signaling has the fingerprint of another certificate than the caller's.
    let mut impostor = join_unannounced(&engine, &mut controller, SUBSCRIBING, Family::udp());
    let fingerprint = Certificate::generate().fingerprint().0;
    controller.demand(Command::ConnectTransport { transport: SUBSCRIBING, fingerprint });
    controller.demand(Command::Consume(consume(SUBSCRIBING, PRODUCER, CONSUMER)));
    let deadline = Instant::now() + PATIENCE;
    let closed = Event::TransportClosed { transport: SUBSCRIBING, closed: Closed::DtlsFailed };
    let (mut is_closed, mut refused) = (false, None);
    while !is_closed || refused.is_none() {
        assert!(
            Instant::now() < deadline,
            "closed: {is_closed}, and the caller was refused with {refused:?}"
        );
        is_closed = is_closed || controller.notifications().contains(&closed);
        refused = refused.or_else(|| impostor.turn_until_refused());
    }
    // `bad_certificate` (RFC 8122 §6.2, RFC 5246 §7.2).
    assert!(refused.as_ref().is_some_and(|reason| reason.contains("alert 42")), "{refused:?}");

    let mut call = Call::of(publisher, impostor);
    for _ in 0..20 {
        let packet = call.next_packet();
        call.publisher.publish(&packet);
    }
    assert_eq!(call.subscriber.receive_for(SILENCE), []);
    // With DTLS 1.3 the caller has keys before the engine has checked its certificate, and gets the result by
    // an alert. The counters show that the engine has no keys.
    let counters = controller.await_counters(|counters| counters.value(Counter::RtpIn) == 20);
    assert_eq!(counters.value(Counter::RtpOut), 0);
    assert_eq!((counters.value(Counter::DtlsConnected), counters.value(Counter::DtlsFailed)), (1, 1));
}

/// The engine is the DTLS client: the peer is `a=setup:passive`.
#[test]
fn media_flows_to_and_from_peers_that_are_the_dtls_server() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    for (from, to) in
        [(Family::udp(), Family::udp()), (Family::tcp(), Family::udp()), (Family::udp(), Family::tcp())]
    {
        controller.demand(create_router(ROUTER));
        let callers = [(PUBLISHING, from), (SUBSCRIBING, to)].map(|(transport, family)| {
            let mut caller = join_unannounced(&engine, &mut controller, transport, family);
            caller.client().be_dtls_server(now());
            let fingerprint = PeerFingerprint::Sha256(certificate().fingerprint().0);
            let role = DtlsRole::Client;
            controller.demand(Command::ConnectTransportAs { transport, role, fingerprint });
            caller
        });
        controller.demand(Command::Produce(produce(PUBLISHING, PRODUCER)));
        controller.demand(Command::Consume(consume(SUBSCRIBING, PRODUCER, CONSUMER)));
        let [mut publisher, mut subscriber] = callers;
        publisher.connect();
        subscriber.connect();
        let mut call = Call::of(publisher, subscriber);
        call.publish(100);
        controller.demand(Command::CloseRouter { router: ROUTER });
    }
    let counters = controller.await_counters(|counters| counters.value(Counter::DtlsConnected) == 6);
    assert_eq!(counters.value(Counter::DtlsFailed), 0);
}

#[test]
fn client_hellos_from_addresses_without_a_valid_pair_change_nothing() {
    const SPRAYERS: usize = 10;
    const HELLOS: usize = 100;
    let engine = Engine::start();
    let mut controller = engine.attach();
    controller.demand(create_router(ROUTER));
    let mut victim = join(&engine, &mut controller, PUBLISHING, Family::udp());
    let address = SocketAddr::new(loopback(), engine.port);

    let sprayers: Vec<UdpSocket> = (0..SPRAYERS).map(|_| socket_to(address)).collect();
    let spray = || {
        for _ in 0..HELLOS / 2 {
            for sprayer in &sprayers {
                for datagram in client_hello() {
                    sprayer.send(&datagram).unwrap();
                }
            }
            // The engine's socket has a bound; its drops are not tested here.
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let was_dropped = |at_least: usize| {
        move |counters: &control::Counters| counters.discarded(Discard::NoValidPair) >= at_least as u64
    };
    spray();
    controller.await_counters(was_dropped(SPRAYERS * HELLOS / 2));
    assert_eq!(controller.notifications(), [], "no transport has moved");
    victim.run_until("checked", |caller| caller.agent().is_connected());
    spray();
    let counters = controller.await_counters(was_dropped(SPRAYERS * HELLOS));
    assert_eq!(counters.value(Counter::DtlsFailed), 0);

    victim.connect();
    let counters = controller.await_counters(|counters| counters.value(Counter::DtlsConnected) == 1);
    assert_eq!(counters.value(Counter::DtlsFailed), 0);
    for sprayer in &sprayers {
        assert!(is_silent(sprayer, Duration::from_millis(10)), "a stranger was answered");
    }
}

/// A browser's first flight: complete, and even with the expected certificate.
fn client_hello() -> Vec<Vec<u8>> {
    let mut endpoint = Endpoint::client(&settings(), certificate(), Fingerprint([0; 32]), now());
    let (mut datagrams, mut buffer) = (Vec::new(), Vec::new());
    while let Output::Datagram(bytes) = endpoint.poll(&mut buffer) {
        datagrams.push(bytes.to_vec());
    }
    assert!(!datagrams.is_empty());
    datagrams
}

#[test]
fn checks_without_the_right_password_get_no_answer_and_no_state() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    controller.demand(create_router(ROUTER));
    let created = controller.request(create_transport(ROUTER, PUBLISHING));
    let Event::TransportCreated { ice, fingerprint, candidates, .. } = created else { panic!("{created:?}") };
    let fingerprint_of_peer = certificate().fingerprint().0;
    controller.demand(Command::ConnectTransport { transport: PUBLISHING, fingerprint: fingerprint_of_peer });
    let candidate = candidate(&candidates, Family::udp(), engine.port);

    let (ufrag, pwd) = (ice.ufrag.as_str(), ice.pwd.as_str());
    let stranger = socket_to(candidate.address);
    for (username, password) in [
        (format!("{ufrag}:peer"), Some("anything but the right password")),
        (format!("{ufrag}:peer"), None),
        ("AAAAAAAA:peer".to_owned(), Some(pwd)),
        (ufrag[..4].to_owned(), Some(pwd)),
        (String::new(), Some(pwd)),
    ] {
        stranger.send(&check(&username, password)).unwrap();
        assert!(is_silent(&stranger, SILENCE), "{username:?} with {password:?} was answered");
    }
    // Valid except for one bit; wherever it is, the message is invalid. Only FINGERPRINT's type is not
    // changed: it would become another attribute after MESSAGE-INTEGRITY, which is ignored (RFC 8489 §14.5).
    let right = check(&format!("{ufrag}:peer"), Some(pwd));
    let type_of_fingerprint = right.len() - 8..right.len() - 6;
    let damaged = (0..right.len()).filter(|byte| !type_of_fingerprint.contains(byte));
    for byte in damaged.clone() {
        let mut wrong = right.clone();
        wrong[byte] ^= 1;
        stranger.send(&wrong).unwrap();
    }
    assert!(is_silent(&stranger, SILENCE), "a damaged check was answered");
    assert_eq!(controller.notifications(), [], "a state changed");
    let sent = damaged.count() as u64 + 5;
    controller.await_counters(|counters| {
        let stun = [
            Discard::StunMalformed,
            Discard::StunUnexpected,
            Discard::StunUnknownUser,
            Discard::StunUnauthenticated,
            Discard::UnknownProtocol,
        ];
        stun.iter().map(|discard| counters.discarded(*discard)).sum::<u64>() == sent
            && counters.discarded(Discard::StunUnauthenticated) > 0
            && counters.discarded(Discard::StunUnknownUser) > 0
    });

    // The published implementation accepts the valid answer.
    stranger.send(&right).unwrap();
    let mut buffer = [0; 2048];
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    let len = stranger.recv(&mut buffer).unwrap();
    let mut answer = Message::new();
    answer.unmarshal_binary(&buffer[..len]).unwrap();
    assert_eq!((answer.typ, &answer.transaction_id.0[..]), (BINDING_SUCCESS, &right[8..20]));
    MessageIntegrity::new_short_term_integrity(pwd.to_owned()).check(&mut answer).unwrap();
    FINGERPRINT.check(&answer).unwrap();
    let mut mapped = XorMappedAddress::default();
    mapped.get_from(&answer).unwrap();
    assert_eq!(SocketAddr::new(mapped.ip, mapped.port), stranger.local_addr().unwrap());

    // And its peer can connect, although an attacker knew its credentials.
    Caller::new(candidate, &ice, Fingerprint(fingerprint)).connect();
}

/// A Binding request by the published implementation, with MESSAGE-INTEGRITY if there is a password.
fn check(username: &str, password: Option<&str>) -> Vec<u8> {
    let mut setters: Vec<Box<dyn Setter>> =
        vec![Box::new(BINDING_REQUEST), Box::new(TextAttribute::new(ATTR_USERNAME, username.to_owned()))];
    if let Some(password) = password {
        setters.push(Box::new(MessageIntegrity::new_short_term_integrity(password.to_owned())));
    }
    setters.push(Box::new(FINGERPRINT));
    let mut message = Message::new();
    message.new_transaction_id().unwrap();
    message.build(&setters).unwrap();
    message.raw
}

fn is_silent(socket: &UdpSocket, time: Duration) -> bool {
    socket.set_read_timeout(Some(time)).unwrap();
    socket.recv(&mut [0; 2048]).is_err()
}

#[test]
fn a_peer_without_consent_is_closed_after_thirty_seconds() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    let mut call = Call::connect(&engine, &mut controller);
    // Its last check is after this moment: it checks at least every three seconds.
    let before_silence = Instant::now();
    call.publisher.run_for(Duration::from_secs(4));
    call.publish(5);
    // The publisher becomes silent without notice, like a client with an empty battery.
    let closed = Event::TransportClosed { transport: PUBLISHING, closed: Closed::ConsentLost };
    while !controller.notifications().contains(&closed) {
        assert!(before_silence.elapsed() < 2 * PATIENCE, "still there");
        call.subscriber.run_for(Duration::from_millis(200));
    }
    assert!(before_silence.elapsed() > Duration::from_secs(30), "RFC 7675 §5.1 gives it 30 s");
    let left: Vec<Event> = controller.notifications().to_vec();
    assert!(
        left.contains(&Event::ProducerClosed { producer: PRODUCER, closed: Closed::ConsentLost }),
        "{left:?}"
    );
    assert!(
        left.contains(&Event::ConsumerClosed { consumer: CONSUMER, closed: Closed::ConsentLost }),
        "{left:?}"
    );
    // Its packets now have no transport; the subscriber that continued checking is still connected.
    let packet = call.next_packet();
    call.publisher.publish(&packet);
    assert_eq!(call.subscriber.receive_for(SILENCE), []);
    controller.await_counters(|counters| {
        counters.discarded(Discard::NoValidPair) == 1 && counters.value(Counter::Transports) == 1
    });
}

#[test]
fn old_and_new_credentials_are_valid_during_a_restart() {
    let engine = Engine::start();
    let mut controller = engine.attach();
    let mut call = Call::connect(&engine, &mut controller);
    call.publish(5);
    let restarted = controller.request(Command::RestartIce { transport: PUBLISHING });
    let Event::IceRestarted { ice, .. } = restarted else { panic!("{restarted:?}") };
    call.publish(5);
    restart(&mut call.publisher, &ice);
    call.publish(5);
}

fn restart(caller: &mut Caller, ice: &IceParameters) {
    caller.client().agent_mut().restart(now(), ice);
    caller.run_until("nominated again", |caller| caller.agent().is_nominated());
}
