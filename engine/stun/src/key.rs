//! The key of MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256.

use crate::attribute::{MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use md5::{Digest, Md5};
use std::fmt;

/// The HMAC that a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integrity {
    /// MESSAGE-INTEGRITY (RFC 8489 §14.5).
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.6).
    Sha256,
}

impl Integrity {
    /// The attribute that carries it.
    pub const fn attribute(self) -> u16 {
        match self {
            Self::Sha1 => MESSAGE_INTEGRITY,
            Self::Sha256 => MESSAGE_INTEGRITY_SHA256,
        }
    }

    /// Bytes of the HMAC. A truncated one is refused: no usage here needs it.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// How the long-term mechanism derives a key from a password (RFC 8489 §18.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PasswordAlgorithm {
    /// Supported by all clients.
    Md5,
    /// For clients that support PASSWORD-ALGORITHMS.
    Sha256,
}

impl PasswordAlgorithm {
    /// Its registered number.
    pub const fn number(self) -> u16 {
        match self {
            Self::Md5 => 1,
            Self::Sha256 => 2,
        }
    }
}

/// The HMAC key of a credential, with its key schedule: create it once per session, not per message.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl Key {
    /// The short-term credential: the password itself (RFC 8489 §9.1.1), in ICE `a=ice-pwd`. For
    /// MESSAGE-INTEGRITY.
    ///
    /// ICE passwords are ASCII (RFC 8839 §5.4), for which the OpaqueString preparation changes nothing.
    pub fn short_term(password: impl AsRef<[u8]>) -> Self {
        Self::from_bytes(password.as_ref())
    }

    /// A given key, for MESSAGE-INTEGRITY.
    pub fn from_bytes(key: &[u8]) -> Self {
        Self::of(key, Integrity::Sha1)
    }

    /// The long-term credential (RFC 8489 §9.2.2): a digest of `username:realm:password`, which are used
    /// unchanged. No allocation.
    pub fn long_term(
        algorithm: PasswordAlgorithm,
        [username, realm, password]: [&[u8]; 3],
        integrity: Integrity,
    ) -> Self {
        let parts = [username, b":", realm, b":", password];
        match algorithm {
            PasswordAlgorithm::Md5 => {
                let digest = parts.iter().fold(Md5::new(), Digest::chain_update).finalize();
                Self::of(&digest, integrity)
            }
            PasswordAlgorithm::Sha256 => Self::of(sha256(&parts).as_ref(), integrity),
        }
    }

    fn of(key: &[u8], integrity: Integrity) -> Self {
        let algorithm = match integrity {
            Integrity::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Integrity::Sha256 => hmac::HMAC_SHA256,
        };
        Self(hmac::Key::new(algorithm, key))
    }

    /// The HMAC of the key.
    pub fn integrity(&self) -> Integrity {
        if self.0.algorithm() == hmac::HMAC_SHA256 { Integrity::Sha256 } else { Integrity::Sha1 }
    }

    /// The HMAC of `header`, whose length field must already be adjusted, and `attributes`.
    pub(crate) fn sign(&self, header: &[u8], attributes: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(header);
        context.update(attributes);
        context.sign()
    }

    /// Whether `expected` is that HMAC, in constant time.
    pub(crate) fn verify(&self, header: &[u8], attributes: &[u8], expected: &[u8]) -> bool {
        verify_slices_are_equal(self.sign(header, attributes).as_ref(), expected).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(_)")
    }
}

/// The value of USERHASH for a user name (RFC 8489 §14.4).
pub fn userhash(username: &[u8], realm: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(sha256(&[username, b":", realm]).as_ref());
    hash
}

fn sha256(parts: &[&[u8]]) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish()
}
