//! Data channels: messages that peers send beside media (RFC 8831).

use crate::codec::{wire_enum, wire_struct};
use crate::ids::{DataConsumerId, DataProducerId, TransportId};
use crate::media::{AppData, Text};

/// A data channel that a peer sends on. Both sides know its stream id: the peer creates it as negotiated
/// (`RTCDataChannelInit.negotiated`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProduceData {
    /// The transport it arrives on: one with ICE and DTLS.
    pub transport: TransportId,
    /// Its id.
    pub producer: DataProducerId,
    /// The SCTP stream.
    pub stream: u16,
    /// What the peer sends in the other direction, for acknowledgements of the application, is dropped.
    pub channel: DataChannel,
    /// Returned in snapshots.
    pub app_data: AppData,
}
wire_struct!(ProduceData { transport, producer, stream, channel, app_data });

/// A data channel that a peer receives on, negotiated too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumeData {
    /// The transport it is sent on: one with ICE and DTLS.
    pub transport: TransportId,
    /// The producer it receives; on the same router.
    pub producer: DataProducerId,
    /// Its id.
    pub consumer: DataConsumerId,
    /// The SCTP stream.
    pub stream: u16,
    /// How messages are sent; need not be as on the producer.
    pub channel: DataChannel,
    /// Returned in snapshots.
    pub app_data: AppData,
}
wire_struct!(ConsumeData { transport, producer, consumer, stream, channel, app_data });

/// The parameters of a data channel (RFC 8832 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataChannel {
    /// Its name.
    pub label: Text,
    /// The application's protocol; may be empty.
    pub protocol: Text,
    /// Whether a message may overtake another one.
    pub is_unordered: bool,
    /// When a message is given up.
    pub reliability: DataReliability,
    /// Its share of the association, in proportion to those of the other channels (RFC 8831 §6.4). Browsers use
    /// 128, 256, 512 and 1024.
    pub priority: u16,
}
wire_struct!(DataChannel { label, protocol, is_unordered, reliability, priority });

/// When a message is given up (RFC 3758, RFC 7496).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataReliability {
    /// Never.
    Reliable,
    /// After a number of retransmissions.
    Retransmissions {
        /// The number; 0 sends once.
        max: u32,
    },
    /// After a time.
    Lifetime {
        /// Milliseconds.
        ms: u32,
    },
}
wire_enum!(DataReliability, "reliability of a data channel" {
    0 => Reliable,
    1 => Retransmissions { max },
    2 => Lifetime { ms },
});
