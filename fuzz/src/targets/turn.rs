//! The TURN server: clients with credentials, attackers without, and commands of the operator. Its accounting
//! is consistent, and nothing is sent to a forbidden destination.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use machine::{
    Datagram, Flow, Instant, LocalId, Machine, Path, Rng, SocketError, SocketRequest, StreamId, Towards, Tx,
    WorkerId,
};
use relay::{Command, Credentials, EvenClock, Policy, Quotas, Relay, Settings};
use stun::attribute::{DATA, DONT_FRAGMENT, NONCE};
use stun::{Class, Family, Integrity, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer};

use crate::script::Script;

/// The bytes as a script of clients, peers, attackers and the operator.
pub fn turn(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = RelayWorld::new();
    while !script.is_over() {
        world.step(&mut script);
        world.check();
    }
    world.run_for(Duration::from_secs(4_000));
    world.check();
    assert!(world.relay.is_idle() && world.sockets.is_empty(), "allocations without a refresh end");
    assert!(world.streams.is_empty(), "and with it its connections");
}

const CLIENTS: [Path; 4] = [
    Path { local: LocalId(0), remote: v4(8, 4_000) },
    Path { local: LocalId(0), remote: v4(8, 4_001) },
    Path { local: LocalId::tcp(0), remote: v4(7, 4_000) },
    Path { local: LocalId::tcp(0), remote: v4(7, 4_001) },
];

/// Some are allowed, some are not.
const PEERS: [&str; 8] = [
    "9.9.9.1:80",
    "9.9.9.2:80",
    "[2600::1]:80",
    "[2600::2]:81",
    "10.0.0.1:7000",
    "10.0.0.1:6379",
    "[::ffff:9.9.9.1]:80",
    "127.0.0.1:80",
];

const fn v4(last: u8, port: u16) -> SocketAddr {
    SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::new(8, 8, 8, last), port))
}

fn policy(is_open: bool) -> Policy {
    let allowed = is_open.then(|| "10.0.0.1:7000".parse().expect("an exception"));
    Policy { allowed: allowed.into_iter().collect(), own: vec![v4(1, 1).ip()], ..Policy::default() }
}

/// One user's connections with peers over TCP.
const CONNECTIONS_EACH: u32 = 3;

/// A connection with a peer, in the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Connecting,
    Open,
    Joined(Path),
}

fn settings(is_open: bool, users: &[&str]) -> Settings {
    let user = |all: Credentials, name: &&str| all.user(name, "p");
    Settings {
        credentials: users.iter().try_fold(Credentials::new("leat"), user).expect("users"),
        policy: policy(is_open),
        quotas: Quotas {
            allocations_per_user: 2,
            ports_per_user: 5,
            connections_per_user: CONNECTIONS_EACH,
            ..Quotas::default()
        },
        lifetime_max: Duration::from_secs(3600),
        excess_bytes_per_second: relay::limits::EXCESS_BYTES_PER_SECOND,
        old_channels: false,
        alternate_server: None,
        announced: Vec::new(),
        families: [true, true],
        tcp_peers: true,
        wall_clock: Arc::new(EvenClock(Duration::from_secs(1_800_000_000))),
    }
}

#[derive(Default)]
struct Sent(Vec<(Path, Vec<u8>)>);

impl Tx for Sent {
    fn slot(&mut self, _flow: Flow, path: Path, len: usize) -> Option<&mut [u8]> {
        self.0.push((path, vec![0xa5; len]));
        self.0.last_mut().map(|(_, bytes)| &mut bytes[..])
    }

    fn cancel(&mut self) {
        self.0.pop().expect("only a claimed slot is given back");
    }

    fn prefetch<T: ?Sized>(&self, _soon: &T) {}

    fn end_of_flow(&mut self) {}

    fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool {
        machine::forward_by_copy(self, flow, path, head, body)
    }

    fn hand_off(&mut self, _worker: WorkerId, _head: &[u8], _body: &[u8]) -> bool {
        false
    }

    fn hand_off_buffer(&mut self, _worker: WorkerId, _head: &[u8], _body: Box<[u8]>) -> bool {
        false
    }
}

struct RelayWorld {
    relay: Relay,
    now: Instant,
    sink: Sent,
    sockets: BTreeMap<LocalId, SocketAddr>,
    /// Those of the sockets that are listeners.
    listeners: BTreeSet<LocalId>,
    streams: BTreeMap<StreamId, Stream>,
    connection_id: u32,
    nonces: [Vec<u8>; CLIENTS.len()],
    token: [u8; 8],
    next_port: u16,
    is_open: bool,
    ids: u32,
}

impl RelayWorld {
    fn new() -> Self {
        Self {
            relay: Relay::new(settings(true, &["u", "v"]), Rng::from_number(1)),
            now: Instant::from_nanos(5_000_000_000),
            sink: Sent::default(),
            sockets: BTreeMap::new(),
            listeners: BTreeSet::new(),
            streams: BTreeMap::new(),
            connection_id: 0,
            nonces: Default::default(),
            token: [0; 8],
            next_port: 50_000,
            is_open: true,
            ids: 0,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let client = usize::from(script.u8()) % CLIENTS.len();
        match script.u8() % 16 {
            0..4 => {
                let request = self.request(client, script);
                self.receive(CLIENTS[client], &request);
            }
            4 => {
                // An attacker on the path changes a bit.
                let mut request = self.request(client, script);
                let bit = usize::from(script.u16()) % (request.len() * 8);
                request[bit / 8] ^= 1 << (bit % 8);
                self.receive(CLIENTS[client], &request);
            }
            5 => {
                let mut buffer = [0; 512];
                let (peer, data) = (peer(script), script.blob());
                let writer = Writer::new(&mut buffer, Class::Indication, Method::SEND, self.id());
                let mut writer = writer.expect("room");
                let len = writer.xor_peer_address(peer).attribute(DATA, data).finish().expect("room");
                self.receive(CLIENTS[client], &buffer[..len]);
            }
            6 => {
                let number = 0x4000 + u16::from(script.u8() % 4);
                let data = script.blob();
                let bytes = [&stun::ChannelData::header(number, data.len() as u16)[..], data].concat();
                self.receive(CLIENTS[client], &bytes);
            }
            7 => {
                let noise = script.blob();
                self.receive(CLIENTS[client], noise);
            }
            8 => {
                let nth = usize::from(script.u8()) % self.sockets.len().max(1);
                let (from, data) = (peer(script), script.blob());
                let local = self.sockets.keys().nth(nth).copied();
                // Datagrams are not sent to a listener.
                let local = local.filter(|local| !self.listeners.contains(local));
                local.into_iter().for_each(|local| self.receive(Path { local, remote: from }, data));
            }
            9 => self.run_for(Duration::from_secs(script.u8().into())),
            10 => {
                let path = CLIENTS[client];
                if path.local.is_tcp() {
                    self.relay.on_path_closed(self.now, path, &mut self.sink);
                    self.after();
                }
            }
            11 => {
                self.is_open = script.bool();
                let users: &[&str] = if script.bool() { &["u", "v"] } else { &["u"] };
                let settings = Box::new(settings(self.is_open, users));
                self.relay.on_command(self.now, Command::Reload(settings), &mut self.sink);
                self.after();
            }
            12 => self.peer_connects(script),
            13 => {
                let nth = self.stream(script);
                if let Some((stream, Stream::Connecting)) = nth {
                    self.streams.insert(stream, Stream::Open);
                    self.relay.on_stream_connected(self.now, stream, &mut self.sink);
                    self.after();
                }
            }
            14 => {
                if let Some((stream, _)) = self.stream(script) {
                    self.streams.remove(&stream);
                    self.relay.on_stream_closed(self.now, stream, &mut self.sink);
                    self.after();
                }
            }
            _ => {
                let towards = if script.bool() { Towards::Peer } else { Towards::Client };
                if let Some((stream, Stream::Joined(_))) = self.stream(script) {
                    let bytes = usize::from(script.u16());
                    assert!(self.relay.on_stream_passed(self.now, stream, towards, bytes) >= self.now);
                }
            }
        }
    }

    fn stream(&self, script: &mut Script<'_>) -> Option<(StreamId, Stream)> {
        let nth = usize::from(script.u8()) % self.streams.len().max(1);
        self.streams.iter().nth(nth).map(|(stream, state)| (*stream, *state))
    }

    fn peer_connects(&mut self, script: &mut Script<'_>) {
        let nth = usize::from(script.u8()) % self.listeners.len().max(1);
        let (from, local) = (peer(script), self.listeners.iter().nth(nth).copied());
        if let Some(local) = local
            && let Some(stream) = self.relay.on_stream_offered(self.now, local, from, &mut self.sink)
        {
            assert!(policy(self.is_open).admits_host(from.ip()), "{from} may not be reached");
            assert_eq!(self.streams.insert(stream, Stream::Open), None, "{stream:?} is in use");
            self.after();
        }
    }

    /// A client's request, authenticated if it has a nonce.
    fn request(&mut self, client: usize, script: &mut Script<'_>) -> Vec<u8> {
        let method = script.choice(&[
            Method::ALLOCATE,
            Method::ALLOCATE,
            Method::REFRESH,
            Method::CREATE_PERMISSION,
            Method::CHANNEL_BIND,
            Method::BINDING,
            Method::CONNECT,
            Method::CONNECT,
            Method::CONNECTION_BIND,
            Method::CONNECTION_BIND,
        ]);
        let mut buffer = vec![0; 2_048];
        let mut writer = Writer::new(&mut buffer, Class::Request, method, self.id()).expect("room");
        let flags = script.u8();
        let has = |bit: u8| flags & 1 << bit != 0;
        match method {
            Method::ALLOCATE => {
                writer.requested_transport(if has(7) { stun::TCP } else { stun::UDP });
                if has(0) {
                    writer.even_port(has(1));
                }
                if has(2) {
                    writer.additional_address_family(Family::V6);
                }
                if has(3) {
                    writer.requested_address_family(Family::V6);
                }
                if has(4) {
                    writer.reservation_token(self.token);
                }
                if has(5) {
                    writer.attribute(DONT_FRAGMENT, &[]);
                }
            }
            Method::REFRESH => {
                writer.lifetime(if has(0) { 0 } else { 900 });
                if has(1) {
                    writer.requested_address_family(if has(2) { Family::V4 } else { Family::V6 });
                }
            }
            Method::CREATE_PERMISSION => {
                (0..=flags % 3).for_each(|_| _ = writer.xor_peer_address(peer(script)));
            }
            Method::CHANNEL_BIND => {
                _ = writer.channel_number(0x3fff + u16::from(flags % 5)).xor_peer_address(peer(script));
            }
            Method::CONNECT => _ = writer.xor_peer_address(peer(script)),
            Method::CONNECTION_BIND => _ = writer.connection_id(self.connection_id ^ u32::from(has(0))),
            _ => {}
        }
        let nonce = &self.nonces[client];
        if !nonce.is_empty() && method != Method::BINDING {
            // The clients over TCP are of one user, those over UDP of another one; some have wrong
            // credentials.
            let user: &[u8] = if (client < 2) ^ has(6) { b"u" } else { b"v" };
            let key = Key::long_term(PasswordAlgorithm::Md5, [user, b"leat", b"p"], Integrity::Sha1);
            writer.username(user).realm(b"leat").nonce(nonce).integrity(&key);
        }
        let len = writer.finish().expect("room");
        buffer.truncate(len);
        buffer
    }

    fn id(&mut self) -> TransactionId {
        self.ids += 1;
        let mut id = [0; 12];
        id[..4].copy_from_slice(&self.ids.to_be_bytes());
        TransactionId(id)
    }

    fn receive(&mut self, path: Path, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let datagram = Datagram { path, received_at: self.now, bytes: &mut bytes };
        self.relay.on_datagram(self.now, datagram, &mut self.sink);
        self.relay.on_batch_end(self.now, &mut self.sink);
        self.after();
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.relay.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.relay.on_timeout(self.now, &mut self.sink);
            self.after();
        }
        self.now = end;
    }

    /// A driver's actions, and the clients' state.
    fn after(&mut self) {
        // Datagrams sent before a socket closes have been sent from it.
        self.look_at_what_was_sent();
        while let Some(request) = self.relay.poll_socket_request() {
            match request {
                SocketRequest::Open { local, next, is_ipv6, .. } => {
                    let opened = self.open(local, next, is_ipv6);
                    self.relay.on_socket_opened(self.now, local, opened, &mut self.sink);
                }
                SocketRequest::Listen { local, is_ipv6 } => {
                    let opened = self.open(local, None, is_ipv6);
                    self.listeners.extend(opened.is_ok().then_some(local));
                    self.relay.on_socket_opened(self.now, local, opened, &mut self.sink);
                }
                SocketRequest::Connect { stream, local, remote } => {
                    assert!(self.listeners.contains(&local), "connects from a socket that is not a listener");
                    assert!(policy(self.is_open).admits(remote), "connects to {remote}");
                    let before = self.streams.insert(stream, Stream::Connecting);
                    assert_eq!(before, None, "{stream:?} is in use");
                }
                SocketRequest::Join { stream, path } => {
                    assert!(path.local.is_tcp(), "joined with a datagram's way");
                    let before = self.streams.insert(stream, Stream::Joined(path));
                    assert_eq!(before, Some(Stream::Open), "joined while it is not alone");
                }
                SocketRequest::CloseStream { stream } => {
                    assert!(self.streams.remove(&stream).is_some(), "{stream:?} is not open");
                }
                SocketRequest::Close { local } => {
                    self.listeners.remove(&local);
                    assert!(self.sockets.remove(&local).is_some(), "{local:?} is not open");
                }
                SocketRequest::Keep { path } | SocketRequest::HangUp { path } => assert!(path.local.is_tcp()),
            }
        }
        self.look_at_what_was_sent();
    }

    fn open(
        &mut self,
        local: LocalId,
        next: Option<LocalId>,
        is_ipv6: bool,
    ) -> Result<SocketAddr, SocketError> {
        self.next_port = self.next_port.checked_add(2).unwrap_or(50_000);
        if self.next_port.is_multiple_of(14) {
            return Err(SocketError::Ports);
        }
        let ip = if is_ipv6 { "2600::99".parse().expect("an address") } else { v4(1, 1).ip() };
        for (nth, local) in [Some(local), next].into_iter().flatten().enumerate() {
            let address = SocketAddr::new(ip, self.next_port + nth as u16);
            assert_eq!(self.sockets.insert(local, address), None, "{local:?} is open already");
        }
        Ok(SocketAddr::new(ip, self.next_port))
    }

    fn look_at_what_was_sent(&mut self) {
        let policy = policy(self.is_open);
        for (path, bytes) in std::mem::take(&mut self.sink.0) {
            if path.local.on_demand_index().is_some() {
                assert!(self.sockets.contains_key(&path.local), "sent by a socket that is not open");
                assert!(!self.listeners.contains(&path.local), "sent a datagram by a listener");
                assert!(policy.admits(path.remote), "sent to {}", path.remote);
                continue;
            }
            let Ok(message) = Message::new(&bytes) else {
                assert!(stun::ChannelData::new(&bytes).is_some(), "neither STUN nor ChannelData");
                continue;
            };
            if let Some(client) = CLIENTS.iter().position(|client| *client == path) {
                if let Some(nonce) = message.attribute(NONCE) {
                    self.nonces[client] = nonce.to_vec();
                }
                if let Some(Some(token)) = message.reservation_token() {
                    self.token = token;
                }
                if let Some(Some(id)) = message.connection_id() {
                    self.connection_id = id;
                }
            }
        }
    }

    fn check(&self) {
        assert_eq!(self.relay.audit(), None);
        // Two users of five ports each.
        assert!(self.sockets.len() <= 10, "{} sockets", self.sockets.len());
        assert!(self.streams.len() <= 2 * CONNECTIONS_EACH as usize, "{} connections", self.streams.len());
    }
}

fn peer(script: &mut Script<'_>) -> SocketAddr {
    script.choice(&PEERS).parse().expect("an address")
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay::Counter;

    #[test]
    fn the_corpus_gets_somewhere() {
        let mut script = Script::new(include_bytes!("../../corpus/turn/one-call"));
        let mut world = RelayWorld::new();
        while !script.is_over() {
            world.step(&mut script);
        }
        let count = |counter| world.relay.counters().value(counter);
        assert_eq!((count(Counter::Allocations), count(Counter::ToClientsPackets)), (1, 1));
        assert_eq!(count(Counter::ToPeersPackets), 2);
    }

    #[test]
    fn the_corpus_joins_a_connection() {
        let mut script = Script::new(include_bytes!("../../corpus/turn/peers-over-tcp"));
        let mut world = RelayWorld::new();
        while !script.is_over() {
            world.step(&mut script);
            world.check();
        }
        let count = |counter| world.relay.counters().value(counter);
        // One by the client, one by the peer, and one that failed.
        assert_eq!((count(Counter::PeerConnectionsMade), count(Counter::ConnectionFailed)), (2, 1));
        assert_eq!(count(Counter::ToPeersBytes), 0x0102);
        assert!(world.streams.values().any(|stream| matches!(stream, Stream::Joined(_))));
    }
}
