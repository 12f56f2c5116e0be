//! A publisher's clocks: RTP timestamps, NTP time, and spans in their units.

use rtp::ntp::NtpTime;
use std::time::Duration;

/// One moment on both clocks of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockPoint {
    /// The publisher's wall clock.
    pub ntp: NtpTime,
    /// Its RTP clock for this stream, at the same moment.
    pub rtp_timestamp: u32,
}

/// RTP clock ticks in `span`, modulo 2³² as timestamps are.
pub fn ticks(span: Duration, clock_rate_hz: u32) -> u32 {
    (span.as_nanos() * u128::from(clock_rate_hz) / 1_000_000_000) as u32
}

/// `span` in units of 2⁻³² s.
pub fn ntp_span(span: Duration) -> u64 {
    ((span.as_nanos() << 32) / 1_000_000_000) as u64
}
