//! ChannelData (RFC 8656 §12.4): a header of four bytes (channel number and length) and a payload.

use std::ops::RangeInclusive;

/// The valid channel numbers (RFC 8656 §12).
pub const CHANNELS: RangeInclusive<u16> = 0x4000..=0x4fff;

/// The valid numbers before demultiplexing with RTP and DTLS on one port was specified (RFC 5766 §11).
pub const CHANNELS_RFC5766: RangeInclusive<u16> = 0x4000..=0x7fff;

/// Bytes before the payload.
pub const CHANNEL_HEADER_LEN: usize = 4;

/// A ChannelData message as a checked view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelData<'a> {
    /// One of [`CHANNELS_RFC5766`]; it need not be bound.
    pub number: u16,
    /// The relayed data, without padding.
    pub data: &'a [u8],
}

impl<'a> ChannelData<'a> {
    /// Reads a datagram, or one message of a stream. Bytes after the announced length are padding: up to
    /// three in a stream, normally none in a datagram. `None` if the channel number is invalid, or the
    /// payload is cut.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<CHANNEL_HEADER_LEN>()?;
        let number = u16::from_be_bytes([head[0], head[1]]);
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let data = rest.get(..len).filter(|_| CHANNELS_RFC5766.contains(&number))?;
        Some(Self { number, data })
    }

    /// The header of a message with `len` bytes of payload.
    pub fn header(number: u16, len: u16) -> [u8; CHANNEL_HEADER_LEN] {
        let ([a, b], [c, d]) = (number.to_be_bytes(), len.to_be_bytes());
        [a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_has_the_announced_length_without_padding() {
        let mut bytes = ChannelData::header(0x4001, 3).to_vec();
        bytes.extend(b"abc\0");
        let read = ChannelData { number: 0x4001, data: b"abc" };
        assert_eq!(ChannelData::new(&bytes), Some(read));
        assert_eq!(ChannelData::new(&bytes[..7]), Some(read));
        for len in 0..7 {
            assert_eq!(ChannelData::new(&bytes[..len]), None, "cut to {len}");
        }
    }

    #[test]
    fn numbers_outside_of_the_range_are_refused() {
        for (number, is_channel) in [
            (0x3fff, false),
            (0x4000, true),
            (0x4fff, true),
            (0x5000, true),
            (0x7fff, true),
            (0x8000, false),
            (0xffff, false),
        ] {
            let bytes = ChannelData::header(number, 0);
            assert_eq!(ChannelData::new(&bytes).is_some(), is_channel, "{number:#06x}");
        }
    }
}
