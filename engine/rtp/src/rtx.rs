//! RTX, the retransmission payload (RFC 4588 §4): the original sequence number (OSN), then the original
//! payload.

use crate::Seq;

/// Bytes of the original sequence number in front of the original payload.
pub const OSN_LEN: usize = 2;

/// Splits an RTX payload into the original sequence number and the original payload. `None` for a payload
/// without room for the number, such as the empty one of a padding-only probe on an RTX SSRC.
pub fn original(payload: &[u8]) -> Option<(Seq, &[u8])> {
    let (osn, original) = payload.split_first_chunk::<OSN_LEN>()?;
    Some((Seq(u16::from_be_bytes(*osn)), original))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_number_comes_first() {
        assert_eq!(original(&[0x12, 0x34, 0xa5, 0xa6]), Some((Seq(0x1234), &[0xa5, 0xa6][..])));
        assert_eq!(original(&[0xff, 0xff]), Some((Seq(0xffff), &[][..])));
    }

    #[test]
    fn a_probe_has_no_original() {
        assert_eq!(original(&[]), None);
        assert_eq!(original(&[0x12]), None);
    }
}
