//! Any command and any event, every variant about equally often.

use control::{
    AcceptData, AppData, AudioObserver, Candidate, Closed, Codec, CodecParameters, Command,
    ConnectPlainTransport, Consume, ConsumeData, ConsumerId, ConsumerStats, ContentHint, CreatePipe,
    CreatePlainTransport, CreateTransport, DataChannel, DataConsumerId, DataProducerId, DataReliability,
    DtlsRole, DtlsState, Encoding, Event, Extension, ExtensionKind, IceParameters, IceState, IpFamily, Kind,
    LayerStats, Layers, PeerFingerprint, PlayoutDelay, Produce, ProduceData, ProducerId, ProducerStats,
    Refusal, Request, RequestId, RouterId, Scored, SnapshotItem, SrtpKey, SrtpParameters, SrtpProfile, Stage,
    StatsItem, StatsOf, StreamStats, Text, TransportId, TransportState, TransportStats, Volume, limits,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use std::net::SocketAddr;

pub fn request() -> impl Strategy<Value = Request> {
    (any::<u64>(), command()).prop_map(|(id, command)| Request { id: RequestId(id), command })
}

pub fn command() -> impl Strategy<Value = Command> {
    let with_router = (any::<u64>().prop_map(RouterId), app_data());
    let with_router = with_router.prop_flat_map(|(router, app_data)| {
        prop_oneof![
            Just(Command::CreateRouter { router, app_data }),
            Just(Command::CloseRouter { router }),
            Just(Command::ClaimRouter { router }),
        ]
    });
    let with_transport = (any::<u64>().prop_map(TransportId), any::<[u8; 32]>());
    let with_transport = with_transport.prop_flat_map(|(transport, fingerprint)| {
        prop_oneof![
            Just(Command::ConnectTransport { transport, fingerprint }),
            (proptest::sample::select(vec![DtlsRole::Server, DtlsRole::Client]), peer_fingerprint())
                .prop_map(move |(role, fingerprint)| Command::ConnectTransportAs {
                    transport,
                    role,
                    fingerprint
                }),
            Just(Command::RestartIce { transport }),
            Just(Command::CloseTransport { transport }),
            proptest::sample::select(Stage::INJECTABLE.to_vec())
                .prop_map(move |stage| Command::InjectPanic { transport, stage }),
            app_data().prop_map(move |app_data| Command::SetAppData { transport, app_data }),
            any::<[Option<u32>; 3]>().prop_map(
                move |[max_incoming_bps, min_outgoing_bps, max_outgoing_bps]| {
                    Command::SetBitrates { transport, max_incoming_bps, min_outgoing_bps, max_outgoing_bps }
                }
            ),
        ]
    });
    let with_producer = any::<u64>().prop_map(ProducerId).prop_flat_map(|producer| {
        prop_oneof![
            Just(Command::PauseProducer { producer }),
            Just(Command::ResumeProducer { producer }),
            Just(Command::CloseProducer { producer }),
            content_hint().prop_map(move |hint| Command::SetContentHint { producer, hint }),
        ]
    });
    let with_consumer = any::<u64>().prop_map(ConsumerId).prop_flat_map(|consumer| {
        prop_oneof![
            Just(Command::PauseConsumer { consumer }),
            Just(Command::ResumeConsumer { consumer }),
            Just(Command::CloseConsumer { consumer }),
            Just(Command::RequestKeyframe { consumer }),
            layers().prop_map(move |layers| Command::SetPreferredLayers { consumer, layers }),
            any::<u8>().prop_map(move |priority| Command::SetPriority { consumer, priority }),
            of(playout_delay()).prop_map(move |delay| Command::SetPlayoutDelay { consumer, delay }),
            any::<bool>().prop_map(move |ignore| Command::SetIgnoreDtx { consumer, ignore }),
        ]
    });
    prop_oneof![
        3 => with_router,
        6 => with_transport,
        4 => with_producer,
        8 => with_consumer,
        1 => create_transport().prop_map(Command::CreateTransport),
        1 => create_plain_transport().prop_map(Command::CreatePlainTransport),
        1 => connect_plain_transport().prop_map(Command::ConnectPlainTransport),
        1 => create_pipe().prop_map(Command::CreatePipe),
        2 => produce().prop_map(Command::Produce),
        2 => consume().prop_map(Command::Consume),
        1 => Just(Command::Snapshot),
        1 => produce_data().prop_map(Command::ProduceData),
        1 => consume_data().prop_map(Command::ConsumeData),
        1 => (transport(), any::<u16>(), any::<u32>()).prop_map(|(transport, port, message_len_max)| {
            Command::AcceptData(AcceptData { transport, port, message_len_max })
        }),
        1 => (transport(), any::<u16>())
            .prop_map(|(transport, stream)| Command::CloseDataChannel { transport, stream }),
        1 => any::<u64>().prop_map(|id| Command::CloseDataProducer { producer: DataProducerId(id) }),
        1 => any::<u64>().prop_map(|id| Command::CloseDataConsumer { consumer: DataConsumerId(id) }),
        1 => (any::<u64>().prop_map(RouterId), of(observer()))
            .prop_map(|(router, observer)| Command::ObserveAudio { router, observer }),
        1 => stats_of().prop_map(|of| Command::Stats { of }),
    ]
}

fn produce_data() -> impl Strategy<Value = ProduceData> {
    (transport(), any::<u64>(), any::<(u16, bool)>(), data_channel(), app_data()).prop_map(
        |(transport, id, (stream, is_dcep), channel, app_data)| ProduceData {
            transport,
            producer: DataProducerId(id),
            stream,
            channel,
            app_data,
            is_dcep,
        },
    )
}

fn consume_data() -> impl Strategy<Value = ConsumeData> {
    (transport(), any::<(u64, u64)>(), any::<(u16, bool)>(), data_channel(), app_data()).prop_map(
        |(transport, (producer, consumer), (stream, is_dcep), channel, app_data)| ConsumeData {
            transport,
            producer: DataProducerId(producer),
            consumer: DataConsumerId(consumer),
            stream,
            channel,
            app_data,
            is_dcep,
        },
    )
}

fn data_channel() -> impl Strategy<Value = DataChannel> {
    let reliability = prop_oneof![
        Just(DataReliability::Reliable),
        any::<u32>().prop_map(|max| DataReliability::Retransmissions { max }),
        any::<u32>().prop_map(|ms| DataReliability::Lifetime { ms }),
    ];
    (text(), text(), any::<bool>(), reliability, any::<u16>()).prop_map(
        |(label, protocol, is_unordered, reliability, priority)| DataChannel {
            label,
            protocol,
            is_unordered,
            reliability,
            priority,
        },
    )
}

fn peer_fingerprint() -> impl Strategy<Value = PeerFingerprint> {
    prop_oneof![
        any::<[u8; 20]>().prop_map(PeerFingerprint::Sha1),
        any::<[u8; 28]>().prop_map(PeerFingerprint::Sha224),
        any::<[u8; 32]>().prop_map(PeerFingerprint::Sha256),
        vec(any::<u8>(), 48)
            .prop_map(|hash| PeerFingerprint::Sha384(hash.try_into().expect("of this length"))),
        vec(any::<u8>(), 64)
            .prop_map(|hash| PeerFingerprint::Sha512(hash.try_into().expect("of this length"))),
    ]
}

pub fn event() -> impl Strategy<Value = Event> {
    let request = || any::<u64>().prop_map(RequestId);
    let refused = (of(request()), refusal(), text());
    let created =
        (request(), transport(), ice(), any::<[u8; 32]>(), vec(candidate(), 0..=limits::LIST_LEN_MAX));
    let closings = (any::<u64>(), closed()).prop_flat_map(|(id, closed)| {
        prop_oneof![
            Just(Event::RouterClosed { router: RouterId(id), closed }),
            Just(Event::TransportClosed { transport: TransportId(id), closed }),
            Just(Event::ProducerClosed { producer: ProducerId(id), closed }),
            Just(Event::ConsumerClosed { consumer: ConsumerId(id), closed }),
            Just(Event::DataProducerClosed { producer: DataProducerId(id), closed }),
            Just(Event::DataConsumerClosed { consumer: DataConsumerId(id), closed }),
        ]
    });
    prop_oneof![
        1 => request().prop_map(|request| Event::Done { request }),
        1 => refused.prop_map(|(request, refusal, text)| Event::Refused { request, refusal, text }),
        1 => created.prop_map(|(request, transport, ice, fingerprint, candidates)| {
            Event::TransportCreated { request, transport, ice, fingerprint, candidates }
        }),
        1 => (request(), transport(), ice())
            .prop_map(|(request, transport, ice)| Event::IceRestarted { request, transport, ice }),
        1 => (transport(), state()).prop_map(|(transport, state)| Event::TransportState { transport, state }),
        4 => closings,
        4 => (request(), snapshot_item()).prop_map(|(request, item)| Event::Snapshot { request, item }),
        1 => request().prop_map(|request| Event::SnapshotEnd { request }),
        1 => any::<u64>().prop_map(|lost| Event::Overflow { lost }),
        1 => (any::<u64>().prop_map(ConsumerId), of(layers()))
            .prop_map(|(consumer, layers)| Event::LayersChanged { consumer, layers }),
        1 => (any::<u64>().prop_map(ProducerId), any::<u8>())
            .prop_map(|(producer, spatial)| Event::LayersWanted { producer, spatial }),
        1 => (any::<u64>().prop_map(RouterId), of(any::<u64>().prop_map(ProducerId)), vec(volume(), 0..8))
            .prop_map(|(router, dominant, volumes)| Event::Speakers { router, dominant, volumes }),
        3 => (request(), stats_item()).prop_map(|(request, item)| Event::Stats { request, item }),
        1 => request().prop_map(|request| Event::StatsEnd { request }),
        1 => (scored(), any::<u8>()).prop_map(|(of, score)| Event::Score { of, score }),
        1 => (request(), transport(), address(), of(address()), of(srtp_parameters())).prop_map(
            |(request, transport, address, rtcp_address, srtp)| {
                Event::PlainTransportCreated { request, transport, address, rtcp_address, srtp }
            }
        ),
        1 => (transport(), address(), of(address())).prop_map(|(transport, remote, rtcp_remote)| {
            Event::PlainTransportTuple { transport, remote, rtcp_remote }
        }),
    ]
}

fn snapshot_item() -> impl Strategy<Value = SnapshotItem> {
    let ids = (any::<u64>(), any::<u64>(), any::<u64>());
    let addresses = (address(), of(address()), of(address()), of(address()));
    (ids, state(), kind(), any::<bool>(), app_data(), addresses).prop_flat_map(
        |((id, parent, other), state, kind, paused, app_data, addresses)| {
            let transport = TransportId(parent);
            let (address, rtcp_address, remote, rtcp_remote) = addresses;
            prop_oneof![
                Just(SnapshotItem::Router { router: RouterId(id), app_data: app_data.clone() }),
                Just(SnapshotItem::Transport {
                    transport: TransportId(id),
                    router: RouterId(parent),
                    state,
                    app_data: app_data.clone(),
                }),
                Just(SnapshotItem::Producer {
                    producer: ProducerId(id),
                    transport,
                    kind,
                    paused,
                    app_data: app_data.clone(),
                }),
                Just(SnapshotItem::Consumer {
                    consumer: ConsumerId(id),
                    transport,
                    producer: ProducerId(other),
                    paused,
                    app_data: app_data.clone(),
                }),
                Just(SnapshotItem::PlainTransport {
                    transport: TransportId(id),
                    router: RouterId(parent),
                    address,
                    rtcp_address,
                    remote,
                    rtcp_remote,
                    app_data: app_data.clone(),
                }),
                Just(SnapshotItem::Pipe { transport: TransportId(id), router: RouterId(parent) }),
                Just(SnapshotItem::DataProducer {
                    producer: DataProducerId(id),
                    transport,
                    app_data: app_data.clone(),
                }),
                Just(SnapshotItem::DataConsumer {
                    consumer: DataConsumerId(id),
                    transport,
                    producer: DataProducerId(other),
                    app_data: app_data.clone(),
                }),
            ]
        },
    )
}

fn observer() -> impl Strategy<Value = AudioObserver> {
    (any::<u16>(), any::<i8>(), of(any::<u8>())).prop_map(
        |(interval_ms, threshold_dbov, loudest_forwarded)| AudioObserver {
            interval_ms,
            threshold_dbov,
            loudest_forwarded,
        },
    )
}

fn volume() -> impl Strategy<Value = Volume> {
    (any::<u64>(), any::<i8>()).prop_map(|(producer, dbov)| Volume { producer: ProducerId(producer), dbov })
}

fn stats_of() -> impl Strategy<Value = StatsOf> {
    any::<u64>().prop_flat_map(|id| {
        prop_oneof![
            Just(StatsOf::Transport(TransportId(id))),
            Just(StatsOf::Producer(ProducerId(id))),
            Just(StatsOf::Consumer(ConsumerId(id))),
            Just(StatsOf::Router(RouterId(id))),
            Just(StatsOf::Worker),
        ]
    })
}

fn scored() -> impl Strategy<Value = Scored> {
    prop_oneof![
        any::<(u64, u8)>()
            .prop_map(|(producer, encoding)| Scored::Stream { producer: ProducerId(producer), encoding }),
        any::<u64>().prop_map(|consumer| Scored::Consumer { consumer: ConsumerId(consumer) }),
    ]
}

fn stats_item() -> impl Strategy<Value = StatsItem> {
    prop_oneof![
        transport_stats().prop_map(StatsItem::Transport),
        producer_stats().prop_map(StatsItem::Producer),
        consumer_stats().prop_map(StatsItem::Consumer),
    ]
}

fn transport_stats() -> impl Strategy<Value = TransportStats> {
    (transport(), state(), any::<[u64; 4]>(), any::<[Option<u32>; 2]>()).prop_map(
        |(transport, state, counts, estimates)| {
            let [packets_received, bytes_received, packets_sent, bytes_sent] = counts;
            let [round_trip_time_us, available_outgoing_bitrate_bps] = estimates;
            TransportStats {
                transport,
                state,
                packets_received,
                bytes_received,
                packets_sent,
                bytes_sent,
                round_trip_time_us,
                available_outgoing_bitrate_bps,
            }
        },
    )
}

fn producer_stats() -> impl Strategy<Value = ProducerStats> {
    let ids = (any::<u64>().prop_map(ProducerId), transport());
    (ids, kind(), any::<bool>(), vec(stream_stats(), 0..4)).prop_map(
        |((producer, transport), kind, paused, streams)| ProducerStats {
            producer,
            transport,
            kind,
            paused,
            streams,
        },
    )
}

fn stream_stats() -> impl Strategy<Value = StreamStats> {
    let names = (of(any::<u32>()), of(text()));
    let layers = vec((layers(), any::<u32>()), 0..4).prop_map(|all| {
        all.into_iter().map(|(layers, bitrate_bps)| LayerStats { layers, bitrate_bps }).collect()
    });
    (names, any::<[u64; 7]>(), layers, any::<(i32, u32, u32, u8)>()).prop_map(
        |((ssrc, rid), counts, layers, others)| {
            let (packets_lost, jitter_us, bitrate_bps, score) = others;
            StreamStats {
                ssrc,
                rid,
                packets_received: counts[0],
                bytes_received: counts[1],
                retransmitted_packets_received: counts[2],
                packets_lost,
                jitter_us,
                nack_count: counts[3],
                pli_count: counts[4],
                fir_count: counts[5],
                keyframes_received: counts[6],
                bitrate_bps,
                layers,
                score,
            }
        },
    )
}

fn consumer_stats() -> impl Strategy<Value = ConsumerStats> {
    let ids = (any::<[u64; 2]>(), transport(), any::<bool>(), any::<u32>());
    let reported = (any::<i32>(), any::<u8>(), any::<u32>(), of(any::<u32>()));
    (ids, any::<[u64; 7]>(), of(layers()), reported, any::<(u32, u8)>()).prop_map(
        |(ids, counts, layers, reported, (bitrate_bps, score))| {
            let ([consumer, producer], transport, paused, ssrc) = ids;
            let (packets_lost, fraction_lost, jitter_us, round_trip_time_us) = reported;
            ConsumerStats {
                consumer: ConsumerId(consumer),
                producer: ProducerId(producer),
                transport,
                paused,
                ssrc,
                packets_sent: counts[0],
                bytes_sent: counts[1],
                retransmitted_packets_sent: counts[2],
                retransmitted_bytes_sent: counts[3],
                nack_count: counts[4],
                pli_count: counts[5],
                fir_count: counts[6],
                bitrate_bps,
                layers,
                packets_lost,
                fraction_lost,
                jitter_us,
                round_trip_time_us,
                score,
            }
        },
    )
}

fn create_transport() -> impl Strategy<Value = CreateTransport> {
    (any::<u64>(), transport(), app_data()).prop_map(|(router, transport, app_data)| CreateTransport {
        router: RouterId(router),
        transport,
        app_data,
    })
}

fn create_pipe() -> impl Strategy<Value = CreatePipe> {
    (any::<u64>(), transport(), any::<u16>()).prop_map(|(router, transport, worker)| CreatePipe {
        router: RouterId(router),
        transport,
        worker,
    })
}

fn create_plain_transport() -> impl Strategy<Value = CreatePlainTransport> {
    let family = prop_oneof![Just(IpFamily::V4), Just(IpFamily::V6)];
    let choices = (family, any::<(bool, bool)>(), of(srtp_profile()));
    (any::<u64>(), transport(), choices, app_data()).prop_map(|(router, transport, choices, app_data)| {
        let (family, (rtcp_mux, comedia), srtp) = choices;
        CreatePlainTransport {
            router: RouterId(router),
            transport,
            family,
            rtcp_mux,
            comedia,
            srtp,
            app_data,
        }
    })
}

fn connect_plain_transport() -> impl Strategy<Value = ConnectPlainTransport> {
    (transport(), of(address()), of(address()), of(srtp_parameters())).prop_map(
        |(transport, remote, rtcp_remote, srtp)| ConnectPlainTransport {
            transport,
            remote,
            rtcp_remote,
            srtp,
        },
    )
}

fn srtp_profile() -> impl Strategy<Value = SrtpProfile> {
    use SrtpProfile::*;
    proptest::sample::select(vec![AesCm128HmacSha1_80, AeadAes128Gcm, AeadAes256Gcm])
}

fn srtp_parameters() -> impl Strategy<Value = SrtpParameters> {
    let key = vec(any::<u8>(), 0..=limits::SRTP_KEY_LEN_MAX).prop_map(SrtpKey);
    (srtp_profile(), key).prop_map(|(profile, key)| SrtpParameters { profile, key })
}

fn content_hint() -> impl Strategy<Value = ContentHint> {
    prop_oneof![Just(ContentHint::Motion), Just(ContentHint::Detail)]
}

fn playout_delay() -> impl Strategy<Value = PlayoutDelay> {
    any::<(u16, u16)>().prop_map(|(min_ms, max_ms)| PlayoutDelay { min_ms, max_ms })
}

fn produce() -> impl Strategy<Value = Produce> {
    let ids = (transport(), any::<u64>().prop_map(ProducerId), kind(), of(text()));
    let lists = (vec(codec_parameters(), 0..4), vec(encoding(), 0..4), vec(extension(), 0..8));
    (ids, lists, any::<bool>(), app_data()).prop_map(|(ids, lists, paused, app_data)| {
        let (transport, producer, kind, mid) = ids;
        let (codecs, encodings, extensions) = lists;
        Produce { transport, producer, kind, mid, codecs, encodings, extensions, paused, app_data }
    })
}

fn consume() -> impl Strategy<Value = Consume> {
    let ids = (transport(), any::<u64>().prop_map(ProducerId), any::<u64>().prop_map(ConsumerId));
    let rtp = (of(text()), vec(codec_parameters(), 0..4), any::<u32>(), of(any::<u32>()), text());
    let wishes = (of(layers()), any::<u8>(), any::<bool>());
    (ids, rtp, vec(extension(), 0..8), wishes, app_data()).prop_map(
        |(ids, rtp, extensions, (preferred_layers, priority, paused), app_data)| {
            let (transport, producer, consumer) = ids;
            let (mid, codecs, ssrc, rtx_ssrc, cname) = rtp;
            Consume {
                transport,
                producer,
                consumer,
                mid,
                codecs,
                ssrc,
                rtx_ssrc,
                cname,
                extensions,
                preferred_layers,
                priority,
                paused,
                app_data,
            }
        },
    )
}

fn transport() -> impl Strategy<Value = TransportId> {
    any::<u64>().prop_map(TransportId)
}

fn app_data() -> impl Strategy<Value = AppData> {
    vec(any::<u8>(), 0..200).prop_map(AppData)
}

fn text() -> impl Strategy<Value = Text> {
    // One to four bytes per character.
    "[a-zß€🌊]{0,40}".prop_map(Text::new)
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Audio), Just(Kind::Video)]
}

fn codec_parameters() -> impl Strategy<Value = CodecParameters> {
    use Codec::*;
    let codec = proptest::sample::select(vec![Opus, Vp8, H264, Vp9, Av1, Red]);
    let flags = any::<(bool, bool, bool, bool)>();
    (codec, any::<u8>(), of(any::<u8>()), any::<u32>(), flags).prop_map(
        |(codec, pt, rtx_pt, clock_rate_hz, (nack, pli, fir, transport_cc))| CodecParameters {
            codec,
            pt,
            rtx_pt,
            clock_rate_hz,
            nack,
            pli,
            fir,
            transport_cc,
        },
    )
}

fn encoding() -> impl Strategy<Value = Encoding> {
    let numbers = (of(any::<u32>()), of(any::<u32>()), of(any::<u32>()));
    (of(text()), numbers, any::<(u8, u8)>()).prop_map(
        |(rid, (ssrc, rtx_ssrc, max_bitrate_bps), (spatial_layers, temporal_layers))| Encoding {
            rid,
            ssrc,
            rtx_ssrc,
            spatial_layers,
            temporal_layers,
            max_bitrate_bps,
        },
    )
}

fn layers() -> impl Strategy<Value = Layers> {
    any::<(u8, u8)>().prop_map(|(spatial, temporal)| Layers { spatial, temporal })
}

fn extension() -> impl Strategy<Value = Extension> {
    use ExtensionKind::*;
    let kinds = [
        Mid,
        Rid,
        RepairedRid,
        AbsSendTime,
        TransportCc,
        AudioLevel,
        VideoOrientation,
        TimeOffset,
        PlayoutDelay,
        AbsCaptureTime,
        DependencyDescriptor,
    ];
    (proptest::sample::select(kinds.to_vec()), any::<u8>()).prop_map(|(kind, id)| Extension { kind, id })
}

fn ice() -> impl Strategy<Value = IceParameters> {
    (text(), text()).prop_map(|(ufrag, pwd)| IceParameters { ufrag, pwd })
}

fn state() -> impl Strategy<Value = TransportState> {
    let ice = vec![IceState::New, IceState::Connected, IceState::Completed, IceState::Disconnected];
    let dtls = vec![DtlsState::New, DtlsState::Connecting, DtlsState::Connected];
    (proptest::sample::select(ice), proptest::sample::select(dtls), of(address()))
        .prop_map(|(ice, dtls, remote)| TransportState { ice, dtls, remote })
}

/// Without flow label and scope, which a candidate does not have.
fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        any::<([u8; 16], u16)>().prop_map(SocketAddr::from),
    ]
}

fn candidate() -> impl Strategy<Value = Candidate> {
    address()
        .prop_flat_map(|address| prop_oneof![Just(Candidate::udp(address)), Just(Candidate::tcp(address))])
}

fn refusal() -> impl Strategy<Value = Refusal> {
    use Refusal::*;
    proptest::sample::select(vec![BadRecord, NotFound, Exists, Invalid, Limit, Fault])
}

fn closed() -> impl Strategy<Value = Closed> {
    use Closed::*;
    proptest::sample::select(vec![
        Requested,
        ConsentLost,
        NeverConnected,
        DtlsFailed,
        PeerClosed,
        Abandoned,
        Fault,
    ])
}
