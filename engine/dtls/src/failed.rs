//! Why an endpoint is of no use any more, and whose turn it is.

use dimpl::{Error, SecurityError, TimeoutError};

/// The end of an endpoint. It stays failed; a new handshake needs a new endpoint, which the peer will
/// only join after a new offer, or if it had not got beyond its ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failed {
    /// The peer's certificate is not the one signaling announced: somebody sits in between, or
    /// signaling mixed up two peers. Close the transport and say so.
    #[error("the peer's certificate is not the one that signaling announced")]
    FingerprintMismatch,
    /// The peer has no certificate, or one we cannot use (not ECDSA P-256 or P-384).
    #[error("the peer's certificate is missing or unusable")]
    BadCertificate,
    /// No version, cipher suite or curve in common, or no extended master secret. The peer's software
    /// is too old.
    #[error("the peer offers no version, cipher suite or curve that we accept")]
    Incompatible,
    /// The handshake went through, but the peer wants no SRTP profile of ours: no media is possible.
    #[error("the peer accepts no SRTP profile of ours")]
    NoSrtpProfile,
    /// The peer, or who sends from its address, broke the protocol: a wrong signature or Finished, a
    /// message out of turn, renegotiation.
    #[error("the peer broke the protocol")]
    BadHandshake,
    /// The peer, or who sends from its address, ended it with this alert (RFC 8446 §6).
    #[error("the peer gave up with alert {0}")]
    Alert(u8),
    /// More datagrams came out of order than are kept.
    #[error("the peer sent more fragments than are kept")]
    PeerOverrun,
    /// No answer within the bounds of [`limits`](crate::limits). The network, or the peer is gone.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// Nobody polled while datagrams piled up: the caller's mistake.
    #[error("datagrams to send were not polled")]
    NotPolled,
    /// A fault of this crate or of the library under it, contained to this endpoint. Report it.
    #[error("an internal fault")]
    Internal,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error {
            Error::SecurityError(error) => of_security(&error),
            Error::CertificateError(_) => Self::BadCertificate,
            Error::ReceiveQueueFull | Error::TooManyClientHelloFragments => Self::PeerOverrun,
            Error::TransmitQueueFull | Error::TransmitHistoryFull => Self::NotPolled,
            Error::Timeout(
                TimeoutError::HybridClientHello | TimeoutError::Connect | TimeoutError::Handshake,
            ) => Self::TimedOut,
            Error::ConfigError(_) | Error::PskError(_) | Error::InvalidState(_) => Self::Internal,
            // Messages out of turn and failed cryptography: with our keys known to be good, the peer's.
            _ => Self::BadHandshake,
        }
    }
}

fn of_security(error: &SecurityError) -> Failed {
    match error {
        SecurityError::FatalAlert { description } => Failed::Alert(*description),
        SecurityError::UnsupportedServerVersion(_)
        | SecurityError::UnsupportedClientVersion(_)
        | SecurityError::UnsupportedKeyExchangeAlgorithm
        | SecurityError::ExtendedMasterSecretNotNegotiated
        | SecurityError::NoMutuallyAcceptableCipherSuite
        | SecurityError::ClientHelloLegacyVersionNotDtls12
        | SecurityError::ServerHelloLegacyVersionNotDtls12
        | SecurityError::ClientHelloMissingDtls13SupportedVersions
        | SecurityError::NoCommonCipherSuite
        | SecurityError::NoCommonKeyExchangeGroup
        | SecurityError::ServerDidNotNegotiateDtls13
        | SecurityError::UnsupportedSignatureScheme(_)
        | SecurityError::SignatureSchemeNotOffered(_) => Failed::Incompatible,
        _ => Failed::BadHandshake,
    }
}
