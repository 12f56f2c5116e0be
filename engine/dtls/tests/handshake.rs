//! Handshakes between our two ends, on links of different quality, in virtual time.

#![allow(clippy::unwrap_used)]

mod common;

use common::keys::{self, Kind};
use common::{CLIENT, DELAY, SERVER, START, World, bad, clean, settings};
use dtls::{
    Certificate, CertificateHash, Endpoint, Failed, Fingerprint, Options, Output, Settings, Version, limits,
};
use machine::Instant;
use srtp::{Inbound, Outbound, Profile};
use std::time::Duration;

const VERSIONS: [Version; 2] = [Version::Dtls12, Version::Auto];
const LONG: Duration = Duration::from_secs(60);

/// Defined by RFC 8122 §6.2.
const BAD_CERTIFICATE: u8 = 42;

/// A protected packet passes in both directions with the keys of both ends.
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
fn both_ends_have_the_same_keys() {
    for version in VERSIONS {
        let mut world = World::new(&settings(version), clean());
        world.run_until(LONG, World::both_connected);
        assert!(world.both_connected(), "{version:?}");
        assert_keys_fit(&world);
        assert!(world.sides.iter().all(|side| side.endpoint.is_connected()));
        let newest = Some(version == Version::Auto);
        assert!(world.sides.iter().all(|side| side.endpoint.is_dtls_1_3() == newest), "{version:?}");
    }
}

#[test]
fn a_client_with_any_accepted_kind_of_key_connects_in_both_versions() {
    let server = Certificate::generate();
    for kind in keys::ACCEPTED {
        let client = keys::certificate(kind);
        let expected = [server.fingerprint(), client.fingerprint()];
        for version in VERSIONS {
            let settings = settings(version);
            let mut world = World::expecting([&settings, &settings], clean(), [&client, &server], expected);
            world.run_until(LONG, |world| world.both_connected() || world.any_failed());
            assert!(world.both_connected(), "{kind:?}, {version:?}: {:?}", world.sides[SERVER].failed);
            assert_keys_fit(&world);
        }
    }
}

#[test]
fn a_server_with_any_accepted_kind_of_key_is_accepted_in_both_versions() {
    let client = Certificate::generate();
    for kind in keys::ACCEPTED {
        let server = keys::certificate(kind);
        let expected = [server.fingerprint(), client.fingerprint()];
        for version in VERSIONS {
            let settings = settings(version);
            let mut world = World::expecting([&settings, &settings], clean(), [&client, &server], expected);
            world.run_until(LONG, |world| world.both_connected() || world.any_failed());
            assert!(world.both_connected(), "{kind:?}, {version:?}: {:?}", world.sides[CLIENT].failed);
        }
    }
}

/// The hashes of a certificate with every function, each with one wrong bit if `is_wrong`.
fn hashes(der: &[u8], is_wrong: bool) -> [CertificateHash; 5] {
    fn bent<const N: usize>(mut hash: [u8; N], is_wrong: bool) -> [u8; N] {
        hash[N - 1] ^= u8::from(is_wrong);
        hash
    }
    [
        CertificateHash::Sha1(bent(boring::sha::sha1(der), is_wrong)),
        CertificateHash::Sha224(bent(boring::sha::sha224(der), is_wrong)),
        CertificateHash::Sha256(bent(boring::sha::sha256(der), is_wrong)),
        CertificateHash::Sha384(bent(boring::sha::sha384(der), is_wrong)),
        CertificateHash::Sha512(bent(boring::sha::sha512(der), is_wrong)),
    ]
}

#[test]
fn the_fingerprint_may_be_of_every_hash_function_on_both_sides() {
    let [(client, of_client), (server, of_server)] = [(); 2].map(|()| keys::certificate_with_der(Kind::P256));
    for version in VERSIONS {
        let settings = settings(version);
        for expected in hashes(&of_server, false).into_iter().zip(hashes(&of_client, false)) {
            let expected = [expected.0, expected.1];
            let mut world = World::expecting([&settings, &settings], clean(), [&client, &server], expected);
            world.run_until(LONG, |world| world.both_connected() || world.any_failed());
            assert!(world.both_connected(), "{version:?}, {expected:?}");
            assert_keys_fit(&world);
        }
    }
}

#[test]
fn a_fingerprint_of_every_hash_function_is_checked_on_both_sides() {
    let [(client, of_client), (server, of_server)] = [(); 2].map(|()| keys::certificate_with_der(Kind::P256));
    for version in VERSIONS {
        let settings = settings(version);
        for nth in 0..5 {
            for wrong in [CLIENT, SERVER] {
                let expected =
                    [hashes(&of_server, wrong == CLIENT)[nth], hashes(&of_client, wrong == SERVER)[nth]];
                let mut world =
                    World::expecting([&settings, &settings], clean(), [&client, &server], expected);
                world.run_until(LONG, |_| false);
                let failed = world.sides[wrong].failed;
                assert_eq!(failed, Some(Failed::FingerprintMismatch), "{version:?}, {expected:?}");
                assert!(world.sides[wrong].connected.is_none(), "{version:?}, {expected:?}");
            }
        }
    }
}

/// Servers that do not assemble a ClientHello, such as those of Mbed TLS, get it in one datagram.
#[test]
fn a_short_hello_is_one_datagram_and_connects_in_both_versions() {
    let [client, server] = [(); 2].map(|()| Certificate::generate());
    for versions in [[0, 0], [0, 1], [1, 0], [1, 1]].map(|pair| pair.map(|nth| VERSIONS[nth])) {
        for kind_of_link in 0..2 {
            let [ours, theirs] = versions.map(settings);
            let expected = server.fingerprint();
            let mut client_end = Endpoint::client_with_short_hello(&ours, &client, expected, START);
            let mut buffer = Vec::new();
            let Output::Datagram(hello) = client_end.poll(&mut buffer) else { panic!("a ClientHello") };
            let hello = hello.to_vec();
            assert!(hello.len() < 600, "{versions:?}: {} bytes", hello.len());
            assert!(!matches!(client_end.poll(&mut buffer), Output::Datagram(_)), "{versions:?}");
            assert!(dtls::is_client_hello(&hello));

            let mut server_end = Endpoint::server(&theirs, &server, client.fingerprint(), START);
            server_end.on_datagram(START, &hello).unwrap();
            let link = if kind_of_link == 0 { clean() } else { bad(9, 0.2) };
            let mut world = World::of([client_end, server_end], link);
            world.run_until(LONG, |world| world.both_connected() || world.any_failed());
            assert!(world.both_connected(), "{versions:?}");
            assert_keys_fit(&world);
            let newest = Some(versions == [Version::Auto; 2]);
            assert!(world.sides.iter().all(|side| side.endpoint.is_dtls_1_3() == newest), "{versions:?}");
        }
    }
}

#[test]
fn two_clients_ignore_each_others_hellos_until_their_time_is_over() {
    let certificates = [(); 2].map(|()| Certificate::generate());
    for version in VERSIONS {
        let settings = settings(version);
        let ends = [0, 1].map(|own| {
            let expected = certificates[1 - own].fingerprint();
            Endpoint::client_with_short_hello(&settings, &certificates[own], expected, START)
        });
        let mut world = World::of(ends, clean());
        world.run_until(LONG, |_| false);
        for side in &world.sides {
            assert_eq!(side.failed, Some(Failed::TimedOut), "{version:?}");
            // One ClientHello and its retransmissions.
            assert!((2..=8).contains(&side.sent), "{version:?}: {} datagrams", side.sent);
        }
    }
}

#[test]
fn media_gets_aes_gcm_in_both_versions() {
    for version in VERSIONS {
        let mut world = World::new(&settings(version), clean());
        world.run_until(LONG, World::both_connected);
        for side in &world.sides {
            assert_eq!(side.connected.as_ref().unwrap().profile, Profile::AeadAes128Gcm, "{version:?}");
        }
    }
}

/// After ICE, no cookie is requested: the server has the keys after two round trips of DTLS 1.2, and after
/// one and a half of 1.3, where the client has them after one.
#[test]
fn the_handshake_takes_two_round_trips() {
    for (version, delays) in VERSIONS.into_iter().zip([4, 3]) {
        let mut world = World::new(&settings(version), clean());
        let start = world.now;
        world.run_until(LONG, World::both_connected);
        assert_eq!(world.now.saturating_since(start), delays * DELAY, "{version:?}");
    }
}

#[test]
fn no_datagram_is_longer_than_the_mtu() {
    for mtu in [limits::MTU_MIN, 1200] {
        for version in VERSIONS {
            for kind in [Kind::P256, Kind::Rsa(4096)] {
                let settings = Settings::new(Options { version, mtu, ..Options::default() });
                let (client, server) = (keys::certificate(kind), keys::certificate(kind));
                let expected = [server.fingerprint(), client.fingerprint()];
                let link = Box::new(move |_, bytes: Vec<u8>| {
                    assert!(bytes.len() <= mtu, "{} bytes, {version:?}, {kind:?}", bytes.len());
                    vec![(DELAY, bytes)]
                });
                let mut world = World::expecting([&settings, &settings], link, [&client, &server], expected);
                world.run_until(LONG, World::both_connected);
                assert!(world.both_connected(), "{mtu}, {version:?}, {kind:?}");
            }
        }
    }
}

#[test]
fn a_server_for_both_versions_accepts_a_client_of_the_old_one() {
    let (old, both) = (settings(Version::Dtls12), settings(Version::Auto));
    let (client, server) = (Certificate::generate(), Certificate::generate());
    let expected = [server.fingerprint(), client.fingerprint()];
    for settings in [[&old, &both], [&both, &old]] {
        let mut world = World::expecting(settings, clean(), [&client, &server], expected);
        world.run_until(LONG, World::both_connected);
        assert!(world.both_connected());
        assert_keys_fit(&world);
    }
}

/// 20 % loss, 10 % duplicates, delays of 5 to 65 ms: constant reordering.
#[test]
fn a_bad_link_only_delays_the_handshake() {
    for version in VERSIONS {
        for seed in 0..40 {
            let mut world = World::new(&settings(version), bad(seed, 0.2));
            world.run_until(LONG, |world| world.both_connected() || world.any_failed());
            assert!(world.both_connected(), "{version:?}, seed {seed}: {:?}", world.sides[SERVER].failed);
            assert_keys_fit(&world);
        }
    }
}

#[test]
fn a_client_with_another_certificate_gets_no_keys() {
    for version in VERSIONS {
        let settings = settings(version);
        let (client, server) = (Certificate::generate(), Certificate::generate());
        let expected = [server.fingerprint(), Fingerprint([0x5a; 32])];
        let mut world = World::expecting([&settings, &settings], clean(), [&client, &server], expected);
        world.run_until(LONG, World::any_failed);
        assert_eq!(world.sides[SERVER].failed, Some(Failed::FingerprintMismatch), "{version:?}");
        world.run_until(LONG, |_| false);
        assert!(world.sides[SERVER].connected.is_none());
        assert_eq!(world.sides[SERVER].endpoint.failed(), Some(Failed::FingerprintMismatch));
        if version == Version::Dtls12 {
            // In 1.3 a client is complete before the server has checked its certificate.
            assert!(world.sides[CLIENT].connected.is_none(), "the server has not sent its last flight");
        } else {
            // There the alert is encrypted, and the client receives it.
            assert_eq!(world.sides[CLIENT].failed, Some(Failed::Alert(BAD_CERTIFICATE)));
        }
    }
}

#[test]
fn a_server_with_another_certificate_gets_nothing_from_the_client() {
    for version in VERSIONS {
        let settings = settings(version);
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
fn one_wrong_bit_of_the_fingerprint_is_a_mismatch() {
    let settings = settings(Version::Dtls12);
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

/// Splits a datagram with one ClientHello in one record into fragments of at most `len` bytes.
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
fn a_client_hello_in_fragments_is_accepted_in_any_order() {
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
            // In one piece before it is split.
            let settings = Settings::new(Options { version, mtu: 2048, ..Options::default() });
            let mut world = World::new(&settings, link);
            let start = world.now;
            world.run_until(LONG, |world| world.both_connected() || world.any_failed());
            assert!(world.both_connected(), "{version:?}, order {order:?}");
            assert!(
                world.now.saturating_since(start) < limits::FLIGHT_TIMEOUT / 2,
                "there was no retransmission"
            );
            assert_keys_fit(&world);
        }
    }
}

/// A lost fragment is in the retransmission; the received one is not needed again.
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
    let mut world = World::new(&settings(Version::Dtls12), link);
    world.run_until(LONG, |world| world.both_connected() || world.any_failed());
    assert!(world.both_connected());
}

/// The times at which a side without answers sends its flight, and when it gives up.
fn monologue(version: Version) -> (Vec<Instant>, Instant) {
    let mut world = World::new(&settings(version), Box::new(|_, _| Vec::new()));
    let mut sent_at = Vec::new();
    let mut sent = 0;
    loop {
        world.run_until(Duration::from_millis(1), |_| false);
        if world.sides[CLIENT].sent > sent {
            sent = world.sides[CLIENT].sent;
            sent_at.push(world.now);
        }
        if world.sides[CLIENT].failed.is_some() {
            assert_eq!(world.sides[CLIENT].failed, Some(Failed::TimedOut));
            return (sent_at, world.now);
        }
    }
}

#[test]
fn an_unanswered_flight_is_repeated_with_doubled_timeout() {
    /// The library treats a timeout as due if it is at most this far away.
    const EARLY: Duration = Duration::from_millis(16);
    for version in VERSIONS {
        let (sent_at, given_up) = monologue(version);
        assert_eq!(sent_at.len(), 1 + 7, "{version:?}");
        let mut expected = limits::FLIGHT_TIMEOUT;
        for (earlier, later) in sent_at.iter().zip(&sent_at[1..]) {
            let gap = later.saturating_since(*earlier);
            assert!(gap + EARLY >= expected && gap <= expected + EARLY, "{gap:?} for {expected:?}");
            expected *= 2;
        }
        let whole = given_up.saturating_since(sent_at[0]);
        assert!(
            whole + EARLY >= limits::HANDSHAKE_TIMEOUT && whole <= limits::HANDSHAKE_TIMEOUT + EARLY,
            "{whole:?}"
        );
    }
}

/// The server's last flight is lost: it waits for nothing any more, and repeats the flight when the client
/// repeats its own.
#[test]
fn a_lost_last_flight_is_repeated_on_demand() {
    let mut flights = 0;
    let link = Box::new(move |side, bytes| {
        flights += usize::from(side == SERVER);
        if side == SERVER && flights == 2 { Vec::new() } else { vec![(DELAY, bytes)] }
    });
    let mut world = World::new(&settings(Version::Dtls12), link);
    world.run_until(LONG, |world| world.both_connected() || world.any_failed());
    assert!(world.both_connected());
    assert_keys_fit(&world);
}

#[test]
fn an_idle_endpoint_has_no_timeout() {
    for version in VERSIONS {
        let mut world = World::new(&settings(version), clean());
        assert_eq!(world.sides[SERVER].drain(), (Vec::new(), None), "a server waits without a timeout");
        world.run_until(LONG, World::both_connected);
        world.run_until(LONG, |_| false);
        for side in &mut world.sides {
            assert_eq!(side.drain(), (Vec::new(), None), "{version:?}");
        }
    }
}
