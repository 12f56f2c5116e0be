//! The control process: who is in which room, with what right, and what the engine is to do about it.
//!
//! Clients speak `signal.proto` over Socket.IO ([`socket`]); [`token`] says who they are; [`ortc`] turns what their
//! browsers can do into numbers for the engine; [`hall`] holds rooms and peers; [`engine`] drives the shared-memory
//! ring. Nothing here touches media: this process may die and come back while a call goes on. All it needs to find
//! its way back is kept by the engine beside each object ([`held`]).
//!
//! The `leat` binary's parts are here too: [`up`] starts and watches the other processes.

#![forbid(unsafe_code)]

mod addresses;
pub mod cli;
pub mod config;
pub mod development;
pub mod edge;
pub mod engine;
pub mod failure;
pub mod hall;
pub mod held;
pub mod http;
pub mod limits;
pub mod media;
pub mod origins;
pub mod ortc;
pub mod rate;
pub mod socket;
mod socketio;
pub mod token;
pub mod turn;
pub mod up;
mod visitors;
mod web;
pub mod wire;

/// What is logged unless `LEAT_LOG` says otherwise: all of ours from info on, and warnings of others.
pub const LOG_FILTER: &str = "warn,signaling=info,leat=info";

/// `proto/signal.proto`, compiled.
pub mod proto {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/leat.signal.v1.rs"));
}

/// The version of the protocol in `Signal.version`.
pub const SIGNAL_VERSION: &str = "1";
