//! The selective forwarding unit as a [`Machine`](machine::Machine): one [`Shard`] a worker.
//!
//! A shard owns routers, their transports, and the producers and consumers on those. Datagrams, commands and time come in
//! as arguments; datagrams leave through a [`Tx`](machine::Tx), answers and news are polled. The way of a packet:
//! `shard` tells protocols apart → `media` unprotects it and finds its producer → `fan_out`, at the end of the batch → `consumer` writes its own
//! header and encrypts into the send batch. `feedback` is the same for RTCP, `reports` is the RTCP we send by the clock, `connect` is STUN and DTLS,
//! `plain` the transports that have neither, `commands` for what the controller asks.
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
