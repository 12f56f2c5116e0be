//! The signal protocol (`proto/signal.proto`): bytes to requests, and messages to bytes.
//!
//! What a request means is defined in [`crate::rooms`].

mod bounds;
mod request;

pub use request::Request;

use crate::SIGNAL_VERSION;
use crate::limits;
use crate::proto::{ErrorCode, Signal, signal::Payload};
use crate::request_error::RequestError;
use bytes::Bytes;
use prost::Message;

/// Decodes a `Signal` of a client: checks its size, its structure and its version, and returns its payload.
pub fn decode(message: &[u8]) -> Result<Payload, RequestError> {
    if message.len() > limits::MESSAGE_BYTES_MAX {
        let text = format!(
            "the message has {} bytes; at most {} are allowed",
            message.len(),
            limits::MESSAGE_BYTES_MAX
        );
        return Err(RequestError::bad(text));
    }
    bounds::check(message).map_err(|error| RequestError::bad(format!("not a Signal: {error}")))?;
    let signal =
        Signal::decode(message).map_err(|error| RequestError::bad(format!("not a Signal: {error}")))?;
    if signal.version.split('.').next() != Some(SIGNAL_VERSION) {
        let text = format!(
            "this server supports version {SIGNAL_VERSION} of the signal protocol; set Signal.version"
        );
        return Err(RequestError::new(ErrorCode::UnsupportedVersion, text));
    }
    let missing =
        || RequestError::new(ErrorCode::UnsupportedMessage, "the Signal has no payload, or an unknown one");
    signal.payload.ok_or_else(missing)
}

/// Whether a message is an Offer, an Answer or a Candidate. Cheap, and true for no message that is none of these and
/// valid.
pub fn is_description(message: &[u8]) -> bool {
    bounds::begins_with(message, 2..=4)
}

/// Encodes a `Signal` of this server.
pub fn encode(payload: Payload) -> Bytes {
    Signal { version: SIGNAL_VERSION.into(), payload: Some(payload), ..Default::default() }
        .encode_to_vec()
        .into()
}
