//! Plain transports: RTP (RFC 3550) and SRTP (RFC 3711) with keys from signaling (RFC 4568), for peers
//! without ICE and DTLS, such as ffmpeg and GStreamer.

use crate::codec::{DecodeError, Input, Wire, wire_enum, wire_struct};
use crate::ids::{RouterId, TransportId};
use crate::limits;
use crate::media::AppData;
use std::net::SocketAddr;

/// A new plain transport. It has its own UDP ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePlainTransport {
    /// The router it belongs to.
    pub router: RouterId,
    /// Its id.
    pub transport: TransportId,
    /// The family of the address it listens on.
    pub family: IpFamily,
    /// RTCP arrives at the RTP port (RFC 5761); otherwise at the next port, and the RTP port is even (RFC
    /// 3550 §11).
    pub rtcp_mux: bool,
    /// The peer's address is learned once, from its first packet, instead of being given. The first sender
    /// becomes the peer: without SRTP, any sender of a packet that matches one of its producers.
    pub comedia: bool,
    /// SRTP in both directions. The engine makes the key it sends with; the peer's key comes with
    /// [`ConnectPlainTransport`].
    pub srtp: Option<SrtpProfile>,
    /// Returned in snapshots.
    pub app_data: AppData,
}
wire_struct!(CreatePlainTransport { router, transport, family, rtcp_mux, comedia, srtp, app_data });

/// The peer of a plain transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectPlainTransport {
    /// The transport.
    pub transport: TransportId,
    /// The address from which the peer sends RTP and at which it receives; packets from other addresses are
    /// dropped. `None` with `comedia`, and only then.
    pub remote: Option<SocketAddr>,
    /// The same for RTCP on a separate port; `None` is the port after that of RTP (RFC 3550 §11).
    pub rtcp_remote: Option<SocketAddr>,
    /// The key that the peer sends with; required if the transport has SRTP, with the same profile.
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

/// An SRTP protection profile; the names of RFC 4568 and RFC 7714.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpProfile {
    /// `AES_CM_128_HMAC_SHA1_80`: the one that ffmpeg supports.
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

/// The master key followed by the master salt, as in `a=crypto` after `inline:` in base64 (RFC 4568 §6.1): 30
/// bytes for AES_CM_128_HMAC_SHA1_80, 28 for AEAD_AES_128_GCM, 44 for AEAD_AES_256_GCM.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtpKey(pub Vec<u8>);

impl std::fmt::Debug for SrtpKey {
    /// Without the key, which is secret.
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
