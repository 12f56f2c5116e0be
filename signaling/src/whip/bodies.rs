//! The media types of bodies, and the values of headers.

use super::problem;
use crate::api::Problem;
use crate::proto::IceServer;
use crate::rooms::IfMatch;
use axum::http::{HeaderMap, HeaderValue, header};

/// The media type of offers and answers (RFC 8866 §8.1).
pub(super) const DESCRIPTION: &str = "application/sdp";
/// The media type of fragments (RFC 8840 §9).
pub(super) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// Checks the media type of a body.
pub(super) fn check_type(headers: &HeaderMap, wanted: &'static str) -> Result<(), Problem> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = found.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(problem::media_type(wanted))
}

/// The text of a body.
pub(super) fn text(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|_| problem::malformed("the body must be UTF-8"))
}

/// The condition of a request (RFC 9110 §13.1.1); `None` without one. RFC 9725 §4.3.3 writes the star in quotes.
pub(super) fn condition(headers: &HeaderMap) -> Result<Option<IfMatch>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let wrong = || problem::malformed("If-Match must be * or the ETag of the session, in double quotes");
    let value = value.to_str().map_err(|_| wrong())?.trim();
    if matches!(value, "*" | "\"*\"") {
        return Ok(Some(IfMatch::Any));
    }
    let mut tags = Vec::new();
    for tag in value.split(',').map(str::trim) {
        let (is_weak, tag) = tag.strip_prefix("W/").map_or((false, tag), |rest| (true, rest));
        let tag = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or_else(wrong)?;
        // A weak tag matches nothing here.
        tags.extend(Some(tag.to_owned()).filter(|_| !is_weak));
    }
    Ok(Some(IfMatch::Tags(tags)))
}

/// The entity tag of an ICE session: its user name fragment on this side.
pub(super) fn entity_tag(ice_ufrag: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("\"{ice_ufrag}\"")).ok()
}

/// The TURN servers as links (RFC 9725 §4.4).
pub(super) fn links(servers: &[IceServer]) -> impl Iterator<Item = HeaderValue> {
    servers.iter().flat_map(|server| {
        server.urls.iter().filter_map(|url| {
            let mut link = format!("<{url}>; rel=\"ice-server\"");
            if !server.username.is_empty() {
                let (user, secret) = (quoted(&server.username), quoted(&server.credential));
                link +=
                    &format!("; username=\"{user}\"; credential=\"{secret}\"; credential-type=\"password\"");
            }
            HeaderValue::from_str(&link).ok()
        })
    })
}

/// The content of a quoted string (RFC 9110 §5.6.4).
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(name: header::HeaderName, value: &[u8]) -> Option<HeaderMap> {
        Some([(name, HeaderValue::from_bytes(value).ok()?)].into_iter().collect())
    }

    fn tags(value: &str) -> Option<IfMatch> {
        condition(&with(header::IF_MATCH, value.as_bytes()).expect("a header")).ok().flatten()
    }

    #[test]
    fn conditions_are_read_as_in_http() {
        let one = |tag: &str| Some(IfMatch::Tags(vec![tag.to_owned()]));
        assert_eq!((tags("*"), tags("\"*\"")), (Some(IfMatch::Any), Some(IfMatch::Any)));
        assert_eq!((tags("\"ab+/\""), tags(" \"x\" ")), (one("ab+/"), one("x")));
        assert_eq!(tags("\"a\", W/\"b\", \"c\""), Some(IfMatch::Tags(vec!["a".into(), "c".into()])));
        assert_eq!(tags("W/\"a\""), Some(IfMatch::Tags(vec![])), "a weak tag matches nothing");
        assert_eq!((tags("a"), tags("\"a"), tags("")), (None, None, None));
        assert_eq!(condition(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn links_have_quoted_credentials() {
        let server = IceServer {
            urls: vec!["turn:h:1?transport=udp".into(), "turn:h:1\r\n".into()],
            username: "a\"b".into(),
            credential: "c\\d".into(),
        };
        let found: Vec<_> = links(&[server]).collect();
        let wanted = "<turn:h:1?transport=udp>; rel=\"ice-server\"; username=\"a\\\"b\"; credential=\"c\\\\d\"; credential-type=\"password\"";
        assert_eq!(found, [wanted], "a URL that is no header is left out");
    }

    proptest! {
        #[test]
        fn any_header_and_body_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for name in [header::IF_MATCH, header::CONTENT_TYPE, header::AUTHORIZATION] {
                let Some(headers) = with(name, &bytes) else { continue };
                if let Ok(Some(IfMatch::Tags(tags))) = condition(&headers) {
                    prop_assert!(tags.iter().all(|tag| tag.len() <= bytes.len()));
                }
                let _ = check_type(&headers, DESCRIPTION);
                let _ = super::super::credentials::bearer(&headers);
            }
            prop_assert_eq!(text(&bytes).is_ok(), std::str::from_utf8(&bytes).is_ok());
        }
    }
}
