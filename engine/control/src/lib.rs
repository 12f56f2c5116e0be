//! Commands and events between signaling and engine, as plain values with a binary codec.
//!
//! This crate defines the messages; `shm` transports them. A router has a room's media; transports belong to
//! a router, producers and consumers to a transport. The controller chooses the ids. Every [`Request`] is
//! answered by exactly one [`Event`] with its [`RequestId`] (a [`Command::Snapshot`] and a [`Command::Stats`]
//! by a sequence with an end event).
//!
//! Commands are idempotent: the same id with the same parameters gives the same answer; the same id with
//! other parameters is refused with [`Refusal::Exists`]. A record comes from another process and is not
//! trusted: every decoder checks lengths, tags and bounds, and refuses trailing bytes.

#![forbid(unsafe_code)]

mod codec;
mod command;
mod counters;
mod data;
mod dtls;
mod event;
mod fault;
#[cfg(feature = "fixtures")]
pub mod fixtures;
mod ids;
pub mod limits;
mod media;
#[cfg(feature = "next-protocol")]
pub mod next;
pub mod page;
mod pipe;
mod plain;
mod state;
mod stats;
mod version;

pub use codec::{Added, DecodeError};
pub use command::{Command, Consume, CreateTransport, Produce, Request};
pub use counters::{Counter, Counters, Discard};
pub use data::{AcceptData, ConsumeData, DataChannel, DataReliability, ProduceData};
pub use dtls::{DtlsRole, PeerFingerprint};
pub use event::{Closed, Event, Refusal, SnapshotItem};
pub use fault::Stage;
pub use ids::{ConsumerId, DataConsumerId, DataProducerId, ProducerId, RequestId, RouterId, TransportId};
pub use media::{
    AppData, AudioObserver, Candidate, Codec, CodecParameters, ContentHint, Encoding, Extension,
    ExtensionKind, IceParameters, Kind, Layers, PlayoutDelay, Protocol, Text, Volume,
};
pub use pipe::CreatePipe;
pub use plain::{
    ConnectPlainTransport, CreatePlainTransport, IpFamily, SrtpKey, SrtpParameters, SrtpProfile,
};
pub use state::{DtlsState, IceState, TransportState};
pub use stats::{
    ConsumerStats, LayerStats, ProducerStats, Scored, StatsItem, StatsOf, StreamStats, TransportStats,
};
pub use version::{OLDEST_VERSION, PROTOCOL_VERSION, version};
