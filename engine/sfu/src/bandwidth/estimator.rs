//! The estimate of one transport: joins what delay, loss, probes and the peer's own words say.

use super::acked::Throughput;
use super::aimd::{Aimd, BETA};
use super::allocator::Certainty;
use super::delay::{DelayDetector, Usage};
use super::history::{Fate, PeerTime, SendHistory, SentPacket};
use super::limits;
use super::loss::{LossBound, SendRate};
use super::probe::{Found, Prober, Situation};
use machine::{Instant, Tx, meter};
use rtcp::Twcc;
use rtp::TwccSeq;
use std::time::Duration;

/// What a packet is sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Media and its retransmissions.
    Media,
    /// Only to fill a probe.
    Padding,
}

/// Within what the estimate stays, in bits a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At least this, whatever the path says.
    pub min_bps: u64,
    /// Before the path has said anything.
    pub start_bps: u64,
    /// At most this.
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
    /// Made sound: within the limits of this part, and in their order. Where they contradict, the lower bound gives way.
    pub fn sound(self) -> Self {
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
    /// By the peer's clock: what arrived.
    acked: Throughput,
    /// By ours: what was sent.
    sent: Throughput,
    delay: DelayDetector,
    aimd: Aimd,
    loss: LossBound,
    prober: Prober,
    remb: Option<(Instant, f64)>,
    rtt: Option<Duration>,
    wanted_bps: f64,
    /// What was given out of the estimate.
    shared_bps: f64,
    overused: Overused,
    heard: Heard,
    padding_bytes: u64,
}

/// When a queue grew.
#[derive(Debug, Default)]
struct Overused {
    /// The beginning of the latest time of it, and the last moment.
    span: Option<(Instant, Instant)>,
    /// Until then it is that of a probe.
    excused_until: Option<Instant>,
}

/// What has come from the peer, and what should have.
#[derive(Debug, Default)]
struct Heard {
    /// The last transport-wide feedback.
    feedback_at: Option<Instant>,
    /// The first packet since that, or since silence was last taken note of.
    unanswered_since: Option<Instant>,
    last_sent_at: Option<Instant>,
    /// The estimate before a silence began.
    before_silence: Option<f64>,
    /// Probes without any feedback at all so far.
    unheard_probes: u32,
    /// When something was first wanted.
    wanted_since: Option<Instant>,
    /// A probe has had a result.
    has_result: bool,
    /// The path, and not what was sent, was the limit when that was seen last.
    was_limit: bool,
}

impl Estimator {
    /// An estimator that has heard nothing.
    pub fn new(bounds: Bounds) -> Self {
        let bounds = bounds.sound();
        Self {
            bounds,
            history: SendHistory::default(),
            acked: Throughput::default(),
            sent: Throughput::default(),
            delay: DelayDetector::default(),
            aimd: Aimd::new(bounds.start_bps as f64),
            loss: LossBound::default(),
            prober: Prober::default(),
            remb: None,
            rtt: None,
            wanted_bps: 0.0,
            shared_bps: 0.0,
            overused: Overused::default(),
            heard: Heard::default(),
            padding_bytes: 0,
        }
    }

    /// Bits a second that may be sent.
    pub fn estimate_bps(&self) -> u64 {
        let own = match self.remb {
            // Without feedback of ours, the peer's own estimate is all there is.
            Some((_, remb)) if self.heard.feedback_at.is_none() => remb,
            Some((_, remb)) => self.aimd.bps().min(remb),
            None => self.aimd.bps(),
        };
        let bps = self.loss.bps().map_or(own, |bound| own.min(bound));
        (bps as u64).clamp(self.bounds.min_bps, self.bounds.max_bps)
    }

    /// Changes what the estimate stays within.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds.sound();
    }

    /// What was given out of the estimate, and what would be sent if it could be, in bits a second: as long as the estimate falls short of
    /// that, it is probed for.
    pub fn set_shares(&mut self, now: Instant, shared_bps: u64, wanted_bps: u64) {
        self.shared_bps = shared_bps as f64;
        let wanted_bps = wanted_bps as f64;
        if wanted_bps > self.wanted_bps * WANTED_STEP {
            self.prober.hasten(now);
        }
        if wanted_bps > 0.0 {
            self.heard.wanted_since.get_or_insert(now);
        }
        self.wanted_bps = wanted_bps;
    }

    /// The number that the next packet has to carry.
    pub fn next_seq(&self) -> TwccSeq {
        self.history.next_seq()
    }

    /// A datagram of `size` bytes has been sent with [`next_seq`](Self::next_seq).
    pub fn on_sent(&mut self, now: Instant, size: usize, purpose: Purpose) {
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        self.history.on_sent(SentPacket { sent_at: now, size, cluster: self.prober.cluster() });
        self.prober.on_sent(now, size);
        self.sent.on_packet(PeerTime((now.as_nanos() / 1000) as i64), size);
        self.heard.unanswered_since.get_or_insert(now);
        self.heard.last_sent_at = Some(now);
        if purpose == Purpose::Padding {
            self.padding_bytes += u64::from(size);
        }
    }

    /// Has fetched what [`on_sent`](Self::on_sent) needs.
    pub fn prefetch(&self, tx: &impl Tx) {
        tx.prefetch(&self.history);
        tx.prefetch(&self.sent);
        tx.prefetch(&self.heard);
        self.prober.prefetch(tx);
    }

    /// Has fetched what [`on_feedback`](Self::on_feedback) needs.
    pub fn prefetch_for_feedback(&self, tx: &impl Tx) {
        tx.prefetch(self.history.awaited_entries());
        tx.prefetch(&self.delay);
        tx.prefetch(&self.acked);
        tx.prefetch(&self.aimd);
        tx.prefetch(&self.loss);
    }

    /// Where the next packets will be noted, to be fetched.
    pub fn next_entries(&self) -> &[impl Sized] {
        self.history.next_entries()
    }

    /// A datagram has been sent that carries no number, and of which nothing will be heard: only how much is sent changes.
    pub fn on_unnumbered(&mut self, now: Instant, size: usize) {
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        self.sent.on_packet(PeerTime((now.as_nanos() / 1000) as i64), size);
        self.heard.last_sent_at = Some(now);
    }

    /// Whether the estimate is the peer's own, which needs no probes of ours to rise.
    pub fn is_the_peers(&self) -> bool {
        self.heard.feedback_at.is_none() && self.remb.is_some()
    }

    /// Whether the peer has ever told of what it received: by feedback of either kind.
    pub fn is_heard(&self) -> bool {
        self.heard.feedback_at.is_some() || self.remb.is_some()
    }

    /// Whether the estimate is what the path carries, and not only what was shown to fit.
    pub fn is_limit_known(&self) -> bool {
        self.heard.was_limit
    }

    /// How well the estimate is known: the first probes have so long to find the path's limit, or what is wanted.
    pub fn certainty(&self, now: Instant) -> Certainty {
        let has_waited = |since| now.saturating_since(since) >= FIRST_RESULTS_WAIT;
        if self.remb.is_some() || self.heard.wanted_since.is_some_and(has_waited) {
            Certainty::Known
        } else if !self.heard.has_result {
            Certainty::Guess
        } else if self.prober.is_rising() && !self.heard.was_limit && !self.is_congested(now) {
            Certainty::Rising
        } else {
            Certainty::Known
        }
    }

    /// Transport-wide feedback from the peer, of which no more than `budget` statuses are looked at: what is looked at is taken off. Of a
    /// feedback that finds nothing left, nothing is taken.
    pub fn on_feedback(&mut self, now: Instant, feedback: &Twcc<'_>, budget: &mut usize) {
        meter::charge(1, 300);
        let Self { history, acked, delay, prober, .. } = self;
        let (mut received, mut lost) = (0, 0);
        let mut found = None;
        let mut newest: Option<Instant> = None;
        history.on_feedback(feedback, budget, |fate| match fate {
            Fate::Missing(_) => lost += 1,
            Fate::Arrived { packet, at, was_missing } => {
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
        self.heard.feedback_at = Some(now);
        self.heard.unanswered_since = None;
        if let Some(before) = self.heard.before_silence.take() {
            self.prober.ask(now + RECOVERY_WAIT, before * RECOVERY_SHARE);
        }
        self.on_feedback_rtt(now.saturating_since(newest));
        self.loss.on_packets(received, lost);
        self.judge_delay(now);
        self.judge_loss(now);
        if let Some(found) = found {
            self.on_found(now, &found);
        }
    }

    /// The round trip as reception reports show it.
    pub fn on_rtt(&mut self, rtt: Duration) {
        self.rtt = Some(rtt);
        self.aimd.on_rtt(rtt);
    }

    /// The peer's own estimate (REMB).
    pub fn on_remb(&mut self, now: Instant, bps: u64) {
        self.remb = Some((now, bps as f64));
    }

    /// The fraction lost in a reception report, in 1/256 (RFC 3550 §6.4.1). Counts only for a peer without transport-wide feedback,
    /// which knows better: of all packets, and without what publishers lost before.
    pub fn on_loss_report(&mut self, now: Instant, fraction_lost: u8) {
        if self.heard.feedback_at.is_some() {
            return;
        }
        let estimate = self.estimate_bps() as f64;
        let fraction = f64::from(fraction_lost) / 256.0;
        self.loss.on_report(now, fraction, estimate, self.rtt_or_initial());
        if fraction < LOSS_QUIET {
            self.aimd.update(now, Usage::Normal, self.sent.bps());
        }
    }

    /// Takes note of silence and of the end of what the peer said; begins a probe if one is due. To be called several times a second;
    /// true if a probe has begun.
    pub fn poll(&mut self, now: Instant) -> bool {
        self.remb = self.remb.filter(|(at, _)| now.saturating_since(*at) < limits::REMB_AGE_MAX);
        self.judge_silence(now);
        if self.heard.feedback_at.is_some_and(|at| now.saturating_since(at) >= limits::FEEDBACK_SILENCE) {
            // A queue of so long ago is no queue any more, and says nothing of what is sent next.
            self.delay.reset();
        }
        let has_answers = self.heard.feedback_at.is_some();
        if !has_answers && (self.remb.is_some() || self.heard.unheard_probes >= UNHEARD_PROBES_MAX) {
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
            self.heard.unheard_probes += 1;
        }
        begun
    }

    /// Bytes of padding to send now.
    pub fn padding_due(&self, now: Instant) -> u32 {
        self.prober.due_bytes(now)
    }

    /// When padding is due; `None` while nothing is probed.
    pub fn next_padding(&self) -> Option<Instant> {
        self.prober.next_timeout()
    }

    /// Whether less is sent than could be: what arrives then says little of what would.
    pub fn is_app_limited(&self, now: Instant) -> bool {
        let is_idle = self.heard.last_sent_at.is_none_or(|at| now.saturating_since(at) > IDLE);
        is_idle || self.sent.bps().is_none_or(|sent| sent < APP_LIMITED_SHARE * self.estimate_bps() as f64)
    }

    /// Share of the packets that the peer lately missed, 0 to 1.
    pub fn loss_fraction(&self, now: Instant) -> f64 {
        self.loss.fraction(now)
    }

    /// The round trip, if known.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Bits a second that arrived lately.
    pub fn acked_bps(&self) -> Option<u64> {
        self.acked.bps().map(|bps| bps as u64)
    }

    /// Bytes sent only to probe, since the beginning.
    pub fn padding_bytes(&self) -> u64 {
        self.padding_bytes
    }

    /// Statuses that matched nothing that was sent, since the beginning.
    pub fn unmatched(&self) -> u64 {
        self.history.unmatched()
    }

    fn judge_delay(&mut self, now: Instant) {
        let usage = self.delay.usage();
        let before = self.aimd.bps();
        let was_limited = self.is_app_limited(now);
        if usage == Usage::Overusing && (self.prober.is_under_way() || self.overused.is_excused(now)) {
            return; // the probe's result tells more
        }
        let has_just_begun = usage == Usage::Overusing && self.overused.note(now);
        // So little is sent that what arrives of it tells nothing of the path. Unless the queue goes on growing, what is given out stays
        // given.
        let given = (self.shared_bps * SHARED_SWING / BETA).min(before / BETA);
        let acked = match usage {
            // What leaves a queue that grows is what the path carries, now and not a while ago.
            Usage::Overusing => self.acked.bps().into_iter().chain(self.acked.recent_bps()).reduce(f64::max),
            Usage::Normal | Usage::Underusing => self.acked.bps(),
        };
        let is_given = was_limited && has_just_begun;
        self.aimd.update(now, usage, acked.map(|acked| if is_given { acked.max(given) } else { acked }));
        self.heard.was_limit |= self.aimd.bps() < before;
        if self.aimd.bps() < before && was_limited {
            // So little was sent that its rate is no measure of the path: what stood before may have been right.
            self.prober.ask(now + RECOVERY_WAIT, before * RECOVERY_SHARE);
        }
    }

    fn judge_loss(&mut self, now: Instant) {
        let rate = SendRate { allowed_bps: self.estimate_bps() as f64, acked_bps: self.acked.bps() };
        self.heard.was_limit |= self.loss.update(now, rate, self.rtt_or_initial());
    }

    /// A path that carried feedback before and carries none now carries no media either.
    fn judge_silence(&mut self, now: Instant) {
        let is_silent = |since: &Instant| now.saturating_since(*since) >= limits::FEEDBACK_SILENCE;
        if self.heard.feedback_at.is_none() || !self.heard.unanswered_since.as_ref().is_some_and(is_silent) {
            return;
        }
        let estimate = self.estimate_bps() as f64;
        self.heard.before_silence.get_or_insert(estimate);
        self.heard.unanswered_since = Some(now);
        self.aimd.set(now, (estimate * 0.5).max(self.bounds.min_bps as f64));
    }

    fn on_found(&mut self, now: Instant, found: &Found) {
        let estimate = self.estimate_bps() as f64;
        self.prober.on_result(now, found, estimate);
        let is_first = !std::mem::replace(&mut self.heard.has_result, true);
        let is_overused = self.delay.usage() == Usage::Overusing;
        let is_more = found.bps > self.aimd.bps();
        // A path that was the limit has shown what it carries; also where that is less than was believed, if its queue says the same, or if
        // all that was believed was where to start.
        let is_measure = found.is_saturated && (is_more || is_overused || is_first);
        let bps = found.bps.max(BETA * self.acked.bps().unwrap_or(0.0));
        if is_measure {
            self.aimd.set_limit(now, bps);
        } else if is_more && !is_overused {
            self.aimd.set(now, bps);
        }
        if found.is_saturated || is_more {
            self.heard.was_limit = found.is_saturated;
        }
        if found.is_saturated {
            self.delay.reset();
            self.overused.excused_until = Some(now + PROBE_QUEUE_TIME);
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

    /// Feedback waits for its interval at the peer, so that this is too long rather than too short.
    fn on_feedback_rtt(&mut self, rtt: Duration) {
        let smoothed = self.rtt.map_or(rtt, |known| (known * 7 + rtt) / 8);
        self.on_rtt(smoothed);
    }

    fn rtt_or_initial(&self) -> Duration {
        self.rtt.unwrap_or(RTT_INITIAL)
    }
}

impl Overused {
    /// A queue grows now. Whether it has only begun to.
    fn note(&mut self, now: Instant) -> bool {
        let going_on = self.span.filter(|(_, last)| now.saturating_since(*last) < RECOVERY_WAIT);
        let since = going_on.map_or(now, |(since, _)| since);
        self.span = Some((since, now));
        now.saturating_since(since) < PATIENCE
    }

    fn is_excused(&self, now: Instant) -> bool {
        self.excused_until.is_some_and(|until| now < until)
    }
}

/// Less than this share of the estimate is sent: the application is the limit.
const APP_LIMITED_SHARE: f64 = 0.65;
/// Nothing was sent for so long: neither is that a measure.
const IDLE: Duration = Duration::from_millis(400);
/// After a drop, so long without another before it is probed whether it had to be …
const RECOVERY_WAIT: Duration = Duration::from_millis(500);
/// … and how far up.
const RECOVERY_SHARE: f64 = 0.85;
/// A peer tells of what it receives ten times a second; the first probes have this long to have results.
const FIRST_RESULTS_WAIT: Duration = Duration::from_secs(2);
/// A queue that has grown for no longer may be a moment's disturbance: the peer was busy, or a burst of other traffic passed.
const PATIENCE: Duration = Duration::from_millis(300);
/// What is given out is sent at rates that swing by so much.
const SHARED_SWING: f64 = 1.25;
/// What a probe has left in a queue is gone after so long.
const PROBE_QUEUE_TIME: Duration = Duration::from_millis(300);
/// More wanted by so much is news for the prober.
const WANTED_STEP: f64 = 1.25;
/// A peer that answers no probe sends no feedback, or has no use for it.
const UNHEARD_PROBES_MAX: u32 = 3;
const LOSS_QUIET: f64 = 0.05;
const LOSS_HEAVY: f64 = 0.10;
const RTT_INITIAL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use rtcp::{Compound, Packet, TwccFeedback, Writer};
    use rtp::Ssrc;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn send(estimator: &mut Estimator, from_ms: u64, to_ms: u64) {
        (from_ms..to_ms).step_by(10).for_each(|ms| estimator.on_sent(at(ms), 1000, Purpose::Media));
    }

    /// Feedback on `count` packets from number `base` on, 10 ms apart, every `lost`th of them missing.
    fn tell(estimator: &mut Estimator, now: Instant, base: u16, count: u16, lost: u16) {
        let statuses: Vec<Option<i16>> =
            (0..count).map(|packet| (packet % lost != lost - 1).then_some(40)).collect();
        let mut buffer = [0; 2048];
        let mut writer = Writer::new(&mut buffer);
        let is_written = writer.twcc(&TwccFeedback {
            sender: Ssrc(1),
            media: Ssrc(2),
            base_seq: TwccSeq(base),
            reference_time: i32::from(base) * 10 / 64,
            feedback_count: 0,
            statuses: &statuses,
        });
        assert!(is_written);
        let compound = Compound::new(writer.as_bytes()).expect("well formed");
        let Some(Packet::Twcc(twcc)) = compound.packets().next() else { panic!("a feedback") };
        estimator.on_feedback(now, &twcc, &mut { usize::MAX });
    }

    #[test]
    fn bounds_hold_and_contradictions_are_settled() {
        let bounds = Bounds { min_bps: 900_000, start_bps: 100, max_bps: 400_000 }.sound();
        assert_eq!(bounds, Bounds { min_bps: 400_000, start_bps: 400_000, max_bps: 400_000 });
        let mut estimator = Estimator::new(Bounds::default());
        assert_eq!(estimator.estimate_bps(), limits::BITRATE_START_BPS);
        estimator.set_bounds(Bounds { max_bps: 200_000, ..Bounds::default() });
        assert_eq!(estimator.estimate_bps(), 200_000);
        estimator.set_bounds(Bounds { min_bps: 2_000_000, ..Bounds::default() });
        assert_eq!(estimator.estimate_bps(), 2_000_000);
    }

    #[test]
    fn without_feedback_the_peers_own_estimate_counts_and_ages() {
        let mut estimator = Estimator::new(Bounds::default());
        estimator.on_remb(at(0), 2_500_000);
        assert_eq!(estimator.estimate_bps(), 2_500_000);
        estimator.set_shares(at(0), 0, 9_000_000);
        assert!(!estimator.poll(at(9_999)), "and nothing is probed: there would be no result");
        assert_eq!(estimator.estimate_bps(), 2_500_000);
        estimator.poll(at(10_000));
        assert_eq!(estimator.estimate_bps(), limits::BITRATE_START_BPS);
    }

    #[test]
    fn reception_reports_count_only_for_a_peer_without_feedback() {
        let mut estimator = Estimator::new(Bounds::default());
        send(&mut estimator, 0, 1000);
        estimator.on_loss_report(at(1000), 128);
        let lowered = estimator.estimate_bps();
        assert!(lowered < limits::BITRATE_START_BPS * 8 / 10, "{lowered}");

        let mut estimator = Estimator::new(Bounds::default());
        send(&mut estimator, 0, 1000);
        tell(&mut estimator, at(1000), 0, 100, u16::MAX);
        let before = estimator.estimate_bps();
        estimator.on_loss_report(at(1000), 128);
        assert_eq!(estimator.estimate_bps(), before, "a publisher's loss is in the report as well");
    }

    #[test]
    fn heavy_loss_on_its_own_leg_lowers_it() {
        let mut estimator = Estimator::new(Bounds::default());
        send(&mut estimator, 0, 2000);
        tell(&mut estimator, at(1000), 0, 100, 4);
        tell(&mut estimator, at(2000), 100, 100, 4);
        assert!(estimator.loss_fraction(at(2000)) > 0.2);
        assert!(estimator.estimate_bps() < limits::BITRATE_START_BPS);
    }

    #[test]
    fn silence_halves_the_estimate_of_a_peer_that_has_answered_before() {
        let mut estimator = Estimator::new(Bounds::default());
        send(&mut estimator, 0, 3000);
        estimator.poll(at(3000));
        assert_eq!(estimator.estimate_bps(), limits::BITRATE_START_BPS, "it never answered");
        tell(&mut estimator, at(3000), 0, 100, u16::MAX);
        let before = estimator.estimate_bps();
        estimator.poll(at(9000));
        assert_eq!(estimator.estimate_bps(), before, "nothing was sent that it could answer");
        send(&mut estimator, 9000, 9010);
        estimator.poll(at(9999));
        assert_eq!(estimator.estimate_bps(), before);
        estimator.poll(at(10_000));
        assert_eq!(estimator.estimate_bps(), before / 2);
    }

    #[test]
    fn a_peer_that_answers_no_probe_is_not_probed_for_ever() {
        let mut estimator = Estimator::new(Bounds::default());
        estimator.set_shares(at(0), 0, 5_000_000);
        let mut begun = 0;
        for ms in (0..120_000).step_by(100) {
            begun += u32::from(estimator.poll(at(ms)));
            while estimator.padding_due(at(ms)) > 0 {
                estimator.on_sent(at(ms), 250, Purpose::Padding);
            }
        }
        assert_eq!(begun, UNHEARD_PROBES_MAX);
        assert!(estimator.padding_bytes() > 0);
    }
}
