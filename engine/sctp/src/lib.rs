//! An SCTP association for WebRTC data channels, without I/O: decrypted DTLS records in, channels and messages
//! out (RFC 9260, RFC 8831, RFC 8832). The protocol itself is [sctp-proto](https://docs.rs/sctp-proto)'s. This
//! crate adds the handshake, the channels and their priorities, and bounds for what a peer may cost.
//!
//! An [`Association`] gets time and randomness as arguments. Two things remain of the library: it reads a
//! clock when it is created, a value that serves as the origin of its time only, and it seeds generators and
//! hash tables that decide nothing but the order of the streams in a FORWARD TSN. The same inputs and the same
//! seed give the same packets but for that order.
//!
//! Copies of a payload. Sending: none until a fragment is written into its packet; all associations that send
//! the same [`Bytes`](bytes::Bytes) share it. Receiving: one with the packet, and one when the message is
//! complete, into memory of its own. Encryption and decryption copy once more each.
//!
//! There is no interleaving (RFC 8260): a message of 256 KiB is sent in one piece, and messages of higher
//! priority wait for its end.

#![forbid(unsafe_code)]

mod association;
mod channel;
mod dcep;
mod discard;
mod failed;
mod guard;
mod handshake;
mod lane;
pub mod limits;
mod link;
mod packet;
mod round_trip;
mod schedule;
mod settings;

pub use association::{Association, Event};
pub use channel::{Channel, Kind, Limit, Reliability, Role, StreamId};
pub use discard::Discard;
pub use failed::{Failed, OpenError, SendError};
pub use round_trip::RoundTripSamples;
pub use settings::Settings;
