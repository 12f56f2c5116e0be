use super::*;
use crate::packet::picture::PictureNumbers;
use std::collections::BTreeMap;
use std::time::Duration;

const FIRST: Source = Source { stream: 0, epoch: 0 };
const SECOND: Source = Source { stream: 1, epoch: 0 };

fn at(ms: u64) -> Instant {
    Instant::EPOCH + Duration::from_millis(ms)
}

fn beginning(seq: u64, timestamp: u32) -> Beginning {
    Beginning { seq: SeqNo(seq), timestamp, aligned: None, picture: None, frame: None, top: 0 }
}

fn left_out(timestamp: u32, spatial: u8) -> LeftOut {
    LeftOut { timestamp, spatial, picture: None, closes_up: false, frame: None }
}

fn send(rewriter: &mut Rewriter, source: Source, now: Instant, seq: u64, timestamp: u32) -> (u64, u32) {
    let (ours, numbering) = rewriter.place(source, SeqNo(seq)).expect("after the start");
    let timestamp = numbering.timestamp(timestamp);
    rewriter.on_sent(now, ours, timestamp, None, None);
    (ours.0, timestamp)
}

#[test]
fn numbers_continue_across_a_pause_and_another_source() {
    let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
    rewriter.start(at(0), FIRST, beginning(70_000, 1_000));
    let (seq, timestamp) = send(&mut rewriter, FIRST, at(0), 70_000, 1_000);
    assert!(seq <= 1 << 15);
    rewriter.pause();
    assert_eq!(rewriter.source(), None);
    assert_eq!(rewriter.place(FIRST, SeqNo(70_001)), None, "paused");
    rewriter.start(at(1_000), FIRST, beginning(70_100, 91_000));
    assert_eq!(
        send(&mut rewriter, FIRST, at(1_000), 70_100, 91_000),
        (seq + 1, timestamp.wrapping_add(90_000))
    );
    rewriter.start(at(2_000), SECOND, beginning(66_000, 5));
    assert_eq!(send(&mut rewriter, SECOND, at(2_000), 66_000, 5), (seq + 2, timestamp.wrapping_add(180_000)));
}

#[test]
fn timestamps_follow_known_clocks_and_always_increase() {
    let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
    rewriter.start(at(0), FIRST, beginning(10, 1_000));
    let (_, timestamp) = send(&mut rewriter, FIRST, at(0), 10, 1_000);
    let aligned = Some(timestamp.wrapping_add(2_970));
    rewriter.start(at(90), SECOND, Beginning { aligned, ..beginning(500, 77) });
    assert_eq!(send(&mut rewriter, SECOND, at(90), 500, 77).1, timestamp.wrapping_add(2_970));
    // The same moment, sent again by another encoding.
    rewriter.start(at(91), FIRST, Beginning { aligned, ..beginning(12, 3_970) });
    assert_eq!(send(&mut rewriter, FIRST, at(91), 12, 3_970).1, timestamp.wrapping_add(2_971));
}

/// Another stream's keyframe arrives 300 ms late: frames captured before the newest sent one get the next
/// timestamps after it, and later ones get their correct timestamps again.
#[test]
fn timestamps_of_a_source_that_starts_late_catch_up() {
    let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
    rewriter.start(at(0), FIRST, beginning(10, 0));
    let (first, newest) = send(&mut rewriter, FIRST, at(300), 10, 27_000);
    let aligned = Some(newest.wrapping_sub(27_000));
    rewriter.start(at(310), SECOND, Beginning { aligned, ..beginning(500, 0) });
    let mut timestamp_of = |seq: u64, timestamp: u32| {
        rewriter.catch_up_time(timestamp, SeqNo(seq));
        let (ours, timestamp) = send(&mut rewriter, SECOND, at(310), seq, timestamp);
        assert_eq!(ours - first, seq - 499);
        timestamp.wrapping_sub(newest) as i32
    };
    assert_eq!(
        [(500, 0), (501, 0), (502, 9_000)].map(|(seq, timestamp)| timestamp_of(seq, timestamp)),
        [1, 1, 2]
    );
    // 503 may belong to the frame before or after: both must have the same offset.
    assert_eq!(timestamp_of(504, 18_000), 9_002);
    assert_eq!(timestamp_of(503, 9_000), 2);
    // The clock's own time is ahead of all timestamps so far.
    assert_eq!(
        [(505, 27_000), (506, 36_000)].map(|(seq, timestamp)| timestamp_of(seq, timestamp)),
        [9_003, 9_004]
    );
    assert_eq!(
        [(507, 45_000), (508, 54_000)].map(|(seq, timestamp)| timestamp_of(seq, timestamp)),
        [18_000, 27_000]
    );
    assert_eq!(rewriter.clock(63_000), Some(newest.wrapping_add(36_000)));
}

#[test]
fn a_source_with_a_wrong_clock_continues_at_its_own_rate() {
    let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
    rewriter.start(at(0), FIRST, beginning(10, 0));
    let (_, newest) = send(&mut rewriter, FIRST, at(0), 10, 0);
    let aligned = Some(newest.wrapping_sub(90_000 * 60));
    rewriter.start(at(33), SECOND, Beginning { aligned, ..beginning(500, 0) });
    for (seq, timestamp) in [(500, 0), (501, 3_000), (502, 6_000)] {
        rewriter.catch_up_time(timestamp, SeqNo(seq));
        let (_, ours) = send(&mut rewriter, SECOND, at(33), seq, timestamp);
        assert_eq!(ours.wrapping_sub(newest), timestamp + 1);
    }
    // A pause of seven hours: the clock has gone more than half around.
    rewriter.pause();
    let hours = 7 * 3600 * 90_000;
    rewriter.start(at(7 * 3_600_000), SECOND, beginning(503, hours));
    assert_eq!(send(&mut rewriter, SECOND, at(0), 503, hours).1.wrapping_sub(newest), hours + 1);
    rewriter.catch_up_time(hours + 3_000, SeqNo(504));
    assert_eq!(send(&mut rewriter, SECOND, at(0), 504, hours + 3_000).1.wrapping_sub(newest), hours + 3_001);
}

#[test]
fn a_nack_is_mapped_back_only_to_sent_packets() {
    let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
    assert_eq!(rewriter.original(Seq(5)), None);
    rewriter.start(at(0), FIRST, beginning(70_000, 0));
    let (first, _) = send(&mut rewriter, FIRST, at(0), 70_000, 0);
    for seq in 70_001..140_000 {
        send(&mut rewriter, FIRST, at(0), seq, 0);
    }
    let original = |rewriter: &Rewriter, ours: u64| {
        rewriter.original(SeqNo(ours).seq()).map(|(seq, ours, _)| (seq.0, ours.0))
    };
    let newest = first + 69_999;
    assert_eq!(original(&rewriter, newest), Some((139_999, newest)));
    assert_eq!(original(&rewriter, newest - 300), Some((139_699, newest - 300)));
    assert_eq!(original(&rewriter, newest + 1), None);
    assert_eq!(rewriter.place(FIRST, SeqNo(69_999)), None, "before the start");
    // Also of an earlier source.
    rewriter.start(at(1), SECOND, beginning(500, 0));
    send(&mut rewriter, SECOND, at(1), 500, 0);
    assert_eq!(original(&rewriter, newest - 300), Some((139_699, newest - 300)));
}

#[test]
fn left_out_packets_get_no_number_and_late_ones_keep_theirs() {
    let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
    rewriter.start(at(0), FIRST, beginning(100, 0));
    let (first, _) = send(&mut rewriter, FIRST, at(0), 100, 0);
    assert_eq!(rewriter.leave_out(FIRST, SeqNo(101), left_out(5, 0)), None);
    assert_eq!(rewriter.leave_out(FIRST, SeqNo(102), left_out(5, 0)), None);
    assert_eq!(send(&mut rewriter, FIRST, at(0), 103, 0).0, first + 1);
    // 104 is missing when 105 is left out: its number is reserved.
    assert_eq!(rewriter.leave_out(FIRST, SeqNo(105), left_out(6, 0)), None);
    assert_eq!(send(&mut rewriter, FIRST, at(0), 106, 0).0, first + 3);
    assert_eq!(send(&mut rewriter, FIRST, at(0), 104, 0).0, first + 2);
    // 107 is missing, and turns out not to be forwarded: a hole.
    assert_eq!(send(&mut rewriter, FIRST, at(0), 108, 0).0, first + 5);
    assert_eq!(
        rewriter.leave_out(FIRST, SeqNo(107), left_out(7, 0)).map(|(ours, _)| ours.0),
        Some(first + 4)
    );
    // Missing packets between two of one left-out frame belong to it.
    assert_eq!(rewriter.leave_out(FIRST, SeqNo(109), left_out(8, 0)), None);
    assert_eq!(rewriter.leave_out(FIRST, SeqNo(111), left_out(8, 0)), None);
    assert_eq!(rewriter.leave_out(FIRST, SeqNo(110), left_out(8, 0)), None);
    assert_eq!(send(&mut rewriter, FIRST, at(0), 112, 0).0, first + 6);
    // Between two left-out spatial layers there may be one that is not left out.
    assert_eq!(rewriter.leave_out(FIRST, SeqNo(113), left_out(9, 0)), None);
    assert_eq!(rewriter.leave_out(FIRST, SeqNo(115), left_out(9, 2)), None);
    assert_eq!(send(&mut rewriter, FIRST, at(0), 116, 0).0, first + 8);
    assert_eq!(send(&mut rewriter, FIRST, at(0), 114, 0).0, first + 7);
}

#[test]
fn picture_numbers_continue_without_a_gap_over_left_out_pictures() {
    use control::Codec;
    let read = |picture: u8| PictureNumbers::read(Codec::Vp8, &[0x90, 0xc0, picture, 7]).expect("whole");
    let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
    rewriter.start(at(0), FIRST, Beginning { picture: Some(read(20)), ..beginning(100, 0) });
    rewriter.place(FIRST, SeqNo(100)).expect("the start");
    for (seq, timestamp, picture) in [(101, 1, 21), (102, 1, 21), (103, 2, 22)] {
        let left_out = LeftOut { picture: Some(read(picture)), closes_up: true, ..left_out(timestamp, 0) };
        rewriter.leave_out(FIRST, SeqNo(seq), left_out);
    }
    let (_, numbering) = rewriter.place(FIRST, SeqNo(104)).expect("forwarded");
    assert_eq!(read(23).picture_id_with(numbering.picture), Some(21));
}

/// The publisher's frames and pictures 20, 23 and 26: the middle one is missing, the last is left out, and
/// both may arrive before another stream with other numbers starts.
#[test]
fn late_packets_keep_their_numbers_across_a_change_of_source() {
    use control::Codec;
    for (codec, late_id) in [(Codec::Vp8, 21), (Codec::Vp9, 23)] {
        let read = |picture: u8, tl0picidx: u8| {
            let payload: &[u8] = match codec {
                Codec::Vp8 => &[0x90, 0xc0, picture, tl0picidx],
                _ => &[0xa8, picture, 0x00, tl0picidx],
            };
            PictureNumbers::read(codec, payload).expect("whole")
        };
        let numbers =
            |picture_id, tl0picidx| LastPicture { picture_id: Some(picture_id), tl0picidx: Some(tl0picidx) };
        let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
        let first =
            Beginning { picture: Some(read(20, 7)), frame: Some(FrameNumber(20)), ..beginning(100, 0) };
        rewriter.start(at(0), FIRST, first);
        let (ours, _) = rewriter.place(FIRST, SeqNo(100)).expect("the start");
        rewriter.on_sent(at(0), ours, 0, Some(numbers(20, 7)), Some(FrameNumber(20)));
        // VP8 numbers pictures one by one.
        let newest = if codec == Codec::Vp8 { read(22, 8) } else { read(26, 8) };
        let left_out = LeftOut {
            picture: Some(newest),
            closes_up: codec == Codec::Vp8,
            frame: Some(FrameNumber(26)),
            ..left_out(6_000, 0)
        };
        rewriter.leave_out(FIRST, SeqNo(102), left_out);
        rewriter.start(at(0), SECOND, Beginning { seq: SeqNo(500), ..first });
        let (begins, numbering) = rewriter.place(SECOND, SeqNo(500)).expect("the start");
        let (late, of_past) = rewriter.place(FIRST, SeqNo(101)).expect("its number is reserved");
        assert_eq!((late, begins), (ours.next(), ours.next().next()));
        let missing = if codec == Codec::Vp8 { read(21, 8) } else { read(23, 8) };
        assert_eq!(missing.with(of_past.picture), numbers(late_id, 8));
        assert_eq!(of_past.frame(FrameNumber(23)), FrameNumber(23));
        let newest_id = if codec == Codec::Vp8 { late_id } else { 26 };
        assert_eq!(read(20, 7).with(numbering.picture), numbers(newest_id + 1, 9), "{codec:?}");
        assert_eq!(numbering.frame(FrameNumber(20)), FrameNumber(27));
    }
}

/// Every number is used for one packet only, whatever is late, left out or paused, and can be mapped back.
#[test]
fn no_number_is_used_twice() {
    for seed in 0..200 {
        let mut rng = Rng::from_number(seed);
        let mut rewriter = Rewriter::new(&mut rng, 90_000);
        let mut given = BTreeMap::new();
        let mut next = [1_000u64, 5_000];
        let mut missing: Vec<(Source, u64)> = Vec::new();
        let mut source = FIRST;
        rewriter.start(at(0), source, beginning(next[0], 0));
        for step in 0..400 {
            let (from, seq) = if !missing.is_empty() && rng.chance(0.2) {
                missing.swap_remove(rng.below(missing.len() as u32) as usize)
            } else {
                let seq = &mut next[usize::from(source.stream)];
                *seq += 1;
                if rng.chance(0.15) {
                    missing.push((source, *seq - 1));
                    *seq += 1;
                }
                (source, *seq - 1)
            };
            if rng.chance(0.05) {
                source = if source == FIRST { SECOND } else { FIRST };
                let first = next[usize::from(source.stream)];
                rewriter.start(at(step), source, beginning(first, 0));
            }
            if rng.chance(0.02) {
                rewriter.set_top(rng.below(3) as u8, SeqNo(next[usize::from(source.stream)]));
            }
            let placed = if rng.chance(0.4) {
                rewriter.leave_out(from, SeqNo(seq), left_out(seq as u32 / 3, 0))
            } else {
                rewriter.place(from, SeqNo(seq))
            };
            let Some((ours, _)) = placed else { continue };
            rewriter.on_sent(at(step), ours, 0, None, None);
            let before = given.insert(ours, (from.stream, seq));
            assert_eq!(before, None, "seed {seed}, step {step}: {ours:?} is used twice");
            let back =
                rewriter.original(ours.seq()).map(|(seq, _, numbering)| (numbering.source.stream, seq.0));
            assert_eq!(back, Some((from.stream, seq)), "seed {seed}, step {step}");
        }
    }
}

#[test]
fn inserted_packets_get_numbers_before_a_packet_and_map_to_none_of_the_publishers() {
    let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
    rewriter.start(at(0), FIRST, beginning(100, 1_000));
    let (first, numbering) = rewriter.make_room(SeqNo(100), 2).expect("it has begun");
    for ours in [first.0, first.0 + 1] {
        rewriter.on_sent(at(0), SeqNo(ours), numbering.timestamp(1_000), None, None);
    }
    assert_eq!(send(&mut rewriter, FIRST, at(0), 100, 1_000).0, first.0 + 2);
    assert_eq!(send(&mut rewriter, FIRST, at(0), 101, 1_000).0, first.0 + 3);
    // In the middle of a run, while earlier packets are missing.
    assert_eq!(rewriter.place(FIRST, SeqNo(104)).map(|(seq, _)| seq.0), Some(first.0 + 6));
    let (second, _) = rewriter.make_room(SeqNo(106), 1).expect("it continues");
    assert_eq!(second.0, first.0 + 8);
    rewriter.on_sent(at(9), second, 0, None, None);
    assert_eq!(send(&mut rewriter, FIRST, at(9), 106, 4_000).0, first.0 + 9);
    assert_eq!(send(&mut rewriter, FIRST, at(9), 105, 4_000).0, first.0 + 7, "its number was reserved");
    for (ours, theirs) in
        [(2, Some(100)), (3, Some(101)), (7, Some(105)), (9, Some(106)), (0, None), (1, None), (8, None)]
    {
        let original = rewriter.original(SeqNo(first.0 + ours).seq()).map(|(original, ..)| original.0);
        assert_eq!(original, theirs, "{ours}");
    }
}
