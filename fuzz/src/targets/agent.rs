//! STUN, and the demultiplexer before it.

use std::net::{IpAddr, SocketAddr};

use oracle_stun::attributes::AttrType;
use oracle_stun::fingerprint::FINGERPRINT;
use oracle_stun::integrity::MessageIntegrity;
use oracle_stun::message::{Getter, Message as TheirMessage};
use oracle_stun::xoraddr::XorMappedAddress;
use stun::{Class, Key, Message, Method, TransactionId, Writer, attribute};

use crate::known;
use crate::oracle::{Verdict, ask, hold_against, same};
use crate::script::Script;

/// Attributes whose value is computed over the message.
const CHECKS: [u16; 3] =
    [attribute::MESSAGE_INTEGRITY, attribute::MESSAGE_INTEGRITY_SHA256, attribute::FINGERPRINT];

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// The bytes as a received message, compared with the oracle; then the bytes as a script of a message to
/// build, which both must read correctly.
pub fn stun(data: &[u8]) {
    let _ = stun::demux(data);
    read(data);
    build(&mut Script::new(data));
}

fn read(data: &[u8]) {
    let ours = Message::new(data).map_err(|malformed| format!("{malformed:?}"));
    if let Ok(message) = &ours {
        assert_eq!(message.as_bytes(), data);
        let _ = (message.username(), message.priority(), message.use_candidate(), message.software());
        let _ = (message.ice_controlling(), message.ice_controlled(), message.error_code());
        for kind in message.unknown_required() {
            assert!(kind < 0x8000);
        }
        let _ = format!("{message:?}");
    }
    let theirs = ask(|| {
        let mut message = TheirMessage::new();
        message.write(data).map(|_| message)
    });
    hold_against("stun", known::STUN, data, ours, theirs, compare);
}

fn compare(ours: &Message<'_>, theirs: &TheirMessage) -> Result<(), String> {
    // The oracle's type has only a display for the class.
    let class = match ours.class() {
        Class::Request => oracle_stun::message::CLASS_REQUEST,
        Class::Indication => oracle_stun::message::CLASS_INDICATION,
        Class::Success => oracle_stun::message::CLASS_SUCCESS_RESPONSE,
        Class::Error => oracle_stun::message::CLASS_ERROR_RESPONSE,
    };
    same("class", class, theirs.typ.class)?;
    let method = u16::from_be_bytes([ours.as_bytes()[0], ours.as_bytes()[1]]) & !0x110;
    let their_method = theirs.typ.value() & !0x110;
    same("method", method, their_method)?;
    same("transaction", ours.transaction_id().0, theirs.transaction_id.0)?;
    let ours_all = ours.attributes().map(|attribute| (attribute.kind, attribute.value.to_vec()));
    same("attributes", ours_all.collect(), counted(theirs))?;
    compare_checks(ours, theirs)
}

/// The oracle's attributes without those between the first MESSAGE-INTEGRITY of either kind and FINGERPRINT,
/// which are not signed.
fn counted(theirs: &TheirMessage) -> Vec<(u16, Vec<u8>)> {
    let mut is_signed = true;
    let mut counted = Vec::new();
    for raw in &theirs.attributes.0 {
        if is_signed || raw.typ.0 == attribute::FINGERPRINT {
            counted.push((raw.typ.0, raw.value.clone()));
        }
        is_signed &= !matches!(raw.typ.0, attribute::MESSAGE_INTEGRITY | attribute::MESSAGE_INTEGRITY_SHA256);
    }
    counted
}

fn compare_checks(ours: &Message<'_>, theirs: &TheirMessage) -> Result<(), String> {
    let integrity = MessageIntegrity::new_short_term_integrity(PASSWORD.to_owned());
    let key = Key::short_term(PASSWORD);
    if let Verdict::Accepted(right) = ask(|| Ok::<_, String>(integrity.check(&mut theirs.clone()).is_ok())) {
        same("integrity", ours.verify_integrity(&key), right)?;
    }
    if let Verdict::Accepted(right) = ask(|| Ok::<_, String>(FINGERPRINT.check(theirs).is_ok())) {
        same("fingerprint", ours.verify_fingerprint().unwrap_or(false), right)?;
    }
    let address = ask(|| {
        let mut address = XorMappedAddress::default();
        address.get_from(theirs).map(|()| SocketAddr::new(address.ip, address.port))
    });
    match (ours.xor_mapped_address(), address) {
        (Some(ours), Verdict::Accepted(theirs)) => same("address", ours, theirs),
        (Some(ours), Verdict::Refused(reason)) => Err(format!("address {ours} refused: {reason}")),
        // The oracle accepts values of any length, we only of the family's.
        _ => Ok(()),
    }
}

/// Builds the script's message, reads it back, and flips a bit of it.
fn build(script: &mut Script<'_>) {
    let class = script.choice(&[Class::Request, Class::Indication, Class::Success, Class::Error]);
    let method = Method(script.u16() & 0xfff);
    let id = TransactionId(script.array());
    let mut buffer = vec![0xa5; usize::from(script.u16() % 1500)];
    let key = Key::short_term(PASSWORD);
    let Some(mut writer) = Writer::new(&mut buffer, class, method, id) else { return };
    let mut expected: Vec<(u16, Vec<u8>)> = Vec::new();
    let (mut with_integrity, mut with_fingerprint, mut address) = (false, false, None);
    for _ in 0..script.u8() % 12 {
        match script.u8() % 8 {
            0 => {
                let kind = script.u16();
                let value = script.blob();
                writer.attribute(kind, value);
                assert!(
                    !CHECKS.contains(&kind) || writer.finish().is_none(),
                    "a check is computed, not given"
                );
                expected.push((kind, value.to_vec()));
            }
            1 => {
                let name = script.blob();
                writer.username(name);
                expected.push((attribute::USERNAME, name.to_vec()));
            }
            2 => {
                let priority = script.u32();
                writer.priority(priority);
                expected.push((attribute::PRIORITY, priority.to_be_bytes().to_vec()));
            }
            3 => {
                writer.use_candidate();
                expected.push((attribute::USE_CANDIDATE, Vec::new()));
            }
            4 => {
                let ip: IpAddr =
                    if script.bool() { script.array::<4>().into() } else { script.array::<16>().into() };
                let mapped = SocketAddr::new(ip, script.u16());
                let before = writer.finish();
                writer.xor_mapped_address(mapped);
                let first = !expected.iter().any(|(kind, _)| *kind == attribute::XOR_MAPPED_ADDRESS);
                if first {
                    address = Some(mapped);
                }
                // Its bytes are checked through the address they encode.
                expected.push((attribute::XOR_MAPPED_ADDRESS, vec![0; if ip.is_ipv4() { 8 } else { 20 }]));
                assert!(before.is_some() || writer.finish().is_none(), "a spoiled message stays spoiled");
            }
            5 => {
                writer.error_code(300 + script.u16() % 400, "");
                expected.push((attribute::ERROR_CODE, vec![0; 4]));
            }
            6 => {
                writer.integrity(&key);
                with_integrity = true;
            }
            _ => {
                writer.fingerprint();
                with_fingerprint = true;
            }
        }
    }
    let Some(len) = writer.finish() else { return };
    let message = Message::new(&buffer[..len]).expect("our message is valid");
    assert_eq!((message.class(), message.method(), message.transaction_id()), (class, method, id));
    assert_eq!(message.has_integrity(), with_integrity);
    assert_eq!(message.verify_integrity(&key), with_integrity);
    assert_eq!(message.verify_fingerprint(), with_fingerprint.then_some(true));
    // An address may also have been written as a plain attribute, before the real one.
    if address.is_some() {
        assert!(message.attribute(attribute::XOR_MAPPED_ADDRESS).is_some());
    }
    let plain = message.attributes().filter(|attribute| !CHECKS.contains(&attribute.kind));
    assert!(plain.map(|a| (a.kind, a.value.len())).eq(expected.iter().map(|(kind, v)| (*kind, v.len()))));
    read(&buffer[..len]);

    // Whatever bit changes, it is detected: by the framing, or by the HMAC.
    if with_integrity {
        let mut damaged = buffer[..len].to_vec();
        let at = usize::from(script.u16()) % len;
        damaged[at] ^= 1 << (script.u8() % 8);
        if let Ok(message) = Message::new(&damaged) {
            let covered = integrity_end(&buffer[..len]).is_some_and(|end| at < end);
            assert!(!covered || !message.verify_integrity(&key) || is_length(at), "a flipped bit at {at}");
        }
    }
}

/// The length field is not signed as it is, but as it was when MESSAGE-INTEGRITY was written; the framing
/// checks it.
fn is_length(at: usize) -> bool {
    (2..4).contains(&at)
}

/// The end of the bytes that the HMAC covers, including itself.
fn integrity_end(bytes: &[u8]) -> Option<usize> {
    let mut at = stun::HEADER_LEN;
    while let Some(head) = bytes.get(at..at + 4) {
        let len = usize::from(u16::from_be_bytes([head[2], head[3]])).next_multiple_of(4);
        at += 4 + len;
        if AttrType(u16::from_be_bytes([head[0], head[1]])).0 == attribute::MESSAGE_INTEGRITY {
            return Some(at);
        }
    }
    None
}
