//! What the controller asks. Every request gets one answer; a refusal changes nothing.

use crate::bandwidth::sender::{Bitrates, SendSide};
use crate::base::slots::Slot;
use crate::egress::consumer::Consumer;
use crate::ingress::producer::Producer;
use crate::ingress::stream::Stream;
use crate::limits;
use crate::objects::router::Router;
use crate::shard::Shard;
use crate::shard::pipe::Pipe;
use crate::shard::plain;
use crate::shard::targets::LayerBudget;
use crate::transport::{Link, Source, Transport, WebRtc};
use control::{
    AppData, AudioObserver, Closed, CodecParameters, Command, Consume, ConsumerId, Counter, CreateTransport,
    Event, Kind, PlayoutDelay, Produce, ProducerId, Refusal, Request, RequestId, RouterId, Stage, StatsOf,
    Text, TransportId,
};
use dtls::Fingerprint;
use machine::{Instant, Tx};
use rtp::{Mid, Rid, Ssrc};
use std::collections::BTreeSet;

/// Why a request is refused, for programs and for people.
pub(crate) type Refused = (Refusal, String);

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
            plain::check_payload_types(&produce, others)?;
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
                    let source = Source { producer, stream: index as u8, is_retransmission };
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

    /// Stops forwarding a producer, here and on all workers that take it.
    pub(crate) fn pause(&mut self, slot: Slot) {
        let Some(producer) = self.producers.find_mut(slot) else { return };
        producer.paused = true;
        producer.forget_keyframes();
        for consumer in &producer.consumers {
            if let Some(consumer) = self.consumers.find_mut(*consumer) {
                consumer.interrupt();
            }
        }
        if let Some(router) = self.router_of_producer(slot) {
            self.reset_audio_level(router, slot);
        }
        self.send_state_to_subscribers(slot);
    }

    /// Forwards it again.
    pub(crate) fn resume(&mut self, now: Instant, slot: Slot) {
        let Some(producer) = self.producers.find_mut(slot) else { return };
        if !std::mem::replace(&mut producer.paused, false) {
            return;
        }
        producer.streams.iter_mut().for_each(Stream::forget_gaps);
        self.send_state_to_subscribers(slot);
        self.retarget_all(now, slot);
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

    fn router_of_producer(&self, producer: Slot) -> Option<Slot> {
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

/// Whether its streams can be told apart by more than their payload types.
pub(crate) fn has_labels(produce: &Produce) -> bool {
    produce.mid.is_some() || produce.encodings.iter().all(|encoding| encoding.ssrc.is_some())
}

fn signaled_ssrcs(produce: &Produce) -> impl Iterator<Item = Ssrc> {
    let of_encodings = produce.encodings.iter().flat_map(|encoding| [encoding.ssrc, encoding.rtx_ssrc]);
    of_encodings.flatten().map(Ssrc)
}

fn check_produce(produce: &Produce) -> Result<(), Refused> {
    check_codecs(&produce.codecs)?;
    check_mid(produce.mid.as_ref())?;
    check_encodings(produce)?;
    let ssrcs: BTreeSet<Ssrc> = signaled_ssrcs(produce).collect();
    if ssrcs.len() != signaled_ssrcs(produce).count() {
        return Err(invalid("an SSRC stands for two streams".to_owned()));
    }
    check_extension_ids(produce.extensions.iter().map(|extension| extension.id))
}

fn check_encodings(produce: &Produce) -> Result<(), Refused> {
    let encodings = &produce.encodings;
    let (count, max) = (encodings.len(), limits::ENCODINGS_MAX);
    if !(1..=max).contains(&count) {
        return Err(invalid(format!("a producer has 1 to {max} encodings, not {count}")));
    }
    if count > 1 && produce.kind == Kind::Audio {
        return Err(invalid(format!("audio has one encoding, not {count}")));
    }
    let mut rids = BTreeSet::new();
    for encoding in encodings {
        let has_name = encoding.ssrc.is_some() || (produce.mid.is_some() && encoding.rid.is_some());
        if count > 1 && !has_name {
            return Err(invalid(
                "one of several encodings needs an SSRC, or a MID and a RID, to be told apart".to_owned(),
            ));
        }
        for (what, layers, max) in [
            ("spatial", encoding.spatial_layers, limits::SPATIAL_LAYERS_MAX),
            ("temporal", encoding.temporal_layers, limits::TEMPORAL_LAYERS_MAX),
        ] {
            if !(1..=max).contains(&layers) {
                return Err(invalid(format!("an encoding has 1 to {max} {what} layers, not {layers}")));
            }
        }
        let Some(rid) = encoding.rid.as_ref().map(Text::as_str) else { continue };
        if Rid::new(rid.as_bytes()).is_none() {
            return Err(invalid(format!("RID {rid:?} is empty or longer than 16 bytes")));
        }
        if !rids.insert(rid) {
            return Err(invalid(format!("RID {rid:?} stands for two encodings")));
        }
    }
    Ok(())
}

fn check_consume(consume: &Consume) -> Result<(), Refused> {
    let cname_len = consume.cname.as_str().len();
    // RFC 3550 §6.5: an item's length has eight bits, and a CNAME is not optional.
    if !(1..=255).contains(&cname_len) {
        return Err(invalid(format!("a CNAME has 1 to 255 bytes, not {cname_len}")));
    }
    check_codecs(&consume.codecs)?;
    check_mid(consume.mid.as_ref())?;
    if consume.rtx_ssrc == Some(consume.ssrc) {
        return Err(invalid("media and retransmissions cannot share an SSRC".to_owned()));
    }
    check_extension_ids(consume.extensions.iter().map(|extension| extension.id))
}

fn check_playout_delay(delay: &PlayoutDelay) -> Result<(), Refused> {
    let (PlayoutDelay { min_ms, max_ms }, bound) = (*delay, control::limits::PLAYOUT_DELAY_MS_MAX);
    if min_ms <= max_ms && max_ms <= bound {
        return Ok(());
    }
    Err(invalid(format!("a playout delay of {min_ms} to {max_ms} ms is not a range within 0 to {bound} ms")))
}

fn check_observer(observer: &AudioObserver) -> Result<(), Refused> {
    let intervals = limits::SPEAKERS_NEWS_INTERVAL_MS;
    if !intervals.contains(&observer.interval_ms) {
        return Err(invalid(format!(
            "an interval of {} ms is not within {}–{}",
            observer.interval_ms,
            intervals.start(),
            intervals.end()
        )));
    }
    if observer.threshold_dbov > 0 {
        return Err(invalid(format!("a threshold of {} dBov is louder than loud", observer.threshold_dbov)));
    }
    match observer.loudest_forwarded {
        None | Some(1..=limits::LOUDEST_FORWARDED_MAX) => Ok(()),
        Some(count) => Err(invalid(format!(
            "of the loudest, 1 to {} can be forwarded, not {count}",
            limits::LOUDEST_FORWARDED_MAX
        ))),
    }
}

fn check_codecs(codecs: &[CodecParameters]) -> Result<(), Refused> {
    let Some(first) = codecs.first() else {
        return Err(invalid("a track needs at least one codec".to_owned()));
    };
    if first.clock_rate_hz == 0 {
        return Err(invalid("a clock rate is at least 1 Hz".to_owned()));
    }
    let mut seen = BTreeSet::new();
    for pt in codecs.iter().flat_map(|codec| [Some(codec.pt), codec.rtx_pt]).flatten() {
        // RFC 5761 §4: with RTCP on the same port, 64 to 95 would look like RTCP.
        if pt > 127 || (64..=95).contains(&pt) {
            return Err(invalid(format!("payload type {pt} is not within 0–63 or 96–127")));
        }
        if !seen.insert(pt) {
            return Err(invalid(format!("payload type {pt} stands for two formats")));
        }
    }
    Ok(())
}

fn check_mid(mid: Option<&Text>) -> Result<(), Refused> {
    match mid.filter(|mid| Mid::new(mid.as_str().as_bytes()).is_none()) {
        Some(mid) => Err(invalid(format!("MID {:?} is empty or longer than 16 bytes", mid.as_str()))),
        None => Ok(()),
    }
}

fn check_extension_ids(ids: impl Iterator<Item = u8>) -> Result<(), Refused> {
    let mut seen = BTreeSet::new();
    for id in ids {
        // RFC 8285 §4.2: 0 is padding, 15 is reserved in the one-byte form.
        if id == 0 || id == 15 {
            return Err(invalid(format!("extension id {id} is not within 1–14 or 16–255")));
        }
        if !seen.insert(id) {
            return Err(invalid(format!("extension id {id} stands for two extensions")));
        }
    }
    Ok(())
}

pub(crate) fn check_limit(count: usize, max: usize, what: &str) -> Result<(), Refused> {
    if count < max {
        Ok(())
    } else {
        Err((Refusal::Limit, format!("there are {max} {what}, which is the bound")))
    }
}

/// The command came before: the same again is answered the same, another with the same id is refused.
pub(crate) fn same_or_exists(is_same: bool, what: std::fmt::Arguments<'_>) -> Result<(), Refused> {
    if is_same { Ok(()) } else { Err((Refusal::Exists, format!("{what} exists, with other parameters"))) }
}

pub(crate) fn not_found(what: std::fmt::Arguments<'_>) -> Refused {
    (Refusal::NotFound, format!("{what} does not exist on this worker"))
}

pub(crate) fn invalid(text: String) -> Refused {
    (Refusal::Invalid, text)
}
