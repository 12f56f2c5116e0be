//! The mio worker loop: batched UDP in and out, framed TCP, arenas, clock, pinning.
//!
//! A [`Worker`] drives one [`machine::Machine`] on one thread with its own sockets: `recvmmsg` with GRO in, `sendmmsg`
//! with GSO out, TCP connections that carry datagrams as frames, timers, and a [`Control`] that brings commands and takes events. Nothing here
//! allocates per packet once it is warm, and nothing is shared with another worker but the [mailboxes](HandOffs) that their machines hand
//! each other packets by.
//!
//! It is *not* a general async runtime, and it knows no protocol.

// Three system calls have no safe wrapper that takes a batch: `recvmmsg`, `sendmmsg`, and `setsockopt` for the
// options that make batches; nor have the functions by which glibc's allocator is set up. They are in `sys.rs`, each behind a safe
// function; there is no other `unsafe`.
#![allow(unsafe_code)]

mod address;
mod clock;
mod control;
pub mod framing;
mod hand_off;
pub mod limits;
mod listen;
pub mod memory;
mod on_demand;
mod peers;
mod pin;
mod receive;
mod send;
mod sockets;
mod stream;
mod streams;
mod sys;
mod tls;
mod tokens;
mod udp_socket;
mod worker;

pub use clock::{Clock, Stamps};
pub use control::{Control, LoopStats, Report};
pub use framing::Framing;
pub use hand_off::{HandOffStats, HandOffs, Parcel};
pub use listen::{BindError, Listeners, Listening, Protocol};
pub use on_demand::Places;
pub use pin::pin_to_core;
pub use receive::{ReceiveStats, Receiver};
pub use send::{Outbox, SendBatch, SendStats};
pub use sockets::Sockets;
pub use streams::{StreamStats, Streams};
pub use tokens::CONTROL_TOKEN;
pub use udp_socket::{BufferSizes, SocketOptions};
pub use worker::Worker;
