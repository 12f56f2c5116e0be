//! Statistics, named as W3C webrtc-stats names them where it has a name for the thing, with the unit last.
//!
//! Counters count from the object's beginning and never decrease, so that a reader who misses one reading loses nothing but
//! time. Rates are over the last second. What a peer reported is the peer's word.

use crate::codec::{wire_enum, wire_struct};
use crate::ids::{ConsumerId, ProducerId, RouterId, TransportId};
use crate::media::{Kind, Layers, Text};
use crate::state::TransportState;

/// Whose statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsOf {
    /// One transport, without its producers and consumers.
    Transport(TransportId),
    /// One producer.
    Producer(ProducerId),
    /// One consumer.
    Consumer(ConsumerId),
    /// Everything of a router.
    Router(RouterId),
    /// Everything.
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

/// `RTCTransportStats`, and what is known of the selected pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportStats {
    /// Which.
    pub transport: TransportId,
    /// ICE, DTLS and the peer's address. Of a plain transport, which has neither, the address alone.
    pub state: TransportState,
    /// Datagrams received that were the peer's beyond doubt, of every protocol.
    pub packets_received: u64,
    /// Their UDP payload bytes.
    pub bytes_received: u64,
    /// Datagrams written into the send batch, of every protocol.
    pub packets_sent: u64,
    /// Their UDP payload bytes.
    pub bytes_sent: u64,
    /// From the peer's latest reception report (RFC 3550 §6.4.1), whichever track it was on.
    pub round_trip_time_us: Option<u32>,
    /// What the way to the peer is estimated to carry, bits a second.
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

/// A producer: its streams one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerStats {
    /// Which.
    pub producer: ProducerId,
    /// What it arrives on.
    pub transport: TransportId,
    /// Audio or video.
    pub kind: Kind,
    /// Whether it is paused.
    pub paused: bool,
    /// One for each encoding.
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
    /// RTP packets taken in, once each, by whatever way they came.
    pub packets_received: u64,
    /// Their payload bytes, padding not counted.
    pub bytes_received: u64,
    /// Those of the packets that came by retransmission.
    pub retransmitted_packets_received: u64,
    /// Packets lost on the way here, before any repair (RFC 3550 §6.4.1); negative when duplicates outnumber losses.
    pub packets_lost: i32,
    /// Interarrival jitter (RFC 3550 §6.4.1).
    pub jitter_us: u32,
    /// Packets asked for again.
    pub nack_count: u64,
    /// Keyframes asked for by PLI.
    pub pli_count: u64,
    /// Keyframes asked for by FIR.
    pub fir_count: u64,
    /// Keyframes that began to arrive.
    pub keyframes_received: u64,
    /// Payload bits of the last second.
    pub bitrate_bps: u32,
    /// The same by layer; none for sound.
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
    /// Which: inside the stream, so the spatial layer of simulcast is 0 here.
    pub layers: Layers,
    /// Payload bits of the last second in this layer alone.
    pub bitrate_bps: u32,
}
wire_struct!(LayerStats { layers, bitrate_bps });

/// `RTCOutboundRtpStreamStats`, and what the peer reports of it (`RTCRemoteInboundRtpStreamStats`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerStats {
    /// Which.
    pub consumer: ConsumerId,
    /// What it receives.
    pub producer: ProducerId,
    /// What it leaves by.
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
    /// Packets that the peer asked for again.
    pub nack_count: u64,
    /// Keyframes that the peer asked for by PLI.
    pub pli_count: u64,
    /// Keyframes that the peer asked for by FIR.
    pub fir_count: u64,
    /// Payload bits of the last second, first transmissions.
    pub bitrate_bps: u32,
    /// The layers it is sent now; `None` for audio, and while it is sent nothing.
    pub layers: Option<Layers>,
    /// Packets lost, before any repair, as the peer reports it.
    pub packets_lost: i32,
    /// Share lost between the peer's last two reports, in 1/256.
    pub fraction_lost: u8,
    /// Interarrival jitter, as the peer reports it.
    pub jitter_us: u32,
    /// From the peer's latest reception report that answers one of ours.
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

/// What has a score.
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
