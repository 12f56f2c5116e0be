//! The table of addresses that no server may reach for others. The tests of the TURN server and of the webhooks
//! use the same one.

#![allow(dead_code, reason = "each test file uses its part")]

/// Addresses that have a meaning only in the network of a server, and notations of the same addresses.
pub const REFUSED: &[&str] = &[
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
    // Metadata services of clouds, and other special purposes.
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "203.0.113.1",
    // Multicast and broadcast.
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
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
    "64:ff9b:1::127.0.0.1",
    "64:ff9b:1:7f00:0:100::",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2002:c0a8:1::1",
    "2002:a9fe:a9fe::1",
    "fe80::5efe:10.0.0.1",
    "2600::5efe:127.0.0.1",
    "2600::200:5efe:10.0.0.1",
    "2001:0:808:808::1",
];

/// Addresses that any host on the public internet can reach.
pub const PUBLIC: &[&str] = &["1.1.1.1", "9.255.255.255", "172.32.0.0", "2600::1", "2a00:1450:4001::1"];
