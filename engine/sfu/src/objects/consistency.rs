//! Whether the tables of a shard agree with each other.
//!
//! After a panic this decides whether the shard can continue. Tests and fuzzers call it after every step. It
//! walks over all objects, so the packet path must not call it.

use crate::base::slots::{Slot, Slots};
use crate::objects::Objects;
use crate::objects::plain_sockets::SocketSlot;
use crate::transport::data::Use;
use crate::transport::ice::Ufrag;
use crate::transport::{Link, Transport};
use control::{Counter, Counters};
use machine::{LocalId, Path};
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash};

/// `Err` names the inconsistency.
pub type Checked = Result<(), String>;

impl Objects {
    /// Walks over all tables. `Err` names the inconsistency.
    pub fn check_consistency(&self, counters: &Counters) -> Checked {
        self.check_ids()?;
        self.check_counts(counters)?;
        self.check_transports()?;
        self.check_producers()?;
        self.check_consumers()?;
        self.check_data()?;
        self.check_addresses()
    }

    fn check_ids(&self) -> Checked {
        check_table("router", &self.router_ids, &self.routers, |router| router.id)?;
        check_table("transport", &self.transport_ids, &self.transports, |transport| transport.id)?;
        check_table("producer", &self.producer_ids, &self.producers, |producer| producer.spec.producer)?;
        check_table("consumer", &self.consumer_ids, &self.consumers, |consumer| consumer.spec.consumer)?;
        check_table("data producer", &self.data_producer_ids, &self.data_producers, |data| {
            data.spec.producer
        })?;
        check_table("data consumer", &self.data_consumer_ids, &self.data_consumers, |data| data.spec.consumer)
    }

    fn check_counts(&self, counters: &Counters) -> Checked {
        for (counter, len) in [
            (Counter::Routers, self.routers.len()),
            (Counter::Transports, self.transports.len()),
            (Counter::Producers, self.producers.len()),
            (Counter::Consumers, self.consumers.len()),
            (Counter::DataProducers, self.data_producers.len()),
            (Counter::DataConsumers, self.data_consumers.len()),
        ] {
            let counted = counters.value(counter);
            expect(counted == len as u64, || {
                format!("{len} {} exist, {counted} are counted", counter.name())
            })?;
        }
        Ok(())
    }

    fn check_transports(&self) -> Checked {
        for (slot, router) in self.routers.iter() {
            for transport in &router.transports {
                let of = self.transports.find(*transport).map(|transport| transport.router);
                expect(of == Some(slot), || format!("router {} lists a transport of another", router.id))?;
            }
        }
        for (slot, transport) in self.transports.iter() {
            let id = transport.id;
            expect(transport.slot == slot, || format!("transport {id} has another slot"))?;
            let router = self.routers.find(transport.router);
            let lists = router.map_or(&[][..], |router| &router.transports);
            expect(is_once(lists, slot), || format!("transport {id} is not listed once by its router"))?;
            for producer in &transport.producers {
                let of = self.producers.find(*producer).map(|producer| producer.transport);
                expect(of == Some(slot), || format!("transport {id} lists a producer of another"))?;
            }
            for (ssrc, consumer) in &transport.consumers {
                let found = self.consumers.find(*consumer);
                let is_own = found.is_some_and(|found| found.transport == slot && found.ssrc() == *ssrc);
                expect(is_own, || format!("transport {id} lists a consumer of another, or by another SSRC"))?;
            }
            let is_sorted = transport.consumers.is_sorted_by_key(|(ssrc, _)| *ssrc);
            expect(is_sorted, || format!("transport {id} does not list its consumers in order"))?;
            for producer in transport.sources.producers() {
                let is_own = transport.producers.contains(&producer);
                expect(is_own, || format!("transport {id} has an SSRC of a producer it does not have"))?;
            }
        }
        Ok(())
    }

    fn check_producers(&self) -> Checked {
        for (slot, producer) in self.producers.iter() {
            let id = producer.spec.producer;
            let transport = self.transports.find(producer.transport);
            let lists = transport.map_or(&[][..], |transport| &transport.producers);
            expect(is_once(lists, slot), || format!("producer {id} is not listed once by its transport"))?;
            let is_piped = transport.is_some_and(|transport| transport.pipe().is_some());
            let says_so = producer.pipe_source.is_some();
            expect(is_piped == says_so, || format!("producer {id} is piped or not, unlike its transport"))?;
            let mut wanted = vec![0; usize::from(producer.spatial_layers())];
            let mut count = |mask: u8| {
                wanted
                    .iter_mut()
                    .enumerate()
                    .for_each(|(layer, count)| *count += u32::from(mask >> layer & 1));
            };
            for consumer in &producer.consumers {
                let found = self.consumers.find(*consumer).filter(|found| found.producer == slot);
                expect(found.is_some(), || format!("producer {id} lists a consumer of another"))?;
                count(found.map_or(0, |found| found.wanted()));
            }
            producer.subscribers.iter().for_each(|subscriber| count(subscriber.wanted));
            let counted = producer.layer_demand.counts();
            expect(counted == wanted, || {
                format!("layers of producer {id} have {wanted:?} consumers, but {counted:?} are counted")
            })?;
        }
        Ok(())
    }

    fn check_consumers(&self) -> Checked {
        for (slot, consumer) in self.consumers.iter() {
            let id = consumer.spec.consumer;
            let producer = self.producers.find(consumer.producer);
            let lists = producer.map_or(&[][..], |producer| &producer.consumers);
            expect(lists.contains(&slot), || format!("consumer {id} is not listed by its producer"))?;
            let transport = self.transports.find(consumer.transport);
            let listed = transport.and_then(|transport| transport.consumer(consumer.ssrc()));
            expect(listed == Some(slot), || format!("consumer {id} is not listed by its transport"))?;
        }
        // Each list has existing objects, and the totals are equal: so nothing is listed twice.
        let listed: usize = self.producers.iter().map(|(_, producer)| producer.consumers.len()).sum();
        expect(listed == self.consumers.len(), || format!("producers list {listed} consumers"))?;
        let listed: usize = self.transports.iter().map(|(_, transport)| transport.consumers.len()).sum();
        expect(listed == self.consumers.len(), || format!("transports list {listed} consumers"))
    }

    fn check_data(&self) -> Checked {
        for (_, transport) in self.transports.iter() {
            let id = transport.id;
            for (stream, by) in transport.data.iter().flat_map(|data| &data.uses) {
                let (of, spec) = match by {
                    Use::Producer(slot) => {
                        self.data_producers.find(*slot).map(|found| (found.transport, found.spec.stream))
                    }
                    Use::Consumer(slot) => {
                        self.data_consumers.find(*slot).map(|found| (found.transport, found.spec.stream))
                    }
                }
                .unzip();
                let is_own = (of, spec) == (Some(transport.slot), Some(stream.0));
                expect(is_own, || format!("stream {stream:?} of transport {id} belongs to another channel"))?;
            }
        }
        for (_, transport) in self.transports.iter() {
            for producer in transport.pipe().iter().flat_map(|pipe| &pipe.data_producers) {
                let of = self.data_producers.find(*producer).map(|found| found.transport);
                let id = transport.id;
                expect(of == Some(transport.slot), || format!("pipe {id} lists a data producer of another"))?;
            }
        }
        // Each use and each entry of a pipe leads to a channel of its own, and the totals are equal.
        let places = |transport: &Transport| {
            let streams = transport.data.as_ref().map_or(0, |data| data.uses.len());
            streams + transport.pipe().map_or(0, |pipe| pipe.data_producers.len())
        };
        let used: usize = self.transports.iter().map(|(_, transport)| places(transport)).sum();
        let channels = self.data_producers.len() + self.data_consumers.len();
        expect(used == channels, || format!("{channels} data channels have {used} streams or pipes"))?;
        for (slot, producer) in self.data_producers.iter() {
            let is_piped =
                self.transports.find(producer.transport).is_some_and(|found| found.pipe().is_some());
            expect(is_piped == producer.pipe_source.is_some(), || {
                format!("data producer {} is piped or not, unlike its transport", producer.spec.producer)
            })?;
            for consumer in &producer.consumers {
                let of = self.data_consumers.find(*consumer).map(|consumer| consumer.producer);
                let id = producer.spec.producer;
                expect(of == Some(slot), || format!("data producer {id} lists a consumer of another"))?;
            }
        }
        let listed: usize = self.data_producers.iter().map(|(_, producer)| producer.consumers.len()).sum();
        expect(listed == self.data_consumers.len(), || format!("data producers list {listed} consumers"))
    }

    fn check_addresses(&self) -> Checked {
        for (path, slot) in self.by_path.iter() {
            let has = |path: &Path| {
                let webrtc = self.transports.find(*slot).and_then(Transport::webrtc);
                webrtc.is_some_and(|webrtc| webrtc.ice.paths().any(|own| own == *path))
            };
            expect(has(path), || format!("address {path:?} belongs to a transport that does not have it"))?;
        }
        for (ufrag, slot) in &self.by_ufrag {
            let has = |ufrag: &Ufrag| {
                let webrtc = self.transports.find(*slot).and_then(Transport::webrtc);
                webrtc.is_some_and(|webrtc| webrtc.ice.ufrags().any(|own| own == *ufrag))
            };
            expect(has(ufrag), || "a username fragment belongs to a transport that does not have it".into())?;
        }
        for (_, transport) in self.transports.iter() {
            let id = transport.id;
            match &transport.link {
                Link::WebRtc(webrtc) => {
                    let is_known = webrtc.ice.ufrags().all(|ufrag| self.by_ufrag.contains_key(&ufrag));
                    expect(is_known, || {
                        format!("transport {id} has a username fragment that is not in the table")
                    })?;
                }
                Link::Plain(plain) => {
                    for local in plain.sockets() {
                        let owner = self.plain_sockets.owner(local);
                        let is_own = owner == Some(transport.slot);
                        expect(is_own, || format!("a socket of transport {id} belongs to another one"))?;
                    }
                }
                Link::Pipe(_) => {}
            }
        }
        for (local, ear) in self.plain_sockets.iter() {
            let (SocketSlot::Rtp(slot) | SocketSlot::Rtcp(slot)) = ear else { continue };
            let plain = self.transports.find(slot).and_then(Transport::plain);
            let has = |local: LocalId| plain.is_some_and(|plain| plain.sockets().any(|own| own == local));
            expect(has(local), || format!("socket {local:?} belongs to a transport that does not have it"))?;
        }
        Ok(())
    }
}

fn check_table<K: Copy + Eq + Hash + Debug, T>(
    what: &str,
    ids: &HashMap<K, Slot, impl BuildHasher>,
    slots: &Slots<T>,
    id: impl Fn(&T) -> K,
) -> Checked {
    for (known, slot) in ids {
        let found = slots.find(*slot).map(&id);
        expect(found == Some(*known), || format!("{what} {known:?} leads to {found:?}"))?;
    }
    let (ids, len) = (ids.len(), slots.len());
    expect(ids == len, || format!("{len} objects have {ids} ids: {what}"))
}

fn is_once(list: &[Slot], slot: Slot) -> bool {
    list.iter().filter(|listed| **listed == slot).count() == 1
}

fn expect(is_so: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if is_so { Ok(()) } else { Err(otherwise()) }
}
