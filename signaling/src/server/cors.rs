//! Pages of other origins (RFC 6454). A browser lets a page talk to another origin's server only if that says so (CORS, fetch.spec.whatwg.org
//! §3.3), but opens WebSockets to anybody: here both follow one list. The server's own pages and programs that are no browser need no entry.

use crate::server::edge::{Client, LEAVE};
use crate::server::origin_check::is_loopback;
use crate::server::socket;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember the answer to a preflight request: the longest that Chromium takes.
const PREFLIGHT_MAX_AGE: std::time::Duration = std::time::Duration::from_secs(7_200);

/// An origin of pages: scheme, host and port.
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

/// What an operator lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Every origin: `*`.
    Any,
    /// One.
    One(Origin),
}

/// The origins whose pages may talk to this server.
#[derive(Clone, Debug, Default)]
pub struct AllowedOrigins {
    allowed: Vec<AllowedOrigin>,
    /// Development mode: every page of this machine.
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

/// The port of an authority; that of its scheme where it names none.
fn port(authority: &Authority, is_secure: bool) -> Option<u16> {
    match authority.port() {
        Some(port) => Some(port.as_u16()),
        None if authority.as_str() != authority.host() => None,
        None => Some(if is_secure { 443 } else { 80 }),
    }
}

impl AllowedOrigins {
    /// The listed ones; in development mode also the pages of this machine.
    pub fn new(allowed: Vec<AllowedOrigin>, is_development: bool) -> Self {
        Self { allowed, has_loopback: is_development }
    }

    /// Whether a request with these headers comes from a page that may talk to this server, or from no page at all.
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

/// Whether the page came from this server: under the name that the request was sent to. Whether that was by HTTP or HTTPS is not known here,
/// as TLS ends before.
fn is_own(origin: &Origin, headers: &HeaderMap, is_behind_proxy: bool) -> bool {
    let forwarded = headers.get("x-forwarded-host").filter(|_| is_behind_proxy);
    let host = forwarded.or_else(|| headers.get(header::HOST)).and_then(|host| host.to_str().ok());
    let Some(host) = host.and_then(|host| host.parse::<Authority>().ok()) else { return false };
    host.host().eq_ignore_ascii_case(&origin.host) && port(&host, origin.is_secure) == Some(origin.port)
}

/// The headers that let a browser's page read answers, and the answers to its preflight requests.
pub fn cors(origins: &Arc<AllowedOrigins>) -> CorsLayer {
    let origins = origins.clone();
    let allows = move |_: &HeaderValue, parts: &request::Parts| {
        origins.allows(&parts.headers, is_behind_proxy(&parts.extensions))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allows))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE])
        .max_age(PREFLIGHT_MAX_AGE)
}

/// Refuses what comes from a page that may not talk to this server.
pub async fn only_allowed(
    State(origins): State<Arc<AllowedOrigins>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    // The app's files and whether all is well may be asked for from anywhere.
    let is_guarded = socket::is_ours(path) || path == LEAVE;
    if !is_guarded || origins.allows(request.headers(), is_behind_proxy(request.extensions())) {
        return next.run(request).await;
    }
    let text = "This server does not talk to pages of this origin. Start it with --allow-origin ORIGIN to change that; behind a proxy, pass \
                the Host header on.\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

fn is_behind_proxy(extensions: &axum::http::Extensions) -> bool {
    extensions.get::<Client>().is_some_and(|client| client.is_behind_proxy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (header::HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        };
        lines.iter().map(line).collect()
    }

    fn from(origins: &AllowedOrigins, origin: &str, host: &str) -> bool {
        origins.allows(&headers(&[("origin", origin), ("host", host)]), false)
    }

    #[test]
    fn origins_have_a_scheme_and_a_host_and_nothing_behind() {
        for (text, wanted) in [
            ("https://app.example.org", "https://app.example.org:443"),
            ("http://LOCALHOST:3000", "http://localhost:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("*", "*"),
        ] {
            assert_eq!(text.parse::<AllowedOrigin>().map(|it| it.to_string()), Ok(wanted.into()));
        }
        for text in [
            "",
            "app.example.org",
            "https://",
            "https://a/",
            "https://a/b",
            "ws://a",
            "null",
            "https://u@a",
            "https://a:b",
            "https://a?b",
        ] {
            assert_eq!(text.parse::<AllowedOrigin>(), Err(InvalidOrigin), "{text}");
        }
    }

    #[test]
    fn own_pages_and_listed_origins_are_allowed_and_others_are_not() {
        let origins = AllowedOrigins::new(vec!["https://app.example.org".parse().expect("an origin")], false);
        for (origin, host) in [
            ("https://meet.example.org", "meet.example.org"),
            ("https://meet.example.org", "meet.example.org:443"),
            ("http://meet.example.org", "meet.example.org:80"),
            ("https://meet.example.org:8443", "Meet.example.org:8443"),
            ("http://[::1]:7080", "[::1]:7080"),
            ("https://app.example.org", "meet.example.org"),
            ("https://app.example.org:443", "127.0.0.1:7080"),
        ] {
            assert!(from(&origins, origin, host), "{origin} at {host}");
        }
        for (origin, host) in [
            ("https://evil.example", "meet.example.org"),
            ("http://app.example.org", "meet.example.org"),
            ("https://app.example.org:444", "meet.example.org"),
            ("https://meet.example.org", "meet.example.org:8443"),
            ("https://app.example.org.evil.example", "meet.example.org"),
            ("http://localhost:3000", "meet.example.org"),
            ("null", "meet.example.org"),
            ("", "meet.example.org"),
        ] {
            assert!(!from(&origins, origin, host), "{origin} at {host}");
        }
        assert!(origins.allows(&headers(&[("host", "meet.example.org")]), false), "no page at all");
        assert!(from(&AllowedOrigins::new(vec![AllowedOrigin::Any], false), "null", "a"));
        let development = AllowedOrigins::new(Vec::new(), true);
        assert!(from(&development, "http://localhost:3000", "127.0.0.1:7080"));
        assert!(!from(&development, "https://evil.example", "127.0.0.1:7080"));
    }

    #[test]
    fn the_forwarded_host_counts_behind_a_trusted_proxy_alone() {
        let lines = [
            ("origin", "https://meet.example.org"),
            ("host", "127.0.0.1:7080"),
            ("x-forwarded-host", "meet.example.org"),
        ];
        let headers = headers(&lines);
        assert!(AllowedOrigins::default().allows(&headers, true));
        assert!(!AllowedOrigins::default().allows(&headers, false));
    }
}
