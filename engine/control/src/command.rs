//! What signaling may ask of a worker.

use crate::codec::{DecodeError, Input, Wire, wire_enum, wire_struct};
use crate::fault::Stage;
use crate::ids::{ConsumerId, ProducerId, RequestId, RouterId, TransportId};
use crate::media::{
    AppData, AudioObserver, CodecParameters, ContentHint, Encoding, Extension, Kind, Layers, PlayoutDelay,
    Text,
};
use crate::pipe::CreatePipe;
use crate::plain::{ConnectPlainTransport, CreatePlainTransport};
use crate::stats::StatsOf;

/// A command and the number its answer will carry.
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
    }

    /// Reads a whole record. An error still names the request where its id could be read, so that
    /// it can be answered.
    pub fn decode(record: &[u8]) -> Result<Self, (Option<RequestId>, DecodeError)> {
        let mut input = Input(record);
        let id = RequestId::read(&mut input).map_err(|error| (None, error))?;
        let command = Command::read(&mut input).map_err(|error| (Some(id), error))?;
        input.end().map_err(|error| (Some(id), error))?;
        Ok(Self { id, command })
    }
}

/// What to do. Each is idempotent; each names what must exist, and is refused with
/// [`Refusal::NotFound`](crate::Refusal::NotFound) when it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A new, empty router.
    CreateRouter {
        /// Its id.
        router: RouterId,
        /// Given back in snapshots.
        app_data: AppData,
    },
    /// Closes a router and all it holds.
    CloseRouter {
        /// Which.
        router: RouterId,
    },
    /// After an attach: this router is still wanted; it will not be closed when the grace period ends.
    ClaimRouter {
        /// Which.
        router: RouterId,
    },
    /// A new transport; answered by [`Event::TransportCreated`](crate::Event::TransportCreated).
    CreateTransport(CreateTransport),
    /// The peer's certificate fingerprint is known; DTLS may begin. The engine takes the server role.
    ConnectTransport {
        /// Which.
        transport: TransportId,
        /// SHA-256 of the peer's certificate (`a=fingerprint`).
        fingerprint: [u8; 32],
    },
    /// New ICE credentials; the old pair serves until a check with the new ones succeeds.
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
    /// Forwards again. Video consumers wait for a keyframe, which is asked for.
    ResumeProducer {
        /// Which.
        producer: ProducerId,
    },
    /// Closes a producer and its consumers.
    CloseProducer {
        /// Which.
        producer: ProducerId,
    },
    /// The peer wants a track.
    Consume(Consume),
    /// Stops sending to a consumer.
    PauseConsumer {
        /// Which.
        consumer: ConsumerId,
    },
    /// Sends again; video from the next keyframe on, which is asked for.
    ResumeConsumer {
        /// Which.
        consumer: ConsumerId,
    },
    /// Closes a consumer.
    CloseConsumer {
        /// Which.
        consumer: ConsumerId,
    },
    /// Asks the consumer's producer for a keyframe, subject to its governor.
    RequestKeyframe {
        /// Whose.
        consumer: ConsumerId,
    },
    /// The layers a consumer should get at most, bandwidth permitting. Video only.
    SetPreferredLayers {
        /// Whose.
        consumer: ConsumerId,
        /// The highest wanted.
        layers: Layers,
    },
    /// How much a consumer matters beside the others of its transport when bandwidth is short.
    SetPriority {
        /// Whose.
        consumer: ConsumerId,
        /// 1 the least, 255 the most.
        priority: u8,
    },
    /// What a better picture of a producer means; until told, motion.
    SetContentHint {
        /// Whose.
        producer: ProducerId,
        /// What.
        hint: ContentHint,
    },
    /// How long a consumer's peer is to hold frames back, where it negotiated `playout-delay`; the last one counts. Refused once
    /// packets were sent that may be sent again on their own stream: their headers must stay what they were.
    SetPlayoutDelay {
        /// Whose.
        consumer: ConsumerId,
        /// How long; `None`: what the publisher says, as at the beginning.
        delay: Option<PlayoutDelay>,
    },
    /// Whether a consumer of Opus is spared the packets that say that nothing is said (DTX).
    SetIgnoreDtx {
        /// Whose.
        consumer: ConsumerId,
        /// They take no number, so that nothing seems to be missing. False at the beginning.
        ignore: bool,
    },
    /// Within what a transport's rates stay, in bits a second; `None` leaves a bound to the engine.
    SetBitrates {
        /// Whose.
        transport: TransportId,
        /// What its peer is asked to send at most, by REMB (draft-alvestrand-rmcat-remb-03).
        max_incoming_bps: Option<u32>,
        /// What may be sent to it at least, whatever its path seems to carry.
        min_outgoing_bps: Option<u32>,
        /// What may be sent to it at most.
        max_outgoing_bps: Option<u32>,
    },
    /// Tells from now on who speaks in a router, by [`Event::Speakers`](crate::Event::Speakers). The last one counts.
    ObserveAudio {
        /// Where.
        router: RouterId,
        /// What to tell and forward; `None`: nothing is told, everybody forwarded, as at the beginning.
        observer: Option<AudioObserver>,
    },
    /// Statistics, as [`Event::Stats`](crate::Event::Stats) items and an end.
    Stats {
        /// Whose.
        of: StatsOf,
    },
    /// A new transport without ICE and DTLS; answered by
    /// [`Event::PlainTransportCreated`](crate::Event::PlainTransportCreated).
    CreatePlainTransport(CreatePlainTransport),
    /// A plain transport's peer is known: from now on it may send, and is sent to.
    ConnectPlainTransport(ConnectPlainTransport),
    /// Tracks of another worker will be consumed on this one.
    CreatePipe(CreatePipe),
    /// For tests: the engine panics when it next handles something of a transport in this stage. Refused unless the engine was
    /// started for that.
    InjectPanic {
        /// Whose.
        transport: TransportId,
        /// When.
        stage: Stage,
    },
    /// Replaces what a transport was created with, pipes excepted: snapshots give this back from now on.
    SetAppData {
        /// Whose.
        transport: TransportId,
        /// Given back in snapshots.
        app_data: AppData,
    },
    /// Everything this worker holds, as [`Event::Snapshot`](crate::Event::Snapshot) items and an end.
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
});

/// A new WebRTC transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTransport {
    /// The router it belongs to.
    pub router: RouterId,
    /// Its id.
    pub transport: TransportId,
    /// Given back in snapshots.
    pub app_data: AppData,
}
wire_struct!(CreateTransport { router, transport, app_data });

/// A track that a peer sends. Payload types and extension ids are those on the peer's leg.
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
    /// The codecs it may use; the first is the one the peer starts with.
    pub codecs: Vec<CodecParameters>,
    /// Its RTP streams: one, or those of simulcast with the lowest first.
    pub encodings: Vec<Encoding>,
    /// Header extensions negotiated on this leg.
    pub extensions: Vec<Extension>,
    /// Starts paused.
    pub paused: bool,
    /// Given back in snapshots.
    pub app_data: AppData,
}
wire_struct!(Produce { transport, producer, kind, mid, codecs, encodings, extensions, paused, app_data });

/// A track that a peer receives. Everything here is as on the peer's leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consume {
    /// The transport it leaves by.
    pub transport: TransportId,
    /// What it receives; on the same router.
    pub producer: ProducerId,
    /// Its id.
    pub consumer: ConsumerId,
    /// The MID to write, at most 16 bytes.
    pub mid: Option<Text>,
    /// The codecs it takes, each one of the producer's.
    pub codecs: Vec<CodecParameters>,
    /// The SSRC to write; no other consumer of the transport has it.
    pub ssrc: u32,
    /// The SSRC of retransmissions, where the codecs have an RTX payload type.
    pub rtx_ssrc: Option<u32>,
    /// The CNAME in our SDES (RFC 3550 §6.5.1): the same for the tracks of one peer, so that they play in sync.
    pub cname: Text,
    /// Header extensions to write.
    pub extensions: Vec<Extension>,
    /// The layers to get at most; `None` is as many as there are. Video only.
    pub preferred_layers: Option<Layers>,
    /// How much it matters beside the other consumers of its transport, 1 the least, 255 the most.
    pub priority: u8,
    /// Starts paused.
    pub paused: bool,
    /// Given back in snapshots.
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
