//! Why a connection failed.

use boring::ssl::{Error, ErrorCode};
use boring_sys as ffi;
use std::ffi::c_int;

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// The peer has sent this fatal alert.
    #[error("the peer closed the connection with alert {0}")]
    Alert(u8),
    /// The peer's certificate is not the one that is expected.
    #[error("the peer's certificate is not the expected one")]
    WrongCertificate,
    /// The type or length of the peer's key is not accepted.
    #[error("the peer's certificate cannot be used")]
    UnusableCertificate,
    /// The peer has sent no certificate.
    #[error("the peer has no certificate")]
    NoCertificate,
    /// No common version, cipher suite, group or signature, or no extended master secret.
    #[error("the peer has no version, cipher suite, group or signature in common with us")]
    Incompatible,
    /// The peer violated the protocol.
    #[error("the peer violated the protocol")]
    Protocol,
    /// No answer to the last retransmission of a flight.
    #[error("the peer did not answer")]
    TimedOut,
    /// An internal error.
    #[error("an internal error")]
    Internal,
}

/// Added to the number of a received alert.
const ALERT_OFFSET: c_int = 1000;

pub(crate) fn of(error: &Error) -> Failure {
    if error.code() != ErrorCode::SSL {
        return Failure::Internal;
    }
    let errors = error.ssl_error().map_or(&[][..], |stack| stack.errors());
    let reason = errors.iter().find_map(|error| error.library_reason(ffi::ERR_LIB_SSL));
    match reason {
        Some(reason) if (ALERT_OFFSET..ALERT_OFFSET + 256).contains(&reason) => {
            Failure::Alert(u8::try_from(reason - ALERT_OFFSET).unwrap_or(u8::MAX))
        }
        Some(
            ffi::SSL_R_NO_SHARED_CIPHER
            | ffi::SSL_R_NO_SHARED_GROUP
            | ffi::SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS
            | ffi::SSL_R_UNSUPPORTED_PROTOCOL
            | ffi::SSL_R_UNKNOWN_PROTOCOL
            | ffi::SSL_R_WRONG_SSL_VERSION
            | ffi::SSL_R_WRONG_VERSION_NUMBER
            | ffi::SSL_R_WRONG_SIGNATURE_TYPE
            | ffi::SSL_R_WRONG_CIPHER_RETURNED
            | ffi::SSL_R_WRONG_CURVE
            | ffi::SSL_R_UNKNOWN_CIPHER_RETURNED,
        ) => Failure::Incompatible,
        Some(ffi::SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) => Failure::NoCertificate,
        Some(
            ffi::SSL_R_UNKNOWN_CERTIFICATE_TYPE
            | ffi::SSL_R_WRONG_CERTIFICATE_TYPE
            | ffi::SSL_R_UNSUPPORTED_CERTIFICATE
            | ffi::SSL_R_CANNOT_PARSE_LEAF_CERT
            | ffi::SSL_R_CERTIFICATE_VERIFY_FAILED
            | ffi::SSL_R_KEY_USAGE_BIT_INCORRECT
            | ffi::SSL_R_ECC_CERT_NOT_FOR_SIGNING,
        ) => Failure::UnusableCertificate,
        Some(ffi::SSL_R_READ_TIMEOUT_EXPIRED) => Failure::TimedOut,
        _ => Failure::Protocol,
    }
}
