//! The objects of a shard.

pub mod plain_sockets;
pub mod router;
