//! What a peer, or somebody with a peer's address, may send instead of a handshake.

#![allow(clippy::unwrap_used)]

mod common;

use common::{CLIENT, SERVER, World, clean, settings};
use dtls::{Certificate, Endpoint, Failed, Options, Output, Settings, Version, limits};
use machine::{Instant, Rng};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const VERSIONS: [Version; 2] = [Version::Dtls12, Version::Auto];
const LONG: Duration = Duration::from_secs(60);
const NOW: Instant = Instant::from_nanos(1_000_000_000);

/// Made once: building them runs the crypto library's self-test.
static SETTINGS: LazyLock<[Settings; 2]> = LazyLock::new(|| {
    VERSIONS.map(|version| settings(Options { version, rng_seed: Some(5), ..Options::default() }))
});
static CERTIFICATES: LazyLock<[Certificate; 2]> =
    LazyLock::new(|| [Certificate::generate(), Certificate::generate()]);

fn server(settings: &Settings) -> Endpoint {
    Endpoint::server(settings, &CERTIFICATES[SERVER], CERTIFICATES[CLIENT].fingerprint(), NOW)
}

fn world(settings: &Settings) -> World {
    let [client, server] = &*CERTIFICATES;
    let expected = [server.fingerprint(), client.fingerprint()];
    World::expecting([settings, settings], clean(), [client, server], expected)
}

/// A DTLS record with a plaintext body.
fn record(kind: u8, epoch: u16, number: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0xfe, 0xfd];
    bytes.extend_from_slice(&epoch.to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&number.to_be_bytes());
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

fn drain(endpoint: &mut Endpoint) {
    let mut buffer = Vec::new();
    while !matches!(endpoint.poll(&mut buffer), Output::Idle | Output::Timeout(_)) {}
}

#[test]
fn garbage_before_the_handshake_is_passed_over() {
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
        for kind in [20, 23, 24, 63] {
            // Records of an epoch that does not exist yet, and of kinds that mean nothing now.
            assert_eq!(server.on_datagram(now, &record(kind, 1, 1, &[0; 40])), Ok(()));
        }
        assert_eq!(server.on_datagram(now, &vec![22; limits::DATAGRAM_MAX + 1]), Ok(()));
        drain(server);
        world.run_until(LONG, |world| world.both_connected() || world.any_failed());
        assert!(world.both_connected(), "{:?}: {:?}", settings, world.sides[SERVER].failed);
    }
}

#[test]
fn a_fatal_alert_ends_it_and_says_which() {
    for settings in &*SETTINGS {
        let mut server = server(settings);
        assert_eq!(server.on_datagram(NOW, &record(21, 0, 0, &[2, 40])), Err(Failed::Alert(40)));
    }
}

#[test]
fn what_has_failed_stays_failed() {
    let mut world = world(&SETTINGS[0]);
    world.run_until(Duration::ZERO, |_| false);
    let (now, alert) = (world.now, record(21, 0, 0, &[2, 47]));
    let (hello, server) = (world.sides[CLIENT].drain().0, &mut world.sides[SERVER].endpoint);
    assert_eq!(server.on_datagram(now, &alert), Err(Failed::Alert(47)));
    assert_eq!(server.on_timeout(now), Err(Failed::Alert(47)));
    assert_eq!(server.send(now, b"data"), Err(Failed::Alert(47).into()));
    assert_eq!(server.close(now), Err(Failed::Alert(47)));
    for datagram in hello {
        assert_eq!(server.on_datagram(now, &datagram), Err(Failed::Alert(47)));
    }
    assert!(matches!(server.poll(&mut Vec::new()), Output::Idle));
}

/// Fragments of messages whose turn never comes: as many as are kept, then the end.
#[test]
fn fragments_without_end_are_bounded() {
    for settings in &*SETTINGS {
        let mut server = server(settings);
        let mut taken = 0;
        let failed = loop {
            let body = fragment(1, 1 << 20, 7, taken * 1000, &[0; 1000]);
            match server.on_datagram(NOW, &record(22, 0, taken, &body)) {
                Ok(()) => taken += 1,
                Err(failed) => break failed,
            }
            drain(&mut server);
        };
        assert_eq!(failed, Failed::PeerOverrun);
        assert_eq!(taken as usize, limits::RECEIVE_QUEUE_LEN);
    }
}

/// One byte at a time, overlapping, empty, beyond the end, with lengths that disagree: each as a fresh
/// server's first datagrams.
#[test]
fn fragments_that_make_no_sense_do_no_harm() {
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
                    let result = server.on_datagram(NOW, &record(22, 0, number as u32, &body));
                    assert_ne!(result, Err(Failed::Internal), "{kind} {shape:?}");
                    drain(&mut server);
                }
            }
        }
    }
}

/// A certificate as long as the network lets one through. The library under us panics if it is handed a
/// buffer too small for it.
#[test]
fn a_huge_certificate_is_just_not_the_expected_one() {
    for settings in &*SETTINGS {
        let ours = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let mut certificate = ours.certificate.clone();
        certificate.resize(14_000, 0);
        let huge = dimpl::DtlsCertificate { certificate, private_key: ours.private_key };
        let config = Arc::new(dimpl::Config::builder().mtu(1400).max_queue_tx(30).build().unwrap());
        let start = std::time::Instant::now();
        let mut client = dimpl::Dtls::new_12(config, huge, start);
        client.set_active(true);
        client.handle_timeout(start).unwrap();

        let mut server = server(settings);
        let mut result = Ok(());
        let mut buffer = vec![0; 1 << 16];
        for _ in 0..3 {
            loop {
                match client.poll_output(&mut buffer) {
                    // A datagram for each record, so that the certificate's last is not followed by a
                    // signature that fails first.
                    dimpl::Output::Packet(mut bytes) => {
                        while !bytes.is_empty() {
                            let len = 13 + usize::from(u16::from_be_bytes([bytes[11], bytes[12]]));
                            result = result.and_then(|()| server.on_datagram(NOW, &bytes[..len]));
                            bytes = &bytes[len..];
                        }
                    }
                    dimpl::Output::Timeout(_) => break,
                    _ => {}
                }
            }
            let mut answer = Vec::new();
            while let Output::Datagram(bytes) = server.poll(&mut answer) {
                client.handle_packet(bytes).unwrap();
            }
        }
        assert_eq!(result, Err(Failed::FingerprintMismatch), "{settings:?}");
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

static FLIGHTS: LazyLock<[Vec<Vec<u8>>; 2]> =
    LazyLock::new(|| [flights(&SETTINGS[0]), flights(&SETTINGS[1])]);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Bent, cut, repeated and swapped datagrams of a real client, in the middle of a handshake with
    /// another: whatever comes of it, it is no fault of ours.
    #[test]
    fn nothing_brings_down_more_than_the_endpoint(
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
            let side = if cut % 5 == 0 { CLIENT } else { SERVER };
            let result = world.sides[side].endpoint.on_datagram(now, &bytes);
            prop_assert_ne!(result, Err(Failed::Internal));
            world.sides[side].drain();
        }
    }

    /// Records with any body, as the first thing a server hears.
    #[test]
    fn any_records_do_no_harm(
        version in 0..2_usize,
        records in prop::collection::vec((20..27_u8, 0..3_u16, prop::collection::vec(any::<u8>(), 0..80)), 1..10),
    ) {
        let mut server = server(&SETTINGS[version]);
        for (number, (kind, epoch, body)) in records.iter().enumerate() {
            let result = server.on_datagram(NOW, &record(*kind, *epoch, number as u32, body));
            prop_assert_ne!(result, Err(Failed::Internal));
            drain(&mut server);
        }
    }

    #[test]
    fn any_hello_does_no_harm(version in 0..2_usize, body in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut server = server(&SETTINGS[version]);
        let hello = fragment(1, body.len() as u32, 0, 0, &body);
        prop_assert_ne!(server.on_datagram(NOW, &record(22, 0, 0, &hello)), Err(Failed::Internal));
        drain(&mut server);
    }
}
