use super::super::key::SECRET_LEN_MIN;
use super::super::revocations::{Revocation, Revoked};
use super::super::session::{RoomClaim, TokenId};
use super::super::token::{Audience, Permissions, mint, mint_with_kid};
use super::*;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256,
};
use jsonwebtoken::{EncodingKey, Header};

const SECRET: &[u8] = b"an operator's secret of 32 bytes";
const OTHER: &[u8] = b"another issuer's secret 32 bytes";
const LEEWAY: Duration = Duration::from_secs(30);
const NOW: Duration = Duration::from_secs(1_800_000_000);

fn claims() -> Claims {
    let now = NOW.as_secs();
    Claims {
        name: Some("Ada L.".into()),
        nbf: Some(NumericDate(now - 10)),
        iat: Some(NumericDate(now - 10)),
        ..Claims::new("ada", "stage", NumericDate(now + 3_600))
    }
}

fn keyring() -> Keyring {
    Keyring::with_secret(SECRET, LEEWAY).expect("a good secret")
}

/// As at a join.
fn admit(keyring: &Keyring, token: &str, room: &str) -> Result<Session, RequestError> {
    let session = keyring.validate_token(token, NOW)?;
    session.check_room(room)?;
    Ok(session)
}

fn verify(token: &str, room: &str) -> Result<Session, RequestError> {
    admit(&keyring(), token, room)
}

fn code(token: &str) -> ErrorCode {
    verify(token, "stage").expect_err("refused").code
}

fn signed(claims: &Claims) -> String {
    mint(claims, SECRET).expect("a good secret")
}

/// Base64url without padding, for tokens that no library creates.
fn encode(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
    let sextet = |start: usize| (0..6).fold(0, |value, at| value << 1 | usize::from(bit(start + at)));
    (0..bytes.len() * 8).step_by(6).map(|start| char::from(ALPHABET[sextet(start)])).collect()
}

#[test]
fn valid_token_admits() {
    let grant = verify(&signed(&claims()), "stage").expect("admitted");
    assert_eq!((grant.user.as_str(), grant.name.as_deref()), ("ada", Some("Ada L.")));
    assert_eq!((grant.project.as_str(), grant.permissions), (DEFAULT_PROJECT, Permissions::default()));
    assert_eq!(grant.room, RoomClaim::One("stage".into()));
    assert_eq!((grant.token.issued_at, grant.token.expires_at), (claims().iat, claims().exp));
}

#[test]
fn permissions_are_those_of_the_token() {
    let listener =
        Claims { permissions: Permissions { can_publish: false, ..Permissions::default() }, ..claims() };
    assert!(!verify(&signed(&listener), "stage").expect("admitted").permissions.can_publish);
    let sources = |sources: &[&str]| Permissions {
        can_publish_sources: Some(sources.iter().map(|source| (*source).to_owned()).collect()),
        ..Permissions::default()
    };
    let one = verify(&signed(&Claims { permissions: sources(&["screen"]), ..claims() }), "stage");
    let one = one.expect("admitted").permissions;
    assert!(one.may_publish("screen") && !one.may_publish("camera"));
    let none = verify(&signed(&Claims { permissions: sources(&[]), ..claims() }), "stage");
    assert!(!none.expect("admitted").permissions.may_publish("screen"));
    let long = "x".repeat(limits::SOURCE_LEN_MAX + 1);
    for wrong in [vec!["a\n"], vec![long.as_str()], vec!["x"; limits::PUBLISH_SOURCES_MAX + 1]] {
        assert_eq!(
            code(&signed(&Claims { permissions: sources(&wrong), ..claims() })),
            ErrorCode::TokenMalformed
        );
    }
}

#[test]
fn each_error_has_its_own_code() {
    let now = NOW.as_secs();
    assert_eq!(code(""), ErrorCode::TokenMissing);
    assert_eq!(code("not a token"), ErrorCode::TokenMalformed);
    assert_eq!(code("a.b"), ErrorCode::TokenMalformed);
    assert_eq!(code("a.b.c.d"), ErrorCode::TokenMalformed);
    assert_eq!(code("!.!.!"), ErrorCode::TokenMalformed);
    assert_eq!(code(&"x".repeat(limits::TOKEN_LEN_MAX + 1)), ErrorCode::TokenMalformed);
    assert_eq!(code(&mint(&claims(), OTHER).expect("a good secret")), ErrorCode::TokenSignature);
    assert_eq!(code(&signed(&Claims { exp: NumericDate(now - 31), ..claims() })), ErrorCode::TokenExpired);
    assert_eq!(
        code(&signed(&Claims { nbf: Some(NumericDate(now + 31)), ..claims() })),
        ErrorCode::TokenNotYetValid
    );
    assert_eq!(
        code(&signed(&Claims { room_id: Some("elsewhere".into()), ..claims() })),
        ErrorCode::TokenRoom
    );
    assert_eq!(code(&signed(&Claims { sub: String::new(), ..claims() })), ErrorCode::TokenMalformed);
}

#[test]
fn clock_difference_within_the_leeway_is_accepted() {
    let now = NOW.as_secs();
    verify(&signed(&Claims { exp: NumericDate(now - 29), ..claims() }), "stage").expect("within the leeway");
    verify(&signed(&Claims { nbf: Some(NumericDate(now + 30)), ..claims() }), "stage")
        .expect("within the leeway");
    verify(&signed(&Claims { exp: NumericDate(u64::MAX), nbf: Some(NumericDate(0)), ..claims() }), "stage")
        .expect("no overflow");
}

#[test]
fn token_with_another_algorithm_is_refused() {
    let payload = encode(&serde_json::to_vec(&claims()).expect("plain JSON"));
    for alg in ["none", "None", "NONE", "nOnE", "HS384", "RS256", "ES256", ""] {
        let header = encode(format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#).as_bytes());
        for signature in ["", "AAAA"] {
            assert_eq!(code(&format!("{header}.{payload}.{signature}")), ErrorCode::TokenAlgorithm, "{alg}");
        }
    }
    // Signed with the right secret and another hash.
    let header = Header::new(Algorithm::HS512);
    let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(SECRET)).expect("signed");
    assert_eq!(code(&token), ErrorCode::TokenAlgorithm);
}

#[test]
fn signature_is_verified_before_the_claims_are_read() {
    // Expired, for another room, and signed with another key: only the last is reported.
    let wrong =
        Claims { exp: NumericDate(0), room_id: Some("elsewhere".into()), sub: String::new(), ..claims() };
    assert_eq!(code(&mint(&wrong, OTHER).expect("a good secret")), ErrorCode::TokenSignature);
    // Times are checked before the room.
    assert_eq!(code(&signed(&wrong)), ErrorCode::TokenExpired);
    assert_eq!(
        code(&signed(&Claims { exp: NumericDate(u64::MAX), nbf: Some(NumericDate(u64::MAX)), ..wrong })),
        ErrorCode::TokenNotYetValid
    );
}

#[test]
fn token_with_a_changed_bit_is_refused() {
    let token = signed(&claims());
    let payload_at = token.find('.').expect("a dot") + 1;
    for at in payload_at..token.len() - 1 {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        if bytes[at] == token.as_bytes()[at] || token.as_bytes()[at] == b'.' {
            continue;
        }
        let changed = String::from_utf8(bytes).expect("still ASCII");
        let code = code(&changed);
        assert!(matches!(code, ErrorCode::TokenSignature | ErrorCode::TokenMalformed), "{at}: {code:?}");
    }
}

#[test]
fn signed_token_without_required_claims_is_malformed() {
    for body in [
        r#"{}"#,
        r#"{"sub":"a","room":"stage"}"#,
        r#"{"sub":"a","room_id":"no room","exp":9999999999}"#,
        r#"{"sub":"a","room_id":7,"exp":9999999999}"#,
        r#"{"sub":"a","room":"stage","exp":-1}"#,
        "[]",
    ] {
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let token =
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &body, &EncodingKey::from_secret(SECRET))
                .expect("signed");
        assert_eq!(code(&token), ErrorCode::TokenMalformed, "{body}");
    }
}

/// A token with this header and these claims, as text, signed with the secret of the server.
fn written(header: &str, claims: &str) -> String {
    let body = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(body.as_bytes(), &key, Algorithm::HS256).expect("signed");
    format!("{body}.{signature}")
}

#[test]
fn dates_of_php_python_java_and_go_libraries_are_accepted() {
    // NOW is 1800000000.
    for (library, dates) in [
        ("firebase/php-jwt, PyJWT, jjwt, java-jwt", r#""exp":1800003600,"nbf":1799999990,"iat":1799999990"#),
        ("lcobucci/jwt", r#""exp":1800003600.336,"nbf":1799999990.336447,"iat":1799999990.336447"#),
        ("PHP with serialize_precision 17", r#""exp":1800003600.3359999,"iat":1799999990.0"#),
        (
            "PHP with JSON_PRESERVE_ZERO_FRACTION",
            r#""exp":1800003600.0,"nbf":1799999990.0,"iat":1799999990.0"#,
        ),
        ("Python's time.time()", r#""exp":1800003600.3364475,"iat":1799999990.3364475"#),
        ("Java's double", r#""exp":1.8000036E9,"nbf":1.79999999E9,"iat":1.79999999E9"#),
        ("Go's float64 with %e", r#""exp":1.8000036e+09,"iat":1.688e9"#),
        ("golang-jwt with a precision of microseconds", r#""exp":1800003600.000001,"iat":1799999990.5"#),
        ("a date made in the future", r#""exp":1800003600,"iat":1900000000"#),
        ("a date that is absent as null", r#""exp":1800003600,"nbf":null,"iat":null"#),
        ("no end in practice", r#""exp":1e300"#),
    ] {
        let token = written(r#"{"alg":"HS256"}"#, &format!(r#"{{"sub":"ada","room":"stage",{dates}}}"#));
        assert_eq!(verify(&token, "stage").map(|grant| grant.user), Ok("ada".into()), "{library}");
    }
    for (dates, wanted) in [
        (r#""exp":1799999969.9"#, ErrorCode::TokenExpired),
        (r#""exp":1.799999969e9"#, ErrorCode::TokenExpired),
        (r#""exp":1800003600,"nbf":1.800000031e9"#, ErrorCode::TokenNotYetValid),
        (r#""exp":-1.5"#, ErrorCode::TokenMalformed),
        (r#""exp":-1"#, ErrorCode::TokenMalformed),
        (r#""exp":1e999"#, ErrorCode::TokenMalformed),
        (r#""exp":null"#, ErrorCode::TokenMalformed),
        (r#""exp":"1800003600""#, ErrorCode::TokenMalformed),
        (r#""exp":1800003600,"iat":"yesterday""#, ErrorCode::TokenMalformed),
        (r#""exp":1800003600,"exp":1800003601"#, ErrorCode::TokenMalformed),
    ] {
        let token = written(r#"{"alg":"HS256"}"#, &format!(r#"{{"sub":"ada","room":"stage",{dates}}}"#));
        assert_eq!(code(&token), wanted, "{dates}");
    }
}

#[test]
fn token_with_a_critical_extension_is_refused() {
    let claims = r#"{"sub":"ada","room":"stage","exp":1800003600}"#;
    verify(&written(r#"{"alg":"HS256","typ":"JWT","kid":"1"}"#, claims), "stage")
        .expect("others are ignored");
    for crit in
        [r#"["exp"]"#, r#"["b64"]"#, r#"["http://example.com/UNDEFINED"]"#, "[]", "null", "true", r#""b64""#]
    {
        let token = written(&format!(r#"{{"alg":"HS256","b64":true,"crit":{crit}}}"#), claims);
        assert_eq!(code(&token), ErrorCode::TokenMalformed, "{crit}");
    }
}

#[test]
fn user_id_with_control_characters_or_too_long_is_refused() {
    for sub in [r"a\u0000", r"a\nb", r"\u001b[2J", r"\u0085", r"\u007f"] {
        let claims = format!(r#"{{"sub":"{sub}","room":"stage","exp":1800003600}}"#);
        assert_eq!(code(&written(r#"{"alg":"HS256"}"#, &claims)), ErrorCode::TokenMalformed, "{sub}");
    }
    let fox = "\u{1f98a}";
    for (sub, is_taken) in [
        ("a".repeat(limits::USER_LEN_MAX), true),
        ("a".repeat(limits::USER_LEN_MAX + 1), false),
        (fox.repeat(limits::USER_BYTES_MAX / fox.len()), true),
        (fox.repeat(limits::USER_BYTES_MAX / fox.len() + 1), false),
    ] {
        let taken = verify(&signed(&Claims { sub: sub.clone(), ..claims() }), "stage");
        assert_eq!(taken.is_ok(), is_taken, "{sub}");
    }
}

#[test]
fn rsa_keys_below_2048_bits_are_refused() {
    // Moduli of these lengths, as `openssl genrsa` creates them; only their length is checked here.
    let pem = |bits: usize, is_pkcs1: bool| {
        let element = |tag: u8, value: &[u8]| {
            let len = u16::try_from(value.len()).expect("short").to_be_bytes();
            [&[tag, 0x82][..], &len, value].concat()
        };
        let mut modulus = vec![0xa5; bits.div_ceil(8) + 1];
        modulus[0] = 0;
        modulus[1] = 0xff >> (8 - 1 - (bits - 1) % 8);
        let key = element(0x30, &[element(0x02, &modulus), vec![2, 3, 1, 0, 1]].concat());
        let algorithm = [0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
        let (label, der) = match is_pkcs1 {
            true => ("RSA PUBLIC KEY", key),
            false => {
                let bits = element(0x03, &[&[0][..], &key].concat());
                ("PUBLIC KEY", element(0x30, &[&algorithm[..], &bits].concat()))
            }
        };
        let base64 = encode(&der).replace('-', "+").replace('_', "/");
        let padding = "=".repeat((4 - base64.len() % 4) % 4);
        format!("-----BEGIN {label}-----\n{base64}{padding}\n-----END {label}-----\n")
    };
    for is_pkcs1 in [false, true] {
        for bits in [512, 1024, 2040, 2047, 8193] {
            let error = Keyring::with_public_key(pem(bits, is_pkcs1).as_bytes(), LEEWAY).err();
            assert!(matches!(error, Some(KeyError::RsaLength(found)) if found == bits), "{bits}: {error:?}");
        }
        for bits in [2048, 3072, 4096, 8192] {
            Keyring::with_public_key(pem(bits, is_pkcs1).as_bytes(), LEEWAY)
                .unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

#[test]
fn weak_keys_are_refused() {
    assert!(matches!(Keyring::with_secret(b"short", LEEWAY), Err(KeyError::ShortSecret(5))));
    assert!(matches!(mint(&claims(), b""), Err(KeyError::ShortSecret(0))));
    assert!(matches!(Keyring::with_public_key(b"no PEM", LEEWAY), Err(KeyError::NoPublicKey)));
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
    let pem = pem(p384.public_key().as_der().expect("DER").as_ref());
    assert!(matches!(Keyring::with_public_key(pem.as_bytes(), LEEWAY), Err(KeyError::NoPublicKey)));
}

/// A key pair of one algorithm: its name, the public key in PEM, and how it signs.
type Pair = (&'static str, String, Box<dyn Fn(&[u8]) -> Vec<u8>>);

fn pem(der: &[u8]) -> String {
    let base64 = encode(der).replace('-', "+").replace('_', "/");
    let padding = "=".repeat((4 - base64.len() % 4) % 4);
    format!("-----BEGIN PUBLIC KEY-----\n{base64}{padding}\n-----END PUBLIC KEY-----\n")
}

fn pairs() -> Vec<Pair> {
    let ed = Ed25519KeyPair::generate().expect("a key");
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let rsa = rsa::KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let (ed_pem, ec_pem, rsa_pem) = (
        pem(ed.public_key().as_der().expect("DER").as_ref()),
        pem(ec.public_key().as_der().expect("DER").as_ref()),
        pem(rsa.public_key().as_der().expect("DER").as_ref()),
    );
    let random = SystemRandom::new();
    vec![
        ("EdDSA", ed_pem, Box::new(move |body: &[u8]| ed.sign(body).as_ref().to_vec())),
        (
            "ES256",
            ec_pem,
            Box::new(move |body: &[u8]| ec.sign(&random, body).expect("signed").as_ref().to_vec()),
        ),
        (
            "RS256",
            rsa_pem,
            Box::new(move |body: &[u8]| {
                let mut signature = vec![0; rsa.public_modulus_len()];
                rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature).expect("signed");
                signature
            }),
        ),
    ]
}

fn signed_by(pair: &Pair, header: &str) -> String {
    let claims = serde_json::to_vec(&claims()).expect("plain JSON");
    let body = format!("{}.{}", encode(header.as_bytes()), encode(&claims));
    format!("{body}.{}", encode(&(pair.2)(body.as_bytes())))
}

#[test]
fn public_key_verifies_tokens_of_its_private_key_with_its_algorithm_only() {
    let pairs = pairs();
    for pair in &pairs {
        let (algorithm, pem, _) = pair;
        let keyring = Keyring::with_public_key(pem.as_bytes(), LEEWAY).expect("a good key");
        let token = signed_by(pair, &format!(r#"{{"alg":"{algorithm}"}}"#));
        assert_eq!(admit(&keyring, &token, "stage").expect("admitted").user, "ada", "{algorithm}");
        // The public key as if it were a secret (algorithm confusion), and a header with another algorithm.
        let confused = mint(&claims(), pem.as_bytes()).expect("long enough");
        let renamed =
            ["none", "HS256", "RS256", "ES256", "EdDSA", "PS256"].iter().filter(|name| *name != algorithm);
        let renamed = renamed.map(|name| signed_by(pair, &format!(r#"{{"alg":"{name}"}}"#)));
        for token in renamed.chain([confused]) {
            let error = admit(&keyring, &token, "stage").expect_err("refused");
            assert_eq!(error.code, ErrorCode::TokenAlgorithm, "{algorithm}");
        }
        for other in pairs.iter().filter(|other| other.0 != *algorithm) {
            let token = signed_by(other, &format!(r#"{{"alg":"{algorithm}"}}"#));
            assert_eq!(
                admit(&keyring, &token, "stage").expect_err("refused").code,
                ErrorCode::TokenSignature
            );
        }
    }
}

#[test]
fn kid_selects_the_key_and_the_key_the_algorithm() {
    let pairs = pairs();
    let mut keyring = keyring();
    for pair in &pairs {
        keyring.add(pair.0, pair.1.as_bytes()).expect("a good key");
    }
    keyring.add("old", b"the former secret, at least 32 bytes\n").expect("a good secret");
    for pair in &pairs {
        let token = signed_by(pair, &format!(r#"{{"alg":"{0}","kid":"{0}"}}"#, pair.0));
        let session = admit(&keyring, &token, "stage").expect("admitted");
        assert_eq!(session.token.key.as_deref(), Some(pair.0));
        // The key of another algorithm.
        let other = if pair.0 == "EdDSA" { "ES256" } else { "EdDSA" };
        let token = signed_by(pair, &format!(r#"{{"alg":"{}","kid":"{other}"}}"#, pair.0));
        assert_eq!(admit(&keyring, &token, "stage").expect_err("refused").code, ErrorCode::TokenAlgorithm);
    }
    let with = |secret: &[u8], kid: Option<&str>| {
        let token = mint_with_kid(&claims(), secret, kid).expect("a good secret");
        admit(&keyring, &token, "stage").map(|session| session.token.key).map_err(|error| error.code)
    };
    let former = b"the former secret, at least 32 bytes";
    assert_eq!(with(SECRET, None), Ok(None));
    assert_eq!(with(SECRET, Some("of the issuer")), Ok(None), "one key, which the issuer names");
    assert_eq!(with(former, Some("old")), Ok(Some("old".into())));
    assert_eq!(with(former, None), Err(ErrorCode::TokenSignature), "without kid only the unnamed key");
    assert_eq!(with(former, Some("older")), Err(ErrorCode::TokenKey));
    assert_eq!(with(SECRET, Some("old")), Err(ErrorCode::TokenSignature));
    assert_eq!(with(SECRET, Some("ES256")), Err(ErrorCode::TokenAlgorithm));

    let mut named_only = Keyring::new(LEEWAY);
    assert_eq!(
        admit(&named_only, &signed(&claims()), "stage").expect_err("no key").code,
        ErrorCode::TokenKey
    );
    named_only.add("a", former).expect("a good secret");
    assert!(matches!(named_only.add("a", former), Err(KeyError::RepeatedId(_))));
    assert!(matches!(named_only.add("a b", former), Err(KeyError::KeyId)));
    assert!(matches!(named_only.add("b", b"short"), Err(KeyError::ShortSecret(5))));
    assert_eq!(
        admit(&named_only, &signed(&claims()), "stage").expect_err("no kid").code,
        ErrorCode::TokenKey
    );
}

#[test]
fn api_keys_are_replaced_together_and_decide_the_project() {
    let keyring = keyring();
    let key = |id: &str, project: &str, secret: &[u8]| ApiKey {
        id: id.into(),
        project: project.into(),
        secret: secret.to_vec(),
    };
    let with = |secret: &[u8], kid: &str| {
        let token = mint_with_kid(&claims(), secret, Some(kid)).expect("a good secret");
        admit(&keyring, &token, "stage").map(|session| session.project).map_err(|error| error.code)
    };
    assert_eq!(keyring.set_api_keys(vec![key("k1", "shop", OTHER), key("k2", "school", SECRET)]), []);
    assert_eq!(with(OTHER, "k1"), Ok("shop".into()));
    assert_eq!(with(SECRET, "k2"), Ok("school".into()));
    assert_eq!(with(SECRET, "k1"), Err(ErrorCode::TokenSignature), "the key of another project");
    let refused = keyring.set_api_keys(vec![
        key("k2", "school", SECRET),
        key("k2", "shop", OTHER),
        key("k3", "shop", &OTHER[..SECRET_LEN_MIN - 1]),
        key("k 4", "shop", OTHER),
        key("k5", "a/b", OTHER),
    ]);
    assert_eq!(refused.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["k2", "k3", "k 4", "k5"]);
    assert_eq!(with(OTHER, "k1"), Err(ErrorCode::TokenKey), "deleted");
    assert_eq!(with(SECRET, "k2"), Ok("school".into()));
}

#[test]
fn room_id_and_its_former_name_are_accepted() {
    let with = |rooms: &str| {
        let claims = format!(r#"{{"sub":"ada","exp":1800003600{rooms}}}"#);
        keyring().validate_token(&written(r#"{"alg":"HS256"}"#, &claims), NOW)
    };
    let room = |rooms: &str| with(rooms).map(|session| session.room).map_err(|error| error.code);
    let stage = RoomClaim::One("stage".into());
    assert_eq!(room(r#","room_id":"stage""#), Ok(stage.clone()));
    assert_eq!(room(r#","room":"stage""#), Ok(stage.clone()));
    assert_eq!(room(r#","room":"stage","room_id":"stage""#), Ok(stage));
    assert_eq!(room(r#","room":"stage","room_id":"attic""#), Err(ErrorCode::TokenMalformed));
    assert_eq!(room(r#","room_id":"stage","room_id":"attic""#), Err(ErrorCode::TokenMalformed));
    assert_eq!(room(r#","room_id":"*""#), Ok(RoomClaim::Any));
    assert_eq!(room(""), Ok(RoomClaim::None));
    with(r#","room_id":"*""#).expect("valid").check_room("attic").expect("every room");
    let error = with("").expect("valid").check_room("attic").expect_err("no room");
    assert_eq!(error.code, ErrorCode::TokenRoom);
}

#[test]
fn audience_and_issuer_are_checked_if_they_are_configured() {
    let mut keyring = keyring();
    keyring.require_audience(Some("leat.example".into()));
    keyring.require_issuer(Some("https://id.example".into()));
    let with = |aud: Option<Audience>, iss: Option<&str>| {
        let token = signed(&Claims { aud, iss: iss.map(str::to_owned), ..claims() });
        verify(&token, "stage").expect("not configured: not checked");
        admit(&keyring, &token, "stage").map(|_| ()).map_err(|error| error.code)
    };
    let (one, issuer) = (|text: &str| Some(Audience::One(text.into())), Some("https://id.example"));
    let several =
        |texts: &[&str]| Some(Audience::Several(texts.iter().map(|text| (*text).to_owned()).collect()));
    assert_eq!(with(one("leat.example"), issuer), Ok(()));
    assert_eq!(with(several(&["other", "leat.example"]), issuer), Ok(()));
    for aud in [one("other"), one("leat.example.org"), several(&["other"]), several(&[]), None] {
        assert_eq!(with(aud, issuer), Err(ErrorCode::TokenAudience));
    }
    for iss in [Some("https://id.example/"), None] {
        assert_eq!(with(one("leat.example"), iss), Err(ErrorCode::TokenAudience));
    }
    let late = Claims { exp: NumericDate(0), ..claims() };
    assert_eq!(admit(&keyring, &signed(&late), "stage").expect_err("late").code, ErrorCode::TokenExpired);
}

#[test]
fn revoked_token_is_refused_also_where_its_expiry_does_not_count() {
    let keyring = keyring();
    let until = Duration::from_secs(claims().exp.0);
    let add = |of: Revoked| {
        let project = DEFAULT_PROJECT.to_owned();
        keyring.revocations().add(Revocation { project, of, until }, NOW).expect("space");
    };
    let with_id = |jti: &str| signed(&Claims { jti: Some(jti.into()), ..claims() });
    let check = |token: &str| admit(&keyring, token, "stage").map(|_| ()).map_err(|error| error.code);
    add(Revoked::Token(TokenId("7".into())));
    assert_eq!(check(&with_id("7")), Err(ErrorCode::TokenRevoked));
    assert_eq!(check(&with_id("8")), Ok(()));
    let error = keyring.validate_ignoring_expiry(&with_id("7"), NOW).expect_err("revoked");
    assert_eq!(error.code, ErrorCode::TokenRevoked);
    // A token without an id is known by its hash.
    let session = admit(&keyring, &signed(&claims()), "stage").expect("admitted");
    add(Revoked::Token(session.token.id));
    assert_eq!(check(&signed(&claims())), Err(ErrorCode::TokenRevoked));
    assert_eq!(check(&signed(&Claims { name: None, ..claims() })), Ok(()), "another token");
    for jti in [String::new(), "a\nb".into(), "x".repeat(limits::TOKEN_ID_LEN_MAX + 1)] {
        assert_eq!(check(&with_id(&jti)), Err(ErrorCode::TokenMalformed));
    }
}

#[test]
fn random_text_is_refused() {
    use proptest::prelude::*;
    proptest!(|(text in ".{0,200}", a in "[A-Za-z0-9_-]{0,40}", b in "[A-Za-z0-9_-]{0,40}", c in "[A-Za-z0-9_-]{0,60}")| {
        prop_assert!(verify(&text, "stage").is_err());
        let token = format!("{a}.{b}.{c}");
        prop_assert!(verify(&token, "stage").is_err());
    });
}

/// Also beside a key without an id, which did not sign the token.
#[test]
fn unknown_key_is_no_final_answer_before_the_api_keys_are_read() {
    for keyring in [Keyring::new(LEEWAY), Keyring::with_secret(OTHER, LEEWAY).expect("a good secret")] {
        check_before_the_api_keys_are_read(&keyring);
    }
    // A key without an id that did sign it needs no other.
    let keyring = self::keyring();
    keyring.await_api_keys();
    let token = mint_with_kid(&claims(), SECRET, Some("any")).expect("a good secret");
    admit(&keyring, &token, "stage").expect("valid");
}

fn check_before_the_api_keys_are_read(keyring: &Keyring) {
    let token = mint_with_kid(&claims(), SECRET, Some("stored")).expect("a good secret");
    let code = |token: &str| admit(keyring, token, "stage").map(|_| ()).map_err(|error| error.code);
    assert!(code(&token).is_err_and(|code| code != ErrorCode::StoreUnavailable));
    keyring.await_api_keys();
    assert_eq!(code(&token), Err(ErrorCode::StoreUnavailable));
    let error = admit(keyring, &token, "stage").expect_err("not yet");
    assert!(error.retry_after.is_some_and(|pause| pause > Duration::ZERO), "{error}");
    let secret = SECRET.to_vec();
    let key = ApiKey { id: "stored".into(), project: DEFAULT_PROJECT.into(), secret };
    assert_eq!(keyring.set_api_keys(vec![key]).len(), 0);
    assert_eq!(code(&token), Ok(()));
    keyring.set_api_keys(Vec::new());
    assert!(code(&token).is_err_and(|code| code != ErrorCode::StoreUnavailable));
}
