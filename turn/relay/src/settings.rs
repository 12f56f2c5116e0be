//! The operator's settings.

use crate::credentials::Credentials;
use crate::limits::LIFETIME_DEFAULT;
use crate::quota::Quotas;
use machine::Instant;
use policy::Policy;
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use stun::Message;

/// The settings of a relay.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The valid credentials.
    pub credentials: Credentials,
    /// The peers that clients may reach.
    pub policy: Policy,
    /// The quotas of users and addresses.
    pub quotas: Quotas,
    /// The maximum lifetime that a client may request without a refresh; between
    /// [`LIFETIME_DEFAULT`](crate::limits::LIFETIME_DEFAULT) and
    /// [`LIFETIME_MAX`](crate::limits::LIFETIME_MAX).
    pub lifetime_max: Duration,
    /// Bytes per second, beyond the bytes received, that are sent over UDP to unauthenticated clients of one
    /// source: challenges, its address, errors. The burst is twice this.
    pub excess_bytes_per_second: u32,
    /// Whether channels may have the numbers of RFC 5766 as well, for clients from before RFC 8656.
    pub old_channels: bool,
    /// The server to which clients are redirected instead of getting an allocation (RFC 8489 §10).
    pub alternate_server: Option<SocketAddr>,
    /// Addresses to announce to clients instead of those of the relay sockets, if a 1:1 NAT is in front of
    /// the host: at most one of each family.
    pub announced: Vec<IpAddr>,
    /// The families of relay sockets: IPv4, IPv6.
    pub families: [bool; 2],
    /// Whether peers may be reached over TCP (RFC 6062).
    pub tcp_peers: bool,
    /// The clock for the expiry of minted credentials. Read for each authentication, as it may be set while
    /// the server runs.
    pub wall_clock: Arc<dyn WallClock>,
}

impl Settings {
    /// The lifetime of an allocation: as the client requests, within bounds.
    pub(crate) fn lifetime(&self, message: &Message<'_>) -> Result<Duration, u16> {
        let wanted = match message.lifetime() {
            None => LIFETIME_DEFAULT,
            Some(seconds) => Duration::from_secs(seconds.ok_or(400u16)?.into()),
        };
        Ok(wanted.min(self.lifetime_max).max(LIFETIME_DEFAULT))
    }

    /// The address of a socket that clients get.
    pub(crate) fn announced(&self, address: SocketAddr) -> SocketAddr {
        let announced = self.announced.iter().find(|ip| ip.is_ipv4() == address.is_ipv4());
        SocketAddr::new(announced.copied().unwrap_or(address.ip()), address.port())
    }
}

/// The time of day.
pub trait WallClock: Debug + Send + Sync {
    /// The current time since 1970.
    fn since_1970(&self, now: Instant) -> Duration;
}

/// A wall clock that is never set, given the time at [`Instant::EPOCH`]. For tests.
#[derive(Clone, Copy, Debug)]
pub struct EvenClock(pub Duration);

impl WallClock for EvenClock {
    fn since_1970(&self, now: Instant) -> Duration {
        self.0 + now.since_epoch()
    }
}
