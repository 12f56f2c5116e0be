//! After the handshake: application data and close.

#![allow(clippy::unwrap_used)]

mod common;

use common::{CLIENT, DELAY, SERVER, World, clean, settings};
use dtls::{SendError, Version, limits};
use std::time::Duration;

const VERSIONS: [Version; 2] = [Version::Dtls12, Version::Auto];
const WHILE: Duration = Duration::from_secs(5);

fn connected(version: Version) -> World {
    let mut world = World::new(&settings(version), clean());
    world.run_until(WHILE, World::both_connected);
    assert!(world.both_connected());
    world
}

#[test]
fn data_passes_in_both_directions() {
    for version in VERSIONS {
        let mut world = connected(version);
        let long = vec![0x5a; limits::SEND_MAX];
        for side in [CLIENT, SERVER] {
            let now = world.now;
            let endpoint = &mut world.sides[side].endpoint;
            endpoint.send(now, b"short").unwrap();
            endpoint.send(now, &long).unwrap();
            world.run_until(WHILE, |_| false);
            assert_eq!(world.sides[1 - side].received, [b"short".to_vec(), long.clone()], "{version:?}");
        }
        assert!(!world.any_failed());
    }
}

#[test]
fn data_is_refused_before_the_handshake_and_beyond_the_bounds() {
    let mut world = World::new(&settings(Version::Auto), clean());
    let now = world.now;
    assert_eq!(world.sides[CLIENT].endpoint.send(now, b"early"), Err(SendError::NotConnected));

    let mut world = connected(Version::Dtls12);
    let now = world.now;
    let endpoint = &mut world.sides[CLIENT].endpoint;
    assert_eq!(endpoint.send(now, &vec![0; limits::SEND_MAX + 1]), Err(SendError::TooLong));
    for _ in 0..limits::SEND_QUEUE_LEN {
        endpoint.send(now, &[0; 1000]).unwrap();
    }
    assert_eq!(endpoint.send(now, &[0; 1000]), Err(SendError::Full));
    assert_eq!(world.sides[CLIENT].drain().0.len(), limits::SEND_QUEUE_LEN);
    assert_eq!(world.sides[CLIENT].endpoint.send(now, &[0; 1000]), Ok(()));
    assert_eq!(world.sides[CLIENT].endpoint.failed(), None);
}

#[test]
fn duplicated_data_is_delivered_once() {
    for version in VERSIONS {
        let mut world = connected(version);
        let now = world.now;
        world.sides[CLIENT].endpoint.send(now, b"once").unwrap();
        let (datagrams, _) = world.sides[CLIENT].drain();
        for _ in 0..3 {
            world.sides[SERVER].endpoint.on_datagram(now, &datagrams[0]).unwrap();
            world.sides[SERVER].drain();
        }
        assert_eq!(world.sides[SERVER].received, [b"once".to_vec()], "{version:?}");
    }
}

/// All bytes except the record's version field, which in 1.2 the library neither checks nor authenticates;
/// delivered data is still genuine, and delivered once.
#[test]
fn forged_data_is_ignored() {
    for version in VERSIONS {
        let mut world = connected(version);
        let now = world.now;
        world.sides[CLIENT].endpoint.send(now, b"genuine").unwrap();
        let (datagrams, _) = world.sides[CLIENT].drain();
        for bit in (0..datagrams[0].len() * 8).filter(|bit| !(8..24).contains(bit)) {
            let mut bent = datagrams[0].clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                world.sides[SERVER].endpoint.on_datagram(now, &bent),
                Ok(()),
                "{version:?}, bit {bit}"
            );
            world.sides[SERVER].drain();
            assert!(world.sides[SERVER].received.is_empty(), "{version:?}, bit {bit}");
        }
        world.sides[SERVER].endpoint.on_datagram(now, &datagrams[0]).unwrap();
        world.sides[SERVER].drain();
        assert_eq!(world.sides[SERVER].received, [b"genuine".to_vec()]);
    }
}

#[test]
fn close_is_received_and_answered() {
    for version in VERSIONS {
        for side in [CLIENT, SERVER] {
            let mut world = connected(version);
            let now = world.now;
            world.sides[side].endpoint.close(now).unwrap();
            assert_eq!(world.sides[side].endpoint.send(now, b"late"), Err(SendError::Closed));
            world.run_until(WHILE, |_| false);
            assert!(world.sides[1 - side].closed, "{version:?}");
            assert!(!world.any_failed());
            assert!(world.now.saturating_since(now) <= 4 * DELAY, "no peer waits");
        }
    }
}

#[test]
fn a_handshake_can_be_closed() {
    for version in VERSIONS {
        let mut world = World::new(&settings(version), clean());
        let now = world.now;
        world.sides[SERVER].endpoint.close(now).unwrap();
        assert_eq!(world.sides[SERVER].drain(), (Vec::new(), None));
    }
}
