//! What both sides of an association have agreed on.

use crate::channel::Role;
use crate::limits::{MESSAGE_LEN_MAX, PACKET_LEN_MAX, PACKET_LEN_MIN};
use crate::packet::Ports;

/// What both sides have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our role in DTLS.
    pub role: Role,
    /// Our SCTP port (`a=sctp-port`, RFC 8841 §5).
    pub local_port: u16,
    /// The peer's.
    pub remote_port: u16,
    /// Bytes of the longest packet that is sent: what fits into a datagram of the path with the headers of
    /// DTLS. At least [`PACKET_LEN_MIN`].
    pub packet_len_max: usize,
    /// Bytes of the longest message that the peer accepts (`a=max-message-size`, RFC 8841 §6); 0 is no
    /// limit. [`MESSAGE_LEN_MAX`] applies besides.
    pub peer_message_len_max: usize,
}

impl Settings {
    /// The usual ports, and packets for the path that WebRTC assumes (RFC 8831 §5).
    pub fn new(role: Role) -> Self {
        let port = 5000;
        Self { role, local_port: port, remote_port: port, packet_len_max: 1191, peer_message_len_max: 0 }
    }

    pub(crate) fn ports(&self) -> Ports {
        Ports { local: self.local_port, remote: self.remote_port }
    }

    pub(crate) fn packet_len(&self) -> usize {
        self.packet_len_max.clamp(PACKET_LEN_MIN, PACKET_LEN_MAX)
    }

    pub(crate) fn message_len_max(&self) -> usize {
        match self.peer_message_len_max {
            0 => MESSAGE_LEN_MAX,
            len => len.min(MESSAGE_LEN_MAX),
        }
    }
}
