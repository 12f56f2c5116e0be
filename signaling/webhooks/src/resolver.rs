//! Names to addresses, by the resolver of the system.

use crate::limits::{ADDRESSES_MAX, RESOLUTIONS_PER_TARGET};
use policy::Policy;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The resolver of one target: a name that the system resolves slowly must not use the threads of the others.
#[derive(Debug)]
pub(crate) struct Resolver {
    free: Arc<Semaphore>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(RESOLUTIONS_PER_TARGET)) }
    }
}

/// The addresses of a host that the rules admit. Requests go to these and are not resolved again, so that a name
/// cannot get another address between the check and the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) admitted: Vec<SocketAddr>,
    /// One of those that the rules refuse.
    pub(crate) refused: Option<SocketAddr>,
}

impl Resolver {
    pub(crate) async fn resolve(&self, host: &str, port: u16, policy: &Policy) -> io::Result<Resolved> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(check([SocketAddr::new(ip, port)], policy));
        }
        let place = self.free.clone().acquire_owned().await.expect("the semaphore is never closed");
        let host = host.to_owned();
        let resolving = tokio::task::spawn_blocking(move || {
            // Until the thread is free again, also after the attempt has ended.
            let _place = place;
            (host, port).to_socket_addrs().map(|found| found.collect::<Vec<_>>())
        });
        Ok(check(resolving.await.map_err(io::Error::other)??, policy))
    }
}

fn check(found: impl IntoIterator<Item = SocketAddr>, policy: &Policy) -> Resolved {
    let (mut admitted, refused): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| policy.admits(*address));
    admitted.truncate(ADDRESSES_MAX);
    Resolved { admitted, refused: refused.first().copied() }
}

#[cfg(test)]
#[path = "../../../turn/policy/tests/notations/mod.rs"]
mod notations;

#[cfg(test)]
mod tests {
    use super::notations::REFUSED;
    use super::*;

    #[tokio::test]
    async fn of_several_addresses_only_public_ones_are_used() {
        let found = ["10.0.0.1:443", "8.8.8.8:443", "[::ffff:8.8.8.8]:443", "[2600::1]:443", "127.0.0.1:443"];
        let address = |text: &str| text.parse().expect("an address");
        let resolved = check(found.map(address), &Policy::default());
        assert_eq!(resolved.admitted, ["8.8.8.8:443", "[2600::1]:443"].map(address));
        assert_eq!(resolved.refused, Some(address("10.0.0.1:443")));
        let many = (1..=20).map(|last| SocketAddr::from(([8, 8, 8, last], 443)));
        assert_eq!(check(many, &Policy::default()).admitted.len(), ADDRESSES_MAX);
    }

    /// The same table as in the tests of the TURN server.
    #[tokio::test]
    async fn no_address_of_the_table_gets_a_connection() {
        for ip in REFUSED {
            let resolved =
                Resolver::default().resolve(ip, 443, &Policy::default()).await.expect("an address");
            assert!(resolved.admitted.is_empty() && resolved.refused.is_some(), "{ip}");
        }
    }

    /// Texts that only the resolver of the system reads as addresses.
    #[tokio::test]
    async fn names_and_other_forms_of_private_addresses_are_refused() {
        for host in
            ["localhost", "127.1", "2130706433", "0x7f000001", "017700000001", "0x7f.0.0.1", "10.1", "0"]
        {
            let resolved = Resolver::default().resolve(host, 443, &Policy::default()).await;
            let Ok(resolved) = resolved else { panic!("{host}: {resolved:?}") };
            assert!(resolved.admitted.is_empty() && resolved.refused.is_some(), "{host}: {resolved:?}");
        }
    }
}
