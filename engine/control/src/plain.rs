//! Plain transports: RTP (RFC 3550) and SRTP (RFC 3711) with keys that signaling carries (RFC 4568), for peers that know
//! neither ICE nor DTLS, such as ffmpeg and GStreamer.

use crate::codec::{DecodeError, Input, Wire, wire_enum, wire_struct};
use crate::ids::{RouterId, TransportId};
use crate::limits;
use crate::media::AppData;
use std::net::SocketAddr;

/// A new plain transport. It has UDP ports of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePlainTransport {
    /// The router it belongs to.
    pub router: RouterId,
    /// Its id.
    pub transport: TransportId,
    /// The family of the address it listens on.
    pub family: IpFamily,
    /// RTCP comes to the port of RTP (RFC 5761); else to the next, and the port of RTP is even (RFC 3550 §11).
    pub rtcp_mux: bool,
    /// The peer's address is not told but learned from its first packet, once. Whoever comes first is the peer: without SRTP,
    /// whoever sends a packet of one of its producers.
    pub comedia: bool,
    /// Protects media both ways. The engine makes the key it sends with; the peer's comes with [`ConnectPlainTransport`].
    pub srtp: Option<SrtpProfile>,
    /// Given back in snapshots.
    pub app_data: AppData,
}
wire_struct!(CreatePlainTransport { router, transport, family, rtcp_mux, comedia, srtp, app_data });

/// What is known of a plain transport's peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectPlainTransport {
    /// Which.
    pub transport: TransportId,
    /// Where the peer sends RTP from and receives it: the only address that anything is taken from. `None` with `comedia`,
    /// and only then.
    pub remote: Option<SocketAddr>,
    /// The same for RTCP, where it has a port of its own; `None` is the port after that of RTP (RFC 3550 §11).
    pub rtcp_remote: Option<SocketAddr>,
    /// The key the peer sends with; there if the transport has SRTP, with the same profile.
    pub srtp: Option<SrtpParameters>,
}
wire_struct!(ConnectPlainTransport { transport, remote, rtcp_remote, srtp });

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}
wire_enum!(IpFamily, "address family" { 0 => V4, 1 => V6 });

/// How SRTP encrypts and authenticates; the names of RFC 4568 and RFC 7714.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpProfile {
    /// `AES_CM_128_HMAC_SHA1_80`: the one that ffmpeg has.
    AesCm128HmacSha1_80,
    /// `AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `AEAD_AES_256_GCM`.
    AeadAes256Gcm,
}
wire_enum!(SrtpProfile, "SRTP profile" { 0 => AesCm128HmacSha1_80, 1 => AeadAes128Gcm, 2 => AeadAes256Gcm });

/// A profile, and the key of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtpParameters {
    /// The profile.
    pub profile: SrtpProfile,
    /// The key.
    pub key: SrtpKey,
}
wire_struct!(SrtpParameters { profile, key });

/// Master key and after it the master salt, as `a=crypto` has them in base64 behind `inline:` (RFC 4568 §6.1): 30 bytes for
/// AES_CM_128_HMAC_SHA1_80, 28 for AEAD_AES_128_GCM, 44 for AEAD_AES_256_GCM.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKey(pub Vec<u8>);

impl std::fmt::Debug for SrtpKey {
    /// Not the key: it is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SrtpKey({} bytes)", self.0.len())
    }
}

impl Wire for SrtpKey {
    fn write(&self, out: &mut Vec<u8>) {
        (self.0.len() as u16).write(out);
        out.extend_from_slice(&self.0);
    }

    fn read(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let len = usize::from(u16::read(input)?);
        if len > limits::SRTP_KEY_LEN_MAX {
            return Err(DecodeError::TooLong { what: "key", len, max: limits::SRTP_KEY_LEN_MAX });
        }
        input.take(len).map(|bytes| Self(bytes.to_vec()))
    }
}
