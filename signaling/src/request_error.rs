//! Why a request failed, as the client gets to know it.

use crate::proto::{self, ErrorCode};
use std::time::Duration;

/// A request that was not done and changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct RequestError {
    /// For programs.
    pub code: ErrorCode,
    /// One sentence for people: what was wrong, and what would be right. Holds no secrets.
    pub message: String,
    /// When the same request may succeed, if that is known.
    pub retry_after: Option<Duration>,
}

impl RequestError {
    /// A failure that time does not heal.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// The message itself is wrong: `BAD_MESSAGE`.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadMessage, message)
    }

    /// A bound was reached: `LIMIT`.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Limit, message)
    }

    /// The same failure, worth another try after `pause`.
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }
}

impl From<RequestError> for proto::Error {
    fn from(failure: RequestError) -> Self {
        let retry_after_ms = failure
            .retry_after
            .map_or(0, |pause| u32::try_from(pause.as_millis()).unwrap_or(u32::MAX).max(1));
        Self { code: failure.code.into(), message: failure.message, retry_after_ms }
    }
}
