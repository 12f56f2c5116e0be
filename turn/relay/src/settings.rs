//! What an operator chooses.

use crate::credentials::Credentials;
use crate::limits::LIFETIME_DEFAULT;
use crate::policy::Policy;
use crate::quota::Quotas;
use machine::Instant;
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use stun::Message;

/// The settings of a relay.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may allocate.
    pub credentials: Credentials,
    /// The peers that they may reach.
    pub policy: Policy,
    /// How much they may have.
    pub quotas: Quotas,
    /// How long an allocation may ask to live without a refresh; between [`LIFETIME_DEFAULT`](crate::limits::LIFETIME_DEFAULT) and
    /// [`LIFETIME_MAX`](crate::limits::LIFETIME_MAX).
    pub lifetime_max: Duration,
    /// Bytes per second that one source gets over UDP, before it has authenticated, beyond the bytes that it sent: challenges, its
    /// address, errors. Twice as many may be sent at once.
    pub excess_bytes_per_second: u32,
    /// Whether channels may have the numbers of RFC 5766 as well, for clients from before RFC 8656.
    pub old_channels: bool,
    /// Where clients are sent instead of being given an allocation (RFC 8489 §10).
    pub alternate_server: Option<SocketAddr>,
    /// Addresses to announce to clients instead of those of the relay sockets, where a 1:1 NAT stands before the host: at most one of
    /// each family.
    pub announced: Vec<IpAddr>,
    /// The families of relay sockets: IPv4, IPv6.
    pub families: [bool; 2],
    /// Whether peers may be reached over TCP (RFC 6062).
    pub tcp_peers: bool,
    /// By it minted credentials expire. Read for each authentication, as it may be set while the server runs.
    pub wall_clock: Arc<dyn WallClock>,
}

impl Settings {
    /// How long an allocation lives: what the client asks for, within bounds.
    pub(crate) fn lifetime(&self, message: &Message<'_>) -> Result<Duration, u16> {
        let wanted = match message.lifetime() {
            None => LIFETIME_DEFAULT,
            Some(seconds) => Duration::from_secs(seconds.ok_or(400u16)?.into()),
        };
        Ok(wanted.min(self.lifetime_max).max(LIFETIME_DEFAULT))
    }

    /// The address of a socket as clients see it.
    pub(crate) fn announced(&self, address: SocketAddr) -> SocketAddr {
        let announced = self.announced.iter().find(|ip| ip.is_ipv4() == address.is_ipv4());
        SocketAddr::new(announced.copied().unwrap_or(address.ip()), address.port())
    }
}

/// The time of day.
pub trait WallClock: Debug + Send + Sync {
    /// The time since 1970 at this moment.
    fn since_1970(&self, now: Instant) -> Duration;
}

/// A wall clock that is never set, by the time at [`Instant::EPOCH`]. For tests.
#[derive(Clone, Copy, Debug)]
pub struct EvenClock(pub Duration);

impl WallClock for EvenClock {
    fn since_1970(&self, now: Instant) -> Duration {
        self.0 + now.since_epoch()
    }
}
