//! GraphQL: rooms, participants and presence, for applications that show them outside of a call.
//!
//! Queries arrive over HTTP (POST) or over a WebSocket, subscriptions over a WebSocket
//! ([`socket`], the protocol `graphql-transport-ws`). A client shows the same token as for a room: it sees
//! that room, or all rooms of its project with the admin grant. The routes are in [`crate::server`].

mod date_time;
mod nesting;
mod requester;
mod schema;
pub mod socket;

pub use requester::Requester;
pub use schema::sdl;

use crate::limits;
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use crate::rooms::Rooms;
use crate::token_bucket::TokenBuckets;
use axum::http::StatusCode;
use schema::LeatSchema;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The service.
pub struct Graphql {
    rooms: Arc<Rooms>,
    schema: LeatSchema,
    requests: Mutex<TokenBuckets>,
    operations: AtomicUsize,
}

/// Why a request over HTTP is not executed.
#[derive(Debug)]
pub struct Refusal {
    /// The status of the answer.
    pub status: StatusCode,
    /// The reason.
    pub error: RequestError,
}

impl Graphql {
    /// For these rooms.
    pub fn new(rooms: Arc<Rooms>) -> Arc<Self> {
        let requests = TokenBuckets::new(limits::GRAPHQL_REQUESTS_PER_SECOND, limits::GRAPHQL_REQUESTS_BURST);
        let schema = schema::build(rooms.clone());
        Arc::new(Self { rooms, schema, requests: Mutex::new(requests), operations: AtomicUsize::new(0) })
    }

    /// Executes a request over HTTP: one JSON object. Returns the JSON of the response.
    pub async fn execute(
        &self,
        address: IpAddr,
        token: Option<&str>,
        body: &[u8],
    ) -> Result<String, Refusal> {
        let refuse = |status| move |error| Refusal { status, error };
        self.count_request(address).map_err(refuse(StatusCode::TOO_MANY_REQUESTS))?;
        let requester =
            Requester::authenticate(&self.rooms, token).map_err(refuse(StatusCode::UNAUTHORIZED))?;
        let request: async_graphql::Request = serde_json::from_slice(body).map_err(|error| Refusal {
            status: StatusCode::BAD_REQUEST,
            error: RequestError::bad(format!(
                "the body must be one JSON object with query, and optionally operationName and variables: {error}"
            )),
        })?;
        if request.query.trim().is_empty() {
            let error = RequestError::bad("the body has no query");
            return Err(Refusal { status: StatusCode::BAD_REQUEST, error });
        }
        check_nesting(&request).map_err(refuse(StatusCode::BAD_REQUEST))?;
        let response = self.schema.execute(request.data(requester)).await;
        Ok(serde_json::to_string(&response).expect("a response is plain data"))
    }

    /// Counts a request against the rate of an address.
    pub fn count_request(&self, address: IpAddr) -> Result<(), RequestError> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = requests.take(address, Instant::now());
        taken.map_err(|pause| {
            RequestError::limit("too many GraphQL requests from this address").retry_after(pause)
        })
    }

    /// Number of operations over all WebSockets.
    pub fn operation_count(&self) -> usize {
        self.operations.load(Ordering::Relaxed)
    }
}

/// Refuses a document that would need too much of the parser's stack.
fn check_nesting(request: &async_graphql::Request) -> Result<(), RequestError> {
    if nesting::nesting(&request.query) <= limits::GRAPHQL_NESTING_MAX {
        return Ok(());
    }
    Err(RequestError::bad(format!("the query is nested more than {} deep", limits::GRAPHQL_NESTING_MAX)))
}

/// The text and the code of an error, as an extension of a GraphQL error.
fn graphql_error(error: &RequestError) -> async_graphql::Error {
    use async_graphql::ErrorExtensions as _;
    let code = error.code.as_str_name().trim_start_matches("ERROR_CODE_").to_owned();
    async_graphql::Error::new(error.message.clone()).extend_with(|_, extensions| extensions.set("code", code))
}

fn other_room() -> RequestError {
    RequestError::new(ErrorCode::TokenRoom, "the token is for another room")
}
