//! TURN (RFC 8656) and STUN (RFC 8489) as a server speaks them, as a [`machine::Machine`]: datagrams in; datagrams, requests for
//! sockets and events out.
//!
//! A client authenticates, allocates a *relayed address* (a UDP socket of its own, which the driver opens), and has peers reach it
//! there. What comes from a peer with a *permission* goes to the client as ChannelData or in a Data indication, and back. Nothing
//! is decided about media, and nothing is kept of a client before it has authenticated.
//!
//! State is below, stages are above, and imports go one way:
//!
//! | files | what they are |
//! |---|---|
//! | `dtls_relay` | [`DtlsRelay`], the machine with DTLS around it |
//! | `relay` | [`Relay`], the machine: which stage handles what comes in |
//! | `request` | a STUN message: is it well-formed, who sent it, which method does it call |
//! | `allocate`, `refresh`, `permit`, `streams` | the methods; `streams` is TCP with peers (RFC 6062) |
//! | `traffic` | the packet path |
//! | `authenticate`, `respond` | credentials of a request, and the response to it |
//! | `call`, `request_context` | what a stage borrows for one call, and the request that it serves |
//! | `allocations` | the tables: allocations, sockets, reservations, connections with peers |
//! | the others | the parts of the tables, and what an operator chooses |
//!
//! A stage is a function that borrows `Allocations` and a `Call`.

#![forbid(unsafe_code)]

mod allocate;
mod allocation;
mod allocations;
mod authenticate;
mod base64;
mod bucket;
mod call;
mod counters;
mod credentials;
mod dtls_relay;
mod events;
pub mod limits;
mod nonce;
mod peer_streams;
mod permit;
mod policy;
mod quota;
mod refresh;
mod relay;
mod relay_sockets;
mod request;
mod request_attributes;
mod request_context;
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
