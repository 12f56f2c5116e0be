//! How a consumer's numbers follow from the publisher's, and back again.
//!
//! A consumer sees one RTP stream without gaps of our making: sequence numbers and timestamps continue across
//! pauses and across a change of source, be it another SSRC or another layer.

use crate::stream::ticks;
use machine::{Instant, Rng};
use rtp::{Seq, SeqNo};

/// The numbering of one consumer.
#[derive(Debug)]
pub struct Rewriter {
    clock_rate_hz: u32,
    /// Which source the offsets belong to; `None` while nothing is forwarded.
    source: Option<u32>,
    /// The first packet of this source that was taken; older ones belong to a past that was not sent.
    first: SeqNo,
    /// Ours minus the publisher's, modulo 2⁶⁴.
    seq_offset: u64,
    /// Ours minus the publisher's, modulo 2³².
    timestamp_offset: u32,
    highest: SeqNo,
    last_timestamp: u32,
    last_sent_at: Option<Instant>,
    /// The source's numbering before a pause continues after it, as its timestamps do.
    paused_source: Option<u32>,
}

impl Rewriter {
    /// Numbers start at random (RFC 3550 §5.1), in the lower half so that the first wrap is far (RFC 3711 §3.3.1 begins
    /// with a rollover counter of zero).
    pub fn new(rng: &mut Rng, clock_rate_hz: u32) -> Self {
        Self {
            clock_rate_hz,
            source: None,
            first: SeqNo(0),
            seq_offset: 0,
            timestamp_offset: 0,
            highest: SeqNo(u64::from(rng.below(1 << 15))),
            last_timestamp: rng.next_u32(),
            last_sent_at: None,
            paused_source: None,
        }
    }

    /// Whether packets of `source` are being forwarded.
    pub fn follows(&self, source: u32) -> bool {
        self.source == Some(source)
    }

    /// Stops: the next packet has to be one that [`start`](Self::start) may begin with.
    pub fn pause(&mut self) {
        self.paused_source = self.source.take().or(self.paused_source);
    }

    /// Begins to follow `source` at its packet `seq` with `timestamp`: it will be numbered right behind the last one sent.
    pub fn start(&mut self, now: Instant, source: u32, seq: SeqNo, timestamp: u32) {
        self.seq_offset = (self.highest.0 + 1).wrapping_sub(seq.0);
        if self.paused_source != Some(source) {
            // Another clock: continue ours by the time that passed, by one tick at least.
            let elapsed =
                self.last_sent_at.map_or(0, |last| ticks(now.saturating_since(last), self.clock_rate_hz));
            self.timestamp_offset = self.last_timestamp.wrapping_add(elapsed.max(1)).wrapping_sub(timestamp);
        }
        self.first = seq;
        self.source = Some(source);
        self.paused_source = None;
    }

    /// Our number for the publisher's `seq`, `None` if it lies before the start.
    pub fn seq(&self, seq: SeqNo) -> Option<SeqNo> {
        (seq >= self.first).then(|| SeqNo(seq.0.wrapping_add(self.seq_offset)))
    }

    /// Our timestamp for the publisher's.
    pub fn timestamp(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_add(self.timestamp_offset)
    }

    /// A packet with these numbers (ours) has been sent.
    pub fn on_sent(&mut self, now: Instant, seq: SeqNo, timestamp: u32) {
        if seq > self.highest || self.last_sent_at.is_none() {
            self.highest = seq;
            self.last_timestamp = timestamp;
        }
        self.last_sent_at = Some(now);
    }

    /// The publisher's number for ours: what a NACK asks for. `None` if we did not send it from the present source.
    pub fn original(&self, ours: Seq) -> Option<(SeqNo, SeqNo)> {
        self.source?;
        let behind = ours.forward_distance(self.highest.seq());
        if behind >= 1 << 15 {
            return None; // newer than all we sent
        }
        let ours = self.highest.checked_sub(u64::from(behind))?;
        let original = SeqNo(ours.0.wrapping_sub(self.seq_offset));
        (original >= self.first && original.0 <= self.highest.0.wrapping_sub(self.seq_offset))
            .then_some((original, ours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Instant {
        Instant::EPOCH + Duration::from_millis(ms)
    }

    fn send(rewriter: &mut Rewriter, now: Instant, seq: u64, timestamp: u32) -> (u64, u32) {
        let ours = (rewriter.seq(SeqNo(seq)).expect("after the start"), rewriter.timestamp(timestamp));
        rewriter.on_sent(now, ours.0, ours.1);
        (ours.0.0, ours.1)
    }

    #[test]
    fn numbers_continue_across_a_pause_and_another_source() {
        let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
        rewriter.start(at(0), 0, SeqNo(70_000), 1_000);
        let (seq, timestamp) = send(&mut rewriter, at(0), 70_000, 1_000);
        assert!(seq <= 1 << 15);
        rewriter.pause();
        assert!(!rewriter.follows(0));
        rewriter.start(at(1_000), 0, SeqNo(70_100), 91_000);
        assert_eq!(send(&mut rewriter, at(1_000), 70_100, 91_000), (seq + 1, timestamp.wrapping_add(90_000)));

        rewriter.start(at(2_000), 1, SeqNo(66_000), 5);
        assert_eq!(send(&mut rewriter, at(2_000), 66_000, 5), (seq + 2, timestamp.wrapping_add(180_000)));
    }

    #[test]
    fn a_nack_finds_its_way_back_and_only_to_what_was_sent() {
        let mut rewriter = Rewriter::new(&mut Rng::from_number(1), 90_000);
        assert_eq!(rewriter.original(Seq(5)), None);
        rewriter.start(at(0), 0, SeqNo(70_000), 0);
        let (first, _) = send(&mut rewriter, at(0), 70_000, 0);
        for seq in 70_001..140_000 {
            send(&mut rewriter, at(0), seq, 0);
        }
        let newest = first + 69_999;
        assert_eq!(rewriter.original(SeqNo(newest).seq()), Some((SeqNo(139_999), SeqNo(newest))));
        assert_eq!(rewriter.original(SeqNo(newest - 300).seq()), Some((SeqNo(139_699), SeqNo(newest - 300))));
        assert_eq!(rewriter.original(SeqNo(newest + 1).seq()), None);
        assert_eq!(rewriter.seq(SeqNo(69_999)), None, "before the start");
    }
}
