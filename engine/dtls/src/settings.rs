//! What all endpoints of a process have in common.

use crate::limits::{
    DATAGRAM_MAX, FLIGHT_RETRIES, FLIGHT_TIMEOUT, HANDSHAKE_TIMEOUT, MTU_MIN, RECEIVE_QUEUE_LEN,
    SEND_QUEUE_LEN,
};
use machine::Instant;
use std::sync::Arc;

/// Which versions to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// DTLS 1.2 only. The default, because of what follows from it for every packet afterwards: asked
    /// by Chrome, the library's 1.2 server chooses AES-GCM for SRTP, its 1.3 server HMAC-SHA1, which
    /// costs 3.5 times as much.
    #[default]
    Dtls12,
    /// DTLS 1.3 where the peer offers it, else 1.2.
    Auto,
}

/// Who the peer may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Peers {
    /// Whom signaling announced by a fingerprint, and ICE has found: media and data channels.
    #[default]
    Announced,
    /// Anybody, without a certificate and from any address: a server on a port of its own, such as TURN's. A client has to show by
    /// a cookie that it is where it says it is.
    Anybody,
}

/// What may be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Who the peer may be.
    pub peers: Peers,
    /// Which versions to speak.
    pub version: Version,
    /// Bytes of the largest datagram to send in a handshake, UDP payload; moved into
    /// [`MTU_MIN`]`..=`[`DATAGRAM_MAX`]. The default of 1200 gets through everywhere.
    pub mtu: usize,
    /// Makes jitter, hello randoms, session ids and record nonces repeatable, for simulations. Never
    /// ephemeral keys nor signatures: packet *contents* differ from run to run all the same, and the
    /// length of a flight by a few bytes with the encoding of its signature.
    pub rng_seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { peers: Peers::default(), version: Version::default(), mtu: 1200, rng_seed: None }
    }
}

/// Settings made ready: build once, give every endpoint a reference.
#[derive(Clone)]
pub struct Settings {
    /// The instant that stands for [`Instant::EPOCH`], as the library counts in the system's instants.
    epoch: std::time::Instant,
    options: Options,
    config: Arc<dimpl::Config>,
}

impl Settings {
    /// `epoch` is the system's instant at [`Instant::EPOCH`], read once by the driver.
    ///
    /// # Panics
    /// If the crypto library fails its own test vectors; nothing could be trusted then.
    pub fn new(epoch: std::time::Instant, options: Options) -> Self {
        let mut builder = dimpl::Config::builder()
            .mtu(options.mtu.clamp(MTU_MIN, DATAGRAM_MAX))
            .max_queue_rx(RECEIVE_QUEUE_LEN)
            .max_queue_tx(SEND_QUEUE_LEN)
            .require_client_certificate(options.peers == Peers::Announced)
            // The cookie shows that the client receives where it says it is. ICE would have shown that.
            .use_server_cookie(options.peers == Peers::Anybody)
            .flight_start_rto(FLIGHT_TIMEOUT)
            .flight_retries(FLIGHT_RETRIES)
            .handshake_timeout(HANDSHAKE_TIMEOUT);
        if let Some(seed) = options.rng_seed {
            builder = builder.dangerously_set_rng_seed(seed);
        }
        let config = builder.build().expect("the bounds are sound and the crypto library is in order");
        Self { epoch, options, config: Arc::new(config) }
    }

    /// What was chosen.
    pub fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn config(&self) -> Arc<dimpl::Config> {
        Arc::clone(&self.config)
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock { epoch: self.epoch }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Translates between the machine's instants and the system's. Reads no clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: std::time::Instant,
}

impl Clock {
    pub(crate) fn to_std(self, now: Instant) -> std::time::Instant {
        // A machine's time ends after 584 years, the system's perhaps earlier.
        self.epoch.checked_add(now.since_epoch()).unwrap_or(self.epoch)
    }

    pub(crate) fn to_machine(self, at: std::time::Instant) -> Instant {
        Instant::EPOCH + at.saturating_duration_since(self.epoch)
    }
}
