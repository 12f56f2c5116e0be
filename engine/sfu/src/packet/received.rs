//! A packet as it was received: authenticated, with its header read.

use crate::packet::media_packet::Carried;
use machine::Instant;

/// What a payload type means to a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Media of the codec with this index.
    Media(u8),
    /// Retransmissions (RFC 4588) of it.
    Retransmission(u8),
}

/// An authenticated packet of a producer, with its header understood.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The view over the decrypted packet.
    pub rtp: rtp::Packet<'a>,
    /// Media or retransmission, and of which codec.
    pub role: Role,
    /// The extension values that travel on.
    pub carried: Carried,
    /// The dependency descriptor; empty where there is none.
    pub descriptor: &'a [u8],
    /// When the kernel received it.
    pub received_at: Instant,
}
