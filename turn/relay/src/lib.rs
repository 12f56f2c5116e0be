//! A server for TURN (RFC 8656) and STUN (RFC 8489), as a [`machine::Machine`]: datagrams in; datagrams,
//! requests for sockets and events out.
//!
//! A client authenticates and allocates a *relayed address* (a UDP socket that the driver opens for it), at
//! which peers reach it. Datagrams from a peer with a *permission* go to the client as ChannelData or in a
//! Data indication, and back. The relay does not inspect media, and stores nothing about a client before it
//! has authenticated.
//!
//! State is below, stages are above, and imports go one way:
//!
//! | files | content |
//! |---|---|
//! | `dtls_relay` | [`DtlsRelay`], the machine with DTLS around it |
//! | `relay` | [`Relay`], the machine: selects the stage for each input |
//! | `request` | a STUN message: whether it is well-formed, its user, its method |
//! | `allocate`, `refresh`, `permit`, `streams` | the methods; `streams` is TCP with peers (RFC 6062) |
//! | `traffic` | the packet path |
//! | `authenticate`, `respond` | credentials of a request, and the response to it |
//! | `call`, `request_context` | the state that a stage borrows for one call, and its request |
//! | `allocations` | the tables: allocations, sockets, reservations, connections with peers |
//! | the others | the parts of the tables, and the settings of the operator |
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
mod quota;
mod refresh;
mod relay;
mod relay_sockets;
mod request;
mod request_attributes;
mod request_context;
mod respond;
mod revoked;
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
pub use policy::{ALLOWED_MAX, Allowed, BadAllowed, Interfaces, PeerIp, Policy};
pub use quota::{Accounts, Ledger, Quotas};
pub use relay::Relay;
pub use revoked::RevokedUser;
pub use settings::{EvenClock, Settings, WallClock};
