use std::collections::BTreeMap;

use super::*;
use crate::{Compound, Packet, Twcc};
use proptest::prelude::*;

const ME: Ssrc = Ssrc(1);
const YOU: Ssrc = Ssrc(2);

/// The content of one feedback: base, and for each packet the absolute arrival in units of 250 µs,
/// wrapping at 32 bits.
type Reported = (u16, Vec<Option<u32>>);

fn decode(view: Twcc<'_>) -> Reported {
    let mut time = (view.reference_time() as u32) << REFERENCE_SHIFT;
    let arrivals = view.statuses().map(|(_, delta)| {
        delta.map(|delta| {
            time = time.wrapping_add_signed(delta);
            time
        })
    });
    (view.base_seq().0, arrivals.collect())
}

/// All feedback, in buffers of `room` bytes.
fn all_feedback(recorder: &mut Recorder, room: usize) -> Vec<Reported> {
    let mut said = Vec::new();
    loop {
        let mut out = vec![0xa5; room];
        let mut writer = Writer::new(&mut out);
        if !recorder.build(ME, YOU, &mut writer) {
            return said;
        }
        for packet in Compound::new(writer.as_bytes()).expect("well formed") {
            let Packet::Twcc(view) = packet else { panic!("{packet:?}") };
            assert_eq!((view.sender(), view.media()), (ME, YOU));
            said.push(decode(view));
        }
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn an_empty_recorder_builds_no_feedback() {
    let mut recorder = Recorder::new();
    assert!(!recorder.has_unreported());
    assert_eq!(all_feedback(&mut recorder, 100), []);
}

#[test]
fn reports_arrived_and_missing_packets_once() {
    let mut recorder = Recorder::new();
    recorder.record(TwccSeq(65534), ms(1000));
    recorder.record(TwccSeq(65535), ms(1001));
    recorder.record(TwccSeq(2), ms(1100));
    assert!(recorder.has_unreported());
    let arrivals = vec![Some(4000), Some(4004), None, None, Some(4400)];
    assert_eq!(all_feedback(&mut recorder, 100), [(65534, arrivals)]);
    assert!(!recorder.has_unreported());
    recorder.record(TwccSeq(4), ms(1200));
    assert_eq!(
        all_feedback(&mut recorder, 100),
        [(3, vec![None, Some(4800)])],
        "loss at the front is reported too"
    );
}

#[test]
fn feedbacks_are_numbered() {
    let mut recorder = Recorder::new();
    for number in 0..600u16 {
        recorder.record(TwccSeq(number), ms(number.into()));
        let mut out = [0xa5; 100];
        let mut writer = Writer::new(&mut out);
        assert!(recorder.build(ME, YOU, &mut writer));
        let Some(Packet::Twcc(view)) =
            Compound::new(writer.as_bytes()).expect("well formed").packets().next()
        else {
            panic!("a feedback");
        };
        assert_eq!(view.feedback_count(), number as u8);
    }
}

#[test]
fn reordering_before_the_feedback_changes_only_the_times() {
    let mut recorder = Recorder::new();
    for (seq, at) in [(10, 100), (12, 101), (11, 102), (9, 103)] {
        recorder.record(TwccSeq(seq), ms(at));
    }
    assert_eq!(all_feedback(&mut recorder, 100), [(9, vec![Some(412), Some(400), Some(408), Some(404)])]);
}

#[test]
fn a_packet_later_than_its_feedback_is_reported_again_with_later_ones() {
    let mut recorder = Recorder::new();
    recorder.record(TwccSeq(1), ms(100));
    recorder.record(TwccSeq(3), ms(101));
    assert_eq!(all_feedback(&mut recorder, 100), [(1, vec![Some(400), None, Some(404)])]);
    recorder.record(TwccSeq(2), ms(150));
    assert_eq!(all_feedback(&mut recorder, 100), [(2, vec![Some(600), Some(404)])]);
}

#[test]
fn the_first_of_duplicates_is_used_and_reported_once() {
    let mut recorder = Recorder::new();
    recorder.record(TwccSeq(1), ms(100));
    recorder.record(TwccSeq(1), ms(200));
    assert_eq!(all_feedback(&mut recorder, 100), [(1, vec![Some(400)])]);
    recorder.record(TwccSeq(1), ms(300));
    assert!(!recorder.has_unreported());
}

#[test]
fn arrivals_too_far_apart_need_two_feedbacks() {
    let mut recorder = Recorder::new();
    recorder.record(TwccSeq(1), ms(0));
    recorder.record(TwccSeq(3), ms(8191) + Duration::from_micros(750));
    recorder.record(TwccSeq(5), ms(16_383) + Duration::from_micros(750));
    let said = all_feedback(&mut recorder, 100);
    assert_eq!(said, [(1, vec![Some(0), None, Some(32767), None]), (5, vec![Some(65535)])]);
}

#[test]
fn the_rest_that_does_not_fit_is_reported_next_time() {
    let mut recorder = Recorder::new();
    for seq in 0..100 {
        recorder.record(TwccSeq(seq), ms(u64::from(seq) * 70));
    }
    let said = all_feedback(&mut recorder, 64);
    assert!(said.len() > 3, "{} feedbacks", said.len());
    let mut next = 0;
    for (base, arrivals) in said {
        assert_eq!(base, next);
        for arrival in arrivals {
            assert_eq!(arrival, Some(u32::from(next) * 280));
            next += 1;
        }
    }
    assert_eq!(next, 100);
}

#[test]
fn without_room_for_one_status_nothing_is_reported_or_lost() {
    let mut recorder = Recorder::new();
    recorder.record(TwccSeq(1), ms(100));
    for room in 0..24 {
        assert_eq!(all_feedback(&mut recorder, room), [], "{room} bytes");
    }
    assert_eq!(all_feedback(&mut recorder, 24), [(1, vec![Some(400)])]);
}

#[test]
fn beyond_the_window_the_oldest_are_not_reported() {
    let mut recorder = Recorder::new();
    for seq in 0..TWCC_WINDOW as u16 + 10 {
        recorder.record(TwccSeq(seq), ms(seq.into()));
    }
    let said = all_feedback(&mut recorder, 1200);
    assert_eq!(said[0].0, 10);
    let arrivals: Vec<_> = said.into_iter().flat_map(|(_, arrivals)| arrivals).collect();
    assert_eq!(arrivals, (10..TWCC_WINDOW as u32 + 10).map(|ms| Some(4 * ms)).collect::<Vec<_>>());
}

#[test]
fn a_jump_ahead_reports_one_window_of_loss() {
    let mut recorder = Recorder::new();
    recorder.record(TwccSeq(0), ms(0));
    recorder.record(TwccSeq(20_000), ms(1));
    let said = all_feedback(&mut recorder, 1200);
    let arrivals: Vec<_> = said.iter().flat_map(|(_, arrivals)| arrivals).collect();
    assert_eq!(arrivals.len(), TWCC_WINDOW);
    assert_eq!(arrivals.iter().filter(|arrival| arrival.is_some()).count(), 1);
    assert_eq!(arrivals.last(), Some(&&Some(4)));
}

#[test]
fn one_very_old_packet_is_noise_and_two_in_sequence_are_a_restart() {
    let mut recorder = Recorder::new();
    recorder.record(TwccSeq(30_000), ms(0));
    let _ = all_feedback(&mut recorder, 100);
    recorder.record(TwccSeq(5), ms(1));
    recorder.record(TwccSeq(7), ms(2));
    recorder.record(TwccSeq(5), ms(2));
    assert!(!recorder.has_unreported());
    recorder.record(TwccSeq(6), ms(3));
    assert_eq!(all_feedback(&mut recorder, 100), [(6, vec![Some(12)])]);
    recorder.record(TwccSeq(7), ms(4));
    assert_eq!(all_feedback(&mut recorder, 100), [(7, vec![Some(16)])]);
}

#[test]
fn a_restart_below_the_first_number_reports_only_what_arrived_since() {
    let mut recorder = Recorder::new();
    recorder.record(TwccSeq(0), ms(0));
    let _ = all_feedback(&mut recorder, 100);
    recorder.record(TwccSeq(40_000), ms(1));
    recorder.record(TwccSeq(40_001), ms(2));
    assert_eq!(all_feedback(&mut recorder, 100), [(40_001, vec![Some(8)])]);
}

#[test]
fn times_stay_correct_when_they_wrap_after_twelve_days() {
    let wrap = Duration::from_micros(250) * u32::MAX;
    let mut recorder = Recorder::new();
    recorder.record(TwccSeq(1), wrap);
    recorder.record(TwccSeq(2), wrap + ms(1));
    assert_eq!(all_feedback(&mut recorder, 100), [(1, vec![Some(u32::MAX), Some(3)])]);
}

/// An operation on a recorder.
#[derive(Clone, Debug)]
enum Step {
    /// A packet this far from the newest arrives after this number of microseconds.
    Arrive(i64, u64),
    /// Feedback is built in a buffer of this size.
    Build(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (1i64..3, 0u64..3_000).prop_map(|(ahead, after)| Step::Arrive(ahead, after)),
        5 => (-30i64..40, 0u64..100_000).prop_map(|(ahead, after)| Step::Arrive(ahead, after)),
        1 => (1i64..20, 0u64..20_000_000).prop_map(|(ahead, after)| Step::Arrive(ahead, after)),
        2 => (24usize..300).prop_map(Step::Build),
    ]
}

proptest! {
    /// The naive model is a map of first arrivals. All feedbacks together must contain it.
    #[test]
    fn all_arrivals_are_reported(
        first in any::<u16>(),
        start_us in 0u64..2_000_000_000_000,
        steps in prop::collection::vec(any_step(), 0..300),
    ) {
        let mut recorder = Recorder::new();
        let mut now = start_us;
        let mut newest = 100_000 + i64::from(first);
        let mut arrived = BTreeMap::from([(newest, (now / 250) as u32)]);
        recorder.record(TwccSeq(newest as u16), Duration::from_micros(now));
        let mut known: BTreeMap<i64, Option<u32>> = BTreeMap::new();
        for step in steps.into_iter().chain([Step::Build(1200)]) {
            match step {
                Step::Arrive(ahead, after) => {
                    now += after;
                    let no = newest + ahead;
                    newest = newest.max(no);
                    arrived.entry(no).or_insert((now / 250) as u32);
                    recorder.record(TwccSeq(no as u16), Duration::from_micros(now));
                }
                Step::Build(room) => {
                    for (base, statuses) in all_feedback(&mut recorder, room) {
                        let base = newest + i64::from(base.wrapping_sub(newest as u16) as i16);
                        for (no, status) in (base..).zip(statuses) {
                            prop_assert!(no <= newest);
                            prop_assert_eq!(status, arrived.get(&no).copied(), "number {}", no);
                            known.insert(no, status);
                        }
                    }
                    prop_assert!(!recorder.has_unreported());
                }
            }
        }
        let oldest = *arrived.keys().next().expect("at least the first");
        let expected: BTreeMap<_, _> = (oldest..=newest).map(|no| (no, arrived.get(&no).copied())).collect();
        prop_assert_eq!(known, expected);
    }
}
