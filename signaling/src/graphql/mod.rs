//! GraphQL: rooms, participants and presence, for applications that show them outside of a call.
//!
//! Queries arrive over HTTP (POST) or over a WebSocket, subscriptions over a WebSocket ([`socket`], the
//! protocol `graphql-transport-ws`). A client uses the same token as for a room. It gets that room, or all
//! rooms of its project with the permission `admin` for all of them. The routes are in [`crate::server`].

mod date_time;
mod document;
mod nesting;
mod operations;
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
use async_graphql::Response;
use axum::http::StatusCode;
use operations::Operations;
use schema::LeatSchema;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The service.
pub struct Graphql {
    rooms: Arc<Rooms>,
    schema: LeatSchema,
    requests: Mutex<TokenBuckets>,
    operations: Arc<Operations>,
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
        Arc::new(Self { rooms, schema, requests: Mutex::new(requests), operations: Arc::default() })
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
        let mut request: async_graphql::Request = serde_json::from_slice(body).map_err(|error| Refusal {
            status: StatusCode::BAD_REQUEST,
            error: RequestError::bad(format!(
                "the body must be one JSON object with query, and optionally operationName and variables: {error}"
            )),
        })?;
        if request.query.trim().is_empty() {
            let error = RequestError::bad("the body has no query");
            return Err(Refusal { status: StatusCode::BAD_REQUEST, error });
        }
        document::prepare(&mut request).map_err(refuse(StatusCode::BAD_REQUEST))?;
        let response = self.schema.execute(request.data(requester)).await;
        Ok(serde_json::to_string(&bounded(response)).expect("a response is plain data"))
    }

    /// Counts a request, the opening of a WebSocket, or an operation against the rate of an address.
    pub fn count_request(&self, address: IpAddr) -> Result<(), RequestError> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = requests.take(address, Instant::now());
        taken.map_err(|pause| {
            RequestError::limit("too many GraphQL requests from this address").retry_after(pause)
        })
    }

    /// Number of operations over all WebSockets.
    pub fn operation_count(&self) -> usize {
        self.operations.count()
    }
}

/// A response of a bounded size.
fn bounded(mut response: Response) -> Response {
    response.errors.truncate(limits::GRAPHQL_ERRORS_MAX);
    let mut remaining = Remaining(limits::GRAPHQL_RESPONSE_BYTES_MAX);
    if serde_json::to_writer(&mut remaining, &response).is_ok() {
        return response;
    }
    let error = RequestError::limit(format!(
        "the response has more than {} bytes; request fewer rooms or fields at once",
        limits::GRAPHQL_RESPONSE_BYTES_MAX
    ));
    Response::from_errors(vec![graphql_error(&error).into_server_error(Default::default())])
}

/// Accepts this number of bytes, and keeps none.
struct Remaining(usize);

impl io::Write for Remaining {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
