//! SRTP with AEAD_AES_128_GCM (RFC 3711, RFC 7714), one direction at a time: sufficient for a load generator,
//! fast enough to authenticate every packet, and independent of the engine's implementation.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use openssl::symm::{Cipher, encrypt};

/// Bytes of a master key.
pub const KEY_LEN: usize = 16;
/// Bytes of a master salt.
pub const SALT_LEN: usize = 12;
/// Bytes of a tag.
pub const TAG_LEN: usize = 16;

/// A peer's contexts.
#[derive(Debug)]
pub struct Keys {
    /// For sent packets.
    pub sender: Sender,
    /// For received packets.
    pub receiver: Receiver,
}

impl Keys {
    /// From the exporter's output, for a DTLS client (RFC 5764 §4.2): both keys, then both salts, the
    /// client's first.
    pub fn exported_to_client(exported: &[u8; 2 * (KEY_LEN + SALT_LEN)]) -> Self {
        let (keys, salts) = exported.split_at(2 * KEY_LEN);
        let (ours, theirs) = keys.split_at(KEY_LEN);
        let (our_salt, their_salt) = salts.split_at(SALT_LEN);
        Self {
            sender: Sender(Context::new(ours, our_salt)),
            receiver: Receiver(Context::new(theirs, their_salt)),
        }
    }
}

/// Protects packets.
#[derive(Debug)]
pub struct Sender(Context);

impl Sender {
    /// Encrypts an RTP packet in place and appends the tag. `index` is the extended sequence number.
    pub fn protect_rtp(&self, packet: &mut Vec<u8>, header_len: usize, ssrc: u32, index: u64) {
        let nonce = self.0.rtp.nonce(rtp_block(ssrc, index));
        let (header, payload) = packet.split_at_mut(header_len);
        let tag = self.0.rtp.key.seal_in_place_separate_tag(nonce, Aad::from(header), payload);
        packet.extend_from_slice(tag.expect("within the cipher's bounds").as_ref());
    }

    /// Encrypts a compound RTCP packet in place, and appends tag and `index`.
    pub fn protect_rtcp(&self, packet: &mut Vec<u8>, index: u32) {
        let word = (index | 0x8000_0000).to_be_bytes();
        let ssrc = u32::from_be_bytes(packet[4..8].try_into().expect("four bytes"));
        let nonce = self.0.rtcp.nonce(rtcp_block(ssrc, index));
        let (header, rest) = packet.split_at_mut(8);
        let aad = rtcp_aad(header, word);
        let tag = self.0.rtcp.key.seal_in_place_separate_tag(nonce, Aad::from(aad), rest);
        packet.extend_from_slice(tag.expect("within the cipher's bounds").as_ref());
        packet.extend_from_slice(&word);
    }
}

/// Checks and decrypts packets.
#[derive(Debug)]
pub struct Receiver(Context);

impl Receiver {
    /// Decrypts an RTP packet in place; the payload's length, or `None` if it is not authentic.
    pub fn unprotect_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Option<usize> {
        let nonce = self.0.rtp.nonce(rtp_block(ssrc, index));
        let (header, sealed) = packet.split_at_mut_checked(header_len)?;
        self.0.rtp.key.open_in_place(nonce, Aad::from(header), sealed).ok().map(|payload| payload.len())
    }

    /// Decrypts a compound RTCP packet in place; its length, or `None` if it is not authentic.
    pub fn unprotect_rtcp(&self, packet: &mut [u8]) -> Option<usize> {
        let (packet, word) = packet.split_last_chunk_mut::<4>()?;
        let index = u32::from_be_bytes(*word) & 0x7fff_ffff;
        let (header, sealed) = packet.split_at_mut_checked(8)?;
        let ssrc = u32::from_be_bytes(header[4..8].try_into().expect("four bytes"));
        let nonce = self.0.rtcp.nonce(rtcp_block(ssrc, index));
        let aad = rtcp_aad(header, *word);
        let opened = self.0.rtcp.key.open_in_place(nonce, Aad::from(aad), sealed).ok()?;
        Some(8 + opened.len())
    }
}

/// Session keys of one direction.
#[derive(Debug)]
struct Context {
    rtp: SessionKeys,
    rtcp: SessionKeys,
}

impl Context {
    fn new(key: &[u8], salt: &[u8]) -> Self {
        let session = |key_label, salt_label| SessionKeys {
            key: LessSafeKey::new(
                UnboundKey::new(&AES_128_GCM, &derive(key, salt, key_label)).expect("16 bytes"),
            ),
            salt: derive(key, salt, salt_label)[..SALT_LEN].try_into().expect("twelve bytes"),
        };
        // RFC 3711 §4.3.2: the labels.
        Self { rtp: session(0, 2), rtcp: session(3, 5) }
    }
}

#[derive(Debug)]
struct SessionKeys {
    key: LessSafeKey,
    salt: [u8; SALT_LEN],
}

impl SessionKeys {
    fn nonce(&self, mut block: [u8; SALT_LEN]) -> Nonce {
        block.iter_mut().zip(self.salt).for_each(|(byte, salt)| *byte ^= salt);
        Nonce::assume_unique_for_key(block)
    }
}

/// RFC 3711 §4.3.3 with a derivation rate of 0: the first bytes of the key stream for the label. GCM's salt
/// is shorter, and padded with zeroes (RFC 7714 §11).
fn derive(key: &[u8], salt: &[u8], label: u8) -> [u8; KEY_LEN] {
    let mut counter = [0; 16];
    counter[..SALT_LEN].copy_from_slice(salt);
    counter[7] ^= label;
    let stream =
        encrypt(Cipher::aes_128_ctr(), key, Some(&counter), &[0; KEY_LEN]).expect("AES-CTR is there");
    stream.try_into().expect("as long as its input")
}

/// RFC 7714 §8.1.
fn rtp_block(ssrc: u32, index: u64) -> [u8; SALT_LEN] {
    let mut block = [0; SALT_LEN];
    block[2..6].copy_from_slice(&ssrc.to_be_bytes());
    block[6..12].copy_from_slice(&index.to_be_bytes()[2..]);
    block
}

/// RFC 7714 §9.1.
fn rtcp_block(ssrc: u32, index: u32) -> [u8; SALT_LEN] {
    let mut block = [0; SALT_LEN];
    block[2..6].copy_from_slice(&ssrc.to_be_bytes());
    block[8..12].copy_from_slice(&index.to_be_bytes());
    block
}

/// RFC 7714 §9.2.
fn rtcp_aad(header: &[u8], word: [u8; 4]) -> [u8; 12] {
    let mut aad = [0; 12];
    aad[..8].copy_from_slice(header);
    aad[8..].copy_from_slice(&word);
    aad
}

#[cfg(test)]
mod tests;
