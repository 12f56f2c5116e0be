//! What a worker tells signaling.

use crate::codec::{DecodeError, Input, Wire, wire_enum};
use crate::ids::{ConsumerId, ProducerId, RequestId, RouterId, TransportId};
use crate::media::{AppData, Candidate, IceParameters, Kind, Layers, Text, Volume};
use crate::plain::SrtpParameters;
use crate::state::TransportState;
use crate::stats::{Scored, StatsItem};
use std::net::SocketAddr;

/// What happened: an answer to a request, or news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The request was carried out (or had been already).
    Done {
        /// Which.
        request: RequestId,
    },
    /// The request was not carried out, and changed nothing.
    Refused {
        /// Which; `None` if the record was too damaged to tell.
        request: Option<RequestId>,
        /// Why, for programs.
        refusal: Refusal,
        /// Why, for people.
        text: Text,
    },
    /// A transport is there.
    TransportCreated {
        /// The request.
        request: RequestId,
        /// Its id.
        transport: TransportId,
        /// What the peer's checks must carry.
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
        /// What the peer's checks must carry from now on.
        ice: IceParameters,
    },
    /// A transport's ICE or DTLS state changed.
    TransportState {
        /// Which.
        transport: TransportId,
        /// As it is now.
        state: TransportState,
    },
    /// A transport closed; its producers and consumers are reported on their own.
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
    /// A video consumer is sent other layers than before.
    LayersChanged {
        /// Which.
        consumer: ConsumerId,
        /// The highest it is sent; `None`: nothing, for want of bandwidth or because the layer has not begun.
        layers: Option<Layers>,
    },
    /// Somebody began, or the last one ceased, to want a spatial layer of a producer: layers without takers need not
    /// be encoded.
    LayersWanted {
        /// Which.
        producer: ProducerId,
        /// Bit `n` set: spatial layer (encoding, for simulcast) `n` has takers.
        spatial: u8,
    },
    /// Who speaks in a router has changed.
    Speakers {
        /// Where.
        router: RouterId,
        /// Who has the floor: the last one stays when everybody falls silent.
        dominant: Option<ProducerId>,
        /// Who is louder than the observer's threshold, the loudest first, at most
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
    /// A score is another than it was told last, by more than one.
    Score {
        /// Whose.
        of: Scored,
        /// 0, nothing usable arrives, to 10, nothing is missing.
        score: u8,
    },
    /// A plain transport is there.
    PlainTransportCreated {
        /// The request.
        request: RequestId,
        /// Its id.
        transport: TransportId,
        /// Where it receives RTP, and RTCP if that has no port of its own.
        address: SocketAddr,
        /// Where it receives RTCP, if not with RTP.
        rtcp_address: Option<SocketAddr>,
        /// The key the engine sends with, if the transport has SRTP.
        srtp: Option<SrtpParameters>,
    },
    /// A plain transport has learned its peer's address, which does not change any more. With RTCP on a port of its own that
    /// address is learned, and told, by itself.
    PlainTransportTuple {
        /// Which.
        transport: TransportId,
        /// Where RTP comes from and goes to.
        remote: SocketAddr,
        /// The same for RTCP, if it does not come with RTP and is known.
        rtcp_remote: Option<SocketAddr>,
    },
    /// News was lost because the ring was full; ask for a snapshot. Answers are never lost.
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
});

impl Event {
    /// The binary form, replacing what was in `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        self.write(out);
    }

    /// Reads a whole record.
    pub fn decode(record: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Input(record);
        let event = Self::read(&mut input)?;
        input.end()?;
        Ok(event)
    }

    /// The request that this event answers (for a snapshot, and for statistics: belongs to).
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
            | Self::Overflow { .. } => None,
        }
    }
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The record does not decode, or a field is out of range: the controller's bug.
    BadRecord,
    /// It names something that does not exist (any more).
    NotFound,
    /// The id is taken by an object with other parameters.
    Exists,
    /// A parameter makes no sense, or contradicts another object.
    Invalid,
    /// A bound of the engine is reached; the text names it.
    Limit,
    /// The engine panicked while it carried the command out: a bug. What it had done by then may remain.
    Fault,
}
wire_enum!(Refusal, "refusal" { 0 => BadRecord, 1 => NotFound, 2 => Exists, 3 => Invalid, 4 => Limit, 5 => Fault });

/// Why an object closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// A command closed it, or closed what it depends on.
    Requested,
    /// The peer stopped giving consent (RFC 7675).
    ConsentLost,
    /// The peer never completed ICE and DTLS in time.
    NeverConnected,
    /// The DTLS handshake failed; the fingerprint did not match, or the peer misbehaved.
    DtlsFailed,
    /// The peer closed its DTLS session.
    PeerClosed,
    /// No controller claimed the router within the grace period.
    Abandoned,
    /// The engine panicked while it handled something of this object: a bug. A peer may connect again.
    Fault,
    /// The peer has sent more streams than its keys can tell apart from replayed ones (RFC 3711 §9.1): it needs new keys, and so a new
    /// transport.
    KeysUsedUp,
}
wire_enum!(Closed, "closing reason" {
    0 => Requested, 1 => ConsentLost, 2 => NeverConnected, 3 => DtlsFailed, 4 => PeerClosed, 5 => Abandoned, 6 => Fault,
    7 => KeysUsedUp,
});

/// One object, as a snapshot tells it.
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
        /// How far it has come.
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
        /// What it receives.
        producer: ProducerId,
        /// Whether it is paused.
        paused: bool,
        /// As given at creation.
        app_data: AppData,
    },
    /// A plain transport. Its key is told by creating it again with the same parameters.
    PlainTransport {
        /// Its id.
        transport: TransportId,
        /// Its router.
        router: RouterId,
        /// Where it receives RTP.
        address: SocketAddr,
        /// Where it receives RTCP, if not with RTP.
        rtcp_address: Option<SocketAddr>,
        /// The peer's address, if known.
        remote: Option<SocketAddr>,
        /// The peer's address for RTCP, if that does not come with RTP and is known.
        rtcp_remote: Option<SocketAddr>,
        /// As given at creation.
        app_data: AppData,
    },
    /// A pipe. What it brings is listed as producers of its own.
    Pipe {
        /// Its id.
        transport: TransportId,
        /// Its router.
        router: RouterId,
    },
}
wire_enum!(SnapshotItem, "snapshot item" {
    0 => Router { router, app_data },
    1 => Transport { transport, router, state, app_data },
    2 => Producer { producer, transport, kind, paused, app_data },
    3 => Consumer { consumer, transport, producer, paused, app_data },
    4 => PlainTransport { transport, router, address, rtcp_address, remote, rtcp_remote, app_data },
    5 => Pipe { transport, router },
});
