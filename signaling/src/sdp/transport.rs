//! ICE and DTLS of a description.

use crate::proto::{DtlsFingerprint, DtlsParameters, IceCandidate, IceParameters};
use crate::request_error::RequestError;
use sdp::{
    Candidate, CandidateAddress, CandidateKind, Fingerprint, HashAlgorithm, LocalTransport, Section, Setup,
    TcpKind, Transport,
};

/// The transport of this side, as the messages of the object flow describe it.
pub fn local_transport(
    ice: &IceParameters,
    candidates: &[IceCandidate],
    dtls: &DtlsParameters,
    setup: Setup,
) -> Option<LocalTransport> {
    let fingerprint = dtls.fingerprints.first()?;
    let bytes = fingerprint.value.split(':').map(|byte| u8::from_str_radix(byte, 16).ok());
    Some(LocalTransport {
        ice_ufrag: ice.username_fragment.clone(),
        ice_pwd: ice.password.clone(),
        fingerprint: Fingerprint { algorithm: HashAlgorithm::Sha256, value: bytes.collect::<Option<_>>()? },
        setup,
        candidates: candidates.iter().filter_map(candidate).collect(),
        is_ice_lite: ice.ice_lite,
    })
}

fn candidate(of: &IceCandidate) -> Option<Candidate> {
    Some(Candidate {
        foundation: of.foundation.clone(),
        component: 1,
        transport: match of.tcp_type {
            None => Transport::Udp,
            Some(_) => Transport::Tcp(TcpKind::Passive),
        },
        priority: of.priority,
        address: match of.address.parse() {
            Ok(ip) => CandidateAddress::Ip(ip),
            Err(_) => CandidateAddress::Name(of.address.clone()),
        },
        port: u16::try_from(of.port).ok()?,
        kind: CandidateKind::Host,
    })
}

/// The certificate of the other side, for `ConnectTransport`, and the role of this side in DTLS.
///
/// The strongest hash counts: an attacker who can forge a weaker one must not choose it.
pub fn peer_dtls(section: &Section) -> Result<(DtlsParameters, Setup), RequestError> {
    let strongest = section.fingerprints.iter().max_by_key(|fingerprint| fingerprint.algorithm);
    let Some(strongest) = strongest else {
        return Err(RequestError::bad(
            "the description needs a=fingerprint with a hash from sha-1 to sha-512 (RFC 8122 §5)",
        ));
    };
    let (role, own) = match section.setup {
        Some(Setup::ActPass | Setup::Active) => ("client", Setup::Passive),
        Some(Setup::Passive) => ("server", Setup::Active),
        Some(Setup::HoldConn) => {
            return Err(RequestError::bad("a=setup:holdconn is not supported; use actpass (RFC 8842 §5.2)"));
        }
        None => return Err(RequestError::bad("the description needs a=setup (RFC 8842 §5.2)")),
    };
    let pairs: Vec<String> = strongest.value.iter().map(|byte| format!("{byte:02X}")).collect();
    let fingerprint =
        DtlsFingerprint { algorithm: strongest.algorithm.name().to_owned(), value: pairs.join(":") };
    Ok((DtlsParameters { role: role.to_owned(), fingerprints: vec![fingerprint] }, own))
}
