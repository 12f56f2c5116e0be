//! abs-send-time (libwebrtc): the send time of a packet, 24 bits of 6.18 fixed point, so it wraps every 64 s.

use std::time::Duration;

/// A send time modulo 64 s, in units of 2⁻¹⁸ s (3.8 µs). Only differences are meaningful: the epoch depends
/// on the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AbsSendTime(pub u32);

impl AbsSendTime {
    /// Of the time since any fixed epoch of the sender.
    pub const fn from_duration(since_epoch: Duration) -> Self {
        let seconds = (since_epoch.as_secs() as u32 & 0x3f) << FRACTION_BITS;
        let fraction = ((since_epoch.subsec_nanos() as u64) << FRACTION_BITS) / 1_000_000_000;
        Self(seconds | fraction as u32)
    }

    /// How much later `newer` is, modulo 64 s.
    pub const fn forward_distance(self, newer: Self) -> Duration {
        let units = newer.0.wrapping_sub(self.0) & 0x00ff_ffff;
        Duration::from_nanos((units as u64 * 1_000_000_000) >> FRACTION_BITS)
    }
}

/// `None` unless three bytes.
pub fn read(value: &[u8]) -> Option<AbsSendTime> {
    let [high, middle, low]: [u8; 3] = value.try_into().ok()?;
    Some(AbsSendTime(u32::from_be_bytes([0, high, middle, low])))
}

/// Three bytes.
pub fn write(time: AbsSendTime) -> [u8; 3] {
    let [_, high, middle, low] = time.0.to_be_bytes();
    [high, middle, low]
}

const FRACTION_BITS: u32 = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_bits_of_seconds_eighteen_of_fraction() {
        assert_eq!(AbsSendTime::from_duration(Duration::from_millis(1500)), AbsSendTime(0x06_0000));
        assert_eq!(AbsSendTime::from_duration(Duration::from_secs(64)), AbsSendTime(0));
        assert_eq!(AbsSendTime::from_duration(Duration::new(63, 999_999_999)), AbsSendTime(0xff_ffff));
    }

    #[test]
    fn differences_go_over_the_wrap() {
        let before = AbsSendTime::from_duration(Duration::from_secs(63));
        let after = AbsSendTime::from_duration(Duration::from_millis(64_250));
        assert_eq!(before.forward_distance(after), Duration::from_millis(1250));
        assert_eq!(after.forward_distance(after), Duration::ZERO);
    }

    #[test]
    fn three_bytes_and_no_others() {
        assert_eq!(read(&write(AbsSendTime(0x12_3456))), Some(AbsSendTime(0x12_3456)));
        assert_eq!(write(AbsSendTime(0x12_3456)), [0x12, 0x34, 0x56]);
        for len in [0, 1, 2, 4] {
            assert_eq!(read(&[0xa5; 4][..len]), None, "{len} bytes");
        }
    }
}
