//! The TURN server as a process: a real `leat-turn` on ports of its own, asked by coturn's own clients and by ours, over real
//! sockets on loopback.

#![allow(clippy::unwrap_used)]

mod client;
mod coturn;
mod operation;
mod server;
mod streams;

use std::time::Duration;

/// How long something may take that should happen at once: the machine may be busy with all the other tests.
const PATIENCE: Duration = Duration::from_secs(60);
