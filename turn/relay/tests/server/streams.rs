//! Peers over TCP (RFC 6062): connections in both directions, and the end of connections that are not joined.

use crate::rig::{Rig, at, settings};
use machine::{Instant, Machine, StreamId, Towards};
use relay::{Command, Counter, Policy, Quotas};
use std::time::Duration;
use stun::attribute::DONT_FRAGMENT;
use stun::{Class, Method, Writer};

const PEER: &str = "198.51.100.1:7000";
const OTHER: &str = "198.51.100.2:7000";

#[test]
fn an_allocation_for_tcp_needs_a_client_over_tcp_and_has_no_datagrams() {
    let mut rig = Rig::new(settings());
    let mut over_udp = rig.client("8.8.8.8:4000");
    over_udp.challenge(&mut rig);
    let tcp = |writer: &mut Writer<'_>| _ = writer.requested_transport(stun::TCP);
    assert_eq!(over_udp.request(&mut rig, Method::ALLOCATE, tcp).code(), 400);

    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.challenge(&mut rig);
    let wishes: [fn(&mut Writer<'_>); 3] = [
        |writer| _ = writer.requested_transport(stun::TCP).even_port(false),
        |writer| _ = writer.requested_transport(stun::TCP).reservation_token([1; 8]),
        |writer| _ = writer.requested_transport(stun::TCP).attribute(DONT_FRAGMENT, &[]),
    ];
    for wish in wishes {
        assert_eq!(client.request(&mut rig, Method::ALLOCATE, wish).code(), 400);
    }
    assert!(rig.sockets.is_empty());
    assert_eq!(client.allocated_tcp(&mut rig), *rig.sockets.values().next().expect("a listener"));
    assert_eq!(rig.kept, [client.path]);

    // No channel and no indication leads to a peer over TCP.
    assert_eq!(client.bind(&mut rig, 0x4000, PEER), 400);
    assert_eq!(client.permit(&mut rig, PEER), 0);
    assert_eq!(client.send(&mut rig, PEER, b"datagram"), None);
    assert_eq!(client.refresh(&mut rig, 0).code(), 0);
    assert!(rig.sockets.is_empty());
}

#[test]
fn a_client_reaches_a_peer_and_joins_a_connection_with_it() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.allocated_tcp(&mut rig);
    let stream = client.connect(&mut rig, PEER).expect("being opened");
    let answer = rig.peer_accepts(stream);
    assert_eq!((answer.code(), answer.message().method()), (0, Method::CONNECT));
    assert!(answer.message().verify_integrity(&client.key()));
    let id = answer.connection_id();

    let mut data = rig.tcp_client("8.8.8.8:4001");
    assert_eq!(data.join(&mut rig, id ^ 1), 400, "an unknown number");
    assert_eq!(data.join(&mut rig, id), 0);
    assert_eq!(rig.streams[&stream], Some(data.path));
    assert_eq!(rig.tcp_client("8.8.8.8:4002").join(&mut rig, id), 400, "joined already");
    // A joined connection lives as long as its allocation.
    for _ in 0..3 {
        rig.run_for(Duration::from_secs(500));
        assert_eq!(client.refresh(&mut rig, 600).code(), 0);
    }
    assert_eq!(rig.streams.len(), 1);
    rig.run_for(Duration::from_secs(601));
    assert!(rig.streams.is_empty() && rig.sockets.is_empty() && rig.relay.is_idle());
}

#[test]
fn a_second_connection_to_the_same_peer_is_refused() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.allocated_tcp(&mut rig);
    let stream = client.connect(&mut rig, PEER).expect("being opened");
    assert_eq!(client.connect(&mut rig, PEER), Err(446));
    let id = rig.peer_accepts(stream).connection_id();
    assert_eq!(client.connect(&mut rig, PEER), Err(446));
    assert_eq!(rig.tcp_client("8.8.8.8:4001").join(&mut rig, id), 0);
    assert_eq!(client.connect(&mut rig, PEER), Err(446));
    let other = client.connect(&mut rig, OTHER).expect("another peer is another connection");
    assert_ne!(other, stream);
    assert!(rig.stream_closes(stream).is_none(), "the client gets no message on the control connection");
    client.connect(&mut rig, PEER).expect("the first is closed");
    assert_eq!(rig.count(Counter::ConnectionExists), 3);
}

#[test]
fn a_peer_that_refuses_or_does_not_answer_is_a_failure() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.allocated_tcp(&mut rig);
    let refused = client.connect(&mut rig, PEER).expect("being opened");
    assert_eq!(rig.stream_closes(refused).expect("an answer").code(), 447);

    client.connect(&mut rig, PEER).expect("being opened again");
    rig.run_for(Duration::from_millis(29_999));
    assert!(rig.sent().is_empty(), "the timeout is 30 seconds");
    rig.run_for(Duration::from_millis(1));
    let (_, late) = rig.sent().pop().expect("an answer");
    assert_eq!(crate::rig::Answer(late).code(), 447);
    assert!(rig.streams.is_empty());
    assert_eq!(rig.count(Counter::ConnectionFailed), 2);
}

#[test]
fn connections_to_peers_that_the_policy_refuses_are_refused() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.allocated_tcp(&mut rig);
    for (peer, code) in [
        ("127.0.0.1:80", 403),
        ("[::ffff:127.0.0.1]:80", 403),
        ("169.254.169.254:80", 403),
        ("9.9.9.9:3478", 403),
        ("[2001:db8::1]:80", 443),
        ("198.51.100.1:0", 400),
    ] {
        assert_eq!(client.connect(&mut rig, peer), Err(code), "{peer}");
    }
    let answer = client.request(&mut rig, Method::CONNECT, |_| {});
    assert_eq!(answer.code(), 400, "without a peer");
    let mut plain = rig.client("8.8.8.8:4000");
    plain.allocated(&mut rig);
    assert_eq!(plain.connect(&mut rig, PEER), Err(437), "an allocation for datagrams");
    assert_eq!(rig.count(Counter::PeerConnectionsMade), 0);
}

#[test]
fn a_peer_with_a_permission_may_connect_and_the_client_is_notified() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    let relayed = client.allocated_tcp(&mut rig);
    assert!(rig.peer_connects(PEER, relayed).is_none(), "without a permission");
    assert_eq!(client.permit(&mut rig, PEER), 0);
    assert!(rig.peer_connects(OTHER, relayed).is_none(), "the permission is another peer's");
    let (stream, attempt) = rig.peer_connects(PEER, relayed).expect("permitted");
    let message = attempt.message();
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::CONNECTION_ATTEMPT));
    assert_eq!(message.xor_peer_address().flatten(), Some(at(PEER)));
    assert_eq!(rig.tcp_client("8.8.8.8:4001").join(&mut rig, attempt.connection_id()), 0);
    assert!(rig.streams[&stream].is_some());

    // The client does not join the second; the third arrives after its permission has expired.
    let (unwanted, _) = rig.peer_connects("198.51.100.1:7001", relayed).expect("permitted");
    rig.run_for(Duration::from_secs(30));
    assert!(!rig.streams.contains_key(&unwanted) && rig.streams.contains_key(&stream));
    rig.run_for(Duration::from_secs(270));
    assert!(rig.peer_connects("198.51.100.1:7002", relayed).is_none(), "the permission has expired");
    assert_eq!(rig.count(Counter::NoPermission), 3);
}

#[test]
fn a_connection_is_joined_by_its_user_over_another_connection() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.allocated_tcp(&mut rig);
    let stream = client.connect(&mut rig, PEER).expect("being opened");
    let id = rig.peer_accepts(stream).connection_id();
    let bind = |writer: &mut Writer<'_>| _ = writer.connection_id(id);

    let mut stranger = rig.tcp_client("8.8.8.8:4001");
    stranger.username = "v".to_owned();
    assert_eq!(stranger.join(&mut rig, id), 400);
    assert_eq!(rig.client("8.8.8.8:4001").join(&mut rig, id), 400, "over UDP");
    assert_eq!(client.request(&mut rig, Method::CONNECTION_BIND, bind).code(), 400, "the control connection");
    let mut data = rig.tcp_client("8.8.8.8:4002");
    data.challenge(&mut rig);
    assert_eq!(data.request(&mut rig, Method::CONNECTION_BIND, |_| {}).code(), 400, "without a number");
    assert_eq!(data.request(&mut rig, Method::CONNECTION_BIND, bind).code(), 0);
}

#[test]
fn an_expired_credential_still_joins_the_connections_of_its_allocation() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    (client.username, client.password) =
        relay::mint(b"north", relay::Derivation::Sha1, crate::rig::UNIX + Duration::from_secs(65), "alice");
    client.allocated_tcp(&mut rig);
    rig.run_for(Duration::from_secs(120));
    let stream = client.connect(&mut rig, PEER).expect("being opened");
    let id = rig.peer_accepts(stream).connection_id();
    let mut data = rig.tcp_client("8.8.8.8:4001");
    (data.username, data.password) = (client.username.clone(), client.password.clone());
    assert_eq!(data.join(&mut rig, id), 0);
    let mut late = rig.tcp_client("8.8.8.8:4002");
    (late.username, late.password) = (client.username.clone(), client.password.clone());
    assert_eq!(late.allocate(&mut rig, |_| {}).code(), 401, "but makes no allocation");
}

#[test]
fn connections_have_a_bound_for_each_user_that_does_not_affect_others() {
    let quotas = Quotas { connections_per_user: 3, ..Quotas::default() };
    let mut rig = Rig::new(relay::Settings { quotas, ..settings() });
    let mut client = rig.tcp_client("8.8.8.8:4000");
    let relayed = client.allocated_tcp(&mut rig);
    assert_eq!(client.permit(&mut rig, PEER), 0);
    let made: Vec<StreamId> =
        (1..=3).map(|n| client.connect(&mut rig, &format!("198.51.100.{n}:80")).expect("room")).collect();
    assert_eq!(client.connect(&mut rig, "198.51.100.4:80"), Err(508));
    assert!(rig.peer_connects(PEER, relayed).is_none());
    let mut other = rig.tcp_client("8.8.8.8:5000");
    other.username = "v".to_owned();
    other.allocated_tcp(&mut rig);
    other.connect(&mut rig, PEER).expect("another quota");
    assert_eq!(rig.stream_closes(made[0]).expect("an answer").code(), 447);
    client.connect(&mut rig, "198.51.100.4:80").expect("below the quota again");
    assert_eq!(rig.count(Counter::NoCapacity), 2);

    // The control connection closes, and all connections close with it.
    rig.relay.on_path_closed(rig.now, client.path, &mut rig.outbox);
    rig.carry_out_socket_requests();
    assert_eq!((rig.streams.len(), rig.sockets.len()), (1, 1));
}

#[test]
fn bytes_are_counted_and_their_rate_is_bounded() {
    let quotas = Quotas { bits_per_second_per_allocation: 80_000, ..Quotas::default() };
    let mut rig = Rig::new(relay::Settings { quotas, ..settings() });
    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.allocated_tcp(&mut rig);
    let stream = client.connect(&mut rig, PEER).expect("being opened");
    let id = rig.peer_accepts(stream).connection_id();
    assert_eq!(rig.tcp_client("8.8.8.8:4001").join(&mut rig, id), 0);

    let start: Instant = rig.now;
    let mut pass = |towards, bytes| rig.relay.on_stream_passed(start, stream, towards, bytes);
    assert_eq!(pass(Towards::Peer, 10_000), start, "a burst of one second");
    assert_eq!(pass(Towards::Peer, 5_000), start + Duration::from_millis(500));
    assert_eq!(pass(Towards::Client, 10_000), start, "the other direction has its own bucket");
    rig.relay.on_batch_end(start, &mut rig.outbox);
    assert_eq!((rig.count(Counter::ToPeersBytes), rig.count(Counter::ToClientsBytes)), (15_000, 10_000));
}

#[test]
fn connections_end_when_the_policy_forbids_their_peers() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.allocated_tcp(&mut rig);
    let stream = client.connect(&mut rig, PEER).expect("being opened");
    let far = client.connect(&mut rig, "8.8.4.4:80").expect("being opened");
    rig.peer_accepts(stream);
    let policy = Policy { allowed: Vec::new(), ..settings().policy };
    rig.command(Command::Reload(Box::new(relay::Settings { policy, ..settings() })));
    assert_eq!(rig.streams.keys().copied().collect::<Vec<_>>(), [far]);
}
