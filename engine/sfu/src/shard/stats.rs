//! Statistics and scores: what is counted on the way of the packets, and how it is told.
//!
//! Counting is an addition to a plain field beside the state that the packet touches anyway. Telling walks from transport to
//! transport and makes one item each time the controller has room for an event, between which media flows: reading those of a
//! whole worker never keeps it longer than reading those of one object.

#[cfg(test)]
mod tests;

use crate::base::emodel::mouth_to_ear;
use crate::base::meter::Meter;
use crate::base::quality::Quality;
use crate::base::slots::Slot;
use crate::ingress::producer::Producer;
use crate::limits;
use crate::packet::media_packet::MediaPacket;
use crate::shard::Shard;
use crate::shard::plain::Plain;
use control::{
    Codec, ConsumerStats, DtlsState, Event, IceState, Kind, LayerStats, ProducerStats, RequestId, Scored,
    StatsItem, StreamStats, Text, TransportState, TransportStats,
};
use machine::Instant;
use rtcp::ReportBlock;
use std::time::Duration;

/// What came from a transport's peer and what was written for it, whatever it was. Part of the transport, so that one that takes the slot of
/// another begins with nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Datagrams taken from the peer, and from another worker where the transport is a pipe.
    pub received: Amount,
    /// Datagrams in the send batch.
    pub sent: Amount,
}

/// Datagrams and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Datagrams.
    pub packets: u64,
    /// Their UDP payload bytes.
    pub bytes: u64,
}

impl Amount {
    /// Adds a datagram.
    pub fn count(&mut self, len: usize) {
        self.packets += 1;
        self.bytes += len as u64;
    }
}

/// What is counted of a received stream.
#[derive(Clone, Debug)]
pub struct StreamCounts {
    /// Packets, once each.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Those of the packets that came by retransmission.
    pub retransmitted: u64,
    /// Packets asked for again.
    pub nacks: u64,
    /// Keyframes asked for by PLI.
    pub plis: u64,
    /// Keyframes asked for by FIR.
    pub firs: u64,
    /// Keyframes that began to arrive.
    pub keyframes: u64,
    /// Payload bytes of the last second.
    pub rate: Meter,
    /// How well it arrives.
    pub quality: Quality,
    keyframe_timestamp: Option<u32>,
    last_at: Instant,
    /// Lost under former SSRCs.
    lost_before: i32,
    /// Expected and received when the quality was assessed last.
    assessed: (u64, u64),
}

impl StreamCounts {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            packets: 0,
            bytes: 0,
            retransmitted: 0,
            nacks: 0,
            plis: 0,
            firs: 0,
            keyframes: 0,
            rate: Meter::default(),
            quality: Quality::silent(),
            keyframe_timestamp: None,
            last_at: Instant::EPOCH,
            lost_before: 0,
            assessed: (0, 0),
        }
    }

    /// One packet that is news.
    pub fn on_packet(&mut self, now: Instant, packet: &MediaPacket<'_>, is_retransmission: bool) {
        let payload_len = packet.payload.len();
        // A keyframe may begin more than once: with its parameter sets, and with its first slice.
        let is_sound = matches!(packet.codec, Codec::Opus | Codec::Red);
        if packet.starts_keyframe && !is_sound && self.keyframe_timestamp != Some(packet.timestamp) {
            self.keyframe_timestamp = Some(packet.timestamp);
            self.keyframes += 1;
        }
        self.packets += 1;
        self.bytes += payload_len as u64;
        self.retransmitted += u64::from(is_retransmission);
        self.rate.count(now, payload_len);
        self.last_at = now;
    }

    /// The stream begins anew, after so many were lost of the old one.
    pub fn restart(&mut self, lost: i32) {
        self.lost_before = self.lost_before.saturating_add(lost);
        self.assessed = (0, self.packets);
    }

    /// Packets lost before any repair, of which `lost` under the present SSRC.
    fn lost(&self, lost: i32) -> i32 {
        self.lost_before.saturating_add(lost)
    }

    /// About once a second: `expected` packets should be here since the stream began (anew), and they come with this jitter.
    fn assess(&mut self, now: Instant, kind: Kind, expected: u64, jitter: Duration) {
        if kind == Kind::Audio {
            // How long the publisher's way to us takes, nobody tells.
            self.quality.set_delay(mouth_to_ear(Duration::ZERO, jitter));
        }
        let (expected_before, received_before) = self.assessed;
        let gained = expected.saturating_sub(expected_before);
        let missing = gained as i64 - (self.packets - received_before) as i64;
        self.quality.on_interval(gained, missing);
        self.assessed = (expected, self.packets);
        // Sound may pause for as long as nobody speaks (discontinuous transmission); pictures do not.
        let has_ceased =
            kind == Kind::Video && now.saturating_since(self.last_at) > limits::SILENT_VIDEO_AFTER;
        self.quality.set_silent(self.packets == 0 || has_ceased);
    }
}

/// What is counted of a consumer, and what its peer says of it.
#[derive(Clone, Debug)]
pub struct ConsumerCounts {
    /// Packets, first transmissions.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Packets sent again.
    pub retransmitted: u64,
    /// Their payload bytes.
    pub retransmitted_bytes: u64,
    /// Packets that the peer asked for again.
    pub nacks: u64,
    /// Keyframes that the peer asked for by PLI.
    pub plis: u64,
    /// Keyframes that the peer asked for by FIR.
    pub firs: u64,
    /// Payload bytes of the last second, first transmissions.
    pub rate: Meter,
    /// How well it arrives there.
    pub quality: Quality,
    /// The peer's latest reception report.
    reported: Option<ReportBlock>,
    retransmitted_before: u64,
}

impl ConsumerCounts {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            packets: 0,
            bytes: 0,
            retransmitted: 0,
            retransmitted_bytes: 0,
            nacks: 0,
            plis: 0,
            firs: 0,
            rate: Meter::default(),
            quality: Quality::good(),
            reported: None,
            retransmitted_before: 0,
        }
    }

    /// One packet, for the first time.
    pub fn on_packet(&mut self, now: Instant, payload_len: usize) {
        self.packets += 1;
        self.bytes += payload_len as u64;
        self.rate.count(now, payload_len);
    }

    /// One packet, again.
    pub fn on_retransmission(&mut self, payload_len: usize) {
        self.retransmitted += 1;
        self.retransmitted_bytes += payload_len as u64;
    }

    /// The peer's reception report. What it calls lost is so before any repair, where repairs have a stream of their own: what
    /// was sent again in the meantime, less the share of that which is lost too, is not missing.
    pub fn on_report(&mut self, block: &ReportBlock) {
        let resent =
            self.retransmitted - std::mem::replace(&mut self.retransmitted_before, self.retransmitted);
        if let Some(before) = self.reported.replace(*block) {
            let expected = block.extended_highest_seq.wrapping_sub(before.extended_highest_seq);
            // A report from before the last, or of another numbering.
            let expected = if expected < 1 << 16 { u64::from(expected) } else { 0 };
            let lost = i64::from(block.cumulative_lost) - i64::from(before.cumulative_lost);
            let lost = lost.clamp(0, expected as i64);
            let repaired = resent as i64 * (expected as i64 - lost) / (expected as i64).max(1);
            self.quality.on_interval(expected, (lost - repaired).max(0));
        }
    }

    /// The jitter that the peer reports; zero before it has.
    pub fn jitter(&self, clock_rate_hz: u32) -> Duration {
        let ticks = self.reported.as_ref().map_or(0, |block| block.jitter);
        Duration::from_nanos(u64::from(ticks) * 1_000_000_000 / u64::from(clock_rate_hz.max(1)))
    }
}

/// Statistics under way to the controller.
#[derive(Debug)]
pub struct Walk {
    request: RequestId,
    /// When they were asked for: rates are as of then.
    asked_at: Instant,
    /// What is still to be told, the next one last. Who has closed since is passed over.
    transports: Vec<Slot>,
    objects: Vec<Object>,
}

impl Walk {
    /// The request that it answers.
    pub fn request(&self) -> RequestId {
        self.request
    }
}

#[derive(Clone, Copy, Debug)]
enum Object {
    Producer(Slot),
    Consumer(Slot),
}

impl Shard {
    /// Answers with the statistics of one object.
    pub(crate) fn answer_stats(&mut self, request: RequestId, item: Option<StatsItem>) {
        if let Some(item) = item {
            self.events.answer(Event::Stats { request, item });
        }
        self.events.answer(Event::StatsEnd { request });
    }

    /// Begins to answer with those of these transports and all that is on them, one by one as the controller has room.
    pub(crate) fn walk_stats(&mut self, now: Instant, request: RequestId, transports: Vec<Slot>) {
        self.walks.push(Walk { request, asked_at: now, transports, objects: Vec::new() });
    }

    /// The next item of the oldest walk, or its end.
    pub(crate) fn next_stats_event(&mut self) -> Option<Event> {
        let mut walk = self.walks.first_mut()?;
        let (request, now) = (walk.request, walk.asked_at);
        loop {
            let item = if let Some(object) = walk.objects.pop() {
                match object {
                    Object::Producer(slot) => self.producer_stats(now, slot),
                    Object::Consumer(slot) => self.consumer_stats(now, slot),
                }
            } else if let Some(slot) = walk.transports.pop() {
                if let Some(transport) = self.transports.find(slot) {
                    let consumers = transport.consumers.iter().rev().map(|(_, slot)| Object::Consumer(*slot));
                    walk.objects.extend(consumers);
                    walk.objects.extend(transport.producers.iter().rev().map(|slot| Object::Producer(*slot)));
                }
                self.transport_stats(now, slot)
            } else {
                self.walks.remove(0);
                return Some(Event::StatsEnd { request });
            };
            if let Some(item) = item {
                return Some(Event::Stats { request, item });
            }
            walk = self.walks.first_mut()?;
        }
    }

    pub(crate) fn transport_stats(&self, now: Instant, slot: Slot) -> Option<StatsItem> {
        let transport = self.transports.find(slot)?;
        let Traffic { received, sent } = transport.traffic;
        let remote = transport.plain().and_then(Plain::path).map(|path| path.remote);
        let without_ice = TransportState { ice: IceState::New, dtls: DtlsState::New, remote };
        Some(StatsItem::Transport(TransportStats {
            transport: transport.id,
            state: transport.state(now).unwrap_or(without_ice),
            packets_received: received.packets,
            bytes_received: received.bytes,
            packets_sent: sent.packets,
            bytes_sent: sent.bytes,
            round_trip_time_us: transport.rtt.map(micros),
            available_outgoing_bitrate_bps: transport
                .send_side
                .as_ref()
                .map(|side| bps(side.estimator.estimate_bps())),
        }))
    }

    pub(crate) fn producer_stats(&self, now: Instant, slot: Slot) -> Option<StatsItem> {
        let producer = self.producers.find(slot)?;
        let streams = producer.streams.iter().map(|stream| {
            let counts = &stream.counts;
            StreamStats {
                ssrc: stream.ssrc.map(|ssrc| ssrc.0),
                rid: stream.rid.map(|rid| Text::new(String::from_utf8_lossy(rid.as_bytes()))),
                packets_received: counts.packets,
                bytes_received: counts.bytes,
                retransmitted_packets_received: counts.retransmitted,
                packets_lost: counts.lost(stream.reception().cumulative_lost()),
                jitter_us: micros(stream.reception().jitter()),
                nack_count: counts.nacks,
                pli_count: counts.plis,
                fir_count: counts.firs,
                keyframes_received: counts.keyframes,
                bitrate_bps: rate_of(&counts.rate, now),
                layers: stream
                    .rates
                    .each(now)
                    .map(|(layers, rate)| LayerStats { layers, bitrate_bps: bps(rate) })
                    .collect(),
                score: counts.quality.score(),
            }
        });
        Some(StatsItem::Producer(ProducerStats {
            producer: producer.spec.producer,
            transport: producer.spec.transport,
            kind: producer.kind(),
            paused: producer.paused,
            streams: streams.collect(),
        }))
    }

    pub(crate) fn consumer_stats(&self, now: Instant, slot: Slot) -> Option<StatsItem> {
        let consumer = self.consumers.find(slot)?;
        let counts = &consumer.counts;
        let producer = self.producers.find(consumer.producer);
        let kind = producer.map(Producer::kind);
        let layers = producer.and_then(|producer| consumer.current_layers(producer));
        let reported = counts.reported.as_ref();
        let jitter = counts.jitter(consumer.clock_rate_hz());
        Some(StatsItem::Consumer(ConsumerStats {
            consumer: consumer.spec.consumer,
            producer: consumer.spec.producer,
            transport: consumer.spec.transport,
            paused: consumer.paused,
            ssrc: consumer.spec.ssrc,
            packets_sent: counts.packets,
            bytes_sent: counts.bytes,
            retransmitted_packets_sent: counts.retransmitted,
            retransmitted_bytes_sent: counts.retransmitted_bytes,
            nack_count: counts.nacks,
            pli_count: counts.plis,
            fir_count: counts.firs,
            bitrate_bps: rate_of(&counts.rate, now),
            layers: layers.filter(|_| kind == Some(Kind::Video)),
            packets_lost: reported.map_or(0, |block| block.cumulative_lost),
            fraction_lost: reported.map_or(0, |block| block.fraction_lost),
            jitter_us: micros(jitter),
            round_trip_time_us: consumer.rtt().map(micros),
            score: counts.quality.score(),
        }))
    }

    /// How well what this transport brings has arrived since the last time; told where that has changed.
    pub(crate) fn assess_streams(&mut self, now: Instant, slot: Slot) {
        let Some(transport) = self.transports.find(slot) else { return };
        for producer in &transport.producers {
            let Some(producer) = self.producers.find_mut(*producer).filter(|producer| !producer.paused)
            else {
                continue;
            };
            let (id, kind) = (producer.spec.producer, producer.kind());
            for (encoding, stream) in producer.streams.iter_mut().enumerate() {
                let (expected, jitter) = (stream.expected(), stream.reception().jitter());
                stream.counts.assess(now, kind, expected, jitter);
                if let Some(score) = stream.counts.quality.news(now) {
                    let of = Scored::Stream { producer: id, encoding: encoding as u8 };
                    self.events.tell(Event::Score { of, score });
                }
            }
        }
    }

    /// The same for a consumer, whose peer has just reported.
    pub(crate) fn report_score(&mut self, now: Instant, slot: Slot) {
        let Some(consumer) = self.consumers.find_mut(slot) else { return };
        if let Some(score) = consumer.counts.quality.news(now) {
            let of = Scored::Consumer { consumer: consumer.spec.consumer };
            self.events.tell(Event::Score { of, score });
        }
    }
}

fn rate_of(meter: &Meter, now: Instant) -> u32 {
    bps(meter.bps(now))
}

fn bps(bps: u64) -> u32 {
    u32::try_from(bps).unwrap_or(u32::MAX)
}

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}
