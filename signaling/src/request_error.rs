//! Why a request failed, in the form that the client gets.

use crate::proto::{self, ErrorCode};
use std::time::Duration;

/// A request that failed and changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct RequestError {
    /// For programs.
    pub code: ErrorCode,
    /// One sentence for people: the cause, and what is expected. Contains no secrets.
    pub message: String,
    /// Time after which the same request may succeed, if it is known.
    pub retry_after: Option<Duration>,
}

impl RequestError {
    /// An error that a retry does not solve.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// The message is invalid: `BAD_MESSAGE`.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadMessage, message)
    }

    /// A limit is reached: `LIMIT`.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Limit, message)
    }

    /// The same error, with the time for a retry.
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }
}

impl From<RequestError> for proto::Error {
    fn from(error: RequestError) -> Self {
        let retry_after_ms =
            error.retry_after.map_or(0, |pause| u32::try_from(pause.as_millis()).unwrap_or(u32::MAX).max(1));
        Self { code: error.code.into(), message: error.message, retry_after_ms }
    }
}
