//! The TURN server as a process: a real `leat-turn` on separate ports, used by coturn's clients and by ours,
//! over real sockets on loopback.

#![allow(clippy::unwrap_used)]

mod client;
mod coturn;
#[path = "../../../signaling/bus/tests/server/mod.rs"]
mod nats_server;
mod operation;
mod registered;
mod server;
mod streams;

use std::time::Duration;

/// The timeout for immediate effects: the machine may be busy with all the other tests.
const PATIENCE: Duration = Duration::from_secs(60);
