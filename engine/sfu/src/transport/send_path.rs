//! The path and protection of a transport's packets.

use crate::transport::protection::Outbound;
use machine::{Flow, Path};

/// The path of a transport's packets, and their protection: borrowed from the transport for one fan-out.
#[derive(Clone, Copy, Debug)]
pub struct SendPath<'a> {
    /// Groups the transport's datagrams in the send batch.
    pub flow: Flow,
    /// The selected pair.
    pub path: Path,
    /// The protection.
    pub outbound: Outbound<'a>,
}
