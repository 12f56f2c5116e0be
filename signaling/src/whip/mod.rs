//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep-03): encoders and players over HTTP.
//!
//! The URL of a session has a secret, so it permits every request on the session.

mod bodies;
mod credentials;
mod events;
mod problem;
mod session;

use crate::api::Problem;
use crate::api::accounts::ClientAddress;
use crate::limits;
use crate::rooms::{ResourceName, Rooms};
use crate::token_bucket::TokenBuckets;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, post};
use axum::{Extension, Router};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use stores::accounts::Accounts;
use tokio::sync::Semaphore;

/// The path of encoders.
pub const WHIP: &str = "/whip/";
/// The path of players.
pub const WHEP: &str = "/whep/";

/// What the requests need.
pub struct WhipApi {
    rooms: Arc<Rooms>,
    /// For stream keys.
    accounts: Option<Accounts>,
    requests: Mutex<TokenBuckets>,
    opened: Mutex<TokenBuckets>,
    /// Streams of events.
    streams: Arc<Semaphore>,
}

/// Whether a session publishes or plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Whip,
    Whep,
}

impl Protocol {
    fn path(self) -> &'static str {
        match self {
            Self::Whip => WHIP,
            Self::Whep => WHEP,
        }
    }

    /// The name of a session.
    fn name<'a>(self, room: &'a str, id: &'a str) -> ResourceName<'a> {
        ResourceName { is_player: self == Self::Whep, room, id }
    }
}

impl WhipApi {
    /// With stream keys from these accounts.
    pub fn new(rooms: Arc<Rooms>, accounts: Option<Accounts>) -> Self {
        let requests = TokenBuckets::new(
            limits::WHIP_REQUESTS_PER_ADDRESS_PER_SECOND,
            limits::WHIP_REQUESTS_PER_ADDRESS_BURST,
        );
        let streams = Arc::new(Semaphore::new(limits::WHEP_STREAMS_MAX));
        let opened =
            TokenBuckets::new(limits::RESOURCES_PER_ADDRESS_PER_SECOND, limits::RESOURCES_PER_ADDRESS_BURST);
        Self { rooms, accounts, requests: Mutex::new(requests), opened: Mutex::new(opened), streams }
    }

    /// The routes.
    pub fn router(self: Arc<Self>) -> Router {
        // Other methods get status 405 with Allow (RFC 9725 §4.2).
        let publish = Router::new()
            .route("/whip/{room}", post(session::open))
            .route("/whip/{room}/{session}", delete(session::close).patch(session::patch))
            .layer(Extension(Protocol::Whip));
        let play = Router::new()
            .route("/whep/{room}", post(session::open))
            .route("/whep/{room}/{session}", delete(session::close).patch(session::patch))
            .route("/whep/{room}/{session}/layers", post(session::layers))
            .route("/whep/{room}/{session}/events", post(events::subscribe).get(events::stream))
            .layer(Extension(Protocol::Whep));
        publish
            .merge(play)
            .layer(DefaultBodyLimit::max(limits::WHIP_BODY_BYTES_MAX))
            .layer(from_fn_with_state(self.clone(), counted))
            .layer(from_fn(problem::describe))
            .with_state(self)
    }

    /// Counts a request of this address.
    fn count(&self, address: std::net::IpAddr) -> Result<(), Problem> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.take(address, Instant::now()).map_err(problem::too_many)
    }

    /// Counts a new session of this address.
    fn count_opened(&self, address: std::net::IpAddr) -> Result<(), Problem> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.take(address, Instant::now()).map_err(problem::too_many)
    }
}

/// Counts a request before its body is read.
async fn counted(
    State(api): State<Arc<WhipApi>>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    api.count(address)?;
    if request.method() == Method::POST && request.uri().path().split('/').count() == 3 {
        api.count_opened(address)?;
    }
    Ok(next.run(request).await)
}

/// Names the accepted type in answers to OPTIONS (RFC 9725 §4.6), which CORS gives.
pub async fn accept_post(request: Request, next: Next) -> Response {
    let is_options = request.method() == Method::OPTIONS;
    let path = request.uri().path();
    let is_ours = path.starts_with(WHIP) || path.starts_with(WHEP);
    let mut response = next.run(request).await;
    if is_options && is_ours {
        response.headers_mut().insert(
            header::HeaderName::from_static("accept-post"),
            HeaderValue::from_static(bodies::DESCRIPTION),
        );
        response.headers_mut().insert(
            header::HeaderName::from_static("accept-patch"),
            HeaderValue::from_static(bodies::FRAGMENT),
        );
    }
    response
}
