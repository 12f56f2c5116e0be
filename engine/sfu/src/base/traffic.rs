//! Datagrams and bytes of a transport, in both directions.

/// Received and sent datagrams of all kinds. Part of the transport, so that a transport in a reused slot
/// starts at zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Datagrams accepted from the peer, or from another worker if the transport is a pipe.
    pub received: Amount,
    /// Datagrams in the send batch.
    pub sent: Amount,
}

/// Datagrams and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Datagrams.
    pub packets: u64,
    /// Their UDP payload bytes.
    pub bytes: u64,
}

impl Amount {
    /// Adds a datagram.
    pub fn count(&mut self, len: usize) {
        self.packets += 1;
        self.bytes += len as u64;
    }
}
