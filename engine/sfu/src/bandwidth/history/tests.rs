use super::*;
use rtcp::{Compound, Packet, TwccFeedback, Writer};
use rtp::Ssrc;

/// The results of a feedback with these statuses (milliseconds, from a reference of `reference` units).
fn receive_feedback(
    history: &mut SendHistory,
    base: u16,
    reference: i32,
    statuses: &[Option<i16>],
) -> Vec<Outcome> {
    let statuses: Vec<Option<i16>> = statuses.iter().map(|status| status.map(|ms| ms * 4)).collect();
    let mut buffer = [0; 4096];
    let mut writer = Writer::new(&mut buffer);
    let is_written = writer.twcc(&TwccFeedback {
        sender: Ssrc(1),
        media: Ssrc(2),
        base_seq: TwccSeq(base),
        reference_time: reference,
        feedback_count: 0,
        statuses: &statuses,
    });
    assert!(is_written);
    let compound = Compound::new(writer.as_bytes()).expect("well formed");
    let Some(Packet::Twcc(twcc)) = compound.packets().next() else { panic!("a feedback") };
    let mut outcomes = Vec::new();
    history.on_feedback(&twcc, &mut { HISTORY_LEN }, |outcome| outcomes.push(outcome));
    outcomes
}

fn packet(ms: u64) -> SentPacket {
    SentPacket { sent_at: Instant::from_nanos(ms * 1_000_000), size: 1200, cluster: None }
}

fn sent(count: u64) -> SendHistory {
    let mut history = SendHistory::default();
    (0..count).for_each(|ms| history.on_sent(packet(ms)));
    history
}

#[test]
fn an_entry_has_sixteen_bytes() {
    assert_eq!(size_of::<SentEntry>(), 16);
}

#[test]
fn every_packet_has_one_result_and_may_still_arrive_late() {
    let mut history = sent(4);
    let outcomes = receive_feedback(&mut history, 0, 10, &[Some(1), None, Some(2)]);
    assert_eq!(
        outcomes,
        [
            Outcome::Arrived { packet: packet(0), at: PeerTime(641_000), was_missing: false },
            Outcome::Missing(packet(1)),
            Outcome::Arrived { packet: packet(2), at: PeerTime(643_000), was_missing: false },
        ]
    );
    let outcomes = receive_feedback(&mut history, 0, 11, &[Some(0), Some(1), None, Some(5)]);
    assert_eq!(
        outcomes,
        [
            Outcome::Arrived { packet: packet(1), at: PeerTime(705_000), was_missing: true },
            Outcome::Arrived { packet: packet(3), at: PeerTime(710_000), was_missing: false },
        ]
    );
    assert_eq!((history.duplicates(), history.unmatched()), (2, 0));
}

#[test]
fn unknown_and_old_packets_in_feedback_are_counted() {
    let mut history = sent(3);
    assert_eq!(receive_feedback(&mut history, 3, 0, &[Some(1); 5]), []);
    assert_eq!(history.unmatched(), 5);
    let mut empty = SendHistory::default();
    assert_eq!(receive_feedback(&mut empty, 65_535, 0, &[Some(1), None]), []);
    assert_eq!(empty.unmatched(), 2);

    let mut history = sent(HISTORY_LEN as u64 + 1);
    let outcomes = receive_feedback(&mut history, 0, 0, &[Some(0), Some(0)]);
    assert_eq!(outcomes.len(), 1, "the oldest is not stored any more, the next one is");
}

#[test]
fn numbers_wrap() {
    let mut history = sent(65_536 + 10);
    assert_eq!(history.next_seq(), TwccSeq(10));
    let outcomes = receive_feedback(&mut history, 65_530, 0, &[Some(0); 16]);
    assert_eq!(outcomes.len(), 16);
    let Outcome::Arrived { packet: last, .. } = outcomes[15] else { panic!("arrived") };
    assert_eq!(last, packet(65_545));
    assert_eq!(history.unmatched(), 0);
}

#[test]
fn the_peers_clock_wraps_and_may_step_back() {
    let mut clock = PeerClock::default();
    let first = clock.reference(0x7f_ffff);
    assert_eq!(clock.reference(-0x80_0000).micros_since(first), REFERENCE_MICROS);
    assert_eq!(clock.reference(0x7f_fffe).micros_since(first), -REFERENCE_MICROS);
}
