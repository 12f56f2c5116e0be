//! Where media is taken when nobody says: addresses that browsers on this machine, and at most in its own network, can
//! reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The loopback addresses this machine has, and its addresses in a private network (RFC 1918, RFC 4193).
///
/// The private ones are there because Firefox pairs no loopback candidates. A public address is never taken
/// without being asked for.
pub fn default_listen_ips() -> Vec<IpAddr> {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    // A machine without IPv6 has no ::1 to listen on.
    let loopback = loopback.into_iter().filter(|ip| UdpSocket::bind((*ip, 0)).is_ok());
    let own = OUTWARD.into_iter().filter_map(own_address_towards).filter(is_private);
    loopback.chain(own).collect()
}

/// Documentation addresses (RFC 5737, RFC 3849): somewhere outside, for asking which way leads there.
const OUTWARD: [(IpAddr, IpAddr); 2] = [
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
];

/// The address by which this machine is in the networks beyond it, if it is in any of that family.
pub fn own_address(is_ipv6: bool) -> Option<IpAddr> {
    OUTWARD.into_iter().find(|(any, _)| any.is_ipv6() == is_ipv6).and_then(own_address_towards)
}

/// The address this machine would send from. Connecting a UDP socket asks the routing table and sends nothing.
fn own_address_towards((any, outward): (IpAddr, IpAddr)) -> Option<IpAddr> {
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(SocketAddr::new(outward, 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn is_private(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_public_is_listened_on_without_being_asked_for() {
        let ips = default_listen_ips();
        assert!(ips.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(ips.iter().all(|ip| ip.is_loopback() || is_private(ip)), "{ips:?}");
    }

    #[test]
    fn private_is_what_the_rfcs_call_so() {
        for (ip, expected) in
            [("10.1.2.3", true), ("172.16.0.1", true), ("192.168.9.9", true), ("fd00::2", true)]
                .into_iter()
                .chain([("192.0.2.1", false), ("8.8.8.8", false), ("2001:db8::1", false), ("fe80::1", false)])
        {
            assert_eq!(is_private(&ip.parse().expect("an address")), expected, "{ip}");
        }
    }
}
