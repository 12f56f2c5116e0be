//! `/api/v1/stats`: what exists in a project; and the engine's statistics of a participant.

use super::Problem;
use super::caller::Caller;
use super::input::json;
use super::participants::check_id;
use super::room_list::check_exists;
use super::service::ApiService;
use crate::proto;
use crate::proto::stats::Of;
use crate::rooms::{PeerStats, ProjectCounts};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What exists in the project now, on this server.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProjectStats)]
pub(super) struct ProjectStatsView {
    /// Rooms with participants.
    rooms: u32,
    /// Participants with a connection.
    participants: u32,
    /// Participants that lost their connection and may return.
    participants_away: u32,
    /// Clients that wait until an administrator admits them.
    waiting: u32,
    /// Tracks that participants send.
    producers: u32,
    /// Tracks that participants receive.
    consumers: u32,
    /// Data channels on which participants send.
    data_producers: u32,
    /// Data channels on which participants receive.
    data_consumers: u32,
    /// Whether media can flow.
    media_ready: bool,
}

/// The engine's statistics of a participant.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ParticipantStats)]
pub(super) struct ParticipantStatsView {
    /// Its transports.
    transports: Vec<TransportStatsView>,
    /// What it sends.
    producers: Vec<ProducerStatsView>,
    /// What it receives.
    consumers: Vec<ConsumerStatsView>,
    /// Whether objects are missing: an answer has at most 256.
    truncated: bool,
}

/// A transport.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TransportStats)]
struct TransportStatsView {
    /// Its id.
    id: String,
    /// `new`, `connected`, `completed` or `disconnected`.
    ice_state: String,
    /// `new`, `connecting` or `connected`.
    dtls_state: String,
    /// Where the participant is; empty before it is connected.
    remote_address: String,
    packets_received: u64,
    bytes_received: u64,
    packets_sent: u64,
    bytes_sent: u64,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    round_trip_time: Option<f64>,
    /// The estimate, in bit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    available_outgoing_bitrate: Option<u32>,
}

/// A track that the participant sends.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProducerStats)]
struct ProducerStatsView {
    /// Its id.
    id: String,
    /// One for each encoding.
    streams: Vec<StreamStatsView>,
}

/// An encoding of a track that the participant sends.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StreamStats)]
struct StreamStatsView {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ssrc: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    rid: Option<String>,
    packets_received: u64,
    bytes_received: u64,
    /// Packets that are missing; negative if more arrived than were sent (RFC 3550 §6.4.1).
    packets_lost: i32,
    /// Seconds.
    jitter: f64,
    nack_count: u64,
    pli_count: u64,
    fir_count: u64,
    keyframes_received: u64,
    /// bit/s.
    bitrate: u32,
    /// From 0, bad, to 10, good.
    score: u32,
}

/// A track that the participant receives.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConsumerStats)]
struct ConsumerStatsView {
    /// Its id.
    id: String,
    ssrc: u32,
    packets_sent: u64,
    bytes_sent: u64,
    retransmitted_packets_sent: u64,
    nack_count: u64,
    pli_count: u64,
    /// bit/s.
    bitrate: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    spatial_layer: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    temporal_layer: Option<u32>,
    /// As the participant reports it.
    packets_lost: i32,
    /// As the participant reports it: from 0 to 1.
    fraction_lost: f64,
    /// Seconds.
    jitter: f64,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    round_trip_time: Option<f64>,
    /// From 0, bad, to 10, good.
    score: u32,
}

impl ParticipantStatsView {
    fn new(stats: PeerStats) -> Self {
        let mut view = Self { truncated: stats.is_truncated, ..Self::default() };
        for object in stats.objects {
            match object.of {
                Some(Of::Transport(stats)) => view.transports.push(transport(stats)),
                Some(Of::Producer(stats)) => {
                    let streams = stats.streams.into_iter().map(stream).collect();
                    view.producers.push(ProducerStatsView { id: stats.id, streams });
                }
                Some(Of::Consumer(stats)) => view.consumers.push(consumer(stats)),
                None => {}
            }
        }
        view
    }
}

fn transport(stats: proto::TransportStats) -> TransportStatsView {
    TransportStatsView {
        id: stats.id,
        ice_state: stats.ice_state,
        dtls_state: stats.dtls_state,
        remote_address: stats.remote_address,
        packets_received: stats.packets_received,
        bytes_received: stats.bytes_received,
        packets_sent: stats.packets_sent,
        bytes_sent: stats.bytes_sent,
        round_trip_time: stats.round_trip_time,
        available_outgoing_bitrate: stats.available_outgoing_bitrate,
    }
}

fn stream(stats: proto::InboundStreamStats) -> StreamStatsView {
    StreamStatsView {
        ssrc: stats.ssrc,
        rid: stats.rid,
        packets_received: stats.packets_received,
        bytes_received: stats.bytes_received,
        packets_lost: stats.packets_lost,
        jitter: stats.jitter,
        nack_count: stats.nack_count,
        pli_count: stats.pli_count,
        fir_count: stats.fir_count,
        keyframes_received: stats.keyframes_received,
        bitrate: stats.bitrate,
        score: stats.score,
    }
}

fn consumer(stats: proto::ConsumerStats) -> ConsumerStatsView {
    ConsumerStatsView {
        id: stats.id,
        ssrc: stats.ssrc,
        packets_sent: stats.packets_sent,
        bytes_sent: stats.bytes_sent,
        retransmitted_packets_sent: stats.retransmitted_packets_sent,
        nack_count: stats.nack_count,
        pli_count: stats.pli_count,
        bitrate: stats.bitrate,
        spatial_layer: stats.spatial_layer,
        temporal_layer: stats.temporal_layer,
        packets_lost: stats.packets_lost,
        fraction_lost: stats.fraction_lost,
        jitter: stats.jitter,
        round_trip_time: stats.round_trip_time,
        score: stats.score,
    }
}

/// Reads what exists in the project
///
/// For administrators of the project.
#[utoipa::path(get, path = "/api/v1/stats", tag = "stats",
    responses((status = 200, description = "Numbers", body = ProjectStatsView)))]
pub(super) async fn get_stats(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    caller.administers_all()?;
    let ProjectCounts {
        rooms,
        peers,
        peers_away,
        waiting,
        producers,
        consumers,
        data_producers,
        data_consumers,
    } = service.rooms.project_counts(&caller.project);
    let view = ProjectStatsView {
        rooms: rooms as u32,
        participants: peers as u32,
        participants_away: peers_away as u32,
        waiting: waiting as u32,
        producers: producers as u32,
        consumers: consumers as u32,
        data_producers: data_producers as u32,
        data_consumers: data_consumers as u32,
        media_ready: service.rooms.is_media_ready(),
    };
    Ok(json(StatusCode::OK, &view))
}

/// Reads the engine's statistics of a participant
///
/// For administrators of the room, because they contain addresses.
#[utoipa::path(get, path = "/api/v1/rooms/{room}/participants/{id}/stats", tag = "stats",
    params(("room" = String, Path, description = "The name of the room", min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$"),
        ("id" = String, Path, description = "The id of the participant", min_length = 16, max_length = 16, pattern = "^[0-9a-f]+$")),
    responses((status = 200, description = "Statistics", body = ParticipantStatsView)))]
pub(super) async fn get_participant_stats(
    State(service): State<Arc<ApiService>>,
    Extension(caller): Extension<Caller>,
    Path((room, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let room = caller.administers(&room)?;
    check_id(&id)?;
    check_exists(&service, &room)?;
    let stats = service.rooms.operator(room, caller.actor).stats(&id).await?;
    Ok(json(StatusCode::OK, &ParticipantStatsView::new(stats)))
}
