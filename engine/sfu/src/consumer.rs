//! A consumer: one track that a peer receives. Follows one encoding of its producer, writes its own header over the shared
//! plaintext, encrypts it straight into the send batch, and sends again what its peer misses.

use crate::bandwidth::{Class, Steadiness};
use crate::egress::{Egress, Stamps, write, write_padding};
use crate::layers::{Allowance, lower};
use crate::limits;
use crate::packet::MediaPacket;
use crate::picture::{LastPicture, PictureNumbers, PictureOffset};
use crate::producer::Producer;
use crate::rewrite::{Beginning, Numbering, Rewriter, Source};
use crate::selector::{Selector, Verdict};
use crate::send_side::Waiting;
use crate::slots::Slot;
use crate::stats::ConsumerCounts;
use crate::stream::Stream;
use control::{Codec, Consume, Counter, ExtensionKind, Kind, Layers};
use machine::{Instant, Rng, Tx};
use rtcp::{ReportBlock, SenderInfo};
use rtp::dependency_descriptor::{self, FrameNumber};
use rtp::{ExtId, Extensions, Header, Mid, Pt, Seq, SeqNo, Ssrc};
use std::collections::VecDeque;
use std::time::Duration;

/// One track on its way to one peer.
#[derive(Debug)]
pub struct Consumer {
    /// The command that made it: tells a repetition from a contradiction.
    pub spec: Box<Consume>,
    /// What it leaves by.
    pub transport: Slot,
    /// What it receives.
    pub producer: Slot,
    /// Not sent for now.
    pub paused: bool,
    /// The layers to send at most; `None` is as many as there are.
    pub preferred_layers: Option<Layers>,
    /// What it counts for beside the transport's other consumers.
    pub priority: u8,
    /// What is counted of it.
    pub counts: ConsumerCounts,
    /// What the transport's bandwidth allows it.
    pub allowance: Allowance,
    /// When that was changed.
    pub steadiness: Steadiness,
    /// What it is to a pacer.
    class: Class,
    stamps: Stamps,
    selector: Selector,
    rewriter: Rewriter,
    /// Bit `n`: it wants spatial layer `n` of its producer, as the producer has counted it.
    wanted: u8,
    /// The layers it was last known to be sent.
    reported: Option<Layers>,
    mid: Option<Mid>,
    /// Payload types of the codecs it takes.
    payload_types: Vec<(Codec, PayloadTypes)>,
    /// Our latest numbers that an empty packet took.
    filled: VecDeque<SeqNo>,
    /// It takes Opus but no RED: what the publisher's RED has inside, by its payload type there.
    red_content: Option<Pt>,
    rtx_seq: SeqNo,
    resent: Resent,
    /// Payload bytes that NACKs may still cost; see [`limits::RESEND_CREDIT_MAX`].
    resend_credit: u32,
    packet_count: u32,
    octet_count: u32,
    last_report: Option<SentReport>,
    rtt: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct PayloadTypes {
    media: Pt,
    rtx: Option<Pt>,
}

/// Our latest sender report, to recognise in the peer's reception report.
#[derive(Clone, Copy, Debug)]
struct SentReport {
    compact_ntp: u32,
    sent_at: Instant,
}

impl Consumer {
    /// A consumer of `producer` that has sent nothing. The command has been checked.
    pub fn new(
        spec: Consume,
        transport: Slot,
        producer_slot: Slot,
        producer: &Producer,
        rng: &mut Rng,
    ) -> Self {
        let payload_types = spec
            .codecs
            .iter()
            .map(|codec| (codec.codec, PayloadTypes { media: Pt(codec.pt), rtx: codec.rtx_pt.map(Pt) }));
        let takes = |codec| spec.codecs.iter().any(|taken| taken.codec == codec);
        let opus = producer.codecs().iter().find(|codec| codec.codec == Codec::Opus);
        let red_content = opus.filter(|_| takes(Codec::Opus) && !takes(Codec::Red)).map(|opus| Pt(opus.pt));
        let clock_rate_hz = producer.streams.first().map_or(90_000, Stream::clock_rate_hz);
        Self {
            transport,
            producer: producer_slot,
            paused: spec.paused,
            preferred_layers: spec.preferred_layers,
            priority: spec.priority,
            counts: ConsumerCounts::new(),
            allowance: Allowance::default(),
            steadiness: Steadiness::default(),
            class: if producer.kind() == Kind::Audio { Class::Audio } else { Class::Video },
            stamps: Stamps::of(&spec),
            selector: Selector::new(Layers::default()),
            rewriter: Rewriter::new(rng, clock_rate_hz),
            wanted: 0,
            reported: None,
            mid: spec.mid.as_ref().and_then(|mid| Mid::new(mid.as_str().as_bytes())),
            payload_types: payload_types.collect(),
            filled: VecDeque::new(),
            red_content,
            rtx_seq: SeqNo(u64::from(rng.below(1 << 15))),
            resent: Resent::default(),
            resend_credit: 0,
            packet_count: 0,
            octet_count: 0,
            last_report: None,
            rtt: None,
            spec: Box::new(spec),
        }
    }

    /// The SSRC its peer sees.
    pub fn ssrc(&self) -> Ssrc {
        Ssrc(self.spec.ssrc)
    }

    /// Stops sending; the next packet sent will begin a keyframe.
    pub fn pause(&mut self) {
        self.paused = true;
        self.rewriter.pause();
    }

    /// Waits for the next keyframe: what was being followed has a hole.
    pub fn interrupt(&mut self) {
        self.rewriter.pause();
    }

    /// The highest layers it is to be sent, bandwidth permitting.
    pub fn wish(&self, producer: &Producer) -> Layers {
        let there =
            Layers { spatial: producer.spatial_layers() - 1, temporal: limits::TEMPORAL_LAYERS_MAX - 1 };
        self.preferred_layers.map_or(there, |preferred| Layers {
            spatial: preferred.spatial.min(there.spatial),
            temporal: preferred.temporal.min(there.temporal),
        })
    }

    /// The highest layers it may be sent, of those the producer has.
    pub fn ceiling(&self, producer: &Producer) -> Layers {
        let wanted = self.wish(producer);
        match self.allowance {
            Allowance::Everything => wanted,
            Allowance::UpTo(allowed) => lower(wanted, allowed),
            Allowance::Nothing => Layers::default(),
        }
    }

    /// Takes over a new ceiling. Without any bandwidth it stops at once.
    pub fn update_ceiling(&mut self, producer: &Producer) {
        let ceiling = self.ceiling(producer);
        // Of simulcast the spatial layer is the encoding, which has one layer inside.
        let spatial = if producer.streams.len() > 1 { 0 } else { ceiling.spatial };
        self.selector.set_ceiling(Layers { spatial, temporal: ceiling.temporal });
        if self.allowance == Allowance::Nothing {
            self.rewriter.pause();
        }
    }

    /// Counts anew which layers it wants: the mask it had, and the one it has.
    pub fn replace_wanted(&mut self, producer: &Producer) -> (u8, u8) {
        let ceiling = usize::from(self.ceiling(producer).spatial);
        let wanted = match producer.streams.len() {
            _ if self.paused => 0,
            // All layers below are needed too.
            1 => u8::MAX >> (7 - ceiling.min(7)),
            // The one it follows until then does not count: it goes on for as long as the change should take.
            _ => 1 << ceiling,
        };
        (std::mem::replace(&mut self.wanted, wanted), wanted)
    }

    /// The layers it was counted for, which it wants no more.
    pub fn take_wanted(&mut self) -> u8 {
        std::mem::take(&mut self.wanted)
    }

    /// The encoding it should be following and is not, if it is to be sent anything.
    pub fn stream_missed(&self, producer: &Producer) -> Option<usize> {
        if self.paused || self.allowance == Allowance::Nothing {
            return None;
        }
        let best = producer.best_stream(usize::from(self.ceiling(producer).spatial));
        (self.source_index(producer) != Some(best)).then_some(best)
    }

    /// The encoding whose keyframe would help it now.
    pub fn stream_of_interest(&self, producer: &Producer) -> usize {
        let best = || producer.best_stream(usize::from(self.ceiling(producer).spatial));
        self.source_index(producer).unwrap_or_else(best)
    }

    /// The encoding it follows, in that encoding's present life.
    fn source_index(&self, producer: &Producer) -> Option<usize> {
        let source = self.rewriter.source()?;
        let index = usize::from(source.stream);
        producer.streams.get(index).filter(|stream| stream.epoch() == source.epoch).map(|_| index)
    }

    /// The layers it is being sent; `None` while it is sent nothing.
    pub fn current_layers(&self, producer: &Producer) -> Option<Layers> {
        let index = self.source_index(producer)?;
        let inside = self.selector.current();
        let spatial = if producer.streams.len() > 1 { index as u8 } else { inside.spatial };
        let temporal = inside.temporal.min(producer.temporal_layers() - 1);
        Some(Layers { spatial: spatial.min(producer.spatial_layers() - 1), temporal })
    }

    /// The layers it is sent, if they are others than when this was asked last.
    pub fn take_layer_news(&mut self, producer: &Producer) -> Option<Option<Layers>> {
        let current = self.current_layers(producer);
        (std::mem::replace(&mut self.reported, current) != current).then_some(current)
    }

    /// One packet of the fan-out, just received and cached in the producer's stream `index`. True if a keyframe of that stream
    /// is needed to get to the layers wanted.
    pub fn forward(
        &mut self,
        packet: &MediaPacket<'_>,
        producer: &Producer,
        index: usize,
        out: &mut Egress<'_, impl Tx>,
    ) -> bool {
        let stream = &producer.streams[index];
        let source = Source { stream: index as u8, epoch: stream.epoch() };
        let following = self.rewriter.source();
        if following == Some(source) && !self.rewriter.is_of_past(packet.seq) {
            self.pass(packet, stream, source, out);
            return self.selector.needs_keyframe();
        }
        if packet.starts_keyframe && self.may_begin(index, producer) {
            self.begin(out.now, packet, producer, index);
            self.pass(packet, stream, source, out);
            // The keyframe's first packet may have been the one that was lost: what follows it is here already.
            self.catch_up(packet.seq, stream, source, out);
        } else if following.is_some()
            && let Some((seq, numbering)) = self.rewriter.place(source, packet.seq)
        {
            // A straggler from before the last change of encodings: its number waits.
            match self.selector.decide_late(packet, source) {
                Verdict::LeaveOut => self.fill(packet, seq, &numbering, out),
                Verdict::Forward => self.send(packet, seq, &numbering, out),
            }
        }
        false
    }

    /// Begins with a keyframe that is still at hand instead of waiting for the publisher's next. False if there is none.
    pub fn begin_from_cache(&mut self, producer: &Producer, out: &mut Egress<'_, impl Tx>) -> bool {
        // Whoever was sent something a moment ago would see it again.
        let has_recent = self
            .rewriter
            .last_sent_at()
            .is_some_and(|at| out.now.saturating_since(at) <= limits::KEYFRAME_CACHED_AGE_MAX);
        if has_recent || self.rewriter.source().is_some() {
            return false;
        }
        let Some(index) = self.stream_missed(producer) else { return false };
        let stream = &producer.streams[index];
        let Some(packet) = stream.cached_keyframe(out.now).and_then(|first| stream.cached(first)) else {
            return false;
        };
        if !packet.starts_keyframe {
            return false; // Its structure has been replaced since.
        }
        let source = Source { stream: index as u8, epoch: stream.epoch() };
        self.begin(out.now, &packet, producer, index);
        self.pass(&packet, stream, source, out);
        self.catch_up(packet.seq, stream, source, out);
        true
    }

    /// Whether to follow an encoding from its keyframe on: the best there is; or, rather than show nothing, any that is not too much.
    fn may_begin(&self, index: usize, producer: &Producer) -> bool {
        if self.allowance == Allowance::Nothing {
            return false;
        }
        let wanted = usize::from(self.ceiling(producer).spatial);
        let is_idle = self.source_index(producer).is_none();
        producer.streams.len() == 1 || index == producer.best_stream(wanted) || (is_idle && index <= wanted)
    }

    fn begin(&mut self, now: Instant, packet: &MediaPacket<'_>, producer: &Producer, index: usize) {
        let stream = &producer.streams[index];
        let source = Source { stream: index as u8, epoch: stream.epoch() };
        self.update_ceiling(producer);
        self.selector.begin(packet, source, stream.structure());
        let first = Beginning {
            seq: packet.seq,
            timestamp: packet.timestamp,
            aligned: self.align(packet.timestamp, stream, producer),
            picture: packet.picture,
            frame: dependency_descriptor::mandatory(packet.descriptor).map(|fields| fields.frame_number),
            top: self.selector.current().spatial,
        };
        self.rewriter.start(now, source, first);
    }

    /// Our timestamp for one of a stream's, by the publisher's clock: the moment in which the stream followed before would have that
    /// very timestamp. `None` unless both streams' clocks are known.
    fn align(&self, timestamp: u32, stream: &Stream, producer: &Producer) -> Option<u32> {
        let before = self.rewriter.latest()?;
        let left = producer.streams.get(usize::from(before.source.stream))?;
        if left.epoch() != before.source.epoch {
            return None;
        }
        Some(before.timestamp(left.rtp_at(stream.ntp_of(timestamp)?)?))
    }

    fn catch_up(&mut self, behind: SeqNo, stream: &Stream, source: Source, out: &mut Egress<'_, impl Tx>) {
        let newest = stream.highest().unwrap_or(behind);
        for seq in behind.0 + 1..=newest.0 {
            if let Some(later) = stream.cached(SeqNo(seq)) {
                self.pass(&later, stream, source, out);
            }
        }
    }

    /// A packet of the stream that is followed: forwarded, or left out.
    fn pass(
        &mut self,
        packet: &MediaPacket<'_>,
        stream: &Stream,
        source: Source,
        out: &mut Egress<'_, impl Tx>,
    ) {
        let is_late = self.rewriter.is_late(packet.seq);
        let verdict = self.selector.decide(packet, source, is_late, stream.structure());
        if !is_late {
            self.rewriter.set_top(self.selector.current().spatial, packet.seq);
        }
        match verdict {
            Verdict::Forward => {
                if let Some((seq, numbering)) = self.rewriter.place(source, packet.seq) {
                    self.send(packet, seq, &numbering, out);
                }
            }
            Verdict::LeaveOut => {
                // VP9 counts pictures that are left out: its group of pictures tells which they are.
                let picture = packet.picture.filter(|_| packet.codec == Codec::Vp8);
                let picture = picture.and_then(|numbers| numbers.picture_id);
                let frame = (packet.timestamp, packet.frame.layer().0);
                if let Some((hole, numbering)) = self.rewriter.leave_out(source, packet.seq, frame, picture) {
                    self.fill(packet, hole, &numbering, out);
                }
            }
        }
    }

    fn send(
        &mut self,
        packet: &MediaPacket<'_>,
        seq: SeqNo,
        numbering: &Numbering,
        out: &mut Egress<'_, impl Tx>,
    ) {
        let packet = &self.without_copies(*packet);
        let Some(payload_types) = self.payload_types_of(packet) else { return };
        let header = self.header(packet, payload_types.media, seq, numbering);
        // Counted as sent even if the batch is full: to the peer it is then a loss like any other, and it will ask.
        let picture = packet.picture.map(|numbers| LastPicture {
            picture_id: numbers.picture_id_with(numbering.picture),
            tl0picidx: numbers.tl0picidx_with(numbering.picture),
        });
        let frame = dependency_descriptor::mandatory(packet.descriptor);
        let frame = frame.map(|fields| numbering.frame(fields.frame_number));
        self.rewriter.on_sent(out.now, seq, header.timestamp, picture, frame);
        let waiting = Waiting { ssrc: self.ssrc(), seq, is_retransmission: false };
        if out.admit(self.class, packet.payload.len(), waiting) {
            self.write_first(packet, seq, numbering, &header, out);
        }
    }

    /// Writes a packet for the first time.
    fn write_first(
        &mut self,
        packet: &MediaPacket<'_>,
        seq: SeqNo,
        numbering: &Numbering,
        header: &Header,
        out: &mut Egress<'_, impl Tx>,
    ) {
        let extensions = self.extensions(packet, numbering, out);
        let patch = Patch::of(packet, numbering);
        if let Some(len) = write_patched(header, seq.roc(), &extensions, packet.payload, patch, out) {
            out.counters.count(Counter::RtpOut);
            out.counters.add(Counter::RtpBytesOut, len as u64);
            if self.class == Class::Audio
                && let Some(side) = out.send_side.as_deref_mut()
            {
                side.on_audio(out.now, len);
            }
            self.counts.on_packet(out.now, packet.payload.len());
            self.packet_count = self.packet_count.wrapping_add(1);
            self.octet_count = self.octet_count.wrapping_add(packet.payload.len() as u32);
            self.resend_credit = (self.resend_credit + len as u32).min(limits::RESEND_CREDIT_MAX);
        } else {
            out.counters.count(Counter::TxFull);
        }
    }

    /// The header of a packet as this consumer's peer sees it: the same whenever it is written.
    fn header(&self, packet: &MediaPacket<'_>, pt: Pt, seq: SeqNo, numbering: &Numbering) -> Header {
        // The end of the highest layer sent is the end of the picture (RFC 9628 §4.1).
        let ends_picture = packet.frame.ends() && packet.frame.layer().0 == numbering.top;
        Header {
            pt,
            marker: packet.marker || ends_picture,
            seq: seq.seq(),
            timestamp: numbering.timestamp(packet.timestamp),
            ssrc: self.ssrc(),
        }
    }

    /// A number that waited for a packet which is not forwarded: an empty packet takes it, so that the peer does not take the hole for
    /// a loss. Only where retransmissions have numbers of their own, because a NACK for this one must not have it sent
    /// again with other bytes (RFC 7714 §8.1).
    fn fill(
        &mut self,
        packet: &MediaPacket<'_>,
        hole: SeqNo,
        numbering: &Numbering,
        out: &mut Egress<'_, impl Tx>,
    ) {
        let Some(PayloadTypes { media, rtx: Some(_) }) = self.payload_types_of(packet) else { return };
        if self.spec.rtx_ssrc.is_none() {
            return;
        }
        let header = Header { marker: false, ..self.header(packet, media, hole, numbering) };
        let mut extensions = self.labels();
        out.stamp(&self.stamps, &mut extensions);
        match write(&header, hole.roc(), &extensions, &[], out) {
            Some(len) => {
                out.counters.count(Counter::RtpOut);
                out.counters.add(Counter::RtpBytesOut, len as u64);
                self.packet_count = self.packet_count.wrapping_add(1);
                if self.filled.len() == limits::HOLES_REMEMBERED {
                    self.filled.pop_front();
                }
                self.filled.push_back(hole);
            }
            None => out.counters.count(Counter::TxFull),
        }
    }

    /// The peer misses `seq` of this consumer: sends it again, by RTX (RFC 4588) where negotiated.
    pub fn resend(&mut self, seq: Seq, producer: &Producer, out: &mut Egress<'_, impl Tx>) {
        let Some((packet, ours, numbering)) = self.find(seq, producer) else {
            out.counters.count(Counter::NackCacheMisses);
            return;
        };
        let Some(credit) = self.resend_credit.checked_sub(packet.payload.len() as u32) else {
            out.counters.count(Counter::NacksOverBudget);
            return;
        };
        if !self.resent.admit(out.now, seq, self.rtt.unwrap_or(Resent::RTT_UNKNOWN)) {
            return;
        }
        self.resend_credit = credit;
        let waiting = Waiting { ssrc: self.ssrc(), seq: ours, is_retransmission: true };
        if out.admit(Class::Retransmission, packet.payload.len(), waiting) {
            self.write_again(&packet, ours, &numbering, out);
        }
    }

    /// A packet that waited may leave now. One that is gone meanwhile is counted; the peer will ask for it, or for a keyframe.
    pub fn release(&mut self, waiting: Waiting, producer: &Producer, out: &mut Egress<'_, impl Tx>) {
        let Some((packet, ours, numbering)) = self.find(waiting.seq.seq(), producer) else {
            out.counters.count(Counter::PacedDrops);
            return;
        };
        if waiting.is_retransmission {
            self.write_again(&packet, ours, &numbering, out);
        } else if let Some(payload_types) = self.payload_types_of(&packet) {
            let header = self.header(&packet, payload_types.media, ours, &numbering);
            self.write_first(&packet, ours, &numbering, &header, out);
        }
    }

    /// The packet that was sent under one of our numbers, if it is still at hand.
    fn find<'a>(&self, seq: Seq, producer: &'a Producer) -> Option<(MediaPacket<'a>, SeqNo, Numbering)> {
        let (original, ours, numbering) = self.rewriter.original(seq)?;
        let stream = producer.streams.get(usize::from(numbering.source.stream))?;
        let stream = Some(stream).filter(|stream| stream.epoch() == numbering.source.epoch)?;
        let packet = self.without_copies(stream.cached(original)?);
        // An empty packet is sent again as one that is empty, so that its number is asked for no more.
        let packet = if self.filled.contains(&ours) { packet.emptied() } else { packet };
        Some((packet, ours, numbering))
    }

    /// Neither paused, nor without any bandwidth.
    pub fn is_sending(&self) -> bool {
        !self.paused && self.allowance != Allowance::Nothing
    }

    /// Whether its packets carry transport-wide numbers.
    pub fn is_numbered(&self) -> bool {
        self.stamps.has_number()
    }

    /// Whether it has a stream for packets that only fill a probe.
    pub fn can_pad(&self) -> bool {
        let has_rtx = self.payload_types.iter().any(|(_, types)| types.rtx.is_some());
        self.stamps.has_number() && self.spec.rtx_ssrc.is_some() && has_rtx && self.class == Class::Video
    }

    /// Sends a packet of nothing but padding on the stream of retransmissions, where receivers drop it. False if it cannot.
    pub fn pad(&mut self, out: &mut Egress<'_, impl Tx>) -> bool {
        let pt = self.payload_types.iter().find_map(|(_, types)| types.rtx);
        let (Some(pt), Some(ssrc)) = (pt, self.spec.rtx_ssrc.map(Ssrc)) else { return false };
        self.rtx_seq = self.rtx_seq.next();
        let timestamp = self.rewriter.latest().map_or(0, |numbering| numbering.timestamp(0));
        let header = Header { pt, marker: false, seq: self.rtx_seq.seq(), timestamp, ssrc };
        let mut extensions = self.labels();
        out.stamp(&self.stamps, &mut extensions);
        match write_padding(&header, self.rtx_seq.roc(), &extensions, out) {
            Some(len) => out.counters.add(Counter::PaddingBytesOut, len as u64),
            None => out.counters.count(Counter::TxFull),
        }
        out.is_numbered = false;
        true
    }

    /// Writes a packet that was sent before.
    fn write_again(
        &mut self,
        packet: &MediaPacket<'_>,
        ours: SeqNo,
        numbering: &Numbering,
        out: &mut Egress<'_, impl Tx>,
    ) {
        let Some(payload_types) = self.payload_types_of(packet) else { return };
        let extensions = self.extensions(packet, numbering, out);
        let patch = Patch::of(packet, numbering);
        let written = match (payload_types.rtx, self.spec.rtx_ssrc) {
            (Some(pt), Some(ssrc)) => {
                self.rtx_seq = self.rtx_seq.next();
                let header = Header {
                    seq: self.rtx_seq.seq(),
                    ssrc: Ssrc(ssrc),
                    ..self.header(packet, pt, ours, numbering)
                };
                // The original sequence number comes before the payload (RFC 4588 §4): the one copy that a resend costs.
                let mut payload = [0; limits::CACHED_LEN_MAX + 2];
                let len = packet.payload.len() + 2;
                payload[..2].copy_from_slice(&ours.seq().0.to_be_bytes());
                payload[2..len].copy_from_slice(packet.payload);
                if let Some(patch) = patch {
                    patch.apply(&mut payload[2..len]);
                }
                write(&header, self.rtx_seq.roc(), &extensions, &payload[..len], out)
            }
            // The very same bytes as the first time, so the same key and index protect nothing new.
            _ => {
                let header = self.header(packet, payload_types.media, ours, numbering);
                write_patched(&header, ours.roc(), &extensions, packet.payload, patch, out)
            }
        };
        match written {
            Some(len) => {
                self.counts.on_retransmission(packet.payload.len());
                out.counters.count(Counter::RtxOut);
                out.counters.add(Counter::RtpBytesOut, len as u64);
            }
            None => out.counters.count(Counter::TxFull),
        }
    }

    /// The peer's reception report on this consumer; the round trip, if it shows one.
    pub fn on_report(&mut self, now: Instant, block: &ReportBlock) -> Option<Duration> {
        self.counts.on_report(block);
        let sent = self.last_report.filter(|sent| sent.compact_ntp == block.last_sr)?;
        let held = rtp::ntp::compact_to_duration(block.delay_since_last_sr);
        let rtt = now.saturating_since(sent.sent_at).checked_sub(held)?;
        self.rtt = Some(rtt);
        Some(rtt)
    }

    /// The round trip to its peer, once a report has shown it.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// RTP clock ticks in a second.
    pub fn clock_rate_hz(&self) -> u32 {
        self.spec.codecs.first().map_or(90_000, |codec| codec.clock_rate_hz)
    }

    /// Our sender report: the publisher's clocks, with its RTP timestamp as our peer knows it. `None` before anything was sent,
    /// or while the publisher has not told its clocks.
    pub fn sender_info(&mut self, now: Instant, producer: &Producer) -> Option<SenderInfo> {
        if self.packet_count == 0 {
            return None;
        }
        let stream = &producer.streams[self.source_index(producer)?];
        let clock = stream.clock_at(now)?;
        self.last_report = Some(SentReport { compact_ntp: clock.ntp.compact(), sent_at: now });
        Some(SenderInfo {
            ssrc: self.ssrc(),
            ntp: clock.ntp,
            rtp_timestamp: self.rewriter.latest()?.timestamp(clock.rtp_timestamp),
            packet_count: self.packet_count,
            octet_count: self.octet_count,
        })
    }

    /// For a peer without RED, the primary block of redundant audio (RFC 2198) as the packet of Opus it would have been. The same
    /// whenever it is asked for, as the same number must not protect two payloads. What is no RED stays what it is, which nobody
    /// without RED is sent.
    fn without_copies<'a>(&self, packet: MediaPacket<'a>) -> MediaPacket<'a> {
        let Some(content) = self.red_content.filter(|_| packet.codec == Codec::Red) else { return packet };
        match rtp::red::Payload::parse(packet.payload).map(|red| red.primary) {
            Some(primary) if primary.pt == content => {
                MediaPacket { codec: Codec::Opus, payload: primary.bytes, ..packet }
            }
            _ => packet,
        }
    }

    fn payload_types_of(&self, packet: &MediaPacket<'_>) -> Option<PayloadTypes> {
        self.payload_types.iter().find(|(codec, _)| *codec == packet.codec).map(|(_, types)| *types)
    }

    /// The extensions of a packet without media.
    fn labels(&self) -> Extensions {
        let mut extensions = Extensions::new();
        let mid = self.spec.extensions.iter().find(|extension| extension.kind == ExtensionKind::Mid);
        if let (Some(extension), Some(mid)) = (mid, &self.mid) {
            extensions.push(ExtId(extension.id), mid.as_bytes());
        }
        extensions
    }

    fn extensions(
        &self,
        packet: &MediaPacket<'_>,
        numbering: &Numbering,
        out: &mut Egress<'_, impl Tx>,
    ) -> Extensions {
        let mut extensions = Extensions::new();
        for extension in &self.spec.extensions {
            let id = ExtId(extension.id);
            // One that does not fit is left out: an extension is never worth the packet.
            match (extension.kind, &self.mid) {
                (ExtensionKind::Mid, Some(mid)) => {
                    extensions.push(id, mid.as_bytes());
                }
                (ExtensionKind::DependencyDescriptor, _) => {
                    push_descriptor(&mut extensions, id, packet.descriptor, numbering);
                }
                (kind, _) => {
                    if let Some(value) = packet.carried.value(kind) {
                        extensions.push(id, value);
                    }
                }
            }
        }
        out.stamp(&self.stamps, &mut extensions);
        extensions
    }
}

/// The publisher's descriptor, with its frame's number as this consumer counts.
fn push_descriptor(extensions: &mut Extensions, id: ExtId, descriptor: &[u8], numbering: &Numbering) {
    let Some(fields) = dependency_descriptor::mandatory(descriptor) else { return };
    if !numbering.changes_frames() {
        extensions.push(id, descriptor);
        return;
    }
    let mut copy = [0; limits::DESCRIPTOR_LEN_MAX];
    let Some(copy) = copy.get_mut(..descriptor.len()) else { return };
    copy.copy_from_slice(descriptor);
    let FrameNumber(number) = numbering.frame(fields.frame_number);
    copy[1..3].copy_from_slice(&number.to_be_bytes());
    extensions.push(id, copy);
}

/// What has to be changed in a payload that all consumers share.
#[derive(Clone, Copy, Debug)]
struct Patch {
    numbers: PictureNumbers,
    offset: PictureOffset,
}

impl Patch {
    /// `None` where the payload stays as it is.
    fn of(packet: &MediaPacket<'_>, numbering: &Numbering) -> Option<Self> {
        let offset = numbering.picture;
        packet.picture.filter(|_| !offset.is_zero()).map(|numbers| Self { numbers, offset })
    }

    fn apply(&self, payload: &mut [u8]) {
        self.numbers.write(self.offset, payload);
    }
}

/// [`write`], with the payload changed on the way: in a copy of its own, which costs a tenth of the encryption.
fn write_patched(
    header: &Header,
    roc: u32,
    extensions: &Extensions,
    payload: &[u8],
    patch: Option<Patch>,
    out: &mut Egress<'_, impl Tx>,
) -> Option<usize> {
    let mut copy = [0; limits::CACHED_LEN_MAX];
    match (patch, copy.get_mut(..payload.len())) {
        (Some(patch), Some(copy)) => {
            copy.copy_from_slice(payload);
            patch.apply(copy);
            write(header, roc, extensions, copy, out)
        }
        _ => write(header, roc, extensions, payload, out),
    }
}

/// What was resent lately, so that a repeated NACK is answered once per round trip.
#[derive(Debug, Default)]
struct Resent {
    /// Allocated at the first NACK; most consumers of audio never see one.
    recent: Vec<(Seq, Instant)>,
    next: usize,
}

impl Resent {
    /// Assumed while no reception report has come: short, because a second copy costs less than a late one.
    const RTT_UNKNOWN: Duration = Duration::from_millis(30);

    /// Whether `seq` may be sent again now; if so, it counts as sent.
    fn admit(&mut self, now: Instant, seq: Seq, rtt: Duration) -> bool {
        let rtt = rtt.max(limits::RESEND_INTERVAL_MIN);
        let again = self.recent.iter().any(|(sent, at)| *sent == seq && now.saturating_since(*at) < rtt);
        if again {
            return false;
        }
        if self.recent.len() < limits::RESENDS_REMEMBERED {
            self.recent.reserve_exact(limits::RESENDS_REMEMBERED - self.recent.len());
            self.recent.push((seq, now));
        } else {
            self.recent[self.next] = (seq, now);
            self.next = (self.next + 1) % limits::RESENDS_REMEMBERED;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_nack_is_answered_once_per_round_trip() {
        let mut resent = Resent::default();
        let rtt = Duration::from_millis(50);
        let at = |ms| Instant::EPOCH + Duration::from_millis(ms);
        assert!(resent.admit(at(0), Seq(7), rtt));
        assert!(!resent.admit(at(49), Seq(7), rtt));
        assert!(resent.admit(at(49), Seq(8), rtt));
        assert!(resent.admit(at(50), Seq(7), rtt));
        for seq in 100..200 {
            assert!(resent.admit(at(60), Seq(seq), rtt));
        }
        assert_eq!(resent.recent.len(), limits::RESENDS_REMEMBERED);
    }
}
