use super::*;

fn ms(ms: u64) -> Instant {
    Instant::EPOCH + Duration::from_millis(ms)
}

fn requested(generator: &mut NackGenerator, now: Instant) -> Vec<u64> {
    let mut seqs = Vec::new();
    generator.poll(now, |seq| seqs.push(seq.0));
    seqs
}

#[test]
fn three_packets_of_reordering_cause_no_request_and_four_do() {
    let mut generator = NackGenerator::new();
    for seq in [10, 12, 13, 14] {
        generator.on_packet(ms(seq), SeqNo(seq));
    }
    assert_eq!(requested(&mut generator, ms(15)), []);
    generator.on_packet(ms(16), SeqNo(15));
    assert_eq!(requested(&mut generator, ms(16)), [11]);
}

#[test]
fn a_slow_stream_requests_after_the_wait() {
    let mut generator = NackGenerator::new();
    generator.on_packet(ms(0), SeqNo(1));
    generator.on_packet(ms(20), SeqNo(3));
    assert_eq!(generator.next_timeout(), Some(ms(20) + limits::NACK_REORDER_WAIT));
    assert_eq!(requested(&mut generator, ms(120)), [2]);
}

#[test]
fn requests_are_a_round_trip_apart_and_end() {
    let mut generator = NackGenerator::new();
    generator.on_packet(ms(0), SeqNo(1));
    generator.on_packet(ms(0), SeqNo(10));
    let mut times = Vec::new();
    for now in 0..3_000 {
        if requested(&mut generator, ms(now)).contains(&2) {
            times.push(now);
        }
    }
    assert!(times.len() <= usize::from(limits::NACK_RETRIES_MAX), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 80), "{times:?}");
    assert_eq!(generator.missing.len(), 0);
    assert_eq!(generator.take_given_up(), 8);
}

#[test]
fn the_round_trip_is_measured_by_answers() {
    let mut generator = NackGenerator::new();
    generator.on_packet(ms(0), SeqNo(0));
    let mut now = 0;
    for seq in 0..100 {
        generator.on_packet(ms(now), SeqNo(seq * 10 + 9));
        let asked = requested(&mut generator, ms(now + 1));
        assert!(!asked.is_empty());
        for seq in (seq * 10)..(seq * 10 + 9) {
            generator.on_packet(ms(now + 31), SeqNo(seq));
        }
        now += 40;
    }
    assert!((29..=33).contains(&generator.rtt.as_millis()), "{:?}", generator.rtt);
}

#[test]
fn a_keyframe_makes_older_gaps_worthless() {
    let mut generator = NackGenerator::new();
    generator.on_packet(ms(0), SeqNo(1));
    generator.on_packet(ms(0), SeqNo(20));
    generator.on_keyframe(SeqNo(18));
    assert_eq!(requested(&mut generator, ms(200)), [18, 19]);
    assert_eq!(generator.take_given_up(), 16);
}

#[test]
fn a_stream_that_started_earlier_misses_the_packets_in_between() {
    let mut generator = NackGenerator::new();
    for seq in [13, 10, 14, 15, 16] {
        generator.on_packet(ms(0), SeqNo(seq));
    }
    assert_eq!(requested(&mut generator, ms(1)), [11, 12]);
    generator.on_packet(ms(2), SeqNo(11));
    generator.on_keyframe(SeqNo(10));
    generator.on_packet(ms(3), SeqNo(5));
    assert_eq!(requested(&mut generator, ms(200)), [12], "packets before the keyframe are not needed");
    generator.on_packet(ms(201), SeqNo(1));
    assert_eq!(generator.missing.len(), 1);
}

/// The stored deadline is never later than a walk over all missing packets would find, and no packet is
/// requested later than that.
#[test]
fn the_stored_deadline_is_never_late() {
    for seed in 0..200 {
        let mut rng = machine::Rng::from_number(seed);
        let mut generator = NackGenerator::new();
        let (mut now, mut head) = (1_000, 2_000u64);
        for _ in 0..400 {
            now += u64::from(rng.below(30));
            match rng.below(8) {
                0 => head += u64::from(rng.below(700)),
                1..=4 => head += 1,
                _ => {}
            }
            let back = if rng.below(3) == 0 { u64::from(rng.below(40)) } else { 0 };
            generator.on_packet(ms(now), SeqNo(head - back));
            if rng.below(50) == 0 {
                generator.on_keyframe(SeqNo(head - u64::from(rng.below(10))));
            }
            let walked = |generator: &NackGenerator| {
                let timeout = |missing: &Missing| missing.timeout(generator.highest, generator.interval());
                generator.missing.iter().map(timeout).min()
            };
            let exact = walked(&generator);
            assert_eq!(generator.next_timeout().is_some(), exact.is_some(), "seed {seed}");
            assert!(generator.next_timeout() <= exact, "seed {seed}");
            if rng.below(3) == 0 {
                generator.poll(ms(now), |_| {});
                assert!(walked(&generator).is_none_or(|due| due > ms(now)), "seed {seed}");
            }
        }
    }
}

#[test]
fn a_jump_is_bounded() {
    let mut generator = NackGenerator::new();
    generator.on_packet(ms(0), SeqNo(1));
    generator.on_packet(ms(0), SeqNo(1_000_000));
    assert_eq!(generator.missing.len(), limits::NACK_PENDING_MAX);
    assert_eq!(generator.take_given_up(), 999_998 - limits::NACK_PENDING_MAX as u64);
    let mut generator = NackGenerator::new();
    generator.on_packet(ms(0), SeqNo(1_000_000));
    generator.on_packet(ms(0), SeqNo(990_000));
    assert_eq!(generator.missing.len(), limits::NACK_PENDING_MAX);
}
