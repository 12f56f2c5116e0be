use super::*;

const PACKET: usize = 1200;

fn at(micros: u64) -> Instant {
    Instant::from_nanos(micros * 1000)
}

/// Offers a frame of this number of packets; returns how many were sent at once.
fn frame(pacer: &mut Pacer<u32>, now: Instant, packets: u32) -> u32 {
    (0..packets).filter(|packet| give(pacer, now, Class::Video, *packet)).count() as u32
}

fn give(pacer: &mut Pacer<u32>, now: Instant, class: Class, entry: u32) -> bool {
    match pacer.offer(now, class) {
        Offer::Now => pacer.on_sent(now, PACKET),
        Offer::Later => pacer.push(now, class, PACKET, entry),
        Offer::Never => return false,
    }
    pacer.is_empty()
}

/// Runs until the queue is empty; returns the sent packets with their times.
fn run(pacer: &mut Pacer<u32>) -> Vec<(u64, u32)> {
    let mut left = Vec::new();
    while let Some(now) = pacer.next_timeout() {
        while let Some(entry) = pacer.pop(now) {
            pacer.on_sent(now, PACKET);
            left.push((now.as_nanos() / 1_000_000, entry));
        }
    }
    left
}

#[test]
fn a_frame_of_usual_size_is_sent_as_one_burst() {
    let mut pacer = Pacer::new(at(0), 2_500_000);
    for frame_no in 0..100 {
        // 2.5 Mbit/s at 30 frames per second are nine packets.
        let left = frame(&mut pacer, at(frame_no * 33_333), 9);
        assert_eq!(left, 9, "frame {frame_no}");
    }
    assert_eq!(pacer.next_timeout(), None);
}

#[test]
fn a_keyframe_is_spread_out_and_audio_does_not_wait() {
    let mut pacer = Pacer::new(at(0), 1_000_000);
    frame(&mut pacer, at(0), 50);
    assert!(!pacer.is_empty());
    for ms in (0..100).step_by(20) {
        assert_eq!(pacer.offer(at(ms * 1000), Class::Audio), Offer::Now);
        pacer.on_sent(at(ms * 1000), 100);
    }
    let left = run(&mut pacer);
    let last = left.last().map_or(0, |(ms, _)| *ms);
    assert!((100..=400).contains(&last), "60 kB at 1 Mbit/s were sent within {last} ms");
    assert!(left.is_sorted_by_key(|(_, entry)| *entry), "in order");
}

#[test]
fn retransmissions_are_sent_before_new_video() {
    let mut pacer = Pacer::new(at(0), 500_000);
    frame(&mut pacer, at(0), 20);
    give(&mut pacer, at(10), Class::Retransmission, 1000);
    assert_eq!(run(&mut pacer).first().map(|(_, entry)| *entry), Some(1000));
}

#[test]
fn no_packet_waits_longer_than_the_bound_with_a_low_estimate() {
    let mut pacer = Pacer::new(at(0), limits::BITRATE_MIN_BPS);
    frame(&mut pacer, at(0), 200);
    let left = run(&mut pacer);
    assert_eq!(left.len() as u64 + pacer.dropped(), 199, "one was sent at once");
    let last = left.last().map_or(0, |(ms, _)| *ms);
    let bound = (limits::PACER_WAIT_MAX + limits::PACER_INTERVAL).as_millis() as u64;
    assert!(last <= bound, "{last} ms");
}

#[test]
fn a_full_queue_drops_and_counts() {
    let mut pacer = Pacer::new(at(0), 100_000);
    frame(&mut pacer, at(0), 1000);
    assert_eq!(pacer.len(), limits::PACER_QUEUE_LEN);
    assert!(pacer.dropped() > 400);
}

#[test]
fn allocated_media_is_not_delayed_when_the_estimate_falls() {
    let mut pacer = Pacer::new(at(0), 100_000);
    pacer.set_rate(at(0), 100_000, 2_500_000, false);
    for frame_no in 0..50 {
        assert_eq!(frame(&mut pacer, at(frame_no * 33_333), 9), 9, "frame {frame_no}");
    }
}
