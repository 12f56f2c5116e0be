//! How long datagrams are in this process: from the kernel's receive timestamp to the end of the system call that
//! sends what they caused.
//!
//! One sample a batch, that of its oldest datagram, so the price of a packet does not depend on it, and no
//! datagram of the batch was here longer. What is sent later, by a timer, has no sample: packets that are paced, and
//! answers to losses.

use std::time::Duration;

/// Upper bounds of the buckets, in nanoseconds. A worker with reserves forwards in less than a millisecond; a frame
/// at 30 a second lasts 33 ms.
const BOUNDS_NS: [u64; BUCKETS] = [
    50_000,
    100_000,
    200_000,
    400_000,
    700_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
];

const BUCKETS: usize = 12;

/// A histogram of times with fixed buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyHistogram {
    /// Samples by bucket; the last one is above all bounds.
    counts: [u64; BUCKETS + 1],
    sum: Duration,
}

impl LatencyHistogram {
    /// Adds a sample.
    pub fn add(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_NS.iter().position(|bound| nanos <= *bound).unwrap_or(BUCKETS);
        self.counts[bucket] += 1;
        self.sum += time;
    }

    /// Adds all samples of another one.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }

    /// Number of samples.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum of all samples.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The upper bound of each bucket in seconds, the last one infinite, and the number of samples in it.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = BOUNDS_NS.iter().map(|nanos| *nanos as f64 / 1e9).chain([f64::INFINITY]);
        bounds.zip(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let mut histogram = LatencyHistogram::default();
        for micros in [0, 50, 51, 999, 100_000, 100_001, 9_000_000] {
            histogram.add(Duration::from_micros(micros));
        }
        let filled: Vec<_> = histogram.buckets().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.00005, 2), (0.0001, 1), (0.001, 1), (0.1, 1), (f64::INFINITY, 2)]);
        assert_eq!((histogram.count(), histogram.sum()), (7, Duration::from_micros(9_201_101)));
        let mut twice = histogram;
        twice.merge(&histogram);
        assert_eq!((twice.count(), twice.sum()), (14, 2 * histogram.sum()));
    }

    #[test]
    fn bounds_increase() {
        assert!(BOUNDS_NS.is_sorted_by(|one, next| one < next));
    }
}
