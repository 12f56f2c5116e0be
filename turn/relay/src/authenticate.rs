//! Authentication: the long-term credential mechanism (RFC 8489 §9.2).
//!
//! All of this also runs for unauthenticated clients, so it stores nothing and allocates no memory: a nonce
//! is checked before a password is computed, and both take a time that does not depend on the number of
//! users.

use crate::allocations::Allocations;
use crate::call::Call;
use crate::request_context::{AuthenticatedUser, Name};
use machine::Path;
use stun::attribute::{NONCE, PASSWORD_ALGORITHMS, REALM};
use stun::{Integrity, Message, PasswordAlgorithm};

/// The user who sent the request from this path, or the code of the error response: 400, 401 or 438.
pub(crate) fn authenticate<T>(
    allocations: &Allocations,
    call: &Call<'_, T>,
    path: Path,
    message: &Message<'_>,
) -> Result<AuthenticatedUser, u16> {
    let Some(integrity) = message.integrity() else { return Err(401) };
    let credentials = &call.settings.credentials;
    let (Some(realm), Some(nonce)) = (message.attribute(REALM), message.attribute(NONCE)) else {
        return Err(400);
    };
    let name = match (message.username(), message.userhash()) {
        (Some(name), None) => Name::new(name),
        (None, Some(Some(hash))) => credentials.name(&hash).and_then(Name::new),
        _ => return Err(400),
    };
    if !call.nonces.is_good(call.now, path, nonce) {
        return Err(438);
    }
    let algorithm = password_algorithm(message)?;
    let name = name.filter(|_| realm == credentials.realm().as_bytes()).ok_or(401u16)?;
    // An allocation outlives its credential, so that the expiry does not end a call. This also saves the
    // computation of the key.
    let allocation = allocations.find(path).and_then(|index| allocations.get(index));
    let allocation = allocation.or_else(|| allocations.named(message));
    if let Some(allocation) = allocation
        && *allocation.user == *name.as_bytes()
        && message.verify_integrity(&allocation.key)
    {
        return Ok(AuthenticatedUser { name, key: allocation.key.clone(), origin: None });
    }
    verify(call, message, name, algorithm, integrity).ok_or(401)
}

fn verify<T>(
    call: &Call<'_, T>,
    message: &Message<'_>,
    name: Name,
    algorithm: PasswordAlgorithm,
    integrity: Integrity,
) -> Option<AuthenticatedUser> {
    let unix = call.settings.wall_clock.since_1970(call.now);
    let credentials = &call.settings.credentials;
    let (key, origin) = credentials.verify(message, name.as_bytes(), algorithm, integrity, unix)?;
    Some(AuthenticatedUser { name, key, origin: Some(origin) })
}

/// How the client made its key. Our nonces offer a choice of algorithms, so the client must return our list:
/// an attacker on the path could have shortened it (RFC 8489 §9.2.4).
fn password_algorithm(message: &Message<'_>) -> Result<PasswordAlgorithm, u16> {
    match (message.attribute(PASSWORD_ALGORITHMS), message.password_algorithm()) {
        (None, None) => Ok(PasswordAlgorithm::Md5),
        (Some([0, 2, 0, 0, 0, 1, 0, 0]), Some(Some(algorithm))) => Ok(algorithm),
        _ => Err(400),
    }
}
