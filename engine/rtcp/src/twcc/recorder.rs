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
mod tests;
