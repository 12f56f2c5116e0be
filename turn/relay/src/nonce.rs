//! Stateless nonces (RFC 8489 §9.2, §18.1): the time of creation, and an HMAC over it and over the client's
//! address, and for UDP its port. A nonce of another client, or one that is too old, is stale.

use crate::base64::{encode, encoded_len};
use crate::limits::NONCE_LIFETIME;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use machine::{Instant, LocalId, Path, Rng};
use std::net::IpAddr;
use std::time::Duration;

/// The start of a nonce with security features (RFC 8489 §9.2).
const COOKIE: &[u8; 9] = b"obMatJos2";
/// Security feature "password algorithms" (RFC 8489 §18.1), the first of 24 bits.
const PASSWORD_ALGORITHMS: u8 = 0x80;
/// Security feature "user name anonymity": USERHASH instead of USERNAME.
const USERNAME_ANONYMITY: u8 = 0x40;
const FEATURES_LEN: usize = encoded_len(3);
/// The second of creation, with enough bits not to repeat within the lifetime of a nonce, and enough of the
/// HMAC that it cannot be guessed within an hour. Nine bytes are twelve digits: every challenge contains
/// them.
const SECONDS_LEN: usize = 2;
const MAC_LEN: usize = 7;
const STAMP_LEN: usize = encoded_len(SECONDS_LEN + MAC_LEN);
const PREFIX_LEN: usize = COOKIE.len() + FEATURES_LEN;
/// Length of a nonce with security features in bytes.
pub(crate) const NONCE_LEN_MAX: usize = PREFIX_LEN + STAMP_LEN;
const _: () = assert!(NONCE_LIFETIME.as_secs() < 1 << (8 * SECONDS_LEN));

/// Creates and checks nonces.
#[derive(Debug)]
pub(crate) struct Nonces {
    key: hmac::Key,
    features: [u8; FEATURES_LEN],
}

/// Whether a nonce lists the features beyond MD5 and user names in clear text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// It lists them, which costs 13 bytes.
    Featured,
    /// It does not.
    Plain,
}

/// A nonce, as text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nonce {
    bytes: [u8; NONCE_LEN_MAX],
    start: usize,
}

impl Nonce {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

impl Nonces {
    /// With a new key, so that a restart makes all nonces stale.
    pub(crate) fn new(takes_userhash: bool, rng: &mut Rng) -> Self {
        let mut key = [0; 32];
        rng.fill(&mut key);
        let anonymity = if takes_userhash { USERNAME_ANONYMITY } else { 0 };
        let mut features = [0; FEATURES_LEN];
        encode(&[PASSWORD_ALGORITHMS | anonymity, 0, 0], &mut features);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), features }
    }

    /// A nonce for the client of this path.
    pub(crate) fn make(&self, now: Instant, path: Path, form: Form) -> Nonce {
        self.stamped(now.since_epoch().as_secs() as u32, path, form)
    }

    /// Whether this nonce was made for that client, and is not too old.
    pub(crate) fn is_good(&self, now: Instant, path: Path, nonce: &[u8]) -> bool {
        let form = match nonce.len() {
            NONCE_LEN_MAX => Form::Featured,
            STAMP_LEN => Form::Plain,
            _ => return false,
        };
        // Compare with the nonce of the same second: any difference means that this server did not make it.
        let Some(low) = second_of(&nonce[nonce.len() - STAMP_LEN..]) else { return false };
        let now = now.since_epoch().as_secs() as u32;
        let age = u32::from((now as u16).wrapping_sub(low));
        Duration::from_secs(age.into()) <= NONCE_LIFETIME
            && verify_slices_are_equal(self.stamped(now.wrapping_sub(age), path, form).as_bytes(), nonce)
                .is_ok()
    }

    fn stamped(&self, second: u32, path: Path, form: Form) -> Nonce {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&second.to_be_bytes());
        // The connections of one client share a nonce: each connection with a peer has its own connection
        // (RFC 6062 §4.3).
        let [local, port] =
            if path.local.is_tcp() { [LocalId::TCP.0, 0] } else { [path.local.0, path.remote.port()] };
        context.update(&local.to_be_bytes());
        context.update(&port.to_be_bytes());
        match path.remote.ip() {
            IpAddr::V4(ip) => context.update(&ip.octets()),
            IpAddr::V6(ip) => context.update(&ip.octets()),
        }
        let mut stamp = [0; SECONDS_LEN + MAC_LEN];
        stamp[..SECONDS_LEN].copy_from_slice(&(second as u16).to_be_bytes());
        stamp[SECONDS_LEN..].copy_from_slice(&context.sign().as_ref()[..MAC_LEN]);

        let mut bytes = [0; NONCE_LEN_MAX];
        let (prefix, text) = bytes.split_at_mut(PREFIX_LEN);
        let (cookie, features) = prefix.split_at_mut(COOKIE.len());
        cookie.copy_from_slice(COOKIE);
        features.copy_from_slice(&self.features);
        encode(&stamp, text);
        let start = if form == Form::Featured { 0 } else { PREFIX_LEN };
        Nonce { bytes, start }
    }
}

/// The low bits of the second of creation in a stamp.
fn second_of(stamp: &[u8]) -> Option<u16> {
    let digits = stamp.get(..3)?;
    let bits = digits.iter().try_fold(0_u32, |bits, digit| Some(bits << 6 | u32::from(value(*digit)?)))?;
    Some((bits >> 2) as u16)
}

/// The value of a base64 digit.
fn value(digit: u8) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
