//! Datagrams and bytes of a transport, both ways.

/// What came from a transport's peer and what was written for it, whatever it was. Part of the transport, so that one that takes the slot of
/// another begins with nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Datagrams taken from the peer, and from another worker where the transport is a pipe.
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
