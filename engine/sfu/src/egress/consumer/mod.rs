//! A consumer: one track that a peer receives. Follows one encoding of its producer, writes a new header for
//! the shared plaintext, encrypts it directly into the send batch, and retransmits lost packets.

mod follow;
mod insert;
mod retransmit;
mod write;

use crate::bandwidth::{Class, Hysteresis};
use crate::base::emodel::mouth_to_ear;
use crate::base::slots::Slot;
use crate::egress::counts::ConsumerCounts;
use crate::egress::layer_budget::{LayerBudget, lower};
use crate::egress::rewrite::Rewriter;
use crate::egress::selector::Selector;
use crate::egress::writer::SendExtensions;
use crate::ingress::producer::Producer;
use crate::ingress::stream::Stream;
use crate::limits;
use crate::packet::media_packet::{Carried, MediaPacket};
use control::{Codec, Consume, Extension, ExtensionKind, Kind, Layers, PlayoutDelay};
use insert::Inserted;
use machine::{Instant, Rng};
use retransmit::Resent;
use rtcp::{ReportBlock, SenderInfo};
use rtp::{Mid, Pt, SeqNo, Ssrc};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// One track for one peer.
#[derive(Debug)]
pub struct Consumer {
    /// The command that created it: distinguishes a repetition from a contradiction.
    pub spec: Box<Consume>,
    /// The transport it is sent on.
    pub transport: Slot,
    /// The producer it receives.
    pub producer: Slot,
    /// Paused: nothing is sent.
    pub paused: bool,
    /// The highest layers to send; `None` means all.
    pub preferred_layers: Option<Layers>,
    /// Priority relative to the transport's other consumers.
    pub priority: u8,
    /// Comfort-noise (DTX) packets are skipped.
    pub ignores_dtx: bool,
    /// Its counters.
    pub counts: ConsumerCounts,
    /// The layers that the transport's bandwidth allows.
    pub layer_budget: LayerBudget,
    /// The time of the last change.
    pub hysteresis: Hysteresis,
    /// Its class for the pacer.
    class: Class,
    send_extensions: SendExtensions,
    /// The playout delay in its packets, in place of the publisher's.
    playout_delay: Option<[u8; 3]>,
    selector: Selector,
    rewriter: Rewriter,
    /// Bit `n`: it needs spatial layer `n` of its producer, as counted by the producer.
    wanted: u8,
    /// The layers that were sent when last reported.
    reported: Option<Layers>,
    mid: Option<Mid>,
    ssrc: Ssrc,
    /// The negotiated header extensions that its packets may have. Stored inline, like the SSRC: every packet
    /// needs them, so they are not behind a pointer.
    extensions: [Option<Extension>; limits::EXTENSIONS_WRITTEN_MAX],
    /// The codec that its producer starts with, and its payload types.
    usual: Option<(Codec, PayloadTypes)>,
    /// Payload types of the codecs it accepts.
    payload_types: Vec<(Codec, PayloadTypes)>,
    /// Our latest numbers that were used by an empty packet.
    filled: VecDeque<SeqNo>,
    /// The packets it got in addition to its producer's.
    inserted: Option<Arc<Inserted>>,
    /// It accepts Opus but not RED: the payload type of the content of the publisher's RED.
    red_content: Option<Pt>,
    rtx_seq: SeqNo,
    resent: Resent,
    /// Payload bytes that may still be retransmitted; see [`limits::RESEND_CREDIT_MAX`].
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

/// Our latest sender report, to be recognised in the peer's reception report.
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
        let payload_types: Vec<_> = payload_types.collect();
        let of_codec = |codec: Codec| payload_types.iter().find(|(taken, _)| *taken == codec);
        let first = producer.codecs().first().and_then(|first| of_codec(first.codec));
        let usual = first.copied();
        let mut extensions = [None; limits::EXTENSIONS_WRITTEN_MAX];
        let written = spec.extensions.iter().filter(|extension| may_be_written(extension.kind));
        extensions.iter_mut().zip(written).for_each(|(place, extension)| *place = Some(*extension));
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
            ignores_dtx: false,
            counts: ConsumerCounts::new(),
            layer_budget: LayerBudget::default(),
            hysteresis: Hysteresis::default(),
            class: if producer.kind() == Kind::Audio { Class::Audio } else { Class::Video },
            send_extensions: SendExtensions::of(&spec),
            playout_delay: None,
            selector: Selector::new(Layers::default()),
            rewriter: Rewriter::new(rng, clock_rate_hz),
            wanted: 0,
            reported: None,
            mid: spec.mid.as_ref().and_then(|mid| Mid::new(mid.as_str().as_bytes())),
            ssrc: Ssrc(spec.ssrc),
            extensions,
            usual,
            payload_types,
            filled: VecDeque::new(),
            inserted: None,
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
        self.ssrc
    }

    /// Stops sending; the next packet sent begins a keyframe.
    pub fn pause(&mut self) {
        self.paused = true;
        self.rewriter.pause();
    }

    /// Sets the playout delay in its packets. If packets may be retransmitted on their own stream, only
    /// before the first one: their headers must not change.
    pub fn set_playout_delay(&mut self, delay: Option<PlayoutDelay>) -> Result<(), String> {
        let value = delay.map(|PlayoutDelay { min_ms, max_ms }| {
            let [min, max] = [min_ms, max_ms].map(|ms| Duration::from_millis(ms.into()));
            rtp::ext::playout_delay::write(rtp::ext::playout_delay::PlayoutDelay { min, max })
        });
        if value != self.playout_delay && self.packet_count > 0 && !self.send_extensions.may_vary() {
            return Err(
                "the playout delay of a consumer without RTX is set before its first packet".to_owned()
            );
        }
        self.playout_delay = value;
        Ok(())
    }

    /// Waits for the next keyframe, because packets of the followed encoding are missing.
    pub fn interrupt(&mut self) {
        self.rewriter.pause();
    }

    /// The highest layers to send, bandwidth permitting.
    pub fn target_layers(&self, producer: &Producer) -> Layers {
        let there =
            Layers { spatial: producer.spatial_layers() - 1, temporal: limits::TEMPORAL_LAYERS_MAX - 1 };
        self.preferred_layers.map_or(there, |preferred| Layers {
            spatial: preferred.spatial.min(there.spatial),
            temporal: preferred.temporal.min(there.temporal),
        })
    }

    /// The highest layers that may be sent, of those the producer has.
    pub fn ceiling(&self, producer: &Producer) -> Layers {
        let wanted = self.target_layers(producer);
        match self.layer_budget {
            LayerBudget::Everything => wanted,
            LayerBudget::UpTo(allowed) => lower(wanted, allowed),
            LayerBudget::Nothing => Layers::default(),
        }
    }

    /// Applies a new ceiling. Without any bandwidth it stops at once.
    pub fn update_ceiling(&mut self, producer: &Producer) {
        let ceiling = self.ceiling(producer);
        // For simulcast the spatial layer is the encoding, which has one layer.
        let spatial = if producer.streams.len() > 1 { 0 } else { ceiling.spatial };
        self.selector.set_ceiling(Layers { spatial, temporal: ceiling.temporal });
        if self.layer_budget == LayerBudget::Nothing {
            self.rewriter.pause();
        }
    }

    /// Updates the layers it needs: returns the former mask and the new one.
    pub fn replace_wanted(&mut self, producer: &Producer) -> (u8, u8) {
        let ceiling = usize::from(self.ceiling(producer).spatial);
        let wanted = match producer.streams.len() {
            _ if self.paused => 0,
            // All lower layers are needed too.
            1 => u8::MAX >> (7 - ceiling.min(7)),
            // The encoding it follows until then is not counted: it stays for as long as the change should
            // take.
            _ => 1 << ceiling,
        };
        (std::mem::replace(&mut self.wanted, wanted), wanted)
    }

    /// The layers for which it is counted.
    pub fn wanted(&self) -> u8 {
        self.wanted
    }

    /// The layers for which it was counted, and is not any more.
    pub fn take_wanted(&mut self) -> u8 {
        std::mem::take(&mut self.wanted)
    }

    /// The encoding it should follow but does not, if it is to be sent at all.
    pub fn stream_missed(&self, producer: &Producer) -> Option<usize> {
        if self.paused || self.layer_budget == LayerBudget::Nothing {
            return None;
        }
        let best = producer.best_stream(usize::from(self.ceiling(producer).spatial));
        (self.source_index(producer) != Some(best)).then_some(best)
    }

    /// The encoding whose keyframe it needs now.
    pub fn stream_of_interest(&self, producer: &Producer) -> usize {
        let best = || producer.best_stream(usize::from(self.ceiling(producer).spatial));
        self.source_index(producer).unwrap_or_else(best)
    }

    /// The followed encoding, if its epoch has not changed.
    fn source_index(&self, producer: &Producer) -> Option<usize> {
        let source = self.rewriter.source()?;
        let index = usize::from(source.stream);
        producer.streams.get(index).filter(|stream| stream.epoch() == source.epoch).map(|_| index)
    }

    /// The layers that are sent; `None` if none is.
    pub fn current_layers(&self, producer: &Producer) -> Option<Layers> {
        let index = self.source_index(producer)?;
        let inside = self.selector.current();
        let spatial = if producer.streams.len() > 1 { index as u8 } else { inside.spatial };
        let temporal = inside.temporal.min(producer.temporal_layers() - 1);
        Some(Layers { spatial: spatial.min(producer.spatial_layers() - 1), temporal })
    }

    /// The layers that are sent, if they have changed since the last call.
    pub fn take_changed_layers(&mut self, producer: &Producer) -> Option<Option<Layers>> {
        let current = self.current_layers(producer);
        (std::mem::replace(&mut self.reported, current) != current).then_some(current)
    }

    /// Whether it is neither paused nor without bandwidth.
    pub fn is_sending(&self) -> bool {
        !self.paused && self.layer_budget != LayerBudget::Nothing
    }

    /// Whether its packets carry transport-wide numbers.
    pub fn is_numbered(&self) -> bool {
        self.send_extensions.has_number()
    }

    /// The peer's reception report on this consumer; the round trip, if it shows one.
    pub fn on_report(&mut self, now: Instant, block: &ReportBlock) -> Option<Duration> {
        self.counts.on_report(block);
        if self.class == Class::Audio {
            let one_way = self.rtt.unwrap_or_default() / 2;
            self.counts.quality.set_delay(mouth_to_ear(one_way, self.counts.jitter(self.clock_rate_hz())));
        }
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

    /// RTP clock ticks per second.
    pub fn clock_rate_hz(&self) -> u32 {
        self.spec.codecs.first().map_or(90_000, |codec| codec.clock_rate_hz)
    }

    /// Our sender report: the publisher's clocks, with the RTP timestamp that our peer sees. `None` before a
    /// packet was sent, or while the publisher's clocks are unknown.
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

    fn payload_types_of(&self, packet: &MediaPacket<'_>) -> Option<PayloadTypes> {
        let is_its = |(codec, _): &&(Codec, PayloadTypes)| *codec == packet.codec;
        let found = self.usual.as_ref().filter(is_its).or_else(|| self.payload_types.iter().find(is_its));
        found.map(|(_, types)| *types)
    }
}

/// Whether [`Consumer::extensions`] can have a value for this kind. The others are set when sending, or only
/// received.
fn may_be_written(kind: ExtensionKind) -> bool {
    matches!(kind, ExtensionKind::Mid | ExtensionKind::DependencyDescriptor) || Carried::is_forwarded(kind)
}
