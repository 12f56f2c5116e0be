use super::*;

const MS: Duration = Duration::from_millis(1);

/// Sends for this time over a path of this rate with a queue; returns the longest wait in the second half, and
/// the mean rate there.
fn run(path_bps: f64, time: Duration) -> (Duration, f64) {
    let mut now = Instant::EPOCH + Duration::from_secs(1);
    let (begin, end) = (now, now + time);
    let (mut pace, mut busy_until) = (DataPace::new(now, 0), now);
    let (mut flight, mut acknowledged) = (std::collections::VecDeque::new(), 0);
    let (mut longest, mut bytes) = (Duration::ZERO, 0.0);
    while now < end {
        while let Some((sent, _)) = flight.pop_front_if(|(_, at): &mut (Instant, Instant)| *at <= now) {
            acknowledged += 1200;
            pace.on_feedback(now, acknowledged, Some(now.saturating_since(sent)), None);
        }
        while pace.admit(now).is_ok() {
            pace.on_sent(now, 1200);
            busy_until = busy_until.max(now) + Duration::from_secs_f64(9600.0 / path_bps);
            flight.push_back((now, busy_until + 40 * MS));
            if now.saturating_since(begin) > time / 2 {
                longest = longest.max(busy_until.saturating_since(now));
                bytes += 1200.0;
            }
        }
        now += MS;
    }
    (longest, bytes * 8.0 / (time / 2).as_secs_f64())
}

#[test]
fn the_rate_fills_the_path_and_its_queue_stays_short() {
    for path_bps in [300e3, 1e6, 5e6, 20e6] {
        let (longest, rate) = run(path_bps, Duration::from_secs(60));
        let packet = Duration::from_secs_f64(9600.0 / path_bps);
        assert!(longest < DATA_QUEUE_HIGH + 2 * packet + 15 * MS, "{path_bps}: {longest:?}");
        assert!(rate > 0.6 * path_bps, "{path_bps}: {rate}");
    }
}

#[test]
fn what_the_estimate_leaves_is_a_bound() {
    let now = Instant::EPOCH;
    let mut pace = DataPace::new(now, 0);
    let limits = |least_bps, most_bps| Some(DataLimits { least_bps, most_bps });
    pace.on_feedback(now, 0, None, limits(0, 50_000));
    assert_eq!(pace.rate_bps as u64, 50_000);
    pace.on_feedback(now, 0, None, limits(200_000, 500_000));
    assert_eq!(pace.rate_bps as u64, 200_000);
    pace.on_feedback(now, 0, None, limits(0, 0));
    assert_eq!(pace.rate_bps as u64, DATA_RATE_MIN_BPS as u64);
    // A packet of 1200 bytes takes its time.
    pace.on_sent(now, 1200);
    let at = pace.admit(now).expect_err("it must wait");
    assert!(at.saturating_since(now) > 200 * MS, "{at:?}");
    assert_eq!(pace.admit(at), Ok(()));
}
