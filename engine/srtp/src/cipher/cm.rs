//! AES-CM with HMAC-SHA1-80 (RFC 3711 §4.1.1, §4.2.1): encrypt, then authenticate.
//!
//! ```text
//!  RTP    header | encrypted payload | tag         tag over header, payload, ROC
//!  RTCP   header | encrypted rest | E+index | tag  tag over all before it
//! ```

use super::hmac_sha1::HmacSha1;
use super::{BadTag, RtcpNonce, RtpNonce, ctr, xor};
use crate::MasterKey;
use crate::header::{RTCP_HEADER_LEN, RTCP_INDEX_LEN};
use crate::kdf::{Label, derive};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::Zeroize;

/// Bytes of the HMAC in the packet.
pub(crate) const TAG_LEN: usize = 10;

/// Session keys for RTP or for RTCP.
pub(crate) struct Session {
    key: ctr::Key,
    hmac: HmacSha1,
    salt: [u8; 14],
}

impl Session {
    pub(crate) fn rtp(master: &MasterKey) -> Self {
        Self::new(master, Label::RtpEncryption, Label::RtpAuthentication, Label::RtpSalt)
    }

    pub(crate) fn rtcp(master: &MasterKey) -> Self {
        Self::new(master, Label::RtcpEncryption, Label::RtcpAuthentication, Label::RtcpSalt)
    }

    fn new(master: &MasterKey, encryption: Label, authentication: Label, salt: Label) -> Self {
        Self {
            key: ctr::Key::new(&derive::<16>(master, encryption).0),
            hmac: HmacSha1::new(&derive::<20>(master, authentication).0),
            salt: derive::<14>(master, salt).0,
        }
    }

    pub(crate) fn seal_rtp(&self, nonce: RtpNonce, packet: &mut [u8], header_len: usize, payload: &[u8]) {
        let (body, tag) = packet.split_at_mut(header_len + payload.len());
        // The library's counter mode works in place only; this copy costs a fortieth of the SHA-1 below.
        body[header_len..].copy_from_slice(payload);
        self.key.apply(self.iv(nonce.ssrc, nonce.index), &mut body[header_len..]);
        tag.copy_from_slice(&self.hmac.sign([body, &nonce.roc()])[..TAG_LEN]);
    }

    pub(crate) fn open_rtp(
        &self,
        nonce: RtpNonce,
        packet: &mut [u8],
        header_len: usize,
    ) -> Result<(), BadTag> {
        let (body, tag) = packet.split_at_mut(packet.len() - TAG_LEN);
        self.verify([body, &nonce.roc()], tag)?;
        self.key.apply(self.iv(nonce.ssrc, nonce.index), &mut body[header_len..]);
        Ok(())
    }

    pub(crate) fn seal_rtcp(&self, nonce: RtcpNonce, packet: &mut [u8], compound: &[u8]) {
        let (body, trailer) = packet.split_at_mut(compound.len());
        let (word, tag) = trailer.split_at_mut(RTCP_INDEX_LEN);
        body.copy_from_slice(compound);
        self.key.apply(self.iv(nonce.ssrc, nonce.index.into()), &mut body[RTCP_HEADER_LEN..]);
        word.copy_from_slice(&nonce.index_word());
        tag.copy_from_slice(&self.hmac.sign([body, word])[..TAG_LEN]);
    }

    pub(crate) fn open_rtcp(&self, nonce: RtcpNonce, packet: &mut [u8]) -> Result<(), BadTag> {
        let (body, tag) = packet.split_at_mut(packet.len() - TAG_LEN);
        self.verify([body, &[]], tag)?;
        let end = body.len() - RTCP_INDEX_LEN;
        self.key.apply(self.iv(nonce.ssrc, nonce.index.into()), &mut body[RTCP_HEADER_LEN..end]);
        Ok(())
    }

    fn verify(&self, parts: [&[u8]; 2], tag: &[u8]) -> Result<(), BadTag> {
        verify_slices_are_equal(&self.hmac.sign(parts)[..TAG_LEN], tag).map_err(|_| BadTag)
    }

    /// The first counter block: `salt·2¹⁶ ⊕ SSRC·2⁶⁴ ⊕ index·2¹⁶` (RFC 3711 §4.1.1).
    fn iv(&self, ssrc: u32, index: u64) -> [u8; 16] {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        xor(&mut iv[4..8], &ssrc.to_be_bytes());
        xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
        iv
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}
