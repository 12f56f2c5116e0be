//! The cookie exchange of a server that accepts any peer (RFC 6347 §4.2.1).

#![allow(clippy::unwrap_used)]

use dtls::{Certificate, Cookies, Endpoint, FirstDatagram, Options, Output, Peers, Settings, limits};
use machine::Instant;

const NOW: Instant = Instant::from_nanos(1_000_000_000);
const HERE: &[u8] = b"192.0.2.1:5000";

fn cookies() -> Cookies {
    Cookies::new([7; 32])
}

/// A ClientHello as from OpenSSL.
fn hello(seq: u16, number: u32, random: u8, cookie: &[u8]) -> Vec<u8> {
    let mut body = vec![0xfe, 0xfd];
    body.extend_from_slice(&[random; 32]);
    body.push(0);
    body.push(cookie.len() as u8);
    body.extend_from_slice(cookie);
    // One cipher suite, no compression, no extensions.
    body.extend_from_slice(&[0, 2, 0xc0, 0x2b, 1, 0]);
    let len = (body.len() as u32).to_be_bytes();
    let mut message = vec![1];
    message.extend_from_slice(&len[1..]);
    message.extend_from_slice(&seq.to_be_bytes());
    message.extend_from_slice(&[0; 3]);
    message.extend_from_slice(&len[1..]);
    message.extend_from_slice(&body);
    let mut record = vec![22, 0xfe, 0xff, 0, 0, 0, 0];
    record.extend_from_slice(&number.to_be_bytes());
    record.extend_from_slice(&(message.len() as u16).to_be_bytes());
    record.extend_from_slice(&message);
    record
}

/// The cookie of a well-formed HelloVerifyRequest.
fn cookie_of(answer: &[u8], number: u32) -> Vec<u8> {
    assert_eq!(answer[..3], [22, 0xfe, 0xff]);
    assert_eq!(answer[3..11], u64::from(number).to_be_bytes(), "the number of the ClientHello's record");
    assert_eq!((answer[13], answer[17], answer[18]), (3, 0, 0), "HelloVerifyRequest, number 0");
    assert_eq!(answer[25..27], [0xfe, 0xff]);
    assert_eq!(answer.len(), 28 + usize::from(answer[27]));
    answer[28..].to_vec()
}

fn ask(cookies: &Cookies, now: Instant, from: &[u8]) -> Vec<u8> {
    let first = hello(0, 5, 1, b"");
    let FirstDatagram::Unverified(answer) = cookies.classify(now, from, &first) else {
        panic!("expected a request for a cookie")
    };
    assert!(answer.len() < first.len(), "no more than was sent");
    cookie_of(&answer, 5)
}

fn is_verified(cookies: &Cookies, now: Instant, from: &[u8], second: &[u8]) -> bool {
    matches!(cookies.classify(now, from, second), FirstDatagram::Verified(_))
}

#[test]
fn a_cookie_is_valid_for_its_client_and_its_hello_only() {
    let cookies = cookies();
    let cookie = ask(&cookies, NOW, HERE);
    assert!(is_verified(&cookies, NOW, HERE, &hello(1, 6, 1, &cookie)));
    assert!(is_verified(&cookies, NOW, HERE, &hello(1, 6, 1, &cookie)), "a repetition is valid too");
    assert!(!is_verified(&cookies, NOW, b"192.0.2.2:5000", &hello(1, 6, 1, &cookie)));
    assert!(!is_verified(&cookies, NOW, HERE, &hello(1, 6, 2, &cookie)));
    assert!(!is_verified(&cookies, NOW, HERE, &hello(0, 6, 1, &cookie)), "the second hello has number 1");
    assert!(!is_verified(&Cookies::new([8; 32]), NOW, HERE, &hello(1, 6, 1, &cookie)));
    for bit in 0..cookie.len() * 8 {
        let mut bent = cookie.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_verified(&cookies, NOW, HERE, &hello(1, 6, 1, &bent)), "bit {bit}");
    }
    for len in 0..cookie.len() {
        assert!(!is_verified(&cookies, NOW, HERE, &hello(1, 6, 1, &cookie[..len])), "{len} bytes");
    }
}

#[test]
fn a_cookie_expires() {
    let cookies = cookies();
    let cookie = ask(&cookies, NOW, HERE);
    let second = hello(1, 6, 1, &cookie);
    assert!(is_verified(&cookies, NOW + limits::COOKIE_LIFETIME, HERE, &second));
    assert!(!is_verified(&cookies, NOW + 2 * limits::COOKIE_LIFETIME, HERE, &second));
    assert_eq!(cookies.classify(NOW + 2 * limits::COOKIE_LIFETIME, HERE, &second), FirstDatagram::Noise);
}

#[test]
fn other_messages_than_a_hello_are_not_answered() {
    let cookies = cookies();
    let whole = hello(0, 0, 1, b"");
    for end in 0..whole.len() {
        assert_eq!(cookies.classify(NOW, HERE, &whole[..end]), FirstDatagram::Noise, "cut at {end}");
    }
    for (at, value) in [(0, 21), (0, 23), (3, 1), (4, 1), (5, 1), (13, 2), (19, 1), (59, 255), (60, 255)] {
        let mut bent = whole.clone();
        bent[at] = value;
        assert_eq!(cookies.classify(NOW, HERE, &bent), FirstDatagram::Noise, "byte {at} is {value}");
    }
    let mut old = whole;
    old[26] = 0xff;
    assert_eq!(cookies.classify(NOW, HERE, &old), FirstDatagram::TooOld);
}

/// Our own client completes it, and both ends have the same keys.
#[test]
fn a_client_with_its_cookie_connects_and_exchanges_data() {
    let certificate = Certificate::generate();
    let settings = Settings::new(Options { peers: Peers::Anybody, ..Options::default() });
    let cookies = cookies();
    let mut client = Endpoint::client(&settings, &certificate, certificate.fingerprint(), NOW);
    let mut server: Option<Endpoint> = None;
    let mut buffer = Vec::new();
    let mut verify_requests = 0;
    for _ in 0..10 {
        let mut to_server = Vec::new();
        while let Output::Datagram(bytes) = client.poll(&mut buffer) {
            to_server.push(bytes.to_vec());
        }
        for datagram in to_server {
            let endpoint = match &mut server {
                Some(endpoint) => endpoint,
                none => match cookies.classify(NOW, HERE, &datagram) {
                    FirstDatagram::Verified(cookie) => {
                        none.insert(Endpoint::server_after_cookie(&settings, &certificate, cookie, NOW))
                    }
                    FirstDatagram::Unverified(answer) => {
                        verify_requests += 1;
                        client.on_datagram(NOW, &answer).unwrap();
                        continue;
                    }
                    other => panic!("{other:?}"),
                },
            };
            endpoint.on_datagram(NOW, &datagram).unwrap();
            while let Output::Datagram(bytes) = endpoint.poll(&mut buffer) {
                client.on_datagram(NOW, bytes).unwrap();
            }
        }
    }
    let mut server = server.unwrap();
    assert!(server.is_connected() && client.is_connected());
    assert_eq!(verify_requests, 1);
    for (from, to) in [(0, 1), (1, 0)] {
        let ends = [&mut server, &mut client];
        ends[from].send(NOW, b"across").unwrap();
        let Output::Datagram(bytes) = ends[from].poll(&mut buffer) else { panic!("a record") };
        ends[to].on_datagram(NOW, bytes).unwrap();
        assert!(matches!(ends[to].poll(&mut buffer), Output::ApplicationData(b"across")));
    }
}
