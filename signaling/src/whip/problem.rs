//! The errors of WHIP and WHEP, as problem details.

use crate::api::Problem;
use crate::limits;
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use std::time::Duration;
use stores::accounts::AccountError;

pub(super) fn malformed(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

pub(super) fn media_type(wanted: &str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the Content-Type must be {wanted}"))
}

pub(super) fn no_session() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no session with this URL (any more)")
}

pub(super) fn no_condition() -> Problem {
    let text = "PATCH needs If-Match: the ETag of the session, or * for an ICE restart (RFC 9725 §4.3)";
    Problem::new(StatusCode::PRECONDITION_REQUIRED, text)
}

pub(super) fn mismatch() -> Problem {
    let text = "If-Match is not the ETag of the session: ICE was restarted";
    Problem::new(StatusCode::PRECONDITION_FAILED, text)
}

pub(super) fn internal() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "an internal error of the server; see its log")
}

pub(super) fn stream_key() -> Problem {
    let text = "the stream key is unknown or revoked, or for another room";
    Problem::new(StatusCode::UNAUTHORIZED, text).with_code("TOKEN_KEY")
}

pub(super) fn too_many(pause: Duration) -> Problem {
    let text = "too many requests from this address";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, text).retry_after(pause)
}

pub(super) fn store_is_away(error: &AccountError) -> Problem {
    tracing::warn!(error = error as &dyn std::error::Error, "a stream key was not checked");
    let text = "the database of stream keys does not answer";
    RequestError::new(ErrorCode::StoreUnavailable, text).retry_after(limits::STREAM_KEY_PAUSE).into()
}

/// Describes the errors of the library too.
pub(super) async fn describe(request: Request, next: Next) -> Response {
    let body = "the body is longer than a session description may be";
    crate::api::problem::describe(next.run(request).await, body)
}
