//! playout-delay (libwebrtc): how long a receiver should delay a frame, at least and at most, chosen by the
//! sender.

use std::time::Duration;

/// Two twelve-bit numbers in units of 10 ms: up to 40.95 s each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutDelay {
    /// The minimum delay.
    pub min: Duration,
    /// The maximum delay.
    pub max: Duration,
}

/// `None` unless three bytes, or if the minimum is above the maximum.
pub fn read(value: &[u8]) -> Option<PlayoutDelay> {
    let [high, middle, low]: [u8; 3] = value.try_into().ok()?;
    let min = u64::from(u16::from_be_bytes([high, middle]) >> 4);
    let max = u64::from(u16::from_be_bytes([middle & 0x0f, low]));
    let units = |count: u64| Duration::from_millis(count * UNIT_MS);
    (min <= max).then_some(PlayoutDelay { min: units(min), max: units(max) })
}

/// Three bytes; both are rounded down to 10 ms and clamped to 40.95 s.
pub fn write(delay: PlayoutDelay) -> [u8; 3] {
    let units = |span: Duration| (span.as_millis() / u128::from(UNIT_MS)).min(0xfff) as u32;
    let [_, high, middle, low] = ((units(delay.min) << 12) | units(delay.max)).to_be_bytes();
    [high, middle, low]
}

const UNIT_MS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_bits_each_of_ten_milliseconds() {
        let delay =
            PlayoutDelay { min: Duration::from_millis(0x123 * 10), max: Duration::from_millis(0x456 * 10) };
        assert_eq!(write(delay), [0x12, 0x34, 0x56]);
        assert_eq!(read(&[0x12, 0x34, 0x56]), Some(delay));
        assert_eq!(write(PlayoutDelay { min: Duration::ZERO, max: Duration::MAX }), [0x00, 0x0f, 0xff]);
    }

    #[test]
    fn minimum_above_maximum_is_refused() {
        assert_eq!(read(&[0x00, 0x20, 0x01]), None);
        assert_eq!(read(&[0x00, 0x10]), None);
    }
}
