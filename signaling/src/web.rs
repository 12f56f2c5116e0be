//! The web app, from inside the binary. Built before by `npm run build` in `signaling/web`; where it was not, a page says so.

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

#[cfg(web_app)]
#[derive(rust_embed::RustEmbed)]
#[folder = "web/dist"]
struct App;

/// Scripts and styles from this server alone; connections to this server alone.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; \
     style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// One file of the app. A path without a dot is one of the app's own pages, all of which are `index.html`.
pub(crate) async fn serve(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    let is_page = !path.rsplit('/').next().unwrap_or_default().contains('.');
    let path = if is_page { "index.html" } else { path };
    match file(path) {
        Some(body) => (headers(path), body).into_response(),
        None => (StatusCode::NOT_FOUND, "There is no such file here.\n").into_response(),
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

fn headers(path: &str) -> HeaderMap {
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
    // The address of a page names a room, and may hold a token.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_nobody_its_address() {
        let headers = headers("index.html");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(headers[header::CONTENT_TYPE], "text/html");
        assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
    }
}
