//! SRTP and SRTCP (RFC 3711) with AES-GCM (RFC 7714) or AES-CM and HMAC-SHA1-80, keyed by DTLS-SRTP (RFC
//! 5764): key derivation, the replay window, unprotect in place, and protect from a plaintext that many
//! receivers share, directly into each receiver's slot.
//!
//! A packet changes no state before its tag has been verified. Once a context knows a stream, its packets
//! cause no allocation.
//!
//! Not supported: unencrypted and unauthenticated modes, MKI, key derivation rates other than zero,
//! re-keying. WebRTC uses none of them (RFC 5764 §4.1, RFC 8827 §6.5).

#![forbid(unsafe_code)]

mod cipher;
mod discard;
mod header;
#[cfg(test)]
mod hex;
mod inbound;
mod kdf;
pub mod limits;
mod master_key;
mod outbound;
mod profile;
mod replay;

pub use discard::Discard;
pub use inbound::Inbound;
pub use master_key::MasterKey;
pub use outbound::Outbound;
pub use profile::Profile;
