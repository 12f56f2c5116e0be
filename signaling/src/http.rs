//! The HTTP port: Socket.IO, the web app, the last word of pages that go away, and whether all is well.

use crate::failure::Failure;
use crate::hall::Hall;
use crate::proto::ErrorCode;
use crate::{limits, socket, visitors, web};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
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

/// Serves clients, for good.
pub async fn serve(listener: TcpListener, hall: Arc<Hall>) -> io::Result<()> {
    let is_open = hall.is_open();
    let mut router = Router::new()
        .route("/healthz", get(healthz))
        .route("/leave", post(leave).layer(DefaultBodyLimit::max(limits::GOODBYE_BYTES_MAX)))
        .fallback(get(web::serve))
        .with_state(hall.clone())
        .layer(socket::layer(hall));
    if is_open {
        router = router.layer(axum::middleware::from_fn(visitors::only_local_pages));
    }
    // An answer is small and waited for: it must not wait itself for the client to acknowledge what was said before.
    let listener = listener.tap_io(|stream| {
        // A client that is gone already has no use for it.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await
}

/// 200 as long as this process serves; `engine` says whether media can be had too.
async fn healthz(State(hall): State<Arc<Hall>>) -> impl IntoResponse {
    let engine = if hall.is_media_ready() { "ready" } else { "away" };
    let body = format!("{{\"status\":\"ok\",\"engine\":\"{engine}\"}}\n");
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body)
}

/// A page that is gone wants no answer; the status is for people who look for what went wrong.
async fn leave(State(hall): State<Arc<Hall>>, goodbye: Bytes) -> Response {
    let Err(Failure { code, message, retry_after }) = hall.on_goodbye(&goodbye) else {
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
