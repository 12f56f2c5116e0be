use super::*;
use stun::{Class, Method, TransactionId, Writer};

const NOW: Duration = Duration::from_secs(1_800_000_000);

fn is_good(credentials: &Credentials, username: &str, password: &str, now: Duration) -> bool {
    let parts = [username.as_bytes(), b"leat", password.as_bytes()];
    let key = Key::long_term(PasswordAlgorithm::Md5, parts, Integrity::Sha1);
    let mut buffer = [0; 128];
    let len = Writer::new(&mut buffer, Class::Request, Method::ALLOCATE, TransactionId([7; 12]))
        .and_then(|mut writer| writer.integrity(&key).finish())
        .expect("room");
    let message = Message::new(&buffer[..len]).expect("well-formed");
    credentials.verify(&message, username.as_bytes(), PasswordAlgorithm::Md5, Integrity::Sha1, now).is_some()
}

/// As `turnadmin` and every service that mints credentials for coturn make them.
#[test]
fn a_minted_credential_equals_coturns() {
    let (username, password) = mint(b"north", Derivation::Sha1, Duration::from_secs(1_433_895_918), "user");
    assert_eq!(username, "1433895918:user");
    // printf '%s' 1433895918:user | openssl dgst -sha1 -hmac north -binary | base64
    assert_eq!(password, "/gk4t5tUc08OpM3NjrVjHSFVNmY=");
}

#[test]
fn minted_credentials_are_valid_until_they_expire_under_either_secret_and_derivation() {
    let old = Credentials::new("leat").secret(b"old").expect("a secret");
    let both = old.clone().secret(b"new").expect("a second");
    let new = Credentials::new("leat").secret(b"new").expect("a secret");
    for derivation in Derivation::ALL {
        let (name, password) = mint(b"old", derivation, NOW, "alice");
        assert!(is_good(&old, &name, &password, NOW));
        assert!(is_good(&both, &name, &password, NOW));
        assert!(!is_good(&new, &name, &password, NOW), "rotated out");
        assert!(!is_good(&both, &name, &password, NOW + Duration::from_secs(1)), "expired");
        let (name, password) = mint(b"new", derivation, NOW, "alice");
        assert!(!is_good(&old, &name, &password, NOW));
        assert!(is_good(&both, &name, &password, NOW));
        assert!(!is_good(&both, &name.replace("alice", "bob"), &password, NOW));
    }
    let later = format!("{}:alice", NOW.as_secs() + 9_999);
    let (_, password) = mint(b"old", Derivation::Sha1, NOW, "alice");
    assert!(!is_good(&both, &later, &password, NOW), "the expiry is signed as well");
}

#[test]
fn users_have_passwords_and_unknown_names_without_an_expiry_are_refused() {
    let credentials =
        Credentials::new("leat").user("bob", "builder").expect("a user").secret(b"s").expect("one");
    assert!(is_good(&credentials, "bob", "builder", NOW));
    assert!(!is_good(&credentials, "bob", "burglar", NOW));
    for name in ["", ":", "alice", "-1:alice", "99999999999999999999:alice"] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"s");
        let mut buffer = [0; PASSWORD_LEN_MAX];
        let password = encode(hmac::sign(&key, name.as_bytes()).as_ref(), &mut buffer);
        assert!(!is_good(&credentials, name, str::from_utf8(password).expect("text"), NOW), "{name}");
    }
    let hash = stun::userhash(b"bob", b"leat");
    assert_eq!(credentials.name(&hash), Some(&b"bob"[..]));
}

#[test]
fn configured_names_and_passwords_match_however_their_characters_are_encoded() {
    // Decomposed, with an ideographic and a no-break space; clients send the form of RFC 8265 §4.2.
    let (name, password) = ("Zoe\u{308}\u{3000}M", "pa\u{a0}sse\u{301}");
    let (sent_name, sent_password) = ("Zo\u{eb} M", "pa ss\u{e9}");
    let credentials = Credentials::new("leat").user(name, password).expect("a user");
    assert!(is_good(&credentials, sent_name, sent_password, NOW));
    assert!(!is_good(&credentials, name, password, NOW), "no client that follows RFC 8489 sends this");
    assert!(!is_good(&credentials, "zo\u{eb} m", sent_password, NOW), "case is kept");
    let hash = stun::userhash(sent_name.as_bytes(), b"leat");
    assert_eq!(credentials.name(&hash), Some(sent_name.as_bytes()));
    for (name, password) in [("a\u{7}b", "x"), ("ab", "x\ny"), ("a\u{378}", "x")] {
        let error = Credentials::new("leat").user(name, password).expect_err("not allowed").to_string();
        assert!(error.contains("RFC 8265"), "{error}");
    }
    assert_eq!(prepare("the realm", "Mu\u{308}hle").expect("a realm"), "M\u{fc}hle");
}

#[test]
fn a_quota_belongs_to_the_user_and_not_to_the_credential() {
    assert_eq!(quota_name(b"1433895918:user"), b"user");
    assert_eq!(quota_name(b"1433895919:user"), b"user");
    assert_eq!(quota_name(b"1433895919:a:b"), b"a:b");
    assert_eq!(quota_name(b"1433895919"), b"1433895919");
    assert_eq!(quota_name(b"bob"), b"bob");
    assert_eq!(quota_name(b"bob:b"), b"bob:b");
}

#[test]
fn invalid_credentials_are_reported() {
    let three = (0..3).try_fold(Credentials::new("leat"), |all, number| all.secret(&[number]));
    assert_eq!(three.expect_err("three"), BadCredentials::TooManySecrets(3));
    assert!(Credentials::new("leat").secret(b"").is_err());
    assert!(Credentials::new("leat").user("", "x").is_err());
    assert!(Credentials::new("leat").user("x", "").is_err());
}
