//! Verifies tokens: [`Keyring::validate_token`] is the one entry for all of them.
//!
//! The order of checks is fixed: form, key and algorithm, **signature**, times, audience and issuer,
//! revocation, room, permissions. The claims of a token are not read before its signature is verified
//! ([decision 25](../../../docs/decisions/0025-signature-before-times.md)).

use super::DEFAULT_PROJECT;
use super::key::{self, Key, KeyError};
use super::revocations::Revocations;
use super::session::{Session, malformed};
use super::token::{Claims, NumericDate};
use crate::limits;
use crate::proto::ErrorCode;
use crate::request_error::RequestError;
use aws_lc_rs::constant_time;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Validation};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The keys that verify tokens: at most one for tokens without `kid`, those of the configuration, and those
/// of API keys, which may change at any time.
#[derive(Debug)]
pub struct Keyring {
    /// For tokens without `kid`.
    unnamed: Option<Arc<Key>>,
    named: HashMap<String, Arc<Key>>,
    api_keys: RwLock<HashMap<String, Arc<Key>>>,
    /// Whether the API keys have not been read so far, so that an unknown id may be one of them.
    awaits_api_keys: AtomicBool,
    revocations: Arc<Revocations>,
    /// Difference of clocks that is accepted.
    leeway: Duration,
    audience: Option<String>,
    issuer: Option<String>,
}

/// A secret of a project, from the database.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// `kid` of its tokens.
    pub id: String,
    /// The project of its tokens.
    pub project: String,
    /// The secret for HS256.
    pub secret: Vec<u8>,
}

impl fmt::Debug for ApiKey {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}, {})", self.id, self.project)
    }
}

impl Keyring {
    /// Without keys: no token is valid.
    pub fn new(leeway: Duration) -> Self {
        Self {
            unnamed: None,
            named: HashMap::new(),
            api_keys: RwLock::default(),
            awaits_api_keys: AtomicBool::new(false),
            revocations: Arc::new(Revocations::new(leeway)),
            leeway,
            audience: None,
            issuer: None,
        }
    }

    /// With one secret, for tokens without `kid`: HS256.
    pub fn with_secret(secret: &[u8], leeway: Duration) -> Result<Self, KeyError> {
        let key = Key::from_secret(secret, DEFAULT_PROJECT, None)?;
        Ok(Self { unnamed: Some(Arc::new(key)), ..Self::new(leeway) })
    }

    /// With one public key, for tokens without `kid`: EdDSA with an Ed25519 key, ES256 with a P-256 key,
    /// RS256 with an RSA key.
    pub fn with_public_key(pem: &[u8], leeway: Duration) -> Result<Self, KeyError> {
        let key = Key::from_public_pem(pem, DEFAULT_PROJECT, None)?;
        Ok(Self { unnamed: Some(Arc::new(key)), ..Self::new(leeway) })
    }

    /// Adds a key of the default project for tokens with this `kid`: a public key in PEM, or a secret.
    pub fn add(&mut self, id: &str, content: &[u8]) -> Result<(), KeyError> {
        key::check_id(id)?;
        if self.named.len() >= limits::TOKEN_KEYS_MAX {
            return Err(KeyError::TooMany(limits::TOKEN_KEYS_MAX));
        }
        let key = Key::from_file(content, DEFAULT_PROJECT, Some(id.to_owned()))?;
        match self.named.insert(id.to_owned(), Arc::new(key)) {
            Some(_) => Err(KeyError::RepeatedId(id.to_owned())),
            None => Ok(()),
        }
    }

    /// Accepts only tokens whose `aud` contains this text.
    pub fn require_audience(&mut self, audience: Option<String>) {
        self.audience = audience;
    }

    /// Accepts only tokens with this `iss`.
    pub fn require_issuer(&mut self, issuer: Option<String>) {
        self.issuer = issuer;
    }

    /// API keys will follow: until then, the answer to a token of an unknown key is to try again.
    pub fn await_api_keys(&self) {
        self.awaits_api_keys.store(true, Ordering::Relaxed);
    }

    /// Replaces all API keys at once. Returns the ids of those that cannot be used, with the reason; the
    /// others are used after this call. The peers of a key that is not in the list stay in their rooms:
    /// revoke the key to remove them.
    pub fn set_api_keys(&self, keys: Vec<ApiKey>) -> Vec<(String, KeyError)> {
        let mut refused = Vec::new();
        let mut usable = HashMap::new();
        for ApiKey { id, project, secret } in keys {
            let key = key::check_id(&id)
                .and_then(|()| key::check_project(&project))
                .and_then(|()| Key::from_secret(&secret, &project, Some(id.clone())));
            match key {
                Ok(_) if usable.contains_key(&id) || self.named.contains_key(&id) => {
                    refused.push((id.clone(), KeyError::RepeatedId(id)));
                }
                Ok(_) if usable.len() >= limits::API_KEYS_MAX => {
                    refused.push((id, KeyError::TooMany(limits::API_KEYS_MAX)));
                }
                Ok(key) => _ = usable.insert(id, Arc::new(key)),
                Err(error) => refused.push((id, error)),
            }
        }
        *self.api_keys.write().unwrap_or_else(PoisonError::into_inner) = usable;
        self.awaits_api_keys.store(false, Ordering::Relaxed);
        refused
    }

    /// The project of the API key with this id and secret; `None` if there is no such key.
    pub fn project_of_api_key(&self, id: &str, secret: &str) -> Result<Option<String>, RequestError> {
        let found = self.api_keys.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let Some(key) = found else {
            return if self.awaits_api_keys.load(Ordering::Relaxed) {
                Err(keys_are_not_read())
            } else {
                Ok(None)
            };
        };
        let known = key.decoding.try_get_as_bytes().unwrap_or_default();
        let is_right = constant_time::verify_slices_are_equal(known, secret.as_bytes()).is_ok();
        Ok(is_right.then(|| key.project.clone()))
    }

    /// The revocations that this keyring respects.
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Verifies a token at `now` (time since 1970). [`Session::check_room`] follows where a room is entered.
    pub fn validate_token(&self, token: &str, now: Duration) -> Result<Session, RequestError> {
        self.validate(token, now, false)
    }

    /// Like [`Self::validate_token`], but accepts an expired token: not sufficient to admit a client.
    pub fn validate_ignoring_expiry(&self, token: &str, now: Duration) -> Result<Session, RequestError> {
        self.validate(token, now, true)
    }

    fn validate(&self, token: &str, now: Duration, may_be_expired: bool) -> Result<Session, RequestError> {
        let (claims, key) = self.claims(token)?;
        self.check_times(&claims, now, may_be_expired)?;
        self.check_parties(&claims)?;
        let session = Session::new(claims, token, &key.project, key.id.clone())?;
        self.revocations.check(&session, now)?;
        Ok(session)
    }

    /// The claims of a token with a valid signature, and its key.
    fn claims(&self, token: &str) -> Result<(Claims, Arc<Key>), RequestError> {
        if token.is_empty() {
            return Err(RequestError::new(ErrorCode::TokenMissing, "this server requires a token"));
        }
        let header = header(token)?;
        if !SUPPORTED.contains(&header.alg.as_str()) {
            let text = "the token's algorithm is none of HS256, RS256, ES256 and EdDSA";
            return Err(RequestError::new(ErrorCode::TokenAlgorithm, text));
        }
        let named = header.kid.as_deref().and_then(|kid| self.named(kid));
        let is_pending = header.kid.is_some() && self.awaits_api_keys.load(Ordering::Relaxed);
        // Issuers name their key even if this server has only one, without a name.
        let is_fallback = named.is_none() && header.kid.is_some() && (is_pending || self.has_named());
        let unknown = || if is_pending { keys_are_not_read() } else { unknown_key(header.kid.is_some()) };
        let key = named.or_else(|| self.unnamed.clone()).ok_or_else(unknown)?;
        let claims = check_header(&header, &key).and_then(|()| verify(token, &key));
        let claims = claims.map_err(|error| match error.code {
            ErrorCode::TokenSignature | ErrorCode::TokenAlgorithm if is_fallback => unknown(),
            _ => error,
        })?;
        Ok((claims, key))
    }

    fn named(&self, kid: &str) -> Option<Arc<Key>> {
        let of_project = || self.api_keys.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned();
        self.named.get(kid).cloned().or_else(of_project)
    }

    /// Whether there are keys with ids.
    fn has_named(&self) -> bool {
        !self.named.is_empty() || !self.api_keys.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn check_times(&self, claims: &Claims, now: Duration, may_be_expired: bool) -> Result<(), RequestError> {
        let (now, leeway) = (now.as_secs(), self.leeway.as_secs());
        let NumericDate(exp) = claims.exp;
        if exp.saturating_add(leeway) <= now && !may_be_expired {
            return Err(RequestError::new(ErrorCode::TokenExpired, "the token has expired; get a new one"));
        }
        if claims.nbf.is_some_and(|nbf| nbf.0 > now.saturating_add(leeway)) {
            return Err(RequestError::new(
                ErrorCode::TokenNotYetValid,
                "the token is not valid yet; compare the clocks of its issuer and of this server",
            ));
        }
        Ok(())
    }

    /// Checks audience and issuer, if they are configured.
    fn check_parties(&self, claims: &Claims) -> Result<(), RequestError> {
        let refused = |text: String| Err(RequestError::new(ErrorCode::TokenAudience, text));
        if let Some(audience) = &self.audience
            && !claims.aud.as_ref().is_some_and(|aud| aud.contains(audience))
        {
            return refused(format!("the token is for another server: aud must contain {audience:?}"));
        }
        if let Some(issuer) = &self.issuer
            && claims.iss.as_ref() != Some(issuer)
        {
            return refused(format!("the token is from another issuer: iss must be {issuer:?}"));
        }
        Ok(())
    }
}

/// The header, parsed here because the library ignores `crit`, and cannot parse the algorithm "none".
#[derive(Deserialize)]
struct JoseHeader {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "crit", deserialize_with = "is_present")]
    is_critical: bool,
}

fn header(token: &str) -> Result<JoseHeader, RequestError> {
    if token.len() > limits::TOKEN_LEN_MAX {
        return Err(malformed(&format!("it is longer than {} bytes", limits::TOKEN_LEN_MAX)));
    }
    let mut parts = token.split('.');
    let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("it is not three parts between dots"));
    };
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed("its header is not base64url"))?;
    serde_json::from_slice(&header).map_err(|_| malformed("its header is not JSON with an alg"))
}

/// The algorithm is a property of the key. The header must have the same one, and decides nothing.
fn check_header(header: &JoseHeader, key: &Key) -> Result<(), RequestError> {
    let wanted = algorithm_name(key.algorithm);
    if header.alg != wanted {
        let text = format!(
            "the token is signed with a different algorithm than {wanted}, the only one that its key is accepted with here"
        );
        return Err(RequestError::new(ErrorCode::TokenAlgorithm, text));
    }
    // RFC 7515 §4.1.11: a token with an unknown critical extension is invalid. None is supported.
    if header.is_critical {
        return Err(malformed("its header has crit, and no extension is supported here"));
    }
    Ok(())
}

fn verify(token: &str, key: &Key) -> Result<Claims, RequestError> {
    let mut validation = Validation::new(key.algorithm);
    // Times and audience are checked later, with the time of the caller.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    use jsonwebtoken::errors::ErrorKind;
    jsonwebtoken::decode(token, &key.decoding, &validation).map(|data| data.claims).map_err(|error| {
        match error.kind() {
            ErrorKind::InvalidSignature => RequestError::new(
                ErrorCode::TokenSignature,
                "the token's signature does not match: it was signed with a different key, or modified",
            ),
            ErrorKind::InvalidAlgorithm => {
                RequestError::new(ErrorCode::TokenAlgorithm, "the token's algorithm is not that of its key")
            }
            _ => malformed(
                "its claims must be JSON with sub, room_id and exp; exp, nbf and iat are numbers, seconds since 1970",
            ),
        }
    })
}

fn unknown_key(is_named: bool) -> RequestError {
    let text = match is_named {
        true => "this server has no key with the token's kid; it may have been replaced: get a new token",
        false => "the token has no kid, and this server has only keys with an id",
    };
    RequestError::new(ErrorCode::TokenKey, text)
}

fn keys_are_not_read() -> RequestError {
    let text =
        "the key of the token is not known yet: the database of API keys has not answered since the start";
    RequestError::new(ErrorCode::StoreUnavailable, text).retry_after(limits::API_KEYS_PAUSE)
}

/// As in the header.
fn algorithm_name(algorithm: Algorithm) -> String {
    format!("{algorithm:?}")
}

/// The algorithms that a key may have.
const SUPPORTED: [&str; 4] = ["HS256", "RS256", "ES256", "EdDSA"];

/// Deserializes a member of any type, to detect that it is present.
fn is_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

#[cfg(test)]
mod tests;
