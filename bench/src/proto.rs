//! The messages of `signal.proto`.

#![allow(missing_docs, dead_code, clippy::all, reason = "made by prost, of which the load needs a part")]
include!(concat!(env!("OUT_DIR"), "/leat.signal.v1.rs"));
