//! `/api/v1/keys`: API keys, with which applications sign tokens and use this API.

use super::Problem;
use super::caller::Caller;
use super::input::{JsonBody, PageQuery, QueryString, json, next_cursor};
use super::service::ApiService;
use crate::auth::key;
use crate::limits;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use stores::accounts::ApiKey;
use stores::accounts::limits::LABEL_LEN_MAX;
use utoipa::ToSchema;

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Key)]
pub(super) struct KeyView {
    /// `kid` in the header of tokens, and the user name of Basic authentication.
    id: String,
    /// Whether the server itself signs tokens with it.
    server: bool,
    /// A note; may be empty.
    label: String,
    /// Milliseconds since 1970.
    created_at_ms: i64,
    /// When it was revoked, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revoked_at_ms: Option<i64>,
}

/// A new API key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KeyWithSecret)]
pub(super) struct KeyWithSecretView {
    /// The key.
    key: KeyView,
    /// Signs tokens (HS256), and is the password of Basic authentication. It cannot be read again.
    secret: String,
}

/// A page of keys, in the order of their creation; the revoked ones too.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KeyPage)]
pub(super) struct KeyPageView {
    /// The keys.
    keys: Vec<KeyView>,
    /// `cursor` of the next page; absent after the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A key that is added.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewKey)]
pub(super) struct NewKeyBody {
    /// A note: at most 128 characters, none of them a control character. Empty by default.
    #[schema(max_length = 128, example = "web shop")]
    label: Option<String>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            server: key.is_server,
            label: key.label,
            created_at_ms: key.created_at,
            revoked_at_ms: key.revoked_at,
        }
    }
}

/// Lists the API keys of the project
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys", params(PageQuery),
    responses((status = 200, description = "A page of keys", body = KeyPageView)))]
pub(super) async fn list_keys(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    QueryString(page): QueryString<PageQuery>,
) -> Result<Response, Problem> {
    caller.manages_accounts()?;
    let (limit, after) = (page.limit()?, page.after("keys")?);
    let found = service.store()?.api_keys(&caller.project).await;
    let found = found.map_err(|error| Problem::of_store(&error))?;
    let is_next = |key: &ApiKey| after.as_ref().is_none_or(|after| key.id > *after);
    let mut keys: Vec<KeyView> = found.into_iter().filter(is_next).map(KeyView::from).collect();
    let next_cursor = next_cursor(&mut keys, limit, "keys", |key| &key.id);
    Ok(json(StatusCode::OK, &KeyPageView { keys, next_cursor }))
}

/// Adds an API key
///
/// All processes know it within seconds.
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", request_body = NewKeyBody,
    responses((status = 201, description = "The key and its secret", body = KeyWithSecretView)))]
pub(super) async fn add_key(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    JsonBody(new): JsonBody<NewKeyBody>,
) -> Result<Response, Problem> {
    caller.manages_accounts()?;
    let label = new.label.unwrap_or_default();
    if label.chars().count() > LABEL_LEN_MAX || label.chars().any(char::is_control) {
        let expected = format!("at most {LABEL_LEN_MAX} characters, none of them a control character");
        return Err(Problem::field("label", expected));
    }
    let added = service.store()?.add_api_key(&caller.actor, &caller.project, &label).await;
    let added = added.map_err(|error| Problem::of_store(&error))?;
    let secret = added.secret.clone();
    Ok(json(StatusCode::CREATED, &KeyWithSecretView { key: added.into(), secret }))
}

/// Revokes an API key
///
/// Tokens that it signed are refused, and their participants are removed, within seconds. If it is the key of the
/// server, the project gets another one.
#[utoipa::path(delete, path = "/api/v1/keys/{id}", tag = "keys",
    params(("id" = String, Path, description = "The id of the key", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")),
    responses((status = 204, description = "The key is revoked")))]
pub(super) async fn revoke_key(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    caller.manages_accounts()?;
    key::check_id(&id)
        .map_err(|_| Problem::field("id", format!("1 to {} of A-Z a-z 0-9 . _ -", limits::KEY_ID_LEN_MAX)))?;
    let revoked = service.store()?.revoke_api_key(&caller.actor, &caller.project, &id).await;
    revoked.map_err(|error| Problem::of_store(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
