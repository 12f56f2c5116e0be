//! What all endpoints of a process have in common.

use crate::limits::{CERTIFICATES_LEN_MAX, DATAGRAM_MAX, FLIGHT_TIMEOUT, MTU_MIN, SEND_QUEUE_LEN};
use ssl::Context;

/// Which versions to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// DTLS 1.2 only.
    Dtls12,
    /// DTLS 1.3 where the peer offers it, else 1.2. Both choose AES-GCM for SRTP where the peer offers that.
    #[default]
    Auto,
}

/// Who the peer may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Peers {
    /// The peer that signaling announced by a fingerprint, and ICE has found: media and data channels.
    #[default]
    Announced,
    /// Anybody, without a certificate and from any address: a server on a port of its own, such as TURN's. A client has to show by
    /// a [cookie](crate::Cookies) that it is where its datagrams say it is.
    Anybody,
}

/// What may be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Who the peer may be.
    pub peers: Peers,
    /// Which versions to speak. With anybody it is DTLS 1.2: the cookie exchange of 1.3 is another.
    pub version: Version,
    /// Bytes of the largest datagram to send in a handshake, UDP payload; moved into
    /// [`MTU_MIN`]`..=`[`DATAGRAM_MAX`]. The default of 1200 gets through everywhere.
    pub mtu: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { peers: Peers::default(), version: Version::default(), mtu: 1200 }
    }
}

/// Settings made ready: build once, give every endpoint a reference.
#[derive(Clone, Debug)]
pub struct Settings {
    options: Options,
    context: Context,
}

impl Settings {
    /// Makes them ready.
    pub fn new(options: Options) -> Self {
        let mtu = options.mtu.clamp(MTU_MIN, DATAGRAM_MAX);
        let is_for_media = options.peers == Peers::Announced;
        let context = Context::new(ssl::Options {
            dtls_1_3: is_for_media && options.version == Version::Auto,
            is_for_media,
            mtu: u32::try_from(mtu).unwrap_or(u32::MAX),
            flight_timeout: FLIGHT_TIMEOUT,
            certificates_len_max: CERTIFICATES_LEN_MAX,
            send_queue_len: SEND_QUEUE_LEN,
        });
        Self { options, context }
    }

    /// What was chosen.
    pub fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }
}
