//! AES in counter mode, with the initial counter block given.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// An AES key with its schedule.
pub(crate) struct Key(EncryptingKey);

impl Key {
    /// With a key of 16 or 32 bytes.
    pub(crate) fn new(key: &[u8]) -> Self {
        let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
        let key = UnboundCipherKey::new(algorithm, key).expect("a key of 16 or 32 bytes");
        Self(EncryptingKey::ctr(key).expect("AES runs in counter mode"))
    }

    /// XORs the key stream from block `iv` on into `bytes`: encrypts and decrypts.
    pub(crate) fn apply(&self, iv: [u8; 16], bytes: &mut [u8]) {
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        self.0.less_safe_encrypt(bytes, context).expect("counter mode accepts any length");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::packets;

    #[test]
    fn computes_the_key_stream_of_rfc_3711() {
        let key = Key::new(&0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes());
        let iv = 0xf0f1_f2f3_f4f5_f6f7_f8f9_fafb_fcfd_0000_u128.to_be_bytes();
        let mut stream = vec![0; 0xff02 * 16];
        key.apply(iv, &mut stream);
        let [first, last] = packets(include_str!("../../../../tests/vectors/rfc3711/b2-keystream.hex"));
        assert!(stream.starts_with(&first));
        assert!(stream.ends_with(&last));
    }
}
