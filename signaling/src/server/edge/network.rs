//! A network of addresses, as an operator writes it: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// Not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    /// Not of the form.
    #[error("expected an address or a network such as 10.0.0.0/8 or 2001:db8::/32")]
    Form,
    /// Bits behind the prefix are set: the operator may have meant another network.
    #[error("{0} is no network: expected {1}")]
    HostBits(Network, Network),
}

impl Network {
    fn new(ip: IpAddr, bits: u8) -> Self {
        Self { first: masked(ip, bits), bits }
    }

    /// Whether an address is in it. An IPv4 address that IPv6 maps is the IPv4 address (RFC 4291 §2.5.5.2).
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.first.is_ipv4() && masked(ip, self.bits) == self.first
    }
}

fn masked(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = ip.parse().map_err(|_| InvalidNetwork::Form)?;
        let bits_max = if ip.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= bits_max).ok_or(InvalidNetwork::Form)?,
            None => bits_max,
        };
        let network = Self::new(ip, bits);
        if network.first == ip {
            return Ok(network);
        }
        Err(InvalidNetwork::HostBits(Self { first: ip, bits }, network))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_network_contains_what_begins_with_its_bits() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.7/32", "::ffff:192.0.2.7", "::192.0.2.7"),
            ("0.0.0.0/0", "255.255.255.255", "::"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"),
            ("::1", "::1", "127.0.0.1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
        ] {
            let network = network(text);
            assert!(network.contains(inside.parse().expect("an address")), "{text}: {inside}");
            assert!(!network.contains(outside.parse().expect("an address")), "{text}: {outside}");
            assert!(network.to_string().starts_with(text), "{network}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_what_is_expected() {
        for text in [
            "",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/-1",
            "proxy.example.org",
            "[::1]",
        ] {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork::Form), "{text}");
        }
        let error = "10.0.0.1/8".parse::<Network>().expect_err("host bits").to_string();
        assert_eq!(error, "10.0.0.1/8 is no network: expected 10.0.0.0/8");
    }
}
