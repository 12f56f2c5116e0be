//! The quotas of users and addresses.

use crate::rig::{Rig, settings};
use relay::{Counter, Quotas, Settings};
use std::time::Duration;

fn with(quotas: Quotas) -> Rig {
    Rig::new(Settings { quotas, ..settings() })
}

#[test]
fn two_users_at_their_quota_do_not_disturb_each_other() {
    let mut rig = with(Quotas { allocations_per_user: 2, ..Quotas::default() });
    for user in ["u", "v"] {
        for port in 1..4 {
            let mut client = rig.client(&format!("8.8.8.8:{}{port}", user.len()));
            client.path.remote.set_port(port + if user == "u" { 100 } else { 200 });
            client.username = user.to_owned();
            let code = client.allocate(&mut rig, |_| {}).code();
            assert_eq!(code, if port < 3 { 0 } else { 486 }, "{user} {port}");
        }
    }
}

/// EVEN-PORT of another server let one user exhaust its pool.
#[test]
fn no_user_exhausts_the_pool_with_reservations_whether_connected_or_not() {
    let mut rig = with(Quotas { ports_per_user: 6, allocations_per_user: 100, ..Quotas::default() });
    let mut got = 0;
    for port in 1..100 {
        let mut client = rig.tcp_client(&format!("8.8.8.8:{port}"));
        got += u32::from(client.allocate(&mut rig, |writer| _ = writer.even_port(true)).code() == 0);
        // Its connection is closed, the reservation still counts.
        let (now, mut outbox) = (rig.now, crate::rig::Outbox::default());
        machine::Machine::on_path_closed(&mut rig.relay, now, client.path, &mut outbox);
        rig.carry_out_socket_requests();
        assert!(rig.sockets.len() <= 6);
    }
    assert_eq!(
        (got, rig.sockets.len()),
        (5, 5),
        "each leaves a reserved port, until two more exceed the quota"
    );
    rig.run_for(Duration::from_secs(31));
    assert_eq!(rig.sockets.len(), 0);
}

#[test]
fn a_second_minted_credential_counts_for_the_same_user() {
    let mut rig = with(Quotas { allocations_per_user: 1, ..Quotas::default() });
    for (expiry, code) in [(10_000, 0), (10_001, 486)] {
        let mut client = rig.client(&format!("8.8.8.8:{expiry}"));
        let expires_at = crate::rig::UNIX + Duration::from_secs(expiry);
        (client.username, client.password) =
            relay::mint(b"north", relay::Derivation::Sha1, expires_at, "alice");
        assert_eq!(client.allocate(&mut rig, |_| {}).code(), code);
    }
}

#[test]
fn addresses_and_the_whole_server_have_a_bound() {
    let mut rig = with(Quotas { allocations_per_address: 2, allocations: 3, ..Quotas::default() });
    let code = |rig: &mut Rig, remote: &str| rig.client(remote).allocate(rig, |_| {}).code();
    assert_eq!(
        [code(&mut rig, "8.8.8.8:1"), code(&mut rig, "8.8.8.8:2"), code(&mut rig, "8.8.8.8:3")],
        [0, 0, 486]
    );
    assert_eq!([code(&mut rig, "8.8.4.4:1"), code(&mut rig, "8.8.4.5:1")], [0, 486]);
    assert_eq!(rig.count(Counter::QuotaReached), 2);
}

#[test]
fn the_bitrate_of_an_allocation_is_bounded() {
    let mut rig = with(Quotas { bits_per_second_per_allocation: 800_000, ..Quotas::default() });
    let mut client = rig.client("8.8.8.8:1");
    let relayed = client.allocated(&mut rig);
    assert_eq!(client.bind(&mut rig, 0x4000, "198.51.100.1:9"), 0);
    let (mut up, mut down) = (0, 0);
    for _ in 0..10_000 {
        up += usize::from(client.send_channel(&mut rig, 0x4000, &[0; 1000]).is_some());
        down += usize::from(rig.peer_sends("198.51.100.1:9", relayed, &[0; 1000]).is_some());
        rig.run_for(Duration::from_millis(1));
    }
    // 10 s of 100 packets of 8000 bits, and the burst of one second.
    assert!((1090..=1101).contains(&up) && (1090..=1101).contains(&down), "{up} up, {down} down");
    assert!(rig.count(Counter::OverBitrate) > 17_000);
}
