//! Congestion control of one transport's way out: what the parts of [`bandwidth`](crate::bandwidth) are in the life of a transport.
//!
//! Made when a consumer negotiates transport-wide numbers, or when the peer tells its own estimate. A transport without either sends
//! what it is asked to, when it comes.

use crate::bandwidth::{Bounds, Class, Estimator, Offer, Pacer, Purpose};
use crate::base::meter::Meter;
use crate::limits;
use control::{Counter, Counters};
use machine::{Instant, Tx};
use rtp::{SeqNo, Ssrc, TwccSeq};

/// The sending side of one transport.
#[derive(Debug)]
pub struct SendSide {
    /// What the path carries.
    pub estimator: Estimator,
    /// What waits for its turn.
    pub pacer: Pacer<Waiting>,
    /// When bandwidth is next allocated.
    pub adapt_at: Instant,
    /// When padding was last written, or could not be.
    padded_at: Instant,
    /// Retransmissions among what is sent.
    retransmitted: Meter,
    /// Sound among what is sent.
    audio: Meter,
    /// What was given out when bandwidth was last shared, in bits a second.
    shared_bps: u64,
    /// Of statuses that matched nothing, and of packets that waited in vain: those already counted.
    counted: (u64, u64),
}

/// A packet that waits: enough to find it in its producer's cache again, and to write it then.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// The SSRC of its consumer's media.
    pub ssrc: Ssrc,
    /// Its number there.
    pub seq: SeqNo,
    /// It was sent before, and is asked for again.
    pub is_retransmission: bool,
}

/// What the controller wants of a transport's rates, in bits a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bitrates {
    /// What its peer is asked to send at most.
    pub max_incoming_bps: Option<u32>,
    /// What may be sent to it.
    pub outgoing: Bounds,
}

impl Bitrates {
    /// As the command says it; `None` is the engine's own bound.
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
    /// Of a transport that has sent nothing under numbers yet.
    pub fn new(now: Instant, bounds: Bounds) -> Self {
        let estimator = Estimator::new(bounds);
        Self {
            pacer: Pacer::new(now, estimator.estimate_bps()),
            estimator,
            adapt_at: now,
            padded_at: now,
            retransmitted: Meter::default(),
            audio: Meter::default(),
            shared_bps: 0,
            counted: (0, 0),
        }
    }

    /// The transport-wide number of the next packet.
    pub fn next_seq(&self) -> TwccSeq {
        self.estimator.next_seq()
    }

    /// A datagram has been written, with that number or without one.
    pub fn on_sent(&mut self, now: Instant, len: usize, is_numbered: bool, purpose: Purpose) {
        if is_numbered {
            self.estimator.on_sent(now, len, purpose);
        } else {
            self.estimator.on_unnumbered(now, len);
        }
        self.pacer.on_sent(now, len);
    }

    /// Has fetched what sending needs of it.
    pub fn prefetch(&self, tx: &impl Tx) {
        tx.prefetch(&self.pacer);
        self.estimator.prefetch(tx);
    }

    /// … and it was sound.
    pub fn on_audio(&mut self, now: Instant, len: usize) {
        self.audio.count(now, len);
    }

    /// Bits of sound a second.
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

    /// A retransmission is not to be written now: it waits, if it may be sent at all.
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

    /// Whether there is bandwidth for a repair, which then counts as used: what is left of the estimate, or a tenth of it. Repairs that add
    /// to the queue which lost the packets mend nothing.
    fn may_repair(&mut self, now: Instant, payload_len: usize, counters: &mut Counters) -> bool {
        let estimate = self.estimator.estimate_bps();
        if self.retransmitted.bps(now) > estimate.saturating_sub(self.shared_bps).max(estimate / 10) {
            counters.count(Counter::NacksOverBudget);
            return false;
        }
        self.retransmitted.count(now, payload_len);
        true
    }

    /// So much of the estimate was given out.
    pub fn on_shared(&mut self, now: Instant, bps: u64) {
        self.shared_bps = bps;
        self.pacer.set_rate(now, self.estimator.estimate_bps(), bps, self.estimator.is_limit_known());
    }

    /// See [`on_shared`](Self::on_shared).
    pub fn shared_bps(&self) -> u64 {
        self.shared_bps
    }

    /// Padding is tried now.
    pub fn on_padding(&mut self, now: Instant) {
        self.padded_at = now;
    }

    /// When there is next something to do that cannot wait, as [`adapt_at`](Self::adapt_at) can for a moment.
    pub fn next_timeout(&self) -> Option<Instant> {
        let padding = self.estimator.next_padding();
        // If none could be written, time has to pass before the next try.
        let padding = padding.map(|at| at.max(self.padded_at + crate::bandwidth::limits::PACER_INTERVAL));
        self.pacer.next_timeout().into_iter().chain(padding).min()
    }

    /// Counts what has come to nothing since this was called last.
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
    fn a_transport_that_sends_nothing_pays_little_for_it() {
        assert!(size_of::<SendSide>() <= 2048, "{}", size_of::<SendSide>());
        assert!(size_of::<Waiting>() <= 24, "{}", size_of::<Waiting>());
    }

    #[test]
    fn repairs_get_what_is_left_of_the_estimate() {
        let mut side = SendSide::new(Instant::EPOCH, Bounds::default());
        let mut counters = Counters::default();
        let waiting = Waiting { ssrc: Ssrc(1), seq: SeqNo(1), is_retransmission: true };
        let bps = side.estimator.estimate_bps();
        side.on_shared(Instant::EPOCH, bps - 100_000);
        let now = Instant::EPOCH + std::time::Duration::from_secs(1);
        let admitted =
            (0..100).filter(|_| side.admit(now, Class::Retransmission, 1200, waiting, &mut counters));
        assert!(admitted.count() < 15);
        assert!(counters.value(Counter::NacksOverBudget) > 0);
    }
}
