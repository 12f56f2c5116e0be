//! One received RTP stream of a producer: order, loss, repair, its sender's clock, and its cache.

use crate::cache::Cache;
use crate::frame::understand;
use crate::keyframe::KeyframeGovernor;
use crate::layer_rates::LayerRates;
use crate::limits;
use crate::nack::NackGenerator;
use crate::packet::MediaPacket;
use crate::picture::PictureNumbers;
use crate::seen::{Novelty, Seen};
use crate::stats::StreamCounts;
use control::{Codec, Discard, Kind, Layers};
use machine::Instant;
use rtcp::ReportBlock;
use rtcp::reception::Reception;
use rtp::dependency_descriptor::Structure;
use rtp::h264::NalKind;
use rtp::ntp::NtpTime;
use rtp::{Rid, Seq, SeqExtender, SeqNo, Ssrc};
use std::time::Duration;

/// Ingress state of one encoding. Where SSRCs are not signaled they are learned from MID and RID.
#[derive(Debug)]
pub struct Stream {
    /// `a=rid`, if the encoding has one.
    pub rid: Option<Rid>,
    /// The media SSRC, once known.
    pub ssrc: Option<Ssrc>,
    /// The media SSRC before, and when it was left.
    former: Option<(Ssrc, Instant)>,
    /// The retransmission SSRC, once known.
    pub rtx_ssrc: Option<Ssrc>,
    /// Recent packets, shared by all consumers.
    pub cache: Cache,
    /// What to ask the publisher for again; `None` if NACK was not negotiated.
    pub nack: Option<NackGenerator>,
    /// What is counted of it, over all its incarnations.
    pub counts: StreamCounts,
    /// When to ask the publisher for a keyframe.
    pub keyframes: KeyframeGovernor,
    /// What its dependency descriptors follow, and the packet that brought it. Allocated with the first.
    structure: Option<(Box<Structure>, SeqNo)>,
    /// H.264: parameter sets come with its keyframes, so that those are where one has to begin.
    has_parameter_sets: bool,
    /// Where the latest keyframe begins, and when it came.
    keyframe: Option<(SeqNo, Instant)>,
    /// Of the newest packet: tells where a frame begins.
    newest_timestamp: u32,
    /// Frames that other encodings of the producer have brought since this one's last; before the first, too many.
    frames_missed: u8,
    /// Rates by layer; video only.
    pub rates: LayerRates,
    clock_rate_hz: u32,
    extender: SeqExtender,
    seen: Seen,
    reception: Reception,
    sender_report: Option<SenderReport>,
    /// How packets of a frame follow each other: when the newest came, and the usual distance.
    burst: Burst,
    /// The newest that its consumers were given, as far as the cache goes; see [`given_out`](Self::given_out).
    given_out: Option<SeqNo>,
    /// Counts SSRC changes: a consumer that sees another number continues its own numbering across the gap.
    epoch: u32,
}

/// The publisher's latest statement of how its RTP clock relates to its wall clock (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug)]
struct SenderReport {
    ntp: NtpTime,
    rtp_timestamp: u32,
    received_at: Instant,
}

/// The distance of packets of one frame.
#[derive(Clone, Copy, Debug, Default)]
struct Burst {
    newest: Instant,
    timestamp: u32,
    usual: Duration,
}

impl Burst {
    fn on_packet(&mut self, at: Instant, timestamp: u32) {
        let distance = at.saturating_since(std::mem::replace(&mut self.newest, at));
        if std::mem::replace(&mut self.timestamp, timestamp) == timestamp {
            // One that was held up on its way says little of the others.
            self.usual = (self.usual * 7 + distance.min(limits::GATHER_DISTANCE_MAX * 4)) / 8;
        }
    }
}

/// A point on both of a publisher's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockPoint {
    /// The publisher's wall clock.
    pub ntp: NtpTime,
    /// Its RTP clock for this stream, at the same moment.
    pub rtp_timestamp: u32,
}

impl Stream {
    /// A stream nothing has been received of.
    pub fn new(kind: Kind, clock_rate_hz: u32, nack: bool) -> Self {
        let cache_len = match kind {
            Kind::Audio => limits::AUDIO_CACHE_LEN,
            Kind::Video => limits::VIDEO_CACHE_LEN,
        };
        Self {
            rid: None,
            ssrc: None,
            former: None,
            rtx_ssrc: None,
            cache: Cache::new(cache_len),
            nack: nack.then(NackGenerator::new),
            counts: StreamCounts::new(),
            keyframes: KeyframeGovernor::default(),
            structure: None,
            has_parameter_sets: false,
            keyframe: None,
            newest_timestamp: 0,
            frames_missed: limits::FRAMES_MISSED_MAX,
            rates: LayerRates::default(),
            clock_rate_hz,
            extender: SeqExtender::new(),
            seen: Seen::new(),
            reception: Reception::new(clock_rate_hz),
            sender_report: None,
            burst: Burst::default(),
            given_out: None,
            epoch: 0,
        }
    }

    /// The media SSRC is (now) this one. A change starts the stream over: numbers of the old one mean nothing in the new.
    /// Whether it was one.
    pub fn learn_ssrc(&mut self, now: Instant, ssrc: Ssrc) -> bool {
        let former = self.ssrc.filter(|known| *known != ssrc);
        if let Some(former) = former {
            self.former = Some((former, now));
            self.begin_anew();
        }
        self.ssrc = Some(ssrc);
        former.is_some()
    }

    /// What comes next has nothing to do with what came before.
    pub fn begin_anew(&mut self) {
        self.extender = SeqExtender::new();
        self.seen = Seen::new();
        self.counts.restart(self.reception.cumulative_lost());
        self.reception = Reception::new(self.clock_rate_hz);
        self.forget_gaps();
        self.sender_report = None;
        self.given_out = None;
        self.cache.clear();
        self.structure = None;
        self.keyframe = None;
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// What was lost while nobody was sent anything is not worth asking for.
    pub fn forget_gaps(&mut self) {
        self.nack = self.nack.take().map(|_| NackGenerator::new());
    }

    /// Whether a packet of `ssrc` is a late one from before a change. Taken for a change back, it would tear the new stream
    /// apart.
    pub fn is_former(&self, now: Instant, ssrc: Ssrc) -> bool {
        self.former.is_some_and(|(former, left_at)| {
            former == ssrc && now.saturating_since(left_at) < limits::SSRC_LINGER
        })
    }

    /// Which incarnation of the stream this is.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The newest sequence number received.
    pub fn highest(&self) -> Option<SeqNo> {
        self.extender.highest()
    }

    /// Whether the packets of a frame usually come at once, so that the next one can be waited for.
    pub fn comes_in_bursts(&self) -> bool {
        self.burst.usual <= limits::GATHER_DISTANCE_MAX
    }

    /// The newest sequence number that consumers were given. All packets of the cache up to this one have been given out; those behind
    /// it wait for the end of their batch.
    pub fn given_out(&self) -> Option<SeqNo> {
        self.given_out
    }

    /// A packet that was the newest has been given out.
    pub fn on_given_out(&mut self, seq: SeqNo) {
        self.given_out = self.given_out.max(Some(seq));
    }

    /// What has been received goes nowhere, and nothing waits.
    pub fn on_passed_over(&mut self) {
        self.given_out = self.highest();
    }

    /// A first transmission arrived: its extended sequence number, if it is news.
    pub fn on_media(
        &mut self,
        now: Instant,
        received_at: Instant,
        seq: Seq,
        timestamp: u32,
    ) -> Result<SeqNo, Discard> {
        let extended = self.extender.peek(seq);
        self.novelty(extended)?;
        self.extender.extend(seq);
        self.burst.on_packet(received_at, timestamp);
        self.reception.on_packet(seq, timestamp, received_at.since_epoch());
        if let Some(nack) = &mut self.nack {
            nack.on_packet(now, extended);
        }
        Ok(extended)
    }

    /// A retransmission of `seq` arrived. It repairs a gap, it does not move the stream's head: a retransmission of
    /// something newer than all that was received is no retransmission.
    pub fn on_retransmission(&mut self, now: Instant, seq: Seq) -> Result<SeqNo, Discard> {
        let extended = self.extender.peek(seq);
        if self.highest().is_none_or(|highest| extended > highest) {
            return Err(Discard::RtpTooOld);
        }
        self.novelty(extended)?;
        if let Some(nack) = &mut self.nack {
            nack.on_packet(now, extended);
        }
        Ok(extended)
    }

    fn novelty(&mut self, seq: SeqNo) -> Result<(), Discard> {
        match self.seen.insert(seq) {
            Novelty::New => Ok(()),
            Novelty::Duplicate => Err(Discard::RtpDuplicate),
            Novelty::TooOld => Err(Discard::RtpTooOld),
        }
    }

    /// The publisher's sender report.
    pub fn on_sender_report(&mut self, received_at: Instant, ntp: NtpTime, rtp_timestamp: u32) {
        self.reception.on_sender_report(ntp, received_at.since_epoch());
        self.sender_report = Some(SenderReport { ntp, rtp_timestamp, received_at });
    }

    /// Whether a consumer can begin with a packet that looks like the beginning of a keyframe. An IDR slice without the parameter sets
    /// before it is one only for senders that tell these elsewhere (RFC 6184 §8.2.1, `sprop-parameter-sets`). That it is a
    /// sender of that kind, and not one whose parameter sets are missing, shows in the packet before: it is here,
    /// and of another picture.
    pub fn can_begin_with(&mut self, codec: Codec, seq: SeqNo, timestamp: u32, payload: &[u8]) -> bool {
        if codec != Codec::H264 {
            return true;
        }
        let has_sets = rtp::h264::Payload::parse(payload).is_some_and(|payload| payload.starts(NalKind::Sps));
        self.has_parameter_sets |= has_sets;
        let is_first = || {
            let before = seq.0.checked_sub(1).and_then(|before| self.cache.packet(SeqNo(before)));
            before.is_some_and(|before| before.timestamp != timestamp)
        };
        has_sets || (!self.has_parameter_sets && is_first())
    }

    /// A packet has been understood: keeps what later ones need.
    pub fn on_understood(&mut self, now: Instant, packet: &MediaPacket<'_>, structure: Option<Structure>) {
        if let Some(structure) = structure
            && self.structure.as_ref().is_none_or(|(_, since)| *since < packet.seq)
        {
            self.structure = Some((Box::new(structure), packet.seq));
        }
        if packet.starts_keyframe {
            self.keyframes.on_keyframe(now, packet.timestamp);
            if self.keyframe.is_none_or(|(known, _)| known < packet.seq) {
                self.keyframe = Some((packet.seq, now));
            }
            if let Some(nack) = &mut self.nack {
                nack.on_keyframe(packet.seq);
            }
        }
        let (spatial, temporal) = packet.frame.layer();
        let layers = Layers { spatial, temporal };
        let is_keyframe = self.keyframes.is_of_keyframe(packet.timestamp);
        self.rates.count(now, layers, packet.payload.len(), is_keyframe);
        let rates = &self.rates;
        self.keyframes.on_packet(packet.timestamp, packet.payload.len(), || rates.bps(now));
    }

    /// What the dependency descriptors follow now.
    pub fn structure(&self) -> Option<&Structure> {
        self.structure.as_ref().map(|(structure, _)| &**structure)
    }

    /// A packet that is kept. What a header is made from is as it was when the packet came; its place among the layers is read again, by the
    /// present structure.
    pub fn cached(&self, seq: SeqNo) -> Option<MediaPacket<'_>> {
        let cached = self.cache.packet(seq)?;
        let understood = understand(cached.codec, cached.payload, cached.descriptor, self.structure());
        Some(MediaPacket {
            seq,
            timestamp: cached.timestamp,
            marker: cached.marker,
            codec: cached.codec,
            starts_keyframe: understood.starts_keyframe,
            frame: understood.frame,
            picture: PictureNumbers::read(cached.codec, cached.payload),
            carried: cached.carried,
            descriptor: cached.descriptor,
            payload: cached.payload,
            padded: cached.padded,
        })
    }

    /// Where the latest keyframe begins, if it is young, and everything since then is at hand and not too much.
    pub fn cached_keyframe(&self, now: Instant) -> Option<SeqNo> {
        let (first, at) = self.keyframe?;
        if now.saturating_since(at) > limits::KEYFRAME_CACHED_AGE_MAX {
            return None;
        }
        let newest = self.given_out()?;
        if newest < first {
            return None; // It is about to be given out.
        }
        let mut len = 0;
        for seq in first.0..=newest.0 {
            len += self.cache.packet(SeqNo(seq))?.payload.len();
        }
        (len <= limits::KEYFRAME_CACHED_LEN_MAX).then_some(first)
    }

    /// Whether the encoding brings frames as its siblings do.
    pub fn is_active(&self) -> bool {
        self.frames_missed < limits::FRAMES_MISSED_MAX
    }

    /// A sibling has brought a frame. True if this one now counts as silent, and did not before.
    pub fn miss_frame(&mut self) -> bool {
        let was_active = self.is_active();
        self.frames_missed = self.frames_missed.saturating_add(1);
        was_active && !self.is_active()
    }

    /// A packet of media: whether it begins a frame, and whether the encoding was silent until now.
    pub fn on_frame_packet(&mut self, seq: SeqNo, timestamp: u32) -> (bool, bool) {
        let is_newest = self.highest() == Some(seq);
        let begins = is_newest && (timestamp != self.newest_timestamp || !self.is_active());
        let was_silent = !self.is_active();
        if is_newest {
            self.newest_timestamp = timestamp;
            self.frames_missed = 0;
        }
        (begins, was_silent && is_newest)
    }

    /// The publisher's wall clock at one of its RTP timestamps; `None` before its first sender report.
    pub fn ntp_of(&self, rtp_timestamp: u32) -> Option<NtpTime> {
        let report = self.sender_report?;
        let ticks = i64::from(rtp_timestamp.wrapping_sub(report.rtp_timestamp) as i32);
        let span = (ticks << 32) / i64::from(self.clock_rate_hz);
        Some(NtpTime(report.ntp.0.wrapping_add_signed(span)))
    }

    /// The RTP timestamp at a moment of the publisher's wall clock; `None` before its first sender report.
    pub fn rtp_at(&self, ntp: NtpTime) -> Option<u32> {
        let report = self.sender_report?;
        let span = i128::from(ntp.0.wrapping_sub(report.ntp.0) as i64);
        // Rounded, so that a tick is not lost with every change of the source.
        let ticks = (span * i128::from(self.clock_rate_hz) + (1 << 31)) >> 32;
        Some(report.rtp_timestamp.wrapping_add(ticks as u32))
    }

    /// The publisher's clocks at `now`, carried forward from its last report; `None` before the first. Consumers' reports
    /// are made from this, so that sound and picture of one publisher share its wall clock.
    pub fn clock_at(&self, now: Instant) -> Option<ClockPoint> {
        let report = self.sender_report?;
        let elapsed = now.saturating_since(report.received_at);
        let ticks = ticks(elapsed, self.clock_rate_hz);
        Some(ClockPoint {
            ntp: NtpTime(report.ntp.0.wrapping_add(ntp_span(elapsed))),
            rtp_timestamp: report.rtp_timestamp.wrapping_add(ticks),
        })
    }

    /// What the publisher reported last: its wall clock, its RTP clock at the same moment, and when that came.
    pub fn sender_report(&self) -> Option<(NtpTime, u32, Instant)> {
        let SenderReport { ntp, rtp_timestamp, received_at } = self.sender_report?;
        Some((ntp, rtp_timestamp, received_at))
    }

    /// Our reception report on this stream; `None` before its first packet. Starts the next report's interval.
    pub fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let ssrc = self.ssrc?;
        self.reception.report(ssrc, now.since_epoch())
    }

    /// How it is received (RFC 3550 §6.4.1).
    pub fn reception(&self) -> &Reception {
        &self.reception
    }

    /// Packets that should have come under the present SSRC.
    pub fn expected(&self) -> u64 {
        let expected = i64::from(self.reception.received()) + i64::from(self.reception.cumulative_lost());
        expected.unsigned_abs()
    }

    /// RTP clock ticks in a second.
    pub fn clock_rate_hz(&self) -> u32 {
        self.clock_rate_hz
    }
}

/// RTP clock ticks in `span`, modulo 2³² as timestamps are.
pub fn ticks(span: Duration, clock_rate_hz: u32) -> u32 {
    (span.as_nanos() * u128::from(clock_rate_hz) / 1_000_000_000) as u32
}

/// `span` in units of 2⁻³² s.
fn ntp_span(span: Duration) -> u64 {
    ((span.as_nanos() << 32) / 1_000_000_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::EPOCH + Duration::from_millis(ms)
    }

    fn stream() -> Stream {
        let mut stream = Stream::new(Kind::Video, 90_000, true);
        stream.learn_ssrc(at(0), Ssrc(1));
        stream
    }

    #[test]
    fn a_retransmission_fills_a_gap_once() {
        let mut stream = stream();
        for seq in [1, 3] {
            stream.on_media(at(0), at(0), Seq(seq), 0).expect("new");
        }
        let repaired = stream.on_retransmission(at(1), Seq(2)).expect("missing until now");
        assert_eq!(repaired.seq(), Seq(2));
        assert_eq!(stream.on_retransmission(at(1), Seq(2)), Err(Discard::RtpDuplicate));
        assert_eq!(stream.on_media(at(1), at(1), Seq(2), 0), Err(Discard::RtpDuplicate));
        assert_eq!(stream.on_retransmission(at(1), Seq(9)), Err(Discard::RtpTooOld));
    }

    #[test]
    fn the_publishers_clocks_are_carried_forward_together() {
        let mut stream = stream();
        assert_eq!(stream.clock_at(at(0)), None);
        stream.on_sender_report(at(1000), NtpTime(7 << 32), 90_000);
        let point = stream.clock_at(at(3000)).expect("reported");
        assert_eq!(point, ClockPoint { ntp: NtpTime(9 << 32), rtp_timestamp: 270_000 });
    }

    #[test]
    fn another_ssrc_starts_the_stream_over() {
        let mut stream = stream();
        stream.on_media(at(0), at(0), Seq(60_000), 0).expect("new");
        assert!(stream.learn_ssrc(at(10), Ssrc(2)));
        assert_eq!((stream.epoch(), stream.highest()), (1, None));
        assert!(stream.is_former(at(1009), Ssrc(1)) && !stream.is_former(at(1010), Ssrc(1)));
        stream.on_media(at(1), at(1), Seq(5), 0).expect("new in the new stream");
    }
}
