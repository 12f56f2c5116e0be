//! ICE and DTLS parameters.

use crate::failure::Failure;
use crate::proto::{DtlsFingerprint, DtlsParameters, IceCandidate, IceParameters};
use std::net::SocketAddr;

/// The SHA-256 fingerprint of a client's certificate. The engine is the DTLS server, so the client must not be.
pub fn fingerprint(parameters: &DtlsParameters) -> Result<[u8; 32], Failure> {
    if !matches!(parameters.role.as_str(), "client" | "auto" | "") {
        return Err(Failure::bad(
            "dtlsParameters.role must be \"client\" (or \"auto\"): the engine is the DTLS server",
        ));
    }
    super::check_len("dtlsParameters.fingerprints", &parameters.fingerprints)?;
    let sha256 = parameters
        .fingerprints
        .iter()
        .find(|fingerprint| fingerprint.algorithm.eq_ignore_ascii_case("sha-256"));
    let wanted = || {
        Failure::bad(
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
pub fn candidates(addresses: &[SocketAddr]) -> Vec<IceCandidate> {
    let candidate = |(index, address): (usize, &SocketAddr)| IceCandidate {
        foundation: format!("host{index}"),
        // RFC 8445 §5.1.2.1: type preference 126 (host), local preference by place in the list, component 1.
        priority: 126 << 24 | (u32::from(u16::MAX) - index as u32) << 8 | (256 - 1),
        address: address.ip().to_string(),
        protocol: "udp".into(),
        port: address.port().into(),
        r#type: "host".into(),
        tcp_type: None,
    };
    addresses.iter().enumerate().map(candidate).collect()
}
