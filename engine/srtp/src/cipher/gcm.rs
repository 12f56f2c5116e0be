//! AES-GCM (RFC 7714): encrypts and authenticates in one pass.
//!
//! ```text
//!  RTP    header | encrypted payload | tag             header is associated data
//!  RTCP   header | encrypted rest | tag | E+index      header and index word are associated data
//! ```

use super::{BadTag, RtcpNonce, RtpNonce, xor};
use crate::header::{RTCP_HEADER_LEN, RTCP_INDEX_LEN};
use crate::kdf::{Label, derive};
use crate::{MasterKey, Profile};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

const TAG_LEN: usize = 16;

/// Session keys for RTP or for RTCP.
pub(crate) struct Session {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl Session {
    pub(crate) fn rtp(master: &MasterKey) -> Self {
        Self::new(master, Label::RtpEncryption, Label::RtpSalt)
    }

    pub(crate) fn rtcp(master: &MasterKey) -> Self {
        Self::new(master, Label::RtcpEncryption, Label::RtcpSalt)
    }

    fn new(master: &MasterKey, encryption: Label, salt: Label) -> Self {
        let salt = derive::<12>(master, salt).0;
        match master.profile() {
            Profile::AeadAes256Gcm => Self::of_keys(&AES_256_GCM, &derive::<32>(master, encryption).0, salt),
            _ => Self::of_keys(&AES_128_GCM, &derive::<16>(master, encryption).0, salt),
        }
    }

    fn of_keys(algorithm: &'static Algorithm, key: &[u8], salt: [u8; 12]) -> Self {
        let key = UnboundKey::new(algorithm, key).expect("the key has the algorithm's length");
        Self { key: LessSafeKey::new(key), salt }
    }

    pub(crate) fn seal_rtp(&self, nonce: RtpNonce, packet: &mut [u8], header_len: usize, payload: &[u8]) {
        let (header, body) = packet.split_at_mut(header_len);
        let (ciphertext, tag) = body.split_at_mut(payload.len());
        self.key
            .seal_out_of_place_scatter(
                self.rtp_nonce(nonce),
                Aad::from(header),
                payload,
                ciphertext,
                &[],
                tag,
            )
            .expect("a packet is shorter than GCM's 64 GiB");
    }

    pub(crate) fn open_rtp(
        &self,
        nonce: RtpNonce,
        packet: &mut [u8],
        header_len: usize,
    ) -> Result<(), BadTag> {
        let (header, body) = packet.split_at_mut(header_len);
        self.key.open_in_place(self.rtp_nonce(nonce), Aad::from(header), body).map_err(|_| BadTag)?;
        Ok(())
    }

    pub(crate) fn seal_rtcp(&self, nonce: RtcpNonce, packet: &mut [u8], compound: &[u8]) {
        let (header, rest) = compound.split_at(RTCP_HEADER_LEN);
        let (sent_header, body) = packet.split_at_mut(RTCP_HEADER_LEN);
        let (ciphertext, trailer) = body.split_at_mut(rest.len());
        let (tag, word) = trailer.split_at_mut(TAG_LEN);
        sent_header.copy_from_slice(header);
        word.copy_from_slice(&nonce.index_word());
        let aad = Aad::from(rtcp_aad(header, word));
        self.key
            .seal_out_of_place_scatter(self.rtcp_nonce(nonce), aad, rest, ciphertext, &[], tag)
            .expect("a packet is shorter than GCM's 64 GiB");
    }

    pub(crate) fn open_rtcp(&self, nonce: RtcpNonce, packet: &mut [u8]) -> Result<(), BadTag> {
        let (header, rest) = packet.split_at_mut(RTCP_HEADER_LEN);
        let (body, word) = rest.split_at_mut(rest.len() - RTCP_INDEX_LEN);
        let aad = Aad::from(rtcp_aad(header, word));
        self.key.open_in_place(self.rtcp_nonce(nonce), aad, body).map_err(|_| BadTag)?;
        Ok(())
    }

    /// Two zero bytes, SSRC, ROC and sequence number, XOR the salt (RFC 7714 §8.1).
    fn rtp_nonce(&self, nonce: RtpNonce) -> Nonce {
        let mut iv = self.salt;
        xor(&mut iv[2..6], &nonce.ssrc.to_be_bytes());
        xor(&mut iv[6..12], &nonce.index.to_be_bytes()[2..]);
        Nonce::assume_unique_for_key(iv)
    }

    /// Two zero bytes, SSRC, two zero bytes, index, XOR the salt (RFC 7714 §9.1).
    fn rtcp_nonce(&self, nonce: RtcpNonce) -> Nonce {
        let mut iv = self.salt;
        xor(&mut iv[2..6], &nonce.ssrc.to_be_bytes());
        xor(&mut iv[8..12], &nonce.index.to_be_bytes());
        Nonce::assume_unique_for_key(iv)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

/// The associated data of an encrypted compound: its unencrypted parts, in the order of the packet (RFC 7714
/// §9.2).
fn rtcp_aad(header: &[u8], word: &[u8]) -> [u8; RTCP_HEADER_LEN + RTCP_INDEX_LEN] {
    let mut aad = [0; RTCP_HEADER_LEN + RTCP_INDEX_LEN];
    aad[..RTCP_HEADER_LEN].copy_from_slice(header);
    aad[RTCP_HEADER_LEN..].copy_from_slice(word);
    aad
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::packets;

    const SALT: [u8; 12] = *b"Quid pro quo";

    fn sessions() -> [(Session, [&'static str; 2]); 2] {
        let key: Vec<u8> = (0..32).collect();
        [
            (
                Session::of_keys(&AES_128_GCM, &key[..16], SALT),
                [
                    include_str!("../../../../tests/vectors/rfc7714/rtp-128.hex"),
                    include_str!("../../../../tests/vectors/rfc7714/rtcp-128.hex"),
                ],
            ),
            (
                Session::of_keys(&AES_256_GCM, &key, SALT),
                [
                    include_str!("../../../../tests/vectors/rfc7714/rtp-256.hex"),
                    include_str!("../../../../tests/vectors/rfc7714/rtcp-256.hex"),
                ],
            ),
        ]
    }

    #[test]
    fn computes_the_packets_of_rfc_7714() {
        for (session, [rtp, rtcp]) in sessions() {
            let [plain, protected] = packets(rtp);
            let nonce = RtpNonce { ssrc: 0x5501_a0b2, index: 0xf17b };
            let mut packet = vec![0xa5; protected.len()];
            packet[..12].copy_from_slice(&plain[..12]);
            session.seal_rtp(nonce, &mut packet, 12, &plain[12..]);
            assert_eq!(packet, protected);
            assert_eq!(session.open_rtp(nonce, &mut packet, 12), Ok(()));
            assert_eq!(packet[..plain.len()], plain);

            let [plain, protected] = packets(rtcp);
            let nonce = RtcpNonce { ssrc: 0x4d61_7273, index: 0x5d4 };
            let mut packet = vec![0xa5; protected.len()];
            session.seal_rtcp(nonce, &mut packet, &plain);
            assert_eq!(packet, protected);
            assert_eq!(session.open_rtcp(nonce, &mut packet), Ok(()));
            assert_eq!(packet[..plain.len()], plain);
        }
    }
}
