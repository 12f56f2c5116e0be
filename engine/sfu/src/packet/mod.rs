//! One packet of media: what is known of it, and where recent ones are kept.

pub mod cache;
pub mod frame;
pub mod media_packet;
pub mod parameter_sets;
pub mod picture;
pub mod received;
