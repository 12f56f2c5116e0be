//! The web app, embedded in the binary: `npm run build` in `signaling/web` creates it before. Without it, a
//! page explains how to build it.

use crate::rooms::Rooms;
use axum::extract::State;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

#[cfg(web_app)]
#[derive(rust_embed::RustEmbed)]
#[folder = "web/dist"]
struct App;

/// Scripts and styles only from this server, and workers that its scripts have made: the SDK has the one for
/// encryption inside its bundle. Connections only to this server. It is also listed by name,
/// because in some browsers `'self'` does not cover WebSockets (CSP 3 §6.7.2.8).
fn policy(host: Option<&str>) -> String {
    let sockets = host.map(|host| format!(" ws://{host} wss://{host}")).unwrap_or_default();
    format!(
        "default-src 'self'; worker-src 'self' blob:; connect-src 'self'{sockets}; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; \
         style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
}

/// The Host header, if it is only a host and a port: it becomes part of the policy.
fn host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let authority: Authority = host.parse().ok().filter(|_| host.bytes().all(is_plain))?;
    (!authority.host().is_empty()).then_some(host)
}

/// Marks the page of a server in development mode: there, a link with `join=1` joins at once; otherwise it
/// needs a click.
const MODE: &str = r#"name="leat-mode" content="token""#;
const DEVELOPMENT: &str = r#"name="leat-mode" content="development""#;

/// Serves one file of the app. A path without a dot is a page of the app, and all pages are `index.html`.
pub(crate) async fn serve(State(rooms): State<Arc<Rooms>>, request: HeaderMap, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    let is_page = !path.rsplit('/').next().unwrap_or_default().contains('.');
    let path = if is_page { "index.html" } else { path };
    match file(path) {
        Some(body) if path == "index.html" && rooms.is_development_mode() => {
            let page = String::from_utf8_lossy(&body).replace(MODE, DEVELOPMENT);
            (headers(path, host(&request)), page).into_response()
        }
        Some(body) => (headers(path, host(&request)), body).into_response(),
        None => (StatusCode::NOT_FOUND, "File not found.\n").into_response(),
    }
}

#[cfg(web_app)]
fn file(path: &str) -> Option<std::borrow::Cow<'static, [u8]>> {
    App::get(path).map(|file| file.data)
}

#[cfg(not(web_app))]
fn file(path: &str) -> Option<std::borrow::Cow<'static, [u8]>> {
    const PAGE: &str = "<!doctype html><title>Leat</title><h1>Leat is running</h1>\
        <p>This binary was built without the web app. Build it with <code>make run</code>, or with <code>npm ci && npm run build</code> in \
        <code>signaling/web</code> and then <code>cargo build</code> again.</p>";
    (path == "index.html").then_some(PAGE.as_bytes().into())
}

fn headers(path: &str, host: Option<&str>) -> HeaderMap {
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    // The bundler puts a hash of the content into every name under assets/.
    let caching =
        if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut headers = HeaderMap::new();
    let content_type = HeaderValue::from_str(mime.essence_str())
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The URL of a page contains the name of a room.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let policy = HeaderValue::from_str(&policy(host)).expect("a host is plain ASCII");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_sends_no_referrer() {
        let headers = headers("index.html", None);
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers[header::CONTENT_TYPE], "text/html");
        assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
    }

    #[test]
    fn page_may_connect_only_to_its_own_server() {
        let named = |host: &'static str| {
            let headers = [(header::HOST, HeaderValue::from_static(host))].into_iter().collect();
            super::host(&headers).map(|host| {
                let headers = super::headers("index.html", Some(host));
                headers[header::CONTENT_SECURITY_POLICY].to_str().expect("ASCII").to_owned()
            })
        };
        for host in ["meet.example", "localhost:7080", "[::1]:7080", "192.0.2.1"] {
            let policy = named(host).expect(host);
            assert!(policy.contains(&format!("connect-src 'self' ws://{host} wss://{host};")), "{policy}");
        }
        for host in ["", "a b", "x; script-src *", "x;script-src", "x'", "user@host", ":7080"] {
            assert_eq!(named(host), None, "{host}");
        }
        let unnamed = headers("index.html", None)[header::CONTENT_SECURITY_POLICY].clone();
        let unnamed = unnamed.to_str().expect("ASCII");
        for wanted in ["connect-src 'self';", "worker-src 'self' blob:;"] {
            assert!(unnamed.contains(wanted), "{unnamed}");
        }
    }
}
