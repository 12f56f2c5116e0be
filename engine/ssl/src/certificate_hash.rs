//! The hash by which signaling identifies a peer's certificate (RFC 8122 §5).

use boring::{memcmp, sha};

/// The hash of a certificate in DER. MD2 and MD5 are missing: RFC 8122 §5 forbids them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateHash {
    /// SHA-1. Its known attacks make two certificates with one hash, not a second one with a given hash.
    Sha1([u8; 20]),
    /// SHA-224.
    Sha224([u8; 28]),
    /// SHA-256: what browsers send.
    Sha256([u8; 32]),
    /// SHA-384.
    Sha384([u8; 48]),
    /// SHA-512.
    Sha512([u8; 64]),
}

impl CertificateHash {
    /// Whether a certificate in DER has this hash.
    pub fn is_of(&self, certificate: &[u8]) -> bool {
        match self {
            Self::Sha1(hash) => memcmp::eq(&sha::sha1(certificate), hash),
            Self::Sha224(hash) => memcmp::eq(&sha::sha224(certificate), hash),
            Self::Sha256(hash) => memcmp::eq(&sha::sha256(certificate), hash),
            Self::Sha384(hash) => memcmp::eq(&sha::sha384(certificate), hash),
            Self::Sha512(hash) => memcmp::eq(&sha::sha512(certificate), hash),
        }
    }
}
