//! `POST /api/v1/tokens`: a token for a room, for another user too.

use super::Problem;
use super::caller::{AccountRights, Caller};
use super::input::{JsonBody, json, object, whole};
use super::service::ApiService;
use crate::auth::token::{self, Permissions};
use crate::limits;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// What a token contains.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewToken)]
pub(super) struct NewTokenBody {
    /// The room that it admits to, or `*` for every room of the project.
    #[schema(min_length = 1, max_length = 64, pattern = "^([A-Za-z0-9._-]+|[*])$", example = "stage")]
    room: String,
    /// The user: 1 to 128 characters in at most 256 bytes, none of them a control character. Users mint tokens for
    /// themselves, and need not name themselves.
    #[schema(min_length = 1, max_length = 128, example = "ada")]
    user: Option<String>,
    /// The name that other participants see; that of the user by default.
    #[schema(min_length = 1, max_length = 64)]
    name: Option<String>,
    /// The lifetime in seconds; 3600 by default, which is also the maximum for users.
    #[serde(default, deserialize_with = "whole::deserialize")]
    #[schema(minimum = 1, maximum = 86400)]
    ttl_s: Option<u32>,
    /// What the participant may do; the default of each permission is that of a token without it.
    #[serde(default, deserialize_with = "object")]
    permissions: Option<WantedPermissions>,
}

/// Permissions of a token. Those that are absent have their default.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schema(as = TokenPermissions)]
pub(super) struct WantedPermissions {
    /// May join; true by default.
    can_join: Option<bool>,
    /// May join a room that does not exist yet; true by default.
    can_create_room: Option<bool>,
    /// May publish; true by default.
    can_publish: Option<bool>,
    /// The sources that it may publish, for example `microphone`; all by default.
    #[schema(max_items = 16)]
    can_publish_sources: Option<Vec<String>>,
    /// May receive; true by default.
    can_subscribe: Option<bool>,
    /// May send data and messages; true by default.
    can_publish_data: Option<bool>,
    /// May change its own name and metadata; false by default.
    can_update_own_metadata: Option<bool>,
    /// May use plain RTP; false by default.
    can_use_plain_transports: Option<bool>,
    /// Is an administrator of the room; false by default.
    admin: Option<bool>,
    /// Is not seen by others, and cannot publish; false by default.
    hidden: Option<bool>,
}

/// A token for a room.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Token)]
pub(super) struct TokenView {
    /// The JWT: for `JoinRoom.token`, WHIP, WHEP, GraphQL and this API.
    token: String,
    /// Seconds since 1970.
    expires_at: u64,
    /// The room.
    room: String,
    /// The user.
    user: String,
    /// What it permits.
    permissions: Permissions,
}

impl From<WantedPermissions> for Permissions {
    fn from(wanted: WantedPermissions) -> Self {
        let default = Self::default();
        Self {
            can_join: wanted.can_join.unwrap_or(default.can_join),
            can_create_room: wanted.can_create_room.unwrap_or(default.can_create_room),
            can_publish: wanted.can_publish.unwrap_or(default.can_publish),
            can_publish_sources: wanted.can_publish_sources,
            can_subscribe: wanted.can_subscribe.unwrap_or(default.can_subscribe),
            can_publish_data: wanted.can_publish_data.unwrap_or(default.can_publish_data),
            can_update_own_metadata: wanted
                .can_update_own_metadata
                .unwrap_or(default.can_update_own_metadata),
            can_use_plain_transports: wanted
                .can_use_plain_transports
                .unwrap_or(default.can_use_plain_transports),
            admin: wanted.admin.unwrap_or(default.admin),
            hidden: wanted.hidden.unwrap_or(default.hidden),
        }
    }
}

/// Mints a token for a room
///
/// API keys and administrators mint tokens for each user and room of their project. Users mint them for themselves, for
/// one room, with the default permissions at most. Tokens for rooms mint no tokens: those would outlive them.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = NewTokenBody,
    responses((status = 201, description = "The token", body = TokenView)))]
pub(super) async fn mint_token(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    JsonBody(wanted): JsonBody<NewTokenBody>,
) -> Result<Response, Problem> {
    let NewTokenBody { room, user, name, ttl_s, permissions } = wanted;
    let permissions = Permissions::from(permissions.unwrap_or_default());
    let user = match &caller.accounts {
        AccountRights::Manages => user.ok_or_else(|| Problem::field("user", "the user of the token"))?,
        AccountRights::Own(own) => {
            if user.is_some_and(|user| user != own.name) {
                return Err(Problem::forbidden("users mint tokens for themselves only: leave user out"));
            }
            check_default(&permissions, &room, ttl_s)?;
            own.name.clone()
        }
        AccountRights::None => {
            let text = "an API key or the session of a login mints tokens; a token for a room does not";
            return Err(Problem::forbidden(text));
        }
    };
    if room != "*" {
        token::check_room(&room).map_err(|wanted| Problem::field("room", format!("* or {wanted}")))?;
    }
    token::check_user(&user).map_err(|wanted| Problem::field("user", wanted))?;
    check_name(name.as_deref())?;
    check_sources(&permissions)?;
    let ttl = ttl_s.map_or(limits::ROOM_TOKEN_TTL, |seconds| Duration::from_secs(seconds.into()));
    if ttl.is_zero() || ttl > limits::API_TOKEN_TTL_MAX {
        let max = limits::API_TOKEN_TTL_MAX.as_secs();
        return Err(Problem::field("ttlS", format!("a whole number from 1 to {max}")));
    }
    let accounts = service.accounts.as_ref();
    service.store()?;
    let accounts = accounts.ok_or_else(Problem::internal)?;
    let minted = accounts.mint(&caller.project, &user, name, &room, &permissions, ttl).await?;
    let (token, expires_at) = minted;
    Ok(json(StatusCode::CREATED, &TokenView { token, expires_at, room, user, permissions }))
}

/// Checks that a user asks for nothing that only an administrator may give.
fn check_default(permissions: &Permissions, room: &str, ttl_s: Option<u32>) -> Result<(), Problem> {
    let Permissions { can_update_own_metadata, can_use_plain_transports, admin, hidden, .. } = *permissions;
    let beyond = [
        ("canUpdateOwnMetadata", can_update_own_metadata),
        ("canUsePlainTransports", can_use_plain_transports),
        ("admin", admin),
        ("hidden", hidden),
    ];
    if let Some((name, _)) = beyond.into_iter().find(|(_, is_wanted)| *is_wanted) {
        return Err(Problem::forbidden(format!(
            "only administrators mint tokens with the permission {name}"
        )));
    }
    if room == "*" {
        return Err(Problem::forbidden("only administrators mint tokens for every room"));
    }
    if ttl_s.is_some_and(|ttl| u64::from(ttl) > limits::ROOM_TOKEN_TTL.as_secs()) {
        let max = limits::ROOM_TOKEN_TTL.as_secs();
        return Err(Problem::forbidden(format!(
            "only administrators mint tokens for more than {max} seconds"
        )));
    }
    Ok(())
}

fn check_name(name: Option<&str>) -> Result<(), Problem> {
    let Some(name) = name else { return Ok(()) };
    let max = limits::DISPLAY_NAME_LEN_MAX;
    if (1..=max).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Problem::field("name", format!("1 to {max} characters, none of them a control character")))
}

fn check_sources(permissions: &Permissions) -> Result<(), Problem> {
    let sources = permissions.can_publish_sources.as_deref().unwrap_or_default();
    let field = "permissions.canPublishSources";
    if sources.len() > limits::PUBLISH_SOURCES_MAX {
        return Err(Problem::field(field, format!("at most {} sources", limits::PUBLISH_SOURCES_MAX)));
    }
    sources
        .iter()
        .try_for_each(|source| token::check_source(source))
        .map_err(|wanted| Problem::field(field, format!("each {wanted}")))
}
