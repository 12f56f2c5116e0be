//! The engine as a process: a real `leat-engine` on ports of its own, controlled over the real ring, real sockets on
//! loopback. What happens inside of a shard is told by `tests/sim`; here it is what the binary makes of it, what strangers
//! on the network can do, and what becomes of a call when a process dies.

#![allow(clippy::unwrap_used)]

mod call;
mod caller;
mod child;
mod controller;
mod engine;
mod network;
mod relayed;

mod commands;
mod connecting;
mod containment;
mod controllers;
mod dtls_programs;
mod full_ring;
mod hostile_ring;
mod hostile_srtp;
mod logs;
mod media;
mod memory;
mod nat;
mod pipes;
mod plain;
mod program;
mod proxied;
mod starting;
mod supervisor;
mod tcp;
mod turn_own;
mod up;
mod versions;

use std::time::Duration;

/// How long something may take that should happen at once: the machine may be busy with all the other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to listen for what should not come. Loopback delivers within microseconds.
const SILENCE: Duration = Duration::from_millis(200);
