//! A client with one allocation and one channel: its STUN messages are written and read here by hand.

use crate::world::socket::Socket;
use anyhow::{Context, bail, ensure};
use aws_lc_rs::hmac;
use openssl::hash::{MessageDigest, hash};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// The channel's number.
const CHANNEL: u16 = 0x4000;
const COOKIE: u32 = 0x2112_a442;
/// The time limit of an answer before the request is repeated, and the number of repetitions.
const PATIENCE: Duration = Duration::from_millis(500);
const TRIES: u32 = 10;

/// A client that may send.
pub struct TurnClient {
    pub socket: Socket,
    /// Its relayed address.
    pub relayed: SocketAddr,
    /// A burst to the server, whose payloads are still to be written.
    pub burst: Vec<u8>,
}

impl TurnClient {
    /// Allocates at `server`, and binds the channel to `peer`.
    pub fn open(server: SocketAddr, peer: SocketAddr, burst: usize, payload: usize) -> anyhow::Result<Self> {
        let socket = Socket::connect(server, true)?;
        let transport = attribute(0x0019, &[17, 0, 0, 0]);
        let challenge = ask(&socket, 0x003, &transport, None)?;
        let nonce = find(&challenge, 0x0015).context("a challenge without a nonce")?.to_vec();
        let realm = find(&challenge, 0x0014).context("a challenge without a realm")?.to_vec();
        let key = hash(MessageDigest::md5(), &[b"u:", &realm[..], b":p"].concat())?;
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
        let credential =
            [attribute(0x0006, b"u"), attribute(0x0014, &realm), attribute(0x0015, &nonce)].concat();
        let signed = Some((&credential[..], &key));
        let answer = ask(&socket, 0x003, &transport, signed)?;
        let relayed = find(&answer, 0x0016).context("an allocation without an address")?;
        let number = attribute(0x000c, &[CHANNEL.to_be_bytes(), [0, 0]].concat());
        ask(&socket, 0x009, &[number, attribute(0x0012, &xored(peer)?)].concat(), signed)?;
        let header = [CHANNEL.to_be_bytes(), (payload as u16).to_be_bytes()].concat();
        let datagram = [header, vec![0; payload]].concat();
        Ok(Self { socket, relayed: unxored(relayed)?, burst: datagram.repeat(burst) })
    }
}

/// Bytes of ChannelData before the payload.
pub const HEADER_LEN: usize = 4;

fn ask(
    socket: &Socket,
    method: u16,
    attributes: &[u8],
    signed: Option<(&[u8], &hmac::Key)>,
) -> anyhow::Result<Vec<u8>> {
    let (credential, _) = signed.unzip();
    let body = [attributes, credential.unwrap_or_default()].concat();
    let integrity = if signed.is_some() { 24 } else { 0 };
    let mut request = [method.to_be_bytes(), ((body.len() + integrity) as u16).to_be_bytes()].concat();
    request.extend(COOKIE.to_be_bytes());
    let mut id = [0; 12];
    aws_lc_rs::rand::fill(&mut id)?;
    request.extend(id);
    request.extend(body);
    if let Some((_, key)) = signed {
        let tag = hmac::sign(key, &request);
        request.extend(attribute(0x0008, tag.as_ref()));
    }
    let (mut buffer, mut control) = (vec![0; 2048], vec![0; crate::world::socket::CONTROL_LEN]);
    for _ in 0..TRIES {
        socket.send(&request);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let Some(received) = socket.receive(&mut buffer, &mut control) else { continue };
            let answer = &buffer[..received.len];
            if answer.get(8..20) != Some(&id[..]) {
                continue;
            }
            let code = find(answer, 0x0009)
                .and_then(|value| Some(u16::from(*value.get(2)?) * 100 + u16::from(*value.get(3)?)));
            match code {
                None => return Ok(answer.to_vec()),
                Some(401) if signed.is_none() => return Ok(answer.to_vec()),
                Some(code) => bail!("method {method:#x} is answered with {code}"),
            }
        }
    }
    bail!("method {method:#x} is not answered")
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_be_bytes(), (value.len() as u16).to_be_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The first attribute of that kind.
fn find(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = message.get(20..)?;
    while let [a, b, c, d, value @ ..] = rest {
        let (kind, len) = (u16::from_be_bytes([*a, *b]), usize::from(u16::from_be_bytes([*c, *d])));
        if kind == wanted {
            return value.get(..len);
        }
        rest = value.get(len.next_multiple_of(4)..)?;
    }
    None
}

fn xored(address: SocketAddr) -> anyhow::Result<Vec<u8>> {
    let SocketAddr::V4(address) = address else { bail!("only IPv4 is measured") };
    let mut value = vec![0, 1];
    value.extend((address.port() ^ (COOKIE >> 16) as u16).to_be_bytes());
    value.extend((address.ip().to_bits() ^ COOKIE).to_be_bytes());
    Ok(value)
}

fn unxored(value: &[u8]) -> anyhow::Result<SocketAddr> {
    ensure!(value.len() == 8 && value[1] == 1, "no IPv4 address");
    let port = u16::from_be_bytes([value[2], value[3]]) ^ (COOKIE >> 16) as u16;
    let ip = u32::from_be_bytes([value[4], value[5], value[6], value[7]]) ^ COOKIE;
    Ok(SocketAddr::from((Ipv4Addr::from_bits(ip), port)))
}
