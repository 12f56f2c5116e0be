//! Our certificate: self-signed, named by its fingerprint (RFC 8827 §6.5).

use crate::BadCertificate;
use crate::Fingerprint;
use ssl::Credential;
use std::fmt;
use std::sync::Arc;

/// A certificate with its key. Cloning shares it; one serves all endpoints.
#[derive(Clone)]
pub struct Certificate(Arc<Shared>);

struct Shared {
    credential: Credential,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// Makes a self-signed ECDSA P-256 certificate, valid for a year, with randomness and the date from the operating system: call it
    /// at start-up. A process that runs longer need not care, as browsers look at the fingerprint only.
    ///
    /// # Panics
    /// If the operating system has no randomness; nothing could start then.
    pub fn generate() -> Self {
        let (credential, certificate) = Credential::generate();
        Self(Arc::new(Shared { credential, fingerprint: Fingerprint::of(&certificate) }))
    }

    /// One that an operator has: the certificate, those that lead to a root (each signed by the next), and its private key (PKCS #8, PKCS #1
    /// or SEC 1), all in DER. The key is RSA, ECDSA or Ed25519.
    pub fn from_der(
        certificate: &[u8],
        intermediates: &[&[u8]],
        private_key: &[u8],
    ) -> Result<Self, BadCertificate> {
        let credential = Credential::from_der(certificate, intermediates, private_key)?;
        Ok(Self(Arc::new(Shared { credential, fingerprint: Fingerprint::of(certificate) })))
    }

    /// What the peer must be given: `a=fingerprint:sha-256 …`.
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
