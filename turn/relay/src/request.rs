//! What becomes of a STUN message: whether it makes sense, who sent it, and which method it calls.

use crate::authenticate::AuthenticatedUser;
use crate::counters::Counter;
use crate::limits::UNKNOWN_ATTRIBUTES_MAX;
use crate::relay::Relay;
use crate::respond::RequestHeader;
use machine::{Instant, Path, Tx};
use stun::attribute::{
    CHANNEL_NUMBER, CONNECTION_ID, DATA, DONT_FRAGMENT, ERROR_CODE, EVEN_PORT, LIFETIME, MAPPED_ADDRESS,
    MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, NONCE, PASSWORD_ALGORITHM, REALM, REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT, RESERVATION_TOKEN, UNKNOWN_ATTRIBUTES, USERHASH, USERNAME, XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use stun::{Class, Message, Method};

/// What we understand in requests and indications.
pub(crate) const KNOWN: [u16; 22] = [
    CONNECTION_ID,
    MAPPED_ADDRESS,
    USERNAME,
    MESSAGE_INTEGRITY,
    ERROR_CODE,
    UNKNOWN_ATTRIBUTES,
    CHANNEL_NUMBER,
    LIFETIME,
    XOR_PEER_ADDRESS,
    DATA,
    REALM,
    NONCE,
    XOR_RELAYED_ADDRESS,
    REQUESTED_ADDRESS_FAMILY,
    EVEN_PORT,
    REQUESTED_TRANSPORT,
    DONT_FRAGMENT,
    MESSAGE_INTEGRITY_SHA256,
    PASSWORD_ALGORITHM,
    USERHASH,
    RESERVATION_TOKEN,
    XOR_MAPPED_ADDRESS,
];

/// Attributes that must be understood and are not.
struct Unknown {
    kinds: [u16; UNKNOWN_ATTRIBUTES_MAX],
    len: usize,
}

impl Unknown {
    fn of(message: &Message<'_>) -> Option<Self> {
        let mut kinds = [0; UNKNOWN_ATTRIBUTES_MAX];
        let len =
            kinds.iter_mut().zip(message.required_outside(&KNOWN)).map(|(slot, kind)| *slot = kind).count();
        (len > 0).then_some(Self { kinds, len })
    }

    fn kinds(&self) -> &[u16] {
        &self.kinds[..self.len]
    }
}

impl Relay {
    /// A STUN message of a client.
    pub(crate) fn on_message(&mut self, now: Instant, path: Path, bytes: &[u8], tx: &mut impl Tx) {
        let message = Message::new(bytes).ok().filter(|message| message.verify_fingerprint() != Some(false));
        let Some(message) = message else { return self.counters.count(Counter::Malformed) };
        match (message.class(), message.method()) {
            (Class::Request, Method::BINDING) => {
                self.on_binding(now, &RequestHeader::new(path, &message, bytes.len()), &message, tx);
            }
            (Class::Request, method) if is_served(method) => {
                self.on_request(now, &RequestHeader::new(path, &message, bytes.len()), &message, tx);
            }
            (Class::Indication, Method::SEND) => self.on_send(now, path, &message, tx),
            // Keeps a NAT binding alive (RFC 8445 §11).
            (Class::Indication, Method::BINDING) => {}
            _ => self.counters.count(Counter::Unexpected),
        }
    }

    /// "What is my address?" Anybody may ask.
    fn on_binding(&mut self, now: Instant, header: &RequestHeader, message: &Message<'_>, tx: &mut impl Tx) {
        if let Some(unknown) = Unknown::of(message) {
            let fill = |writer: &mut stun::Writer<'_>| _ = writer.unknown_attributes(unknown.kinds());
            return self.stranger_error(now, header, 420, tx, fill);
        }
        let fill = |writer: &mut stun::Writer<'_>| _ = writer.xor_mapped_address(header.path.remote);
        if self.stranger_response(now, header, Class::Success, tx, fill) {
            self.counters.count(Counter::Bindings);
        }
    }

    /// Everything else wants a credential.
    fn on_request(&mut self, now: Instant, header: &RequestHeader, message: &Message<'_>, tx: &mut impl Tx) {
        let user = match self.authenticate(now, header.path, message) {
            Ok(user) => user,
            Err(code @ (401 | 438)) => return self.challenge(now, header, code, tx),
            Err(code) => return self.stranger_error(now, header, code, tx, |_| {}),
        };
        if let Some(unknown) = Unknown::of(message) {
            let fill = |writer: &mut stun::Writer<'_>| _ = writer.unknown_attributes(unknown.kinds());
            return self.error_response_with(header, &user.key, 420, tx, fill);
        }
        match message.method() {
            Method::ALLOCATE => return self.on_allocate(now, header, &user, message, tx),
            Method::CONNECTION_BIND => return self.on_connection_bind(header, &user, message, tx),
            _ => {}
        }
        let index = match self.allocation_of(header.path, &user) {
            Ok(index) => index,
            Err(code) => return self.error_response(header, &user.key, code, tx),
        };
        match message.method() {
            Method::REFRESH => self.on_refresh(now, header, &user, index, message, tx),
            Method::CREATE_PERMISSION => self.on_create_permission(now, header, &user, index, message, tx),
            Method::CONNECT => self.on_connect(now, header, &user, index, message, tx),
            _ => self.on_channel_bind(now, header, &user, index, message, tx),
        }
    }

    /// The caller's allocation behind this path.
    fn allocation_of(&self, path: Path, user: &AuthenticatedUser) -> Result<u32, u16> {
        let index = self.find(path).ok_or(437u16)?;
        let allocation =
            self.allocation(index).filter(|allocation| allocation.opening.is_none()).ok_or(437u16)?;
        if *allocation.user == *user.name.as_bytes() { Ok(index) } else { Err(441) }
    }
}

fn is_served(method: Method) -> bool {
    [
        Method::ALLOCATE,
        Method::REFRESH,
        Method::CREATE_PERMISSION,
        Method::CHANNEL_BIND,
        Method::CONNECT,
        Method::CONNECTION_BIND,
    ]
    .contains(&method)
}
