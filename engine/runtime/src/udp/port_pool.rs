//! The addresses and ports that a machine may have sockets on while the worker runs.

use std::net::IpAddr;
use std::ops::RangeInclusive;

/// The addresses and ports of sockets on demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortPool {
    /// The addresses. The first of each family is used.
    pub ips: Vec<IpAddr>,
    /// The ports. No other worker uses them.
    pub ports: RangeInclusive<u16>,
}
