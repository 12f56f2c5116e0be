//! What browsers can do with RTP, what the engine can, and what both agree on (ORTC's capabilities and parameters).
//!
//! Text stops here: on one side are `signal.proto`'s messages as mediasoup-client fills them in, on the other the
//! engine's numbers ([`control`]). Everything from a client is a claim, and is checked.
//!
//! A producer keeps the payload types and extension ids that its browser chose. A consumer always gets the router's
//! ([`capabilities::router`]); so they never collide on a transport, whoever produces.

pub mod capabilities;
pub mod consume;
pub mod dtls;
mod formats;
pub mod media_config;
mod names;
mod payload_types;
pub mod plain;
pub mod produce;
pub mod scalability;
mod text;
mod value;

pub use consume::{Consumable, ConsumerSsrcs};
pub use produce::Produced;
pub use scalability::ScalabilityMode;
pub use text::{kind, kind_name};

#[cfg(test)]
mod tests;
