//! What clients are told of the TURN server: where it is, and a credential that opens it for a while.
//!
//! The credential is made of a secret that the TURN server has as well (coturn's `use-auth-secret`, "TURN REST API"): the user name
//! says until when it is good and for whom, the password is an HMAC of it. Nothing is stored, here or there.

use crate::limits::TURN_URLS_MAX;
use crate::proto::IceServer;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The TURN server that clients are sent to.
pub struct TurnServer {
    urls: Vec<String>,
    key: hmac::Key,
    ttl: Duration,
}

/// What cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnServerError {
    /// No TURN URL (RFC 7065).
    #[error(
        "--turn-url {0:?}: expected turn:HOST:PORT?transport=udp (or tcp), or turns:HOST:PORT?transport=tcp"
    )]
    Url(String),
    /// A browser takes a few, and is slow with more.
    #[error("{0} times --turn-url: at most {TURN_URLS_MAX} are possible")]
    TooMany(usize),
    /// Without one no credential can be made.
    #[error(
        "--turn-url wants a secret: give --turn-secret-file or LEAT_TURN_SECRET, the same as the TURN server's"
    )]
    NoSecret,
}

impl TurnServer {
    /// Sends clients to these URLs, with credentials that are good for `ttl`. Of the secret, the first line counts: the TURN server's
    /// file may have a second, for those that were made before.
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

    /// For this user, from now (since 1970) on.
    pub fn ice_server(&self, user: &str, now: Duration) -> IceServer {
        let username = format!("{}:{user}", (now + self.ttl).as_secs());
        let credential = STANDARD.encode(hmac::sign(&self.key, username.as_bytes()));
        IceServer { urls: self.urls.clone(), username, credential }
    }
}

/// Whether a URL is as RFC 7065 §3.1 has it, with a host and a port that exist.
fn is_turn(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else { return false };
    let (place, transport) = rest.split_once("?transport=").unwrap_or((rest, "udp"));
    let is_secure = scheme == "turns";
    // Behind the brackets of an IPv6 address, the first colon is the port's.
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

/// A name that DNS can have (RFC 1123 §2.1). One that ends with a number would be an address.
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

/// Reads a `--turn-host`: a name or an address, as a URL has it.
pub fn host(text: &str) -> Result<String, &'static str> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<Ipv6Addr>() {
        Ok(ip) => Ok(format!("[{ip}]")),
        Err(_) if host_of_url(text) => Ok(text.to_owned()),
        Err(_) => Err("expected a host name or an IP address, without a port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_as_coturn_wants_it() {
        let turn = TurnServer::new(
            vec!["turn:192.0.2.1:3478?transport=udp".into()],
            "north\nolder\n",
            Duration::from_secs(918),
        )
        .unwrap_or_else(|error| panic!("{error}"));
        let server = turn.ice_server("user", Duration::from_secs(1_433_895_000));
        assert_eq!(server.username, "1433895918:user");
        // printf '%s' 1433895918:user | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(server.credential, "/gk4t5tUc08OpM3NjrVjHSFVNmY=");
    }

    #[test]
    fn urls_are_turns_and_others_are_told() {
        for url in [
            "turn:a:1",
            "turn:a",
            "turn:[::1]:3478?transport=tcp",
            "turns:turn.example.org:443?transport=tcp",
            "turn:192.0.2.1:65535",
            "turn:[2001:db8::1]",
            "turn:xn--mhle-0ra.example:3478",
        ] {
            assert!(is_turn(url), "{url}");
        }
        for url in [
            "",
            "stun:a:1",
            "turn:",
            "turn://a",
            "turn:a?transport=sctp",
            "turns:a?transport=udp",
            "http://a",
            "turn:a:99999",
            "turn:a:65536",
            "turn:a:0",
            "turn:a:",
            "turn:a:+1",
            "turn:a:3478:3478",
            "turn:2001:db8::1",
            "turn:2001:db8::1:3478",
            "turn:[2001:db8::1",
            "turn:[2001:db8::1]3478",
            "turn:[192.0.2.1]:3478",
            "turn:[::g]:3478",
            "turn:192.0.2.256:3478",
            "turn:192.0.2:3478",
            "turn:-a:3478",
            "turn:a_b:3478",
            "turn:a..b:3478",
            "turn:a b:3478",
            "turn:u@a:3478",
            "turn:a/b",
        ] {
            let error = TurnServer::new(vec![url.into()], "s", Duration::ZERO)
                .err()
                .unwrap_or_else(|| panic!("{url} was taken"));
            assert!(error.to_string().contains("expected turn:HOST:PORT"), "{error}");
        }
        for (text, url) in [
            ("2001:db8::1", "[2001:db8::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("192.0.2.1", "192.0.2.1"),
            ("turn.example.org", "turn.example.org"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(url));
            assert!(is_turn(&format!("turn:{url}:3478?transport=udp")), "{url}");
        }
        for text in [
            "",
            "a:3478",
            "192.0.2.1:3478",
            "[2001:db8::1]:3478",
            "2001:db8::g",
            "turn:a",
            "192.0.2.256",
            "a/b",
            "a b",
        ] {
            assert!(host(text).is_err(), "{text}");
        }
        let many = vec!["turn:a".to_owned(); TURN_URLS_MAX + 1];
        assert_eq!(
            TurnServer::new(many, "s", Duration::ZERO).err(),
            Some(TurnServerError::TooMany(TURN_URLS_MAX + 1))
        );
        assert_eq!(
            TurnServer::new(vec!["turn:a".into()], " \n", Duration::ZERO).err(),
            Some(TurnServerError::NoSecret)
        );
    }
}
