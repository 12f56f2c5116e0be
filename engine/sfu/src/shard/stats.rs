//! Reports statistics and scores.
//!
//! The packet path counts in plain fields beside the state that it changes anyway. A report of many objects
//! walks from transport to transport and creates one item each time the controller has room for an event.
//! Media continues in between: a report of a whole worker never blocks it longer than the report of one
//! object.

use crate::base::meter::Meter;
use crate::base::slots::Slot;
use crate::base::traffic::Traffic;
use crate::ingress::producer::Producer;
use crate::objects::Objects;
use crate::shard::news::{News, Object, Walk};
use crate::shard::turn::Turn;
use crate::transport::plain::Plain;
use control::{
    ConsumerStats, DtlsState, Event, IceState, Kind, LayerStats, ProducerStats, RequestId, Scored, StatsItem,
    StreamStats, Text, TransportState, TransportStats,
};
use machine::{Instant, Tx};
use std::time::Duration;

/// Answers with the statistics of one object.
pub(super) fn answer_stats(news: &mut News, request: RequestId, item: Option<StatsItem>) {
    if let Some(item) = item {
        news.answer(Event::Stats { request, item });
    }
    news.answer(Event::StatsEnd { request });
}

/// Starts to answer with the statistics of these transports and their objects, one by one as the controller
/// has room.
pub(super) fn walk_stats(news: &mut News, now: Instant, request: RequestId, transports: Vec<Slot>) {
    news.walks.push(Walk { request, asked_at: now, transports, objects: Vec::new() });
}

/// The next item of the oldest walk, or its end.
pub(super) fn next_stats_event(objects: &Objects, news: &mut News) -> Option<Event> {
    let mut walk = news.walks.first_mut()?;
    let (request, now) = (walk.request, walk.asked_at);
    loop {
        let item = if let Some(object) = walk.objects.pop() {
            match object {
                Object::Producer(slot) => producer_stats(objects, now, slot),
                Object::Consumer(slot) => consumer_stats(objects, now, slot),
            }
        } else if let Some(slot) = walk.transports.pop() {
            if let Some(transport) = objects.transports.find(slot) {
                let consumers = transport.consumers.iter().rev().map(|(_, slot)| Object::Consumer(*slot));
                walk.objects.extend(consumers);
                walk.objects.extend(transport.producers.iter().rev().map(|slot| Object::Producer(*slot)));
            }
            transport_stats(objects, now, slot)
        } else {
            news.walks.remove(0);
            return Some(Event::StatsEnd { request });
        };
        if let Some(item) = item {
            return Some(Event::Stats { request, item });
        }
        walk = news.walks.first_mut()?;
    }
}

pub(super) fn transport_stats(objects: &Objects, now: Instant, slot: Slot) -> Option<StatsItem> {
    let transport = objects.transports.find(slot)?;
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

pub(super) fn producer_stats(objects: &Objects, now: Instant, slot: Slot) -> Option<StatsItem> {
    let producer = objects.producers.find(slot)?;
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

pub(super) fn consumer_stats(objects: &Objects, now: Instant, slot: Slot) -> Option<StatsItem> {
    let consumer = objects.consumers.find(slot)?;
    let counts = &consumer.counts;
    let producer = objects.producers.find(consumer.producer);
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

/// Assesses the quality of this transport's streams since the last time; changes are reported.
pub(super) fn assess_streams(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(transport) = objects.transports.find(slot) else { return };
    for producer in &transport.producers {
        let Some(producer) = objects.producers.find_mut(*producer).filter(|producer| !producer.paused) else {
            continue;
        };
        let (id, kind) = (producer.spec.producer, producer.kind());
        for (encoding, stream) in producer.streams.iter_mut().enumerate() {
            let (expected, jitter) = (stream.expected(), stream.reception().jitter());
            stream.counts.assess(now, kind, expected, jitter);
            if let Some(score) = stream.counts.quality.take_report(now) {
                let of = Scored::Stream { producer: id, encoding: encoding as u8 };
                turn.news.notify(Event::Score { of, score });
            }
        }
    }
}

/// The same for a consumer, whose peer has just sent a report.
pub(super) fn report_score(objects: &mut Objects, turn: &mut Turn<'_, impl Tx>, slot: Slot) {
    let now = turn.now;
    let Some(consumer) = objects.consumers.find_mut(slot) else { return };
    if let Some(score) = consumer.counts.quality.take_report(now) {
        let of = Scored::Consumer { consumer: consumer.spec.consumer };
        turn.news.notify(Event::Score { of, score });
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

#[cfg(test)]
mod tests;
