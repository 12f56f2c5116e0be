//! A whole shard: commands, datagrams, time and decrypted media, in any order.

use std::time::Duration;

use control::{
    AcceptData, AppData, AudioObserver, Codec, CodecParameters, Command, ConnectPlainTransport, Consume,
    ConsumeData, ConsumerId, ContentHint, CreatePipe, CreatePlainTransport, CreateTransport, DataChannel,
    DataConsumerId, DataProducerId, DataReliability, DtlsRole, Encoding, Extension, ExtensionKind, IpFamily,
    Kind, Layers, PeerFingerprint, PlayoutDelay, Produce, ProduceData, ProducerId, Request, RouterId,
    SrtpParameters, SrtpProfile, StatsOf, Text, TransportId, fixtures,
};
use leat_tests::{LayeredSource, LayeredTrack};
use machine::{Rng, SocketError, WorkerId};
use oracle_util::marshal::Marshal;
use rtcp::Writer;
use rtp::{ExtId, Extensions, Header, Pt, Seq, Ssrc};

use crate::script::Script;
use crate::world::{Tally, World, path, plain_key};

/// Steps of a script: enough for a call with a few tracks, and few enough for a thousand scripts per second.
const STEPS_MAX: usize = 200;
/// Virtual time of a script.
const TIME_MAX: Duration = Duration::from_secs(300);

/// The bytes are a script; see [`step`]. Whatever happens, the model, the snapshot and the peers agree in the
/// end.
pub fn shard(data: &[u8]) {
    run(data);
}

fn run(data: &[u8]) -> Tally {
    let mut script = Script::new(data);
    let mut world = World::new();
    let mut camera = None;
    let mut time_left = TIME_MAX;
    for _ in 0..STEPS_MAX {
        if script.is_over() {
            break;
        }
        step(&mut world, &mut camera, &mut script, &mut time_left);
        world.check_consistency();
    }
    world.compare_snapshot();
    world.tally.repeated += world.sent.repeated();
    world.tally
}

/// One step: the first byte modulo 22 selects it, the rest depends on it.
fn step(
    world: &mut World,
    camera: &mut Option<LayeredSource>,
    script: &mut Script<'_>,
    time_left: &mut Duration,
) {
    match script.u8() % 22 {
        0 => {
            let by = Duration::from_millis(u64::from(script.u16())).min(*time_left);
            *time_left -= by;
            world.advance(by);
        }
        1 => {
            let from = path(script.u8());
            world.receive(from, script.blob());
        }
        2 => world.command(Command::CreateRouter {
            router: RouterId(u64::from(script.u8() % 3)),
            app_data: AppData(script.blob().to_vec()),
        }),
        3 => world.command(Command::CreateTransport(CreateTransport {
            router: RouterId(u64::from(script.u8() % 3)),
            transport: transport(script),
            app_data: AppData(Vec::new()),
        })),
        4 => {
            let produce = produce(script);
            world.command(Command::Produce(produce));
        }
        5 => {
            let consume = consume(script);
            world.command(Command::Consume(consume));
        }
        6 => {
            let command = small_command(script);
            world.command(command);
        }
        7 => {
            // Everything that the codec accepts. The request's number is replaced, because answers are
            // counted by it.
            let record = [&[0; 8], script.blob()].concat();
            if let Ok(Request { command, .. }) = Request::decode(&record) {
                world.command(command);
            }
        }
        8 => {
            let (transport, from, flags) = (transport(script), path(script.u8()), script.u8());
            world.check(transport, from, flags & 1 == 0, flags & 2 == 0);
        }
        9 => {
            let (transport, from) = (transport(script), path(script.u8()));
            world.shake_hands(transport, from);
        }
        10 => send_rtp(world, script),
        11 => send_rtcp(world, script),
        12 => {
            let (transport, from, flags) = (transport(script), path(script.u8()), script.u8());
            let data = script.blob();
            world.send_dtls(transport, from, (flags & 1 == 0).then_some(data));
        }
        13 => match script.u8() % 8 {
            0 => world.lose_controller(),
            1 => world.compare_snapshot(),
            2 => world.close_path(path(script.u8())),
            3 => world.command(Command::CreatePipe(CreatePipe {
                router: RouterId(u64::from(script.u8() % 3)),
                transport: transport(script),
                worker: u16::from(script.u8() % 2),
            })),
            4 => world.take_over(WorkerId(u16::from(script.u8() % 2)), script.blob()),
            5 => {
                let (message, buffer) = pipe_message(script);
                let from = WorkerId(u16::from(script.u8() % 2));
                match buffer {
                    Some(buffer) => world.take_over_buffer(from, &message, buffer),
                    None => world.take_over(from, &message),
                }
            }
            _ => world.end_batch(),
        },
        14 => world.limit_room(usize::from(script.u8() % 4)),
        16 => {
            let (transport, producer) = (transport(script), ProducerId(u64::from(script.u8() % 4)));
            let track = layered_track(script);
            let source = LayeredSource::new(world.now(), track, "0".to_owned(), Rng::from_number(3));
            world.command(Command::Produce(source.produce(transport, producer)));
            *camera = Some(source);
        }
        17 => {
            let Some(camera) = camera else { return };
            let mut consume = consume(script);
            let track = camera.track();
            consume.codecs = vec![track.consumed_codec()];
            consume.extensions = track.received_extensions();
            consume.rtx_ssrc = track.rtx.then_some(consume.ssrc + 100);
            world.command(Command::Consume(consume));
        }
        18 => {
            // Pictures of all its layers, with random loss.
            let Some(camera) = camera else { return };
            let (transport, from, flags) = (transport(script), path(script.u8()), script.u8());
            if flags & 1 != 0 {
                camera.change_scene(usize::from(flags >> 1) % camera.track().encodings.len());
            }
            if flags & 8 != 0 {
                camera.set_spatial_layers((flags >> 4) % camera.track().spatial_layers + 1);
            }
            if flags & 4 != 0 {
                // Another structure, from a keyframe on.
                camera.resize(0, 320 << (flags >> 6), 180 << (flags >> 6));
            }
            let lost = script.u16();
            for (nth, packet) in camera.frame(world.now()).into_iter().enumerate() {
                if lost >> (nth % 16) & 1 == 0 {
                    let header = packet.header.marshal().expect("our own packets are well-formed");
                    world.send_rtp(transport, from, &header, &packet.payload);
                }
            }
        }
        19 => {
            let flags = script.u8();
            world.plain.sockets.refusal = (flags >> 6 == 3).then_some(SocketError::Ports);
            world.command(Command::CreatePlainTransport(CreatePlainTransport {
                router: RouterId(u64::from(script.u8() % 3)),
                transport: transport(script),
                family: if flags & 0x20 == 0 { IpFamily::V4 } else { IpFamily::V6 },
                rtcp_mux: flags & 1 != 0,
                comedia: flags & 2 != 0,
                srtp: srtp_profile(flags >> 2),
                app_data: AppData(Vec::new()),
            }));
            world.plain.sockets.refusal = None;
        }
        20 => {
            let (transport, from, flags) = (transport(script), path(script.u8()), script.u8());
            let srtp = srtp_profile(flags >> 2);
            world.command(Command::ConnectPlainTransport(ConnectPlainTransport {
                transport,
                remote: (flags & 2 == 0).then_some(from.remote),
                rtcp_remote: (flags & 1 != 0).then_some(from.remote),
                srtp: srtp.map(|profile| SrtpParameters { profile, key: plain_key(profile) }),
            }));
        }
        21 => {
            let (transport, from, flags) = (transport(script), path(script.u8()), script.u8());
            world.send_plain(transport, from, flags & 1 != 0, script.blob());
        }
        _ => {
            // A run of packets of one stream: what a camera does.
            let (transport, from, ssrc) = (transport(script), path(script.u8()), media_ssrc(script));
            let (pt, first, gaps) = (script.choice(&[96, 111]), script.u16(), script.u16());
            for nth in (0..16).filter(|nth| gaps >> nth & 1 == 0) {
                let header = Header {
                    pt: Pt(pt),
                    marker: nth % 4 == 3,
                    seq: Seq(first.wrapping_add(nth)),
                    timestamp: u32::from(nth / 4) * 3000,
                    ssrc,
                };
                let payload = if nth == 0 { &VP8_KEYFRAME[..] } else { &VP8_INTERFRAME[..] };
                let mut bytes = [0xa5; rtp::HEADER_LEN];
                header.write(&Extensions::new(), &mut bytes);
                world.send_rtp(transport, from, &bytes, payload);
            }
        }
    }
}

/// A message of another worker: of an existing type, about a possible producer or slot.
/// With its buffer, if it has one.
fn pipe_message(script: &mut Script<'_>) -> (Vec<u8>, Option<Box<[u8]>>) {
    let (which, place, flags) = (script.u8(), script.u8(), script.u8());
    let kind = if which < 240 { which % 8 } else { 8 + which % 5 };
    let producer = u64::from(place % 4).to_le_bytes();
    let slot = (u64::from(place >> 4 & 3) << 32 | u64::from(place >> 2 & 3)).to_le_bytes();
    let at = 7_000_000_000u64.to_le_bytes();
    let header = Header {
        pt: Pt(script.choice(&[96, 111, 97])),
        marker: flags & 1 == 1,
        seq: Seq(script.u16()),
        timestamp: u32::from(flags) * 3000,
        ssrc: media_ssrc(script),
    };
    let mut packet = [0xa5; rtp::HEADER_LEN];
    header.write(&Extensions::new(), &mut packet);
    let payload = if flags & 2 == 0 { &VP8_KEYFRAME[..] } else { &VP8_INTERFRAME[..] };
    let buffer = (kind == 12 || flags == 0xff).then(|| Box::from(&[flags; 300][..usize::from(place)]));
    let bytes = match kind {
        0 | 2 | 8 => [&[kind][..], &producer, &slot, &[flags]].concat(),
        1 | 9 => [&[kind][..], &producer, &slot].concat(),
        3 | 12 => [&[kind][..], &slot, &[flags]].concat(),
        4 | 10 | 11 => [&[kind][..], &slot].concat(),
        7 => [&[kind][..], &slot, &[flags >> 6], &H264_SPS[flags as usize % 5..]].concat(),
        5 => [&[kind][..], &slot, &[flags % 4], &at, &at, &[0; 4]].concat(),
        _ => [&[kind][..], &slot, &[flags >> 6, 0], &at, &packet, payload].concat(),
    };
    (bytes, buffer)
}

const H264_SPS: [u8; 6] = [0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x68];
const VP8_KEYFRAME: [u8; 16] =
    [0x90, 0xe0, 0x91, 0x23, 0x07, 0x20, 0x50, 0x42, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01];
const VP8_INTERFRAME: [u8; 8] = [0x90, 0xe0, 0x91, 0x24, 0x08, 0x20, 0x51, 0x02];

/// A track as browsers send it.
fn layered_track(script: &mut Script<'_>) -> LayeredTrack {
    let kind = script.u8();
    let track = match kind % 8 {
        0 => LayeredTrack::vp8_simulcast(),
        1 => LayeredTrack::vp8_simulcast().short_picture_ids().with_descriptor(),
        2 => LayeredTrack::h264_temporal_simulcast(),
        3 => LayeredTrack::h264_simulcast(),
        4 => LayeredTrack::vp9_svc(),
        5 => LayeredTrack::vp9_key_svc().flexible(),
        6 => LayeredTrack::av1_svc(),
        _ => LayeredTrack::av1_simulcast(),
    };
    // The published writer's padding is not the intended padding.
    let track = track.without_padding();
    if kind & 0x40 != 0 { track.without_rtx() } else { track }
}

fn transport(script: &mut Script<'_>) -> TransportId {
    TransportId(u64::from(script.u8() % 4))
}

/// None for two of eight, so that most transports are protected.
fn srtp_profile(bits: u8) -> Option<SrtpProfile> {
    match bits % 8 {
        0 | 1 => None,
        2 | 3 => Some(SrtpProfile::AesCm128HmacSha1_80),
        4 | 5 => Some(SrtpProfile::AeadAes128Gcm),
        _ => Some(SrtpProfile::AeadAes256Gcm),
    }
}

fn media_ssrc(script: &mut Script<'_>) -> Ssrc {
    Ssrc(script.choice(&[1111, 2222, 3333, 1112]))
}

fn codec(script: &mut Script<'_>, kind: Kind) -> CodecParameters {
    let flags = script.u8();
    let video = match flags >> 5 {
        1 => Codec::H264,
        2 => Codec::Vp9,
        3 => Codec::Av1,
        _ => Codec::Vp8,
    };
    let (codec, pt, rtx_pt) = match kind {
        Kind::Audio => (Codec::Opus, 111, None),
        Kind::Video => (video, 96, (flags & 1 == 0).then_some(97)),
    };
    let has = |bit: u8| flags & bit == 0;
    CodecParameters {
        rtx_pt,
        nack: has(2),
        pli: has(4),
        fir: has(8),
        transport_cc: has(16),
        ..fixtures::codec(codec, pt)
    }
}

fn extensions(script: &mut Script<'_>) -> Vec<Extension> {
    let mask = script.u8();
    let all = [
        (ExtensionKind::Mid, 4),
        (ExtensionKind::TransportCc, 3),
        (ExtensionKind::AudioLevel, 1),
        (ExtensionKind::AbsSendTime, 2),
        (ExtensionKind::VideoOrientation, 6),
        (ExtensionKind::PlayoutDelay, 16),
        (ExtensionKind::AbsCaptureTime, 8),
        (ExtensionKind::Rid, 9),
    ];
    let wanted = all.into_iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1);
    let mut wanted: Vec<Extension> = wanted.map(|(_, (kind, id))| Extension { kind, id }).collect();
    // These two go along with others: there are no bits left.
    let along = [
        (ExtensionKind::Rid, ExtensionKind::RepairedRid, 10),
        (ExtensionKind::AbsCaptureTime, ExtensionKind::DependencyDescriptor, 14),
    ];
    for (with, kind, id) in along {
        if wanted.iter().any(|extension| extension.kind == with) {
            wanted.push(Extension { kind, id });
        }
    }
    wanted
}

fn mid(script: &mut Script<'_>) -> Option<Text> {
    script.choice(&[Some("0"), Some("1"), None]).map(Text::new)
}

fn kind(script: &mut Script<'_>) -> Kind {
    script.choice(&[Kind::Video, Kind::Audio])
}

fn produce(script: &mut Script<'_>) -> Produce {
    let kind = kind(script);
    let transport = transport(script);
    let producer = ProducerId(u64::from(script.u8() % 4));
    let mid = mid(script);
    let codec = codec(script, kind);
    Produce {
        mid,
        encodings: encodings(script),
        extensions: extensions(script),
        paused: script.u8() == 1,
        ..fixtures::produce(transport, producer, codec)
    }
}

/// One stream, one with layers inside, or three identified by their RIDs.
fn encodings(script: &mut Script<'_>) -> Vec<Encoding> {
    let (ssrc, rtx) = (script.u8(), script.u8());
    let one = Encoding {
        rid: None,
        ssrc: [Some(1111), Some(2222), None][usize::from(ssrc % 3)],
        rtx_ssrc: [Some(1112), None][usize::from(rtx % 2)],
        temporal_layers: (ssrc >> 6) + 1,
        ..Encoding::SINGLE
    };
    let named = |rid: &str| Encoding { rid: Some(Text::new(rid)), ssrc: None, rtx_ssrc: None, ..one.clone() };
    match rtx >> 6 {
        0 | 1 => vec![one],
        2 => vec![Encoding { spatial_layers: 3, ..one }],
        _ => ["q", "h", "f"].map(named).to_vec(),
    }
}

fn consume(script: &mut Script<'_>) -> Consume {
    let kind = kind(script);
    let ssrc = 9000 + u32::from(script.u8() % 4);
    let transport = transport(script);
    let producer = ProducerId(u64::from(script.u8() % 4));
    let consumer = ConsumerId(u64::from(script.u8() % 6));
    let mid = mid(script);
    let codec = codec(script, kind);
    let mut consume = Consume {
        mid,
        rtx_ssrc: script.choice(&[Some(ssrc + 100), None]),
        cname: Text::new("peer"),
        extensions: extensions(script),
        ..fixtures::consume(transport, producer, consumer, codec, ssrc)
    };
    let flags = script.u8();
    consume.paused = flags == 1;
    consume.preferred_layers =
        (flags >= 16).then_some(Layers { spatial: flags >> 4, temporal: flags & 0x0f });
    consume
}

fn produce_data(script: &mut Script<'_>, transport: TransportId) -> ProduceData {
    let producer = DataProducerId(u64::from(script.u8() % 3));
    let (stream, is_dcep, app_data) = data_stream(script);
    ProduceData { transport, producer, stream, channel: data_channel(script), app_data, is_dcep }
}

fn consume_data(script: &mut Script<'_>, transport: TransportId) -> ConsumeData {
    let producer = DataProducerId(u64::from(script.u8() % 3));
    let consumer = DataConsumerId(u64::from(script.u8() % 4));
    let (stream, is_dcep, app_data) = data_stream(script);
    ConsumeData { transport, producer, consumer, stream, channel: data_channel(script), app_data, is_dcep }
}

/// One of four streams, and whether it is opened by a message.
fn data_stream(script: &mut Script<'_>) -> (u16, bool, AppData) {
    let byte = script.u8();
    (u16::from(byte % 4), byte >= 128, AppData::default())
}

fn data_channel(script: &mut Script<'_>) -> DataChannel {
    let reliabilities = [
        DataReliability::Reliable,
        DataReliability::Retransmissions { max: 0 },
        DataReliability::Lifetime { ms: 100 },
    ];
    DataChannel {
        label: Text::new("label"),
        protocol: Text::new(""),
        is_unordered: script.u8() & 1 == 1,
        reliability: script.choice(&reliabilities),
        priority: script.u16(),
    }
}

/// The commands that name one thing.
fn small_command(script: &mut Script<'_>) -> Command {
    let which = script.u8();
    let router = RouterId(u64::from(script.u8() % 3));
    let transport = TransportId(router.0 + u64::from(script.u8() % 2));
    let producer = ProducerId(transport.0);
    let consumer = ConsumerId(u64::from(script.u8() % 6));
    let of_one = [
        StatsOf::Worker,
        StatsOf::Transport(transport),
        StatsOf::Producer(producer),
        StatsOf::Consumer(consumer),
    ];
    let observer = AudioObserver { interval_ms: 100, threshold_dbov: -60, loudest_forwarded: Some(1) };
    match which {
        240..=243 => return Command::Stats { of: of_one[usize::from(which - 240)] },
        244 => return Command::ObserveAudio { router, observer: Some(observer) },
        245 => return Command::ObserveAudio { router, observer: None },
        246 => {
            let hint = script.choice(&[ContentHint::Motion, ContentHint::Detail]);
            return Command::SetContentHint { producer, hint };
        }
        247..=248 => {
            let delay = PlayoutDelay { min_ms: script.u16(), max_ms: script.u16() };
            return Command::SetPlayoutDelay { consumer, delay: Some(delay).filter(|_| which == 247) };
        }
        250..=251 => {
            let role = if which == 250 { DtlsRole::Server } else { DtlsRole::Client };
            let fingerprint = PeerFingerprint::Sha1([7; 20]);
            return Command::ConnectTransportAs { transport, role, fingerprint };
        }
        252 => return Command::ProduceData(produce_data(script, transport)),
        253 => return Command::ConsumeData(consume_data(script, transport)),
        254 => return Command::CloseDataProducer { producer: DataProducerId(u64::from(script.u8() % 3)) },
        255 => {
            let byte = script.u8();
            return match byte {
                0..128 => Command::CloseDataConsumer { consumer: DataConsumerId(u64::from(byte % 4)) },
                128..192 => Command::CloseDataChannel { transport, stream: u16::from(byte % 4) },
                192.. => {
                    let message_len_max = 100 * u32::from(byte % 4);
                    Command::AcceptData(AcceptData { transport, port: 5000, message_len_max })
                }
            };
        }
        249 => return Command::SetIgnoreDtx { consumer, ignore: script.u8() & 1 == 1 },
        _ => {}
    }
    match which % 15 {
        0 => Command::CloseRouter { router },
        1 => Command::ClaimRouter { router },
        2 => Command::ConnectTransport { transport, fingerprint: [7; 32] },
        3 => Command::RestartIce { transport },
        4 => Command::CloseTransport { transport },
        5 => Command::PauseProducer { producer },
        6 => Command::ResumeProducer { producer },
        7 => Command::CloseProducer { producer },
        8 => Command::PauseConsumer { consumer },
        9 => Command::ResumeConsumer { consumer },
        10 => Command::CloseConsumer { consumer },
        11 => Command::RequestKeyframe { consumer },
        13 => {
            let layers = Layers { spatial: script.u8() % 4, temporal: script.u8() % 4 };
            Command::SetPreferredLayers { consumer, layers }
        }
        14 => Command::SetPriority { consumer, priority: script.u8() },
        _ if router.0 == 2 => {
            let bps = |index: u64| Some(consumer.0 as u32 * 100_000).filter(|_| consumer.0 != index);
            Command::SetBitrates {
                transport,
                max_incoming_bps: bps(0),
                min_outgoing_bps: bps(1),
                max_outgoing_bps: bps(2),
            }
        }
        _ => Command::Snapshot,
    }
}

/// One packet, similar enough to RTP to pass the first checks, and free enough to be invalid.
fn send_rtp(world: &mut World, script: &mut Script<'_>) {
    let (transport, from, flags) = (transport(script), path(script.u8()), script.u8());
    let header = Header {
        pt: Pt(script.choice(&[96, 97, 111, 127])),
        marker: flags & 1 != 0,
        seq: Seq(script.u16()),
        timestamp: script.u32(),
        ssrc: media_ssrc(script),
    };
    let mut extensions = Extensions::new();
    if flags & 2 != 0 {
        extensions.push(ExtId(4), script.choice(&[&b"0"[..], b"1", b"2", b""]));
    }
    if flags & 4 != 0 {
        extensions.push(ExtId(3), &script.array::<2>());
    }
    if flags & 8 != 0 {
        let id = ExtId(script.u8());
        extensions.push(id, script.blob());
    }
    let mut bytes = vec![0xa5; Header::encoded_len(&extensions)];
    header.write(&extensions, &mut bytes);
    if flags & 16 != 0 {
        // Announces padding that may be missing in the payload.
        bytes[0] |= 0x20;
    }
    let mut payload = Vec::new();
    match flags >> 5 {
        0 => payload.extend_from_slice(&VP8_KEYFRAME),
        1 => payload.extend_from_slice(&VP8_INTERFRAME),
        // Retransmissions: the original number first.
        2 => payload.extend_from_slice(&script.array::<2>()),
        3 => payload.resize(1300, 0x55),
        _ => {}
    }
    payload.extend_from_slice(script.blob());
    world.send_rtp(transport, from, &bytes, &payload);
}

/// Feedback, similar enough to be accepted, or arbitrary.
fn send_rtcp(world: &mut World, script: &mut Script<'_>) {
    let (transport, from, which) = (transport(script), path(script.u8()), script.u8() % 8);
    let media = Ssrc(script.choice(&[9000, 9001, 9002, 9003, 1111, 2222]));
    let mut buffer = vec![0xa5; 1500];
    let mut writer = Writer::new(&mut buffer);
    match which {
        0 => {
            // This peer requests packets that it has received.
            let newest = world.newest(transport).to_vec();
            let mask = script.u32();
            let asked = newest.iter().rev().enumerate().filter(|(nth, _)| mask >> (nth % 32) & 1 == 1);
            let of = newest.last().map_or(media, |(ssrc, _)| *ssrc);
            let losses: Vec<Seq> =
                asked.filter(|(_, (ssrc, _))| *ssrc == of).map(|(_, (_, seq))| *seq).collect();
            writer.nack(Ssrc(1), of, losses);
        }
        1 => {
            let losses: Vec<Seq> =
                script.blob().chunks_exact(2).map(|b| Seq(u16::from_be_bytes([b[0], b[1]]))).collect();
            writer.nack(Ssrc(1), media, losses);
        }
        2 => {
            writer.pli(Ssrc(1), media);
        }
        3 => {
            writer.fir(Ssrc(1), &[(media, script.u8())]);
        }
        4 => {
            let info = rtcp::SenderInfo {
                ssrc: media,
                ntp: rtp::ntp::NtpTime(u64::from_be_bytes(script.array())),
                rtp_timestamp: script.u32(),
                packet_count: script.u32(),
                octet_count: script.u32(),
            };
            writer.sender_report(&info, &[]);
        }
        5 => {
            let block = rtcp::ReportBlock {
                ssrc: media,
                fraction_lost: script.u8(),
                cumulative_lost: script.u32() as i32,
                extended_highest_seq: script.u32(),
                jitter: script.u32(),
                last_sr: script.u32(),
                delay_since_last_sr: script.u32(),
            };
            writer.receiver_report(Ssrc(1), &[block, block]);
        }
        6 => {
            writer.bye(&[media]);
        }
        _ => {
            world.send_rtcp(transport, from, script.blob());
            return;
        }
    }
    let len = writer.len();
    world.send_rtcp(transport, from, &buffer[..len]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The corpus would be useless if its call was not established.
    #[test]
    fn the_corpus_gets_past_the_crypto() {
        let tally = run(include_bytes!("../../corpus/shard/a-call-with-repairs"));
        assert!(tally.rtp_opened >= 16 && tally.rtcp_opened > 0 && tally.repaired > 0, "{tally:?}");
    }

    #[test]
    fn the_corpus_has_plain_transports() {
        let tally = run(include_bytes!("../../corpus/shard/plain-rtp-in-and-srtp-out"));
        assert!(tally.plain_heard >= 16 + 2 * 16, "{tally:?}");
    }

    #[test]
    fn the_corpus_has_pipes() {
        let tally = run(include_bytes!("../../corpus/shard/a-track-of-another-worker"));
        assert_eq!(tally.piped, 4, "{tally:?}");
    }

    #[test]
    fn the_corpus_has_repairs_without_rtx() {
        let tally = run(include_bytes!("../../corpus/shard/repairs-without-rtx-after-another-structure"));
        assert!(tally.rtp_opened >= 12 && tally.repeated >= 8, "{tally:?}");
        let tally = run(include_bytes!("../../corpus/shard/repairs-without-rtx-of-a-plain-receiver"));
        assert!(tally.plain_heard >= 12 && tally.repeated >= 8, "{tally:?}");
    }

    #[test]
    fn the_corpus_has_layers() {
        let tally = run(include_bytes!("../../corpus/shard/layers-that-change"));
        assert!(tally.rtp_opened >= 16, "{tally:?}");
    }
}
