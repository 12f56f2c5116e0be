//! The data that the engine stores with each object, from which a new signaling process recovers.
//!
//! Protobuf messages of at most [`control::limits::APP_DATA_LEN_MAX`] bytes. One process writes them, and the
//! next, maybe of another version, reads them: fields are only added. An object whose data cannot be decoded
//! is closed.

use super::room_key::RoomKey;
use crate::auth::DEFAULT_PROJECT;
use crate::proto::RtpParameters;
use crate::request_error::RequestError;
use control::AppData;
use prost::Message;

/// Stored with a router.
#[derive(Clone, PartialEq, Message)]
pub struct RouterRecord {
    /// The room of the router.
    #[prost(string, tag = "1")]
    pub room: String,
    /// On a mirror: the home worker of the room plus 1; otherwise 0.
    #[prost(uint32, tag = "2")]
    pub mirror_of: u32,
    /// The project of the room; empty: the default project.
    #[prost(string, tag = "3")]
    pub project: String,
}

impl RouterRecord {
    /// For a router of this room.
    pub fn new(room: &RoomKey, mirror_of: u32) -> Self {
        let project = if room.project == DEFAULT_PROJECT { String::new() } else { room.project.clone() };
        Self { room: room.name.clone(), mirror_of, project }
    }

    /// The room of the router; `None` if the record is invalid.
    pub fn key(self) -> Option<RoomKey> {
        let project = if self.project.is_empty() { DEFAULT_PROJECT.to_owned() } else { self.project };
        (!self.room.is_empty()).then(|| RoomKey::new(project, self.room))
    }
}

/// Stored with a transport: its peer. Each transport of a peer has the complete data of the peer.
#[derive(Clone, PartialEq, Message)]
pub struct TransportRecord {
    /// The peer.
    #[prost(fixed64, tag = "1")]
    pub peer: u64,
    /// The user id, from the token.
    #[prost(string, tag = "2")]
    pub user: String,
    /// The display name.
    #[prost(string, tag = "3")]
    pub display_name: String,
    /// SHA-256 of the resume secret: the memory of the engine is not sufficient to resume the peer.
    #[prost(bytes = "vec", tag = "4")]
    pub secret_hash: Vec<u8>,
    /// Whether the peer may produce.
    #[prost(bool, tag = "5")]
    pub can_publish: bool,
    /// Whether the peer may consume.
    #[prost(bool, tag = "6")]
    pub can_subscribe: bool,
    /// Whether the client sends on this transport (otherwise it receives).
    #[prost(bool, tag = "7")]
    pub sends: bool,
    /// Whether the peer may create plain transports.
    #[prost(bool, tag = "8")]
    pub can_use_plain_transports: bool,
}

/// Stored with a producer.
#[derive(Clone, PartialEq, Message)]
pub struct ProducerRecord {
    /// The source, for example "camera".
    #[prost(string, tag = "1")]
    pub source: String,
    /// As received from the client.
    #[prost(message, optional, tag = "2")]
    pub rtp_parameters: Option<RtpParameters>,
    /// The producer of which this one is a backup; 0 if it is none.
    #[prost(fixed64, tag = "3")]
    pub backup_for: u64,
}

/// Stored with a consumer.
#[derive(Clone, PartialEq, Message)]
pub struct ConsumerRecord {
    /// As sent to the client.
    #[prost(message, optional, tag = "1")]
    pub rtp_parameters: Option<RtpParameters>,
}

/// Encodes a record for the engine.
pub fn pack(record: &impl Message) -> Result<AppData, RequestError> {
    let bytes = record.encode_to_vec();
    let max = control::limits::APP_DATA_LEN_MAX;
    if bytes.len() > max {
        return Err(RequestError::bad(format!(
            "the parameters have {} bytes; at most {max} can be stored",
            bytes.len()
        )));
    }
    Ok(AppData(bytes))
}

/// Decodes a record; `None` if it is invalid.
pub fn unpack<T: Message + Default>(data: &AppData) -> Option<T> {
    T::decode(data.0.as_slice()).ok()
}
