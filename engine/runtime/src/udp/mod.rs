//! UDP sockets: opening them, and receiving and sending in batches.

#[cfg(test)]
pub(crate) mod loopback;
pub(crate) mod on_demand;
pub(crate) mod open;
pub(crate) mod port_pool;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod sockets;
