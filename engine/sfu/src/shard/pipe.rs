//! Pipes: a room over several workers of one engine.
//!
//! A producer lives where its publisher is. A worker that has consumers for it has a second one, by the same id and with the same
//! parameters, on a transport without a peer, a [`Pipe`]. Each packet crosses once, as it came and decrypted, and is there received, cached and
//! given out like any other; NACKs are answered from the cache of the worker that they come to. What cannot be had there is asked of
//! the origin: keyframes, through its governor, and layers, as those of one consumer more.
//!
//! The taker subscribes, and goes on saying so; the origin answers each time with all that the taker must know. So any message may be lost,
//! and nothing is ever waited for.

use crate::base::slots::Slot;
use crate::ingress::producer::{Producer, Received, Role};
use crate::ingress::stream::Stream;
use crate::limits;
use crate::pipe::message::PipeMessage;
use crate::shard::Shard;
use crate::shard::commands::{Refused, check_limit, same_or_exists};
use crate::transport::{Link, Transport};
use control::{Closed, Codec, ContentHint, Counter, Counters, CreatePipe, Discard, Kind, ProducerId, Stage};
use machine::{Instant, Tx, WorkerId, meter};
use rtp::dependency_descriptor;

/// A transport without a peer: what is produced on it comes from another worker.
#[derive(Debug)]
pub struct Pipe {
    /// The command that made it: tells a repetition from a contradiction.
    pub spec: CreatePipe,
}

impl Pipe {
    /// Where everything on it comes from.
    pub fn origin(&self) -> WorkerId {
        WorkerId(self.spec.worker)
    }
}

/// What a piped producer has beside others.
#[derive(Debug)]
pub struct PipeSource {
    origin: WorkerId,
    /// The origin was told that it is taken here.
    is_subscribed: bool,
    /// The layers that the origin was told are wanted.
    told: u8,
    /// The origin has answered.
    is_confirmed: bool,
    /// When to subscribe (again).
    due: Instant,
}

impl PipeSource {
    /// One that has not subscribed yet.
    pub fn new(origin: WorkerId) -> Self {
        Self { origin, is_subscribed: false, told: 0, is_confirmed: false, due: Instant::EPOCH }
    }

    /// When to tell the origin something: whether it is taken here now, and which layers are wanted.
    fn next_timeout(&self, is_taken: bool, wanted: u8) -> Option<Instant> {
        match (is_taken, self.is_subscribed) {
            (false, false) => None,
            (true, true) if wanted == self.told => Some(self.due),
            _ => Some(Instant::EPOCH),
        }
    }
}

/// A worker that takes a producer of this one.
#[derive(Clone, Copy, Debug)]
pub struct PipeSubscriber {
    worker: WorkerId,
    taker: Slot,
    wanted: u8,
    heard_at: Instant,
}

impl PipeSubscriber {
    /// The layers it is counted for.
    pub fn wanted(&self) -> u8 {
        self.wanted
    }
}

/// What is to be said to other workers.
#[derive(Debug, Default)]
pub struct Outgoing(Vec<(WorkerId, PipeMessage)>);

impl Outgoing {
    /// To be sent in a moment. At the bound it is not said; whoever waits for it asks again.
    pub fn say(&mut self, worker: WorkerId, parcel: PipeMessage) {
        meter::charge(1, 40);
        if self.0.len() < limits::PARCELS_MAX {
            self.0.push((worker, parcel));
        }
    }

    /// When it is to be sent: at once, if there is something.
    pub fn next_timeout(&self) -> Option<Instant> {
        (!self.0.is_empty()).then_some(Instant::EPOCH)
    }
}

impl Producer {
    /// The worker it comes from, if it is another.
    fn origin(&self) -> Option<WorkerId> {
        self.pipe_source.as_ref().map(|piped| piped.origin)
    }

    /// Whether anybody here takes it. Sound is also listened to for who speaks.
    fn is_taken(&self) -> bool {
        !self.consumers.is_empty() || self.kind() == Kind::Audio
    }

    /// When to tell the worker it comes from something, if it comes from another.
    pub fn next_message_to_origin(&self) -> Option<Instant> {
        let piped = self.pipe_source.as_ref()?;
        let is_taken = self.is_taken();
        let keyframes = self.streams.iter().filter_map(|stream| stream.keyframes.next_timeout());
        let keyframes = keyframes.filter(|_| is_taken);
        keyframes.chain(piped.next_timeout(is_taken, self.layer_demand.wanted())).min()
    }

    /// How it stands, for a worker that takes it.
    fn state(&self, taker: Slot) -> PipeMessage {
        let is_detail = self.content_hint == ContentHint::Detail;
        PipeMessage::State { taker, paused: self.paused, is_detail }
    }

    /// Hands a packet to every worker that takes it, and forgets those that have fallen silent. A layer that nobody there watches goes too: by
    /// its frames it is known to be there, and by its rate what it would take.
    pub(crate) fn send_to_subscribers(
        &mut self,
        now: Instant,
        stream: usize,
        packet: &Received<'_>,
        tx: &mut impl Tx,
        counters: &mut Counters,
    ) {
        let Self { subscribers, layer_demand, streams, .. } = self;
        let life = streams[stream].life();
        subscribers.retain(|neighbour| {
            let is_there = now.saturating_since(neighbour.heard_at) < limits::NEIGHBOUR_SILENT_MAX;
            if !is_there {
                layer_demand.replace(neighbour.wanted, 0);
            }
            is_there
        });
        meter::charge(subscribers.len(), 300);
        for PipeSubscriber { worker, taker, .. } in subscribers {
            let (taker, received_at) = (*taker, packet.received_at);
            let head = PipeMessage::Media { taker, stream: stream as u8, life, received_at }.write();
            let is_given = tx.hand_off(*worker, head.as_bytes(), packet.rtp.as_bytes());
            counters.count(if is_given { Counter::PipedOut } else { Counter::PipedLost });
        }
    }
}

impl Shard {
    pub(crate) fn create_pipe(&mut self, create: CreatePipe) -> Result<(), Refused> {
        let id = create.transport;
        if let Some(slot) = self.transport_ids.get(&id) {
            let pipe = self.transports.find(*slot).and_then(Transport::pipe);
            return same_or_exists(
                pipe.is_some_and(|pipe| pipe.spec == create),
                format_args!("transport {id}"),
            );
        }
        let router = self.router(create.router)?;
        check_limit(self.transports.len(), limits::TRANSPORTS_MAX, "transports of a worker")?;
        self.insert_transport(id, router, Link::Pipe(Box::new(Pipe { spec: create })));
        Ok(())
    }

    /// Says to other workers what is to be said.
    pub(crate) fn send_pipe_messages(&mut self, tx: &mut impl Tx) {
        meter::charge(self.outgoing.0.len(), 200);
        for (worker, parcel) in self.outgoing.0.drain(..) {
            if !tx.hand_off(worker, parcel.write().as_bytes(), &[]) {
                self.counters.count(Counter::PipedLost);
            }
        }
    }

    /// Something another worker says.
    pub(crate) fn on_pipe_message(
        &mut self,
        now: Instant,
        from: WorkerId,
        bytes: &[u8],
        tx: &mut impl Tx,
    ) -> Result<(), Discard> {
        let (parcel, packet) = PipeMessage::read(bytes).ok_or(Discard::ParcelMalformed)?;
        match parcel {
            PipeMessage::Subscribe { producer, taker, wanted } => {
                self.on_subscribe(now, from, producer, taker, wanted);
                self.send_parameter_sets(from, producer, taker, tx);
                Ok(())
            }
            PipeMessage::Unsubscribe { producer, taker } => self.on_unsubscribe(now, from, producer, taker),
            PipeMessage::Keyframe { producer, taker, stream } => {
                let (slot, _) = self.neighbour(from, producer, taker)?;
                self.want_keyframe(slot, usize::from(stream));
                Ok(())
            }
            PipeMessage::State { taker, paused, is_detail } => {
                let producer = self.piped(from, taker)?;
                producer.content_hint = if is_detail { ContentHint::Detail } else { ContentHint::Motion };
                if let Some(piped) = &mut producer.pipe_source {
                    piped.is_confirmed = true;
                }
                match (producer.paused, paused) {
                    (false, true) => self.pause(taker),
                    (true, false) => self.resume(now, taker),
                    _ => {}
                }
                Ok(())
            }
            PipeMessage::Gone { taker } => {
                self.piped(from, taker)?;
                self.close_producer(taker, Closed::Requested);
                Ok(())
            }
            PipeMessage::Clock { taker, stream, received_at, ntp, rtp_timestamp } => {
                let stream = self.piped(from, taker)?.streams.get_mut(usize::from(stream));
                let stream = stream.ok_or(Discard::ParcelMalformed)?;
                stream.on_sender_report(received_at.min(now), ntp, rtp_timestamp);
                Ok(())
            }
            PipeMessage::ParameterSet { taker, stream } => {
                let producer = self.piped(from, taker)?;
                if !producer.codecs().iter().any(|codec| codec.codec == Codec::H264) {
                    return Err(Discard::ParcelMalformed);
                }
                let stream = producer.streams.get_mut(usize::from(stream)).ok_or(Discard::ParcelMalformed)?;
                stream.on_earlier_parameter_set(packet);
                Ok(())
            }
            PipeMessage::Media { taker, stream, life, received_at } => {
                self.on_piped_packet(now, (from, taker), (stream, life), received_at.min(now), packet, tx)
            }
        }
    }

    /// A producer here that comes from that worker.
    fn piped(&mut self, from: WorkerId, taker: Slot) -> Result<&mut Producer, Discard> {
        let producer = self.producers.find_mut(taker).filter(|producer| producer.origin() == Some(from));
        let producer = producer.ok_or(Discard::ParcelStale)?;
        self.handling.of(Stage::HandOff, producer.transport);
        Ok(producer)
    }

    /// A producer of this worker, and who of its neighbours this is.
    fn neighbour(
        &mut self,
        from: WorkerId,
        producer: ProducerId,
        taker: Slot,
    ) -> Result<(Slot, usize), Discard> {
        let slot = *self.producer_ids.get(&producer).ok_or(Discard::ParcelStale)?;
        let producer = self.producers.find(slot).ok_or(Discard::ParcelStale)?;
        self.handling.of(Stage::HandOff, producer.transport);
        let subscribers = &producer.subscribers;
        let is_it = |neighbour: &PipeSubscriber| (neighbour.worker, neighbour.taker) == (from, taker);
        Ok((slot, subscribers.iter().position(is_it).ok_or(Discard::ParcelStale)?))
    }

    fn on_subscribe(&mut self, now: Instant, worker: WorkerId, id: ProducerId, taker: Slot, wanted: u8) {
        let producer = self.producer_ids.get(&id).and_then(|slot| self.producers.find_mut(*slot));
        // What comes from elsewhere is to be had there.
        let Some(producer) = producer.filter(|producer| producer.pipe_source.is_none()) else {
            return self.outgoing.say(worker, PipeMessage::Gone { taker });
        };
        self.handling.of(Stage::HandOff, producer.transport);
        let subscribers = &mut producer.subscribers;
        let known = subscribers.iter().position(|neighbour| neighbour.worker == worker);
        if known.is_none() && subscribers.len() >= limits::NEIGHBOURS_MAX {
            return self.outgoing.say(worker, PipeMessage::Gone { taker });
        }
        let former = known.map_or(0, |index| subscribers.swap_remove(index).wanted);
        subscribers.push(PipeSubscriber { worker, taker, wanted, heard_at: now });
        producer.layer_demand.replace(former, wanted);
        self.outgoing.say(worker, producer.state(taker));
        for (stream, clock) in producer.streams.iter().enumerate() {
            if let Some(clock) = clock_of(clock, stream) {
                self.outgoing.say(worker, clock(taker));
            }
        }
        let transport = producer.transport;
        self.rearm(now, transport);
    }

    /// Hands the parameter sets of a producer to a worker that takes it: they may have come once, before anybody there did.
    fn send_parameter_sets(&mut self, worker: WorkerId, id: ProducerId, taker: Slot, tx: &mut impl Tx) {
        let Ok((slot, _)) = self.neighbour(worker, id, taker) else { return };
        let Some(producer) = self.producers.find(slot) else { return };
        for (index, stream) in producer.streams.iter().enumerate() {
            let Some(sets) = stream.parameter_sets() else { continue };
            let head = PipeMessage::ParameterSet { taker, stream: index as u8 }.write();
            for unit in (0..sets.len()).filter_map(|set| sets.unit(set)) {
                if !tx.hand_off(worker, head.as_bytes(), unit) {
                    self.counters.count(Counter::PipedLost);
                }
            }
        }
    }

    fn on_unsubscribe(
        &mut self,
        now: Instant,
        worker: WorkerId,
        id: ProducerId,
        taker: Slot,
    ) -> Result<(), Discard> {
        let (slot, index) = self.neighbour(worker, id, taker)?;
        let producer = self.producers.find_mut(slot).ok_or(Discard::ParcelStale)?;
        let neighbour = producer.subscribers.swap_remove(index);
        producer.layer_demand.replace(neighbour.wanted, 0);
        let transport = producer.transport;
        self.rearm(now, transport);
        Ok(())
    }

    fn on_piped_packet(
        &mut self,
        now: Instant,
        (from, slot): (WorkerId, Slot),
        (stream, life): (u8, u8),
        received_at: Instant,
        bytes: &[u8],
        tx: &mut impl Tx,
    ) -> Result<(), Discard> {
        let producer = self.piped(from, slot)?;
        let stream = usize::from(stream);
        let rtp = rtp::Packet::new(bytes).map_err(|_| Discard::RtpMalformed)?;
        let role = producer.role(rtp.pt()).ok_or(Discard::RtpUnknownPt)?;
        let known = producer.streams.get_mut(stream).ok_or(Discard::ParcelMalformed)?;
        let has_restarted = known.follow_life(life);
        let has_changed = matches!(role, Role::Media(_)) && known.ssrc != Some(rtp.ssrc());
        let transport_slot = producer.transport;
        let transport = self.transports.find_mut(transport_slot).ok_or(Discard::ParcelStale)?;
        let router = transport.router;
        transport.traffic.received.count(bytes.len());
        let read = crate::shard::receive::read_extensions(transport, &rtp);
        self.counters.count(Counter::PipedIn);
        // What came before goes out by the numbers and the structure it came under.
        if has_restarted || has_changed || dependency_descriptor::has_structure(read.descriptor) {
            self.forward_pending(now, tx);
        }
        let producer = self.piped(from, slot)?;
        let begins_anew = has_changed && producer.streams[stream].learn_ssrc(now, rtp.ssrc());
        if has_restarted && !begins_anew {
            producer.streams[stream].reset();
        }
        if has_restarted || begins_anew {
            producer.on_new_beginning(stream);
        }
        let (carried, descriptor) = (read.carried, read.descriptor);
        let received = Received { rtp, role, carried, descriptor, received_at };
        self.accept(now, router, (slot, stream), &received, tx)
    }

    /// Tells the origins of what this pipe brings whether it is taken, and which layers are wanted.
    pub(crate) fn subscribe_if_due(&mut self, now: Instant, slot: Slot) {
        let Some(transport) = self.transports.find(slot).filter(|transport| transport.pipe().is_some())
        else {
            return;
        };
        for taker in &transport.producers {
            let Some(producer) = self.producers.find_mut(*taker) else { continue };
            let (is_taken, wanted) = (producer.is_taken(), producer.layer_demand.wanted());
            let id = producer.spec.producer;
            let Some(piped) = &mut producer.pipe_source else { continue };
            if piped.next_timeout(is_taken, wanted).is_none_or(|at| at > now) {
                continue;
            }
            if !is_taken {
                // By the time somebody takes it again, its numbers may have gone round.
                producer.streams.iter_mut().for_each(Stream::reset);
                self.outgoing.say(piped.origin, PipeMessage::Unsubscribe { producer: id, taker: *taker });
                *piped = PipeSource::new(piped.origin);
                continue;
            }
            let pause = if piped.is_confirmed { limits::SUBSCRIBE_INTERVAL } else { limits::SUBSCRIBE_RETRY };
            (piped.is_subscribed, piped.told, piped.due) = (true, wanted, now + pause);
            self.outgoing.say(piped.origin, PipeMessage::Subscribe { producer: id, taker: *taker, wanted });
        }
    }

    /// Asks the origins for the keyframes that are wanted of what this pipe brings.
    pub(crate) fn ask_origins(&mut self, now: Instant, slot: Slot) {
        // Who has not subscribed is not answered.
        self.subscribe_if_due(now, slot);
        let Some(transport) = self.transports.find(slot) else { return };
        for taker in &transport.producers {
            let Some(producer) = self.producers.find_mut(*taker) else { continue };
            let (Some(origin), id) = (producer.origin(), producer.spec.producer) else { continue };
            for (index, stream) in producer.streams.iter_mut().enumerate() {
                if stream.keyframes.poll(now) {
                    let parcel = PipeMessage::Keyframe { producer: id, taker: *taker, stream: index as u8 };
                    self.outgoing.say(origin, parcel);
                }
            }
        }
    }

    /// Tells the other workers that take a producer how it stands.
    pub(crate) fn send_state_to_subscribers(&mut self, slot: Slot) {
        let Some(producer) = self.producers.find(slot) else { return };
        for PipeSubscriber { worker, taker, .. } in &producer.subscribers {
            self.outgoing.say(*worker, producer.state(*taker));
        }
    }

    /// Tells the other workers that take a producer of its publisher's clocks, of which one has just been told.
    pub(crate) fn send_clock_to_subscribers(&mut self, slot: Slot, stream: usize) {
        let Some(producer) = self.producers.find(slot) else { return };
        let Some(clock) = producer.streams.get(stream).and_then(|of| clock_of(of, stream)) else { return };
        for PipeSubscriber { worker, taker, .. } in &producer.subscribers {
            self.outgoing.say(*worker, clock(*taker));
        }
    }

    /// A producer has been closed: those who took it, or whom it was taken from, need not find out by themselves.
    pub(crate) fn send_end_to_subscribers(&mut self, slot: Slot, producer: &Producer) {
        for PipeSubscriber { worker, taker, .. } in &producer.subscribers {
            self.outgoing.say(*worker, PipeMessage::Gone { taker: *taker });
        }
        if let Some(origin) = producer.origin() {
            let producer = producer.spec.producer;
            self.outgoing.say(origin, PipeMessage::Unsubscribe { producer, taker: slot });
        }
    }
}

/// What is known of the publisher's clocks, to be told.
fn clock_of(of: &Stream, stream: usize) -> Option<impl Fn(Slot) -> PipeMessage + use<>> {
    let (ntp, rtp_timestamp, received_at) = of.sender_report()?;
    let stream = stream as u8;
    Some(move |taker| PipeMessage::Clock { taker, stream, received_at, ntp, rtp_timestamp })
}
