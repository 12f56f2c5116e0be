//! STUN messages of clients: validation, authentication, and the call of their method.

use crate::allocations::Allocations;
use crate::authenticate::authenticate;
use crate::call::Call;
use crate::counters::Counter;
use crate::limits::UNKNOWN_ATTRIBUTES_MAX;
use crate::request_attributes::KNOWN;
use crate::request_context::{AuthenticatedUser, RequestContext, RequestHeader};
use crate::respond::{challenge, error_response, error_response_with, stranger_error, stranger_response};
use crate::{allocate, permit, refresh, streams, traffic};
use machine::{Path, Tx};
use stun::{Class, Message, Method, Writer};

/// Unknown attributes that must be understood.
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

/// A STUN message of a client.
pub(crate) fn on_message(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    path: Path,
    bytes: &[u8],
) {
    let message = Message::new(bytes).ok().filter(|message| message.verify_fingerprint() != Some(false));
    let Some(message) = message else { return call.counters.count(Counter::Malformed) };
    match (message.class(), message.method()) {
        (Class::Request, Method::BINDING) => {
            on_binding(call, &RequestHeader::new(path, &message, bytes.len()), &message);
        }
        (Class::Request, method) if is_served(method) => {
            on_request(allocations, call, &RequestHeader::new(path, &message, bytes.len()), &message);
        }
        (Class::Indication, Method::SEND) => traffic::on_send(allocations, call, path, &message),
        // Keeps a NAT binding alive (RFC 8445 §11).
        (Class::Indication, Method::BINDING) => {}
        _ => call.counters.count(Counter::Unexpected),
    }
}

/// Binding: the client requests its address. It needs no credential.
fn on_binding(call: &mut Call<'_, impl Tx>, header: &RequestHeader, message: &Message<'_>) {
    if let Some(unknown) = Unknown::of(message) {
        let fill = |writer: &mut Writer<'_>| _ = writer.unknown_attributes(unknown.kinds());
        return stranger_error(call, header, 420, fill);
    }
    let fill = |writer: &mut Writer<'_>| _ = writer.xor_mapped_address(header.path.remote);
    if stranger_response(call, header, Class::Success, fill) {
        call.counters.count(Counter::Bindings);
    }
}

/// All other methods need a credential.
fn on_request(
    allocations: &mut Allocations,
    call: &mut Call<'_, impl Tx>,
    header: &RequestHeader,
    message: &Message<'_>,
) {
    let user = match authenticate(allocations, call, header.path, message) {
        Ok(user) => user,
        Err(code @ (401 | 438)) => return challenge(call, header, code),
        Err(code) => return stranger_error(call, header, code, |_| {}),
    };
    if call.revoked.covers(user.name.as_bytes()) {
        return error_response(call, header, &user.key, 403);
    }
    if let Some(unknown) = Unknown::of(message) {
        let fill = |writer: &mut Writer<'_>| _ = writer.unknown_attributes(unknown.kinds());
        return error_response_with(call, header, &user.key, 420, fill);
    }
    let request = &RequestContext { header: *header, user: &user, message: *message };
    match message.method() {
        Method::ALLOCATE => return allocate::on_allocate(allocations, call, request),
        Method::CONNECTION_BIND => return streams::on_connection_bind(allocations, call, request),
        _ => {}
    }
    let index = match allocation_of(allocations, header.path, &user) {
        Ok(index) => index,
        Err(code) => return error_response(call, header, &user.key, code),
    };
    match message.method() {
        Method::REFRESH => refresh::on_refresh(allocations, call, request, index),
        Method::CREATE_PERMISSION => permit::on_create_permission(allocations, call, request, index),
        Method::CONNECT => streams::on_connect(allocations, call, request, index),
        _ => permit::on_channel_bind(allocations, call, request, index),
    }
}

/// The user's allocation for this path.
fn allocation_of(allocations: &Allocations, path: Path, user: &AuthenticatedUser) -> Result<u32, u16> {
    let index = allocations.find(path).ok_or(437u16)?;
    let allocation = allocations.get(index).filter(|allocation| allocation.opening.is_none());
    let allocation = allocation.ok_or(437u16)?;
    if *allocation.user == *user.name.as_bytes() { Ok(index) } else { Err(441) }
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
