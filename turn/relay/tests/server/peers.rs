//! Whom nobody reaches through the relay, however its address is written: every encoding, by every method.

use crate::rig::{Client, Rig, settings};
use relay::{Command, Counter, Policy, Settings};
use stun::Family;

/// Addresses that mean something only where the server stands, and ways to write them.
const FORBIDDEN: &[&str] = &[
    // This host, this network.
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "127.0.0.1",
    "127.0.0.53",
    "127.255.255.255",
    // Private, shared, link-local.
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "169.254.0.1",
    "169.254.169.254",
    // What clouds tell their hosts by, and other special purposes.
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "203.0.113.1",
    // Many, and nobody.
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    // The server's own.
    "9.9.9.9",
    "2600::9",
    // The same over IPv6.
    "::",
    "::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "100::1",
    "2001::1",
    "2001:10::1",
    "3fff::1",
    // IPv4 written as IPv6: mapped, compatible, translated, NAT64, 6to4, ISATAP, Teredo.
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "::10.0.0.1",
    "::8.8.8.8",
    "::ffff:0:127.0.0.1",
    "::ffff:0:192.168.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::9.9.9.9",
    "64:ff9b:1::127.0.0.1",
    "64:ff9b:1:7f00:0:100::",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2002:c0a8:1::1",
    "2002:a9fe:a9fe::1",
    "2002:909:909::1",
    "fe80::5efe:10.0.0.1",
    "2600::5efe:127.0.0.1",
    "2600::200:5efe:10.0.0.1",
    "2001:0:808:808::1",
];

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

fn with_port(ip: &str, port: u16) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

#[test]
fn nothing_inside_is_reached_however_its_address_is_written() {
    assert!(FORBIDDEN.len() >= 60);
    let mut rig = strict();
    let client = client(&mut rig);
    for (index, ip) in FORBIDDEN.iter().enumerate() {
        let peer = with_port(ip, 80);
        assert_eq!(client.permit(&mut rig, &peer), 403, "CreatePermission {ip}");
        assert_eq!(client.bind(&mut rig, 0x4000 + index as u16, &peer), 403, "ChannelBind {ip}");
        assert_eq!(client.send(&mut rig, &peer, b"x"), None, "Send {ip}");
        let sent = client.send_channel(&mut rig, 0x4000 + index as u16, b"x");
        assert_eq!(sent, None, "ChannelData {ip}");
    }
    assert_eq!(rig.count(Counter::ToPeersPackets), 0);
    assert_eq!(client.permit(&mut rig, "8.8.4.4:80"), 0);
    assert_eq!(client.permit(&mut rig, "[2600::1]:80"), 0);
}

/// A permission is for a host, an exception may be for some of its ports.
#[test]
fn an_exception_for_ports_opens_those_alone() {
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
fn what_is_closed_while_the_server_runs_is_closed_for_those_who_are_there() {
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
