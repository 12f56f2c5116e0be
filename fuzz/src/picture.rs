//! A controller's naive model of a shard: the granted commands, less the reported closings. The snapshot must
//! match it, each request is answered once, and everything closes once, children before parents.

use std::collections::{BTreeMap, BTreeSet};

use control::{
    Command, Consume, ConsumerId, DataConsumerId, DataProducerId, Event, Produce, ProducerId, RequestId,
    RouterId, Scored, SnapshotItem, StatsItem, TransportId,
};
use rtp::{Pt, Ssrc};

/// The model.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    routers: BTreeSet<RouterId>,
    transports: BTreeMap<TransportId, RouterId>,
    producers: BTreeMap<ProducerId, TransportId>,
    consumers: BTreeMap<ConsumerId, (TransportId, ProducerId)>,
    data_producers: BTreeMap<DataProducerId, TransportId>,
    data_consumers: BTreeMap<DataConsumerId, (TransportId, DataProducerId)>,
    /// What may be sent on each transport: SSRC, payload types, and whether it is a retransmission stream.
    /// Grows only.
    expected: BTreeMap<(TransportId, Ssrc), (BTreeSet<Pt>, bool)>,
    asked: Option<(RequestId, Command)>,
    answers: usize,
    /// The items of the snapshot in progress.
    shown: BTreeSet<Shown>,
    /// The controller was lost: closings are not reported any more, and the next snapshot shows the rest.
    is_outdated: bool,
}

/// One object of a snapshot, by its id and its parents' ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    Router(RouterId),
    Transport(TransportId, RouterId),
    Producer(ProducerId, TransportId),
    Consumer(ConsumerId, TransportId, ProducerId),
    DataProducer(DataProducerId, TransportId),
    DataConsumer(DataConsumerId, TransportId, DataProducerId),
}

impl Picture {
    pub(crate) fn outdate(&mut self) {
        self.is_outdated = true;
    }

    pub(crate) fn has_transport(&self, transport: TransportId) -> bool {
        self.transports.contains_key(&transport)
    }

    pub(crate) fn is_outdated(&self) -> bool {
        self.is_outdated
    }

    pub(crate) fn asked(&mut self, id: RequestId, command: &Command) {
        self.asked = Some((id, command.clone()));
        self.answers = 0;
        self.shown.clear();
    }

    pub(crate) fn must_be_answered(&mut self) {
        self.is_outdated = false;
        let asked = self.asked.take();
        assert_eq!(self.answers, 1, "answers to {asked:?}");
    }

    /// Whether a packet on a transport belongs to a consumer's retransmission stream.
    pub(crate) fn check_sent(&self, transport: TransportId, ssrc: Ssrc, pt: Pt) -> bool {
        if let Some((_, Command::Consume(consume))) = &self.asked
            && (consume.transport, consume.ssrc) == (transport, ssrc.0)
        {
            // A cached keyframe is sent before the answer.
            assert!(consume.codecs.iter().any(|codec| codec.pt == pt.0), "payload type {pt} in {ssrc}");
            return false;
        }
        let Some((pts, is_repair)) = self.expected.get(&(transport, ssrc)) else {
            panic!("transport {transport} never asked for SSRC {ssrc}");
        };
        assert!(pts.contains(&pt), "transport {transport} never asked for payload type {pt} in {ssrc}");
        *is_repair
    }

    pub(crate) fn on_event(&mut self, event: Event) {
        if let Some(request) = event.request() {
            let asked = self.asked.as_ref().map(|(id, _)| *id);
            assert_eq!(Some(request), asked, "not requested: {event:?}");
            self.answers += usize::from(!matches!(event, Event::Snapshot { .. } | Event::Stats { .. }));
        }
        match event {
            Event::Done { .. } | Event::TransportCreated { .. } | Event::PlainTransportCreated { .. } => {
                self.granted();
            }
            Event::Snapshot { item, .. } => self.show(&item),
            Event::SnapshotEnd { .. } => {
                if self.is_outdated {
                    self.forget_what_is_gone();
                }
                self.compare();
            }
            Event::RouterClosed { router, .. } => {
                let held = self.transports.iter().find(|(_, of)| **of == router);
                assert_eq!(held, None, "router {router} closes before what it holds");
                assert!(self.routers.remove(&router), "router {router} closes twice");
            }
            Event::TransportClosed { transport, .. } => {
                let held = self.producers.iter().find(|(_, of)| **of == transport);
                assert_eq!(held, None, "transport {transport} closes before what it holds");
                let held = self.consumers.iter().find(|(_, (of, _))| *of == transport);
                assert_eq!(held, None, "transport {transport} closes before what it holds");
                let held = self.data_producers.values().find(|of| **of == transport);
                assert_eq!(held, None, "transport {transport} closes before what it holds");
                let held = self.data_consumers.values().find(|(of, _)| *of == transport);
                assert_eq!(held, None, "transport {transport} closes before what it holds");
                assert!(self.transports.remove(&transport).is_some(), "transport {transport} closes twice");
                self.expected.retain(|(of, _), _| *of != transport);
            }
            Event::ProducerClosed { producer, .. } => {
                let held = self.consumers.iter().find(|(_, (_, of))| *of == producer);
                assert_eq!(held, None, "producer {producer} closes before its consumers");
                assert!(self.producers.remove(&producer).is_some(), "producer {producer} closes twice");
            }
            Event::ConsumerClosed { consumer, .. } => {
                assert!(self.consumers.remove(&consumer).is_some(), "consumer {consumer} closes twice");
            }
            Event::DataProducerClosed { producer, .. } => {
                let held = self.data_consumers.iter().find(|(_, (_, of))| *of == producer);
                assert_eq!(held, None, "data producer {producer} closes before its consumers");
                assert!(
                    self.data_producers.remove(&producer).is_some(),
                    "data producer {producer} closes twice"
                );
            }
            Event::DataConsumerClosed { consumer, .. } => {
                assert!(
                    self.data_consumers.remove(&consumer).is_some(),
                    "data consumer {consumer} closes twice"
                );
            }
            Event::TransportState { transport, .. }
            | Event::PlainTransportTuple { transport, .. }
            | Event::DataChannelOpened { transport, .. } => {
                assert!(self.transports.contains_key(&transport), "transport {transport} is not there");
            }
            Event::LayersChanged { consumer, .. } => {
                assert!(self.consumers.contains_key(&consumer), "consumer {consumer} is not there");
            }
            Event::LayersWanted { producer, .. } => {
                assert!(self.producers.contains_key(&producer), "producer {producer} is not there");
            }
            Event::Speakers { router, dominant, volumes } => {
                assert!(self.routers.contains(&router), "router {router} is not there");
                for producer in dominant.into_iter().chain(volumes.iter().map(|volume| volume.producer)) {
                    assert!(self.producers.contains_key(&producer), "producer {producer} is not there");
                }
            }
            Event::Stats { item, .. } => match item {
                StatsItem::Transport(stats) => assert!(self.transports.contains_key(&stats.transport)),
                StatsItem::Producer(stats) => assert!(self.producers.contains_key(&stats.producer)),
                StatsItem::Consumer(stats) => assert!(self.consumers.contains_key(&stats.consumer)),
            },
            Event::StatsEnd { .. } => {}
            Event::Score { of: Scored::Stream { producer, .. }, .. } => {
                assert!(self.producers.contains_key(&producer), "producer {producer} is not there");
            }
            Event::Score { of: Scored::Consumer { consumer }, .. } => {
                assert!(self.consumers.contains_key(&consumer), "consumer {consumer} is not there");
            }
            Event::Overflow { lost } => panic!("{lost} events lost, though all are read at once"),
            Event::Refused { .. } | Event::IceRestarted { .. } => {}
        }
    }

    /// The requested object now exists; or it is closed, which was reported before the answer.
    fn granted(&mut self) {
        let Some((_, command)) = &self.asked else { return };
        match command.clone() {
            Command::CreateRouter { router, .. } => {
                self.routers.insert(router);
            }
            Command::CreateTransport(create) => {
                assert!(self.routers.contains(&create.router));
                self.transports.insert(create.transport, create.router);
            }
            Command::CreatePlainTransport(create) => {
                assert!(self.routers.contains(&create.router));
                self.transports.insert(create.transport, create.router);
            }
            Command::CreatePipe(create) => {
                assert!(self.routers.contains(&create.router));
                self.transports.insert(create.transport, create.router);
            }
            Command::Produce(Produce { producer, transport, .. }) => {
                assert!(self.transports.contains_key(&transport));
                self.producers.insert(producer, transport);
            }
            Command::Consume(consume) => self.consuming(&consume),
            Command::ProduceData(produce) => {
                assert!(self.transports.contains_key(&produce.transport));
                self.data_producers.insert(produce.producer, produce.transport);
            }
            Command::ConsumeData(consume) => {
                assert!(self.data_producers.contains_key(&consume.producer));
                assert!(self.transports.contains_key(&consume.transport));
                self.data_consumers.insert(consume.consumer, (consume.transport, consume.producer));
            }
            Command::CloseDataProducer { producer } => assert!(!self.data_producers.contains_key(&producer)),
            Command::CloseDataConsumer { consumer } => assert!(!self.data_consumers.contains_key(&consumer)),
            Command::CloseRouter { router } => assert!(!self.routers.contains(&router)),
            Command::CloseTransport { transport } => assert!(!self.transports.contains_key(&transport)),
            Command::CloseProducer { producer } => assert!(!self.producers.contains_key(&producer)),
            Command::CloseConsumer { consumer } => assert!(!self.consumers.contains_key(&consumer)),
            _ => {}
        }
    }

    fn consuming(&mut self, consume: &Consume) {
        assert!(self.producers.contains_key(&consume.producer));
        assert!(self.transports.contains_key(&consume.transport));
        self.consumers.insert(consume.consumer, (consume.transport, consume.producer));
        let mut expect = |ssrc: u32, pts: Vec<Pt>, is_repair| {
            let key = (consume.transport, Ssrc(ssrc));
            let entry = self.expected.entry(key).or_insert_with(|| (BTreeSet::new(), is_repair));
            entry.0.extend(pts);
        };
        expect(consume.ssrc, consume.codecs.iter().map(|codec| Pt(codec.pt)).collect(), false);
        if let Some(ssrc) = consume.rtx_ssrc {
            expect(ssrc, consume.codecs.iter().filter_map(|codec| codec.rtx_pt.map(Pt)).collect(), true);
        }
    }

    fn show(&mut self, item: &SnapshotItem) {
        let shown = match *item {
            SnapshotItem::Router { router, .. } => Shown::Router(router),
            SnapshotItem::Transport { transport, router, .. }
            | SnapshotItem::PlainTransport { transport, router, .. }
            | SnapshotItem::Pipe { transport, router, .. } => Shown::Transport(transport, router),
            SnapshotItem::Producer { producer, transport, .. } => Shown::Producer(producer, transport),
            SnapshotItem::Consumer { consumer, transport, producer, .. } => {
                Shown::Consumer(consumer, transport, producer)
            }
            SnapshotItem::DataProducer { producer, transport, .. } => {
                Shown::DataProducer(producer, transport)
            }
            SnapshotItem::DataConsumer { consumer, transport, producer, .. } => {
                Shown::DataConsumer(consumer, transport, producer)
            }
        };
        assert!(self.shown.insert(shown), "{shown:?} is shown twice");
    }

    /// Nothing new can have been created without a controller, so objects that are not shown have closed.
    fn forget_what_is_gone(&mut self) {
        let Self { shown, routers, transports, producers, consumers, expected, .. } = self;
        routers.retain(|id| shown.contains(&Shown::Router(*id)));
        transports.retain(|id, router| shown.contains(&Shown::Transport(*id, *router)));
        producers.retain(|id, transport| shown.contains(&Shown::Producer(*id, *transport)));
        consumers
            .retain(|id, (transport, producer)| shown.contains(&Shown::Consumer(*id, *transport, *producer)));
        expected.retain(|(transport, _), _| transports.contains_key(transport));
        self.data_producers.retain(|id, transport| shown.contains(&Shown::DataProducer(*id, *transport)));
        self.data_consumers.retain(|id, (transport, producer)| {
            shown.contains(&Shown::DataConsumer(*id, *transport, *producer))
        });
    }

    fn compare(&self) {
        let routers = self.routers.iter().map(|id| Shown::Router(*id));
        let transports = self.transports.iter().map(|(id, router)| Shown::Transport(*id, *router));
        let producers = self.producers.iter().map(|(id, transport)| Shown::Producer(*id, *transport));
        let consumers = self
            .consumers
            .iter()
            .map(|(id, (transport, producer))| Shown::Consumer(*id, *transport, *producer));
        let data_producers =
            self.data_producers.iter().map(|(id, transport)| Shown::DataProducer(*id, *transport));
        let data_consumers = self
            .data_consumers
            .iter()
            .map(|(id, (transport, producer))| Shown::DataConsumer(*id, *transport, *producer));
        let expected = routers.chain(transports).chain(producers).chain(consumers);
        let expected: BTreeSet<Shown> = expected.chain(data_producers).chain(data_consumers).collect();
        assert_eq!(self.shown, expected, "the snapshot against the reported objects");
    }
}
