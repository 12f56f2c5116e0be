//! Opus (RFC 6716, RTP payload RFC 7587), as far as a forwarder needs it.

/// Whether a payload is silence: with discontinuous transmission an encoder sends an occasional frame of at
/// most two bytes (the table-of-contents byte, and at most a frame-count byte after it), which a decoder
/// fills with comfort noise (RFC 7587 §3.1.3, RFC 6716 §2.1.9). An empty payload, as in padding-only packets,
/// counts too.
pub fn is_dtx(payload: &[u8]) -> bool {
    payload.len() <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bytes_are_silence_and_three_are_audio() {
        assert!(is_dtx(&[]) && is_dtx(&[0x78]) && is_dtx(&[0x78, 0xa5]));
        assert!(!is_dtx(&[0x78, 0xff, 0xfe]));
    }
}
