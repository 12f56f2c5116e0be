//! Rows for the controller's commands, at the bounds of their tables.

use crate::Row;
use crate::datagrams::{ENCODINGS, authentic_check, publisher, publisher_with_holes, viewer};
use crate::names;
use crate::stage::{INTERFRAME, KEYFRAME, ROUTER, Stage, consume, produce};
use crate::timers::voices;
use control::{
    AcceptData, AppData, AudioObserver, Command, ConnectPlainTransport, Consume, ConsumeData, ConsumerId,
    ContentHint, CreatePipe, CreatePlainTransport, CreateTransport, DataChannel, DataConsumerId,
    DataProducerId, DataReliability, DtlsRole, Encoding, IpFamily, Layers, PeerFingerprint, PlayoutDelay,
    Produce, ProduceData, ProducerId, RouterId, StatsOf, Text, TransportId,
};
use machine::Machine;
use sfu::limits::{WORK_PER_CALL, WORK_PER_CATCH_UP};
use sfu::{Input, limits};

/// Peers of a room, each of which publishes and consumes.
const PEERS: usize = 100;

/// A row for the command that `prepare` makes, which has this name.
fn row(
    name: &str,
    case: &'static str,
    objects: usize,
    prepare: impl FnOnce(&mut Stage) -> Command + 'static,
) -> Row {
    let handler = format!("command {name}");
    let expected = handler.clone();
    Row::new(handler, case, move || {
        let stage = &mut Stage::new();
        let command = prepare(stage);
        assert_eq!(names::of_command(&command), expected);
        stage.measure_command(command);
    })
    .of(objects)
}

/// A row for a command that starts a consumer from a cached keyframe.
fn beginning_row(name: &str, prepare: impl FnOnce(&mut Stage) -> Command + 'static) -> Row {
    Row::new(format!("command {name}"), "of a track with a cached keyframe", move || {
        let stage = &mut Stage::new();
        let command = prepare(stage);
        let sent = stage.tx.sent;
        stage.measure_command(command);
        assert!(stage.tx.sent - sent > CAUGHT_UP, "the consumer has begun");
    })
    .allowed(WORK_PER_CALL + WORK_PER_CATCH_UP, "all packets after the keyframe are encrypted at once")
}

/// One publisher whose first track many peers consume.
fn watched(stage: &mut Stage) {
    let (alice, ssrcs) = publisher(stage);
    for nth in 0..PEERS as u64 {
        let bob = stage.party();
        stage.consume(&bob, 0, nth, 0x9999);
    }
    stage.feed(alice.path, &alice.rtp(ssrcs[0], 101, 6000, &KEYFRAME));
    stage.settle();
}

/// A publisher whose largest encoding has a cached keyframe, with as many packets after it as a consumer gets
/// at once; and a transport that consumes its first track this number of times already.
fn viewer_without_pacer(stage: &mut Stage, consumers: usize) {
    let (alice, ssrcs) = publisher(stage);
    let bob = stage.party();
    for nth in 0..consumers as u64 {
        let made = without_pacer(consume(bob.transport, 0, nth, 0x9999 + nth as u32));
        stage.demand(Command::Consume(made));
    }
    let largest = ssrcs[ENCODINGS as usize - 1];
    stage.feed(alice.path, &alice.rtp(largest, 101, 6000, &KEYFRAME));
    let payload = [&INTERFRAME[..], &[0x55; 1_100]].concat();
    for seq in 102..102 + CAUGHT_UP as u16 {
        stage.feed(alice.path, &alice.rtp(largest, seq, 6000, &payload));
    }
    stage.settle();
}

/// Packets of 1,100 bytes for catching up: about as many as [`limits::KEYFRAME_CACHED_LEN_MAX`] allows.
const CAUGHT_UP: usize = 170;

/// Without transport-wide numbers, so that its transport gets no congestion control.
fn without_pacer(consume: Consume) -> Consume {
    Consume { extensions: Vec::new(), ..consume }
}

/// The transport of [`publisher`], and one that [`viewer`] has created after it.
const PUBLISHING: TransportId = TransportId(1);
const VIEWING: TransportId = TransportId(2);

/// The engine is the DTLS client on a transport.
pub fn client_of(transport: TransportId) -> Command {
    let fingerprint = PeerFingerprint::Sha512([7; 64]);
    Command::ConnectTransportAs { transport, role: DtlsRole::Client, fingerprint }
}

fn data_channel() -> DataChannel {
    DataChannel {
        label: Text::new("label"),
        protocol: Text::new(""),
        is_unordered: false,
        reliability: DataReliability::Reliable,
        priority: 256,
    }
}

pub fn produce_data(transport: TransportId, nth: u64) -> Command {
    Command::ProduceData(ProduceData {
        transport,
        producer: DataProducerId(nth),
        stream: nth as u16,
        channel: data_channel(),
        app_data: AppData::default(),
        is_dcep: false,
    })
}

pub fn consume_data(transport: TransportId, nth: u64) -> Command {
    Command::ConsumeData(ConsumeData {
        transport,
        producer: DataProducerId(0),
        consumer: DataConsumerId(nth),
        stream: 1 + (nth % (limits::DATA_CHANNELS_PER_TRANSPORT_MAX as u64 - 1)) as u16,
        channel: data_channel(),
        app_data: AppData::default(),
        is_dcep: false,
    })
}

/// A data producer with this number of consumers, on two transports. Returns one with space for another.
pub fn channels(stage: &mut Stage, consumers: u64) -> TransportId {
    let (producing, ..) = stage.webrtc();
    stage.demand(produce_data(producing, 0));
    data_consumers(stage, consumers)
}

/// The same for a data producer of another worker, on this pipe.
pub fn piped_channels(stage: &mut Stage, pipe: TransportId, consumers: u64) {
    stage.demand(produce_data(pipe, 0));
    data_consumers(stage, consumers);
}

fn data_consumers(stage: &mut Stage, consumers: u64) -> TransportId {
    let [first, other] = [(); 2].map(|()| stage.webrtc().0);
    let half = limits::DATA_CHANNELS_PER_TRANSPORT_MAX as u64 - 100;
    for nth in 0..consumers {
        stage.demand(consume_data(if nth < half { first } else { other }, nth));
    }
    other
}

pub fn rows() -> Vec<Row> {
    let app_data = || AppData(vec![7; control::limits::APP_DATA_LEN_MAX]);
    let all = limits::CONSUMERS_PER_TRANSPORT_MAX;
    let data_consumers = limits::DATA_CONSUMERS_PER_PRODUCER_MAX;
    vec![
        row("CreateRouter", "with as much data as it may have", 0, move |_| Command::CreateRouter {
            router: RouterId(2),
            app_data: app_data(),
        }),
        row("CloseRouter", "of a room", PEERS + 100, |stage| {
            watched(stage);
            Command::CloseRouter { router: ROUTER }
        }),
        row("ClaimRouter", "among many", 0, |stage| {
            for nth in 2..1000 {
                stage.demand(Command::CreateRouter { router: RouterId(nth), app_data: AppData::default() });
            }
            Command::ClaimRouter { router: ROUTER }
        }),
        row("CreateTransport", "with as much data as it may have", 0, move |_| {
            Command::CreateTransport(CreateTransport {
                router: ROUTER,
                transport: TransportId(7),
                app_data: app_data(),
            })
        }),
        row("ConnectTransport", "a new one", 0, |stage| {
            let app_data = AppData::default();
            let create = CreateTransport { router: ROUTER, transport: TransportId(7), app_data };
            stage.demand(Command::CreateTransport(create));
            Command::ConnectTransport { transport: TransportId(7), fingerprint: [7; 32] }
        }),
        row("ConnectTransportAs", "as the client of a peer whose checks have come", 0, |stage| {
            let (transport, ice, path) = stage.webrtc_unconnected();
            stage.feed(path, &authentic_check(&ice));
            client_of(transport)
        }),
        row("ProduceData", "beside as many channels as a transport may have", 0, |stage| {
            let (transport, ..) = stage.webrtc();
            for nth in 1..limits::DATA_CHANNELS_PER_TRANSPORT_MAX as u64 {
                stage.demand(produce_data(transport, nth));
            }
            produce_data(transport, 0)
        }),
        row("ConsumeData", "of a producer with as many consumers as it may have", 0, |stage| {
            let producing = channels(stage, limits::DATA_CONSUMERS_PER_PRODUCER_MAX as u64 - 1);
            consume_data(producing, 7_000)
        }),
        row("AcceptData", "that begins an association", 0, |stage| {
            let (transport, ..) = stage.webrtc();
            Command::AcceptData(AcceptData { transport, port: 5000, message_len_max: 0 })
        }),
        row("CloseDataChannel", "that the peer has not opened", 0, |stage| {
            let producing = channels(stage, 1);
            Command::CloseDataChannel { transport: producing, stream: 1 }
        }),
        row("CloseDataProducer", "with as many consumers as it may have", data_consumers, move |stage| {
            channels(stage, data_consumers as u64);
            Command::CloseDataProducer { producer: DataProducerId(0) }
        }),
        row("CloseDataConsumer", "of a producer with as many consumers as it may have", 0, move |stage| {
            channels(stage, data_consumers as u64);
            Command::CloseDataConsumer { consumer: DataConsumerId(0) }
        }),
        row("RestartIce", "a second time", 0, |stage| {
            let (transport, ..) = stage.webrtc();
            stage.demand(Command::RestartIce { transport });
            Command::RestartIce { transport }
        }),
        row("CloseTransport", "with as many consumers as it may have", all, move |stage| {
            publisher(stage);
            viewer(stage, all);
            Command::CloseTransport { transport: VIEWING }
        }),
        row("Produce", "with as many encodings and extensions as it may have", 0, |stage| {
            let (alice, _) = publisher_with_holes(stage);
            Command::Produce(produce(alice.transport, 77, 0x7000, limits::ENCODINGS_MAX as u32))
        })
        .allowed(
            8_000_000,
            "memory for the packets of as many streams, which the allocator may have to zero",
        ),
        row("Produce", "of which everything is too much", 0, |stage| {
            let alice = stage.party();
            let long = Text::new("x".repeat(control::limits::TEXT_LEN_MAX));
            let made = produce(alice.transport, 77, 0x7000, 1);
            let codecs = vec![made.codecs[0]; control::limits::LIST_LEN_MAX];
            let encodings =
                vec![Encoding { rid: Some(long), ..Encoding::SINGLE }; control::limits::LIST_LEN_MAX];
            let extensions = vec![made.extensions[0]; control::limits::LIST_LEN_MAX];
            Command::Produce(Produce { codecs, encodings, extensions, ..made })
        }),
        row("PauseProducer", "with many consumers", PEERS, |stage| {
            watched(stage);
            Command::PauseProducer { producer: ProducerId(0) }
        }),
        row("ResumeProducer", "with many consumers", PEERS, |stage| {
            watched(stage);
            stage.demand(Command::PauseProducer { producer: ProducerId(0) });
            Command::ResumeProducer { producer: ProducerId(0) }
        }),
        row("CloseProducer", "with many consumers", PEERS, |stage| {
            watched(stage);
            Command::CloseProducer { producer: ProducerId(0) }
        }),
        beginning_row("Consume", move |stage| {
            viewer_without_pacer(stage, all - 1);
            Command::Consume(without_pacer(consume(VIEWING, 0, 99_999, 0x77_7777)))
        }),
        row("PauseConsumer", "one of many", 0, move |stage| {
            publisher_with_holes(stage);
            viewer(stage, all);
            Command::PauseConsumer { consumer: ConsumerId(1) }
        }),
        beginning_row("ResumeConsumer", |stage| {
            viewer_without_pacer(stage, 0);
            let made = without_pacer(consume(VIEWING, 0, 0, 0x9999));
            stage.demand(Command::Consume(Consume { paused: true, ..made }));
            Command::ResumeConsumer { consumer: ConsumerId(0) }
        }),
        row("CloseConsumer", "one of many", 1, move |stage| {
            publisher_with_holes(stage);
            viewer(stage, all);
            Command::CloseConsumer { consumer: ConsumerId(1) }
        }),
        row("RequestKeyframe", "beside holes in all streams", 0, |stage| {
            publisher_with_holes(stage);
            viewer(stage, 10);
            Command::RequestKeyframe { consumer: ConsumerId(1) }
        }),
        row("SetPreferredLayers", "beside holes in all streams", 0, move |stage| {
            publisher_with_holes(stage);
            viewer(stage, all);
            Command::SetPreferredLayers {
                consumer: ConsumerId(1),
                layers: Layers { spatial: 7, temporal: 7 },
            }
        }),
        row("SetPriority", "one of many", 0, |stage| {
            publisher(stage);
            viewer(stage, 10);
            Command::SetPriority { consumer: ConsumerId(1), priority: 255 }
        }),
        row("SetContentHint", "one of many", 0, |stage| {
            watched(stage);
            Command::SetContentHint { producer: ProducerId(0), hint: ContentHint::Detail }
        }),
        row("SetPlayoutDelay", "one of many", 0, |stage| {
            publisher(stage);
            viewer(stage, 10);
            let delay = PlayoutDelay { min_ms: 10, max_ms: 1000 };
            Command::SetPlayoutDelay { consumer: ConsumerId(1), delay: Some(delay) }
        }),
        row("SetIgnoreDtx", "one of many", 0, |stage| {
            publisher(stage);
            viewer(stage, 10);
            Command::SetIgnoreDtx { consumer: ConsumerId(1), ignore: true }
        }),
        row("SetBitrates", "with as many consumers as there may be", 0, move |stage| {
            publisher(stage);
            viewer(stage, all);
            Command::SetBitrates {
                transport: VIEWING,
                max_incoming_bps: Some(1),
                min_outgoing_bps: Some(1),
                max_outgoing_bps: Some(1),
            }
        }),
        row(
            "ObserveAudio",
            "of a large room, with places to be given",
            10 * limits::PRODUCERS_PER_TRANSPORT_MAX,
            |stage| {
                let observer = |loudest_forwarded| AudioObserver {
                    interval_ms: 100,
                    threshold_dbov: -60,
                    loudest_forwarded,
                };
                stage.demand(Command::ObserveAudio { router: ROUTER, observer: Some(observer(None)) });
                voices(stage, 10);
                Command::ObserveAudio { router: ROUTER, observer: Some(observer(Some(1))) }
            },
        ),
        row("Stats", "of everything", 0, |stage| {
            watched(stage);
            Command::Stats { of: StatsOf::Worker }
        }),
        row("Stats", "of one", 0, |stage| {
            watched(stage);
            Command::Stats { of: StatsOf::Producer(ProducerId(0)) }
        }),
        row("CreatePlainTransport", "beside many", 0, |stage| {
            (0..PEERS).for_each(|_| _ = stage.party());
            Command::CreatePlainTransport(CreatePlainTransport {
                router: ROUTER,
                transport: TransportId(7_777),
                family: IpFamily::V4,
                rtcp_mux: false,
                comedia: false,
                srtp: None,
                app_data: AppData::default(),
            })
        }),
        row("ConnectPlainTransport", "another peer for one that has one", 0, |stage| {
            publisher_with_holes(stage);
            Command::ConnectPlainTransport(ConnectPlainTransport {
                transport: PUBLISHING,
                remote: Some(([198, 51, 100, 77], 7).into()),
                rtcp_remote: None,
                srtp: None,
            })
        }),
        row("CreatePipe", "to another worker", 0, |_| {
            Command::CreatePipe(CreatePipe { router: ROUTER, transport: TransportId(7), worker: 1 })
        }),
        row("SetAppData", "with as much data as it may have", 0, move |stage| {
            publisher(stage);
            Command::SetAppData { transport: PUBLISHING, app_data: app_data() }
        }),
        row("InjectPanic", "in an engine that refuses it", 0, |stage| {
            publisher(stage);
            Command::InjectPanic { transport: PUBLISHING, stage: control::Stage::Rtcp }
        }),
        row("Snapshot", "of a room", 0, |stage| {
            watched(stage);
            Command::Snapshot
        }),
        Row::new("controller lost", "with many routers", || {
            let stage = &mut Stage::new();
            for nth in 2..1000 {
                stage.demand(Command::CreateRouter { router: RouterId(nth), app_data: AppData::default() });
            }
            let Stage { shard, now, tx, .. } = stage;
            crate::stage::measure(|| shard.on_command(*now, Input::ControllerLost, tx));
        })
        .of(1000),
    ]
}
