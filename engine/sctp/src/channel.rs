//! Channels as applications see them: names, reliability, priority, and kinds of messages (RFC 8831).

use std::time::Duration;

/// The number of a channel: its SCTP stream in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u16);

/// The role in the DTLS handshake, which decides who opens channels with even ids (RFC 8832 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opens channels with even ids, and sends the first INIT.
    Client,
    /// Opens channels with odd ids.
    Server,
}

impl Role {
    pub(crate) fn is_ours(self, id: StreamId) -> bool {
        id.0.is_multiple_of(2) == (self == Self::Client)
    }
}

/// What is known of a channel when it opens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Channel {
    /// A name, at most [`LABEL_LEN_MAX`](crate::limits::LABEL_LEN_MAX) bytes; not unique.
    pub label: String,
    /// The application's protocol, at most [`LABEL_LEN_MAX`](crate::limits::LABEL_LEN_MAX) bytes; may be empty.
    pub protocol: String,
    /// How its messages are delivered.
    pub reliability: Reliability,
    /// Its share of the association (RFC 8831 §6.4): while several channels have messages to send, each sends
    /// bytes in proportion to its priority. Browsers use 128, 256, 512 and 1024; 0 counts as 1.
    pub priority: u16,
}

impl Channel {
    /// A reliable, ordered channel of low priority, the default of browsers.
    pub fn reliable(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            protocol: String::new(),
            reliability: Reliability::default(),
            priority: Self::LOW,
        }
    }

    /// The priority `very-low` of browsers.
    pub const VERY_LOW: u16 = 128;
    /// The priority `low` of browsers, their default.
    pub const LOW: u16 = 256;
    /// The priority `medium` of browsers.
    pub const MEDIUM: u16 = 512;
    /// The priority `high` of browsers.
    pub const HIGH: u16 = 1024;
}

/// One of the six channel types (RFC 8832 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reliability {
    /// Whether a message may overtake another one of its channel.
    pub is_unordered: bool,
    /// When a message is abandoned.
    pub limit: Limit,
}

/// When a message is abandoned (RFC 3758, RFC 7496).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Never.
    #[default]
    Reliable,
    /// After this number of retransmissions; 0 sends once.
    Retransmissions(u32),
    /// After this many milliseconds, counted from [`send`](crate::Association::send).
    LifetimeMs(u32),
}

impl Limit {
    pub(crate) fn lifetime(self) -> Option<Duration> {
        match self {
            Self::LifetimeMs(ms) => Some(Duration::from_millis(ms.into())),
            Self::Reliable | Self::Retransmissions(_) => None,
        }
    }
}

/// The kind of a message (RFC 8831 §8). An empty payload of either kind is sent as such (§6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text; not checked.
    String,
    /// Bytes.
    Binary,
}
