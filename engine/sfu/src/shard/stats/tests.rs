//! Reading statistics costs a worker one object at a time, independent of their number.

use crate::limits;
use crate::shard::turn::NoTx;
use crate::shard::{Config, Input, Shard};
use control::{
    Codec, CodecParameters, Command, ConsumerId, CreateTransport, Event, Kind, Produce, ProducerId, Refusal,
    Request, RequestId, RouterId, StatsItem, StatsOf, Text, TransportId, fixtures,
};
use machine::{Instant, Machine, Rng};
use std::collections::BTreeSet;
use std::time::Duration;

const ROUTER: RouterId = RouterId(1);
const PRODUCER: ProducerId = ProducerId(1);
const SUBSCRIBERS: u64 = 10;
const CONSUMERS_EACH: u64 = 1_000;
const ALL_CONSUMERS: u64 = SUBSCRIBERS * CONSUMERS_EACH;

fn shard() -> Shard {
    let config = Config {
        candidates: Vec::new(),
        plain_ips: Vec::new(),
        shares_port_as: None,
        certificate: dtls::Certificate::generate(),
        dtls: dtls::Settings::new(dtls::Options::default()),
        grace_period: Duration::from_secs(60),
        consent_timeout: Some(crate::limits::ICE_CONSENT_TIMEOUT),
    };
    Shard::new(config, Rng::from_number(1))
}

fn ask(shard: &mut Shard, id: u64, command: Command) {
    let request = Request { id: RequestId(id), command };
    shard.on_command(Instant::EPOCH, Input::Request(request), &mut NoTx);
}

fn demand(shard: &mut Shard, command: Command) {
    ask(shard, 1, command);
    let answer = shard.poll_event().expect("an answer");
    assert!(matches!(answer, Event::Done { .. } | Event::TransportCreated { .. }), "{answer:?}");
}

fn codec() -> CodecParameters {
    CodecParameters { nack: true, transport_cc: true, ..fixtures::codec(Codec::Opus, 111) }
}

/// A publisher on transport 0, ten subscribers with a thousand consumers each.
fn crowd() -> Shard {
    let mut shard = shard();
    demand(&mut shard, Command::CreateRouter { router: ROUTER, app_data: Default::default() });
    for transport in 0..=SUBSCRIBERS {
        let transport = TransportId(transport);
        let create = CreateTransport { router: ROUTER, transport, app_data: Default::default() };
        demand(&mut shard, Command::CreateTransport(create));
    }
    let produce = fixtures::produce(TransportId(0), PRODUCER, codec());
    let produce = Produce { mid: Some(Text::new("0")), ..produce };
    demand(&mut shard, Command::Produce(produce));
    for consumer in 0..ALL_CONSUMERS {
        let transport = TransportId(1 + consumer / CONSUMERS_EACH);
        let (id, ssrc) = (ConsumerId(consumer), consumer as u32);
        let consume = fixtures::consume(transport, PRODUCER, id, codec(), ssrc);
        demand(&mut shard, Command::Consume(consume));
    }
    shard
}

/// The number of objects that the walk in progress still has in its list.
fn ahead(shard: &Shard) -> usize {
    shard.news.walks.first().map_or(0, |walk| walk.objects.len())
}

#[test]
fn reading_ten_thousand_consumers_is_ten_thousand_small_steps() {
    let mut shard = crowd();
    for of in [StatsOf::Worker, StatsOf::Router(ROUTER)] {
        ask(&mut shard, 7, Command::Stats { of });
        let (mut transports, mut producers, mut consumers) = (0, 0, BTreeSet::new());
        let mut polls = 0;
        loop {
            let before = ahead(&shard);
            polls += 1;
            match shard.poll_event().expect("there is an event until the end") {
                Event::Stats { request: RequestId(7), item } => {
                    // One object was converted to an event, and no other was read; a transport's own are
                    // listed by their slots.
                    match item {
                        StatsItem::Transport(_) => {
                            assert_eq!(before, 0, "the previous transport is reported completely");
                            assert!(ahead(&shard) <= limits::CONSUMERS_PER_TRANSPORT_MAX + 1);
                            transports += 1;
                        }
                        StatsItem::Producer(_) => {
                            assert_eq!(before - ahead(&shard), 1);
                            producers += 1;
                        }
                        StatsItem::Consumer(stats) => {
                            assert_eq!(before - ahead(&shard), 1);
                            assert!(consumers.insert(stats.consumer), "{} reported twice", stats.consumer);
                        }
                    }
                }
                Event::StatsEnd { request: RequestId(7) } => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((transports, producers, consumers.len() as u64), (11, 1, ALL_CONSUMERS));
        assert_eq!(polls, 11 + 1 + ALL_CONSUMERS + 1, "one event per poll");
        assert_eq!(shard.poll_event(), None);
    }
}

#[test]
fn new_events_are_reported_first_and_closed_objects_are_skipped() {
    let mut shard = crowd();
    ask(&mut shard, 7, Command::Stats { of: StatsOf::Worker });
    for _ in 0..100 {
        assert!(matches!(shard.poll_event(), Some(Event::Stats { .. })));
    }
    ask(&mut shard, 8, Command::CloseProducer { producer: PRODUCER });
    for _ in 0..ALL_CONSUMERS.min(limits::EVENTS_MAX as u64) {
        assert!(matches!(shard.poll_event(), Some(Event::ConsumerClosed { .. })));
    }
    assert_eq!(shard.poll_event(), Some(Event::Done { request: RequestId(8) }));
    let rest: Vec<Event> = std::iter::from_fn(|| shard.poll_event()).collect();
    let of_transports = |event: &Event| matches!(event, Event::Stats { item: StatsItem::Transport(_), .. });
    let others: Vec<&Event> = rest.iter().filter(|event| !of_transports(event)).collect();
    assert!(
        matches!(others[..], [Event::Overflow { .. }, Event::StatsEnd { request: RequestId(7) }]),
        "{others:?}"
    );
}

#[test]
fn walks_beyond_the_bound_are_refused_and_one_object_is_answered_at_once() {
    let mut shard = crowd();
    for id in 0..limits::STATS_WALKS_MAX as u64 {
        ask(&mut shard, id, Command::Stats { of: StatsOf::Worker });
    }
    ask(&mut shard, 77, Command::Stats { of: StatsOf::Worker });
    let refused = shard.poll_event();
    assert!(matches!(refused, Some(Event::Refused { refusal: Refusal::Limit, .. })), "{refused:?}");
    ask(&mut shard, 78, Command::Stats { of: StatsOf::Producer(PRODUCER) });
    let answered = shard.poll_event();
    let Some(Event::Stats { request: RequestId(78), item: StatsItem::Producer(stats) }) = answered else {
        panic!("{answered:?}");
    };
    assert_eq!((stats.producer, stats.transport, stats.kind), (PRODUCER, TransportId(0), Kind::Audio));
    assert_eq!(shard.poll_event(), Some(Event::StatsEnd { request: RequestId(78) }));
    ask(&mut shard, 79, Command::Stats { of: StatsOf::Consumer(ConsumerId(u64::MAX)) });
    let refused = shard.poll_event();
    assert!(matches!(refused, Some(Event::Refused { refusal: Refusal::NotFound, .. })), "{refused:?}");
    shard.on_command(Instant::EPOCH, Input::ControllerLost, &mut NoTx);
    assert_eq!(shard.poll_event(), None, "the next controller has not sent a request");
}
