//! The machine: selects the stage for each input.

use crate::allocations::Allocations;
use crate::call::Call;
use crate::counters::{Counter, Counters};
use crate::events::{Command, End, Event, EventQueue};
use crate::limits::ALLOCATIONS_MAX;
use crate::nonce::Nonces;
use crate::peer_streams::FIRST_DEADLINE;
use crate::quota::{Ledger, LedgerHandle};
use crate::revoked::{Revoked, RevokedUser};
use crate::settings::Settings;
use crate::throttle::Throttle;
use crate::{allocate, request, streams, traffic};
use machine::{
    Datagram, Instant, LocalId, Machine, Path, Rng, SocketError, SocketRequest, StreamId, Towards, Tx,
};
use std::net::SocketAddr;

/// A TURN server without its sockets.
#[derive(Debug)]
pub struct Relay {
    settings: Settings,
    rng: Rng,
    nonces: Nonces,
    throttle: Throttle,
    revoked: Revoked,
    allocations: Allocations,
    events: EventQueue,
    counters: Counters,
    is_draining: bool,
}

impl Relay {
    /// A relay without clients. All its randomness comes from `rng`, which must be seeded by the operating
    /// system if the relay is used on a network: nonces, reservation tokens and hashes depend on it.
    pub fn new(settings: Settings, mut rng: Rng) -> Self {
        let account = LedgerHandle::alone(&mut rng);
        Self::with(account, settings, rng)
    }

    /// One of several relays of a server: their users' allocations count together, in a shared ledger.
    pub fn sharing(ledger: Box<dyn Ledger>, settings: Settings, rng: Rng) -> Self {
        Self::with(LedgerHandle::of(ledger), settings, rng)
    }

    fn with(ledger: LedgerHandle, settings: Settings, mut rng: Rng) -> Self {
        Self {
            nonces: Nonces::new(settings.credentials.takes_userhash(), &mut rng),
            throttle: Throttle::new(&mut rng),
            allocations: Allocations::new(ledger, &mut rng),
            revoked: Revoked::new(&mut rng),
            settings,
            rng,
            events: EventQueue::default(),
            counters: Counters::default(),
            is_draining: false,
        }
    }

    /// The counters so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether there are no allocations.
    pub fn is_idle(&self) -> bool {
        self.allocations.len() == 0
    }

    /// Returns an inconsistency of the tables, if there is one: every socket needs an owner and must be
    /// counted, and no table may exceed its bound. For tests and fuzzers, between two calls.
    pub fn audit(&self) -> Option<&'static str> {
        self.allocations.audit()
    }

    /// Whether the client of this path has an allocation.
    pub(crate) fn has_allocation(&self, path: Path) -> bool {
        self.allocations.find(path).is_some()
    }

    /// As [`Throttle::may_answer`].
    pub(crate) fn may_answer_stranger(&mut self, now: Instant, path: Path, excess: usize) -> bool {
        let rate = self.settings.excess_bytes_per_second;
        self.throttle.may_answer(now, path, excess, rate, &mut self.counters)
    }

    /// The tables, and the other state that a stage borrows.
    fn call<'c, T: Tx>(&'c mut self, now: Instant, tx: &'c mut T) -> (&'c mut Allocations, Call<'c, T>) {
        let Self { settings, rng, nonces, throttle, revoked, allocations, events, counters, is_draining } =
            self;
        let is_draining = *is_draining;
        (
            allocations,
            Call { now, tx, settings, is_draining, rng, nonces, revoked, throttle, events, counters },
        )
    }

    fn end(&mut self, index: u32, end: End) {
        let event = self.allocations.end(index, end);
        event.into_iter().for_each(|event| self.events.push(event, &mut self.counters));
    }

    fn reload(&mut self, settings: Settings) {
        let takes_userhash = settings.credentials.takes_userhash();
        if takes_userhash != self.settings.credentials.takes_userhash() {
            // A nonce lists the server's features (RFC 8489 §9.2): earlier nonces are stale now.
            self.nonces = Nonces::new(takes_userhash, &mut self.rng);
        }
        let interfaces = std::mem::take(&mut self.settings.policy.interfaces);
        self.settings = settings;
        self.settings.policy.interfaces = interfaces;
        let Settings { credentials, tcp_peers, .. } = &self.settings;
        let revoked = self.allocations.iter().filter(|(_, allocation)| {
            let has_lost = allocation.is_tcp && !tcp_peers;
            has_lost || !credentials.still_has(&allocation.user, allocation.origin)
        });
        let revoked: Vec<u32> = revoked.map(|(index, _)| index).collect();
        self.end_revoked(&revoked);
        self.allocations.obey(&self.settings.policy);
    }

    /// Ends the allocations of these users. If none of them is new, nothing has to be searched.
    fn revoke(&mut self, now: Instant, users: &[RevokedUser]) {
        let unix = self.settings.wall_clock.since_1970(now);
        let Some(lost) = self.revoked.enter(users, unix) else { return };
        self.counters.add(Counter::RevocationsLost, lost as u64);
        let covered = self.allocations.iter().filter(|(_, allocation)| self.revoked.covers(&allocation.user));
        let covered: Vec<u32> = covered.map(|(index, _)| index).collect();
        self.end_revoked(&covered);
    }

    fn end_revoked(&mut self, indices: &[u32]) {
        self.counters.add(Counter::AllocationsRevoked, indices.len() as u64);
        indices.iter().for_each(|index| self.end(*index, End::Revoked));
    }

    fn count_what_exists(&mut self) {
        let Self { allocations, counters, .. } = self;
        counters.set(Counter::Allocations, allocations.ledger.allocations());
        counters.set(Counter::Sockets, allocations.sockets.len());
        counters.set(Counter::PeerConnections, allocations.streams.len());
    }
}

impl Machine for Relay {
    type Command = Command;
    type Event = Event;

    fn on_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        let Datagram { path, bytes, .. } = datagram;
        let (allocations, mut call) = self.call(now, tx);
        if path.local.on_demand_index().is_some() {
            return traffic::relay_to_client(allocations, &mut call, path.local, path.remote, bytes);
        }
        // By the two uppermost bits (RFC 8656 §12): no other media is multiplexed on this port.
        match bytes.first().map(|first| first >> 6) {
            Some(0) => request::on_message(allocations, &mut call, path, bytes),
            Some(1) => traffic::on_channel_data(allocations, &mut call, path, bytes),
            _ => call.counters.count(Counter::Malformed),
        }
    }

    fn on_path_closed(&mut self, _now: Instant, path: Path, _tx: &mut impl Tx) {
        if let Some(index) = self.allocations.find(path) {
            self.end(index, End::Disconnected);
        }
        self.count_what_exists();
    }

    fn on_batch_end(&mut self, _now: Instant, _tx: &mut impl Tx) {
        self.count_what_exists();
    }

    fn on_timeout(&mut self, now: Instant, tx: &mut impl Tx) {
        while let Some(owner) = self.allocations.deadlines.pop(now) {
            if let Some(stream) = (owner as usize).checked_sub(FIRST_DEADLINE) {
                let (allocations, mut call) = self.call(now, tx);
                streams::on_stream_late(allocations, &mut call, StreamId(stream as u16));
                continue;
            }
            match (owner as usize).checked_sub(ALLOCATIONS_MAX) {
                Some(slot) => self.allocations.on_reservation_expired(slot),
                None => {
                    self.counters.count(Counter::AllocationsExpired);
                    self.end(owner, End::Expired);
                }
            }
        }
        self.count_what_exists();
    }

    fn on_command(&mut self, now: Instant, command: Command, _tx: &mut impl Tx) {
        match command {
            Command::Reload(settings) => self.reload(*settings),
            Command::SetInterfaces(interfaces) => {
                self.settings.policy.interfaces = interfaces;
                self.allocations.obey(&self.settings.policy);
            }
            Command::Revoke(users) => self.revoke(now, &users),
            Command::Drain => self.is_draining = true,
            // For the machine around this one, which decrypts.
            Command::SetCertificate(_) => {}
        }
        self.count_what_exists();
    }

    fn poll_socket_request(&mut self) -> Option<SocketRequest> {
        self.allocations.socket_requests.pop_front()
    }

    fn on_socket_opened(
        &mut self,
        now: Instant,
        local: LocalId,
        opened: Result<SocketAddr, SocketError>,
        tx: &mut impl Tx,
    ) {
        let (allocations, mut call) = self.call(now, tx);
        allocate::on_opened(allocations, &mut call, local, opened);
        self.count_what_exists();
    }

    fn on_stream_offered(
        &mut self,
        now: Instant,
        local: LocalId,
        remote: SocketAddr,
        tx: &mut impl Tx,
    ) -> Option<StreamId> {
        let (allocations, mut call) = self.call(now, tx);
        let stream = streams::on_offered(allocations, &mut call, local, remote);
        self.count_what_exists();
        stream
    }

    fn on_stream_connected(&mut self, now: Instant, stream: StreamId, tx: &mut impl Tx) {
        let (allocations, mut call) = self.call(now, tx);
        streams::on_connected(allocations, &mut call, stream);
    }

    fn on_stream_passed(
        &mut self,
        now: Instant,
        stream: StreamId,
        towards: Towards,
        bytes: usize,
    ) -> Instant {
        let Self { allocations, counters, settings, .. } = self;
        streams::on_passed(allocations, counters, &settings.quotas, now, (stream, towards, bytes))
    }

    fn on_stream_closed(&mut self, now: Instant, stream: StreamId, tx: &mut impl Tx) {
        let (allocations, mut call) = self.call(now, tx);
        streams::on_closed(allocations, &mut call, stream);
        self.count_what_exists();
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.allocations.deadlines.next()
    }
}
