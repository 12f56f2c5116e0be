//! A shard and its peers, at the bounds of its tables: plain transports with SRTP, so that a peer needs no
//! handshake.

use control::{
    AppData, CodecParameters, Command, ConnectPlainTransport, Consume, ConsumerId, CreatePlainTransport,
    CreateTransport, Encoding, Event, Extension, ExtensionKind, IpFamily, Produce, ProducerId, Request,
    RequestId, RouterId, SrtpKey, SrtpParameters, SrtpProfile, Text, TransportId, fixtures,
};
use dtls::{Certificate, Options, Settings};
use leat_tests::SocketsOnDemand;
use machine::{Datagram, Flow, Instant, LocalId, Machine, Path, Rng, Tx, WorkerId};
use sfu::{Config, Input, Shard, limits};
use srtp::{MasterKey, Outbound, Profile};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The router of all objects.
pub const ROUTER: RouterId = RouterId(1);

/// The payload types of every video track here.
pub const PT: u8 = 96;
pub const RTX_PT: u8 = 97;

/// Header extensions of every producer here.
pub const MID_ID: u8 = 4;
pub const LEVEL_ID: u8 = 1;
pub const TWCC_ID: u8 = 3;
pub const DD_ID: u8 = 6;

/// The first bytes of a VP8 keyframe, and of a frame between two, each with a picture number.
pub const KEYFRAME: [u8; 16] =
    [0x90, 0xe0, 0x91, 0x23, 0x07, 0x20, 0x50, 0x42, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01];
pub const INTERFRAME: [u8; 8] = [0x90, 0xe0, 0x91, 0x24, 0x08, 0x20, 0x51, 0x02];

const ENGINE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const KEY: [u8; 28] = [7; 28];

/// A send batch that is never full and stores only a count.
#[derive(Debug, Default)]
pub struct Nowhere {
    slot: Vec<u8>,
    /// The newest number of this SSRC is stored.
    pub watched: u32,
    newest: Option<u16>,
    /// Datagrams written.
    pub sent: usize,
    /// Messages to other workers.
    pub handed: usize,
    to: Option<Path>,
    /// All datagrams, while a peer needs to answer them.
    kept: Option<Vec<(Path, Vec<u8>)>>,
}

impl Nowhere {
    /// The newest number of the watched SSRC that was sent.
    pub fn newest(&mut self) -> Option<u16> {
        self.look();
        self.newest
    }

    /// Takes the datagrams since the last call, and keeps those that follow.
    pub fn take(&mut self) -> Vec<(Path, Vec<u8>)> {
        self.look();
        self.slot.clear();
        self.kept.replace(Vec::new()).unwrap_or_default()
    }

    /// From now on, keeps only a count again.
    pub fn forget(&mut self) {
        self.kept = None;
    }

    /// Reads the last datagram.
    fn look(&mut self) {
        if let (Some(kept), Some(to), false) = (&mut self.kept, self.to, self.slot.is_empty()) {
            kept.push((to, self.slot.clone()));
        }
        self.to = None;
        if let [_, _, high, low, _, _, _, _, a, b, c, d, ..] = self.slot[..]
            && u32::from_be_bytes([a, b, c, d]) == self.watched
        {
            self.newest = Some(u16::from_be_bytes([high, low]));
        }
    }
}

impl Tx for Nowhere {
    fn slot(&mut self, _flow: Flow, path: Path, len: usize) -> Option<&mut [u8]> {
        self.look();
        self.to = Some(path);
        self.sent += 1;
        self.slot.resize(len, 0);
        Some(&mut self.slot[..])
    }

    fn cancel(&mut self) {
        self.slot.clear();
        self.sent -= 1;
    }

    fn hand_off(&mut self, _worker: WorkerId, _head: &[u8], _body: &[u8]) -> bool {
        self.handed += 1;
        true
    }

    fn hand_off_buffer(&mut self, _worker: WorkerId, _head: &[u8], _body: Box<[u8]>) -> bool {
        self.handed += 1;
        true
    }

    fn prefetch<T: ?Sized>(&self, _soon: &T) {}

    fn end_of_flow(&mut self) {}

    fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool {
        machine::forward_by_copy(self, flow, path, head, body)
    }
}

/// A peer of a plain transport.
pub struct Party {
    pub transport: TransportId,
    pub path: Path,
    keys: Outbound,
    rtcp: Outbound,
}

impl Party {
    /// A packet of RTP, encrypted. The roll-over counter stays 0.
    pub fn rtp(&self, ssrc: u32, seq: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        self.packet(PT, ssrc, seq, timestamp, &[], payload)
    }

    /// The same with any payload type and with these extensions, in the two-byte form.
    pub fn packet(
        &self,
        pt: u8,
        ssrc: u32,
        seq: u16,
        timestamp: u32,
        extensions: &[(u8, &[u8])],
        payload: &[u8],
    ) -> Vec<u8> {
        let mut bytes = vec![0x80, pt];
        bytes.extend(seq.to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend(ssrc.to_be_bytes());
        if !extensions.is_empty() {
            bytes[0] |= 0x10;
            let mut body: Vec<u8> = Vec::new();
            for (id, value) in extensions {
                body.extend([*id, value.len() as u8]);
                body.extend(*value);
            }
            body.resize(body.len().next_multiple_of(4), 0);
            bytes.extend([0x10, 0]);
            bytes.extend(((body.len() / 4) as u16).to_be_bytes());
            bytes.extend(body);
        }
        let header_len = bytes.len();
        bytes.resize(header_len + payload.len() + 16, 0);
        let len = self.keys.protect_rtp(0, header_len, payload, &mut bytes).expect("there is room");
        bytes.truncate(len);
        bytes
    }

    /// A compound of RTCP, encrypted.
    pub fn rtcp(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; plain.len() + 20];
        let len = self.rtcp.protect_rtcp(plain, &mut bytes).expect("there is room");
        bytes.truncate(len);
        bytes
    }
}

/// The shard, and the time around it.
pub struct Stage {
    pub shard: Shard,
    pub now: Instant,
    pub tx: Nowhere,
    /// The engine's.
    pub certificate: Certificate,
    sockets: SocketsOnDemand,
    requests: u64,
    parties: u16,
}

impl Stage {
    /// A shard with one empty router.
    pub fn new() -> Self {
        let certificate = Certificate::generate();
        let config = Config {
            candidates: vec![control::Candidate::udp(SocketAddr::new(ENGINE, 7000))],
            plain_ips: vec![ENGINE],
            shares_port_as: None,
            certificate: certificate.clone(),
            dtls: Settings::new(Options::default()),
            grace_period: Duration::from_secs(60),
            consent_timeout: Some(sfu::limits::ICE_CONSENT_TIMEOUT),
        };
        let mut stage = Self {
            shard: Shard::new(config, Rng::from_number(1)),
            now: Instant::EPOCH + Duration::from_secs(10),
            tx: Nowhere::default(),
            certificate,
            sockets: SocketsOnDemand::new(ENGINE),
            requests: 0,
            parties: 0,
        };
        stage.demand(Command::CreateRouter { router: ROUTER, app_data: AppData::default() });
        stage
    }

    /// Sends a command that must succeed; returns the events.
    pub fn ask(&mut self, command: Command) -> Vec<Event> {
        let input = self.input(command);
        self.shard.on_command(self.now, input, &mut self.tx);
        self.after()
    }

    /// A request, to be given to the shard.
    pub fn input(&mut self, command: Command) -> Input {
        self.requests += 1;
        Input::Request(Request { id: RequestId(self.requests), command })
    }

    /// The same, only checking that it is not refused.
    pub fn demand(&mut self, command: Command) {
        let what = format!("{command:?}");
        for event in self.ask(command) {
            assert!(!matches!(event, Event::Refused { .. }), "{what}: {event:?}");
        }
    }

    /// The driver's actions after each call; returns the events.
    pub fn after(&mut self) -> Vec<Event> {
        self.sockets.carry_out_orders(self.now, &mut self.shard, &mut self.tx);
        std::iter::from_fn(|| self.shard.poll_event()).collect()
    }

    /// A datagram without measurement.
    pub fn feed(&mut self, path: Path, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let datagram = Datagram { path, received_at: self.now, bytes: &mut bytes };
        self.shard.on_datagram(self.now, datagram, &mut self.tx);
    }

    /// A datagram, measured.
    pub fn measure_datagram(&mut self, path: Path, bytes: &[u8]) {
        self.measure_arrival(path, bytes);
        self.settle();
    }

    /// The same, and each call of the timers that follows from it: after one, the next is a pause later.
    pub fn measure_datagram_and_timers(&mut self, path: Path, bytes: &[u8]) {
        self.measure_arrival(path, bytes);
        while let Some(at) = self.shard.next_timeout().filter(|at| *at <= self.now + limits::TIMEOUT_PAUSE) {
            self.now = self.now.max(at);
            self.measure_timers();
        }
        self.settle();
    }

    fn measure_arrival(&mut self, path: Path, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let Self { shard, now, tx, .. } = self;
        let mut datagram = Some(Datagram { path, received_at: *now, bytes: &mut bytes });
        measure(|| {
            if let Some(datagram) = datagram.take() {
                shard.on_datagram(*now, datagram, tx);
            }
        });
    }

    /// A message of another worker, measured.
    pub fn measure_hand_off(&mut self, from: u16, bytes: &[u8]) {
        let Self { shard, now, tx, .. } = self;
        measure(|| shard.on_hand_off(*now, WorkerId(from), bytes, tx));
        self.settle();
    }

    /// The same with a buffer of this length, and the call of the timers that follows.
    pub fn measure_hand_off_buffer(&mut self, from: u16, bytes: &[u8], len: usize) {
        let mut buffer = Some(vec![0x55; len].into_boxed_slice());
        let Self { shard, now, tx, .. } = self;
        measure(|| {
            if let Some(buffer) = buffer.take() {
                shard.on_hand_off_buffer(*now, WorkerId(from), bytes, buffer, tx);
            }
        });
        self.measure_timers();
        self.settle();
    }

    /// The next call of the timers, measured.
    pub fn measure_timers(&mut self) {
        let Self { shard, now, tx, .. } = self;
        measure(|| shard.on_timeout(*now, tx));
        self.after();
    }

    /// A request, measured. It may be refused.
    pub fn measure_command(&mut self, command: Command) {
        let mut input = Some(self.input(command));
        let Self { shard, now, tx, .. } = self;
        measure(|| {
            if let Some(input) = input.take() {
                shard.on_command(*now, input, tx);
            }
        });
        self.settle();
    }

    /// The end of a batch, and every timer that is due now.
    pub fn settle(&mut self) {
        self.shard.on_batch_end(self.now, &mut self.tx);
        while self.shard.next_timeout().is_some_and(|at| at <= self.now) {
            self.shard.on_timeout(self.now, &mut self.tx);
            self.after();
        }
        self.after();
    }

    /// Advances time, with all timers.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while let Some(at) = self.shard.next_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.settle();
        }
        self.now = end;
    }

    /// Another peer, connected.
    pub fn party(&mut self) -> Party {
        self.parties += 1;
        let transport = TransportId(u64::from(self.parties));
        let remote = SocketAddr::from(([198, 51, 100, 1], 10_000 + 2 * self.parties));
        let profile = SrtpProfile::AeadAes128Gcm;
        let made = self.ask(Command::CreatePlainTransport(CreatePlainTransport {
            router: ROUTER,
            transport,
            family: IpFamily::V4,
            rtcp_mux: true,
            comedia: false,
            srtp: Some(profile),
            app_data: AppData::default(),
        }));
        let [Event::PlainTransportCreated { address, .. }] = made[..] else { panic!("{made:?}") };
        self.demand(Command::ConnectPlainTransport(ConnectPlainTransport {
            transport,
            remote: Some(remote),
            rtcp_remote: None,
            srtp: Some(SrtpParameters { profile, key: SrtpKey(KEY.to_vec()) }),
        }));
        let local = *self.sockets.open().iter().find(|(_, at)| **at == address).expect("it is open").0;
        let key = MasterKey::new(Profile::AeadAes128Gcm, &KEY[..16], &KEY[16..]).expect("of its length");
        let keys = || Outbound::new(Profile::AeadAes128Gcm, &key);
        Party { transport, path: Path { local, remote }, keys: keys(), rtcp: keys() }
    }

    /// The credentials of a new WebRTC transport with a known fingerprint, and its peer's address.
    pub fn webrtc(&mut self) -> (TransportId, control::IceParameters, Path) {
        self.webrtc_of([7; 32])
    }

    /// The same for a peer whose certificate has this fingerprint.
    pub fn webrtc_of(&mut self, fingerprint: [u8; 32]) -> (TransportId, control::IceParameters, Path) {
        let (transport, ice, path) = self.webrtc_unconnected();
        self.demand(Command::ConnectTransport { transport, fingerprint });
        (transport, ice, path)
    }

    /// The same without a fingerprint.
    pub fn webrtc_unconnected(&mut self) -> (TransportId, control::IceParameters, Path) {
        self.parties += 1;
        let transport = TransportId(u64::from(self.parties));
        let create = CreateTransport { router: ROUTER, transport, app_data: AppData::default() };
        let made = self.ask(Command::CreateTransport(create));
        let [Event::TransportCreated { ice, .. }] = &made[..] else { panic!("{made:?}") };
        let remote = SocketAddr::from(([198, 51, 100, 2], 10_000 + 2 * self.parties));
        (transport, ice.clone(), Path { local: LocalId(0), remote })
    }

    /// A track with this number of encodings, whose SSRCs count up from the first.
    pub fn produce(&mut self, party: &Party, producer: u64, first_ssrc: u32, encodings: u32) {
        let produce = produce(party.transport, producer, first_ssrc, encodings);
        self.demand(Command::Produce(produce));
    }

    /// A consumer of a track.
    pub fn consume(&mut self, party: &Party, producer: u64, consumer: u64, ssrc: u32) {
        self.demand(Command::Consume(consume(party.transport, producer, consumer, ssrc)));
    }
}

pub fn produce(transport: TransportId, producer: u64, first_ssrc: u32, encodings: u32) -> Produce {
    let encodings = (0..encodings).map(|nth| Encoding {
        ssrc: Some(first_ssrc + nth),
        rid: Some(Text::new(format!("r{nth}"))),
        ..Encoding::SINGLE
    });
    Produce {
        mid: Some(Text::new(format!("m{producer}"))),
        encodings: encodings.collect(),
        extensions: extensions(),
        ..fixtures::produce(transport, ProducerId(producer), vp8())
    }
}

pub fn consume(transport: TransportId, producer: u64, consumer: u64, ssrc: u32) -> Consume {
    Consume {
        mid: Some(Text::new("0")),
        rtx_ssrc: Some(ssrc | 0x8000_0000),
        cname: Text::new("c".repeat(255)),
        extensions: extensions(),
        ..fixtures::consume(transport, ProducerId(producer), ConsumerId(consumer), vp8(), ssrc)
    }
}

fn extensions() -> Vec<Extension> {
    let all = [
        (ExtensionKind::Mid, MID_ID),
        (ExtensionKind::AudioLevel, LEVEL_ID),
        (ExtensionKind::TransportCc, TWCC_ID),
        (ExtensionKind::DependencyDescriptor, DD_ID),
    ];
    all.into_iter().map(|(kind, id)| Extension { kind, id }).collect()
}

pub fn vp8() -> CodecParameters {
    fixtures::vp8(PT, RTX_PT)
}

/// Measures a call, and prints it on standard output: counts are matched by their order.
pub fn measure(mut call: impl FnMut()) {
    measured_call(&mut call);
    println!("CALL");
}

/// Callgrind counts only in here.
#[inline(never)]
fn measured_call(call: &mut dyn FnMut()) {
    call();
    std::hint::black_box(());
}
