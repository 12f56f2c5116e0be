//! The selective forwarding unit as a [`Machine`](machine::Machine): one [`Shard`] per worker.
//!
//! A shard owns routers, their transports, and the producers and consumers on those. Datagrams, commands and
//! time are arguments; datagrams are sent through a [`Tx`](machine::Tx), answers and events are polled.
//!
//! State is below, stages are above: `limits`, then `base` and `packet`, then `bandwidth`, `speakers` and
//! `pipe`, then `ingress` and `transport`, then `egress`, then `objects`, then `shard`. Imports go down only.
//! A stage is a function of `shard` that borrows the objects and the turn. The path of a packet: `shard`
//! reads the protocol → `receive` decrypts the packet and finds its producer → `fan_out`, at the end of the
//! batch → `egress::consumer` writes a new header and encrypts into the send batch. `rtcp_in` is the same for
//! RTCP, `reports` sends periodic RTCP, `connect` handles STUN and DTLS, `plain` the transports without both,
//! `commands` the controller's requests.
//!
//! It is *not* a signaling server: it handles no SDP, no JSON and no room names. State is plain data, and
//! shards share nothing.

#![forbid(unsafe_code)]

pub mod bandwidth;
mod base;
mod containment;
mod egress;
mod ingress;
pub mod limits;
mod objects;
mod packet;
mod pipe;
mod shard;
mod speakers;
mod transport;

pub use containment::{Contained, Fault, Replaced};
pub use shard::{Config, Input, Shard};
