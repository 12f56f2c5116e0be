//! The NTP timestamps of RTCP (RFC 3550 §4): 32 bits of seconds since 1900, 32 bits of fraction, and the
//! "compact" middle 32 bits in units of 1/65536 s.

use std::time::Duration;

/// An NTP timestamp, 32.32 fixed point, seconds since 1900-01-01 00:00 UTC modulo 2³².
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// From the time since the Unix epoch. The fraction is rounded to the nearest 2⁻³² s, so that
    /// [`to_unix`](Self::to_unix) returns the same nanosecond.
    pub const fn from_unix(since_unix_epoch: Duration) -> Self {
        // Seconds beyond 32 bits are dropped: that is the next NTP era.
        let seconds = since_unix_epoch.as_secs().wrapping_add(UNIX_EPOCH_SECONDS) << 32;
        let fraction =
            (((since_unix_epoch.subsec_nanos() as u64) << 32) + NANOS_PER_SECOND / 2) / NANOS_PER_SECOND;
        Self(seconds | fraction)
    }

    /// To the time since the Unix epoch, to the nearest nanosecond. The era is chosen as in RFC 4330 §3: with
    /// the top bit set the time is in 1968–2036, without it in 2036–2104. A time between 1968 and 1970 gives
    /// zero.
    pub const fn to_unix(self) -> Duration {
        let seconds = self.0 >> 32;
        let since_1900 = if seconds >> 31 == 0 { seconds + (1 << 32) } else { seconds };
        let Some(seconds) = since_1900.checked_sub(UNIX_EPOCH_SECONDS) else { return Duration::ZERO };
        let fraction = self.0 & 0xffff_ffff;
        // May round up to a whole second, which `Duration` carries.
        Duration::new(seconds, 0)
            .saturating_add(Duration::from_nanos((fraction * NANOS_PER_SECOND + (1 << 31)) >> 32))
    }

    /// The middle 32 bits: seconds modulo 65536 in units of 1/65536 s. The "last SR" of a report block.
    pub const fn compact(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// A span of compact NTP units (1/65536 s), such as "delay since last SR", as a duration.
pub const fn compact_to_duration(span: u32) -> Duration {
    Duration::from_nanos((span as u64 * NANOS_PER_SECOND) >> 16)
}

/// A duration in compact NTP units (1/65536 s), rounded to the nearest; at most `u32::MAX`, about 18 hours.
pub const fn duration_to_compact(span: Duration) -> u32 {
    let units = ((span.as_nanos() << 16) + NANOS_PER_SECOND as u128 / 2) / NANOS_PER_SECOND as u128;
    if units > u32::MAX as u128 { u32::MAX } else { units as u32 }
}

/// The round-trip time from a report block (RFC 3550 §6.4.1): arrival of the report − last SR − delay since
/// last SR. `None` if the reporter has not received an SR yet (`last_sr` is zero).
///
/// A negative result is zero: the fields are rounded, so on a loopback link the difference may fall just
/// below. The reporter's values are not checked further; wrong values only harm its own estimate.
pub const fn round_trip(arrival: NtpTime, last_sr: u32, delay_since_last_sr: u32) -> Option<Duration> {
    if last_sr == 0 {
        return None;
    }
    let span = arrival.compact().wrapping_sub(last_sr).wrapping_sub(delay_since_last_sr);
    if (span as i32) < 0 { Some(Duration::ZERO) } else { Some(compact_to_duration(span)) }
}

/// Seconds from 1900 to 1970: 70 years with 17 leap days.
const UNIX_EPOCH_SECONDS: u64 = (70 * 365 + 17) * 86_400;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_epochs_are_2208988800_seconds_apart() {
        assert_eq!(NtpTime::from_unix(Duration::ZERO), NtpTime(2_208_988_800 << 32));
        assert_eq!(NtpTime(2_208_988_800 << 32).to_unix(), Duration::ZERO);
        assert_eq!(NtpTime::from_unix(Duration::from_millis(500)).0 & 0xffff_ffff, 1 << 31);
    }

    #[test]
    fn the_era_after_2036_follows_without_a_jump() {
        let turn = Duration::from_secs((1 << 32) - 2_208_988_800);
        assert_eq!(NtpTime::from_unix(turn), NtpTime(0));
        assert_eq!(NtpTime(0).to_unix(), turn);
        assert_eq!(NtpTime(u64::MAX).to_unix(), turn, "rounded up from 0.23 ns before");
        assert_eq!(NtpTime(1 << 63).to_unix(), Duration::ZERO, "1968 is before the Unix epoch");
    }

    #[test]
    fn the_example_of_rfc_3550_figure_2_gives_a_round_trip_of_6_125_s() {
        // SR sent 11:33:25.125 UTC, report on it received 11:33:36.5 after a delay of 5.25 s.
        let arrival = NtpTime(0xb44d_b710_8000_0000);
        assert_eq!(arrival.compact(), 0xb710_8000);
        assert_eq!(round_trip(arrival, 0xb705_2000, 0x0005_4000), Some(Duration::from_millis(6125)));
        assert_eq!(compact_to_duration(0x0005_4000), Duration::from_millis(5250));
        assert_eq!(round_trip(arrival, 0, 0), None);
    }

    #[test]
    fn a_round_trip_never_goes_below_zero_and_survives_the_wrap() {
        assert_eq!(round_trip(NtpTime(0x1_0000 << 16), 0x1_0000, 1), Some(Duration::ZERO));
        assert_eq!(round_trip(NtpTime(0x8000 << 16), 0xffff_8000, 0), Some(Duration::from_secs(1)));
    }

    #[test]
    fn spans_saturate_at_eighteen_hours() {
        assert_eq!(duration_to_compact(Duration::from_secs(70_000)), u32::MAX);
        assert_eq!(duration_to_compact(Duration::MAX), u32::MAX);
        assert_eq!(compact_to_duration(u32::MAX).as_secs(), 65535);
        assert_eq!(duration_to_compact(Duration::from_millis(5250)), 0x0005_4000);
    }

    proptest! {
        #[test]
        fn a_nanosecond_survives_the_round_trip(seconds in 0u64..4_000_000_000, nanos in 0u32..1_000_000_000) {
            let time = Duration::new(seconds, nanos);
            prop_assert_eq!(NtpTime::from_unix(time).to_unix(), time);
        }

        #[test]
        fn compact_units_survive_the_round_trip(units in any::<u32>()) {
            prop_assert_eq!(duration_to_compact(compact_to_duration(units)), units);
        }
    }
}
