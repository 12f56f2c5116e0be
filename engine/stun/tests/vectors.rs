//! The test vectors of RFC 5769, kept in `tests/vectors/rfc5769`.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use stun::{Class, Integrity, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer};

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
const ID: TransactionId = TransactionId(*b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae");

/// Hexadecimal digits, white space, and lines of comment.
fn hex(text: &str) -> Vec<u8> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<u8> = lines
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    assert_eq!(digits.len() % 2, 0);
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn request() -> Vec<u8> {
    hex(include_str!("../../../tests/vectors/rfc5769/request.hex"))
}

fn response_ipv4() -> Vec<u8> {
    hex(include_str!("../../../tests/vectors/rfc5769/response-ipv4.hex"))
}

fn response_ipv6() -> Vec<u8> {
    hex(include_str!("../../../tests/vectors/rfc5769/response-ipv6.hex"))
}

fn request_long_term() -> Vec<u8> {
    hex(include_str!("../../../tests/vectors/rfc5769/request-long-term.hex"))
}

#[test]
fn the_request_is_read_as_in_the_rfc() {
    let bytes = request();
    let message = Message::new(&bytes).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Request, Method::BINDING));
    assert_eq!(message.transaction_id(), ID);
    assert_eq!(message.software(), Some("STUN test client"));
    assert_eq!(message.priority(), Some(0x6e00_01ff));
    assert_eq!(message.ice_controlled(), Some(0x932f_f9b1_5126_3b36));
    assert_eq!(message.ice_controlling(), None);
    assert!(!message.use_candidate());
    assert_eq!(message.username(), Some(&b"evtj:h6vY"[..]));
    assert_eq!(message.unknown_required().count(), 0);
    assert!(message.verify_integrity(&Key::short_term(PASSWORD)));
    assert!(!message.verify_integrity(&Key::short_term("VOkJxbRl1RmTxUk/WvJxBu")));
    assert_eq!(message.verify_fingerprint(), Some(true));
}

#[test]
fn the_responses_are_read_as_in_the_rfc() {
    for (bytes, address) in [
        (response_ipv4(), "192.0.2.1:32853"),
        (response_ipv6(), "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let message = Message::new(&bytes).unwrap();
        assert_eq!((message.class(), message.method()), (Class::Success, Method::BINDING));
        assert_eq!(message.transaction_id(), ID);
        assert_eq!(message.software(), Some("test vector"));
        assert_eq!(message.xor_mapped_address(), Some(address.parse().unwrap()));
        assert!(message.verify_integrity(&Key::short_term(PASSWORD)));
        assert_eq!(message.verify_fingerprint(), Some(true));
    }
}

#[test]
fn the_long_term_request_is_read_as_in_the_rfc() {
    let bytes = request_long_term();
    let message = Message::new(&bytes).unwrap();
    assert_eq!(message.username(), Some("マトリックス".as_bytes()));
    assert_eq!(message.attribute(stun::attribute::REALM), Some(&b"example.org"[..]));
    assert_eq!(message.attribute(stun::attribute::NONCE), Some(&b"f//499k954d6OL34oL9FSTvy64sA"[..]));
    assert_eq!(message.verify_fingerprint(), None);
    // MD5 over "マトリックス:example.org:TheMatrIX" (RFC 8489 §9.2.2).
    let key = Key::from_bytes(&0xe8ca_7ad5_9d5e_b051_8e31_2911_d2da_b2a9_u128.to_be_bytes());
    assert!(message.verify_integrity(&key));
    let credential = ["マトリックス".as_bytes(), b"example.org", b"TheMatrIX"];
    assert!(message.verify_integrity(&Key::long_term(PasswordAlgorithm::Md5, credential, Integrity::Sha1)));
}

/// The vectors pad with spaces, this crate with zeros, so only the other bytes are compared, and the checks
/// are computed again.
#[test]
fn the_vectors_can_be_built() {
    let key = Key::short_term(PASSWORD);
    for (vector, address) in [
        (response_ipv4(), "192.0.2.1:32853"),
        (response_ipv6(), "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let address: SocketAddr = address.parse().unwrap();
        let mut buffer = [0xa5; 128];
        let len = Writer::new(&mut buffer, Class::Success, Method::BINDING, ID)
            .unwrap()
            .software("test vector")
            .xor_mapped_address(address)
            .integrity(&key)
            .fingerprint()
            .finish()
            .unwrap();
        let padding = 20 + 4 + 11;
        assert_eq!(buffer[..padding], vector[..padding]);
        assert_eq!(buffer[padding], 0);
        let checks = vector.len() - 24 - 8;
        assert_eq!(buffer[padding + 1..checks], vector[padding + 1..checks]);
        let built = Message::new(&buffer[..len]).unwrap();
        assert!(built.verify_integrity(&key));
        assert_eq!(built.verify_fingerprint(), Some(true));
        assert_eq!(len, vector.len());
    }
}

/// Every truncation of a vector is malformed, and a check detects every single changed bit of the protected
/// part.
#[test]
fn truncated_or_changed_vectors_are_detected() {
    let key = Key::short_term(PASSWORD);
    for bytes in [request(), response_ipv4(), response_ipv6()] {
        for len in 0..bytes.len() {
            assert!(Message::new(&bytes[..len]).is_err(), "cut to {len}");
        }
        let integrity_end = bytes.len() - 8;
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            let Ok(message) = Message::new(&bent) else { continue };
            assert_ne!(message.verify_fingerprint(), Some(true), "bit {bit}");
            if bit / 8 < integrity_end {
                assert!(!message.verify_integrity(&key), "bit {bit}");
            }
        }
    }
}
