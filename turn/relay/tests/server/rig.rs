//! A relay without a network: a driver that opens the requested sockets, and clients that use the library's
//! reader.

use machine::{
    Datagram, Flow, Instant, LocalId, Machine, Path, Rng, SocketError, SocketRequest, StreamId, Tx, WorkerId,
};
use relay::{Command, Counter, Credentials, EvenClock, Policy, Quotas, Relay, Settings};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use stun::attribute::{NONCE, PASSWORD_ALGORITHMS};
use stun::{ChannelData, Class, Integrity, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer};

pub const REALM: &str = "leat";
/// The wall clock at the machine's epoch.
pub const UNIX: Duration = Duration::from_secs(1_800_000_000);

/// The send batch.
#[derive(Debug, Default)]
pub struct Outbox(pub Vec<(Path, Vec<u8>)>);

impl Tx for Outbox {
    fn slot(&mut self, _flow: Flow, path: Path, len: usize) -> Option<&mut [u8]> {
        self.0.push((path, vec![0xa5; len]));
        self.0.last_mut().map(|(_, bytes)| &mut bytes[..])
    }

    fn cancel(&mut self) {
        self.0.pop();
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

/// A relay and its driver's state.
pub struct Rig {
    pub relay: Relay,
    pub now: Instant,
    pub outbox: Outbox,
    /// Open relay sockets.
    pub sockets: BTreeMap<LocalId, SocketAddr>,
    /// Open connections with peers, and the clients' connections that are joined with them.
    pub streams: BTreeMap<StreamId, Option<Path>>,
    pub kept: Vec<Path>,
    pub hung_up: Vec<Path>,
    /// Whether new sockets must not fragment.
    pub dont_fragment: bool,
    pub refusal: Option<SocketError>,
    next_port: u16,
    ids: u32,
}

/// Settings with one user `u`, password `p`, and allowed peers at 198.51.100.0/24 and 2001:db8::/32, which
/// are reserved for documentation.
pub fn settings() -> Settings {
    let credentials =
        Credentials::new(REALM).user("u", "p").and_then(|all| all.user("v", "p")).expect("users");
    let allowed = ["198.51.100.0/24", "2001:db8::/32"].map(|text| text.parse().expect("an exception"));
    Settings {
        credentials: credentials.secret(b"north").expect("a secret"),
        policy: Policy {
            allowed: allowed.to_vec(),
            own: vec![server_ip(false), server_ip(true)],
            ..Policy::default()
        },
        quotas: Quotas::default(),
        lifetime_max: Duration::from_secs(3600),
        excess_bytes_per_second: relay::limits::EXCESS_BYTES_PER_SECOND,
        old_channels: false,
        alternate_server: None,
        announced: Vec::new(),
        families: [true, true],
        tcp_peers: true,
        wall_clock: Arc::new(EvenClock(UNIX)),
    }
}

pub fn server_ip(is_ipv6: bool) -> IpAddr {
    if is_ipv6 { "2600::9".parse().expect("an address") } else { IpAddr::from([9, 9, 9, 9]) }
}

pub fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

impl Rig {
    pub fn new(settings: Settings) -> Self {
        Self {
            relay: Relay::new(settings, Rng::from_number(7)),
            now: Instant::from_nanos(5_000_000_000),
            outbox: Outbox::default(),
            sockets: BTreeMap::new(),
            streams: BTreeMap::new(),
            kept: Vec::new(),
            hung_up: Vec::new(),
            dont_fragment: false,
            refusal: None,
            next_port: 50_000,
            ids: 0,
        }
    }

    pub fn client(&mut self, remote: &str) -> Client {
        Client::at(Path { local: LocalId(0), remote: at(remote) })
    }

    /// A client with a TCP connection.
    pub fn tcp_client(&mut self, remote: &str) -> Client {
        Client::at(Path { local: LocalId::tcp(0), remote: at(remote) })
    }

    /// Passes in a datagram, acts as a driver, and returns the datagrams sent.
    pub fn receive(&mut self, path: Path, bytes: &[u8]) -> Vec<(Path, Vec<u8>)> {
        let mut bytes = bytes.to_vec();
        let datagram = Datagram { path, received_at: self.now, bytes: &mut bytes };
        self.relay.on_datagram(self.now, datagram, &mut self.outbox);
        self.relay.on_batch_end(self.now, &mut self.outbox);
        self.carry_out_socket_requests();
        self.sent()
    }

    pub fn sent(&mut self) -> Vec<(Path, Vec<u8>)> {
        std::mem::take(&mut self.outbox.0)
    }

    pub fn carry_out_socket_requests(&mut self) {
        while let Some(request) = self.relay.poll_socket_request() {
            match request {
                SocketRequest::Open { local, next, is_ipv6, dont_fragment } => {
                    self.dont_fragment = dont_fragment;
                    let opened = match self.refusal {
                        Some(refusal) => Err(refusal),
                        None => Ok(self.open(local, next, is_ipv6)),
                    };
                    self.relay.on_socket_opened(self.now, local, opened, &mut self.outbox);
                }
                SocketRequest::Listen { local, is_ipv6 } => {
                    let opened = match self.refusal {
                        Some(refusal) => Err(refusal),
                        None => Ok(self.open(local, None, is_ipv6)),
                    };
                    self.relay.on_socket_opened(self.now, local, opened, &mut self.outbox);
                }
                SocketRequest::Connect { stream, local, remote: _ } => {
                    assert!(self.sockets.contains_key(&local), "only from open sockets");
                    assert_eq!(self.streams.insert(stream, None), None, "a number that is not in use");
                }
                SocketRequest::Join { stream, path } => {
                    let joined = self.streams.get_mut(&stream).expect("only open streams are joined");
                    assert_eq!(joined.replace(path), None, "once");
                }
                SocketRequest::CloseStream { stream } => {
                    self.streams.remove(&stream).expect("only open streams are closed");
                }
                SocketRequest::Close { local } => {
                    self.sockets.remove(&local).expect("only open sockets are closed");
                }
                SocketRequest::Keep { path } => self.kept.push(path),
                SocketRequest::HangUp { path } => self.hung_up.push(path),
            }
        }
        assert_eq!(self.relay.audit(), None);
        assert_eq!(self.sockets.len() as u64, self.count(Counter::Sockets));
        assert_eq!(self.streams.len() as u64, self.count(Counter::PeerConnections));
    }

    fn open(&mut self, local: LocalId, next: Option<LocalId>, is_ipv6: bool) -> SocketAddr {
        self.next_port = self.next_port.next_multiple_of(2) + 2;
        let address = SocketAddr::new(server_ip(is_ipv6), self.next_port);
        self.sockets.insert(local, address);
        if let Some(next) = next {
            self.sockets.insert(next, SocketAddr::new(address.ip(), address.port() + 1));
        }
        address
    }

    /// Advances the time, and runs the timers that are due.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.relay.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.relay.on_timeout(self.now, &mut self.outbox);
            self.carry_out_socket_requests();
        }
        self.now = end;
    }

    pub fn command(&mut self, command: Command) {
        self.relay.on_command(self.now, command, &mut self.outbox);
        self.carry_out_socket_requests();
    }

    /// A peer sends a datagram to a relayed address; returns the datagram to the client, if there is one.
    pub fn peer_sends(&mut self, from: &str, to: SocketAddr, bytes: &[u8]) -> Option<(Path, Vec<u8>)> {
        let (local, _) = self.sockets.iter().find(|(_, address)| **address == to)?;
        self.receive(Path { local: *local, remote: at(from) }, bytes).pop()
    }

    /// A peer connects to a relayed address: returns the stream, if it is accepted, and the client's
    /// indication.
    pub fn peer_connects(&mut self, from: &str, to: SocketAddr) -> Option<(StreamId, Answer)> {
        let (local, _) = self.sockets.iter().find(|(_, address)| **address == to)?;
        let stream = self.relay.on_stream_offered(self.now, *local, at(from), &mut self.outbox)?;
        assert_eq!(self.streams.insert(stream, None), None, "a number that is not in use");
        self.carry_out_socket_requests();
        let (_, bytes) = self.sent().pop().expect("an indication");
        Some((stream, Answer(bytes)))
    }

    /// A peer has answered a client's Connect: returns the answer to the client.
    pub fn peer_accepts(&mut self, stream: StreamId) -> Answer {
        self.relay.on_stream_connected(self.now, stream, &mut self.outbox);
        self.carry_out_socket_requests();
        Answer(self.sent().pop().expect("an answer").1)
    }

    /// A stream closes by itself; returns the datagram sent then.
    pub fn stream_closes(&mut self, stream: StreamId) -> Option<Answer> {
        self.streams.remove(&stream).expect("only open streams close");
        self.relay.on_stream_closed(self.now, stream, &mut self.outbox);
        self.carry_out_socket_requests();
        self.sent().pop().map(|(_, bytes)| Answer(bytes))
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.relay.counters().value(counter)
    }

    pub fn id(&mut self) -> TransactionId {
        self.ids += 1;
        let mut id = [0; 12];
        id[..4].copy_from_slice(&self.ids.to_be_bytes());
        TransactionId(id)
    }
}

/// A client of the relay.
#[derive(Clone, Debug)]
pub struct Client {
    pub path: Path,
    pub username: String,
    pub password: String,
    pub realm: String,
    pub algorithm: PasswordAlgorithm,
    pub integrity: Integrity,
    pub nonce: Vec<u8>,
    /// The server's list of password algorithms, to be returned with a choice.
    pub algorithms: Option<Vec<u8>>,
    pub userhash: bool,
}

/// An answer of the relay.
#[derive(Clone, Debug)]
pub struct Answer(pub Vec<u8>);

impl Answer {
    pub fn message(&self) -> Message<'_> {
        Message::new(&self.0).expect("the relay's messages are well-formed")
    }

    /// The error code of an answer, 0 for success.
    pub fn code(&self) -> u16 {
        match self.message().class() {
            Class::Success => 0,
            _ => self.message().error_code().expect("an error response has a code").0,
        }
    }

    pub fn connection_id(&self) -> u32 {
        self.message().connection_id().flatten().expect("a connection's number")
    }

    pub fn relayed(&self) -> Vec<SocketAddr> {
        self.message().xor_relayed_addresses().map(|address| address.expect("an address")).collect()
    }
}

impl Client {
    fn at(path: Path) -> Self {
        Self {
            path,
            username: "u".to_owned(),
            password: "p".to_owned(),
            realm: REALM.to_owned(),
            algorithm: PasswordAlgorithm::Md5,
            integrity: Integrity::Sha1,
            nonce: Vec::new(),
            algorithms: None,
            userhash: false,
        }
    }

    pub fn key(&self) -> Key {
        let parts = [self.username.as_bytes(), self.realm.as_bytes(), self.password.as_bytes()];
        Key::long_term(self.algorithm, parts, self.integrity)
    }

    /// A request with its authentication.
    pub fn signed(&self, id: TransactionId, method: Method, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        let mut writer = Writer::new(&mut buffer, Class::Request, method, id).expect("room");
        fill(&mut writer);
        if self.userhash {
            let hash = stun::userhash(self.username.as_bytes(), self.realm.as_bytes());
            writer.attribute(stun::attribute::USERHASH, &hash);
        } else {
            writer.username(self.username.as_bytes());
        }
        writer.realm(self.realm.as_bytes()).nonce(&self.nonce);
        if let Some(algorithms) = &self.algorithms {
            writer.attribute(PASSWORD_ALGORITHMS, algorithms).password_algorithm(self.algorithm);
        }
        let len = writer.integrity(&self.key()).finish().expect("room");
        buffer.truncate(len);
        buffer
    }

    /// Sends a request, and reads the only answer. A success response must be signed like the request.
    pub fn request(&self, rig: &mut Rig, method: Method, fill: impl FnOnce(&mut Writer<'_>)) -> Answer {
        let id = rig.id();
        self.request_as(rig, id, method, fill)
    }

    pub fn request_as(
        &self,
        rig: &mut Rig,
        id: TransactionId,
        method: Method,
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> Answer {
        let request = self.signed(id, method, fill);
        let sent = rig.receive(self.path, &request);
        let [(path, bytes)] = &sent[..] else { panic!("one answer, not {}", sent.len()) };
        assert_eq!(*path, self.path);
        let answer = Answer(bytes.clone());
        assert_eq!((answer.message().transaction_id(), answer.message().method()), (id, method));
        if answer.code() == 0 {
            assert!(answer.message().verify_integrity(&self.key()), "signed with the same key");
        }
        answer
    }

    /// An Allocate request without a credential: the first request of every client. Stores the nonce.
    pub fn challenge(&mut self, rig: &mut Rig) -> Answer {
        self.challenge_with(rig, |_| {})
    }

    /// The same with additional attributes.
    pub fn challenge_with(&mut self, rig: &mut Rig, fill: impl FnOnce(&mut Writer<'_>)) -> Answer {
        let mut buffer = [0; 256];
        let mut writer = Writer::new(&mut buffer, Class::Request, Method::ALLOCATE, rig.id()).expect("room");
        fill(writer.requested_transport(stun::UDP));
        let len = writer.finish().expect("room");
        let (_, bytes) = rig.receive(self.path, &buffer[..len]).pop().expect("an answer");
        let answer = Answer(bytes);
        self.nonce = answer.message().attribute(NONCE).expect("a nonce").to_vec();
        answer
    }

    /// Gets a nonce and sends a request.
    pub fn allocate(&mut self, rig: &mut Rig, fill: impl FnOnce(&mut Writer<'_>)) -> Answer {
        self.challenge(rig);
        self.request(rig, Method::ALLOCATE, |writer| {
            writer.requested_transport(stun::UDP);
            fill(writer);
        })
    }

    /// Creates a simple allocation: the relayed address.
    pub fn allocated(&mut self, rig: &mut Rig) -> SocketAddr {
        let answer = self.allocate(rig, |_| {});
        assert_eq!(answer.code(), 0);
        answer.relayed()[0]
    }

    pub fn permit(&self, rig: &mut Rig, peer: &str) -> u16 {
        self.request(rig, Method::CREATE_PERMISSION, |writer| _ = writer.xor_peer_address(at(peer))).code()
    }

    pub fn bind(&self, rig: &mut Rig, number: u16, peer: &str) -> u16 {
        let fill = |writer: &mut Writer<'_>| _ = writer.channel_number(number).xor_peer_address(at(peer));
        self.request(rig, Method::CHANNEL_BIND, fill).code()
    }

    /// Creates an allocation for TCP peers: the relayed address.
    pub fn allocated_tcp(&mut self, rig: &mut Rig) -> SocketAddr {
        self.challenge(rig);
        let answer = self.request(rig, Method::ALLOCATE, |writer| _ = writer.requested_transport(stun::TCP));
        assert_eq!(answer.code(), 0);
        answer.relayed()[0]
    }

    /// Requests a connection with a peer: the stream that is being opened, or the code of the answer.
    pub fn connect(&self, rig: &mut Rig, peer: &str) -> Result<StreamId, u16> {
        let before: Vec<StreamId> = rig.streams.keys().copied().collect();
        let id = rig.id();
        let request = self.signed(id, Method::CONNECT, |writer| _ = writer.xor_peer_address(at(peer)));
        let sent = rig.receive(self.path, &request).pop();
        match sent {
            Some((_, bytes)) => Err(Answer(bytes).code()),
            None => Ok(*rig.streams.keys().find(|stream| !before.contains(stream)).expect("a stream")),
        }
    }

    /// Joins this client, a new connection, with the connection of this number.
    pub fn join(&mut self, rig: &mut Rig, connection_id: u32) -> u16 {
        self.challenge(rig);
        self.request(rig, Method::CONNECTION_BIND, |writer| _ = writer.connection_id(connection_id)).code()
    }

    pub fn refresh(&self, rig: &mut Rig, seconds: u32) -> Answer {
        self.request(rig, Method::REFRESH, |writer| _ = writer.lifetime(seconds))
    }

    /// Sends ChannelData; the relayed datagram, with its relay socket and its destination.
    pub fn send_channel(&self, rig: &mut Rig, number: u16, data: &[u8]) -> Option<(Path, Vec<u8>)> {
        let bytes = [&ChannelData::header(number, data.len() as u16), data].concat();
        rig.receive(self.path, &bytes).pop()
    }

    /// Sends a Send indication; the relayed datagram.
    pub fn send(&self, rig: &mut Rig, peer: &str, data: &[u8]) -> Option<(Path, Vec<u8>)> {
        self.send_with(rig, peer, data, |_| {})
    }

    pub fn send_with(
        &self,
        rig: &mut Rig,
        peer: &str,
        data: &[u8],
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> Option<(Path, Vec<u8>)> {
        let mut buffer = vec![0; 128 + data.len()];
        let id = rig.id();
        let mut writer = Writer::new(&mut buffer, Class::Indication, Method::SEND, id).expect("room");
        writer.xor_peer_address(at(peer));
        fill(&mut writer);
        let len = writer.attribute(stun::attribute::DATA, data).finish().expect("room");
        rig.receive(self.path, &buffer[..len]).pop()
    }
}
