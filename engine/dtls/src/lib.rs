//! A DTLS endpoint without I/O (RFC 6347, RFC 9147): datagrams in, datagrams, SRTP keys (RFC 5764) and
//! application data out. The protocol itself is the `dimpl` crate's; this one bounds it, verifies the
//! peer's fingerprint (RFC 8122 §5) before any key leaves, and speaks [`machine::Instant`].
//!
//! Feed an [`Endpoint`] only what comes from the 5-tuple that ICE has validated: before the handshake
//! ends, whoever can send to it can make it fail.
//!
//! What this crate cannot keep out of the library: the wall clock's seconds go into the first four
//! bytes of the DTLS 1.2 hello (read once per process), and ephemeral keys, ECDSA signatures and, without
//! [`Options::rng_seed`], all else that is random comes from the operating system. With DTLS 1.2 and
//! AES-GCM the library draws the 64 bits of every record's explicit nonce at random, where RFC 5288 §3
//! suggests to count: after 2²⁰ records of application data two agree with a probability of 2⁻²⁵, after
//! 2²⁸ of 2⁻⁹. Media does not pass through here; data channels in bulk should use DTLS 1.3, whose nonces
//! are counted.

#![forbid(unsafe_code)]

mod certificate;
mod endpoint;
mod failed;
mod fingerprint;
pub mod limits;
mod settings;

pub use certificate::Certificate;
pub use endpoint::{Connected, Endpoint, Output, SendError};
pub use failed::Failed;
pub use fingerprint::{BadFingerprint, Fingerprint};
pub use settings::{Options, Peers, Settings, Version};
