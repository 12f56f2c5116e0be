use super::*;

fn at(ms: u64) -> Instant {
    Instant::EPOCH + Duration::from_millis(ms)
}

fn stream() -> Stream {
    let mut stream = Stream::new(Kind::Video, 90_000, true);
    stream.learn_ssrc(at(0), Ssrc(1));
    stream
}

#[test]
fn a_retransmission_fills_a_gap_once() {
    let mut stream = stream();
    for seq in [1, 3] {
        stream.on_media(at(0), at(0), Seq(seq), 0).expect("new");
    }
    let repaired = stream.on_retransmission(at(1), Seq(2)).expect("missing until now");
    assert_eq!(repaired.seq(), Seq(2));
    assert_eq!(stream.on_retransmission(at(1), Seq(2)), Err(Discard::RtpDuplicate));
    assert_eq!(stream.on_media(at(1), at(1), Seq(2), 0), Err(Discard::RtpDuplicate));
}

#[test]
fn a_retransmission_ahead_of_the_stream_becomes_the_newest_packet() {
    let mut stream = stream();
    assert_eq!(stream.on_retransmission(at(0), Seq(1)), Err(Discard::RtpTooOld), "before the first packet");
    stream.on_media(at(0), at(0), Seq(1), 0).expect("new");
    let probe = stream.on_retransmission(at(1), Seq(4)).expect("within reach");
    assert_eq!(stream.highest(), Some(probe));
    assert_eq!(stream.on_media(at(1), at(1), Seq(4), 0), Err(Discard::RtpDuplicate));
    let mut asked = Vec::new();
    stream.nack.as_mut().expect("negotiated").poll(at(200), |seq| asked.push(seq.seq().0));
    assert_eq!(asked, [2, 3]);
    let farthest = 4 + limits::RTX_AHEAD_MAX as u16;
    assert_eq!(stream.on_retransmission(at(1), Seq(farthest + 1)), Err(Discard::RtpTooOld));
    stream.on_retransmission(at(1), Seq(farthest)).expect("within reach");
}

/// A stream of audio with `count` received packets from `first` on, 20 ms apart, the last at the returned
/// time.
fn audio_stream(first: u16, count: u16, nack: bool) -> (Stream, u64) {
    let mut stream = Stream::new(Kind::Audio, 48_000, nack);
    stream.learn_ssrc(at(0), Ssrc(1));
    for n in 0..count {
        let now = at(u64::from(n) * 20);
        stream.on_media(now, now, Seq(first.wrapping_add(n)), 7 + u32::from(n) * 960).expect("new");
    }
    (stream, u64::from(count - 1) * 20)
}

#[test]
fn two_packets_in_sequence_apart_from_the_others_are_a_restart() {
    for (last, next) in
        [(30_000u16, 100u16), (30_000, 29_000), (30_000, 28_900), (30_000, 62_000), (60_000, 20_000)]
    {
        // The clock continues: only the numbers show the restart.
        let (mut stream, ms) = audio_stream(last.wrapping_sub(99), 100, false);
        let timestamp = |n: u32| 7 + (99 + n) * 960;
        let (first, second) = (at(ms + 20), at(ms + 40));
        assert_eq!(stream.continuity(first, Seq(next), timestamp(1)), Continuity::Apart, "{last} {next}");
        assert!(!stream.keep_apart(Seq(next), first, &[1, 2, 3]));
        assert_eq!(
            stream.continuity(second, Seq(next + 1), timestamp(2)),
            Continuity::Restarts,
            "{last} {next}"
        );
        assert_eq!(
            stream.continuity(second, Seq(next + 2), timestamp(2)),
            Continuity::Apart,
            "not in sequence"
        );
        let kept = stream.take_apart().expect("it was stored");
        assert_eq!((kept.bytes, kept.received_at), (vec![1, 2, 3], first));
    }
}

#[test]
fn loss_reordering_and_requested_packets_are_not_a_restart() {
    let (mut stream, ms) = audio_stream(30_000, 100, true);
    let now = at(ms + 20);
    for ahead in [1i32, 2, 50, i32::from(DROPOUT_MAX) - 1, 0, -1, -99, 1 - i32::from(MISORDER_MAX)] {
        let seq = Seq((30_099 + ahead) as u16);
        let timestamp = (7 + (99 + ahead) * 960) as u32;
        // Up to a loss of ten seconds; a longer one looks like another clock.
        let expected = if ahead < 500 { Continuity::Continues } else { Continuity::Apart };
        assert_eq!(stream.continuity(now, seq, timestamp), expected, "{ahead} ahead");
    }
    // A retransmission on the same stream, long after.
    stream.on_media(now, now, Seq(30_400), 7 + 400 * 960).expect("new");
    assert_eq!(stream.continuity(at(ms + 30), Seq(30_150), 7 + 150 * 960), Continuity::Continues);
    // Not requested, and equally old.
    assert_eq!(stream.continuity(at(ms + 30), Seq(30_050), 7 + 50 * 960), Continuity::Apart);
}

#[test]
fn a_program_restarted_near_its_last_number_is_detected_by_clock_or_pause() {
    let (stream, ms) = audio_stream(1_000, 100, false);
    let soon = at(ms + 300);
    assert_eq!(stream.continuity(soon, Seq(1_200), 0x7000_0000), Continuity::Apart, "another clock");
    assert_eq!(stream.continuity(soon, Seq(1_050), 0x7000_0000), Continuity::Apart, "another clock");
    let later = at(ms + 3_000);
    // Exactly the earlier numbers and timestamps, as with fixed offsets.
    assert_eq!(stream.continuity(later, Seq(1_000), 7), Continuity::Apart);
    assert_eq!(stream.continuity(later, Seq(1_099), 7 + 99 * 960), Continuity::Apart);
    // A source that only paused continues.
    assert_eq!(stream.continuity(later, Seq(1_100), 7 + 100 * 960), Continuity::Continues);
    assert_eq!(stream.continuity(later, Seq(1_102), 7 + 252 * 960), Continuity::Continues);
}

#[test]
fn vp9_whose_p_bit_is_never_set_is_read_by_its_frame_headers() {
    let mut stream = stream();
    let mut can_begin = |payload: &[u8]| {
        stream.on_vp9(payload);
        stream.can_begin_with(Codec::Vp9, SeqNo(1), 0, payload)
    };
    let (key, inter) = ([0x0c, 0x82, 0x49, 0x83, 0x42], [0x0c, 0x86, 0x00, 0x40, 0x92]);
    assert!(!can_begin(&inter), "also before the first keyframe");
    assert!(can_begin(&key));
    assert!(!can_begin(&inter));
    // Encrypted: only the descriptor is readable.
    assert!(can_begin(&[0x0c, 0x13, 0x37, 0x13, 0x37]));
    // If the sender sets it, the descriptor is used even if the header looks like that of an inter frame.
    can_begin(&[0x4c, 0x86, 0x00, 0x40, 0x92]);
    assert!(can_begin(&inter));
}

#[test]
fn the_publishers_clocks_are_extrapolated_together() {
    let mut stream = stream();
    assert_eq!(stream.clock_at(at(0)), None);
    stream.on_sender_report(at(1000), NtpTime(7 << 32), 90_000);
    let point = stream.clock_at(at(3000)).expect("reported");
    assert_eq!(point, ClockPoint { ntp: NtpTime(9 << 32), rtp_timestamp: 270_000 });
}

#[test]
fn former_ssrc_returns_by_two_packets_in_sequence_with_none_of_the_present_between() {
    let mut stream = stream();
    stream.on_media(at(0), at(0), Seq(65_534), 0).expect("new");
    assert!(stream.learn_ssrc(at(0), Ssrc(2)));
    stream.on_media(at(1), at(1), Seq(5), 0).expect("new");
    // Packets in transit arrive in sequence too, shortly after the change.
    assert!(stream.is_straggler(at(2), Ssrc(1), Seq(65_535)) && stream.is_straggler(at(3), Ssrc(1), Seq(0)));
    assert!(stream.is_straggler(at(300), Ssrc(1), Seq(7)), "one alone");
    stream.on_media(at(301), at(301), Seq(6), 0).expect("new");
    assert!(stream.is_straggler(at(302), Ssrc(1), Seq(8)), "the present SSRC continues");
    assert!(stream.is_straggler(at(303), Ssrc(1), Seq(10)), "with a gap");
    assert!(!stream.is_straggler(at(304), Ssrc(1), Seq(11)), "in sequence");
    assert!(!stream.is_straggler(at(304), Ssrc(3), Seq(11)), "a new SSRC");
}

#[test]
fn another_ssrc_resets_the_stream() {
    let mut stream = stream();
    stream.on_media(at(0), at(0), Seq(60_000), 0).expect("new");
    assert!(stream.learn_ssrc(at(10), Ssrc(2)));
    assert_eq!((stream.epoch(), stream.highest()), (1, None));
    assert!(
        stream.is_straggler(at(1009), Ssrc(1), Seq(9)) && !stream.is_straggler(at(1010), Ssrc(1), Seq(3))
    );
    stream.on_media(at(1), at(1), Seq(5), 0).expect("new in the new stream");
}
