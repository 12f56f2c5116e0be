//! Messages that a hostile peer may send, and messages that an attacker may send in a peer's name.

#![allow(clippy::unwrap_used)]

mod common;

use common::keys::{self, Kind};
use common::{CLIENT, DELAY, SERVER, World, clean};
use dtls::{Certificate, Endpoint, Failed, Fingerprint, Options, Output, Peers, Settings, Version, limits};
use machine::{Instant, Rng};
use proptest::prelude::*;
use std::sync::LazyLock;
use std::time::Duration;

const VERSIONS: [Version; 2] = [Version::Dtls12, Version::Auto];
const LONG: Duration = Duration::from_secs(60);
const NOW: Instant = Instant::from_nanos(1_000_000_000);

/// Alerts (RFC 5246 §7.2, RFC 8446 §6).
const HANDSHAKE_FAILURE: u8 = 40;
const BAD_CERTIFICATE: u8 = 42;
const UNSUPPORTED_CERTIFICATE: u8 = 43;
const DECRYPT_ERROR: u8 = 51;
const PROTOCOL_VERSION: u8 = 70;

/// Every ClientHello is one datagram. Fragments of two with the same length can be mixed up, and the answer
/// to the result misleads the client, like an answer from an attacker.
static SETTINGS: LazyLock<[Settings; 2]> = LazyLock::new(|| {
    VERSIONS.map(|version| Settings::new(Options { version, mtu: 2048, ..Options::default() }))
});
static CERTIFICATES: LazyLock<[Certificate; 2]> =
    LazyLock::new(|| [Certificate::generate(), Certificate::generate()]);

fn server(settings: &Settings) -> Endpoint {
    Endpoint::server(settings, &CERTIFICATES[SERVER], CERTIFICATES[CLIENT].fingerprint(), NOW)
}

fn world(settings: &Settings) -> World {
    world_of(settings, &CERTIFICATES[CLIENT], CERTIFICATES[CLIENT].fingerprint())
}

/// With the fingerprint that the server expects.
fn world_of(settings: &Settings, client: &Certificate, expected: Fingerprint) -> World {
    let server = &CERTIFICATES[SERVER];
    World::expecting([settings, settings], clean(), [client, server], [server.fingerprint(), expected])
}

/// A DTLS record with a plaintext body.
fn record(kind: u8, epoch: u16, number: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0xfe, 0xfd];
    bytes.extend_from_slice(&epoch.to_be_bytes());
    bytes.extend_from_slice(&number.to_be_bytes()[2..]);
    bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// A handshake message's fragment.
fn fragment(kind: u8, len: u32, seq: u16, offset: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&len.to_be_bytes()[1..]);
    bytes.extend_from_slice(&seq.to_be_bytes());
    bytes.extend_from_slice(&offset.to_be_bytes()[1..]);
    bytes.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(body);
    bytes
}

/// A whole handshake message in a record.
fn message(kind: u8, seq: u16, body: &[u8]) -> Vec<u8> {
    record(22, 0, u64::from(seq), &fragment(kind, body.len() as u32, seq, 0, body))
}

/// All datagrams to send.
fn drain(endpoint: &mut Endpoint) -> Vec<Vec<u8>> {
    let mut buffer = Vec::new();
    let mut datagrams = Vec::new();
    loop {
        match endpoint.poll(&mut buffer) {
            Output::Datagram(bytes) => datagrams.push(bytes.to_vec()),
            Output::Idle | Output::Timeout(_) => return datagrams,
            _ => {}
        }
    }
}

/// Runs the endpoint's timers until it has failed; returns its last datagrams.
fn run_until_failed(endpoint: &mut Endpoint, mut now: Instant) -> (Failed, Vec<Vec<u8>>) {
    let mut buffer = Vec::new();
    loop {
        now = match endpoint.poll(&mut buffer) {
            Output::Timeout(at) => now.max(at),
            Output::Idle => panic!("there is no timeout to wait for"),
            _ => continue,
        };
        if let Err(failed) = endpoint.on_timeout(now) {
            return (failed, drain(endpoint));
        }
    }
}

/// The alert in the last of these datagrams, if it is not encrypted.
fn plain_alert(datagrams: &[Vec<u8>]) -> Option<u8> {
    let last = datagrams.last()?;
    (last.len() == 15 && last[0] == 21 && last[13] == 2).then(|| last[14])
}

#[test]
fn garbage_before_the_handshake_has_no_effect() {
    for settings in &*SETTINGS {
        let mut world = world(settings);
        let now = world.now;
        let mut rng = Rng::from_number(9);
        let server = &mut world.sides[SERVER].endpoint;
        assert_eq!(server.on_datagram(now, &[]), Ok(()));
        for _ in 0..30 {
            let mut noise = vec![0; 1 + rng.below(200) as usize];
            rng.fill(&mut noise);
            assert_eq!(server.on_datagram(now, &noise), Ok(()));
        }
        for kind in [20, 22, 23, 24, 25, 26, 63] {
            for epoch in [0, 1, 2] {
                assert_eq!(server.on_datagram(now, &record(kind, epoch, 1, &[0; 40])), Ok(()));
            }
        }
        assert_eq!(server.on_datagram(now, &vec![22; limits::DATAGRAM_MAX + 1]), Ok(()));
        assert!(drain(server).is_empty());
        world.run_until(LONG, |world| world.both_connected() || world.any_failed());
        assert!(world.both_connected(), "{settings:?}: {:?}", world.sides[SERVER].failed);
    }
}

/// RFC 6347 §4.1.2.7: otherwise everyone who can forge the peer's source address could end every handshake.
#[test]
fn unsigned_alerts_during_the_handshake_have_no_effect() {
    for settings in &*SETTINGS {
        for step in 0..4 {
            let mut world = world(settings);
            world.run_until(DELAY * step, |_| false);
            let now = world.now;
            for (level, description) in [(2, 40), (2, 42), (1, 0), (2, 0), (1, 90), (7, 7)] {
                let alert = record(21, 0, 3, &[level, description]);
                for side in [CLIENT, SERVER] {
                    assert_eq!(world.sides[side].endpoint.on_datagram(now, &alert), Ok(()));
                }
            }
            assert_eq!(world.sides[SERVER].endpoint.on_datagram(now, &record(21, 0, 3, &[2])), Ok(()));
            world.run_until(LONG, |world| world.both_connected() || world.any_failed());
            assert!(world.both_connected(), "{settings:?}, step {step}");
        }
    }
}

/// Everything that an attacker can send who knows the time of the handshake, and does not see it.
fn forgeries() -> Vec<Vec<u8>> {
    let foreign = Certificate::generate();
    let mut client = Endpoint::client(&SETTINGS[0], &foreign, CERTIFICATES[SERVER].fingerprint(), NOW);
    let hello_1_2 = drain(&mut client);
    let mut client = Endpoint::client(&SETTINGS[1], &foreign, CERTIFICATES[SERVER].fingerprint(), NOW);
    let hello_1_3 = drain(&mut client);
    // The flight of another server's client: everything in it is well-formed.
    let foreign_flight = FLIGHTS[0][1..].to_vec();
    let certificate = [&[0, 0, 103, 0, 0, 100][..], &[0x30; 100]].concat();
    let mut forged = vec![
        message(11, 1, &certificate),
        message(11, 1, &[0, 0, 0]),
        message(16, 2, &[&[65, 4][..], &[7; 64]].concat()),
        message(15, 3, &[&[4, 3, 0, 70][..], &[9; 70]].concat()),
        message(16, 1, &[&[65, 4][..], &[7; 64]].concat()),
        record(20, 0, 9, &[1]),
        record(20, 0, 9, &[1, 1]),
        record(20, 0, 9, &[]),
        message(20, 4, &[0; 12]),
        message(1, 0, b"no hello"),
        message(1, 1, b"no hello"),
        // Parts of messages of other lengths, which are never completed.
        record(22, 0, 2, &fragment(11, 300, 1, 0, &[1; 10])),
        record(22, 0, 2, &fragment(1, 200, 0, 0, &[1; 10])),
        record(22, 0, 2, &fragment(15, 0xff_ffff, 3, 0, &[1; 10])),
        // A number so high that every later one would seem old.
        record(22, 0, (1 << 48) - 1, &fragment(11, 300, 1, 0, &[1; 10])),
        record(22, 0, (1 << 48) - 1, &[0; 12]),
        message(2, 1, &[0; 40]),
        record(23, 0, 4, b"data"),
        record(26, 0, 4, &[0, 0]),
        record(23, 1, 4, &[5; 60]),
        [&[0x2e, 0, 1, 0, 40][..], &[6; 40]].concat(),
    ];
    forged.extend(foreign_flight);
    forged.extend(hello_1_2);
    forged.extend(hello_1_3);
    forged
}

#[test]
fn forged_messages_at_any_time_do_not_prevent_the_connection() {
    for settings in &*SETTINGS {
        for step in 0..4 {
            for (index, forged) in forgeries().into_iter().enumerate() {
                let mut world = world(settings);
                world.run_until(DELAY * step, |_| false);
                let now = world.now;
                let result = world.sides[SERVER].endpoint.on_datagram(now, &forged);
                assert_eq!(result, Ok(()), "{settings:?}, step {step}, forgery {index}");
                // Its answer is lost: only the server is tested here. A client that accepts an attacker's
                // answer cannot be protected.
                drain(&mut world.sides[SERVER].endpoint);
                world.run_until(LONG, |world| world.both_connected() || world.any_failed());
                assert!(world.both_connected(), "{settings:?}, step {step}, forgery {index}");
            }
        }
    }
}

/// All of them, repeatedly, during the peer's handshake.
#[test]
fn forged_flights_between_the_peers_datagrams_do_not_prevent_the_connection() {
    for settings in &*SETTINGS {
        let forged = forgeries();
        let mut world = world(settings);
        let mut rounds = 0;
        while !world.both_connected() && rounds < 2000 {
            rounds += 1;
            let now = world.now;
            for forged in &forged[..21] {
                assert_eq!(world.sides[SERVER].endpoint.on_datagram(now, forged), Ok(()));
            }
            world.run_until(Duration::from_millis(7), World::both_connected);
        }
        assert!(world.both_connected(), "{settings:?}: {:?}", world.sides[SERVER].failed);
    }
}

/// An attacker's ClientHello arrives first, in either order of versions; both get an answer, and the peer's
/// handshake succeeds.
#[test]
fn a_foreign_hello_before_the_peers_does_not_replace_it() {
    for settings in &*SETTINGS {
        for foreign in &*SETTINGS {
            let mut world = world(settings);
            let now = world.now;
            let mut stranger =
                Endpoint::client(foreign, &CERTIFICATES[CLIENT], CERTIFICATES[SERVER].fingerprint(), now);
            for hello in drain(&mut stranger) {
                world.sides[SERVER].endpoint.on_datagram(now, &hello).unwrap();
            }
            assert!(!drain(&mut world.sides[SERVER].endpoint).is_empty());
            world.run_until(LONG, |world| world.both_connected() || world.any_failed());
            assert!(world.both_connected());
            assert!(world.now.saturating_since(now) < limits::FLIGHT_TIMEOUT, "there was no retransmission");
        }
    }
}

/// More than are answered at the same time: the peer is answered at its first repetition within the rate
/// limit.
#[test]
fn many_foreign_hellos_only_delay_the_peer() {
    for settings in &*SETTINGS {
        let mut world = world(settings);
        let now = world.now;
        let mut answered = 0;
        for _ in 0..100 {
            let mut stranger =
                Endpoint::client(settings, &CERTIFICATES[CLIENT], CERTIFICATES[SERVER].fingerprint(), now);
            for hello in drain(&mut stranger) {
                world.sides[SERVER].endpoint.on_datagram(now, &hello).unwrap();
            }
            answered += u32::from(!drain(&mut world.sides[SERVER].endpoint).is_empty());
        }
        assert_eq!(answered, limits::HELLO_BURST, "{settings:?}");
        world.run_until(LONG, |world| world.both_connected() || world.any_failed());
        assert!(world.both_connected(), "{settings:?}");
        assert!(world.now.saturating_since(now) < 2 * limits::CANDIDATE_AGE_MIN, "{settings:?}");
    }
}

#[test]
fn a_wrong_certificate_is_reported_and_answered_with_bad_certificate_at_once() {
    for (settings, version) in SETTINGS.iter().zip(VERSIONS) {
        let mut world = world_of(settings, &CERTIFICATES[CLIENT], Fingerprint([0x5a; 32]));
        let start = world.now;
        world.run_until(LONG, World::any_failed);
        assert_eq!(world.sides[SERVER].failed, Some(Failed::FingerprintMismatch), "{version:?}");
        assert!(world.now.saturating_since(start) <= 3 * DELAY);
        world.run_until(DELAY, |_| false);
        // In 1.2 it is not encrypted, and so the client discards it.
        let received = (version == Version::Auto).then_some(Failed::Alert(BAD_CERTIFICATE));
        assert_eq!(world.sides[CLIENT].failed, received, "{version:?}");
    }
    let mut world = world_of(&SETTINGS[0], &CERTIFICATES[CLIENT], Fingerprint([0x5a; 32]));
    let failed = |world: &World| world.sides[SERVER].endpoint.failed().is_some();
    while !failed(&world) {
        let (now, hello) = (world.now, world.sides[CLIENT].drain().0);
        for bytes in &hello {
            let _ = world.sides[SERVER].endpoint.on_datagram(now, bytes);
        }
        if failed(&world) {
            break;
        }
        let answer = world.sides[SERVER].drain().0;
        answer.iter().for_each(|bytes| world.sides[CLIENT].endpoint.on_datagram(now, bytes).unwrap());
    }
    assert_eq!(plain_alert(&drain(&mut world.sides[SERVER].endpoint)), Some(BAD_CERTIFICATE));
}

/// An attacker's ClientHello and flight, with a signature over nothing: its certificate is not proved to be
/// the peer's, so it must not be reported. The peer's transport would be closed for it.
#[test]
fn a_wrong_certificate_without_a_signature_is_not_reported() {
    let stranger = Certificate::generate();
    let mut client = Endpoint::client(&SETTINGS[0], &stranger, CERTIFICATES[SERVER].fingerprint(), NOW);
    let mut server = server(&SETTINGS[0]);
    for hello in drain(&mut client) {
        assert_eq!(server.on_datagram(NOW, &hello), Ok(()));
    }
    // The attacker does not see the answer. It sends the flight of another handshake.
    drain(&mut server);
    for flight in flight_of(&stranger) {
        assert_eq!(server.on_datagram(NOW, &flight), Ok(()));
    }
    let (failed, _) = run_until_failed(&mut server, NOW);
    assert_ne!(failed, Failed::FingerprintMismatch);
}

/// The flight of a DTLS 1.2 client in a handshake with some server.
fn flight_of(client: &Certificate) -> Vec<Vec<u8>> {
    let settings = &SETTINGS[0];
    let mut server = Endpoint::server(settings, &CERTIFICATES[SERVER], client.fingerprint(), NOW);
    let mut client = Endpoint::client(settings, client, CERTIFICATES[SERVER].fingerprint(), NOW);
    for hello in drain(&mut client) {
        server.on_datagram(NOW, &hello).unwrap();
    }
    for answer in drain(&mut server) {
        client.on_datagram(NOW, &answer).unwrap();
    }
    drain(&mut client)
}

/// The peer's handshake is in progress when the attacker's messages are handled as the fallback.
#[test]
fn a_foreign_flight_handled_late_does_not_end_the_peers_handshake() {
    for settings in &*SETTINGS {
        let stranger = Certificate::generate();
        let mut world = world(settings);
        let now = world.now;
        let mut foreign = Endpoint::client(&SETTINGS[0], &stranger, CERTIFICATES[SERVER].fingerprint(), now);
        let server = &mut world.sides[SERVER].endpoint;
        for datagram in drain(&mut foreign).into_iter().chain(flight_of(&stranger)) {
            assert_eq!(server.on_datagram(now, &datagram), Ok(()));
        }
        drain(server);
        // The peer starts as late as its network allows.
        let late = now + limits::VERDICT_DELAY - 2 * DELAY;
        let result = server.on_timeout(late);
        assert_eq!(result, Ok(()));
        drain(server);
        world.now = late;
        world.run_until(LONG, |world| world.both_connected() || world.any_failed());
        assert!(world.both_connected(), "{settings:?}: {:?}", world.sides[SERVER].failed);
    }
}

/// Runs client and server of DTLS 1.2 until the server has the client's flight, changed by `bend`.
fn with_flight(client: &Certificate, bend: impl Fn(Vec<u8>) -> Vec<u8>) -> Endpoint {
    let settings = &SETTINGS[0];
    let mut server = Endpoint::server(settings, &CERTIFICATES[SERVER], client.fingerprint(), NOW);
    let mut client = Endpoint::client(settings, client, CERTIFICATES[SERVER].fingerprint(), NOW);
    for hello in drain(&mut client) {
        server.on_datagram(NOW, &hello).unwrap();
    }
    for answer in drain(&mut server) {
        client.on_datagram(NOW, &answer).unwrap();
    }
    for flight in drain(&mut client) {
        server.on_datagram(NOW, &bend(flight)).unwrap();
    }
    server
}

/// Such a handshake cannot authenticate the client, so it is answered only when no better message has arrived
/// for a while.
#[test]
fn a_client_that_cannot_be_served_gets_an_alert() {
    // No certificate: the message is empty, and there is no signature.
    let without_certificate = |flight: Vec<u8>| {
        assert_eq!((flight[13], flight[17..19].to_vec()), (11, vec![0, 1]));
        let key_exchange = 13 + usize::from(u16::from_be_bytes([flight[11], flight[12]]));
        [message(11, 1, &[0, 0, 0]), flight[key_exchange..key_exchange + 13 + 12 + 66].to_vec()].concat()
    };
    let mut server = with_flight(&CERTIFICATES[CLIENT], without_certificate);
    let (failed, sent) = run_until_failed(&mut server, NOW);
    assert_eq!((failed, plain_alert(&sent)), (Failed::BadCertificate, Some(HANDSHAKE_FAILURE)));

    // A wrong signature.
    let wrongly_signed = |mut flight: Vec<u8>| {
        let at = flight.windows(3).position(|bytes| bytes == [4, 3, 0]).unwrap();
        flight[at + 20] ^= 1;
        flight
    };
    let mut server = with_flight(&CERTIFICATES[CLIENT], wrongly_signed);
    let (failed, sent) = run_until_failed(&mut server, NOW);
    assert_eq!((failed, plain_alert(&sent)), (Failed::BadHandshake, Some(DECRYPT_ERROR)));

    // A key that is too short.
    let mut server = with_flight(&keys::certificate(Kind::Rsa(1024)), |flight| flight);
    let (failed, sent) = run_until_failed(&mut server, NOW);
    assert_eq!((failed, plain_alert(&sent)), (Failed::BadCertificate, Some(UNSUPPORTED_CERTIFICATE)));

    // A ClientHello of DTLS 1.0.
    let mut client =
        Endpoint::client(&SETTINGS[0], &CERTIFICATES[CLIENT], CERTIFICATES[SERVER].fingerprint(), NOW);
    let mut hello = drain(&mut client).remove(0);
    hello[26] = 0xff;
    let mut server = self::server(&SETTINGS[0]);
    server.on_datagram(NOW, &hello).unwrap();
    let (failed, sent) = run_until_failed(&mut server, NOW);
    assert_eq!((failed, plain_alert(&sent)), (Failed::Incompatible, Some(PROTOCOL_VERSION)));
}

/// The handshake succeeds, and without this alert the client would wait for media.
#[test]
fn a_client_without_an_srtp_profile_gets_an_alert() {
    for (version, settings) in VERSIONS.into_iter().zip(&*SETTINGS) {
        let without = Settings::new(Options { version, peers: Peers::Anybody, ..Options::default() });
        let [client, server] = &*CERTIFICATES;
        let expected = [server.fingerprint(), client.fingerprint()];
        let mut world = World::expecting([&without, settings], clean(), [client, server], expected);
        world.run_until(LONG, |world| world.sides[CLIENT].closed);
        assert_eq!(world.sides[SERVER].failed, Some(Failed::NoSrtpProfile), "{version:?}");
        assert!(world.sides[CLIENT].closed, "{version:?}");
    }
}

#[test]
fn a_key_that_is_not_accepted_does_not_connect_in_dtls_1_3_either() {
    for kind in [Kind::Rsa(1024), Kind::P521] {
        let client = keys::certificate(kind);
        let mut world = world_of(&SETTINGS[1], &client, client.fingerprint());
        world.run_until(LONG, World::any_failed);
        world.run_until(LONG, |_| false);
        assert!(world.sides[SERVER].connected.is_none(), "{kind:?}");
    }
}

#[test]
fn a_failed_endpoint_stays_failed() {
    let mut server = with_flight(&keys::certificate(Kind::Rsa(1024)), |flight| flight);
    let (failed, _) = run_until_failed(&mut server, NOW);
    assert_eq!(failed, Failed::BadCertificate);
    assert_eq!(server.on_timeout(NOW), Err(failed));
    assert_eq!(server.send(NOW, b"data"), Err(failed.into()));
    assert_eq!(server.close(NOW), Err(failed));
    assert_eq!(server.on_datagram(NOW, &FLIGHTS[0][0]), Err(failed));
    assert!(matches!(server.poll(&mut Vec::new()), Output::Idle));
}

/// Fragments of messages that are never next, and as many different messages as fit: nothing fails,
/// nothing is answered, and the peer connects afterwards. `limits` bounds the stored messages.
#[test]
fn endless_fragments_have_no_effect() {
    for settings in &*SETTINGS {
        let mut world = world(settings);
        let now = world.now;
        for number in 0..5_000_u32 {
            let len = 1000 + number % 7000;
            let (kind, seq) = [(1, 0), (1, 7), (11, 1), (15, 3), (16, 2)][number as usize % 5];
            let body = fragment(kind, len, seq, number % 900, &[number as u8; 100]);
            let result = world.sides[SERVER].endpoint.on_datagram(now, &record(22, 0, number.into(), &body));
            assert_eq!(result, Ok(()));
        }
        assert!(drain(&mut world.sides[SERVER].endpoint).is_empty());
        world.run_until(LONG, |world| world.both_connected() || world.any_failed());
        assert!(world.both_connected(), "{settings:?}");
    }
}

/// One byte at a time, overlapping, empty, beyond the end, with contradicting lengths: each as the first
/// datagrams of a new server.
#[test]
fn inconsistent_fragments_have_no_effect() {
    let shapes: [&[(u32, u32, usize)]; 8] = [
        &[(4, 0, 0), (4, 0, 0), (4, 0, 4)],
        &[(4, 0, 1), (4, 1, 1), (4, 2, 1), (4, 3, 1)],
        &[(4, 0, 3), (4, 2, 2)],
        &[(4, 4, 4)],
        &[(0, 0, 0)],
        &[(4, 0, 2), (8, 2, 6)],
        &[(0xff_ffff, 0xff_ffff, 1)],
        &[(1, 0, 2), (0xff_ffff, 0, 100)],
    ];
    for settings in &*SETTINGS {
        for kind in [0, 1, 2, 11, 16, 20, 255] {
            for shape in shapes {
                let mut server = server(settings);
                for (number, (len, offset, body)) in shape.iter().enumerate() {
                    let body = fragment(kind, *len, 0, *offset, &vec![0; *body]);
                    let result = server.on_datagram(NOW, &record(22, 0, number as u64, &body));
                    assert_eq!(result, Ok(()), "{kind} {shape:?}");
                    drain(&mut server);
                }
            }
        }
    }
}

#[test]
fn a_long_certificate_is_accepted_up_to_the_bound() {
    for settings in &*SETTINGS {
        // About 14 KiB, twice the bound, and a usual length.
        for (parts, is_accepted) in [(180, true), (400, false), (1, true)] {
            let client = keys::with_name_parts(Kind::P256, parts);
            for (expected, failed) in
                [(client.fingerprint(), None), (Fingerprint([1; 32]), Some(Failed::FingerprintMismatch))]
            {
                let mut world = world_of(settings, &client, expected);
                world.run_until(LONG, |world| world.both_connected() || world.any_failed());
                let server = &world.sides[SERVER];
                if is_accepted {
                    assert_eq!((server.failed, server.connected.is_some()), (failed, failed.is_none()));
                } else {
                    assert!(server.connected.is_none());
                }
            }
        }
    }
}

/// The datagrams of a real handshake towards the server.
fn flights(settings: &Settings) -> Vec<Vec<u8>> {
    let recorded = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let record = recorded.clone();
    let link = Box::new(move |side, bytes: Vec<u8>| {
        if side == CLIENT {
            record.borrow_mut().push(bytes.clone());
        }
        vec![(Duration::from_millis(1), bytes)]
    });
    let [client, server] = &*CERTIFICATES;
    let expected = [server.fingerprint(), client.fingerprint()];
    let mut world = World::expecting([settings, settings], link, [client, server], expected);
    world.run_until(LONG, World::both_connected);
    assert!(world.both_connected());
    drop(world);
    recorded.take()
}

/// The answer to an attacker's ClientHello misleads the client. While the client's own waits, that answer
/// must not be retransmitted.
#[test]
fn an_answer_is_not_repeated_by_the_timer_after_another_hello() {
    for (version, settings) in SETTINGS.iter().enumerate() {
        let mut world = world(settings);
        let now = world.now;
        let hello = FLIGHTS[version][0].clone();
        let server = &mut world.sides[SERVER].endpoint;
        assert_eq!(server.on_datagram(now, &hello), Ok(()));
        assert_ne!(drain(server), Vec::<Vec<u8>>::new());
        // ClientHellos without an answer use up the ration.
        for nth in 1..=limits::HELLO_BURST as usize {
            let mut refused = hello.clone();
            let versions = 25;
            refused[versions] = nth as u8;
            assert_eq!(server.on_datagram(now, &refused), Ok(()));
            drain(server);
        }
        world.run_until(LONG, |world| world.both_connected() || world.any_failed());
        assert!(world.both_connected(), "{:?}", world.sides[SERVER].failed);
    }
}

static FLIGHTS: LazyLock<[Vec<Vec<u8>>; 2]> =
    LazyLock::new(|| [flights(&SETTINGS[0]), flights(&SETTINGS[1])]);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Changed, cut, repeated and swapped datagrams of a real client, in the middle of a handshake with
    /// another: the server neither fails nor misses its own client.
    #[test]
    fn changed_datagrams_of_another_client_do_not_prevent_the_connection(
        version in 0..2_usize,
        rounds in 0..3_usize,
        attack in prop::collection::vec((0..8_usize, prop::collection::vec((any::<usize>(), any::<u8>()), 0..4), any::<usize>()), 1..12),
    ) {
        let mut world = world(&SETTINGS[version]);
        for _ in 0..rounds {
            world.run_until(Duration::from_millis(10), |_| false);
        }
        let now = world.now;
        for (which, bends, cut) in attack {
            let flights = &FLIGHTS[version];
            let mut bytes = flights[which % flights.len()].clone();
            for (at, byte) in bends {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            if cut % 4 == 0 {
                bytes.truncate(cut % bytes.len());
            }
            prop_assert_eq!(world.sides[SERVER].endpoint.on_datagram(now, &bytes), Ok(()));
            drain(&mut world.sides[SERVER].endpoint);
        }
        world.run_until(LONG, |world| world.both_connected() || world.any_failed());
        prop_assert!(world.both_connected(), "{:?} {:?}", world.sides[SERVER].failed, world.now.saturating_since(now));
    }

    /// The same to a client. It may fail, without other effects.
    #[test]
    fn changed_datagrams_to_a_client_do_not_panic(
        version in 0..2_usize,
        attack in prop::collection::vec((0..8_usize, prop::collection::vec((any::<usize>(), any::<u8>()), 0..4)), 1..12),
    ) {
        let mut world = world(&SETTINGS[version]);
        world.run_until(Duration::from_millis(10), |_| false);
        let now = world.now;
        for (which, bends) in attack {
            let flights = &FLIGHTS[version];
            let mut bytes = flights[which % flights.len()].clone();
            for (at, byte) in bends {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            prop_assert_ne!(world.sides[CLIENT].endpoint.on_datagram(now, &bytes), Err(Failed::Internal));
            drain(&mut world.sides[CLIENT].endpoint);
        }
    }

    /// Records with any body, as a server's first datagram.
    #[test]
    fn any_records_do_not_panic(
        version in 0..2_usize,
        records in prop::collection::vec((20..27_u8, 0..3_u16, prop::collection::vec(any::<u8>(), 0..80)), 1..10),
    ) {
        let mut server = server(&SETTINGS[version]);
        for (number, (kind, epoch, body)) in records.iter().enumerate() {
            prop_assert_eq!(server.on_datagram(NOW, &record(*kind, *epoch, number as u64, body)), Ok(()));
            drain(&mut server);
        }
    }

    #[test]
    fn any_hello_does_not_panic(version in 0..2_usize, body in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut server = server(&SETTINGS[version]);
        prop_assert_eq!(server.on_datagram(NOW, &message(1, 0, &body)), Ok(()));
        drain(&mut server);
    }
}
