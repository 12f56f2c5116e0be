//! RTP capabilities of browsers and of the engine, and the parameters that both support (ORTC).
//!
//! Messages of `signal.proto`, as mediasoup-client creates them, are converted to the values of the engine
//! ([`control`]). All data from a client is checked.
//!
//! A producer keeps the payload types and extension ids of its browser. A consumer always has those of the
//! router ([`capabilities::router`]), so they never conflict on a transport.

pub mod capabilities;
pub mod consume;
pub mod dtls;
mod formats;
mod h264;
pub mod media_config;
mod names;
mod offered;
mod payload_types;
pub mod plain;
pub mod produce;
pub mod scalability;
mod text;
mod value;

pub use consume::{Consumable, ConsumerSsrcs, Numbers};
pub use h264::{H264Format, Profile};
pub use offered::{OfferedFormat, extension_of, feedback_of, h264_format, router_codec, sent_extensions};
pub use produce::Produced;
pub use scalability::ScalabilityMode;
pub use text::{kind, kind_name};

#[cfg(test)]
mod tests;
