//! Why an association ends, and why a call is refused.

use crate::limits::{FRAGMENTS_MAX, HANDSHAKE_ATTEMPTS_MAX, LABEL_LEN_MAX, MESSAGE_LEN_MAX, SEND_BUFFER_MAX};

/// Why an association has ended, and with it all channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failed {
    /// The peer did not answer the handshake.
    #[error("the peer did not answer {HANDSHAKE_ATTEMPTS_MAX} times")]
    HandshakeTimedOut,
    /// The peer sent an ABORT.
    #[error("the peer has aborted the association")]
    AbortedByPeer,
    /// The peer shut the association down.
    #[error("the peer has shut the association down")]
    ClosedByPeer,
    /// [`abort`](crate::Association::abort) was called.
    #[error("the association is closed")]
    Closed,
    /// The peer sent a message of more than [`MESSAGE_LEN_MAX`] bytes or [`FRAGMENTS_MAX`] fragments, or
    /// incomplete messages that fill the receive window.
    #[error("the peer's message exceeds {MESSAGE_LEN_MAX} bytes or {FRAGMENTS_MAX} fragments")]
    TooLong,
    /// The peer broke the protocol in a way from which there is no recovery.
    #[error("the peer has broken the protocol")]
    Protocol,
}

/// Why a channel was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OpenError {
    /// All ids of our role are in use.
    #[error("all stream ids are in use: close a channel first")]
    NoFreeId,
    /// A channel with this id exists, or its reset is not complete.
    #[error("the stream id is in use")]
    InUse,
    /// The id is not below [`STREAMS_MAX`](crate::limits::STREAMS_MAX), or not below the number of streams that
    /// the peer accepts.
    #[error("the stream id is not below the number of streams")]
    InvalidId,
    /// The label or the protocol is longer than [`LABEL_LEN_MAX`].
    #[error("label and protocol have at most {LABEL_LEN_MAX} bytes")]
    LabelTooLong,
    /// The association has ended.
    #[error(transparent)]
    Failed(#[from] Failed),
}

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SendError {
    /// Longer than the peer accepts, or than [`MESSAGE_LEN_MAX`].
    #[error("the message has {len} bytes; at most {max} are accepted")]
    TooLong {
        /// Bytes of the message.
        len: usize,
        /// Bytes of the longest message that is accepted.
        max: usize,
    },
    /// The association holds [`SEND_BUFFER_MAX`] bytes, or
    /// [`SEND_MESSAGES_MAX`](crate::limits::SEND_MESSAGES_MAX) messages, or more than half of that and the channel
    /// more than its share. Drop the message, or wait for
    /// [`BufferLow`](crate::Event::BufferLow).
    #[error("the send buffer of {SEND_BUFFER_MAX} bytes, or the channel's share of it, is full")]
    Full,
    /// There is no such channel, or it is closing.
    #[error("the channel is not open")]
    NotOpen,
    /// The association has ended.
    #[error(transparent)]
    Failed(#[from] Failed),
}
