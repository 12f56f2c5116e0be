//! Messages of every shape: written values are read back, malformed messages are refused, and attributes that
//! are not in use are ignored.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};
use stun::attribute::{
    COMPREHENSION_OPTIONAL, FINGERPRINT, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, USE_CANDIDATE, USERNAME,
};
use stun::{
    Class, HEADER_LEN, Integrity, Key, MAGIC_COOKIE, Malformed, Message, Method, PasswordAlgorithm,
    TransactionId, Writer,
};

const ID: TransactionId = TransactionId(*b"transaction!");

fn key() -> Key {
    Key::short_term("a password of 22 chars")
}

fn sha256_key() -> Key {
    Key::long_term(PasswordAlgorithm::Sha256, [b"user", b"realm", b"password"], Integrity::Sha256)
}

/// A Binding request with these raw attributes, lengths as given.
fn raw(attributes: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 1];
    bytes.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
    bytes.extend_from_slice(&ID.0);
    bytes.extend_from_slice(attributes);
    bytes
}

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = vec![0xa5; 1024];
    let mut writer = Writer::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
    write(&mut writer);
    let len = writer.finish().unwrap();
    buffer.truncate(len);
    buffer
}

/// Appends raw attributes to a finished message and corrects its length.
fn extended(mut bytes: Vec<u8>, attributes: &[u8]) -> Vec<u8> {
    bytes.extend_from_slice(attributes);
    let len = (bytes.len() - HEADER_LEN) as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    bytes
}

#[test]
fn a_bare_header_is_a_message() {
    let bytes = raw(&[]);
    let message = Message::new(&bytes).unwrap();
    assert_eq!(message.attributes().count(), 0);
    assert!(!message.verify_integrity(&key()));
    assert_eq!(message.verify_fingerprint(), None);
}

#[test]
fn each_malformation_has_its_error() {
    let good = raw(&[0, 6, 0, 4, b'u', b's', b'e', b'r']);
    let bent = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Message::new(&bytes).unwrap_err()
    };
    assert_eq!(Message::new(&good[..19]).unwrap_err(), Malformed::TooShort);
    assert_eq!(bent(0, 0x80), Malformed::NotStun);
    assert_eq!(bent(4, 0x20), Malformed::NoCookie);
    assert_eq!(bent(3, 4), Malformed::BadLength);
    assert_eq!(bent(3, 7), Malformed::BadLength);
    assert_eq!(bent(23, 5), Malformed::AttributeCut);
    assert_eq!(Message::new(&raw(&[0, 6, 0])).unwrap_err(), Malformed::BadLength);
    assert_eq!(Message::new(&raw(&[0, 8, 0, 4, 0, 0, 0, 0])).unwrap_err(), Malformed::BadCheckLength);
    assert_eq!(Message::new(&raw(&[0x80, 0x28, 0, 0])).unwrap_err(), Malformed::BadCheckLength);
    let behind = extended(written(|w| _ = w.fingerprint()), &[0, 0x25, 0, 0]);
    assert_eq!(Message::new(&behind).unwrap_err(), Malformed::AfterFingerprint);
}

/// Lengths near 2¹⁶, where rounding up to a multiple of four does not fit into sixteen bits: a reader that
/// does so sees an attribute of length zero and reads beyond the message.
#[test]
fn lengths_at_the_end_of_sixteen_bits_are_refused() {
    for len in [0xfff1_u16, 0xfffc, 0xfffd, 0xfffe, 0xffff] {
        let [high, low] = len.to_be_bytes();
        assert_eq!(Message::new(&raw(&[0, 6, high, low])).unwrap_err(), Malformed::AttributeCut);
        assert_eq!(Message::new(&raw(&[0, 6, high, low, 1, 2, 3, 4])).unwrap_err(), Malformed::AttributeCut);
    }
}

/// The longest possible message: 65532 bytes of attributes.
#[test]
fn the_longest_message_reads() {
    let mut attribute = vec![0x80, 0x22, 0xff, 0xf8];
    attribute.resize(0xfffc, b's');
    let bytes = raw(&attribute);
    let message = Message::new(&bytes).unwrap();
    assert_eq!(message.software().map(str::len), Some(0xfff8));
    let one_more = extended(bytes, &[0x80, 0x22, 0, 0]);
    assert_eq!(Message::new(&one_more).unwrap_err(), Malformed::BadLength);
}

#[test]
fn attributes_after_the_integrity_are_ignored() {
    let protected = written(|w| _ = w.username(b"us:them").integrity(&key()));
    let forged = extended(protected, &[0, 0x25, 0, 0, 0, 0x24, 0, 4, 0, 0, 0, 9]);
    let message = Message::new(&forged).unwrap();
    assert!(message.verify_integrity(&key()), "the covered part is unchanged");
    assert!(!message.use_candidate());
    assert_eq!(message.priority(), None);
    let kinds: Vec<u16> = message.attributes().map(|attribute| attribute.kind).collect();
    assert_eq!(kinds, [USERNAME, MESSAGE_INTEGRITY]);
}

#[test]
fn only_the_fingerprint_is_used_after_the_integrity() {
    let mut writer_buffer = [0xa5; 256];
    let mut writer = Writer::new(&mut writer_buffer, Class::Request, Method::BINDING, ID).unwrap();
    writer.username(b"us:them").integrity(&key()).fingerprint();
    let len = writer.finish().unwrap();
    let message = Message::new(&writer_buffer[..len]).unwrap();
    let kinds: Vec<u16> = message.attributes().map(|attribute| attribute.kind).collect();
    assert_eq!(kinds, [USERNAME, MESSAGE_INTEGRITY, FINGERPRINT]);

    // The same with an attribute inserted in between.
    let mut forged = writer_buffer[..len - 8].to_vec();
    forged.extend_from_slice(&[0, 0x25, 0, 0]);
    forged.extend_from_slice(&writer_buffer[len - 8..len]);
    let forged = extended(forged, &[]);
    let message = Message::new(&forged).unwrap();
    let kinds: Vec<u16> = message.attributes().map(|attribute| attribute.kind).collect();
    assert_eq!(kinds, [USERNAME, MESSAGE_INTEGRITY, FINGERPRINT]);
    assert!(!message.use_candidate());
    assert_eq!(message.verify_fingerprint(), Some(false));
}

#[test]
fn the_first_of_two_is_used() {
    let bytes = written(|w| _ = w.username(b"first").username(b"second").priority(1).priority(2));
    let message = Message::new(&bytes).unwrap();
    assert_eq!(message.username(), Some(&b"first"[..]));
    assert_eq!(message.priority(), Some(1));
}

#[test]
fn a_value_of_the_wrong_length_is_ignored() {
    let bytes = written(|w| {
        w.attribute(0x0024, &[0; 3]).attribute(0x8029, &[0; 7]).attribute(0x802a, &[0; 9]);
        w.attribute(0x0020, &[0, 1, 0, 0, 1, 2, 3]).attribute(0x0009, &[0, 0, 4]);
    });
    let message = Message::new(&bytes).unwrap();
    assert_eq!(message.priority(), None);
    assert_eq!(message.ice_controlled(), None);
    assert_eq!(message.ice_controlling(), None);
    assert_eq!(message.xor_mapped_address(), None);
    assert_eq!(message.error_code(), None);
}

#[test]
fn unknown_attributes_are_reported_if_comprehension_is_required() {
    let bytes = written(|w| _ = w.attribute(0x7777, b"?").attribute(0xc001, b"!").use_candidate());
    let message = Message::new(&bytes).unwrap();
    assert_eq!(message.unknown_required().collect::<Vec<_>>(), [0x7777]);
    assert_eq!(message.required_outside(&[0x7777]).collect::<Vec<_>>(), [USE_CANDIDATE]);
}

#[test]
fn an_error_contains_code_phrase_and_attributes() {
    let mut buffer = [0xa5; 128];
    let len = Writer::new(&mut buffer, Class::Error, Method::BINDING, ID)
        .unwrap()
        .error_code(420, "Unknown Attribute")
        .unknown_attributes(&[0x7777, 0x0017, 0x0018])
        .finish()
        .unwrap();
    let message = Message::new(&buffer[..len]).unwrap();
    assert_eq!(message.class(), Class::Error);
    assert_eq!(message.error_code(), Some((420, "Unknown Attribute")));
    assert_eq!(message.attribute(0x000a), Some(&[0x77, 0x77, 0, 0x17, 0, 0x18][..]));
}

#[test]
fn codes_out_of_range_are_refused_both_ways() {
    for code in [0, 299, 700, u16::MAX] {
        let mut buffer = [0; 64];
        let mut writer = Writer::new(&mut buffer, Class::Error, Method::BINDING, ID).unwrap();
        assert_eq!(writer.error_code(code, "").finish(), None, "{code}");
    }
    for head in [[0, 0, 2, 0], [0, 0, 7, 0], [0, 0, 4, 100]] {
        let bytes = written(|w| _ = w.attribute(0x0009, &head));
        assert_eq!(Message::new(&bytes).unwrap().error_code(), None);
    }
}

#[test]
fn a_check_cannot_be_written_as_a_plain_attribute() {
    for kind in [MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, FINGERPRINT] {
        for len in [0, 4, 7, 20, 32] {
            let mut buffer = [0; 256];
            let mut writer = Writer::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
            assert_eq!(writer.attribute(kind, &[0xab; 32][..len]).finish(), None, "{kind:#x} of {len} bytes");
        }
    }
}

#[test]
fn both_kinds_of_integrity_are_valid_in_either_order() {
    let forth =
        written(|w| _ = w.username(b"us:them").integrity(&key()).integrity(&sha256_key()).fingerprint());
    let back =
        written(|w| _ = w.username(b"us:them").integrity(&sha256_key()).integrity(&key()).fingerprint());
    for bytes in [forth, back] {
        let message = Message::new(&bytes).unwrap();
        assert!(message.verify_integrity(&key()) && message.verify_integrity(&sha256_key()));
        assert_eq!(message.verify_fingerprint(), Some(true));
        assert_eq!(message.username(), Some(&b"us:them"[..]));
        assert_eq!(message.unknown_required().count(), 0, "an ICE agent understands both");
    }
}

#[test]
fn nothing_may_follow_the_checks() {
    let spoiled = |write: &dyn Fn(&mut Writer<'_>)| {
        let mut buffer = [0; 256];
        let mut writer = Writer::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
        write(&mut writer);
        writer.finish().is_none()
    };
    assert!(spoiled(&|w| _ = w.integrity(&key()).priority(1)));
    assert!(spoiled(&|w| _ = w.integrity(&key()).integrity(&key())));
    assert!(spoiled(&|w| _ = w.integrity(&key()).integrity(&sha256_key()).integrity(&key())));
    assert!(spoiled(&|w| _ = w.integrity(&sha256_key()).priority(1)));
    assert!(spoiled(&|w| _ = w.fingerprint().integrity(&key())));
    assert!(spoiled(&|w| _ = w.fingerprint().fingerprint()));
    assert!(spoiled(&|w| _ = w.username(&[b'u'; 509])));
    assert!(!spoiled(&|w| _ = w.integrity(&key()).fingerprint()));
}

#[test]
fn a_message_longer_than_its_length_field_is_refused() {
    let mut buffer = vec![0; 70_000];
    let mut writer = Writer::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
    assert_eq!(writer.attribute(0x8022, &[0; 65_528]).finish(), Some(HEADER_LEN + 65_532));
    assert_eq!(writer.use_candidate().finish(), None);
    let mut writer = Writer::new(&mut buffer, Class::Request, Method::BINDING, ID).unwrap();
    assert_eq!(writer.attribute(0x8022, &[0; 65_533]).finish(), None);
}

#[test]
fn every_buffer_too_small_is_reported() {
    let build = |buffer: &mut [u8]| {
        Writer::new(buffer, Class::Success, Method::BINDING, ID)?
            .xor_mapped_address("[2001:db8::1]:9".parse().unwrap())
            .software("leat")
            .integrity(&key())
            .fingerprint()
            .finish()
    };
    let needed = build(&mut [0xa5; 256]).unwrap();
    for len in 0..needed {
        assert_eq!(build(&mut vec![0xa5; len]), None, "{len} bytes");
    }
    assert_eq!(build(&mut vec![0xa5; needed]), Some(needed));
}

fn address() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

/// A type, often a known one, with a value of a possible length.
fn attribute() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let bytes = |len| prop::collection::vec(any::<u8>(), len);
    prop_oneof![
        4 => (any::<u16>(), bytes(0..40)).prop_filter("a check", |(kind, _)| {
            *kind != MESSAGE_INTEGRITY && *kind != FINGERPRINT
        }),
        1 => (Just(USERNAME), bytes(0..40)),
        1 => (Just(MESSAGE_INTEGRITY), bytes(20..21)),
        1 => (Just(FINGERPRINT), bytes(4..5)),
    ]
}

proptest! {
    #[test]
    fn written_messages_are_read_back(
        id: [u8; 12],
        method in 0..=Method::MAX.0,
        username in prop::collection::vec(any::<u8>(), 0..508),
        priority: u32,
        tie_breaker: u64,
        controlling: bool,
        nominate: bool,
        address in address(),
        software in "[ -~]{0,60}",
        password: [u8; 24],
    ) {
        let key = Key::short_term(password);
        let mut buffer = [0xa5; 1024];
        let mut writer = Writer::new(&mut buffer, Class::Indication, Method(method), TransactionId(id)).unwrap();
        writer.username(&username).priority(priority).xor_mapped_address(address).software(&software);
        if controlling {
            writer.ice_controlling(tie_breaker);
        } else {
            writer.ice_controlled(tie_breaker);
        }
        if nominate {
            writer.use_candidate();
        }
        let len = writer.integrity(&key).fingerprint().finish().unwrap();

        let message = Message::new(&buffer[..len]).unwrap();
        prop_assert_eq!(message.class(), Class::Indication);
        prop_assert_eq!(message.method(), Method(method));
        prop_assert_eq!(message.transaction_id(), TransactionId(id));
        prop_assert_eq!(message.username(), Some(&username[..]));
        prop_assert_eq!(message.priority(), Some(priority));
        prop_assert_eq!(message.ice_controlling(), controlling.then_some(tie_breaker));
        prop_assert_eq!(message.ice_controlled(), (!controlling).then_some(tie_breaker));
        prop_assert_eq!(message.use_candidate(), nominate);
        prop_assert_eq!(message.xor_mapped_address(), Some(address));
        prop_assert_eq!(message.software(), Some(&software[..]));
        prop_assert!(message.verify_integrity(&key));
        prop_assert_eq!(message.verify_fingerprint(), Some(true));
        for cut in 0..len {
            prop_assert!(Message::new(&buffer[..cut]).is_err());
        }
    }

    /// Attributes in any order, with the two checks anywhere among them.
    #[test]
    fn the_attributes_in_use_match_a_naive_model(
        attributes in prop::collection::vec(attribute(), 0..12),
    ) {
        let mut body = Vec::new();
        for (kind, value) in &attributes {
            body.extend_from_slice(&kind.to_be_bytes());
            body.extend_from_slice(&(value.len() as u16).to_be_bytes());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0x20);
        }
        let bytes = raw(&body);
        let fingerprint = attributes.iter().position(|(kind, _)| *kind == FINGERPRINT);
        if fingerprint.is_some_and(|at| at + 1 < attributes.len()) {
            prop_assert_eq!(Message::new(&bytes).unwrap_err(), Malformed::AfterFingerprint);
            return Ok(());
        }
        let integrity = attributes.iter().position(|(kind, _)| *kind == MESSAGE_INTEGRITY);
        let expected: Vec<_> = attributes
            .into_iter()
            .enumerate()
            .filter(|(at, (kind, _))| integrity.is_none_or(|end| *at <= end) || *kind == FINGERPRINT)
            .map(|(_, attribute)| attribute)
            .collect();

        let message = Message::new(&bytes).unwrap();
        let found: Vec<_> = message.attributes().map(|a| (a.kind, a.value.to_vec())).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(message.has_integrity(), integrity.is_some());
        prop_assert_eq!(message.verify_fingerprint().is_some(), fingerprint.is_some());
        prop_assert!(message.unknown_required().all(|kind| kind < COMPREHENSION_OPTIONAL));
    }

    /// With a valid header, so that the attributes are read.
    #[test]
    fn no_bytes_make_a_view_panic(mut body in prop::collection::vec(any::<u8>(), 0..200)) {
        body.truncate(body.len() / 4 * 4);
        if let Ok(message) = Message::new(&raw(&body)) {
            let _ = (message.username(), message.priority(), message.xor_mapped_address());
            let _ = (message.error_code(), message.software(), message.ice_controlling());
            let _ = (message.verify_integrity(&key()), message.verify_fingerprint());
            let _ = format!("{message:?}");
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::new(&bytes) {
            let _ = message.attributes().count();
        }
    }
}
