//! abs-capture-time (libwebrtc): the capture time of the frame by the capturer's clock, to align streams of
//! different senders.

use crate::ntp::NtpTime;

/// Eight bytes, or sixteen with the clock offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsCaptureTime {
    /// By the clock of the capturing device.
    pub captured_at: NtpTime,
    /// The difference from `captured_at` to the clock of this stream's sender, signed 32.32 fixed-point
    /// seconds. A forwarder adds its own offset; if absent, the receiver has to estimate it.
    pub clock_offset: Option<i64>,
}

/// `None` unless eight or sixteen bytes.
pub fn read(value: &[u8]) -> Option<AbsCaptureTime> {
    let (captured_at, rest) = value.split_first_chunk::<8>()?;
    let captured_at = NtpTime(u64::from_be_bytes(*captured_at));
    let clock_offset = match rest {
        [] => None,
        offset => Some(i64::from_be_bytes(offset.try_into().ok()?)),
    };
    Some(AbsCaptureTime { captured_at, clock_offset })
}

/// The eight bytes of the form without an offset.
pub fn write(captured_at: NtpTime) -> [u8; 8] {
    captured_at.0.to_be_bytes()
}

/// The sixteen bytes of the form with an offset, signed 32.32 fixed-point seconds.
pub fn write_with_offset(captured_at: NtpTime, clock_offset: i64) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&captured_at.0.to_be_bytes());
    out[8..].copy_from_slice(&clock_offset.to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_with_an_offset_or_without() {
        let captured_at = NtpTime(0x0123_4567_89ab_cdef);
        assert_eq!(read(&write(captured_at)), Some(AbsCaptureTime { captured_at, clock_offset: None }));
        assert_eq!(
            read(&write_with_offset(captured_at, -5)),
            Some(AbsCaptureTime { captured_at, clock_offset: Some(-5) })
        );
        for len in (0..20).filter(|len| ![8, 16].contains(len)) {
            assert_eq!(read(&[0xa5; 20][..len]), None, "{len} bytes");
        }
    }
}
