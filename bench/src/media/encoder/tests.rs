use super::*;

const INTERVAL: Duration = Duration::from_nanos(33_333_333);

fn minute(encoder: &mut Encoder) -> Vec<Frame> {
    let start = Instant::now();
    (0..1800).map(|frame| encoder.next_frame(start + INTERVAL * frame)).collect()
}

#[test]
fn the_rate_is_kept_over_a_minute() {
    let frames = minute(&mut Encoder::new(true, 2_500_000, INTERVAL, 7));
    let bits = frames.iter().map(|frame| frame.len as u64 * 8).sum::<u64>();
    assert!((145_000_000..155_000_000).contains(&bits), "{bits}");
}

#[test]
fn sizes_scatter_and_keyframes_are_large_and_rare() {
    let frames = minute(&mut Encoder::new(true, 2_500_000, INTERVAL, 7));
    let keyframes: Vec<_> = frames.iter().filter(|frame| frame.is_keyframe).collect();
    let at =
        |frame: &Frame| frames.iter().position(|other| std::ptr::eq(other, frame)).unwrap() as f64 / 30.0;
    let gaps: Vec<f64> = keyframes.windows(2).map(|two| at(two[1]) - at(two[0])).collect();
    assert!(gaps.iter().all(|gap| (5.0..15.1).contains(gap)), "{gaps:?}");
    let of_seed = |seed| {
        let frames = minute(&mut Encoder::new(true, 2_500_000, INTERVAL, seed));
        frames.iter().filter(|frame| frame.is_keyframe).count()
    };
    let of_hundred: usize = (1..=100).map(of_seed).sum();
    // The first keyframe, and for those after it each interval's mean of 10 s and variance of 8.3 s²
    // (renewals): 6.54 in a minute.
    assert!((630..=680).contains(&of_hundred), "{of_hundred} in a hundred minutes");
    let sizes: std::collections::BTreeSet<_> = frames.iter().map(|frame| frame.len).collect();
    assert!(sizes.len() > 1000, "{} sizes", sizes.len());
}

#[test]
fn a_request_is_answered_but_not_twice_in_half_a_second() {
    let mut encoder = Encoder::new(true, 2_500_000, INTERVAL, 7);
    let start = Instant::now();
    assert!(encoder.next_frame(start).is_keyframe, "the first");
    encoder.request_keyframe();
    let answered: Vec<_> =
        (1..30).filter(|frame| encoder.next_frame(start + INTERVAL * *frame).is_keyframe).collect();
    assert_eq!(answered, [16], "500 ms after the first, the 16th frame");
}

#[test]
fn the_same_seed_gives_the_same_frames() {
    let sizes = |seed| {
        minute(&mut Encoder::new(true, 1_000_000, INTERVAL, seed))
            .iter()
            .map(|frame| frame.len)
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(3), sizes(3));
    assert_ne!(sizes(3), sizes(4));
}

#[test]
fn audio_packets_have_similar_sizes() {
    let mut encoder = Encoder::new(false, 40_000, Duration::from_millis(20), 7);
    let now = Instant::now();
    for _ in 0..100 {
        let frame = encoder.next_frame(now);
        assert!((85..=115).contains(&frame.len) && !frame.is_keyframe, "{frame:?}");
    }
}
