//! One UDP port for all workers: which worker a datagram is for, and how it gets there.
//!
//! Every worker binds a socket to the same address (`SO_REUSEPORT`), and the kernel chooses one of them for each
//! datagram. A transport lives in one worker, so that the choice has to be that worker's socket:
//!
//! - An ICE check names its transport. The username fragments of a worker begin with the worker's character
//!   ([`WorkerId::ice_char`]).
//! - Any other datagram comes from an address for which a machine has [claimed](PathClaim) the path, after an
//!   authentic check.
//!
//! An extended BPF program in the kernel knows both. Where the process may not load one (`CAP_BPF`), a classic program
//! knows the checks only, and the kernel's hash of the addresses chooses for the rest. What arrives at another
//! worker is [handed over](PortShare::pass_on), copied once. So every way is correct, and they differ in cost.

mod program;

use crate::limits::{CLAIM_SILENCE_MAX, CLAIMS_MAX, FLOW_TABLES, NAME_ATTRIBUTES_MAX};
use crate::mailbox::{Envelope, Mailboxes};
use crate::sys::address::{ADDRESS_BYTES, decode, encode};
use crate::sys::bpf::{self, FlowMap, SocketMap};
use crate::udp::sockets::Sockets;
use machine::{Datagram, Instant, LocalId, Path, PathClaim, WorkerId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError, RwLock};

/// How the kernel chooses the worker of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steering {
    /// By an extended BPF program: checks by their name, the rest by its source address.
    Extended,
    /// By a classic BPF program: checks by their name, the rest by the kernel's hash.
    Classic,
    /// By the kernel's hash.
    Hash,
}

impl Steering {
    /// All, the preferred first.
    pub const ALL: &[Self] = &[Self::Extended, Self::Classic, Self::Hash];

    /// In lower case, for options and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Extended => "ebpf",
            Self::Classic => "cbpf",
            Self::Hash => "hash",
        }
    }
}

/// A kind of steering that this process cannot have.
#[derive(Debug, thiserror::Error)]
#[error("the kernel refuses the steering program {}: it needs CAP_BPF", .steering.name())]
pub struct SteeringError {
    /// Which.
    pub steering: Steering,
    /// The kernel's error.
    pub source: io::Error,
}

/// Counters since the worker was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SteeringStats {
    /// Datagrams that arrived at the worker of their transport, or that belong to no transport.
    pub own: u64,
    /// Datagrams for another worker, handed over to it.
    pub handed_over: u64,
    /// Datagrams for another worker that were dropped: its mailbox was full, or they were too long.
    pub dropped: u64,
    /// Datagrams that other workers handed over to this one.
    pub received: u64,
    /// Claims that were refused, because another worker has the path.
    pub claims_refused: u64,
}

/// The paths of all workers. A worker writes for each check of a peer, and reads for datagrams that are not its own.
#[derive(Debug)]
struct Flows {
    hasher: RandomState,
    tables: Box<[FlowTable]>,
}

type FlowTable = RwLock<HashMap<Path, Claimed>>;

/// The worker that has a path, and when it claimed it last.
#[derive(Clone, Copy, Debug)]
struct Claimed {
    worker: WorkerId,
    at: Instant,
}

impl Flows {
    fn new() -> Self {
        let tables = (0..FLOW_TABLES).map(|_| RwLock::default()).collect();
        Self { hasher: RandomState::new(), tables }
    }

    fn table(&self, path: &Path) -> &FlowTable {
        &self.tables[self.hasher.hash_one(path) as usize % FLOW_TABLES]
    }

    fn owner(&self, path: &Path) -> Option<WorkerId> {
        self.table(path)
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(path)
            .map(|claimed| claimed.worker)
    }

    /// Whether the path now belongs to this worker.
    fn claim(&self, now: Instant, path: Path, worker: WorkerId) -> bool {
        let mut table = self.table(&path).write().unwrap_or_else(PoisonError::into_inner);
        let claimed = table.entry(path).or_insert(Claimed { worker, at: now });
        // A NAT may have given the address of a silent peer to another one.
        if claimed.worker != worker && now.saturating_since(claimed.at) <= CLAIM_SILENCE_MAX {
            return false;
        }
        *claimed = Claimed { worker, at: now };
        true
    }

    /// Whether the path belonged to this worker. Then it belongs to none.
    fn release(&self, path: &Path, worker: WorkerId) -> bool {
        let mut table = self.table(path).write().unwrap_or_else(PoisonError::into_inner);
        let is_own = table.get(path).is_some_and(|claimed| claimed.worker == worker);
        if is_own {
            table.remove(path);
        }
        is_own
    }
}

/// The program of one group of sockets. It stays in the kernel as long as the sockets are open.
#[derive(Debug)]
struct Extended {
    flows: FlowMap,
    _sockets: SocketMap,
    _program: OwnedFd,
}

/// One worker's part of the shared ports.
#[derive(Debug)]
pub struct PortShare {
    own: WorkerId,
    workers: u16,
    steering: Steering,
    flows: Arc<Flows>,
    /// By the number of the socket; empty without extended programs.
    programs: Arc<[Extended]>,
    /// The paths that this worker has claimed, and the order.
    claimed: HashSet<Path>,
    /// The claimed path of the last datagram.
    last_own: Option<Path>,
    order: VecDeque<Path>,
    strays: Mailboxes,
    stats: SteeringStats,
}

/// Released paths that the order may hold.
const ORDER_SPARE: usize = 64;

/// Bytes before the datagram in an envelope: the socket, when it arrived, the source.
const HEAD_BYTES: usize = 2 + 8 + ADDRESS_BYTES;

impl PortShare {
    /// Shares the ports of these sockets, of one worker each, in the order of the workers. `wanted`: this way of
    /// steering or an error; `None`: the best that the kernel permits.
    pub fn between(workers: &[&Sockets], wanted: Option<Steering>) -> Result<Vec<Self>, SteeringError> {
        let kinds = wanted.map_or(Steering::ALL, |wanted| match wanted {
            Steering::Extended => &[Steering::Extended],
            Steering::Classic => &[Steering::Classic],
            Steering::Hash => &[Steering::Hash],
        });
        let mut refused = None;
        for steering in kinds {
            match attach(workers, *steering) {
                Ok(programs) => return Ok(Self::of(workers.len(), *steering, programs)),
                Err(source) => refused = Some(SteeringError { steering: *steering, source }),
            }
        }
        refused.map_or(Ok(Vec::new()), Err)
    }

    fn of(workers: usize, steering: Steering, programs: Vec<Extended>) -> Vec<Self> {
        let (flows, programs) = (Arc::new(Flows::new()), Arc::<[Extended]>::from(programs));
        let share = |(own, strays)| Self {
            own: WorkerId(own),
            workers: workers as u16,
            steering,
            flows: flows.clone(),
            programs: programs.clone(),
            claimed: HashSet::new(),
            last_own: None,
            order: VecDeque::new(),
            strays,
            stats: SteeringStats::default(),
        };
        (0..).zip(Mailboxes::between(workers)).map(share).collect()
    }

    /// How the kernel chooses.
    pub fn steering(&self) -> Steering {
        self.steering
    }

    /// The counters.
    pub fn stats(&self) -> SteeringStats {
        self.stats
    }

    pub(crate) fn strays(&mut self) -> &mut Mailboxes {
        &mut self.strays
    }

    /// Whether another worker has handed something over.
    pub(crate) fn has_work(&self) -> bool {
        self.strays.has_work()
    }

    /// Whether the datagram belongs to another worker. If so, it was handed over, or dropped and counted.
    pub(crate) fn pass_on(&mut self, datagram: &Datagram<'_>) -> bool {
        if datagram.path.local.on_demand_index().is_some() {
            return false;
        }
        let owner = match named_worker(datagram.bytes) {
            Some(worker) => Some(worker).filter(|worker| worker.0 < self.workers),
            // Datagrams of a peer arrive in runs.
            None if self.last_own == Some(datagram.path) => None,
            None if self.claimed.contains(&datagram.path) => {
                self.last_own = Some(datagram.path);
                None
            }
            None => self.flows.owner(&datagram.path),
        };
        let Some(owner) = owner.filter(|owner| *owner != self.own) else {
            self.stats.own += 1;
            return false;
        };
        let head = write_head(datagram);
        if self.strays.send(owner, &head, datagram.bytes) {
            self.stats.handed_over += 1;
        } else {
            self.stats.dropped += 1;
        }
        true
    }

    /// The next datagram from another worker. [`Mailboxes::recycle`] must follow.
    pub(crate) fn receive(&mut self) -> Option<Box<Envelope>> {
        let envelope = self.strays.receive()?;
        self.stats.received += 1;
        Some(envelope)
    }

    /// Carries out a claim or a release of the machine.
    pub(crate) fn on_claim(&mut self, now: Instant, claim: PathClaim) {
        match claim {
            PathClaim::Claim(path) => self.claim(now, path),
            PathClaim::Release(path) => {
                if self.claimed.remove(&path) {
                    self.give_up(&path);
                }
                // Released paths leave the order now and then, so that a release costs the same for any number.
                if self.order.len() > 2 * self.claimed.len() + ORDER_SPARE {
                    self.order.retain(|other| self.claimed.contains(other));
                }
            }
        }
    }

    fn claim(&mut self, now: Instant, path: Path) {
        if !self.flows.claim(now, path, self.own) {
            // Another worker may have taken it over from this one.
            self.claimed.remove(&path);
            self.last_own = None;
            self.stats.claims_refused += 1;
            return;
        }
        if self.claimed.contains(&path) {
            return;
        }
        while self.claimed.len() >= CLAIMS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            if self.claimed.remove(&oldest) {
                self.give_up(&oldest);
            }
        }
        self.claimed.insert(path);
        self.order.push_back(path);
        if let Some(program) = self.programs.get(usize::from(path.local.0))
            && let Err(error) = program.flows.set(path.remote, u32::from(self.own.0))
        {
            // Its datagrams are handed over.
            tracing::warn!(%error, "the kernel's table of flows has no room");
        }
    }

    fn give_up(&mut self, path: &Path) {
        self.last_own = None;
        let is_own = self.flows.release(path, self.own);
        if is_own && let Some(program) = self.programs.get(usize::from(path.local.0)) {
            // It may never have been added.
            let _ = program.flows.remove(path.remote);
        }
    }
}

/// Lets the kernel choose in this way for each address that the workers share.
fn attach(workers: &[&Sockets], steering: Steering) -> io::Result<Vec<Extended>> {
    let Some(first) = workers.first() else { return Ok(Vec::new()) };
    let mut programs = Vec::new();
    for (local, socket) in first.iter() {
        match steering {
            Steering::Hash => {}
            Steering::Classic => bpf::attach_classic(socket, &program::classic())?,
            Steering::Extended => {
                let group: Vec<_> = workers.iter().filter_map(|sockets| sockets.fd(local)).collect();
                let sockets = SocketMap::new(group.into_iter())?;
                let flows = FlowMap::new(CLAIMS_MAX * workers.len())?;
                let is_ipv6 = first.local_addr(local).is_some_and(|address| address.is_ipv6());
                let loaded = bpf::load(&program::extended(flows.fd(), sockets.fd(), is_ipv6))?;
                bpf::attach(socket, &loaded)?;
                programs.push(Extended { flows, _sockets: sockets, _program: loaded });
            }
        }
    }
    Ok(programs)
}

/// The worker whose character a check's USERNAME begins with. `None` for anything but a Binding request with a name.
fn named_worker(bytes: &[u8]) -> Option<WorkerId> {
    const BINDING_REQUEST: [u8; 2] = [0, 1];
    const USERNAME: [u8; 2] = [0, 6];
    let (header, mut rest) = bytes.split_at_checked(20)?;
    if header[..2] != BINDING_REQUEST {
        return None;
    }
    for _ in 0..NAME_ATTRIBUTES_MAX {
        let (kind, len, value) = (rest.get(..2)?, rest.get(2..4)?, rest.get(4..)?);
        if kind == USERNAME {
            return WorkerId::of_ice_char(*value.first()?);
        }
        let len = usize::from(u16::from_be_bytes([len[0], len[1]])).next_multiple_of(4);
        rest = value.get(len..)?;
    }
    None
}

fn write_head(datagram: &Datagram<'_>) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..2].copy_from_slice(&datagram.path.local.0.to_ne_bytes());
    head[2..10].copy_from_slice(&datagram.received_at.as_nanos().to_ne_bytes());
    let mut address = [0; ADDRESS_BYTES];
    encode(datagram.path.remote, &mut address);
    head[10..].copy_from_slice(&address);
    head
}

/// A datagram that another worker has handed over. Its bytes may be changed.
pub(crate) fn read_stray(bytes: &mut [u8]) -> Option<Datagram<'_>> {
    let (head, bytes) = bytes.split_at_mut_checked(HEAD_BYTES)?;
    let local = LocalId(u16::from_ne_bytes(*head.first_chunk()?));
    let received_at = Instant::from_nanos(u64::from_ne_bytes(head.get(2..10)?.try_into().ok()?));
    let remote = decode(&head[10..])?;
    Some(Datagram { path: Path { local, remote }, received_at, bytes })
}

#[cfg(test)]
mod tests;
