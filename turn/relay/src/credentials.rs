//! Who may allocate: users with a password, and clients with a time-limited credential that was made from a
//! shared secret.
//!
//! The latter is coturn's scheme ("TURN REST API", draft-uberti-behave-turn-rest): the user name is
//! `EXPIRY:USER`, the expiry in seconds since 1970, and the password the base64 of an HMAC of that name. The
//! server looks nothing up and stores nothing. Two secrets are valid at a time, so that one can be replaced
//! without interrupting calls.

use crate::base64::{encode, encoded_len};
use crate::limits::{SECRET_LEN_MAX, SECRETS_MAX, USERNAME_LEN_MAX, USERS_MAX};
use aws_lc_rs::{digest, hmac};
use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use stun::{Integrity, Key, Message, PasswordAlgorithm};

/// The HMAC for the password of a minted credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derivation {
    /// HMAC-SHA1, which coturn and all other servers support.
    Sha1,
    /// HMAC-SHA256.
    Sha256,
}

impl Derivation {
    const ALL: [Self; 2] = [Self::Sha1, Self::Sha256];

    fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
        }
    }
}

/// Length of the longest minted password in bytes.
const PASSWORD_LEN_MAX: usize = encoded_len(32);

/// The text whose HMAC is the id of a secret.
const SECRET_ID_OF: &[u8] = b"leat.turn.v1";

/// A minted credential: the user name and its password. `expires_at` is in seconds since 1970; `user` is the
/// user whose quota it counts towards.
pub fn mint(secret: &[u8], derivation: Derivation, expires_at: Duration, user: &str) -> (String, String) {
    let username = format!("{}:{user}", expires_at.as_secs());
    let mut buffer = [0; PASSWORD_LEN_MAX];
    let key = hmac::Key::new(derivation.algorithm(), secret);
    let password = encode(hmac::sign(&key, username.as_bytes()).as_ref(), &mut buffer);
    let password = String::from_utf8_lossy(password).into_owned();
    (username, password)
}

/// All valid credentials.
#[derive(Clone)]
pub struct Credentials {
    realm: Arc<str>,
    users: BTreeMap<Box<[u8]>, Box<[u8]>>,
    /// User names by their USERHASH.
    names: BTreeMap<[u8; 32], Box<[u8]>>,
    secrets: Vec<Secret>,
}

/// A shared secret with its computed key schedules.
#[derive(Clone)]
struct Secret {
    keys: [hmac::Key; 2],
    origin: Origin,
}

/// The origin of a credential: after a reload it shows whether the credential is still valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin([u8; 8]);

impl Origin {
    fn of(secret: &[u8]) -> Self {
        let hash = digest::digest(&digest::SHA256, secret);
        let mut origin = [0; 8];
        origin.copy_from_slice(&hash.as_ref()[..8]);
        Self(origin)
    }
}

/// Invalid credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCredentials {
    /// More shared secrets than are valid at a time.
    #[error(
        "{0} shared secrets: at most {SECRETS_MAX} are valid at a time, the one in use and its predecessor or successor"
    )]
    TooManySecrets(usize),
    /// More users than the maximum.
    #[error("{0} users: at most {USERS_MAX} are possible; mint credentials from a shared secret instead")]
    TooManyUsers(usize),
    /// A secret or a password that is empty or too long.
    #[error("{what} has {len} bytes: expected 1 to {SECRET_LEN_MAX}")]
    SecretLen {
        /// Its name.
        what: String,
        /// Its length in bytes.
        len: usize,
    },
    /// A user name that is empty or too long.
    #[error("the user name {0:?} is not possible: expected 1 to {USERNAME_LEN_MAX} bytes")]
    UserName(String),
    /// A text that no client can send, because RFC 8489 does not allow it.
    #[error(
        "{what} has a character that RFC 8265 does not allow, such as a control character, or none at all: remove it"
    )]
    NotOpaque {
        /// Its name.
        what: String,
    },
}

/// A realm, user name or password in the form in which clients send it and derive keys from it (RFC 8489
/// §9.2.2: the OpaqueString profile of RFC 8265): spaces of every kind become the ASCII space, and characters
/// are composed (NFC). `what` is for the error.
pub fn prepare(what: &str, text: &str) -> Result<String, BadCredentials> {
    let prepared = OpaqueString::enforce(text);
    prepared.map(Into::into).map_err(|_| BadCredentials::NotOpaque { what: what.to_owned() })
}

impl Credentials {
    /// Without users. The realm is the operator's name for its group of users; each challenge contains it.
    pub fn new(realm: &str) -> Self {
        Self { realm: realm.into(), users: BTreeMap::new(), names: BTreeMap::new(), secrets: Vec::new() }
    }

    /// Adds a user with a password; both are [prepared](prepare) for comparison.
    pub fn user(mut self, name: &str, password: &str) -> Result<Self, BadCredentials> {
        let is_possible = |name: &str| (1..=USERNAME_LEN_MAX).contains(&name.len());
        if !is_possible(name) {
            return Err(BadCredentials::UserName(name.to_owned()));
        }
        let of_password = format!("the password of {name:?}");
        check_secret(&of_password, password.as_bytes())?;
        let name = prepare(&format!("the user name {name:?}"), name)?;
        let password = prepare(&of_password, password)?;
        if !is_possible(&name) {
            return Err(BadCredentials::UserName(name));
        }
        check_secret(&of_password, password.as_bytes())?;
        self.names.insert(stun::userhash(name.as_bytes(), self.realm.as_bytes()), name.as_bytes().into());
        self.users.insert(name.as_bytes().into(), password.as_bytes().into());
        if self.users.len() > USERS_MAX {
            return Err(BadCredentials::TooManyUsers(self.users.len()));
        }
        Ok(self)
    }

    /// Adds a shared secret.
    pub fn secret(mut self, secret: &[u8]) -> Result<Self, BadCredentials> {
        check_secret("a shared secret", secret)?;
        let keys = Derivation::ALL.map(|derivation| hmac::Key::new(derivation.algorithm(), secret));
        self.secrets.push(Secret { keys, origin: Origin::of(secret) });
        if self.secrets.len() > SECRETS_MAX {
            return Err(BadCredentials::TooManySecrets(self.secrets.len()));
        }
        Ok(self)
    }

    /// Whether there are no credentials.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.secrets.is_empty()
    }

    /// An id of each shared secret, which does not show it: 16 hexadecimal digits of an HMAC-SHA256. Signaling
    /// compares it with that of its own secret.
    pub fn secret_ids(&self) -> Vec<String> {
        let id = |secret: &Secret| {
            let tag = hmac::sign(&secret.keys[Derivation::Sha256 as usize], SECRET_ID_OF);
            tag.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
        };
        self.secrets.iter().map(id).collect()
    }

    pub(crate) fn realm(&self) -> Arc<str> {
        self.realm.clone()
    }

    /// Whether any user can be found by USERHASH: only the names of users with a password are known.
    pub(crate) fn takes_userhash(&self) -> bool {
        !self.names.is_empty()
    }

    /// The name with this USERHASH.
    pub(crate) fn name(&self, userhash: &[u8; 32]) -> Option<&[u8]> {
        self.names.get(userhash).map(|name| &**name)
    }

    /// The key with which the message was signed, if it is valid for this user at this time (since 1970).
    /// Allocates no memory, and computes at most two secrets with two derivations each.
    pub(crate) fn verify(
        &self,
        message: &Message<'_>,
        username: &[u8],
        algorithm: PasswordAlgorithm,
        integrity: Integrity,
        now: Duration,
    ) -> Option<(Key, Origin)> {
        let key_of = |password: &[u8]| {
            let key = Key::long_term(algorithm, [username, self.realm.as_bytes(), password], integrity);
            message.verify_integrity(&key).then_some(key)
        };
        if let Some(password) = self.users.get(username) {
            return key_of(password).map(|key| (key, Origin::of(password)));
        }
        if expiry(username)? < now {
            return None;
        }
        self.secrets.iter().find_map(|secret| {
            let key = secret.keys.iter().find_map(|key| {
                let mut buffer = [0; PASSWORD_LEN_MAX];
                key_of(encode(hmac::sign(key, username).as_ref(), &mut buffer))
            });
            key.map(|key| (key, secret.origin))
        })
    }

    /// Whether the origin of an allocation's credential is still valid.
    pub(crate) fn still_has(&self, username: &[u8], origin: Origin) -> bool {
        match self.users.get(username) {
            Some(password) => Origin::of(password) == origin,
            None => self.secrets.iter().any(|secret| secret.origin == origin),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .field("users", &self.users.len())
            .field("secrets", &self.secrets.len())
            .finish()
    }
}

fn check_secret(what: &str, secret: &[u8]) -> Result<(), BadCredentials> {
    if (1..=SECRET_LEN_MAX).contains(&secret.len()) {
        return Ok(());
    }
    Err(BadCredentials::SecretLen { what: what.to_owned(), len: secret.len() })
}

/// The expiry of a minted name.
pub(crate) fn expiry(username: &[u8]) -> Option<Duration> {
    let digits = username.split(|byte| *byte == b':').next()?;
    let seconds = str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The user whose quota a name counts towards: the part after the expiry of a minted name, so that another
/// credential for the same user does not count as another user.
pub(crate) fn quota_name(username: &[u8]) -> &[u8] {
    match expiry(username).and_then(|_| username.iter().position(|byte| *byte == b':')) {
        Some(colon) if colon + 1 < username.len() => &username[colon + 1..],
        _ => username,
    }
}

#[cfg(test)]
mod tests;
