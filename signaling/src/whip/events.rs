//! Events of a player's session: the server-sent-events extension of WHEP.
//!
//! A session is looked at once a second, and what has changed is sent. So an event costs nothing while no player
//! asks for it, and a busy room does not make more of them.

use super::problem;
use super::{Protocol, WhipApi};
use crate::api::Problem;
use crate::limits;
use crate::rooms::{PlayedMedia, PlayerStatus};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

/// The events that there are.
pub(super) const NAMES: &str = "active,inactive,layers,viewercount";

/// `POST` of the events: a list of those that the player wants. This server sends all of them.
pub(super) async fn subscribe(
    State(api): State<Arc<WhipApi>>,
    Extension(protocol): Extension<Protocol>,
    Path((room, session)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    if !api.rooms.has_resource(protocol.name(&room, &session)) {
        return Err(problem::no_session());
    }
    super::bodies::check_type(&headers, "application/json")?;
    let wanted: Result<Vec<String>, _> = serde_json::from_slice(&body);
    if wanted.is_err() {
        return Err(problem::malformed("the body must be a JSON array with names of events"));
    }
    let mut response = StatusCode::CREATED.into_response();
    let location = HeaderValue::from_str(uri.path());
    location.into_iter().for_each(|value| _ = response.headers_mut().insert(header::LOCATION, value));
    Ok(response)
}

/// `GET` of the events: a stream of them, until the session ends.
pub(super) async fn stream(
    State(api): State<Arc<WhipApi>>,
    Extension(protocol): Extension<Protocol>,
    Path((room, session)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let name = protocol.name(&room, &session);
    let number = api.rooms.open_status_stream(name).ok_or_else(problem::no_session)?;
    let permit =
        api.streams.clone().try_acquire_owned().map_err(|_| problem::too_many(limits::QUOTA_PAUSE))?;
    let watched = Watched { api, protocol, room, session, number, sent: Sent::default(), _permit: permit };
    let body = Body::from_stream(stream::unfold(watched, |mut watched| async {
        let events = watched.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(events)), watched))
    }));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

/// A session whose events are sent.
struct Watched {
    api: Arc<WhipApi>,
    protocol: Protocol,
    room: String,
    session: String,
    /// A later stream of the session ends this one.
    number: u64,
    sent: Sent,
    _permit: OwnedSemaphorePermit,
}

/// What was sent last.
#[derive(Default)]
struct Sent {
    last: Option<PlayerStatus>,
    seconds_of_silence: u32,
}

impl Watched {
    /// The next events; `None` when the session has ended.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.sent.last.is_some() {
                sleep(limits::WHEP_EVENTS_INTERVAL).await;
            }
            let name = self.protocol.name(&self.room, &self.session);
            let status = self.api.rooms.player_status(name, self.number).await?;
            let events = self.sent.events(status);
            if !events.is_empty() {
                return Some(events);
            }
        }
    }
}

impl Sent {
    /// The events that lead to this status; a comment after a while without any, so that proxies keep the
    /// connection.
    fn events(&mut self, status: PlayerStatus) -> String {
        let last = self.last.replace(status.clone());
        let mut text = String::new();
        if last.as_ref().is_none_or(|last| last.is_active != status.is_active) {
            let name = if status.is_active { "active" } else { "inactive" };
            text += &event(name, &json!({}));
        }
        if last.as_ref().is_none_or(|last| last.media != status.media) {
            text += &event("layers", &layers(&status.media));
        }
        if last.as_ref().is_none_or(|last| last.viewers != status.viewers) {
            text += &event("viewercount", &json!({ "viewercount": status.viewers }));
        }
        self.seconds_of_silence = if text.is_empty() { self.seconds_of_silence + 1 } else { 0 };
        if self.seconds_of_silence >= limits::WHEP_EVENTS_SILENCE {
            self.seconds_of_silence = 0;
            text = ": \n\n".to_owned();
        }
        text
    }
}

fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

/// By MID, the encodings and layers that can be selected.
fn layers(media: &[PlayedMedia]) -> Value {
    let of = |media: &PlayedMedia| {
        let temporal = media.temporal_layers;
        let layer = |encoding: &str, spatial: u8, temporal: u8| json!({ "encodingId": encoding, "spatialLayerId": spatial, "temporalLayerId": temporal });
        let encodings: Vec<Value> = media
            .encodings
            .iter()
            .enumerate()
            .map(|(index, id)| json!({ "id": id, "simulcastIdx": index }))
            .collect();
        let single = media.encodings.len() < 2;
        let layers: Vec<Value> = media
            .encodings
            .iter()
            .enumerate()
            .flat_map(|(index, id)| {
                let spatial = if single { 0..media.spatial_layers } else { index as u8..index as u8 + 1 };
                spatial
                    .flat_map(move |spatial| (0..temporal).map(move |temporal| layer(id, spatial, temporal)))
            })
            .collect();
        json!({ "active": encodings, "inactive": [], "layers": layers })
    };
    let by_mid: BTreeMap<&str, Value> = media.iter().map(|media| (media.mid.as_str(), of(media))).collect();
    json!(by_mid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_sent_for_changes_only() {
        let media = |encodings: &[&str], spatial_layers| PlayedMedia {
            mid: "1".into(),
            encodings: encodings.iter().map(|id| (*id).to_owned()).collect(),
            spatial_layers,
            temporal_layers: 2,
        };
        let status = PlayerStatus { is_active: true, viewers: 1, media: vec![media(&["q", "h"], 2)] };
        let mut sent = Sent::default();
        let text = sent.events(status.clone());
        for name in
            ["event: active\n", "event: layers\n", "event: viewercount\ndata: {\"viewercount\":1}\n\n"]
        {
            assert!(text.contains(name), "{text}");
        }
        let data =
            text.split("event: layers\ndata: ").nth(1).and_then(|rest| rest.lines().next()).expect("data");
        let data: Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(data["1"]["active"][1], json!({ "id": "h", "simulcastIdx": 1 }));
        assert_eq!(data["1"]["layers"].as_array().map(Vec::len), Some(4));
        assert_eq!(sent.events(status.clone()), "");
        let changed = PlayerStatus { is_active: false, viewers: 2, media: vec![] };
        let text = sent.events(changed.clone());
        assert!(
            text.contains("inactive")
                && text.contains("\"viewercount\":2")
                && !text.contains("event: active")
        );
        let silence: Vec<_> =
            (0..limits::WHEP_EVENTS_SILENCE).map(|_| sent.events(changed.clone())).collect();
        assert_eq!(silence.last().map(String::as_str), Some(": \n\n"));
        assert!(silence[..silence.len() - 1].iter().all(String::is_empty));
        let single = layers(&[media(&["0"], 3)]);
        assert_eq!(single["1"]["layers"].as_array().map(Vec::len), Some(6));
    }
}
