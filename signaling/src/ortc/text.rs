//! Texts and lists of clients: how long they may be, and the names of the kinds of media.

use crate::limits;
use crate::request_error::RequestError;

/// Refuses a list that is longer than any browser's.
pub(super) fn check_len<T>(what: &str, list: &[T]) -> Result<(), RequestError> {
    let max = limits::PARAMETERS_LEN_MAX;
    if list.len() > max {
        Err(RequestError::bad(format!("{what} has {} entries; at most {max} are taken", list.len())))
    } else {
        Ok(())
    }
}

/// As much of a client's text as belongs into an answer.
pub(super) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(32)]
}

/// Reads "audio" or "video".
pub fn kind(text: &str) -> Result<control::Kind, RequestError> {
    match text {
        "audio" => Ok(control::Kind::Audio),
        "video" => Ok(control::Kind::Video),
        _ => Err(RequestError::bad("kind must be \"audio\" or \"video\"")),
    }
}

/// Writes "audio" or "video".
pub fn kind_name(kind: control::Kind) -> &'static str {
    match kind {
        control::Kind::Audio => "audio",
        control::Kind::Video => "video",
    }
}
