//! BoringSSL's DTLS behind a safe interface (RFC 6347, RFC 9147): datagrams and time are arguments, no
//! socket and no clock is touched.
//!
//! What is here is what [`leat-dtls`](../dtls/index.html) needs and no more: it decides who may speak to whom, this crate runs
//! the protocol. Random numbers come from the operating system, as does the date of a certificate that is made here.
//!
//! It is *not* thread-safe inside of a connection, and needs no lock: a connection is used through `&mut`.

mod connection;
mod credential;
mod failure;
mod key;
// The only module with `unsafe`.
mod raw;

pub use connection::{Connection, Context, Options, Role, SrtpProfile};
pub use credential::{BadCredential, Credential};
pub use failure::Failure;
pub use key::has_signed;
