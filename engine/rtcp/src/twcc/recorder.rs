//! The receiving side: records arrival times and builds feedback.

use std::time::Duration;

use rtp::{Seq, SeqExtender, SeqNo, Ssrc, TwccSeq};

use super::encode::{Feedback, body_len_max, status_len};
use crate::Writer;
use crate::compound::HEADER_LEN;
use crate::limits::{TWCC_FEEDBACKS_MAX, TWCC_STATUSES_MAX, TWCC_WINDOW};

/// Records the arrivals of one transport and builds feedback for them.
///
/// Every packet from the first unreported one up to the newest arrived one is reported, missing packets as
/// missing. A packet that arrives after it was reported missing is reported again, and so are those after it:
/// the sender uses what is new to it. Of duplicates the first arrival is used. Memory is fixed: the newest
/// [`TWCC_WINDOW`] numbers are stored, older ones are dropped, reported or not. No allocation after
/// construction.
///
/// All arrival times have the same epoch, which can be any; on the wire they are modulo 12 days.
#[derive(Clone, Debug)]
pub struct Recorder {
    extender: SeqExtender,
    /// The next number of a restarted sender, after one that is too old for the window.
    restart: Option<TwccSeq>,
    /// First unreported number.
    next: SeqNo,
    /// One after the newest arrived.
    end: SeqNo,
    feedback_count: u8,
    /// Arrival times in units of 250 µs, wrapping, at the number modulo the window.
    arrivals: Box<[u32; TWCC_WINDOW]>,
    /// Which of them have arrived.
    arrived: [u64; TWCC_WINDOW / 64],
}

impl Recorder {
    /// An empty recorder.
    pub fn new() -> Self {
        Self {
            extender: SeqExtender::new(),
            restart: None,
            next: SeqNo(0),
            end: SeqNo(0),
            feedback_count: 0,
            arrivals: Box::new([0; TWCC_WINDOW]),
            arrived: [0; TWCC_WINDOW / 64],
        }
    }

    /// A packet arrived, `arrival` after the epoch.
    ///
    /// A packet older than the window is ignored; two such packets in sequence mean that the sender has
    /// restarted, and the recorder restarts too.
    pub fn record(&mut self, seq: TwccSeq, arrival: Duration) {
        let mut no = self.extender.peek(Seq(seq.0));
        if self.extender.highest().is_none() {
            no = self.start(seq);
        } else if no < self.end.saturating_sub(TWCC_WINDOW as u64) {
            if self.restart != Some(seq) {
                self.restart = Some(seq.next());
                return;
            }
            no = self.start(seq);
        }
        self.restart = None;
        self.advance(no);
        if !self.has_arrived(no) {
            let slot = slot(no);
            self.arrived[slot / 64] |= 1 << (slot % 64);
            self.arrivals[slot] = units(arrival);
            self.next = self.next.min(no);
        }
    }

    /// Whether a feedback is due.
    pub fn has_unreported(&self) -> bool {
        self.next < self.end
    }

    /// Appends feedback for the arrivals since the last call. `false` if there was nothing to report or no
    /// room for any of it.
    ///
    /// It may take several feedbacks: if two arrivals are more than 8 s apart, or for more than
    /// [`TWCC_STATUSES_MAX`] packets. The rest that did not fit into `out`, or is beyond
    /// [`TWCC_FEEDBACKS_MAX`] feedbacks, remains for the next call, so a caller continues with fresh buffers
    /// until this returns `false`.
    pub fn build(&mut self, sender: Ssrc, media: Ssrc, out: &mut Writer<'_>) -> bool {
        let mut appended = 0;
        while appended < TWCC_FEEDBACKS_MAX && self.has_unreported() && self.build_one(sender, media, out) {
            appended += 1;
        }
        appended > 0
    }

    fn build_one(&mut self, sender: Ssrc, media: Ssrc, out: &mut Writer<'_>) -> bool {
        let room = out.remaining().saturating_sub(HEADER_LEN);
        let Some(first) = (self.next.0..self.end.0).find(|&no| self.has_arrived(SeqNo(no))) else {
            // Unreachable while the newest has arrived; then nothing is left to report.
            self.next = self.end;
            return false;
        };
        let reference = self.arrivals[slot(SeqNo(first))] >> REFERENCE_SHIFT;
        let mut previous = reference << REFERENCE_SHIFT;
        let mut statuses = [None; TWCC_STATUSES_MAX];
        let (mut count, mut delta_bytes) = (0, 0);
        for (status, no) in statuses.iter_mut().zip(self.next.0..self.end.0) {
            if self.has_arrived(SeqNo(no)) {
                let arrival = self.arrivals[slot(SeqNo(no))];
                let Ok(delta) = i16::try_from(arrival.wrapping_sub(previous) as i32) else { break };
                *status = Some(delta);
                previous = arrival;
            }
            if body_len_max(count + 1, delta_bytes + status_len(*status)) > room {
                *status = None;
                break;
            }
            count += 1;
            delta_bytes += status_len(*status);
        }
        let feedback = Feedback {
            sender,
            media,
            base_seq: TwccSeq(self.next.seq().0),
            reference_time: reference as i32,
            feedback_count: self.feedback_count,
            statuses: &statuses[..count],
        };
        if count == 0 || !out.twcc(&feedback) {
            return false;
        }
        self.next = self.next + count as u64;
        self.feedback_count = self.feedback_count.wrapping_add(1);
        true
    }

    /// Restarts at `seq` without earlier arrivals. Returns its number, which differs from the one it had
    /// before.
    fn start(&mut self, seq: TwccSeq) -> SeqNo {
        self.extender = SeqExtender::new();
        let no = self.extender.extend(Seq(seq.0));
        self.arrived = [0; TWCC_WINDOW / 64];
        (self.next, self.end) = (no, no);
        no
    }

    /// Extends the window to `no`, dropping the oldest numbers.
    fn advance(&mut self, no: SeqNo) {
        if no < self.end {
            return;
        }
        if no.0 - self.end.0 >= TWCC_WINDOW as u64 {
            self.arrived = [0; TWCC_WINDOW / 64];
        } else {
            for entering in self.end.0..=no.0 {
                let slot = slot(SeqNo(entering));
                self.arrived[slot / 64] &= !(1 << (slot % 64));
            }
        }
        self.extender.extend(no.seq());
        self.end = no.next();
        self.next = self.next.max(self.end.saturating_sub(TWCC_WINDOW as u64));
    }

    /// Whether a number within the window has arrived.
    fn has_arrived(&self, no: SeqNo) -> bool {
        let slot = slot(no);
        self.arrived[slot / 64] & (1 << (slot % 64)) != 0
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

fn slot(no: SeqNo) -> usize {
    no.0 as usize % TWCC_WINDOW
}

/// Wraps at 32 bits, whose upper 24 are a reference time.
fn units(time: Duration) -> u32 {
    (time.as_micros() / super::DELTA_UNIT.as_micros()) as u32
}

/// From units of deltas to units of reference times.
const REFERENCE_SHIFT: u32 = 8;

// As `TWCC_STATUSES_MAX` requires: the largest feedback fits a datagram of 1200 bytes.
const _: () = assert!(HEADER_LEN + body_len_max(TWCC_STATUSES_MAX, 2 * TWCC_STATUSES_MAX) <= 1200);

#[cfg(test)]
mod tests {
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
}
