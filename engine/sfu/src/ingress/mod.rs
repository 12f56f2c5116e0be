//! State of receiving from a peer: producers, their streams, and their pending requests.

pub mod counts;
pub mod data_producer;
pub mod keyframe;
pub mod layer_demand;
pub mod layer_rates;
pub mod nack;
pub mod producer;
pub mod stream;
