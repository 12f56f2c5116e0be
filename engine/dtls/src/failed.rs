//! Why an endpoint is of no use any more, and whose turn it is.

use ssl::Failure;

/// The end of an endpoint. It stays failed; a new handshake needs a new endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failed {
    /// The peer's certificate is not the one signaling announced: another party sits in between, or
    /// signaling mixed up two peers. Close the transport and report it.
    #[error("the peer's certificate is not the one that signaling announced")]
    FingerprintMismatch,
    /// The peer has no certificate, or one with a key that is not accepted: RSA of 2048 bits and more, ECDSA on P-256 or P-384, and
    /// Ed25519 are.
    #[error("the peer's certificate is missing or unusable")]
    BadCertificate,
    /// No version, cipher suite, curve or signature in common, or no extended master secret. The peer's software
    /// is too old.
    #[error("the peer offers no version, cipher suite, curve or signature that we accept")]
    Incompatible,
    /// The handshake went through, but the peer wants no SRTP profile of ours: no media is possible.
    #[error("the peer accepts no SRTP profile of ours")]
    NoSrtpProfile,
    /// The peer broke the protocol: a wrong signature or Finished, a message out of turn, renegotiation.
    #[error("the peer broke the protocol")]
    BadHandshake,
    /// The peer ended it with this alert (RFC 8446 §6).
    #[error("the peer gave up with alert {0}")]
    Alert(u8),
    /// No answer within the bounds of [`limits`](crate::limits). The network, or the peer is gone.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// A fault of this crate or of the library under it, contained to this endpoint. Report it.
    #[error("an internal fault")]
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
