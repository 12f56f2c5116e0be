//! The events from a worker to signaling.

use crate::codec::{DecodeError, Input, Wire, wire_enum};
use crate::data::DataChannel;
use crate::ids::{ConsumerId, DataConsumerId, DataProducerId, ProducerId, RequestId, RouterId, TransportId};
use crate::media::{AppData, Candidate, IceParameters, Kind, Layers, Text, Volume};
use crate::plain::SrtpParameters;
use crate::state::TransportState;
use crate::stats::{Scored, StatsItem};
use crate::version::version;
use std::net::SocketAddr;

/// An answer to a request, or a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The request was carried out (now or earlier).
    Done {
        /// Which.
        request: RequestId,
    },
    /// The request was not carried out, and has changed nothing.
    Refused {
        /// The request; `None` if the record was too damaged to read its id.
        request: Option<RequestId>,
        /// The reason, for programs.
        refusal: Refusal,
        /// The reason, for people.
        text: Text,
    },
    /// A transport was created.
    TransportCreated {
        /// The request.
        request: RequestId,
        /// Its id.
        transport: TransportId,
        /// The credentials that the peer's checks must use.
        ice: IceParameters,
        /// SHA-256 of the engine's certificate.
        fingerprint: [u8; 32],
        /// Host candidates, the preferred first: all of UDP before all of TCP.
        candidates: Vec<Candidate>,
    },
    /// A transport has new ICE credentials.
    IceRestarted {
        /// The request.
        request: RequestId,
        /// Which.
        transport: TransportId,
        /// The credentials that the peer's checks must use from now on.
        ice: IceParameters,
    },
    /// A transport's ICE or DTLS state changed.
    TransportState {
        /// Which.
        transport: TransportId,
        /// The new state.
        state: TransportState,
    },
    /// A transport closed; its producers and consumers are reported separately.
    TransportClosed {
        /// Which.
        transport: TransportId,
        /// Why.
        closed: Closed,
    },
    /// A producer closed.
    ProducerClosed {
        /// Which.
        producer: ProducerId,
        /// Why.
        closed: Closed,
    },
    /// A consumer closed.
    ConsumerClosed {
        /// Which.
        consumer: ConsumerId,
        /// Why.
        closed: Closed,
    },
    /// A router closed.
    RouterClosed {
        /// Which.
        router: RouterId,
        /// Why.
        closed: Closed,
    },
    /// One object of a snapshot. Parents come before children.
    Snapshot {
        /// The request.
        request: RequestId,
        /// The object.
        item: SnapshotItem,
    },
    /// The snapshot is complete.
    SnapshotEnd {
        /// The request.
        request: RequestId,
    },
    /// A video consumer now gets other layers.
    LayersChanged {
        /// Which.
        consumer: ConsumerId,
        /// The highest layers sent; `None`: none, because bandwidth is too low or the layer has not started.
        layers: Option<Layers>,
    },
    /// The set of spatial layers of a producer that are consumed has changed: layers without consumers need
    /// not be encoded.
    LayersWanted {
        /// Which.
        producer: ProducerId,
        /// Bit `n` set: spatial layer (encoding, for simulcast) `n` is consumed.
        spatial: u8,
    },
    /// The active speakers of a router have changed.
    Speakers {
        /// The router.
        router: RouterId,
        /// The dominant speaker; it stays dominant during silence.
        dominant: Option<ProducerId>,
        /// The producers louder than the observer's threshold, the loudest first, at most
        /// [`LIST_LEN_MAX`](crate::limits::LIST_LEN_MAX).
        volumes: Vec<Volume>,
    },
    /// The statistics of one object. Parents come before children.
    Stats {
        /// The request.
        request: RequestId,
        /// The object and its statistics.
        item: StatsItem,
    },
    /// The statistics are complete.
    StatsEnd {
        /// The request.
        request: RequestId,
    },
    /// A score has changed by more than one since the last report.
    Score {
        /// The subject.
        of: Scored,
        /// From 0 (no usable media arrives) to 10 (no loss).
        score: u8,
    },
    /// A plain transport was created.
    PlainTransportCreated {
        /// The request.
        request: RequestId,
        /// Its id.
        transport: TransportId,
        /// The address at which it receives RTP, and RTCP if that has no separate port.
        address: SocketAddr,
        /// The address at which it receives RTCP, if not with RTP.
        rtcp_address: Option<SocketAddr>,
        /// The key that the engine sends with, if the transport has SRTP.
        srtp: Option<SrtpParameters>,
    },
    /// A plain transport has learned its peer's address, which is fixed from now on. A separate RTCP port is
    /// learned and reported separately.
    PlainTransportTuple {
        /// Which.
        transport: TransportId,
        /// The peer's RTP address.
        remote: SocketAddr,
        /// The peer's RTCP address, if it is separate and known.
        rtcp_remote: Option<SocketAddr>,
    },
    /// A data producer closed.
    DataProducerClosed {
        /// Which.
        producer: DataProducerId,
        /// Why.
        closed: Closed,
    },
    /// A data consumer closed.
    DataConsumerClosed {
        /// Which.
        consumer: DataConsumerId,
        /// Why.
        closed: Closed,
    },
    /// A peer has opened a data channel by a message (DCEP), on a transport that
    /// [accepts](crate::Command::AcceptData) them. What it sends is dropped until the channel has a producer.
    DataChannelOpened {
        /// Its transport.
        transport: TransportId,
        /// Its stream.
        stream: u16,
        /// Its description.
        channel: DataChannel,
    },
    /// Notifications were lost because the ring was full; request a snapshot. Answers are never lost.
    Overflow {
        /// How many events.
        lost: u64,
    },
}
wire_enum!(Event, "event" {
    0 => Done { request },
    1 => Refused { request, refusal, text },
    2 => TransportCreated { request, transport, ice, fingerprint, candidates },
    3 => IceRestarted { request, transport, ice },
    4 => TransportState { transport, state },
    5 => TransportClosed { transport, closed },
    6 => ProducerClosed { producer, closed },
    7 => ConsumerClosed { consumer, closed },
    8 => RouterClosed { router, closed },
    9 => Snapshot { request, item },
    10 => SnapshotEnd { request },
    11 => Overflow { lost },
    12 => LayersChanged { consumer, layers },
    13 => LayersWanted { producer, spatial },
    14 => Speakers { router, dominant, volumes },
    15 => Stats { request, item },
    16 => StatsEnd { request },
    17 => Score { of, score },
    18 => PlainTransportCreated { request, transport, address, rtcp_address, srtp },
    19 => PlainTransportTuple { transport, remote, rtcp_remote },
    20 => DataProducerClosed { producer, closed },
    21 => DataConsumerClosed { consumer, closed },
    22 => DataChannelOpened { transport, stream, channel },
});

impl Event {
    /// The binary form, replacing what was in `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        self.write(out);
        #[cfg(feature = "next-protocol")]
        crate::codec::write_next_field(out);
    }

    /// Reads a whole record of a peer of this version.
    pub fn decode(record: &[u8]) -> Result<Self, DecodeError> {
        Self::read_whole(record, version())
    }

    /// The same for a peer of another version. `None`: a newer peer sent an event, or a value in it, that
    /// this version does not know.
    pub fn decode_from(record: &[u8], peer_version: u32) -> Result<Option<Self>, DecodeError> {
        match Self::read_whole(record, peer_version) {
            Err(DecodeError::UnknownTag { .. }) if peer_version > version() => Ok(None),
            read => read.map(Some),
        }
    }

    fn read_whole(record: &[u8], peer_version: u32) -> Result<Self, DecodeError> {
        let mut input = Input(record);
        let event = Self::read(&mut input)?;
        input.end(peer_version)?;
        Ok(event)
    }

    /// The request that this event answers (or belongs to, for items of snapshots and statistics).
    pub fn request(&self) -> Option<RequestId> {
        match self {
            Self::Done { request }
            | Self::TransportCreated { request, .. }
            | Self::IceRestarted { request, .. }
            | Self::PlainTransportCreated { request, .. }
            | Self::Snapshot { request, .. }
            | Self::SnapshotEnd { request }
            | Self::Stats { request, .. }
            | Self::StatsEnd { request } => Some(*request),
            Self::Refused { request, .. } => *request,
            Self::TransportState { .. }
            | Self::TransportClosed { .. }
            | Self::ProducerClosed { .. }
            | Self::ConsumerClosed { .. }
            | Self::RouterClosed { .. }
            | Self::LayersChanged { .. }
            | Self::LayersWanted { .. }
            | Self::Speakers { .. }
            | Self::Score { .. }
            | Self::PlainTransportTuple { .. }
            | Self::DataProducerClosed { .. }
            | Self::DataConsumerClosed { .. }
            | Self::DataChannelOpened { .. }
            | Self::Overflow { .. } => None,
        }
    }
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The record does not decode, or a field is out of range: the controller's bug.
    BadRecord,
    /// A named object does not exist (any more).
    NotFound,
    /// The id belongs to an object with other parameters.
    Exists,
    /// A parameter is invalid, or contradicts another object.
    Invalid,
    /// A bound of the engine was reached; the text names it.
    Limit,
    /// The engine panicked while it carried out the command: a bug. A part of the command may have taken
    /// effect.
    Fault,
}
wire_enum!(Refusal, "refusal" { 0 => BadRecord, 1 => NotFound, 2 => Exists, 3 => Invalid, 4 => Limit, 5 => Fault });

/// Why an object closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// A command closed it, or its parent.
    Requested,
    /// Consent expired (RFC 7675).
    ConsentLost,
    /// ICE and DTLS were not completed in time.
    NeverConnected,
    /// The DTLS handshake failed; the fingerprint did not match, or the peer misbehaved.
    DtlsFailed,
    /// The peer closed its DTLS session.
    PeerClosed,
    /// No controller claimed the router within the grace period.
    Abandoned,
    /// The engine panicked while it handled this object: a bug. The peer may connect again.
    Fault,
    /// The peer has sent more streams than its keys can protect against replay (RFC 3711 §9.1): it needs new
    /// keys, and therefore a new transport.
    KeysUsedUp,
    /// The SCTP association of its data channels has ended: the peer aborted it or broke the protocol, for example
    /// by a message that is too long. Media continues.
    DataFailed,
}
wire_enum!(Closed, "closing reason" {
    0 => Requested, 1 => ConsentLost, 2 => NeverConnected, 3 => DtlsFailed, 4 => PeerClosed, 5 => Abandoned, 6 => Fault,
    7 => KeysUsedUp, 8 => DataFailed,
});

/// One object of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotItem {
    /// A router.
    Router {
        /// Its id.
        router: RouterId,
        /// As given at creation.
        app_data: AppData,
    },
    /// A transport.
    Transport {
        /// Its id.
        transport: TransportId,
        /// Its router.
        router: RouterId,
        /// Its state.
        state: TransportState,
        /// As given at creation.
        app_data: AppData,
    },
    /// A producer.
    Producer {
        /// Its id.
        producer: ProducerId,
        /// Its transport.
        transport: TransportId,
        /// Audio or video.
        kind: Kind,
        /// Whether it is paused.
        paused: bool,
        /// As given at creation.
        app_data: AppData,
    },
    /// A consumer.
    Consumer {
        /// Its id.
        consumer: ConsumerId,
        /// Its transport.
        transport: TransportId,
        /// The producer that it receives.
        producer: ProducerId,
        /// Whether it is paused.
        paused: bool,
        /// As given at creation.
        app_data: AppData,
    },
    /// A plain transport. To get its key, create it again with the same parameters.
    PlainTransport {
        /// Its id.
        transport: TransportId,
        /// Its router.
        router: RouterId,
        /// The address at which it receives RTP.
        address: SocketAddr,
        /// The address at which it receives RTCP, if not with RTP.
        rtcp_address: Option<SocketAddr>,
        /// The peer's address, if known.
        remote: Option<SocketAddr>,
        /// The peer's address for RTCP, if it is separate and known.
        rtcp_remote: Option<SocketAddr>,
        /// As given at creation.
        app_data: AppData,
    },
    /// A pipe. Its tracks are listed as producers.
    Pipe {
        /// Its id.
        transport: TransportId,
        /// Its router.
        router: RouterId,
    },
    /// A data producer.
    DataProducer {
        /// Its id.
        producer: DataProducerId,
        /// Its transport.
        transport: TransportId,
        /// As given at creation.
        app_data: AppData,
    },
    /// A data consumer.
    DataConsumer {
        /// Its id.
        consumer: DataConsumerId,
        /// Its transport.
        transport: TransportId,
        /// The producer that it receives.
        producer: DataProducerId,
        /// As given at creation.
        app_data: AppData,
    },
}
wire_enum!(SnapshotItem, "snapshot item" {
    0 => Router { router, app_data },
    1 => Transport { transport, router, state, app_data },
    2 => Producer { producer, transport, kind, paused, app_data },
    3 => Consumer { consumer, transport, producer, paused, app_data },
    4 => PlainTransport { transport, router, address, rtcp_address, remote, rtcp_remote, app_data },
    5 => Pipe { transport, router },
    6 => DataProducer { producer, transport, app_data },
    7 => DataConsumer { consumer, transport, producer, app_data },
});
