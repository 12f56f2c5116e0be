use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn the_estimate_is_the_nearest_index(highest in 0_u64..1 << 48, seq: u16) {
        match estimate(highest, seq) {
            Ok(index) => {
                prop_assert_eq!(index as u16, seq);
                prop_assert!(index.abs_diff(highest) <= 0x8000);
            }
            Err(Discard::TooOld) => prop_assert!(highest < 0x8000 && seq > 0x8000),
            Err(Discard::IndexExhausted) => prop_assert!(highest > RTP_INDEX_MAX - 0x8000),
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }
}

/// Old packets of a retired source are not accepted again, and its next ones are.
#[test]
fn a_retired_source_continues_after_its_highest_index() {
    let mut sources = Sources::default();
    let mut take = |ssrc, index| {
        let source = sources.find(ssrc);
        sources.check(source, index).and_then(|()| sources.accept(source, ssrc, index))
    };
    for ssrc in 0..SSRCS_MAX as u32 {
        for index in [70_000, 70_005, 70_003] {
            assert_eq!(take(ssrc, index), Ok(()));
        }
    }
    // The first source is active again, so the second has been silent longest.
    assert_eq!(take(0, 70_001), Ok(()));
    assert_eq!(take(1000, 1), Ok(()));
    assert_eq!(take(0, 70_002), Ok(()), "it has its whole window");
    for index in [70_000, 70_004, 70_005] {
        assert_eq!(take(1, index), Err(Discard::TooOld), "{index}");
    }
    assert_eq!(take(1, 70_007), Ok(()));
    assert_eq!(take(1, 70_006), Ok(()), "late, but after the earlier highest index");
    assert_eq!(take(1, 70_007), Err(Discard::Replayed));
    assert_eq!(take(1, 70_004), Err(Discard::Replayed));
}

#[test]
fn sources_are_accepted_up_to_the_bound() {
    let mut sources = Sources::default();
    let all = (SSRCS_MAX + SSRCS_RETIRED_MAX) as u32;
    for ssrc in 0..all {
        let source = sources.find(ssrc);
        assert_eq!(sources.accept(source, ssrc, 7), Ok(()), "{ssrc}");
    }
    let source = sources.find(all);
    assert_eq!(sources.accept(source, all, 7), Err(Discard::SsrcLimit));
    for ssrc in [0, all - 1] {
        let source = sources.find(ssrc);
        assert_eq!(sources.accept(source, ssrc, 8), Ok(()), "{ssrc} is known");
    }
    assert_eq!((sources.ssrcs.len(), sources.retired.len()), (SSRCS_MAX, SSRCS_RETIRED_MAX));
}

#[test]
fn the_counter_wraps_in_both_directions() {
    assert_eq!(estimate(0xffff, 0), Ok(0x1_0000));
    assert_eq!(estimate(0x1_0000, 0xffff), Ok(0xffff));
    assert_eq!(estimate(0x0_0002, 0xfffe), Err(Discard::TooOld));
    assert_eq!(estimate(RTP_INDEX_MAX, 0), Err(Discard::IndexExhausted));
}
