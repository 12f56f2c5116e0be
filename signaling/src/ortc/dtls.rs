//! ICE and DTLS parameters.

use super::text::check_len;
use crate::proto::{DtlsFingerprint, DtlsParameters, IceCandidate, IceParameters};
use crate::request_error::RequestError;
use control::{Candidate, Command, DtlsRole, PeerFingerprint, Protocol, TransportId};

/// How the engine connects a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The role of the engine.
    pub role: DtlsRole,
    /// The certificate of the client.
    pub fingerprint: PeerFingerprint,
}

/// What a client says about itself: of several fingerprints, the strongest counts, because a forger must not choose
/// a weaker one. SHA-1 alone needs `allows_sha1`.
pub fn connect(parameters: &DtlsParameters, allows_sha1: bool) -> Result<Connect, RequestError> {
    let role = match parameters.role.as_str() {
        "client" | "auto" | "" => DtlsRole::Server,
        "server" => DtlsRole::Client,
        _ => return Err(RequestError::bad("dtlsParameters.role must be \"client\", \"server\" or \"auto\"")),
    };
    check_len("dtlsParameters.fingerprints", &parameters.fingerprints)?;
    let of = |name: &str| {
        parameters.fingerprints.iter().find(|fingerprint| fingerprint.algorithm.eq_ignore_ascii_case(name))
    };
    let Some((found, (_, read))) = HASHES.iter().find_map(|hash| Some((of(hash.0)?, hash))) else {
        return Err(wanted("one with sha-224, sha-256, sha-384 or sha-512"));
    };
    let fingerprint = read(&found.value).ok_or_else(|| wanted("a value that fits its algorithm"))?;
    if matches!(fingerprint, PeerFingerprint::Sha1(_)) && !allows_sha1 {
        return Err(wanted("one that is stronger than sha-1; --allow-sha1-fingerprints permits sha-1 alone"));
    }
    Ok(Connect { role, fingerprint })
}

fn wanted(what: &str) -> RequestError {
    RequestError::bad(format!(
        "dtlsParameters.fingerprints needs {what}: pairs of hexadecimal digits, separated by colons (RFC 8122 §5)"
    ))
}

type ReadHash = fn(&str) -> Option<PeerFingerprint>;

/// The strongest first.
const HASHES: [(&str, ReadHash); 5] = [
    ("sha-512", |text| parse_hex(text).map(PeerFingerprint::Sha512)),
    ("sha-384", |text| parse_hex(text).map(PeerFingerprint::Sha384)),
    ("sha-256", |text| parse_hex(text).map(PeerFingerprint::Sha256)),
    ("sha-224", |text| parse_hex(text).map(PeerFingerprint::Sha224)),
    ("sha-1", |text| parse_hex(text).map(PeerFingerprint::Sha1)),
];

fn parse_hex<const LEN: usize>(text: &str) -> Option<[u8; LEN]> {
    let mut bytes = [0; LEN];
    let mut pairs = text.split(':');
    for byte in &mut bytes {
        let pair =
            pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|c| c.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(bytes)
}

impl Connect {
    /// The command for the engine. The usual one is known to every version of the engine.
    pub fn command(self, transport: TransportId) -> Command {
        match (self.role, self.fingerprint) {
            (DtlsRole::Server, PeerFingerprint::Sha256(fingerprint)) => {
                Command::ConnectTransport { transport, fingerprint }
            }
            (role, fingerprint) => Command::ConnectTransportAs { transport, role, fingerprint },
        }
    }
}

/// The certificate of the engine, for the client. The role is "auto" as in every offer; the client then
/// becomes the DTLS client.
pub fn parameters(fingerprint: &[u8; 32]) -> DtlsParameters {
    let pairs: Vec<String> = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    let fingerprint = DtlsFingerprint { algorithm: "sha-256".into(), value: pairs.join(":") };
    DtlsParameters { role: "auto".into(), fingerprints: vec![fingerprint] }
}

/// The engine's ICE credentials, for the client.
pub fn ice(parameters: &control::IceParameters) -> IceParameters {
    IceParameters {
        username_fragment: parameters.ufrag.as_str().into(),
        password: parameters.pwd.as_str().into(),
        ice_lite: true,
    }
}

/// The engine's host candidates, for the client, in the engine's order of preference.
pub fn candidates(candidates: &[Candidate]) -> Vec<IceCandidate> {
    let candidate = |(index, Candidate { address, protocol }): (usize, &Candidate)| {
        let (name, tcp_type) = match protocol {
            Protocol::Udp => ("udp", None),
            Protocol::Tcp => ("tcp", Some("passive".to_owned())),
        };
        IceCandidate {
            // RFC 8445 §5.1.1.3: candidates with the same foundation have the same address and protocol. Each
            // of ours has its own.
            foundation: format!("{name}{index}"),
            priority: priority(*protocol, index as u32),
            address: address.ip().to_string(),
            protocol: name.into(),
            port: address.port().into(),
            r#type: "host".into(),
            tcp_type,
        }
    };
    candidates.iter().enumerate().map(candidate).collect()
}

/// The priority of a host candidate of component 1 by its index in the list, which starts with the best (RFC
/// 8445 §5.1.2.1).
///
/// TCP has a lower type preference than UDP, because retransmissions of TCP delay media. The local preference
/// of a TCP candidate starts with its direction, 4 for passive (RFC 6544 §4.2).
fn priority(protocol: Protocol, index: u32) -> u32 {
    let (type_preference, local_preference) = match protocol {
        Protocol::Udp => (HOST_PREFERENCE, u32::from(u16::MAX) - index),
        Protocol::Tcp => (HOST_TCP_PREFERENCE, 4 << 13 | ((1 << 13) - 1 - index)),
    };
    type_preference << 24 | local_preference << 8 | (256 - 1)
}

/// Recommended for host candidates (RFC 8445 §5.1.2.2).
const HOST_PREFERENCE: u32 = 126;

/// Below host (126) and server-reflexive (100); Chrome uses the same value.
const HOST_TCP_PREFERENCE: u32 = 90;
