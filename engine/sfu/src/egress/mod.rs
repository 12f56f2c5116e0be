//! State of sending to a peer: consumers, and how they select, number and write packets.

pub mod consumer;
pub mod counts;
pub mod data_consumer;
pub mod layer_budget;
pub mod rewrite;
pub mod selector;
pub mod source;
pub mod writer;
