//! The control process: who is in which room, with what right, and what the engine is to do about it.
//!
//! Clients speak `signal.proto` over Socket.IO ([`server`]); [`auth`] says who they are; [`ortc`] turns what their
//! browsers can do into numbers for the engine; [`rooms`] holds rooms and peers; [`engine`] drives the shared-memory
//! ring. Nothing here touches media: this process may die and come back while a call goes on. All it needs to find
//! its way back is kept by the engine beside each object ([`rooms::app_data`]).
//!
//! The `leat` binary's parts are here too: [`supervisor`] starts and watches the other processes.

#![forbid(unsafe_code)]

pub mod auth;
pub mod config;
pub mod engine;
pub mod limits;
pub mod media_node;
pub mod ortc;
pub mod protocol;
pub mod request_error;
pub mod rooms;
pub mod server;
pub mod supervisor;
pub mod token_bucket;

/// What is logged unless `LEAT_LOG` says otherwise: all of ours from info on, and warnings of others.
pub const LOG_FILTER: &str = "warn,signaling=info,leat=info";

/// `proto/signal.proto`, compiled.
pub mod proto {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/leat.signal.v1.rs"));
}

/// The version of the protocol in `Signal.version`.
pub const SIGNAL_VERSION: &str = "1";
