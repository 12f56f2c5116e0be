//! How many bits a second flow: a sliding window over the last second, at the cost of an addition a packet.

use machine::Instant;

/// Bytes of the last second, in slices of an eighth.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    slices: [u32; Meter::SLICES],
    /// Sum of the slices.
    total: u32,
    /// Number of the newest slice, counted from the epoch.
    newest: u64,
    /// Slices since the first packet, up to all: a flow that has just begun is not measured over time before it.
    filled: u8,
}

impl Meter {
    const SLICES: usize = 8;
    const SLICE_NANOS: u64 = 125_000_000;

    /// Counts bytes that arrived or left now.
    pub fn count(&mut self, now: Instant, bytes: usize) {
        self.advance(now);
        self.slices[(self.newest % Self::SLICES as u64) as usize] += bytes as u32;
        self.total += bytes as u32;
    }

    /// Bits a second.
    pub fn bps(&self, now: Instant) -> u64 {
        let mut meter = self.clone();
        meter.advance(now);
        u64::from(meter.total) * 8 * Self::SLICES as u64 / u64::from(meter.filled.max(1))
    }

    fn advance(&mut self, now: Instant) {
        let slice = now.as_nanos() / Self::SLICE_NANOS;
        let passed = slice.saturating_sub(self.newest);
        if passed == 0 && self.filled > 0 {
            return;
        }
        if passed >= Self::SLICES as u64 {
            // Silence for a second, or the very first: measured anew.
            *self = Self { newest: slice, filled: 1, ..Self::default() };
            return;
        }
        for step in 1..=passed {
            let oldest = &mut self.slices[((self.newest + step) % Self::SLICES as u64) as usize];
            self.total -= *oldest;
            *oldest = 0;
        }
        self.newest = slice.max(self.newest);
        self.filled = (self.filled + passed as u8).clamp(1, Self::SLICES as u8);
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
    fn a_steady_flow_is_measured_and_forgotten() {
        let mut meter = Meter::default();
        for ms in 0..3_000 {
            meter.count(at(ms), 125);
        }
        let bps = meter.bps(at(2_999));
        assert!((990_000..=1_000_000).contains(&bps), "{bps}");
        assert_eq!(meter.bps(at(4_100)), 0);
    }

    #[test]
    fn a_flow_that_has_just_begun_is_not_taken_for_a_thin_one() {
        let mut meter = Meter::default();
        for ms in 0..250 {
            meter.count(at(ms), 125);
        }
        let bps = meter.bps(at(249));
        assert!((900_000..=1_100_000).contains(&bps), "{bps}");
    }
}
