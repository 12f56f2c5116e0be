//! Allocate and Refresh (RFC 8656 §7, §8).

use crate::rig::{Rig, settings};
use machine::{Machine, SocketError};
use relay::limits::RESERVATIONS_MAX;
use relay::{Command, Counter, End, Event, Quotas, Settings};
use std::time::Duration;
use stun::attribute::{ADDITIONAL_ADDRESS_FAMILY, ADDRESS_ERROR_CODE, ALTERNATE_SERVER, EVEN_PORT};
use stun::{Family, Method, Writer};

#[test]
fn an_allocation_returns_its_relayed_address_and_the_clients_address() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:4000");
    let answer = client.allocate(&mut rig, |_| {});
    assert_eq!(answer.code(), 0);
    assert_eq!(answer.relayed(), rig.sockets.values().copied().collect::<Vec<_>>());
    assert_eq!(answer.message().xor_mapped_address(), Some(client.path.remote));
    assert_eq!(answer.message().lifetime(), Some(Some(600)));
    assert!(matches!(rig.relay.poll_event(), Some(Event::Created { user, .. }) if user == "u"));
}

#[test]
fn a_repeated_request_is_answered_again_and_another_is_a_mismatch() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:4000");
    client.challenge(&mut rig);
    let id = rig.id();
    let fill = |writer: &mut Writer<'_>| _ = writer.requested_transport(stun::UDP);
    let first = client.request_as(&mut rig, id, Method::ALLOCATE, fill);
    let second = client.request_as(&mut rig, id, Method::ALLOCATE, fill);
    assert_eq!(first.relayed(), second.relayed());
    assert_eq!(client.request(&mut rig, Method::ALLOCATE, fill).code(), 437);
    assert_eq!(rig.sockets.len(), 1);
}

#[test]
fn invalid_allocate_requests_are_refused() {
    type Fill = fn(&mut Writer<'_>);
    let cases: &[(u16, Fill)] = &[
        (400, |_| {}),
        (400, |writer| _ = writer.requested_transport(stun::TCP)),
        (442, |writer| _ = writer.requested_transport(1)),
        (400, |writer| {
            _ = writer.requested_transport(stun::UDP).reservation_token(*b"nonsense").even_port(true)
        }),
        (508, |writer| _ = writer.requested_transport(stun::UDP).reservation_token(*b"nonsense")),
        (400, |writer| {
            writer
                .requested_transport(stun::UDP)
                .requested_address_family(Family::V4)
                .additional_address_family(Family::V6);
        }),
        (400, |writer| _ = writer.requested_transport(stun::UDP).additional_address_family(Family::V4)),
        (400, |writer| {
            _ = writer.requested_transport(stun::UDP).additional_address_family(Family::V6).even_port(true);
        }),
        (400, |writer| _ = writer.requested_transport(stun::UDP).attribute(EVEN_PORT, &[])),
        (400, |writer| {
            _ = writer.requested_transport(stun::UDP).attribute(ADDITIONAL_ADDRESS_FAMILY, &[9, 0, 0, 0])
        }),
        (440, |writer| {
            let kind = stun::attribute::REQUESTED_ADDRESS_FAMILY;
            _ = writer.requested_transport(stun::UDP).attribute(kind, &[9, 0, 0, 0]);
        }),
        (420, |writer| _ = writer.requested_transport(stun::UDP).attribute(0x7abc, &[])),
    ];
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:4000");
    client.challenge(&mut rig);
    for (index, (code, fill)) in cases.iter().enumerate() {
        let answer = client.request(&mut rig, Method::ALLOCATE, fill);
        assert_eq!(answer.code(), *code, "case {index}");
        assert!(
            answer.message().verify_integrity(&client.key()),
            "an authenticated client gets a signed answer"
        );
        assert!(rig.relay.is_idle() && rig.sockets.is_empty());
    }
}

#[test]
fn addresses_have_the_requested_families() {
    let mut rig = Rig::new(settings());
    let v6 = |writer: &mut Writer<'_>| _ = writer.requested_address_family(Family::V6);
    let answer = rig.client("8.8.8.8:1").allocate(&mut rig, v6);
    assert!(answer.relayed()[0].is_ipv6() && answer.relayed().len() == 1);
    let both = |writer: &mut Writer<'_>| _ = writer.additional_address_family(Family::V6);
    let mut client = rig.client("8.8.8.8:2");
    let answer = client.allocate(&mut rig, both);
    assert!(answer.relayed()[0].is_ipv4() && answer.relayed()[1].is_ipv6());
    assert_eq!(rig.sockets.len(), 3);
    // One of the two is released; then the other, and with it the allocation.
    let give_up = |client: &crate::rig::Client, rig: &mut Rig, family| {
        client
            .request(rig, Method::REFRESH, |writer| _ = writer.lifetime(0).requested_address_family(family))
            .code()
    };
    assert_eq!(give_up(&client, &mut rig, Family::V6), 0);
    assert_eq!((rig.sockets.len(), rig.count(Counter::Allocations)), (2, 2));
    assert_eq!(give_up(&client, &mut rig, Family::V6), 443);
    assert_eq!(give_up(&client, &mut rig, Family::V4), 0);
    assert_eq!((rig.sockets.len(), rig.count(Counter::Allocations)), (1, 1));
}

#[test]
fn an_unavailable_family_is_reported() {
    let mut rig = Rig::new(Settings { families: [true, false], ..settings() });
    let v6 = |writer: &mut Writer<'_>| _ = writer.requested_address_family(Family::V6);
    assert_eq!(rig.client("8.8.8.8:1").allocate(&mut rig, v6).code(), 440);
    let both = |writer: &mut Writer<'_>| _ = writer.additional_address_family(Family::V6);
    let answer = rig.client("8.8.8.8:2").allocate(&mut rig, both);
    assert_eq!((answer.code(), answer.relayed().len()), (0, 1));
    assert_eq!(answer.message().attribute(ADDRESS_ERROR_CODE), Some(&[2, 0, 4, 40][..]));
}

#[test]
fn a_request_without_a_family_gets_ipv6_if_there_is_no_ipv4() {
    let mut rig = Rig::new(Settings { families: [false, true], ..settings() });
    let answer = rig.client("[2620::1]:1").allocate(&mut rig, |_| {});
    assert!(answer.relayed()[0].is_ipv6() && answer.relayed().len() == 1);
    // IPv4 is still refused if requested by name, alone or with IPv6.
    let v4 = |writer: &mut Writer<'_>| _ = writer.requested_address_family(Family::V4);
    assert_eq!(rig.client("[2620::1]:2").allocate(&mut rig, v4).code(), 440);
}

#[test]
fn an_unavailable_port_is_reported_and_not_counted() {
    let mut rig = Rig::new(settings());
    for (refusal, code) in [(SocketError::Ports, 508), (SocketError::System, 508), (SocketError::Family, 440)]
    {
        rig.refusal = Some(refusal);
        let mut client = rig.client("8.8.8.8:1");
        assert_eq!(client.allocate(&mut rig, |writer| _ = writer.even_port(true)).code(), code);
        assert!(rig.relay.is_idle());
    }
    rig.refusal = None;
    rig.client("8.8.8.8:1").allocated(&mut rig);
}

#[test]
fn the_port_after_an_even_one_is_reserved_for_the_same_user() {
    let mut rig = Rig::new(settings());
    let even = rig.client("8.8.8.8:1").allocate(&mut rig, |writer| _ = writer.even_port(false));
    assert_eq!((even.relayed()[0].port() % 2, rig.sockets.len()), (0, 1), "the odd one is closed again");
    let mut client = rig.client("8.8.8.8:2");
    let first = client.allocate(&mut rig, |writer| _ = writer.even_port(true));
    let token = first.message().reservation_token().flatten().expect("a token");
    let mut stranger = rig.client("8.8.8.8:3");
    stranger.username = "v".to_owned();
    let with_token = |writer: &mut Writer<'_>| _ = writer.reservation_token(token);
    assert_eq!(stranger.allocate(&mut rig, with_token).code(), 508, "another user's");
    let mut second = rig.client("8.8.8.8:4");
    let answer = second.allocate(&mut rig, with_token);
    assert_eq!(answer.relayed()[0].port(), first.relayed()[0].port() + 1);
    assert_eq!(rig.client("8.8.8.8:5").allocate(&mut rig, with_token).code(), 508, "taken");
    assert_eq!(second.refresh(&mut rig, 0).code(), 0);
    assert_eq!(rig.sockets.len(), 2);
}

/// RFC 8656 §7.2: a client that requests the next port as well gets both or neither.
#[test]
fn an_even_port_whose_next_one_cannot_be_reserved_is_refused() {
    let quotas = Quotas { allocations_per_user: 1_000, ports_per_user: 1_000, ..Quotas::default() };
    let mut rig = Rig::new(Settings { quotas, ..settings() });
    let reserve = |writer: &mut Writer<'_>| _ = writer.even_port(true);
    for port in 1..=RESERVATIONS_MAX {
        let answer = rig.client(&format!("8.8.8.8:{port}")).allocate(&mut rig, reserve);
        assert!(answer.message().reservation_token().is_some());
    }
    let open = rig.sockets.len();
    let mut late = rig.client("8.8.8.8:9000");
    assert_eq!(late.allocate(&mut rig, reserve).code(), 508);
    assert_eq!((rig.sockets.len(), rig.count(Counter::NoCapacity)), (open, 1), "nothing is left of it");
    assert_eq!(late.allocate(&mut rig, |writer| _ = writer.even_port(false)).code(), 0);
    // After the reservations have expired, there are free ports again.
    rig.run_for(Duration::from_secs(31));
    let answer = rig.client("8.8.8.8:9001").allocate(&mut rig, reserve);
    assert!(answer.message().reservation_token().is_some());
}

#[test]
fn an_unused_reservation_expires_after_thirty_seconds() {
    let mut rig = Rig::new(settings());
    let answer = rig.client("8.8.8.8:2").allocate(&mut rig, |writer| _ = writer.even_port(true));
    let token = answer.message().reservation_token().flatten().expect("a token");
    rig.run_for(Duration::from_secs(29));
    assert_eq!(rig.sockets.len(), 2);
    rig.run_for(Duration::from_secs(2));
    assert_eq!(rig.sockets.len(), 1);
    let late = rig.client("8.8.8.8:3").allocate(&mut rig, |writer| _ = writer.reservation_token(token));
    assert_eq!(late.code(), 508);
}

#[test]
fn lifetimes_are_bounded_and_refreshed_and_end() {
    let mut rig = Rig::new(settings());
    for (wanted, granted) in [(1, 600), (600, 600), (1800, 1800), (3600, 3600), (u32::MAX, 3600)] {
        let mut client = rig.client("8.8.8.8:1");
        let answer = client.allocate(&mut rig, |writer| _ = writer.lifetime(wanted));
        assert_eq!(answer.message().lifetime(), Some(Some(granted)));
        assert_eq!(client.refresh(&mut rig, 0).message().lifetime(), Some(Some(0)));
        assert!(rig.relay.is_idle());
    }
    let mut client = rig.client("8.8.8.8:2");
    client.allocated(&mut rig);
    rig.run_for(Duration::from_secs(599));
    assert_eq!(client.refresh(&mut rig, 900).message().lifetime(), Some(Some(900)));
    rig.run_for(Duration::from_secs(899));
    assert!(!rig.relay.is_idle());
    rig.run_for(Duration::from_secs(2));
    assert!(rig.relay.is_idle() && rig.sockets.is_empty());
    assert_eq!(client.refresh(&mut rig, 600).code(), 437);
    let ends = std::iter::from_fn(|| rig.relay.poll_event());
    assert!(matches!(ends.last(), Some(Event::Ended { end: End::Expired, .. })));
}

#[test]
fn an_allocation_can_be_used_by_its_user_only() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:1");
    client.allocated(&mut rig);
    let mut other = client.clone();
    other.username = "v".to_owned();
    assert_eq!(other.refresh(&mut rig, 0).code(), 441);
    assert_eq!(other.permit(&mut rig, "198.51.100.1:9"), 441);
    assert_eq!(client.refresh(&mut rig, 600).code(), 0);
    let mut nobody = rig.client("8.8.8.8:2");
    nobody.challenge(&mut rig);
    assert_eq!(nobody.permit(&mut rig, "198.51.100.1:9"), 437);
    assert_eq!(nobody.bind(&mut rig, 0x4000, "198.51.100.1:9"), 437);
}

#[test]
fn the_announced_address_replaces_the_sockets_address() {
    let announced = vec![std::net::IpAddr::from([203, 0, 113, 5])];
    let mut rig = Rig::new(Settings { announced: announced.clone(), ..settings() });
    let relayed = rig.client("8.8.8.8:1").allocate(&mut rig, |writer| {
        _ = writer.additional_address_family(Family::V6);
    });
    assert_eq!(relayed.relayed()[0].ip(), announced[0]);
    assert_eq!(relayed.relayed()[1].ip(), crate::rig::server_ip(true), "there is none of that family");
}

#[test]
fn a_draining_server_or_one_with_an_alternate_makes_no_allocations() {
    let alternate = Some("203.0.113.5:3478".parse().expect("an address"));
    let mut rig = Rig::new(Settings { alternate_server: alternate, ..settings() });
    let answer = rig.client("8.8.8.8:1").allocate(&mut rig, |_| {});
    assert_eq!(answer.code(), 300);
    assert_eq!(answer.message().attribute(ALTERNATE_SERVER), Some(&[0, 1, 0x0d, 0x96, 203, 0, 113, 5][..]));
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:1");
    client.allocated(&mut rig);
    rig.command(Command::Drain);
    assert_eq!(rig.client("8.8.8.8:2").allocate(&mut rig, |_| {}).code(), 403);
    assert_eq!(client.refresh(&mut rig, 600).code(), 0, "existing allocations continue");
}

#[test]
fn dont_fragment_applies_to_the_whole_allocation() {
    let mut rig = Rig::new(settings());
    let mut plain = rig.client("8.8.8.8:1");
    plain.allocated(&mut rig);
    assert!(!rig.dont_fragment);
    assert_eq!(plain.permit(&mut rig, "198.51.100.1:9"), 0);
    let dont_fragment = |writer: &mut Writer<'_>| _ = writer.attribute(stun::attribute::DONT_FRAGMENT, &[]);
    assert_eq!(plain.send_with(&mut rig, "198.51.100.1:9", b"x", dont_fragment), None);
    assert!(plain.send(&mut rig, "198.51.100.1:9", b"x").is_some());
    let mut whole = rig.client("8.8.8.8:2");
    assert_eq!(whole.allocate(&mut rig, dont_fragment).code(), 0);
    assert!(rig.dont_fragment);
    assert_eq!(whole.permit(&mut rig, "198.51.100.1:9"), 0);
    assert!(whole.send_with(&mut rig, "198.51.100.1:9", b"x", dont_fragment).is_some());
}

#[test]
fn a_connection_is_kept_open_while_it_has_an_allocation_and_the_allocation_ends_with_it() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:1");
    client.challenge(&mut rig);
    assert!(rig.kept.is_empty(), "a challenge keeps no connection open");
    client.allocated(&mut rig);
    assert_eq!(rig.kept, [client.path]);
    let (now, mut outbox) = (rig.now, crate::rig::Outbox::default());
    rig.relay.on_path_closed(now, client.path, &mut outbox);
    rig.carry_out_socket_requests();
    assert!(rig.relay.is_idle() && rig.sockets.is_empty() && rig.hung_up.is_empty());
    client.allocated(&mut rig);
    rig.run_for(Duration::from_secs(601));
    assert_eq!(rig.hung_up, [client.path], "a connection without an allocation is closed");
}
