//! URLs of TURN servers (RFC 7065).

use crate::limits::TURN_URL_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A URL of a TURN server, with a valid host and port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TurnUrl(String);

impl FromStr for TurnUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() <= TURN_URL_BYTES_MAX && is_turn(text) {
            return Ok(Self(text.to_owned()));
        }
        Err("expected turn:HOST:PORT?transport=udp (or tcp), or turns:HOST:PORT?transport=tcp")
    }
}

impl TryFrom<String> for TurnUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TurnUrl> for String {
    fn from(url: TurnUrl) -> Self {
        url.0
    }
}

impl fmt::Display for TurnUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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

/// A host name or an address, without a port, in the form for a URL.
pub fn url_host(text: &str) -> Result<String, &'static str> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<Ipv6Addr>() {
        Ok(ip) => Ok(format!("[{ip}]")),
        Err(_) if host_of_url(text) => Ok(text.to_owned()),
        Err(_) => Err("expected a host name or an IP address, without a port"),
    }
}

#[cfg(test)]
mod tests;
