//! State of pipes, the connections between workers of one engine.

pub mod message;
pub mod outbox;
pub mod subscription;
