//! The engine as a process: a real `leat-engine` on separate ports, controlled over the real ring, real
//! sockets on loopback. `tests/sim` tests the inside of a shard; here the binary is tested, hostile network
//! traffic, and calls during the death of a process.

#![allow(clippy::unwrap_used)]

mod call;
mod caller;
mod child;
mod controller;
mod engine;
mod network;
mod relayed;
mod shared_port;

mod commands;
mod connecting;
mod containment;
mod controllers;
mod doctor;
mod dtls_programs;
mod full_ring;
mod hostile_ring;
mod hostile_srtp;
mod logs;
mod media;
mod memory;
mod monitoring;
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

/// The timeout for immediate effects: the machine may be busy with all the other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait for packets that must not arrive. Loopback delivers within microseconds.
const SILENCE: Duration = Duration::from_millis(200);
