//! The peers to which a server sends for others: those that any host on the public internet can reach. The
//! TURN server checks the peers of its clients with it, and signaling the targets of webhooks.
//!
//! Such a server is part of a private network. What it sends to a private address arrives from a trusted host,
//! so addresses that have a meaning only there are refused unless the operator allows them. Filters of other
//! servers have been bypassed by other notations of the same address: here an address is read once, as a
//! number, by [`PeerIp`], and an embedded address is checked too.

#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Exceptions that are checked. An operator has a few; further ones are ignored, so programs refuse them at their
/// start. All are checked for every peer that the rules refuse.
pub const ALLOWED_MAX: usize = 64;

/// A peer's address, with the IPv4 address that it leads to if it is an IPv6 address with such a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerIp {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address without an embedded address.
    V6(Ipv6Addr),
    /// An IPv6 address whose prefix makes a gateway send to this IPv4 address: NAT64 (RFC 6052 §2.1), 6to4
    /// (RFC 3056), SIIT (RFC 7915).
    Embedded(Ipv6Addr, Ipv4Addr),
    /// An IPv6 address that is never sent to, because it only denotes an IPv4 address (RFC 4291 §2.5.5), or
    /// that of a tunnel with an unknown far end (RFC 4380, RFC 8215).
    Never(Ipv6Addr),
}

impl From<IpAddr> for PeerIp {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }
}

impl PeerIp {
    fn of_v6(ip: Ipv6Addr) -> Self {
        let bits = ip.to_bits();
        let v4 = |shift: u32| Ipv4Addr::from_bits((bits >> shift) as u32);
        let is_in = |network: u128, len: u32| bits >> (128 - len) == network;
        // ::/96 and ::ffff:0:0/96; "unspecified" and "loopback" are in the former. Local NAT64 and Teredo.
        if is_in(0, 96) || is_in(0xffff, 96) || is_in(0x0064_ff9b_0001, 48) || is_in(0x2001_0000, 32) {
            Self::Never(ip)
        } else if is_in(0x0064_ff9b << 64, 96) || is_in(0xffff << 16, 96) {
            Self::Embedded(ip, v4(0))
        } else if is_in(0x2002, 16) {
            Self::Embedded(ip, v4(80))
        } else {
            Self::V6(ip)
        }
    }
}

/// The IPv4 address in an interface identifier of ISATAP (RFC 5214 §6.1), to which a host of such a site
/// sends. It does not depend on the prefix, which must be public as well. In the identifier's first byte, the
/// two flag bits do not matter.
fn isatap(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let identifier = ip.to_bits() as u64;
    let is_isatap = (identifier >> 32) as u32 & !0x0300_0000 == 0x0000_5efe;
    is_isatap.then(|| Ipv4Addr::from_bits(identifier as u32))
}

/// A network: the leading bits of an address, and their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    ip: IpAddr,
    prefix_len: u32,
}

impl Network {
    const fn v4(a: u8, b: u8, c: u8, d: u8, prefix_len: u32) -> Self {
        Self { ip: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix_len }
    }

    const fn v6(high: u128, prefix_len: u32) -> Self {
        Self { ip: IpAddr::V6(Ipv6Addr::from_bits(high << (128 - prefix_len))), prefix_len }
    }

    fn contains(&self, ip: IpAddr) -> bool {
        let differ = match (self.ip, ip) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).checked_shr(32 - self.prefix_len).unwrap_or(0) != 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).checked_shr(128 - self.prefix_len).unwrap_or(0) != 0
            }
            _ => true,
        };
        !differ
    }
}

/// The addresses that no client may reach over IPv4 (the IANA IPv4 Special-Purpose Address Registry,
/// multicast, and the metadata services of clouds).
const REFUSED_V4: &[Network] = &[
    Network::v4(0, 0, 0, 0, 8),
    Network::v4(10, 0, 0, 0, 8),
    Network::v4(100, 64, 0, 0, 10),
    Network::v4(127, 0, 0, 0, 8),
    Network::v4(168, 63, 129, 16, 32),
    Network::v4(169, 254, 0, 0, 16),
    Network::v4(172, 16, 0, 0, 12),
    Network::v4(192, 0, 0, 0, 24),
    Network::v4(192, 0, 2, 0, 24),
    Network::v4(192, 88, 99, 0, 24),
    Network::v4(192, 168, 0, 0, 16),
    Network::v4(198, 18, 0, 0, 15),
    Network::v4(198, 51, 100, 0, 24),
    Network::v4(203, 0, 113, 0, 24),
    Network::v4(224, 0, 0, 0, 3),
];

/// The only IPv6 addresses that are public (RFC 4291 §2.4).
const PUBLIC_V6: Network = Network::v6(0b001, 3);

/// The addresses of these that no client may reach (the IANA IPv6 Special-Purpose Address Registry; for 6to4
/// the embedded address is checked).
const REFUSED_V6: &[Network] =
    &[Network::v6(0x2001_0000 >> 9, 23), Network::v6(0x2001_0db8, 32), Network::v6(0x3fff_0000 >> 12, 20)];

/// An exception: peers that are allowed although the rules refuse them. Written `ADDRESS[/BITS]`, or with
/// ports `ADDRESS:FIRST[-LAST]` (IPv6 in brackets).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    network: Network,
    ports: RangeInclusive<u16>,
}

/// A text that is not an exception.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an address: expected ADDRESS[/BITS], or ADDRESS:FIRST[-LAST] with ports, such as 10.0.0.5:7000-7007 or [fd00::5]:7000"
)]
pub struct BadAllowed(String);

impl FromStr for Allowed {
    type Err = BadAllowed;

    fn from_str(text: &str) -> Result<Self, BadAllowed> {
        read_allowed(text).ok_or_else(|| BadAllowed(text.to_owned()))
    }
}

fn read_allowed(text: &str) -> Option<Allowed> {
    if let Some((ip, len)) = text.split_once('/') {
        let ip: IpAddr = ip.parse().ok()?;
        let prefix_len = len.parse().ok().filter(|len| *len <= if ip.is_ipv4() { 32 } else { 128 })?;
        return Some(Allowed { network: Network { ip, prefix_len }, ports: 1..=u16::MAX });
    }
    let whole = |ip: IpAddr| Network { ip, prefix_len: if ip.is_ipv4() { 32 } else { 128 } };
    if let Ok(ip) = text.parse() {
        return Some(Allowed { network: whole(ip), ports: 1..=u16::MAX });
    }
    let (address, last) = text.split_once('-').map_or((text, None), |(first, last)| (first, Some(last)));
    let address: SocketAddr = address.parse().ok()?;
    let last = last.map_or(Some(address.port()), |last| last.parse().ok())?;
    (1..=last).contains(&address.port()).then_some(())?;
    Some(Allowed { network: whole(address.ip()), ports: address.port()..=last })
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{} ports {}-{}",
            self.network.ip,
            self.network.prefix_len,
            self.ports.start(),
            self.ports.end()
        )
    }
}

/// The rules, and the exceptions from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The peers that are allowed in spite of the rules.
    pub allowed: Vec<Allowed>,
    /// Whether only these are allowed.
    pub allowed_only: bool,
    /// This server's addresses from its options, announced ones too. Only an exception allows them: other
    /// services of this host would be reached from the host itself.
    pub own: Vec<IpAddr>,
    /// The addresses of this host's interfaces, which count as its own too. The driver updates them.
    pub interfaces: Interfaces,
}

/// Addresses of the host's interfaces, sorted: a host with many containers has hundreds, and they are checked
/// for each datagram in a Send indication. Their number depends on the host, not on a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces(Vec<IpAddr>);

impl FromIterator<IpAddr> for Interfaces {
    fn from_iter<T: IntoIterator<Item = IpAddr>>(ips: T) -> Self {
        let mut ips: Vec<IpAddr> = ips.into_iter().collect();
        ips.sort_unstable();
        ips.dedup();
        Self(ips)
    }
}

impl Interfaces {
    fn contains(&self, ip: IpAddr) -> bool {
        self.0.binary_search(&ip).is_ok()
    }
}

impl Policy {
    /// Whether a client may send to this peer.
    pub fn admits(&self, peer: SocketAddr) -> bool {
        self.judge(peer.ip(), |allowed| allowed.ports.contains(&peer.port()) && peer.port() != 0)
    }

    /// Whether a client may send to this host at all: a permission is for all of its ports (RFC 8656 §9), of
    /// which some may be refused later.
    pub fn admits_host(&self, ip: IpAddr) -> bool {
        self.judge(ip, |_| true)
    }

    fn judge(&self, ip: IpAddr, reaches: impl Fn(&Allowed) -> bool) -> bool {
        let is_public = match PeerIp::from(ip) {
            PeerIp::Never(_) => return self.is_allowed(ip, reaches) && ip == IpAddr::V6(Ipv6Addr::LOCALHOST),
            PeerIp::V4(v4) => self.is_foreign_v4(v4),
            PeerIp::V6(v6) => is_public_v6(v6) && self.leads_abroad(v6),
            PeerIp::Embedded(v6, v4) => self.is_foreign_v4(v4) && self.leads_abroad(v6),
        };
        is_public && !self.allowed_only || self.is_allowed(ip, reaches)
    }

    /// Whether an IPv4 address is public and not this host's.
    fn is_foreign_v4(&self, ip: Ipv4Addr) -> bool {
        is_public_v4(ip) && !self.is_own(IpAddr::V4(ip))
    }

    /// Whether an IPv6 address is neither this host's, nor that of a tunnel to a forbidden IPv4 address.
    fn leads_abroad(&self, ip: Ipv6Addr) -> bool {
        !self.is_own(IpAddr::V6(ip)) && isatap(ip).is_none_or(|v4| self.is_foreign_v4(v4))
    }

    fn is_own(&self, ip: IpAddr) -> bool {
        self.own.contains(&ip) || self.interfaces.contains(ip)
    }

    fn is_allowed(&self, ip: IpAddr, reaches: impl Fn(&Allowed) -> bool) -> bool {
        self.allowed.iter().take(ALLOWED_MAX).any(|allowed| allowed.network.contains(ip) && reaches(allowed))
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    !REFUSED_V4.iter().any(|network| network.contains(IpAddr::V4(ip)))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let ip = IpAddr::V6(ip);
    PUBLIC_V6.contains(ip) && !REFUSED_V6.iter().any(|network| network.contains(ip))
}

#[cfg(test)]
mod tests;
