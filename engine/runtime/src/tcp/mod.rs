//! TCP connections: of clients, which carry datagrams as frames, and of peers of TURN clients, whose bytes
//! are passed on unchanged.

pub(crate) mod bridge;
pub(crate) mod connection;
pub(crate) mod connections;
pub mod framing;
pub(crate) mod listen;
pub(crate) mod tls;
