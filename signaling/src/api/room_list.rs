//! `/api/v1/rooms`: rooms, their settings, and the end of a call.

use super::Problem;
use super::caller::Caller;
use super::input::{JsonBody, PageQuery, QueryString, json, next_cursor, whole};
use super::service::ApiService;
use crate::proto::SetRoom;
use crate::rooms::{RoomKey, RoomOverview};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A room with participants, or with clients that wait.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Room)]
pub(super) struct RoomView {
    /// Its name.
    name: String,
    /// Number of its participants.
    participant_count: u32,
    /// Number of clients that wait until an administrator admits them.
    waiting_count: u32,
    /// Maximum number of participants; 0: that of the server.
    max_peers: u32,
    /// Whether only administrators may join.
    locked: bool,
    /// Whether all others wait until an administrator admits them.
    waiting_room: bool,
    /// Who may publish.
    publishers: PublisherChoice,
    /// Whether clients encrypt end to end.
    encrypted: bool,
    /// Number of users that are banned.
    bans: u32,
}

/// Who may publish in a room.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Publishers)]
pub(super) enum PublisherChoice {
    /// Everyone whose permissions allow it.
    Everyone,
    /// Administrators only.
    Admins,
}

/// A page of rooms, by name.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RoomPage)]
pub(super) struct RoomPageView {
    /// The rooms.
    rooms: Vec<RoomView>,
    /// `cursor` of the next page; absent after the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// Settings of a room; those that are absent stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RoomChange)]
pub(super) struct RoomChange {
    /// Whether only administrators may join.
    locked: Option<bool>,
    /// Whether all others wait until an administrator admits them.
    waiting_room: Option<bool>,
    /// Maximum number of participants; 0: that of the server.
    #[serde(default, deserialize_with = "whole::deserialize")]
    #[schema(minimum = 0, maximum = 1000)]
    max_peers: Option<u32>,
    /// Who may publish.
    publishers: Option<PublisherChoice>,
    /// Whether clients encrypt end to end. The server only passes it on.
    encrypted: Option<bool>,
    /// True ends all bans.
    clear_bans: Option<bool>,
}

/// Why participants are removed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReasonQuery {
    /// For the participants: at most 256 characters, none of them a control character.
    #[param(max_length = 256, nullable = false)]
    reason: Option<String>,
}

impl From<RoomOverview> for RoomView {
    fn from(room: RoomOverview) -> Self {
        Self {
            name: room.name,
            participant_count: room.peer_count as u32,
            waiting_count: room.waiting_count as u32,
            max_peers: room.peers_max.map_or(0, |max| max as u32),
            locked: room.is_locked,
            waiting_room: room.has_waiting_room,
            publishers: if room.admins_publish { PublisherChoice::Admins } else { PublisherChoice::Everyone },
            encrypted: room.is_encrypted,
            bans: room.ban_count as u32,
        }
    }
}

/// Lists the rooms of the project
///
/// Administrators get all rooms; a token for one room gets that one. A room exists while participants are in it.
#[utoipa::path(get, path = "/api/v1/rooms", tag = "rooms", params(PageQuery),
    responses((status = 200, description = "A page of rooms", body = RoomPageView)))]
pub(super) async fn list_rooms(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    QueryString(page): QueryString<PageQuery>,
) -> Result<Response, Problem> {
    let (limit, after) = (page.limit()?, page.after("rooms")?);
    let is_admin = caller.is_admin_of_lists();
    let mut rooms: Vec<RoomView> = match caller.lists()? {
        Some(one) => {
            let is_next = after.as_deref().is_none_or(|after| one > after);
            let room = service.rooms.room_overview(&RoomKey::new(&*caller.project, one), is_admin);
            room.filter(|_| is_next).map(RoomView::from).into_iter().collect()
        }
        None => {
            let found = service.rooms.room_page(&caller.project, after.as_deref(), limit + 1, is_admin);
            found.into_iter().map(RoomView::from).collect()
        }
    };
    let next_cursor = next_cursor(&mut rooms, limit, "rooms", |room| &room.name);
    Ok(json(StatusCode::OK, &RoomPageView { rooms, next_cursor }))
}

/// Reads a room
#[utoipa::path(get, path = "/api/v1/rooms/{room}", tag = "rooms",
    params(("room" = String, Path, description = "The name of the room", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")),
    responses((status = 200, description = "The room", body = RoomView)))]
pub(super) async fn get_room(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    Path(room): Path<String>,
) -> Result<Response, Problem> {
    let (room, is_admin) = caller.reads(&room)?;
    show(&service, &room, is_admin)
}

/// Changes the settings of a room
///
/// For example `{"locked": true}`: only administrators may join. What the new settings do not permit is closed.
#[utoipa::path(patch, path = "/api/v1/rooms/{room}", tag = "rooms", request_body = RoomChange,
    params(("room" = String, Path, description = "The name of the room", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")),
    responses((status = 200, description = "The room after the change", body = RoomView)))]
pub(super) async fn change_room(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    Path(room): Path<String>,
    JsonBody(change): JsonBody<RoomChange>,
) -> Result<Response, Problem> {
    let room = caller.administers(&room)?;
    check_exists(&service, &room)?;
    let publishers = change.publishers.map(|publishers| match publishers {
        PublisherChoice::Everyone => "everyone".to_owned(),
        PublisherChoice::Admins => "admins".to_owned(),
    });
    let set = SetRoom {
        max_peers: change.max_peers,
        locked: change.locked,
        waiting_room: change.waiting_room,
        publishers,
        encrypted: change.encrypted,
        clear_bans: change.clear_bans,
    };
    service.rooms.operator(room.clone(), caller.actor).set(&set)?;
    show(&service, &room, true)
}

/// Ends the call for all participants
///
/// All are removed from the room. Their tokens stay valid: lock the room first, or issue short tokens, if they must not
/// return.
#[utoipa::path(delete, path = "/api/v1/rooms/{room}", tag = "rooms",
    params(("room" = String, Path, description = "The name of the room", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$"), ReasonQuery),
    responses((status = 204, description = "The room is empty")))]
pub(super) async fn end_room(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    Path(room): Path<String>,
    QueryString(query): QueryString<ReasonQuery>,
) -> Result<Response, Problem> {
    let room = caller.administers(&room)?;
    check_exists(&service, &room)?;
    let reason = query.reason.unwrap_or_default();
    service.rooms.operator(room, caller.actor).end(&reason)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn show(service: &ApiService, room: &RoomKey, is_admin: bool) -> Result<Response, Problem> {
    let found = service.rooms.room_overview(room, is_admin).ok_or_else(|| no_such_room(room))?;
    Ok(json(StatusCode::OK, &RoomView::from(found)))
}

/// Checks that a room exists, for its administrator.
pub(super) fn check_exists(service: &ApiService, room: &RoomKey) -> Result<(), Problem> {
    service.rooms.room_overview(room, true).map(|_| ()).ok_or_else(|| no_such_room(room))
}

pub(super) fn no_such_room(room: &RoomKey) -> Problem {
    let text = format!("there is no room {:?}: a room exists while participants are in it", room.name);
    Problem::new(StatusCode::NOT_FOUND, text).with_code("NO_SUCH_ROOM")
}
