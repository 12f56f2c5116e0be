//! Errors as problem details (RFC 9457).

use crate::limits;
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::time::Duration;
use stores::accounts::AccountError;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    /// For programs: the name of an `ErrorCode`; empty without one.
    code: String,
    detail: String,
    retry_after: Option<Duration>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, code: String::new(), detail: detail.into(), retry_after: None }
    }

    pub(super) fn malformed(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn media_type(wanted: &str) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the Content-Type must be {wanted}"))
    }

    pub(super) fn no_session() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no session with this URL (any more)")
    }

    pub(super) fn no_condition() -> Self {
        let text = "PATCH needs If-Match: the ETag of the session, or * for an ICE restart (RFC 9725 §4.3)";
        Self::new(StatusCode::PRECONDITION_REQUIRED, text)
    }

    pub(super) fn mismatch() -> Self {
        let text = "If-Match is not the ETag of the session: ICE was restarted";
        Self::new(StatusCode::PRECONDITION_FAILED, text)
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "an internal error of the server; see its log")
    }

    pub(super) fn stream_key() -> Self {
        let text = "the stream key is unknown or revoked, or for another room";
        Self { code: "TOKEN_KEY".to_owned(), ..Self::new(StatusCode::UNAUTHORIZED, text) }
    }

    pub(super) fn too_many(pause: Duration) -> Self {
        let text = "too many requests from this address";
        Self { retry_after: Some(pause), ..Self::new(StatusCode::TOO_MANY_REQUESTS, text) }
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "a stream key was not checked");
        let text = "the database of stream keys does not answer";
        RequestError::new(ErrorCode::StoreUnavailable, text).retry_after(limits::STREAM_KEY_PAUSE).into()
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let RequestError { code, message, retry_after } = error;
        Self {
            status: status(code),
            code: code.as_str_name().trim_start_matches("ERROR_CODE_").to_owned(),
            detail: message,
            retry_after,
        }
    }
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadMessage => StatusCode::BAD_REQUEST,
        ErrorCode::TokenMissing
        | ErrorCode::TokenMalformed
        | ErrorCode::TokenAlgorithm
        | ErrorCode::TokenSignature
        | ErrorCode::TokenExpired
        | ErrorCode::TokenNotYetValid
        | ErrorCode::TokenKey
        | ErrorCode::TokenAudience
        | ErrorCode::TokenRevoked => StatusCode::UNAUTHORIZED,
        ErrorCode::TokenRoom
        | ErrorCode::TokenPermission
        | ErrorCode::RoomLocked
        | ErrorCode::RoomFull
        | ErrorCode::PublishDenied
        | ErrorCode::SubscriptionDenied
        | ErrorCode::Muted => StatusCode::FORBIDDEN,
        // RFC 9110 §15.5.7: no common codec.
        ErrorCode::CannotConsume | ErrorCode::UnsupportedCodec => StatusCode::NOT_ACCEPTABLE,
        ErrorCode::NoSuchProducer | ErrorCode::WrongState => StatusCode::CONFLICT,
        ErrorCode::NoSuchTransport | ErrorCode::NoSuchConsumer => StatusCode::NOT_FOUND,
        ErrorCode::Limit => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::EngineUnavailable | ErrorCode::Draining | ErrorCode::StoreUnavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, code, detail, retry_after } = self;
        let mut body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": detail,
        });
        if !code.is_empty() {
            body["code"] = code.into();
        }
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(pause) = retry_after {
            headers
                .insert(header::RETRY_AFTER, HeaderValue::from(pause.as_secs_f64().ceil().max(1.0) as u64));
        }
        response
    }
}

const TYPE: &str = "application/problem+json";

/// Describes the errors of the library too, for example of a method or of a body that is too long.
pub(super) async fn describe(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_described = response.headers().get(header::CONTENT_TYPE).is_some_and(|found| found == TYPE);
    if is_described || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let detail = match status {
        StatusCode::METHOD_NOT_ALLOWED => "this method is not supported here; Allow has those that are",
        StatusCode::PAYLOAD_TOO_LARGE => "the body is longer than a session description may be",
        _ => "the request cannot be read",
    };
    let (parts, _) = response.into_parts();
    let mut described = Problem::new(status, detail).into_response();
    if let Some(allowed) = parts.headers.get(header::ALLOW) {
        described.headers_mut().insert(header::ALLOW, allowed.clone());
    }
    described.map(Body::new)
}
