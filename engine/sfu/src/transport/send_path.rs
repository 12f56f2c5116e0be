//! Where the packets of a transport go.

use crate::transport::protection::Outbound;
use machine::{Flow, Path};

/// Where a transport's packets go, and how they are protected: borrowed from the transport for one fan-out.
#[derive(Clone, Copy, Debug)]
pub struct SendPath<'a> {
    /// Groups the transport's datagrams in the send batch.
    pub flow: Flow,
    /// The selected pair.
    pub path: Path,
    /// How they are protected.
    pub outbound: Outbound<'a>,
}
