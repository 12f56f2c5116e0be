//! Revoked credentials: no request is granted, and existing allocations end.

use crate::rig::{Client, Rig, UNIX, at, settings};
use machine::{LocalId, Machine as _, Path};
use relay::{Command, Counter, Derivation, End, Event, RevokedUser, mint};
use std::sync::Arc;
use std::time::Duration;
use stun::Method;

/// A client of this user whose credential expires at this second.
fn holder(rig: &mut Rig, remote: &str, user: &str, expires_at: u64) -> Client {
    let mut client = rig.client(remote);
    let expires_at = UNIX + Duration::from_secs(expires_at);
    (client.username, client.password) = mint(b"north", Derivation::Sha1, expires_at, user);
    client
}

fn revoke(rig: &mut Rig, users: &[(&str, u64)]) {
    let entry = |(user, until): &(&str, u64)| RevokedUser {
        user: user.as_bytes().into(),
        expires_until: UNIX + Duration::from_secs(*until),
    };
    rig.command(Command::Revoke(users.iter().map(entry).collect::<Arc<[_]>>()));
}

#[test]
fn the_allocations_of_a_revoked_user_end_and_no_request_is_granted() {
    let mut rig = Rig::new(settings());
    let mut ada = holder(&mut rig, "8.8.8.8:1", "ada", 1_000);
    let mut of_tcp = rig.tcp_client("8.8.8.8:2");
    (of_tcp.username, of_tcp.password) = (ada.username.clone(), ada.password.clone());
    let mut eve = holder(&mut rig, "8.8.8.8:3", "eve", 1_000);
    let relayed = ada.allocated(&mut rig);
    of_tcp.allocated(&mut rig);
    let of_eve = eve.allocated(&mut rig);
    for client in [&ada, &eve] {
        assert_eq!(client.bind(&mut rig, 0x4000, "198.51.100.1:9"), 0);
    }
    while rig.relay.poll_event().is_some() {}

    revoke(&mut rig, &[("ada", 1_000), ("grace", 1_000)]);
    assert_eq!((rig.count(Counter::Allocations), rig.count(Counter::AllocationsRevoked)), (1, 2));
    assert_eq!(rig.hung_up, [Path { local: LocalId::tcp(0), remote: at("8.8.8.8:2") }]);
    for _ in 0..2 {
        assert!(matches!(rig.relay.poll_event(), Some(Event::Ended { end: End::Revoked, .. })));
    }
    assert!(rig.peer_sends("198.51.100.1:9", relayed, b"x").is_none());
    assert!(ada.send_channel(&mut rig, 0x4000, b"x").is_none());
    assert_eq!(ada.refresh(&mut rig, 600).code(), 403);
    assert_eq!(ada.allocate(&mut rig, |_| {}).code(), 403);
    assert_eq!(ada.request(&mut rig, Method::CREATE_PERMISSION, |_| {}).code(), 403);

    assert_eq!(eve.refresh(&mut rig, 600).code(), 0, "other users notice nothing");
    assert!(rig.peer_sends("198.51.100.1:9", of_eve, b"x").is_some());
}

#[test]
fn a_credential_that_is_minted_after_the_revocation_is_valid() {
    let mut rig = Rig::new(settings());
    revoke(&mut rig, &[("ada", 1_000)]);
    assert_eq!(holder(&mut rig, "8.8.8.8:1", "ada", 1_000).allocate(&mut rig, |_| {}).code(), 403);
    let mut later = holder(&mut rig, "8.8.8.8:2", "ada", 1_001);
    later.allocated(&mut rig);
    revoke(&mut rig, &[("ada", 1_000)]);
    assert_eq!(later.refresh(&mut rig, 600).code(), 0, "the same revocation again changes nothing");
    revoke(&mut rig, &[("ada", 1_001)]);
    assert_eq!(later.refresh(&mut rig, 600).code(), 403);
}

/// An allocation can be older than its credential.
#[test]
fn an_allocation_whose_credential_has_expired_ends_too() {
    let mut rig = Rig::new(settings());
    let mut ada = holder(&mut rig, "8.8.8.8:1", "ada", 60);
    ada.allocated(&mut rig);
    rig.run_for(Duration::from_secs(61));
    assert_eq!(ada.refresh(&mut rig, 600).code(), 0);
    revoke(&mut rig, &[("ada", 3_000)]);
    assert_eq!(rig.count(Counter::Allocations), 0);
    assert_eq!(ada.refresh(&mut rig, 600).code(), 401, "the credential is not valid any more");
}

/// Stale entries cost no place, and users with a fixed password are not meant.
#[test]
fn only_minted_credentials_are_covered() {
    let mut rig = Rig::new(settings());
    let mut fixed = rig.client("8.8.8.8:1");
    fixed.allocated(&mut rig);
    revoke(&mut rig, &[("u", 1_000)]);
    assert_eq!(fixed.refresh(&mut rig, 600).code(), 0);
}
