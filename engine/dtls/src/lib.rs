//! A DTLS endpoint without I/O (RFC 6347, RFC 9147): input is datagrams, output is datagrams, SRTP keys (RFC
//! 5764) and application data. The protocol itself is BoringSSL's, through `leat-ssl`; this crate decides
//! which messages may reach it before the peer has authenticated, verifies the peer's fingerprint (RFC 8122
//! §5) before it returns keys, bounds all resources, and uses [`machine::Instant`].
//!
//! Pass an [`Endpoint`] only datagrams from the 5-tuple that ICE has validated. An attacker who can only
//! forge that source address cannot end a server's handshake with an announced peer; one who also reads the
//! path can delay it.
//!
//! A limitation: all randomness of a handshake comes from the operating system, inside the library. The
//! nonces of records are counters, in DTLS 1.2 of epoch and sequence number (RFC 5288 §3).

#![forbid(unsafe_code)]

mod assembly;
mod candidate;
mod certificate;
mod cookies;
mod endpoint;
mod failed;
mod fingerprint;
mod guard;
pub mod limits;
mod ration;
mod record;
mod settings;

pub use certificate::Certificate;
pub use cookies::{Cookies, FirstDatagram, ValidCookie};
pub use endpoint::{Connected, Endpoint, Output, SendError};
pub use failed::Failed;
pub use fingerprint::{BadFingerprint, Fingerprint};
pub use record::is_client_hello;
pub use settings::{Options, Peers, Settings, Version};
pub use ssl::{BadCredential as BadCertificate, CertificateHash};
