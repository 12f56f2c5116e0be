//! The HTTP server: Socket.IO, WHIP and WHEP, GraphQL, the web app, leave beacons and log entries of pages, and
//! the health check.

use crate::api::accounts::ClientAddress;
use crate::graphql::Graphql;
use crate::limits;
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use crate::rooms::Rooms;
use crate::server::cors::{self, AllowedOrigins};
use crate::server::edge::{self, Client};
use crate::server::socket::{self, Sessions};
use crate::server::{graphql, origin_check, web};
use crate::whip::{self, WhipApi};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use stores::accounts::Accounts;
use tokio::net::TcpListener;

/// Opening the port failed.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process uses it.
    #[error("port {} on {} is in use; choose another with --http {}:PORT", .0.port(), .0.ip(), .0.ip())]
    InUse(SocketAddr),
    /// Another error of the operating system.
    #[error("cannot listen on {address} (chosen by --http)")]
    Io {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
}

/// Opens the port.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(address),
        _ => BindError::Io { address, source },
    })
}

/// The configuration of the HTTP server.
#[derive(Clone)]
pub struct HttpSettings {
    /// Limits of connections.
    pub edge: edge::EdgeSettings,
    /// Maximum number of Socket.IO sessions, including those that have not joined.
    pub sessions: usize,
    /// Additional origins whose pages may use this server.
    pub allowed_origins: Vec<cors::AllowedOrigin>,
    /// Further routes, under `/api/`.
    pub api: Router,
    /// The accounts with the stream keys of encoders.
    pub stream_keys: Option<Accounts>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            edge: edge::EdgeSettings::default(),
            sessions: limits::SESSIONS_MAX,
            allowed_origins: Vec::new(),
            api: Router::new(),
            stream_keys: None,
        }
    }
}

/// Serves clients until the process ends.
pub async fn serve(listener: TcpListener, rooms: Arc<Rooms>, settings: HttpSettings) {
    let is_development_mode = rooms.is_development_mode();
    let app = routes(&rooms, &settings);
    let HttpSettings { edge, sessions, allowed_origins, .. } = settings;
    let sessions = Sessions::new(sessions, edge.connections_per_address);
    let origins = Arc::new(AllowedOrigins::new(allowed_origins, is_development_mode));
    // A request passes the last layer first.
    let mut router = Router::new()
        .fallback_service(socket::service(rooms, sessions.clone(), app))
        .layer(from_fn_with_state(sessions, socket::admit))
        .layer(from_fn_with_state(origins.clone(), cors::only_allowed))
        .layer(cors::cors(&origins))
        .layer(from_fn(whip::accept_post));
    if is_development_mode {
        router = router.layer(from_fn(origin_check::only_local_pages));
    }
    edge::serve(listener, router, edge).await;
}

/// Everything except Socket.IO, without the checks of connections and origins. Requests have the extension
/// [`Client`] or [`ClientAddress`].
pub fn routes(rooms: &Arc<Rooms>, settings: &HttpSettings) -> Router {
    let whip = Arc::new(WhipApi::new(rooms.clone(), settings.stream_keys.clone())).router();
    let leave = post(leave).layer(DefaultBodyLimit::max(limits::LEAVE_BEACON_BYTES_MAX));
    let client_logs = post(client_logs).layer(DefaultBodyLimit::max(limits::CLIENT_LOGS_BYTES_MAX));
    let graphql = graphql::router(Graphql::new(rooms.clone()), settings.edge.connections_per_address);
    let with_addresses = Router::new()
        .route(edge::LEAVE, leave)
        .route(edge::CLIENT_LOGS, client_logs)
        .with_state(rooms.clone())
        .merge(settings.api.clone())
        .merge(whip)
        .merge(graphql)
        .layer(from_fn(with_address));
    Router::new()
        .route(edge::HEALTH, get(healthz))
        .fallback(get(web::serve))
        .with_state(rooms.clone())
        .merge(with_addresses)
}

/// Passes the address of the client on to the API, which gets nothing else of the edge.
async fn with_address(mut request: Request, next: Next) -> Response {
    if let Some(client) = request.extensions().get::<Client>() {
        let address = ClientAddress(client.address);
        request.extensions_mut().insert(address);
    }
    next.run(request).await
}

/// Status 200 while this process serves requests; `engine` is "ready" if media is available.
async fn healthz(State(rooms): State<Arc<Rooms>>) -> impl IntoResponse {
    let engine = if rooms.is_media_ready() { "ready" } else { "away" };
    let body = format!("{{\"status\":\"ok\",\"engine\":\"{engine}\"}}\n");
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body)
}

async fn leave(
    State(rooms): State<Arc<Rooms>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    goodbye: Bytes,
) -> Response {
    answer(rooms.on_leave_beacon(address, &goodbye))
}

async fn client_logs(
    State(rooms): State<Arc<Rooms>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    batch: Bytes,
) -> Response {
    answer(rooms.on_client_logs(address, &batch))
}

/// A closed page does not read the answer; the status helps with debugging.
fn answer(result: Result<(), RequestError>) -> Response {
    let Err(RequestError { code, message, retry_after }) = result else {
        return StatusCode::NO_CONTENT.into_response();
    };
    let status = match code {
        ErrorCode::ResumeSecret => StatusCode::FORBIDDEN,
        ErrorCode::Limit => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    };
    let pause = retry_after.map(|pause| [(header::RETRY_AFTER, pause.as_secs_f64().ceil().to_string())]);
    (status, pause, message + "\n").into_response()
}
