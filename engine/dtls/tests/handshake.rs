//! Handshakes between our own two ends, on links of every quality, in virtual time.

#![allow(clippy::unwrap_used)]

mod common;

use common::{CLIENT, SERVER, World, clean, settings};
use dtls::{Options, Version};
use srtp::{Inbound, Outbound, Profile};
use std::time::Duration;

const VERSIONS: [Version; 2] = [Version::Dtls12, Version::Auto];

fn options(version: Version) -> Options {
    Options { version, rng_seed: Some(1), ..Options::default() }
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
        let mut world = World::new(&settings(options(version)), clean());
        world.run_until(Duration::from_secs(5), World::both_connected);
        assert!(world.both_connected(), "{version:?}");
        assert_keys_fit(&world);
    }
}

#[test]
fn with_dtls_1_2_media_gets_gcm() {
    let mut world = World::new(&settings(options(Version::Dtls12)), clean());
    world.run_until(Duration::from_secs(5), World::both_connected);
    let profile = world.sides[SERVER].connected.as_ref().unwrap().profile;
    assert_eq!(profile, Profile::AeadAes256Gcm);
}
