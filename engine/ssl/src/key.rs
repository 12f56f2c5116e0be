//! Public keys of peers: which ones are accepted, and verification of their signatures.

use boring::hash::MessageDigest;
use boring::pkey::{Id, PKey, Public};
use boring::rsa::Padding;
use boring::sign::{RsaPssSaltlen, Verifier};
use boring::ssl::SslSignatureAlgorithm as Scheme;

/// Bits of the shortest RSA key that is accepted: what NIST SP 800-131A allows.
pub(crate) const RSA_BITS_MIN: u32 = 2048;

/// Bits of the longest one: verification of such a key's signature is the most expensive work that a peer can
/// cause.
const RSA_BITS_MAX: u32 = 8192;

/// The accepted signature schemes, in the order in which they are offered. No SHA-1.
pub(crate) const SCHEMES: [Scheme; 9] = [
    Scheme::ECDSA_SECP256R1_SHA256,
    Scheme::ED25519,
    Scheme::ECDSA_SECP384R1_SHA384,
    Scheme::RSA_PSS_RSAE_SHA256,
    Scheme::RSA_PKCS1_SHA256,
    Scheme::RSA_PSS_RSAE_SHA384,
    Scheme::RSA_PKCS1_SHA384,
    Scheme::RSA_PSS_RSAE_SHA512,
    Scheme::RSA_PKCS1_SHA512,
];

/// The public key of a certificate, if accepted: RSA of at least 2048 bits, ECDSA on P-256 or P-384, Ed25519.
pub(crate) fn of(certificate: &[u8]) -> Option<PKey<Public>> {
    let key = PKey::public_key_from_der(subject_public_key_info(certificate)?).ok()?;
    let is_accepted = match key.id() {
        Id::RSA => (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&key.bits()),
        Id::EC => [256, 384].contains(&key.bits()),
        Id::ED25519 => true,
        _ => false,
    };
    is_accepted.then_some(key)
}

/// Whether the certificate's key has signed `message`, by the two fields of CertificateVerify in DTLS 1.2:
/// the scheme (RFC 5246 §7.4.1.4.1, RFC 8446 §4.2.3) and the signature. False for certificates whose keys are
/// not accepted.
pub fn has_signed(certificate: &[u8], scheme: u16, message: &[u8], signature: &[u8]) -> bool {
    of(certificate).is_some_and(|key| verify(&key, scheme, message, signature).unwrap_or(false))
}

fn verify(
    key: &PKey<Public>,
    scheme: u16,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, boring::error::ErrorStack> {
    let (id, digest, is_pss) = match scheme {
        0x0403 => (Id::EC, MessageDigest::sha256(), false),
        0x0503 => (Id::EC, MessageDigest::sha384(), false),
        0x0401 => (Id::RSA, MessageDigest::sha256(), false),
        0x0501 => (Id::RSA, MessageDigest::sha384(), false),
        0x0601 => (Id::RSA, MessageDigest::sha512(), false),
        0x0804 => (Id::RSA, MessageDigest::sha256(), true),
        0x0805 => (Id::RSA, MessageDigest::sha384(), true),
        0x0806 => (Id::RSA, MessageDigest::sha512(), true),
        0x0807 if key.id() == Id::ED25519 => {
            return Verifier::new_without_digest(key)?.verify_oneshot(signature, message);
        }
        _ => return Ok(false),
    };
    if key.id() != id {
        return Ok(false);
    }
    let mut verifier = Verifier::new(digest, key)?;
    if is_pss {
        verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
        verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
    }
    verifier.update(message)?;
    verifier.verify(signature)
}

/// The field of a certificate (RFC 5280 §4.1) with the key, including tag and length.
fn subject_public_key_info(certificate: &[u8]) -> Option<&[u8]> {
    let (_, certificate, _) = element(certificate, SEQUENCE)?;
    let (_, mut rest, _) = element(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest, VERSION)?.2;
    }
    rest = element(rest, INTEGER)?.2;
    // Signature algorithm, issuer, validity, subject.
    for _ in 0..4 {
        rest = element(rest, SEQUENCE)?.2;
    }
    element(rest, SEQUENCE).map(|(whole, _, _)| whole)
}

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// A DER element with this tag: the whole element, its content, and the rest.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut len = usize::from(first);
    if first >= 0x80 {
        let (digits, after) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(d, _)| d.len() <= 3)?;
        len = digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit));
        rest = after;
    }
    let (content, after) = rest.split_at_checked(len)?;
    let whole = &bytes[..bytes.len() - after.len()];
    (found == tag).then_some((whole, content, after))
}

#[cfg(test)]
mod tests;
