//! The protocol of a datagram, by its first byte (RFC 7983 §7), and for RTP and RTCP by its second (RFC 5761
//! §4). It only looks at these bytes: each protocol still checks its own messages.

/// The apparent protocol of a datagram on a multiplexed port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Demux {
    /// First byte 0..=3.
    Stun,
    /// First byte 16..=19. Not supported.
    Zrtp,
    /// First byte 20..=63: a DTLS record's content type.
    Dtls,
    /// First byte 64..=79: ChannelData of TURN (RFC 8656 §12).
    TurnChannel,
    /// First byte 128..=191, and the second is not an RTCP packet type.
    Rtp,
    /// First byte 128..=191, second 192..=223.
    Rtcp,
    /// Anything else, an empty datagram, or RTP of a single byte.
    Unknown,
}

/// Classifies a datagram by its first two bytes.
///
/// The second byte of RTP is the marker bit and the payload type: the types 64..=95 would look like
/// RTCP when the marker is set, so no payload type of that range may be negotiated (RFC 5761 §4).
pub fn demux(bytes: &[u8]) -> Demux {
    match (bytes.first(), bytes.get(1)) {
        (Some(0..=3), _) => Demux::Stun,
        (Some(16..=19), _) => Demux::Zrtp,
        (Some(20..=63), _) => Demux::Dtls,
        (Some(64..=79), _) => Demux::TurnChannel,
        (Some(128..=191), Some(192..=223)) => Demux::Rtcp,
        (Some(128..=191), Some(_)) => Demux::Rtp,
        _ => Demux::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_has_one_protocol() {
        for first in 0..=255 {
            let expected = match first {
                0..4 => Demux::Stun,
                16..20 => Demux::Zrtp,
                20..64 => Demux::Dtls,
                64..80 => Demux::TurnChannel,
                128..192 => Demux::Rtp,
                _ => Demux::Unknown,
            };
            assert_eq!(demux(&[first, 111]), expected, "first byte {first}");
        }
    }

    #[test]
    fn the_second_byte_distinguishes_rtcp_from_rtp() {
        for second in 0..=255 {
            let expected = if (192..224).contains(&second) { Demux::Rtcp } else { Demux::Rtp };
            assert_eq!(demux(&[0x80, second, 0, 0]), expected, "second byte {second}");
        }
    }

    #[test]
    fn too_short_is_unknown() {
        assert_eq!(demux(&[]), Demux::Unknown);
        assert_eq!(demux(&[0x80]), Demux::Unknown);
    }
}
