use super::*;
use rtcp::{Compound, Packet, TwccFeedback, Writer};
use rtp::Ssrc;

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn send(estimator: &mut Estimator, from_ms: u64, to_ms: u64) {
    (from_ms..to_ms).step_by(10).for_each(|ms| estimator.on_sent(at(ms), 1000, Purpose::Media));
}

/// Feedback on `count` packets from number `base` on, 10 ms apart, every `lost`th of them missing.
fn receive_feedback(estimator: &mut Estimator, now: Instant, base: u16, count: u16, lost: u16) {
    let statuses: Vec<Option<i16>> =
        (0..count).map(|packet| (packet % lost != lost - 1).then_some(40)).collect();
    let mut buffer = [0; 2048];
    let mut writer = Writer::new(&mut buffer);
    let is_written = writer.twcc(&TwccFeedback {
        sender: Ssrc(1),
        media: Ssrc(2),
        base_seq: TwccSeq(base),
        reference_time: i32::from(base) * 10 / 64,
        feedback_count: 0,
        statuses: &statuses,
    });
    assert!(is_written);
    let compound = Compound::new(writer.as_bytes()).expect("well formed");
    let Some(Packet::Twcc(twcc)) = compound.packets().next() else { panic!("a feedback") };
    estimator.on_feedback(now, &twcc, &mut { usize::MAX });
}

#[test]
fn bounds_are_kept_and_contradictions_are_resolved() {
    let bounds = Bounds { min_bps: 900_000, start_bps: 100, max_bps: 400_000 }.normalized();
    assert_eq!(bounds, Bounds { min_bps: 400_000, start_bps: 400_000, max_bps: 400_000 });
    let mut estimator = Estimator::new(Bounds::default());
    assert_eq!(estimator.estimate_bps(), limits::BITRATE_START_BPS);
    estimator.set_bounds(Bounds { max_bps: 200_000, ..Bounds::default() });
    assert_eq!(estimator.estimate_bps(), 200_000);
    estimator.set_bounds(Bounds { min_bps: 2_000_000, ..Bounds::default() });
    assert_eq!(estimator.estimate_bps(), 2_000_000);
}

#[test]
fn without_feedback_the_peers_estimate_is_used_until_it_expires() {
    let mut estimator = Estimator::new(Bounds::default());
    estimator.on_remb(at(0), 2_500_000);
    assert_eq!(estimator.estimate_bps(), 2_500_000);
    estimator.set_allocated(at(0), 0, 9_000_000);
    assert!(!estimator.poll(at(9_999)), "and there is no probe, because it would have no result");
    assert_eq!(estimator.estimate_bps(), 2_500_000);
    estimator.poll(at(10_000));
    assert_eq!(estimator.estimate_bps(), limits::BITRATE_START_BPS);
}

#[test]
fn reception_reports_are_used_only_for_a_peer_without_feedback() {
    let mut estimator = Estimator::new(Bounds::default());
    send(&mut estimator, 0, 1000);
    estimator.on_loss_report(at(1000), 128);
    let lowered = estimator.estimate_bps();
    assert!(lowered < limits::BITRATE_START_BPS * 8 / 10, "{lowered}");

    let mut estimator = Estimator::new(Bounds::default());
    send(&mut estimator, 0, 1000);
    receive_feedback(&mut estimator, at(1000), 0, 100, u16::MAX);
    let before = estimator.estimate_bps();
    estimator.on_loss_report(at(1000), 128);
    assert_eq!(estimator.estimate_bps(), before, "the report includes the publisher's loss");
}

#[test]
fn heavy_loss_on_the_path_to_the_peer_lowers_the_estimate() {
    let mut estimator = Estimator::new(Bounds::default());
    send(&mut estimator, 0, 2000);
    receive_feedback(&mut estimator, at(1000), 0, 100, 4);
    receive_feedback(&mut estimator, at(2000), 100, 100, 4);
    assert!(estimator.loss_fraction(at(2000)) > 0.2);
    assert!(estimator.estimate_bps() < limits::BITRATE_START_BPS);
}

#[test]
fn silence_halves_the_estimate_of_a_peer_that_has_answered_before() {
    let mut estimator = Estimator::new(Bounds::default());
    send(&mut estimator, 0, 3000);
    estimator.poll(at(3000));
    assert_eq!(estimator.estimate_bps(), limits::BITRATE_START_BPS, "no feedback yet");
    receive_feedback(&mut estimator, at(3000), 0, 100, u16::MAX);
    let before = estimator.estimate_bps();
    estimator.poll(at(9000));
    assert_eq!(estimator.estimate_bps(), before, "no packet was sent that it could answer");
    send(&mut estimator, 9000, 9010);
    estimator.poll(at(9999));
    assert_eq!(estimator.estimate_bps(), before);
    estimator.poll(at(10_000));
    assert_eq!(estimator.estimate_bps(), before / 2);
}

#[test]
fn a_peer_that_answers_no_probe_is_not_probed_forever() {
    let mut estimator = Estimator::new(Bounds::default());
    estimator.set_allocated(at(0), 0, 5_000_000);
    let mut begun = 0;
    for ms in (0..120_000).step_by(100) {
        begun += u32::from(estimator.poll(at(ms)));
        while estimator.padding_due(at(ms)) > 0 {
            estimator.on_sent(at(ms), 250, Purpose::Padding);
        }
    }
    assert_eq!(begun, UNANSWERED_PROBES_MAX);
    assert!(estimator.padding_bytes() > 0);
}
