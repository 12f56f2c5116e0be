//! The answers to unauthenticated clients: few bytes, and not more than is acceptable for the host whose
//! address may be forged.

use crate::rig::{Answer, Rig, UNIX, settings};
use machine::{LocalId, Path};
use relay::limits::EXCESS_BYTES_PER_SECOND;
use relay::{Counter, Derivation, mint};
use std::time::Duration;
use stun::attribute::{LIFETIME, REQUESTED_TRANSPORT, SOFTWARE, UNKNOWN_ATTRIBUTES};
use stun::{Class, Method, Writer};

fn request(method: Method, number: u32) -> Vec<u8> {
    let mut buffer = [0; 64];
    let mut id = [0; 12];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let writer = Writer::new(&mut buffer, Class::Request, method, stun::TransactionId(id));
    let len = writer.and_then(|mut writer| writer.requested_transport(stun::UDP).finish()).expect("room");
    buffer[..len].to_vec()
}

#[test]
fn a_binding_request_returns_the_address_of_any_client() {
    let mut rig = Rig::new(settings());
    for remote in ["8.8.8.8:4000", "[2600::1]:4000"] {
        let path = Path { local: LocalId(0), remote: crate::rig::at(remote) };
        let mut buffer = [0; 20];
        Writer::new(&mut buffer, Class::Request, Method::BINDING, rig.id()).expect("room");
        let (to, bytes) = rig.receive(path, &buffer).pop().expect("an answer");
        assert_eq!((to, Answer(bytes).message().xor_mapped_address()), (path, Some(path.remote)));
    }
}

/// A flood with the forged address of another host makes that host receive less than the flood itself.
#[test]
fn a_flood_with_a_forged_address_gets_fewer_bytes_than_it_sent() {
    for method in [Method::BINDING, Method::ALLOCATE, Method::REFRESH, Method::CREATE_PERMISSION] {
        let mut rig = Rig::new(settings());
        let victim = Path { local: LocalId(0), remote: crate::rig::at("8.8.8.8:53") };
        let (mut asked, mut answered) = (0, 0);
        for number in 0..100_000 {
            let request = request(method, number);
            asked += request.len();
            answered += rig.receive(victim, &request).iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
            rig.run_for(Duration::from_micros(10));
        }
        assert!(answered > 0 && answered < asked, "{method:?}: {answered} bytes for {asked}");
        assert!(rig.count(Counter::Throttled) > 0);
        assert!(rig.relay.is_idle() && rig.sockets.is_empty());
    }
}

/// The answer to an unauthenticated request, in bytes. A challenge needs a realm and a nonce, and an answer
/// with an address the bytes of the address: neither can be as short as the shortest request, and both are as
/// short as possible (`docs/decisions/0016-excess-bytes.md`).
#[test]
fn an_answer_to_an_unauthenticated_client_is_as_short_as_possible() {
    let question = |method, attributes: &[(u16, usize)]| {
        let mut buffer = [0; 256];
        let writer = Writer::new(&mut buffer, Class::Request, method, stun::TransactionId([7; 12]));
        let mut writer = writer.expect("room");
        attributes.iter().for_each(|(kind, len)| _ = writer.attribute(*kind, &[b'x'; 128][..*len]));
        let len = writer.finish().expect("room");
        buffer[..len].to_vec()
    };
    let (v4, v6) = ("8.8.8.8:4000", "[2600::1]:4000");
    let transport = (REQUESTED_TRANSPORT, 4);
    for (what, from, method, attributes, (asked, answered)) in [
        ("an address, IPv4", v4, Method::BINDING, &[][..], (20, 32)),
        ("an address, IPv6", v6, Method::BINDING, &[], (20, 44)),
        ("Chromium's first Allocate", v4, Method::ALLOCATE, &[transport], (28, 52)),
        ("the same with a lifetime", v4, Method::ALLOCATE, &[transport, (LIFETIME, 4)], (36, 52)),
        ("with a SOFTWARE", v4, Method::ALLOCATE, &[transport, (SOFTWARE, 20)], (52, 52)),
        ("with a long one", v4, Method::ALLOCATE, &[transport, (SOFTWARE, 52)], (84, 80)),
        ("the shortest of all", v4, Method::REFRESH, &[], (20, 52)),
    ] {
        let mut rig = Rig::new(settings());
        let path = Path { local: LocalId(0), remote: crate::rig::at(from) };
        let question = question(method, attributes);
        let (_, answer) = rig.receive(path, &question).pop().expect("an answer");
        assert_eq!((question.len(), answer.len()), (asked, answered), "{what}");
    }
}

/// The bytes that an attacker can have sent to another host beyond the bytes that it must send for them.
#[test]
fn a_forged_address_gains_at_most_the_excess_bytes_at_any_rate() {
    let rate = EXCESS_BYTES_PER_SECOND as usize;
    for (method, excess) in [(Method::ALLOCATE, 24), (Method::REFRESH, 24)] {
        for per_second in [10, 100, 1_000, 5_000, 20_000] {
            let mut rig = Rig::new(settings());
            let victim = Path { local: LocalId(0), remote: crate::rig::at("8.8.8.8:53") };
            // The burst is used up first.
            let burst = 2 * rate as u32 / excess + 1;
            (0..burst).for_each(|number| drop(rig.receive(victim, &request(method, number))));
            assert_eq!(rig.count(Counter::Throttled), 1, "{method:?}: the burst is as documented");
            let (mut asked, mut answered) = (0, 0);
            for number in 0..10 * per_second {
                rig.run_for(Duration::from_secs(1) / per_second);
                let request = request(method, number);
                asked += request.len();
                answered += rig.receive(victim, &request).iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
            }
            let gained = answered.saturating_sub(asked) / 10;
            assert!(gained <= rate, "{gained} bytes a second at {per_second} questions a second");
        }
    }
}

/// A request as long as its answer gains nothing, so it is always answered.
#[test]
fn answers_no_longer_than_their_requests_are_not_limited() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:4000");
    let padded = |writer: &mut Writer<'_>| _ = writer.software(&"x".repeat(20));
    assert!((0..10_000).all(|_| client.challenge_with(&mut rig, padded).code() == 401));
    assert_eq!(rig.count(Counter::Throttled), 0);
}

/// A school behind one NAT, whose lessons begin on the minute: each client looks up its address and makes two
/// allocations (one for each of its transports), all at one moment. Each request is answered the first time,
/// so that no client waits for a retransmission.
#[test]
fn four_hundred_clients_behind_one_address_allocate_at_once() {
    for address in ["8.8.8.8", "[2600::1]"] {
        let mut rig = Rig::new(settings());
        let mut allocations = 0;
        for client in 0..400_u16 {
            let (expires_at, user) = (UNIX + Duration::from_secs(3_600), format!("user-{client}"));
            let (username, password) = mint(b"north", Derivation::Sha1, expires_at, &user);
            for transport in 0..2 {
                let mut client = rig.client(&format!("{address}:{}", 10_000 + 2 * client + transport));
                (client.username, client.password) = (username.clone(), password.clone());
                let mut binding = [0; 20];
                Writer::new(&mut binding, Class::Request, Method::BINDING, rig.id()).expect("room");
                assert_eq!(rig.receive(client.path, &binding).len(), 1, "the first question is answered");
                allocations += u32::from(client.allocate(&mut rig, |_| {}).code() == 0);
            }
        }
        assert_eq!((allocations, rig.count(Counter::Throttled)), (800, 0), "{address}");
        // No time has passed. The rest of the burst is still bounded.
        let mut throttled = 0;
        for port in 20_000..24_000 {
            let path = Path { local: LocalId(0), remote: crate::rig::at(&format!("{address}:{port}")) };
            throttled += u32::from(rig.receive(path, &request(Method::ALLOCATE, port)).is_empty());
        }
        assert!(throttled > 2_000, "{throttled} of 4000");
    }
}

/// An authenticated client is answered, whatever other clients of its address send.
#[test]
fn authenticated_clients_are_answered_when_their_address_has_used_up_its_bytes() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:4000");
    client.allocated(&mut rig);
    let flood = Path { local: LocalId(0), remote: crate::rig::at("8.8.8.8:53") };
    (0..5_000).for_each(|number| drop(rig.receive(flood, &request(Method::ALLOCATE, number))));
    assert!(rig.count(Counter::Throttled) > 0);
    assert!((0..100).all(|_| client.refresh(&mut rig, 600).code() == 0));
    assert_eq!(client.permit(&mut rig, "198.51.100.1:9"), 0);
    assert_eq!(client.permit(&mut rig, "10.0.0.1:9"), 403, "refusals too");
}

/// Every error response except a challenge.
#[test]
fn an_error_response_is_no_longer_than_its_request() {
    let mut rig = Rig::new(settings());
    let path = Path { local: LocalId(0), remote: crate::rig::at("8.8.8.8:4000") };
    let mut buffer = [0; 128];
    let writer = Writer::new(&mut buffer, Class::Request, Method::BINDING, rig.id());
    let fill = |writer: &mut Writer<'_>| (0..20).for_each(|kind| _ = writer.attribute(0x7000 + kind, &[]));
    let len = writer.and_then(|mut writer| {
        fill(&mut writer);
        writer.finish()
    });
    let question = &buffer[..len.expect("room")];
    let (_, answer) = rig.receive(path, question).pop().expect("an answer");
    assert_eq!(Answer(answer.clone()).code(), 420);
    assert!(answer.len() <= question.len());
    let listed = Answer(answer).message().attribute(UNKNOWN_ATTRIBUTES).map(<[u8]>::to_vec);
    let all: Vec<u8> = (0..20).flat_map(|kind| (0x7000_u16 + kind).to_be_bytes()).collect();
    assert_eq!(listed, Some(all), "every attribute that is not known (RFC 8489 §6.3.1)");
}

/// The address of a connection is not forged: an office behind one address is not throttled there.
#[test]
fn every_request_over_tcp_is_challenged() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    assert!((0..1_000).all(|_| client.challenge(&mut rig).code() == 401));
}

#[test]
fn malformed_datagrams_are_counted_and_not_answered() {
    let mut rig = Rig::new(settings());
    let path = Path { local: LocalId(0), remote: crate::rig::at("8.8.8.8:4000") };
    let binding = request(Method::BINDING, 1);
    let mut bent = binding.clone();
    bent[4] ^= 1;
    for noise in [
        &b""[..],
        b"\x80\x60",
        b"GET / HTTP/1.1\r\n\r\n",
        &binding[..19],
        &bent,
        &[0x16; 40],
        &[0x40, 0, 0, 9],
    ] {
        assert_eq!(rig.receive(path, noise), []);
    }
    assert_eq!(rig.count(Counter::Malformed), 7);
    for (class, method) in [
        (Class::Success, Method::ALLOCATE),
        (Class::Indication, Method::DATA),
        (Class::Request, Method(0x111)),
    ] {
        let mut buffer = [0; 20];
        Writer::new(&mut buffer, class, method, rig.id()).expect("room");
        assert_eq!(rig.receive(path, &buffer), []);
    }
    assert_eq!(rig.count(Counter::Unexpected), 3);
}

/// A request with a fingerprint asks for one in the answer (RFC 8489 §7).
#[test]
fn a_fingerprint_is_answered_with_one() {
    let mut rig = Rig::new(settings());
    let path = Path { local: LocalId(0), remote: crate::rig::at("8.8.8.8:4000") };
    let mut buffer = [0; 64];
    let writer = Writer::new(&mut buffer, Class::Request, Method::BINDING, rig.id());
    let len = writer.and_then(|mut writer| writer.fingerprint().finish()).expect("room");
    let (_, bytes) = rig.receive(path, &buffer[..len]).pop().expect("an answer");
    assert_eq!(Answer(bytes).message().verify_fingerprint(), Some(true));
    buffer[len - 1] ^= 1;
    assert_eq!(rig.receive(path, &buffer[..len]), [], "a wrong one is noise");
}
