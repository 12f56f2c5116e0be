//! Statistics, named as in W3C webrtc-stats if it has the value, with the unit last.
//!
//! Counters start with the object and never decrease, so a missed reading only costs time resolution. Rates
//! are averages of the last second. Values reported by a peer are not verified.

use crate::codec::{wire_enum, wire_struct};
use crate::ids::{ConsumerId, ProducerId, RouterId, TransportId};
use crate::media::{Kind, Layers, Text};
use crate::state::TransportState;

/// The subject of statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsOf {
    /// One transport, without its producers and consumers.
    Transport(TransportId),
    /// One producer.
    Producer(ProducerId),
    /// One consumer.
    Consumer(ConsumerId),
    /// All objects of a router.
    Router(RouterId),
    /// All objects of the worker.
    Worker,
}
wire_enum!(StatsOf, "subject of statistics" {
    0 => Transport(transport),
    1 => Producer(producer),
    2 => Consumer(consumer),
    3 => Router(router),
    4 => Worker,
});

/// The statistics of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatsItem {
    /// Of a transport.
    Transport(TransportStats),
    /// Of a producer.
    Producer(ProducerStats),
    /// Of a consumer.
    Consumer(ConsumerStats),
}
wire_enum!(StatsItem, "statistics" {
    0 => Transport(transport),
    1 => Producer(producer),
    2 => Consumer(consumer),
});

/// `RTCTransportStats`, and the state of the selected pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportStats {
    /// Which.
    pub transport: TransportId,
    /// ICE, DTLS and the peer's address. For a plain transport, only the address.
    pub state: TransportState,
    /// Datagrams of the authenticated peer, of every protocol.
    pub packets_received: u64,
    /// Their UDP payload bytes.
    pub bytes_received: u64,
    /// Datagrams written into the send batch, of every protocol.
    pub packets_sent: u64,
    /// Their UDP payload bytes.
    pub bytes_sent: u64,
    /// From the peer's latest reception report (RFC 3550 §6.4.1), of any track.
    pub round_trip_time_us: Option<u32>,
    /// The estimated bandwidth of the path to the peer, bits per second.
    pub available_outgoing_bitrate_bps: Option<u32>,
}
wire_struct!(TransportStats {
    transport,
    state,
    packets_received,
    bytes_received,
    packets_sent,
    bytes_sent,
    round_trip_time_us,
    available_outgoing_bitrate_bps,
});

/// A producer with its streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerStats {
    /// Which.
    pub producer: ProducerId,
    /// The transport it arrives on.
    pub transport: TransportId,
    /// Audio or video.
    pub kind: Kind,
    /// Whether it is paused.
    pub paused: bool,
    /// One per encoding.
    pub streams: Vec<StreamStats>,
}
wire_struct!(ProducerStats { producer, transport, kind, paused, streams });

/// `RTCInboundRtpStreamStats`: one encoding of a producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStats {
    /// Its SSRC, once known.
    pub ssrc: Option<u32>,
    /// `a=rid`, if it has one.
    pub rid: Option<Text>,
    /// RTP packets accepted, each once, including retransmitted ones.
    pub packets_received: u64,
    /// Their payload bytes, padding not counted.
    pub bytes_received: u64,
    /// The retransmitted packets among them.
    pub retransmitted_packets_received: u64,
    /// Packets lost before any repair (RFC 3550 §6.4.1); negative if duplicates outnumber losses.
    pub packets_lost: i32,
    /// Interarrival jitter (RFC 3550 §6.4.1).
    pub jitter_us: u32,
    /// Packets requested again.
    pub nack_count: u64,
    /// Keyframes requested by PLI.
    pub pli_count: u64,
    /// Keyframes requested by FIR.
    pub fir_count: u64,
    /// Keyframes whose first packet arrived.
    pub keyframes_received: u64,
    /// Payload bits of the last second.
    pub bitrate_bps: u32,
    /// The same per layer; empty for audio.
    pub layers: Vec<LayerStats>,
    /// 0 to 10; see docs/stats.md.
    pub score: u8,
}
wire_struct!(StreamStats {
    ssrc,
    rid,
    packets_received,
    bytes_received,
    retransmitted_packets_received,
    packets_lost,
    jitter_us,
    nack_count,
    pli_count,
    fir_count,
    keyframes_received,
    bitrate_bps,
    layers,
    score,
});

/// One layer of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerStats {
    /// The layer inside the stream; for simulcast the spatial layer is 0.
    pub layers: Layers,
    /// Payload bits of the last second in this layer alone.
    pub bitrate_bps: u32,
}
wire_struct!(LayerStats { layers, bitrate_bps });

/// `RTCOutboundRtpStreamStats`, and the peer's report (`RTCRemoteInboundRtpStreamStats`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerStats {
    /// Which.
    pub consumer: ConsumerId,
    /// The producer that it receives.
    pub producer: ProducerId,
    /// The transport it is sent on.
    pub transport: TransportId,
    /// Whether it is paused.
    pub paused: bool,
    /// The SSRC its peer sees.
    pub ssrc: u32,
    /// RTP packets written into the send batch for the first time.
    pub packets_sent: u64,
    /// Their payload bytes.
    pub bytes_sent: u64,
    /// RTP packets written again.
    pub retransmitted_packets_sent: u64,
    /// Their payload bytes.
    pub retransmitted_bytes_sent: u64,
    /// Packets that the peer requested again.
    pub nack_count: u64,
    /// Keyframes that the peer requested by PLI.
    pub pli_count: u64,
    /// Keyframes that the peer requested by FIR.
    pub fir_count: u64,
    /// Payload bits of the last second, first transmissions.
    pub bitrate_bps: u32,
    /// The layers that are sent; `None` for audio, and while no layer is sent.
    pub layers: Option<Layers>,
    /// Packets lost, before any repair, as the peer reports it.
    pub packets_lost: i32,
    /// Share lost between the peer's last two reports, in 1/256.
    pub fraction_lost: u8,
    /// Interarrival jitter, as the peer reports it.
    pub jitter_us: u32,
    /// From the peer's latest reception report that refers to a sender report of the engine.
    pub round_trip_time_us: Option<u32>,
    /// 0 to 10; see docs/stats.md.
    pub score: u8,
}
wire_struct!(ConsumerStats {
    consumer,
    producer,
    transport,
    paused,
    ssrc,
    packets_sent,
    bytes_sent,
    retransmitted_packets_sent,
    retransmitted_bytes_sent,
    nack_count,
    pli_count,
    fir_count,
    bitrate_bps,
    layers,
    packets_lost,
    fraction_lost,
    jitter_us,
    round_trip_time_us,
    score,
});

/// An object with a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scored {
    /// A stream of a producer.
    Stream {
        /// Which producer.
        producer: ProducerId,
        /// The index of its encoding.
        encoding: u8,
    },
    /// A consumer.
    Consumer {
        /// Which.
        consumer: ConsumerId,
    },
}
wire_enum!(Scored, "scored object" { 0 => Stream { producer, encoding }, 1 => Consumer { consumer } });
