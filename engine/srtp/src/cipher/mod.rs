//! The two transforms behind one interface: AES-GCM (RFC 7714) and AES-CM with HMAC-SHA1 (RFC 3711 §4).

mod cm;
pub(crate) mod ctr;
mod gcm;
mod hmac_sha1;

use crate::{MasterKey, Profile};

/// The E bit, before the SRTCP index (RFC 3711 §3.4).
pub(crate) const ENCRYPTED: u32 = 1 << 31;

/// The tag was wrong. The bytes it covers may have been overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadTag;

/// The session keys of one direction, for RTP or for RTCP.
pub(crate) enum Cipher {
    Gcm(gcm::Session),
    Cm(Box<cm::Session>),
}

impl Cipher {
    pub(crate) fn rtp(master: &MasterKey) -> Self {
        match master.profile() {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => Self::Gcm(gcm::Session::rtp(master)),
            Profile::AesCm128HmacSha1_80 => Self::Cm(Box::new(cm::Session::rtp(master))),
        }
    }

    pub(crate) fn rtcp(master: &MasterKey) -> Self {
        match master.profile() {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => Self::Gcm(gcm::Session::rtcp(master)),
            Profile::AesCm128HmacSha1_80 => Self::Cm(Box::new(cm::Session::rtcp(master))),
        }
    }

    /// Completes `packet`, which begins with its header and has the length of header, `payload` and tag.
    pub(crate) fn seal_rtp(&self, nonce: RtpNonce, packet: &mut [u8], header_len: usize, payload: &[u8]) {
        match self {
            Self::Gcm(session) => session.seal_rtp(nonce, packet, header_len, payload),
            Self::Cm(session) => session.seal_rtp(nonce, packet, header_len, payload),
        }
    }

    /// Verifies `packet` and decrypts the bytes between header and tag.
    pub(crate) fn open_rtp(
        &self,
        nonce: RtpNonce,
        packet: &mut [u8],
        header_len: usize,
    ) -> Result<(), BadTag> {
        match self {
            Self::Gcm(session) => session.open_rtp(nonce, packet, header_len),
            Self::Cm(session) => session.open_rtp(nonce, packet, header_len),
        }
    }

    /// Fills `packet`, which has the length of `compound`, tag and index word.
    pub(crate) fn seal_rtcp(&self, nonce: RtcpNonce, packet: &mut [u8], compound: &[u8]) {
        match self {
            Self::Gcm(session) => session.seal_rtcp(nonce, packet, compound),
            Self::Cm(session) => session.seal_rtcp(nonce, packet, compound),
        }
    }

    /// Verifies `packet` and decrypts the bytes between header and trailer.
    pub(crate) fn open_rtcp(&self, nonce: RtcpNonce, packet: &mut [u8]) -> Result<(), BadTag> {
        match self {
            Self::Gcm(session) => session.open_rtcp(nonce, packet),
            Self::Cm(session) => session.open_rtcp(nonce, packet),
        }
    }

    /// The word with E bit and index, if the packet is long enough. It is last with GCM (RFC 7714 §9.2), and
    /// before the tag otherwise (RFC 3711 §3.4).
    pub(crate) fn index_word(&self, packet: &[u8]) -> Option<u32> {
        let behind = match self {
            Self::Gcm(_) => 0,
            Self::Cm(_) => cm::TAG_LEN,
        };
        let end = packet.len().checked_sub(behind)?;
        packet[..end].last_chunk().map(|word| u32::from_be_bytes(*word))
    }
}

/// The values that make an RTP packet's key stream unique.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtpNonce {
    pub(crate) ssrc: u32,
    /// Roll-over counter and sequence number, 48 bits.
    pub(crate) index: u64,
}

impl RtpNonce {
    /// The roll-over counter.
    fn roc(self) -> [u8; 4] {
        ((self.index >> 16) as u32).to_be_bytes()
    }
}

/// The values that make a compound RTCP packet's key stream unique.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtcpNonce {
    /// Of the compound's first packet.
    pub(crate) ssrc: u32,
    /// The SRTCP index, 31 bits.
    pub(crate) index: u32,
}

impl RtcpNonce {
    /// Index and E bit, as in the packet.
    fn index_word(self) -> [u8; 4] {
        (self.index | ENCRYPTED).to_be_bytes()
    }
}

fn xor(bytes: &mut [u8], with: &[u8]) {
    bytes.iter_mut().zip(with).for_each(|(byte, with)| *byte ^= with);
}
