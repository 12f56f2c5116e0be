//! A value of `--clock`: a server that knows the time.

use std::fmt;
use std::str::FromStr;

/// A server that knows the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockSource {
    /// None: the clock is not checked.
    None,
    /// NTP at this host and port.
    Ntp(String, u16),
    /// The `Date` of an answer over HTTP: host, port and path.
    Http(String, u16, String),
}

impl FromStr for ClockSource {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "expected ntp://HOST, ntp://HOST:PORT, http://HOST/PATH or none";
        if text == "none" {
            return Ok(Self::None);
        }
        let (scheme, rest) = text.split_once("://").ok_or(wrong)?;
        let (place, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        let default = if scheme == "ntp" { 123 } else { 80 };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong)?),
            _ => (place, default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_text = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        match scheme {
            _ if host.is_empty() || !is_text(host) || !is_text(path) => Err(wrong),
            "ntp" => Ok(Self::Ntp(host.to_owned(), port)),
            "http" => Ok(Self::Http(host.to_owned(), port, path.to_owned())),
            _ => Err(wrong),
        }
    }
}

impl fmt::Display for ClockSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Ntp(host, port) => write!(f, "ntp://{host}:{port}"),
            Self::Http(host, port, path) => write!(f, "http://{host}:{port}{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_urls() {
        for (text, wanted) in [
            ("none", ClockSource::None),
            ("ntp://pool.ntp.org", ClockSource::Ntp("pool.ntp.org".into(), 123)),
            ("ntp://[::1]:1234", ClockSource::Ntp("::1".into(), 1234)),
            ("http://a.example/x", ClockSource::Http("a.example".into(), 80, "/x".into())),
            ("http://127.0.0.1:8080", ClockSource::Http("127.0.0.1".into(), 8080, "/".into())),
        ] {
            assert_eq!(text.parse(), Ok(wanted), "{text}");
        }
        for wrong in ["", "ntp", "ntp://", "https://a.example", "ntp://a:b", "http://a b/", "ntp:///x"] {
            wrong.parse::<ClockSource>().expect_err(wrong);
        }
    }
}
