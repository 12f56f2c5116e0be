//! The local certificate: self-signed, identified by its fingerprint (RFC 8827 §6.5).

use crate::BadCertificate;
use crate::Fingerprint;
use ssl::Credential;
use std::fmt;
use std::sync::Arc;

/// A certificate with its key. Cloning shares it; all endpoints can use the same one.
#[derive(Clone)]
pub struct Certificate(Arc<Shared>);

struct Shared {
    credential: Credential,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// Creates a self-signed ECDSA P-256 certificate, valid for a year, with randomness and the date from the
    /// operating system: call it at start-up. A longer run is no problem, because browsers only check the
    /// fingerprint.
    ///
    /// # Panics
    /// If the operating system has no randomness; then nothing can start.
    pub fn generate() -> Self {
        let (credential, certificate) = Credential::generate();
        Self(Arc::new(Shared { credential, fingerprint: Fingerprint::of(&certificate) }))
    }

    /// An operator's certificate chain (each signed by the next), and its private key (PKCS #8, PKCS #1 or
    /// SEC 1), all in DER. The key is RSA, ECDSA or Ed25519.
    pub fn from_der(
        certificate: &[u8],
        intermediates: &[&[u8]],
        private_key: &[u8],
    ) -> Result<Self, BadCertificate> {
        let credential = Credential::from_der(certificate, intermediates, private_key)?;
        Ok(Self(Arc::new(Shared { credential, fingerprint: Fingerprint::of(certificate) })))
    }

    /// The value of `a=fingerprint:sha-256 …` for the peer.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    pub(crate) fn credential(&self) -> &Credential {
        &self.0.credential
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.fingerprint())
    }
}
