//! `/api/v1/users`: the accounts of people who log in with a password.

use super::Problem;
use super::caller::{AccountRights, Caller};
use super::input::{JsonBody, PageQuery, QueryString, json, next_cursor};
use super::service::ApiService;
use crate::auth::token;
use crate::limits;
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use stores::accounts::{HashError, NewUser, User, check_password};
use utoipa::ToSchema;

/// A user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub(super) struct UserView {
    /// Permanent; used in the audit log.
    id: String,
    /// The name with which the user logs in; the user in tokens.
    name: String,
    /// Whether the user administers the project.
    admin: bool,
    /// Whether the user may not log in.
    disabled: bool,
    /// Milliseconds since 1970.
    created_at_ms: i64,
}

/// A page of users, in the order of their creation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UserPage)]
pub(super) struct UserPageView {
    /// The users.
    users: Vec<UserView>,
    /// `cursor` of the next page; absent after the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A user that is added.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewUser)]
pub(super) struct NewUserBody {
    /// 1 to 128 characters in at most 256 bytes, none of them a control character.
    #[schema(min_length = 1, max_length = 128, example = "ada")]
    name: String,
    /// At least 8 characters, in at most 1024 bytes.
    #[schema(min_length = 8, max_length = 1024, format = Password)]
    password: String,
    /// Whether the user administers the project; false by default.
    admin: Option<bool>,
}

/// What is changed of a user; what is absent stays as it is. A change ends the sessions and calls of the user, except
/// that enabling a user does not.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = UserChange)]
pub(super) struct UserChange {
    /// Whether the user may not log in.
    disabled: Option<bool>,
    /// A new password: at least 8 characters, in at most 1024 bytes.
    #[schema(min_length = 8, max_length = 1024, format = Password)]
    password: Option<String>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            name: user.name,
            admin: user.is_admin,
            disabled: user.is_disabled,
            created_at_ms: user.created_at,
        }
    }
}

/// Lists the users of the project
#[utoipa::path(get, path = "/api/v1/users", tag = "users", params(PageQuery),
    responses((status = 200, description = "A page of users", body = UserPageView)))]
pub(super) async fn list_users(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    QueryString(page): QueryString<PageQuery>,
) -> Result<Response, Problem> {
    caller.manages_accounts()?;
    let (limit, after) = (page.limit()?, page.after("users")?);
    let found = service.store()?.users(&caller.project, after.as_deref().unwrap_or_default()).await;
    let found = found.map_err(|error| Problem::of_store(&error))?;
    let mut users: Vec<UserView> = found.into_iter().map(UserView::from).collect();
    let next_cursor = next_cursor(&mut users, limit, "users", |user| &user.id);
    Ok(json(StatusCode::OK, &UserPageView { users, next_cursor }))
}

/// Adds a user
#[utoipa::path(post, path = "/api/v1/users", tag = "users", request_body = NewUserBody,
    responses((status = 201, description = "The user", body = UserView)))]
pub(super) async fn add_user(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    JsonBody(new): JsonBody<NewUserBody>,
) -> Result<Response, Problem> {
    caller.manages_accounts()?;
    let store = service.store()?;
    check_name(&new.name)?;
    let password_hash = hash(&service, &caller, &new.password).await?;
    let user =
        NewUser { name: &new.name, password_hash: &password_hash, is_admin: new.admin.unwrap_or(false) };
    let added = store.add_user(&caller.actor, &caller.project, user).await;
    let added = added.map_err(|error| Problem::of_store(&error))?;
    Ok(json(StatusCode::CREATED, &UserView::from(added)))
}

/// Reads a user
///
/// Users read themselves; administrators read each user of the project.
#[utoipa::path(get, path = "/api/v1/users/{name}", tag = "users",
    params(("name" = String, Path, description = "The name of the user", min_length = 1, max_length = 128)),
    responses((status = 200, description = "The user", body = UserView)))]
pub(super) async fn get_user(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    match &caller.accounts {
        AccountRights::Own(own) if own.name == name => {}
        _ => caller.manages_accounts()?,
    }
    check_name(&name)?;
    show(&service, &caller, &name).await
}

/// Changes a user
#[utoipa::path(patch, path = "/api/v1/users/{name}", tag = "users", request_body = UserChange,
    params(("name" = String, Path, description = "The name of the user", min_length = 1, max_length = 128)),
    responses((status = 200, description = "The user after the change", body = UserView)))]
pub(super) async fn change_user(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    JsonBody(change): JsonBody<UserChange>,
) -> Result<Response, Problem> {
    caller.manages_accounts()?;
    let store = service.store()?;
    check_name(&name)?;
    if let Some(password) = &change.password {
        let hash = hash(&service, &caller, password).await?;
        let set = store.set_password(&caller.actor, &caller.project, &name, &hash).await;
        set.map_err(|error| Problem::of_store(&error))?;
    }
    if let Some(disabled) = change.disabled {
        let set = store.set_user_disabled(&caller.actor, &caller.project, &name, disabled).await;
        set.map_err(|error| Problem::of_store(&error))?;
    }
    show(&service, &caller, &name).await
}

/// Erases a user
///
/// It ends the sessions and calls of the user. The audit log keeps the id, without a name.
#[utoipa::path(delete, path = "/api/v1/users/{name}", tag = "users",
    params(("name" = String, Path, description = "The name of the user", min_length = 1, max_length = 128)),
    responses((status = 204, description = "The user is erased")))]
pub(super) async fn delete_user(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    caller.manages_accounts()?;
    check_name(&name)?;
    let deleted = service.store()?.delete_user(&caller.actor, &caller.project, &name).await;
    deleted.map_err(|error| Problem::of_store(&error))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn show(service: &ApiService, caller: &Caller, name: &str) -> Result<Response, Problem> {
    let found = service.store()?.user(&caller.project, name).await;
    let found = found.map_err(|error| Problem::of_store(&error))?;
    let none = || {
        let text = format!("there is no user {name:?} in this project");
        Problem::new(StatusCode::NOT_FOUND, text).with_code("NOT_FOUND")
    };
    Ok(json(StatusCode::OK, &UserView::from(found.ok_or_else(none)?)))
}

fn check_name(name: &str) -> Result<(), Problem> {
    token::check_user(name).map_err(|wanted| Problem::field("name", wanted))
}

async fn hash(service: &ApiService, caller: &Caller, password: &str) -> Result<String, Problem> {
    check_password(password)
        .map_err(|_| Problem::field("password", "at least 8 characters, in at most 1024 bytes"))?;
    service.count_password(&caller.project)?;
    let accounts = service.accounts.as_ref().ok_or_else(Problem::internal)?;
    accounts.passwords().hash(password).await.map_err(|error| match error {
        HashError::Busy(error) => Problem::limit(error.to_string(), limits::QUOTA_PAUSE),
        HashError::Refused(error) => Problem::of_store(&error),
    })
}
