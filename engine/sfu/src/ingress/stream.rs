//! One received RTP stream of a producer: order, loss, retransmission, its sender's clock, and its cache.

use crate::base::clock::{ClockPoint, ntp_span, ticks};
use crate::base::window::{Novelty, SequenceWindow};
use crate::ingress::counts::StreamCounts;
use crate::ingress::keyframe::KeyframeGovernor;
use crate::ingress::layer_rates::LayerRates;
use crate::ingress::nack::NackGenerator;
use crate::limits;
use crate::packet::cache::Cache;
use crate::packet::frame::parse_frame;
use crate::packet::media_packet::MediaPacket;
use crate::packet::parameter_sets::{ParameterSets, may_hold_sets};
use crate::packet::picture::PictureNumbers;
use control::{Codec, Discard, Kind, Layers};
use machine::{Instant, meter};
use rtcp::ReportBlock;
use rtcp::limits::{DROPOUT_MAX, MISORDER_MAX};
use rtcp::reception::Reception;
use rtp::dependency_descriptor::Structure;
use rtp::h264::{NalKind, Payload};
use rtp::ntp::NtpTime;
use rtp::vp9::{self, FrameHeader};
use rtp::{Rid, Seq, SeqExtender, SeqNo, Ssrc};
use std::sync::Arc;
use std::time::Duration;

/// Ingress state of one encoding. SSRCs that are not signaled are learned from MID and RID.
#[derive(Debug)]
pub struct Stream {
    /// `a=rid`, if the encoding has one.
    pub rid: Option<Rid>,
    /// The media SSRC, once known.
    pub ssrc: Option<Ssrc>,
    /// The previous media SSRC.
    former: Option<Former>,
    /// The retransmission SSRC, once known.
    pub rtx_ssrc: Option<Ssrc>,
    /// Recent packets, shared by all consumers.
    pub cache: Cache,
    /// The packets to request again; `None` if NACK was not negotiated.
    pub nack: Option<NackGenerator>,
    /// Its counters, over all its epochs.
    pub counts: StreamCounts,
    /// When to request a keyframe from the publisher.
    pub keyframes: KeyframeGovernor,
    /// The structure of its dependency descriptors, and its packet. Allocated with the first one.
    structure: Option<(Box<Structure>, SeqNo)>,
    /// H.264: it has contained a sequence parameter set, so a consumer starts at one, or with the stored
    /// ones.
    has_parameter_sets: bool,
    /// VP9: its payload descriptors mark frames with references (P). Before the first one, the frame headers
    /// are used.
    sets_p_bit: bool,
    /// The latest packet that did not continue the numbers.
    apart: Option<Apart>,
    /// The epoch of the stream at its origin, if it comes from another worker.
    origin_life: Option<u8>,
    /// H.264: the latest parameter sets, shared with the consumers that got them. Allocated with the first
    /// one.
    parameter_sets: Option<Arc<ParameterSets>>,
    /// Start of the latest keyframe, and its arrival time.
    keyframe: Option<(SeqNo, Instant)>,
    /// Timestamp of the newest packet: shows where a frame starts.
    newest_timestamp: u32,
    /// Frames of other encodings of the producer since this one's last frame; before the first one, too many.
    frames_missed: u8,
    /// Rates per layer; video only.
    pub rates: LayerRates,
    clock_rate_hz: u32,
    extender: SeqExtender,
    seen: SequenceWindow,
    reception: Reception,
    sender_report: Option<SenderReport>,
    /// The usual distance of packets of a frame, and the arrival of the newest one.
    burst: Burst,
    /// The newest packet that its consumers got, as far as the cache goes; see
    /// [`forwarded_up_to`](Self::forwarded_up_to).
    forwarded_up_to: Option<SeqNo>,
    /// Counts SSRC changes: a consumer that sees another value continues its own numbering across the change.
    epoch: u32,
}

/// How a packet of an unprotected source continues the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// It continues their numbers: in order, late, or after a loss.
    Continues,
    /// It is far from them. It may be the first packet of a restarted source: the next packet decides.
    Apart,
    /// It is the successor of the packet that was apart: the source has restarted.
    Restarts,
}

/// A packet that did not continue the numbers. If the next one is its successor, it is the first of a
/// restarted source.
#[derive(Clone, Debug)]
pub struct Apart {
    /// The number of its successor.
    next: Seq,
    /// The packet; empty if it was too long to store.
    pub bytes: Vec<u8>,
    /// When the kernel received it.
    pub received_at: Instant,
}

/// An earlier SSRC.
#[derive(Clone, Copy, Debug)]
struct Former {
    ssrc: Ssrc,
    left_at: Instant,
    /// Its latest packet, and the newest number of the present SSRC at that time.
    latest: Option<(Seq, Option<SeqNo>)>,
}

/// The publisher's latest mapping between its RTP clock and its wall clock (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug)]
struct SenderReport {
    ntp: NtpTime,
    rtp_timestamp: u32,
    received_at: Instant,
}

/// The time between packets of one frame.
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
            // A packet that was delayed does not describe the others.
            self.usual = (self.usual * 7 + distance.min(limits::GATHER_DISTANCE_MAX * 4)) / 8;
        }
    }
}

impl Stream {
    /// A stream without received packets.
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
            sets_p_bit: false,
            apart: None,
            origin_life: None,
            parameter_sets: None,
            keyframe: None,
            newest_timestamp: 0,
            frames_missed: limits::FRAMES_MISSED_MAX,
            rates: LayerRates::default(),
            clock_rate_hz,
            extender: SeqExtender::new(),
            seen: SequenceWindow::new(),
            reception: Reception::new(clock_rate_hz),
            sender_report: None,
            burst: Burst::default(),
            forwarded_up_to: None,
            epoch: 0,
        }
    }

    /// Sets the media SSRC. A change restarts the stream, because its numbers are independent of the old
    /// ones. True for a change.
    pub fn learn_ssrc(&mut self, now: Instant, ssrc: Ssrc) -> bool {
        let former = self.ssrc.filter(|known| *known != ssrc);
        if let Some(former) = former {
            self.former = Some(Former { ssrc: former, left_at: now, latest: None });
            self.reset();
        }
        self.ssrc = Some(ssrc);
        former.is_some()
    }

    /// Restarts: the next packets do not continue the earlier ones.
    pub fn reset(&mut self) {
        self.extender = SeqExtender::new();
        self.seen = SequenceWindow::new();
        self.counts.restart(self.reception.cumulative_lost());
        self.reception = Reception::new(self.clock_rate_hz);
        self.forget_gaps();
        self.sender_report = None;
        self.forwarded_up_to = None;
        self.cache.clear();
        self.structure = None;
        self.sets_p_bit = false;
        self.apart = None;
        self.keyframe = None;
        // The encoder may be the same. If it is not, its own sets precede its first keyframe.
        if let Some(sets) = &mut self.parameter_sets {
            Arc::make_mut(sets).forget_numbers();
        }
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Packets that were lost while nothing was forwarded are not requested.
    pub fn forget_gaps(&mut self) {
        self.nack = self.nack.take().map(|_| NackGenerator::new());
    }

    /// Whether a packet of `ssrc`, which is not the present one, is a late one from before a change. Treating
    /// it as a change back would break the new stream. A sender that did change back, for example after hold,
    /// is recognised by two packets in sequence without one of the present SSRC in between, at a time when no
    /// old packet can be in transit any more.
    pub fn is_straggler(&mut self, now: Instant, ssrc: Ssrc, seq: Seq) -> bool {
        let newest = self.highest();
        let Some(former) = self.former.as_mut().filter(|former| former.ssrc == ssrc) else { return false };
        let age = now.saturating_since(former.left_at);
        let before = former.latest.replace((seq, newest));
        let is_in_sequence =
            before.is_some_and(|(before, then)| before.forward_distance(seq) == 1 && then == newest);
        let has_returned = age >= limits::SSRC_RETURN_MIN && is_in_sequence;
        age < limits::SSRC_LINGER && !has_returned
    }

    /// The epoch of the stream.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The lower bits of the epoch, sent to another worker with each packet.
    pub fn life(&self) -> u8 {
        self.epoch as u8
    }

    /// Another worker's packet has this epoch. True if it differs from the last one.
    pub fn follow_life(&mut self, life: u8) -> bool {
        self.origin_life.replace(life).is_some_and(|before| before != life)
    }

    /// Whether media has arrived, but none for so long that no packet is in transit any more.
    pub fn is_silent(&self, now: Instant) -> bool {
        self.highest().is_some() && now.saturating_since(self.burst.newest) >= limits::SSRC_LINGER
    }

    /// How a first transmission continues the earlier ones, by RFC 3550 §A.1: two consecutive packets that
    /// are apart from the others mean that the source has restarted. Only for an unprotected source: SRTP
    /// numbers never repeat, and a packet far ahead was sent after a long loss.
    ///
    /// Numbers alone do not show every restart, because a program may start with a number near the last one.
    /// So a packet in the range of loss and reordering is apart too if its timestamp belongs to another
    /// clock, or if it is not newer than a packet received long ago.
    pub fn continuity(&self, at: Instant, seq: Seq, timestamp: u32) -> Continuity {
        let Some(highest) = self.highest() else { return Continuity::Continues };
        let ahead = highest.seq().forward_distance(seq);
        if ahead == 1 {
            return Continuity::Continues;
        }
        let is_older = ahead == 0 || ahead > u16::MAX / 2;
        let is_near = !(DROPOUT_MAX..=u16::MAX - MISORDER_MAX).contains(&ahead);
        let continues = if is_older && self.is_silent(at) {
            false
        } else if is_near {
            self.is_of_clock(at, timestamp)
        } else {
            // A duplicate of an earlier packet.
            let extended = self.extender.peek(seq);
            self.cache.packet(extended).is_some_and(|cached| cached.timestamp == timestamp)
        };
        // A requested packet may arrive late, however old it is.
        if continues || self.nack.as_ref().is_some_and(|nack| nack.is_missing(self.extender.peek(seq))) {
            return Continuity::Continues;
        }
        if self.apart.as_ref().is_some_and(|apart| apart.next == seq) {
            Continuity::Restarts
        } else {
            Continuity::Apart
        }
    }

    /// Whether a timestamp is near the stream's clock at its arrival.
    fn is_of_clock(&self, at: Instant, timestamp: u32) -> bool {
        let passed = ticks(at.saturating_since(self.burst.newest), self.clock_rate_hz);
        let step = timestamp.wrapping_sub(self.burst.timestamp.wrapping_add(passed)) as i32;
        step.unsigned_abs() <= self.clock_rate_hz.saturating_mul(limits::CLOCK_STEP_SECONDS_MAX)
    }

    /// Stores a packet that is apart. True if another one was stored, which is dropped.
    pub fn keep_apart(&mut self, seq: Seq, received_at: Instant, bytes: &[u8]) -> bool {
        let former = self.apart.take();
        let was_kept = former.is_some();
        let mut kept = former.map_or_else(Vec::new, |former| former.bytes);
        kept.clear();
        if bytes.len() <= limits::OUT_OF_SEQUENCE_LEN_MAX {
            kept.extend_from_slice(bytes);
        }
        self.apart = Some(Apart { next: seq.next(), bytes: kept, received_at });
        was_kept
    }

    /// Takes the stored packet, if there is one.
    pub fn take_apart(&mut self) -> Option<Apart> {
        self.apart.take()
    }

    /// The newest sequence number received.
    pub fn highest(&self) -> Option<SeqNo> {
        self.extender.highest()
    }

    /// Whether the packets of a frame usually arrive in a burst, so that the next one can be awaited.
    pub fn comes_in_bursts(&self) -> bool {
        self.burst.usual <= limits::GATHER_DISTANCE_MAX
    }

    /// The newest sequence number that consumers got. All cached packets up to this one have been forwarded;
    /// later ones wait for the end of their batch.
    pub fn forwarded_up_to(&self) -> Option<SeqNo> {
        self.forwarded_up_to
    }

    /// A packet that was the newest has been forwarded.
    pub fn on_forwarded(&mut self, seq: SeqNo) {
        self.forwarded_up_to = self.forwarded_up_to.max(Some(seq));
    }

    /// The received packets are not forwarded, and none waits.
    pub fn on_skipped(&mut self) {
        self.forwarded_up_to = self.highest();
    }

    /// A first transmission arrived. Returns its extended sequence number if it is new.
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

    /// A retransmission of `seq` arrived. It fills a gap; or it is a probe with a packet lost after the
    /// newest one, which it then becomes. Before the first packet, and far ahead of the newest, it belongs to
    /// another epoch of the stream.
    pub fn on_retransmission(&mut self, now: Instant, seq: Seq) -> Result<SeqNo, Discard> {
        let extended = self.extender.peek(seq);
        let is_near = |highest: SeqNo| extended.0.saturating_sub(highest.0) <= limits::RTX_AHEAD_MAX;
        if !self.highest().is_some_and(is_near) {
            return Err(Discard::RtpTooOld);
        }
        self.novelty(extended)?;
        self.extender.extend(seq);
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

    /// Stores the parameter sets of a packet, if it has any.
    pub fn note_parameter_sets(&mut self, codec: Codec, seq: SeqNo, payload: &[u8]) {
        if codec != Codec::H264 || !may_hold_sets(payload) {
            return;
        }
        let Some(payload) = Payload::parse(payload) else { return };
        self.has_parameter_sets |= payload.starts(NalKind::Sps);
        // Consumers that got the former sets keep them: they may be requested again.
        if self.parameter_sets.as_ref().is_none_or(|sets| sets.is_new(&payload)) {
            Arc::make_mut(self.parameter_sets.get_or_insert_default()).note(seq, &payload);
        }
    }

    /// Whether a consumer can start with a packet that looks like the beginning of a keyframe. An IDR slice
    /// without parameter sets before it is a start only if these arrived earlier and are stored, or if the
    /// sender transmits them elsewhere (RFC 6184 §8.2.1, `sprop-parameter-sets`).
    ///
    /// A VP9 frame whose descriptor has no references is a start, unless the sender's descriptors never mark
    /// references and the frame header does.
    pub fn can_begin_with(&self, codec: Codec, seq: SeqNo, timestamp: u32, payload: &[u8]) -> bool {
        if codec == Codec::Vp9 {
            return self.begins_vp9_keyframe(payload);
        }
        if codec != Codec::H264 || Payload::parse(payload).is_some_and(|payload| payload.starts(NalKind::Sps))
        {
            return true;
        }
        let suffice = |sets: &Arc<ParameterSets>| sets.suffice_at(seq);
        let may_lack_sets = !self.has_parameter_sets || self.parameter_sets.as_ref().is_some_and(suffice);
        may_lack_sets && self.begins_picture(seq, timestamp)
    }

    /// Whether the slice in packet `seq` is the first of its picture, without a missing parameter set before
    /// it: the previous packet has arrived and belongs to another picture, or contains nothing that a decoder
    /// needs.
    fn begins_picture(&self, seq: SeqNo, timestamp: u32) -> bool {
        for distance in 1..=limits::PICTURE_HEAD_MAX {
            let before = seq.0.checked_sub(distance).and_then(|before| self.cache.packet(SeqNo(before)));
            let Some(before) = before else { return false };
            if before.timestamp != timestamp {
                return true;
            }
            match Payload::parse(before.payload) {
                Some(Payload::Single(nal)) if matches!(nal.kind, NalKind::Delimiter | NalKind::Sei) => {}
                _ => return false,
            }
        }
        false
    }

    /// The parameter sets that a decoder needs to start with this packet, if the packet does not contain
    /// them. Not with a dependency descriptor: it defines the start and end of a frame, which may be
    /// encrypted end to end.
    pub fn parameter_sets_for(&self, packet: &MediaPacket<'_>) -> Option<&Arc<ParameterSets>> {
        let sets = self.parameter_sets.as_ref()?;
        let needs_sets = packet.codec == Codec::H264
            && packet.descriptor.is_empty()
            && Payload::parse(packet.payload).is_some_and(|payload| !payload.starts(NalKind::Sps));
        Some(sets).filter(|sets| needs_sets && sets.suffice_at(packet.seq))
    }

    /// The stored parameter sets.
    pub fn parameter_sets(&self) -> Option<&ParameterSets> {
        self.parameter_sets.as_deref()
    }

    /// A parameter set that arrived at another worker before this one subscribed, as a NAL unit.
    pub fn on_earlier_parameter_set(&mut self, unit: &[u8]) {
        self.note_parameter_sets(Codec::H264, SeqNo(0), unit);
    }

    fn begins_vp9_keyframe(&self, payload: &[u8]) -> bool {
        let frame = vp9::Descriptor::parse(payload).and_then(|descriptor| payload.get(descriptor.len..));
        self.sets_p_bit || frame.map(FrameHeader::read) != Some(FrameHeader::Inter)
    }

    /// A packet of VP9: records whether its descriptor marks references.
    pub fn on_vp9(&mut self, payload: &[u8]) {
        self.sets_p_bit |= vp9::is_inter_picture_predicted(payload);
    }

    /// A packet has been parsed: stores the state that later packets need.
    pub fn on_parsed(&mut self, now: Instant, packet: &MediaPacket<'_>, structure: Option<Structure>) {
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

    /// The present structure of the dependency descriptors.
    pub fn structure(&self) -> Option<&Structure> {
        self.structure.as_ref().map(|(structure, _)| &**structure)
    }

    /// A cached packet. The input of its header is stored as received; its layers are parsed again with the
    /// present structure.
    pub fn cached(&self, seq: SeqNo) -> Option<MediaPacket<'_>> {
        let cached = self.cache.packet(seq)?;
        let understood = parse_frame(cached.codec, cached.payload, cached.descriptor, self.structure());
        let is_by_descriptor = cached.codec != Codec::Vp9 || understood.structure.is_some();
        let starts_keyframe =
            understood.starts_keyframe && (is_by_descriptor || self.begins_vp9_keyframe(cached.payload));
        Some(MediaPacket {
            seq,
            timestamp: cached.timestamp,
            marker: cached.marker,
            codec: cached.codec,
            starts_keyframe,
            frame: understood.frame,
            picture: PictureNumbers::read(cached.codec, cached.payload),
            carried: cached.carried,
            descriptor: cached.descriptor,
            payload: cached.payload,
            padded: cached.padded,
        })
    }

    /// The start of the latest keyframe, if it is recent and all later packets are cached and at most
    /// `packets_max`.
    pub fn cached_keyframe(&self, now: Instant, packets_max: usize) -> Option<SeqNo> {
        let (first, at) = self.keyframe?;
        if now.saturating_since(at) > limits::KEYFRAME_CACHED_AGE_MAX {
            return None;
        }
        let newest = self.forwarded_up_to()?;
        if newest < first {
            return None; // It is about to be forwarded.
        }
        if !self.can_be_caught_up(first, packets_max) {
            return None;
        }
        let is_whole = (first.0..=newest.0).all(|seq| self.cache.packet(SeqNo(seq)).is_some());
        is_whole.then_some(first)
    }

    /// Whether the packets forwarded since `first` can be sent to a consumer at once: at most `packets_max`,
    /// and within the bound of bytes.
    pub fn can_be_caught_up(&self, first: SeqNo, packets_max: usize) -> bool {
        let behind = self.packets_behind(first);
        if behind > packets_max {
            return false;
        }
        meter::charge(behind, 10);
        let seqs = first.0..=first.0 + behind as u64;
        let lens = seqs.filter_map(|seq| self.cache.packet(SeqNo(seq)));
        lens.map(|packet| packet.payload.len()).sum::<usize>() <= limits::KEYFRAME_CACHED_LEN_MAX
    }

    /// The difference between the newest forwarded number and this one.
    pub fn packets_behind(&self, first: SeqNo) -> usize {
        self.forwarded_up_to().map_or(0, |newest| newest.0.saturating_sub(first.0)) as usize
    }

    /// Whether the encoding sends frames like the other ones.
    pub fn is_active(&self) -> bool {
        self.frames_missed < limits::FRAMES_MISSED_MAX
    }

    /// Another encoding has a frame. True if this one now counts as silent, and did not before.
    pub fn miss_frame(&mut self) -> bool {
        let was_active = self.is_active();
        self.frames_missed = self.frames_missed.saturating_add(1);
        was_active && !self.is_active()
    }

    /// A packet of media: whether it begins a frame, and whether the encoding was silent before.
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
        // Rounded, so that no tick is lost with each change of the source.
        let ticks = (span * i128::from(self.clock_rate_hz) + (1 << 31)) >> 32;
        Some(report.rtp_timestamp.wrapping_add(ticks as u32))
    }

    /// The publisher's clocks at `now`, extrapolated from its last report; `None` before the first.
    /// Consumers' reports are made from this, so that audio and video of one publisher share its wall clock.
    pub fn clock_at(&self, now: Instant) -> Option<ClockPoint> {
        let report = self.sender_report?;
        let elapsed = now.saturating_since(report.received_at);
        let ticks = ticks(elapsed, self.clock_rate_hz);
        Some(ClockPoint {
            ntp: NtpTime(report.ntp.0.wrapping_add(ntp_span(elapsed))),
            rtp_timestamp: report.rtp_timestamp.wrapping_add(ticks),
        })
    }

    /// The publisher's last report: its wall clock, its RTP clock at the same moment, and the arrival time.
    pub fn sender_report(&self) -> Option<(NtpTime, u32, Instant)> {
        let SenderReport { ntp, rtp_timestamp, received_at } = self.sender_report?;
        Some((ntp, rtp_timestamp, received_at))
    }

    /// Our reception report on this stream; `None` before its first packet. Starts the next report's
    /// interval.
    pub fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let ssrc = self.ssrc?;
        self.reception.report(ssrc, now.since_epoch())
    }

    /// Its reception statistics (RFC 3550 §6.4.1).
    pub fn reception(&self) -> &Reception {
        &self.reception
    }

    /// Expected packets under the present SSRC.
    pub fn expected(&self) -> u64 {
        let expected = i64::from(self.reception.received()) + i64::from(self.reception.cumulative_lost());
        expected.unsigned_abs()
    }

    /// RTP clock ticks per second.
    pub fn clock_rate_hz(&self) -> u32 {
        self.clock_rate_hz
    }
}

#[cfg(test)]
mod tests;
