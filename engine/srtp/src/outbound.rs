//! The sending side: encrypt from a shared plaintext into the receiver's slot (RFC 3711 §3.3).

use crate::cipher::{Cipher, RtcpNonce, RtpNonce};
use crate::header::{RTCP_HEADER_LEN, RTP_HEADER_LEN, RtpHeader};
use crate::limits::RTCP_INDEX_MAX;
use crate::{MasterKey, Profile};
use std::fmt;

/// The sending side of a session: our keys. The caller keeps the roll-over counters, because it numbers the
/// packets.
pub struct Outbound {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    /// Of the next SRTCP packet. One counter for all sources of the session: indices must be unique per
    /// source only (RFC 3711 §3.2.3), and gaps are allowed.
    rtcp_index: u32,
}

impl Outbound {
    /// A context for the key with which *we* send.
    ///
    /// # Panics
    /// If the key is for another profile: the caller that created the key has chosen its profile.
    pub fn new(profile: Profile, key: &MasterKey) -> Self {
        assert_eq!(key.profile(), profile, "a key is used with its own profile");
        Self { profile, rtp: Cipher::rtp(key), rtcp: Cipher::rtcp(key), rtcp_index: 0 }
    }

    /// The profile of the keys.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Completes an SRTP packet whose header the caller has already written into `out[..header_len]`:
    /// encrypts `payload` after it and appends the tag. Returns the packet's length.
    ///
    /// Source and sequence number are read from the header; `roc` counts how often the latter has
    /// wrapped. **The caller must never repeat (source, `roc`, sequence number) for anything but the
    /// same header and payload**: with either cipher a repetition reveals the XOR of the two payloads, and
    /// with GCM the key that authenticates all other packets (RFC 7714 §8.1).
    ///
    /// `None` if `header_len` is less than a header or `out` is too short; then nothing has been written.
    pub fn protect_rtp(&self, roc: u32, header_len: usize, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        let len = header_len.checked_add(payload.len())?.checked_add(self.profile.rtp_overhead())?;
        if header_len < RTP_HEADER_LEN {
            return None;
        }
        let packet = out.get_mut(..len)?;
        let RtpHeader { seq, ssrc } = RtpHeader::read(packet)?;
        let index = u64::from(roc) << 16 | u64::from(seq);
        self.rtp.seal_rtp(RtpNonce { ssrc, index }, packet, header_len, payload);
        Some(len)
    }

    /// Encrypts a compound RTCP packet into `out`. Returns its length.
    ///
    /// `None` if the compound is less than a header, `out` is too short for it with
    /// [`rtcp_overhead`](Profile::rtcp_overhead), or the key is used up ([`RTCP_INDEX_MAX`]); then nothing
    /// has been written.
    pub fn protect_rtcp(&mut self, compound: &[u8], out: &mut [u8]) -> Option<usize> {
        let len = compound.len().checked_add(self.profile.rtcp_overhead())?;
        let header = compound.first_chunk::<RTCP_HEADER_LEN>()?;
        let packet = out.get_mut(..len)?;
        if self.rtcp_index > RTCP_INDEX_MAX {
            return None;
        }
        let ssrc = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        self.rtcp.seal_rtcp(RtcpNonce { ssrc, index: self.rtcp_index }, packet, compound);
        self.rtcp_index += 1;
        Some(len)
    }

    /// The SRTCP index of the next packet: to be handed over if another process continues with this key.
    pub fn rtcp_index(&self) -> u32 {
        self.rtcp_index
    }

    /// Continues at a handed-over index. Never goes back: an index is used once.
    pub fn resume_rtcp_at(&mut self, index: u32) {
        self.rtcp_index = self.rtcp_index.max(index);
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("profile", &self.profile)
            .field("rtcp_index", &self.rtcp_index)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
