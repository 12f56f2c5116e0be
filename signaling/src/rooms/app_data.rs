//! The data that the engine stores with each object, from which a new signaling process recovers.
//!
//! Protobuf messages of at most [`control::limits::APP_DATA_LEN_MAX`] bytes. One process writes them, and the
//! next, maybe of another version, reads them: fields are only added. An object whose data cannot be decoded
//! is closed.

use super::room_key::RoomKey;
use super::sdp_record::SdpRecord;
use crate::auth::DEFAULT_PROJECT;
use crate::auth::session::{TokenId, TokenInfo};
use crate::auth::token::{NumericDate, Permissions};
use crate::proto::{RtpParameters, SctpStreamParameters};
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
    /// The sources that the peer may publish.
    #[prost(message, optional, tag = "9")]
    pub publish_sources: Option<SourcesRecord>,
    /// Whether the peer may not send data. The opposite of the permission, because records of an earlier
    /// version do not have it.
    #[prost(bool, tag = "10")]
    pub cannot_publish_data: bool,
    /// Whether the peer may change its display name and metadata.
    #[prost(bool, tag = "11")]
    pub can_update_own_metadata: bool,
    /// Whether the peer is an administrator of the room.
    #[prost(bool, tag = "12")]
    pub admin: bool,
    /// Whether the other peers are not notified of it.
    #[prost(bool, tag = "13")]
    pub hidden: bool,
    /// The token that admitted the peer; absent in development mode.
    #[prost(message, optional, tag = "14")]
    pub token: Option<TokenRecord>,
    /// The metadata of the peer.
    #[prost(string, tag = "15")]
    pub metadata: String,
    /// Whether an administrator muted all audio of the peer.
    #[prost(bool, tag = "16")]
    pub muted_audio: bool,
    /// Whether an administrator muted all video of the peer.
    #[prost(bool, tag = "17")]
    pub muted_video: bool,
    /// Single producers that an administrator muted.
    #[prost(fixed64, repeated, tag = "18")]
    pub muted_producers: Vec<u64>,
    /// Producers that not everyone may consume.
    #[prost(message, repeated, tag = "19")]
    pub subscribers: Vec<SubscribersRecord>,
    /// What was changed of the room; absent if nothing was.
    #[prost(message, optional, tag = "20")]
    pub room: Option<RoomRecord>,
    /// Whether later producers of audio are muted.
    #[prost(bool, tag = "21")]
    pub muted_later_audio: bool,
    /// Whether later producers of video are muted.
    #[prost(bool, tag = "22")]
    pub muted_later_video: bool,
    /// Whether the client receives on this transport although it sends on it.
    #[prost(bool, tag = "23")]
    pub receives: bool,
    /// The negotiation of a client that speaks SDP.
    #[prost(message, optional, tag = "24")]
    pub sdp: Option<SdpRecord>,
    /// Whether the peer is an administrator, if an administrator decided that.
    #[prost(bool, optional, tag = "25")]
    pub role: Option<bool>,
    /// When the peer joined, in milliseconds since 1970; 0 in records of an earlier version.
    #[prost(uint64, tag = "26")]
    pub joined_at_ms: u64,
    /// Whether it may publish, if an administrator decided that.
    #[prost(bool, optional, tag = "27")]
    pub publish_override: Option<bool>,
    /// Whether it may receive, if an administrator decided that.
    #[prost(bool, optional, tag = "28")]
    pub subscribe_override: Option<bool>,
    /// Whether it may send data, if an administrator decided that.
    #[prost(bool, optional, tag = "29")]
    pub data_override: Option<bool>,
}

/// Who may consume a producer.
#[derive(Clone, PartialEq, Message)]
pub struct SubscribersRecord {
    /// The producer.
    #[prost(fixed64, tag = "1")]
    pub producer: u64,
    /// Hashes of the users.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub users: Vec<Vec<u8>>,
}

/// What administrators changed of a room.
#[derive(Clone, PartialEq, Message)]
pub struct RoomRecord {
    /// The policy.
    #[prost(message, optional, tag = "1")]
    pub policy: Option<PolicyRecord>,
    /// Tokens of removed peers.
    #[prost(message, repeated, tag = "2")]
    pub kicked: Vec<KickedRecord>,
}

/// The policy of a room.
#[derive(Clone, PartialEq, Message)]
pub struct PolicyRecord {
    /// Maximum number of peers; 0: that of the server.
    #[prost(uint32, tag = "1")]
    pub peers_max: u32,
    /// Whether only administrators may join.
    #[prost(bool, tag = "2")]
    pub locked: bool,
    /// Whether other clients wait until they are admitted.
    #[prost(bool, tag = "3")]
    pub waiting_room: bool,
    /// Whether only administrators may publish.
    #[prost(bool, tag = "4")]
    pub admins_publish: bool,
    /// Number of changes; the highest of several records counts.
    #[prost(uint32, tag = "5")]
    pub revision: u32,
    /// Whether clients encrypt end to end.
    #[prost(bool, tag = "6")]
    pub encrypted: bool,
    /// Who is banned.
    #[prost(message, repeated, tag = "7")]
    pub bans: Vec<BanRecord>,
}

/// A user or a name that may not join a room.
#[derive(Clone, PartialEq, Message)]
pub struct BanRecord {
    /// Its hash.
    #[prost(bytes = "vec", tag = "1")]
    pub user: Vec<u8>,
    /// The end, in seconds since 1970; 0: that of the room.
    #[prost(uint64, tag = "2")]
    pub until: u64,
}

/// The token of a removed peer.
#[derive(Clone, PartialEq, Message)]
pub struct KickedRecord {
    /// The id of the token.
    #[prost(string, tag = "1")]
    pub token: String,
    /// Its expiry, in seconds since 1970.
    #[prost(uint64, tag = "2")]
    pub until: u64,
}

/// A list that can be absent.
#[derive(Clone, PartialEq, Message)]
pub struct SourcesRecord {
    /// The sources.
    #[prost(string, repeated, tag = "1")]
    pub sources: Vec<String>,
}

/// What a later revocation needs of a token.
#[derive(Clone, PartialEq, Message)]
pub struct TokenRecord {
    /// The id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The key, if it has an id.
    #[prost(string, optional, tag = "2")]
    pub key: Option<String>,
    /// Seconds since 1970.
    #[prost(uint64, optional, tag = "3")]
    pub issued_at: Option<u64>,
    /// Seconds since 1970.
    #[prost(uint64, tag = "4")]
    pub expires_at: u64,
}

impl TransportRecord {
    /// Stores the permissions of the peer.
    pub fn set_permissions(&mut self, permissions: &Permissions) {
        self.can_publish = permissions.can_publish;
        self.can_subscribe = permissions.can_subscribe;
        self.can_use_plain_transports = permissions.can_use_plain_transports;
        self.publish_sources =
            permissions.can_publish_sources.clone().map(|sources| SourcesRecord { sources });
        self.cannot_publish_data = !permissions.can_publish_data;
        self.can_update_own_metadata = permissions.can_update_own_metadata;
        self.admin = permissions.admin;
        self.hidden = permissions.hidden;
    }

    /// The permissions of the peer, which has joined its room.
    pub fn permissions(&self) -> Permissions {
        Permissions {
            can_join: true,
            can_create_room: true,
            can_publish: self.can_publish,
            can_publish_sources: self.publish_sources.clone().map(|list| list.sources),
            can_subscribe: self.can_subscribe,
            can_publish_data: !self.cannot_publish_data,
            can_update_own_metadata: self.can_update_own_metadata,
            can_use_plain_transports: self.can_use_plain_transports,
            admin: self.admin,
            hidden: self.hidden,
        }
    }
}

impl From<&TokenInfo> for TokenRecord {
    fn from(token: &TokenInfo) -> Self {
        Self {
            id: token.id.0.clone(),
            key: token.key.clone(),
            issued_at: token.issued_at.map(|date| date.0),
            expires_at: token.expires_at.0,
        }
    }
}

impl From<TokenRecord> for TokenInfo {
    fn from(record: TokenRecord) -> Self {
        Self {
            id: TokenId(record.id),
            key: record.key,
            issued_at: record.issued_at.map(NumericDate),
            expires_at: NumericDate(record.expires_at),
        }
    }
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

/// Stored with a data producer.
#[derive(Clone, PartialEq, Message)]
pub struct DataProducerRecord {
    /// The label.
    #[prost(string, tag = "1")]
    pub label: String,
    /// The protocol.
    #[prost(string, tag = "2")]
    pub protocol: String,
    /// The peers that may consume it; empty: all others.
    #[prost(fixed64, repeated, tag = "3")]
    pub to: Vec<u64>,
    /// The stream, and how messages are sent.
    #[prost(message, optional, tag = "4")]
    pub stream: Option<SctpStreamParameters>,
    /// The priority.
    #[prost(uint32, tag = "5")]
    pub priority: u32,
}

/// Stored with a data consumer.
#[derive(Clone, PartialEq, Message)]
pub struct DataConsumerRecord {
    /// The stream.
    #[prost(uint32, tag = "1")]
    pub stream: u32,
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
