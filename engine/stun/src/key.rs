//! The key of MESSAGE-INTEGRITY.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use std::fmt;

/// Bytes of an HMAC-SHA1, the value of MESSAGE-INTEGRITY (RFC 8489 §14.5).
pub(crate) const INTEGRITY_LEN: usize = 20;

/// The HMAC-SHA1 key of a credential, with its key schedule done: make it once per ICE session, not
/// per message.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl Key {
    /// The short-term credential: the password itself (RFC 8489 §9.1.1), in ICE `a=ice-pwd`.
    ///
    /// ICE passwords are ASCII (RFC 8839 §5.4), for which the OpaqueString preparation changes nothing.
    pub fn short_term(password: impl AsRef<[u8]>) -> Self {
        Self::from_bytes(password.as_ref())
    }

    /// A key computed elsewhere, such as the digest of the long-term mechanism (RFC 8489 §9.2.2).
    pub fn from_bytes(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key))
    }

    /// The HMAC over `header`, whose length field must already be adjusted, and `attributes`.
    pub(crate) fn sign(&self, header: &[u8], attributes: &[u8]) -> [u8; INTEGRITY_LEN] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(header);
        context.update(attributes);
        let mut mac = [0; INTEGRITY_LEN];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// Whether `expected` is that HMAC, in a time that does not depend on how much of it is right.
    pub(crate) fn verify(&self, header: &[u8], attributes: &[u8], expected: &[u8]) -> bool {
        verify_slices_are_equal(&self.sign(header, attributes), expected).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(_)")
    }
}
