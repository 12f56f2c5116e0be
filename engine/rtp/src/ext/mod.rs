//! The values of header extensions: one module per extension, each with `read` from an element's bytes and
//! `write` to them. The ids are negotiated elsewhere; the names are in [`uri`].
//!
//! `read` accepts only the length that the extension defines: another length is another extension under a
//! wrong id, or noise.

pub mod abs_capture_time;
pub mod abs_send_time;
pub mod audio_level;
pub mod playout_delay;
pub mod uri;
pub mod video_orientation;

/// Media identification (RFC 9143 §15): the text of `a=mid`. To write it, push
/// [`Mid::as_bytes`](crate::Mid::as_bytes).
pub mod mid {
    use crate::Mid;

    /// `None` for a text that is not a valid [`Mid`].
    pub fn read(value: &[u8]) -> Option<Mid> {
        Mid::new(value)
    }
}

/// Stream id and repaired stream id (RFC 8852 §4): the text of `a=rid`. To write it, push
/// [`Rid::as_bytes`](crate::Rid::as_bytes).
pub mod rid {
    use crate::Rid;

    /// `None` for a text that is not a valid [`Rid`].
    pub fn read(value: &[u8]) -> Option<Rid> {
        Rid::new(value)
    }
}

/// Transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
pub mod transport_cc {
    use crate::TwccSeq;

    /// `None` unless two bytes.
    pub fn read(value: &[u8]) -> Option<TwccSeq> {
        Some(TwccSeq(u16::from_be_bytes(value.try_into().ok()?)))
    }

    /// Two bytes.
    pub fn write(seq: TwccSeq) -> [u8; 2] {
        seq.0.to_be_bytes()
    }
}

/// Transmission time offset (RFC 5450 §3): how much later a packet was sent than its timestamp, in units of
/// the RTP clock; a signed 24-bit number.
pub mod toffset {
    /// `None` unless three bytes.
    pub fn read(value: &[u8]) -> Option<i32> {
        let [high, middle, low]: [u8; 3] = value.try_into().ok()?;
        // In the upper bytes, so that the shift right extends the sign.
        Some(i32::from_be_bytes([high, middle, low, 0]) >> 8)
    }

    /// Three bytes; the offset is clamped to their range.
    pub fn write(offset: i32) -> [u8; 3] {
        let [_, high, middle, low] = offset.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
        [high, middle, low]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mid, TwccSeq};

    #[test]
    fn text_extensions_are_the_texts() {
        assert_eq!(mid::read(b"0"), Mid::new(b"0"));
        assert_eq!(rid::read(b"h").expect("a rid").as_bytes(), b"h");
        assert_eq!(mid::read(b""), None);
        assert_eq!(rid::read(&[b'r'; 17]), None);
    }

    #[test]
    fn a_transport_sequence_number_is_two_bytes() {
        assert_eq!(transport_cc::read(&transport_cc::write(TwccSeq(0xfedc))), Some(TwccSeq(0xfedc)));
        for len in [0, 1, 3, 4] {
            assert_eq!(transport_cc::read(&[0xa5; 4][..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn a_time_offset_has_a_sign() {
        for offset in [0, 1, -1, 0x7f_ffff, -0x80_0000] {
            assert_eq!(toffset::read(&toffset::write(offset)), Some(offset));
        }
        assert_eq!(toffset::write(-1), [0xff; 3]);
        assert_eq!(toffset::read(&toffset::write(i32::MAX)), Some(0x7f_ffff));
        assert_eq!(toffset::read(&toffset::write(i32::MIN)), Some(-0x80_0000));
        assert_eq!(toffset::read(&[0, 0]), None);
    }
}
