//! A snapshot: reports all objects of the shard, one by one as the event ring has room, parents before
//! children.
//!
//! A snapshot walks the tables while media continues. An object that closes during it is reported by its own
//! event and not listed afterwards; a controller creates nothing before the snapshot's end.

use crate::limits;
use crate::objects::Objects;
use crate::shard::news::{Cursor, News, Table};
use crate::shard::targets::forget_reported_layers;
use crate::shard::timers::Timers;
use crate::transport::Link;
use control::{Event, Refusal, RequestId, SnapshotItem, Text};

/// Starts a snapshot of the shard, or refuses it if too many are waiting: each may be long, and repeated
/// requests would accumulate.
pub(super) fn begin_snapshot(news: &mut News, request: RequestId) {
    if news.snapshots.len() >= limits::SNAPSHOTS_MAX {
        let text = format!("{} snapshots are waiting already, which is the bound", limits::SNAPSHOTS_MAX);
        let (request, text) = (Some(request), Text::new(text));
        return news.answer(Event::Refused { request, refusal: Refusal::Limit, text });
    }
    news.snapshots.push(Cursor { request, table: Table::Routers, index: 0 });
}

/// The next item of the oldest snapshot, or its end.
pub(super) fn next_snapshot_event(
    objects: &mut Objects,
    timers: &mut Timers,
    news: &mut News,
) -> Option<Event> {
    let mut cursor = *news.snapshots.first()?;
    let request = cursor.request;
    loop {
        let (end, item) = match cursor.table {
            Table::Routers => (objects.routers.end(), router_item(objects, cursor.index)),
            Table::Transports => (objects.transports.end(), transport_item(objects, cursor.index)),
            Table::Producers => (objects.producers.end(), producer_item(objects, cursor.index)),
            Table::Consumers => (objects.consumers.end(), consumer_item(objects, cursor.index)),
            Table::DataProducers => (objects.data_producers.end(), data_producer_item(objects, cursor.index)),
            Table::DataConsumers => (objects.data_consumers.end(), data_consumer_item(objects, cursor.index)),
        };
        if cursor.table == Table::Producers {
            forget_reported_layers(objects, timers, cursor.index);
        }
        cursor.index += 1;
        if let Some(item) = item {
            news.snapshots[0] = cursor;
            return Some(Event::Snapshot { request, item });
        }
        if cursor.index >= end {
            cursor.index = 0;
            cursor.table = match cursor.table {
                Table::Routers => Table::Transports,
                Table::Transports => Table::Producers,
                Table::Producers => Table::Consumers,
                Table::Consumers => Table::DataProducers,
                Table::DataProducers => Table::DataConsumers,
                Table::DataConsumers => {
                    news.snapshots.remove(0);
                    return Some(Event::SnapshotEnd { request });
                }
            };
        }
    }
}

fn router_item(objects: &Objects, index: u32) -> Option<SnapshotItem> {
    let router = objects.routers.find(objects.routers.slot_at(index)?)?;
    Some(SnapshotItem::Router { router: router.id, app_data: router.app_data.clone() })
}

fn transport_item(objects: &Objects, index: u32) -> Option<SnapshotItem> {
    let transport = objects.transports.find(objects.transports.slot_at(index)?)?;
    Some(match &transport.link {
        Link::WebRtc(webrtc) => SnapshotItem::Transport {
            transport: transport.id,
            router: webrtc.spec.router,
            state: webrtc.reported,
            app_data: webrtc.spec.app_data.clone(),
        },
        Link::Plain(plain) => plain.snapshot_item(),
        Link::Pipe(pipe) => SnapshotItem::Pipe { transport: transport.id, router: pipe.spec.router },
    })
}

fn producer_item(objects: &Objects, index: u32) -> Option<SnapshotItem> {
    let producer = objects.producers.find(objects.producers.slot_at(index)?)?;
    Some(SnapshotItem::Producer {
        producer: producer.spec.producer,
        transport: producer.spec.transport,
        kind: producer.kind(),
        paused: producer.paused,
        app_data: producer.spec.app_data.clone(),
    })
}

fn consumer_item(objects: &Objects, index: u32) -> Option<SnapshotItem> {
    let consumer = objects.consumers.find(objects.consumers.slot_at(index)?)?;
    Some(SnapshotItem::Consumer {
        consumer: consumer.spec.consumer,
        transport: consumer.spec.transport,
        producer: consumer.spec.producer,
        paused: consumer.paused,
        app_data: consumer.spec.app_data.clone(),
    })
}

fn data_producer_item(objects: &Objects, index: u32) -> Option<SnapshotItem> {
    let producer = objects.data_producers.find(objects.data_producers.slot_at(index)?)?;
    Some(SnapshotItem::DataProducer {
        producer: producer.spec.producer,
        transport: producer.spec.transport,
        app_data: producer.spec.app_data.clone(),
    })
}

fn data_consumer_item(objects: &Objects, index: u32) -> Option<SnapshotItem> {
    let consumer = objects.data_consumers.find(objects.data_consumers.slot_at(index)?)?;
    Some(SnapshotItem::DataConsumer {
        consumer: consumer.spec.consumer,
        transport: consumer.spec.transport,
        producer: consumer.spec.producer,
        app_data: consumer.spec.app_data.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::{Config, Shard};
    use machine::Rng;
    use std::time::Duration;

    fn next(shard: &mut Shard) -> Option<Event> {
        next_snapshot_event(&mut shard.objects, &mut shard.timers, &mut shard.news)
    }

    #[test]
    fn snapshots_beyond_the_bound_are_refused_and_the_others_reported_in_order() {
        let config = Config {
            candidates: Vec::new(),
            plain_ips: Vec::new(),
            shares_port_as: None,
            certificate: dtls::Certificate::generate(),
            dtls: dtls::Settings::new(dtls::Options::default()),
            grace_period: Duration::from_secs(60),
            consent_timeout: Some(limits::ICE_CONSENT_TIMEOUT),
        };
        let mut shard = Shard::new(config, Rng::from_number(1));
        let beyond = limits::SNAPSHOTS_MAX as u64 + 1;
        (1..=beyond).for_each(|request| begin_snapshot(&mut shard.news, RequestId(request)));
        let refused = shard.news.events.pop().expect("an answer");
        assert!(
            matches!(refused, Event::Refused { request: Some(RequestId(request)), refusal: Refusal::Limit, .. } if request == beyond),
            "{refused:?}"
        );
        for request in (1..beyond).map(RequestId) {
            assert_eq!(next(&mut shard), Some(Event::SnapshotEnd { request }));
        }
        assert_eq!(next(&mut shard), None);
        begin_snapshot(&mut shard.news, RequestId(9));
        assert_eq!(next(&mut shard), Some(Event::SnapshotEnd { request: RequestId(9) }));
    }
}
