//! A simulated world for tests: peers and a [`Shard`](sfu::Shard) on a virtual network, in virtual time, from
//! one seed.
//!
//! Nothing here opens a socket or reads a clock, so ten seconds of a call pass in milliseconds, and the same
//! seed gives the same run. The synthetic peers use our own crates for ICE and DTLS, but the published ones
//! for SRTP, RTP and RTCP, so that one bug cannot be in both and stay hidden. They check everything they
//! receive: a packet that a browser would reject is a [fault](World::assert_sound).
//!
//! ```no_run
//! # use leat_tests::{MS, SEC, Track, World};
//! let mut world = World::new(7);
//! let (alice, bob) = (world.join(), world.join());
//! world.link(alice).loss(0.05).delay(25 * MS);
//! let camera = world.publish(alice, Track::camera());
//! let view = world.subscribe(bob, camera);
//! world.run_for(10 * SEC);
//! assert_eq!(world.sink(view).freezes(), 0, "{world}");
//! ```

#![forbid(unsafe_code)]

pub mod capture;
mod client;
pub mod decoder;
pub mod dependency;
mod indices;
pub mod layered;
mod link;
mod outbox;
pub mod peer;
mod plain;
mod relay_world;
mod room;
pub mod schema;
mod sockets;
mod track;
mod turn_request;
mod world;

pub use client::{Client, Received};
pub use indices::SentIndices;
pub use layered::{LayeredSource, LayeredTrack};
pub use link::{Link, LinkEdit};
pub use outbox::Outbox;
pub use peer::Peer;
pub use peer::sink::Sink;
pub use peer::source::Source;
pub use plain::PlainSent;
pub use relay_world::{Answered, ClientId, FarId, ReceivedDatagram, RelayWorld};
pub use sockets::SocketsOnDemand;
pub use track::Track;
pub use turn_request::{Known, turn_request};
pub use world::{PeerId, World};

use std::time::Duration;

/// A millisecond, to be multiplied: `40 * MS`.
pub const MS: Duration = Duration::from_millis(1);

/// A second, to be multiplied: `10 * SEC`.
pub const SEC: Duration = Duration::from_secs(1);
