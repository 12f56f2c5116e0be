//! Metrics and health over HTTP, at an address of its own: any program that can connect can read them.

use crate::limits;
use crate::metrics::WebhookMetrics;
use crate::rooms::Rooms;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bus::Bus;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use stores::accounts::Accounts;
use stores::sessions::Sessions;
use tokio::net::TcpListener;
use tokio::time::timeout;
use webhooks::WebhookMonitor;

/// What the pages are about.
#[derive(Clone)]
pub struct Monitored {
    /// The rooms, and the media node below them.
    pub rooms: Arc<Rooms>,
    /// The store of sessions and presence.
    pub sessions: Arc<dyn Sessions>,
    /// Events for other processes.
    pub bus: Bus,
    /// The store of accounts, if there is one.
    pub accounts: Option<Accounts>,
    /// Webhooks, if there are targets.
    pub webhooks: Option<WebhookMonitor>,
}

impl fmt::Debug for Monitored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitored").finish_non_exhaustive()
    }
}

/// The media type of the page of metrics (OpenMetrics 1.0).
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until the process ends.
///
/// # Errors
///
/// If the listener fails.
pub async fn serve(listener: TcpListener, monitored: Monitored) -> std::io::Result<()> {
    axum::serve(listener, routes(monitored)).await
}

/// `/metrics`, `/livez` and `/readyz`.
pub fn routes(monitored: Monitored) -> Router {
    let mut registry = Registry::with_prefix("leat_signaling");
    monitored.rooms.metrics().register(&mut registry);
    monitored.rooms.quality_metrics().register(&mut registry);
    registry.register_collector(Box::new(monitored.clone()));
    if let Some(webhooks) = &monitored.webhooks {
        registry.register_collector(Box::new(WebhookMetrics(webhooks.clone())));
    }
    let registry = Arc::new(registry);
    let metrics = move || async move {
        let mut page = String::new();
        match text::encode(&mut page, &registry) {
            Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], page).into_response(),
            Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    };
    Router::new()
        .route("/metrics", get(metrics))
        // The rooms are behind a lock: a process in which it is never free must start again.
        .route(
            "/livez",
            get(async |State(monitored): State<Monitored>| health(&[("rooms", alive(&monitored))])),
        )
        .route("/readyz", get(async |State(monitored): State<Monitored>| health(&ready(&monitored).await)))
        .with_state(monitored)
}

/// The state of one part: its name, and what is wrong.
type Health = (&'static str, Result<(), String>);

fn alive(monitored: &Monitored) -> Result<(), String> {
    let _ = monitored.rooms.counts();
    Ok(())
}

/// The dependencies, each apart. A call needs only the engine.
async fn ready(monitored: &Monitored) -> Vec<Health> {
    let state = |is_ok: bool, why: &str| if is_ok { Ok(()) } else { Err(why.to_owned()) };
    let mut parts = vec![
        (
            "engine",
            state(monitored.rooms.is_media_ready(), "not attached: clients cannot send or receive media"),
        ),
        (
            "sessions",
            state(
                monitored.sessions.is_available(),
                "Redis is away: resumes and presence are of this process only",
            ),
        ),
        ("bus", state(monitored.bus.is_connected(), "NATS is away: events and revocations wait")),
    ];
    if let Some(accounts) = &monitored.accounts {
        let accounts = match timeout(limits::HEALTH_TIMEOUT, accounts.check()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the database does not answer in time".to_owned()),
        };
        parts.push(("accounts", accounts));
    }
    parts
}

/// One line for each part: its name, and `ok` or what is wrong. Status 503 only if media is not available:
/// without the stores, calls continue, and a process that is taken out of service helps none of them.
fn health(parts: &[Health]) -> Response {
    let line = |(name, state): &Health| match state {
        Ok(()) => format!("{name}: ok\n"),
        Err(why) => format!("{name}: {why}\n"),
    };
    let is_fatal = parts.iter().any(|(name, state)| *name == "engine" && state.is_err());
    let status = if is_fatal { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, [(header::CACHE_CONTROL, "no-store")], parts.iter().map(line).collect::<String>())
        .into_response()
}

impl Collector for Monitored {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.rooms.counts();
        let mut gauge = |name: &str, help: &str, value: u64| {
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
        };
        gauge("rooms", "Rooms that exist.", counts.rooms as u64)?;
        gauge("peers", "Peers with a connection.", counts.peers as u64)?;
        gauge("peers_away", "Peers that lost their connection and may return.", counts.peers_away as u64)?;
        gauge("waiting_clients", "Clients that an administrator has to admit.", counts.waiting as u64)?;
        gauge("connections", "Connections of clients: Socket.IO, WHIP and WHEP.", counts.connections as u64)?;
        gauge("transports", "Transports of clients.", counts.transports as u64)?;
        gauge("producers", "Producers of clients.", counts.producers as u64)?;
        gauge("consumers", "Consumers of clients.", counts.consumers as u64)?;
        gauge("data_producers", "Data producers of clients.", counts.data_producers as u64)?;
        gauge("data_consumers", "Data consumers of clients.", counts.data_consumers as u64)?;
        gauge(
            "engine_ready",
            "1 while the engine is attached and ready.",
            self.rooms.is_media_ready().into(),
        )?;
        gauge(
            "sessions_available",
            "1 while the store of sessions answers.",
            self.sessions.is_available().into(),
        )?;
        gauge("bus_connected", "1 while the bus reaches other processes.", self.bus.is_connected().into())?;
        let bus = self.bus.counts();
        for (name, help, value) in [
            ("bus_published", "Messages that were sent on the bus.", bus.published),
            (
                "bus_dropped_away",
                "Messages that were dropped because NATS was not connected.",
                bus.dropped_away,
            ),
            (
                "bus_dropped_full",
                "Messages that were dropped because the queue to NATS was full, or that were too long.",
                bus.dropped_full,
            ),
            ("bus_slow", "Messages that were lost because a subscriber of this process was slow.", bus.slow),
        ] {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }
}
