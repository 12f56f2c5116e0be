//! STUN (RFC 8489), as far as an ICE-lite agent and a TURN server need it, and the first-byte demultiplexer
//! (RFC 7983) of all protocols on the port.
//!
//! [`Message`] is a checked view over received bytes, [`Writer`] builds a message in a given buffer;
//! neither allocates. This crate is *not* an agent: it keeps no transactions, retransmits nothing and does
//! not decide about candidates.

#![forbid(unsafe_code)]

pub mod attribute;
mod channel;
mod crc32;
mod demux;
mod key;
mod message;
mod turn;
mod types;
mod writer;

pub use channel::{CHANNEL_HEADER_LEN, CHANNELS, CHANNELS_RFC5766, ChannelData};
pub use demux::{Demux, demux};
pub use key::{Integrity, Key, PasswordAlgorithm, userhash};
pub use message::{Attribute, Attributes, Malformed, Message};
pub use turn::{Family, TCP, UDP};
pub use types::{Class, Method, TransactionId};
pub use writer::Writer;

/// Bytes before the first attribute (RFC 8489 §5).
pub const HEADER_LEN: usize = 20;

/// Bytes 4..8 of every message (RFC 8489 §5); a message without it is RFC 3489's protocol or noise.
pub const MAGIC_COOKIE: u32 = 0x2112_a442;
