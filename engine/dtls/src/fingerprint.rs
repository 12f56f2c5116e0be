//! The fingerprint of a certificate, as in `a=fingerprint:sha-256 …` (RFC 8122 §5).

use aws_lc_rs::digest::{SHA256, digest};
use ssl::CertificateHash;
use std::fmt;
use std::str::FromStr;

/// SHA-256 over a certificate's DER. Prints and parses as `AA:BB:…`, 32 pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// Not 32 pairs of hexadecimal digits with colons between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sha-256 fingerprint is 32 pairs of hexadecimal digits with colons between them")]
pub struct BadFingerprint;

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, certificate).as_ref());
        Self(fingerprint)
    }
}

impl From<Fingerprint> for CertificateHash {
    fn from(fingerprint: Fingerprint) -> Self {
        Self::Sha256(fingerprint.0)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    /// Accepts digits of either case: RFC 8122 §5 requires upper case, but some peers send lower case.
    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let mut fingerprint = [0; 32];
        let mut pairs = text.split(':');
        for byte in &mut fingerprint {
            let pair = pairs.next().ok_or(BadFingerprint)?;
            // `from_str_radix` would accept a sign.
            if pair.len() != 2 || !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(BadFingerprint);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| BadFingerprint)?;
        }
        if pairs.next().is_some() { Err(BadFingerprint) } else { Ok(Self(fingerprint)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses() {
        let fingerprint = Fingerprint::of(b"abc");
        let text = fingerprint.to_string();
        assert!(text.starts_with("BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:"));
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(text.to_lowercase().parse(), Ok(fingerprint));
    }

    #[test]
    fn anything_else_is_refused() {
        let text = Fingerprint([0x5a; 32]).to_string();
        for end in 0..text.len() {
            assert_eq!(text[..end].parse::<Fingerprint>(), Err(BadFingerprint), "cut at {end}");
        }
        for bad in [format!("{text}:00"), text.replacen("5A", "+5", 1), text.replace(':', "-")] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(BadFingerprint), "{bad}");
        }
    }
}
