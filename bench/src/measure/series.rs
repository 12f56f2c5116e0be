//! The course of a measurement: one row a second.

use super::{Account, Tally};
use serde::Serialize;
use std::time::Duration;

/// What happened since the row before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// Seconds since the measurement began.
    pub at_s: f64,
    /// Packets a second that arrived.
    pub delivered_pps: f64,
    /// Lost over expected.
    pub loss_ratio: f64,
    /// Half of all packets were faster, microseconds.
    pub p50_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// Cores that the server used; absent if no process was given.
    pub server_cores: Option<f64>,
}

/// Makes rows from counts that grow.
#[derive(Debug)]
pub struct Series {
    before: Tally,
    account: Option<Account>,
    at: Duration,
    moments: Vec<Moment>,
}

impl Series {
    /// From the begin of the measurement.
    pub fn begin(account: Option<Account>) -> Self {
        Self { before: Tally::default(), account, at: Duration::ZERO, moments: Vec::new() }
    }

    /// Adds a row. `tally`: the counts since the measurement began, `at` ago.
    pub fn add(&mut self, at: Duration, tally: Tally, account: Option<Account>) {
        let seconds = at.saturating_sub(self.at).as_secs_f64().max(f64::MIN_POSITIVE);
        let mut latency = tally.latency_us.clone();
        // What was recorded before is part of it, so this does not fail.
        let _ = latency.subtract(&self.before.latency_us);
        let expected = tally.expected.saturating_sub(self.before.expected);
        let lost = tally.lost.saturating_sub(self.before.lost);
        let cores = account.zip(self.account).map(|(after, before)| {
            let (user, system) = after.since(&before);
            (user + system).as_secs_f64() / seconds
        });
        self.moments.push(Moment {
            at_s: at.as_secs_f64(),
            delivered_pps: tally.delivered.saturating_sub(self.before.delivered) as f64 / seconds,
            loss_ratio: if expected == 0 { 0.0 } else { lost as f64 / expected as f64 },
            p50_us: latency.value_at_percentile(50.0),
            p99_us: latency.value_at_percentile(99.0),
            server_cores: cores,
        });
        (self.before, self.account, self.at) = (tally, account, at);
    }

    /// All rows.
    pub fn finish(self) -> Vec<Moment> {
        self.moments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_differences_of_what_grows() {
        let mut tally = Tally::default();
        let mut series = Series::begin(None);
        for (second, us) in [(1, 100), (2, 200)] {
            for _ in 0..50 {
                tally.record_latency(us * 1000);
            }
            tally.delivered += 50;
            tally.expected += 100;
            tally.lost += second - 1;
            series.add(Duration::from_secs(second), tally.clone(), None);
        }
        let [first, second] = &series.finish()[..] else { panic!("two rows") };
        assert_eq!((first.delivered_pps, first.loss_ratio, first.p50_us), (50.0, 0.0, 100));
        assert_eq!((second.at_s, second.delivered_pps, second.loss_ratio), (2.0, 50.0, 0.01));
        assert!((199..=201).contains(&second.p99_us), "{second:?}");
        assert_eq!(second.server_cores, None);
    }
}
