//! Why an endpoint failed, and which side should act.

use ssl::Failure;

/// The end of an endpoint. It stays failed; a new handshake needs a new endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failed {
    /// The peer's certificate does not match signaling's fingerprint: there is a party in between, or
    /// signaling confused two peers. Close the transport and report it.
    #[error("the peer's certificate is not the one that signaling announced")]
    FingerprintMismatch,
    /// The peer has no certificate, or one with a key that is not accepted: RSA of at least 2048 bits, ECDSA
    /// on P-256 or P-384, and Ed25519 are.
    #[error("the peer's certificate is missing or unusable")]
    BadCertificate,
    /// No common version, cipher suite, curve or signature, or no extended master secret. The peer's software
    /// is too old.
    #[error("the peer offers no version, cipher suite, curve or signature that we accept")]
    Incompatible,
    /// The handshake succeeded, but there is no common SRTP profile: media is impossible.
    #[error("the peer accepts none of our SRTP profiles")]
    NoSrtpProfile,
    /// The peer violated the protocol: a wrong signature or Finished, a message out of order, renegotiation.
    #[error("the peer violated the protocol")]
    BadHandshake,
    /// The peer ended it with this alert (RFC 8446 §6).
    #[error("the peer closed the connection with alert {0}")]
    Alert(u8),
    /// No answer within the bounds of [`limits`](crate::limits): a network problem, or the peer is gone.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// A bug of this crate or of the library, contained in this endpoint. Report it.
    #[error("an internal error")]
    Internal,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Alert(alert) => Self::Alert(alert),
            Failure::WrongCertificate => Self::FingerprintMismatch,
            Failure::UnusableCertificate | Failure::NoCertificate => Self::BadCertificate,
            Failure::Incompatible => Self::Incompatible,
            Failure::Protocol => Self::BadHandshake,
            Failure::TimedOut => Self::TimedOut,
            Failure::Internal => Self::Internal,
        }
    }
}
