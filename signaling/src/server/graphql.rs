//! The routes of GraphQL: POST for requests, GET for WebSockets.

use crate::api::accounts::ClientAddress;
use crate::graphql::{Graphql, Refusal, socket};
use crate::limits;
use crate::request_error::RequestError;
use crate::server::edge::{Client, Quota, refusal};
use axum::Extension;
use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use std::sync::Arc;

/// The path of GraphQL.
pub const PATH: &str = "/graphql";

#[derive(Clone)]
struct Service {
    graphql: Arc<Graphql>,
    sockets: Arc<Quota>,
}

/// The routes; `per_address` is the maximum number of connections of one address.
pub fn router(graphql: Arc<Graphql>, per_address: usize) -> Router {
    let per_address = per_address.min(limits::GRAPHQL_SOCKETS_PER_ADDRESS);
    let sockets = Quota::new(limits::GRAPHQL_SOCKETS_MAX, per_address);
    Router::new()
        .route(PATH, post(request).get(upgrade))
        .layer(DefaultBodyLimit::max(limits::GRAPHQL_BODY_BYTES_MAX))
        .with_state(Service { graphql, sockets })
}

async fn request(
    State(service): State<Service>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // A page of another origin can send other types without asking first.
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let text = "the Content-Type must be application/json\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    let token = match bearer(&headers) {
        Ok(token) => token,
        Err(error) => return refuse(Refusal { status: StatusCode::UNAUTHORIZED, error }),
    };
    match service.graphql.execute(address, token, &body).await {
        Ok(json) => {
            let headers = [
                (header::CONTENT_TYPE, "application/json; charset=utf-8"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (headers, json).into_response()
        }
        Err(refusal) => refuse(refusal),
    }
}

async fn upgrade(
    State(service): State<Service>,
    Extension(client): Extension<Client>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let text = "send queries with POST, or open a WebSocket with the protocol graphql-transport-ws\n";
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], text).into_response();
    };
    if let Err(error) = service.graphql.count_request(client.address) {
        return refuse(Refusal { status: StatusCode::TOO_MANY_REQUESTS, error });
    }
    let permit = match service.sockets.acquire(Some(client.address)) {
        Ok(permit) => permit,
        Err(exceeded) => return refusal(exceeded),
    };
    let upgrade = upgrade
        .protocols([socket::PROTOCOL])
        .max_message_size(limits::GRAPHQL_BODY_BYTES_MAX)
        .max_frame_size(limits::GRAPHQL_BODY_BYTES_MAX)
        .write_buffer_size(0);
    if upgrade.selected_protocol().is_none() {
        let text = "the only WebSocket protocol here is graphql-transport-ws\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    upgrade.on_upgrade(async move |stream| {
        socket::serve(service.graphql, client.address, stream).await;
        drop(permit);
    })
}

/// The token of the header `Authorization` (RFC 6750 §2.1), if there is one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, RequestError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let malformed = || RequestError::bad("the header Authorization must be: Bearer TOKEN");
    token.map(Some).ok_or_else(malformed)
}

/// An answer that is not a GraphQL response, in the form of one.
fn refuse(Refusal { status, error }: Refusal) -> Response {
    let code = error.code.as_str_name().trim_start_matches("ERROR_CODE_");
    let body =
        serde_json::json!({ "errors": [{ "message": error.message, "extensions": { "code": code } }] });
    let mut response =
        (status, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string())
            .into_response();
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    }
    if let Some(pause) = error.retry_after {
        headers.insert(header::RETRY_AFTER, (pause.as_secs_f64().ceil() as u64).into());
    }
    response
}
