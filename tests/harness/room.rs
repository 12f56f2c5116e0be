//! Signaling's part in a call: creates objects on the shard by commands, and notifies the peers.

use crate::capture::Capture;
use crate::decoder::Receiver;
use crate::layered::{LayeredSource, LayeredTrack};
use crate::peer::source::Source;
use crate::peer::view::View;
use crate::peer::{Introduction, Peer, sink::Sink};
use crate::track::{RED_PT_RECEIVED, received_ext, received_extensions};
use crate::world::{certificates, dtls_settings, engine_address};
use crate::{PeerId, Track, World};
use control::{
    Codec, CodecParameters, Command, Consume, ConsumeData, ConsumerId, CreatePipe, CreateTransport,
    DataChannel, DataConsumerId, DataProducerId, DataReliability, DtlsRole, Event, Extension, ExtensionKind,
    IceParameters, Kind, Layers, PeerFingerprint, Produce, ProduceData, ProducerId, Request, RequestId,
    RouterId, SnapshotItem, StatsItem, StatsOf, Text, TransportId, fixtures,
};
use dtls::Fingerprint;
use machine::Instant;
use sfu::Input;

/// For a peer that reports arrival times.
const TRANSPORT_CC: Extension =
    Extension { kind: ExtensionKind::TransportCc, id: received_ext::TRANSPORT_CC };

impl World {
    /// Sends a command to the shard; returns the answer.
    pub fn request(&mut self, command: Command) -> Event {
        let (request, events_before) = self.send_request(command);
        let mut answers = self.events()[events_before..].iter().map(|(_, event)| event);
        let answer = answers.find(|event| event.request() == Some(request)).cloned();
        answer.unwrap_or_else(|| panic!("{self}: request {request} got no answer"))
    }

    /// The shard's snapshot.
    pub fn snapshot(&mut self) -> Vec<SnapshotItem> {
        let (request, events_before) = self.send_request(Command::Snapshot);
        let mut reported = self.events()[events_before..].iter().map(|(_, event)| event);
        assert_eq!(reported.next_back(), Some(&Event::SnapshotEnd { request }), "{self}");
        reported
            .filter_map(|event| match event {
                Event::Snapshot { item, .. } => Some(item.clone()),
                _ => None,
            })
            .collect()
    }

    /// Statistics from the shard.
    pub fn stats(&mut self, of: StatsOf) -> Vec<StatsItem> {
        let (request, events_before) = self.send_request(Command::Stats { of });
        let mut reported = self.events()[events_before..].iter().map(|(_, event)| event);
        assert_eq!(reported.next_back(), Some(&Event::StatsEnd { request }), "{self}");
        reported
            .filter_map(|event| match event {
                Event::Stats { item, .. } => Some(item.clone()),
                _ => None,
            })
            .collect()
    }

    fn send_request(&mut self, command: Command) -> (RequestId, usize) {
        self.last_request.0 += 1;
        let (request, events_before) = (self.last_request, self.events().len());
        self.command(Input::Request(Request { id: request, command }));
        (request, events_before)
    }

    /// Sends a command that must succeed.
    pub fn demand(&mut self, command: Command) {
        let answer = self.request(command);
        assert!(matches!(answer, Event::Done { .. }), "{self}: {answer:?}");
    }

    /// The controller is lost.
    pub fn lose_controller(&mut self) {
        self.command(Input::ControllerLost);
    }

    /// All events of the shard so far, with their times.
    pub fn events(&self) -> &[(Instant, Event)] {
        &self.workers[self.current].events
    }

    /// The shard's events about a transport.
    pub fn events_of(&self, transport: TransportId) -> Vec<&(Instant, Event)> {
        let is_of = |event: &Event| match event {
            Event::TransportState { transport: other, .. }
            | Event::TransportClosed { transport: other, .. } => *other == transport,
            _ => false,
        };
        self.events().iter().filter(|(_, event)| is_of(event)).collect()
    }

    /// The router that peers join.
    pub fn router(&self) -> RouterId {
        self.router
    }

    /// Another router; peers continue to join the first.
    pub fn create_router(&mut self) -> RouterId {
        let router = RouterId(self.next_id());
        self.demand(Command::CreateRouter { router, app_data: Default::default() });
        router
    }

    /// A peer joins: it has a transport, and starts checks at once.
    pub fn join(&mut self) -> PeerId {
        let certificate = certificates().1.clone();
        let peer = self.join_unannounced();
        let transport = self.transport(peer);
        let fingerprint = certificate.fingerprint().0;
        self.demand(Command::ConnectTransport { transport, fingerprint });
        peer
    }

    /// A peer joins at this worker, which is selected from now on.
    pub fn join_at(&mut self, worker: usize) -> PeerId {
        self.turn_to(worker);
        let (router, app_data) = (self.router, Default::default());
        self.demand(Command::CreateRouter { router, app_data });
        self.join()
    }

    /// A peer joins that is the DTLS server: the engine is the client.
    pub fn join_as_dtls_server(&mut self) -> PeerId {
        let peer = self.join_unannounced_as(true);
        let transport = self.transport(peer);
        let fingerprint = Self::fingerprint_of_peers();
        self.demand(Command::ConnectTransportAs { transport, role: DtlsRole::Client, fingerprint });
        peer
    }

    /// The fingerprint of the certificate that all peers have.
    pub fn fingerprint_of_peers() -> PeerFingerprint {
        PeerFingerprint::Sha256(certificates().1.fingerprint().0)
    }

    /// A peer joins whose fingerprint the engine does not have yet.
    pub fn join_unannounced(&mut self) -> PeerId {
        self.join_unannounced_as(false)
    }

    /// The same, in this role of DTLS.
    pub fn join_unannounced_as(&mut self, is_dtls_server: bool) -> PeerId {
        let transport = TransportId(self.next_id());
        let create = CreateTransport { router: self.router, transport, app_data: Default::default() };
        let answer = self.request(Command::CreateTransport(create));
        let Event::TransportCreated { ice, fingerprint, .. } = answer else { panic!("{self}: {answer:?}") };
        let introduction = Introduction {
            cname: format!("peer-{}", self.members.len()),
            engine: engine_address(self.seed(), self.current),
            ice,
            fingerprint: Fingerprint(fingerprint),
            certificate: certificates().1.clone(),
            dtls: dtls_settings(),
            is_dtls_server,
        };
        let peer = Peer::new(self.now, introduction, self.rng.fork());
        self.add_member(peer, transport)
    }

    /// A peer's transport.
    pub fn transport(&self, peer: PeerId) -> TransportId {
        self.members[peer.0].transport
    }

    /// A peer publishes a track.
    pub fn publish(&mut self, peer: PeerId, track: Track) -> ProducerId {
        let producer = self.publish_unannounced(peer, track);
        let produce = self.source(producer).produce(self.transport(peer), producer);
        self.produce(peer, produce);
        producer
    }

    /// The same with other parameters of its producer.
    pub fn publish_as(
        &mut self,
        peer: PeerId,
        track: Track,
        change: impl FnOnce(Produce) -> Produce,
    ) -> ProducerId {
        let producer = self.publish_unannounced(peer, track);
        let produce = self.source(producer).produce(self.transport(peer), producer);
        self.produce(peer, change(produce));
        producer
    }

    /// A peer sends a track that the engine does not know.
    pub fn publish_unannounced(&mut self, peer: PeerId, track: Track) -> ProducerId {
        let producer = ProducerId(self.next_id());
        let rng = self.rng.fork();
        let mid = self.publishers.values().filter(|publisher| **publisher == peer).count().to_string();
        let source = Source::new(self.now, track, mid, rng);
        self.publishers.insert(producer, peer);
        self.order(peer, |peer, _| peer.send(producer, source));
        producer
    }

    /// A peer creates a data channel to send on, which both sides know by its stream.
    pub fn produce_data(&mut self, peer: PeerId, stream: u16, channel: DataChannel) -> DataProducerId {
        self.turn_to(self.members[peer.0].worker);
        let producer = DataProducerId(self.next_id());
        let (transport, app_data) = (self.transport(peer), Default::default());
        let opened = described(&channel);
        let produce = ProduceData { transport, producer, stream, channel, app_data, is_dcep: false };
        self.demand(Command::ProduceData(produce));
        self.order(peer, |peer, _| peer.channels_mut().open(stream, opened));
        producer
    }

    /// A peer creates a data channel to receive on.
    pub fn consume_data(
        &mut self,
        peer: PeerId,
        producer: DataProducerId,
        stream: u16,
        channel: DataChannel,
    ) -> DataConsumerId {
        self.turn_to(self.members[peer.0].worker);
        let consumer = DataConsumerId(self.next_id());
        let (transport, app_data) = (self.transport(peer), Default::default());
        let opened = described(&channel);
        let consume =
            ConsumeData { transport, producer, consumer, stream, channel, app_data, is_dcep: false };
        self.demand(Command::ConsumeData(consume));
        self.order(peer, |peer, _| peer.channels_mut().open(stream, opened));
        consumer
    }

    /// A peer sends a message on a data channel.
    pub fn say(&mut self, peer: PeerId, stream: u16, payload: impl Into<Vec<u8>>) {
        let payload = payload.into();
        self.order(peer, |peer, _| peer.channels_mut().send(stream, payload));
    }

    /// The payloads that a peer has received on a data channel.
    pub fn heard(&self, peer: PeerId, stream: u16) -> Vec<&[u8]> {
        let received = self.peer(peer).channels().received().iter();
        received.filter(|message| message.stream == stream).map(|message| &message.payload[..]).collect()
    }

    /// A peer subscribes to a track.
    pub fn subscribe(&mut self, peer: PeerId, producer: ProducerId) -> ConsumerId {
        let consumer = ConsumerId(self.next_id());
        let consume = self.consume(peer, producer, consumer);
        self.subscribe_by(peer, consume)
    }

    /// The same with other parameters of its consumer.
    pub fn subscribe_as(
        &mut self,
        peer: PeerId,
        producer: ProducerId,
        change: impl FnOnce(Consume) -> Consume,
    ) -> ConsumerId {
        let consumer = ConsumerId(self.next_id());
        let consume = self.consume(peer, producer, consumer);
        self.subscribe_by(peer, change(consume))
    }

    /// A peer subscribes to a track, and reports the arrival time of every packet: its rate follows its path.
    pub fn subscribe_with_feedback(&mut self, peer: PeerId, producer: ProducerId) -> ConsumerId {
        let consume = self.consume_with_feedback(peer, producer);
        self.subscribe_by(peer, consume)
    }

    /// The same as clients do it: the consumer is created paused, and resumed when the client is ready for
    /// it.
    pub fn subscribe_paused(&mut self, peer: PeerId, producer: ProducerId) -> ConsumerId {
        let consume = self.consume_with_feedback(peer, producer);
        self.subscribe_by(peer, Consume { paused: true, ..consume })
    }

    fn consume_with_feedback(&mut self, peer: PeerId, producer: ProducerId) -> Consume {
        let consumer = ConsumerId(self.next_id());
        let mut consume = self.consume(peer, producer, consumer);
        consume.extensions.push(TRANSPORT_CC);
        consume
    }

    fn subscribe_by(&mut self, peer: PeerId, consume: Consume) -> ConsumerId {
        let (consumer, producer) = (consume.consumer, consume.producer);
        let kind = self.source(producer).track().kind;
        let sink = Sink::new(self.now, kind, consume.clone());
        self.subscribers.insert(consumer, peer);
        self.order(peer, |peer, now| peer.receive(now, consumer, sink));
        self.demand_consume(peer, consume);
        consumer
    }

    /// A peer that supports RED too subscribes to a redundant track.
    pub fn subscribe_to_red(&mut self, peer: PeerId, producer: ProducerId) -> ConsumerId {
        let consumer = ConsumerId(self.next_id());
        let consume = self.consume(peer, producer, consumer);
        let red = CodecParameters { codec: Codec::Red, pt: RED_PT_RECEIVED, ..consume.codecs[0] };
        let codecs = std::iter::once(red).chain(consume.codecs.iter().copied()).collect();
        let consume = Consume { codecs, ..consume };
        let sink = Sink::new(self.now, Kind::Audio, consume.clone());
        self.subscribers.insert(consumer, peer);
        self.order(peer, |peer, now| peer.receive(now, consumer, sink));
        self.demand_consume(peer, consume);
        consumer
    }

    /// Produces a track on its publisher's worker.
    fn produce(&mut self, peer: PeerId, produce: Produce) {
        self.turn_to(self.members[peer.0].worker);
        self.produced.insert(produce.producer, produce.clone());
        self.demand(Command::Produce(produce));
    }

    /// Consumes a track on the subscriber's worker, after piping it there from another worker.
    fn demand_consume(&mut self, peer: PeerId, consume: Consume) {
        let (worker, producer) = (self.members[peer.0].worker, consume.producer);
        self.turn_to(worker);
        let origin = self.publishers.get(&producer).map(|publisher| self.members[publisher.0].worker);
        if let Some(origin) = origin.filter(|origin| *origin != worker) {
            self.pipe(producer, origin, worker);
        }
        self.demand(Command::Consume(consume));
    }

    /// Signaling's commands before a track of one worker is consumed on another.
    pub fn pipe(&mut self, producer: ProducerId, origin: usize, worker: usize) {
        self.turn_to(worker);
        let (router, produce) = (self.router, self.produced[&producer].clone());
        let create = CreatePipe { router, transport: produce.transport, worker: origin as u16 };
        self.demand(Command::CreateRouter { router, app_data: Default::default() });
        self.demand(Command::CreatePipe(create));
        self.demand(Command::Produce(produce));
    }

    /// A peer publishes a layered track.
    pub fn publish_layered(&mut self, peer: PeerId, track: LayeredTrack) -> ProducerId {
        let producer = ProducerId(self.next_id());
        let rng = self.rng.fork();
        let mid = self.publishers.values().filter(|publisher| **publisher == peer).count().to_string();
        let source = LayeredSource::new(self.now, track, mid, rng);
        self.publish_source(peer, producer, source)
    }

    /// A peer publishes a browser's capture.
    pub fn publish_captured(&mut self, peer: PeerId, capture: &Capture) -> ProducerId {
        let producer = ProducerId(self.next_id());
        let rng = self.rng.fork();
        let source = LayeredSource::captured(self.now, capture, "0".to_owned(), rng);
        self.publish_source(peer, producer, source)
    }

    fn publish_source(&mut self, peer: PeerId, producer: ProducerId, source: LayeredSource) -> ProducerId {
        let produce = source.produce(self.transport(peer), producer);
        self.publishers.insert(producer, peer);
        self.order(peer, |peer, _| peer.send_layered(producer, source));
        self.produce(peer, produce);
        producer
    }

    /// A peer subscribes to a layered track, with these preferred layers.
    pub fn subscribe_layered(
        &mut self,
        peer: PeerId,
        producer: ProducerId,
        preferred: Option<Layers>,
    ) -> ConsumerId {
        let consume = self.consume_layered(peer, producer, preferred);
        self.subscribe_layered_by(peer, consume)
    }

    /// The same for a peer that reports arrival times.
    pub fn subscribe_layered_with_feedback(&mut self, peer: PeerId, producer: ProducerId) -> ConsumerId {
        let mut consume = self.consume_layered(peer, producer, None);
        consume.extensions.push(TRANSPORT_CC);
        self.subscribe_layered_by(peer, consume)
    }

    fn consume_layered(&mut self, peer: PeerId, producer: ProducerId, preferred: Option<Layers>) -> Consume {
        let consumer = ConsumerId(self.next_id());
        let track = self.layered(producer).track().clone();
        Consume {
            codecs: vec![track.consumed_codec()],
            rtx_ssrc: track.rtx.then(|| self.rng.next_u32()),
            extensions: track.received_extensions(),
            preferred_layers: preferred,
            ..self.consume_as(peer, producer, consumer, &Track::camera())
        }
    }

    fn subscribe_layered_by(&mut self, peer: PeerId, consume: Consume) -> ConsumerId {
        let consumer = consume.consumer;
        let track = self.layered(consume.producer).track();
        let view = View::new(track.codec, track.dependency_descriptor);
        let sink = Sink::layered(self.now, consume.clone(), view);
        self.subscribers.insert(consumer, peer);
        self.order(peer, |peer, now| peer.receive(now, consumer, sink));
        self.demand_consume(peer, consume);
        consumer
    }

    /// The source of a layered track.
    pub fn layered(&self, producer: ProducerId) -> &LayeredSource {
        let publisher = self.publishers[&producer];
        self.peer(publisher).layered(producer).expect("publish_layered() gave it to this peer")
    }

    /// Changes a layered source.
    pub fn order_layered(&mut self, producer: ProducerId, order: impl FnOnce(&mut LayeredSource)) {
        let publisher = self.publishers[&producer];
        self.order(publisher, |peer, _| peer.layered_mut(producer).map(order));
    }

    /// The receiver's result for a layered track.
    pub fn receiver(&self, consumer: ConsumerId) -> &Receiver {
        self.sink(consumer).view().expect("subscribe_layered() made it").receiver()
    }

    /// The parameters of such a consumer.
    fn consume(&mut self, peer: PeerId, producer: ProducerId, consumer: ConsumerId) -> Consume {
        let track = self.source(producer).track().clone();
        self.consume_as(peer, producer, consumer, &track)
    }

    fn consume_as(
        &mut self,
        peer: PeerId,
        producer: ProducerId,
        consumer: ConsumerId,
        track: &Track,
    ) -> Consume {
        let publisher = self.publishers[&producer];
        let (transport, ssrc) = (self.transport(peer), self.rng.next_u32());
        Consume {
            mid: Some(Text::new(format!("r{}", consumer.0))),
            rtx_ssrc: track.rtx.then(|| self.rng.next_u32()),
            cname: Text::new(format!("peer-{}", publisher.0)),
            extensions: received_extensions(),
            ..fixtures::consume(transport, producer, consumer, track.consumed_codec(), ssrc)
        }
    }

    /// Every track that is sent.
    pub fn publishers(&self) -> Vec<ProducerId> {
        self.publishers.keys().copied().collect()
    }

    /// All subscriptions.
    pub fn subscriptions(&self) -> Vec<(ConsumerId, ProducerId)> {
        let subscriptions =
            self.subscribers.keys().map(|consumer| (*consumer, self.sink(*consumer).producer()));
        subscriptions.collect()
    }

    /// The source of a track.
    pub fn source(&self, producer: ProducerId) -> &Source {
        let publisher = self.publishers[&producer];
        self.peer(publisher).source(producer).expect("publish() gave it to this peer")
    }

    /// Changes a source.
    pub fn order_source(&mut self, producer: ProducerId, order: impl FnOnce(&mut Source)) {
        let publisher = self.publishers[&producer];
        self.order(publisher, |peer, _| peer.source_mut(producer).map(order));
    }

    /// The sink of a track.
    pub fn sink(&self, consumer: ConsumerId) -> &Sink {
        let subscriber = self.subscribers[&consumer];
        self.peer(subscriber).sink(consumer).expect("subscribe() gave it to this peer")
    }

    /// Changes a sink.
    pub fn order_sink(&mut self, consumer: ConsumerId, order: impl FnOnce(&mut Sink)) {
        let subscriber = self.subscribers[&consumer];
        self.order(subscriber, |peer, _| peer.sink_mut(consumer).map(order));
    }

    /// The engine makes new ICE credentials, which the peer gets at once.
    pub fn restart_ice(&mut self, peer: PeerId) {
        let ice = self.demand_ice_restart(peer);
        self.order(peer, |peer, now| peer.agent_mut().restart(now, &ice));
    }

    /// The engine makes new ICE credentials, which the peer does not get.
    pub fn demand_ice_restart(&mut self, peer: PeerId) -> IceParameters {
        let answer = self.request(Command::RestartIce { transport: self.transport(peer) });
        let Event::IceRestarted { ice, .. } = answer else { panic!("{self}: {answer:?}") };
        ice
    }

    /// Advances time until media can flow to and from all peers.
    pub fn connect(&mut self) {
        self.run_until(crate::SEC * 20, |world| {
            // A client of DTLS 1.3 has its keys before the engine.
            let shards = world.workers.iter().map(|worker| worker.shard.shard());
            let made: u64 = shards.map(|shard| shard.counters().value(control::Counter::DtlsConnected)).sum();
            let peers = world.members.iter().map(|member| &member.peer);
            peers.clone().all(|peer| peer.connected_at().is_some()) && made >= peers.count() as u64
        });
    }

    /// Every publisher stops, and packets in transit arrive or are repaired.
    pub fn finish(&mut self) {
        let producers: Vec<ProducerId> = self.publishers.keys().copied().collect();
        for producer in producers {
            self.order_source(producer, Source::stop);
            self.order_layered(producer, LayeredSource::stop);
        }
        self.run_for(crate::SEC * 2);
        let now = self.now;
        self.members.iter_mut().for_each(|member| member.peer.finish(now));
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

/// A data channel for the peer's association.
fn described(channel: &DataChannel) -> sctp::Channel {
    let limit = match channel.reliability {
        DataReliability::Reliable => sctp::Limit::Reliable,
        DataReliability::Retransmissions { max } => sctp::Limit::Retransmissions(max),
        DataReliability::Lifetime { ms } => sctp::Limit::LifetimeMs(ms),
    };
    sctp::Channel {
        label: channel.label.as_str().to_owned(),
        protocol: channel.protocol.as_str().to_owned(),
        reliability: sctp::Reliability { is_unordered: channel.is_unordered, limit },
        priority: channel.priority,
    }
}
