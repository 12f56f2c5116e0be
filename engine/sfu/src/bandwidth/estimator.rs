//! The bandwidth estimate of one transport: combines delay, loss, probes and the peer's own estimate.

use super::acked::Throughput;
use super::aimd::{Aimd, BETA};
use super::allocator::Certainty;
use super::delay::{DelayDetector, Usage};
use super::history::{Outcome, PeerTime, SendHistory, SentPacket};
use super::limits;
use super::loss::{LossBound, SendRate};
use super::probe::{Found, Prober, Situation};
use crate::base::meter::Meter;
use machine::{Instant, Tx, meter};
use rtcp::Twcc;
use rtp::TwccSeq;
use std::time::Duration;

/// The purpose of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Media and its retransmissions.
    Media,
    /// Only fills a probe.
    Padding,
}

/// The bounds of the estimate, in bits per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The minimum, whatever is measured.
    pub min_bps: u64,
    /// The initial value, before any measurement.
    pub start_bps: u64,
    /// The maximum.
    pub max_bps: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            min_bps: limits::BITRATE_MIN_BPS,
            start_bps: limits::BITRATE_START_BPS,
            max_bps: limits::BITRATE_MAX_BPS,
        }
    }
}

impl Bounds {
    /// Moves them within the limits of this module, and into order. If they contradict, the lower bound is
    /// reduced.
    pub fn normalized(self) -> Self {
        let max_bps = self.max_bps.clamp(limits::BITRATE_MIN_BPS, limits::BITRATE_MAX_BPS);
        let min_bps = self.min_bps.clamp(limits::BITRATE_MIN_BPS, max_bps);
        Self { min_bps, start_bps: self.start_bps.clamp(min_bps, max_bps), max_bps }
    }
}

/// Send-side bandwidth estimation of one transport.
#[derive(Debug)]
pub struct Estimator {
    bounds: Bounds,
    history: SendHistory,
    /// Arrived bytes, by the peer's clock.
    acked: Throughput,
    /// Bytes of data channels that the peer has acknowledged: they use the same path, and have no numbers.
    data: Meter<50>,
    /// Sent bytes, by the local clock.
    sent: Throughput,
    delay: DelayDetector,
    aimd: Aimd,
    loss: LossBound,
    prober: Prober,
    remb: Option<(Instant, f64)>,
    rtt: Option<Duration>,
    wanted_bps: f64,
    /// The allocated part of the estimate.
    allocated_bps: f64,
    overused: Overused,
    answers: Answers,
    padding_bytes: u64,
}

/// Times of overuse.
#[derive(Debug, Default)]
struct Overused {
    /// The start of the latest overuse, and its last moment.
    span: Option<(Instant, Instant)>,
    /// Until then the overuse is caused by a probe.
    probe_until: Option<Instant>,
}

/// The peer's answers, and the expected ones.
#[derive(Debug, Default)]
struct Answers {
    /// The time of the last transport-wide feedback.
    feedback_at: Option<Instant>,
    /// The first packet since then, or since the last check for silence.
    unanswered_since: Option<Instant>,
    last_sent_at: Option<Instant>,
    /// The estimate before a silence began.
    before_silence: Option<f64>,
    /// Probes without any feedback.
    unanswered_probes: u32,
    /// When bandwidth was first requested.
    wanted_since: Option<Instant>,
    /// A probe had a result.
    has_result: bool,
    /// The last result was limited by the path, not by the sent rate.
    was_limit: bool,
}

impl Estimator {
    /// An estimator without feedback.
    pub fn new(bounds: Bounds) -> Self {
        let bounds = bounds.normalized();
        Self {
            bounds,
            history: SendHistory::default(),
            acked: Throughput::default(),
            data: Meter::default(),
            sent: Throughput::default(),
            delay: DelayDetector::default(),
            aimd: Aimd::new(bounds.start_bps as f64),
            loss: LossBound::default(),
            prober: Prober::default(),
            remb: None,
            rtt: None,
            wanted_bps: 0.0,
            allocated_bps: 0.0,
            overused: Overused::default(),
            answers: Answers::default(),
            padding_bytes: 0,
        }
    }

    /// The rate that may be sent, bits per second.
    pub fn estimate_bps(&self) -> u64 {
        let own = match self.remb {
            // Without transport-wide feedback, the peer's own estimate is the only one.
            Some((_, remb)) if self.answers.feedback_at.is_none() => remb,
            Some((_, remb)) => self.aimd.bps().min(remb),
            None => self.aimd.bps(),
        };
        let bps = self.loss.bps().map_or(own, |bound| own.min(bound));
        (bps as u64).clamp(self.bounds.min_bps, self.bounds.max_bps)
    }

    /// Changes the bounds of the estimate.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds.normalized();
    }

    /// The allocated rate, and the rate that would be sent without a limit, in bits per second: while the
    /// estimate is below the latter, it is probed.
    pub fn set_allocated(&mut self, now: Instant, allocated_bps: u64, wanted_bps: u64) {
        self.allocated_bps = allocated_bps as f64;
        let wanted_bps = wanted_bps as f64;
        if wanted_bps > self.wanted_bps * WANTED_STEP {
            self.prober.hasten(now);
        }
        if wanted_bps > 0.0 {
            self.answers.wanted_since.get_or_insert(now);
        }
        self.wanted_bps = wanted_bps;
    }

    /// The transport-wide number of the next packet.
    pub fn next_seq(&self) -> TwccSeq {
        self.history.next_seq()
    }

    /// A datagram of `size` bytes has been sent with [`next_seq`](Self::next_seq).
    pub fn on_sent(&mut self, now: Instant, size: usize, purpose: Purpose) {
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        self.history.on_sent(SentPacket { sent_at: now, size, cluster: self.prober.cluster() });
        self.prober.on_sent(now, size);
        self.sent.on_packet(PeerTime((now.as_nanos() / 1000) as i64), size);
        self.answers.unanswered_since.get_or_insert(now);
        self.answers.last_sent_at = Some(now);
        if purpose == Purpose::Padding {
            self.padding_bytes += u64::from(size);
        }
    }

    /// Prefetches the state for [`on_sent`](Self::on_sent).
    pub fn prefetch(&self, tx: &impl Tx) {
        tx.prefetch(&self.history);
        tx.prefetch(&self.sent);
        tx.prefetch(&self.answers);
        self.prober.prefetch(tx);
    }

    /// Prefetches the state for [`on_feedback`](Self::on_feedback).
    pub fn prefetch_for_feedback(&self, tx: &impl Tx) {
        tx.prefetch(self.history.awaited_entries());
        tx.prefetch(&self.delay);
        tx.prefetch(&self.acked);
        tx.prefetch(&self.aimd);
        tx.prefetch(&self.loss);
    }

    /// The entries of the next packets, to be prefetched.
    pub fn next_entries(&self) -> &[impl Sized] {
        self.history.next_entries()
    }

    /// A datagram without a transport-wide number has been sent: there is no feedback on it, only the sent
    /// rate changes.
    pub fn on_unnumbered(&mut self, now: Instant, size: usize) {
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        self.sent.on_packet(PeerTime((now.as_nanos() / 1000) as i64), size);
        self.answers.last_sent_at = Some(now);
    }

    /// The peer has acknowledged bytes of data channels.
    pub fn on_data_acknowledged(&mut self, now: Instant, bytes: usize) {
        if bytes > 0 {
            self.data.count(now, bytes);
        }
    }

    /// Whether the estimate is the peer's own, which rises without probes.
    pub fn is_from_peer(&self) -> bool {
        self.answers.feedback_at.is_none() && self.remb.is_some()
    }

    /// Whether the peer has ever sent feedback of either kind.
    pub fn has_feedback(&self) -> bool {
        self.answers.feedback_at.is_some() || self.remb.is_some()
    }

    /// Whether the estimate is the measured limit of the path, and not only a rate that was carried.
    pub fn is_limit_known(&self) -> bool {
        self.answers.was_limit
    }

    /// The reliability of the estimate: the first probes have a time limit to find the path's limit, or the
    /// requested rate.
    pub fn certainty(&self, now: Instant) -> Certainty {
        let has_waited = |since| now.saturating_since(since) >= FIRST_RESULTS_WAIT;
        if self.remb.is_some() || self.answers.wanted_since.is_some_and(has_waited) {
            Certainty::Known
        } else if !self.answers.has_result {
            Certainty::Guess
        } else if self.prober.is_rising() && !self.answers.was_limit && !self.is_congested(now) {
            Certainty::Rising
        } else {
            Certainty::Known
        }
    }

    /// Transport-wide feedback from the peer. At most `budget` statuses are read, and subtracted from it.
    /// With an empty budget the feedback is ignored.
    pub fn on_feedback(&mut self, now: Instant, feedback: &Twcc<'_>, budget: &mut usize) {
        meter::charge(1, 300);
        let Self { history, acked, delay, prober, .. } = self;
        let (mut received, mut lost) = (0, 0);
        let mut found = None;
        let mut newest: Option<Instant> = None;
        history.on_feedback(feedback, budget, |outcome| match outcome {
            Outcome::Missing(_) => lost += 1,
            Outcome::Arrived { packet, at, was_missing } => {
                meter::charge(1, 60);
                received += 1;
                lost -= i32::from(was_missing);
                newest = newest.max(Some(packet.sent_at));
                acked.on_packet(at, packet.size);
                delay.on_packet(packet.sent_at, at);
                found = prober.on_packet(&packet, at).or(found);
            }
        });
        let Some(newest) = newest else {
            self.loss.on_packets(received, lost);
            self.judge_loss(now);
            return;
        };
        self.answers.feedback_at = Some(now);
        self.answers.unanswered_since = None;
        if let Some(before) = self.answers.before_silence.take() {
            self.prober.request(now + RECOVERY_WAIT, before * RECOVERY_SHARE);
        }
        self.on_feedback_rtt(now.saturating_since(newest));
        self.loss.on_packets(received, lost);
        self.judge_delay(now);
        self.judge_loss(now);
        if let Some(found) = found {
            self.on_found(now, &found);
        }
    }

    /// The round trip of reception reports.
    pub fn on_rtt(&mut self, rtt: Duration) {
        self.rtt = Some(rtt);
        self.aimd.on_rtt(rtt);
    }

    /// The peer's own estimate (REMB).
    pub fn on_remb(&mut self, now: Instant, bps: u64) {
        self.remb = Some((now, bps as f64));
    }

    /// The fraction lost in a reception report, in 1/256 (RFC 3550 §6.4.1). Only used for a peer without
    /// transport-wide feedback, which is more exact: it covers all packets, and excludes the loss of
    /// publishers.
    pub fn on_loss_report(&mut self, now: Instant, fraction_lost: u8) {
        if self.answers.feedback_at.is_some() {
            return;
        }
        let estimate = self.estimate_bps() as f64;
        let fraction = f64::from(fraction_lost) / 256.0;
        self.loss.on_report(now, fraction, estimate, self.rtt_or_initial());
        if fraction < LOSS_QUIET {
            self.aimd.update(now, Usage::Normal, self.sent.bps());
        }
    }

    /// Checks for silence and for the expiry of the peer's estimate; starts a probe if one is due. To be
    /// called several times a second; true if a probe has started.
    pub fn poll(&mut self, now: Instant) -> bool {
        self.remb = self.remb.filter(|(at, _)| now.saturating_since(*at) < limits::REMB_AGE_MAX);
        self.check_silence(now);
        if self.answers.feedback_at.is_some_and(|at| now.saturating_since(at) >= limits::FEEDBACK_SILENCE) {
            // A queue from before this pause is gone, and does not affect the next packets.
            self.delay.reset();
        }
        let has_answers = self.answers.feedback_at.is_some();
        if !has_answers && (self.remb.is_some() || self.answers.unanswered_probes >= UNANSWERED_PROBES_MAX) {
            return false; // no feedback, no result
        }
        let estimate_bps = self.estimate_bps() as f64;
        let situation = Situation {
            estimate_bps,
            wanted_bps: self.wanted_bps.min(self.bounds.max_bps as f64),
            is_congested: self.is_congested(now),
        };
        let begun = self.prober.poll(now, &situation);
        if begun && !has_answers {
            self.answers.unanswered_probes += 1;
        }
        begun
    }

    /// Bytes of padding to send now.
    pub fn padding_due(&self, now: Instant) -> u32 {
        self.prober.due_bytes(now)
    }

    /// When padding is due; `None` without a probe.
    pub fn next_padding(&self) -> Option<Instant> {
        self.prober.next_timeout()
    }

    /// Whether less is sent than allowed: then the arrived rate is not a measurement of the path.
    pub fn is_app_limited(&self, now: Instant) -> bool {
        let is_idle = self.answers.last_sent_at.is_none_or(|at| now.saturating_since(at) > IDLE);
        is_idle || self.sent.bps().is_none_or(|sent| sent < APP_LIMITED_SHARE * self.estimate_bps() as f64)
    }

    /// Share of the packets that the peer recently missed, 0 to 1.
    pub fn loss_fraction(&self, now: Instant) -> f64 {
        self.loss.fraction(now)
    }

    /// The round trip, if known.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Bits per second that arrived recently.
    pub fn acked_bps(&self) -> Option<u64> {
        self.acked.bps().map(|bps| bps as u64)
    }

    /// Bytes sent only for probes, since the start.
    pub fn padding_bytes(&self) -> u64 {
        self.padding_bytes
    }

    /// Statuses without a matching sent packet, since the start.
    pub fn unmatched(&self) -> u64 {
        self.history.unmatched()
    }

    fn judge_delay(&mut self, now: Instant) {
        let usage = self.delay.usage();
        let before = self.aimd.bps();
        let was_limited = self.is_app_limited(now);
        if usage == Usage::Overusing && (self.prober.is_under_way() || self.overused.is_excused(now)) {
            return; // the probe's result is more exact
        }
        let has_just_begun = usage == Usage::Overusing && self.overused.note(now);
        // So little is sent that its arrival rate is not a measurement. Unless the queue continues to grow,
        // the allocated rate is kept.
        let given = (self.allocated_bps * ALLOCATED_VARIATION / BETA).min(before / BETA);
        let acked = match usage {
            // The rate that leaves a growing queue is the path's capacity, and only a recent one.
            Usage::Overusing => self.acked.bps().into_iter().chain(self.acked.recent_bps()).reduce(f64::max),
            Usage::Normal | Usage::Underusing => self.acked.bps(),
        };
        let acked = acked.map(|acked| acked + self.data.bps(now) as f64);
        let is_given = was_limited && has_just_begun;
        self.aimd.update(now, usage, acked.map(|acked| if is_given { acked.max(given) } else { acked }));
        self.answers.was_limit |= self.aimd.bps() < before;
        if self.aimd.bps() < before && was_limited {
            // So little was sent that its rate is not a measurement. The earlier estimate may have been
            // correct.
            self.prober.request(now + RECOVERY_WAIT, before * RECOVERY_SHARE);
        }
    }

    fn judge_loss(&mut self, now: Instant) {
        let rate = SendRate { allowed_bps: self.estimate_bps() as f64, acked_bps: self.acked.bps() };
        self.answers.was_limit |= self.loss.update(now, rate, self.rtt_or_initial());
    }

    /// A path that carried feedback before and carries none now probably carries no media either.
    fn check_silence(&mut self, now: Instant) {
        let is_silent = |since: &Instant| now.saturating_since(*since) >= limits::FEEDBACK_SILENCE;
        if self.answers.feedback_at.is_none()
            || !self.answers.unanswered_since.as_ref().is_some_and(is_silent)
        {
            return;
        }
        let estimate = self.estimate_bps() as f64;
        self.answers.before_silence.get_or_insert(estimate);
        self.answers.unanswered_since = Some(now);
        self.aimd.set(now, (estimate * 0.5).max(self.bounds.min_bps as f64));
    }

    fn on_found(&mut self, now: Instant, found: &Found) {
        let estimate = self.estimate_bps() as f64;
        self.prober.on_result(now, found, estimate);
        let is_first = !std::mem::replace(&mut self.answers.has_result, true);
        let is_overused = self.delay.usage() == Usage::Overusing;
        let is_more = found.bps > self.aimd.bps();
        // A path that was the limit has been measured; this also holds for a result below the estimate, if
        // its queue confirms it, or if the estimate was only the initial value.
        let is_measure = found.is_saturated && (is_more || is_overused || is_first);
        let bps = found.bps.max(BETA * self.acked.bps().unwrap_or(0.0));
        if is_measure {
            self.aimd.set_limit(now, bps);
        } else if is_more && !is_overused {
            self.aimd.set(now, bps);
        }
        if found.is_saturated || is_more {
            self.answers.was_limit = found.is_saturated;
        }
        if found.is_saturated {
            self.delay.reset();
            self.overused.probe_until = Some(now + PROBE_QUEUE_TIME);
        }
        if self.loss.fraction(now) < LOSS_QUIET {
            self.loss.raise(found.bps);
        }
    }

    fn is_congested(&self, now: Instant) -> bool {
        let was_lately = |(_, last)| now.saturating_since(last) < RECOVERY_WAIT;
        self.overused.span.is_some_and(was_lately)
            || self.delay.usage() == Usage::Overusing
            || self.loss.fraction(now) > LOSS_HEAVY
    }

    /// Feedback waits for its interval at the peer, so this value is too long rather than too short.
    fn on_feedback_rtt(&mut self, rtt: Duration) {
        let smoothed = self.rtt.map_or(rtt, |known| (known * 7 + rtt) / 8);
        self.on_rtt(smoothed);
    }

    fn rtt_or_initial(&self) -> Duration {
        self.rtt.unwrap_or(RTT_INITIAL)
    }
}

impl Overused {
    /// A queue grows now. True if it has just started.
    fn note(&mut self, now: Instant) -> bool {
        let going_on = self.span.filter(|(_, last)| now.saturating_since(*last) < RECOVERY_WAIT);
        let since = going_on.map_or(now, |(since, _)| since);
        self.span = Some((since, now));
        now.saturating_since(since) < OVERUSE_TIME_MIN
    }

    fn is_excused(&self, now: Instant) -> bool {
        self.probe_until.is_some_and(|until| now < until)
    }
}

/// Below this share of the estimate, the application is the limit.
const APP_LIMITED_SHARE: f64 = 0.65;
/// Nothing was sent for this time, which is not a measurement either.
const IDLE: Duration = Duration::from_millis(400);
/// Time without another decrease before a probe checks whether the decrease was necessary …
const RECOVERY_WAIT: Duration = Duration::from_millis(500);
/// … and the share of the earlier rate that it probes.
const RECOVERY_SHARE: f64 = 0.85;
/// A peer sends feedback ten times a second; the first probes must have results within this time.
const FIRST_RESULTS_WAIT: Duration = Duration::from_secs(2);
/// A shorter overuse may be a disturbance: the peer was busy, or a burst of other traffic passed.
const OVERUSE_TIME_MIN: Duration = Duration::from_millis(300);
/// The sent rate may exceed the allocated rate by this factor.
const ALLOCATED_VARIATION: f64 = 1.25;
/// The queue of a probe is empty after this time.
const PROBE_QUEUE_TIME: Duration = Duration::from_millis(300);
/// The prober is notified when the requested rate has risen by this factor.
const WANTED_STEP: f64 = 1.25;
/// A peer that answers no probe does not send feedback.
const UNANSWERED_PROBES_MAX: u32 = 3;
const LOSS_QUIET: f64 = 0.05;
const LOSS_HEAVY: f64 = 0.10;
const RTT_INITIAL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
