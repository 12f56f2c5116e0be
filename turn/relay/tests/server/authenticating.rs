//! The long-term credential mechanism (RFC 8489 §9.2), and credentials that expire.

use crate::rig::{Rig, UNIX, settings};
use machine::Instant;
use relay::{Command, Counter, Credentials, Derivation, Settings, WallClock, mint};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stun::attribute::{LIFETIME, NONCE, PASSWORD_ALGORITHMS, REALM, USERNAME};
use stun::{Class, Integrity, Method, PasswordAlgorithm, Writer};

/// A wall clock that can be set.
#[derive(Debug, Default)]
struct SetClock(AtomicU64);

impl WallClock for SetClock {
    fn since_1970(&self, _now: Instant) -> Duration {
        Duration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

#[test]
fn credentials_expire_by_the_wall_clock_at_the_time_of_use() {
    let clock = Arc::new(SetClock::default());
    let set = |since_1970: Duration| clock.0.store(since_1970.as_secs(), Ordering::Relaxed);
    let mut rig = Rig::new(Settings { wall_clock: clock.clone(), ..settings() });
    let (username, password) = mint(b"north", Derivation::Sha1, UNIX, "alice");
    let mut allocate = |port: u16| {
        let mut client = rig.client(&format!("8.8.8.8:{port}"));
        (client.username, client.password) = (username.clone(), password.clone());
        client.allocate(&mut rig, |_| {}).code()
    };
    set(UNIX - Duration::from_secs(1));
    assert_eq!(allocate(1), 0);
    // The clock was slow, and is corrected without a restart; or it was fast.
    set(UNIX + Duration::from_secs(1));
    assert_eq!(allocate(2), 401);
    set(UNIX);
    assert_eq!(allocate(3), 0);
}

/// The server lists its features beyond MD5 on a connection, and over UDP in the answer to a request with
/// enough bytes.
#[test]
fn a_request_without_a_credential_is_challenged() {
    let mut rig = Rig::new(settings());
    let long = |writer: &mut Writer<'_>| _ = writer.software(&"x".repeat(52));
    let short = |writer: &mut Writer<'_>| _ = writer.software(&"x".repeat(44));
    let (mut near, mut far) = (rig.client("8.8.8.8:4000"), rig.tcp_client("8.8.8.8:4000"));
    for (answer, is_told) in [
        (near.challenge(&mut rig), false),
        (near.challenge_with(&mut rig, short), false),
        (near.challenge_with(&mut rig, long), true),
        (far.challenge(&mut rig), true),
    ] {
        assert_eq!(answer.code(), 401);
        let message = answer.message();
        assert_eq!(message.attribute(REALM), Some(&b"leat"[..]));
        assert_eq!(message.attribute(NONCE).map(|nonce| nonce.starts_with(b"obMatJos2")), Some(is_told));
        let algorithms = &[0, 2, 0, 0, 0, 1, 0, 0][..];
        assert_eq!(message.attribute(PASSWORD_ALGORITHMS), is_told.then_some(algorithms));
        assert!(!message.has_integrity() && message.software().is_none());
    }
    assert!(rig.relay.is_idle());
}

#[test]
fn both_digests_both_integrities_and_a_userhash_are_accepted() {
    for algorithm in [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256] {
        for integrity in [Integrity::Sha1, Integrity::Sha256] {
            for userhash in [false, true] {
                let mut rig = Rig::new(settings());
                let mut client = rig.client("8.8.8.8:4000");
                let long = |writer: &mut Writer<'_>| _ = writer.software(&"x".repeat(52));
                let challenge = client.challenge_with(&mut rig, long);
                (client.algorithm, client.integrity, client.userhash) = (algorithm, integrity, userhash);
                client.algorithms = challenge.message().attribute(PASSWORD_ALGORITHMS).map(<[u8]>::to_vec);
                let answer = client
                    .request(&mut rig, Method::ALLOCATE, |writer| _ = writer.requested_transport(stun::UDP));
                assert_eq!(answer.code(), 0, "{algorithm:?} {integrity:?} {userhash}");
                assert_eq!(answer.message().integrity(), Some(integrity));
            }
        }
    }
}

/// An attacker on the path may have removed the better algorithm from the list.
#[test]
fn a_list_of_algorithms_that_is_not_ours_is_refused() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:4000");
    client.challenge(&mut rig);
    for list in [&[0, 1, 0, 0][..], &[0, 1, 0, 0, 0, 2, 0, 0], &[]] {
        client.algorithms = Some(list.to_vec());
        let answer =
            client.request(&mut rig, Method::ALLOCATE, |writer| _ = writer.requested_transport(stun::UDP));
        assert_eq!(answer.code(), 400);
    }
}

#[test]
fn a_stale_nonce_is_answered_with_a_new_one() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:4000");
    client.allocated(&mut rig);
    let other = rig.client("8.8.8.8:4001").challenge(&mut rig);
    let own = client.nonce.clone();
    client.nonce = other.message().attribute(NONCE).expect("a nonce").to_vec();
    let answer = client.refresh(&mut rig, 600);
    assert_eq!(answer.code(), 438, "another client's");
    assert!(answer.message().attribute(NONCE).is_some() && answer.message().attribute(REALM).is_some());
    client.nonce = own;
    assert_eq!(client.refresh(&mut rig, 3600).code(), 0);
    rig.run_for(Duration::from_secs(3599));
    assert_eq!(client.refresh(&mut rig, 3600).code(), 0);
    rig.run_for(Duration::from_secs(2));
    let answer = client.refresh(&mut rig, 600);
    assert_eq!(answer.code(), 438, "too old");
    client.nonce = answer.message().attribute(NONCE).expect("a nonce").to_vec();
    assert_eq!(client.refresh(&mut rig, 600).code(), 0);
}

#[test]
fn wrong_passwords_users_and_realms_are_challenged_again() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:4000");
    client.challenge(&mut rig);
    let allocate = |client: &crate::rig::Client, rig: &mut Rig| {
        client.request(rig, Method::ALLOCATE, |writer| _ = writer.requested_transport(stun::UDP)).code()
    };
    for (username, password, realm) in
        [("u", "q", "leat"), ("w", "p", "leat"), ("u", "p", "else"), ("", "", "leat")]
    {
        let mut wrong = client.clone();
        (wrong.username, wrong.password, wrong.realm) = (username.into(), password.into(), realm.into());
        assert_eq!(allocate(&wrong, &mut rig), 401, "{username} {password} {realm}");
    }
    assert_eq!(allocate(&client, &mut rig), 0);
}

/// RFC 8489 §9.2.4: MESSAGE-INTEGRITY without the attributes to verify it.
#[test]
fn half_a_credential_is_a_bad_request() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:4000");
    client.challenge(&mut rig);
    for missing in [USERNAME, REALM, NONCE] {
        let mut buffer = [0; 512];
        let id = rig.id();
        let mut writer = Writer::new(&mut buffer, Class::Request, Method::ALLOCATE, id).expect("room");
        writer.requested_transport(stun::UDP);
        for (kind, value) in [(USERNAME, &b"u"[..]), (REALM, b"leat"), (NONCE, &client.nonce)] {
            if kind != missing {
                writer.attribute(kind, value);
            }
        }
        let len = writer.integrity(&client.key()).finish().expect("room");
        let (_, bytes) = rig.receive(client.path, &buffer[..len]).pop().expect("an answer");
        assert_eq!(crate::rig::Answer(bytes).code(), 400);
    }
}

/// CVE-2026-68554 of another server: attributes after MESSAGE-INTEGRITY are not authenticated.
#[test]
fn attributes_after_the_integrity_are_ignored() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:4000");
    client.challenge(&mut rig);
    let mut request =
        client.signed(rig.id(), Method::ALLOCATE, |writer| _ = writer.requested_transport(stun::UDP));
    request.extend([(LIFETIME >> 8) as u8, LIFETIME as u8, 0, 4, 0, 0, 0x0e, 0x10]);
    let len = (request.len() - stun::HEADER_LEN) as u16;
    request[2..4].copy_from_slice(&len.to_be_bytes());
    let (_, bytes) = rig.receive(client.path, &request).pop().expect("an answer");
    let answer = crate::rig::Answer(bytes);
    assert_eq!(answer.code(), 0);
    assert_eq!(answer.message().lifetime(), Some(Some(600)), "and not 3600");
}

#[test]
fn an_expired_credential_makes_no_allocation_but_keeps_existing_ones() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:4000");
    let expires_at = UNIX + rig.now.since_epoch() + Duration::from_secs(60);
    (client.username, client.password) = mint(b"north", Derivation::Sha1, expires_at, "alice");
    client.allocated(&mut rig);
    rig.run_for(Duration::from_secs(61));
    assert_eq!(client.refresh(&mut rig, 600).code(), 0);
    assert_eq!(client.permit(&mut rig, "198.51.100.1:9"), 0);
    let mut late = rig.client("8.8.8.8:4001");
    (late.username, late.password) = (client.username.clone(), client.password.clone());
    assert_eq!(late.allocate(&mut rig, |_| {}).code(), 401);
}

#[test]
fn secrets_are_rotated_and_revoked_while_the_server_runs() {
    let with = |secrets: &[&[u8]]| Settings {
        credentials: secrets
            .iter()
            .try_fold(Credentials::new("leat"), |all, secret| all.secret(secret))
            .expect("secrets"),
        ..settings()
    };
    let mut rig = Rig::new(with(&[b"old"]));
    let expires_at = UNIX + Duration::from_secs(10_000);
    let holder = |rig: &mut Rig, remote: &str, secret: &[u8]| {
        let mut client = rig.client(remote);
        (client.username, client.password) = mint(secret, Derivation::Sha256, expires_at, "alice");
        client
    };
    let mut old = holder(&mut rig, "8.8.8.8:1", b"old");
    old.allocated(&mut rig);
    assert_eq!(holder(&mut rig, "8.8.8.8:2", b"new").allocate(&mut rig, |_| {}).code(), 401);
    rig.command(Command::Reload(Box::new(with(&[b"new", b"old"]))));
    holder(&mut rig, "8.8.8.8:2", b"new").allocated(&mut rig);
    holder(&mut rig, "8.8.8.8:3", b"old").allocated(&mut rig);
    assert_eq!(old.refresh(&mut rig, 600).code(), 0);
    rig.command(Command::Reload(Box::new(with(&[b"new"]))));
    assert_eq!(rig.count(Counter::Allocations), 1, "those of the old secret are gone");
    assert_eq!(old.refresh(&mut rig, 600).code(), 401);
    assert_eq!(rig.sockets.len(), 1);
}
