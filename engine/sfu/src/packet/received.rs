//! A packet as it was received: authenticated, with its header read.

use crate::packet::media_packet::Carried;
use machine::Instant;

/// The meaning of a payload type for a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Media of the codec with this index.
    Media(u8),
    /// Retransmissions (RFC 4588) of it.
    Retransmission(u8),
}

/// An authenticated packet of a producer, with its parsed header.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The view over the decrypted packet.
    pub rtp: rtp::Packet<'a>,
    /// Media or retransmission, and its codec.
    pub role: Role,
    /// The forwarded extension values.
    pub carried: Carried,
    /// The dependency descriptor; empty without one.
    pub descriptor: &'a [u8],
    /// When the kernel received it.
    pub received_at: Instant,
}
