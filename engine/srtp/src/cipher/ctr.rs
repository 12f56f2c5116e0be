//! AES in counter mode, with the initial counter block given.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// An AES key with its schedule.
pub(crate) struct Key(EncryptingKey);

impl Key {
    /// Of 16 or 32 bytes.
    pub(crate) fn new(key: &[u8]) -> Self {
        let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
        let key = UnboundCipherKey::new(algorithm, key).expect("a key of 16 or 32 bytes");
        Self(EncryptingKey::ctr(key).expect("AES runs in counter mode"))
    }

    /// XORs the key stream that starts at block `iv` onto `bytes`: encrypts and decrypts.
    pub(crate) fn apply(&self, iv: [u8; 16], bytes: &mut [u8]) {
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        self.0.less_safe_encrypt(bytes, context).expect("counter mode takes any length");
    }
}
