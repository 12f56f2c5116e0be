//! Permissions, channels, and relayed datagrams (RFC 8656 §9 to §12).

use crate::rig::{Rig, at, settings};
use relay::limits::PERMISSIONS_MAX;
use relay::{Counter, Settings};
use std::time::Duration;
use stun::{ChannelData, Class, Family, Message, Method};

const PEER: &str = "198.51.100.1:9000";

#[test]
fn a_peers_datagrams_need_a_permission_and_arrive_as_data_indications() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:1");
    let relayed = client.allocated(&mut rig);
    assert_eq!(rig.peer_sends(PEER, relayed, b"hello"), None);
    assert_eq!(client.send(&mut rig, PEER, b"hello"), None);
    assert_eq!(rig.count(Counter::NoPermission), 2);
    // The port of the request does not matter: a permission is for a host.
    assert_eq!(client.permit(&mut rig, "198.51.100.1:1"), 0);
    for len in 0..9 {
        let data = &b"datagrams"[..len];
        let (path, bytes) = rig.peer_sends(PEER, relayed, data).expect("it passes");
        assert_eq!(path, client.path);
        let message = Message::new(&bytes).expect("well-formed");
        assert_eq!((message.class(), message.method()), (Class::Indication, Method::DATA));
        assert_eq!((message.xor_peer_address(), message.data()), (Some(Some(at(PEER))), Some(data)));
        let (path, bytes) = client.send(&mut rig, PEER, data).expect("it passes");
        assert_eq!((rig.sockets[&path.local], path.remote, &bytes[..]), (relayed, at(PEER), data));
    }
    assert_eq!(rig.peer_sends("198.51.100.2:9000", relayed, b"hello"), None, "another host");
}

#[test]
fn a_channel_relays_both_ways_with_a_header_of_four_bytes() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:1");
    let relayed = client.allocated(&mut rig);
    assert_eq!(client.send_channel(&mut rig, 0x4000, b"x"), None);
    assert_eq!(client.bind(&mut rig, 0x4000, PEER), 0);
    for len in 0..9 {
        let data = &b"datagrams"[..len];
        let (path, bytes) = client.send_channel(&mut rig, 0x4000, data).expect("it passes");
        assert_eq!((rig.sockets[&path.local], path.remote, &bytes[..]), (relayed, at(PEER), data));
        let (_, bytes) = rig.peer_sends(PEER, relayed, data).expect("it passes");
        assert_eq!(ChannelData::new(&bytes), Some(ChannelData { number: 0x4000, data }));
        assert_eq!(bytes.len(), 4 + len, "over UDP without padding");
    }
    // From another port of the same host, which has a permission from the channel, but no channel.
    let (_, bytes) = rig.peer_sends("198.51.100.1:9001", relayed, b"x").expect("it passes");
    assert!(Message::new(&bytes).is_ok());
}

/// RFC 8656 §12.5.
#[test]
fn over_a_stream_channel_data_is_padded_to_four_bytes() {
    let mut rig = Rig::new(settings());
    let mut client = rig.tcp_client("8.8.8.8:1");
    let relayed = client.allocated(&mut rig);
    assert_eq!(client.bind(&mut rig, 0x4000, PEER), 0);
    for len in 0..9 {
        let data = &b"datagrams"[..len];
        let (_, bytes) = rig.peer_sends(PEER, relayed, data).expect("it passes");
        assert!(bytes.len().is_multiple_of(4) && bytes[4 + len..].iter().all(|byte| *byte == 0));
        assert_eq!(ChannelData::new(&bytes), Some(ChannelData { number: 0x4000, data }));
        let padded = bytes.clone();
        let (_, sent) = rig.receive(client.path, &padded).pop().expect("it passes");
        assert_eq!(sent, data, "the padding is not relayed");
    }
}

#[test]
fn a_channel_number_has_one_peer_and_a_peer_one_number() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:1");
    client.allocated(&mut rig);
    assert_eq!(client.bind(&mut rig, 0x4000, PEER), 0);
    assert_eq!(client.bind(&mut rig, 0x4000, PEER), 0, "again");
    assert_eq!(client.bind(&mut rig, 0x4000, "198.51.100.1:9001"), 400);
    assert_eq!(client.bind(&mut rig, 0x4001, PEER), 400);
    assert_eq!(client.bind(&mut rig, 0x4001, "198.51.100.1:9001"), 0);
    for (number, code) in [(0x3fff, 400), (0x4fff, 0), (0x5000, 400), (0x7fff, 400), (0, 400), (0xffff, 400)]
    {
        assert_eq!(client.bind(&mut rig, number, "198.51.100.2:1"), code, "{number:#06x}");
    }
    let mut rig = Rig::new(Settings { old_channels: true, ..settings() });
    let mut client = rig.client("8.8.8.8:1");
    client.allocated(&mut rig);
    assert_eq!(client.bind(&mut rig, 0x7fff, PEER), 0);
    assert!(client.send_channel(&mut rig, 0x7fff, b"x").is_some());
}

/// ChannelBind also creates a permission (RFC 8656 §12.2): both or neither.
#[test]
fn a_channel_bind_that_fails_leaves_neither_channel_nor_permission() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:1");
    client.allocate(&mut rig, |writer| _ = writer.lifetime(3600));
    for host in 0..PERMISSIONS_MAX {
        assert_eq!(client.permit(&mut rig, &format!("198.51.100.{host}:1")), 0);
    }
    let beyond = "198.51.100.200:1";
    assert_eq!(client.bind(&mut rig, 0x4000, beyond), 508);
    assert_eq!(client.send_channel(&mut rig, 0x4000, b"x"), None);
    assert_eq!(rig.count(Counter::NoChannel), 1, "there is no such channel");
    assert_eq!(client.bind(&mut rig, 0x4000, "198.51.100.0:1"), 0, "the number is free");
    assert_eq!(client.bind(&mut rig, 0x4000, "198.51.100.1:1"), 400);
    rig.run_for(Duration::from_secs(301));
    assert_eq!(client.bind(&mut rig, 0x4000, "198.51.100.2:1"), 400, "still another peer's");
    assert_eq!(client.send(&mut rig, "198.51.100.2:1", b"x"), None, "it creates no permission");
    assert_eq!(client.bind(&mut rig, 0x4001, beyond), 0, "the peer has no number yet");
}

#[test]
fn permissions_last_five_minutes_and_channels_ten() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:1");
    let relayed = client.allocate(&mut rig, |writer| _ = writer.lifetime(3600)).relayed()[0];
    assert_eq!(client.bind(&mut rig, 0x4000, PEER), 0);
    rig.run_for(Duration::from_secs(299));
    assert!(client.send_channel(&mut rig, 0x4000, b"x").is_some());
    assert!(rig.peer_sends(PEER, relayed, b"x").is_some());
    rig.run_for(Duration::from_secs(2));
    assert_eq!(
        client.send_channel(&mut rig, 0x4000, b"x"),
        None,
        "the channel is there, the permission is not"
    );
    assert_eq!(rig.peer_sends(PEER, relayed, b"x"), None);
    assert_eq!(client.permit(&mut rig, PEER), 0);
    assert!(client.send_channel(&mut rig, 0x4000, b"x").is_some());
    rig.run_for(Duration::from_secs(298));
    assert!(client.send_channel(&mut rig, 0x4000, b"x").is_some());
    rig.run_for(Duration::from_secs(2));
    assert_eq!(client.send_channel(&mut rig, 0x4000, b"x"), None);
    assert_eq!(client.bind(&mut rig, 0x4000, "198.51.100.2:1"), 0, "the number is free again");
    assert_eq!(client.bind(&mut rig, 0x4001, PEER), 0, "and so is the peer");
}

#[test]
fn a_peer_of_another_family_is_refused_and_a_dual_allocation_reaches_both() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:1");
    client.allocated(&mut rig);
    assert_eq!(client.permit(&mut rig, "[2001:db8::1]:9"), 443);
    assert_eq!(client.bind(&mut rig, 0x4000, "[2001:db8::1]:9"), 443);
    let mut client = rig.client("8.8.8.8:2");
    let both = client.allocate(&mut rig, |writer| _ = writer.additional_address_family(Family::V6)).relayed();
    for (peer, relayed) in [(PEER, both[0]), ("[2001:db8::1]:9", both[1])] {
        assert_eq!(client.permit(&mut rig, peer), 0);
        let (path, _) = client.send(&mut rig, peer, b"x").expect("it passes");
        assert_eq!(rig.sockets[&path.local], relayed);
        assert!(rig.peer_sends(peer, relayed, b"x").is_some());
    }
}

#[test]
fn a_request_for_permissions_is_granted_completely_or_not_at_all() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:1");
    client.allocated(&mut rig);
    let permit = |rig: &mut Rig, peers: &[&str]| {
        let fill = |writer: &mut stun::Writer<'_>| {
            peers.iter().for_each(|peer| _ = writer.xor_peer_address(at(peer)));
        };
        client.request(rig, Method::CREATE_PERMISSION, fill).code()
    };
    assert_eq!(permit(&mut rig, &[]), 400);
    assert_eq!(permit(&mut rig, &[PEER, "10.0.0.1:1"]), 403);
    assert_eq!(permit(&mut rig, &[PEER, "[2001:db8::1]:1"]), 443);
    assert_eq!(client.send(&mut rig, PEER, b"x"), None);
    assert_eq!(permit(&mut rig, &[PEER, "198.51.100.2:1"]), 0);
    assert!(client.send(&mut rig, PEER, b"x").is_some());
    assert_eq!(permit(&mut rig, &[PEER; 33]), 400);
    let malformed = client.request(&mut rig, Method::CREATE_PERMISSION, |writer| {
        _ = writer.attribute(stun::attribute::XOR_PEER_ADDRESS, &[0, 9, 0, 0]);
    });
    assert_eq!(malformed.code(), 400);
}

#[test]
fn permissions_and_channels_have_a_bound() {
    let mut rig = Rig::new(settings());
    let mut client = rig.client("8.8.8.8:1");
    client.allocate(&mut rig, |writer| _ = writer.lifetime(3600));
    for host in 0..relay::limits::PERMISSIONS_MAX {
        assert_eq!(client.permit(&mut rig, &format!("198.51.100.{host}:1")), 0);
    }
    assert_eq!(client.permit(&mut rig, "198.51.100.200:1"), 508);
    assert_eq!(client.permit(&mut rig, "198.51.100.0:1"), 0, "an old one can be renewed");
    for index in 0..relay::limits::CHANNELS_MAX as u16 {
        assert_eq!(client.bind(&mut rig, 0x4000 + index, &format!("198.51.100.0:{}", index + 1)), 0);
    }
    assert_eq!(client.bind(&mut rig, 0x4fff, "198.51.100.0:999"), 508);
    rig.run_for(Duration::from_secs(601));
    assert_eq!(client.permit(&mut rig, "198.51.100.200:1"), 0, "those that expired make room");
    assert_eq!(client.bind(&mut rig, 0x4fff, "198.51.100.0:999"), 0);
}
