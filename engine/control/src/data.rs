//! Data channels: messages that peers send beside media (RFC 8831).

use crate::codec::{wire_enum, wire_struct};
use crate::ids::{DataConsumerId, DataProducerId, TransportId};
use crate::media::{AppData, Text};

/// The channels that a peer opens by messages (DCEP, RFC 8832) are reported by
/// [`Event::DataChannelOpened`](crate::Event::DataChannelOpened); without this command they are closed. A repeated
/// command reports those again that have no producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptData {
    /// The transport: one with ICE and DTLS.
    pub transport: TransportId,
    /// The SCTP port of the peer (`a=sctp-port`, RFC 8841 §5); counts when the association begins.
    pub port: u16,
    /// Bytes of the longest message that the peer accepts (`a=max-message-size`, RFC 8841 §6); 0: any.
    pub message_len_max: u32,
}
wire_struct!(AcceptData { transport, port, message_len_max });

/// A data channel that a peer sends on. Both sides know its stream id: the peer creates it as negotiated
/// (`RTCDataChannelInit.negotiated`), or has opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProduceData {
    /// The transport it arrives on: one with ICE and DTLS, or a [pipe](crate::CreatePipe), for the data producer of
    /// another worker with the same id.
    pub transport: TransportId,
    /// Its id.
    pub producer: DataProducerId,
    /// The SCTP stream; not used on a pipe.
    pub stream: u16,
    /// What the peer sends in the other direction, for acknowledgements of the application, is dropped.
    pub channel: DataChannel,
    /// Returned in snapshots.
    pub app_data: AppData,
    /// Whether the peer has opened it by a message ([`Event::DataChannelOpened`](crate::Event::DataChannelOpened)).
    pub is_dcep: bool,
}
wire_struct!(ProduceData { transport, producer, stream, channel, app_data, is_dcep });

/// A data channel that a peer receives on, negotiated too or opened by the engine.
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
    /// Whether the engine opens it by a message. The DTLS role is known then, and decides whether the number of
    /// the stream is even (RFC 8832 §6).
    pub is_dcep: bool,
}
wire_struct!(ConsumeData { transport, producer, consumer, stream, channel, app_data, is_dcep });

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
