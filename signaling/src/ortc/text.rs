//! Limits for texts and lists of clients, and the names of the kinds of media.

use crate::limits;
use crate::request_error::RequestError;

/// Refuses a list that is too long.
pub(super) fn check_len<T>(what: &str, list: &[T]) -> Result<(), RequestError> {
    let max = limits::PARAMETERS_LEN_MAX;
    if list.len() > max {
        Err(RequestError::bad(format!("{what} has {} entries; at most {max} are allowed", list.len())))
    } else {
        Ok(())
    }
}

/// The start of a client's text, for an error message.
pub(super) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(32)]
}

/// Parses "audio" or "video".
pub fn kind(text: &str) -> Result<control::Kind, RequestError> {
    match text {
        "audio" => Ok(control::Kind::Audio),
        "video" => Ok(control::Kind::Video),
        _ => Err(RequestError::bad("kind must be \"audio\" or \"video\"")),
    }
}

/// Formats "audio" or "video".
pub fn kind_name(kind: control::Kind) -> &'static str {
    match kind {
        control::Kind::Audio => "audio",
        control::Kind::Video => "video",
    }
}
