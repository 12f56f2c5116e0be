//! Which address a client has when proxies stand between. Only what a trusted proxy wrote counts: each proxy appends the address that it
//! was connected from to `X-Forwarded-For`, so the list is read from the right, and what stands to the left of the first address that is
//! not a trusted proxy may be anything.

use super::Network;
use axum::http::HeaderMap;
use std::net::{IpAddr, SocketAddr};

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(pub Vec<Network>);

impl TrustedProxies {
    /// Whether this is one of them.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }
}

/// The client of a request that came from a trusted proxy: the rightmost address that is not a trusted proxy's; where all are, the leftmost.
/// `None` if the proxy gave no address.
pub fn forwarded_for(headers: &HeaderMap, trusted: &TrustedProxies) -> Option<IpAddr> {
    let mut client = None;
    for value in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for hop in value.as_bytes().rsplit(|byte| *byte == b',') {
            // What is no address was not written by a proxy of ours: the one before is as far as is known.
            let Some(ip) = std::str::from_utf8(hop).ok().and_then(|hop| address(hop.trim())) else {
                return client;
            };
            client = Some(ip);
            if !trusted.contains(ip) {
                return client;
            }
        }
    }
    client
}

/// With or without a port, IPv6 with or without brackets: proxies write all of these.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse::<IpAddr>().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    ip.map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    fn client(lines: &[&str]) -> Option<String> {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().expect("a network"));
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).expect("a value"));
        }
        forwarded_for(&headers, &TrustedProxies(trusted.into())).map(|ip| ip.to_string())
    }

    #[test]
    fn the_rightmost_address_that_is_no_trusted_proxy_is_the_clients() {
        for (lines, wanted) in [
            (&["203.0.113.7"][..], Some("203.0.113.7")),
            // What the client itself sent stands to the left.
            (&["198.51.100.1, 203.0.113.7"], Some("203.0.113.7")),
            (&["10.0.0.1,203.0.113.7"], Some("203.0.113.7")),
            (&["203.0.113.7, 10.0.0.2, 10.0.0.1"], Some("203.0.113.7")),
            (&["198.51.100.1, 203.0.113.7, fd00::1"], Some("203.0.113.7")),
            // Several lines are one list (RFC 9110 §5.3).
            (&["198.51.100.1", "203.0.113.7", "10.0.0.1"], Some("203.0.113.7")),
            (&["203.0.113.7:52000"], Some("203.0.113.7")),
            (&["[2001:db8::1]:52000"], Some("2001:db8::1")),
            (&["[2001:db8::1]"], Some("2001:db8::1")),
            (&["::ffff:203.0.113.7"], Some("203.0.113.7")),
            // A client inside the operator's own network.
            (&["10.1.1.1, 10.0.0.1"], Some("10.1.1.1")),
            (&["unknown, 10.0.0.1"], Some("10.0.0.1")),
            (&["203.0.113.7, unknown"], None),
            (&["203.0.113.7, "], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(client(lines).as_deref(), wanted, "{lines:?}");
        }
    }

    #[test]
    fn what_a_client_writes_to_the_left_changes_nothing() {
        proptest!(|(left in "[ -~]{0,60}")| {
            let line = format!("{left},203.0.113.7, 10.0.0.1");
            prop_assert_eq!(client(&[&line]), Some("203.0.113.7".to_owned()));
        });
    }
}
