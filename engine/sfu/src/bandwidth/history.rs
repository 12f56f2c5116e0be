//! The packets sent to a peer by transport-wide sequence number, until feedback reports their arrival
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use super::limits::HISTORY_LEN;
use machine::{Instant, meter};
use rtcp::Twcc;
use rtp::TwccSeq;
use std::num::NonZeroU16;

/// Identifies a recent cluster; wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterId(pub NonZeroU16);

/// A time on the peer's clock, in microseconds since an epoch of the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerTime(pub i64);

impl PeerTime {
    /// Microseconds from `earlier` to this, negative if it is later.
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// One packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentPacket {
    /// The send time.
    pub sent_at: Instant,
    /// Bytes of the datagram.
    pub size: u16,
    /// The probe cluster it was part of.
    pub cluster: Option<ClusterId>,
}

/// The result of feedback for one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Arrived {
        /// The packet.
        packet: SentPacket,
        /// The arrival time, on the peer's clock.
        at: PeerTime,
        /// An earlier feedback reported it missing.
        was_missing: bool,
    },
    /// It has not arrived; reported for the first time.
    Missing(SentPacket),
}

/// A ring of sent packets, indexed by their number. Allocated with the first one: a transport that sends
/// nothing has none.
#[derive(Debug)]
pub struct SendHistory {
    entries: Box<[SentEntry]>,
    /// Of the next packet; the lower 16 bits are sent.
    next: u64,
    /// One after the newest number in feedback.
    awaited: u64,
    clock: PeerClock,
    /// Statuses of packets that were never sent, or so long ago that they are not stored any more.
    unmatched: u64,
    /// Statuses that repeat a known result.
    duplicates: u64,
}

#[derive(Clone, Copy, Debug)]
struct SentEntry {
    sent_at: Instant,
    size: u16,
    cluster: Option<ClusterId>,
    reported: Reported,
}

/// The reported state of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reported {
    Nothing,
    Missing,
    Arrived,
}

const EMPTY: SentEntry =
    SentEntry { sent_at: Instant::EPOCH, size: 0, cluster: None, reported: Reported::Nothing };

impl Default for SendHistory {
    /// Nothing sent yet.
    fn default() -> Self {
        Self {
            entries: Box::default(),
            next: 0,
            awaited: 0,
            clock: PeerClock::default(),
            unmatched: 0,
            duplicates: 0,
        }
    }
}

impl SendHistory {
    /// The number of the next packet.
    pub fn next_seq(&self) -> TwccSeq {
        TwccSeq(self.next as u16)
    }

    /// A packet has been sent with [`next_seq`](Self::next_seq).
    pub fn on_sent(&mut self, packet: SentPacket) {
        let SentPacket { sent_at, size, cluster } = packet;
        if self.entries.is_empty() {
            self.entries = vec![EMPTY; HISTORY_LEN].into_boxed_slice();
        }
        self.entries[index(self.next)] = SentEntry { sent_at, size, cluster, reported: Reported::Nothing };
        self.next += 1;
    }

    /// The entries of the next packets of a frame.
    pub fn next_entries(&self) -> &[impl Sized] {
        self.entries_from(self.next, FRAME_LEN)
    }

    /// The entries that the next feedback reports on.
    pub fn awaited_entries(&self) -> &[impl Sized] {
        self.entries_from(self.awaited, (self.next - self.awaited) as usize)
    }

    fn entries_from(&self, number: u64, len: usize) -> &[SentEntry] {
        let rest = self.entries.get(index(number)..).unwrap_or_default();
        &rest[..rest.len().min(len)]
    }

    /// Statuses without a matching packet, since the start.
    pub fn unmatched(&self) -> u64 {
        self.unmatched
    }

    /// Statuses without a new result, since the start.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Reads a feedback: `each` gets every new result, in the order of sending. Read statuses are subtracted
    /// from `budget`; those beyond count as unmatched.
    pub fn on_feedback(&mut self, feedback: &Twcc<'_>, budget: &mut usize, mut each: impl FnMut(Outcome)) {
        let mut at = self.clock.reference(feedback.reference_time());
        // A few bytes can report on 65535 packets; those beyond the ring cannot match.
        let reported = usize::from(feedback.status_count());
        let taken = reported.min(HISTORY_LEN).min(*budget);
        *budget -= taken;
        self.unmatched += (reported - taken) as u64;
        if taken == 0 {
            return;
        }
        meter::charge(taken, 30);
        for (seq, delta) in feedback.statuses().take(taken) {
            let arrived = delta.map(|delta| {
                at.0 += i64::from(delta) * DELTA_MICROS;
                at
            });
            if let Some(outcome) = self.on_status(seq, arrived) {
                each(outcome);
            }
        }
    }

    fn on_status(&mut self, seq: TwccSeq, arrived: Option<PeerTime>) -> Option<Outcome> {
        let Some(entry) = self.find(seq) else {
            self.unmatched += 1;
            return None;
        };
        let packet = SentPacket { sent_at: entry.sent_at, size: entry.size, cluster: entry.cluster };
        match (entry.reported, arrived) {
            (reported @ (Reported::Nothing | Reported::Missing), Some(at)) => {
                entry.reported = Reported::Arrived;
                Some(Outcome::Arrived { packet, at, was_missing: reported == Reported::Missing })
            }
            (Reported::Nothing, None) => {
                entry.reported = Reported::Missing;
                Some(Outcome::Missing(packet))
            }
            _ => {
                self.duplicates += 1;
                None
            }
        }
    }

    fn find(&mut self, seq: TwccSeq) -> Option<&mut SentEntry> {
        // The newest packet with this number in its lower bits.
        let behind = u64::from((self.next as u16).wrapping_sub(1).wrapping_sub(seq.0));
        let number = self.next.checked_sub(1)?.checked_sub(behind)?;
        if behind >= HISTORY_LEN as u64 {
            return None;
        }
        self.awaited = self.awaited.max(number + 1);
        Some(&mut self.entries[index(number)])
    }
}

/// Packets of a frame of usual size.
const FRAME_LEN: usize = 16;

fn index(number: u64) -> usize {
    number as usize & (HISTORY_LEN - 1)
}

/// The peer's clock, from reference times of 24 bits, which wrap after twelve days.
#[derive(Debug, Default)]
struct PeerClock {
    last: Option<(i32, i64)>,
}

impl PeerClock {
    fn reference(&mut self, units: i32) -> PeerTime {
        let total = match self.last {
            None => i64::from(units),
            // The difference of two 24-bit numbers, as a signed 24-bit number.
            Some((last, total)) => total + i64::from((units.wrapping_sub(last) << 8) >> 8),
        };
        self.last = Some((units, total));
        PeerTime(total * REFERENCE_MICROS)
    }
}

const DELTA_MICROS: i64 = rtcp::twcc::DELTA_UNIT.as_micros() as i64;
const REFERENCE_MICROS: i64 = rtcp::twcc::REFERENCE_UNIT.as_micros() as i64;

#[cfg(test)]
mod tests {
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
}
