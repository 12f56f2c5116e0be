//! A request of a client, for the stages that serve it.

use crate::credentials::Origin;
use crate::limits::USERNAME_LEN_MAX;
use machine::Path;
use std::fmt;
use stun::{Key, Message, Method, TransactionId};

/// The fields of a request that its response needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestHeader {
    pub path: Path,
    pub method: Method,
    pub id: TransactionId,
    /// Length of the request in bytes.
    pub len: usize,
    /// Whether the request has a FINGERPRINT: then the response has one.
    pub fingerprint: bool,
}

impl RequestHeader {
    pub(crate) fn new(path: Path, message: &Message<'_>, len: usize) -> Self {
        let fingerprint = message.verify_fingerprint().is_some();
        Self { path, method: message.method(), id: message.transaction_id(), len, fingerprint }
    }
}

/// A user with a valid credential.
#[derive(Clone, Debug)]
pub(crate) struct AuthenticatedUser {
    pub name: Name,
    pub key: Key,
    /// The origin of the credential; `None` if it was recognised by the key of its allocation.
    pub origin: Option<Origin>,
}

/// A user name. It is a copy, since it comes from the message or is found by its hash.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    bytes: [u8; USERNAME_LEN_MAX],
    len: usize,
}

impl Name {
    pub(crate) fn new(name: &[u8]) -> Option<Self> {
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

/// A request of an authenticated user.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestContext<'r> {
    pub header: RequestHeader,
    pub user: &'r AuthenticatedUser,
    pub message: Message<'r>,
}
