//! Shared-memory rings between the engine and its controller, and the handshake that hands them over.
//!
//! This crate moves bytes: it knows no command and no event. An engine opens a [`Listener`]; a controller
//! calls [`attach`] and gets, per worker, one ring to write, one ring to read, two doorbells and a
//! page of statistics. `docs/ring.md` draws the layout and says what a hostile peer can and cannot do.
//!
//! What the other process wrote is a claim. Every byte of the region is only ever touched through atomics, a
//! length is read once, checked, and then the copy is used; a cursor that cannot be true is
//! [`Corrupt`], never a panic.
//!
//! It is *not* a general message queue: one producer, one consumer, one controller at a time.

// Mapping the region and viewing it as atomics is all the `unsafe` there is, in `region.rs`.
#![allow(unsafe_code)]
// Under the model checker only the ring and the statistics page exist; loom has no shared memory.
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
