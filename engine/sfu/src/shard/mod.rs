//! The shard: its tables, and the way every input takes into them.

pub(crate) mod adapt;
pub(crate) mod close;
pub(crate) mod commands;
pub(crate) mod connect;
pub(crate) mod consistency;
pub(crate) mod demux;
pub(crate) mod events;
pub(crate) mod fan_out;
pub(crate) mod handling;
pub(crate) mod news;
pub(crate) mod pausing;
pub(crate) mod pipe_in;
pub(crate) mod pipe_out;
pub(crate) mod plain;
pub(crate) mod receive;
pub(crate) mod recovery;
pub(crate) mod refusal;
pub(crate) mod reports;
pub(crate) mod requests;
pub(crate) mod rtcp_in;
pub(crate) mod rtcp_out;
pub(crate) mod snapshot;
pub(crate) mod speakers;
pub(crate) mod stats;
pub(crate) mod targets;
pub(crate) mod validate;

use crate::base::slots::{Slot, Slots};
use crate::egress::consumer::Consumer;
use crate::ingress::producer::Producer;
use crate::limits;
use crate::objects::plain_sockets::PlainSockets;
use crate::objects::router::Router;
use crate::pipe::outbox::PipeOutbox;
use crate::shard::adapt::AllocationScratch;
use crate::shard::events::Events;
use crate::shard::fan_out::PendingPacket;
use crate::shard::handling::Handling;
use crate::shard::news::Cursor;
use crate::shard::news::Walk;
use crate::transport::Transport;
use crate::transport::ice::Ufrag;
use control::{
    Candidate, ConsumerId, Counter, Counters, DecodeError, Discard, Event, ProducerId, Refusal, Request,
    RequestId, RouterId, Stage, Text, TransportId,
};
use machine::{
    Datagram, Deadlines, Flow, Instant, LocalId, Machine, Path, Rng, SocketError, SocketOrder, Tx, WorkerId,
    meter,
};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use stun::Demux;

/// Tables keyed by what authenticated peers and the controller chose. SipHash with a fixed key: a shard takes no randomness
/// but its own, and an entry costs the adversary an ICE session.
pub(crate) type Table<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// What a shard is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// Host candidates to offer, the preferred first: the worker's listening addresses, or the addresses announced
    /// for them where a 1:1 NAT stands before the host.
    pub candidates: Vec<Candidate>,
    /// The addresses of plain transports, to tell their peers: the first of a family is used for it. None of a family: there
    /// are no plain transports in it.
    pub plain_ips: Vec<IpAddr>,
    /// The engine's certificate.
    pub certificate: dtls::Certificate,
    /// How DTLS is spoken.
    pub dtls: dtls::Settings,
    /// How long a router lives on without a controller that claims it.
    pub grace_period: Duration,
    /// A transport is closed when neither a check nor authentic media comes from its peer for so long; `None`: never. The default is
    /// [`limits::ICE_CONSENT_TIMEOUT`].
    pub consent_timeout: Option<Duration>,
}

/// What a controller gives a shard.
#[derive(Clone, Debug)]
pub enum Input {
    /// A request.
    Request(Request),
    /// A record that did not decode; answered, and otherwise without effect.
    BadRecord {
        /// The request, if its number could be read.
        request: Option<RequestId>,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// The controller has gone. Media flows on; routers are closed after the grace period unless claimed.
    ControllerLost,
}

/// One worker's share of the peers.
#[derive(Debug)]
pub struct Shard {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    pub(crate) routers: Slots<Router>,
    pub(crate) transports: Slots<Transport>,
    pub(crate) producers: Slots<Producer>,
    pub(crate) consumers: Slots<Consumer>,
    pub(crate) router_ids: Table<RouterId, Slot>,
    pub(crate) transport_ids: Table<TransportId, Slot>,
    pub(crate) producer_ids: Table<ProducerId, Slot>,
    pub(crate) consumer_ids: Table<ConsumerId, Slot>,
    /// Addresses of valid ICE pairs: who a datagram is from.
    pub(crate) by_path: Table<Path, Slot>,
    pub(crate) by_ufrag: Table<Ufrag, Slot>,
    /// The sockets of plain transports.
    pub(crate) ears: PlainSockets,
    /// One deadline per transport, by its slot's index.
    pub(crate) deadlines: Deadlines,
    /// When to look at each router's speakers, by its slot's index.
    pub(crate) observations: Deadlines,
    /// The earliest [`Router::abandoned_at`].
    pub(crate) abandon_at: Option<Instant>,
    pub(crate) events: Events,
    snapshots: Vec<Cursor>,
    walks: Vec<Walk>,
    pub(crate) counters: Counters,
    /// What DTLS endpoints write their datagrams into, shared by all.
    pub(crate) dtls_buffer: Vec<u8>,
    /// What bandwidth is shared out in.
    pub(crate) sharing: AllocationScratch,
    /// What is given out at the end of the batch.
    pub(crate) held: Vec<PendingPacket>,
    /// What other workers are to be told.
    pub(crate) outgoing: PipeOutbox,
    /// What a panic is attributed to.
    pub(crate) handling: Handling,
}

impl Shard {
    /// A shard without routers. All its randomness comes from `rng`.
    pub fn new(config: Config, rng: Rng) -> Self {
        Self {
            config,
            rng,
            routers: Slots::default(),
            transports: Slots::default(),
            producers: Slots::default(),
            consumers: Slots::default(),
            router_ids: Table::default(),
            transport_ids: Table::default(),
            producer_ids: Table::default(),
            consumer_ids: Table::default(),
            by_path: Table::default(),
            by_ufrag: Table::default(),
            ears: PlainSockets::default(),
            deadlines: Deadlines::default(),
            observations: Deadlines::default(),
            abandon_at: None,
            events: Events::default(),
            snapshots: Vec::new(),
            walks: Vec::new(),
            counters: Counters::default(),
            dtls_buffer: Vec::new(),
            sharing: AllocationScratch::default(),
            held: Vec::with_capacity(limits::HELD_MAX),
            outgoing: PipeOutbox::default(),
            handling: Handling::default(),
        }
    }

    /// Carries out [`Command::InjectPanic`] from now on; by default it is refused.
    pub fn accept_injected_panics(&mut self) {
        self.handling.accept_traps();
    }

    /// What has been counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The transport whose datagrams have this flow, and a number that no other transport of the shard has or had.
    pub fn transport_with(&self, flow: Flow) -> Option<(TransportId, u64)> {
        let slot = self.transports.slot_at(flow.0)?;
        Some((self.transports.find(slot)?.id, slot.to_bits()))
    }

    /// Brings the transport's next call forward to what its state now asks for.
    pub(crate) fn rearm(&mut self, now: Instant, slot: Slot) {
        if let Some(deadline) = self.transport_deadline(now, slot) {
            self.deadlines.hasten(slot.index(), deadline);
        }
    }

    /// The same for what one producer asks of its publisher, or of the worker it comes from: its own state alone is looked at.
    pub(crate) fn rearm_producer(&mut self, slot: Slot) {
        let Some(producer) = self.producers.find(slot) else { return };
        let Some(deadline) = producer.next_timeout() else { return };
        if self.transports.find(producer.transport).is_some_and(Transport::can_ask) {
            self.deadlines.hasten(producer.transport.index(), deadline);
        }
    }

    /// The same for what waits to be sent to a transport's peer.
    pub(crate) fn rearm_send_side(&mut self, slot: Slot) {
        let side = self.transports.find(slot).and_then(|transport| transport.send_side.as_deref());
        if let Some(deadline) = side.and_then(|side| side.next_timeout()) {
            self.deadlines.hasten(slot.index(), deadline);
        }
    }

    /// When the transport next has something to do by itself.
    fn transport_deadline(&self, now: Instant, slot: Slot) -> Option<Instant> {
        let transport = self.transports.find(slot)?;
        let own = [
            transport.report_due.map(at_tick),
            transport.twcc.as_ref().and_then(|twcc| twcc.due),
            transport.send_side.as_ref().map(|side| at_tick(side.adapt_at)),
            transport.send_side.as_ref().and_then(|side| side.next_timeout()),
            transport.webrtc().and_then(|webrtc| webrtc.next_timeout(now, self.config.consent_timeout)),
        ];
        // A transport that cannot send has nothing to ask for; it will be armed anew when it can.
        let asking = if transport.can_ask() { &transport.producers[..] } else { &[] };
        let of_producers = asking.iter().filter_map(|slot| self.producers.find(*slot)?.next_timeout());
        meter::charge(asking.len(), 60);
        own.into_iter().flatten().chain(of_producers).min()
    }

    fn on_transport_timeout(&mut self, now: Instant, slot: Slot, tx: &mut impl Tx) {
        meter::charge(1, 1_000);
        self.check_liveness(now, slot);
        self.on_dtls_timeout(now, slot, tx);
        self.wake_consumers(now, slot, tx);
        self.subscribe_if_due(now, slot);
        self.handling.check_trap();
        self.request_repairs(now, slot, tx);
        self.request_keyframes(now, slot, tx);
        self.drive_send_side(now, slot, tx);
        self.report_wanted_layers(now, slot);
        self.send_twcc_if_due(now, slot, tx);
        self.send_reports_if_due(now, slot, tx);
        // What did not fit into this call goes on in a moment, when others have had their turn.
        let deadline = self.transport_deadline(now, slot);
        let deadline = deadline.map(|at| if at <= now { now + limits::TIMEOUT_PAUSE } else { at });
        self.deadlines.set(slot.index(), deadline);
    }
}

/// When something that may be a little late is done: together with the same of other transports, because to wake up for it costs more than to do it.
fn at_tick(due: Instant) -> Instant {
    let tick = limits::TICK.as_nanos() as u64;
    due.as_nanos().checked_next_multiple_of(tick).map_or(due, Instant::from_nanos)
}

impl Machine for Shard {
    type Command = Input;
    type Event = Event;

    fn on_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        self.counters.count(Counter::DatagramsIn);
        self.counters.add(Counter::BytesIn, datagram.bytes.len() as u64);
        meter::charge(datagram.bytes.len(), 1);
        let (path, demux) = (datagram.path, stun::demux(datagram.bytes));
        let taken = match demux {
            _ if datagram.bytes.len() > limits::DATAGRAM_LEN_MAX => Err(Discard::DatagramTooLong),
            _ if path.local.on_demand_index().is_some() => self.on_plain(now, datagram, tx),
            Demux::Stun => self.on_stun(now, datagram, tx),
            Demux::Dtls => self.on_dtls(now, datagram, tx),
            Demux::Rtp => self.transport_at(path).and_then(|slot| self.on_rtp(now, slot, datagram, tx)),
            Demux::Rtcp => self.transport_at(path).and_then(|slot| self.on_rtcp(now, slot, datagram, tx)),
            Demux::TurnChannel | Demux::Zrtp | Demux::Unknown => Err(Discard::UnknownProtocol),
        };
        if let Err(discard) = taken {
            self.counters.discard(discard);
        }
    }

    fn on_hand_off(&mut self, now: Instant, from: WorkerId, bytes: &[u8], tx: &mut impl Tx) {
        if let Err(discard) = self.on_pipe_message(now, from, bytes, tx) {
            self.counters.discard(discard);
        }
        self.send_pipe_messages(tx);
    }

    fn on_path_closed(&mut self, now: Instant, path: Path, _tx: &mut impl Tx) {
        self.on_closed_path(now, path);
    }

    fn gathering_until(&self) -> Option<Instant> {
        self.rest_of_frame_until()
    }

    fn on_batch_end(&mut self, now: Instant, tx: &mut impl Tx) {
        self.forward_pending(now, tx);
    }

    fn on_timeout(&mut self, now: Instant, tx: &mut impl Tx) {
        // First, because closing gives transports something to do.
        self.close_abandoned(now);
        for _ in 0..limits::TRANSPORTS_PER_TIMEOUT {
            let Some(owner) = self.deadlines.pop(now) else { break };
            if let Some(slot) = self.transports.slot_at(owner) {
                self.handling.of(Stage::Timer, slot);
                self.on_transport_timeout(now, slot, tx);
            }
        }
        self.handling.begin(Stage::Timer);
        self.observe_speakers(now);
        self.send_pipe_messages(tx);
    }

    fn on_command(&mut self, now: Instant, input: Input, tx: &mut impl Tx) {
        match input {
            Input::Request(request) => self.on_request(now, request, tx),
            Input::BadRecord { request, error } => {
                let text = Text::new(format!("the record cannot be read: {error}"));
                self.events.answer(Event::Refused { request, refusal: Refusal::BadRecord, text });
            }
            Input::ControllerLost => self.on_controller_lost(now),
        }
        self.send_pipe_messages(tx);
    }

    fn poll_socket_order(&mut self) -> Option<SocketOrder> {
        self.ears.poll_order()
    }

    fn on_socket_opened(
        &mut self,
        _now: Instant,
        local: LocalId,
        opened: Result<SocketAddr, SocketError>,
        _tx: &mut impl Tx,
    ) {
        self.on_plain_opened(local, opened);
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop().or_else(|| self.next_snapshot_event()).or_else(|| self.next_stats_event())
    }

    fn next_timeout(&self) -> Option<Instant> {
        let own = [self.deadlines.next(), self.observations.next(), self.abandon_at];
        own.into_iter().chain([self.outgoing.next_timeout()]).flatten().min()
    }
}
