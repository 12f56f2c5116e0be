//! How the engine and a peer authenticate in DTLS: the parameters of [`Command::ConnectTransportAs`].
//!
//! [`Command::ConnectTransportAs`]: crate::Command::ConnectTransportAs

use crate::codec::wire_enum;

/// The engine's role in the DTLS handshake (RFC 8842 §5); the peer has the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsRole {
    /// The engine waits for the peer's ClientHello: the peer is `a=setup:active`.
    Server,
    /// The engine sends the ClientHello as soon as ICE has selected a pair: the peer is `a=setup:passive`.
    Client,
}
wire_enum!(DtlsRole, "DTLS role" { 0 => Server, 1 => Client });

/// The hash of the peer's certificate (`a=fingerprint`, RFC 8122 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerFingerprint {
    /// `sha-1`
    Sha1([u8; 20]),
    /// `sha-224`
    Sha224([u8; 28]),
    /// `sha-256`
    Sha256([u8; 32]),
    /// `sha-384`
    Sha384([u8; 48]),
    /// `sha-512`
    Sha512([u8; 64]),
}
wire_enum!(PeerFingerprint, "hash function" {
    0 => Sha1(hash), 1 => Sha224(hash), 2 => Sha256(hash), 3 => Sha384(hash), 4 => Sha512(hash),
});
