//! The mio worker loop: batched UDP in and out, framed TCP, arenas, clock, pinning.
//!
//! A [`Worker`] drives one [`machine::Machine`] on one thread with its own sockets: `recvmmsg` with GRO in,
//! `sendmmsg` with GSO out, TCP connections that carry datagrams as frames, timers, and a [`Control`] that
//! supplies commands and receives events. Nothing here allocates per packet after warm-up. Workers share
//! nothing but the [mailboxes](Mailboxes) through which their machines exchange packets, and, if they
//! [share a port](PortShare), the table of whose flows are whose.
//!
//! It is *not* a general async runtime, and it implements no protocol.

// `recvmmsg`, `sendmmsg`, `setsockopt` for the options of batches, and the functions that configure glibc's
// allocator have no safe wrapper. They are in `sys/mod.rs`, each behind a safe function; there is no other
// `unsafe`.
#![allow(unsafe_code)]

mod bind_error;
mod clock;
mod control;
mod latency;
pub mod limits;
mod mailbox;
pub mod memory;
mod steering;
mod sys;
mod tcp;
mod tokens;
mod tx;
mod udp;
mod worker;

pub use bind_error::{BindError, Protocol};
pub use clock::{Clock, ReceiveTimestamps};
pub use control::{Control, LoopStats, Report};
pub use latency::LatencyHistogram;
pub use mailbox::{Envelope, MailboxStats, Mailboxes};
pub use steering::{PortShare, Steering, SteeringError, SteeringStats};
pub use sys::pin::pin_to_core;
pub use tcp::connections::ConnectionStats;
pub use tcp::framing::{self, Framing};
pub use tcp::listen::{ListenerConfig, Listeners};
pub use tokens::CONTROL_TOKEN;
pub use tx::{Io, Outbox};
pub use udp::open::{BufferSizes, SocketOptions};
pub use udp::port_pool::PortPool;
pub use udp::receive::ReceiveStats;
pub use udp::send::SendStats;
pub use udp::sockets::Sockets;
pub use worker::Worker;
