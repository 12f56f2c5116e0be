//! Plain transports: which senders they accept, what they forward, and their sockets.

use control::{
    Closed, Codec, CodecParameters, Command, ConnectPlainTransport, Consume, ConsumerId, Counter,
    CreatePlainTransport, Discard, Encoding, Event, IpFamily, Kind, Produce, ProducerId, Refusal,
    SnapshotItem, SrtpKey, SrtpParameters, SrtpProfile, TransportId, fixtures,
};
use leat_tests::peer::rtcp::{self, ReceiverReport, SenderReport};
use leat_tests::{PlainSent, SEC, Track, World};
use machine::SocketError;
use oracle_rtp::header::Header;
use oracle_rtp::packet::Packet;
use oracle_srtp::context::Context;
use oracle_srtp::protection_profile::ProtectionProfile;
use oracle_util::marshal::{Marshal, Unmarshal};
use std::collections::BTreeSet;
use std::net::SocketAddr;

const SOURCE: TransportId = TransportId(900);
const SINK: TransportId = TransportId(901);
const TRACK: ProducerId = ProducerId(910);
const VIEW: ConsumerId = ConsumerId(920);

const SENT_SSRC: u32 = 0x0a0b_0c0d;
const SENT_PT: u8 = 97;
const VIEW_SSRC: u32 = 0x5eed;
const VIEW_PT: u8 = 101;

pub(crate) fn at(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, host], port))
}

/// The peer of a transport.
pub(crate) fn sender() -> SocketAddr {
    at(1, 5004)
}

/// The receiver of the media.
pub(crate) fn receiver() -> SocketAddr {
    at(2, 6004)
}

pub(crate) fn create(world: &World, transport: TransportId) -> CreatePlainTransport {
    CreatePlainTransport {
        router: world.router(),
        transport,
        family: IpFamily::V4,
        rtcp_mux: false,
        comedia: false,
        srtp: None,
        app_data: Default::default(),
    }
}

pub(crate) fn connect(transport: TransportId, remote: Option<SocketAddr>) -> ConnectPlainTransport {
    ConnectPlainTransport { transport, remote, rtcp_remote: None, srtp: None }
}

/// The answer to the creation of a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) address: SocketAddr,
    rtcp_address: Option<SocketAddr>,
    srtp: Option<SrtpParameters>,
}

pub(crate) fn make(world: &mut World, create: CreatePlainTransport) -> Made {
    let asked = create.transport;
    match world.request(Command::CreatePlainTransport(create)) {
        Event::PlainTransportCreated { transport, address, rtcp_address, srtp, .. } => {
            assert_eq!(transport, asked);
            Made { address, rtcp_address, srtp }
        }
        other => panic!("{world}: {other:?}"),
    }
}

fn codec(pt: u8) -> CodecParameters {
    CodecParameters { nack: true, ..fixtures::codec(Codec::Opus, pt) }
}

/// Audio that is identified by its payload type alone.
fn produce(transport: TransportId) -> Produce {
    fixtures::produce(transport, TRACK, codec(SENT_PT))
}

fn consume(transport: TransportId, producer: ProducerId, codec: CodecParameters) -> Consume {
    fixtures::consume(transport, producer, VIEW, codec, VIEW_SSRC)
}

fn packet(seq: u16) -> Packet {
    let header = Header {
        version: 2,
        payload_type: SENT_PT,
        sequence_number: seq,
        timestamp: u32::from(seq) * 960,
        ssrc: SENT_SSRC,
        ..Header::default()
    };
    Packet { header, payload: [&[0x08, seq as u8, (seq >> 8) as u8][..], &[0x55; 40]].concat().into() }
}

fn rtp(seq: u16) -> Vec<u8> {
    packet(seq).marshal().unwrap().to_vec()
}

/// A source and a sink; the sink's peer is known.
fn wire_up(world: &mut World, source: CreatePlainTransport) -> (Made, Made) {
    let source_id = source.transport;
    let source = make(world, source);
    let sink = create(world, SINK);
    let sink = make(world, sink);
    world.demand(Command::ConnectPlainTransport(connect(SINK, Some(receiver()))));
    world.demand(Command::Produce(produce(source_id)));
    world.demand(Command::Consume(consume(SINK, TRACK, codec(VIEW_PT))));
    world.take_plain_sent();
    (source, sink)
}

/// The RTP packets among these, from that address to the other, decrypted.
fn heard(sent: &[PlainSent], from: SocketAddr, to: SocketAddr) -> Vec<Packet> {
    let of_way = sent.iter().filter(|sent| (sent.from, sent.to) == (from, to));
    of_way.map(|sent| Packet::unmarshal(&mut &sent.bytes[..]).unwrap()).collect()
}

fn strangers(world: &World) -> u64 {
    world.shard().counters().discarded(Discard::PlainStranger)
}

fn accepted(world: &World) -> u64 {
    let counters = world.shard().counters();
    counters.value(Counter::RtpIn) + counters.value(Counter::RtcpIn)
}

pub(crate) fn tuples(world: &World) -> Vec<(SocketAddr, Option<SocketAddr>)> {
    let tuple = |event: &Event| match event {
        Event::PlainTransportTuple { remote, rtcp_remote, .. } => Some((*remote, *rtcp_remote)),
        _ => None,
    };
    world.events().iter().filter_map(|(_, event)| tuple(event)).collect()
}

fn empty_report() -> rtcp::AnyPacket {
    Box::new(ReceiverReport { ssrc: 7, ..Default::default() })
}

fn report() -> Vec<u8> {
    rtcp::write(&[empty_report()])
}

#[test]
fn packets_are_accepted_only_from_the_configured_address() {
    let mut world = World::new(41);
    let source = create(&world, SOURCE);
    let (source, sink) = wire_up(&mut world, source);
    let rtcp = source.rtcp_address.unwrap();
    // From the same port of another host, and another port of the same host; and RTCP from the port of RTP.
    let inject = |world: &mut World| {
        let before = strangers(world);
        for third in [at(9, 5004), at(1, 5006)] {
            for seq in 1..=3 {
                world.send_plain(third, source.address, &rtp(seq));
                world.send_plain(third, source.address, &report());
                world.send_plain(third, rtcp, &report());
            }
        }
        world.send_plain(sender(), rtcp, &report());
        assert_eq!(strangers(world), before + 19, "{world}");
    };
    inject(&mut world);
    world.send_plain(sender(), source.address, &rtp(1));
    assert_eq!(accepted(&world), 0, "{world}: the peer is not known yet");
    world.demand(Command::ConnectPlainTransport(connect(SOURCE, Some(sender()))));
    inject(&mut world);
    assert_eq!(accepted(&world), 0, "{world}");
    world.send_plain(sender(), source.address, &rtp(10));
    inject(&mut world);
    world.send_plain(sender(), source.address, &rtp(11));
    world.send_plain(at(1, 5005), rtcp, &report());
    assert_eq!(accepted(&world), 3, "{world}");
    let heard = heard(&world.take_plain_sent(), sink.address, receiver());
    let payloads: Vec<_> = heard.iter().map(|packet| packet.payload.clone()).collect();
    assert_eq!(payloads, [packet(10).payload, packet(11).payload], "{world}");
    assert_eq!(tuples(&world), [], "{world}: nothing was learned");
}

#[test]
fn comedia_learns_the_address_of_the_first_packet_of_a_producer_and_no_other() {
    let mut world = World::new(42);
    let source = CreatePlainTransport { comedia: true, ..create(&world, SOURCE) };
    let (source, sink) = wire_up(&mut world, source);
    let rtcp = source.rtcp_address.unwrap();
    let third = at(9, 5004);

    // Noise, RTCP, and RTP without a producer are ignored.
    let mut foreign = packet(1);
    foreign.header.payload_type = 96;
    for noise in [&foreign.marshal().unwrap()[..], &rtp(1)[..11], &report(), b"\x00\x01\x00\x00", &[]] {
        world.send_plain(third, source.address, noise);
        world.send_plain(third, rtcp, noise);
    }
    assert_eq!(tuples(&world), [], "{world}");

    world.send_plain(sender(), source.address, &rtp(5));
    assert_eq!(tuples(&world), [(sender(), None)], "{world}");
    let before = strangers(&world);
    world.send_plain(third, source.address, &rtp(6));
    world.send_plain(third, rtcp, &report());
    world.send_plain(at(1, 5006), source.address, &rtp(6));
    assert_eq!(strangers(&world), before + 3, "{world}");

    // RTCP from the same host, from any port of its NAT; learned once too.
    world.send_plain(at(1, 40_000), rtcp, &report());
    world.send_plain(at(1, 40_001), rtcp, &report());
    assert_eq!(tuples(&world), [(sender(), None), (sender(), Some(at(1, 40_000)))], "{world}");
    assert_eq!(strangers(&world), before + 4, "{world}");
    world.send_plain(sender(), source.address, &rtp(6));
    assert_eq!(heard(&world.take_plain_sent(), sink.address, receiver()).len(), 2, "{world}");

    // A controller that connects late changes nothing: the address is fixed.
    world.demand(Command::ConnectPlainTransport(connect(SOURCE, None)));
    world.send_plain(third, source.address, &rtp(7));
    world.send_plain(third, rtcp, &report());
    assert_eq!(strangers(&world), before + 6, "{world}");
    assert_eq!(tuples(&world).len(), 2, "{world}");
    world.send_plain(sender(), source.address, &rtp(7));
    assert_eq!(heard(&world.take_plain_sent(), sink.address, receiver()).len(), 1, "{world}");
}

/// SRTP by the published implementation.
pub(crate) fn oracle(profile: SrtpProfile, key: &SrtpKey) -> Context {
    let (profile, key_len) = match profile {
        SrtpProfile::AesCm128HmacSha1_80 => (ProtectionProfile::Aes128CmHmacSha1_80, 16),
        SrtpProfile::AeadAes128Gcm => (ProtectionProfile::AeadAes128Gcm, 16),
        SrtpProfile::AeadAes256Gcm => (ProtectionProfile::AeadAes256Gcm, 32),
    };
    let (key, salt) = key.0.split_at(key_len);
    Context::new(key, salt, profile, None, None).unwrap()
}

const PROFILES: [(SrtpProfile, usize); 3] = [
    (SrtpProfile::AesCm128HmacSha1_80, 30),
    (SrtpProfile::AeadAes128Gcm, 28),
    (SrtpProfile::AeadAes256Gcm, 44),
];

#[test]
fn srtp_uses_the_configured_keys_in_both_directions() {
    for (profile, key_len) in PROFILES {
        let mut world = World::new(43);
        let source = CreatePlainTransport { srtp: Some(profile), rtcp_mux: true, ..create(&world, SOURCE) };
        let source = make(&mut world, source);
        let sink = CreatePlainTransport { srtp: Some(profile), ..create(&world, SINK) };
        let sink = make(&mut world, sink);
        world.demand(Command::Produce(produce(SOURCE)));
        world.demand(Command::Consume(consume(SINK, TRACK, codec(VIEW_PT))));
        let theirs = |byte| SrtpParameters { profile, key: SrtpKey(vec![byte; key_len]) };
        let (in_key, out_key) = (theirs(1), theirs(2));
        let parameters =
            ConnectPlainTransport { srtp: Some(in_key.clone()), ..connect(SOURCE, Some(sender())) };
        world.demand(Command::ConnectPlainTransport(parameters));
        let parameters = ConnectPlainTransport { srtp: Some(out_key), ..connect(SINK, Some(receiver())) };
        world.demand(Command::ConnectPlainTransport(parameters));
        world.take_plain_sent();

        let mut sending = oracle(profile, &in_key.key);
        let ours = sink.srtp.unwrap();
        assert_eq!((ours.profile, ours.key.0.len()), (profile, key_len));
        assert_ne!(Some(&ours), source.srtp.as_ref(), "each transport has its own key");
        let mut receiving = oracle(profile, &ours.key);
        for seq in 1..=20 {
            world.send_plain(sender(), source.address, &sending.encrypt_rtp(&rtp(seq)).unwrap());
        }
        // Not unencrypted, not twice, and not forged.
        world.send_plain(sender(), source.address, &rtp(21));
        world.send_plain(sender(), source.address, &[&rtp(22)[..], &[0; 16]].concat());
        let mut sender_report = SenderReport { ssrc: SENT_SSRC, ntp_time: 5 << 32, ..Default::default() };
        sender_report.rtp_time = 20 * 960;
        let report = sending.encrypt_rtcp(&rtcp::write(&[Box::new(sender_report)])).unwrap();
        world.send_plain(sender(), source.address, &report);
        world.run_for(3 * SEC);

        let sent = world.take_plain_sent();
        let of = |to: SocketAddr| sent.iter().filter(move |sent| sent.to == to);
        let mut numbers = Vec::new();
        for sent in of(receiver()) {
            let plain = receiving.decrypt_rtp(&sent.bytes).unwrap();
            let packet = Packet::unmarshal(&mut &plain[..]).unwrap();
            assert_eq!((packet.header.ssrc, packet.header.payload_type), (VIEW_SSRC, VIEW_PT));
            numbers.push(packet.payload[1]);
        }
        assert_eq!(numbers, (1..=20).collect::<Vec<u8>>(), "{world}");
        // The publisher's clocks reach the receiver, at its port for RTCP, from ours.
        let reports: Vec<_> = of(at(2, 6005)).collect();
        assert!(reports.len() >= 2, "{world}: {sent:?}");
        for sent in reports {
            assert_eq!(Some(sent.from), sink.rtcp_address);
            let plain = receiving.decrypt_rtcp(&sent.bytes).unwrap();
            assert_eq!(plain[1], 200, "{world}: a sender report");
        }
        // And the sender receives reports at its only port.
        assert!(of(sender()).count() >= 2, "{world}");
        let counters = world.shard().counters();
        assert_eq!((counters.value(Counter::RtpIn), counters.value(Counter::RtcpIn)), (20, 1), "{world}");
        assert_eq!(counters.discarded(Discard::SrtpUnauthenticated), 2, "{world}");
    }
}

#[test]
fn with_srtp_comedia_learns_from_an_authentic_packet_only() {
    for (profile, key_len) in PROFILES {
        let mut world = World::new(44);
        let source = CreatePlainTransport {
            srtp: Some(profile),
            comedia: true,
            rtcp_mux: true,
            ..create(&world, SOURCE)
        };
        let (source, sink) = wire_up(&mut world, source);
        let key = SrtpParameters { profile, key: SrtpKey(vec![3; key_len]) };
        let mut sending = oracle(profile, &key.key);
        let mut protect = |seq| sending.encrypt_rtp(&rtp(seq)).unwrap();
        let (first, second) = (protect(1), protect(2));
        let third = at(9, 5004);

        world.send_plain(sender(), source.address, &first);
        assert_eq!(tuples(&world), [], "{world}: without the key no packet is authentic");
        let parameters = ConnectPlainTransport { srtp: Some(key), ..connect(SOURCE, None) };
        world.demand(Command::ConnectPlainTransport(parameters));
        let mut forged = first.to_vec();
        *forged.last_mut().unwrap() ^= 1;
        world.send_plain(third, source.address, &forged);
        world.send_plain(third, source.address, &rtp(1));
        assert_eq!(tuples(&world), [], "{world}");

        world.send_plain(sender(), source.address, &first);
        assert_eq!(tuples(&world), [(sender(), None)], "{world}");
        // Recorded, and sent again from elsewhere.
        world.send_plain(third, source.address, &second);
        world.send_plain(sender(), source.address, &second);
        assert_eq!(tuples(&world), [(sender(), None)], "{world}");
        assert_eq!(heard(&world.take_plain_sent(), sink.address, receiver()).len(), 2, "{world}");
    }
}

#[test]
fn a_camera_is_received_outside_and_lost_packets_are_retransmitted() {
    let mut world = World::new(45);
    let alice = world.join();
    world.connect();
    let camera = world.publish(alice, Track::camera().bitrate_bps(400_000));
    let sink = create(&world, SINK);
    let sink = make(&mut world, sink);
    let video = CodecParameters { codec: Codec::Vp8, clock_rate_hz: 90_000, ..codec(VIEW_PT) };
    world.demand(Command::Consume(consume(SINK, camera, video)));
    world.run_for(SEC);
    assert_eq!(world.take_plain_sent(), [], "{world}: there is no receiver yet");
    world.demand(Command::ConnectPlainTransport(connect(SINK, Some(receiver()))));
    world.run_for(2 * SEC);
    let packets = heard(&world.take_plain_sent(), sink.address, receiver());
    assert!(packets.len() > 60, "{world}: {}", packets.len());
    assert!(::rtp::vp8::is_keyframe(&packets[0].payload), "{world}: a picture begins with a keyframe");
    for pair in packets.windows(2) {
        let [before, after] = [&pair[0].header, &pair[1].header].map(|header| header.sequence_number);
        assert_eq!(after, before.wrapping_add(1), "{world}");
    }
    // Requested from the RTCP port: the identical packet is sent again. From elsewhere: nothing.
    let lost = packets[packets.len() - 3].clone();
    let nack = rtcp::write(&[empty_report(), rtcp::nack(7, VIEW_SSRC, &[lost.header.sequence_number])]);
    world.send_plain(at(9, 6005), sink.rtcp_address.unwrap(), &nack);
    assert_eq!(heard(&world.take_plain_sent(), sink.address, receiver()), [], "{world}");
    world.send_plain(at(2, 6005), sink.rtcp_address.unwrap(), &nack);
    assert_eq!(heard(&world.take_plain_sent(), sink.address, receiver()), [lost], "{world}");
    // The same for a keyframe.
    world.run_for(SEC);
    let asked = world.source(camera).keyframe_requests().len();
    let pli = rtcp::write(&[empty_report(), rtcp::pli(7, VIEW_SSRC)]);
    world.send_plain(at(2, 6005), sink.rtcp_address.unwrap(), &pli);
    world.run_for(SEC);
    assert!(world.source(camera).keyframe_requests().len() > asked, "{world}");
    world.assert_sound();
}

#[test]
fn missing_packets_are_requested_from_the_publisher_outside() {
    let mut world = World::new(46);
    let source = create(&world, SOURCE);
    let (source, _) = wire_up(&mut world, source);
    let rtcp_remote = Some(at(1, 7777));
    let parameters = ConnectPlainTransport { rtcp_remote, ..connect(SOURCE, Some(sender())) };
    world.demand(Command::ConnectPlainTransport(parameters));
    for seq in (1..=10).filter(|seq| *seq != 4) {
        world.send_plain(sender(), source.address, &rtp(seq));
    }
    world.run_for(SEC / 5);
    let sent = world.take_plain_sent();
    let nack = sent.iter().find(|sent| Some(sent.to) == rtcp_remote).unwrap();
    assert_eq!(Some(nack.from), source.rtcp_address);
    // An empty receiver report, our name (RFC 3550 §6.1), and then the NACK for number 4 (RFC 4585 §6.2.1).
    assert_eq!((nack.bytes[..2].to_vec(), nack.bytes[8..10].to_vec()), (vec![0x80, 201], vec![0x81, 202]));
    assert_eq!(nack.bytes[28..30], [0x81, 205]);
    assert_eq!(nack.bytes[36..], [&SENT_SSRC.to_be_bytes()[..], &[0, 4, 0, 0]].concat());
}

#[test]
fn a_repeated_command_gets_the_same_answer_and_another_one_is_refused() {
    let mut world = World::new(47);
    let srtp = CreatePlainTransport { srtp: Some(SrtpProfile::AeadAes128Gcm), ..create(&world, SOURCE) };
    let made = make(&mut world, srtp.clone());
    assert_eq!(make(&mut world, srtp.clone()), made);
    assert_eq!(world.plain_sockets(), [made.address, made.rtcp_address.unwrap()]);
    let mut refused = |command: Command| match world.request(command) {
        Event::Refused { refusal, text, .. } => (refusal, text.as_str().to_owned()),
        other => panic!("{world}: {other:?}"),
    };
    use Command::{ConnectPlainTransport as Connect, CreatePlainTransport as Create};
    assert_eq!(refused(Create(CreatePlainTransport { rtcp_mux: true, ..srtp.clone() })).0, Refusal::Exists);
    let ipv6 = CreatePlainTransport { transport: SINK, family: IpFamily::V6, ..srtp.clone() };
    assert_eq!(refused(Create(ipv6)).0, Refusal::Invalid);
    let nowhere = CreatePlainTransport { transport: SINK, router: control::RouterId(77), ..srtp };
    assert_eq!(refused(Create(nowhere)).0, Refusal::NotFound);

    let key = |profile, len| Some(SrtpParameters { profile, key: SrtpKey(vec![1; len]) });
    let good = ConnectPlainTransport {
        srtp: key(SrtpProfile::AeadAes128Gcm, 28),
        ..connect(SOURCE, Some(sender()))
    };
    let bad = [
        ConnectPlainTransport { srtp: None, ..good.clone() },
        ConnectPlainTransport { srtp: key(SrtpProfile::AeadAes128Gcm, 30), ..good.clone() },
        ConnectPlainTransport { srtp: key(SrtpProfile::AesCm128HmacSha1_80, 30), ..good.clone() },
        ConnectPlainTransport { remote: None, ..good.clone() },
        ConnectPlainTransport { remote: Some(at(1, 0)), ..good.clone() },
        ConnectPlainTransport { remote: Some(at(1, u16::MAX)), ..good.clone() },
        ConnectPlainTransport { remote: Some("[2001:db8::1]:5004".parse().unwrap()), ..good.clone() },
        ConnectPlainTransport { remote: Some("239.1.1.1:5004".parse().unwrap()), ..good.clone() },
        ConnectPlainTransport { rtcp_remote: Some("0.0.0.0:5005".parse().unwrap()), ..good.clone() },
    ];
    for connect in bad {
        assert_eq!(refused(Connect(connect.clone())).0, Refusal::Invalid, "{connect:?}");
    }
    assert_eq!(refused(Command::RestartIce { transport: SOURCE }).0, Refusal::Invalid);
    let dtls = Command::ConnectTransport { transport: SOURCE, fingerprint: [1; 32] };
    assert_eq!(refused(dtls).0, Refusal::Invalid);
    world.demand(Connect(good.clone()));
    world.demand(Connect(good.clone()));
    let elsewhere = world.request(Connect(ConnectPlainTransport { remote: Some(at(3, 5004)), ..good }));
    assert!(matches!(elsewhere, Event::Refused { refusal: Refusal::Exists, .. }), "{world}: {elsewhere:?}");

    let alice = world.join();
    let web = world.transport(alice);
    let answer = world.request(Connect(connect(web, Some(sender()))));
    assert!(matches!(answer, Event::Refused { refusal: Refusal::Invalid, .. }), "{world}: {answer:?}");
}

#[test]
fn with_comedia_an_address_is_refused() {
    let mut world = World::new(48);
    let comedia = CreatePlainTransport { comedia: true, ..create(&world, SOURCE) };
    make(&mut world, comedia);
    let answer = world.request(Command::ConnectPlainTransport(connect(SOURCE, Some(sender()))));
    assert!(matches!(answer, Event::Refused { refusal: Refusal::Invalid, .. }), "{world}: {answer:?}");
    world.demand(Command::ConnectPlainTransport(connect(SOURCE, None)));
}

#[test]
fn sockets_end_with_their_transports_and_a_snapshot_shows_them() {
    let mut world = World::new(49);
    let (source, sink) =
        (create(&world, SOURCE), CreatePlainTransport { rtcp_mux: true, ..create(&world, SINK) });
    let (source, sink) = (make(&mut world, source), make(&mut world, sink));
    world.demand(Command::ConnectPlainTransport(connect(SOURCE, Some(sender()))));
    let item = |transport, made: &Made, remote, rtcp_remote| SnapshotItem::PlainTransport {
        transport,
        router: world.router(),
        address: made.address,
        rtcp_address: made.rtcp_address,
        remote,
        rtcp_remote,
        app_data: Default::default(),
    };
    let known = item(SOURCE, &source, Some(sender()), Some(at(1, 5005)));
    let unknown = item(SINK, &sink, None, None);
    assert_eq!(world.snapshot()[1..], [known, unknown]);
    assert_eq!(world.plain_sockets(), [source.address, source.rtcp_address.unwrap(), sink.address]);

    world.demand(Command::CloseTransport { transport: SOURCE });
    assert_eq!(world.plain_sockets(), [sink.address]);
    let again = create(&world, SOURCE);
    let again = make(&mut world, again);
    assert_eq!(world.plain_sockets().len(), 3);
    // Packets in transit to the former one's port have no effect.
    world.send_plain(sender(), source.address, &rtp(1));
    assert_ne!(again.address, source.address);
    let router = world.router();
    world.demand(Command::CloseRouter { router });
    assert_eq!(world.plain_sockets(), []);
    assert_eq!(world.shard().counters().value(Counter::Transports), 0);
}

#[test]
fn a_transport_without_a_socket_is_refused_without_effects() {
    let mut world = World::new(50);
    let before = world.snapshot();
    for (error, refusal) in [
        (SocketError::Family, Refusal::Invalid),
        (SocketError::Ports, Refusal::Limit),
        (SocketError::System, Refusal::Limit),
    ] {
        world.refuse_sockets(Some(error));
        let command = Command::CreatePlainTransport(create(&world, SOURCE));
        let answer = world.request(command);
        assert!(
            matches!(&answer, Event::Refused { refusal: is, .. } if *is == refusal),
            "{world}: {answer:?}"
        );
    }
    assert_eq!(world.snapshot(), before, "{world}");
    world.refuse_sockets(None);
    let command = create(&world, SOURCE);
    make(&mut world, command);
    assert_eq!(world.plain_sockets().len(), 2);
}

#[test]
fn sockets_have_a_bound() {
    let mut world = World::new(51);
    let max = sfu::limits::PLAIN_SOCKETS_MAX as u64;
    let nth = |world: &World, nth| CreatePlainTransport {
        rtcp_mux: true,
        ..create(world, TransportId(10_000 + nth))
    };
    for index in 0..max - 1 {
        let create = nth(&world, index);
        make(&mut world, create);
    }
    // Room for one, and so not for two.
    let two = world.request(Command::CreatePlainTransport(create(&world, SOURCE)));
    assert!(matches!(two, Event::Refused { refusal: Refusal::Limit, .. }), "{world}: {two:?}");
    let last = nth(&world, max);
    make(&mut world, last);
    let more = world.request(Command::CreatePlainTransport(nth(&world, max + 1)));
    assert!(matches!(more, Event::Refused { refusal: Refusal::Limit, .. }), "{world}: {more:?}");
}

#[test]
fn a_producer_identified_by_its_payload_type_alone_does_not_share_it() {
    let mut world = World::new(52);
    let source = create(&world, SOURCE);
    let source = make(&mut world, source);
    world.demand(Command::ConnectPlainTransport(connect(SOURCE, Some(sender()))));
    world.demand(Command::Produce(produce(SOURCE)));
    let other = Produce { producer: ProducerId(911), ..produce(SOURCE) };
    let with_ssrc = vec![Encoding { ssrc: Some(1), ..Encoding::SINGLE }];
    for other in [other.clone(), Produce { encodings: with_ssrc.clone(), ..other.clone() }] {
        let answer = world.request(Command::Produce(other));
        assert!(matches!(answer, Event::Refused { refusal: Refusal::Invalid, .. }), "{world}: {answer:?}");
    }
    // By its SSRC, or with another payload type, it is accepted.
    let pt = Produce { codecs: vec![codec(98)], ..other.clone() };
    world.demand(Command::Produce(pt));
    let ssrc = Produce { producer: ProducerId(912), codecs: vec![codec(99)], encodings: with_ssrc, ..other };
    world.demand(Command::Produce(ssrc));
    for (pt, ssrc) in [(SENT_PT, 5), (98, 6), (99, 1)] {
        let mut packet = packet(1);
        (packet.header.payload_type, packet.header.ssrc) = (pt, ssrc);
        world.send_plain(sender(), source.address, &packet.marshal().unwrap());
    }
    // Identified by its payload type alone, a source that restarts with another SSRC is the same one (RFC
    // 3550 §8.2). A signaled SSRC is kept while it sends.
    for (pt, ssrc) in [(SENT_PT, 7), (99, 2)] {
        let mut packet = packet(2);
        (packet.header.payload_type, packet.header.ssrc) = (pt, ssrc);
        world.send_plain(sender(), source.address, &packet.marshal().unwrap());
    }
    let counters = world.shard().counters();
    assert_eq!(counters.discarded(Discard::RtpUnroutable), 1, "{world}");
    assert_eq!(counters.value(Counter::RtpIn), 5, "{world}");
}

/// Tracks with so many encodings that one report has no room for them (RFC 3550 §6.4.1).
#[test]
fn each_of_forty_streams_is_reported_with_its_ssrc() {
    let mut world = World::new(61);
    let source = CreatePlainTransport { rtcp_mux: true, ..create(&world, SOURCE) };
    let source = make(&mut world, source);
    world.demand(Command::ConnectPlainTransport(connect(SOURCE, Some(sender()))));
    let ssrcs: Vec<u32> = (0..40).map(|nth| 0x4000 + nth).collect();
    for (nth, ssrcs) in ssrcs.chunks(8).enumerate() {
        let encodings = ssrcs.iter().map(|ssrc| Encoding { ssrc: Some(*ssrc), ..Encoding::SINGLE });
        let video = CodecParameters { codec: Codec::Vp8, clock_rate_hz: 90_000, ..codec(SENT_PT) };
        world.demand(Command::Produce(Produce {
            producer: ProducerId(700 + nth as u64),
            kind: Kind::Video,
            codecs: vec![video],
            encodings: encodings.collect(),
            ..produce(SOURCE)
        }));
    }
    for ssrc in &ssrcs {
        let mut packet = packet(7);
        packet.header.ssrc = *ssrc;
        world.send_plain(sender(), source.address, &packet.marshal().unwrap());
    }
    world.take_plain_sent();
    world.run_for(2 * SEC);
    let mut reported = BTreeSet::new();
    for sent in world.take_plain_sent() {
        let packets: Vec<_> = ::rtcp::Compound::new(&sent.bytes).unwrap().packets().collect();
        // RFC 3550 §6.1: a report first, and a name in every compound.
        let [::rtcp::Packet::ReceiverReport(report), ::rtcp::Packet::Sdes(sdes), ..] = packets[..] else {
            panic!("{world}: {packets:?}");
        };
        assert!(sdes.cname(report.ssrc()).is_some_and(|name| !name.is_empty()), "{world}");
        reported.extend(report.reports().map(|block| block.ssrc.0));
    }
    assert_eq!(reported, ssrcs.into_iter().collect(), "{world}");
}

#[test]
fn packets_longer_than_an_mtu_are_dropped_and_counted() {
    let mut world = World::new(62);
    let source = create(&world, SOURCE);
    let (source, sink) = wire_up(&mut world, source);
    world.demand(Command::ConnectPlainTransport(connect(SOURCE, Some(sender()))));
    let long = |seq, len: usize| {
        let mut packet = packet(seq);
        packet.payload = vec![0x55; len - 12].into();
        packet.marshal().unwrap().to_vec()
    };
    for (seq, len) in [(1, 1500), (2, 1501), (3, 60_000), (4, 100)] {
        world.send_plain(sender(), source.address, &long(seq, len));
    }
    let heard = heard(&world.take_plain_sent(), sink.address, receiver());
    let lens: Vec<usize> = heard.iter().map(|packet| packet.payload.len() + 12).collect();
    assert_eq!(lens, [1500, 100], "{world}");
    assert_eq!(world.shard().counters().discarded(Discard::DatagramTooLong), 2, "{world}");
}

/// Each SSRC must be stored for replay protection as long as the keys are used.
#[test]
fn a_transport_closes_when_its_keys_have_protected_the_maximum_of_streams() {
    let mut world = World::new(63);
    let profile = SrtpProfile::AeadAes128Gcm;
    let source = CreatePlainTransport { srtp: Some(profile), ..create(&world, SOURCE) };
    let (source, _) = wire_up(&mut world, source);
    let key = SrtpKey(vec![7; 28]);
    let srtp = Some(SrtpParameters { profile, key });
    world.demand(Command::ConnectPlainTransport(ConnectPlainTransport {
        srtp,
        ..connect(SOURCE, Some(sender()))
    }));
    let library = srtp::Profile::AeadAes128Gcm;
    let master = srtp::MasterKey::new(library, &[7; 16], &[7; 12]).unwrap();
    let outbound = srtp::Outbound::new(library, &master);
    let send = |world: &mut World, ssrc: u32, is_authentic: bool| {
        let mut bytes = rtp(7);
        bytes[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let payload = bytes.split_off(12);
        bytes.resize(12 + payload.len() + 16, 0);
        outbound.protect_rtp(0, 12, &payload, &mut bytes).unwrap();
        if !is_authentic {
            bytes[20] ^= 1;
        }
        world.send_plain(sender(), source.address, &bytes);
    };
    let most = (srtp::limits::SSRCS_MAX + srtp::limits::SSRCS_RETIRED_MAX) as u32;
    for ssrc in 0..most {
        send(&mut world, ssrc, true);
    }
    // Unauthenticated packets close nothing.
    send(&mut world, most, false);
    let closed = |world: &World| {
        let closed = world.events().iter().filter_map(|(_, event)| match event {
            Event::TransportClosed { transport, closed } => Some((*transport, *closed)),
            _ => None,
        });
        closed.collect::<Vec<_>>()
    };
    assert_eq!(closed(&world), [], "{world}");
    send(&mut world, most, true);
    assert_eq!(closed(&world), [(SOURCE, Closed::KeysUsedUp)], "{world}");
}
