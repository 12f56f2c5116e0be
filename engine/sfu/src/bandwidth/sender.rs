//! The sending side of one transport: its estimator, pacer and meters.
//!
//! Created when a consumer negotiates transport-wide numbers, or when the peer sends its own estimate. A
//! transport without either sends packets without pacing.

use crate::bandwidth::limits::DATA_SHARE_MIN;
use crate::bandwidth::{Bounds, Class, Estimator, Offer, Pacer, Purpose};
use crate::base::meter::Meter;
use crate::limits;
use control::{Counter, Counters};
use machine::{Instant, Tx};
use rtp::{SeqNo, Ssrc, TwccSeq};

/// The sending side of one transport.
#[derive(Debug)]
pub struct SendSide {
    /// The bandwidth estimate.
    pub estimator: Estimator,
    /// Packets that wait for the pacer.
    pub pacer: Pacer<Waiting>,
    /// The time of the next allocation.
    pub adapt_at: Instant,
    /// When padding was last written or failed.
    padded_at: Instant,
    /// Retransmissions among the sent packets.
    retransmitted: Meter,
    /// Audio among the sent packets.
    audio: Meter,
    /// The rate of the last allocation, in bits per second.
    allocated_bps: u64,
    /// The parts of unmatched statuses and of dropped packets that are already counted.
    counted: (u64, u64),
}

/// A waiting packet: identifies it in its producer's cache, to write it later.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// The SSRC of its consumer's media.
    pub ssrc: Ssrc,
    /// Its number there.
    pub seq: SeqNo,
    /// It was sent before, and is requested again.
    pub is_retransmission: bool,
}

/// The controller's limits of a transport's rates, in bits per second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bitrates {
    /// The maximum that its peer is asked to send.
    pub max_incoming_bps: Option<u32>,
    /// The bounds of the estimate.
    pub outgoing: Bounds,
}

impl Bitrates {
    /// From the command; `None` is the engine's default.
    pub fn new(max_incoming_bps: Option<u32>, min_bps: Option<u32>, max_bps: Option<u32>) -> Self {
        let own = Bounds::default();
        let outgoing = Bounds {
            min_bps: min_bps.map_or(own.min_bps, u64::from),
            max_bps: max_bps.map_or(own.max_bps, u64::from),
            ..own
        };
        Self { max_incoming_bps, outgoing }
    }
}

impl SendSide {
    /// Of a transport that has not sent numbered packets yet.
    pub fn new(now: Instant, bounds: Bounds) -> Self {
        let estimator = Estimator::new(bounds);
        Self {
            pacer: Pacer::new(now, estimator.estimate_bps()),
            estimator,
            adapt_at: now,
            padded_at: now,
            retransmitted: Meter::default(),
            audio: Meter::default(),
            allocated_bps: 0,
            counted: (0, 0),
        }
    }

    /// The transport-wide number of the next packet.
    pub fn next_seq(&self) -> TwccSeq {
        self.estimator.next_seq()
    }

    /// A datagram has been written, with or without that number.
    pub fn on_sent(&mut self, now: Instant, len: usize, is_numbered: bool, purpose: Purpose) {
        if is_numbered {
            self.estimator.on_sent(now, len, purpose);
        } else {
            self.estimator.on_unnumbered(now, len);
        }
        self.pacer.on_sent(now, len);
    }

    /// Prefetches the state for sending.
    pub fn prefetch(&self, tx: &impl Tx) {
        tx.prefetch(&self.pacer);
        self.estimator.prefetch(tx);
    }

    /// … and it was audio.
    pub fn on_audio(&mut self, now: Instant, len: usize) {
        self.audio.count(now, len);
    }

    /// Audio rate, bits per second.
    pub fn audio_bps(&self, now: Instant) -> u64 {
        self.audio.bps(now)
    }

    /// Whether a packet may be written now. Otherwise it waits, or is dropped and counted.
    pub fn admit(
        &mut self,
        now: Instant,
        class: Class,
        payload_len: usize,
        waiting: Waiting,
        counters: &mut Counters,
    ) -> bool {
        if class == Class::Retransmission && !self.may_repair(now, payload_len, counters) {
            return false;
        }
        match self.pacer.offer(now, class) {
            Offer::Now => return true,
            Offer::Later => self.pacer.push(now, class, payload_len + limits::OVERHEAD_LEN, waiting),
            Offer::Never => {}
        }
        false
    }

    /// A retransmission that must not be written now: it waits, if it may be sent at all.
    pub fn put_off(&mut self, now: Instant, payload_len: usize, waiting: Waiting, counters: &mut Counters) {
        if !self.may_repair(now, payload_len, counters) {
            return;
        }
        if self.pacer.len() < crate::bandwidth::limits::PACER_QUEUE_LEN {
            let size = payload_len + limits::OVERHEAD_LEN;
            self.pacer.push(now, Class::Retransmission, size, waiting);
        } else {
            counters.count(Counter::PacedDrops);
        }
    }

    /// Whether there is bandwidth for a retransmission, which then counts as used: the rest of the estimate,
    /// or a tenth of it. Retransmissions that increase the queue which caused the loss do not help.
    fn may_repair(&mut self, now: Instant, payload_len: usize, counters: &mut Counters) -> bool {
        let estimate = self.estimator.estimate_bps();
        if self.retransmitted.bps(now) > estimate.saturating_sub(self.allocated_bps).max(estimate / 10) {
            counters.count(Counter::NacksOverBudget);
            return false;
        }
        self.retransmitted.count(now, payload_len);
        true
    }

    /// This rate was allocated.
    pub fn on_allocated(&mut self, now: Instant, bps: u64) {
        self.allocated_bps = bps;
        self.pacer.set_rate(now, self.estimator.estimate_bps(), bps, self.estimator.is_limit_known());
    }

    /// The part of the estimate that data channels may always use, if the estimate is the measured limit of the path.
    pub fn data_share_bps(&self) -> Option<u64> {
        let is_measured = self.estimator.has_feedback() && self.estimator.is_limit_known();
        // A little less than what the allocator leaves: the estimate is not exact.
        is_measured.then(|| self.estimator.estimate_bps() / DATA_SHARE_MIN / 4 * 3)
    }

    /// See [`on_allocated`](Self::on_allocated).
    pub fn allocated_bps(&self) -> u64 {
        self.allocated_bps
    }

    /// Padding is being written now.
    pub fn on_padding(&mut self, now: Instant) {
        self.padded_at = now;
    }

    /// The time of the next urgent work; [`adapt_at`](Self::adapt_at) can be delayed a little.
    pub fn next_timeout(&self) -> Option<Instant> {
        let padding = self.estimator.next_padding();
        // If no padding could be written, the next attempt must wait.
        let padding = padding.map(|at| at.max(self.padded_at + crate::bandwidth::limits::PACER_INTERVAL));
        self.pacer.next_timeout().into_iter().chain(padding).min()
    }

    /// Counts new unmatched statuses and dropped packets.
    pub fn count(&mut self, counters: &mut Counters) {
        let (unmatched, dropped) = (self.estimator.unmatched(), self.pacer.dropped());
        counters.add(Counter::TwccUnmatched, unmatched - self.counted.0);
        counters.add(Counter::PacedDrops, dropped - self.counted.1);
        self.counted = (unmatched, dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_that_sends_nothing_uses_little_memory() {
        assert!(size_of::<SendSide>() <= 2048, "{}", size_of::<SendSide>());
        assert!(size_of::<Waiting>() <= 24, "{}", size_of::<Waiting>());
    }

    #[test]
    fn retransmissions_get_the_rest_of_the_estimate() {
        let mut side = SendSide::new(Instant::EPOCH, Bounds::default());
        let mut counters = Counters::default();
        let waiting = Waiting { ssrc: Ssrc(1), seq: SeqNo(1), is_retransmission: true };
        let bps = side.estimator.estimate_bps();
        side.on_allocated(Instant::EPOCH, bps - 100_000);
        let now = Instant::EPOCH + std::time::Duration::from_secs(1);
        let admitted =
            (0..100).filter(|_| side.admit(now, Class::Retransmission, 1200, waiting, &mut counters));
        assert!(admitted.count() < 15);
        assert!(counters.value(Counter::NacksOverBudget) > 0);
    }
}
