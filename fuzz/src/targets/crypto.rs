//! DTLS: arbitrary datagrams at any moment of a handshake.
//!
//! SRTP and SRTCP: forgeries, round trips through the oracle in both directions, and a stream with
//! reordering, loss and replay compared with a naive model.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use dtls::{Certificate, Cookies, Endpoint, FirstDatagram, Output, Settings};
use machine::Instant;
use oracle_srtp::context::Context;
use oracle_srtp::protection_profile::ProtectionProfile;
use srtp::limits::REPLAY_WINDOW;
use srtp::{Discard, Inbound, MasterKey, Outbound, Profile};

use crate::known;
use crate::oracle::{Verdict, ask};
use crate::script::Script;

/// A script: the profile, which of the three, and its input.
pub fn srtp(data: &[u8]) {
    let mut script = Script::new(data);
    let profile = script.choice(&Profile::ALL);
    match script.u8() % 3 {
        0 => forge(profile, script.remainder()),
        1 => cross(profile, &mut script),
        _ => stream(profile, &mut script),
    }
}

/// Public test keys.
fn key(profile: Profile) -> MasterKey {
    let bytes: [u8; 64] = std::array::from_fn(|i| i as u8 ^ 0x5a);
    MasterKey::new(profile, &bytes[..profile.key_len()], &bytes[32..32 + profile.salt_len()])
        .expect("the lengths are the profile's")
}

fn oracle(profile: Profile) -> Context {
    let theirs = match profile {
        Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Profile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Profile::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    let key = key(profile);
    Context::new(key.key(), key.salt(), theirs, None, None).expect("the lengths are the profile's")
}

/// A plain RTP packet.
fn packet(seq: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    packet[2..4].copy_from_slice(&seq.to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

/// Encrypts a packet with a known index.
fn protect(outbound: &Outbound, roc: u32, plain: &[u8], header_len: usize) -> Vec<u8> {
    let mut out = vec![0xa5; plain.len() + outbound.profile().rtp_overhead()];
    out[..header_len].copy_from_slice(&plain[..header_len]);
    let len = outbound.protect_rtp(roc, header_len, &plain[header_len..], &mut out).expect("there is room");
    assert_eq!(len, out.len());
    out
}

/// No forged packet is accepted, and none changes the state: authentic packets are still accepted afterwards.
fn forge(profile: Profile, data: &[u8]) {
    let mut inbound = Inbound::new(profile, &key(profile));
    let outbound = Outbound::new(profile, &key(profile));
    // The attacker knows a source in use, and its newest number.
    let first = packet(7, 0x1234_5678, b"first");
    let mut sent = protect(&outbound, 0, &first, 12);
    assert_eq!(inbound.unprotect_rtp(&mut sent).map(|p| p.to_vec()), Ok(first));

    let mut forged = data.to_vec();
    assert!(inbound.unprotect_rtp(&mut forged).is_err(), "a forgery is taken: {data:02x?}");
    let mut forged = data.to_vec();
    assert!(inbound.unprotect_rtcp(&mut forged).is_err(), "a forgery is taken: {data:02x?}");

    for seq in [6, 8, 40000] {
        let next = packet(seq, 0x1234_5678, b"next");
        // 40000 is nearest to 7 or 8 only with a roll-over before the first: too old by rule.
        let mut sent = protect(&outbound, 0, &next, 12);
        match inbound.unprotect_rtp(&mut sent) {
            Ok(plain) => assert_eq!(plain, &next[..]),
            Err(discard) => assert_eq!((seq, discard), (40000, Discard::TooOld)),
        }
    }
}

/// One packet through ours and the oracle, in both directions; then damaged.
fn cross(profile: Profile, script: &mut Script<'_>) {
    let damage = (usize::from(script.u16()), script.u8());
    if script.bool() {
        let plain = script.remainder();
        cross_rtp(profile, plain, damage);
    } else {
        let plain = script.remainder();
        cross_rtcp(profile, plain, damage);
    }
}

fn cross_rtp(profile: Profile, plain: &[u8], damage: (usize, u8)) {
    let Ok(view) = rtp::Packet::new(plain) else { return };
    let outbound = Outbound::new(profile, &key(profile));
    let ours = protect(&outbound, 0, plain, view.header_len());
    let is_known = known::RTP.iter().any(|known| (known.applies)(plain));
    if !is_known {
        agree("protected", &ours, ask(|| oracle(profile).encrypt_rtp(plain)));
        agree("unprotected by the oracle", plain, ask(|| oracle(profile).decrypt_rtp(&ours)));
    }
    let mut inbound = Inbound::new(profile, &key(profile));
    let mut copy = damaged(&ours, damage);
    assert!(inbound.unprotect_rtp(&mut copy).is_err(), "a flipped bit is taken");
    let mut copy = ours.clone();
    assert_eq!(inbound.unprotect_rtp(&mut copy).map(|p| p.to_vec()), Ok(plain.to_vec()));
    let mut copy = ours;
    assert_eq!(inbound.unprotect_rtp(&mut copy).map(|p| p.to_vec()), Err(Discard::Replayed));
}

fn cross_rtcp(profile: Profile, plain: &[u8], damage: (usize, u8)) {
    if rtcp::Compound::new(plain).is_err() || plain.len() < 8 {
        return;
    }
    let mut outbound = Outbound::new(profile, &key(profile));
    // The oracle numbers from one.
    outbound.resume_rtcp_at(1);
    let mut ours = vec![0xa5; plain.len() + profile.rtcp_overhead()];
    assert_eq!(outbound.protect_rtcp(plain, &mut ours), Some(ours.len()));
    agree("protected", &ours, ask(|| oracle(profile).encrypt_rtcp(plain)));
    agree("unprotected by the oracle", plain, ask(|| oracle(profile).decrypt_rtcp(&ours)));
    let mut inbound = Inbound::new(profile, &key(profile));
    let mut copy = damaged(&ours, damage);
    assert!(inbound.unprotect_rtcp(&mut copy).is_err(), "a flipped bit is taken");
    let mut copy = ours.clone();
    assert_eq!(inbound.unprotect_rtcp(&mut copy).map(|p| p.to_vec()), Ok(plain.to_vec()));
    let mut copy = ours;
    assert_eq!(inbound.unprotect_rtcp(&mut copy).map(|p| p.to_vec()), Err(Discard::Replayed));
}

#[track_caller]
fn agree<T: AsRef<[u8]>>(what: &str, ours: &[u8], theirs: Verdict<T>) {
    match theirs {
        Verdict::Accepted(theirs) => assert_eq!(ours, theirs.as_ref(), "{what}"),
        Verdict::Refused(reason) => panic!("{what}: the oracle refuses {ours:02x?}: {reason}"),
        Verdict::Panicked => {}
    }
}

fn damaged(bytes: &[u8], (at, bit): (usize, u8)) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = at % bytes.len();
    bytes[at] ^= 1 << (bit % 8);
    bytes
}

/// A sender that counts in 48 bits, and a network that reorders arbitrarily.
fn stream(profile: Profile, script: &mut Script<'_>) {
    let outbound = Outbound::new(profile, &key(profile));
    let mut inbound = Inbound::new(profile, &key(profile));
    // The model: the accepted indices, and the highest of them.
    let mut taken = BTreeSet::new();
    let mut highest: Option<u64> = None;
    let mut index = u64::from(script.u16());
    for _ in 0..64 {
        if script.is_over() {
            break;
        }
        index = match script.u8() % 8 {
            0..=3 => index + 1,
            4 => index.saturating_sub(u64::from(script.u8() % 8)),
            5 => index + u64::from(script.u8()),
            6 => index.saturating_sub(u64::from(script.u16() % 2048)),
            _ => index + u64::from(script.u16() >> 1),
        };
        let plain = packet(index as u16, 1, b"payload");
        let mut sent = protect(&outbound, (index >> 16) as u32, &plain, 12);
        let got = inbound.unprotect_rtp(&mut sent).map(|p| p.to_vec());
        let expected = match highest {
            // The first has a roll-over counter of zero (RFC 3711 §3.3.1), or of one if all packets before
            // the first wrap were lost.
            None if index >> 16 > 1 => Err(vec![Discard::AuthFailed]),
            None => Ok(plain),
            // Beyond half a circle the receiver estimates another roll-over counter, so the tag is wrong, or
            // the estimated place is behind the window.
            Some(top) if index.abs_diff(top) >= 1 << 15 => {
                Err(vec![Discard::AuthFailed, Discard::TooOld, Discard::Replayed])
            }
            Some(top) if top.saturating_sub(index) >= REPLAY_WINDOW => Err(vec![Discard::TooOld]),
            Some(_) if taken.contains(&index) => Err(vec![Discard::Replayed]),
            Some(_) => Ok(plain),
        };
        match (got, expected) {
            (Ok(got), Ok(expected)) => {
                assert_eq!(got, expected);
                taken.insert(index);
                highest = highest.max(Some(index));
            }
            (Err(got), Err(expected)) if expected.contains(&got) => {}
            (got, expected) => panic!("index {index}, highest {highest:?}: {got:?}, expected {expected:?}"),
        }
    }
}

/// Created once: a key pair is expensive, and any will do.
struct Identities {
    server: Certificate,
    client: Certificate,
    settings: [Settings; 2],
    cookies: Cookies,
}

fn identities() -> &'static Identities {
    static IDENTITIES: OnceLock<Identities> = OnceLock::new();
    IDENTITIES.get_or_init(|| {
        let settings = |version| Settings::new(dtls::Options { version, ..dtls::Options::default() });
        Identities {
            server: Certificate::generate(),
            client: Certificate::generate(),
            settings: [settings(dtls::Version::Dtls12), settings(dtls::Version::Auto)],
            cookies: Cookies::new([3; 32]),
        }
    })
}

/// A server's endpoint between a correct client and an attacker: true datagrams dropped, duplicated,
/// reordered and damaged, forged ones between them, time passing. It may fail, and then stays failed; it
/// never connects without the client's keys.
pub fn dtls_records(data: &[u8]) {
    let mut script = Script::new(data);
    let identities = identities();
    let settings = &identities.settings[usize::from(script.u8() & 1)];
    let mut now = Instant::from_nanos(1_000_000);
    let mut server = Endpoint::server(settings, &identities.server, identities.client.fingerprint(), now);
    let mut client = Endpoint::client(settings, &identities.client, identities.server.fingerprint(), now);
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let (mut server_keys, mut client_keys) = (None, None);
    for _ in 0..64 {
        drain(&mut client, &mut to_server, &mut client_keys);
        drain(&mut server, &mut to_client, &mut server_keys);
        if script.is_over() {
            break;
        }
        match script.u8() % 10 {
            // Datagrams in transit arrive unchanged.
            0 | 1 => {
                for datagram in to_server.drain(..) {
                    let _ = server.on_datagram(now, &datagram);
                }
                drain(&mut server, &mut to_client, &mut server_keys);
            }
            2 | 3 => {
                for datagram in to_client.drain(..) {
                    let _ = client.on_datagram(now, &datagram);
                }
            }
            4 => {
                let blob = script.blob();
                let _ = server.on_datagram(now, blob);
                open_to_anybody(now, blob);
            }
            5 if !to_server.is_empty() => {
                let at = usize::from(script.u8()) % to_server.len();
                match script.u8() % 4 {
                    0 => drop(to_server.remove(at)),
                    1 => to_server.push(to_server[at].clone()),
                    2 => to_server.reverse(),
                    _ => to_server[at].truncate(usize::from(script.u16()) % 1500),
                }
            }
            6 if !to_server.is_empty() => {
                let at = usize::from(script.u8()) % to_server.len();
                let datagram = &mut to_server[at];
                let byte = usize::from(script.u16()) % datagram.len().max(1);
                if let Some(byte) = datagram.get_mut(byte) {
                    *byte ^= script.u8();
                }
            }
            7 => {
                now += Duration::from_millis(u64::from(script.u16()));
                let _ = server.on_timeout(now);
                let _ = client.on_timeout(now);
            }
            8 => {
                let _ = server.send(now, script.blob());
            }
            9 if script.u8() == 1 => {
                let _ = server.close(now);
            }
            _ => {}
        }
        if let Some(failed) = server.failed() {
            assert!(!server.is_connected());
            assert_eq!(server.on_datagram(now, b"anything"), Err(failed), "failed is failed");
        }
    }
    if let (Some(server), Some(client)) = (&server_keys, &client_keys) {
        assert_eq!(server.profile, client.profile);
        assert_eq!(server.inbound.key(), client.outbound.key());
        assert_eq!(server.outbound.key(), client.inbound.key());
        assert_eq!(server.inbound.salt(), client.outbound.salt());
        assert_ne!(server.inbound.key(), server.outbound.key());
    }
}

/// A server that accepts any peer with the same bytes: an unknown cookie never creates state.
fn open_to_anybody(now: Instant, datagram: &[u8]) {
    match identities().cookies.classify(now, b"address", datagram) {
        FirstDatagram::Verified(_) => panic!("a cookie was forged"),
        FirstDatagram::Unverified(answer) => assert!(answer.len() <= datagram.len()),
        FirstDatagram::Noise | FirstDatagram::TooOld => {}
    }
}

fn drain(endpoint: &mut Endpoint, out: &mut Vec<Vec<u8>>, keys: &mut Option<dtls::Connected>) {
    let mut buffer = Vec::new();
    for _ in 0..1000 {
        match endpoint.poll(&mut buffer) {
            Output::Datagram(bytes) => {
                if out.len() < 64 {
                    out.push(bytes.to_vec());
                }
            }
            Output::Connected(connected) => {
                assert!(keys.is_none(), "connected twice");
                *keys = Some(connected);
            }
            Output::ApplicationData(_) | Output::Closed => {}
            Output::Timeout(_) | Output::Idle => return,
        }
    }
    panic!("the endpoint has endless output");
}
