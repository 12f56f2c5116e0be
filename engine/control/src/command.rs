//! The commands from signaling to a worker.

use crate::codec::{DecodeError, Input, Wire, wire_enum, wire_struct};
use crate::data::{AcceptData, ConsumeData, ProduceData};
use crate::dtls::{DtlsRole, PeerFingerprint};
use crate::fault::Stage;
use crate::ids::{ConsumerId, DataConsumerId, DataProducerId, ProducerId, RequestId, RouterId, TransportId};
use crate::media::{
    AppData, AudioObserver, CodecParameters, ContentHint, Encoding, Extension, Kind, Layers, PlayoutDelay,
    Text,
};
use crate::pipe::CreatePipe;
use crate::plain::{ConnectPlainTransport, CreatePlainTransport};
use crate::stats::StatsOf;
use crate::version::version;

/// A command with the request id for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the controller; not interpreted.
    pub id: RequestId,
    /// What to do.
    pub command: Command,
}

impl Request {
    /// The binary form, replacing what was in `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        self.id.write(out);
        self.command.write(out);
        #[cfg(feature = "next-protocol")]
        crate::codec::write_next_field(out);
    }

    /// Reads a whole record of a peer of this version. An error still contains the request id if it could be
    /// read, so that the request can be answered.
    pub fn decode(record: &[u8]) -> Result<Self, (Option<RequestId>, DecodeError)> {
        Self::decode_from(record, version())
    }

    /// The same for a peer of another version.
    pub fn decode_from(record: &[u8], peer_version: u32) -> Result<Self, (Option<RequestId>, DecodeError)> {
        let mut input = Input(record);
        let id = RequestId::read(&mut input).map_err(|error| (None, error))?;
        let command = Command::read(&mut input).map_err(|error| (Some(id), error))?;
        input.end(peer_version).map_err(|error| (Some(id), error))?;
        Ok(Self { id, command })
    }
}

/// A command. Each is idempotent; each names existing objects, and is refused with
/// [`Refusal::NotFound`](crate::Refusal::NotFound) if one does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A new, empty router.
    CreateRouter {
        /// Its id.
        router: RouterId,
        /// Returned in snapshots.
        app_data: AppData,
    },
    /// Closes a router and all its objects.
    CloseRouter {
        /// Which.
        router: RouterId,
    },
    /// After an attach: keeps this router when the grace period ends.
    ClaimRouter {
        /// Which.
        router: RouterId,
    },
    /// A new transport; answered by [`Event::TransportCreated`](crate::Event::TransportCreated).
    CreateTransport(CreateTransport),
    /// The peer's certificate fingerprint is known; DTLS may begin. The engine takes the server role. The same
    /// as [`ConnectTransportAs`](Self::ConnectTransportAs) with that role and SHA-256.
    ConnectTransport {
        /// Which.
        transport: TransportId,
        /// SHA-256 of the peer's certificate (`a=fingerprint`).
        fingerprint: [u8; 32],
    },
    /// New ICE credentials; the old pair is used until a check with the new ones succeeds.
    /// Answered by [`Event::IceRestarted`](crate::Event::IceRestarted).
    RestartIce {
        /// Which.
        transport: TransportId,
    },
    /// Closes a transport, its producers and consumers, and the consumers of its producers.
    CloseTransport {
        /// Which.
        transport: TransportId,
    },
    /// The peer will send a track.
    Produce(Produce),
    /// Stops forwarding a producer; its packets are received and dropped.
    PauseProducer {
        /// Which.
        producer: ProducerId,
    },
    /// Forwards again. Video consumers wait for a keyframe, which the engine requests.
    ResumeProducer {
        /// Which.
        producer: ProducerId,
    },
    /// Closes a producer and its consumers.
    CloseProducer {
        /// Which.
        producer: ProducerId,
    },
    /// The peer receives a track.
    Consume(Consume),
    /// Stops sending to a consumer.
    PauseConsumer {
        /// Which.
        consumer: ConsumerId,
    },
    /// Sends again; video from the next keyframe on, which the engine requests.
    ResumeConsumer {
        /// Which.
        consumer: ConsumerId,
    },
    /// Closes a consumer.
    CloseConsumer {
        /// Which.
        consumer: ConsumerId,
    },
    /// Requests a keyframe from the consumer's producer, subject to its governor.
    RequestKeyframe {
        /// The consumer.
        consumer: ConsumerId,
    },
    /// The highest layers that a consumer gets if bandwidth permits. Video only.
    SetPreferredLayers {
        /// The consumer.
        consumer: ConsumerId,
        /// The highest layers.
        layers: Layers,
    },
    /// Priority of a consumer relative to the other consumers of its transport when bandwidth is short.
    SetPriority {
        /// The consumer.
        consumer: ConsumerId,
        /// 1 is the lowest, 255 the highest.
        priority: u8,
    },
    /// How to improve the picture of a producer first; motion until set.
    SetContentHint {
        /// The producer.
        producer: ProducerId,
        /// The hint.
        hint: ContentHint,
    },
    /// How long a consumer's peer delays frames, if it negotiated `playout-delay`; the last command applies.
    /// Refused once packets were sent that may be retransmitted on their own stream: their headers must not
    /// change.
    SetPlayoutDelay {
        /// The consumer.
        consumer: ConsumerId,
        /// The delay; `None` forwards the publisher's value, which is the default.
        delay: Option<PlayoutDelay>,
    },
    /// Whether comfort-noise packets (DTX) are not sent to a consumer of Opus.
    SetIgnoreDtx {
        /// The consumer.
        consumer: ConsumerId,
        /// Skipped packets use no sequence number, so there is no gap. False by default.
        ignore: bool,
    },
    /// Limits of a transport's bit rates, in bits per second; `None` leaves a limit to the engine.
    SetBitrates {
        /// The transport.
        transport: TransportId,
        /// The maximum that its peer is asked to send, by REMB (draft-alvestrand-rmcat-remb-03).
        max_incoming_bps: Option<u32>,
        /// The minimum that may be sent to it, whatever the estimate.
        min_outgoing_bps: Option<u32>,
        /// The maximum that may be sent to it.
        max_outgoing_bps: Option<u32>,
    },
    /// Reports the active speakers of a router from now on, by [`Event::Speakers`](crate::Event::Speakers).
    /// The last command applies.
    ObserveAudio {
        /// The router.
        router: RouterId,
        /// What to report and forward; `None`, the default: no reports, all producers forwarded.
        observer: Option<AudioObserver>,
    },
    /// Statistics, as [`Event::Stats`](crate::Event::Stats) items and an end.
    Stats {
        /// The subject.
        of: StatsOf,
    },
    /// A new transport without ICE and DTLS; answered by
    /// [`Event::PlainTransportCreated`](crate::Event::PlainTransportCreated).
    CreatePlainTransport(CreatePlainTransport),
    /// The address of a plain transport's peer: from now on media flows in both directions.
    ConnectPlainTransport(ConnectPlainTransport),
    /// Tracks of another worker will be consumed on this one.
    CreatePipe(CreatePipe),
    /// For tests: the engine panics when it next handles this transport in this stage. Refused unless a flag
    /// allows it.
    InjectPanic {
        /// The transport.
        transport: TransportId,
        /// The stage.
        stage: Stage,
    },
    /// The peer will send on a data channel.
    ProduceData(ProduceData),
    /// Closes a data producer and its consumers, and resets its stream.
    CloseDataProducer {
        /// Which.
        producer: DataProducerId,
    },
    /// The peer receives on a data channel.
    ConsumeData(ConsumeData),
    /// Closes a data consumer, and resets its stream.
    CloseDataConsumer {
        /// Which.
        consumer: DataConsumerId,
    },
    /// The peer may open data channels by messages.
    AcceptData(AcceptData),
    /// Closes a data channel that the peer has opened and that has no producer.
    CloseDataChannel {
        /// Its transport.
        transport: TransportId,
        /// Its stream.
        stream: u16,
    },
    /// Replaces the app data that a transport was created with, except for pipes; snapshots return the new
    /// data.
    SetAppData {
        /// The transport.
        transport: TransportId,
        /// Returned in snapshots.
        app_data: AppData,
    },
    /// The same as [`ConnectTransport`](Self::ConnectTransport), for any role and hash function.
    ConnectTransportAs {
        /// Which.
        transport: TransportId,
        /// The engine's role.
        role: DtlsRole,
        /// The hash of the peer's certificate.
        fingerprint: PeerFingerprint,
    },
    /// All objects of this worker, as [`Event::Snapshot`](crate::Event::Snapshot) items and an end.
    Snapshot,
}
wire_enum!(Command, "command" {
    0 => CreateRouter { router, app_data },
    1 => CloseRouter { router },
    2 => ClaimRouter { router },
    3 => CreateTransport(create),
    4 => ConnectTransport { transport, fingerprint },
    5 => RestartIce { transport },
    6 => CloseTransport { transport },
    7 => Produce(produce),
    8 => PauseProducer { producer },
    9 => ResumeProducer { producer },
    10 => CloseProducer { producer },
    11 => Consume(consume),
    12 => PauseConsumer { consumer },
    13 => ResumeConsumer { consumer },
    14 => CloseConsumer { consumer },
    15 => RequestKeyframe { consumer },
    16 => Snapshot,
    17 => SetPreferredLayers { consumer, layers },
    18 => SetPriority { consumer, priority },
    19 => SetBitrates { transport, max_incoming_bps, min_outgoing_bps, max_outgoing_bps },
    20 => ObserveAudio { router, observer },
    21 => Stats { of },
    22 => CreatePlainTransport(create),
    23 => ConnectPlainTransport(connect),
    24 => SetContentHint { producer, hint },
    25 => SetPlayoutDelay { consumer, delay },
    26 => SetIgnoreDtx { consumer, ignore },
    27 => CreatePipe(create),
    28 => InjectPanic { transport, stage },
    29 => SetAppData { transport, app_data },
    30 => ConnectTransportAs { transport, role, fingerprint },
    31 => ProduceData(produce),
    32 => CloseDataProducer { producer },
    33 => ConsumeData(consume),
    34 => CloseDataConsumer { consumer },
    35 => AcceptData(accept),
    36 => CloseDataChannel { transport, stream },
});

/// A new WebRTC transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTransport {
    /// The router it belongs to.
    pub router: RouterId,
    /// Its id.
    pub transport: TransportId,
    /// Returned in snapshots.
    pub app_data: AppData,
}
wire_struct!(CreateTransport { router, transport, app_data });

/// A track that a peer sends. Payload types and extension ids are those between peer and engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produce {
    /// The transport it arrives on.
    pub transport: TransportId,
    /// Its id.
    pub producer: ProducerId,
    /// Audio or video.
    pub kind: Kind,
    /// `a=mid` (RFC 5888), at most 16 bytes.
    pub mid: Option<Text>,
    /// The codecs it may use; the first is the one that the peer starts with.
    pub codecs: Vec<CodecParameters>,
    /// Its RTP streams: one, or those of simulcast with the lowest first.
    pub encodings: Vec<Encoding>,
    /// Header extensions negotiated on this leg.
    pub extensions: Vec<Extension>,
    /// Starts paused.
    pub paused: bool,
    /// Returned in snapshots.
    pub app_data: AppData,
}
wire_struct!(Produce { transport, producer, kind, mid, codecs, encodings, extensions, paused, app_data });

/// A track that a peer receives. Payload types, ids and SSRCs are those between engine and peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consume {
    /// The transport it is sent on.
    pub transport: TransportId,
    /// The producer it receives; on the same router.
    pub producer: ProducerId,
    /// Its id.
    pub consumer: ConsumerId,
    /// The MID to write, at most 16 bytes.
    pub mid: Option<Text>,
    /// The codecs it accepts, each of them a codec of the producer.
    pub codecs: Vec<CodecParameters>,
    /// The SSRC to write, unique in the transport.
    pub ssrc: u32,
    /// The SSRC of retransmissions, if the codecs have an RTX payload type.
    pub rtx_ssrc: Option<u32>,
    /// The CNAME in our SDES (RFC 3550 §6.5.1): the same for the tracks of one peer, so that they play in
    /// sync.
    pub cname: Text,
    /// Header extensions to write.
    pub extensions: Vec<Extension>,
    /// The highest layers to get; `None` means all. Video only.
    pub preferred_layers: Option<Layers>,
    /// Priority relative to the other consumers of its transport, 1 the lowest, 255 the highest.
    pub priority: u8,
    /// Starts paused.
    pub paused: bool,
    /// Returned in snapshots.
    pub app_data: AppData,
}
wire_struct!(Consume {
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
});
