//! The addresses and ports that a machine may have sockets on while the worker runs.

use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Where sockets on demand may listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortPool {
    /// The addresses: the first of a family is used for it.
    pub ips: Vec<IpAddr>,
    /// The ports, which no other worker has.
    pub ports: RangeInclusive<u16>,
}
