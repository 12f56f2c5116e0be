//! TURN's attributes, and the second kind of MESSAGE-INTEGRITY.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use stun::attribute::{
    ADDITIONAL_ADDRESS_FAMILY, CHANNEL_NUMBER, CONNECTION_ID, EVEN_PORT, LIFETIME, MESSAGE_INTEGRITY_SHA256,
    PASSWORD_ALGORITHM, REQUESTED_ADDRESS_FAMILY, REQUESTED_TRANSPORT, RESERVATION_TOKEN, SOFTWARE, USERHASH,
    XOR_PEER_ADDRESS,
};
use stun::{
    Class, Family, Integrity, Key, Malformed, Message, Method, PasswordAlgorithm, TransactionId, Writer,
};

const ID: TransactionId = TransactionId(*b"transaction!");

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = vec![0xa5; 1024];
    let mut writer = Writer::new(&mut buffer, Class::Request, Method::ALLOCATE, ID).unwrap();
    write(&mut writer);
    let len = writer.finish().unwrap();
    buffer.truncate(len);
    buffer
}

fn key(integrity: Integrity) -> Key {
    Key::long_term(PasswordAlgorithm::Sha256, [b"user", b"leat", b"secret"], integrity)
}

#[test]
fn attributes_read_back() {
    let (v4, v6): (SocketAddr, SocketAddr) =
        ("192.0.2.7:49152".parse().unwrap(), "[2001:db8::7]:65535".parse().unwrap());
    let bytes = written(|writer| {
        writer
            .requested_transport(stun::UDP)
            .lifetime(600)
            .requested_address_family(Family::V6)
            .additional_address_family(Family::V4)
            .even_port(true)
            .reservation_token(*b"reserved")
            .channel_number(0x4001)
            .xor_peer_address(v4)
            .xor_peer_address(v6)
            .xor_relayed_address(v6)
            .password_algorithm(PasswordAlgorithm::Sha256)
            .connection_id(7);
    });
    let message = Message::new(&bytes).unwrap();
    assert_eq!(message.requested_transport(), Some(Some(stun::UDP)));
    assert_eq!(message.lifetime(), Some(Some(600)));
    assert_eq!(message.requested_address_family(), Some(Some(Family::V6)));
    assert_eq!(message.additional_address_family(), Some(Some(Family::V4)));
    assert_eq!(message.even_port(), Some(Some(true)));
    assert_eq!(message.reservation_token(), Some(Some(*b"reserved")));
    assert_eq!(message.channel_number(), Some(Some(0x4001)));
    assert_eq!(message.xor_peer_addresses().collect::<Vec<_>>(), [Some(v4), Some(v6)]);
    assert_eq!(message.xor_relayed_addresses().collect::<Vec<_>>(), [Some(v6)]);
    assert_eq!(message.password_algorithm(), Some(Some(PasswordAlgorithm::Sha256)));
    assert_eq!(message.connection_id(), Some(Some(7)));
    assert_eq!(message.userhash(), None);
    assert!(!message.dont_fragment());
}

/// Present, but not in the RFC's form: must be distinguished from missing.
#[test]
fn malformed_attributes_are_distinguished_from_missing_ones() {
    for len in 0..40 {
        let value = vec![0xa5; len];
        let of = |kind: u16| written(|writer| _ = writer.attribute(kind, &value));
        let with =
            |kind: u16, read: fn(&Message<'_>) -> Option<bool>| read(&Message::new(&of(kind)).unwrap());
        let is = |right: usize| Some(len == right);
        assert_eq!(with(LIFETIME, |m| m.lifetime().map(|v| v.is_some())), is(4));
        assert_eq!(with(CHANNEL_NUMBER, |m| m.channel_number().map(|v| v.is_some())), is(4));
        assert_eq!(with(REQUESTED_TRANSPORT, |m| m.requested_transport().map(|v| v.is_some())), is(4));
        assert_eq!(with(EVEN_PORT, |m| m.even_port().map(|v| v.is_some())), is(1));
        assert_eq!(with(RESERVATION_TOKEN, |m| m.reservation_token().map(|v| v.is_some())), is(8));
        assert_eq!(with(USERHASH, |m| m.userhash().map(|v| v.is_some())), is(32));
        assert_eq!(with(CONNECTION_ID, |m| m.connection_id().map(|v| v.is_some())), is(4));
        // 0xa5 is neither a family, nor an algorithm, nor an address family of XOR-PEER-ADDRESS.
        let none = Some(false);
        assert_eq!(
            with(REQUESTED_ADDRESS_FAMILY, |m| m.requested_address_family().map(|v| v.is_some())),
            none
        );
        assert_eq!(
            with(ADDITIONAL_ADDRESS_FAMILY, |m| m.additional_address_family().map(|v| v.is_some())),
            none
        );
        assert_eq!(with(PASSWORD_ALGORITHM, |m| m.password_algorithm().map(|v| v.is_some())), none);
        assert_eq!(with(XOR_PEER_ADDRESS, |m| m.xor_peer_address().map(|v| v.is_some())), none);
    }
}

#[test]
fn each_integrity_is_verified_by_its_key() {
    for (integrity, other) in [(Integrity::Sha1, Integrity::Sha256), (Integrity::Sha256, Integrity::Sha1)] {
        let bytes = written(|writer| _ = writer.lifetime(600).integrity(&key(integrity)).fingerprint());
        let message = Message::new(&bytes).unwrap();
        assert_eq!(message.integrity(), Some(integrity));
        assert!(message.verify_integrity(&key(integrity)));
        assert!(!message.verify_integrity(&key(other)));
        assert_eq!(message.verify_fingerprint(), Some(true));
        for bit in 0..(bytes.len() - 8) * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            let verified = Message::new(&bent).is_ok_and(|message| message.verify_integrity(&key(integrity)));
            assert!(!verified, "bit {bit}");
        }
    }
}

/// RFC 8489 §14.6: attributes after the first of the two are ignored, except the other one and FINGERPRINT.
#[test]
fn attributes_after_the_first_integrity_are_ignored() {
    let mut bytes = written(|writer| _ = writer.integrity(&key(Integrity::Sha1)));
    let at = bytes.len();
    bytes.resize(at + 8 + 36, 0);
    bytes[at..at + 8].copy_from_slice(&[0, 0x0d, 0, 4, 0, 0, 0, 9]);
    bytes[at + 8..at + 12].copy_from_slice(&[0, 0x1c, 0, 32]);
    let len = (bytes.len() - stun::HEADER_LEN) as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    let message = Message::new(&bytes).unwrap();
    assert_eq!(message.lifetime(), None);
    assert_eq!(message.attribute(MESSAGE_INTEGRITY_SHA256), None);
    // It is present but wrong: the strongest one must be verified.
    assert_eq!(message.integrity(), Some(Integrity::Sha256));
    assert!(message.verify_integrity(&key(Integrity::Sha1)));
    assert!(!message.verify_integrity(&key(Integrity::Sha256)));
}

#[test]
fn a_truncated_integrity_is_refused() {
    let mut bytes = written(|writer| _ = writer.attribute(SOFTWARE, &[0; 20]));
    bytes[stun::HEADER_LEN..stun::HEADER_LEN + 2].copy_from_slice(&MESSAGE_INTEGRITY_SHA256.to_be_bytes());
    assert_eq!(Message::new(&bytes).unwrap_err(), Malformed::BadCheckLength);
}

/// USERHASH of RFC 8489 §14.4 and its vector in appendix B.1.
#[test]
fn the_userhash_is_as_in_the_rfc() {
    let username = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";
    let hash = stun::userhash(username.as_bytes(), b"example.org");
    let (first, second) =
        (0x4a3c_f38f_ef69_92bd_a952_c678_0417_da0f_u128, 0x2481_9415_569e_60b2_05c4_6e41_407f_1704_u128);
    assert_eq!(hash, *[first.to_be_bytes(), second.to_be_bytes()].as_flattened());
    let bytes = written(|writer| _ = writer.attribute(USERHASH, &hash).software("x"));
    let message = Message::new(&bytes).unwrap();
    assert_eq!(message.userhash(), Some(Some(hash)));
    assert!(message.attribute(SOFTWARE).is_some());
}
