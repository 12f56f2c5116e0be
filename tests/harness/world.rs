//! Time and events: the one loop that drives the shard and all peers.

use crate::indices::SentIndices;
use crate::link::{Link, LinkEdit};
use crate::outbox::{HandedOff, Outbox};
use crate::peer::Peer;
use crate::plain::PlainSockets;
use control::{Candidate, ConsumerId, Counter, Event, Produce, ProducerId, RequestId, RouterId, TransportId};
use dtls::{Certificate, Options, Settings};
use machine::{Datagram, Deadlines, Instant, LocalId, Machine, Path, Rng, WorkerId, meter};
use sfu::limits::ICE_CONSENT_TIMEOUT;
use sfu::{Config, Contained, Fault, Input, Shard, limits};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use stun::Demux;

/// Workers have the numbers below this among the deadlines; peers follow.
const WORKERS_MAX: u32 = 8;

/// Calls at one moment after which a machine obviously does not let time advance.
const CALLS_IN_A_MOMENT_MAX: u32 = 10_000;

/// Names a peer of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub(crate) usize);

/// One worker of the engine.
#[derive(Debug)]
pub(crate) struct Worker {
    pub shard: Contained,
    pub outbox: Outbox,
    pub sent: SentIndices,
    pub events: Vec<(Instant, Event)>,
}

/// A shard, its peers, and the network between them. Or several shards of one engine: then one of them is
/// selected at a time, and "the shard" means that one.
#[derive(Debug)]
pub struct World {
    seed: u64,
    /// Panics of shards, if expected.
    faults: Faults,
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    pub(crate) workers: Vec<Worker>,
    pub(crate) current: usize,
    pub(crate) plain: PlainSockets,
    pub(crate) members: Vec<Member>,
    addresses: BTreeMap<SocketAddr, usize>,
    queue: BinaryHeap<Reverse<Due>>,
    /// Numbers queued events, so that at the same time the earlier one comes first.
    queued: u64,
    deadlines: Deadlines,
    calls: (Instant, u32),
    pub(crate) last_request: RequestId,
    pub(crate) last_id: u64,
    pub(crate) router: RouterId,
    pub(crate) produced: BTreeMap<ProducerId, Produce>,
    pub(crate) publishers: BTreeMap<ProducerId, PeerId>,
    pub(crate) subscribers: BTreeMap<ConsumerId, PeerId>,
}

/// A peer, and its connections.
#[derive(Debug)]
pub(crate) struct Member {
    pub peer: Peer,
    pub transport: TransportId,
    /// Its worker.
    pub worker: usize,
    /// The address that the engine sees.
    pub address: SocketAddr,
    /// On the network that the peer is leaving, if it is: media is sent there until a pair of the new one is
    /// nominated.
    pub former: Option<SocketAddr>,
    up: Link,
    down: Link,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    order: u64,
    what: What,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A datagram reaches this worker of the engine, from this address.
    Up(usize, SocketAddr, Vec<u8>),
    /// A datagram of this worker reaches the present owner of this address.
    Down(usize, SocketAddr, Vec<u8>),
    /// One worker's messages reach the other.
    Across(usize, usize, HandedOff),
    /// A peer's uplink may release delayed packets.
    ReleaseUp(usize),
    /// A peer's downlink may release delayed packets.
    ReleaseDown(usize),
}

impl World {
    /// A world without peers, and with one empty router.
    pub fn new(seed: u64) -> Self {
        Self::with_grace_period(seed, Duration::from_secs(30))
    }

    /// With this grace period.
    pub fn with_grace_period(seed: u64, grace_period: Duration) -> Self {
        Self::of(seed, 1, grace_period, Some(ICE_CONSENT_TIMEOUT))
    }

    /// Of an engine with this number of workers; the first one is selected.
    pub fn with_workers(seed: u64, workers: usize) -> Self {
        Self::of(seed, workers, Duration::from_secs(30), Some(ICE_CONSENT_TIMEOUT))
    }

    /// With this consent timeout.
    pub fn with_consent_timeout(seed: u64, consent_timeout: Option<Duration>) -> Self {
        Self::of(seed, 1, Duration::from_secs(30), consent_timeout)
    }

    fn of(seed: u64, workers: usize, grace_period: Duration, consent_timeout: Option<Duration>) -> Self {
        assert!(workers <= WORKERS_MAX as usize);
        let mut rng = Rng::from_number(seed);
        let config = |worker: usize| Config {
            candidates: vec![Candidate::udp(engine_address(seed, worker))],
            plain_ips: vec![PLAIN_IP],
            shares_port_as: None,
            certificate: certificates().0.clone(),
            dtls: dtls_settings(),
            grace_period,
            consent_timeout,
        };
        let faults = Arc::new(Mutex::new(None));
        let workers = (0..workers).map(|worker| Worker {
            shard: contained(seed, config(worker), rng.fork(), &faults),
            outbox: Outbox::new(),
            sent: SentIndices::default(),
            events: Vec::new(),
        });
        let workers = workers.collect();
        let mut world = Self {
            seed,
            faults,
            // Not the epoch: a machine that treats zero specially would not be detected.
            now: Instant::from_nanos(5_000_000_000),
            workers,
            current: 0,
            rng,
            plain: PlainSockets::default(),
            members: Vec::new(),
            addresses: BTreeMap::new(),
            queue: BinaryHeap::new(),
            queued: 0,
            deadlines: Deadlines::default(),
            calls: (Instant::EPOCH, 0),
            last_request: RequestId(0),
            last_id: 0,
            router: RouterId(0),
            produced: BTreeMap::new(),
            publishers: BTreeMap::new(),
            subscribers: BTreeMap::new(),
        };
        world.router = world.create_router();
        world
    }

    /// The source of all randomness of this world.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The present time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Selects this worker from now on.
    pub fn turn_to(&mut self, worker: usize) {
        assert!(worker < self.workers.len(), "{self}: there is no worker {worker}");
        self.current = worker;
    }

    /// The engine's shard.
    pub fn shard(&self) -> &Shard {
        self.workers[self.current].shard.shard()
    }

    /// From now on tests may cause panics of shards, which are collected instead of failing the test.
    pub fn expect_faults(&mut self) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    }

    /// Takes the panics of shards so far.
    pub fn take_faults(&mut self) -> Vec<Fault> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Panics if the tables of a shard contradict each other.
    pub fn assert_consistent(&self) {
        for (index, worker) in self.workers.iter().enumerate() {
            let checked = worker.shard.shard().check_consistency();
            assert_eq!(checked, Ok(()), "{self}: worker {index}");
        }
    }

    /// The shard's sent datagrams. Every datagram is checked, see [`SentIndices`].
    pub fn sent(&self) -> &SentIndices {
        &self.workers[self.current].sent
    }

    /// The shard's send batch, to be made smaller.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.workers[self.current].outbox
    }

    /// Both directions of a peer's path.
    pub fn link(&mut self, peer: PeerId) -> LinkEdit<'_> {
        let member = &mut self.members[peer.0];
        LinkEdit { links: vec![&mut member.up, &mut member.down] }
    }

    /// From a peer to the engine.
    pub fn uplink(&mut self, peer: PeerId) -> LinkEdit<'_> {
        LinkEdit { links: vec![&mut self.members[peer.0].up] }
    }

    /// From the engine to a peer.
    pub fn downlink(&mut self, peer: PeerId) -> LinkEdit<'_> {
        LinkEdit { links: vec![&mut self.members[peer.0].down] }
    }

    /// The counts of a peer's datagrams: on the uplink, and on the downlink.
    pub fn links(&self, peer: PeerId) -> (&Link, &Link) {
        let member = &self.members[peer.0];
        (&member.up, &member.down)
    }

    /// A peer.
    pub fn peer(&self, peer: PeerId) -> &Peer {
        &self.members[peer.0].peer
    }

    /// Changes a peer.
    pub fn order<T>(&mut self, peer: PeerId, order: impl FnOnce(&mut Peer, Instant) -> T) -> T {
        let done = order(&mut self.members[peer.0].peer, self.now);
        self.rearm_peer(peer.0);
        done
    }

    /// A peer's address as seen by the engine.
    pub fn address(&self, peer: PeerId) -> SocketAddr {
        self.members[peer.0].address
    }

    /// A NAT gives the peer another address; the peer does not notice, and nothing arrives at the old one.
    pub fn rebind(&mut self, peer: PeerId) {
        let old = self.members[peer.0].address;
        self.addresses.remove(&old);
        let new = SocketAddr::new(old.ip(), old.port() + 1);
        self.addresses.insert(new, peer.0);
        self.members[peer.0].address = new;
    }

    /// The peer enters another network while still in the old one: it checks from its new address, and
    /// continues to send from the old one until the engine has confirmed a nomination.
    pub fn roam(&mut self, peer: PeerId) {
        let member = &mut self.members[peer.0];
        let (former, new) = (member.address, SocketAddr::new(member.address.ip(), member.address.port() + 1));
        (member.former, member.address) = (Some(former), new);
        self.addresses.insert(new, peer.0);
    }

    /// An authentic check of this peer arrives from an address that need not be the peer's. Its answer is
    /// sent there.
    pub fn check_from(&mut self, peer: PeerId, from: SocketAddr) {
        let check = self.members[peer.0].peer.agent_mut().nomination();
        let worker = self.members[peer.0].worker;
        self.enqueue(self.now, What::Up(worker, from, check));
    }

    /// The peer's new network delivers nothing to it (or does again).
    pub fn deafen(&mut self, peer: PeerId, is_deaf: bool) {
        let address = self.members[peer.0].address;
        if is_deaf {
            self.addresses.remove(&address);
        } else {
            self.addresses.insert(address, peer.0);
        }
    }

    /// The peer has left its old network.
    pub fn leave(&mut self, peer: PeerId) {
        if let Some(former) = self.members[peer.0].former.take() {
            self.addresses.remove(&former);
        }
    }

    /// Over everything received by any peer: plaintext and times.
    pub fn digest(&self) -> u64 {
        let mut digest = DefaultHasher::new();
        self.members.iter().for_each(|member| member.peer.digest().hash(&mut digest));
        digest.finish()
    }

    /// Panics if any peer received packets that a browser would reject.
    pub fn assert_sound(&self) {
        for (index, member) in self.members.iter().enumerate() {
            let faults = member.peer.faults();
            assert!(faults.is_empty(), "{self}: peer {index} received {faults:#?}");
        }
    }

    /// Advances time.
    pub fn run_for(&mut self, time: Duration) {
        self.run_to(self.now + time);
    }

    /// Advances time until `is_done`, checking every 5 ms. Panics if that takes longer than `patience`.
    pub fn run_until(&mut self, patience: Duration, is_done: impl Fn(&Self) -> bool) {
        let end = self.now + patience;
        while !is_done(self) {
            assert!(self.now < end, "{self}: waited {patience:?} for nothing");
            self.run_for(Duration::from_millis(5));
        }
    }

    fn run_to(&mut self, end: Instant) {
        loop {
            let queued = self.queue.peek().map(|Reverse(due)| due.at);
            let armed = self.deadlines.next();
            let Some(next) = queued.into_iter().chain(armed).min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            // Datagrams of this moment first: a timer that waits for them then finds them.
            if queued.is_some_and(|queued| queued <= self.now) {
                let Some(Reverse(due)) = self.queue.pop() else { break };
                self.happen(due.what);
            } else if let Some(owner) = self.deadlines.pop(self.now) {
                self.wake(owner);
            }
        }
        self.now = self.now.max(end);
    }

    /// The next datagram, if it arrives at this worker at the same time: then it is in the same batch.
    fn next_up(&mut self, worker: usize) -> Option<(SocketAddr, Vec<u8>)> {
        let is_up = |due: &Due| due.at <= self.now && matches!(&due.what, What::Up(to, ..) if *to == worker);
        self.queue.peek().filter(|Reverse(due)| is_up(due))?;
        match self.queue.pop()?.0.what {
            What::Up(_, from, bytes) => Some((from, bytes)),
            _ => None,
        }
    }

    /// The same for messages of other workers.
    fn next_across(&mut self, worker: usize) -> Option<(usize, HandedOff)> {
        let is_across =
            |due: &Due| due.at <= self.now && matches!(&due.what, What::Across(_, to, _) if *to == worker);
        self.queue.peek().filter(|Reverse(due)| is_across(due))?;
        match self.queue.pop()?.0.what {
            What::Across(from, _, bytes) => Some((from, bytes)),
            _ => None,
        }
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Up(worker, from, bytes) => {
                let mut batch = vec![(from, bytes)];
                while let Some((from, bytes)) = self.next_up(worker) {
                    batch.push((from, bytes));
                }
                self.with_worker(worker, batch.len() + 1, |shard, now, outbox| {
                    for (remote, bytes) in &mut batch {
                        let path = Path { local: LocalId(0), remote: *remote };
                        shard.on_datagram(now, Datagram { path, received_at: now, bytes }, outbox);
                    }
                    shard.on_batch_end(now, outbox);
                });
            }
            What::Across(from, worker, bytes) => {
                let mut batch = vec![(from, bytes)];
                while let Some((from, bytes)) = self.next_across(worker) {
                    batch.push((from, bytes));
                }
                self.with_worker(worker, batch.len() + 1, |shard, now, outbox| {
                    for (from, HandedOff { bytes, buffer }) in batch {
                        let from = WorkerId(from as u16);
                        match buffer {
                            Some(buffer) => shard.on_hand_off_buffer(now, from, &bytes, buffer, outbox),
                            None => shard.on_hand_off(now, from, &bytes, outbox),
                        }
                    }
                    shard.on_batch_end(now, outbox);
                });
            }
            What::Down(worker, to, mut bytes) => {
                let Some(index) = self.addresses.get(&to).copied() else { return };
                let path = Path { local: LocalId(0), remote: engine_address(self.seed, worker) };
                let datagram = Datagram { path, received_at: self.now, bytes: &mut bytes };
                let mut outbox = Outbox::new();
                self.members[index].peer.on_datagram(self.now, datagram, &mut outbox);
                self.after_peer(index, outbox);
            }
            What::ReleaseUp(index) => {
                let mut arrivals = Vec::new();
                self.members[index].up.release(self.now, &mut arrivals);
                self.enqueue_up(index, self.members[index].address, arrivals);
            }
            What::ReleaseDown(index) => {
                let mut arrivals = Vec::new();
                self.members[index].down.release(self.now, &mut arrivals);
                self.enqueue_down(index, self.members[index].address, arrivals);
            }
        }
    }

    fn wake(&mut self, owner: u32) {
        let (at, calls) = self.calls;
        self.calls = if at == self.now { (at, calls + 1) } else { (self.now, 1) };
        assert!(self.calls.1 < CALLS_IN_A_MOMENT_MAX, "{self}: number {owner} requests a wake-up endlessly");
        if owner < WORKERS_MAX {
            let calls = limits::TRANSPORTS_PER_TIMEOUT;
            self.with_worker(owner as usize, calls, |shard, now, outbox| shard.on_timeout(now, outbox));
        } else {
            let index = (owner - WORKERS_MAX) as usize;
            let mut outbox = Outbox::new();
            self.members[index].peer.on_timeout(self.now, &mut outbox);
            self.after_peer(index, outbox);
        }
    }

    /// Passes the shard an input of its controller.
    pub(crate) fn command(&mut self, input: Input) {
        self.with_shard(|shard, now, outbox| shard.on_command(now, input, outbox));
    }

    /// Calls the shard, and performs its driver's actions afterwards.
    pub(crate) fn with_shard(&mut self, call: impl FnOnce(&mut Contained, Instant, &mut Outbox)) {
        self.with_worker(self.current, 2, call);
    }

    /// Makes this number of calls. Their cost must not grow with a peer's input, but only with the number of
    /// objects.
    fn with_worker(
        &mut self,
        worker: usize,
        calls: usize,
        call: impl FnOnce(&mut Contained, Instant, &mut Outbox),
    ) {
        let Worker { shard, outbox, .. } = &mut self.workers[worker];
        let objects = objects_of(shard.shard());
        meter::take();
        call(shard, self.now, outbox);
        let (steps, objects) = (meter::take(), objects.max(objects_of(shard.shard())));
        let bound = calls as u64 * (limits::WORK_PER_CALL + limits::WORK_PER_OBJECT * objects);
        assert!(steps <= bound, "{self}: {calls} calls took {steps} steps, with {objects} objects");
        self.after_shard(worker);
    }

    /// A datagram with this source address arrives.
    pub fn feed_from(&mut self, from: SocketAddr, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        self.with_shard(|shard, now, outbox| {
            let path = Path { local: LocalId(0), remote: from };
            shard.on_datagram(now, Datagram { path, received_at: now, bytes: &mut bytes }, outbox);
            shard.on_batch_end(now, outbox);
        });
    }

    /// Another worker sends a message to the selected one.
    pub fn hand_over(&mut self, from: u16, bytes: &[u8]) {
        self.with_shard(|shard, now, outbox| {
            shard.on_hand_off(now, WorkerId(from), bytes, outbox);
            shard.on_batch_end(now, outbox);
        });
    }

    pub(crate) fn add_member(&mut self, peer: Peer, transport: TransportId) -> PeerId {
        let index = self.members.len();
        let [high, low] = (index as u16).to_be_bytes();
        let ip = match engine_address(self.seed, 0) {
            SocketAddr::V4(_) => IpAddr::from([10, 0, high, low]),
            SocketAddr::V6(_) => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, index as u16]),
        };
        let address = SocketAddr::new(ip, 40_000);
        let (up, down) = (Link::new(self.rng.fork()), Link::new(self.rng.fork()));
        let worker = self.current;
        self.members.push(Member { peer, transport, worker, address, former: None, up, down });
        self.addresses.insert(address, index);
        self.rearm_peer(index);
        PeerId(index)
    }

    fn after_shard(&mut self, worker: usize) {
        for (to, bytes) in self.workers[worker].outbox.drain_handed() {
            assert!(usize::from(to.0) < self.workers.len(), "{self}: there is no {to:?}");
            self.enqueue(self.now, What::Across(worker, to.0.into(), bytes));
        }
        for (flow, path, bytes) in self.workers[worker].outbox.drain_flows() {
            let Worker { shard, sent, .. } = &mut self.workers[worker];
            if let Err(fault) = sent.on_sent(shard.shard(), flow, &bytes) {
                panic!("{self}: {fault}");
            }
            if self.plain.take(worker, path, &bytes) {
                continue;
            }
            // To an address that is not used (any more): lost.
            let Some(index) = self.addresses.get(&path.remote).copied() else { continue };
            let mut arrivals = Vec::new();
            let link = &mut self.members[index].down;
            link.carry(self.now, bytes, &mut arrivals);
            let release = link.next_release();
            self.enqueue_down(index, path.remote, arrivals);
            if let Some(at) = release {
                self.enqueue(at, What::ReleaseDown(index));
            }
        }
        self.carry_out_orders(worker);
        while let Some(event) = self.workers[worker].shard.poll_event() {
            let Worker { shard, sent, events, .. } = &mut self.workers[worker];
            if let Event::Stats { item, .. } = &event
                && let Err(fault) = sent.on_stats(shard.shard(), item)
            {
                panic!("{self}: {fault}");
            }
            events.push((self.now, event));
        }
        let shard = &self.workers[worker].shard;
        self.deadlines.set(worker as u32, shard.next_timeout());
    }

    fn after_peer(&mut self, index: usize, mut outbox: Outbox) {
        for (_, bytes) in outbox.drain() {
            let mut arrivals = Vec::new();
            let member = &mut self.members[index];
            let is_check = stun::demux(&bytes) == Demux::Stun;
            let from = match member.former {
                Some(former) if !is_check && !member.peer.agent().is_nominated() => former,
                _ => member.address,
            };
            let link = &mut member.up;
            link.carry(self.now, bytes, &mut arrivals);
            let release = link.next_release();
            self.enqueue_up(index, from, arrivals);
            if let Some(at) = release {
                self.enqueue(at, What::ReleaseUp(index));
            }
        }
        self.rearm_peer(index);
    }

    fn rearm_peer(&mut self, index: usize) {
        self.deadlines.set(index as u32 + WORKERS_MAX, self.members[index].peer.next_timeout());
    }

    fn enqueue_up(&mut self, index: usize, from: SocketAddr, arrivals: Vec<(Instant, Vec<u8>)>) {
        let worker = self.members[index].worker;
        for (at, bytes) in arrivals {
            self.enqueue(at, What::Up(worker, from, bytes));
        }
    }

    fn enqueue_down(&mut self, index: usize, to: SocketAddr, arrivals: Vec<(Instant, Vec<u8>)>) {
        let worker = self.members[index].worker;
        for (at, bytes) in arrivals {
            self.enqueue(at, What::Down(worker, to, bytes));
        }
    }

    fn enqueue(&mut self, at: Instant, what: What) {
        self.queued += 1;
        self.queue.push(Reverse(Due { at, order: self.queued, what }));
    }
}

impl std::fmt::Display for World {
    /// The text for failure messages: `seed 7, 12.3 s in`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}, {:?} in", self.seed, self.now.since_epoch())
    }
}

/// Panics of shards; `None` if none is expected, and each fails the test.
type Faults = Arc<Mutex<Option<Vec<Fault>>>>;

/// A shard of this configuration, in which tests may cause panics.
fn contained(seed: u64, config: Config, rng: Rng, faults: &Faults) -> Contained {
    let faults = faults.clone();
    let mut shard = Shard::new(config, rng);
    shard.accept_injected_panics();
    Contained::new(shard, move |fault| match faults.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        Some(expected) => expected.push(fault),
        None => panic!("seed {seed}: the shard panicked: {fault:?}"),
    })
}

/// All objects of the shard.
fn objects_of(shard: &Shard) -> u64 {
    let kinds = [Counter::Routers, Counter::Transports, Counter::Producers, Counter::Consumers];
    kinds.into_iter().map(|kind| shard.counters().value(kind)).sum()
}

/// The listening address of a worker: IPv4 for even seeds, IPv6 for odd ones, so that tests with several
/// seeds cover both families (RFC 5737, RFC 3849).
pub(crate) fn engine_address(seed: u64, worker: usize) -> SocketAddr {
    let ip = match seed % 2 {
        0 => IpAddr::from([192, 0, 2, 1]),
        _ => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
    };
    SocketAddr::new(ip, 7081 + worker as u16)
}

/// The addresses of plain transports.
pub(crate) const PLAIN_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The engine's and the peers', created once: creating one costs more than a handshake.
pub(crate) fn certificates() -> &'static (Certificate, Certificate) {
    static CERTIFICATES: OnceLock<(Certificate, Certificate)> = OnceLock::new();
    CERTIFICATES.get_or_init(|| (Certificate::generate(), Certificate::generate()))
}

/// The DTLS settings of both sides.
pub(crate) fn dtls_settings() -> Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| Settings::new(Options::default())).clone()
}
