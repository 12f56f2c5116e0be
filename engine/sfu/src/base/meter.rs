//! A bit rate: a sliding window of eight slices, at the cost of one addition per packet.

use machine::Instant;

/// Bytes of the last second, in slices of an eighth; or of eight times another slice length.
#[derive(Clone, Debug, Default)]
pub struct Meter<const SLICE_MS: u64 = 125> {
    slices: [u32; SLICES],
    /// Sum of the slices.
    total: u32,
    /// Number of the newest slice since the epoch.
    newest: u64,
    /// Slices since the first packet, up to all: a new flow is not averaged over the time before it.
    filled: u8,
}

const SLICES: usize = 8;

impl<const SLICE_MS: u64> Meter<SLICE_MS> {
    const SLICE_NANOS: u64 = SLICE_MS * 1_000_000;

    /// Counts bytes that arrived or were sent now.
    pub fn count(&mut self, now: Instant, bytes: usize) {
        self.advance(now);
        self.slices[(self.newest % SLICES as u64) as usize] += bytes as u32;
        self.total += bytes as u32;
    }

    /// Bits per second, since the flow began.
    pub fn bps(&self, now: Instant) -> u64 {
        let mut meter = self.clone();
        meter.advance(now);
        meter.over(meter.filled)
    }

    /// Bits per second over the whole window, also for a new flow.
    pub fn spread_bps(&self, now: Instant) -> u64 {
        let mut meter = self.clone();
        meter.advance(now);
        meter.over(SLICES as u8)
    }

    fn over(&self, slices: u8) -> u64 {
        u64::from(self.total) * 8_000 / (u64::from(slices.max(1)) * SLICE_MS)
    }

    fn advance(&mut self, now: Instant) {
        let slice = now.as_nanos() / Self::SLICE_NANOS;
        let passed = slice.saturating_sub(self.newest);
        if passed == 0 && self.filled > 0 {
            return;
        }
        if passed >= SLICES as u64 || self.filled == 0 {
            // Resets the window after a second of silence, or for the first packet.
            *self = Self { newest: slice, filled: 1, ..Self::default() };
            return;
        }
        for step in 1..=passed {
            let oldest = &mut self.slices[((self.newest + step) % SLICES as u64) as usize];
            self.total -= *oldest;
            *oldest = 0;
        }
        self.newest = slice.max(self.newest);
        self.filled = (self.filled + passed as u8).clamp(1, SLICES as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Instant {
        Instant::EPOCH + Duration::from_millis(5_000 + ms)
    }

    #[test]
    fn a_constant_flow_is_measured_and_expires() {
        let mut meter: Meter = Meter::default();
        for ms in 0..3_000 {
            meter.count(at(ms), 125);
        }
        let bps = meter.bps(at(2_999));
        assert!((990_000..=1_000_000).contains(&bps), "{bps}");
        assert_eq!(meter.bps(at(4_100)), 0);
    }

    #[test]
    fn a_new_flow_is_not_averaged_over_the_time_before_it() {
        let mut meter: Meter = Meter::default();
        for ms in 0..250 {
            meter.count(at(ms), 125);
        }
        let bps = meter.bps(at(249));
        assert!((900_000..=1_100_000).contains(&bps), "{bps}");
    }

    #[test]
    fn a_burst_is_spread_over_a_long_window() {
        let mut meter: Meter<1_000> = Meter::default();
        meter.count(at(0), 8_000);
        assert_eq!((meter.bps(at(0)), meter.spread_bps(at(0))), (64_000, 8_000));
        assert_eq!((meter.spread_bps(at(6_900)), meter.spread_bps(at(8_100))), (8_000, 0));
    }
}
