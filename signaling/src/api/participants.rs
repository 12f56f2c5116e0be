//! `/api/v1/rooms/{room}/participants`: the peers of a room, and what an administrator does to them.

use super::Problem;
use super::caller::Caller;
use super::input::{JsonBody, PageQuery, QueryString, json, next_cursor};
use super::room_list::{check_exists, no_such_room};
use super::service::ApiService;
use crate::auth::token::Permissions;
use crate::proto::{Kick, MutePeer};
use crate::rooms::{Overrides, PeerDetails, PeerId, ProducerOverview};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A participant: one connection of a user. A user may be in a room with several.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Participant)]
pub(super) struct ParticipantView {
    /// Names it in this room.
    #[schema(min_length = 16, max_length = 16, pattern = "^[0-9a-f]{16}$")]
    id: String,
    /// The user in its token.
    user: String,
    /// The name that other participants see.
    display_name: String,
    /// What the application stored with it.
    metadata: String,
    /// False while its connection is lost; its media may still flow.
    connected: bool,
    /// Whether an administrator muted its audio.
    audio_muted: bool,
    /// Whether an administrator muted its video.
    video_muted: bool,
    /// What it may do.
    permissions: Permissions,
    /// What it publishes.
    tracks: Vec<TrackView>,
}

/// What a participant publishes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Track)]
struct TrackView {
    /// The id of its producer.
    id: String,
    /// `audio` or `video`.
    kind: &'static str,
    /// For example `camera`.
    source: String,
    /// Whether nothing is sent: the participant paused it, or an administrator muted it.
    paused: bool,
    /// Whether an administrator muted it.
    muted: bool,
}

/// A page of participants, by id.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ParticipantPage)]
pub(super) struct ParticipantPageView {
    /// The participants.
    participants: Vec<ParticipantView>,
    /// `cursor` of the next page; absent after the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// Permissions of a participant; those that are absent stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ParticipantChange)]
pub(super) struct ParticipantChange {
    /// Whether it is an administrator of the room.
    admin: Option<bool>,
    /// Whether it may publish audio and video.
    can_publish: Option<bool>,
    /// Whether it may receive audio and video.
    can_subscribe: Option<bool>,
    /// Whether it may send data and messages.
    can_publish_data: Option<bool>,
}

/// What is muted.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Mute)]
pub(super) struct MuteBody {
    /// True mutes; false ends that. The participant cannot end it.
    muted: bool,
    /// Audio or video; both if it is absent.
    kind: Option<MutedKind>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = MediaKind)]
enum MutedKind {
    Audio,
    Video,
}

/// How a participant is removed.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct RemovalQuery {
    /// For the participant: at most 256 characters, none of them a control character.
    #[param(max_length = 256, nullable = false)]
    reason: Option<String>,
    /// Bans the user from the room, with all participants of the user, instead of revoking the token.
    #[param(nullable = false)]
    ban: Option<bool>,
    /// The time of the ban in seconds; until the room ends if it is absent.
    #[param(minimum = 1, maximum = 4294967295u32, nullable = false)]
    ban_seconds: Option<u32>,
    /// Revokes all tokens that the user has got so far.
    #[param(nullable = false)]
    whole_user: Option<bool>,
}

impl From<PeerDetails> for ParticipantView {
    fn from(peer: PeerDetails) -> Self {
        Self {
            id: peer.id.to_string(),
            user: peer.user,
            display_name: peer.display_name,
            metadata: peer.metadata,
            connected: peer.is_connected,
            audio_muted: peer.is_audio_muted,
            video_muted: peer.is_video_muted,
            permissions: peer.permissions,
            tracks: peer.producers.into_iter().map(TrackView::from).collect(),
        }
    }
}

impl From<ProducerOverview> for TrackView {
    fn from(producer: ProducerOverview) -> Self {
        let ProducerOverview { id, kind, source, is_paused, is_muted } = producer;
        Self { id, kind, source, paused: is_paused, muted: is_muted }
    }
}

/// Lists the participants of a room
#[utoipa::path(get, path = "/api/v1/rooms/{room}/participants", tag = "participants",
    params(("room" = String, Path, description = "The name of the room", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$"), PageQuery),
    responses((status = 200, description = "A page of participants", body = ParticipantPageView)))]
pub(super) async fn list_participants(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    Path(room): Path<String>,
    QueryString(page): QueryString<PageQuery>,
) -> Result<Response, Problem> {
    let (room, is_admin) = caller.reads(&room)?;
    let (limit, after) = (page.limit()?, page.after("participants")?);
    let after = after.map(|after| u64::from_str_radix(&after, 16).map(PeerId)).transpose();
    let after =
        after.map_err(|_| Problem::field("cursor", "nextCursor of the previous page of this list"))?;
    let found = service.rooms.peer_page(&room, after, limit + 1, is_admin);
    let found = found.ok_or_else(|| no_such_room(&room))?;
    let mut participants: Vec<_> = found.into_iter().map(ParticipantView::from).collect();
    let next_cursor = next_cursor(&mut participants, limit, "participants", |participant| &participant.id);
    Ok(json(StatusCode::OK, &ParticipantPageView { participants, next_cursor }))
}

/// Reads a participant
#[utoipa::path(get, path = "/api/v1/rooms/{room}/participants/{id}", tag = "participants",
    params(("room" = String, Path, description = "The name of the room", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$"),
        ("id" = String, Path, description = "The id of the participant", min_length = 16, max_length = 16, pattern = "^[0-9a-f]+$")),
    responses((status = 200, description = "The participant", body = ParticipantView)))]
pub(super) async fn get_participant(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    Path((room, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (room, is_admin) = caller.reads(&room)?;
    check_id(&id)?;
    let found = service.rooms.peer_details(&room, &id, is_admin)?;
    Ok(json(StatusCode::OK, &ParticipantView::from(found)))
}

/// Changes permissions of a participant
///
/// It applies until the participant leaves, also if it gets a new token. What it may not do any more is closed at once.
#[utoipa::path(patch, path = "/api/v1/rooms/{room}/participants/{id}", tag = "participants", request_body = ParticipantChange,
    params(("room" = String, Path, description = "The name of the room", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$"),
        ("id" = String, Path, description = "The id of the participant", min_length = 16, max_length = 16, pattern = "^[0-9a-f]+$")),
    responses((status = 200, description = "The participant after the change", body = ParticipantView)))]
pub(super) async fn change_participant(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    Path((room, id)): Path<(String, String)>,
    JsonBody(change): JsonBody<ParticipantChange>,
) -> Result<Response, Problem> {
    let room = caller.administers(&room)?;
    check_id(&id)?;
    check_exists(&service, &room)?;
    let ParticipantChange { admin, can_publish, can_subscribe, can_publish_data } = change;
    let changes = Overrides { admin, can_publish, can_subscribe, can_publish_data };
    service.rooms.operator(room.clone(), caller.actor).set_permissions(&id, changes)?;
    let found = service.rooms.peer_details(&room, &id, true)?;
    Ok(json(StatusCode::OK, &ParticipantView::from(found)))
}

/// Mutes a participant, or ends that
///
/// The tracks of the participant are paused, also later ones.
#[utoipa::path(post, path = "/api/v1/rooms/{room}/participants/{id}/mute", tag = "participants", request_body = MuteBody,
    params(("room" = String, Path, description = "The name of the room", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$"),
        ("id" = String, Path, description = "The id of the participant", min_length = 16, max_length = 16, pattern = "^[0-9a-f]+$")),
    responses((status = 200, description = "The participant after the change", body = ParticipantView)))]
pub(super) async fn mute_participant(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    Path((room, id)): Path<(String, String)>,
    JsonBody(mute): JsonBody<MuteBody>,
) -> Result<Response, Problem> {
    let room = caller.administers(&room)?;
    check_id(&id)?;
    check_exists(&service, &room)?;
    let kind = match mute.kind {
        None => "",
        Some(MutedKind::Audio) => "audio",
        Some(MutedKind::Video) => "video",
    };
    let mute = MutePeer { peer_id: id.clone(), kind: kind.to_owned(), muted: mute.muted };
    service.rooms.operator(room.clone(), caller.actor).mute(&mute).await?;
    let found = service.rooms.peer_details(&room, &id, true)?;
    Ok(json(StatusCode::OK, &ParticipantView::from(found)))
}

/// Removes a participant
///
/// Its token is revoked, so that it cannot return with it; or its user is banned from the room.
#[utoipa::path(delete, path = "/api/v1/rooms/{room}/participants/{id}", tag = "participants",
    params(("room" = String, Path, description = "The name of the room", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$"),
        ("id" = String, Path, description = "The id of the participant", min_length = 16, max_length = 16, pattern = "^[0-9a-f]+$"), RemovalQuery),
    responses((status = 204, description = "It was removed")))]
pub(super) async fn remove_participant(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    Path((room, id)): Path<(String, String)>,
    QueryString(removal): QueryString<RemovalQuery>,
) -> Result<Response, Problem> {
    let room = caller.administers(&room)?;
    check_id(&id)?;
    let RemovalQuery { reason, ban, ban_seconds, whole_user } = removal;
    let (ban, whole_user) = (ban.unwrap_or(false), whole_user.unwrap_or(false));
    if ban_seconds == Some(0) {
        return Err(Problem::field(
            "banSeconds",
            "a whole number from 1; leave it out for a ban without an end",
        ));
    }
    if ban_seconds.is_some() && !ban {
        return Err(Problem::field("banSeconds", "only together with ban=true"));
    }
    if ban && whole_user {
        return Err(Problem::field("wholeUser", "only without ban=true, which concerns the user anyway"));
    }
    check_exists(&service, &room)?;
    let kick = Kick {
        peer_id: id,
        reason: reason.unwrap_or_default(),
        whole_user,
        ban,
        ban_seconds: ban_seconds.unwrap_or(0),
    };
    service.rooms.operator(room, caller.actor).kick(&kick)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Checks the form of the id of a participant.
pub(super) fn check_id(id: &str) -> Result<(), Problem> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if id.len() == 16 && id.bytes().all(is_digit) {
        return Ok(());
    }
    Err(Problem::field("id", "16 hexadecimal digits in lower case, as in the list of participants"))
}
