//! The answer to a request that failed.

use crate::proto::ErrorCode;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// A request that failed: status, `code` for programs, `message` for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// For programs, in upper case. A code that `signal.proto` has too means the same.
    pub code: &'static str,
    /// One sentence: the cause, and what is expected. Contains no secrets.
    pub message: String,
    /// Time after which the same request may succeed, if it is known.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// An error that a retry does not solve.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// An error that `signal.proto` has too.
    pub fn with_code(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        let name = code.as_str_name();
        Self::new(status, name.strip_prefix("ERROR_CODE_").unwrap_or(name), message)
    }

    /// The body or a value in it is invalid.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::with_code(StatusCode::BAD_REQUEST, ErrorCode::BadMessage, message)
    }

    /// A limit is reached.
    pub fn limit(message: impl Into<String>, pause: Duration) -> Self {
        Self::with_code(StatusCode::TOO_MANY_REQUESTS, ErrorCode::Limit, message).retry_after(pause)
    }

    /// The same error, with the time for a retry.
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "code": self.code, "message": self.message }).to_string() + "\n";
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        let mut response = (self.status, headers, body).into_response();
        if let Some(pause) = self.retry_after {
            let seconds = (pause.as_secs_f64().ceil() as u64).max(1);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
