//! A DTLS endpoint without I/O (RFC 6347, RFC 9147): datagrams in, datagrams, SRTP keys (RFC 5764) and
//! application data out. The protocol itself is BoringSSL's, behind `leat-ssl`; this crate decides what may reach it before
//! the peer has shown who it is, verifies the peer's fingerprint (RFC 8122 §5) before any key leaves, bounds all of it, and speaks
//! [`machine::Instant`].
//!
//! Feed an [`Endpoint`] only what comes from the 5-tuple that ICE has validated. Someone who can only write that address into its
//! datagrams cannot end a server's handshake with an announced peer; someone who also reads the path can delay it.
//!
//! What this crate cannot keep out of the library: everything that is random in a handshake comes from the operating system. The
//! nonces of records are counted, in DTLS 1.2 from epoch and sequence number (RFC 5288 §3).

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
pub use cookies::{Cookies, Stranger, ValidCookie};
pub use endpoint::{Connected, Endpoint, Output, SendError};
pub use failed::Failed;
pub use fingerprint::{BadFingerprint, Fingerprint};
pub use settings::{Options, Peers, Settings, Version};
pub use ssl::BadCredential as BadCertificate;
