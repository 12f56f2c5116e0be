//! No nonce protects two records, in a million of them.

#![allow(clippy::unwrap_used)]

mod common;

use common::{CLIENT, SERVER, World, clean, settings};
use dtls::{Version, limits};
use std::collections::HashSet;
use std::time::Duration;

/// Records of both directions together.
const RECORDS: usize = 1_000_000;
/// Bytes of a record's plaintext that are compared: one block of the cipher.
const BLOCK: usize = 16;
const TAG: usize = 16;

/// All plaintexts are the same. Two records with the same key and the same nonce would have the same ciphertext, so
/// this needs no record numbers, which DTLS 1.3 encrypts. In 1.2 the nonces are readable, and are compared too. No
/// version changes its keys after the handshake.
#[test]
fn no_nonce_protects_two_of_a_million_records() {
    for version in [Version::Dtls12, Version::Auto] {
        let mut world = World::new(&settings(version), clean());
        // With what follows the handshake.
        world.run_until(Duration::from_secs(5), |_| false);
        assert!(world.both_connected(), "{version:?}");
        let mut ciphertexts = HashSet::with_capacity(RECORDS);
        let mut nonces = HashSet::new();
        while ciphertexts.len() < RECORDS {
            for side in [CLIENT, SERVER] {
                let now = world.now;
                let endpoint = &mut world.sides[side].endpoint;
                (0..limits::SEND_QUEUE_LEN).for_each(|_| endpoint.send(now, &[0x5a; BLOCK]).unwrap());
                for record in world.sides[side].drain().0 {
                    // In 1.3 the type of the content is encrypted behind it.
                    let type_len = usize::from(record[0] & 0xe0 == 0x20);
                    let at = record.len() - TAG - type_len - BLOCK;
                    let block: [u8; BLOCK] = *record[at..].first_chunk().unwrap();
                    assert!(ciphertexts.insert(block), "{version:?}: {} records", ciphertexts.len());
                    if type_len == 0 {
                        let nonce: [u8; 8] = *record[at - 8..].first_chunk().unwrap();
                        assert!(nonces.insert((side, nonce)), "{version:?}: {nonce:?}");
                    }
                    world.sides[1 - side].endpoint.on_datagram(now, &record).unwrap();
                }
                let other = &mut world.sides[1 - side];
                other.drain();
                let received = std::mem::take(&mut other.received);
                assert_eq!(received.len(), limits::SEND_QUEUE_LEN, "{version:?}: all are genuine");
            }
        }
        assert!(nonces.is_empty() || nonces.len() == ciphertexts.len(), "{version:?}");
    }
}
