//! State of pipes: what workers of one engine send to each other.

pub mod message;
pub mod outbox;
pub mod subscription;
