//! Behaviour of senders that no standard allows, or that is unusual, and is accepted because it is safe:
//! H.264 whose parameter sets are sent once, fragments in one piece, a padding bit without padding, an SSRC
//! that returns. On plain transports: bytes in, bytes out.

use control::{
    AppData, Codec, CodecParameters, Command, ConnectPlainTransport, Consume, ConsumerId, CreatePipe,
    CreatePlainTransport, Discard, Event, Extension, ExtensionKind, IpFamily, Produce, ProducerId, SrtpKey,
    SrtpParameters, SrtpProfile, Text, TransportId, fixtures,
};
use leat_tests::peer::rtcp;
use leat_tests::{MS, World};
use srtp::{MasterKey, Outbound, Profile};
use std::net::SocketAddr;

const SOURCE: TransportId = TransportId(900);
const SINK: TransportId = TransportId(901);
const TRACK: ProducerId = ProducerId(910);
const VIEW: ConsumerId = ConsumerId(920);
const PT: u8 = 97;
const OUT_PT: u8 = 101;
const OUT_SSRC: u32 = 0x5eed;
const MID: u8 = 1;

fn sender() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], 5004))
}

fn receiver() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 2], 6004))
}

fn codec(codec: Codec, pt: u8) -> CodecParameters {
    CodecParameters { nack: true, pli: codec != Codec::Opus, ..fixtures::codec(codec, pt) }
}

/// A sent packet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Out {
    seq: u16,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
}

/// A plain source and a plain sink of one track.
struct Call {
    world: World,
    codec: Codec,
    source: SocketAddr,
    sink: SocketAddr,
}

impl Call {
    fn new(seed: u64, codec_of: Codec) -> Self {
        let mut call = Self::with(seed, codec_of, None, 0);
        let consume = call.consumed();
        call.world.demand(Command::Consume(consume));
        call
    }

    /// The source is protected, if there is a key, and on the first worker. The sink is on this one.
    fn with(seed: u64, of: Codec, srtp: Option<SrtpParameters>, sink_worker: usize) -> Self {
        let mut world = World::with_workers(seed, sink_worker + 1);
        let source = Self::transport(&mut world, SOURCE, sender(), srtp);
        let produce = Produce {
            mid: Some(Text::new("0")),
            extensions: vec![Extension { kind: ExtensionKind::Mid, id: MID }],
            ..fixtures::produce(SOURCE, TRACK, codec(of, PT))
        };
        world.demand(Command::Produce(produce.clone()));
        if sink_worker > 0 {
            world.turn_to(sink_worker);
            let router = world.router();
            world.demand(Command::CreateRouter { router, app_data: AppData::default() });
            world.demand(Command::CreatePipe(CreatePipe { router, transport: SOURCE, worker: 0 }));
            world.demand(Command::Produce(produce));
        }
        let sink = Self::transport(&mut world, SINK, receiver(), None);
        world.turn_to(0);
        Self { world, codec: of, source, sink }
    }

    /// A plain transport on the selected worker.
    fn transport(
        world: &mut World,
        transport: TransportId,
        remote: SocketAddr,
        srtp: Option<SrtpParameters>,
    ) -> SocketAddr {
        let create = CreatePlainTransport {
            router: world.router(),
            transport,
            family: IpFamily::V4,
            rtcp_mux: true,
            comedia: false,
            srtp: srtp.as_ref().map(|srtp| srtp.profile),
            app_data: Default::default(),
        };
        let answer = world.request(Command::CreatePlainTransport(create));
        let Event::PlainTransportCreated { address, .. } = answer else { panic!("{world}: {answer:?}") };
        let connect = ConnectPlainTransport { transport, remote: Some(remote), rtcp_remote: None, srtp };
        world.demand(Command::ConnectPlainTransport(connect));
        address
    }

    /// The receiver's parameters of the track.
    fn consumed(&self) -> Consume {
        fixtures::consume(SINK, TRACK, VIEW, codec(self.codec, OUT_PT), OUT_SSRC)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.world.send_plain(sender(), self.source, bytes);
    }

    /// A packet without extensions.
    fn rtp(&mut self, marker: bool, seq: u16, timestamp: u32, payload: &[u8]) {
        let bytes = [&header(marker, seq, timestamp, 7)[..], payload].concat();
        self.send(&bytes);
    }

    /// RTP sent since the last call.
    fn out(&mut self) -> Vec<Out> {
        let sent = self.world.take_plain_sent();
        let media = sent.iter().filter(|sent| sent.to == receiver() && !(192..224).contains(&sent.bytes[1]));
        let read = media.map(|sent| {
            let bytes = &sent.bytes;
            assert_eq!((bytes[0], bytes[1] & 0x7f), (0x80, OUT_PT));
            Out {
                seq: u16::from_be_bytes([bytes[2], bytes[3]]),
                timestamp: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
                marker: bytes[1] & 0x80 != 0,
                payload: bytes[12..].to_vec(),
            }
        });
        read.collect()
    }

    /// The receiver reports these packets missing.
    fn nack(&mut self, lost: &[u16]) {
        let report = rtcp::ReceiverReport { ssrc: 1, ..Default::default() };
        let nack = rtcp::write(&[Box::new(report), rtcp::nack(1, OUT_SSRC, lost)]);
        self.world.send_plain(receiver(), self.sink, &nack);
    }
}

fn header(marker: bool, seq: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
    let mut header = vec![0x80, PT | u8::from(marker) << 7];
    header.extend(seq.to_be_bytes());
    header.extend(timestamp.to_be_bytes());
    header.extend(ssrc.to_be_bytes());
    header
}

const SPS: [u8; 7] = [0x67, 0x42, 0xc0, 0x1f, 0x8c, 2, 3];
const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];
const IDR: u8 = 0x65;
const SLICE: u8 = 0x41;

/// A camera whose encoder sends its parameter sets only at its start.
struct Encoder {
    seq: u16,
    picture: u32,
}

impl Encoder {
    fn begin(call: &mut Call) -> Self {
        let mut encoder = Self { seq: 65_530, picture: 0 };
        encoder.unit(call, false, &SPS);
        encoder.unit(call, false, &PPS);
        encoder.picture(call, IDR);
        encoder
    }

    fn unit(&mut self, call: &mut Call, marker: bool, unit: &[u8]) {
        call.rtp(marker, self.seq, self.picture * 3_000, unit);
        self.seq = self.seq.wrapping_add(1);
    }

    /// One picture in two slices.
    fn picture(&mut self, call: &mut Call, kind: u8) {
        for part in 0..2 {
            let slice = [&[kind, 0x80 | part][..], &[0x88; 300]].concat();
            self.unit(call, part == 1, &slice);
        }
        self.picture += 1;
        call.world.run_for(33 * MS);
    }

    /// Pictures of which every thirtieth is an IDR.
    fn run(&mut self, call: &mut Call, pictures: u32) {
        for _ in 0..pictures {
            self.picture(call, if self.picture.is_multiple_of(30) { IDR } else { SLICE });
        }
    }
}

/// The packets begin with the parameter sets and the following IDR picture, with correct numbers and
/// timestamps.
fn assert_begins_with_sets(out: &[Out], what: &str) {
    let units: Vec<&[u8]> = out.iter().take(3).map(|out| &out.payload[..]).collect();
    assert_eq!(units[..2], [&SPS[..], &PPS], "{what}");
    assert_eq!(units[2][..2], [IDR, 0x80], "{what}");
    assert_eq!(
        out.iter().take(4).map(|out| out.marker).collect::<Vec<_>>(),
        [false, false, false, true],
        "{what}"
    );
    assert!(out[..4].iter().all(|packet| packet.timestamp == out[0].timestamp), "{what}");
    for pair in out.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1), "{what}");
    }
}

#[test]
fn h264_consumer_that_resumes_gets_parameter_sets_that_were_sent_once() {
    let mut call = Call::new(3100, Codec::H264);
    let mut encoder = Encoder::begin(&mut call);
    encoder.run(&mut call, 20);
    let before = call.out();
    assert_eq!(before.len(), 2 + 2 * 21);
    assert_begins_with_sets(&before, "from the encoder");
    call.world.demand(Command::PauseConsumer { consumer: VIEW });
    encoder.run(&mut call, 20);
    assert_eq!(call.out(), []);
    call.world.demand(Command::ResumeConsumer { consumer: VIEW });
    encoder.run(&mut call, 40);
    let after = call.out();
    assert_begins_with_sets(&after, "resumed");
    assert_eq!(after[0].seq, before[before.len() - 1].seq.wrapping_add(1));
    let sets = |out: &[Out]| out.iter().filter(|out| matches!(out.payload[0] & 0x1f, 7 | 8)).count();
    assert_eq!(sets(&after), 2, "once, although another IDR came");
    // Inserted packets are retransmitted like any other, byte by byte.
    call.nack(&[after[0].seq, after[1].seq, after[2].seq]);
    assert_eq!(call.out(), after[..3]);
    // Also if the encoder has other sets now, which later consumers get.
    let other = [0x67, 0x42, 0xc0, 0x28, 0x8c, 9, 9];
    encoder.unit(&mut call, false, &other);
    call.out();
    call.world.run_for(100 * MS);
    call.nack(&[after[0].seq]);
    assert_eq!(call.out(), after[..1]);
    encoder.run(&mut call, 30);
    call.out();
    call.world.demand(Command::CloseConsumer { consumer: VIEW });
    let again = Consume { ssrc: OUT_SSRC + 1, ..call.consumed() };
    call.world.demand(Command::Consume(again));
    encoder.run(&mut call, 31);
    assert_eq!(call.out()[0].payload, other);
}

#[test]
fn h264_peer_that_requests_a_keyframe_gets_the_parameter_sets_again() {
    let mut call = Call::new(3101, Codec::H264);
    let mut encoder = Encoder::begin(&mut call);
    call.world.demand(Command::PauseConsumer { consumer: VIEW });
    call.world.demand(Command::ResumeConsumer { consumer: VIEW });
    encoder.run(&mut call, 35);
    assert_eq!(call.out().iter().filter(|out| out.payload == SPS).count(), 2, "the encoder's, and ours");
    let report = rtcp::ReceiverReport { ssrc: 1, ..Default::default() };
    let pli = rtcp::write(&[Box::new(report), rtcp::pli(1, OUT_SSRC)]);
    call.world.send_plain(receiver(), call.sink, &pli);
    encoder.run(&mut call, 60);
    let after = call.out();
    assert_eq!(
        after.iter().filter(|out| out.payload == SPS).count(),
        1,
        "before the next IDR, not before the one after it"
    );
    let at = after.iter().position(|out| out.payload == SPS).unwrap();
    assert_begins_with_sets(&after[at..], "asked for");
    assert!(after.windows(2).all(|pair| pair[1].seq == pair[0].seq.wrapping_add(1)));
}

#[test]
fn h264_parameter_sets_reach_a_worker_that_subscribes_after_them() {
    let mut call = Call::with(3105, Codec::H264, None, 1);
    let mut encoder = Encoder::begin(&mut call);
    encoder.run(&mut call, 80);
    call.world.turn_to(1);
    let consume = call.consumed();
    call.world.demand(Command::Consume(consume));
    call.world.turn_to(0);
    encoder.run(&mut call, 20);
    let out = call.out();
    assert_begins_with_sets(&out, "at the other worker");
    assert!(out.len() >= 2 + 2 * 10, "{}", out.len());
}

#[test]
fn h264_consumer_does_not_begin_at_an_idr_whose_own_parameter_sets_are_missing() {
    let mut call = Call::new(3102, Codec::H264);
    let mut encoder = Encoder::begin(&mut call);
    encoder.run(&mut call, 5);
    call.world.demand(Command::PauseConsumer { consumer: VIEW });
    encoder.run(&mut call, 5);
    call.world.demand(Command::ResumeConsumer { consumer: VIEW });
    call.out();
    // The encoder sends other sets with this IDR, and the network loses them.
    encoder.seq = encoder.seq.wrapping_add(2);
    encoder.picture(&mut call, IDR);
    assert_eq!(call.out(), []);
    // Of the next sets, only the sequence set is lost.
    encoder.run(&mut call, 3);
    encoder.seq = encoder.seq.wrapping_add(1);
    encoder.unit(&mut call, false, &PPS);
    encoder.picture(&mut call, IDR);
    assert_eq!(call.out(), []);
    // With a delimiter and supplemental information before it, and without loss, it starts.
    encoder.run(&mut call, 3);
    encoder.unit(&mut call, false, &[0x09, 0xf0]);
    encoder.unit(&mut call, false, &[0x06, 1, 2, 3]);
    encoder.picture(&mut call, IDR);
    assert_begins_with_sets(&call.out(), "behind a delimiter");
}

#[test]
fn h264_fragments_with_start_and_end_begin_a_keyframe() {
    let mut call = Call::new(3103, Codec::H264);
    call.rtp(false, 1, 0, &[0x7c, 0xc7, 0x42, 0xc0, 0x1f, 0x8c, 2]);
    call.rtp(false, 2, 0, &[0x7c, 0xc8, 0xce, 0x3c, 0x80]);
    call.rtp(true, 3, 0, &[0x7c, 0xc5, 0x88, 0x84, 0, 1, 2]);
    for seq in 4..10u16 {
        call.rtp(true, seq, u32::from(seq) * 3_000, &[SLICE, 1, 2, 3]);
        call.world.run_for(33 * MS);
    }
    assert_eq!(call.out().len(), 9);
    // Sets in such fragments are stored too.
    call.world.demand(Command::PauseConsumer { consumer: VIEW });
    call.world.demand(Command::ResumeConsumer { consumer: VIEW });
    call.world.run_for(3_000 * MS);
    call.rtp(true, 10, 500_000, &[IDR, 1, 2, 3]);
    let units: Vec<_> = call.out().into_iter().map(|out| out.payload).collect();
    assert_eq!(units, [vec![0x67, 0x42, 0xc0, 0x1f, 0x8c, 2], PPS.to_vec(), vec![IDR, 1, 2, 3]]);
}

#[test]
fn padding_bit_with_a_count_of_zero_is_no_padding() {
    let mut call = Call::new(3104, Codec::Opus);
    for seq in 0..10u16 {
        let mut bytes = [&header(false, seq, u32::from(seq) * 960, 7)[..], &[8, 1, 2, 0]].concat();
        bytes[0] |= 0x20;
        call.send(&bytes);
        call.world.run_for(20 * MS);
    }
    let out = call.out();
    assert_eq!(out.len(), 10);
    assert!(out.iter().all(|out| out.payload == [8, 1, 2, 0]), "{out:?}");
}

/// This number of packets of an SSRC, each with its MID.
fn talk(call: &mut Call, ssrc: u32, seqs: std::ops::Range<u16>) -> usize {
    for seq in seqs {
        let mut bytes = header(false, seq, u32::from(seq) * 960, ssrc);
        bytes[0] |= 0x10;
        bytes.extend([0xbe, 0xde, 0, 1, MID << 4, b'0', 0, 0, 8, 1, 2, 3]);
        call.send(&bytes);
        call.world.run_for(20 * MS);
    }
    call.out().len()
}

#[test]
fn ssrc_that_returns_within_a_second_is_followed_from_its_second_packet_on() {
    for (seed, on_hold) in [(3110, 15), (3111, 75)] {
        let mut call = Call::new(seed, Codec::Opus);
        assert_eq!(talk(&mut call, 7, 26_747..26_797), 50);
        assert_eq!(talk(&mut call, 8, 37_169..37_169 + on_hold), usize::from(on_hold));
        let returned = talk(&mut call, 7, 27_409..27_509);
        assert!(returned >= 99, "{}: {returned}", call.world);
        let counters = call.world.shard().counters();
        assert_eq!(counters.discarded(Discard::RtpTooOld), 100 - returned as u64, "{}", call.world);
    }
}

#[test]
fn late_packets_of_a_former_ssrc_do_not_bring_it_back() {
    let mut call = Call::new(3112, Codec::Opus);
    assert_eq!(talk(&mut call, 7, 100..150), 50);
    assert_eq!(talk(&mut call, 8, 10..11), 1);
    // A delayed burst, in sequence, within 100 ms; then one late packet between others.
    assert_eq!(talk(&mut call, 7, 150..153), 0);
    assert_eq!(talk(&mut call, 8, 11..30), 19);
    assert_eq!(talk(&mut call, 7, 153..154), 0);
    assert_eq!(talk(&mut call, 8, 30..31), 1);
    assert_eq!(talk(&mut call, 7, 154..155), 0);
    assert_eq!(talk(&mut call, 8, 31..40), 9, "{}: the present SSRC was not reset", call.world);
}

#[test]
fn srtp_whose_packets_before_the_first_wrap_were_lost_is_accepted() {
    let key = SrtpKey((1..=28).collect());
    let profile = SrtpProfile::AeadAes128Gcm;
    let mut call = Call::with(3120, Codec::Opus, Some(SrtpParameters { profile, key: key.clone() }), 0);
    let consume = call.consumed();
    call.world.demand(Command::Consume(consume));
    let master = MasterKey::new(Profile::AeadAes128Gcm, &key.0[..16], &key.0[16..]).unwrap();
    let outbound = Outbound::new(Profile::AeadAes128Gcm, &master);
    for seq in 300..350u16 {
        let mut bytes = header(false, seq, u32::from(seq) * 960, 7);
        bytes.resize(12 + 4 + 16, 0xa5);
        outbound.protect_rtp(1, 12, &[8, 1, 2, 3], &mut bytes).unwrap();
        call.send(&bytes);
        call.world.run_for(20 * MS);
    }
    let out = call.out();
    assert_eq!(out.len(), 50, "{}", call.world);
    assert!(out.iter().all(|out| out.payload == [8, 1, 2, 3]));
}
