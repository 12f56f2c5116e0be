//! Tokens: who a client is and what it may do in which room (JWT, RFC 7519).
//!
//! The order of checks is fixed: shape, algorithm, **signature**, times, room, permissions. What an unsigned token claims
//! is never looked at, let alone answered.

use crate::failure::Failure;
use crate::limits;
use crate::proto::ErrorCode;
use aws_lc_rs::constant_time;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id: `sub`.
    pub sub: String,
    /// What others see, unless the client says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The one room it is for.
    pub room: String,
    /// When it ends, seconds since the epoch.
    pub exp: u64,
    /// When it begins, seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// When it was made, seconds since the epoch. For people; not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// What its bearer may do there.
    #[serde(default)]
    pub permissions: Permissions,
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

/// Whom a verified token admits. [`Verifier::verify`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The user's id.
    pub user: String,
    /// What others see, unless the client says otherwise.
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
}

/// Bytes of the shortest secret.
pub const SECRET_LEN_MIN: usize = 32;

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
        keys.into_iter()
            .find_map(|(key, algorithm)| key.ok().map(|key| Self { key, algorithm, leeway }))
            .ok_or(KeyError::NoPublicKey)
    }

    /// Whom `token` admits to `room` at `now` (since the epoch).
    pub fn verify(&self, token: &str, room: &str, now: Duration) -> Result<Grant, Failure> {
        let claims = self.claims(token)?;
        self.check_times(&claims, now)?;
        grant(claims, room)
    }

    /// Whom `token` admitted to `room` before it expired, if at `now` that is all that is wrong with it. Not enough to let
    /// anybody in.
    pub fn verify_but_for_expiry(&self, token: &str, room: &str, now: Duration) -> Result<Grant, Failure> {
        let claims = self.claims(token)?;
        let unexpired = Claims { exp: u64::MAX, ..claims };
        self.check_times(&unexpired, now)?;
        grant(unexpired, room)
    }

    /// What the token says, once it is known who signed it.
    fn claims(&self, token: &str) -> Result<Claims, Failure> {
        if token.is_empty() {
            return Err(Failure::new(ErrorCode::TokenMissing, "this server wants a token in JoinRoom.token"));
        }
        self.check_algorithm(token)?;
        self.check_signature(token)
    }

    /// Reads `alg` by itself: "none" is no algorithm the library would even name.
    fn check_algorithm(&self, token: &str) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Alg {
            alg: String,
        }
        if token.len() > limits::TOKEN_LEN_MAX {
            return Err(malformed(&format!("it is longer than {} bytes", limits::TOKEN_LEN_MAX)));
        }
        let mut parts = token.split('.');
        let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("it is not three parts between dots"));
        };
        let header = base64url(header).ok_or_else(|| malformed("its header is not base64url"))?;
        let header: Alg =
            serde_json::from_slice(&header).map_err(|_| malformed("its header is not JSON with an alg"))?;
        if header.alg != format!("{:?}", self.algorithm) {
            let text = format!(
                "the token is signed with another algorithm than {:?}, the only one taken here",
                self.algorithm
            );
            return Err(Failure::new(ErrorCode::TokenAlgorithm, text));
        }
        Ok(())
    }

    fn check_signature(&self, token: &str) -> Result<Claims, Failure> {
        let mut validation = Validation::new(self.algorithm);
        // Times are checked below, against a clock that comes in as an argument.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        use jsonwebtoken::errors::ErrorKind;
        jsonwebtoken::decode(token, &self.key, &validation).map(|data| data.claims).map_err(|error| {
            match error.kind() {
                ErrorKind::InvalidSignature => Failure::new(
                    ErrorCode::TokenSignature,
                    "the token's signature does not match: another key, or it was changed",
                ),
                ErrorKind::InvalidAlgorithm => {
                    Failure::new(ErrorCode::TokenAlgorithm, "the token's algorithm is not this server's")
                }
                _ => malformed("its claims must be JSON with sub, room and exp"),
            }
        })
    }

    fn check_times(&self, claims: &Claims, now: Duration) -> Result<(), Failure> {
        let (now, leeway) = (now.as_secs(), self.leeway.as_secs());
        if claims.exp.saturating_add(leeway) <= now {
            return Err(Failure::new(ErrorCode::TokenExpired, "the token has expired; get a new one"));
        }
        if claims.nbf.is_some_and(|nbf| nbf > now.saturating_add(leeway)) {
            return Err(Failure::new(
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
    if (1..=limits::USER_LEN_MAX).contains(&user.chars().count()) {
        return Ok(());
    }
    Err(format!("1 to {} characters", limits::USER_LEN_MAX))
}

fn grant(claims: Claims, room: &str) -> Result<Grant, Failure> {
    if !constant_time_eq(&claims.room, room) {
        return Err(Failure::new(ErrorCode::TokenRoom, "the token is for another room"));
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

fn malformed(what: &str) -> Failure {
    Failure::new(ErrorCode::TokenMalformed, format!("the token is malformed: {what}"))
}

fn constant_time_eq(a: &str, b: &str) -> bool {
    constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

/// Decodes base64url without padding (RFC 4648 §5).
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut bit_count) = (0u32, 0);
    for c in text.bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            bytes.push((bits >> bit_count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
