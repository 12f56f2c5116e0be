//! Programs on plain transports: they restart with other numbers or another clock, and write packets that
//! browsers do not write; their valid packets are forwarded.

use crate::plain::{at, connect, create, make, oracle, receiver, sender, tuples};
use control::{
    AudioObserver, Codec, CodecParameters, Command, ConnectPlainTransport, Consume, ConsumerId, Counter,
    CreatePlainTransport, Discard, Encoding, Extension, ExtensionKind, Produce, ProducerId, SrtpKey,
    SrtpParameters, SrtpProfile, TransportId, fixtures,
};
use leat_tests::peer::rtcp::{self, SenderReport};
use leat_tests::{MS, SEC, Track, World};
use oracle_rtp::packet::Packet;
use oracle_util::marshal::Unmarshal;
use std::net::SocketAddr;
use std::time::Duration;

const SOURCE: TransportId = TransportId(900);
const SINK: TransportId = TransportId(901);
const TRACK: ProducerId = ProducerId(910);
const VIEW: ConsumerId = ConsumerId(920);

const PT: u8 = 97;
const RTX_PT: u8 = 98;
const VIEW_PT: u8 = 101;
const VIEW_SSRC: u32 = 0x5eed;

/// A payload of Opus.
const SOUND: [u8; 4] = [8, 1, 2, 3];

fn codec(codec: Codec, pt: u8, rtx_pt: Option<u8>) -> CodecParameters {
    CodecParameters { rtx_pt, nack: true, pli: codec != Codec::Opus, ..fixtures::codec(codec, pt) }
}

fn produce(of: Codec, rtx_pt: Option<u8>, encoding: Encoding) -> Produce {
    Produce { encodings: vec![encoding], ..fixtures::produce(SOURCE, TRACK, codec(of, PT, rtx_pt)) }
}

fn consume(of: Codec, consumer: ConsumerId, ssrc: u32) -> Consume {
    fixtures::consume(SINK, TRACK, consumer, codec(of, VIEW_PT, None), ssrc)
}

/// A packet of RTP without extensions.
#[derive(Clone, Copy)]
struct Rtp<'a> {
    pt: u8,
    marker: bool,
    seq: u16,
    timestamp: u32,
    ssrc: u32,
    payload: &'a [u8],
}

impl Rtp<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x80, self.pt | u8::from(self.marker) << 7];
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend(self.payload);
        bytes
    }
}

/// The `n`th packet of audio of a program that started with this number and timestamp.
fn sound(ssrc: u32, first: u16, began: u32, n: u16) -> Rtp<'static> {
    let timestamp = began.wrapping_add(u32::from(n) * 960);
    Rtp { pt: PT, marker: false, seq: first.wrapping_add(n), timestamp, ssrc, payload: &SOUND }
}

/// A program that sends a track, and one that receives it, each with RTCP on the RTP port.
struct Call {
    world: World,
    source: SocketAddr,
    sink: SocketAddr,
}

impl Call {
    fn new(seed: u64, produce: Produce, comedia: bool) -> Self {
        Self::over(World::new(seed), produce, CreatePlainTransport { comedia, ..Self::source(None) }, None)
    }

    fn source(srtp: Option<SrtpProfile>) -> CreatePlainTransport {
        CreatePlainTransport {
            router: control::RouterId(0),
            transport: SOURCE,
            family: control::IpFamily::V4,
            rtcp_mux: true,
            comedia: false,
            srtp,
            app_data: Default::default(),
        }
    }

    fn over(
        mut world: World,
        produce: Produce,
        source: CreatePlainTransport,
        srtp: Option<SrtpParameters>,
    ) -> Self {
        let source = CreatePlainTransport { router: world.router(), ..source };
        let remote = (!source.comedia).then(sender);
        let source = make(&mut world, source).address;
        let sink = CreatePlainTransport { rtcp_mux: true, ..create(&world, SINK) };
        let sink = make(&mut world, sink).address;
        world.demand(Command::ConnectPlainTransport(ConnectPlainTransport {
            srtp,
            ..connect(SOURCE, remote)
        }));
        world.demand(Command::ConnectPlainTransport(connect(SINK, Some(receiver()))));
        let of = produce.codecs[0].codec;
        world.demand(Command::Produce(produce));
        let mut call = Self { world, source, sink };
        call.consume(of, VIEW, VIEW_SSRC);
        call
    }

    fn consume(&mut self, of: Codec, consumer: ConsumerId, ssrc: u32) {
        self.world.demand(Command::Consume(consume(of, consumer, ssrc)));
    }

    fn send(&mut self, bytes: &[u8]) {
        self.world.send_plain(sender(), self.source, bytes);
    }

    /// Sends a packet, and advances time.
    fn play(&mut self, packet: Rtp<'_>, pause: Duration) {
        self.send(&packet.bytes());
        self.world.run_for(pause);
    }

    /// The receiving program sends RTCP.
    fn answer(&mut self, bytes: &[u8]) {
        self.world.send_plain(receiver(), self.sink, bytes);
    }

    /// Packets sent since the last call: media to the receiver, and RTCP to the receiver and to the sender.
    fn sent(&mut self) -> Sent {
        let mut sent = Sent::default();
        for datagram in self.world.take_plain_sent() {
            let is_rtcp = (192..224).contains(&datagram.bytes[1]);
            match (is_rtcp, datagram.to == sender()) {
                (false, false) => sent.media.push(Packet::unmarshal(&mut &datagram.bytes[..]).unwrap()),
                (true, false) => sent.reports.push(datagram.bytes),
                (true, true) => sent.asked.push(datagram.bytes),
                (false, true) => panic!("{}: media to its sender", self.world),
            }
        }
        sent
    }

    fn media(&mut self) -> Vec<Packet> {
        self.sent().media
    }

    fn discarded(&self, discard: Discard) -> u64 {
        self.world.shard().counters().discarded(discard)
    }
}

#[derive(Default)]
struct Sent {
    media: Vec<Packet>,
    reports: Vec<Vec<u8>>,
    asked: Vec<Vec<u8>>,
}

impl Sent {
    /// Packets of this type and format among the requests to the sender.
    fn asked_for(&self, packet_type: u8, format: u8) -> usize {
        let is_it = |packet: &&[u8]| packet[0] & 0x1f == format && packet[1] == packet_type;
        self.asked.iter().flat_map(|bytes| parts(bytes)).filter(is_it).count()
    }
}

/// The packets of a compound.
fn parts(mut compound: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let [_, _, high, low, ..] = *compound {
        let (part, rest) = compound.split_at(4 * (usize::from(u16::from_be_bytes([high, low])) + 1));
        parts.push(part);
        compound = rest;
    }
    parts
}

/// Numbers continue without a gap, and timestamps increase.
fn assert_continuous(world: &World, packets: &[Packet]) {
    for pair in packets.windows(2) {
        let [before, after] = [&pair[0].header, &pair[1].header];
        assert_eq!(after.sequence_number, before.sequence_number.wrapping_add(1), "{world}");
        let step = after.timestamp.wrapping_sub(before.timestamp) as i32;
        assert!((1..48_000 * 30).contains(&step), "{world}: {step} ticks");
    }
}

#[test]
fn a_program_restarted_with_another_ssrc_is_forwarded_at_once() {
    for comedia in [false, true] {
        let mut call = Call::new(700, produce(Codec::Opus, None, Encoding::SINGLE), comedia);
        let mut heard = Vec::new();
        for (start, pause) in [(0u32, 5 * SEC), (1, 300 * MS), (2, 20 * MS), (3, 60 * SEC)] {
            let (ssrc, first, began) = (70 + start, 9_000 - 2_500 * start as u16, 77_000 * start);
            for n in 0..50 {
                call.play(sound(ssrc, first, began, n), 20 * MS);
            }
            call.world.run_for(pause);
            heard.extend(call.media());
            assert_eq!(heard.len(), 50 * (start as usize + 1), "{}: start {start}", call.world);
        }
        assert_continuous(&call.world, &heard);
        assert_eq!(call.discarded(Discard::RtpUnroutable), 0, "{}", call.world);
    }
}

#[test]
fn late_packets_of_the_former_ssrc_do_not_reset_the_stream() {
    let mut call = Call::new(701, produce(Codec::Opus, None, Encoding::SINGLE), false);
    for n in 0..10 {
        call.play(sound(7, 100, 0, n), 20 * MS);
    }
    for n in 0..10 {
        call.play(sound(8, 30_000, 5_000, n), 20 * MS);
        call.play(sound(7, 110, 9_600, n), Duration::ZERO);
    }
    assert_eq!(call.media().len(), 20, "{}", call.world);
    assert_eq!(call.discarded(Discard::RtpTooOld), 10, "{}", call.world);
}

#[test]
fn a_signaled_ssrc_is_replaced_when_its_source_is_silent() {
    let announced = Encoding { ssrc: Some(7), ..Encoding::SINGLE };
    let mut call = Call::new(702, produce(Codec::Opus, None, announced), false);
    // Another source of the same payload type has no effect while the signaled one sends, or has not started.
    call.play(sound(8, 0, 0, 0), 20 * MS);
    for n in 0..100 {
        call.play(sound(7, 100, 0, n), 10 * MS);
        call.play(sound(8, 5_000, 0, n), 10 * MS);
    }
    let before = call.media();
    assert_eq!((before.len(), call.discarded(Discard::RtpUnroutable)), (100, 101), "{}", call.world);
    call.world.run_for(2 * SEC);
    for n in 0..50 {
        call.play(sound(9, 200, 1_000, n), 20 * MS);
    }
    let after = call.media();
    assert_eq!(after.len(), 50, "{}", call.world);
    assert_continuous(&call.world, &[before, after].concat());
}

/// A frame of VP8 in one packet.
fn vp8(is_key: bool) -> Vec<u8> {
    let mut payload = vec![0x10, u8::from(!is_key), 0, 0, 0x9d, 1, 0x2a, 0, 1, 0, 1];
    payload.resize(300, 5);
    payload
}

fn frame(ssrc: u32, seq: u16, timestamp: u32, payload: &[u8]) -> Rtp<'_> {
    Rtp { pt: PT, marker: true, seq, timestamp, ssrc, payload }
}

/// By RTX (RFC 4588): the packet with the original number `seq`.
fn retransmitted(ssrc: u32, rtx_seq: u16, seq: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let payload = [&seq.to_be_bytes()[..], payload].concat();
    Rtp { pt: RTX_PT, marker: true, seq: rtx_seq, timestamp, ssrc, payload: &payload }.bytes()
}

#[test]
fn the_retransmissions_of_a_restarted_program_are_accepted_too() {
    let announced = Encoding { ssrc: Some(10), rtx_ssrc: Some(11), ..Encoding::SINGLE };
    for encoding in [Encoding::SINGLE, announced] {
        let mut call = Call::new(703, produce(Codec::Vp8, Some(RTX_PT), encoding), false);
        for start in 0..3u32 {
            let (ssrc, rtx_ssrc) = (10 + 2 * start, 11 + 2 * start);
            for n in 0..30u16 {
                let timestamp = 500_000 * start + u32::from(n) * 3_000;
                let payload = vp8(n == 0);
                if n == 20 {
                    call.world.run_for(33 * MS);
                } else {
                    call.play(frame(ssrc, 1_000 + n, timestamp, &payload), 33 * MS);
                }
                if n == 25 {
                    let timestamp = 500_000 * start + 20 * 3_000;
                    call.send(&retransmitted(rtx_ssrc, n, 1_020, timestamp, &vp8(false)));
                }
            }
            assert_eq!(call.media().len(), 30, "{}: start {start}", call.world);
            call.world.run_for(2 * SEC);
        }
        assert_eq!(call.discarded(Discard::RtpUnroutable), 0, "{}", call.world);
    }
}

#[test]
fn restarted_numbers_with_the_same_ssrc_are_a_restart() {
    for (last, next) in
        [(30_000, 100), (30_000, 29_000), (30_000, 28_900), (30_000, 62_000), (60_000, 20_000)]
    {
        for (began, pause) in [(1_000_000u32, 20 * MS), (48_000 * 3, 500 * MS), (0, 3 * SEC)] {
            let mut call = Call::new(704, produce(Codec::Opus, None, Encoding::SINGLE), false);
            for n in 0..100 {
                call.play(sound(7, last, 0, n), 20 * MS);
            }
            call.world.run_for(pause);
            let mut heard = call.media();
            assert_eq!(heard.len(), 100, "{}", call.world);
            for n in 0..200 {
                call.play(sound(7, next, began, n), 20 * MS);
            }
            heard.extend(call.media());
            assert_eq!(heard.len(), 300, "{}: {last} to {next}, from the first packet on", call.world);
            assert_continuous(&call.world, &heard);
            assert_eq!(call.discarded(Discard::RtpTooOld), 0, "{}", call.world);
        }
    }
}

/// A program with fixed offsets: it restarts with exactly the same numbers and timestamps.
#[test]
fn a_program_that_repeats_its_numbers_and_timestamps_after_a_pause_is_forwarded() {
    let mut call = Call::new(705, produce(Codec::Vp8, None, Encoding::SINGLE), false);
    let mut seen = Vec::new();
    for start in 1..=4 {
        for n in 0..60u16 {
            call.play(frame(7, n, u32::from(n) * 3_000, &vp8(n % 30 == 0)), 33 * MS);
        }
        call.world.run_for(2 * SEC);
        seen.extend(call.media());
        assert_eq!(seen.len(), 60 * start, "{}: start {start}", call.world);
    }
    assert_continuous(&call.world, &seen);
}

/// Packets like those of ffmpeg, which fill an Ethernet frame: a receiver detects missing pictures by their
/// numbers.
#[test]
fn picture_numbers_continue_in_packets_of_maximum_length() {
    let mut call = Call::new(715, produce(Codec::Vp8, None, Encoding::SINGLE), false);
    let mut seen = Vec::new();
    for start in 0..3u16 {
        for n in 0..30u16 {
            // X and S; I; a PictureID of 15 bits, which restarts at each start.
            let mut payload = [&[0x90, 0x80, 0x80, n as u8][..], &vp8(n == 0)[1..]].concat();
            payload.resize(1_472 - 12, 7);
            let seq = 1_000 + 100 * start + n;
            call.play(frame(70 + u32::from(start), seq, u32::from(n) * 3_000, &payload), 33 * MS);
        }
        seen.extend(call.media());
    }
    assert_eq!(seen.len(), 90, "{}", call.world);
    let numbers =
        seen.iter().map(|packet| u16::from_be_bytes([packet.payload[2], packet.payload[3]]) & 0x7fff);
    let numbers: Vec<u16> = numbers.collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{}: {numbers:?}", call.world);
}

#[test]
fn one_packet_apart_from_the_others_is_noise() {
    let mut call = Call::new(706, produce(Codec::Opus, None, Encoding::SINGLE), false);
    for n in 0..100u16 {
        if n % 10 == 9 {
            call.play(sound(7, 40_000 + 100 * n, 0, 0), Duration::ZERO);
        }
        call.play(sound(7, 1_000, 0, n), 20 * MS);
    }
    let heard = call.media();
    assert_eq!((heard.len(), call.discarded(Discard::RtpTooOld)), (100, 10), "{}", call.world);
    assert_continuous(&call.world, &heard);
}

#[test]
fn under_srtp_a_jump_of_the_numbers_is_a_loss_and_a_step_back_is_a_replay() {
    let profile = SrtpProfile::AeadAes128Gcm;
    let key = SrtpParameters { profile, key: SrtpKey(vec![3; 28]) };
    let produce = produce(Codec::Opus, None, Encoding::SINGLE);
    let mut call = Call::over(World::new(707), produce, Call::source(Some(profile)), Some(key.clone()));
    let mut sending = oracle(profile, &key.key);
    let mut heard = Vec::new();
    for first in [10_000, 15_000, 40_000] {
        for n in 0..20 {
            let packet = sending.encrypt_rtp(&sound(7, first, u32::from(first) * 960, n).bytes()).unwrap();
            call.send(&packet);
            call.world.run_for(20 * MS);
        }
        heard.extend(call.media());
    }
    assert_eq!(heard.len(), 60, "{}", call.world);
    let [first, second, third] = [0, 20, 40].map(|nth: usize| heard[nth].header.sequence_number);
    assert_eq!((second.wrapping_sub(first), third.wrapping_sub(second)), (5_000, 25_000), "{}", call.world);
    for n in 0..20 {
        let packet = sending.encrypt_rtp(&sound(7, 30_000, 0, n).bytes()).unwrap();
        call.send(&packet);
    }
    assert_eq!(call.media().len(), 0, "{}", call.world);
    assert_eq!(call.discarded(Discard::SrtpReplayed), 20, "{}", call.world);
}

/// VP9 of ffmpeg 5: descriptors of one byte, with B and E only; the frames are those of libvpx.
fn vp9(is_key: bool, part: usize, sets_p: bool) -> Vec<u8> {
    let head: &[u8] = if is_key { &[0x82, 0x49, 0x83, 0x42, 0x00] } else { &[0x86, 0x00, 0x40, 0x92, 0x00] };
    let p_bit = if sets_p && !is_key { 0x40 } else { 0 };
    let mut payload = vec![p_bit | [0x08, 0x00, 0x04][part]];
    if part == 0 {
        payload.extend(head);
    }
    payload.resize(payload.len() + 400, part as u8);
    payload
}

/// Plays frames of VP9, with a keyframe every hundred. Packets selected by `is_lost` are not sent.
fn play_vp9(
    call: &mut Call,
    frames: std::ops::Range<u16>,
    sets_p: bool,
    is_lost: impl Fn(u16, usize) -> bool,
) -> Sent {
    for nth in frames {
        for part in 0..3 {
            let payload = vp9(nth.is_multiple_of(100), part, sets_p);
            let seq = 3 * nth + part as u16;
            let timestamp = u32::from(nth) * 3_000;
            if !is_lost(nth, part) {
                call.send(&Rtp { marker: part == 2, ..frame(7, seq, timestamp, &payload) }.bytes());
            }
        }
        call.world.run_for(33 * MS);
    }
    call.sent()
}

#[test]
fn a_late_subscriber_to_vp9_whose_p_bit_is_never_set_begins_with_a_keyframe() {
    const LATE: (ConsumerId, u32) = (ConsumerId(921), 0x5eee);
    for sets_p in [false, true] {
        let mut call = Call::new(708, produce(Codec::Vp9, None, Encoding::SINGLE), false);
        let seen = play_vp9(&mut call, 0..70, sets_p, |_, _| false);
        assert_eq!(seen.media.len(), 210, "{}", call.world);
        call.consume(Codec::Vp9, LATE.0, LATE.1);
        // It cannot decode, and requests a keyframe.
        let mut asked = 0;
        for frames in [70..80, 80..90, 90..100] {
            call.answer(&rtcp::write(&[rtcp::pli(1, LATE.1)]));
            let seen = play_vp9(&mut call, frames, sets_p, |_, _| false);
            assert!(seen.media.iter().all(|packet| packet.header.ssrc == VIEW_SSRC), "{}", call.world);
            asked += seen.asked_for(206, 1);
        }
        assert!(asked >= 2, "{}: {asked} PLIs of a second", call.world);
        let seen = play_vp9(&mut call, 100..110, sets_p, |_, _| false);
        let late: Vec<_> = seen.media.iter().filter(|packet| packet.header.ssrc == LATE.1).collect();
        assert_eq!(late.len(), 30, "{}", call.world);
        assert_eq!(late[0].payload[1..4], [0x82, 0x49, 0x83], "{}", call.world);
    }
}

#[test]
fn lost_packets_of_vp9_whose_p_bit_is_never_set_are_requested() {
    for sets_p in [false, true] {
        let mut call = Call::new(709, produce(Codec::Vp9, None, Encoding::SINGLE), false);
        let seen = play_vp9(&mut call, 0..60, sets_p, |nth, part| nth % 10 == 5 && part == 2);
        assert!(seen.asked_for(205, 1) >= 6, "{}: {} NACKs", call.world, seen.asked_for(205, 1));
    }
}

#[test]
fn an_rtx_probe_with_the_last_lost_packet_is_accepted() {
    let mut call = Call::new(710, produce(Codec::Vp8, Some(RTX_PT), Encoding::SINGLE), false);
    for n in 0..10 {
        call.play(frame(7, n, u32::from(n) * 3_000, &vp8(n == 0)), 33 * MS);
    }
    assert_eq!(call.media().len(), 10, "{}", call.world);
    // 10 is lost, or overtaken; the sender probes with it.
    call.send(&retransmitted(8, 1, 10, 30_000, &vp8(false)));
    call.world.run_for(50 * MS);
    let probe = call.media();
    assert_eq!(probe.len(), 1, "{}", call.world);
    // The original packet is then a duplicate. The picture stands still for a second, and continues.
    call.play(frame(7, 10, 30_000, &vp8(false)), SEC);
    call.play(frame(7, 11, 123_000, &vp8(false)), 33 * MS);
    let after = call.media();
    assert_eq!((after.len(), call.discarded(Discard::RtpDuplicate)), (1, 1), "{}", call.world);
    assert_continuous(&call.world, &[probe, after].concat());
    assert_eq!(call.discarded(Discard::RtpTooOld), 0, "{}", call.world);
}

/// Malformed packets of RTCP that some programs write.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let packet = |count: u8, packet_type: u8, body: &[u8]| {
        let mut bytes = vec![0x80 | count, packet_type, 0, (body.len() / 4) as u8];
        bytes.extend(body);
        bytes
    };
    let mut padded = packet(0, 201, &[0, 0, 0, 1, 0, 0, 0, 0]);
    padded[0] |= 0x20;
    vec![
        ("an SDES without its final null", packet(1, 202, b"\0\0\0\x07\x01\x06janus1")),
        ("an FIR without entries", packet(4, 206, &[0; 8])),
        ("a NACK without entries", packet(1, 205, &[0; 8])),
        ("an RR of four bytes", packet(0, 201, &[])),
        ("an RR that is padded amid a compound", padded),
    ]
}

#[test]
fn a_sender_report_beside_a_malformed_packet_is_used() {
    for (name, bad) in malformed() {
        let mut call = Call::new(711, produce(Codec::Opus, None, Encoding::SINGLE), false);
        for n in 0..50 {
            call.play(sound(7, 0, 0, n), 20 * MS);
        }
        let report = SenderReport { ssrc: 7, ntp_time: 5 << 32, rtp_time: 50 * 960, ..Default::default() };
        let report = rtcp::write(&[Box::new(report)]);
        let goodbye = [0x80, 203, 0, 0];
        call.sent();
        call.send(&[&bad[..], &report, &bad, &goodbye].concat());
        call.world.run_for(3 * SEC);
        let reports = call.sent().reports.iter().filter(|report| report[1] == 200).count();
        assert!(reports >= 2, "{}: {name}: {reports} reports of the publisher's clock", call.world);
        assert_eq!(call.discarded(Discard::RtcpMalformed), 2, "{}: {name}", call.world);
    }
}

#[test]
fn a_keyframe_request_beside_a_malformed_packet_is_answered() {
    for (name, bad) in malformed() {
        let mut call = Call::new(712, produce(Codec::Vp8, None, Encoding::SINGLE), false);
        for n in 0..70u16 {
            call.play(frame(7, n, u32::from(n) * 3_000, &vp8(n == 0)), 33 * MS);
        }
        call.sent();
        let pli = rtcp::write(&[rtcp::pli(1, VIEW_SSRC)]);
        let counted = |call: &Call| call.world.shard().counters().value(Counter::RtcpIn);
        let before = counted(&call);
        call.answer(&[&bad[..], &pli].concat());
        // The publisher gets the request when the timers run next.
        call.world.run_for(MS);
        assert_eq!(call.sent().asked_for(206, 1), 1, "{}: {name}", call.world);
        assert_eq!((counted(&call), call.discarded(Discard::RtcpMalformed)), (before + 1, 1), "{name}");
        // A datagram with only this packet is not valid.
        call.answer(&[&bad[..], &bad].concat());
        assert_eq!((counted(&call), call.discarded(Discard::RtcpMalformed)), (before + 1, 2), "{name}");
    }
}

/// A conference client requests keyframes of all its tracks at once, one of which may be closed.
#[test]
fn an_fir_for_a_closed_consumer_and_an_open_one_is_answered() {
    let mut call = Call::new(713, produce(Codec::Vp8, None, Encoding::SINGLE), false);
    for n in 0..70u16 {
        call.play(frame(7, n, u32::from(n) * 3_000, &vp8(n == 0)), 33 * MS);
    }
    call.sent();
    let mut fir = vec![0x84, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0];
    for ssrc in [VIEW_SSRC ^ 1, VIEW_SSRC] {
        fir.extend(ssrc.to_be_bytes());
        fir.extend([1, 0, 0, 0]);
    }
    call.answer(&fir);
    call.world.run_for(MS);
    assert_eq!(call.sent().asked_for(206, 1), 1, "{}", call.world);
    assert_eq!(call.discarded(Discard::RtcpUnknownSsrc), 1, "{}", call.world);
}

/// The extension block of a packet with an audio level (RFC 6464) under id 1.
fn with_level(mut packet: Vec<u8>, level: u8) -> Vec<u8> {
    packet[0] |= 0x10;
    packet.splice(12..12, [0xbe, 0xde, 0, 1, 0x10, level, 0, 0]);
    packet
}

#[test]
fn comedia_learns_a_silent_sender_if_only_the_loudest_are_forwarded() {
    let mut world = World::new(713);
    let router = world.router();
    let observer = AudioObserver { interval_ms: 300, threshold_dbov: -60, loudest_forwarded: Some(1) };
    world.demand(Command::ObserveAudio { router, observer: Some(observer) });
    let speaker = world.join();
    world.connect();
    let microphone = world.publish(speaker, Track::microphone());
    world.order_source(microphone, |source| source.set_level(30));
    world.run_for(2 * SEC);

    let extensions = vec![Extension { kind: ExtensionKind::AudioLevel, id: 1 }];
    let produce = Produce { extensions, ..produce(Codec::Opus, None, Encoding::SINGLE) };
    let source = CreatePlainTransport { comedia: true, ..Call::source(None) };
    let mut call = Call::over(world, produce, source, None);
    let silence = |n| with_level(sound(7, 0, 0, n).bytes(), 127);
    call.send(&silence(0));
    assert_eq!(call.discarded(Discard::NotLoudest), 1, "{}", call.world);
    assert_eq!(tuples(&call.world), [(sender(), None)], "{}", call.world);
    // From now on other senders are ignored.
    call.world.send_plain(at(9, 5004), call.source, &silence(1));
    assert_eq!(call.discarded(Discard::PlainStranger), 1, "{}", call.world);
    // And when it speaks and the other does not, it is forwarded.
    call.world.order_source(microphone, |source| source.set_level(90));
    call.world.run_for(3 * SEC);
    for n in 2..52 {
        call.send(&with_level(sound(7, 0, 0, n).bytes(), 20));
        call.world.run_for(20 * MS);
    }
    assert_eq!(call.media().len(), 50, "{}", call.world);
}

#[test]
fn a_peer_on_the_last_port_has_its_rtcp_at_the_configured_port() {
    let mut world = World::new(714);
    let source = create(&world, SOURCE);
    let source = make(&mut world, source);
    let last = at(1, u16::MAX);
    let rtcp_remote = Some(at(1, 6_000));
    let parameters = ConnectPlainTransport { rtcp_remote, ..connect(SOURCE, Some(last)) };
    world.demand(Command::ConnectPlainTransport(parameters));
    world.demand(Command::Produce(produce(Codec::Opus, None, Encoding::SINGLE)));
    for n in 0..10 {
        world.send_plain(last, source.address, &sound(7, 0, 0, n).bytes());
        world.run_for(20 * MS);
    }
    world.run_for(2 * SEC);
    assert_eq!(world.shard().counters().value(Counter::RtpIn), 10, "{world}");
    let sent = world.take_plain_sent();
    assert!(!sent.is_empty() && sent.iter().all(|sent| Some(sent.to) == rtcp_remote), "{world}: {sent:?}");
}
