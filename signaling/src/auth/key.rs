//! One key for tokens, bound to one algorithm and one project.

use crate::limits;
use jsonwebtoken::{Algorithm, DecodingKey};
use std::fmt;

/// The configured key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// RFC 7518 §3.2: a key for HS256 has at least as many bits as the hash.
    #[error(
        "the secret has {0} bytes; HS256 needs at least {SECRET_LEN_MIN} (RFC 7518 §3.2), for example from `openssl rand -hex 32`"
    )]
    ShortSecret(usize),
    /// Not a public key of a supported kind.
    #[error("not an Ed25519, P-256 or RSA public key in DER (SubjectPublicKeyInfo) inside PEM")]
    NoPublicKey,
    /// Not a name for `kid`.
    #[error("the id of a key must be 1 to {} of A-Z a-z 0-9 . _ -", limits::KEY_ID_LEN_MAX)]
    KeyId,
    /// Two keys have this id.
    #[error("two keys have the id {0}")]
    RepeatedId(String),
    /// Not a name of a project.
    #[error("the name of a project must be 1 to {} of A-Z a-z 0-9 . _ -", limits::KEY_ID_LEN_MAX)]
    Project,
    /// The keyring is full.
    #[error("there are more than {0} keys")]
    TooMany(usize),
    /// RFC 7518 §3.3: a key for RS256 has at least 2048 bits.
    #[error(
        "the RSA key has {0} bits; RS256 needs {RSA_BITS_MIN} to {RSA_BITS_MAX} (RFC 7518 §3.3), for example from `openssl genrsa 2048`"
    )]
    RsaLength(usize),
}

/// Minimum length of the secret, in bytes.
pub const SECRET_LEN_MIN: usize = 32;
/// Minimum length of an RSA key, in bits.
pub const RSA_BITS_MIN: usize = 2048;
/// Maximum length of an RSA key, in bits: the cost of a verification grows with its square, and the library
/// supports no longer ones.
pub const RSA_BITS_MAX: usize = 8192;

/// A key that verifies tokens, with the only algorithm that it is used with.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) decoding: DecodingKey,
    pub(super) algorithm: Algorithm,
    /// The project of its tokens.
    pub(super) project: String,
    /// `kid` of its tokens; `None` for the key of tokens without one.
    pub(super) id: Option<String>,
}

impl fmt::Debug for Key {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {:?}, {})", self.id, self.algorithm, self.project)
    }
}

impl Key {
    /// For tokens that are signed with a shared secret: HS256.
    pub(super) fn from_secret(secret: &[u8], project: &str, id: Option<String>) -> Result<Self, KeyError> {
        check_secret(secret)?;
        let decoding = DecodingKey::from_secret(secret);
        Ok(Self { decoding, algorithm: Algorithm::HS256, project: project.to_owned(), id })
    }

    /// For tokens that are signed with the private key of `pem`: EdDSA with an Ed25519 key, ES256 with a
    /// P-256 key, RS256 with an RSA key.
    pub(super) fn from_public_pem(pem: &[u8], project: &str, id: Option<String>) -> Result<Self, KeyError> {
        let keys = [
            (DecodingKey::from_ed_pem(pem), Algorithm::EdDSA),
            (DecodingKey::from_ec_pem(pem), Algorithm::ES256),
            (DecodingKey::from_rsa_pem(pem), Algorithm::RS256),
        ];
        let (decoding, algorithm) = keys
            .into_iter()
            .find_map(|(key, algorithm)| Some((key.ok()?, algorithm)))
            .ok_or(KeyError::NoPublicKey)?;
        let bytes = decoding.try_get_as_bytes().map_err(|_| KeyError::NoPublicKey)?;
        match algorithm {
            Algorithm::RS256 => {
                let bits = modulus_bits(bytes).ok_or(KeyError::NoPublicKey)?;
                if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
                    return Err(KeyError::RsaLength(bits));
                }
            }
            // The library accepts every curve here, and verifies nothing later.
            Algorithm::ES256 if bytes.len() != P256_POINT_BYTES => return Err(KeyError::NoPublicKey),
            _ => {}
        }
        Ok(Self { decoding, algorithm, project: project.to_owned(), id })
    }

    /// A public key in PEM, or else a secret.
    pub(super) fn from_file(content: &[u8], project: &str, id: Option<String>) -> Result<Self, KeyError> {
        let content = content.trim_ascii();
        if is_pem(content) {
            return Self::from_public_pem(content, project, id);
        }
        Self::from_secret(content, project, id)
    }
}

/// Whether the content of a file is a key in PEM, and not a secret.
pub fn is_pem(content: &[u8]) -> bool {
    content.trim_ascii_start().starts_with(b"-----BEGIN")
}

/// Checks that a secret is long enough.
pub(super) fn check_secret(secret: &[u8]) -> Result<(), KeyError> {
    if secret.len() < SECRET_LEN_MIN { Err(KeyError::ShortSecret(secret.len())) } else { Ok(()) }
}

/// Checks the id of a key.
pub fn check_id(id: &str) -> Result<(), KeyError> {
    if is_name(id) { Ok(()) } else { Err(KeyError::KeyId) }
}

/// Checks the name of a project.
pub(super) fn check_project(project: &str) -> Result<(), KeyError> {
    if is_name(project) { Ok(()) } else { Err(KeyError::Project) }
}

fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=limits::KEY_ID_LEN_MAX).contains(&text.len()) && text.bytes().all(is_part)
}

/// Bytes of an uncompressed point of P-256 (SEC 1 §2.3.3).
const P256_POINT_BYTES: usize = 65;

/// Number of bits of the modulus of an RSAPublicKey (RFC 8017 A.1.1): a SEQUENCE whose first element is that
/// INTEGER.
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let modulus = der_value(0x02, der_value(0x30, der)?)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let first = modulus.get(zeros)?;
    Some((modulus.len() - zeros) * 8 - first.leading_zeros() as usize)
}

/// The value of the first element of `der`, if it has this tag (X.690 §8.1).
fn der_value(tag: u8, der: &[u8]) -> Option<&[u8]> {
    let [first, length, rest @ ..] = der else { return None };
    if *first != tag {
        return None;
    }
    let (len, rest) = match *length {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f)).filter(|_| long <= 0x84)?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
    };
    rest.get(..len)
}
