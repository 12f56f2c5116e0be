//! Protects development mode, in which clients of this machine need no token, from pages of other origins in
//! a browser of this machine. Only pages from this machine may use the server: not the script of another
//! origin (`Origin`), and not a page whose host name was changed to this machine after it was loaded (DNS
//! rebinding: `Host`).
//!
//! A reverse proxy on this machine makes every client local, and may rewrite `Host`. So a request with traces
//! of a proxy is refused: its headers, or HTTP/1.0, which is the default of nginx for upstreams, and which
//! browsers do not use.

use crate::server::edge::Client;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// Refuses requests that do not come from a page of this machine.
pub(crate) async fn only_local_pages(request: Request, next: Next) -> Response {
    // A trusted proxy reports the address of the client.
    let is_elsewhere =
        request.extensions().get::<Client>().is_none_or(|client| !client.address.is_loopback());
    if is_elsewhere || is_proxied(request.version(), request.headers()) {
        let text = "This server runs in development mode and takes no requests from a proxy. Start it with --secret-file to put a proxy \
                    before it.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    if is_local(request.headers()) {
        return next.run(request).await;
    }
    let text = "This server runs in development mode and talks to pages from localhost only. Start it with --secret-file to use it \
                under another name.\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

/// Whether a proxy has forwarded the request (RFC 7239, RFC 9110 §7.6.3).
fn is_proxied(version: Version, headers: &HeaderMap) -> bool {
    let is_trace = |name: &HeaderName| {
        let name = name.as_str();
        matches!(name, "forwarded" | "via" | "x-real-ip") || name.starts_with("x-forwarded-")
    };
    version < Version::HTTP_11 || headers.keys().any(is_trace)
}

fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    if !host.is_some_and(|host| is_loopback(host.host())) {
        return false;
    }
    // Browsers send it wherever it matters; other programs of this machine need not.
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    origin.is_some_and(|origin| origin.host().is_some_and(is_loopback))
}

/// Whether a host name always means this machine (RFC 6761 §6.3).
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn from(host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).expect("a header"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).expect("a header"));
        }
        is_local(&headers)
    }

    #[test]
    fn pages_of_this_machine_are_admitted() {
        for host in
            ["localhost:7080", "LOCALHOST", "127.0.0.1:7080", "127.9.9.9", "[::1]:7080", "leat.localhost:1"]
        {
            assert!(from(host, None), "{host}");
            assert!(from(host, Some("http://localhost:5173")), "{host}");
        }
        assert!(from("localhost:7080", Some("http://[::1]:7080")));
    }

    #[test]
    fn forwarded_request_is_detected_by_headers_and_version() {
        assert!(!is_proxied(Version::HTTP_11, &HeaderMap::new()));
        assert!(is_proxied(Version::HTTP_10, &HeaderMap::new()));
        for name in
            ["Forwarded", "Via", "X-Real-IP", "X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Anything"]
        {
            let name: HeaderName = name.parse().expect("a name");
            let headers = [(name.clone(), HeaderValue::from_static(""))].into_iter().collect();
            assert!(is_proxied(Version::HTTP_11, &headers), "{name}");
        }
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        for origin in [
            "https://example.org",
            "null",
            "",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "http://[::2]",
        ] {
            assert!(!from("localhost:7080", Some(origin)), "{origin}");
        }
        for host in
            ["example.org", "example.org:7080", "192.0.2.1", "localhost.example.org", "[fd00::1]:7080", "a b"]
        {
            assert!(!from(host, None), "{host}");
        }
        assert!(!is_local(&HeaderMap::new()));
    }
}
