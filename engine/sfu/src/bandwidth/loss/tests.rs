use super::*;

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn allowed(allowed_bps: f64) -> SendRate {
    SendRate { allowed_bps, acked_bps: None }
}

/// A second with this share of loss in 100 packets.
fn second(bound: &mut LossBound, second: u64, lost: u32, rate: f64) -> bool {
    bound.update(at(second * 1000), allowed(rate), Duration::from_millis(50));
    bound.on_packets(100 - lost, lost as i32);
    bound.update(at(second * 1000 + 999), allowed(rate), Duration::from_millis(50))
}

#[test]
fn light_loss_sets_no_bound_and_heavy_loss_a_temporary_one() {
    let mut bound = LossBound::default();
    for now in 0..10 {
        assert!(!second(&mut bound, now, 2, 1e6));
    }
    assert_eq!(bound.bps(), None);
    assert!(second(&mut bound, 10, 20, 1e6));
    assert_eq!(bound.bps(), Some(0.9e6));
    assert!(!second(&mut bound, 11, 7, 0.9e6), "neither heavy nor light: no change");
    assert_eq!(bound.bps(), Some(0.9e6));
    (12..30).for_each(|now| assert!(!second(&mut bound, now, 1, 1e6)));
    assert_eq!(bound.bps(), None);
}

#[test]
fn a_packet_that_was_only_late_is_no_loss() {
    let mut bound = LossBound::default();
    bound.update(at(0), allowed(1e6), Duration::ZERO);
    bound.on_packets(80, 20);
    bound.on_packets(20, -20);
    assert!(!bound.update(at(1000), allowed(1e6), Duration::ZERO));
    assert_eq!(bound.fraction(at(1000)), 0.0);
}

#[test]
fn few_packets_have_no_effect() {
    let mut bound = LossBound::default();
    bound.update(at(0), allowed(1e6), Duration::ZERO);
    bound.on_packets(1, 15);
    assert!(!bound.update(at(5000), allowed(1e6), Duration::ZERO));
    assert_eq!(bound.bps(), None);
}

#[test]
fn one_round_trip_of_loss_causes_one_decrease() {
    let mut bound = LossBound::default();
    assert!(bound.on_report(at(0), 0.5, 1e6, Duration::from_millis(100)));
    assert!(!bound.on_report(at(399), 0.5, 1e6, Duration::from_millis(100)));
    assert!(bound.on_report(at(400), 0.5, 1e6, Duration::from_millis(100)));
    assert_eq!(bound.bps(), Some(0.75e6));
}

#[test]
fn the_output_rate_of_a_full_queue_is_the_bound() {
    let mut bound = LossBound::default();
    let rate = SendRate { allowed_bps: 3e6, acked_bps: Some(1e6) };
    bound.update(at(0), rate, Duration::ZERO);
    bound.on_packets(35, 65);
    assert!(bound.update(at(500), rate, Duration::ZERO));
    assert_eq!(bound.bps(), Some(1e6));
    assert_eq!((bound.fraction(at(2_499)), bound.fraction(at(2_500))), (0.65, 0.0));
}
