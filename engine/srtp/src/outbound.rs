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
mod tests {
    use super::*;
    use crate::Inbound;
    use crate::hex::packets;

    /// Whole packets from master keys, in both directions: the files name their origin.
    fn assert_whole(key: &MasterKey, [rtp, srtp]: [&[u8]; 2], [rtcp, srtcp]: [&[u8]; 2]) {
        let profile = key.profile();
        let mut outbound = Outbound::new(profile, key);
        let mut inbound = Inbound::new(profile, key);

        let mut packet = [0xa5; 100];
        packet[..12].copy_from_slice(&rtp[..12]);
        let len = outbound.protect_rtp(0, 12, &rtp[12..], &mut packet).expect("it fits");
        assert_eq!(packet[..len], *srtp);
        assert_eq!(inbound.unprotect_rtp(&mut packet[..len]).expect("authentic"), rtp);

        outbound.resume_rtcp_at(1);
        let mut packet = [0xa5; 100];
        let len = outbound.protect_rtcp(rtcp, &mut packet).expect("it fits");
        assert_eq!(packet[..len], *srtcp);
        assert_eq!(inbound.unprotect_rtcp(&mut packet[..len]).expect("authentic"), rtcp);
    }

    #[test]
    fn computes_whole_packets_with_aes_cm() {
        let key = MasterKey::new(
            Profile::AesCm128HmacSha1_80,
            &0xe1f9_7a0d_3e01_8be0_d64f_a32c_06de_4139_u128.to_be_bytes(),
            &0x0ec6_75ad_498a_feeb_b696_0b3a_abe6_u128.to_be_bytes()[2..],
        )
        .expect("the lengths fit");
        let [rtp, srtp] = packets(include_str!("../../../tests/vectors/rfc3711/rtp.hex"));
        let [rtcp, srtcp] = packets(include_str!("../../../tests/vectors/rfc3711/rtcp.hex"));
        assert_whole(&key, [&rtp, &srtp], [&rtcp, &srtcp]);
    }

    #[test]
    fn computes_whole_packets_with_aes_gcm() {
        let (key, salt): (Vec<u8>, Vec<u8>) = ((0..16).collect(), (0xa0..0xac).collect());
        let key = MasterKey::new(Profile::AeadAes128Gcm, &key, &salt).expect("the lengths fit");
        let [rtp, srtp, rtcp, srtcp] = packets(include_str!("../../../tests/vectors/rfc7714/whole-128.hex"));
        assert_whole(&key, [&rtp, &srtp], [&rtcp, &srtcp]);
    }

    #[test]
    fn the_last_index_is_used_and_none_after_it() {
        let key = MasterKey::new(Profile::AeadAes128Gcm, &[1; 16], &[2; 12]).expect("the lengths fit");
        let mut outbound = Outbound::new(Profile::AeadAes128Gcm, &key);
        let mut inbound = Inbound::new(Profile::AeadAes128Gcm, &key);
        outbound.resume_rtcp_at(RTCP_INDEX_MAX);
        let compound = [0x80, 201, 0, 1, 0, 0, 0, 1];
        let mut packet = [0xa5; 28];
        let len = outbound.protect_rtcp(&compound, &mut packet).expect("one more");
        assert_eq!(inbound.unprotect_rtcp(&mut packet[..len]).expect("authentic"), compound);
        assert_eq!(outbound.protect_rtcp(&compound, &mut packet), None);
        outbound.resume_rtcp_at(0);
        assert_eq!(outbound.protect_rtcp(&compound, &mut packet), None, "an index is never used twice");
    }
}
