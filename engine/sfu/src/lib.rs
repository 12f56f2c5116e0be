//! The selective forwarding unit as a [`Machine`](machine::Machine): one [`Shard`] a worker.
//!
//! A shard owns routers, their transports, and the producers and consumers on those. Datagrams, commands and time come in
//! as arguments; datagrams leave through a [`Tx`](machine::Tx), answers and events are polled.
//!
//! State is below, stages are above: `limits`, then `base` and `packet`, then `bandwidth`, `speakers` and `pipe`, then `ingress` and
//! `transport`, then `egress`, then `objects`, then `shard`. Imports go down only. A stage is a function of `shard` that borrows the
//! objects and the turn. The path of a packet: `shard` reads the protocol → `receive` decrypts the packet and finds its producer →
//! `fan_out`, at the end of the batch → `egress::consumer` writes its own header and encrypts into the send batch. `rtcp_in` is the same for RTCP,
//! `reports` sends RTCP by the clock, `connect` is STUN and DTLS, `plain` the transports that have neither, `commands` the controller's
//! requests.
//!
//! It is *not* a signaling server: it knows no SDP, no JSON, no rooms by name. State is plain data, and nothing is
//! shared between shards.

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
