use super::*;
use std::time::Duration;

fn settled(share: f32) -> Quality {
    let mut quality = Quality::good();
    (0..60).for_each(|_| quality.on_interval(1_000, (1_000.0 * share) as i64));
    quality
}

#[test]
fn scores_fall_with_loss() {
    let scores = [0.0, 0.01, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0].map(|share| settled(share).score());
    assert_eq!(scores, [10, 9, 7, 6, 4, 3, 1, 1]);
}

#[test]
fn scores_of_audio_are_opinions() {
    let score = |share, ms| {
        let mut quality = settled(share);
        quality.set_delay(Duration::from_millis(ms));
        quality.score()
    };
    assert_eq!(
        [0.0, 0.01, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0].map(|share| score(share, 60)),
        [10, 9, 7, 6, 4, 2, 1, 1]
    );
    assert_eq!([100, 200, 300, 400, 600, 3_000].map(|ms| score(0.0, ms)), [10, 9, 8, 6, 2, 1]);
}

#[test]
fn a_stream_recovers_in_some_seconds() {
    let mut quality = settled(0.2);
    let seconds = (1..60).find(|_| {
        quality.on_interval(500, 0);
        quality.score() >= 9
    });
    assert!(seconds.is_some_and(|seconds| (4..16).contains(&seconds)), "{seconds:?}");
}

#[test]
fn packets_repaired_a_little_later_are_not_loss() {
    let mut quality = Quality::good();
    for _ in 0..30 {
        quality.on_interval(500, 20);
        quality.on_interval(500, -20);
    }
    assert!(quality.score() >= 9, "{quality:?}");
}

#[test]
fn silence_changes_nothing_and_few_packets_little() {
    let mut quality = Quality::good();
    for _ in 0..10 {
        quality.on_interval(0, 0);
    }
    assert_eq!(quality.score(), 10);
    quality.on_interval(3, 1);
    assert!(quality.score() >= 8, "{quality:?}");
}

#[test]
fn changes_are_reported_and_not_too_often() {
    let at = |seconds| Instant::EPOCH + Duration::from_secs(seconds);
    let mut quality = Quality::silent();
    assert_eq!(quality.take_report(at(0)), None);
    quality.set_silent(false);
    assert_eq!(quality.take_report(at(1)), Some(10));
    assert_eq!(quality.take_report(at(5)), None);
    quality.set_silent(true);
    assert_eq!(quality.take_report(at(6)), Some(0));
    quality.set_silent(false);
    assert_eq!(quality.take_report(at(7)), None, "too soon");
    assert_eq!(quality.take_report(at(8)), Some(10));
    quality.missing = 0.01;
    assert_eq!((quality.score(), quality.take_report(at(60))), (9, None), "a change by one is not reported");
}
