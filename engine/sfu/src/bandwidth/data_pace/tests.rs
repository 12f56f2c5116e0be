use super::*;
use machine::Rng;
use std::collections::VecDeque;

const MS: Duration = Duration::from_millis(1);

/// A path with a queue, and a peer that acknowledges every other packet.
struct Path {
    bps: f64,
    /// Up to this time a SACK is late, at random.
    late: Duration,
    seed: u64,
}

/// What happened on a path.
struct Ran {
    /// The longest wait in the second half.
    longest: Duration,
    /// The mean rate of the second half, and the lowest that was allowed, in bits per second.
    mean_bps: f64,
    least_bps: f64,
}

impl Path {
    fn run(&self, time: Duration) -> Ran {
        let mut rng = Rng::from_number(self.seed);
        let mut now = Instant::EPOCH + Duration::from_secs(1);
        let (begin, end) = (now, now + time);
        let (mut pace, mut busy_until) = (DataPace::new(now, 0), now);
        let (mut flight, mut sent, mut acknowledged) = (VecDeque::new(), 0u64, 0);
        let mut ran = Ran { longest: Duration::ZERO, mean_bps: 0.0, least_bps: f64::INFINITY };
        while now < end {
            while let Some((sent_at, bytes, _)) =
                flight.pop_front_if(|(_, _, at): &mut (Instant, u64, Instant)| *at <= now)
            {
                acknowledged = acknowledged.max(bytes);
                let samples = RoundTripSamples::new(now.saturating_since(sent_at));
                pace.on_feedback(now, acknowledged, Some(samples), None);
            }
            while pace.admit(now).is_ok() {
                pace.on_sent(now, 1200);
                busy_until = busy_until.max(now) + Duration::from_secs_f64(9600.0 / self.bps);
                sent += 1200;
                if sent.is_multiple_of(2400) {
                    let late = rng.below(self.late.as_micros() as u32 + 1);
                    let at = busy_until + 40 * MS + Duration::from_micros(late.into());
                    flight.push_back((now, sent, at));
                    flight.make_contiguous().sort_by_key(|(_, _, at)| *at);
                }
                if now.saturating_since(begin) > time / 2 {
                    ran.longest = ran.longest.max(busy_until.saturating_since(now));
                    ran.mean_bps += 9600.0 / (time / 2).as_secs_f64();
                }
            }
            ran.least_bps = ran.least_bps.min(pace.rate_bps);
            now += MS;
        }
        ran
    }
}

#[test]
fn the_rate_fills_the_path_and_its_queue_stays_short() {
    for bps in [1e6, 5e6, 20e6] {
        let ran = Path { bps, late: Duration::ZERO, seed: 1 }.run(Duration::from_secs(60));
        let packet = Duration::from_secs_f64(9600.0 / bps);
        assert!(ran.longest < DATA_QUEUE_HIGH + packet + 10 * MS, "{bps}: {:?}", ran.longest);
        assert!(ran.mean_bps > 0.6 * bps, "{bps}: {}", ran.mean_bps);
    }
}

#[test]
fn late_acknowledgements_of_a_busy_peer_leave_a_share_of_the_path() {
    for (bps, seed) in [(1e6, 1), (5e6, 2), (20e6, 3), (20e6, 4)] {
        let ran = Path { bps, late: 30 * MS, seed }.run(Duration::from_secs(60));
        assert!(ran.mean_bps > 0.4 * bps, "{bps}, {seed}: {}", ran.mean_bps);
    }
}

/// A path that carries less than the floor: congestion control of SCTP is what bounds the queue.
#[test]
fn the_rate_does_not_fall_below_the_floor_where_no_limit_is_known() {
    let ran = Path { bps: 200e3, late: Duration::ZERO, seed: 1 }.run(Duration::from_secs(20));
    assert_eq!(ran.least_bps, DATA_RATE_FLOOR_BPS);
}

/// The peer becomes slower for good, for example because its machine does something else.
#[test]
fn a_low_state_ends() {
    let mut now = Instant::EPOCH + Duration::from_secs(1);
    let (mut pace, mut acknowledged) = (DataPace::new(now, 0), 0);
    let mut run = |pace: &mut DataPace, round_trip: Duration, time: Duration| {
        let end = now + time;
        while now < end {
            now += 10 * MS;
            acknowledged += (pace.rate_bps / 800.0) as u64;
            pace.on_sent(now, 100_000);
            assert!(pace.admit(now).is_err());
            pace.on_feedback(now, acknowledged, Some(RoundTripSamples::new(round_trip)), None);
        }
    };
    run(&mut pace, 40 * MS, Duration::from_secs(15));
    let before = pace.rate_bps;
    assert!(before > 10.0 * DATA_RATE_START_BPS, "{before}");
    run(&mut pace, 80 * MS, Duration::from_secs(5));
    assert!(pace.rate_bps < before / 2.0, "a queue: {}", pace.rate_bps);
    run(&mut pace, 80 * MS, 3 * BASE_PERIOD);
    assert!(pace.rate_bps > before, "another path: {}", pace.rate_bps);
}

#[test]
fn a_share_of_the_estimate_is_the_floor_where_the_limit_is_known() {
    let now = Instant::EPOCH;
    let mut pace = DataPace::new(now, 0);
    let mut lowest = |share_bps| {
        pace.rate_bps = 0.0;
        pace.on_feedback(now, 0, None, share_bps);
        pace.rate_bps
    };
    assert_eq!(lowest(Some(200_000)), 200_000.0);
    assert_eq!(lowest(Some(0)), DATA_RATE_MIN_BPS);
    assert_eq!(lowest(None), DATA_RATE_FLOOR_BPS);
    // A packet of 1200 bytes takes its time.
    pace.on_sent(now + CREDIT, 1200);
    let at = pace.admit(now + CREDIT).expect_err("it must wait");
    assert_eq!(at, now + Duration::from_micros(19_200));
    assert_eq!(pace.admit(at), Ok(()));
}
