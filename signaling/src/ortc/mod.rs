//! What browsers can do with RTP, what the engine can, and what both agree on (ORTC's capabilities and parameters).
//!
//! Text stops here: on one side are `signal.proto`'s messages as mediasoup-client fills them in, on the other the
//! engine's numbers ([`control`]). Everything from a client is a claim, and is checked.
//!
//! A producer keeps the payload types and extension ids that its browser chose. A consumer always gets the router's
//! ([`capabilities::router`]); so they never collide on a transport, whoever produces.

pub mod capabilities;
pub mod consume;
pub mod dtls;
mod formats;
pub mod media_config;
mod names;
pub mod plain;
pub mod produce;
pub mod scalability;

pub use consume::{Consumable, ConsumerSsrcs};
pub use produce::Produced;
pub use scalability::ScalabilityMode;

use crate::limits;
use crate::request_error::Failure;

/// Refuses a list that is longer than any browser's.
fn check_len<T>(what: &str, list: &[T]) -> Result<(), Failure> {
    let max = limits::PARAMETERS_LEN_MAX;
    if list.len() > max {
        Err(Failure::bad(format!("{what} has {} entries; at most {max} are taken", list.len())))
    } else {
        Ok(())
    }
}

/// As much of a client's text as belongs into an answer.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(32)]
}

/// Reads "audio" or "video".
pub fn kind(text: &str) -> Result<control::Kind, Failure> {
    match text {
        "audio" => Ok(control::Kind::Audio),
        "video" => Ok(control::Kind::Video),
        _ => Err(Failure::bad("kind must be \"audio\" or \"video\"")),
    }
}

/// Writes "audio" or "video".
pub fn kind_name(kind: control::Kind) -> &'static str {
    match kind {
        control::Kind::Audio => "audio",
        control::Kind::Video => "video",
    }
}

#[cfg(test)]
mod tests;
