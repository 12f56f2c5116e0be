//! The shard: one worker's objects, and the stages that a packet, a command or a deadline passes through.
//!
//! A stage is a function that borrows the objects and the turn. This file only chooses the first stage of
//! each input.

mod adapt;
mod close;
mod commands;
mod config;
mod connect;
mod create;
mod data;
mod data_flow;
mod data_pipes;
mod demux;
mod events;
mod fan_out;
mod handling;
mod news;
mod pausing;
mod pending;
mod pipe_in;
mod pipe_out;
mod plain;
mod rearm;
mod receive;
mod recovery;
mod refusal;
mod reports;
mod requests;
mod rtcp_in;
mod rtcp_out;
mod snapshot;
mod speakers;
mod stats;
mod targets;
mod timeout;
mod timers;
mod turn;
mod validate;

pub use config::{Config, Input};
pub(crate) use turn::NoTx;

use crate::limits;
use crate::objects::Objects;
use crate::objects::paths::Paths;
use crate::pipe::outbox::PipeOutbox;
use control::{Counter, Counters, Discard, Event, Refusal, RequestId, Stage, Text, TransportId};
use handling::Handling;
use machine::{
    Datagram, Flow, Instant, LocalId, Machine, Path, PathClaim, Rng, SocketError, SocketRequest, Tx,
    WorkerId, meter,
};
use news::News;
use pending::PendingPacket;
use std::net::SocketAddr;
use stun::Demux;
use timers::Timers;
use turn::{Scratch, Turn};

/// One worker's share of the peers.
#[derive(Debug)]
pub struct Shard {
    config: Config,
    objects: Objects,
    timers: Timers,
    news: News,
    pipes: PipeOutbox,
    pending: Vec<PendingPacket>,
    scratch: Scratch,
    rng: Rng,
    counters: Counters,
    handling: Handling,
}

impl Shard {
    /// A shard without routers. All its randomness comes from `rng`.
    pub fn new(config: Config, rng: Rng) -> Self {
        Self {
            objects: Objects { by_path: Paths::new(config.shares_port_as.is_some()), ..Objects::default() },
            config,
            timers: Timers::default(),
            news: News::default(),
            pipes: PipeOutbox::default(),
            pending: Vec::with_capacity(limits::PENDING_PACKETS_MAX),
            scratch: Scratch::default(),
            rng,
            counters: Counters::default(),
            handling: Handling::default(),
        }
    }

    /// Carries out [`Command::InjectPanic`](control::Command::InjectPanic) from now on; by default it is
    /// refused.
    pub fn accept_injected_panics(&mut self) {
        self.handling.accept_traps();
    }

    /// The counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The transport whose datagrams have this flow, and a number that is unique in the shard forever.
    pub fn transport_with(&self, flow: Flow) -> Option<(TransportId, u64)> {
        let slot = self.objects.transports.slot_at(flow.0)?;
        Some((self.objects.transports.find(slot)?.id, slot.to_bits()))
    }

    /// The bandwidth estimate of a transport, in bits per second; `None` without one.
    pub fn estimate_bps(&self, transport: TransportId) -> Option<u64> {
        let transport = self.objects.transports.find(*self.objects.transport_ids.get(&transport)?)?;
        Some(transport.send_side.as_ref()?.estimator.estimate_bps())
    }

    /// Walks over all tables. `Err` names the inconsistency.
    pub fn check_consistency(&self) -> Result<(), String> {
        self.objects.check_consistency(&self.counters)?;
        if self.pending.capacity() < limits::PENDING_PACKETS_MAX {
            return Err("the pending packets have been taken out".into());
        }
        Ok(())
    }

    /// The objects, and the rest of the state for one call.
    #[inline]
    fn turn<'t, T: Tx>(&'t mut self, now: Instant, tx: &'t mut T) -> (&'t mut Objects, Turn<'t, T>) {
        let Self { config, objects, timers, news, pipes, pending, scratch, rng, counters, handling } = self;
        (objects, Turn { now, tx, config, rng, timers, news, pipes, pending, scratch, counters, handling })
    }
}

/// For [`Contained`](crate::Contained).
impl Shard {
    /// The driver calls: the affected objects are not known yet.
    pub(crate) fn begin(&mut self, stage: Stage) {
        self.handling.begin(stage);
    }

    /// Counts a panic. Returns the stage.
    pub(crate) fn on_panic(&mut self) -> Stage {
        self.counters.count(Counter::Panics);
        self.handling.stage()
    }

    /// Closes the objects that were being handled during a panic. Returns the transports.
    pub(crate) fn close_after_panic(&mut self, now: Instant) -> Vec<TransportId> {
        let mut no_tx = NoTx;
        let (objects, mut turn) = self.turn(now, &mut no_tx);
        recovery::close_after_panic(objects, &mut turn)
    }

    /// Answers a command that ended in a panic, unless it has been answered or still will be.
    pub(crate) fn answer_after_panic(&mut self, request: RequestId) {
        recovery::answer_after_panic(&self.objects, &mut self.news, request);
    }

    /// Replaces everything by an empty shard with the same configuration, and reports all routers as closed.
    /// Counters and waiting reports are kept.
    ///
    /// Slots of the former shard are invalid in the new one: other workers may still send packets for them.
    pub(crate) fn renew(&mut self) {
        let mut new = Self::new(self.config.clone(), self.rng.fork());
        recovery::end_all(&mut self.objects, &mut self.news);
        new.objects = self.objects.successor();
        new.objects.plain_sockets = std::mem::take(&mut self.objects.plain_sockets);
        new.counters = std::mem::take(&mut self.counters);
        new.counters.clear_existing();
        new.counters.count(Counter::ShardsReplaced);
        new.handling = std::mem::take(&mut self.handling);
        new.news = std::mem::take(&mut self.news);
        *self = new;
    }

    /// State that tests damage.
    #[cfg(test)]
    pub(crate) fn parts(&mut self) -> (&mut Objects, &mut Vec<PendingPacket>) {
        (&mut self.objects, &mut self.pending)
    }
}

impl Machine for Shard {
    type Command = Input;
    type Event = Event;

    fn on_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        let (objects, mut turn) = self.turn(now, tx);
        let turn = &mut turn;
        turn.counters.count(Counter::DatagramsIn);
        turn.counters.add(Counter::BytesIn, datagram.bytes.len() as u64);
        meter::charge(datagram.bytes.len(), 1);
        let (path, demux) = (datagram.path, stun::demux(datagram.bytes));
        let taken = match demux {
            _ if datagram.bytes.len() > limits::DATAGRAM_LEN_MAX => Err(Discard::DatagramTooLong),
            _ if path.local.on_demand_index().is_some() => plain::on_plain(objects, turn, datagram),
            Demux::Stun => connect::on_stun(objects, turn, datagram),
            Demux::Dtls => connect::on_dtls(objects, turn, datagram),
            Demux::Rtp => connect::transport_at(objects, path)
                .and_then(|slot| receive::on_rtp(objects, turn, slot, datagram)),
            Demux::Rtcp => connect::transport_at(objects, path)
                .and_then(|slot| rtcp_in::on_rtcp(objects, turn, slot, datagram)),
            Demux::TurnChannel | Demux::Zrtp | Demux::Unknown => Err(Discard::UnknownProtocol),
        };
        if let Err(discard) = taken {
            turn.counters.discard(discard);
        }
    }

    fn on_hand_off(&mut self, now: Instant, from: WorkerId, bytes: &[u8], tx: &mut impl Tx) {
        let (objects, mut turn) = self.turn(now, tx);
        let turn = &mut turn;
        if let Err(discard) = pipe_in::on_pipe_message(objects, turn, from, bytes, Box::default()) {
            turn.counters.discard(discard);
        }
        pipe_out::send_pipe_messages(turn);
    }

    fn on_hand_off_buffer(
        &mut self,
        now: Instant,
        from: WorkerId,
        head: &[u8],
        body: Box<[u8]>,
        tx: &mut impl Tx,
    ) {
        let (objects, mut turn) = self.turn(now, tx);
        let turn = &mut turn;
        if let Err(discard) = pipe_in::on_pipe_message(objects, turn, from, head, body) {
            turn.counters.discard(discard);
        }
        pipe_out::send_pipe_messages(turn);
    }

    fn on_path_closed(&mut self, now: Instant, path: Path, tx: &mut impl Tx) {
        let (objects, mut turn) = self.turn(now, tx);
        let turn = &mut turn;
        connect::on_closed_path(objects, turn, path);
    }

    fn gathering_until(&self) -> Option<Instant> {
        fan_out::rest_of_frame_until(&self.objects, &self.pending)
    }

    fn on_batch_end(&mut self, now: Instant, tx: &mut impl Tx) {
        let (objects, mut turn) = self.turn(now, tx);
        let turn = &mut turn;
        fan_out::forward_pending(objects, turn);
    }

    fn on_timeout(&mut self, now: Instant, tx: &mut impl Tx) {
        let (objects, mut turn) = self.turn(now, tx);
        let turn = &mut turn;
        // First, because closing creates work for transports.
        close::close_abandoned(objects, turn);
        timeout::serve_transports(objects, turn);
        turn.handling.begin(Stage::Timer);
        speakers::observe_speakers(objects, turn);
        pipe_out::send_pipe_messages(turn);
    }

    fn on_command(&mut self, now: Instant, input: Input, tx: &mut impl Tx) {
        let (objects, mut turn) = self.turn(now, tx);
        let turn = &mut turn;
        match input {
            Input::Request(request) => commands::on_request(objects, turn, request),
            Input::BadRecord { request, error } => {
                let text = Text::new(format!("the record cannot be read: {error}"));
                turn.news.answer(Event::Refused { request, refusal: Refusal::BadRecord, text });
            }
            Input::ControllerLost => close::on_controller_lost(objects, turn),
        }
        pipe_out::send_pipe_messages(turn);
    }

    fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        self.objects.plain_sockets.poll_order()
    }

    fn poll_path_claim(&mut self) -> Option<PathClaim> {
        self.objects.by_path.poll_claim()
    }

    fn on_socket_opened(
        &mut self,
        now: Instant,
        local: LocalId,
        opened: Result<SocketAddr, SocketError>,
        tx: &mut impl Tx,
    ) {
        let (objects, mut turn) = self.turn(now, tx);
        let turn = &mut turn;
        plain::on_plain_opened(objects, turn, local, opened);
    }

    fn poll_event(&mut self) -> Option<Event> {
        let Self { objects, timers, news, .. } = self;
        let event = news.events.pop();
        event
            .or_else(|| snapshot::next_snapshot_event(objects, timers, news))
            .or_else(|| stats::next_stats_event(objects, news))
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.timers.next().into_iter().chain(self.pipes.next_timeout()).min()
    }
}
