//! The certificate of TLS and DTLS, read from files at the start and on reload: later connections use the new
//! one.

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// A certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    /// The certificate file cannot be read or parsed.
    #[error("--certificate {}: expected certificates in PEM", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// The file contains no certificate.
    #[error("--certificate {}: the file contains no certificate", .0.display())]
    Empty(PathBuf),
    /// The key file cannot be read or parsed.
    #[error("--private-key {}: expected a private key in PEM", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: pem::Error,
    },
    /// Certificate and key do not match, or the library cannot use them.
    #[error("--certificate and --private-key: cannot be used together")]
    Unusable(#[from] rustls::Error),
    /// The same, for DTLS.
    #[error("--certificate and --private-key: cannot be used together for DTLS")]
    UnusableForDtls(#[from] dtls::BadCertificate),
}

/// The certificate in use.
pub struct Certificates(RwLock<Pair>);

/// The forms for TLS and for DTLS.
#[derive(Clone)]
struct Pair {
    tls: Arc<CertifiedKey>,
    dtls: dtls::Certificate,
}

impl Certificates {
    /// Reads the files.
    pub fn read(certificate: &Path, key: &Path) -> Result<Arc<Self>, BadCertificate> {
        Ok(Arc::new(Self(RwLock::new(read(certificate, key)?))))
    }

    /// Reads the files again. After an error the former certificate stays in use.
    pub fn reload(&self, certificate: &Path, key: &Path) -> Result<(), BadCertificate> {
        let new = read(certificate, key)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// The certificate for DTLS.
    pub fn for_dtls(&self) -> dtls::Certificate {
        self.0.read().unwrap_or_else(PoisonError::into_inner).dtls.clone()
    }

    /// The server's TLS configuration with this certificate.
    pub fn config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, BadCertificate> {
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
        Ok(Arc::new(builder.with_cert_resolver(self.clone())))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).tls.clone())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates(_)")
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Pair, BadCertificate> {
    let bad = |source| BadCertificate::Certificate { path: certificate.to_owned(), source };
    let chain = CertificateDer::pem_file_iter(certificate).map_err(bad)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(bad)?;
    if chain.is_empty() {
        return Err(BadCertificate::Empty(certificate.to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|source| BadCertificate::Key { path: key.to_owned(), source })?;
    let secret = key.secret_der().to_vec();
    let intermediates: Vec<&[u8]> = chain[1..].iter().map(|certificate| &certificate[..]).collect();
    let dtls = dtls::Certificate::from_der(&chain[0], &intermediates, &secret)?;
    let tls = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?;
    Ok(Pair { tls: Arc::new(tls), dtls })
}
