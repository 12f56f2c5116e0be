//! Options for IP addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// An address can be bound only once. A second bind fails as if another process used the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option} {ip} is given twice: each address once is enough")]
pub struct GivenTwice {
    /// Which option.
    pub option: &'static str,
    /// As given.
    pub ip: IpAddr,
}

/// Checks that no address is given twice.
pub fn check_once(option: &'static str, ips: &[IpAddr]) -> Result<(), GivenTwice> {
    match ips.iter().enumerate().find(|(index, ip)| ips[..*index].contains(ip)) {
        Some((_, ip)) => Err(GivenTwice { option, ip: *ip }),
        None => Ok(()),
    }
}

/// The loopback addresses this machine has: containers often have no IPv6.
pub fn loopback() -> Vec<IpAddr> {
    let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    both.into_iter().filter(|ip| UdpSocket::bind((*ip, 0)).is_ok()).collect()
}

/// Whether both are IPv4 or both are IPv6.
pub fn same_family(a: &IpAddr, b: &IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}
