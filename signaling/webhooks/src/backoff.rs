//! Pauses after failed attempts.

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};
use std::time::Duration;

/// The pause after this number of failures in a row (from 1). It doubles up to its maximum; a random half of it
/// spreads the attempts of rooms that failed together.
pub(crate) fn pause(failures: u32, random: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let longest = (BACKOFF_MIN * 2u32.pow(doublings)).min(BACKOFF_MAX);
    let half = longest / 2;
    half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_their_maximum_and_are_spread() {
        let seconds = |failures, random| pause(failures, random).as_secs_f64();
        for (failures, longest) in [(1, 1.0), (2, 2.0), (5, 16.0), (9, 256.0), (10, 300.0), (u32::MAX, 300.0)]
        {
            assert_eq!(seconds(failures, u32::MAX), longest);
            assert_eq!(seconds(failures, 0), longest / 2.0);
            assert!((longest * 0.74..longest * 0.76).contains(&seconds(failures, u32::MAX / 2)));
        }
    }
}
