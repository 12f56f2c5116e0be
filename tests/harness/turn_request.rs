//! Requests to a TURN server, as written by a client with a password (RFC 8489 §9.2.3).

use stun::{Class, Integrity, Key, Method, PasswordAlgorithm, TransactionId, Writer};

/// A client's state after a challenge.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Its name.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
    /// The server's realm.
    pub realm: &'a [u8],
    /// The server's nonce.
    pub nonce: &'a [u8],
}

/// A request with the additions of `fill`, signed if the client has credentials. At most 1 KiB.
///
/// # Panics
/// If it would be longer.
pub fn turn_request(
    method: Method,
    id: TransactionId,
    known: Option<Known<'_>>,
    fill: impl FnOnce(&mut Writer<'_>),
) -> Vec<u8> {
    let mut buffer = vec![0; 1024];
    let mut writer = Writer::new(&mut buffer, Class::Request, method, id).expect("room");
    fill(&mut writer);
    if let Some(Known { user, password, realm, nonce }) = known {
        let parts = [user.as_bytes(), realm, password.as_bytes()];
        let key = Key::long_term(PasswordAlgorithm::Md5, parts, Integrity::Sha1);
        writer.username(user.as_bytes()).realm(realm).nonce(nonce).integrity(&key);
    }
    let len = writer.finish().expect("room");
    buffer.truncate(len);
    buffer
}
