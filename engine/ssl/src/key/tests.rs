use super::*;
use boring::asn1::Asn1Time;
use boring::ec::{EcGroup, EcKey};
use boring::nid::Nid;
use boring::pkey::Private;
use boring::rsa::Rsa;
use boring::sign::Signer;
use boring::x509::X509;

fn ec(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).expect("a curve");
    PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key")
}

fn rsa(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).expect("a key")).expect("a key")
}

/// A certificate for the key. Its signature does not matter here.
fn certificate(key: &PKey<Private>) -> Vec<u8> {
    let mut certificate = X509::builder().expect("a builder");
    certificate.set_version(2).expect("a version");
    certificate.set_not_before(&Asn1Time::from_unix(0).expect("a time")).expect("a time");
    certificate.set_not_after(&Asn1Time::from_unix(1 << 31).expect("a time")).expect("a time");
    certificate.set_pubkey(key).expect("a key");
    certificate.sign(&ec(Nid::X9_62_PRIME256V1), MessageDigest::sha256()).expect("a signature");
    certificate.build().to_der().expect("DER")
}

fn sign(key: &PKey<Private>, scheme: u16, message: &[u8]) -> Vec<u8> {
    let digest = match scheme >> 8 {
        8 if scheme == 0x0807 => {
            let mut signer = Signer::new_without_digest(key).expect("a signer");
            return signer.sign_oneshot_to_vec(message).expect("a signature");
        }
        5 => MessageDigest::sha384(),
        _ => MessageDigest::sha256(),
    };
    let mut signer = Signer::new(digest, key).expect("a signer");
    if scheme == 0x0804 {
        signer.set_rsa_padding(Padding::PKCS1_PSS).expect("RSA");
        signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).expect("RSA");
    }
    signer.update(message).expect("a message");
    signer.sign_to_vec().expect("a signature")
}

fn accepted_keys() -> [(PKey<Private>, &'static [u16]); 4] {
    [
        (ec(Nid::X9_62_PRIME256V1), &[0x0403]),
        (ec(Nid::SECP384R1), &[0x0503]),
        (rsa(2048), &[0x0401, 0x0804]),
        (PKey::generate(Id::ED25519).expect("a key"), &[0x0807]),
    ]
}

#[test]
fn keys_of_accepted_types_only_are_found() {
    for (key, schemes) in accepted_keys() {
        let certificate = certificate(&key);
        assert!(of(&certificate).is_some_and(|found| found.public_eq(&key)), "{schemes:x?}");
        for end in 0..certificate.len() {
            assert!(subject_public_key_info(&certificate[..end]).is_none(), "{schemes:x?} cut at {end}");
        }
    }
    for refused in [rsa(1024), ec(Nid::SECP521R1), ec(Nid::SECP224R1)] {
        assert!(of(&certificate(&refused)).is_none(), "{} bits", refused.bits());
    }
    assert!(of(b"").is_none());
}

#[test]
fn a_signature_is_valid_only_for_its_message_scheme_and_key() {
    let other = certificate(&ec(Nid::X9_62_PRIME256V1));
    for (key, schemes) in accepted_keys() {
        let certificate = certificate(&key);
        for &scheme in schemes {
            let signature = sign(&key, scheme, b"transcript");
            assert!(has_signed(&certificate, scheme, b"transcript", &signature), "{scheme:x}");
            assert!(!has_signed(&certificate, scheme, b"another", &signature), "{scheme:x}");
            assert!(!has_signed(&other, scheme, b"transcript", &signature), "{scheme:x}");
            for claimed in [0, 0x0201, 0x0203, 0x0403, 0x0503, 0x0401, 0x0804, 0x0807] {
                let counts = has_signed(&certificate, claimed, b"transcript", &signature);
                assert_eq!(counts, claimed == scheme, "{scheme:x} as {claimed:x}");
            }
        }
    }
}
