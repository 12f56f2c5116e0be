use super::*;

const SECRET: &[u8] = b"an operator's secret of 32 bytes";
const OTHER: &[u8] = b"somebody else's secret, 32 bytes";
const LEEWAY: Duration = Duration::from_secs(30);
const NOW: Duration = Duration::from_secs(1_800_000_000);

fn claims() -> Claims {
    let now = NOW.as_secs();
    Claims {
        sub: "ada".into(),
        name: Some("Ada L.".into()),
        room: "stage".into(),
        exp: NumericDate(now + 3_600),
        nbf: Some(NumericDate(now - 10)),
        iat: Some(NumericDate(now - 10)),
        permissions: Permissions::default(),
    }
}

fn verify(token: &str, room: &str) -> Result<Grant, RequestError> {
    Verifier::with_secret(SECRET, LEEWAY).expect("a good secret").verify(token, room, NOW)
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
    let permissions = Permissions::default();
    assert_eq!(grant, Grant { user: "ada".into(), name: Some("Ada L.".into()), permissions });
}

#[test]
fn permissions_are_those_of_the_token() {
    let listener =
        Claims { permissions: Permissions { can_publish: false, ..Permissions::default() }, ..claims() };
    assert!(!verify(&signed(&listener), "stage").expect("admitted").permissions.can_publish);
    let text = encode(br#"{"alg":"HS256"}"#);
    assert!(!text.contains('='));
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
    assert_eq!(code(&signed(&Claims { room: "elsewhere".into(), ..claims() })), ErrorCode::TokenRoom);
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
    let wrong = Claims { exp: NumericDate(0), room: "elsewhere".into(), sub: String::new(), ..claims() };
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
        r#"{"sub":"a","exp":9999999999}"#,
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
            let error = Verifier::with_public_key(pem(bits, is_pkcs1).as_bytes(), LEEWAY).err();
            assert!(matches!(error, Some(KeyError::RsaLength(found)) if found == bits), "{bits}: {error:?}");
        }
        for bits in [2048, 3072, 4096, 8192] {
            Verifier::with_public_key(pem(bits, is_pkcs1).as_bytes(), LEEWAY)
                .unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

#[test]
fn weak_keys_are_refused() {
    assert!(matches!(Verifier::with_secret(b"short", LEEWAY), Err(KeyError::ShortSecret(5))));
    assert!(matches!(mint(&claims(), b""), Err(KeyError::ShortSecret(0))));
    assert!(matches!(Verifier::with_public_key(b"no PEM", LEEWAY), Err(KeyError::NoPublicKey)));
}

#[test]
fn public_key_verifies_tokens_of_its_private_key() {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    let pair = Ed25519KeyPair::generate().expect("a key");
    let der = pair.public_key().as_der().expect("DER");
    let base64: String = encode(der.as_ref()).replace('-', "+").replace('_', "/");
    let padding = "=".repeat((4 - base64.len() % 4) % 4);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}{padding}\n-----END PUBLIC KEY-----\n");
    let verifier = Verifier::with_public_key(pem.as_bytes(), LEEWAY).expect("an Ed25519 key");

    let body = format!(
        "{}.{}",
        encode(br#"{"alg":"EdDSA"}"#),
        encode(&serde_json::to_vec(&claims()).expect("plain JSON"))
    );
    let token = format!("{body}.{}", encode(pair.sign(body.as_bytes()).as_ref()));
    assert_eq!(verifier.verify(&token, "stage", NOW).expect("admitted").user, "ada");
    // A token signed with the public key as if it were a secret (algorithm confusion).
    let confused = mint(&claims(), pem.as_bytes()).expect("long enough");
    assert_eq!(
        verifier.verify(&confused, "stage", NOW).expect_err("refused").code,
        ErrorCode::TokenAlgorithm
    );
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
