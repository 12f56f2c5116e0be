//! Transports, producers and consumers: what a client asks for and the engine makes.

use super::app_data::{self, HeldConsumer, HeldProducer, HeldTransport};
use super::state::{Consumer, PeerId, Producer, State, Transport};
use super::{Hall, hints, layers, random_id};
use crate::engine::{AskError, Worker};
use crate::limits;
use crate::ortc::{self, ConsumerSsrcs, Produced, dtls};
use crate::proto::{
    self, ConnectTransport, ConsumeMedia, ConsumerCreated, CreateTransport, ErrorCode, IceRestarted,
    NewProducer, ProduceMedia, ProducerCreated, RestartIce, TransportCreated, signal::Payload,
};
use crate::request_error::Failure;
use control::{AppData, Command, ConsumerId, Event, Kind, ProducerId, Text, TransportId};
use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

impl Hall {
    /// Whatever the token permits: clients make both transports when they join, and one that carries nothing costs
    /// little. What it does not permit is refused in `produce` and `consume`.
    pub(super) async fn create_transport(
        &self,
        peer: PeerId,
        create: CreateTransport,
    ) -> Result<Payload, Failure> {
        let sends = sends(&create.direction)?;
        let router = self.router(peer).await?;
        let (transport, app_data) = self.enter_transport(peer, router.worker, sends, false)?;
        let command = control::CreateTransport { router: router.id, transport, app_data };
        let made = self.make_transport(router.worker, transport, Command::CreateTransport(command)).await?;
        let Event::TransportCreated { ice, fingerprint, candidates, .. } = made else {
            return Err(wrong_answer(&made));
        };
        let user = self.state().peers.get(&peer).ok_or_else(gone)?.user.clone();
        let ice_servers = self.ice_servers(&user);
        Ok(Payload::TransportCreated(TransportCreated {
            id: transport.to_string(),
            ice_parameters: Some(dtls::ice(&ice)),
            ice_candidates: dtls::candidates(&candidates),
            dtls_parameters: Some(dtls::parameters(&fingerprint)),
            ice_servers,
        }))
    }

    /// Enters a transport that the engine is about to be asked for: its id, and what the engine is to keep beside it.
    pub(super) fn enter_transport(
        &self,
        peer: PeerId,
        worker: Worker,
        sends: bool,
        is_plain: bool,
    ) -> Result<(TransportId, AppData), Failure> {
        let mut state = self.state();
        let count = state.peers.get(&peer).ok_or_else(not_joined)?.transports.len();
        if count >= limits::TRANSPORTS_PER_PEER_MAX {
            let text =
                format!("a peer has at most {} transports; close one first", limits::TRANSPORTS_PER_PEER_MAX);
            return Err(Failure::limit(text));
        }
        let app_data = app_data::pack(&held_transport(&state, peer, sends)?)?;
        let transport = TransportId(random_id());
        state.insert_transport(transport, new_transport(peer, worker, sends, is_plain));
        Ok((transport, app_data))
    }

    /// Asks the engine for a transport that is entered: its answer, that it is there. If it is not, it is forgotten here too.
    pub(super) async fn make_transport(
        &self,
        worker: Worker,
        transport: TransportId,
        command: Command,
    ) -> Result<Event, Failure> {
        let answer = self.engine.ask(worker, command).await;
        let mut state = self.state();
        match answer {
            Ok(made @ (Event::TransportCreated { .. } | Event::PlainTransportCreated { .. })) => {
                state.transports.get_mut(&transport).ok_or_else(gone)?.made = made.request();
                Ok(made)
            }
            other => {
                state.remove_transport(transport);
                Err(self.give_up(worker, other, Command::CloseTransport { transport }))
            }
        }
    }

    pub(super) async fn connect_transport(
        &self,
        peer: PeerId,
        connect: ConnectTransport,
    ) -> Result<(), Failure> {
        let parameters =
            connect.dtls_parameters.ok_or_else(|| Failure::bad("ConnectTransport needs dtlsParameters"))?;
        let fingerprint = dtls::fingerprint(&parameters)?;
        let (transport, worker) = own_transport(&self.state(), peer, &connect.transport_id)?;
        self.engine.ask(worker, Command::ConnectTransport { transport, fingerprint }).await?;
        Ok(())
    }

    pub(super) async fn restart_ice(&self, peer: PeerId, restart: RestartIce) -> Result<Payload, Failure> {
        let (transport, worker, user) = {
            let state = self.state();
            let (transport, worker) = own_transport(&state, peer, &restart.transport_id)?;
            (transport, worker, state.peers[&peer].user.clone())
        };
        let ice_servers = self.ice_servers(&user);
        match self.engine.ask(worker, Command::RestartIce { transport }).await? {
            Event::IceRestarted { ice, .. } => {
                Ok(Payload::IceRestarted(IceRestarted { ice_parameters: Some(dtls::ice(&ice)), ice_servers }))
            }
            other => Err(wrong_answer(&other)),
        }
    }

    pub(super) fn close_transport(&self, peer: PeerId, id: &str) -> Result<(), Failure> {
        let mut state = self.state();
        let (transport, worker) = own_transport(&state, peer, id)?;
        state.remove_transport(transport);
        self.engine.tell(worker, Command::CloseTransport { transport });
        Ok(())
    }

    pub(super) async fn produce(&self, peer: PeerId, produce: ProduceMedia) -> Result<Payload, Failure> {
        let kind = ortc::kind(&produce.kind)?;
        let parameters =
            produce.rtp_parameters.ok_or_else(|| Failure::bad("ProduceMedia needs rtpParameters"))?;
        if produce.source.chars().count() > limits::SOURCE_LEN_MAX
            || produce.source.chars().any(char::is_control)
        {
            let text = format!(
                "source must be at most {} characters, none of them a control character",
                limits::SOURCE_LEN_MAX
            );
            return Err(Failure::bad(text));
        }
        let hint = hints::content_hint(&produce.content_hint, &produce.source)?;
        let produced = Produced::new(kind, &parameters)?;
        produced.check(&self.media)?;
        let mut held =
            HeldProducer { source: produce.source.clone(), rtp_parameters: Some(parameters), backup_for: 0 };
        let producer = ProducerId(random_id());
        let (transport, worker, app_data) = {
            let mut state = self.state();
            let (transport, worker) = own_transport(&state, peer, &produce.transport_id)?;
            check_permission(state.peers[&peer].permissions, true)?;
            let on = &state.transports[&transport];
            if !on.sends {
                return Err(Failure::new(
                    ErrorCode::WrongDirection,
                    "ProduceMedia needs a transport made with direction \"send\"",
                ));
            }
            if !on.is_plain {
                produced.check_is_told()?;
            }
            if state.producers_of(peer).count() >= limits::PRODUCERS_PER_PEER_MAX {
                let text = format!(
                    "a peer has at most {} producers; close one first",
                    limits::PRODUCERS_PER_PEER_MAX
                );
                return Err(Failure::limit(text));
            }
            let backup_for = backup_for(&state, peer, &produce.backup_for, kind)?;
            held.backup_for = backup_for.map_or(0, |first| first.0);
            let entry = Producer {
                peer,
                transport,
                kind,
                source: produce.source,
                paused: produce.paused,
                produced: produced.clone(),
                consumers: BTreeSet::new(),
                backup_for,
                backups_asked: Vec::new(),
                wanted: None,
                made: None,
            };
            let app_data = app_data::pack(&held)?;
            state.insert_producer(producer, entry);
            (transport, worker, app_data)
        };
        let Produced { mid, codecs, encodings, extensions, .. } = produced;
        let paused = produce.paused;
        let command = control::Produce {
            transport,
            producer,
            kind,
            mid,
            codecs,
            encodings,
            extensions,
            paused,
            app_data,
        };
        let answer = self.engine.ask(worker, Command::Produce(command)).await;
        if answer.is_ok() && kind == Kind::Audio {
            self.let_home_listen(peer, producer).await;
        }
        let mut state = self.state();
        let made = match answer {
            Ok(Event::Done { request }) => request,
            other => {
                state.remove_producer(producer);
                return Err(self.give_up(worker, other, Command::CloseProducer { producer }));
            }
        };
        state.producers.get_mut(&producer).ok_or_else(gone)?.made = Some(made);
        if kind == Kind::Video {
            self.hint(worker, producer, hint);
        }
        let info = state.producer_info(producer);
        if let (Some(_), Some(room)) = (&info, state.peers.get(&peer).map(|peer| &peer.room)) {
            let news = NewProducer { peer_id: peer.to_string(), producer: info };
            state.broadcast(room, Some(peer), Payload::NewProducer(news));
        }
        Ok(Payload::ProducerCreated(ProducerCreated { id: producer.to_string() }))
    }

    pub(super) async fn pause_producer(&self, peer: PeerId, id: &str) -> Result<(), Failure> {
        let (producer, worker) = own_producer(&self.state(), peer, id)?;
        self.engine.ask(worker, Command::PauseProducer { producer }).await?;
        let ids = || (peer.to_string(), producer.to_string());
        self.set_producer_paused(peer, producer, true, || {
            let (peer_id, producer_id) = ids();
            Payload::ProducerPaused(proto::ProducerPaused { peer_id, producer_id })
        });
        Ok(())
    }

    pub(super) async fn resume_producer(&self, peer: PeerId, id: &str) -> Result<(), Failure> {
        let (producer, worker) = own_producer(&self.state(), peer, id)?;
        self.engine.ask(worker, Command::ResumeProducer { producer }).await?;
        let ids = || (peer.to_string(), producer.to_string());
        self.set_producer_paused(peer, producer, false, || {
            let (peer_id, producer_id) = ids();
            Payload::ProducerResumed(proto::ProducerResumed { peer_id, producer_id })
        });
        Ok(())
    }

    fn set_producer_paused(
        &self,
        peer: PeerId,
        id: ProducerId,
        paused: bool,
        news: impl FnOnce() -> Payload,
    ) {
        let mut state = self.state();
        let Some(producer) = state.producers.get_mut(&id) else { return };
        producer.paused = paused;
        if !producer.is_heard_of() {
            return;
        }
        if let Some(room) = state.peers.get(&peer).map(|peer| &peer.room) {
            state.broadcast(room, Some(peer), news());
        }
    }

    pub(super) fn close_producer(&self, peer: PeerId, id: &str) -> Result<(), Failure> {
        let mut state = self.state();
        let (first, _) = own_producer(&state, peer, id)?;
        for producer in state.backups_of(first).into_iter().chain([first]) {
            let worker =
                state.remove_producer(producer).and_then(|removed| state.worker_of(removed.transport));
            if let Some(worker) = worker {
                self.engine.tell(worker, Command::CloseProducer { producer });
            }
        }
        Ok(())
    }

    pub(super) async fn consume(&self, peer: PeerId, consume: ConsumeMedia) -> Result<Payload, Failure> {
        let capabilities =
            consume.rtp_capabilities.ok_or_else(|| Failure::bad("ConsumeMedia needs rtpCapabilities"))?;
        let preferred_layers = consume.preferred_layers.as_ref().map(layers::preferred).transpose()?;
        let priority = layers::priority(consume.priority.max(1))?;
        let consumer = ConsumerId(random_id());
        let asked;
        let (command, parameters, kind, worker) = {
            let mut state = self.state();
            let (transport, worker) = own_transport(&state, peer, &consume.transport_id)?;
            check_permission(state.peers[&peer].permissions, false)?;
            if state.transports[&transport].sends {
                return Err(Failure::new(
                    ErrorCode::WrongDirection,
                    "ConsumeMedia needs a transport made with direction \"recv\"",
                ));
            }
            if state.consumers_of(peer).count() >= limits::CONSUMERS_PER_PEER_MAX {
                let text = format!(
                    "a peer has at most {} consumers; close one first",
                    limits::CONSUMERS_PER_PEER_MAX
                );
                return Err(Failure::limit(text));
            }
            asked = others_producer(&state, peer, &consume.producer_id)?;
            let (producer, consumable) = state.choose(asked, &capabilities, &self.media, Instant::now())?;
            let source = &state.producers[&producer];
            let (kind, cname) = (source.kind, source.peer.to_string());
            let entry = state.transports.get_mut(&transport).ok_or_else(gone)?;
            let media = unused_ssrc(&entry.ssrcs, None);
            let ssrcs = ConsumerSsrcs {
                media,
                rtx: consumable.has_rtx().then(|| unused_ssrc(&entry.ssrcs, Some(media))),
            };
            let mid = entry.next_mid.to_string();
            entry.next_mid += 1;
            let parameters = consumable.parameters(&mid, ssrcs, &cname);
            let app_data = app_data::pack(&HeldConsumer { rtp_parameters: Some(parameters.clone()) })?;
            let used = std::iter::once(ssrcs.media).chain(ssrcs.rtx).collect();
            let entry = Consumer { peer, transport, producer, ssrcs: used, layers: None, made: None };
            state.insert_consumer(consumer, entry);
            let command = control::Consume {
                transport,
                producer,
                consumer,
                mid: Some(Text::new(mid)),
                codecs: consumable.codecs,
                ssrc: ssrcs.media,
                rtx_ssrc: ssrcs.rtx,
                cname: Text::new(cname),
                extensions: consumable.extensions,
                preferred_layers: preferred_layers.filter(|_| kind == Kind::Video),
                priority,
                paused: true,
                app_data,
            };
            (command, parameters, kind, worker)
        };
        let producer = command.producer;
        let answer = match self.pipe(producer, worker).await {
            Ok(()) => self.engine.ask(worker, Command::Consume(command.clone())).await,
            Err(failure) => {
                self.state().remove_consumer(consumer);
                return Err(failure);
            }
        };
        let mut state = self.state();
        let made = match answer {
            Ok(Event::Done { request }) => request,
            other => {
                state.remove_consumer(consumer);
                return Err(self.give_up(worker, other, Command::CloseConsumer { consumer }));
            }
        };
        state.consumers.get_mut(&consumer).ok_or_else(gone)?.made = Some(made);
        self.tell_ways(worker, kind, &command, consume.ignore_dtx);
        Ok(Payload::ConsumerCreated(ConsumerCreated {
            id: consumer.to_string(),
            producer_id: asked.to_string(),
            kind: ortc::kind_name(kind).into(),
            rtp_parameters: Some(parameters),
            paused: true,
            producer_paused: state.producers.get(&producer).is_some_and(|producer| producer.paused),
        }))
    }

    pub(super) async fn pause_consumer(&self, peer: PeerId, id: &str) -> Result<(), Failure> {
        let (consumer, worker) = own_consumer(&self.state(), peer, id)?;
        self.engine.ask(worker, Command::PauseConsumer { consumer }).await?;
        Ok(())
    }

    pub(super) async fn resume_consumer(&self, peer: PeerId, id: &str) -> Result<(), Failure> {
        let (consumer, worker) = own_consumer(&self.state(), peer, id)?;
        self.engine.ask(worker, Command::ResumeConsumer { consumer }).await?;
        Ok(())
    }

    pub(super) fn close_consumer(&self, peer: PeerId, id: &str) -> Result<(), Failure> {
        let mut state = self.state();
        let (consumer, worker) = own_consumer(&state, peer, id)?;
        state.remove_consumer(consumer);
        self.engine.tell(worker, Command::CloseConsumer { consumer });
        Ok(())
    }

    /// The failure of a request to make something, whose answer was not that it is there. Where the engine may have made it all
    /// the same, `undo` is sent after it.
    fn give_up(&self, worker: Worker, answer: Result<Event, AskError>, undo: Command) -> Failure {
        match answer {
            Ok(other) => {
                self.engine.tell(worker, undo);
                wrong_answer(&other)
            }
            Err(error) => {
                if matches!(error, AskError::TimedOut) {
                    self.engine.tell(worker, undo);
                }
                error.into()
            }
        }
    }
}

/// Reads an id as this server writes it.
pub(super) fn parse_id(id: &str) -> Option<u64> {
    let is_ours = id.len() == 16 && id.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    if is_ours { u64::from_str_radix(id, 16).ok() } else { None }
}

/// A direction, from the client's point of view: whether it sends.
pub(super) fn sends(direction: &str) -> Result<bool, Failure> {
    match direction {
        "send" => Ok(true),
        "recv" => Ok(false),
        _ => Err(Failure::bad("direction must be \"send\" or \"recv\"")),
    }
}

pub(super) fn new_transport(peer: PeerId, worker: Worker, sends: bool, is_plain: bool) -> Transport {
    Transport {
        peer,
        worker,
        sends,
        is_plain,
        next_mid: 0,
        ssrcs: HashSet::new(),
        producers: BTreeSet::new(),
        consumers: BTreeSet::new(),
        made: None,
    }
}

fn held_transport(state: &State, id: PeerId, sends: bool) -> Result<HeldTransport, Failure> {
    let peer = state.peers.get(&id).ok_or_else(not_joined)?;
    Ok(HeldTransport {
        peer: id.0,
        user: peer.user.clone(),
        display_name: peer.display_name.clone(),
        secret_hash: peer.secret_hash.clone(),
        can_publish: peer.permissions.can_publish,
        can_subscribe: peer.permissions.can_subscribe,
        sends,
        can_use_plain_transports: peer.permissions.can_use_plain_transports,
    })
}

/// What the engine has to keep beside the transports of a peer whose permissions have changed.
pub(super) fn permission_updates(state: &State, id: PeerId) -> Vec<(Worker, Command)> {
    let transports = state.peers.get(&id).into_iter().flat_map(|peer| peer.transports.iter().copied());
    let update = |transport: TransportId| {
        let of = state.transports.get(&transport)?;
        let app_data = app_data::pack(&held_transport(state, id, of.sends).ok()?).ok()?;
        Some((of.worker, Command::SetAppData { transport, app_data }))
    };
    transports.filter_map(update).collect()
}

fn check_permission(permissions: crate::auth::token::Permissions, sends: bool) -> Result<(), Failure> {
    if sends {
        permitted(permissions.can_publish, "canPublish")
    } else {
        permitted(permissions.can_subscribe, "canSubscribe")
    }
}

/// Refuses what needs a claim that the token does not have.
pub(super) fn permitted(allowed: bool, claim: &str) -> Result<(), Failure> {
    if allowed {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::TokenPermission, format!("the token's permissions do not have {claim}")))
}

pub(super) fn own_transport(state: &State, peer: PeerId, id: &str) -> Result<(TransportId, Worker), Failure> {
    let id = parse_id(id).map(TransportId);
    let found = id.and_then(|id| {
        Some((id, state.transports.get(&id).filter(|transport| transport.peer == peer)?.worker))
    });
    found.ok_or_else(|| {
        Failure::new(ErrorCode::NoSuchTransport, "this peer has no transport with this id (any more)")
    })
}

pub(super) fn own_producer(state: &State, peer: PeerId, id: &str) -> Result<(ProducerId, Worker), Failure> {
    let id = parse_id(id).map(ProducerId);
    let found = id.and_then(|id| {
        let producer = state.producers.get(&id).filter(|producer| producer.peer == peer)?;
        Some((id, state.worker_of(producer.transport)?))
    });
    found.ok_or_else(|| {
        Failure::new(ErrorCode::NoSuchProducer, "this peer has no producer with this id (any more)")
    })
}

pub(super) fn own_consumer(state: &State, peer: PeerId, id: &str) -> Result<(ConsumerId, Worker), Failure> {
    let id = parse_id(id).map(ConsumerId);
    let found = id.and_then(|id| {
        let consumer = state.consumers.get(&id).filter(|consumer| consumer.peer == peer)?;
        Some((id, state.worker_of(consumer.transport)?))
    });
    found.ok_or_else(|| {
        Failure::new(ErrorCode::NoSuchConsumer, "this peer has no consumer with this id (any more)")
    })
}

/// The producer that a new one is to be a backup of; `None` if of none.
fn backup_for(state: &State, peer: PeerId, id: &str, kind: Kind) -> Result<Option<ProducerId>, Failure> {
    if id.is_empty() {
        return Ok(None);
    }
    let (first, _) = own_producer(state, peer, id)?;
    let producer = &state.producers[&first];
    if kind != Kind::Video || producer.kind != Kind::Video || producer.backup_for.is_some() {
        return Err(Failure::bad("backupFor must name a producer of video that is no backup itself"));
    }
    Ok(Some(first))
}

/// A producer of somebody else in the same room, confirmed by the engine.
fn others_producer(state: &State, peer: PeerId, id: &str) -> Result<ProducerId, Failure> {
    let id = parse_id(id).map(ProducerId);
    let found = id.filter(|id| {
        let owner =
            state.producers.get(id).filter(|producer| producer.made.is_some()).map(|producer| producer.peer);
        let room = |peer: PeerId| state.peers.get(&peer).map(|peer| &peer.room);
        owner.is_some_and(|owner| owner != peer && room(owner) == room(peer))
    });
    found.ok_or_else(|| {
        Failure::new(
            ErrorCode::NoSuchProducer,
            "nobody else in this room has a producer with this id (any more)",
        )
    })
}

/// An SSRC that no other consumer of the transport has (RFC 3550 §8.1), and that is not `other`.
fn unused_ssrc(used: &HashSet<u32>, other: Option<u32>) -> u32 {
    loop {
        let ssrc = random_id() as u32;
        if ssrc != 0 && Some(ssrc) != other && !used.contains(&ssrc) {
            return ssrc;
        }
    }
}

pub(super) fn not_joined() -> Failure {
    Failure::new(ErrorCode::NotJoined, "this peer is not in its room any more")
}

/// It was made, and was closed before the answer arrived.
pub(super) fn gone() -> Failure {
    Failure::new(ErrorCode::EngineUnavailable, "it was closed again while it was being made; try again")
        .retry_after(std::time::Duration::from_millis(500))
}

pub(super) fn wrong_answer(event: &Event) -> Failure {
    tracing::error!(event = ?event, "the engine gave an answer to another question");
    Failure::new(ErrorCode::Internal, "the media engine's answer makes no sense; the server's log has more")
}
