//! What the engine keeps for us beside each object, so that a signaling process that knows nothing can take over.
//!
//! Protobuf messages of our own, at most [`control::limits::APP_DATA_LEN_MAX`] bytes each. They are written by one process and
//! read by the next, maybe of another version: fields are only added. What does not decode belongs to nobody and is closed.

use crate::proto::RtpParameters;
use crate::request_error::RequestError;
use control::AppData;
use prost::Message;

/// Beside a router.
#[derive(Clone, PartialEq, Message)]
pub struct RouterRecord {
    /// The room whose media it holds.
    #[prost(string, tag = "1")]
    pub room: String,
    /// Where the room is at home, counted from 1, if that is another worker; else 0.
    #[prost(uint32, tag = "2")]
    pub mirror_of: u32,
}

/// Beside a transport: whose it is. Each transport of a peer tells the whole peer.
#[derive(Clone, PartialEq, Message)]
pub struct TransportRecord {
    /// The peer.
    #[prost(fixed64, tag = "1")]
    pub peer: u64,
    /// The user behind it, from its token.
    #[prost(string, tag = "2")]
    pub user: String,
    /// What others see.
    #[prost(string, tag = "3")]
    pub display_name: String,
    /// SHA-256 of the resume secret: who reads the engine's memory still cannot take the peer's place.
    #[prost(bytes = "vec", tag = "4")]
    pub secret_hash: Vec<u8>,
    /// Whether it may produce.
    #[prost(bool, tag = "5")]
    pub can_publish: bool,
    /// Whether it may consume.
    #[prost(bool, tag = "6")]
    pub can_subscribe: bool,
    /// Whether the client sends on it (else it receives).
    #[prost(bool, tag = "7")]
    pub sends: bool,
    /// Whether it may have plain transports.
    #[prost(bool, tag = "8")]
    pub can_use_plain_transports: bool,
}

/// Beside a producer.
#[derive(Clone, PartialEq, Message)]
pub struct ProducerRecord {
    /// What it shows.
    #[prost(string, tag = "1")]
    pub source: String,
    /// As the client gave them.
    #[prost(message, optional, tag = "2")]
    pub rtp_parameters: Option<RtpParameters>,
    /// The producer that it shows in another codec; 0 if none.
    #[prost(fixed64, tag = "3")]
    pub backup_for: u64,
}

/// Beside a consumer.
#[derive(Clone, PartialEq, Message)]
pub struct ConsumerRecord {
    /// As the client got them.
    #[prost(message, optional, tag = "1")]
    pub rtp_parameters: Option<RtpParameters>,
}

/// Packs one of these for the engine.
pub fn pack(held: &impl Message) -> Result<AppData, RequestError> {
    let bytes = held.encode_to_vec();
    let max = control::limits::APP_DATA_LEN_MAX;
    if bytes.len() > max {
        return Err(RequestError::bad(format!(
            "the parameters take {} bytes; at most {max} are kept",
            bytes.len()
        )));
    }
    Ok(AppData(bytes))
}

/// Unpacks what the engine kept; `None` if it is not what it should be.
pub fn unpack<T: Message + Default>(data: &AppData) -> Option<T> {
    T::decode(data.0.as_slice()).ok()
}
