//! The header with which a proxy reports the client of a connection: PROXY protocol version 2 (haproxy.org,
//! "The PROXY protocol", §2.2). Version 1 is not supported: it is a text line of variable length.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tokio::net::TcpStream;

/// The start of the header. No HTTP request starts with it.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part: signature, version and command, family, length.
const FIXED_LEN: usize = 16;
/// Maximum length of addresses and extensions: what fits a segment of the smallest MTU (§2.2). A longer
/// header ends the connection.
const REST_LEN_MAX: usize = 536;

/// Reads the header, if there is one, and returns the address in it. Without a header, `first` has the bytes
/// that were read. An error if the connection ends or the header is invalid.
pub async fn read(tcp: &TcpStream, first: &mut Vec<u8>) -> io::Result<Option<IpAddr>> {
    while first.len() < FIXED_LEN {
        fill(tcp, first, FIXED_LEN).await?;
        let seen = first.len().min(SIGNATURE.len());
        if first[..seen] != SIGNATURE[..seen] {
            return Ok(None);
        }
    }
    let len = FIXED_LEN + usize::from(u16::from_be_bytes([first[14], first[15]]));
    if len > FIXED_LEN + REST_LEN_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    while first.len() < len {
        fill(tcp, first, len).await?;
    }
    let source = source(first).ok_or(io::ErrorKind::InvalidData)?;
    first.clear();
    Ok(source)
}

/// Reads once, up to `len` bytes in total.
async fn fill(tcp: &TcpStream, bytes: &mut Vec<u8>, len: usize) -> io::Result<()> {
    let mut buffer = [0; FIXED_LEN + REST_LEN_MAX];
    let wanted = len.saturating_sub(bytes.len()).min(buffer.len());
    loop {
        tcp.readable().await?;
        match tcp.try_read(&mut buffer[..wanted]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => {
                bytes.extend_from_slice(&buffer[..len]);
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// The source address of a complete header; the inner `None` if it has none (a health check, another address
/// family). The outer `None` if it is invalid.
fn source(header: &[u8]) -> Option<Option<IpAddr>> {
    let (fixed, rest) = header.split_first_chunk::<FIXED_LEN>()?;
    match (fixed[12], fixed[13]) {
        // LOCAL: a connection of the proxy itself.
        (0x20, _) => Some(None),
        // PROXY over IPv4 or IPv6, to a stream or a datagram socket.
        (0x21, 0x11 | 0x12) => {
            rest.get(..12)?.first_chunk().map(|ip: &[u8; 4]| Some(Ipv4Addr::from(*ip).into()))
        }
        (0x21, 0x21 | 0x22) => {
            let ip: &[u8; 16] = rest.get(..36)?.first_chunk()?;
            Some(Some(IpAddr::from(Ipv6Addr::from(*ip)).to_canonical()))
        }
        (0x21, _) => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
