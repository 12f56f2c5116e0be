//! Tokens: who a client is and what it may do in which room (JWT, RFC 7519).
//!
//! The order of checks is fixed: shape, algorithm, **signature**, times, room, permissions. What an unsigned token claims
//! is never looked at, let alone answered.

use crate::limits;
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use aws_lc_rs::constant_time;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id: `sub`.
    pub sub: String,
    /// What others see. Over what the client says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The one room it is for.
    pub room: String,
    /// When it ends.
    pub exp: NumericDate,
    /// When it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<NumericDate>,
    /// When it was made. For people: it must be a date, and is not compared with any clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<NumericDate>,
    /// What its bearer may do there.
    #[serde(default)]
    pub permissions: Permissions,
}

/// Seconds since the epoch, rounded down (RFC 7519 §2: a JSON number, "non-integer values can be represented"). Libraries write
/// `1764417600`, `1764417600.336`, `1764417600.0` and `1.7644176e9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct NumericDate(pub u64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Number {
            Integer(u64),
            Float(f64),
        }
        match Number::deserialize(deserializer)? {
            Number::Integer(seconds) => Ok(Self(seconds)),
            // The conversion saturates: a date beyond what fits is the last there is.
            Number::Float(seconds) if seconds >= 0.0 => Ok(Self(seconds as u64)),
            Number::Float(_) => Err(D::Error::custom("a date before 1970")),
        }
    }
}

/// What a peer may do in its room: what a browser does, unless a token says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Permissions {
    /// May produce.
    pub can_publish: bool,
    /// May consume.
    pub can_subscribe: bool,
    /// May have plain transports. Only if a token says so: who names the address that media is sent to can have it sent to anybody.
    pub can_use_plain_transports: bool,
}

impl Default for Permissions {
    fn default() -> Self {
        Self { can_publish: true, can_subscribe: true, can_use_plain_transports: false }
    }
}

impl Permissions {
    /// What both permit.
    pub fn and(self, other: Self) -> Self {
        Self {
            can_publish: self.can_publish && other.can_publish,
            can_subscribe: self.can_subscribe && other.can_subscribe,
            can_use_plain_transports: self.can_use_plain_transports && other.can_use_plain_transports,
        }
    }
}

/// Whom a verified token admits. [`Verifier::verify`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The user's id.
    pub user: String,
    /// What others see. Over what the client says.
    pub name: Option<String>,
    /// What it may do.
    pub permissions: Permissions,
}

/// Something is wrong with the operator's key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// RFC 7518 §3.2: a key for HS256 has at least as many bits as the hash.
    #[error(
        "the secret has {0} bytes; HS256 needs at least {SECRET_LEN_MIN} (RFC 7518 §3.2), for example from `openssl rand -hex 32`"
    )]
    ShortSecret(usize),
    /// Not a public key of a kind we verify with.
    #[error("not an Ed25519 or RSA public key in DER (SubjectPublicKeyInfo) inside PEM")]
    NoPublicKey,
    /// RFC 7518 §3.3: a key for RS256 has 2048 bits or more.
    #[error(
        "the RSA key has {0} bits; RS256 needs {RSA_BITS_MIN} to {RSA_BITS_MAX} (RFC 7518 §3.3), for example from `openssl genrsa 2048`"
    )]
    RsaLength(usize),
}

/// Bytes of the shortest secret.
pub const SECRET_LEN_MIN: usize = 32;
/// Bits of the shortest RSA key.
pub const RSA_BITS_MIN: usize = 2048;
/// Bits of the longest RSA key: verification costs the square of its length, and the library verifies with no longer one.
pub const RSA_BITS_MAX: usize = 8192;

/// Checks tokens with one key and one algorithm.
pub struct Verifier {
    key: DecodingKey,
    algorithm: Algorithm,
    leeway: Duration,
}

impl Verifier {
    /// Tokens signed with a shared secret: HS256.
    pub fn with_secret(secret: &[u8], leeway: Duration) -> Result<Self, KeyError> {
        check_secret(secret)?;
        Ok(Self { key: DecodingKey::from_secret(secret), algorithm: Algorithm::HS256, leeway })
    }

    /// Tokens signed with the private half of `pem`: EdDSA for an Ed25519 key, RS256 for an RSA key.
    pub fn with_public_key(pem: &[u8], leeway: Duration) -> Result<Self, KeyError> {
        let keys = [
            (DecodingKey::from_ed_pem(pem), Algorithm::EdDSA),
            (DecodingKey::from_rsa_pem(pem), Algorithm::RS256),
        ];
        let (key, algorithm) = keys
            .into_iter()
            .find_map(|(key, algorithm)| Some((key.ok()?, algorithm)))
            .ok_or(KeyError::NoPublicKey)?;
        if algorithm == Algorithm::RS256 {
            let der = key.try_get_as_bytes().map_err(|_| KeyError::NoPublicKey)?;
            let bits = modulus_bits(der).ok_or(KeyError::NoPublicKey)?;
            if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
                return Err(KeyError::RsaLength(bits));
            }
        }
        Ok(Self { key, algorithm, leeway })
    }

    /// Whom `token` admits to `room` at `now` (since the epoch).
    pub fn verify(&self, token: &str, room: &str, now: Duration) -> Result<Grant, RequestError> {
        let claims = self.claims(token)?;
        self.check_times(&claims, now)?;
        grant(claims, room)
    }

    /// Whom `token` admitted to `room` before it expired, if at `now` that is all that is wrong with it. Not enough to let
    /// anybody in.
    pub fn verify_ignoring_expiry(
        &self,
        token: &str,
        room: &str,
        now: Duration,
    ) -> Result<Grant, RequestError> {
        let claims = self.claims(token)?;
        let unexpired = Claims { exp: NumericDate(u64::MAX), ..claims };
        self.check_times(&unexpired, now)?;
        grant(unexpired, room)
    }

    /// What the token says, once it is known who signed it.
    fn claims(&self, token: &str) -> Result<Claims, RequestError> {
        if token.is_empty() {
            return Err(RequestError::new(
                ErrorCode::TokenMissing,
                "this server wants a token in JoinRoom.token",
            ));
        }
        self.check_header(token)?;
        self.check_signature(token)
    }

    /// Reads the header itself: "none" is no algorithm that the library would name, and it ignores `crit`.
    fn check_header(&self, token: &str) -> Result<(), RequestError> {
        #[derive(Deserialize)]
        struct JoseHeader {
            alg: String,
            #[serde(default, rename = "crit", deserialize_with = "is_present")]
            is_critical: bool,
        }
        if token.len() > limits::TOKEN_LEN_MAX {
            return Err(malformed(&format!("it is longer than {} bytes", limits::TOKEN_LEN_MAX)));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("it is not three parts between dots"));
        };
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed("its header is not base64url"))?;
        let header: JoseHeader =
            serde_json::from_slice(&header).map_err(|_| malformed("its header is not JSON with an alg"))?;
        if header.alg != format!("{:?}", self.algorithm) {
            let text = format!(
                "the token is signed with another algorithm than {:?}, the only one taken here",
                self.algorithm
            );
            return Err(RequestError::new(ErrorCode::TokenAlgorithm, text));
        }
        // RFC 7515 §4.1.11: a token with an extension that is critical and not understood is invalid. None is understood here.
        if header.is_critical {
            return Err(malformed("its header has crit, and no extension is supported here"));
        }
        Ok(())
    }

    fn check_signature(&self, token: &str) -> Result<Claims, RequestError> {
        let mut validation = Validation::new(self.algorithm);
        // Times are checked below, against a clock that comes in as an argument.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        use jsonwebtoken::errors::ErrorKind;
        jsonwebtoken::decode(token, &self.key, &validation).map(|data| data.claims).map_err(|error| {
            match error.kind() {
                ErrorKind::InvalidSignature => RequestError::new(
                    ErrorCode::TokenSignature,
                    "the token's signature does not match: another key, or it was changed",
                ),
                ErrorKind::InvalidAlgorithm => {
                    RequestError::new(ErrorCode::TokenAlgorithm, "the token's algorithm is not this server's")
                }
                _ => malformed(
                    "its claims must be JSON with sub, room and exp; exp, nbf and iat are numbers, seconds since 1970",
                ),
            }
        })
    }

    fn check_times(&self, claims: &Claims, now: Duration) -> Result<(), RequestError> {
        let (now, leeway) = (now.as_secs(), self.leeway.as_secs());
        if claims.exp.0.saturating_add(leeway) <= now {
            return Err(RequestError::new(ErrorCode::TokenExpired, "the token has expired; get a new one"));
        }
        if claims.nbf.is_some_and(|nbf| nbf.0 > now.saturating_add(leeway)) {
            return Err(RequestError::new(
                ErrorCode::TokenNotYetValid,
                "the token is not valid yet; compare both clocks",
            ));
        }
        Ok(())
    }
}

/// Whether a room can have this name; else, what it must be.
pub fn check_room(room: &str) -> Result<(), String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !room.is_empty() && room.len() <= limits::ROOM_LEN_MAX && room.chars().all(is_name) {
        return Ok(());
    }
    Err(format!("1 to {} of A-Z a-z 0-9 . _ -", limits::ROOM_LEN_MAX))
}

/// Whether a user can have this id; else, what it must be.
pub fn check_user(user: &str) -> Result<(), String> {
    let has_length =
        (1..=limits::USER_LEN_MAX).contains(&user.chars().count()) && user.len() <= limits::USER_BYTES_MAX;
    if has_length && !user.chars().any(char::is_control) {
        return Ok(());
    }
    let (chars, bytes) = (limits::USER_LEN_MAX, limits::USER_BYTES_MAX);
    Err(format!("1 to {chars} characters in at most {bytes} bytes, none of them a control character"))
}

fn grant(claims: Claims, room: &str) -> Result<Grant, RequestError> {
    if !constant_time_eq(&claims.room, room) {
        return Err(RequestError::new(ErrorCode::TokenRoom, "the token is for another room"));
    }
    check_user(&claims.sub).map_err(|wanted| malformed(&format!("sub must be {wanted}")))?;
    Ok(Grant { user: claims.sub, name: claims.name, permissions: claims.permissions })
}

/// Signs a token with a shared secret: HS256.
pub fn mint(claims: &Claims, secret: &[u8]) -> Result<String, KeyError> {
    check_secret(secret)?;
    let token =
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret));
    Ok(token.expect("claims are plain JSON, and HS256 takes any key"))
}

fn check_secret(secret: &[u8]) -> Result<(), KeyError> {
    if secret.len() < SECRET_LEN_MIN { Err(KeyError::ShortSecret(secret.len())) } else { Ok(()) }
}

/// Whether a member is there, whatever its value.
fn is_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// Bits of the modulus of an RSAPublicKey (RFC 8017 A.1.1): a SEQUENCE whose first element is that INTEGER.
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let modulus = der_value(0x02, der_value(0x30, der)?)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let first = modulus.get(zeros)?;
    Some((modulus.len() - zeros) * 8 - first.leading_zeros() as usize)
}

/// The value of the element that `der` begins with, if it has this tag (X.690 §8.1).
fn der_value(tag: u8, der: &[u8]) -> Option<&[u8]> {
    let [first, length, rest @ ..] = der else { return None };
    if *first != tag {
        return None;
    }
    let (len, rest) = match *length {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f)).filter(|_| long <= 0x84)?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
    };
    rest.get(..len)
}

fn malformed(what: &str) -> RequestError {
    RequestError::new(ErrorCode::TokenMalformed, format!("the token is malformed: {what}"))
}

fn constant_time_eq(a: &str, b: &str) -> bool {
    constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests;
