//! BoringSSL's DTLS behind a safe interface (RFC 6347, RFC 9147): datagrams and time are arguments; it uses
//! no socket and no clock.
//!
//! It contains only the parts that [`leat-dtls`](../dtls/index.html) needs: that crate decides which peers
//! may connect, this crate runs the protocol. Random numbers come from the operating system, as does the date
//! of a generated certificate.
//!
//! A connection is *not* thread-safe and needs no lock: it is used through `&mut`.

mod certificate_hash;
mod connection;
mod credential;
mod failure;
mod key;
// The only module with `unsafe`.
mod raw;

pub use certificate_hash::CertificateHash;
pub use connection::{Connection, Context, Options, Role, SrtpProfile};
pub use credential::{BadCredential, Credential};
pub use failure::Failure;
pub use key::has_signed;
