//! What the controller asks. Every request gets one answer; a refusal changes nothing.

use crate::bandwidth::sender::{Bitrates, SendSide};
use crate::base::slots::Slot;
use crate::egress::consumer::Consumer;
use crate::egress::layer_budget::LayerBudget;
use crate::ingress::producer::Producer;
use crate::ingress::producer::has_labels;
use crate::limits;
use crate::objects::router::Router;
use crate::shard::Shard;
use crate::shard::refusal::Refused;
use crate::shard::refusal::check_limit;
use crate::shard::refusal::invalid;
use crate::shard::refusal::not_found;
use crate::shard::refusal::same_or_exists;
use crate::shard::validate::check_consume;
use crate::shard::validate::check_observer;
use crate::shard::validate::check_payload_types;
use crate::shard::validate::check_playout_delay;
use crate::shard::validate::check_produce;
use crate::shard::validate::signaled_ssrcs;
use crate::transport::pipe::Pipe;
use crate::transport::sources::SsrcMeaning;
use crate::transport::{Link, Transport, WebRtc};
use control::{
    AppData, Closed, CodecParameters, Command, Consume, ConsumerId, Counter, CreateTransport, Event, Kind,
    Produce, ProducerId, Request, RequestId, RouterId, Stage, StatsOf, Text, TransportId,
};
use dtls::Fingerprint;
use machine::{Instant, Tx};
use rtp::Ssrc;

impl Shard {
    pub(crate) fn on_request(&mut self, now: Instant, request: Request, tx: &mut impl Tx) {
        let id = request.id;
        self.events.be_heard();
        self.handling.of_any(self.transport_of(&request.command));
        self.handling.of_router(self.router_of_command(&request.command));
        let carried_out = self.carry_out(now, id, request.command, tx);
        self.handling.check_trap();
        match carried_out {
            Ok(Some(answer)) => self.events.answer(answer),
            Ok(None) => {}
            Err((refusal, text)) => {
                self.events.answer(Event::Refused { request: Some(id), refusal, text: Text::new(text) });
            }
        }
    }

    /// `Ok(None)`: the answer is a sequence, which is under way, or waits for a socket.
    fn carry_out(
        &mut self,
        now: Instant,
        request: RequestId,
        command: Command,
        tx: &mut impl Tx,
    ) -> Result<Option<Event>, Refused> {
        match command {
            Command::CreateRouter { router, app_data } => self.create_router(router, app_data)?,
            Command::CloseRouter { router } => {
                let slot = self.router(router)?;
                self.close_router(slot, Closed::Requested);
            }
            Command::ClaimRouter { router } => {
                let slot = self.router(router)?;
                self.claim_router(slot);
            }
            Command::CreateTransport(create) => return self.create_transport(request, create).map(Some),
            Command::ConnectTransport { transport, fingerprint } => {
                self.connect_transport(now, transport, Fingerprint(fingerprint))?;
            }
            Command::RestartIce { transport } => return self.restart_ice(request, transport).map(Some),
            Command::CloseTransport { transport } => {
                let slot = self.transport(transport)?;
                self.close_transport(slot, Closed::Requested);
            }
            Command::CreatePlainTransport(create) => return self.create_plain_transport(request, create),
            Command::ConnectPlainTransport(connect) => self.connect_plain_transport(now, connect)?,
            Command::CreatePipe(create) => self.create_pipe(create)?,
            Command::Produce(produce) => self.produce(now, produce)?,
            Command::PauseProducer { producer } => {
                let slot = self.own_producer(producer)?;
                self.pause(slot);
            }
            Command::ResumeProducer { producer } => {
                let slot = self.own_producer(producer)?;
                self.resume(now, slot);
            }
            Command::CloseProducer { producer } => {
                let slot = self.producer(producer)?;
                self.close_producer(slot, Closed::Requested);
            }
            Command::Consume(consume) => self.consume(now, consume, tx)?,
            Command::PauseConsumer { consumer } => {
                let slot = self.consumer(consumer)?;
                if let Some(consumer) = self.consumers.find_mut(slot) {
                    consumer.pause();
                }
                self.retarget(now, slot);
            }
            Command::ResumeConsumer { consumer } => self.resume_consumer(now, consumer, tx)?,
            Command::CloseConsumer { consumer } => {
                let slot = self.consumer(consumer)?;
                self.close_consumer(slot, Closed::Requested);
            }
            Command::RequestKeyframe { consumer } => {
                let slot = self.consumer(consumer)?;
                if let Some(consumer) = self.consumers.find(slot) {
                    let (producer, stream) = (consumer.producer, self.stream_of_interest(consumer));
                    self.want_keyframe(producer, stream);
                }
            }
            Command::SetPreferredLayers { consumer, layers } => {
                let slot = self.consumer(consumer)?;
                if let Some(consumer) = self.consumers.find_mut(slot) {
                    consumer.preferred_layers = Some(layers);
                }
                self.retarget(now, slot);
            }
            Command::SetPriority { consumer, priority } => {
                let slot = self.consumer(consumer)?;
                if let Some(consumer) = self.consumers.find_mut(slot) {
                    consumer.priority = priority;
                }
            }
            Command::SetContentHint { producer, hint } => {
                let slot = self.own_producer(producer)?;
                if let Some(producer) = self.producers.find_mut(slot) {
                    producer.content_hint = hint;
                }
                self.send_state_to_subscribers(slot);
            }
            Command::SetPlayoutDelay { consumer, delay } => {
                delay.as_ref().map_or(Ok(()), check_playout_delay)?;
                let slot = self.consumer(consumer)?;
                if let Some(consumer) = self.consumers.find_mut(slot) {
                    consumer.set_playout_delay(delay).map_err(invalid)?;
                }
            }
            Command::SetIgnoreDtx { consumer, ignore } => {
                let slot = self.consumer(consumer)?;
                if let Some(consumer) = self.consumers.find_mut(slot) {
                    consumer.ignores_dtx = ignore;
                }
            }
            Command::SetBitrates { transport, max_incoming_bps, min_outgoing_bps, max_outgoing_bps } => {
                let slot = self.transport(transport)?;
                let bitrates = Bitrates::new(max_incoming_bps, min_outgoing_bps, max_outgoing_bps);
                self.set_bitrates(now, slot, bitrates);
            }
            Command::SetAppData { transport, app_data } => {
                let slot = self.transport(transport)?;
                let kept = self.transports.find_mut(slot).and_then(Transport::app_data_mut);
                *kept.ok_or_else(|| not_found(format_args!("client's transport {transport}")))? = app_data;
            }
            Command::ObserveAudio { router, observer } => {
                let slot = self.router(router)?;
                if let Some(observer) = &observer {
                    check_observer(observer)?;
                }
                self.observe_audio(now, slot, observer);
            }
            Command::Stats { of } => {
                self.stats(now, request, of)?;
                return Ok(None);
            }
            Command::InjectPanic { transport, stage } => {
                let slot = self.transport(transport)?;
                self.inject_panic(slot, stage)?;
            }
            Command::Snapshot => {
                self.begin_snapshot(request);
                return Ok(None);
            }
        }
        Ok(Some(Event::Done { request }))
    }

    fn create_router(&mut self, id: RouterId, app_data: AppData) -> Result<(), Refused> {
        if let Some(router) = self.router_ids.get(&id).and_then(|slot| self.routers.find(*slot)) {
            return same_or_exists(router.app_data == app_data, format_args!("router {id}"));
        }
        check_limit(self.routers.len(), limits::ROUTERS_MAX, "routers of a worker")?;
        let router = Router { id, app_data, transports: Vec::new(), speakers: None, abandoned_at: None };
        let slot = self.routers.insert_with(|_| router);
        self.router_ids.insert(id, slot);
        self.counters.count(Counter::Routers);
        Ok(())
    }

    fn create_transport(&mut self, request: RequestId, create: CreateTransport) -> Result<Event, Refused> {
        if let Some(slot) = self.transport_ids.get(&create.transport).copied() {
            let webrtc = self.transports.find(slot).and_then(Transport::webrtc);
            let is_same = webrtc.is_some_and(|webrtc| webrtc.spec == create);
            same_or_exists(is_same, format_args!("transport {}", create.transport))?;
            return self.transport_created(request, slot);
        }
        let router = self.router(create.router)?;
        check_limit(self.transports.len(), limits::TRANSPORTS_MAX, "transports of a worker")?;
        let (id, webrtc) = (create.transport, WebRtc::new(create, &mut self.rng));
        let ufrag = webrtc.ice.ufrag();
        let slot = self.insert_transport(id, router, Link::WebRtc(webrtc));
        self.by_ufrag.insert(ufrag, slot);
        self.transport_created(request, slot)
    }

    /// Enters a new transport into its router and the tables.
    pub(crate) fn insert_transport(&mut self, id: TransportId, router: Slot, link: Link) -> Slot {
        let rng = &mut self.rng;
        let slot = self.transports.insert_with(|slot| Transport::new(id, slot, router, link, rng));
        self.transport_ids.insert(id, slot);
        if let Some(router) = self.routers.find_mut(router) {
            router.transports.push(slot);
        }
        self.counters.count(Counter::Transports);
        slot
    }

    fn transport_created(&self, request: RequestId, slot: Slot) -> Result<Event, Refused> {
        let webrtc = self.transports.find(slot).and_then(Transport::webrtc);
        let webrtc = webrtc.ok_or_else(|| not_found(format_args!("the transport")))?;
        Ok(Event::TransportCreated {
            request,
            transport: webrtc.spec.transport,
            ice: webrtc.ice.parameters(),
            fingerprint: self.config.certificate.fingerprint().0,
            candidates: self.config.candidates.clone(),
        })
    }

    fn connect_transport(
        &mut self,
        now: Instant,
        id: TransportId,
        fingerprint: Fingerprint,
    ) -> Result<(), Refused> {
        let slot = self.transport(id)?;
        let webrtc = self.transports.find_mut(slot).and_then(Transport::webrtc_mut);
        let webrtc = webrtc.ok_or_else(|| invalid(format!("transport {id} has no DTLS")))?;
        match webrtc.dtls.fingerprint {
            Some(known) => {
                same_or_exists(known == fingerprint, format_args!("a fingerprint for transport {id}"))?
            }
            None => {
                webrtc.dtls.fingerprint = Some(fingerprint);
                webrtc.connect_deadline = Some(now + limits::CONNECT_TIMEOUT);
            }
        }
        self.rearm(now, slot);
        Ok(())
    }

    fn restart_ice(&mut self, request: RequestId, id: TransportId) -> Result<Event, Refused> {
        let slot = self.transport(id)?;
        let rng = &mut self.rng;
        let webrtc = self.transports.find_mut(slot).and_then(Transport::webrtc_mut);
        let ice = &mut webrtc.ok_or_else(|| invalid(format!("transport {id} has no ICE")))?.ice;
        if let Some(forgotten) = ice.restart(rng) {
            self.by_ufrag.remove(&forgotten);
        }
        self.by_ufrag.insert(ice.ufrag(), slot);
        Ok(Event::IceRestarted { request, transport: id, ice: ice.parameters() })
    }

    fn produce(&mut self, now: Instant, produce: Produce) -> Result<(), Refused> {
        let id = produce.producer;
        if let Some(producer) = self.producer_ids.get(&id).and_then(|slot| self.producers.find(*slot)) {
            return same_or_exists(*producer.spec == produce, format_args!("producer {id}"));
        }
        let slot = self.transport(produce.transport)?;
        check_produce(&produce)?;
        let Some(transport) = self.transports.find_mut(slot) else { return Ok(()) };
        let count = transport.producers.len();
        check_limit(count, limits::PRODUCERS_PER_TRANSPORT_MAX, "producers of a transport")?;
        if transport.plain().is_some() {
            let others = transport.producers.iter().filter_map(|slot| self.producers.find(*slot));
            check_payload_types(&produce, others)?;
        } else if !has_labels(&produce) {
            return Err(invalid("a producer without SSRC needs a MID to be recognised by".to_owned()));
        }
        let conflict =
            produce.extensions.iter().find(|wish| !transport.extensions.accepts(wish.kind, wish.id));
        if let Some(wish) = conflict {
            return Err(invalid(format!(
                "extension id {} already means something else on this transport",
                wish.id
            )));
        }
        let mid = produce.mid.as_ref().map(Text::as_str);
        let others = transport.producers.iter().filter_map(|slot| self.producers.find(*slot));
        if mid.is_some() && others.clone().any(|other| other.spec.mid.as_ref().map(Text::as_str) == mid) {
            return Err(invalid(format!(
                "MID {:?} already has a producer on this transport",
                mid.unwrap_or_default()
            )));
        }
        if let Some(ssrc) = signaled_ssrcs(&produce).find(|ssrc| transport.sources.find(*ssrc).is_some()) {
            return Err(invalid(format!("SSRC {} already belongs to a producer of this transport", ssrc.0)));
        }

        for wish in &produce.extensions {
            transport.extensions.declare(wish.kind, wish.id);
        }
        let origin = transport.pipe().map(Pipe::origin);
        let producer = self.producers.insert_with(|_| Producer::new(produce, slot, origin));
        self.producer_ids.insert(id, producer);
        transport.producers.push(producer);
        if let Some(made) = self.producers.find(producer) {
            for (index, stream) in made.streams.iter().enumerate() {
                for (ssrc, is_retransmission) in [(stream.ssrc, false), (stream.rtx_ssrc, true)] {
                    let source = SsrcMeaning { producer, stream: index as u8, is_retransmission };
                    if let Some(ssrc) = ssrc {
                        // At the bound the SSRC is learned from its MID later, when others have gone.
                        transport.sources.learn(ssrc, source);
                    }
                }
            }
        }
        self.counters.count(Counter::Producers);
        // Nobody takes any of its layers yet; if it stays so, its publisher hears of it even before it has sent anything.
        self.rearm(now, slot);
        Ok(())
    }

    fn consume(&mut self, now: Instant, consume: Consume, tx: &mut impl Tx) -> Result<(), Refused> {
        let id = consume.consumer;
        if let Some(consumer) = self.consumer_ids.get(&id).and_then(|slot| self.consumers.find(*slot)) {
            return same_or_exists(*consumer.spec == consume, format_args!("consumer {id}"));
        }
        let transport_slot = self.transport(consume.transport)?;
        let producer_slot = self.producer(consume.producer)?;
        check_consume(&consume)?;
        // Rooms are kept apart here too, whatever the controller mixes up.
        if self.router_of(transport_slot) != self.router_of_producer(producer_slot) {
            return Err(invalid(format!("producer {} belongs to another router", consume.producer)));
        }
        let (Some(transport), Some(producer)) =
            (self.transports.find_mut(transport_slot), self.producers.find_mut(producer_slot))
        else {
            return Ok(());
        };
        let ssrcs = [Some(consume.ssrc), consume.rtx_ssrc].into_iter().flatten().map(Ssrc);
        if let Some(ssrc) = ssrcs.clone().find(|ssrc| transport.sent_ssrcs.contains(ssrc)) {
            return Err(invalid(format!(
                "SSRC {ssrc} belongs, or has belonged, to a consumer of this transport"
            )));
        }
        check_limit(
            transport.sent_ssrcs.len() + 1,
            limits::SSRCS_SENT_PER_TRANSPORT_MAX,
            "SSRCs ever sent on a transport",
        )?;
        check_limit(
            transport.consumers.len(),
            limits::CONSUMERS_PER_TRANSPORT_MAX,
            "consumers of a transport",
        )?;
        check_limit(producer.consumers.len(), limits::CONSUMERS_PER_PRODUCER_MAX, "consumers of a producer")?;
        if transport.pipe().is_some() {
            return Err(invalid(format!("transport {} is a pipe, and leads to nobody", consume.transport)));
        }
        let codec =
            |codec: &CodecParameters| producer.codecs().iter().any(|produced| produced.codec == codec.codec);
        if !consume.codecs.iter().all(codec) {
            return Err(invalid("a codec of the consumer is none of its producer's".to_owned()));
        }

        transport.sent_ssrcs.extend(ssrcs);
        let rng = &mut self.rng;
        let made = Consumer::new(consume, transport_slot, producer_slot, producer, rng);
        let ssrc = made.ssrc();
        if made.is_numbered() && transport.send_side.is_none() {
            transport.send_side = Some(Box::new(SendSide::new(now, transport.bitrates.outgoing)));
        }
        let mut made = made;
        if let Some(side) = transport.send_side.as_deref_mut() {
            // A picture begins when it has been given something, which is in a moment. Sound is not chosen from.
            if producer.kind() == Kind::Video {
                made.layer_budget = LayerBudget::Nothing;
            }
            side.adapt_at = now;
        }
        let consumer = self.consumers.insert_with(|_| made);
        self.consumer_ids.insert(id, consumer);
        transport.add_consumer(ssrc, consumer);
        producer.consumers.push(consumer);
        let producing = producer.transport;
        self.counters.count(Counter::Consumers);
        self.handling.check_trap();
        self.wake(now, consumer, tx);
        // Where it comes from another worker, that one hears of it before somebody looks.
        self.rearm(now, producing);
        self.rearm(now, transport_slot);
        Ok(())
    }

    fn resume_consumer(&mut self, now: Instant, id: ConsumerId, tx: &mut impl Tx) -> Result<(), Refused> {
        let slot = self.consumer(id)?;
        let Some(consumer) = self.consumers.find_mut(slot) else { return Ok(()) };
        if std::mem::replace(&mut consumer.paused, false) {
            self.wake(now, slot, tx);
        }
        Ok(())
    }

    fn stats(&mut self, now: Instant, request: RequestId, of: StatsOf) -> Result<(), Refused> {
        let item = match of {
            StatsOf::Transport(id) => self.transport_stats(now, self.transport(id)?),
            StatsOf::Producer(id) => self.producer_stats(now, self.producer(id)?),
            StatsOf::Consumer(id) => self.consumer_stats(now, self.consumer(id)?),
            StatsOf::Router(_) | StatsOf::Worker => {
                let mut transports = match of {
                    StatsOf::Router(id) => self.transports_of(self.router(id)?),
                    _ => self.transport_ids.values().copied().collect(),
                };
                // What comes from another worker is counted there.
                let is_pipe = |slot| self.transports.find(slot).is_some_and(|found| found.pipe().is_some());
                transports.retain(|slot| !is_pipe(*slot));
                check_limit(self.walks.len(), limits::STATS_WALKS_MAX, "requests for statistics under way")?;
                self.walk_stats(now, request, transports);
                return Ok(());
            }
        };
        self.answer_stats(request, item);
        Ok(())
    }

    fn inject_panic(&mut self, slot: Slot, stage: Stage) -> Result<(), Refused> {
        if !self.handling.accepts_traps() {
            return Err(invalid("the engine was not started for tests that inject panics".to_owned()));
        }
        if !Stage::INJECTABLE.contains(&stage) {
            return Err(invalid(format!("no panic can be injected in stage {}", stage.name())));
        }
        self.handling.set_trap(stage, slot);
        Ok(())
    }

    fn transports_of(&self, router: Slot) -> Vec<Slot> {
        self.routers.find(router).map_or_else(Vec::new, |router| router.transports.clone())
    }

    fn router_of(&self, transport: Slot) -> Option<Slot> {
        self.transports.find(transport).map(|transport| transport.router)
    }

    pub(crate) fn router_of_producer(&self, producer: Slot) -> Option<Slot> {
        self.router_of(self.producers.find(producer)?.transport)
    }

    pub(crate) fn router(&self, id: RouterId) -> Result<Slot, Refused> {
        self.router_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("router {id}")))
    }

    pub(crate) fn transport(&self, id: TransportId) -> Result<Slot, Refused> {
        self.transport_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("transport {id}")))
    }

    fn producer(&self, id: ProducerId) -> Result<Slot, Refused> {
        self.producer_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("producer {id}")))
    }

    /// One that does not come from another worker, where it is to be asked for.
    fn own_producer(&self, id: ProducerId) -> Result<Slot, Refused> {
        let slot = self.producer(id)?;
        match self.producers.find(slot).is_some_and(|producer| producer.pipe_source.is_some()) {
            true => Err(invalid(format!("producer {id} comes from another worker, which is the one to ask"))),
            false => Ok(slot),
        }
    }

    fn consumer(&self, id: ConsumerId) -> Result<Slot, Refused> {
        self.consumer_ids.get(&id).copied().ok_or_else(|| not_found(format_args!("consumer {id}")))
    }
}
