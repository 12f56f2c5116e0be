//! State of what a peer receives: consumers, and how they choose, number and write packets.

pub mod consumer;
pub mod rewrite;
pub mod selector;
pub mod writer;
