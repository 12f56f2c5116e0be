//! Parses requests: JSON bodies, query strings, and the pages of lists. An error names the field.

use super::Problem;
use crate::limits;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::IntoParams;

/// The body of a request: one JSON object without unknown fields.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_type(request.headers())?;
        read(request, state).await.map(Self)
    }
}

/// The same with any `Content-Type`, which requests about logins may have.
pub(super) struct UntypedBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for UntypedBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        read(request, state).await.map(Self)
    }
}

async fn read<T: DeserializeOwned, S: Send + Sync>(request: Request, state: &S) -> Result<T, Problem> {
    let body = Bytes::from_request(request, state).await.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_long(),
        _ => Problem::bad("the body ended early"),
    })?;
    // The library would read an array as the fields in their order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::bad("the body must be one JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(&body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| invalid(&error))?;
    json.end().map_err(|_| Problem::bad("the body must be one JSON object, and nothing after it"))?;
    Ok(value)
}

/// A page of another origin can send other types without asking first.
fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let text = "the Content-Type must be application/json";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text).with_code("CONTENT_TYPE"))
}

/// The query string, without unknown parameters.
pub(super) struct QueryString<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryString<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_pairs(query);
        serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| invalid(&error))
    }
}

fn form_pairs(query: &str) -> serde_urlencoded::Deserializer<'_> {
    serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()))
}

/// The field, and what serde expects there.
fn invalid<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> Problem {
    let text = error.inner().to_string();
    // The position in the text adds nothing to the name of the field.
    let text = text.split(" at line ").next().unwrap_or_default();
    let path = error.path().to_string();
    // "unknown field `x`, expected …", "missing field `x`", "duplicate field `x`".
    let named = text.split_once(" field `").and_then(|(_, rest)| rest.split('`').next());
    let field = match (path.as_str(), named) {
        (".", Some(named)) => named.to_owned(),
        (".", None) => return Problem::bad(format!("expected one JSON object: {text}")),
        (path, Some(named)) if !path.ends_with(named) => format!("{path}.{named}"),
        (path, _) => path.to_owned(),
    };
    let field: String = field.chars().take(limits::API_FIELD_NAME_LEN_MAX).collect();
    let text: String = text.chars().take(limits::API_FIELD_NAME_LEN_MAX * 4).collect();
    Problem { detail: format!("{field}: {text}"), ..Problem::field(field, text) }
}

/// Which part of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// At most this many; 50 by default.
    #[param(minimum = 1, maximum = 100, nullable = false)]
    limit: Option<u32>,
    /// `nextCursor` of the previous page.
    #[param(max_length = 512, nullable = false)]
    cursor: Option<String>,
}

impl PageQuery {
    /// Number of entries.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.map_or(limits::API_PAGE_DEFAULT, |limit| limit as usize);
        if (1..=limits::API_PAGE_MAX).contains(&limit) {
            return Ok(limit);
        }
        Err(Problem::field("limit", format!("a whole number from 1 to {}", limits::API_PAGE_MAX)))
    }

    /// The last entry of the previous page of this list.
    pub(super) fn after(&self, list: &str) -> Result<Option<String>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let wrong = || Problem::field("cursor", "nextCursor of the previous page of this list");
        if cursor.len() > limits::API_CURSOR_LEN_MAX {
            return Err(wrong());
        }
        let decoded = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let after = decoded.as_deref().and_then(|text| text.strip_prefix(list)?.strip_prefix(':'));
        let after = after.filter(|after| !after.chars().any(char::is_control));
        after.map(|after| Some(after.to_owned())).ok_or_else(wrong)
    }
}

/// Cuts a list that was read with one entry more than `limit`. Returns the cursor of the next page, if there is one.
pub(super) fn next_cursor<T>(
    entries: &mut Vec<T>,
    limit: usize,
    list: &str,
    key: impl Fn(&T) -> &str,
) -> Option<String> {
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let last = entries.last().filter(|_| has_more)?;
    Some(URL_SAFE_NO_PAD.encode(format!("{list}:{}", key(last))))
}

/// An answer with this status.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_string(value).expect("plain JSON") + "\n";
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}

/// Accepts each whole number, also in the form `1e3` or `3.0`, which are integers in JSON Schema.
pub(super) mod whole {
    use serde::de::{Deserializer, Error, Unexpected, Visitor};
    use std::fmt;

    struct WholeNumber;

    impl<'de> Visitor<'de> for WholeNumber {
        type Value = Option<u32>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
            from.deserialize_any(self)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
            let wrong = || E::invalid_value(Unexpected::Unsigned(number), &self);
            u32::try_from(number).map(Some).map_err(|_| wrong())
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
            Err(E::invalid_value(Unexpected::Signed(number), &self))
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
            if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
                return Ok(Some(number as u32));
            }
            Err(E::invalid_value(Unexpected::Float(number), &self))
        }
    }

    pub(in crate::api) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
        from.deserialize_option(WholeNumber)
    }
}

/// Accepts an object inside of another one, and no array.
pub(super) fn object<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    let Some(object) = Option::<Map<String, Value>>::deserialize(from)? else { return Ok(None) };
    serde_path_to_error::deserialize(Value::Object(object)).map(Some).map_err(|error| {
        let text = error.inner().to_string();
        // The name is in the text already.
        let is_named = text.contains(" field `");
        D::Error::custom(if is_named { text } else { format!("{}: {text}", error.path()) })
    })
}

#[cfg(test)]
mod tests;
