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
fn expiry(username: &[u8]) -> Option<Duration> {
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
mod tests {
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
        credentials
            .verify(&message, username.as_bytes(), PasswordAlgorithm::Md5, Integrity::Sha1, now)
            .is_some()
    }

    /// As `turnadmin` and every service that mints credentials for coturn make them.
    #[test]
    fn a_minted_credential_equals_coturns() {
        let (username, password) =
            mint(b"north", Derivation::Sha1, Duration::from_secs(1_433_895_918), "user");
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
}
