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
mod tests;
