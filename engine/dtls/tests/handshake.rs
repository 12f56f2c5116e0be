//! Handshakes between our own two ends, on links of every quality, in virtual time.

#![allow(clippy::unwrap_used)]

mod common;

use common::{CLIENT, DELAY, SERVER, World, bad, clean, settings};
use dtls::{Certificate, Failed, Fingerprint, Options, Version, limits};
use machine::Instant;
use srtp::{Inbound, Outbound, Profile};
use std::time::Duration;

const VERSIONS: [Version; 2] = [Version::Dtls12, Version::Auto];
const LONG: Duration = Duration::from_secs(60);

fn options(version: Version, seed: u64) -> Options {
    Options { version, rng_seed: Some(seed), ..Options::default() }
}

/// A protected packet crosses in both directions with the keys both ends came to.
fn assert_keys_fit(world: &World) {
    let [client, server] = [CLIENT, SERVER].map(|side| world.sides[side].connected.clone().unwrap());
    assert_eq!(client.profile, server.profile);
    for (sender, receiver) in [(&client, &server), (&server, &client)] {
        let outbound = Outbound::new(sender.profile, &sender.outbound);
        let mut inbound = Inbound::new(receiver.profile, &receiver.inbound);
        let mut packet = [0xa5; 100];
        packet[..12].copy_from_slice(&[0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
        let len = outbound.protect_rtp(0, 12, b"across", &mut packet).unwrap();
        assert_eq!(inbound.unprotect_rtp(&mut packet[..len]).unwrap()[12..], *b"across");
    }
}

#[test]
fn both_ends_come_to_the_same_keys() {
    for version in VERSIONS {
        let mut world = World::new(&settings(options(version, 1)), clean());
        world.run_until(LONG, World::both_connected);
        assert!(world.both_connected(), "{version:?}");
        assert_keys_fit(&world);
        assert!(world.sides.iter().all(|side| side.endpoint.is_connected()));
    }
}

#[test]
fn with_dtls_1_2_media_gets_gcm() {
    let mut world = World::new(&settings(options(Version::Dtls12, 1)), clean());
    world.run_until(LONG, World::both_connected);
    assert_eq!(world.sides[SERVER].connected.as_ref().unwrap().profile, Profile::AeadAes256Gcm);
}

/// The server takes two round trips of one datagram each way at most: with ICE before it, no cookie is
/// asked for.
#[test]
fn the_handshake_takes_two_round_trips() {
    let mut world = World::new(&settings(options(Version::Dtls12, 1)), clean());
    let start = world.now;
    world.run_until(LONG, World::both_connected);
    assert_eq!(world.now.saturating_since(start), 4 * DELAY);
    assert_eq!(world.sides[SERVER].sent, 2);
}

#[test]
fn a_server_for_both_versions_takes_a_client_of_the_old_one() {
    let (old, both) = (settings(options(Version::Dtls12, 1)), settings(options(Version::Auto, 2)));
    let (client, server) = (Certificate::generate(), Certificate::generate());
    let expected = [server.fingerprint(), client.fingerprint()];
    for settings in [[&old, &both], [&both, &old]] {
        let mut world = World::expecting(settings, clean(), [&client, &server], expected);
        world.run_until(LONG, World::both_connected);
        assert!(world.both_connected());
        assert_keys_fit(&world);
    }
}

/// A fifth of everything lost, a tenth doubled, delays of 5 to 65 ms: reordering all the time.
#[test]
fn a_bad_link_only_takes_longer() {
    for version in VERSIONS {
        for seed in 0..40 {
            let mut world = World::new(&settings(options(version, seed)), bad(seed, 0.2));
            world.run_until(LONG, |world| world.both_connected() || world.any_failed());
            assert!(world.both_connected(), "{version:?}, seed {seed}: {:?}", world.sides[SERVER].failed);
            assert_keys_fit(&world);
        }
    }
}

#[test]
fn a_client_with_another_certificate_gets_no_keys() {
    for version in VERSIONS {
        let settings = settings(options(version, 1));
        let (client, server) = (Certificate::generate(), Certificate::generate());
        let expected = [server.fingerprint(), Fingerprint([0x5a; 32])];
        let mut world = World::expecting([&settings, &settings], clean(), [&client, &server], expected);
        world.run_until(LONG, World::any_failed);
        assert_eq!(world.sides[SERVER].failed, Some(Failed::FingerprintMismatch), "{version:?}");
        world.run_until(LONG, |_| false);
        assert!(world.sides[SERVER].connected.is_none());
        assert_eq!(world.sides[SERVER].endpoint.failed(), Some(Failed::FingerprintMismatch));
        if version == Version::Dtls12 {
            // In 1.3 a client is done before the server has seen who it is.
            assert!(world.sides[CLIENT].connected.is_none(), "the server's last flight never left");
        }
    }
}

#[test]
fn a_server_with_another_certificate_gets_nothing_from_the_client() {
    for version in VERSIONS {
        let settings = settings(options(version, 1));
        let (client, server) = (Certificate::generate(), Certificate::generate());
        let expected = [Fingerprint([0x5a; 32]), client.fingerprint()];
        let mut world = World::expecting([&settings, &settings], clean(), [&client, &server], expected);
        world.run_until(LONG, World::any_failed);
        assert_eq!(world.sides[CLIENT].failed, Some(Failed::FingerprintMismatch), "{version:?}");
        world.run_until(LONG, |_| false);
        assert!(world.sides.iter().all(|side| side.connected.is_none()));
    }
}

#[test]
fn one_wrong_bit_of_the_fingerprint_is_wrong() {
    let settings = settings(options(Version::Dtls12, 1));
    let (client, server) = (Certificate::generate(), Certificate::generate());
    for bit in [0, 100, 255] {
        let mut wrong = client.fingerprint();
        wrong.0[bit / 8] ^= 1 << (bit % 8);
        let expected = [server.fingerprint(), wrong];
        let mut world = World::expecting([&settings, &settings], clean(), [&client, &server], expected);
        world.run_until(LONG, World::any_failed);
        assert_eq!(world.sides[SERVER].failed, Some(Failed::FingerprintMismatch), "bit {bit}");
    }
}

/// Splits a datagram that is one ClientHello in one record into fragments of at most `len` bytes.
fn fragments(datagram: &[u8], len: usize) -> Vec<Vec<u8>> {
    let (record, handshake) = (&datagram[..13], &datagram[13..25]);
    assert_eq!((record[0], handshake[0]), (22, 1), "a ClientHello");
    let body = &datagram[25..];
    assert_eq!(handshake[1..4], (body.len() as u32).to_be_bytes()[1..], "in one piece");
    let fragment = |(number, piece): (usize, &[u8])| {
        let mut bytes = record[..11].to_vec();
        bytes[10] += number as u8;
        bytes.extend_from_slice(&(12 + piece.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&handshake[..6]);
        bytes.extend_from_slice(&((number * len) as u32).to_be_bytes()[1..]);
        bytes.extend_from_slice(&(piece.len() as u32).to_be_bytes()[1..]);
        bytes.extend_from_slice(piece);
        bytes
    };
    body.chunks(len).enumerate().map(fragment).collect()
}

/// Chrome's and Firefox's ClientHellos always come in two datagrams, because of the ML-KEM share.
#[test]
fn a_client_hello_in_fragments_is_taken_in_any_order() {
    for version in VERSIONS {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let link = Box::new(move |side, bytes: Vec<u8>| {
                if side != CLIENT || bytes[0] != 22 || bytes[13] != 1 {
                    return vec![(DELAY, bytes)];
                }
                let third = (bytes.len() - 25).div_ceil(3);
                let fragments = fragments(&bytes, third);
                order.map(|at| (DELAY, fragments[at].clone())).to_vec()
            });
            let mut world = World::new(&settings(options(version, 1)), link);
            let start = world.now;
            world.run_until(LONG, |world| world.both_connected() || world.any_failed());
            assert!(world.both_connected(), "{version:?}, order {order:?}");
            assert!(world.now.saturating_since(start) < limits::FLIGHT_TIMEOUT / 2, "nothing was repeated");
            assert_keys_fit(&world);
        }
    }
}

/// A lost fragment is in the repetition; the one that came is not asked for again.
#[test]
fn a_lost_fragment_is_repeated() {
    let mut lost = false;
    let link = Box::new(move |side, bytes: Vec<u8>| {
        if side != CLIENT || bytes[0] != 22 || bytes[13] != 1 {
            return vec![(DELAY, bytes)];
        }
        let half = (bytes.len() - 25).div_ceil(2);
        let mut fragments = fragments(&bytes, half);
        if !lost {
            fragments.remove(0);
            lost = true;
        }
        fragments.into_iter().map(|fragment| (DELAY, fragment)).collect()
    });
    let mut world = World::new(&settings(options(Version::Dtls12, 1)), link);
    world.run_until(LONG, |world| world.both_connected() || world.any_failed());
    assert!(world.both_connected());
}

/// The instants at which a side that is never answered speaks, and when it gives up.
fn monologue(version: Version, seed: u64) -> (Vec<Instant>, Instant) {
    let mut world = World::new(&settings(options(version, seed)), Box::new(|_, _| Vec::new()));
    let mut spoken = Vec::new();
    let mut sent = 0;
    loop {
        world.run_until(Duration::from_millis(1), |_| false);
        if world.sides[CLIENT].sent > sent {
            sent = world.sides[CLIENT].sent;
            spoken.push(world.now);
        }
        if world.sides[CLIENT].failed.is_some() {
            assert_eq!(world.sides[CLIENT].failed, Some(Failed::TimedOut));
            return (spoken, world.now);
        }
    }
}

#[test]
fn an_unanswered_flight_is_repeated_twice_as_late_each_time() {
    for version in VERSIONS {
        for seed in 0..5 {
            let (spoken, given_up) = monologue(version, seed);
            assert_eq!(spoken.len(), 1 + limits::FLIGHT_RETRIES);
            let gaps = spoken.iter().zip(spoken[1..].iter().chain([&given_up]));
            let mut expected = limits::FLIGHT_TIMEOUT;
            for (earlier, later) in gaps {
                let gap = later.saturating_since(*earlier);
                assert!(gap + Duration::from_millis(1) >= expected * 3 / 4, "{gap:?} for {expected:?}");
                assert!(gap <= expected * 5 / 4 + Duration::from_millis(1), "{gap:?} for {expected:?}");
                expected *= 2;
            }
            assert!(
                given_up.saturating_since(spoken[0]) <= limits::HANDSHAKE_TIMEOUT + Duration::from_secs(2)
            );
        }
    }
}

#[test]
fn the_same_seed_repeats_at_the_same_instants() {
    assert_eq!(monologue(Version::Dtls12, 7), monologue(Version::Dtls12, 7));
    assert_ne!(monologue(Version::Dtls12, 7), monologue(Version::Dtls12, 8));
}

/// The server's last flight is lost: it has nothing to wait for any more, and repeats it when the client
/// repeats its own.
#[test]
fn a_lost_last_flight_is_repeated_on_demand() {
    let mut flights = 0;
    let link = Box::new(move |side, bytes| {
        flights += usize::from(side == SERVER);
        if side == SERVER && flights == 2 { Vec::new() } else { vec![(DELAY, bytes)] }
    });
    let mut world = World::new(&settings(options(Version::Dtls12, 1)), link);
    world.run_until(LONG, |world| world.both_connected() || world.any_failed());
    assert!(world.both_connected());
    assert_keys_fit(&world);
}

#[test]
fn nothing_wakes_an_endpoint_without_reason() {
    for version in VERSIONS {
        let mut world = World::new(&settings(options(version, 1)), clean());
        assert_eq!(world.sides[SERVER].drain(), (Vec::new(), None), "a server waits for as long as it takes");
        world.run_until(LONG, World::both_connected);
        world.run_until(LONG, |_| false);
        for side in &mut world.sides {
            assert_eq!(side.drain(), (Vec::new(), None), "{version:?}");
        }
    }
}
