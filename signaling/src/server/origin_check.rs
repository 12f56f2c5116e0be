//! Development mode lets in everybody on this machine, and a browser on this machine runs pages of everybody. So there, only pages
//! that came from this machine may talk to the server: neither a foreign page's script (`Origin`), nor one whose
//! name was made to point here after it was loaded (DNS rebinding: `Host`).
//!
//! A reverse proxy on this machine makes every client local, and may rewrite `Host`. A request that shows a proxy's traces is refused: its headers, or
//! HTTP/1.0, which nginx speaks to its upstreams unless told otherwise and browsers do not speak at all.

use crate::server::edge::Client;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// Turns away what does not come from a page of this machine.
pub(crate) async fn only_local_pages(request: Request, next: Next) -> Response {
    // A proxy that is believed has told where the client is.
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

/// Whether a proxy has passed the request on (RFC 7239, RFC 9110 §7.6.3).
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
    // No browser leaves it out where it matters; other programs on this machine may.
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    origin.is_some_and(|origin| origin.host().is_some_and(is_loopback))
}

/// Whether a name can only mean this machine (RFC 6761 §6.3).
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
    fn pages_of_this_machine_come_in() {
        for host in
            ["localhost:7080", "LOCALHOST", "127.0.0.1:7080", "127.9.9.9", "[::1]:7080", "leat.localhost:1"]
        {
            assert!(from(host, None), "{host}");
            assert!(from(host, Some("http://localhost:5173")), "{host}");
        }
        assert!(from("localhost:7080", Some("http://[::1]:7080")));
    }

    #[test]
    fn what_a_proxy_passes_on_is_seen_by_its_headers_and_version() {
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
    fn pages_of_others_do_not() {
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
