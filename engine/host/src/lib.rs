//! The common parts of the engine and the TURN server: the way from the command line to the exit code, the
//! main thread and its worker threads, limits of the operating system, and options that both have.
//!
//! It depends neither on media nor on TURN: each program defines what a worker runs, and which messages it
//! takes.
//!
//! - [`Program`]: log, `--die-with-parent`, configuration, run, exit code.
//! - [`MainThread`]: waits for signals, for the end of a worker, and for the program's own sockets.
//! - [`Workers`]: starts the worker threads, sends them messages, stops them.
//! - [`PortRange`], [`check_ports`], [`port_shares`], [`check_once`], [`loopback`]: options for addresses and
//!   ports.

#![forbid(unsafe_code)]

mod addresses;
mod descriptors;
mod end_guard;
mod main_thread;
mod panics;
mod ports;
mod program;
mod start_error;
mod workers;

pub use addresses::{GivenTwice, check_once, loopback, same_family};
pub use descriptors::raise_descriptor_limit;
pub use main_thread::MainThread;
pub use ports::{BadPorts, PortRange, check_ports, port_shares};
pub use program::Program;
pub use start_error::{StartError, rng, system};
pub use workers::Workers;
