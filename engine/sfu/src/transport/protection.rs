//! The protection of a transport's packets: SRTP (RFC 3711), or none, if the controller has chosen that.

use control::Discard;
use machine::meter;

/// Both directions of a transport.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all have keys, and every packet uses them")]
pub enum Protection {
    /// With keys.
    Srtp(Srtp),
    /// Unencrypted: only for plain transports.
    Open,
}

/// The contexts of both directions.
#[derive(Debug)]
pub struct Srtp {
    /// From the peer.
    pub inbound: srtp::Inbound,
    /// To the peer.
    pub outbound: srtp::Outbound,
}

/// The sending side for RTP, borrowed for one fan-out.
#[derive(Clone, Copy, Debug)]
pub enum Outbound<'a> {
    /// With a key.
    Srtp(&'a srtp::Outbound),
    /// Unencrypted.
    Open,
}

impl Protection {
    /// Whether packets are unprotected: then numbers may repeat.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// The decrypted RTP packet, in place.
    pub fn unprotect_rtp<'p>(&mut self, packet: &'p mut [u8]) -> Result<&'p mut [u8], Discard> {
        meter::charge(packet.len(), 4);
        match self {
            Self::Srtp(keys) => keys.inbound.unprotect_rtp(packet).map_err(discard),
            Self::Open => Ok(packet),
        }
    }

    /// The decrypted RTCP compound, in place.
    pub fn unprotect_rtcp<'p>(&mut self, packet: &'p mut [u8]) -> Result<&'p mut [u8], Discard> {
        meter::charge(packet.len(), 4);
        match self {
            Self::Srtp(keys) => keys.inbound.unprotect_rtcp(packet).map_err(discard),
            Self::Open => Ok(packet),
        }
    }

    /// For sending RTP.
    pub fn outbound(&self) -> Outbound<'_> {
        match self {
            Self::Srtp(keys) => Outbound::Srtp(&keys.outbound),
            Self::Open => Outbound::Open,
        }
    }

    /// The overhead of an RTCP compound in bytes.
    pub fn rtcp_overhead(&self) -> usize {
        match self {
            Self::Srtp(keys) => keys.outbound.profile().rtcp_overhead(),
            Self::Open => 0,
        }
    }

    /// Writes a compound into `out`, which has exactly the required length. False if the key is used up.
    pub fn protect_rtcp(&mut self, compound: &[u8], out: &mut [u8]) -> bool {
        meter::charge(1, 1_000 + 3 * compound.len() as u64);
        match self {
            Self::Srtp(keys) => keys.outbound.protect_rtcp(compound, out).is_some(),
            Self::Open => {
                out.copy_from_slice(compound);
                true
            }
        }
    }
}

impl Outbound<'_> {
    /// The overhead of an RTP packet in bytes.
    pub fn rtp_overhead(self) -> usize {
        match self {
            Self::Srtp(outbound) => outbound.profile().rtp_overhead(),
            Self::Open => 0,
        }
    }

    /// Completes an RTP packet whose header is written. Returns its length; `None` if it does not fit. See
    /// [`srtp::Outbound::protect_rtp`] about repetitions.
    pub fn protect_rtp(self, roc: u32, header_len: usize, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        meter::charge(1, 1_500 + 3 * payload.len() as u64);
        match self {
            Self::Srtp(outbound) => outbound.protect_rtp(roc, header_len, payload, out),
            Self::Open => {
                let len = header_len.checked_add(payload.len())?;
                out.get_mut(header_len..len)?.copy_from_slice(payload);
                Some(len)
            }
        }
    }
}

/// The counter for a packet that SRTP discarded.
fn discard(discard: srtp::Discard) -> Discard {
    match discard {
        srtp::Discard::TooShort | srtp::Discard::NotRtp => Discard::SrtpTooShort,
        srtp::Discard::TooOld | srtp::Discard::Replayed => Discard::SrtpReplayed,
        srtp::Discard::AuthFailed | srtp::Discard::IndexExhausted => Discard::SrtpUnauthenticated,
        srtp::Discard::NotEncrypted => Discard::SrtcpUnencrypted,
        srtp::Discard::SsrcLimit => Discard::SsrcLimit,
    }
}
