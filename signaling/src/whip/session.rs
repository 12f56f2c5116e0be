//! The requests.

use super::bodies::{self, DESCRIPTION, FRAGMENT};
use super::credentials::bearer;
use super::problem;
use super::{Protocol, WhipApi, events};
use crate::api::Problem;
use crate::api::accounts::ClientAddress;
use crate::rooms::{Patched, Plan, Resource, Visitor, WantedLayers};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;

/// The query of a request that opens a session.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wishes {
    /// The display name.
    #[serde(default)]
    name: String,
    /// The peer to play: its id, its user or its display name.
    #[serde(default)]
    peer: Option<String>,
    /// Whether the answer to a player names the SSRCs of the tracks that play then.
    #[serde(default)]
    ssrc: bool,
    /// The layers of the video of an encoder (W3C WebRTC-SVC), which a description does not say.
    #[serde(default, rename = "scalabilityMode")]
    scalability_mode: String,
}

/// The body of a request for layers (WHEP, layer extension).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LayersBody {
    /// The MID; without it, the first video section.
    media_id: Option<String>,
    /// An encoding of simulcast, as in the event `layers`.
    encoding_id: Option<String>,
    spatial_layer_id: Option<u8>,
    temporal_layer_id: Option<u8>,
    max_spatial_layer_id: Option<u8>,
    max_temporal_layer_id: Option<u8>,
}

type Shared = State<Arc<WhipApi>>;

/// `POST /whip/{room}` and `POST /whep/{room}`: an offer opens a session.
pub(super) async fn open(
    State(api): Shared,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    Extension(protocol): Extension<Protocol>,
    Path(room): Path<String>,
    Query(wishes): Query<Wishes>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    bodies::check_type(&headers, DESCRIPTION)?;
    let sdp = bodies::text(&body)?;
    let credentials = bearer(&headers)?;
    let session = match protocol {
        Protocol::Whip => api.session_of_key(credentials, &room).await?,
        Protocol::Whep => None,
    };
    let token = if session.is_some() { String::new() } else { credentials.to_owned() };
    let plan = match protocol {
        Protocol::Whip => Plan::Nothing,
        Protocol::Whep => {
            Plan::Fill { only: wishes.peer.filter(|name| !name.is_empty()), names_ssrcs: wishes.ssrc }
        }
    };
    let visitor = Visitor {
        address,
        room: room.clone(),
        token,
        session,
        name: wishes.name,
        scalability_mode: wishes.scalability_mode,
    };
    let Resource { id, accepted, ice_servers } = api.rooms.open_resource(visitor, sdp, plan).await?;
    let location = format!("{}{room}/{id}", protocol.path());
    let mut response = (StatusCode::CREATED, accepted.sdp).into_response();
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(DESCRIPTION));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.insert(HeaderName::from_static("accept-patch"), HeaderValue::from_static(FRAGMENT));
    HeaderValue::from_str(&location).into_iter().for_each(|value| _ = answer.insert(header::LOCATION, value));
    bodies::entity_tag(&accepted.ice_ufrag).into_iter().for_each(|tag| _ = answer.insert(header::ETAG, tag));
    bodies::links(&ice_servers).for_each(|link| _ = answer.append(header::LINK, link));
    if protocol == Protocol::Whep {
        let extension = "urn:ietf:params:whep:ext:core";
        for link in [
            format!("<{location}/layers>; rel=\"{extension}:layer\""),
            format!(
                "<{location}/events>; rel=\"{extension}:server-sent-events\"; events=\"{}\"",
                events::NAMES
            ),
        ] {
            HeaderValue::from_str(&link).into_iter().for_each(|link| _ = answer.append(header::LINK, link));
        }
    }
    Ok(response)
}

/// `DELETE` of a session.
pub(super) async fn close(
    State(api): Shared,
    Extension(protocol): Extension<Protocol>,
    Path((room, session)): Path<(String, String)>,
) -> Result<Response, Problem> {
    if api.rooms.close_resource(protocol.name(&room, &session)) {
        Ok(StatusCode::OK.into_response())
    } else {
        Err(problem::no_session())
    }
}

/// `PATCH` of a session: candidates, or an ICE restart.
pub(super) async fn patch(
    State(api): Shared,
    Extension(protocol): Extension<Protocol>,
    Path((room, session)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let name = protocol.name(&room, &session);
    if !api.rooms.has_resource(name) {
        return Err(problem::no_session());
    }
    bodies::check_type(&headers, FRAGMENT)?;
    let condition = bodies::condition(&headers)?.ok_or_else(problem::no_condition)?;
    // A restart of ICE is completed even if the client closes its connection meanwhile.
    let body = bodies::text(&body)?.to_owned();
    let patching = tokio::spawn(async move {
        let name = protocol.name(&room, &session);
        api.rooms.patch_resource(name, &condition, &body).await
    });
    let patched = patching.await.map_err(|_| problem::internal())??;
    match patched.ok_or_else(problem::no_session)? {
        Patched::Mismatch => Err(problem::mismatch()),
        Patched::Candidates => Ok(StatusCode::NO_CONTENT.into_response()),
        Patched::Restarted { fragment, ice_ufrag } => {
            let mut response = (StatusCode::OK, fragment).into_response();
            let answer = response.headers_mut();
            answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
            bodies::entity_tag(&ice_ufrag).into_iter().for_each(|tag| _ = answer.insert(header::ETAG, tag));
            Ok(response)
        }
    }
}

/// `POST` of the layers of a section.
pub(super) async fn layers(
    State(api): Shared,
    Extension(protocol): Extension<Protocol>,
    Path((room, session)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let name = protocol.name(&room, &session);
    if !api.rooms.has_resource(name) {
        return Err(problem::no_session());
    }
    bodies::check_type(&headers, "application/json")?;
    let wrong =
        "the body must be a JSON object with mediaId, and encodingId, spatialLayerId or temporalLayerId";
    let body: LayersBody = serde_json::from_slice(&body).map_err(|_| problem::malformed(wrong))?;
    let wanted = WantedLayers {
        mid: body.media_id,
        encoding: body.encoding_id,
        spatial: body.spatial_layer_id.or(body.max_spatial_layer_id),
        temporal: body.temporal_layer_id.or(body.max_temporal_layer_id),
    };
    if api.rooms.set_resource_layers(name, &wanted).await? {
        Ok(StatusCode::OK.into_response())
    } else {
        Err(problem::no_session())
    }
}
