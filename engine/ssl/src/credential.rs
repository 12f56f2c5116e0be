//! Local certificates with their private keys.

use crate::raw;
use boring::asn1::Asn1Time;
use boring::bn::{BigNum, MsbOption};
use boring::ec::{EcGroup, EcKey};
use boring::error::ErrorStack;
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{PKey, PKeyRef, Private};
use boring::ssl::SslCredential;
use boring::x509::{X509, X509Name};
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A certificate with its private key. Cloning shares it.
#[derive(Clone)]
pub struct Credential {
    pub(crate) inner: Arc<SslCredential>,
}

/// A certificate and a key that do not match, or cannot be used for DTLS.
#[derive(Debug, thiserror::Error)]
#[error("the certificate and its private key cannot be used: {0}")]
pub struct BadCredential(#[from] ErrorStack);

impl Credential {
    /// Creates an ECDSA key on P-256 and a self-signed certificate in DER, valid for a year. Randomness and
    /// the date come from the operating system.
    ///
    /// # Panics
    /// If the operating system has no randomness; then nothing can start.
    pub fn generate() -> (Self, Vec<u8>) {
        Self::try_generate().expect("P-256 keys and certificates can be created")
    }

    fn try_generate() -> Result<(Self, Vec<u8>), BadCredential> {
        let key = PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?)?)?;
        let certificate = self_signed(&key)?;
        Ok((Self { inner: Arc::new(raw::credential(&[&certificate], &key)?) }, certificate))
    }

    /// An existing one: the certificate chain (each signed by the next), and the first one's private key as
    /// PKCS #8, PKCS #1 or SEC 1, all in DER.
    pub fn from_der(
        certificate: &[u8],
        intermediates: &[&[u8]],
        private_key: &[u8],
    ) -> Result<Self, BadCredential> {
        let key = PKey::private_key_from_der(private_key)?;
        let chain = [&[certificate], intermediates].concat();
        Ok(Self { inner: Arc::new(raw::credential(&chain, &key)?) })
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(_)")
    }
}

fn self_signed(key: &PKeyRef<Private>) -> Result<Vec<u8>, ErrorStack> {
    let mut name = X509Name::builder()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "WebRTC")?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_serial_number(&*serial.to_asn1_integer()?)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    // Valid from one day ago: clocks differ.
    certificate.set_not_before(&*Asn1Time::from_unix(unix_now() - DAY)?)?;
    certificate.set_not_after(&*Asn1Time::from_unix(unix_now() + 365 * DAY)?)?;
    certificate.set_pubkey(key)?;
    certificate.sign(key, MessageDigest::sha256())?;
    certificate.build().to_der()
}

const DAY: i64 = 24 * 60 * 60;

fn unix_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(0))
}
