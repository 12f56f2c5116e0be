//! One track over several shards, which send each other packets through the runtime's mailboxes: the cost of
//! a hop, without threads.
//!
//! All peers are plain ones, so that no handshake is needed; packets to them are encrypted as for browsers.

use crate::{Sink, allocations};
use control::{
    Codec, CodecParameters, Command, ConnectPlainTransport, ConsumerId, Counter, CreatePipe,
    CreatePlainTransport, Event, IpFamily, Produce, ProducerId, Request, RequestId, RouterId, SrtpKey,
    SrtpParameters, SrtpProfile, TransportId, fixtures,
};
use machine::{Datagram, Flow, Instant, LocalId, Machine, Path, Rng, SocketRequest, Tx, WorkerId};
use oracle_srtp::context::Context;
use oracle_srtp::protection_profile::ProtectionProfile;
use runtime::Mailboxes;
use sfu::{Config, Contained, Input, Shard};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A track that is published on the first worker, with subscribers spread over all.
pub struct Spread {
    payload_len: usize,
    burst: usize,
    now: Instant,
    workers: Vec<Worker>,
    /// By its number: a subscriber's worker, and its decryption.
    subscribers: Vec<(usize, Context)>,
    /// Packets made so far.
    made: u64,
    last_request: u64,
    /// Made inside of the shards and the mailboxes.
    allocations: u64,
}

struct Worker {
    shard: Contained,
    sink: Sink,
    mailboxes: Mailboxes,
    /// The socket that was opened last.
    opened: Option<LocalId>,
}

/// A send batch and the mailboxes of the other workers.
struct Out<'a> {
    sink: &'a mut Sink,
    mailboxes: &'a mut Mailboxes,
}

impl Tx for Out<'_> {
    fn slot(&mut self, flow: Flow, path: Path, len: usize) -> Option<&mut [u8]> {
        self.sink.slot(flow, path, len)
    }

    fn cancel(&mut self) {
        self.sink.cancel();
    }

    fn hand_off(&mut self, worker: WorkerId, head: &[u8], body: &[u8]) -> bool {
        self.mailboxes.send(worker, head, body)
    }

    fn hand_off_buffer(&mut self, worker: WorkerId, head: &[u8], body: Box<[u8]>) -> bool {
        self.mailboxes.send_buffer(worker, head, body)
    }

    fn prefetch<T: ?Sized>(&self, soon: &T) {
        self.sink.prefetch(soon);
    }

    fn end_of_flow(&mut self) {
        self.sink.end_of_flow();
    }

    fn forward(&mut self, flow: Flow, path: Path, head: &[u8], body: &[u8]) -> bool {
        self.sink.forward(flow, path, head, body)
    }
}

const FRAME_INTERVAL: Duration = Duration::from_nanos(33_333_333);
const ROUTER: RouterId = RouterId(1);
const PUBLISHING: TransportId = TransportId(1);
const PRODUCER: ProducerId = ProducerId(1);
const SSRC: u32 = 0x0a0a_0a0a;
const PT: u8 = 96;
const HEADER_LEN: usize = 12;
const PLAIN_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

impl Spread {
    /// Subscribers are spread over `workers`; `first` is the worker of the first one.
    ///
    /// # Panics
    /// If any of that fails: then there is nothing to measure.
    pub fn new(workers: usize, first: usize, subscribers: usize, payload_len: usize, burst: usize) -> Self {
        let mut rng = Rng::from_number(1);
        let certificate = dtls::Certificate::generate();
        let settings = dtls::Settings::new(dtls::Options::default());
        let config = Config {
            candidates: Vec::new(),
            plain_ips: vec![PLAIN_IP],
            shares_port_as: None,
            certificate,
            dtls: settings,
            grace_period: Duration::from_secs(60),
            consent_timeout: Some(sfu::limits::ICE_CONSENT_TIMEOUT),
        };
        let worker = |mailboxes| {
            let shard = Shard::new(config.clone(), rng.fork());
            let shard = Contained::new(shard, |fault| panic!("the shard panicked: {fault:?}"));
            Worker { shard, sink: Sink::new(), mailboxes, opened: None }
        };
        let mut spread = Self {
            payload_len,
            burst,
            now: Instant::EPOCH + Duration::from_secs(1),
            workers: Mailboxes::between(workers).into_iter().map(worker).collect(),
            subscribers: Vec::new(),
            made: 0,
            last_request: 0,
            allocations: 0,
        };
        for worker in 0..workers {
            spread.request(worker, Command::CreateRouter { router: ROUTER, app_data: Default::default() });
        }
        spread.join(0, PUBLISHING, None);
        spread.request(0, Command::Produce(produce()));
        for subscriber in 0..subscribers {
            spread.subscribe(subscriber, (first + subscriber) % workers);
        }
        spread.turn();
        assert_eq!(spread.check(), (burst * subscribers) as u64, "the first frame is a keyframe, for all");
        spread
    }

    /// A frame of the publisher arrives as one batch, and all workers handle it.
    pub fn turn(&mut self) {
        let mut frame: Vec<Vec<u8>> = (0..self.burst).map(|_| self.packet()).collect();
        let path = Path { local: self.workers[0].opened_first(), remote: peer_address(0) };
        self.workers.iter_mut().for_each(|worker| worker.sink.flush());
        let before = allocations();
        let now = self.now;
        self.workers[0].with(|shard, out| {
            for bytes in &mut frame {
                shard.on_datagram(now, Datagram { path, received_at: now, bytes }, out);
            }
            shard.on_batch_end(now, out);
        });
        self.settle();
        self.now += FRAME_INTERVAL;
        self.settle();
        self.allocations += allocations() - before;
    }

    /// Fires timers and reads messages, until nothing is left to do.
    fn settle(&mut self) {
        let now = self.now;
        loop {
            let mut is_quiet = true;
            for worker in &mut self.workers {
                is_quiet &= !worker.read(now);
                while worker.shard.next_timeout().is_some_and(|at| at <= now) {
                    is_quiet = false;
                    worker.with(|shard, out| shard.on_timeout(now, out));
                }
            }
            if is_quiet {
                return;
            }
        }
    }

    /// Decrypts everything that the last frame has sent; returns the number of packets. Each must be that of
    /// the publisher.
    pub fn check(&mut self) -> u64 {
        let mut checked = 0;
        let written = self.workers.iter().map(|worker| {
            let of_media = worker.sink.written().filter(|(_, bytes)| bytes[1] & 0x7f == 120);
            of_media.map(|(path, bytes)| (path, bytes.to_vec())).collect::<Vec<_>>()
        });
        for (worker, written) in written.collect::<Vec<_>>().into_iter().enumerate() {
            for (path, bytes) in written {
                let subscriber = usize::from(path.remote.port()) - 10_001;
                let (at, context) = &mut self.subscribers[subscriber];
                assert_eq!(*at, worker);
                let plain = context.decrypt_rtp(&bytes).expect("authentic");
                let number = u64::from_be_bytes(plain[HEADER_LEN + 8..][..8].try_into().expect("eight"));
                assert_eq!(plain[HEADER_LEN..], self.payload(number), "packet {number}");
                checked += 1;
            }
        }
        checked
    }

    /// Media packets written so far.
    pub fn forwarded(&self) -> u64 {
        self.workers.iter().map(|worker| worker.shard.shard().counters().value(Counter::RtpOut)).sum()
    }

    /// Packets that have crossed so far.
    pub fn crossed(&self) -> u64 {
        self.workers.iter().map(|worker| worker.shard.shard().counters().value(Counter::PipedIn)).sum()
    }

    /// Heap allocations made in the shards and mailboxes so far. Zero unless [`Counting`](crate::Counting) is
    /// the global allocator.
    pub fn allocations(&self) -> u64 {
        self.allocations
    }

    fn packet(&mut self) -> Vec<u8> {
        let number = self.made;
        self.made += 1;
        let is_last = (number + 1).is_multiple_of(self.burst as u64);
        let mut packet = vec![0x80, PT | u8::from(is_last) << 7];
        packet.extend((1_000u16.wrapping_add(number as u16)).to_be_bytes());
        packet.extend(((number / self.burst as u64) as u32 * 3_000).to_be_bytes());
        packet.extend(SSRC.to_be_bytes());
        packet.extend(self.payload(number));
        packet
    }

    /// VP8 without its numbers (RFC 7741), which would be rewritten: first a keyframe, then none.
    fn payload(&self, number: u64) -> Vec<u8> {
        let begins = u8::from(number.is_multiple_of(self.burst as u64));
        let is_interframe = u8::from(number >= self.burst as u64);
        let mut payload = vec![begins << 4, is_interframe, 0, 0, 0x9d, 0x01, 0x2a, 0x80];
        payload.extend(number.to_be_bytes());
        payload.resize(self.payload_len, number as u8);
        payload
    }

    fn subscribe(&mut self, subscriber: usize, worker: usize) {
        let transport = TransportId(100 + subscriber as u64);
        let key = self.join(worker, transport, Some(subscriber)).expect("it has SRTP");
        if worker != 0 {
            let create = CreatePipe { router: ROUTER, transport: PUBLISHING, worker: 0 };
            self.request(worker, Command::CreatePipe(create));
            self.request(worker, Command::Produce(produce()));
        }
        let (consumer, ssrc) = (ConsumerId(subscriber as u64), 0x0100_0000 + subscriber as u32);
        let consume = fixtures::consume(transport, PRODUCER, consumer, codec(120), ssrc);
        self.request(worker, Command::Consume(consume));
        let (key, salt) = key.0.split_at(16);
        let context = Context::new(key, salt, ProtectionProfile::AeadAes128Gcm, None, None);
        self.subscribers.push((worker, context.expect("of the profile's lengths")));
    }

    /// Creates a plain transport: the publisher's unencrypted, others with SRTP, with this key.
    fn join(&mut self, worker: usize, transport: TransportId, subscriber: Option<usize>) -> Option<SrtpKey> {
        let profile = subscriber.map(|_| SrtpProfile::AeadAes128Gcm);
        let create = CreatePlainTransport {
            router: ROUTER,
            transport,
            family: IpFamily::V4,
            rtcp_mux: true,
            comedia: false,
            srtp: profile,
            app_data: Default::default(),
        };
        let created = self.request(worker, Command::CreatePlainTransport(create));
        let Event::PlainTransportCreated { srtp, .. } = created else { panic!("{created:?}") };
        let theirs = profile.map(|profile| SrtpParameters { profile, key: SrtpKey(vec![7; 28]) });
        let remote = Some(peer_address(subscriber.map_or(0, |subscriber| subscriber + 1)));
        let connect = ConnectPlainTransport { transport, remote, rtcp_remote: None, srtp: theirs };
        self.request(worker, Command::ConnectPlainTransport(connect));
        srtp.map(|srtp| srtp.key)
    }

    fn request(&mut self, worker: usize, command: Command) -> Event {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        let (now, request) = (self.now, Input::Request(Request { id, command }));
        let worker = &mut self.workers[worker];
        worker.with(|shard, out| shard.on_command(now, request, out));
        while let Some(request) = worker.shard.poll_socket_request() {
            let SocketRequest::Open { local, .. } = request else { continue };
            worker.opened = worker.opened.or(Some(local));
            let address = SocketAddr::new(PLAIN_IP, 20_000 + local.0);
            worker.with(|shard, out| shard.on_socket_opened(now, local, Ok(address), out));
        }
        let events = std::iter::from_fn(|| worker.shard.poll_event());
        let answer =
            events.filter(|event| event.request() == Some(id)).last().expect("every request is answered");
        assert!(!matches!(answer, Event::Refused { .. }), "{answer:?}");
        self.settle();
        answer
    }
}

impl Worker {
    fn with(&mut self, call: impl FnOnce(&mut Contained, &mut Out<'_>)) {
        let Self { shard, sink, mailboxes, .. } = self;
        call(shard, &mut Out { sink, mailboxes });
    }

    /// Reads messages of other workers; returns whether there were any.
    fn read(&mut self, now: Instant) -> bool {
        let mut is_any = false;
        while let Some(mut envelope) = self.mailboxes.receive() {
            let (from, buffer) = (envelope.from(), envelope.take_buffer());
            self.with(|shard, out| match buffer {
                Some(buffer) => shard.on_hand_off_buffer(now, from, envelope.bytes(), buffer, out),
                None => shard.on_hand_off(now, from, envelope.bytes(), out),
            });
            self.mailboxes.recycle(envelope);
            is_any = true;
        }
        if is_any {
            self.with(|shard, out| shard.on_batch_end(now, out));
        }
        is_any
    }

    /// The publisher's, on the first worker.
    fn opened_first(&self) -> LocalId {
        self.opened.expect("a peer has joined here")
    }
}

/// The publisher's, then the subscribers'.
fn peer_address(peer: usize) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], 10_000 + peer as u16))
}

fn codec(pt: u8) -> CodecParameters {
    CodecParameters { pli: true, ..fixtures::codec(Codec::Vp8, pt) }
}

fn produce() -> Produce {
    Produce {
        encodings: vec![fixtures::with_ssrc(SSRC)],
        ..fixtures::produce(PUBLISHING, PRODUCER, codec(PT))
    }
}
