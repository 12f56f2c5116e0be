use super::*;

/// Sends a group every 20 ms; each arrives `gain_micros` later relative to the previous one. Returns the
/// results in order.
fn run(
    detector: &mut DelayDetector,
    groups: std::ops::Range<u64>,
    delay_micros: impl Fn(u64) -> i64,
) -> Vec<Usage> {
    let mut said = Vec::new();
    for group in groups {
        let sent_ms = 20 * group;
        for packet in 0..3 {
            let sent_at = Instant::from_nanos((sent_ms * 1000 + packet * 100) * 1000);
            let at = PeerTime(7_000_000 + (sent_ms * 1000 + packet * 100) as i64 + delay_micros(group));
            detector.on_packet(sent_at, at);
        }
        said.push(detector.usage());
    }
    said
}

#[test]
fn a_constant_delay_is_normal_and_a_growing_queue_is_detected() {
    let mut detector = DelayDetector::default();
    let said = run(&mut detector, 0..200, |group| if group % 2 == 0 { 0 } else { 1500 });
    assert!(said.iter().all(|usage| *usage == Usage::Normal));
    let said = run(&mut detector, 200..260, |group| (group as i64 - 200) * 5000);
    let noticed = said.iter().position(|usage| *usage == Usage::Overusing);
    assert!(noticed.is_some_and(|groups| groups < 12), "{noticed:?}");
}

#[test]
fn a_draining_queue_is_underuse() {
    let mut detector = DelayDetector::default();
    run(&mut detector, 0..50, |_| 400_000);
    let said = run(&mut detector, 50..80, |group| 400_000 - (group as i64 - 49) * 8000);
    assert!(said.contains(&Usage::Underusing), "{said:?}");
    assert!(!said.contains(&Usage::Overusing), "{said:?}");
}

#[test]
fn a_single_late_group_is_no_overuse_and_a_new_clock_resets() {
    let mut detector = DelayDetector::default();
    run(&mut detector, 0..50, |_| 0);
    let said = run(&mut detector, 50..90, |group| if group == 60 { 15_000 } else { 0 });
    assert!(!said.contains(&Usage::Overusing), "{said:?}");
    let said = run(&mut detector, 90..130, |_| 3_600_000_000);
    assert!(said.iter().all(|usage| *usage == Usage::Normal), "{said:?}");
}

#[test]
fn the_threshold_falls_slowly_to_its_floor_and_ignores_jumps() {
    let mut threshold = Threshold::default();
    (0..1000).for_each(|step| threshold.adapt(0.0, f64::from(step) * 20.0));
    assert_eq!(threshold.ms, 6.0);
    threshold.adapt(500.0, 30_000.0);
    assert_eq!(threshold.ms, 6.0);
    (0..1000).for_each(|step| threshold.adapt(20.0, 40_000.0 + f64::from(step) * 20.0));
    assert!(threshold.ms > 15.0 && threshold.ms < 20.1, "{threshold:?}");
}
