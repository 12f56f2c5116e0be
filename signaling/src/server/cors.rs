//! Cross-origin requests of pages (RFC 6454). A browser lets a page read answers of another origin only if
//! the server allows it (CORS, fetch.spec.whatwg.org §3.3), but lets it open WebSockets to any server. Here
//! both follow one list. Pages of this server, and programs that are not browsers, need no entry.

use crate::server::edge::{CLIENT_LOGS, Client, LEAVE};
use crate::server::origin_check::is_loopback;
use crate::server::{graphql, socket};
use crate::whip;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Time that a browser may cache the answer to a preflight request: the maximum of Chromium.
const PREFLIGHT_MAX_AGE: std::time::Duration = std::time::Duration::from_secs(7_200);

/// The origin of a page: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    is_secure: bool,
    host: String,
    port: u16,
}

/// Not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an origin such as https://app.example.org or http://localhost:3000, without a path, or *")]
pub struct InvalidOrigin;

/// An entry of the operator's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Every origin: `*`.
    Any,
    /// A single origin.
    One(Origin),
}

/// The origins whose pages may use this server.
#[derive(Clone, Debug, Default)]
pub struct AllowedOrigins {
    allowed: Vec<AllowedOrigin>,
    /// Development mode: pages of this machine are allowed.
    has_loopback: bool,
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let uri: Uri = text.parse().map_err(|_| InvalidOrigin)?;
        let is_secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(InvalidOrigin),
        };
        let authority =
            uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or(InvalidOrigin)?;
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none() && !text.ends_with('/');
        if !is_bare || authority.host().is_empty() {
            return Err(InvalidOrigin);
        }
        let port = port(authority, is_secure).ok_or(InvalidOrigin)?;
        Ok(Self { is_secure, host: authority.host().to_ascii_lowercase(), port })
    }
}

impl FromStr for AllowedOrigin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text == "*" { Ok(Self::Any) } else { text.parse().map(Self::One) }
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::One(Origin { is_secure, host, port }) => {
                write!(f, "{}://{host}:{port}", if *is_secure { "https" } else { "http" })
            }
        }
    }
}

/// The port of an authority; without one, the default port of the scheme.
fn port(authority: &Authority, is_secure: bool) -> Option<u16> {
    match authority.port() {
        Some(port) => Some(port.as_u16()),
        None if authority.as_str() != authority.host() => None,
        None => Some(if is_secure { 443 } else { 80 }),
    }
}

impl AllowedOrigins {
    /// The listed origins; in development mode also pages of this machine.
    pub fn new(allowed: Vec<AllowedOrigin>, is_development: bool) -> Self {
        Self { allowed, has_loopback: is_development }
    }

    /// Whether a request with these headers comes from an allowed page, or from a program that is not a
    /// browser.
    fn allows(&self, headers: &HeaderMap, is_behind_proxy: bool) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        if self.allowed.contains(&AllowedOrigin::Any) {
            return true;
        }
        let Some(origin) = origin.to_str().ok().and_then(|origin| origin.parse::<Origin>().ok()) else {
            return false;
        };
        self.has_loopback && is_loopback(&origin.host)
            || is_own(&origin, headers, is_behind_proxy)
            || self.allowed.contains(&AllowedOrigin::One(origin))
    }
}

/// Whether the page came from this server: from the host to which the request was sent. The scheme is not
/// compared, because TLS ends at a proxy.
fn is_own(origin: &Origin, headers: &HeaderMap, is_behind_proxy: bool) -> bool {
    let forwarded = headers.get("x-forwarded-host").filter(|_| is_behind_proxy);
    let host = forwarded.or_else(|| headers.get(header::HOST)).and_then(|host| host.to_str().ok());
    let Some(host) = host.and_then(|host| host.parse::<Authority>().ok()) else { return false };
    host.host().eq_ignore_ascii_case(&origin.host) && port(&host, origin.is_secure) == Some(origin.port)
}

/// Adds the headers that let a page read answers, and answers preflight requests.
pub fn cors(origins: &Arc<AllowedOrigins>) -> CorsLayer {
    let origins = origins.clone();
    let allows = move |_: &HeaderValue, parts: &request::Parts| {
        origins.allows(&parts.headers, is_behind_proxy(&parts.extensions))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allows))
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS])
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION, header::IF_MATCH, header::ETAG])
        // RFC 9725 §4.2: what a page needs of the answer to an offer.
        .expose_headers([
            header::LOCATION,
            header::ETAG,
            header::LINK,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            HeaderName::from_static("accept-patch"),
            HeaderName::from_static("accept-post"),
        ])
        .max_age(PREFLIGHT_MAX_AGE)
}

/// Refuses requests of pages that are not allowed.
pub async fn only_allowed(
    State(origins): State<Arc<AllowedOrigins>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    // The app's files and the health check are open to all pages.
    let is_guarded =
        socket::is_socketio_path(path) || [LEAVE, CLIENT_LOGS, graphql::PATH].contains(&path) || is_api(path);
    if !is_guarded || origins.allows(request.headers(), is_behind_proxy(request.extensions())) {
        return next.run(request).await;
    }
    let text = "Pages of this origin may not use this server. Start it with --allow-origin ORIGIN to change that; behind a proxy, forward \
                the Host header.\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

fn is_api(path: &str) -> bool {
    ["/api/", whip::WHIP, whip::WHEP].iter().any(|start| path.starts_with(start))
}

fn is_behind_proxy(extensions: &axum::http::Extensions) -> bool {
    extensions.get::<Client>().is_some_and(|client| client.is_behind_proxy)
}

#[cfg(test)]
mod tests;
