//! Random commands against a naive model of the objects: every answer, every closing and every snapshot
//! matches the model.

use control::{
    AppData, Closed, Command, Consume, ConsumerId, CreatePlainTransport, CreateTransport, Event, IpFamily,
    Kind, Produce, ProducerId, Refusal, RouterId, SnapshotItem, Text, TransportId, fixtures,
};
use leat_tests::World;
use machine::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Few ids, so that commands often use the same ones.
const IDS: u32 = 5;

/// The objects, with the parameters of their creation.
#[derive(Debug, Default)]
struct Model {
    routers: BTreeMap<RouterId, AppData>,
    transports: BTreeMap<TransportId, Transport>,
    producers: BTreeMap<ProducerId, (Produce, bool)>,
    consumers: BTreeMap<ConsumerId, (Consume, bool)>,
    /// SSRCs that a transport has ever sent: none is used twice.
    sent: BTreeSet<(TransportId, u32)>,
    consumers_closed: u32,
}

/// The parameters of a transport of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Transport {
    router: RouterId,
    app_data: AppData,
    is_plain: bool,
}

/// An answer, without values that only the shard knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Transport(TransportId),
    PlainTransport(TransportId),
    Refused(Refusal),
}

impl Model {
    /// The answer to a command, and the objects that it closes.
    fn apply(&mut self, command: &Command) -> (Answer, Vec<String>) {
        match self.try_apply(command) {
            Ok((answer, closings)) => (answer, closings),
            Err(refusal) => (Answer::Refused(refusal), Vec::new()),
        }
    }

    fn try_apply(&mut self, command: &Command) -> Result<(Answer, Vec<String>), Refusal> {
        let mut closings = Vec::new();
        let mut answer = Answer::Done;
        match command.clone() {
            Command::CreateRouter { router, app_data } => match self.routers.get(&router) {
                Some(known) => same(*known == app_data)?,
                None => drop(self.routers.insert(router, app_data)),
            },
            Command::ClaimRouter { router } => drop(self.routers.get(&router).ok_or(Refusal::NotFound)?),
            Command::CloseRouter { router } => {
                self.routers.get(&router).ok_or(Refusal::NotFound)?;
                self.close_router(router, &mut closings);
            }
            Command::CreateTransport(CreateTransport { router, transport, app_data }) => {
                answer = Answer::Transport(transport);
                self.create_transport(transport, Transport { router, app_data, is_plain: false })?;
            }
            Command::CreatePlainTransport(CreatePlainTransport { router, transport, app_data, .. }) => {
                answer = Answer::PlainTransport(transport);
                self.create_transport(transport, Transport { router, app_data, is_plain: true })?;
            }
            Command::CloseTransport { transport } => {
                self.transports.get(&transport).ok_or(Refusal::NotFound)?;
                self.close_transport(transport, &mut closings);
            }
            Command::Produce(produce) => match self.producers.get(&produce.producer) {
                Some((known, _)) => same(*known == produce)?,
                None => {
                    self.transports.get(&produce.transport).ok_or(Refusal::NotFound)?;
                    let paused = produce.paused;
                    self.producers.insert(produce.producer, (produce, paused));
                }
            },
            Command::PauseProducer { producer } => self.producer(producer)?.1 = true,
            Command::ResumeProducer { producer } => self.producer(producer)?.1 = false,
            Command::CloseProducer { producer } => {
                self.producer(producer)?;
                self.close_producer(producer, &mut closings);
            }
            Command::Consume(consume) => match self.consumers.get(&consume.consumer) {
                Some((known, _)) => same(*known == consume)?,
                None => {
                    let own = self.transports.get(&consume.transport).ok_or(Refusal::NotFound)?.router;
                    let producer = self.producer(consume.producer)?.0.transport;
                    if self.transports[&producer].router != own {
                        return Err(Refusal::Invalid);
                    }
                    let ssrcs = [consume.ssrc, consume.ssrc + 1].map(|ssrc| (consume.transport, ssrc));
                    if ssrcs.iter().any(|ssrc| self.sent.contains(ssrc)) {
                        return Err(Refusal::Invalid);
                    }
                    self.sent.extend(ssrcs);
                    let paused = consume.paused;
                    self.consumers.insert(consume.consumer, (consume, paused));
                }
            },
            Command::PauseConsumer { consumer } => self.consumer(consumer)?.1 = true,
            Command::ResumeConsumer { consumer } => self.consumer(consumer)?.1 = false,
            Command::RequestKeyframe { consumer } => drop(self.consumer(consumer)?),
            Command::CloseConsumer { consumer } => {
                self.consumer(consumer)?;
                self.close_consumer(consumer, &mut closings);
            }
            other => unreachable!("{other:?} is not among the random commands"),
        }
        Ok((answer, closings))
    }

    fn create_transport(&mut self, id: TransportId, transport: Transport) -> Result<(), Refusal> {
        match self.transports.get(&id) {
            Some(known) => same(*known == transport),
            None => {
                self.routers.get(&transport.router).ok_or(Refusal::NotFound)?;
                self.transports.insert(id, transport);
                Ok(())
            }
        }
    }

    fn producer(&mut self, id: ProducerId) -> Result<&mut (Produce, bool), Refusal> {
        self.producers.get_mut(&id).ok_or(Refusal::NotFound)
    }

    fn consumer(&mut self, id: ConsumerId) -> Result<&mut (Consume, bool), Refusal> {
        self.consumers.get_mut(&id).ok_or(Refusal::NotFound)
    }

    fn close_router(&mut self, id: RouterId, closings: &mut Vec<String>) {
        let transports = self.transports.iter().filter(|(_, other)| other.router == id);
        for transport in transports.map(|(transport, _)| *transport).collect::<Vec<_>>() {
            self.close_transport(transport, closings);
        }
        self.routers.remove(&id);
        closings.push(format!("router {id}"));
    }

    fn close_transport(&mut self, id: TransportId, closings: &mut Vec<String>) {
        let producers: Vec<_> = self.producers.values().filter(|(other, _)| other.transport == id).collect();
        for producer in producers.iter().map(|(other, _)| other.producer).collect::<Vec<_>>() {
            self.close_producer(producer, closings);
        }
        let consumers: Vec<_> = self.consumers.values().filter(|(other, _)| other.transport == id).collect();
        for consumer in consumers.iter().map(|(other, _)| other.consumer).collect::<Vec<_>>() {
            self.close_consumer(consumer, closings);
        }
        self.transports.remove(&id);
        self.sent.retain(|(transport, _)| *transport != id);
        closings.push(format!("transport {id}"));
    }

    fn close_producer(&mut self, id: ProducerId, closings: &mut Vec<String>) {
        let consumers: Vec<_> = self.consumers.values().filter(|(other, _)| other.producer == id).collect();
        for consumer in consumers.iter().map(|(other, _)| other.consumer).collect::<Vec<_>>() {
            self.close_consumer(consumer, closings);
        }
        self.producers.remove(&id);
        closings.push(format!("producer {id}"));
    }

    fn close_consumer(&mut self, id: ConsumerId, closings: &mut Vec<String>) {
        self.consumers.remove(&id);
        self.consumers_closed += 1;
        closings.push(format!("consumer {id}"));
    }

    /// Everything, as a snapshot lists it.
    fn items(&self) -> Vec<String> {
        let routers = self.routers.iter().map(|(id, app_data)| format!("router {id} {:?}", app_data.0));
        let transports = self.transports.iter().map(|(id, transport)| {
            let Transport { router, app_data, is_plain } = transport;
            format!("transport {id} of {router} plain {is_plain} {:?}", app_data.0)
        });
        let producers = self.producers.values().map(|(produce, paused)| {
            format!(
                "producer {} on {} {paused} {:?}",
                produce.producer, produce.transport, produce.app_data.0
            )
        });
        let consumers = self.consumers.values().map(|(consume, paused)| {
            let Consume { consumer, transport, producer, app_data, .. } = consume;
            format!("consumer {consumer} on {transport} of {producer} {paused} {:?}", app_data.0)
        });
        sorted(routers.chain(transports).chain(producers).chain(consumers).collect())
    }
}

fn same(is_same: bool) -> Result<(), Refusal> {
    if is_same { Ok(()) } else { Err(Refusal::Exists) }
}

fn sorted(mut items: Vec<String>) -> Vec<String> {
    items.sort_unstable();
    items
}

/// The same as [`Model::items`], from the shard.
fn listed(world: &mut World) -> Vec<String> {
    let items = world.snapshot().into_iter().map(|item| match item {
        SnapshotItem::Router { router, app_data } => format!("router {router} {:?}", app_data.0),
        SnapshotItem::Transport { transport, router, app_data, .. } => {
            format!("transport {transport} of {router} plain false {:?}", app_data.0)
        }
        SnapshotItem::PlainTransport { transport, router, app_data, .. } => {
            format!("transport {transport} of {router} plain true {:?}", app_data.0)
        }
        SnapshotItem::Pipe { .. } | SnapshotItem::DataProducer { .. } | SnapshotItem::DataConsumer { .. } => {
            panic!("unexpected {item:?}")
        }
        SnapshotItem::Producer { producer, transport, paused, app_data, kind } => {
            assert_eq!(kind, Kind::Video);
            format!("producer {producer} on {transport} {paused} {:?}", app_data.0)
        }
        SnapshotItem::Consumer { consumer, transport, producer, paused, app_data } => {
            format!("consumer {consumer} on {transport} of {producer} {paused} {:?}", app_data.0)
        }
    });
    sorted(items.collect())
}

/// The shard's closing events since.
fn reported_closings(world: &World, since: usize) -> Vec<String> {
    let closings = world.events()[since..].iter().filter_map(|(_, event)| {
        let (what, closed) = match event {
            Event::RouterClosed { router, closed } => (format!("router {router}"), closed),
            Event::TransportClosed { transport, closed } => (format!("transport {transport}"), closed),
            Event::ProducerClosed { producer, closed } => (format!("producer {producer}"), closed),
            Event::ConsumerClosed { consumer, closed } => (format!("consumer {consumer}"), closed),
            _ => return None,
        };
        assert_eq!(*closed, Closed::Requested, "{world}: {what}");
        Some(what)
    });
    sorted(closings.collect())
}

/// `consumers_closed` creates new SSRCs for new consumers, and sometimes an old one.
fn random_command(rng: &mut Rng, consumers_closed: u32) -> Command {
    let generation = consumers_closed + 1 - u32::from(rng.chance(0.1));
    // In addition to those of the world itself.
    let mut id = || 1_000 + u64::from(rng.below(IDS));
    let (router, transport) = (RouterId(id()), TransportId(id()));
    let (producer, consumer) = (ProducerId(id()), ConsumerId(id()));
    let app_data = AppData(vec![rng.below(8).min(1) as u8]);
    let paused = rng.chance(0.1);
    match rng.below(60) {
        0..8 => Command::CreateRouter { router, app_data },
        8..14 => Command::CreateTransport(CreateTransport { router, transport, app_data }),
        14..18 => Command::CreatePlainTransport(create_plain(router, transport, app_data)),
        18..28 => Command::Produce(produce(transport, producer, paused, app_data)),
        28..43 => Command::Consume(consume(transport, producer, consumer, generation, app_data)),
        43 => Command::CloseRouter { router },
        44..46 => Command::CloseTransport { transport },
        46..48 => Command::CloseProducer { producer },
        48..50 => Command::CloseConsumer { consumer },
        50..52 => Command::PauseProducer { producer },
        52..54 => Command::ResumeProducer { producer },
        54..56 => Command::PauseConsumer { consumer },
        56..58 => Command::ResumeConsumer { consumer },
        58 => Command::RequestKeyframe { consumer },
        _ => Command::ClaimRouter { router },
    }
}

fn create_plain(router: RouterId, transport: TransportId, app_data: AppData) -> CreatePlainTransport {
    CreatePlainTransport {
        router,
        transport,
        family: IpFamily::V4,
        rtcp_mux: false,
        comedia: false,
        srtp: None,
        app_data,
    }
}

fn produce(transport: TransportId, producer: ProducerId, paused: bool, app_data: AppData) -> Produce {
    Produce {
        mid: Some(Text::new(producer.0.to_string())),
        paused,
        app_data,
        ..fixtures::produce(transport, producer, fixtures::vp8(96, 97))
    }
}

fn consume(
    transport: TransportId,
    producer: ProducerId,
    consumer: ConsumerId,
    generation: u32,
    app_data: AppData,
) -> Consume {
    let ssrc = consumer.0 as u32 * 100_000 + generation * 2;
    Consume {
        rtx_ssrc: Some(ssrc + 1),
        app_data,
        ..fixtures::consume(transport, producer, consumer, fixtures::vp8(96, 97), ssrc)
    }
}

#[test]
fn every_answer_closing_and_snapshot_matches_the_model() {
    for seed in 121..125 {
        let mut world = World::new(seed);
        let mut rng = Rng::from_number(seed);
        let mut model = Model::default();
        model.routers.insert(world.router(), AppData::default());
        let mut met = BTreeMap::new();
        for step in 0..4_000 {
            let command = random_command(&mut rng, model.consumers_closed);
            let context = format!("{world}, step {step}: {command:?}");
            let (expected, closings) = model.apply(&command);
            let since = world.events().len();
            let answer = match world.request(command) {
                Event::Done { .. } => Answer::Done,
                Event::TransportCreated { transport, .. } => Answer::Transport(transport),
                Event::PlainTransportCreated { transport, .. } => Answer::PlainTransport(transport),
                Event::Refused { refusal, text, .. } => {
                    assert!(!text.as_str().is_empty(), "{context}");
                    Answer::Refused(refusal)
                }
                other => panic!("{context}: {other:?}"),
            };
            assert_eq!(answer, expected, "{context}");
            assert_eq!(reported_closings(&world, since), sorted(closings), "{context}");
            if step % 40 == 0 {
                assert_eq!(listed(&mut world), model.items(), "{context}");
            }
            *met.entry(format!("{expected:?}").split('(').take(2).collect::<String>()).or_insert(0) += 1;
        }
        // The commands have met each other in every way.
        for refusal in ["RefusedNotFound)", "RefusedExists)", "RefusedInvalid)"] {
            assert!(met.get(refusal).is_some_and(|count| *count > 20), "{world}: {met:?}");
        }
        let counters = world.shard().counters();
        let counted = [
            control::Counter::Routers,
            control::Counter::Transports,
            control::Counter::Producers,
            control::Counter::Consumers,
        ]
        .map(|counter| counters.value(counter) as usize);
        let expected =
            [model.routers.len(), model.transports.len(), model.producers.len(), model.consumers.len()];
        assert_eq!(counted, expected, "{world}");
        let plain = model.transports.values().filter(|transport| transport.is_plain).count();
        assert_eq!(world.plain_sockets().len(), 2 * plain, "{world}");
    }
}
