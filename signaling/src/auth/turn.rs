//! The TURN server that is announced to clients: its URLs, and short-lived credentials.
//!
//! A credential is derived from a secret that the TURN server also has (coturn's `use-auth-secret`, "TURN
//! REST API"): the user name contains the expiry time and the user, the password is an HMAC of it. Neither
//! side stores credentials.

use crate::limits::TURN_URLS_MAX;
use crate::proto::IceServer;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The TURN server that is announced to clients.
pub struct TurnServer {
    urls: Vec<String>,
    key: hmac::Key,
    ttl: Duration,
}

/// An invalid TURN configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnServerError {
    /// Not a TURN URL (RFC 7065).
    #[error(
        "--turn-url {0:?}: expected turn:HOST:PORT?transport=udp (or tcp), or turns:HOST:PORT?transport=tcp"
    )]
    Url(String),
    /// Browsers become slow with more than a few.
    #[error("--turn-url is given {0} times; at most {TURN_URLS_MAX} are possible")]
    TooMany(usize),
    /// Credentials need a secret.
    #[error(
        "--turn-url needs a secret: give --turn-secret-file or LEAT_TURN_SECRET, the same as for the TURN server"
    )]
    NoSecret,
}

impl TurnServer {
    /// Announces these URLs, with credentials that expire after `ttl`. Only the first line of the secret
    /// counts: the file of the TURN server may have a second line with the previous secret.
    pub fn new(urls: Vec<String>, secret: &str, ttl: Duration) -> Result<Self, TurnServerError> {
        let secret =
            secret.lines().map(str::trim).find(|line| !line.is_empty()).ok_or(TurnServerError::NoSecret)?;
        if urls.len() > TURN_URLS_MAX {
            return Err(TurnServerError::TooMany(urls.len()));
        }
        if let Some(url) = urls.iter().find(|url| !is_turn(url)) {
            return Err(TurnServerError::Url(url.clone()));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        Ok(Self { urls, key, ttl })
    }

    /// The URLs and a new credential for this user; `now` is the time since 1970.
    pub fn ice_server(&self, user: &str, now: Duration) -> IceServer {
        let username = format!("{}:{user}", (now + self.ttl).as_secs());
        let credential = STANDARD.encode(hmac::sign(&self.key, username.as_bytes()));
        IceServer { urls: self.urls.clone(), username, credential }
    }
}

/// Whether a URL conforms to RFC 7065 §3.1, with a valid host and port.
fn is_turn(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else { return false };
    let (place, transport) = rest.split_once("?transport=").unwrap_or((rest, "udp"));
    let is_secure = scheme == "turns";
    // After the brackets of an IPv6 address, the first colon separates the port.
    let after_brackets = place.find(']').map_or(0, |end| end + 1);
    let (host, port) = match place[after_brackets..].find(':') {
        Some(colon) => (&place[..after_brackets + colon], Some(&place[after_brackets + colon + 1..])),
        None => (place, None),
    };
    host_of_url(host)
        && port.is_none_or(is_port)
        && (scheme == "turn" || is_secure)
        && (transport == "tcp" || transport == "udp" && !(is_secure && rest.contains("?transport")))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port != 0)
}

/// An IPv6 address in brackets, an IPv4 address, or a name.
fn host_of_url(text: &str) -> bool {
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()),
        None => text.parse::<Ipv4Addr>().is_ok() || is_host_name(text),
    }
}

/// A DNS host name (RFC 1123 §2.1). A name whose last label is a number would be an address.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Parses a `--turn-host`: a name or an address, in the form for a URL.
pub fn host(text: &str) -> Result<String, &'static str> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<Ipv6Addr>() {
        Ok(ip) => Ok(format!("[{ip}]")),
        Err(_) if host_of_url(text) => Ok(text.to_owned()),
        Err(_) => Err("expected a host name or an IP address, without a port"),
    }
}

#[cfg(test)]
mod tests;
