//! A target: a checked URL.

use crate::limits::URL_BYTES_MAX;
use aws_lc_rs::digest::{SHA256, digest};
use hyper::Uri;
use policy::Policy;
use rustls::pki_types::ServerName;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// A web server that gets events. Its path may contain a secret: it is in no log and not in the database.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    id: String,
    /// The path and query.
    pub(crate) path: Uri,
    /// The header `host`.
    pub(crate) authority: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The name in the certificate; `None`: without TLS.
    pub(crate) tls: Option<ServerName<'static>>,
}

/// A text that is not the URL of a target. Its path and query are not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No URL.
    #[error(
        "expected https://HOST[:PORT]/PATH of at most {URL_BYTES_MAX} bytes, without user, password and fragment"
    )]
    Url,
    /// An address that the rules refuse.
    #[error("{0} is not a public address; allow it with --webhook-allow {ip}", ip = .0.ip())]
    Refused(SocketAddr),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        read(text).ok_or(TargetError::Url)
    }
}

fn read(text: &str) -> Option<Target> {
    (text.len() <= URL_BYTES_MAX && !text.contains('#')).then_some(())?;
    let uri: Uri = text.parse().ok()?;
    let default_port = match uri.scheme_str()? {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = uri.authority()?.as_str().to_owned();
    // The parser drops a port that is not a number.
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let port = if has_port { uri.port_u16()? } else { default_port };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    (port != 0 && !host.is_empty() && !authority.contains('@')).then_some(())?;
    let tls = match default_port {
        443 => Some(ServerName::try_from(host.clone()).ok()?),
        _ => None,
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).parse().ok()?;
    let hash = digest(&SHA256, text.as_bytes());
    let id = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Some(Target { id, path, authority, host, port, tls })
}

impl Target {
    /// Stands for the URL in the queue.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether requests are not encrypted.
    pub fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Checks an address that is written in the URL. A name is resolved and checked with each attempt.
    pub fn check(&self, policy: &Policy) -> Result<(), TargetError> {
        let Ok(ip) = self.host.parse::<IpAddr>() else { return Ok(()) };
        let address = SocketAddr::new(ip, self.port);
        if policy.admits(address) { Ok(()) } else { Err(TargetError::Refused(address)) }
    }
}

impl fmt::Display for Target {
    /// Without path and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/…", if self.is_plain() { "http" } else { "https" }, self.authority)
    }
}

impl fmt::Debug for Target {
    /// Without path and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_shown_without_their_path() {
        for (text, host, port, shown) in [
            ("https://app.example/hook?key=s3cret", "app.example", 443, "https://app.example/…"),
            ("http://10.0.0.5:8080", "10.0.0.5", 8080, "http://10.0.0.5:8080/…"),
            ("https://[2600::1]:8443/s3cret", "2600::1", 8443, "https://[2600::1]:8443/…"),
        ] {
            let target: Target = text.parse().expect(text);
            assert_eq!((target.host.as_str(), target.port), (host, port), "{text}");
            assert_eq!(
                (target.to_string(), format!("{target:?}")),
                (shown.into(), format!("Target({shown})"))
            );
            assert_eq!(target.id().len(), 16);
        }
        let path = |text: &str| text.parse::<Target>().expect("a URL").path.to_string();
        assert_eq!((path("http://a"), path("http://a/b?c=d")), ("/".into(), "/b?c=d".into()));
    }

    #[test]
    fn other_texts_are_refused_and_not_repeated() {
        let long = format!("https://a/{}", "x".repeat(URL_BYTES_MAX));
        for text in [
            "",
            "a.example/s3cret",
            "/s3cret",
            "ftp://a/s3cret",
            "https:///s3cret",
            "https://u:s3cret@a/",
            "https://u@a/",
            "https://a:0/s3cret",
            "https://a:99999/s3cret",
            "https://a:x/s3cret",
            "https://a b/s3cret",
            "https://a/#s3cret",
            &long,
        ] {
            let error = text.parse::<Target>().expect_err(text);
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_private_address_in_a_url_is_refused_at_the_start_unless_it_is_allowed() {
        let target: Target = "http://127.0.0.1:8080/".parse().expect("a URL");
        let error = target.check(&Policy::default()).expect_err("refused");
        assert!(error.to_string().contains("--webhook-allow 127.0.0.1"), "{error}");
        let allowed = vec!["127.0.0.1:8080".parse().expect("an exception")];
        assert_eq!(target.check(&Policy { allowed, ..Policy::default() }), Ok(()));
    }
}
