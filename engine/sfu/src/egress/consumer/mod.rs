//! A consumer: one track that a peer receives. Follows one encoding of its producer, writes its own header over the shared
//! plaintext, encrypts it straight into the send batch, and sends again what its peer misses.

mod follow;
mod insert;
mod retransmit;
mod write;

use crate::bandwidth::{Class, Steadiness};
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
    /// Priority relative to the transport's other consumers.
    pub priority: u8,
    /// Comfort-noise (DTX) packets are left out.
    pub ignores_dtx: bool,
    /// What is counted of it.
    pub counts: ConsumerCounts,
    /// What the transport's bandwidth allows it.
    pub layer_budget: LayerBudget,
    /// When that was changed.
    pub steadiness: Steadiness,
    /// What it is to a pacer.
    class: Class,
    send_extensions: SendExtensions,
    /// What its packets say of the playout delay instead of what the publisher's say.
    playout_delay: Option<[u8; 3]>,
    selector: Selector,
    rewriter: Rewriter,
    /// Bit `n`: it wants spatial layer `n` of its producer, as the producer has counted it.
    wanted: u8,
    /// The layers it was last known to be sent.
    reported: Option<Layers>,
    mid: Option<Mid>,
    ssrc: Ssrc,
    /// The header extensions that its packets may have, of those it negotiated. Beside the rest, as the SSRC: what every packet needs is
    /// not looked for at the end of a pointer.
    extensions: [Option<Extension>; limits::EXTENSIONS_WRITTEN_MAX],
    /// The codec that its producer begins with, and its payload types.
    usual: Option<(Codec, PayloadTypes)>,
    /// Payload types of the codecs it takes.
    payload_types: Vec<(Codec, PayloadTypes)>,
    /// Our latest numbers that an empty packet took.
    filled: VecDeque<SeqNo>,
    /// The packets it was sent in addition to its producer's.
    inserted: Option<Arc<Inserted>>,
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
            steadiness: Steadiness::default(),
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

    /// Stops sending; the next packet sent will begin a keyframe.
    pub fn pause(&mut self) {
        self.paused = true;
        self.rewriter.pause();
    }

    /// Has its packets say how long their frames are to be held back. Where one may be sent again on its own stream, only before the
    /// first: its header must be the same then.
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

    /// Waits for the next keyframe: what was being followed has a hole.
    pub fn interrupt(&mut self) {
        self.rewriter.pause();
    }

    /// The highest layers it is to be sent, bandwidth permitting.
    pub fn target_layers(&self, producer: &Producer) -> Layers {
        let there =
            Layers { spatial: producer.spatial_layers() - 1, temporal: limits::TEMPORAL_LAYERS_MAX - 1 };
        self.preferred_layers.map_or(there, |preferred| Layers {
            spatial: preferred.spatial.min(there.spatial),
            temporal: preferred.temporal.min(there.temporal),
        })
    }

    /// The highest layers it may be sent, of those the producer has.
    pub fn ceiling(&self, producer: &Producer) -> Layers {
        let wanted = self.target_layers(producer);
        match self.layer_budget {
            LayerBudget::Everything => wanted,
            LayerBudget::UpTo(allowed) => lower(wanted, allowed),
            LayerBudget::Nothing => Layers::default(),
        }
    }

    /// Takes over a new ceiling. Without any bandwidth it stops at once.
    pub fn update_ceiling(&mut self, producer: &Producer) {
        let ceiling = self.ceiling(producer);
        // Of simulcast the spatial layer is the encoding, which has one layer inside.
        let spatial = if producer.streams.len() > 1 { 0 } else { ceiling.spatial };
        self.selector.set_ceiling(Layers { spatial, temporal: ceiling.temporal });
        if self.layer_budget == LayerBudget::Nothing {
            self.rewriter.pause();
        }
    }

    /// Updates the layers it wants: the former mask, and the new one.
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

    /// The layers it is counted for.
    pub fn wanted(&self) -> u8 {
        self.wanted
    }

    /// The layers it was counted for, which it wants no more.
    pub fn take_wanted(&mut self) -> u8 {
        std::mem::take(&mut self.wanted)
    }

    /// The encoding it should be following and is not, if it is to be sent anything.
    pub fn stream_missed(&self, producer: &Producer) -> Option<usize> {
        if self.paused || self.layer_budget == LayerBudget::Nothing {
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

    /// Neither paused, nor without any bandwidth.
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

    fn payload_types_of(&self, packet: &MediaPacket<'_>) -> Option<PayloadTypes> {
        let is_its = |(codec, _): &&(Codec, PayloadTypes)| *codec == packet.codec;
        let found = self.usual.as_ref().filter(is_its).or_else(|| self.payload_types.iter().find(is_its));
        found.map(|(_, types)| *types)
    }
}

/// Whether an extension of this kind is one that [`Consumer::extensions`] has a value for. The others are stamped, or only received.
fn may_be_written(kind: ExtensionKind) -> bool {
    matches!(kind, ExtensionKind::Mid | ExtensionKind::DependencyDescriptor) || Carried::travels(kind)
}
