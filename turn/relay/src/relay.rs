//! The machine: what it remembers, and where what comes in goes.

use crate::allocation::{Allocation, Relayed};
use crate::counters::{Counter, Counters};
use crate::events::{Command, End, Event};
use crate::limits::{ALLOCATIONS_MAX, EVENTS_MAX, STREAMS_MAX};
use crate::nonce::Nonces;
use crate::quota::{Account, Ledger};
use crate::relay_sockets::RelaySockets;
use crate::settings::Settings;
use crate::streams::{FIRST_DEADLINE, PeerStreams};
use crate::table::{Keyed, Table};
use crate::throttle::Throttle;
use machine::{
    Datagram, Deadlines, Instant, LocalId, Machine, Path, Rng, SocketError, SocketOrder, StreamId, Towards,
    Tx,
};
use std::collections::VecDeque;
use std::net::SocketAddr;
use stun::Family;

/// A TURN server without its sockets.
#[derive(Debug)]
pub struct Relay {
    pub(crate) settings: Settings,
    pub(crate) rng: Rng,
    pub(crate) nonces: Nonces,
    pub(crate) throttle: Throttle,
    pub(crate) allocations: Vec<Option<Box<Allocation>>>,
    free: Vec<u32>,
    by_client: Table<Path, u32>,
    /// Whose the last datagram of a client was: the next is often of the same.
    last: Option<(Path, u32)>,
    pub(crate) sockets: RelaySockets,
    pub(crate) streams: PeerStreams,
    pub(crate) reservations: Vec<Option<Reservation>>,
    pub(crate) ledger: Account,
    /// Of allocations by their index, behind those of reservations, and of connections with peers.
    pub(crate) deadlines: Deadlines,
    pub(crate) orders: VecDeque<SocketOrder>,
    events: VecDeque<Event>,
    pub(crate) counters: Counters,
    pub(crate) is_draining: bool,
}

/// A port that waits for whoever has its token.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub token: [u8; 8],
    pub socket: Relayed,
    /// Whose quota it counts against.
    pub user: Box<[u8]>,
}

impl Reservation {
    pub(crate) fn family(&self) -> Family {
        Family::of(&self.socket.address)
    }
}

impl Relay {
    /// One without clients. All its chance comes from `rng`, which must be seeded by the operating system where it faces a network:
    /// nonces, reservation tokens and hashes hang on it.
    pub fn new(settings: Settings, mut rng: Rng) -> Self {
        let account = Account::alone(&mut rng);
        Self::with(account, settings, rng)
    }

    /// One of several that make up a server: what its users have counts together, in a ledger that all are handed.
    pub fn sharing(ledger: Box<dyn Ledger>, settings: Settings, rng: Rng) -> Self {
        Self::with(Account::of(ledger), settings, rng)
    }

    fn with(ledger: Account, settings: Settings, mut rng: Rng) -> Self {
        Self {
            nonces: Nonces::new(settings.credentials.takes_userhash(), &mut rng),
            throttle: Throttle::new(&mut rng),
            by_client: Table::with_hasher(Keyed::new(&mut rng)),
            ledger,
            streams: PeerStreams::new(&mut rng),
            settings,
            rng,
            allocations: Vec::new(),
            free: Vec::new(),
            last: None,
            sockets: RelaySockets::default(),
            reservations: Vec::new(),
            deadlines: Deadlines::default(),
            orders: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            is_draining: false,
        }
    }

    /// What has been counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether nobody has an allocation.
    pub fn is_idle(&self) -> bool {
        self.by_client.is_empty()
    }

    /// What is wrong with the books, if anything: every socket is somebody's and entered, and nothing is beyond its bound. For tests
    /// and fuzzers, between two calls.
    pub fn audit(&self) -> Option<&'static str> {
        let live = || self.allocations.iter().flatten();
        let held = live().map(|allocation| allocation.ports as usize).sum::<usize>();
        let reserved = self.reservations.iter().flatten().count();
        if self.ledger.allocations() != live().count() || self.by_client.len() != live().count() {
            Some("allocations that are not entered")
        } else if self.ledger.ports() != held + reserved {
            Some("ports that are nobody's")
        } else if self.sockets.len() != self.ledger.ports() {
            Some("sockets that are not entered")
        } else if self.streams.len() > STREAMS_MAX
            || self.ledger.connections() != self.streams.len()
            || live().map(|allocation| allocation.streams.len()).sum::<usize>() != self.streams.len()
        {
            Some("connections with peers that are not entered")
        } else if live().any(|allocation| !allocation.is_within_bounds()) {
            Some("more permissions or channels than may be")
        } else {
            None
        }
    }

    /// The allocation of the client behind this path.
    pub(crate) fn find(&self, path: Path) -> Option<u32> {
        self.by_client.get(&path).copied()
    }

    /// The same, remembered from the last time.
    pub(crate) fn find_cached(&mut self, path: Path) -> Option<u32> {
        match self.last {
            Some((last, index)) if last == path => Some(index),
            _ => {
                let index = self.find(path)?;
                self.last = Some((path, index));
                Some(index)
            }
        }
    }

    pub(crate) fn allocation(&self, index: u32) -> Option<&Allocation> {
        self.allocations.get(index as usize)?.as_deref()
    }

    pub(crate) fn allocation_mut(&mut self, index: u32) -> Option<&mut Allocation> {
        self.allocations.get_mut(index as usize)?.as_deref_mut()
    }

    pub(crate) fn insert(&mut self, allocation: Allocation) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.allocations.push(None);
            self.allocations.len() as u32 - 1
        });
        self.by_client.insert(allocation.client, index);
        self.allocations[index as usize] = Some(Box::new(allocation));
        index
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<Box<Allocation>> {
        let allocation = self.allocations.get_mut(index as usize)?.take()?;
        self.by_client.remove(&allocation.client);
        self.last = None;
        self.free.push(index);
        Some(allocation)
    }

    pub(crate) fn slots_used(&self) -> usize {
        self.by_client.len()
    }

    pub(crate) fn tell(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        } else {
            self.counters.count(Counter::EventsLost);
        }
    }

    fn reload(&mut self, settings: Settings) {
        let takes_userhash = settings.credentials.takes_userhash();
        if takes_userhash != self.settings.credentials.takes_userhash() {
            // A nonce tells what the server can do (RFC 8489 §9.2): those from before are stale now.
            self.nonces = Nonces::new(takes_userhash, &mut self.rng);
        }
        let interfaces = std::mem::take(&mut self.settings.policy.interfaces);
        self.settings = settings;
        self.settings.policy.interfaces = interfaces;
        for index in 0..self.allocations.len() as u32 {
            let Some(allocation) = &self.allocations[index as usize] else { continue };
            let Settings { credentials, tcp_peers, .. } = &self.settings;
            let has_lost = allocation.is_tcp && !tcp_peers;
            if has_lost || !credentials.still_has(&allocation.user, allocation.origin) {
                self.end(index, End::Revoked);
            }
        }
        self.apply_policy();
    }

    /// Ends permissions, channels and connections to peers that may not be reached any more.
    fn apply_policy(&mut self) {
        let policy = &self.settings.policy;
        self.allocations.iter_mut().flatten().for_each(|allocation| allocation.obey(policy));
        let policy = &self.settings.policy;
        let outside = self.streams.outside(|peer| policy.admits_host(peer.ip()));
        outside.into_iter().for_each(|stream| self.close_stream(stream));
    }

    fn count_what_exists(&mut self) {
        self.counters.set(Counter::Allocations, self.ledger.allocations());
        self.counters.set(Counter::Sockets, self.sockets.len());
        self.counters.set(Counter::PeerConnections, self.streams.len());
    }
}

impl Machine for Relay {
    type Command = Command;
    type Event = Event;

    fn on_datagram(&mut self, now: Instant, datagram: Datagram<'_>, tx: &mut impl Tx) {
        let Datagram { path, bytes, .. } = datagram;
        if path.local.on_demand_index().is_some() {
            return self.relay_to_client(now, path.local, path.remote, bytes, tx);
        }
        // By the two uppermost bits (RFC 8656 §12): no media of its own is multiplexed on this port.
        match bytes.first().map(|first| first >> 6) {
            Some(0) => self.on_message(now, path, bytes, tx),
            Some(1) => self.on_channel_data(now, path, bytes, tx),
            _ => self.counters.count(Counter::Malformed),
        }
    }

    fn on_path_closed(&mut self, _now: Instant, path: Path, _tx: &mut impl Tx) {
        if let Some(index) = self.find(path) {
            self.end(index, End::Disconnected);
        }
        self.count_what_exists();
    }

    fn on_batch_end(&mut self, _now: Instant, _tx: &mut impl Tx) {
        self.count_what_exists();
    }

    fn on_timeout(&mut self, now: Instant, tx: &mut impl Tx) {
        while let Some(owner) = self.deadlines.pop(now) {
            if let Some(stream) = (owner as usize).checked_sub(FIRST_DEADLINE) {
                self.on_stream_late(StreamId(stream as u16), tx);
                continue;
            }
            match (owner as usize).checked_sub(ALLOCATIONS_MAX) {
                Some(slot) => self.on_reservation_expired(slot),
                None => {
                    self.counters.count(Counter::AllocationsExpired);
                    self.end(owner, End::Expired);
                }
            }
        }
        self.count_what_exists();
    }

    fn on_command(&mut self, _now: Instant, command: Command, _tx: &mut impl Tx) {
        match command {
            Command::Reload(settings) => self.reload(*settings),
            Command::SetInterfaces(interfaces) => {
                self.settings.policy.interfaces = interfaces;
                self.apply_policy();
            }
            Command::Drain => self.is_draining = true,
            // For whoever decrypts what comes here.
            Command::SetCertificate(_) => {}
        }
        self.count_what_exists();
    }

    fn poll_socket_order(&mut self) -> Option<SocketOrder> {
        self.orders.pop_front()
    }

    fn on_socket_opened(
        &mut self,
        now: Instant,
        local: LocalId,
        opened: Result<SocketAddr, SocketError>,
        tx: &mut impl Tx,
    ) {
        self.on_opened(now, local, opened, tx);
        self.count_what_exists();
    }

    fn on_stream_offered(
        &mut self,
        now: Instant,
        local: LocalId,
        remote: SocketAddr,
        tx: &mut impl Tx,
    ) -> Option<StreamId> {
        let stream = self.on_offered(now, local, remote, tx);
        self.count_what_exists();
        stream
    }

    fn on_stream_connected(&mut self, now: Instant, stream: StreamId, tx: &mut impl Tx) {
        self.on_connected(now, stream, tx);
    }

    fn on_stream_passed(
        &mut self,
        now: Instant,
        stream: StreamId,
        towards: Towards,
        bytes: usize,
    ) -> Instant {
        self.on_passed(now, stream, towards, bytes)
    }

    fn on_stream_closed(&mut self, _now: Instant, stream: StreamId, tx: &mut impl Tx) {
        self.on_closed(stream, tx);
        self.count_what_exists();
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }
}
