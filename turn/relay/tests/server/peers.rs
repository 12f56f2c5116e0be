//! Peers that no client reaches through the relay: in every notation of their addresses, by every method.

use crate::notations::REFUSED;
use crate::rig::{Client, Rig, settings};
use relay::{Command, Counter, Interfaces, Policy, Settings};
use std::net::{Ipv4Addr, Ipv6Addr};
use stun::{Family, Method, Writer};

/// The server's own addresses, and their notations.
const OWN: &[&str] = &["9.9.9.9", "2600::9", "64:ff9b::9.9.9.9", "2002:909:909::1"];

/// A client with relayed addresses of both families.
fn client(rig: &mut Rig) -> Client {
    let mut client = rig.client("8.8.8.8:1");
    let both = client.allocate(rig, |writer| _ = writer.additional_address_family(Family::V6));
    assert_eq!(both.relayed().len(), 2);
    client
}

/// A rig whose policy has no exceptions.
fn strict() -> Rig {
    let policy = Policy { allowed: Vec::new(), ..settings().policy };
    Rig::new(Settings { policy, ..settings() })
}

/// By every method.
fn assert_refused(rig: &mut Rig, client: &Client, ip: &str) {
    let peer = with_port(ip, 80);
    assert_eq!(client.permit(rig, &peer), 403, "CreatePermission {ip}");
    assert_eq!(client.bind(rig, 0x4000, &peer), 403, "ChannelBind {ip}");
    assert_eq!(client.send(rig, &peer, b"x"), None, "Send {ip}");
    assert_eq!(client.send_channel(rig, 0x4000, b"x"), None, "ChannelData {ip}");
}

fn with_port(ip: &str, port: u16) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

#[test]
fn no_internal_address_is_reached_in_any_notation() {
    assert!(REFUSED.len() >= 60);
    let mut rig = strict();
    let client = client(&mut rig);
    REFUSED.iter().chain(OWN).for_each(|ip| assert_refused(&mut rig, &client, ip));
    assert_eq!(rig.count(Counter::ToPeersPackets), 0);
    assert_eq!(client.permit(&mut rig, "8.8.4.4:80"), 0);
    assert_eq!(client.permit(&mut rig, "[2600::1]:80"), 0);
}

/// The IANA IPv4 Special-Purpose Address Registry without the globally reachable addresses, multicast, and
/// addresses of clouds.
const SPECIAL_V4: &[(&str, u32)] = &[
    ("0.0.0.0", 8),
    ("10.0.0.0", 8),
    ("100.64.0.0", 10),
    ("127.0.0.0", 8),
    ("168.63.129.16", 32),
    ("169.254.0.0", 16),
    ("172.16.0.0", 12),
    ("192.0.0.0", 24),
    ("192.0.2.0", 24),
    ("192.88.99.0", 24),
    ("192.168.0.0", 16),
    ("198.18.0.0", 15),
    ("198.51.100.0", 24),
    ("203.0.113.0", 24),
    ("224.0.0.0", 4),
    ("240.0.0.0", 4),
    ("255.255.255.255", 32),
    // The server's own.
    ("9.9.9.9", 32),
];

/// The IANA IPv6 Special-Purpose Address Registry without the globally reachable addresses, and formerly
/// reserved prefixes, with at most 64 bits, so that an interface identifier follows.
const SPECIAL_V6: &[(&str, u32)] = &[
    ("::", 64),
    ("64:ff9b:1::", 48),
    ("100::", 64),
    ("100:0:0:1::", 64),
    ("2001::", 23),
    ("2001::", 32),
    ("2001:2::", 48),
    ("2001:10::", 28),
    ("2001:db8::", 32),
    ("3fff::", 20),
    ("5f00::", 16),
    ("fc00::", 7),
    ("fc00::", 8),
    ("fd00::", 8),
    ("fe80::", 10),
    ("fec0::", 10),
    ("ff00::", 8),
    ("ff02::", 16),
    ("ff0e::", 16),
    ("4000::", 2),
    ("8000::", 1),
];

/// The first, the last and two other addresses of a network.
fn samples(first: u128, prefix_len: u32, width: u32) -> [u128; 4] {
    let host = if width == prefix_len { 0 } else { u128::MAX >> (128 - width + prefix_len) };
    [0, 1, 0x5a5a_5a5a_5a5a_5a5a_5a5a_5a5a_5a5a_5a5a, u128::MAX].map(|bits| first | bits & host)
}

fn special_v4() -> impl Iterator<Item = Ipv4Addr> {
    let bits = |text: &str| u128::from(text.parse::<Ipv4Addr>().expect("an address").to_bits());
    let samples = move |(text, len): &(&str, u32)| samples(bits(text), *len, 32);
    SPECIAL_V4.iter().flat_map(samples).map(|bits| Ipv4Addr::from_bits(bits as u32))
}

/// The upper 64 bits of special addresses.
fn special_v6() -> impl Iterator<Item = u64> {
    let bits = |text: &str| text.parse::<Ipv6Addr>().expect("an address").to_bits() >> 64;
    SPECIAL_V6.iter().flat_map(move |(text, len)| samples(bits(text), *len, 64)).map(|bits| bits as u64)
}

/// Interface identifiers of ISATAP (RFC 5214 §6.1), with each value of the two flag bits.
fn isatap(ip: Ipv4Addr) -> [u64; 4] {
    [0, 0x0200, 0x0100, 0x0300].map(|bits| (bits << 16 | 0x5efe) << 32 | u64::from(ip.to_bits()))
}

/// A public network that embeds no IPv4 address.
const PUBLIC_V6: u64 = 0x2600_1234_5678_0001;

/// Each notation of an IPv4 address as an IPv6 address by which it may be reached.
fn translated(ip: Ipv4Addr) -> Vec<u128> {
    let bits = u128::from(ip.to_bits());
    let isatap = isatap(ip).map(|identifier| u128::from(PUBLIC_V6) << 64 | u128::from(identifier));
    // SIIT, NAT64, 6to4.
    let others = [0xffff << 48 | bits, 0x0064_ff9b << 96 | bits, 0x2002 << 112 | bits << 80 | 1];
    others.into_iter().chain(isatap).collect()
}

/// Each notation that is not routed, or has an unknown destination.
fn never(ip: Ipv4Addr) -> Vec<u128> {
    let bits = u128::from(ip.to_bits());
    let local_nat64 = 0x0064_ff9b_0001 << 80;
    let teredo = 0x2001_0000 << 96;
    let public = u128::from(0x0808_0808_u32);
    vec![
        bits,
        0xffff << 32 | bits,
        // With prefixes of 96, of 48 and of 64 bits (RFC 6052 §2.2).
        local_nat64 | bits,
        local_nat64 | bits >> 16 << 64 | (bits & 0xffff) << 40,
        local_nat64 | bits << 24,
        // The server, or the client, whose address is inverted (RFC 4380 §4).
        teredo | bits << 64 | (public ^ 0xffff_ffff),
        teredo | public << 64 | (bits ^ 0xffff_ffff),
    ]
}

#[test]
fn no_special_ipv4_address_is_reached_by_any_embedding() {
    let mut rig = strict();
    let client = client(&mut rig);
    for ip in special_v4() {
        assert_refused(&mut rig, &client, &ip.to_string());
        for bits in [translated(ip), never(ip)].concat() {
            assert_refused(&mut rig, &client, &Ipv6Addr::from_bits(bits).to_string());
        }
        // One embedding in another: 6to4 to a public host, ISATAP from there.
        for identifier in isatap(ip) {
            let bits = u128::from(0x2002_0808_0808_0000_u64) << 64 | u128::from(identifier);
            assert_refused(&mut rig, &client, &Ipv6Addr::from_bits(bits).to_string());
        }
    }
    assert_eq!(rig.count(Counter::ToPeersPackets), 0);
}

#[test]
fn no_special_ipv6_prefix_is_reached_whatever_it_embeds() {
    let mut rig = strict();
    let client = client(&mut rig);
    let public = Ipv4Addr::new(8, 8, 8, 8);
    for prefix in special_v6() {
        for identifier in isatap(public).into_iter().chain([1, 0x5a5a_5a5a_5a5a_5a5a, u64::MAX]) {
            let bits = u128::from(prefix) << 64 | u128::from(identifier);
            assert_refused(&mut rig, &client, &Ipv6Addr::from_bits(bits).to_string());
        }
    }
    for bits in never(public) {
        assert_refused(&mut rig, &client, &Ipv6Addr::from_bits(bits).to_string());
    }
    assert_eq!(rig.count(Counter::ToPeersPackets), 0);
}

/// The addresses of the two tests above are not refused for their notation alone.
#[test]
fn public_ipv4_addresses_are_reached_by_every_embedding_that_is_routed() {
    let mut rig = strict();
    let client = client(&mut rig);
    let public = Ipv4Addr::new(8, 8, 8, 8);
    for bits in translated(public) {
        let peer = with_port(&Ipv6Addr::from_bits(bits).to_string(), 80);
        assert_eq!(client.permit(&mut rig, &peer), 0, "{peer}");
        assert!(client.send(&mut rig, &peer, b"x").is_some(), "{peer}");
    }
}

#[test]
fn addresses_of_interfaces_are_refused_once_they_are_known() {
    let mut rig = strict();
    let client = client(&mut rig);
    let peers = ["8.8.4.4:80", "[2600::44]:80", "[64:ff9b::8.8.4.4]:80"];
    for (number, peer) in (0x4000..).zip(peers) {
        assert_eq!(client.bind(&mut rig, number, peer), 0);
        assert!(client.send_channel(&mut rig, number, b"x").is_some());
    }
    let interfaces =
        || ["8.8.4.4", "2600::44"].map(|ip| ip.parse().expect("an address")).into_iter().collect();
    rig.command(Command::SetInterfaces(interfaces()));
    for (number, peer) in (0x4000..).zip(peers) {
        assert_eq!(client.send_channel(&mut rig, number, b"x"), None, "the channel has ended");
        assert_eq!(client.send(&mut rig, peer, b"x"), None);
        assert_eq!((client.permit(&mut rig, peer), client.bind(&mut rig, number, peer)), (403, 403));
    }
    // Other settings do not contain the interfaces, and do not change them.
    rig.command(Command::Reload(Box::new(settings())));
    assert_eq!(client.permit(&mut rig, peers[0]), 403);
    rig.command(Command::SetInterfaces(Interfaces::default()));
    assert_eq!(client.permit(&mut rig, peers[0]), 0);
}

#[test]
fn a_tcp_connection_is_closed_if_an_interface_gets_the_peers_address() {
    let mut rig = strict();
    let mut client = rig.tcp_client("8.8.8.8:4000");
    client.allocated_tcp(&mut rig);
    let stream = client.connect(&mut rig, "8.8.4.4:6379").expect("on its way");
    rig.peer_accepts(stream);
    rig.command(Command::SetInterfaces(["8.8.4.4".parse().expect("an address")].into_iter().collect()));
    assert!(rig.streams.is_empty());
    assert_eq!(client.connect(&mut rig, "8.8.4.4:6379"), Err(403));
}

/// With the settings of `leat up`.
#[test]
fn a_server_for_allowed_peers_only_relays_to_no_other_and_not_over_tcp() {
    let allowed = vec!["203.0.113.7:7000-7001".parse().expect("an exception")];
    let policy = Policy { allowed, allowed_only: true, ..settings().policy };
    let restricted = || Settings { policy: policy.clone(), tcp_peers: false, ..settings() };
    let mut rig = Rig::new(restricted());
    let client = client(&mut rig);
    for ip in
        ["8.8.8.8", "1.1.1.1", "2600::1", "64:ff9b::8.8.8.8", "2002:808:808::1", "203.0.113.8", "9.9.9.9"]
    {
        assert_refused(&mut rig, &client, ip);
    }
    assert_eq!(client.bind(&mut rig, 0x4000, "203.0.113.7:6379"), 403);
    assert_eq!(client.bind(&mut rig, 0x4000, "203.0.113.7:7001"), 0);
    assert!(client.send_channel(&mut rig, 0x4000, b"x").is_some());
    assert_eq!(client.send(&mut rig, "203.0.113.7:6379", b"x"), None);
    let mut other = rig.tcp_client("8.8.8.8:4000");
    other.challenge(&mut rig);
    let tcp = |writer: &mut Writer<'_>| _ = writer.requested_transport(stun::TCP);
    assert_eq!(other.request(&mut rig, Method::ALLOCATE, tcp).code(), 442);
    // A server that gets this setting ends the connections that it no longer allows.
    let mut rig = Rig::new(settings());
    other.allocated_tcp(&mut rig);
    rig.command(Command::Reload(Box::new(restricted())));
    assert!(rig.relay.is_idle() && rig.sockets.is_empty());
}

/// A permission is for a host, an exception may be for some of its ports.
#[test]
fn an_exception_for_ports_allows_only_these() {
    let allowed = vec!["127.0.0.1:7000-7001".parse().expect("an exception")];
    let policy = Policy { allowed, ..settings().policy };
    let mut rig = Rig::new(Settings { policy, ..settings() });
    let client = client(&mut rig);
    assert_eq!(client.permit(&mut rig, "127.0.0.1:7000"), 0);
    assert!(client.send(&mut rig, "127.0.0.1:7001", b"x").is_some());
    assert_eq!(client.send(&mut rig, "127.0.0.1:6379", b"x"), None);
    assert_eq!(client.bind(&mut rig, 0x4000, "127.0.0.1:6379"), 403);
    assert_eq!(client.bind(&mut rig, 0x4000, "127.0.0.1:7000"), 0);
    assert_eq!(client.permit(&mut rig, "127.0.0.2:7000"), 403);
}

#[test]
fn a_peer_that_is_forbidden_while_the_server_runs_is_closed_for_existing_allocations() {
    let mut rig = Rig::new(settings());
    let client = client(&mut rig);
    assert_eq!(client.bind(&mut rig, 0x4000, "198.51.100.1:9"), 0);
    assert!(client.send_channel(&mut rig, 0x4000, b"x").is_some());
    let policy = Policy { allowed: Vec::new(), ..settings().policy };
    rig.command(Command::Reload(Box::new(Settings { policy, ..settings() })));
    assert_eq!(client.send_channel(&mut rig, 0x4000, b"x"), None);
    assert_eq!(client.send(&mut rig, "198.51.100.1:9", b"x"), None);
    assert_eq!(client.permit(&mut rig, "198.51.100.1:9"), 403);
}
