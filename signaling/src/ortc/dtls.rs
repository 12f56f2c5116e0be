//! ICE and DTLS parameters.

use super::text::check_len;
use crate::proto::{DtlsFingerprint, DtlsParameters, IceCandidate, IceParameters};
use crate::request_error::RequestError;
use control::{Candidate, Protocol};

/// The SHA-256 fingerprint of a client's certificate. The engine is the DTLS server, so the client must not be.
pub fn fingerprint(parameters: &DtlsParameters) -> Result<[u8; 32], RequestError> {
    if !matches!(parameters.role.as_str(), "client" | "auto" | "") {
        return Err(RequestError::bad(
            "dtlsParameters.role must be \"client\" (or \"auto\"): the engine is the DTLS server",
        ));
    }
    check_len("dtlsParameters.fingerprints", &parameters.fingerprints)?;
    let sha256 = parameters
        .fingerprints
        .iter()
        .find(|fingerprint| fingerprint.algorithm.eq_ignore_ascii_case("sha-256"));
    let wanted = || {
        RequestError::bad(
            "dtlsParameters.fingerprints needs a sha-256 one: 32 pairs of hex digits with colons between (RFC 8122 §5)",
        )
    };
    parse_hex(&sha256.ok_or_else(wanted)?.value).ok_or_else(wanted)
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut pairs = text.split(':');
    for byte in &mut bytes {
        let pair =
            pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|c| c.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(bytes)
}

/// The engine's certificate, for the client. The role is "auto" as in every offer; the client then takes the client's.
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
            // RFC 8445 §5.1.1.3: candidates of one foundation share address and protocol; no two of ours do.
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

/// The priority of a host candidate of component 1 by its place in the list, the first being the best (RFC 8445 §5.1.2.1).
///
/// TCP comes after all UDP by its type preference: what TCP retransmits is late when it arrives. The local preference of a
/// TCP candidate begins with its direction, 4 for passive (RFC 6544 §4.2).
fn priority(protocol: Protocol, index: u32) -> u32 {
    let (type_preference, local_preference) = match protocol {
        Protocol::Udp => (HOST_PREFERENCE, u32::from(u16::MAX) - index),
        Protocol::Tcp => (HOST_TCP_PREFERENCE, 4 << 13 | ((1 << 13) - 1 - index)),
    };
    type_preference << 24 | local_preference << 8 | (256 - 1)
}

/// What RFC 8445 §5.1.2.2 recommends for host candidates.
const HOST_PREFERENCE: u32 = 126;

/// Below host (126) and server-reflexive (100), as Chrome has it for its own.
const HOST_TCP_PREFERENCE: u32 = 90;
