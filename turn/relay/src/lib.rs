//! TURN (RFC 8656) and STUN (RFC 8489) as a server speaks them, as a [`machine::Machine`]: datagrams in; datagrams, orders for
//! sockets and events out.
//!
//! A client authenticates, allocates a *relayed address* (a UDP socket of its own, which the driver opens), and has peers reach it
//! there. What comes from a peer with a *permission* goes to the client as ChannelData or in a Data indication, and back. Nothing
//! is decided about media, and nothing is kept of a client before it has authenticated.
//!
//! Read it in this order: [`Relay`] sorts what comes in; `request` authenticates and answers; `allocate`, `refresh` and
//! `permit` are the methods; `traffic` is the packet path, and `streams` the one for TCP with peers (RFC 6062). [`DtlsRelay`] puts DTLS around all of it.

#![forbid(unsafe_code)]

mod allocate;
mod allocation;
mod authenticate;
mod base64;
mod bucket;
mod counters;
mod credentials;
mod dtls_relay;
mod events;
pub mod limits;
mod nonce;
mod permit;
mod policy;
mod quota;
mod refresh;
mod relay;
mod relay_sockets;
mod request;
mod respond;
mod settings;
mod sorted;
mod streams;
mod table;
mod throttle;
mod traffic;

pub use bucket::Bucket;
pub use counters::{Counter, Counters};
pub use credentials::{BadCredentials, Credentials, Derivation, mint, prepare};
pub use dtls_relay::{DtlsRelay, DtlsSettings};
pub use events::{Command, End, Event};
pub use policy::{Allowed, BadAllowed, Interfaces, PeerIp, Policy};
pub use quota::{Books, Ledger, Quotas};
pub use relay::Relay;
pub use settings::{EvenClock, Settings, WallClock};
