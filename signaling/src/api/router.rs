//! The routes of the HTTP API, and what every request passes.

use super::accounts::{AccountsApi, ClientAddress};
use super::caller::Caller;
use super::service::ApiService;
use super::{Problem, document, once, page, problem};
use crate::limits;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use std::sync::Arc;

impl ApiService {
    /// The routes.
    pub fn router(self: Arc<Self>) -> Router {
        let (guarded, _) = document::guarded().split_for_parts();
        let document = document::document();
        let page = Bytes::from(page::html(&document));
        let document = Bytes::from(document.to_string() + "\n");
        let guarded = guarded
            .with_state(self.clone())
            .layer(from_fn_with_state(self.clone(), once::once))
            .layer(from_fn_with_state(self.clone(), authenticate));
        let login = self.accounts.clone().map(AccountsApi::router).unwrap_or_default();
        Router::new()
            .route(document::DOCUMENT, get(|| async move { file("application/json", None, document) }))
            .route(
                document::PAGE,
                get(|| async move { file("text/html; charset=utf-8", Some(page::POLICY), page) }),
            )
            .merge(guarded)
            .layer(from_fn_with_state(self, count))
            .merge(login)
            .route("/api/v1/{*path}", any(unknown))
            .layer(DefaultBodyLimit::max(limits::API_BODY_BYTES_MAX))
            .layer(from_fn(describe))
    }
}

async fn count(
    State(service): State<Arc<ApiService>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    service.count(address)?;
    Ok(next.run(request).await)
}

async fn authenticate(
    State(service): State<Arc<ApiService>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let caller = Caller::authenticate(&service, request.headers()).await?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

async fn unknown() -> Problem {
    let text = "there is nothing at this path; /api/v1/openapi.json describes what there is";
    Problem::new(StatusCode::NOT_FOUND, text).with_code("NOT_FOUND")
}

async fn describe(request: Request, next: Next) -> Response {
    let too_long = format!("the body must have at most {} bytes", limits::API_BODY_BYTES_MAX);
    problem::describe(next.run(request).await, &too_long)
}

fn file(content_type: &'static str, policy: Option<&'static str>, content: Bytes) -> Response {
    let policy = policy.map(|policy| [(header::CONTENT_SECURITY_POLICY, policy)]);
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-cache")], policy, content)
        .into_response()
}
