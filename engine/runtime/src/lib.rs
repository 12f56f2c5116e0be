//! The mio worker loop: batched UDP in and out, framed TCP, arenas, clock, pinning.
//!
//! A [`Worker`] drives one [`machine::Machine`] on one thread with its own sockets: `recvmmsg` with GRO in, `sendmmsg`
//! with GSO out, TCP connections that carry datagrams as frames, timers, and a [`Control`] that brings commands and takes events. Nothing here
//! allocates per packet once it is warm, and nothing is shared with another worker but the [mailboxes](Mailboxes) that their machines hand
//! each other packets by.
//!
//! It is *not* a general async runtime, and it knows no protocol.

// Three system calls have no safe wrapper that takes a batch: `recvmmsg`, `sendmmsg`, and `setsockopt` for the
// options that make batches; nor have the functions by which glibc's allocator is set up. They are in `sys.rs`, each behind a safe
// function; there is no other `unsafe`.
#![allow(unsafe_code)]

mod bind_error;
mod clock;
mod control;
pub mod limits;
mod mailbox;
pub mod memory;
mod sys;
mod tcp;
mod tokens;
mod udp;
mod worker;

pub use bind_error::{BindError, Protocol};
pub use clock::{Clock, ReceiveTimestamps};
pub use control::{Control, LoopStats, Report};
pub use mailbox::{Envelope, MailboxStats, Mailboxes};
pub use sys::pin::pin_to_core;
pub use tcp::connections::{ConnectionStats, Connections};
pub use tcp::framing::{self, Framing};
pub use tcp::listen::{ListenerConfig, Listeners};
pub use tokens::CONTROL_TOKEN;
pub use udp::open::{BufferSizes, SocketOptions};
pub use udp::port_pool::PortPool;
pub use udp::receive::{ReceiveStats, Receiver};
pub use udp::send::{Outbox, SendBatch, SendStats};
pub use udp::sockets::Sockets;
pub use worker::Worker;
