//! The objects of a shard and the tables to find them. Objects are added and removed only here, so that
//! tables and objects agree ([`consistency`]).

pub mod consistency;
pub mod paths;
pub mod plain_sockets;
pub mod router;

use crate::base::slots::{Slot, Slots};
use crate::egress::consumer::Consumer;
use crate::egress::data_consumer::DataConsumer;
use crate::ingress::data_producer::DataProducer;
use crate::ingress::producer::Producer;
use crate::objects::paths::Paths;
use crate::objects::plain_sockets::PlainSockets;
use crate::objects::router::Router;
use crate::transport::ice::Ufrag;
use crate::transport::sources::SsrcMeaning;
use crate::transport::{Link, Transport, WebRtc};
use control::{ConsumerId, DataConsumerId, DataProducerId, Produce, ProducerId, RouterId, TransportId};
use machine::{Rng, WorkerId};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// Tables with keys chosen by authenticated peers and by the controller. SipHash with a fixed key: a shard
/// uses no randomness except its own, and each entry costs an attacker an ICE session.
pub type Table<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// All objects of a shard. The fields are public, so that a stage can borrow several tables at once.
#[derive(Debug, Default)]
pub struct Objects {
    /// Routers.
    pub routers: Slots<Router>,
    /// Transports.
    pub transports: Slots<Transport>,
    /// Producers.
    pub producers: Slots<Producer>,
    /// Consumers.
    pub consumers: Slots<Consumer>,
    /// Data producers.
    pub data_producers: Slots<DataProducer>,
    /// Data consumers.
    pub data_consumers: Slots<DataConsumer>,
    /// Routers by their ids.
    pub router_ids: Table<RouterId, Slot>,
    /// Transports by their ids.
    pub transport_ids: Table<TransportId, Slot>,
    /// Producers by their ids.
    pub producer_ids: Table<ProducerId, Slot>,
    /// Consumers by their ids.
    pub consumer_ids: Table<ConsumerId, Slot>,
    /// Data producers by their ids.
    pub data_producer_ids: Table<DataProducerId, Slot>,
    /// Data consumers by their ids.
    pub data_consumer_ids: Table<DataConsumerId, Slot>,
    /// Transports by the addresses of their valid ICE pairs.
    pub by_path: Paths,
    /// Transports by their ICE username fragments.
    pub by_ufrag: Table<Ufrag, Slot>,
    /// The sockets of plain transports.
    pub plain_sockets: PlainSockets,
}

impl Objects {
    /// No objects, in tables in which no slot of these tables is valid.
    pub fn successor(&self) -> Self {
        Self {
            routers: self.routers.successor(),
            transports: self.transports.successor(),
            producers: self.producers.successor(),
            consumers: self.consumers.successor(),
            data_producers: self.data_producers.successor(),
            data_consumers: self.data_consumers.successor(),
            by_path: self.by_path.successor(),
            ..Self::default()
        }
    }

    /// The transports of a router.
    pub fn transports_of(&self, router: Slot) -> Vec<Slot> {
        self.routers.find(router).map_or_else(Vec::new, |router| router.transports.clone())
    }

    /// The router of a transport.
    pub fn router_of(&self, transport: Slot) -> Option<Slot> {
        self.transports.find(transport).map(|transport| transport.router)
    }

    /// The router of a producer.
    pub fn router_of_producer(&self, producer: Slot) -> Option<Slot> {
        self.router_of(self.producers.find(producer)?.transport)
    }

    /// Adds a router.
    pub fn insert_router(&mut self, router: Router) -> Slot {
        let id = router.id;
        let slot = self.routers.insert_with(|_| router);
        self.router_ids.insert(id, slot);
        slot
    }

    /// Adds a transport to its router.
    pub fn insert_transport(&mut self, id: TransportId, router: Slot, link: Link, rng: &mut Rng) -> Slot {
        let slot = self.transports.insert_with(|slot| Transport::new(id, slot, router, link, rng));
        self.transport_ids.insert(id, slot);
        if let Some(router) = self.routers.find_mut(router) {
            router.transports.push(slot);
        }
        if let Some(webrtc) = self.transports.find(slot).and_then(Transport::webrtc) {
            self.by_ufrag.insert(webrtc.ice.ufrag(), slot);
        }
        slot
    }

    /// Adds a producer to its transport, with the SSRCs that were signaled.
    pub fn insert_producer(&mut self, produce: Produce, transport: Slot, origin: Option<WorkerId>) -> Slot {
        let id = produce.producer;
        let slot = self.producers.insert_with(|_| Producer::new(produce, transport, origin));
        self.producer_ids.insert(id, slot);
        if let (Some(transport), Some(producer)) =
            (self.transports.find_mut(transport), self.producers.find(slot))
        {
            transport.producers.push(slot);
            for (index, stream) in producer.streams.iter().enumerate() {
                for (ssrc, is_retransmission) in [(stream.ssrc, false), (stream.rtx_ssrc, true)] {
                    let meaning = SsrcMeaning { producer: slot, stream: index as u8, is_retransmission };
                    if let Some(ssrc) = ssrc {
                        // There is room: the bound was checked when the producer was created.
                        transport.sources.learn(ssrc, meaning);
                    }
                }
            }
        }
        slot
    }

    /// Adds a consumer to its transport and its producer.
    pub fn insert_consumer(&mut self, consumer: Consumer) -> Slot {
        let (id, ssrc) = (consumer.spec.consumer, consumer.ssrc());
        let (transport, producer) = (consumer.transport, consumer.producer);
        let slot = self.consumers.insert_with(|_| consumer);
        self.consumer_ids.insert(id, slot);
        if let Some(transport) = self.transports.find_mut(transport) {
            transport.add_consumer(ssrc, slot);
        }
        if let Some(producer) = self.producers.find_mut(producer) {
            producer.consumers.push(slot);
        }
        slot
    }

    /// Adds a data producer, whose stream is open, or which is on a pipe.
    pub fn insert_data_producer(&mut self, producer: DataProducer) -> Slot {
        let (id, transport) = (producer.spec.producer, producer.transport);
        let slot = self.data_producers.insert_with(|_| producer);
        self.data_producer_ids.insert(id, slot);
        if let Some(pipe) = self.transports.find_mut(transport).and_then(Transport::pipe_mut) {
            pipe.data_producers.push(slot);
        }
        slot
    }

    /// Adds a data consumer, whose stream is open, to its producer.
    pub fn insert_data_consumer(&mut self, consumer: DataConsumer) -> Slot {
        let (id, producer) = (consumer.spec.consumer, consumer.producer);
        let slot = self.data_consumers.insert_with(|_| consumer);
        self.data_consumer_ids.insert(id, slot);
        if let Some(producer) = self.data_producers.find_mut(producer) {
            producer.consumers.push(slot);
        }
        slot
    }

    /// Removes a data producer, which must have no consumers, and closes its stream.
    pub fn remove_data_producer(&mut self, slot: Slot) -> Option<DataProducer> {
        let producer = self.data_producers.remove(slot)?;
        self.data_producer_ids.remove(&producer.spec.producer);
        match self.transports.find_mut(producer.transport).and_then(Transport::pipe_mut) {
            Some(pipe) => forget(&mut pipe.data_producers, slot),
            None => self.close_stream(producer.transport, producer.spec.stream),
        }
        Some(producer)
    }

    /// Removes a data consumer, and closes its stream.
    pub fn remove_data_consumer(&mut self, slot: Slot) -> Option<DataConsumer> {
        let consumer = self.data_consumers.remove(slot)?;
        self.data_consumer_ids.remove(&consumer.spec.consumer);
        if let Some(producer) = self.data_producers.find_mut(consumer.producer) {
            forget(&mut producer.consumers, slot);
        }
        self.close_stream(consumer.transport, consumer.spec.stream);
        Some(consumer)
    }

    fn close_stream(&mut self, transport: Slot, stream: u16) {
        let data = self.transports.find_mut(transport).and_then(|transport| transport.data.as_mut());
        if let Some(data) = data {
            data.close(stream);
        }
    }

    /// Removes a router, which must have no transports.
    pub fn remove_router(&mut self, slot: Slot) -> Option<Router> {
        let router = self.routers.remove(slot)?;
        self.router_ids.remove(&router.id);
        Some(router)
    }

    /// Removes a transport, which must have no producers and consumers of either kind, and closes its sockets.
    pub fn remove_transport(&mut self, slot: Slot) -> Option<Transport> {
        let transport = self.transports.remove(slot)?;
        match &transport.link {
            Link::WebRtc(WebRtc { ice, .. }) => {
                for path in ice.paths() {
                    // Another transport may have authenticated the address since.
                    if self.by_path.get(&path) == Some(&slot) {
                        self.by_path.remove(&path);
                    }
                }
                for ufrag in ice.ufrags() {
                    self.by_ufrag.remove(&ufrag);
                }
            }
            Link::Plain(plain) => self.plain_sockets.close(plain.sockets()),
            Link::Pipe(_) => {}
        }
        if let Some(router) = self.routers.find_mut(transport.router) {
            forget(&mut router.transports, slot);
        }
        self.transport_ids.remove(&transport.id);
        Some(transport)
    }

    /// Removes a producer, which must have no consumers.
    pub fn remove_producer(&mut self, slot: Slot) -> Option<Producer> {
        let producer = self.producers.remove(slot)?;
        if let Some(transport) = self.transports.find_mut(producer.transport) {
            forget(&mut transport.producers, slot);
            transport.sources.forget(slot);
        }
        self.producer_ids.remove(&producer.spec.producer);
        Some(producer)
    }

    /// Removes a consumer. The layers that it needs are still counted.
    pub fn remove_consumer(&mut self, slot: Slot) -> Option<Consumer> {
        let consumer = self.consumers.remove(slot)?;
        if let Some(producer) = self.producers.find_mut(consumer.producer) {
            forget(&mut producer.consumers, slot);
        }
        if let Some(transport) = self.transports.find_mut(consumer.transport) {
            transport.remove_consumer(consumer.ssrc());
        }
        self.consumer_ids.remove(&consumer.spec.consumer);
        Some(consumer)
    }
}

/// Removes a child from its parent's list. If all children are closed, they are closed from the end, so the
/// search starts there.
fn forget(children: &mut Vec<Slot>, child: Slot) {
    if let Some(index) = children.iter().rposition(|other| *other == child) {
        children.swap_remove(index);
    }
}
