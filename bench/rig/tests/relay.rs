//! Allocations on the TURN server's packet path, and for unauthenticated clients: none.

use machine::{Datagram, Flow, Instant, LocalId, Machine, Path, Rng, SocketRequest, Tx, WorkerId};
use relay::{Counter, Credentials, EvenClock, Policy, Quotas, Relay, Settings};
use rig::{Counting, allocations};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stun::attribute::{DATA, NONCE};
use stun::{ChannelData, Class, Integrity, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Stores the datagram written last.
struct Last {
    bytes: [u8; 2048],
    len: usize,
    count: u64,
}

impl Tx for Last {
    fn slot(&mut self, _flow: Flow, _path: Path, len: usize) -> Option<&mut [u8]> {
        self.len = len;
        self.count += 1;
        self.bytes.get_mut(..len)
    }

    fn cancel(&mut self) {
        self.count -= 1;
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

const CLIENT: Path = Path { local: LocalId(0), remote: address(8, 4000) };
const PEER: SocketAddr = address(9, 5000);

const fn address(last: u8, port: u16) -> SocketAddr {
    SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::new(8, 8, 8, last), port))
}

struct Rig {
    relay: Relay,
    tx: Last,
    now: Instant,
    nonce: Vec<u8>,
    socket: LocalId,
}

impl Rig {
    fn new() -> Self {
        let settings = Settings {
            credentials: Credentials::new("leat")
                .user("u", "p")
                .expect("a user")
                .secret(b"s")
                .expect("a secret"),
            policy: Policy::default(),
            quotas: Quotas::default(),
            lifetime_max: Duration::from_secs(3600),
            excess_bytes_per_second: 1_000_000_000,
            old_channels: false,
            alternate_server: None,
            announced: Vec::new(),
            families: [true, false],
            tcp_peers: true,
            wall_clock: Arc::new(EvenClock(Duration::from_secs(1_800_000_000))),
        };
        let relay = Relay::new(settings, Rng::from_number(1));
        let tx = Last { bytes: [0; 2048], len: 0, count: 0 };
        Self { relay, tx, now: Instant::from_nanos(1), nonce: Vec::new(), socket: LocalId(0) }
    }

    fn receive(&mut self, path: Path, bytes: &mut [u8]) {
        self.relay.on_datagram(self.now, Datagram { path, received_at: self.now, bytes }, &mut self.tx);
        self.relay.on_batch_end(self.now, &mut self.tx);
        while let Some(SocketRequest::Open { local, .. }) = self.relay.poll_socket_request() {
            self.socket = local;
            self.relay.on_socket_opened(self.now, local, Ok(address(1, 50_000)), &mut self.tx);
        }
    }

    fn answer(&self) -> Message<'_> {
        Message::new(&self.tx.bytes[..self.tx.len]).expect("an answer")
    }

    fn ask(&mut self, method: Method, fill: impl FnOnce(&mut Writer<'_>)) {
        let parts: [&[u8]; 3] = [b"u", b"leat", b"p"];
        let key = Key::long_term(PasswordAlgorithm::Md5, parts, Integrity::Sha1);
        let mut buffer = [0; 512];
        let mut writer =
            Writer::new(&mut buffer, Class::Request, method, TransactionId([1; 12])).expect("room");
        fill(&mut writer);
        writer.username(b"u").realm(b"leat").nonce(&self.nonce).integrity(&key);
        let len = writer.finish().expect("room");
        self.receive(CLIENT, &mut buffer[..len]);
        assert_eq!(self.answer().class(), Class::Success, "{:?}", self.answer());
    }
}

#[test]
fn a_warm_relay_allocates_nothing_for_clients_and_unauthenticated_senders() {
    let mut rig = Rig::new();
    let mut request = [0; 64];
    let len = Writer::new(&mut request, Class::Request, Method::ALLOCATE, TransactionId([1; 12]))
        .and_then(|mut writer| writer.requested_transport(stun::UDP).finish())
        .expect("room");
    rig.receive(CLIENT, &mut request[..len]);
    rig.nonce = rig.answer().attribute(NONCE).expect("a nonce").to_vec();
    rig.ask(Method::ALLOCATE, |writer| _ = writer.requested_transport(stun::UDP));
    rig.ask(Method::CHANNEL_BIND, |writer| _ = writer.channel_number(0x4000).xor_peer_address(PEER));
    assert!(allocations() > 0, "an allocation allocates, so the allocator counts");

    let mut channel = [7; 1204];
    channel[..4].copy_from_slice(&ChannelData::header(0x4000, 1200));
    let mut send = [0; 1300];
    let send_len = Writer::new(&mut send, Class::Indication, Method::SEND, TransactionId([2; 12]))
        .and_then(|mut writer| writer.xor_peer_address(PEER).attribute(DATA, &[7; 1200]).finish())
        .expect("room");
    // From the peer on its channel, and from another port of its host without one.
    let from_peer = Path { local: rig.socket, remote: PEER };
    let from_elsewhere = Path { local: rig.socket, remote: address(9, 5001) };
    let mut forged = [0; 256];
    let forged_len = Writer::new(&mut forged, Class::Request, Method::ALLOCATE, TransactionId([3; 12]))
        .and_then(|mut writer| {
            let key =
                Key::long_term(PasswordAlgorithm::Md5, [b"1900000000:x", b"leat", b"no"], Integrity::Sha1);
            writer.requested_transport(stun::UDP).username(b"1900000000:x").realm(b"leat");
            writer.nonce(&rig.nonce).integrity(&key).finish()
        })
        .expect("room");
    let round = |rig: &mut Rig, forged: &mut [u8]| {
        rig.now += Duration::from_millis(1);
        rig.receive(CLIENT, &mut { channel });
        rig.receive(CLIENT, &mut { send }[..send_len]);
        rig.receive(from_peer, &mut [7; 1200]);
        rig.receive(from_elsewhere, &mut [7; 1200]);
        // Unauthenticated: a request, a wrong password (with a valid nonce: another client's would need no
        // work), noise.
        rig.receive(Path { local: LocalId(0), remote: address(7, 6000) }, &mut { request }[..len]);
        rig.receive(CLIENT, forged);
        rig.receive(CLIENT, &mut [0xff; 100]);
    };
    for _ in 0..10 {
        round(&mut rig, &mut forged[..forged_len]);
    }
    let (before, relayed) = (allocations(), rig.relay.counters().clone());
    for _ in 0..1_000 {
        round(&mut rig, &mut forged[..forged_len]);
    }
    assert_eq!(allocations() - before, 0);
    let gained = |counter| rig.relay.counters().value(counter) - relayed.value(counter);
    assert_eq!((gained(Counter::ToPeersPackets), gained(Counter::ToClientsPackets)), (2_000, 2_000));
    assert_eq!(gained(Counter::Challenges), 2_000);
    assert_eq!(gained(Counter::Malformed), 1_000);
}
