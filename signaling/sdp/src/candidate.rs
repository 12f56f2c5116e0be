//! ICE candidates (RFC 8839 §5.1).

use crate::attribute::{number, word};
use std::net::IpAddr;

/// The transport protocol of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP (RFC 6544).
    Tcp(TcpKind),
}

/// Which side opens a TCP connection (RFC 6544 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpKind {
    /// The candidate's side.
    Active,
    /// The other side.
    Passive,
    /// Both at once.
    SimultaneousOpen,
}

/// How a candidate was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateKind {
    /// An address of the host.
    Host,
    /// Seen by a STUN server.
    ServerReflexive,
    /// Seen by the peer.
    PeerReflexive,
    /// Of a TURN server.
    Relayed,
}

/// The address of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateAddress {
    /// An IP address.
    Ip(IpAddr),
    /// A name. Those of browsers end with `.local` (mDNS). Names are not resolved.
    Name(String),
}

/// A candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Candidates with one foundation are similar.
    pub foundation: String,
    /// 1 for RTP.
    pub component: u16,
    /// UDP or TCP.
    pub transport: Transport,
    /// Higher is preferred.
    pub priority: u32,
    /// Address or name.
    pub address: CandidateAddress,
    /// The port; 9 for an active TCP candidate.
    pub port: u16,
    /// How it was found.
    pub kind: CandidateKind,
}

impl Candidate {
    /// Reads the value of `a=candidate`, with or without the prefix `candidate:`. Extensions that are not known are
    /// skipped. `None` if the form is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("candidate:").unwrap_or(text);
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let foundation = word(words.next()?)?;
        let component = number(words.next()?)?;
        let protocol = words.next()?;
        let priority = number(words.next()?)?;
        let address = words.next()?;
        let address = match address.parse() {
            Ok(ip) => CandidateAddress::Ip(ip),
            Err(_) => CandidateAddress::Name(host_name(address)?),
        };
        let port = number(words.next()?)?;
        if words.next()? != "typ" {
            return None;
        }
        let kind = match words.next()? {
            "host" => CandidateKind::Host,
            "srflx" => CandidateKind::ServerReflexive,
            "prflx" => CandidateKind::PeerReflexive,
            "relay" => CandidateKind::Relayed,
            _ => return None,
        };
        let mut tcp = None;
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            if name == "tcptype" {
                tcp = Some(match value {
                    "active" => TcpKind::Active,
                    "passive" => TcpKind::Passive,
                    "so" => TcpKind::SimultaneousOpen,
                    _ => return None,
                });
            }
        }
        let transport = match (protocol.to_ascii_lowercase().as_str(), tcp) {
            ("udp", _) => Transport::Udp,
            ("tcp", Some(kind)) => Transport::Tcp(kind),
            _ => return None,
        };
        Some(Self { foundation, component, transport, priority, address, port, kind })
    }
}

fn host_name(text: &str) -> Option<String> {
    let is_name = text.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    (is_name && text.contains('.') && text.len() <= 253).then(|| text.to_ascii_lowercase())
}
