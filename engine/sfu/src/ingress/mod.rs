//! State of what a peer sends: producers, their streams, and what they need to ask for.

pub mod counts;
pub mod keyframe;
pub mod layer_demand;
pub mod layer_rates;
pub mod nack;
pub mod producer;
pub mod stream;
