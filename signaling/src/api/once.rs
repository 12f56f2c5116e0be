//! Carries out a POST with an `Idempotency-Key` once ([`super::idempotency`] keeps the answers).

use super::Problem;
use super::caller::Caller;
use super::idempotency::{HEADER, RequestKey, Start};
use super::service::ApiService;
use crate::limits;
use aws_lc_rs::digest::{SHA256, digest};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Instant;

/// Carries out a POST with an `Idempotency-Key` once.
pub(super) async fn once(
    State(service): State<Arc<ApiService>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = key(request.headers())?.filter(|_| request.method() == Method::POST);
    let Some(key) = key else { return Ok(next.run(request).await) };
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, limits::API_BODY_BYTES_MAX).await.map_err(|_| Problem::too_long())?;
    let caller = parts.extensions.get::<Caller>().ok_or_else(Problem::internal)?;
    let key = RequestKey { project: caller.project.clone(), caller: caller.actor.to_string(), key };
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let mut text = target.as_bytes().to_vec();
    text.push(0);
    text.extend_from_slice(&body);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, &text).as_ref());
    let running = match service.idempotency.start(key, fingerprint, Instant::now())? {
        Start::Again(answer) => return Ok(answer.into_response()),
        Start::First(running) => running,
    };
    // A client that closes its connection does not end the request in the middle.
    let request = Request::from_parts(parts, Body::from(body));
    let task = tokio::spawn(async move { running.finish(next.run(request).await).await });
    task.await.map_err(|_| Problem::internal())
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let expected = format!("one value of 1 to {} visible ASCII characters", limits::IDEMPOTENCY_KEY_LEN_MAX);
    let is_key = (1..=limits::IDEMPOTENCY_KEY_LEN_MAX).contains(&value.len());
    let text = value.to_str().ok().filter(|text| is_key && text.bytes().all(|byte| byte.is_ascii_graphic()));
    match (text, values.next()) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        _ => Err(Problem::field("Idempotency-Key", expected)),
    }
}
