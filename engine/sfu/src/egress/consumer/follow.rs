//! Which encoding a consumer follows, from which keyframe on, and which of its packets are forwarded.

use super::Consumer;
use crate::egress::layer_budget::LayerBudget;
use crate::egress::rewrite::{Beginning, LeftOut};
use crate::egress::selector::Verdict;
use crate::egress::source::Source;
use crate::egress::writer::Egress;
use crate::ingress::producer::Producer;
use crate::ingress::stream::Stream;
use crate::limits;
use crate::packet::media_packet::MediaPacket;
use control::Codec;
use machine::{Tx, meter};
use rtp::dependency_descriptor::{self, FrameNumber};
use rtp::{SeqNo, opus, red};

impl Consumer {
    /// Handles one packet of the fan-out, just received and cached in the producer's stream `index`. True if
    /// a keyframe of that stream is needed for the target layers.
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
        // A packet from before the start of the followed encoding cannot be a new start: all later packets
        // have been sent.
        let may_begin = following != Some(source) && self.may_begin(index, producer);
        if packet.starts_keyframe && may_begin && !self.is_spared(packet) {
            if !stream.can_be_caught_up(packet.seq, limits::CATCH_UP_PACKETS_MAX) {
                // It is so late that sending all later packets at once would be too much.
                return true;
            }
            self.begin(packet, producer, index, out);
            self.pass(packet, stream, source, out);
            // The keyframe's first packet may have been the lost one: the next ones are here already.
            self.catch_up(packet.seq, stream, source, out);
        } else if following.is_some()
            && let Some((seq, numbering)) = self.rewriter.place(source, packet.seq)
        {
            // A late packet from before the last change of encodings: its number is reserved.
            match self.selector.decide_late(packet, source) {
                Verdict::LeaveOut => self.fill(packet, seq, &numbering, out),
                Verdict::Forward => self.send(packet, seq, &numbering, out),
            }
        }
        false
    }

    /// Starts with a cached keyframe, with at most `packets_max` packets after its beginning, instead of
    /// waiting for the publisher's next keyframe. Returns the number of packets; 0 without such a keyframe.
    pub fn begin_from_cache(
        &mut self,
        producer: &Producer,
        packets_max: usize,
        out: &mut Egress<'_, impl Tx>,
    ) -> usize {
        // A consumer that got packets a moment ago would receive them again.
        let has_recent = self
            .rewriter
            .last_sent_at()
            .is_some_and(|at| out.now.saturating_since(at) <= limits::KEYFRAME_CACHED_AGE_MAX);
        if has_recent || self.rewriter.source().is_some() {
            return 0;
        }
        let Some(index) = self.stream_missed(producer) else { return 0 };
        let stream = &producer.streams[index];
        let first = stream.cached_keyframe(out.now, packets_max);
        let Some(packet) = first.and_then(|first| stream.cached(first)) else { return 0 };
        if !packet.starts_keyframe {
            return 0; // Its structure has been replaced.
        }
        let source = Source { stream: index as u8, epoch: stream.epoch() };
        self.begin(&packet, producer, index, out);
        self.pass(&packet, stream, source, out);
        self.catch_up(packet.seq, stream, source, out);
        stream.packets_behind(packet.seq)
    }

    /// True for comfort-noise (DTX) packets that this consumer skips. For redundant audio the primary block
    /// is checked; its copies were sent before.
    fn is_spared(&self, packet: &MediaPacket<'_>) -> bool {
        self.ignores_dtx
            && match packet.codec {
                Codec::Opus => opus::is_dtx(packet.payload),
                Codec::Red => {
                    red::Payload::parse(packet.payload).is_some_and(|red| opus::is_dtx(red.primary.bytes))
                }
                _ => false,
            }
    }

    /// Whether to follow an encoding from its keyframe on: the best available one; or, if none is followed,
    /// any one within the limits.
    fn may_begin(&self, index: usize, producer: &Producer) -> bool {
        if self.layer_budget == LayerBudget::Nothing {
            return false;
        }
        let wanted = usize::from(self.ceiling(producer).spatial);
        let is_idle = self.source_index(producer).is_none();
        producer.streams.len() == 1 || index == producer.best_stream(wanted) || (is_idle && index <= wanted)
    }

    fn begin(
        &mut self,
        packet: &MediaPacket<'_>,
        producer: &Producer,
        index: usize,
        out: &mut Egress<'_, impl Tx>,
    ) {
        let stream = &producer.streams[index];
        let source = Source { stream: index as u8, epoch: stream.epoch() };
        self.update_ceiling(producer);
        self.selector.begin(packet, source, stream.structure());
        let first = Beginning {
            seq: packet.seq,
            timestamp: packet.timestamp,
            aligned: self.align(packet.timestamp, stream, producer),
            picture: packet.picture,
            frame: frame_number(packet),
            top: self.selector.current().spatial,
        };
        self.rewriter.start(out.now, source, first);
        self.insert_parameter_sets(packet, stream, out);
    }

    /// Our timestamp for one of a stream's, by the publisher's clock: the time at which the stream followed
    /// before would have the same timestamp. `None` unless both streams' clocks are known.
    fn align(&self, timestamp: u32, stream: &Stream, producer: &Producer) -> Option<u32> {
        let before = self.rewriter.latest()?;
        let left = producer.streams.get(usize::from(before.source.stream))?;
        if left.epoch() != before.source.epoch {
            return None;
        }
        self.rewriter.clock(left.rtp_at(stream.ntp_of(timestamp)?)?)
    }

    fn catch_up(&mut self, behind: SeqNo, stream: &Stream, source: Source, out: &mut Egress<'_, impl Tx>) {
        let newest = stream.forwarded_up_to().unwrap_or(behind);
        meter::apart(limits::WORK_PER_CATCH_UP, || {
            for seq in behind.0 + 1..=newest.0 {
                meter::charge(1, 500);
                if let Some(later) = stream.cached(SeqNo(seq)) {
                    self.pass(&later, stream, source, out);
                }
            }
        });
    }

    /// A packet of the followed stream: forwarded or left out.
    fn pass(
        &mut self,
        packet: &MediaPacket<'_>,
        stream: &Stream,
        source: Source,
        out: &mut Egress<'_, impl Tx>,
    ) {
        let is_late = self.rewriter.is_late(packet.seq);
        let verdict = if self.is_spared(packet) {
            Verdict::LeaveOut
        } else {
            self.selector.decide(packet, source, is_late, stream.structure())
        };
        if !is_late {
            self.rewriter.catch_up_time(packet.timestamp, packet.seq);
            self.rewriter.set_top(self.selector.current().spatial, packet.seq);
            self.insert_parameter_sets_again(packet, stream, out);
        }
        match verdict {
            Verdict::Forward => {
                if let Some((seq, numbering)) = self.rewriter.place(source, packet.seq) {
                    self.send(packet, seq, &numbering, out);
                }
            }
            Verdict::LeaveOut => {
                let left_out = LeftOut {
                    timestamp: packet.timestamp,
                    spatial: packet.frame.layer().0,
                    picture: packet.picture,
                    closes_up: packet.codec == Codec::Vp8,
                    frame: frame_number(packet),
                };
                if let Some((hole, numbering)) = self.rewriter.leave_out(source, packet.seq, left_out) {
                    self.fill(packet, hole, &numbering, out);
                }
            }
        }
    }
}

/// The frame number of a packet with a dependency descriptor.
fn frame_number(packet: &MediaPacket<'_>) -> Option<FrameNumber> {
    dependency_descriptor::mandatory(packet.descriptor).map(|fields| fields.frame_number)
}
