//! Our certificate: self-signed, named by its fingerprint (RFC 8827 §6.5).

use crate::Fingerprint;
use dimpl::DtlsCertificate;
use std::fmt;
use std::sync::Arc;

/// A self-signed ECDSA P-256 certificate with its key. Cloning shares it; one serves all endpoints.
#[derive(Clone)]
pub struct Certificate(Arc<Shared>);

struct Shared {
    certificate: DtlsCertificate,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// Makes a new one, valid for a year, with entropy and the date from the operating system: call it
    /// at start-up. A process that runs longer needs not care, as browsers look at the fingerprint only.
    ///
    /// # Panics
    /// If the operating system has no entropy to give; nothing could start then.
    pub fn generate() -> Self {
        let certificate = dimpl::certificate::generate_self_signed_certificate()
            .expect("a P-256 key and a certificate for it can be made");
        let fingerprint = Fingerprint::of(&certificate.certificate);
        Self(Arc::new(Shared { certificate, fingerprint }))
    }

    /// One that an operator has: the certificate and its private key (ECDSA P-256 or P-384, PKCS #8 or SEC 1), DER both.
    pub fn from_der(certificate: Vec<u8>, private_key: Vec<u8>) -> Self {
        let fingerprint = Fingerprint::of(&certificate);
        Self(Arc::new(Shared { certificate: DtlsCertificate { certificate, private_key }, fingerprint }))
    }

    /// What the peer must be told: `a=fingerprint:sha-256 …`.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    pub(crate) fn to_dimpl(&self) -> DtlsCertificate {
        self.0.certificate.clone()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.fingerprint())
    }
}
