//! `/api/v1/audit`: who did what in the project.

use super::Problem;
use super::caller::Caller;
use super::input::{PageQuery, QueryString, json, next_cursor};
use super::service::ApiService;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use stores::accounts::AuditEntry;
use utoipa::ToSchema;

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub(super) struct AuditEntryView {
    /// Orders entries by time.
    id: String,
    /// Milliseconds since 1970.
    at_ms: i64,
    /// Who: `user:ID`, `key:ID`, `participant:NAME`, `cli:NAME` or `system`.
    actor: String,
    /// The name of the actor, if it is a user that exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    actor_name: Option<String>,
    /// What, for example `peer.kick`.
    action: String,
    /// To what: for example `user:ID` or `room:NAME`.
    target: String,
    /// The name of the target, if it is a user that exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    target_name: Option<String>,
    /// More about it; may be empty.
    details: String,
}

/// A page of entries, the newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditPage)]
pub(super) struct AuditPageView {
    /// The entries.
    entries: Vec<AuditEntryView>,
    /// `cursor` of the next page; absent after the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl From<AuditEntry> for AuditEntryView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            id: entry.id,
            at_ms: entry.at,
            actor: entry.actor,
            actor_name: entry.actor_name,
            action: entry.action,
            target: entry.target,
            target_name: entry.target_name,
            details: entry.details,
        }
    }
}

/// Reads the audit log of the project
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(PageQuery),
    responses((status = 200, description = "A page of entries", body = AuditPageView)))]
pub(super) async fn list_audit(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    QueryString(page): QueryString<PageQuery>,
) -> Result<Response, Problem> {
    caller.manages_accounts()?;
    let (limit, before) = (page.limit()?, page.after("audit")?);
    let found = service.store()?.audit(Some(&caller.project), before.as_deref(), limit + 1).await;
    let found = found.map_err(|error| Problem::of_store(&error))?;
    let mut entries: Vec<AuditEntryView> = found.into_iter().map(AuditEntryView::from).collect();
    let next_cursor = next_cursor(&mut entries, limit, "audit", |entry| &entry.id);
    Ok(json(StatusCode::OK, &AuditPageView { entries, next_cursor }))
}
