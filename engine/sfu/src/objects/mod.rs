//! The objects of a shard.

pub mod router;
