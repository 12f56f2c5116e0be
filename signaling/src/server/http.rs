//! The HTTP port: Socket.IO, the web app, the last word of pages that go away, and whether all is well.

use crate::limits;
use crate::proto::ErrorCode;
use crate::request_error::Failure;
use crate::rooms::Hall;
use crate::server::cors::{self, Origins};
use crate::server::edge::{self, Client};
use crate::server::socket::{self, Sessions};
use crate::server::{origin_check, web};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else has it.
    #[error("port {} on {} is in use; choose another with --http {}:PORT", .0.port(), .0.ip(), .0.ip())]
    InUse(SocketAddr),
    /// The operating system refused.
    #[error("cannot listen on {address} (chosen by --http)")]
    Io {
        /// Where.
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

/// What an operator may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of connections.
    pub edge: edge::Settings,
    /// Sessions of Socket.IO, those that have not joined included.
    pub sessions: usize,
    /// Origins whose pages may talk to this server, beside its own.
    pub allowed_origins: Vec<cors::Allowed>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { edge: edge::Settings::default(), sessions: limits::SESSIONS_MAX, allowed_origins: Vec::new() }
    }
}

/// Serves clients until the process ends.
pub async fn serve(listener: TcpListener, hall: Arc<Hall>, settings: Settings) {
    let is_open = hall.is_open();
    let Settings { edge, sessions, allowed_origins } = settings;
    let sessions = Sessions::new(sessions, edge.connections_per_address);
    let origins = Arc::new(Origins::new(allowed_origins, is_open));
    let app = Router::new()
        .route(edge::HEALTH, get(healthz))
        .route(edge::LEAVE, post(leave).layer(DefaultBodyLimit::max(limits::GOODBYE_BYTES_MAX)))
        .fallback(get(web::serve))
        .with_state(hall.clone());
    // The last layer is the first that a request meets.
    let mut router = Router::new()
        .fallback_service(socket::service(hall, sessions.clone(), app))
        .layer(from_fn_with_state(sessions, socket::admit))
        .layer(from_fn_with_state(origins.clone(), cors::only_allowed))
        .layer(cors::cors(&origins));
    if is_open {
        router = router.layer(from_fn(origin_check::only_local_pages));
    }
    edge::serve(listener, router, edge).await;
}

/// 200 as long as this process serves; `engine` says whether media can be had too.
async fn healthz(State(hall): State<Arc<Hall>>) -> impl IntoResponse {
    let engine = if hall.is_media_ready() { "ready" } else { "away" };
    let body = format!("{{\"status\":\"ok\",\"engine\":\"{engine}\"}}\n");
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body)
}

/// A page that is gone wants no answer; the status is for people who look for what went wrong.
async fn leave(
    State(hall): State<Arc<Hall>>,
    Extension(client): Extension<Client>,
    goodbye: Bytes,
) -> Response {
    let Err(Failure { code, message, retry_after }) = hall.on_goodbye(client.address, &goodbye) else {
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
