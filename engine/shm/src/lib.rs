//! Shared-memory rings between the engine and its controller, and the handshake that hands them over.
//!
//! This crate moves bytes and does not interpret commands or events. An engine opens a [`Listener`]; a
//! controller calls [`attach`] and gets, per worker, one ring to write, one ring to read, two doorbells and a
//! page of statistics. `docs/ring.md` describes the layout and what a hostile peer can and cannot do.
//!
//! Data from the other process is not trusted. Every byte of the region is accessed through atomics; a length
//! is read once, checked, and then the copy is used; an impossible cursor is [`Corrupt`], never a panic.
//!
//! It is *not* a general message queue: one producer, one consumer, one controller at a time.

// All `unsafe` of this crate maps the region and views it as atomics, in `region.rs`.
#![allow(unsafe_code)]
// Under the model checker only the ring and the statistics page are compiled; loom has no shared memory.
#![cfg_attr(loom, allow(dead_code, unused_imports, missing_docs))]

pub mod limits;
mod ring;
mod seqlock;
mod sync;

#[cfg(not(loom))]
mod attach;
#[cfg(not(loom))]
mod doorbell;
#[cfg(not(loom))]
mod ends;
#[cfg(not(loom))]
mod layout;
#[cfg(not(loom))]
mod listener;
#[cfg(not(loom))]
mod pending;
#[cfg(not(loom))]
mod region;
#[cfg(not(loom))]
mod wire;

pub use ring::{Corrupt, PushError};

#[cfg(not(loom))]
pub use attach::{AttachError, Attachment, Link, attach};
#[cfg(not(loom))]
pub use doorbell::Doorbell;
#[cfg(not(loom))]
pub use ends::{Consumer, ControllerEnd, Producer, StatsReader, StatsWriter, WorkerEnd};
#[cfg(not(loom))]
pub use layout::LAYOUT_VERSION;
#[cfg(not(loom))]
pub use listener::{BindError, DetachReason, Listener, ListenerEvent};
#[cfg(not(loom))]
pub use wire::{Refusal, RefusalReason};
