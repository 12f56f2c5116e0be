//! Requests to the HTTP server of signaling: the body, the media type and the value of one more header.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, StatusCode, header};
use signaling::api::accounts::ClientAddress;
use signaling::engine::Engine;
use signaling::limits;
use signaling::ortc::media_config::MediaConfig;
use signaling::rooms::{Admission, RoomSettings, Rooms, Timeouts};
use signaling::server::http::{HttpSettings, routes};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use stores::sessions::MemorySessions;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

/// Method, path and media type.
const ENDPOINTS: [(&str, &str, &str); 10] = [
    ("POST", "/whip/room", "application/sdp"),
    ("PATCH", "/whip/room/0123456789abcdef", "application/trickle-ice-sdpfrag"),
    ("DELETE", "/whip/room/0123456789abcdef", ""),
    ("POST", "/whep/room?peer=0000000000000007", "application/sdp"),
    ("PATCH", "/whep/room/0123456789abcdef", "application/trickle-ice-sdpfrag"),
    ("POST", "/whep/room/0123456789abcdef/layers", "application/json"),
    ("POST", "/whep/room/0123456789abcdef/events", "application/json"),
    ("POST", "/leave", "application/octet-stream"),
    ("POST", "/graphql", "application/json"),
    ("GET", "/", ""),
];
/// The header that an input may set.
const HEADERS: [header::HeaderName; 4] =
    [header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH, header::ACCEPT_ENCODING];
/// Far above any answer to these requests; the web app is longer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// No answer takes this long. Only a fault does.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// Every request gets an answer, which is not an internal error. An error has a text; one of WHIP and WHEP is a
/// document of RFC 9457.
///
/// The first byte of an input is the endpoint, the second one the length of a header's value that follows. The
/// rest is the body.
pub fn http(data: &[u8]) {
    let [endpoint, len, rest @ ..] = data else { return };
    let endpoint = usize::from(*endpoint);
    let (value, body) = rest.split_at(usize::from(*len).min(rest.len()));
    let (method, path, media_type) = ENDPOINTS[endpoint % ENDPOINTS.len()];
    let mut request = Request::builder().method(method).uri(path);
    if !media_type.is_empty() {
        request = request.header(header::CONTENT_TYPE, media_type);
    }
    let mut request = request.body(Body::from(body.to_vec())).expect("a request");
    if let Ok(value) = HeaderValue::from_bytes(value)
        && !value.is_empty()
    {
        let name = &HEADERS[endpoint / ENDPOINTS.len() % HEADERS.len()];
        request.headers_mut().insert(name, value);
    }
    request.extensions_mut().insert(ClientAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    with_server(|runtime, router| runtime.block_on(answered(router, request, path)));
}

async fn answered(router: Router, request: Request<Body>, path: &str) {
    let answer = tokio::time::timeout(ANSWER_TIME_MAX, router.oneshot(request));
    let answer = answer.await.expect("an answer in time").expect("no error instead of an answer");
    let status = answer.status();
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    let media_type = answer.headers().get(header::CONTENT_TYPE).cloned();
    let body = to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await.expect("a whole answer");
    if status.is_client_error() && path.starts_with("/wh") {
        assert_eq!(media_type.as_ref().map(HeaderValue::as_bytes), Some(&b"application/problem+json"[..]));
        let problem: serde_json::Value = serde_json::from_slice(&body).expect("a document of RFC 9457");
        assert_eq!(problem["status"], status.as_u16());
        assert!(problem["detail"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    } else if status.is_client_error() && path != "/" {
        assert!(!body.is_empty(), "{path}: {status} without a text");
    }
}

/// A server without an engine and in development mode: every body is read before the engine is needed. It is a
/// new one for every input, so that an input does not depend on those before it.
fn with_server(act: impl FnOnce(&Runtime, Router)) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rooms = {
        let _entered = runtime.enter();
        Rooms::new(Arc::new(Engine::new()), settings())
    };
    act(&runtime, routes(&rooms, &HttpSettings::default()));
}

fn settings() -> RoomSettings {
    let timeout = Duration::from_secs(3);
    RoomSettings {
        admission: Admission::Development { verifier: None },
        media: MediaConfig::default(),
        turn: None,
        timeouts: Timeouts { settle: timeout, away: timeout, restart: timeout },
        spread_above: limits::SPREAD_ABOVE,
        peers_per_user: limits::PEERS_PER_USER,
        allows_sha1: false,
        sessions: Arc::new(MemorySessions::default()),
        idle_after: limits::IDLE_AFTER,
    }
}
