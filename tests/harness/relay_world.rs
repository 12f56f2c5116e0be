//! A TURN server between clients and peers on a virtual network, in virtual time, from one seed.
//!
//! A client sends requests as in the RFC (RFC 8489 §6.2.1): it repeats a request until it is answered, with
//! another nonce if the server sends one. The test determines everything else.

use crate::link::{Link, LinkEdit};
use crate::turn_request::{Known, turn_request};
use crate::{Outbox, SocketsOnDemand};
use machine::{Datagram, Instant, LocalId, Machine, Path, Rng, SocketError};
use relay::{Command, Counter, Credentials, EvenClock, Event, Policy, Quotas, Relay, Settings};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use stun::attribute::NONCE;
use stun::{ChannelData, Class, Message, Method, TransactionId, Writer};

const REALM: &str = "leat";
const PASSWORD: &str = "p";
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9));

/// The first interval of retransmissions; doubled each time (RFC 8489 §6.2.1: Rc of 7, Rm of 16).
const RTO: Duration = Duration::from_millis(500);
const SENDINGS: u32 = 7;
const LAST_WAIT: u32 = 16;

/// Names a client of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientId(usize);

/// Names a peer of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FarId(usize);

/// A datagram that a client or a peer has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedDatagram {
    /// When.
    pub at: Instant,
    /// The payload.
    pub bytes: Vec<u8>,
    /// The sender: a relayed address, or the peer in a Data indication. `None` if it arrived on a channel.
    pub from: Option<SocketAddr>,
}

/// The result of a request.
#[derive(Clone, Debug)]
pub struct Answered {
    /// 0 for success.
    pub code: u16,
    /// All answers to it while the client waited for the first one, including that one.
    pub bytes: Vec<u8>,
    /// How often it was sent, also with other nonces.
    pub sendings: u32,
    /// How often the server sent another nonce.
    pub renewals: u32,
    /// Of its last transmission.
    pub id: TransactionId,
}

impl Answered {
    /// The first relayed address of the answer.
    pub fn relayed(&self) -> SocketAddr {
        let message = Message::new(&self.bytes).expect("the relay's message is well-formed");
        message.xor_relayed_addresses().next().flatten().expect("a relayed address")
    }
}

/// A relay, its clients and their peers, and the network between them.
pub struct RelayWorld {
    seed: u64,
    now: Instant,
    rng: Rng,
    relay: Relay,
    outbox: Outbox,
    sockets: SocketsOnDemand,
    /// Relay sockets that may be open at a time.
    pub pool: usize,
    clients: Vec<Client>,
    fars: Vec<Far>,
    queue: Queue,
    /// The relay's events.
    pub events: Vec<Event>,
}

/// One direction, and its destination: a delayed datagram goes where the last one went.
struct Way {
    link: Link,
    place: Option<Place>,
}

impl Way {
    fn new(rng: &mut Rng) -> Self {
        Self { link: Link::new(rng.fork()), place: None }
    }
}

struct Client {
    path: Path,
    user: String,
    nonce: Vec<u8>,
    up: Way,
    down: Way,
    answers: Vec<Vec<u8>>,
    received: Vec<ReceivedDatagram>,
}

struct Far {
    address: SocketAddr,
    up: Way,
    down: Way,
    received: Vec<ReceivedDatagram>,
}

/// Where a datagram arrives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// At this socket, from this address.
    Relay(Path),
    Client(usize),
    Far(usize, SocketAddr),
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    /// At the same time the earlier one comes first.
    number: u64,
    place: Place,
    bytes: Vec<u8>,
}

/// Datagrams in transit.
#[derive(Default)]
struct Queue {
    dues: BinaryHeap<Reverse<Due>>,
    queued: u64,
}

impl Queue {
    fn carry(&mut self, now: Instant, way: &mut Way, place: Place, bytes: Vec<u8>) {
        let mut arrivals = Vec::new();
        way.link.carry(now, bytes, &mut arrivals);
        way.place = Some(place);
        self.push(way, arrivals);
    }

    /// Datagrams that have been delayed long enough.
    fn release(&mut self, now: Instant, way: &mut Way) {
        let mut arrivals = Vec::new();
        way.link.release(now, &mut arrivals);
        self.push(way, arrivals);
    }

    fn push(&mut self, way: &Way, arrivals: Vec<(Instant, Vec<u8>)>) {
        for ((at, bytes), place) in arrivals.into_iter().zip(std::iter::repeat(&way.place)) {
            self.queued += 1;
            let place = place.clone().expect("something was carried");
            self.dues.push(Reverse(Due { at, number: self.queued, place, bytes }));
        }
    }
}

impl RelayWorld {
    /// One in which `users` have accounts, with these `quotas`.
    pub fn new(seed: u64, users: &[&str], quotas: Quotas) -> Self {
        let mut rng = Rng::from_number(seed);
        let account = |all: Credentials, user: &&str| all.user(user, PASSWORD);
        let settings = Settings {
            credentials: users.iter().try_fold(Credentials::new(REALM), account).expect("accounts"),
            policy: Policy { own: vec![SERVER], ..Policy::default() },
            quotas,
            lifetime_max: Duration::from_secs(3600),
            excess_bytes_per_second: relay::limits::EXCESS_BYTES_PER_SECOND,
            old_channels: false,
            alternate_server: None,
            announced: Vec::new(),
            families: [true, false],
            tcp_peers: true,
            wall_clock: Arc::new(EvenClock(Duration::from_secs(1_800_000_000))),
        };
        Self {
            seed,
            now: Instant::from_nanos(1_000_000_000),
            relay: Relay::new(settings, rng.fork()),
            rng,
            outbox: Outbox::new(),
            sockets: SocketsOnDemand::new(SERVER),
            pool: usize::MAX,
            clients: Vec::new(),
            fars: Vec::new(),
            queue: Queue::default(),
            events: Vec::new(),
        }
    }

    /// A client of this user, at its own address, with a perfect path to the relay.
    pub fn client(&mut self, user: &str) -> ClientId {
        let number = self.clients.len() as u16;
        let [high, low] = (number / 1_000 + 1).to_be_bytes();
        let remote = SocketAddr::from(([8, 8, high, low], 4_000 + number % 1_000));
        let path = Path { local: LocalId(0), remote };
        let [up, down] = [Way::new(&mut self.rng), Way::new(&mut self.rng)];
        let user = user.to_owned();
        self.clients.push(Client {
            path,
            user,
            nonce: Vec::new(),
            up,
            down,
            answers: Vec::new(),
            received: Vec::new(),
        });
        ClientId(self.clients.len() - 1)
    }

    /// A new peer.
    pub fn far(&mut self) -> FarId {
        let address = SocketAddr::from(([7, 7, 7, self.fars.len() as u8 + 1], 5_000));
        let [up, down] = [Way::new(&mut self.rng), Way::new(&mut self.rng)];
        self.fars.push(Far { address, up, down, received: Vec::new() });
        FarId(self.fars.len() - 1)
    }

    /// Both directions between a client and the relay.
    pub fn client_link(&mut self, ClientId(client): ClientId) -> LinkEdit<'_> {
        let Client { up, down, .. } = &mut self.clients[client];
        LinkEdit { links: vec![&mut up.link, &mut down.link] }
    }

    /// Both directions between the relay and a peer.
    pub fn far_link(&mut self, FarId(far): FarId) -> LinkEdit<'_> {
        let Far { up, down, .. } = &mut self.fars[far];
        LinkEdit { links: vec![&mut up.link, &mut down.link] }
    }

    /// Datagrams that links have lost so far, and those that they received.
    pub fn lost_and_carried(&self) -> (u64, u64) {
        let links = self.ways().map(|way| &way.link);
        links.fold((0, 0), |(lost, carried), link| (lost + link.lost(), carried + link.carried()))
    }

    fn ways(&self) -> impl Iterator<Item = &Way> {
        let ways = self.clients.iter().flat_map(|client| [&client.up, &client.down]);
        ways.chain(self.fars.iter().flat_map(|far| [&far.up, &far.down]))
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A peer's address.
    pub fn address(&self, FarId(far): FarId) -> SocketAddr {
        self.fars[far].address
    }

    /// Takes a client's received datagrams, except answers.
    pub fn received_by_client(&mut self, ClientId(client): ClientId) -> Vec<ReceivedDatagram> {
        std::mem::take(&mut self.clients[client].received)
    }

    /// Takes a peer's received datagrams.
    pub fn received_by_far(&mut self, FarId(far): FarId) -> Vec<ReceivedDatagram> {
        std::mem::take(&mut self.fars[far].received)
    }

    /// A counter of the relay.
    pub fn count(&self, counter: Counter) -> u64 {
        self.relay.counters().value(counter)
    }

    /// Open relay sockets.
    pub fn sockets(&self) -> usize {
        self.sockets.open().len()
    }

    /// A command of the operator.
    pub fn command(&mut self, command: Command) {
        self.relay.on_command(self.now, command, &mut self.outbox);
        self.after();
    }

    /// Advances time.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time, |_| false);
    }

    /// A client sends a datagram by a channel.
    pub fn send(&mut self, ClientId(client): ClientId, channel: u16, data: &[u8]) {
        let bytes = [&ChannelData::header(channel, data.len() as u16), data].concat();
        self.send_up(client, bytes);
    }

    /// A client sends a datagram in a Send indication.
    pub fn indicate(&mut self, ClientId(client): ClientId, far: FarId, data: &[u8]) {
        let (peer, mut buffer) = (self.address(far), vec![0; 64 + data.len()]);
        let writer = Writer::new(&mut buffer, Class::Indication, Method::SEND, self.id());
        let len = writer
            .and_then(|mut writer| {
                writer.xor_peer_address(peer).attribute(stun::attribute::DATA, data).finish()
            })
            .expect("room");
        buffer.truncate(len);
        self.send_up(client, buffer);
    }

    /// A peer sends a datagram to a relayed address.
    pub fn reply(&mut self, FarId(far): FarId, relayed: SocketAddr, data: &[u8]) {
        let local = self.sockets.open().iter().find(|(_, address)| **address == relayed);
        // To a closed one it is lost.
        let Some((local, _)) = local else { return };
        let place = Place::Relay(Path { local: *local, remote: self.fars[far].address });
        self.queue.carry(self.now, &mut self.fars[far].up, place, data.to_vec());
    }

    /// Sends a request until there is an answer other than another nonce. `None` if there is none.
    pub fn ask(
        &mut self,
        ClientId(client): ClientId,
        method: Method,
        fill: impl Fn(&mut Writer<'_>),
    ) -> Option<Answered> {
        let (mut sendings, mut renewals) = (0, 0);
        loop {
            let (id, request) = self.request(client, method, &fill);
            let bytes = self.transact(client, id, &request, &mut sendings)?;
            let message = Message::new(&bytes).expect("the relay's message is well-formed");
            let code = message.error_code().map_or(0, |(code, _)| code);
            let nonce = message.attribute(NONCE).filter(|_| renewals < 3 && matches!(code, 401 | 438));
            match nonce {
                Some(nonce) => self.clients[client].nonce = nonce.to_vec(),
                None => return Some(Answered { code, bytes, sendings, renewals, id }),
            }
            renewals += 1;
        }
    }

    /// An allocation, and its relayed address.
    pub fn allocate(&mut self, client: ClientId) -> Option<Answered> {
        self.ask(client, Method::ALLOCATE, |writer| _ = writer.requested_transport(stun::UDP))
    }

    /// The code of a refresh with this lifetime in seconds.
    pub fn refresh(&mut self, client: ClientId, seconds: u32) -> Option<Answered> {
        self.ask(client, Method::REFRESH, |writer| _ = writer.lifetime(seconds))
    }

    /// The code of a permission for a peer.
    pub fn permit(&mut self, client: ClientId, far: FarId) -> Option<Answered> {
        let peer = self.address(far);
        self.ask(client, Method::CREATE_PERMISSION, |writer| _ = writer.xor_peer_address(peer))
    }

    /// The code of a channel for a peer.
    pub fn bind(&mut self, client: ClientId, channel: u16, far: FarId) -> Option<Answered> {
        let peer = self.address(far);
        self.ask(client, Method::CHANNEL_BIND, |writer| {
            writer.channel_number(channel).xor_peer_address(peer);
        })
    }

    /// A client's further answers to this request.
    pub fn later_answers(&mut self, ClientId(client): ClientId, id: TransactionId) -> Vec<Vec<u8>> {
        let is_of = |bytes: &Vec<u8>| Message::new(bytes).is_ok_and(|message| message.transaction_id() == id);
        self.clients[client].answers.iter().filter(|bytes| is_of(bytes)).cloned().collect()
    }

    fn request(
        &mut self,
        client: usize,
        method: Method,
        fill: impl Fn(&mut Writer<'_>),
    ) -> (TransactionId, Vec<u8>) {
        let id = self.id();
        let Client { user, nonce, .. } = &self.clients[client];
        let known = Known { user, password: PASSWORD, realm: REALM.as_bytes(), nonce };
        let known = Some(known).filter(|known| !known.nonce.is_empty());
        (id, turn_request(method, id, known, fill))
    }

    /// Sends a request until it is answered.
    fn transact(
        &mut self,
        client: usize,
        id: TransactionId,
        request: &[u8],
        sendings: &mut u32,
    ) -> Option<Vec<u8>> {
        let is_it = |bytes: &Vec<u8>| Message::new(bytes).is_ok_and(|message| message.transaction_id() == id);
        for nth in 0..SENDINGS {
            self.send_up(client, request.to_vec());
            *sendings += 1;
            let wait = if nth + 1 == SENDINGS { RTO * LAST_WAIT } else { RTO * 2_u32.pow(nth) };
            self.run_until(self.now + wait, |world| world.clients[client].answers.iter().any(is_it));
            if let Some(at) = self.clients[client].answers.iter().position(is_it) {
                return Some(self.clients[client].answers.remove(at));
            }
        }
        None
    }

    fn id(&mut self) -> TransactionId {
        let mut id = TransactionId([0; 12]);
        self.rng.fill(&mut id.0);
        id
    }

    fn send_up(&mut self, client: usize, bytes: Vec<u8>) {
        let Client { path, up, .. } = &mut self.clients[client];
        self.queue.carry(self.now, up, Place::Relay(*path), bytes);
    }

    fn run_until(&mut self, end: Instant, is_done: impl Fn(&Self) -> bool) {
        while !is_done(self) {
            let arrival = self.queue.dues.peek().map(|Reverse(due)| due.at);
            let release = self.ways().filter_map(|way| way.link.next_release()).min();
            let next = [arrival, release, self.relay.next_timeout()].into_iter().flatten().min();
            let next = next.filter(|at| *at <= end);
            let Some(next) = next else {
                self.now = self.now.max(end);
                return;
            };
            self.now = self.now.max(next);
            if release == Some(next) {
                let Self { clients, fars, queue, now, .. } = self;
                let ways = clients.iter_mut().flat_map(|client| [&mut client.up, &mut client.down]);
                let ways = ways.chain(fars.iter_mut().flat_map(|far| [&mut far.up, &mut far.down]));
                ways.for_each(|way| queue.release(*now, way));
                continue;
            }
            if self.relay.next_timeout().is_some_and(|at| at <= self.now) {
                self.relay.on_timeout(self.now, &mut self.outbox);
            } else if let Some(Reverse(due)) = self.queue.dues.pop() {
                self.arrive(due.place, due.bytes);
            }
            self.after();
        }
    }

    fn arrive(&mut self, place: Place, mut bytes: Vec<u8>) {
        match place {
            Place::Relay(path) => {
                // A closed socket receives nothing.
                let is_there =
                    path.local.on_demand_index().is_none() || self.sockets.open().contains_key(&path.local);
                if is_there {
                    let datagram = Datagram { path, received_at: self.now, bytes: &mut bytes };
                    self.relay.on_datagram(self.now, datagram, &mut self.outbox);
                    self.relay.on_batch_end(self.now, &mut self.outbox);
                }
            }
            Place::Client(client) => self.clients[client].take(self.now, bytes),
            Place::Far(far, from) => {
                self.fars[far].received.push(ReceivedDatagram { at: self.now, bytes, from: Some(from) })
            }
        }
    }

    /// The driver's actions after each call; sends the datagrams.
    fn after(&mut self) {
        self.let_go();
        self.sockets.refusal = (self.sockets.open().len() >= self.pool).then_some(SocketError::Ports);
        self.sockets.carry_out_orders(self.now, &mut self.relay, &mut self.outbox);
        self.let_go();
        self.events.extend(std::iter::from_fn(|| self.relay.poll_event()));
        assert_eq!(self.relay.audit(), None, "{self}");
        assert_eq!(self.count(Counter::Sockets), self.sockets.open().len() as u64, "{self}");
    }

    fn let_go(&mut self) {
        for (path, bytes) in self.outbox.drain() {
            if path.local.on_demand_index().is_some() {
                let from = *self.sockets.open().get(&path.local).expect("sent by a socket that is open");
                let Some(far) = self.fars.iter().position(|far| far.address == path.remote) else { continue };
                self.queue.carry(self.now, &mut self.fars[far].down, Place::Far(far, from), bytes);
            } else {
                let client = self.clients.iter().position(|client| client.path == path).expect("a client's");
                self.queue.carry(self.now, &mut self.clients[client].down, Place::Client(client), bytes);
            }
        }
    }
}

impl Client {
    fn take(&mut self, at: Instant, bytes: Vec<u8>) {
        if let Some(channel) = ChannelData::new(&bytes) {
            let bytes = channel.data.to_vec();
            return self.received.push(ReceivedDatagram { at, bytes, from: None });
        }
        let message = Message::new(&bytes).expect("the relay's message is well-formed");
        match (message.class(), message.data()) {
            (Class::Indication, Some(data)) => {
                let from = message.xor_peer_address().flatten();
                self.received.push(ReceivedDatagram { at, bytes: data.to_vec(), from });
            }
            _ => self.answers.push(bytes),
        }
    }
}

impl fmt::Display for RelayWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, {:?} after the start", self.seed, self.now.since_epoch())
    }
}
