//! One packet of media: its parsed information, and the cache of recent ones.

pub mod cache;
pub mod frame;
pub mod media_packet;
pub mod parameter_sets;
pub mod picture;
pub mod received;
