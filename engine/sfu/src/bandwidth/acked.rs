//! The rate of bytes over a short window. For arrived bytes, by the peer's clock, it is the rate that the
//! path is known to carry (the acknowledged bitrate); for sent bytes, by the local clock, it shows whether
//! enough was sent to fill the path.

use super::history::PeerTime;

/// Bytes, in slices of time.
#[derive(Debug, Default)]
pub struct Throughput {
    bytes: [u32; SLICES],
    /// The number of the newest slice.
    newest: i64,
    /// Start of the count, and the time of the last packet; `None` before the first packet.
    span: Option<(PeerTime, PeerTime)>,
}

impl Throughput {
    /// Counts a packet. One older than the window is too late and not counted.
    pub fn on_packet(&mut self, at: PeerTime, size: u16) {
        let slice = at.0.div_euclid(SLICE_MICROS);
        let ahead = slice.saturating_sub(self.newest);
        let restarts = self.span.is_none() || ahead >= SLICES as i64 || ahead < -LATE_SLICES_MAX;
        if restarts {
            // Restarts after a silence, which does not measure the path, and after the peer has set its clock
            // back.
            *self = Self { bytes: [0; SLICES], newest: slice, span: Some((at, at)) };
        }
        for passed in self.newest.saturating_add(1)..=slice {
            self.bytes[index(passed)] = 0;
        }
        self.newest = self.newest.max(slice);
        if self.newest - slice < SLICES as i64 {
            self.bytes[index(slice)] += u32::from(size);
        }
        if let Some((_, last)) = &mut self.span {
            *last = (*last).max(at);
        }
    }

    /// Bits per second over the window; `None` while there is too little data.
    pub fn bps(&self) -> Option<f64> {
        self.over(SLICES as i64)
    }

    /// Bits per second over the last half of the window: for a full path, which delivers evenly.
    pub fn recent_bps(&self) -> Option<f64> {
        self.over(SLICES as i64 / 2)
    }

    fn over(&self, slices: i64) -> Option<f64> {
        let (first, last) = self.span?;
        let oldest = self.newest - (slices - 1);
        let span_micros = last.0 - (oldest * SLICE_MICROS).max(first.0);
        let bytes: u32 = (oldest..=self.newest).map(|slice| self.bytes[index(slice)]).sum();
        (span_micros >= SPAN_MIN_MICROS).then(|| f64::from(bytes) * 8e6 / span_micros as f64)
    }
}

fn index(slice: i64) -> usize {
    slice.rem_euclid(SLICES as i64) as usize
}

/// Eight slices of 50 ms: a dozen frames at 30 per second; the time before a drop leaves the window within
/// half a second.
const SLICES: usize = 8;
const SLICE_MICROS: i64 = 50_000;
/// A packet that seems a second late was not late: the clock was set.
const LATE_SLICES_MAX: i64 = 20;
/// Less than four frames at 30 per second are too few.
const SPAN_MIN_MICROS: i64 = 150_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn run(acked: &mut Throughput, from_ms: i64, to_ms: i64, bytes_per_ms: u16) {
        (from_ms..to_ms).for_each(|ms| acked.on_packet(PeerTime(ms * 1000), bytes_per_ms));
    }

    #[test]
    fn a_constant_rate_is_measured_and_a_change_is_followed() {
        let mut acked = Throughput::default();
        run(&mut acked, -1000, -900, 125);
        assert_eq!(acked.bps(), None);
        run(&mut acked, -900, 0, 125);
        assert!((acked.bps().unwrap_or(0.0) - 1e6).abs() < 2e4, "{acked:?}");
        run(&mut acked, 0, 450, 375);
        assert!((acked.bps().unwrap_or(0.0) - 3e6).abs() < 5e4, "{acked:?}");
        run(&mut acked, 450, 650, 125);
        assert!((acked.recent_bps().unwrap_or(0.0) - 1e6).abs() < 5e4, "{acked:?}");
        assert!(acked.bps().unwrap_or(0.0) > 1.5e6, "{acked:?}");
    }

    #[test]
    fn a_silence_restarts_the_count_and_late_packets_are_ignored() {
        let mut acked = Throughput::default();
        run(&mut acked, 0, 500, 125);
        acked.on_packet(PeerTime(10_000_000), 1200);
        assert_eq!(acked.bps(), None);
        acked.on_packet(PeerTime(9_500_000), 1200);
        run(&mut acked, 10_000, 10_500, 125);
        assert!((acked.bps().unwrap_or(0.0) - 1e6).abs() < 3e4, "{acked:?}");
    }
}
