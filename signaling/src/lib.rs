//! The control process: rooms and their peers, what each client may do, and which commands the media engine
//! gets.
//!
//! Clients speak `signal.proto` over Socket.IO ([`server`]). [`auth`] authenticates them; [`ortc`] negotiates
//! codecs and parameters with their browsers; [`rooms`] holds rooms and peers and sends commands to a
//! [`media_node`]; [`engine`] is the media node on the same host, behind shared memory. No media passes
//! through this process: it may end and restart during a call. The data from which it recovers is stored with
//! each object in the engine ([`rooms::app_data`]).
//!
//! The library also contains the parts of the `leat` command: [`supervisor`] starts and restarts the other
//! processes, [`admin`] has the commands for accounts, and [`operate`] the other commands for operators.

#![forbid(unsafe_code)]

pub mod admin;
pub mod api;
pub mod auth;
pub mod config;
pub mod engine;
pub mod graphql;
pub mod limits;
pub mod media_node;
pub mod metrics;
pub mod operate;
pub mod ortc;
pub mod presence;
pub mod protocol;
pub mod request_error;
pub mod rooms;
pub mod sdp;
pub mod server;
pub mod supervisor;
pub mod token_bucket;
pub mod whip;

/// Default log filter, without `--log-level`: our own messages from level info, warnings of others.
pub const LOG_FILTER: &str = "warn,signaling=info,leat=info,bus=info,stores=info,client_log=info";

/// Generated from `proto/signal.proto`.
pub mod proto {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/leat.signal.v1.rs"));
}

/// Version of the signal protocol, in `Signal.version`.
pub const SIGNAL_VERSION: &str = "1";
