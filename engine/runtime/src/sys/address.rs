//! Socket addresses in the binary form of the kernel (`sockaddr_in`, `sockaddr_in6`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Bytes of the longest address: `sockaddr_in6`.
pub(crate) const ADDRESS_BYTES: usize = 28;
/// Bytes of `sockaddr_in`.
const ADDRESS_V4_BYTES: usize = 16;

/// Writes `address` in the form of the kernel. Returns its length.
pub(crate) fn encode(address: SocketAddr, into: &mut [u8; ADDRESS_BYTES]) -> u32 {
    *into = [0; ADDRESS_BYTES];
    into[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(v4) => {
            into[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            into[4..8].copy_from_slice(&v4.ip().octets());
            ADDRESS_V4_BYTES as u32
        }
        SocketAddr::V6(v6) => {
            into[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            into[8..24].copy_from_slice(&v6.ip().octets());
            into[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
            ADDRESS_BYTES as u32
        }
    }
}

/// Reads an address that the kernel wrote. The flow label is ignored: it may change from packet to packet and
/// does not identify the peer. `None` for any other family.
pub(crate) fn decode(bytes: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    if family == libc::AF_INET {
        let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
        Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), port))
    } else if family == libc::AF_INET6 {
        let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
        let scope = u32::from_ne_bytes(bytes.get(24..28)?.try_into().ok()?);
        Some(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope)))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_address_is_decoded_and_a_truncated_one_is_none() {
        for address in ["192.0.2.7:1", "255.255.255.255:65535", "[2001:db8::1]:443", "[fe80::1%7]:9"] {
            let address: SocketAddr = address.parse().expect("an address");
            let mut bytes = [0xa5; ADDRESS_BYTES];
            let len = encode(address, &mut bytes) as usize;
            assert_eq!(decode(&bytes[..len]), Some(address));
            let needed = if address.is_ipv4() { 8 } else { len };
            for short in 0..needed {
                assert_eq!(decode(&bytes[..short]), None, "{short} bytes of {address}");
            }
        }
        assert_eq!(decode(&[0; ADDRESS_BYTES]), None);
    }
}
