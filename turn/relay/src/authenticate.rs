//! Who asks: the long-term credential mechanism (RFC 8489 §9.2).
//!
//! Everything here is done for strangers too, so that it keeps nothing and allocates nothing: a nonce is checked before a password
//! is computed, and both take a time that does not depend on how many users there are.

use crate::credentials::Origin;
use crate::limits::USERNAME_LEN_MAX;
use crate::relay::Relay;
use machine::{Instant, Path};
use std::fmt;
use stun::attribute::{NONCE, PASSWORD_ALGORITHMS, REALM};
use stun::{Integrity, Key, Message, PasswordAlgorithm};

/// Somebody with a good credential.
#[derive(Clone, Debug)]
pub(crate) struct AuthenticatedUser {
    pub name: Name,
    pub key: Key,
    /// What the credential came from; `None` if it was recognised by the key of its allocation.
    pub origin: Option<Origin>,
}

/// A user name, copied, as it may come out of the message or be found by its hash.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    bytes: [u8; USERNAME_LEN_MAX],
    len: usize,
}

impl Name {
    fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; USERNAME_LEN_MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self { bytes, len: name.len() })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

impl Relay {
    /// Who sent the request behind this path, or the code that it is answered with: 400, 401 or 438.
    pub(crate) fn authenticate(
        &self,
        now: Instant,
        path: Path,
        message: &Message<'_>,
    ) -> Result<AuthenticatedUser, u16> {
        let Some(integrity) = message.integrity() else { return Err(401) };
        let credentials = &self.settings.credentials;
        let (Some(realm), Some(nonce)) = (message.attribute(REALM), message.attribute(NONCE)) else {
            return Err(400);
        };
        let name = match (message.username(), message.userhash()) {
            (Some(name), None) => Name::new(name),
            (None, Some(Some(hash))) => credentials.name(&hash).and_then(Name::new),
            _ => return Err(400),
        };
        if !self.nonces.is_good(now, path, nonce) {
            return Err(438);
        }
        let algorithm = password_algorithm(message)?;
        let name = name.filter(|_| realm == credentials.realm().as_bytes()).ok_or(401u16)?;
        self.recognise(now, path, message, name, (algorithm, integrity)).ok_or(401)
    }

    fn recognise(
        &self,
        now: Instant,
        path: Path,
        message: &Message<'_>,
        name: Name,
        (algorithm, integrity): (PasswordAlgorithm, Integrity),
    ) -> Option<AuthenticatedUser> {
        // An allocation outlives its credential, so that a call is not ended by the clock. It costs no second computation of the key, either.
        let allocation = self.find(path).and_then(|index| self.allocation(index));
        let allocation = allocation.or_else(|| self.allocation_named(message));
        if let Some(allocation) = allocation
            && *allocation.user == *name.as_bytes()
            && message.verify_integrity(&allocation.key)
        {
            return Some(AuthenticatedUser { name, key: allocation.key.clone(), origin: None });
        }
        let unix = self.settings.wall_clock.since_1970(now);
        let (key, origin) =
            self.settings.credentials.verify(message, name.as_bytes(), algorithm, integrity, unix)?;
        Some(AuthenticatedUser { name, key, origin: Some(origin) })
    }
}

/// How the client made its key. Our nonces say that it may choose, so that the list it chose from must be ours: somebody in between
/// may have shortened it (RFC 8489 §9.2.4).
fn password_algorithm(message: &Message<'_>) -> Result<PasswordAlgorithm, u16> {
    match (message.attribute(PASSWORD_ALGORITHMS), message.password_algorithm()) {
        (None, None) => Ok(PasswordAlgorithm::Md5),
        (Some([0, 2, 0, 0, 0, 1, 0, 0]), Some(Some(algorithm))) => Ok(algorithm),
        _ => Err(400),
    }
}
