//! Certificates with keys of every type that a peer may have.

use boring::asn1::Asn1Time;
use boring::ec::{EcGroup, EcKey};
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{Id, PKey, Private};
use boring::rsa::Rsa;
use boring::x509::{X509, X509Name};
use dtls::Certificate;

/// A type of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    P256,
    P384,
    P521,
    Ed25519,
    Rsa(u32),
}

/// The types accepted from peers.
pub const ACCEPTED: [Kind; 5] = [Kind::P256, Kind::P384, Kind::Ed25519, Kind::Rsa(2048), Kind::Rsa(4096)];

/// A certificate with a key of this type.
pub fn certificate(kind: Kind) -> Certificate {
    with_name_parts(kind, 1)
}

/// The same, with its DER.
pub fn certificate_with_der(kind: Kind) -> (Certificate, Vec<u8>) {
    let key = key(kind);
    let der = self_made(&key, 1);
    (Certificate::from_der(&der, &[], &key.private_key_to_der_pkcs8().unwrap()).unwrap(), der)
}

/// A certificate that is long because of its name.
pub fn with_name_parts(kind: Kind, parts: usize) -> Certificate {
    let key = key(kind);
    let certificate = self_made(&key, parts);
    Certificate::from_der(&certificate, &[], &key.private_key_to_der_pkcs8().unwrap()).unwrap()
}

fn key(kind: Kind) -> PKey<Private> {
    let on_curve = |curve| {
        let group = EcGroup::from_curve_name(curve).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    };
    match kind {
        Kind::P256 => on_curve(Nid::X9_62_PRIME256V1),
        Kind::P384 => on_curve(Nid::SECP384R1),
        Kind::P521 => on_curve(Nid::SECP521R1),
        Kind::Ed25519 => PKey::generate(Id::ED25519).unwrap(),
        Kind::Rsa(bits) => PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap(),
    }
}

/// The signer does not matter: the peer is identified by the fingerprint.
fn self_made(key: &PKey<Private>, name_parts: usize) -> Vec<u8> {
    let mut name = X509Name::builder().unwrap();
    for _ in 0..name_parts {
        name.append_entry_by_nid(Nid::ORGANIZATIONALUNITNAME, &"x".repeat(60)).unwrap();
    }
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::from_unix(1 << 31).unwrap()).unwrap();
    certificate.set_pubkey(key).unwrap();
    certificate.sign(&self::key(Kind::P256), MessageDigest::sha256()).unwrap();
    certificate.build().to_der().unwrap()
}
