//! What clients are told of the TURN server: where it is, and a credential that opens it for a while.
//!
//! The credential is made of a secret that the TURN server has as well (coturn's `use-auth-secret`, "TURN REST API"): the user name
//! says until when it is good and for whom, the password is an HMAC of it. Nothing is stored, here or there.

use crate::limits::TURN_URLS_MAX;
use crate::proto::IceServer;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;

/// The TURN server that clients are sent to.
pub struct Turn {
    urls: Vec<String>,
    key: hmac::Key,
    ttl: Duration,
}

/// What cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTurn {
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

impl Turn {
    /// Sends clients to these URLs, with credentials that are good for `ttl`. Of the secret, the first line counts: the TURN server's
    /// file may have a second, for those that were made before.
    pub fn new(urls: Vec<String>, secret: &str, ttl: Duration) -> Result<Self, BadTurn> {
        let secret = secret.lines().map(str::trim).find(|line| !line.is_empty()).ok_or(BadTurn::NoSecret)?;
        if urls.len() > TURN_URLS_MAX {
            return Err(BadTurn::TooMany(urls.len()));
        }
        if let Some(url) = urls.iter().find(|url| !is_turn(url)) {
            return Err(BadTurn::Url(url.clone()));
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

fn is_turn(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else { return false };
    let (host, transport) = rest.split_once("?transport=").unwrap_or((rest, "udp"));
    let is_secure = scheme == "turns";
    !host.is_empty()
        && !host.contains(['?', '/', ' ', '@'])
        && (scheme == "turn" || is_secure)
        && (transport == "tcp" || transport == "udp" && !(is_secure && rest.contains("?transport")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_as_coturn_wants_it() {
        let turn = Turn::new(
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
        ] {
            let error = Turn::new(vec![url.into()], "s", Duration::ZERO)
                .err()
                .unwrap_or_else(|| panic!("{url} was taken"));
            assert!(error.to_string().contains("expected turn:HOST:PORT"), "{error}");
        }
        let many = vec!["turn:a".to_owned(); TURN_URLS_MAX + 1];
        assert_eq!(Turn::new(many, "s", Duration::ZERO).err(), Some(BadTurn::TooMany(TURN_URLS_MAX + 1)));
        assert_eq!(Turn::new(vec!["turn:a".into()], " \n", Duration::ZERO).err(), Some(BadTurn::NoSecret));
    }
}
