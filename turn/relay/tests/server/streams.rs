//! Peers over TCP (RFC 6062): whom a client connects to and who to it, and what becomes of connections that nobody wants.

use crate::rig::{Rig, at, settings};
use machine::{Instant, Machine, StreamId, Towards};
use relay::{Command, Counter, Policy, Quotas};
use std::time::Duration;
use stun::attribute::DONT_FRAGMENT;
use stun::{Class, Method, Writer};

const PEER: &str = "198.51.100.1:7000";
const OTHER: &str = "198.51.100.2:7000";

#[test]
fn an_allocation_over_tcp_wants_tcp_all_the_way_and_nothing_of_datagrams() {
    let mut rig = Rig::new(settings());
    let mut over_udp = rig.client("8.8.8.8:4000");
    over_udp.knock(&mut rig);
    let tcp = |writer: &mut Writer<'_>| _ = writer.requested_transport(stun::TCP);
    assert_eq!(over_udp.ask(&mut rig, Method::ALLOCATE, tcp).code(), 400);

    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.knock(&mut rig);
    let wishes: [fn(&mut Writer<'_>); 3] = [
        |writer| _ = writer.requested_transport(stun::TCP).even_port(false),
        |writer| _ = writer.requested_transport(stun::TCP).reservation_token([1; 8]),
        |writer| _ = writer.requested_transport(stun::TCP).attribute(DONT_FRAGMENT, &[]),
    ];
    for wish in wishes {
        assert_eq!(client.ask(&mut rig, Method::ALLOCATE, wish).code(), 400);
    }
    assert!(rig.sockets.is_empty());
    assert_eq!(client.allocated_tcp(&mut rig), *rig.sockets.values().next().expect("a listener"));
    assert_eq!(rig.kept, [client.path]);

    // No channel leads to a peer over TCP, and no indication.
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
    let stream = client.connect(&mut rig, PEER).expect("on its way");
    let answer = rig.peer_accepts(stream);
    assert_eq!((answer.code(), answer.message().method()), (0, Method::CONNECT));
    assert!(answer.message().verify_integrity(&client.key()));
    let id = answer.connection_id();

    let mut data = rig.tcp_client("8.8.8.8:4001");
    assert_eq!(data.join(&mut rig, id ^ 1), 400, "a number that is no connection's");
    assert_eq!(data.join(&mut rig, id), 0);
    assert_eq!(rig.streams[&stream], Some(data.path));
    assert_eq!(rig.tcp_client("8.8.8.8:4002").join(&mut rig, id), 400, "joined already");
    // A connection that is joined lives on as long as its allocation.
    for _ in 0..3 {
        rig.run_for(Duration::from_secs(500));
        assert_eq!(client.refresh(&mut rig, 600).code(), 0);
    }
    assert_eq!(rig.streams.len(), 1);
    rig.run_for(Duration::from_secs(601));
    assert!(rig.streams.is_empty() && rig.sockets.is_empty() && rig.relay.is_idle());
}

#[test]
fn a_connection_that_is_there_or_on_its_way_is_not_made_twice() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.allocated_tcp(&mut rig);
    let stream = client.connect(&mut rig, PEER).expect("on its way");
    assert_eq!(client.connect(&mut rig, PEER), Err(446));
    let id = rig.peer_accepts(stream).connection_id();
    assert_eq!(client.connect(&mut rig, PEER), Err(446));
    assert_eq!(rig.tcp_client("8.8.8.8:4001").join(&mut rig, id), 0);
    assert_eq!(client.connect(&mut rig, PEER), Err(446));
    let other = client.connect(&mut rig, OTHER).expect("another peer is another connection");
    assert_ne!(other, stream);
    assert!(rig.stream_closes(stream).is_none(), "the client sees its own connection close");
    client.connect(&mut rig, PEER).expect("the first is no more");
    assert_eq!(rig.count(Counter::ConnectionExists), 3);
}

#[test]
fn a_peer_that_refuses_or_does_not_answer_is_a_failure() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.allocated_tcp(&mut rig);
    let refused = client.connect(&mut rig, PEER).expect("on its way");
    assert_eq!(rig.stream_closes(refused).expect("an answer").code(), 447);

    client.connect(&mut rig, PEER).expect("on its way again");
    rig.run_for(Duration::from_millis(29_999));
    assert!(rig.sent().is_empty(), "it has half a minute");
    rig.run_for(Duration::from_millis(1));
    let (_, late) = rig.sent().pop().expect("an answer");
    assert_eq!(crate::rig::Answer(late).code(), 447);
    assert!(rig.streams.is_empty());
    assert_eq!(rig.count(Counter::ConnectionFailed), 2);
}

#[test]
fn whom_the_policy_refuses_cannot_be_connected_to() {
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
    let answer = client.ask(&mut rig, Method::CONNECT, |_| {});
    assert_eq!(answer.code(), 400, "without a peer");
    let mut plain = rig.client("8.8.8.8:4000");
    plain.allocated(&mut rig);
    assert_eq!(plain.connect(&mut rig, PEER), Err(437), "an allocation for datagrams");
    assert_eq!(rig.count(Counter::PeerConnectionsMade), 0);
}

#[test]
fn a_peer_may_connect_that_has_a_permission_and_the_client_is_told() {
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

    // Nobody comes for the second; the third comes when its permission is over.
    let (unwanted, _) = rig.peer_connects("198.51.100.1:7001", relayed).expect("permitted");
    rig.run_for(Duration::from_secs(30));
    assert!(!rig.streams.contains_key(&unwanted) && rig.streams.contains_key(&stream));
    rig.run_for(Duration::from_secs(270));
    assert!(rig.peer_connects("198.51.100.1:7002", relayed).is_none(), "five minutes are over");
    assert_eq!(rig.count(Counter::NoPermission), 3);
}

#[test]
fn a_connection_is_joined_by_its_user_over_a_connection_of_its_own() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.allocated_tcp(&mut rig);
    let stream = client.connect(&mut rig, PEER).expect("on its way");
    let id = rig.peer_accepts(stream).connection_id();
    let bind = |writer: &mut Writer<'_>| _ = writer.connection_id(id);

    let mut stranger = rig.tcp_client("8.8.8.8:4001");
    stranger.username = "v".to_owned();
    assert_eq!(stranger.join(&mut rig, id), 400);
    assert_eq!(rig.client("8.8.8.8:4001").join(&mut rig, id), 400, "over UDP");
    assert_eq!(client.ask(&mut rig, Method::CONNECTION_BIND, bind).code(), 400, "its own way to the server");
    let mut data = rig.tcp_client("8.8.8.8:4002");
    data.knock(&mut rig);
    assert_eq!(data.ask(&mut rig, Method::CONNECTION_BIND, |_| {}).code(), 400, "without a number");
    assert_eq!(data.ask(&mut rig, Method::CONNECTION_BIND, bind).code(), 0);
}

#[test]
fn an_expired_credential_still_joins_the_connections_of_its_allocation() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    (client.username, client.password) =
        relay::mint(b"north", relay::Derivation::Sha1, crate::rig::UNIX + Duration::from_secs(65), "alice");
    client.allocated_tcp(&mut rig);
    rig.run_for(Duration::from_secs(120));
    let stream = client.connect(&mut rig, PEER).expect("on its way");
    let id = rig.peer_accepts(stream).connection_id();
    let mut data = rig.tcp_client("8.8.8.8:4001");
    (data.username, data.password) = (client.username.clone(), client.password.clone());
    assert_eq!(data.join(&mut rig, id), 0);
    let mut late = rig.tcp_client("8.8.8.8:4002");
    (late.username, late.password) = (client.username.clone(), client.password.clone());
    assert_eq!(late.allocate(&mut rig, |_| {}).code(), 401, "but makes no allocation");
}

#[test]
fn connections_have_a_bound_for_each_user_and_others_do_not_feel_it() {
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
    other.connect(&mut rig, PEER).expect("room of its own");
    assert_eq!(rig.stream_closes(made[0]).expect("an answer").code(), 447);
    client.connect(&mut rig, "198.51.100.4:80").expect("room again");
    assert_eq!(rig.count(Counter::NoCapacity), 2);

    // The way to the server closes, and with it goes everything.
    rig.relay.on_path_closed(rig.now, client.path, &mut rig.outbox);
    rig.carry_out_orders();
    assert_eq!((rig.streams.len(), rig.sockets.len()), (1, 1));
}

#[test]
fn bytes_are_counted_and_no_faster_than_they_may_be() {
    let quotas = Quotas { bits_per_second_per_allocation: 80_000, ..Quotas::default() };
    let mut rig = Rig::new(relay::Settings { quotas, ..settings() });
    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.allocated_tcp(&mut rig);
    let stream = client.connect(&mut rig, PEER).expect("on its way");
    let id = rig.peer_accepts(stream).connection_id();
    assert_eq!(rig.tcp_client("8.8.8.8:4001").join(&mut rig, id), 0);

    let start: Instant = rig.now;
    let mut pass = |towards, bytes| rig.relay.on_stream_passed(start, stream, towards, bytes);
    assert_eq!(pass(Towards::Peer, 10_000), start, "a second's worth at once");
    assert_eq!(pass(Towards::Peer, 5_000), start + Duration::from_millis(500));
    assert_eq!(pass(Towards::Client, 10_000), start, "the other way has its own");
    rig.relay.on_batch_end(start, &mut rig.outbox);
    assert_eq!((rig.count(Counter::ToPeersBytes), rig.count(Counter::ToClientsBytes)), (15_000, 10_000));
}

#[test]
fn connections_with_peers_that_may_not_be_reached_any_more_end() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.allocated_tcp(&mut rig);
    let stream = client.connect(&mut rig, PEER).expect("on its way");
    let far = client.connect(&mut rig, "8.8.4.4:80").expect("on its way");
    rig.peer_accepts(stream);
    let policy = Policy { allowed: Vec::new(), ..settings().policy };
    rig.command(Command::Reload(Box::new(relay::Settings { policy, ..settings() })));
    assert_eq!(rig.streams.keys().copied().collect::<Vec<_>>(), [far]);
}
