//! The round trip of DATA, as its sender measures it: from the moment at which a packet leaves to the SACK that
//! reports it. The library measures one packet at a time, and from when it makes it.

use crate::limits::TIMED_MAX;
use crate::packet::is_after;
use machine::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// DATA chunks that have left for the first time and are not reported yet. A retransmission is not measured: its
/// SACK may be for the first transmission.
#[derive(Debug, Default)]
pub(crate) struct RoundTrips {
    sent: VecDeque<(u32, Instant)>,
    newest: Option<u32>,
    samples: Option<RoundTripSamples>,
}

/// The round trips that were measured in some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTripSamples {
    /// The shortest.
    pub shortest: Duration,
    /// The longest.
    pub longest: Duration,
    /// Their number, at least 1.
    pub count: u32,
}

impl RoundTripSamples {
    /// One round trip.
    pub fn new(time: Duration) -> Self {
        Self { shortest: time, longest: time, count: 1 }
    }

    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.shortest = self.shortest.min(other.shortest);
        self.longest = self.longest.max(other.longest);
        self.count = self.count.saturating_add(other.count);
    }
}

impl RoundTrips {
    /// A packet with this chunk leaves. Chunks beyond the bound are not measured.
    pub(crate) fn on_sent(&mut self, now: Instant, tsn: u32) {
        if self.newest.is_some_and(|newest| !is_after(tsn, newest)) {
            return;
        }
        self.newest = Some(tsn);
        if self.sent.len() < TIMED_MAX {
            self.sent.push_back((tsn, now));
        }
    }

    /// The newest chunk that a SACK reports, behind gaps or not. Those before it that are lost are not measured.
    pub(crate) fn on_ack(&mut self, now: Instant, newest: u32) {
        let mut last = None;
        while let Some(popped) = self.sent.pop_front_if(|(tsn, _)| !is_after(*tsn, newest)) {
            last = Some(popped);
        }
        // Only the newest: the peer may wait for a second packet before it reports the first (RFC 9260 §6.2).
        if let Some((_, at)) = last.filter(|(tsn, _)| *tsn == newest) {
            let sample = RoundTripSamples::new(now.saturating_since(at));
            match &mut self.samples {
                Some(samples) => samples.add(sample),
                none => *none = Some(sample),
            }
        }
    }

    /// Those since the last call.
    pub(crate) fn take(&mut self) -> Option<RoundTripSamples> {
        self.samples.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_newest_of_the_reported_chunks_is_measured() {
        let mut trips = RoundTrips::default();
        let at = |ms: u32| Instant::EPOCH + ms * MS;
        trips.on_sent(at(0), u32::MAX);
        trips.on_sent(at(7), 0);
        trips.on_ack(at(30), 0);
        assert_eq!((trips.take(), trips.take()), (Some(RoundTripSamples::new(23 * MS)), None));
        // The second arrives, and the first one again: a retransmission is not measured.
        trips.on_sent(at(40), 1);
        trips.on_sent(at(41), 2);
        trips.on_ack(at(60), 2);
        trips.on_sent(at(62), 1);
        trips.on_ack(at(90), 2);
        trips.on_sent(at(100), 3);
        trips.on_ack(at(130), 3);
        let samples = RoundTripSamples { shortest: 19 * MS, longest: 30 * MS, count: 2 };
        assert_eq!(trips.take(), Some(samples));
    }
}
