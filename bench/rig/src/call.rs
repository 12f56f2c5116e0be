//! One publisher and many subscribers around one shard, or around several, in virtual time.

use crate::sink::HandedOff;
use crate::{Sink, allocated_bytes, allocations, held_bytes, large_bytes};
use control::{
    Candidate, Command, Consume, ConsumerId, Counter, Counters, CreatePipe, CreateTransport, Encoding, Event,
    Extension, ExtensionKind, Layers, Produce, ProducerId, Request, RequestId, RouterId, Text, TransportId,
    fixtures,
};
use dtls::{Certificate, Fingerprint, Settings};
use leat_tests::peer::rtcp::{self, AnyPacket, Arrivals, ReceiverReport, ReceptionReport, SenderReport};
use leat_tests::{Client, Received};
use machine::{Datagram, Instant, LocalId, Machine, Path, Rng, WorkerId};
use rtp::{ExtId, Extensions, Header, Mid, Pt, Seq, Ssrc, TwccSeq};
use sfu::{Config, Contained, Input, Shard};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// The shape of the call.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The receivers of the track.
    pub subscribers: usize,
    /// Bytes of every RTP payload, at least 16.
    pub payload_len: usize,
    /// Packets of a frame: they arrive as one batch.
    pub burst: usize,
    /// Whether subscribers have negotiated transport-wide feedback.
    pub feedback: bool,
    /// Whether every other frame belongs to a second temporal layer.
    pub layers: bool,
}

/// A call in which all peers are connected and one video track is published and subscribed.
#[derive(Debug)]
pub struct Call {
    pub(crate) shape: Shape,
    now: Instant,
    /// The publisher is at the first one, and the subscribers are spread over all, the first at the last one.
    shards: Vec<Contained>,
    sink: Sink,
    /// The publisher, then the subscribers.
    pub(crate) peers: Vec<Client>,
    /// Packets made so far; each follows from its number.
    made: u64,
    twcc_seq: u16,
    /// Numbers of the packets that begin a keyframe; and of the requests that were answered by one.
    keyframes: BTreeSet<u64>,
    answered: u64,
    /// When each datagram in the sink was written, if subscribers report arrivals.
    written_at: Vec<Instant>,
    /// Of each peer: arrivals with the engine's transport-wide numbers.
    arrivals: Vec<Arrivals>,
    rtx_seq: u16,
    last_request: u64,
    /// Made inside of the shards.
    allocations: u64,
    held_bytes: i64,
    allocated_bytes: u64,
    large_bytes: u64,
}

/// Between two frames.
const FRAME_INTERVAL: Duration = Duration::from_nanos(33_333_333);

const ROUTER: RouterId = RouterId(1);
const PRODUCER: ProducerId = ProducerId(1);
const SSRC: u32 = 0x0a0a_0a0a;
const RTX_SSRC: u32 = 0x0b0b_0b0b;
const PT: u8 = 96;
const RTX_PT: u8 = 97;
const CLOCK_RATE_HZ: u32 = 90_000;
const MID_ID: u8 = 4;
const TRANSPORT_CC_ID: u8 = 3;
/// The same at a subscriber.
const NUMBER_ID: u8 = 11;
/// In the lower half, as in browsers.
const FIRST_SEQ: u16 = 1_000;

impl Call {
    /// Connects all peers and sends the first frame, a keyframe, to all.
    ///
    /// # Panics
    /// If any of that fails: then there is nothing to measure.
    pub fn new(shape: Shape) -> Self {
        Self::over(1, shape)
    }

    /// The same over this number of shards: what crosses between them is delivered at once.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn over(shards: usize, shape: Shape) -> Self {
        let mut rng = Rng::from_number(1);
        let certificate = Certificate::generate();
        let dtls = Settings::new(dtls::Options::default());
        let config = Config {
            candidates: vec![Candidate::udp(engine_address())],
            plain_ips: Vec::new(),
            shares_port_as: None,
            certificate,
            dtls: dtls.clone(),
            grace_period: Duration::from_secs(60),
            consent_timeout: Some(sfu::limits::ICE_CONSENT_TIMEOUT),
        };
        let mut call = Self {
            shape,
            now: Instant::EPOCH + Duration::from_secs(1),
            shards: (0..shards)
                .map(|_| {
                    let shard = Shard::new(config.clone(), rng.fork());
                    Contained::new(shard, |fault| panic!("the shard panicked: {fault:?}"))
                })
                .collect(),
            sink: Sink::new(),
            peers: Vec::new(),
            made: 0,
            twcc_seq: 0,
            keyframes: BTreeSet::from([0]),
            answered: 0,
            written_at: Vec::new(),
            arrivals: (0..=shape.subscribers).map(|_| Arrivals::default()).collect(),
            rtx_seq: 0,
            last_request: 0,
            allocations: 0,
            held_bytes: 0,
            allocated_bytes: 0,
            large_bytes: 0,
        };
        for shard in 0..shards {
            call.request_at(shard, Command::CreateRouter { router: ROUTER, app_data: Default::default() });
        }
        let theirs = Certificate::generate();
        for peer in 0..=shape.subscribers {
            call.join(peer, &theirs, &dtls, rng.fork());
        }
        call.request_at(0, Command::Produce(produce()));
        for shard in 1..shards {
            let pipe = CreatePipe { router: ROUTER, transport: transport_of(0), worker: 0 };
            call.request_at(shard, Command::CreatePipe(pipe));
            call.request_at(shard, Command::Produce(produce()));
        }
        for subscriber in 1..=shape.subscribers {
            let consume = Command::Consume(consume(subscriber, shape.feedback));
            call.request_at(call.shard_of(subscriber), consume);
        }
        while !call.peers.iter().all(Client::is_connected) {
            assert!(call.now.since_epoch() < Duration::from_secs(20), "not all peers connect");
            call.exchange();
            call.pass(Duration::from_millis(5));
        }
        let mut frame = call.frame();
        call.forward(&mut frame);
        call.check();
        call
    }

    /// The counters of the publisher's shard.
    pub fn counters(&self) -> &Counters {
        self.shards[0].shard().counters()
    }

    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// The shard of a peer.
    pub(crate) fn shard_of(&self, peer: usize) -> usize {
        let count = self.shards.len();
        if peer == 0 { 0 } else { count - 1 - (peer - 1) % count }
    }

    /// The publisher's destination.
    pub fn sink(&self) -> &Sink {
        &self.sink
    }

    /// Heap allocations made in calls of the shard so far. Zero unless [`Counting`](crate::Counting) is the
    /// global allocator.
    pub fn allocations(&self) -> u64 {
        self.allocations
    }

    /// Bytes of the heap that the shard has allocated and keeps; likewise. Allocations of C libraries are not
    /// included.
    pub fn held_bytes(&self) -> i64 {
        self.held_bytes
    }

    /// Bytes of the heap that the shard has allocated, whether freed or not: in all blocks, and in
    /// [large](large_bytes) ones.
    pub fn allocated_bytes(&self) -> (u64, u64) {
        (self.allocated_bytes, self.large_bytes)
    }

    /// All subscribers consume the track `times` more on the same transport, up to these layers.
    /// [`check`](Self::check) ignores those packets.
    pub fn consume_more(&mut self, times: u32, preferred_layers: Option<Layers>) {
        for subscriber in 1..=self.shape.subscribers {
            for nth in 1..=times {
                let another = nth << 16;
                let first = consume(subscriber, self.shape.feedback);
                let shard = self.shard_of(subscriber);
                let consume = Command::Consume(Consume {
                    consumer: ConsumerId(first.consumer.0 | u64::from(another)),
                    mid: Some(Text::new(nth.to_string())),
                    ssrc: first.ssrc | another,
                    rtx_ssrc: first.rtx_ssrc.map(|ssrc| ssrc | another),
                    preferred_layers,
                    ..first
                });
                self.request_at(shard, consume);
            }
        }
    }

    /// The SRTP profile.
    pub fn profile(&self) -> srtp::Profile {
        self.peers[0].profile().expect("new() connects all peers")
    }

    /// The publisher's next frame, encrypted: a batch for [`forward`](Self::forward).
    pub fn frame(&mut self) -> Vec<Vec<u8>> {
        let requests = self.counters().value(Counter::KeyframeRequestsOut);
        // Without feedback no consumer is paused, and one keyframe is enough for the whole call.
        if self.shape.feedback && std::mem::replace(&mut self.answered, requests) != requests {
            self.keyframes.insert(self.made);
        }
        (0..self.shape.burst).map(|_| self.packet()).collect()
    }

    fn packet(&mut self) -> Vec<u8> {
        let number = self.made;
        self.made += 1;
        let header = self.header(number, PT, SSRC, FIRST_SEQ.wrapping_add(number as u16));
        let payload = self.payload(number);
        self.protect(&header, &payload)
    }

    /// The publisher's retransmission of the packet with this number.
    pub fn retransmission(&mut self, number: u64) -> Vec<u8> {
        self.rtx_seq = self.rtx_seq.wrapping_add(1);
        let header = self.header(number, RTX_PT, RTX_SSRC, self.rtx_seq);
        let original = FIRST_SEQ.wrapping_add(number as u16).to_be_bytes();
        let payload = [&original[..], &self.payload(number)].concat();
        self.protect(&header, &payload)
    }

    /// Packets made so far: the number of the next.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// The payload of the packet with this number: a VP8 descriptor and the first byte of a frame, which for
    /// packet 0 and on request is a keyframe; the number; and a different filling for each packet.
    fn payload(&self, number: u64) -> Vec<u8> {
        let mut payload = vec![(number as u8).wrapping_mul(31).wrapping_add(7); self.shape.payload_len];
        let is_key = self.keyframes.contains(&number);
        let mut front = vec![0x10];
        if self.shape.layers {
            let of_keyframe = self.keyframes.contains(&(number - number % self.shape.burst as u64));
            let tid = if of_keyframe { 0 } else { (self.frame_of(number) % 2) as u8 };
            // A layer sync is where a receiver may start the layer.
            front = vec![0x90, 0x20, tid << 6 | 0x20];
        }
        front.push(u8::from(!is_key));
        front.extend_from_slice(&number.to_be_bytes());
        payload[..front.len()].copy_from_slice(&front);
        payload
    }

    fn frame_of(&self, number: u64) -> u64 {
        number / self.shape.burst as u64
    }

    fn header(&self, number: u64, pt: u8, ssrc: u32, seq: u16) -> Header {
        let frame = self.frame_of(number);
        Header {
            pt: Pt(pt),
            marker: (number + 1).is_multiple_of(self.shape.burst as u64),
            seq: Seq(seq),
            timestamp: (frame * u64::from(CLOCK_RATE_HZ) / 30) as u32,
            ssrc: Ssrc(ssrc),
        }
    }

    fn protect(&mut self, header: &Header, payload: &[u8]) -> Vec<u8> {
        let mut extensions = Extensions::new();
        let twcc_seq = rtp::ext::transport_cc::write(TwccSeq(self.twcc_seq));
        self.twcc_seq = self.twcc_seq.wrapping_add(1);
        extensions.push(ExtId(TRANSPORT_CC_ID), &twcc_seq);
        extensions.push(ExtId(MID_ID), Mid::new(b"0").expect("one byte").as_bytes());
        let mut packet = vec![0; Header::encoded_len(&extensions)];
        header.write(&extensions, &mut packet).expect("exactly that long");
        packet.extend_from_slice(payload);
        self.peers[0].protect_rtp(&packet)
    }

    /// The time of a frame passes, and then the engine receives these datagrams of the publisher in one
    /// batch. Sent packets can be read from the [`sink`](Self::sink) until the next call. This is measured.
    pub fn forward(&mut self, batch: &mut [Vec<u8>]) {
        self.sink.flush();
        self.pass(FRAME_INTERVAL);
        for bytes in batch {
            self.arrive(0, bytes);
        }
        let now = self.now;
        self.in_shard(0, |shard, sink| shard.on_batch_end(now, sink));
    }

    /// Peer 0 is the publisher; the engine receives a datagram of its or a subscriber's.
    fn arrive(&mut self, peer: usize, bytes: &mut [u8]) {
        let path = Path { local: LocalId(0), remote: peer_address(peer) };
        let datagram = Datagram { path, received_at: self.now, bytes };
        let (now, shard) = (self.now, self.shard_of(peer));
        self.in_shard(shard, |shard, sink| shard.on_datagram(now, datagram, sink));
    }

    /// Advances time; due timers fire.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let next = |shards: &[Contained]| {
            let times = shards.iter().enumerate().filter_map(|(at, shard)| Some((shard.next_timeout()?, at)));
            times.min().filter(|(due, _)| *due <= end)
        };
        while let Some((due, shard)) = next(&self.shards) {
            self.now = self.now.max(due);
            let now = self.now;
            self.in_shard(shard, |shard, sink| shard.on_timeout(now, sink));
        }
        self.now = end;
    }

    /// Calls a shard, and then those that get messages of it.
    fn in_shard(&mut self, shard: usize, call: impl FnOnce(&mut Contained, &mut Sink)) {
        self.measure(shard, call);
        let now = self.now;
        let mut handed: VecDeque<_> =
            self.sink.take_handed().into_iter().map(|message| (shard, message)).collect();
        while let Some((from, HandedOff { to, bytes, buffer })) = handed.pop_front() {
            let (to, from) = (usize::from(to.0), WorkerId(from as u16));
            self.measure(to, |shard, sink| {
                match buffer {
                    Some(buffer) => shard.on_hand_off_buffer(now, from, &bytes, buffer, sink),
                    None => shard.on_hand_off(now, from, &bytes, sink),
                }
                shard.on_batch_end(now, sink);
            });
            handed.extend(self.sink.take_handed().into_iter().map(|message| (to, message)));
        }
    }

    fn measure(&mut self, shard: usize, call: impl FnOnce(&mut Contained, &mut Sink)) {
        let before = (allocations(), held_bytes(), allocated_bytes(), large_bytes());
        call(&mut self.shards[shard], &mut self.sink);
        self.allocations += allocations() - before.0;
        self.held_bytes += held_bytes() - before.1;
        self.allocated_bytes += allocated_bytes() - before.2;
        self.large_bytes += large_bytes() - before.3;
        if self.shape.feedback {
            self.written_at.resize(self.sink.written().count(), self.now);
        }
    }

    /// The publisher's sender report.
    pub fn send_publisher_report(&mut self) {
        let report = SenderReport {
            ssrc: SSRC,
            ntp_time: rtcp::ntp_at(self.now),
            rtp_time: (self.made / self.shape.burst as u64 * u64::from(CLOCK_RATE_HZ) / 30) as u32,
            packet_count: self.made as u32,
            octet_count: (self.made * self.shape.payload_len as u64) as u32,
            ..SenderReport::default()
        };
        self.send_rtcp(0, vec![Box::new(report)]);
    }

    /// Every subscriber reports, requests two packets shortly before the last one that [`check`](Self::check)
    /// returned, and a keyframe.
    pub fn send_subscriber_feedback(&mut self, last: &[Option<u16>]) {
        for subscriber in 1..=self.shape.subscribers {
            let own = 0x0c00_0000 + subscriber as u32;
            let block = ReceptionReport { ssrc: media_ssrc(subscriber), ..ReceptionReport::default() };
            let report = ReceiverReport { ssrc: own, reports: vec![block], ..ReceiverReport::default() };
            let last = last[subscriber].expect("every subscriber has received packets");
            let missing = [last.wrapping_sub(3), last.wrapping_sub(2)];
            let nack = rtcp::nack(own, media_ssrc(subscriber), &missing);
            let pli = rtcp::pli(own, media_ssrc(subscriber));
            self.send_rtcp(subscriber, vec![Box::new(report), nack, pli]);
        }
    }

    /// Every subscriber sends feedback on the packets of [`check`](Self::check) since the last call.
    pub fn send_arrivals(&mut self) {
        for subscriber in 1..=self.shape.subscribers {
            let own = 0x0c00_0000 + subscriber as u32;
            while let Some(feedback) = self.arrivals[subscriber].tell(own, media_ssrc(subscriber)) {
                let report = ReceiverReport { ssrc: own, ..ReceiverReport::default() };
                self.send_rtcp(subscriber, vec![Box::new(report), Box::new(feedback)]);
            }
        }
    }

    /// The engine's estimate for the first subscriber.
    pub fn estimate_bps(&self) -> Option<u64> {
        self.shards[self.shard_of(1)].shard().estimate_bps(transport_of(1))
    }

    fn send_rtcp(&mut self, peer: usize, packets: Vec<AnyPacket>) {
        let mut bytes = self.peers[peer].protect_rtcp(&rtcp::write(&packets));
        self.arrive(peer, &mut bytes);
    }

    /// Takes everything from the sink, decrypts it, and compares it with the published packets. Panics on a
    /// difference; returns the number of media packets, and the last sequence number of each peer.
    pub fn check(&mut self) -> (u64, Vec<Option<u16>>) {
        let mut last = vec![None; self.shape.subscribers + 1];
        let mut packets = 0;
        let written_at = std::mem::take(&mut self.written_at);
        for (index, (path, bytes)) in self.take_written().into_iter().enumerate() {
            let at = written_at.get(index).copied().unwrap_or(self.now);
            let peer = peer_at(path.remote);
            let received =
                self.peers[peer].on_datagram(self.now, &bytes).expect("the engine's datagrams are valid");
            let Received::Rtp(plain) = received else { continue };
            let packet = rtp::Packet::new(&plain).expect("well-formed");
            let number = packet.extensions().find(|(id, _)| *id == ExtId(NUMBER_ID));
            if let Some(number) = number.and_then(|(_, value)| rtp::ext::transport_cc::read(value)) {
                self.arrivals[peer].record(at, number.0);
            }
            if packet.payload().is_empty() {
                continue; // a probe
            }
            let is_repair = packet.ssrc() == Ssrc(rtx_ssrc(peer));
            assert!(
                is_repair || packet.ssrc() == Ssrc(media_ssrc(peer)),
                "{} is not of this peer",
                packet.ssrc()
            );
            let carried = if is_repair { &packet.payload()[2..] } else { packet.payload() };
            let number = number_in(carried);
            assert_eq!(carried, self.payload(number), "packet {number} to peer {peer}");
            if !is_repair {
                last[peer] = Some(packet.seq().0);
            }
            packets += 1;
        }
        (packets, last)
    }

    fn take_written(&mut self) -> Vec<(Path, Vec<u8>)> {
        let written = self.sink.written().map(|(path, bytes)| (path, bytes.to_vec())).collect();
        self.sink.flush();
        written
    }

    /// All peers renew consent, outside of the measurement.
    pub fn renew_consent(&mut self) {
        self.sink.flush();
        self.exchange();
    }

    /// Exchanges datagrams between the peers and the engine until there are none.
    pub(crate) fn exchange(&mut self) {
        loop {
            let mut is_quiet = true;
            for peer in 0..self.peers.len() {
                for mut bytes in
                    self.peers[peer].poll(self.now).expect("nothing goes wrong on a perfect network")
                {
                    is_quiet = false;
                    self.arrive(peer, &mut bytes);
                }
            }
            for (path, bytes) in self.take_written() {
                let taken = self.peers[peer_at(path.remote)].on_datagram(self.now, &bytes);
                taken.expect("the engine's datagrams are valid");
            }
            for shard in &mut self.shards {
                while shard.poll_event().is_some() {}
            }
            if is_quiet {
                return;
            }
        }
    }

    fn join(&mut self, peer: usize, certificate: &Certificate, dtls: &Settings, rng: Rng) {
        let transport = transport_of(peer);
        let create = CreateTransport { router: ROUTER, transport, app_data: Default::default() };
        let shard = self.shard_of(peer);
        let created = self.request_at(shard, Command::CreateTransport(create));
        let Event::TransportCreated { ice, fingerprint, .. } = created else {
            panic!("a transport is created");
        };
        let theirs = certificate.fingerprint().0;
        self.request_at(shard, Command::ConnectTransport { transport, fingerprint: theirs });
        let engine = Fingerprint(fingerprint);
        self.peers.push(Client::new(self.now, &ice, engine, certificate.clone(), dtls.clone(), rng));
    }

    pub(crate) fn request_at(&mut self, shard: usize, command: Command) -> Event {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        let (now, request) = (self.now, Input::Request(Request { id, command }));
        self.in_shard(shard, |shard, sink| shard.on_command(now, request, sink));
        let events = std::iter::from_fn(|| self.shards[shard].poll_event());
        let answer =
            events.filter(|event| event.request() == Some(id)).last().expect("every request is answered");
        assert!(!matches!(answer, Event::Refused { .. }), "{answer:?}");
        answer
    }

    /// Media packets the shards have written so far, of any kind.
    pub fn forwarded(&self) -> u64 {
        self.shards.iter().map(|shard| shard.shard().counters().value(Counter::RtpOut)).sum()
    }
}

fn number_in(payload: &[u8]) -> u64 {
    let at = if payload.first().is_some_and(|first| first & 0x80 != 0) { 4 } else { 2 };
    let bytes = payload.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    u64::from_be_bytes(bytes.expect("payloads are at least 16 bytes"))
}

fn engine_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 7000))
}

fn peer_address(peer: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, (peer >> 8) as u8, peer as u8], 40_000))
}

fn peer_at(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else { panic!("all peers have IPv4 addresses") };
    let [_, _, high, low] = address.ip().octets();
    usize::from(high) << 8 | usize::from(low)
}

pub(crate) fn transport_of(peer: usize) -> TransportId {
    TransportId(100 + peer as u64)
}

fn media_ssrc(subscriber: usize) -> u32 {
    0x0100_0000 + subscriber as u32
}

fn rtx_ssrc(subscriber: usize) -> u32 {
    0x0200_0000 + subscriber as u32
}

fn produce() -> Produce {
    Produce {
        mid: Some(Text::new("0")),
        encodings: vec![Encoding { rtx_ssrc: Some(RTX_SSRC), ..fixtures::with_ssrc(SSRC) }],
        extensions: vec![
            Extension { kind: ExtensionKind::Mid, id: MID_ID },
            Extension { kind: ExtensionKind::TransportCc, id: TRANSPORT_CC_ID },
        ],
        ..fixtures::produce(transport_of(0), PRODUCER, fixtures::vp8(PT, RTX_PT))
    }
}

fn consume(subscriber: usize, feedback: bool) -> Consume {
    let number = Extension { kind: ExtensionKind::TransportCc, id: NUMBER_ID };
    let mut extensions = vec![Extension { kind: ExtensionKind::Mid, id: 9 }];
    extensions.extend(feedback.then_some(number));
    let (transport, consumer) = (transport_of(subscriber), ConsumerId(subscriber as u64));
    let vp8 = fixtures::vp8(120, 121);
    Consume {
        mid: Some(Text::new("0")),
        rtx_ssrc: Some(rtx_ssrc(subscriber)),
        extensions,
        ..fixtures::consume(transport, PRODUCER, consumer, vp8, media_ssrc(subscriber))
    }
}
