//! Errors as problem details (RFC 9457): of the HTTP API, and of WHIP and WHEP.

use crate::limits;
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;
use stores::accounts::AccountError;
use utoipa::ToSchema;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The status.
    pub(crate) status: StatusCode,
    /// For programs: the name of an `ErrorCode`, or another in the same form; empty without one.
    pub(crate) code: Cow<'static, str>,
    /// One sentence for people: the cause, and what is expected. Contains no secrets.
    pub(crate) detail: String,
    /// Invalid fields.
    pub(crate) errors: Vec<InvalidField>,
    /// Time after which the same request may succeed, if it is known.
    pub(crate) retry_after: Option<Duration>,
}

/// A field of a request that is missing, unknown or invalid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct InvalidField {
    /// Its path in the body, or the name of a parameter or header.
    #[schema(example = "ttlS")]
    pub field: String,
    /// The expected form.
    #[schema(example = "a whole number from 1 to 86400")]
    pub expected: String,
}

/// An error (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// `about:blank`: the status says what kind of problem it is.
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// The name of the status.
    #[schema(example = "Bad Request")]
    title: &'static str,
    /// The status.
    #[schema(minimum = 400, maximum = 599, example = 400)]
    status: u16,
    /// One sentence: the cause, and what is expected.
    detail: String,
    /// For programs, in upper case.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = Option<String>, nullable = false, example = "BAD_MESSAGE")]
    code: Cow<'static, str>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<InvalidField>>, nullable = false)]
    errors: Vec<InvalidField>,
}

impl Problem {
    /// An error that a retry does not solve, without a code.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, code: "".into(), detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// The same error, with a code for programs.
    pub(crate) fn with_code(self, code: &'static str) -> Self {
        Self { code: code.into(), ..self }
    }

    /// The same error, with the time for a retry.
    pub(crate) fn retry_after(self, pause: Duration) -> Self {
        Self { retry_after: Some(pause), ..self }
    }

    /// A request that cannot be read, or whose value is invalid: `BAD_MESSAGE`.
    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail).with_code("BAD_MESSAGE")
    }

    /// A field that is missing, unknown or invalid.
    pub(super) fn field(field: impl Into<String>, expected: impl Into<String>) -> Self {
        let (field, expected) = (field.into(), expected.into());
        let detail = format!("{field}: expected {expected}");
        Self { errors: vec![InvalidField { field, expected }], ..Self::bad(detail) }
    }

    /// A limit is reached: `LIMIT`.
    pub(super) fn limit(detail: impl Into<String>, pause: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, detail).with_code("LIMIT").retry_after(pause)
    }

    /// The caller may not do this: `TOKEN_PERMISSION`.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail).with_code("TOKEN_PERMISSION")
    }

    /// The body is too long.
    pub(super) fn too_long() -> Self {
        let text = format!("the body must have at most {} bytes", limits::API_BODY_BYTES_MAX);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, text).with_code("BODY_TOO_LONG")
    }

    /// An error of this server.
    pub(super) fn internal() -> Self {
        let text = "an internal error of the server; see its log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text).with_code("INTERNAL")
    }

    /// The error of a call to the store of accounts.
    pub(super) fn of_store(error: &AccountError) -> Self {
        match error {
            AccountError::NotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, error.to_string()).with_code("NOT_FOUND")
            }
            AccountError::Exists { .. } => {
                Self::new(StatusCode::CONFLICT, error.to_string()).with_code("EXISTS")
            }
            AccountError::Limit { .. } => {
                Self::new(StatusCode::CONFLICT, error.to_string()).with_code("LIMIT")
            }
            AccountError::Invalid { what, wanted } => Self::bad(format!("{what}: expected {wanted}")),
            error => {
                tracing::warn!(error = error as &dyn std::error::Error, "a request about accounts failed");
                let text = "the database of accounts is not available; try again";
                RequestError::new(ErrorCode::StoreUnavailable, text).retry_after(limits::QUOTA_PAUSE).into()
            }
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let RequestError { code, message, retry_after } = error;
        let name = code.as_str_name().trim_start_matches("ERROR_CODE_");
        Self { code: name.into(), retry_after, ..Self::new(status(code), message) }
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
        ErrorCode::NoSuchPeer | ErrorCode::NoSuchTransport | ErrorCode::NoSuchConsumer => {
            StatusCode::NOT_FOUND
        }
        ErrorCode::Limit => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::EngineUnavailable | ErrorCode::Draining | ErrorCode::StoreUnavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, code, detail, errors, retry_after } = self;
        let title = status.canonical_reason().unwrap_or("Error");
        let body =
            ProblemBody { r#type: "about:blank", title, status: status.as_u16(), detail, code, errors };
        let body = serde_json::to_string(&body).expect("plain JSON");
        let mut response = (status, body).into_response();
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

/// The media type of a problem.
pub(super) const TYPE: &str = "application/problem+json";

/// Describes the errors of the library too, for example of a method or of a body that is too long.
pub(crate) fn describe(response: Response, body_too_long: &str) -> Response {
    let status = response.status();
    let is_described = response.headers().get(header::CONTENT_TYPE).is_some_and(|found| found == TYPE);
    if is_described || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let detail = match status {
        StatusCode::METHOD_NOT_ALLOWED => "this method is not supported here; Allow has those that are",
        StatusCode::PAYLOAD_TOO_LARGE => body_too_long,
        _ => "the request cannot be read",
    };
    let (parts, _) = response.into_parts();
    let mut described = Problem::new(status, detail).into_response();
    if let Some(allowed) = parts.headers.get(header::ALLOW) {
        described.headers_mut().insert(header::ALLOW, allowed.clone());
    }
    described.map(Body::new)
}
