//! The shared settings of all endpoints of a process.

use crate::limits::{CERTIFICATES_LEN_MAX, DATAGRAM_MAX, FLIGHT_TIMEOUT, MTU_MIN, SEND_QUEUE_LEN};
use ssl::Context;

/// The supported versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// DTLS 1.2 only.
    Dtls12,
    /// DTLS 1.3 if the peer offers it, otherwise 1.2. Both select AES-GCM for SRTP if the peer offers it.
    #[default]
    Auto,
}

/// The accepted peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Peers {
    /// The peer with the fingerprint from signaling, found by ICE: media and data channels.
    #[default]
    Announced,
    /// Any peer, without a certificate and from any address: a server on a separate port, such as TURN's. A
    /// client must prove its address by a [cookie](crate::Cookies).
    Anybody,
}

/// The options of [`Settings`].
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The accepted peers.
    pub peers: Peers,
    /// The supported versions. For any peer it is DTLS 1.2: the cookie exchange of 1.3 differs.
    pub version: Version,
    /// Bytes of the largest handshake datagram, UDP payload; limited to [`MTU_MIN`]`..=`[`DATAGRAM_MAX`]. The
    /// default of 1200 passes all usual paths.
    pub mtu: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { peers: Peers::default(), version: Version::default(), mtu: 1200 }
    }
}

/// Prepared settings: build once, and share by reference.
#[derive(Clone, Debug)]
pub struct Settings {
    options: Options,
    context: Context,
}

impl Settings {
    /// Prepares them.
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

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }
}
